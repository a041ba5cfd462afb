-- Global tables: small, and never part of a project's transaction.

-- What happened once for the whole installation.
CREATE TABLE once (
    name TEXT NOT NULL PRIMARY KEY,
    at INTEGER NOT NULL
) STRICT;

CREATE TABLE projects (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    slug TEXT NOT NULL,
    name TEXT NOT NULL,
    prefix TEXT NOT NULL,
    settings TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX projects_slug_idx ON projects (slug);
CREATE UNIQUE INDEX projects_prefix_idx ON projects (prefix);

-- Projects that are gone, while what belonged to them may still be there.
CREATE TABLE deleted_projects (
    id INTEGER NOT NULL PRIMARY KEY,
    deleted_at INTEGER NOT NULL,
    clear_at INTEGER NOT NULL
) STRICT;

CREATE TABLE project_keys (
    public_key TEXT NOT NULL PRIMARY KEY,
    project_id INTEGER NOT NULL,
    label TEXT NOT NULL,
    is_trusted INTEGER NOT NULL,
    is_active INTEGER NOT NULL,
    origins TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    rate_limit TEXT
) STRICT;
CREATE INDEX project_keys_project_idx ON project_keys (project_id);

CREATE TABLE tokens (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    secret_hash BLOB NOT NULL,
    scopes TEXT NOT NULL,
    project_ids TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    last_used_at INTEGER
) STRICT;
CREATE UNIQUE INDEX tokens_secret_hash_idx ON tokens (secret_hash);

-- Tables of a project: every key starts with project_id.

CREATE TABLE environments (
    project_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    position INTEGER NOT NULL,
    aliases TEXT NOT NULL,
    completes INTEGER NOT NULL,
    PRIMARY KEY (project_id, name)
) STRICT;

CREATE TABLE project_counters (
    project_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    value INTEGER NOT NULL,
    PRIMARY KEY (project_id, name)
) STRICT;

CREATE TABLE issues (
    project_id INTEGER NOT NULL,
    id BLOB NOT NULL,
    number INTEGER,
    title TEXT NOT NULL,
    culprit TEXT NOT NULL,
    search_text TEXT NOT NULL,
    level TEXT NOT NULL,
    platform TEXT NOT NULL,
    handled INTEGER,
    status TEXT NOT NULL,
    resolved_at INTEGER,
    mute_until INTEGER,
    mute_until_n_events INTEGER,
    is_regressed INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    n_events INTEGER NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    last_seen_minute INTEGER NOT NULL,
    n_users INTEGER NOT NULL,
    users_below INTEGER,
    n_bodies INTEGER NOT NULL,
    first_release TEXT,
    last_release TEXT,
    assignee TEXT,
    merged_into BLOB,
    unconfirmed_since INTEGER,
    discarded_at INTEGER,
    PRIMARY KEY (project_id, id)
) STRICT;
CREATE UNIQUE INDEX issues_project_number_idx ON issues (project_id, number);
CREATE INDEX issues_project_last_seen_idx ON issues (project_id, last_seen_minute, id);
CREATE INDEX issues_project_merged_into_idx ON issues (project_id, merged_into)
    WHERE merged_into IS NOT NULL;
CREATE INDEX issues_project_mute_until_idx ON issues (project_id, mute_until) WHERE mute_until IS NOT NULL;

CREATE TABLE issue_hashes (
    project_id INTEGER NOT NULL,
    hash BLOB NOT NULL,
    issue_id BLOB NOT NULL,
    config TEXT NOT NULL,
    kind TEXT NOT NULL,
    how TEXT NOT NULL,
    reason TEXT NOT NULL,
    explanation TEXT NOT NULL,
    origin_id BLOB NOT NULL,
    first_event BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (project_id, hash)
) STRICT;
CREATE INDEX issue_hashes_project_issue_idx ON issue_hashes (project_id, issue_id);

-- What finds the issue of an error whose line was edited or whose stack was cut.
CREATE TABLE similar_hashes (
    project_id INTEGER NOT NULL,
    key BLOB NOT NULL,
    hash BLOB NOT NULL,
    known_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (project_id, key, hash)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
    project_id INTEGER NOT NULL,
    id BLOB NOT NULL,
    hash BLOB NOT NULL,
    occurred_at INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    release TEXT,
    environment TEXT NOT NULL,
    verdict TEXT NOT NULL,
    reason TEXT NOT NULL,
    is_trusted INTEGER NOT NULL,
    body BLOB,
    PRIMARY KEY (project_id, id)
) STRICT;
CREATE INDEX events_project_hash_occurred_idx ON events (project_id, hash, occurred_at, id);
CREATE INDEX events_project_received_idx ON events (project_id, received_at);
CREATE INDEX events_project_hash_body_idx ON events (project_id, hash, occurred_at)
    WHERE body IS NOT NULL;

-- What bodies of a project are compressed with.
CREATE TABLE dictionaries (
    project_id INTEGER NOT NULL,
    id INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    dictionary BLOB NOT NULL,
    PRIMARY KEY (project_id, id)
) STRICT;

CREATE TABLE issue_counts (
    project_id INTEGER NOT NULL,
    issue_id BLOB NOT NULL,
    hour INTEGER NOT NULL,
    release TEXT NOT NULL,
    environment TEXT NOT NULL,
    verdict TEXT NOT NULL,
    n_events INTEGER NOT NULL,
    PRIMARY KEY (project_id, issue_id, hour, release, environment, verdict)
) STRICT, WITHOUT ROWID;

CREATE TABLE issue_tags (
    project_id INTEGER NOT NULL,
    issue_id BLOB NOT NULL,
    tag TEXT NOT NULL,
    value TEXT NOT NULL,
    n_events INTEGER NOT NULL,
    PRIMARY KEY (project_id, issue_id, tag, value)
) STRICT, WITHOUT ROWID;
CREATE INDEX issue_tags_project_environment_idx ON issue_tags (project_id, lower(value), issue_id)
    WHERE tag = 'environment';

CREATE TABLE issue_users (
    project_id INTEGER NOT NULL,
    issue_id BLOB NOT NULL,
    user_hash INTEGER NOT NULL,
    PRIMARY KEY (project_id, issue_id, user_hash)
) STRICT, WITHOUT ROWID;

CREATE TABLE issue_activity (
    project_id INTEGER NOT NULL,
    issue_id BLOB NOT NULL,
    id BLOB NOT NULL,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    change TEXT NOT NULL,
    PRIMARY KEY (project_id, issue_id, id)
) STRICT;

CREATE TABLE outbox (
    project_id INTEGER NOT NULL,
    id BLOB NOT NULL,
    lane TEXT NOT NULL,
    effect TEXT NOT NULL,
    payload TEXT NOT NULL,
    state TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (project_id, id)
) STRICT;

CREATE TABLE repositories (
    project_id INTEGER NOT NULL,
    id BLOB NOT NULL,
    name TEXT NOT NULL,
    url TEXT,
    branches TEXT NOT NULL,
    credential BLOB,
    created_at INTEGER NOT NULL,
    fetched_at INTEGER,
    head BLOB,
    n_commits INTEGER NOT NULL,
    failed_at INTEGER,
    failure TEXT,
    PRIMARY KEY (project_id, id)
) STRICT;
CREATE UNIQUE INDEX repositories_project_name_idx ON repositories (project_id, name);

CREATE TABLE project_rules (
    project_id INTEGER NOT NULL,
    kind TEXT NOT NULL,
    rules TEXT NOT NULL,
    version INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    PRIMARY KEY (project_id, kind)
) STRICT;

CREATE TABLE buried (
    project_id INTEGER NOT NULL,
    id BLOB NOT NULL,
    buried_at INTEGER NOT NULL,
    reason TEXT NOT NULL,
    n_tries INTEGER NOT NULL,
    record BLOB NOT NULL,
    PRIMARY KEY (project_id, id)
) STRICT;

CREATE TABLE outcomes (
    project_id INTEGER NOT NULL,
    hour INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    detail TEXT NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (project_id, hour, outcome, detail)
) STRICT;
CREATE INDEX outcomes_hour_idx ON outcomes (hour);
