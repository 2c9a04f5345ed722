-- Version 1. Times are milliseconds since 1970 in UTC. JSON columns hold what no query looks into.

CREATE TABLE settings (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

CREATE TABLE users (
    id         INTEGER PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    admin      INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

-- A token is stored as the SHA-256 of its text. `kind` is personal (made by a person, for tools) or
-- session (made by logging in to the pages).
CREATE TABLE tokens (
    id          INTEGER PRIMARY KEY,
    user_id     INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    kind        TEXT NOT NULL,
    name        TEXT NOT NULL,
    scopes      TEXT NOT NULL,
    fingerprint TEXT NOT NULL UNIQUE,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER,
    revoked_at  INTEGER
) STRICT;

CREATE TABLE groups (
    id         INTEGER PRIMARY KEY,
    path       TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE projects (
    id             INTEGER PRIMARY KEY,
    path           TEXT NOT NULL UNIQUE,
    default_branch TEXT,
    last_iid       INTEGER NOT NULL DEFAULT 0,
    created_at     INTEGER NOT NULL
) STRICT;

-- `path` is a group's or a project's; a right holds for everything below it.
CREATE TABLE members (
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    path    TEXT NOT NULL,
    level   INTEGER NOT NULL,
    PRIMARY KEY (user_id, path)
) STRICT, WITHOUT ROWID;

-- `owner` is 'group' or 'project', `owner_id` its id. `value` is encrypted.
CREATE TABLE variables (
    id          INTEGER PRIMARY KEY,
    owner       TEXT NOT NULL,
    owner_id    INTEGER NOT NULL,
    key         TEXT NOT NULL,
    environment TEXT NOT NULL DEFAULT '*',
    value       BLOB NOT NULL,
    kind        TEXT NOT NULL,
    protected   INTEGER NOT NULL,
    masked      INTEGER NOT NULL,
    raw         INTEGER NOT NULL,
    description TEXT,
    UNIQUE (owner, owner_id, key, environment)
) STRICT;

CREATE TABLE runners (
    id           INTEGER PRIMARY KEY,
    fingerprint  TEXT NOT NULL UNIQUE,
    description  TEXT NOT NULL,
    tags         TEXT NOT NULL,
    run_untagged INTEGER NOT NULL,
    paused       INTEGER NOT NULL DEFAULT 0,
    version      TEXT,
    platform     TEXT,
    contacted_at INTEGER,
    created_at   INTEGER NOT NULL
) STRICT;

-- The refs whose updates have been turned into pipelines. What git has and this has not is a push
-- that was cut off; it is made good at the next push or start.
CREATE TABLE refs (
    project_id INTEGER NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    name       TEXT NOT NULL,
    target     TEXT NOT NULL,
    PRIMARY KEY (project_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE pipelines (
    id          INTEGER PRIMARY KEY,
    project_id  INTEGER NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    iid         INTEGER NOT NULL,
    ref_name    TEXT NOT NULL,
    is_tag      INTEGER NOT NULL,
    sha         TEXT NOT NULL,
    before_sha  TEXT NOT NULL,
    commit_json TEXT NOT NULL,
    source      TEXT NOT NULL,
    status      TEXT NOT NULL,
    graph       TEXT NOT NULL,
    diagnostics TEXT NOT NULL,
    yaml_errors TEXT,
    variables   BLOB,
    user_name   TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    started_at  INTEGER,
    finished_at INTEGER,
    UNIQUE (project_id, iid)
) STRICT;

-- One row an attempt. `node` is the job's place in the pipeline's graph; the newest attempt of a
-- node is the one that is not `retried`.
CREATE TABLE jobs (
    id             INTEGER PRIMARY KEY,
    pipeline_id    INTEGER NOT NULL REFERENCES pipelines (id) ON DELETE CASCADE,
    project_id     INTEGER NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    node           INTEGER NOT NULL,
    attempt        INTEGER NOT NULL,
    retried        INTEGER NOT NULL DEFAULT 0,
    name           TEXT NOT NULL,
    stage          TEXT NOT NULL,
    tags           TEXT NOT NULL,
    status         TEXT NOT NULL,
    allow_failure  INTEGER NOT NULL,
    state          TEXT NOT NULL,
    resource_group TEXT,
    runner_id      INTEGER,
    token          TEXT,
    failure_reason TEXT,
    exit_code      INTEGER,
    created_at     INTEGER NOT NULL,
    queued_at      INTEGER,
    started_at     INTEGER,
    finished_at    INTEGER,
    contacted_at   INTEGER
) STRICT;

CREATE INDEX jobs_of_pipeline ON jobs (pipeline_id, node);
CREATE INDEX jobs_of_project ON jobs (project_id, id);
CREATE INDEX jobs_at_work ON jobs (status, id) WHERE status IN ('pending', 'running', 'canceling', 'scheduled');
CREATE INDEX jobs_of_group ON jobs (project_id, resource_group) WHERE resource_group IS NOT NULL;
CREATE UNIQUE INDEX jobs_by_token ON jobs (token) WHERE token IS NOT NULL;
CREATE INDEX pipelines_of_project ON pipelines (project_id, id);
