-- Resource groups: one row for each that a job has ever named.

-- `mode` is GitLab's word.
CREATE TABLE resource_groups (
    id         INTEGER PRIMARY KEY,
    project_id INTEGER NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    key        TEXT NOT NULL,
    mode       TEXT NOT NULL DEFAULT 'unordered',
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (project_id, key)
) STRICT;

INSERT INTO resource_groups (project_id, key, created_at, updated_at)
SELECT project_id, resource_group, min(created_at), min(created_at) FROM jobs
WHERE resource_group IS NOT NULL GROUP BY project_id, resource_group;
