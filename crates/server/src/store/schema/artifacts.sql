-- Version 5: what jobs leave behind. The files lie beside the database, one for each row that is not
-- `gone`: what is gone is remembered, as a job that needs it must not run without it.

-- `kind` is archive, or the kind of a report.
CREATE TABLE artifacts (
    job_id     INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    kind       TEXT NOT NULL,
    name       TEXT NOT NULL,
    size       INTEGER NOT NULL,
    digest     TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    gone       INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (job_id, kind)
) STRICT, WITHOUT ROWID;

CREATE INDEX artifacts_that_expire ON artifacts (expires_at) WHERE expires_at IS NOT NULL AND NOT gone;
