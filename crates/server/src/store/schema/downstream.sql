-- Version 2: pipelines that start pipelines.

-- The attempt of a trigger job that this pipeline was made for: at most one, whatever happens in
-- between.
ALTER TABLE pipelines ADD COLUMN upstream_job INTEGER REFERENCES jobs (id) ON DELETE SET NULL;
CREATE UNIQUE INDEX pipelines_of_upstream ON pipelines (upstream_job) WHERE upstream_job IS NOT NULL;

-- `is_trigger`: the server carries it out, no runner. `cancels`: the pipelines that it started are still
-- to be cancelled.
ALTER TABLE jobs ADD COLUMN is_trigger INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN cancels INTEGER NOT NULL DEFAULT 0;
CREATE INDEX jobs_that_cancel ON jobs (id) WHERE cancels;
