-- What a newer pipeline does to older ones of its ref.

-- Whether it cancels them (GitLab's `auto_cancel_pending_pipelines`).
ALTER TABLE projects ADD COLUMN auto_cancel INTEGER NOT NULL DEFAULT 1;

-- `supersedes`: the older ones are still to be looked at; not if the file had errors.
ALTER TABLE pipelines ADD COLUMN supersedes INTEGER NOT NULL DEFAULT 1;
UPDATE pipelines SET supersedes = 0;
CREATE INDEX pipelines_that_supersede ON pipelines (id) WHERE supersedes AND yaml_errors IS NULL;
