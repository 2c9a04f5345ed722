-- Version 6: numbers are given out once. SQLite takes the number of a removed row again, and what is kept
-- beside the database (logs, artifacts, repositories) or in somebody's bookmarks would be another's.

-- The last number that was given to something of each table.
CREATE TABLE numbers (
    what TEXT PRIMARY KEY,
    last INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO numbers (what, last) SELECT 'projects', coalesce(max(id), 0) FROM projects;
INSERT INTO numbers (what, last) SELECT 'pipelines', coalesce(max(id), 0) FROM pipelines;
INSERT INTO numbers (what, last) SELECT 'jobs', coalesce(max(id), 0) FROM jobs;
