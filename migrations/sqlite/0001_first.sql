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
    status_since INTEGER,
    mute_until INTEGER,
    mute_until_n_events INTEGER,
    is_regressed INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    n_events INTEGER NOT NULL,
    n_suppressed INTEGER NOT NULL,
    n_undetermined INTEGER NOT NULL,
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
    serious_at INTEGER,
    baseline_id BLOB,
    fix_id BLOB,
    fix_state TEXT,
    fix_is_complete INTEGER NOT NULL,
    PRIMARY KEY (project_id, id)
) STRICT;
CREATE UNIQUE INDEX issues_project_number_idx ON issues (project_id, number);
CREATE INDEX issues_project_last_seen_idx ON issues (project_id, last_seen_minute, id);
CREATE INDEX issues_project_merged_into_idx ON issues (project_id, merged_into)
    WHERE merged_into IS NOT NULL;
CREATE INDEX issues_project_mute_until_idx ON issues (project_id, mute_until) WHERE mute_until IS NOT NULL;
CREATE INDEX issues_project_fix_idx ON issues (project_id, fix_id) WHERE fix_id IS NOT NULL;

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
    is_client INTEGER NOT NULL,
    user_hash INTEGER,
    body BLOB,
    PRIMARY KEY (project_id, id)
) STRICT;
CREATE INDEX events_project_hash_occurred_idx ON events (project_id, hash, occurred_at, id);
CREATE INDEX events_project_received_idx ON events (project_id, received_at);
CREATE INDEX events_project_hash_body_idx ON events (project_id, hash, occurred_at)
    WHERE body IS NOT NULL;
CREATE INDEX events_project_undetermined_idx
    ON events (project_id, hash, is_client, COALESCE(release, ''), occurred_at, id)
    WHERE verdict = 'undetermined';

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
CREATE INDEX issue_counts_project_judged_idx ON issue_counts (project_id, release, issue_id)
    WHERE verdict IN ('suppressed', 'undetermined');

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

-- What must happen outside, in lanes: in order within one.
CREATE TABLE outbox (
    project_id INTEGER NOT NULL,
    id BLOB NOT NULL,
    lane TEXT NOT NULL,
    effect TEXT NOT NULL,
    state TEXT NOT NULL,
    n_tries INTEGER NOT NULL,
    error TEXT,
    created_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    PRIMARY KEY (project_id, id)
) STRICT;
CREATE INDEX outbox_project_lane_idx ON outbox (project_id, lane, id)
    WHERE state IN ('planned', 'sending', 'unsure');
CREATE INDEX outbox_project_state_idx ON outbox (project_id, state, id);
CREATE INDEX outbox_created_idx ON outbox (created_at)
    WHERE state IN ('planned', 'sending', 'unsure');
CREATE INDEX outbox_parked_idx ON outbox (project_id) WHERE state = 'parked';

-- Lanes in which something is to happen, and when they are looked at next.
CREATE TABLE lanes (
    project_id INTEGER NOT NULL,
    lane TEXT NOT NULL,
    try_at INTEGER NOT NULL,
    n_failures INTEGER NOT NULL,
    PRIMARY KEY (project_id, lane)
) STRICT;
CREATE INDEX lanes_try_idx ON lanes (try_at, project_id);
CREATE INDEX lanes_project_try_idx ON lanes (project_id, try_at, lane);

-- Who works on what. A fence is greater than all that were given for the same before.
CREATE TABLE leases (
    project_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    holder BLOB NOT NULL,
    fence INTEGER NOT NULL,
    held_until INTEGER NOT NULL,
    PRIMARY KEY (project_id, name)
) STRICT;

-- Which node uses a connection to a tracker, whose limits all projects share that have the same token
-- there; a row for each that was ever used.
CREATE TABLE connections (
    id BLOB NOT NULL PRIMARY KEY,
    holder BLOB NOT NULL,
    held_until INTEGER NOT NULL
) STRICT;

-- Which tracker has the tasks of a project, where it is not Airlock's own: settings as JSON, the token
-- sealed, when it is asked what is new there and looked through, when it was last asked and when it last
-- answered, and whether it said since it was asked that something changed.
CREATE TABLE trackers (
    project_id INTEGER NOT NULL PRIMARY KEY,
    settings TEXT NOT NULL,
    token BLOB NOT NULL,
    changed_at INTEGER NOT NULL,
    poll_at INTEGER NOT NULL,
    reconcile_at INTEGER NOT NULL,
    asked_at INTEGER,
    polled_at INTEGER,
    is_hinted INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX trackers_poll_idx ON trackers (poll_at);

-- Where trackers say that something changed in one of their projects: the id is part of the address. One
-- is expected until a time, or made (what the tracker calls it, and the secret it signs with, sealed), or
-- could not be made.
CREATE TABLE tracker_hooks (
    project_id INTEGER NOT NULL,
    place TEXT NOT NULL,
    id BLOB NOT NULL,
    expected_until INTEGER,
    remote TEXT,
    secret BLOB,
    cause TEXT,
    PRIMARY KEY (project_id, place)
) STRICT;

-- How far what happened on a board of a tracker is known.
CREATE TABLE tracker_cursors (
    project_id INTEGER NOT NULL,
    board TEXT NOT NULL,
    cursor TEXT NOT NULL,
    PRIMARY KEY (project_id, board)
) STRICT;

-- Tasks of a tracker, by what they stand for: one for life.
CREATE TABLE tasks (
    project_id INTEGER NOT NULL,
    subject TEXT NOT NULL,
    generation INTEGER NOT NULL,
    tracker TEXT NOT NULL,
    place TEXT NOT NULL,
    held_at INTEGER,
    create_began_at INTEGER,
    deleted_at INTEGER,
    remote_id TEXT,
    url TEXT,
    is_done INTEGER NOT NULL,
    written TEXT,
    body_written_at INTEGER,
    n_told INTEGER NOT NULL,
    telling_to INTEGER,
    synced_at INTEGER,
    error TEXT,
    created_at INTEGER NOT NULL,
    n_hints INTEGER NOT NULL DEFAULT 0,
    n_read INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (project_id, subject)
) STRICT;
CREATE INDEX tasks_project_held_idx ON tasks (project_id, held_at, subject)
    WHERE held_at IS NOT NULL;
CREATE INDEX tasks_project_began_idx ON tasks (project_id, create_began_at)
    WHERE create_began_at IS NOT NULL;
CREATE INDEX tasks_project_remote_idx ON tasks (project_id, remote_id)
    WHERE remote_id IS NOT NULL;

-- The tasks of the tracker that is part of Airlock.
CREATE TABLE built_in_tasks (
    project_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    key TEXT NOT NULL,
    title TEXT NOT NULL,
    body TEXT NOT NULL,
    is_done INTEGER NOT NULL,
    assignee TEXT,
    created_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    PRIMARY KEY (project_id, number)
) STRICT;
CREATE UNIQUE INDEX built_in_tasks_project_key_idx ON built_in_tasks (project_id, key);
CREATE INDEX built_in_tasks_project_done_idx ON built_in_tasks (project_id, is_done, number);

-- On which boards they are.
CREATE TABLE built_in_places (
    project_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    board TEXT NOT NULL,
    PRIMARY KEY (project_id, number, board)
) STRICT;
CREATE INDEX built_in_places_board_idx ON built_in_places (project_id, board, number);

-- What was said and done on them: by people, or by Airlock.
CREATE TABLE built_in_comments (
    project_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    key TEXT NOT NULL,
    author TEXT,
    did TEXT NOT NULL,
    text TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (project_id, number, key)
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
    n_submitted INTEGER NOT NULL,
    n_replaced INTEGER NOT NULL,
    submitted_branches TEXT NOT NULL,
    PRIMARY KEY (project_id, id)
) STRICT;
CREATE UNIQUE INDEX repositories_project_name_idx ON repositories (project_id, name);

-- Commits of repositories that are not fetched, as clients submitted them: names of parents one after the
-- other, made up where they are assumed; the time in seconds; how many there were before those that came
-- together.
CREATE TABLE submitted_commits (
    project_id INTEGER NOT NULL,
    repository_id BLOB NOT NULL,
    sha BLOB NOT NULL,
    parents BLOB NOT NULL,
    author TEXT NOT NULL,
    committed_at INTEGER NOT NULL,
    message TEXT NOT NULL,
    n_before INTEGER NOT NULL,
    is_listed INTEGER NOT NULL,
    is_assumed INTEGER NOT NULL,
    PRIMARY KEY (project_id, repository_id, sha)
) STRICT;
CREATE INDEX submitted_commits_order_idx
    ON submitted_commits (project_id, repository_id, n_before, sha);

-- What a release is: its commits by repository, as JSON.
CREATE TABLE releases (
    project_id INTEGER NOT NULL,
    version TEXT NOT NULL,
    commits TEXT,
    rule TEXT,
    is_ambiguous INTEGER NOT NULL,
    bound_by TEXT,
    bound_at INTEGER,
    first_event INTEGER,
    last_event INTEGER,
    announced_at INTEGER,
    released_at INTEGER,
    PRIMARY KEY (project_id, version)
) STRICT;
CREATE INDEX releases_project_unbound_idx ON releases (project_id, last_event)
    WHERE rule IS NULL;
CREATE INDEX releases_project_tag_idx ON releases (project_id, version)
    WHERE rule = 'tag' AND NOT is_ambiguous;

-- What releases were before they were registered anew.
CREATE TABLE release_history (
    project_id INTEGER NOT NULL,
    version TEXT NOT NULL,
    until INTEGER NOT NULL,
    commits TEXT NOT NULL,
    rule TEXT NOT NULL,
    bound_by TEXT,
    PRIMARY KEY (project_id, version, until)
) STRICT;

-- Fixes of issues, and what was deployed when issues were resolved for the next deploy. Never changed
-- but for their problem: other commits are another fix.
CREATE TABLE fixes (
    project_id INTEGER NOT NULL,
    id BLOB NOT NULL,
    issue_id BLOB NOT NULL,
    kind TEXT NOT NULL,
    commits TEXT NOT NULL,
    named_by TEXT NOT NULL,
    named_at INTEGER NOT NULL,
    source TEXT NOT NULL,
    problem TEXT,
    failed_at INTEGER,
    look_at INTEGER,
    PRIMARY KEY (project_id, id)
) STRICT;
CREATE INDEX fixes_project_issue_idx ON fixes (project_id, issue_id);
CREATE INDEX fixes_project_failed_idx ON fixes (project_id, id) WHERE failed_at IS NOT NULL;
CREATE INDEX fixes_look_idx ON fixes (look_at) WHERE look_at IS NOT NULL;
CREATE INDEX fixes_project_problem_idx ON fixes (project_id, problem) WHERE problem IS NOT NULL;

-- Where fixes are deployed.
CREATE TABLE fix_landings (
    project_id INTEGER NOT NULL,
    fix_id BLOB NOT NULL,
    environment TEXT NOT NULL,
    deploy_id BLOB NOT NULL,
    sha BLOB NOT NULL,
    landed_at INTEGER NOT NULL,
    PRIMARY KEY (project_id, fix_id, environment)
) STRICT, WITHOUT ROWID;
CREATE INDEX fix_landings_project_environment_idx ON fix_landings (project_id, environment);

-- What builds say of fixes; only what stays so.
CREATE TABLE fix_answers (
    project_id INTEGER NOT NULL,
    fix_id BLOB NOT NULL,
    build BLOB NOT NULL,
    answer TEXT NOT NULL,
    PRIMARY KEY (project_id, fix_id, build)
) STRICT, WITHOUT ROWID;

-- Issues with undetermined events, by what must be known of the build that reported them.
CREATE TABLE unsettled (
    project_id INTEGER NOT NULL,
    issue_id BLOB NOT NULL,
    release TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    try_at INTEGER NOT NULL,
    anew_at INTEGER,
    PRIMARY KEY (project_id, issue_id, release)
) STRICT, WITHOUT ROWID;
CREATE INDEX unsettled_try_idx ON unsettled (try_at);

-- Commits with the same patch as those of fixes, and how much of the history was looked through.
CREATE TABLE same_patches (
    project_id INTEGER NOT NULL,
    repository_id BLOB NOT NULL,
    sha BLOB NOT NULL,
    n_looked INTEGER NOT NULL,
    last_looked BLOB NOT NULL,
    same TEXT NOT NULL,
    PRIMARY KEY (project_id, repository_id, sha)
) STRICT, WITHOUT ROWID;

CREATE TABLE deploys (
    project_id INTEGER NOT NULL,
    id BLOB NOT NULL,
    number INTEGER NOT NULL,
    environment TEXT NOT NULL,
    repository_id BLOB,
    sha BLOB NOT NULL,
    version TEXT,
    url TEXT,
    run_by TEXT NOT NULL,
    status TEXT NOT NULL,
    is_gated INTEGER NOT NULL,
    override_reason TEXT,
    gate TEXT,
    lease_seconds INTEGER NOT NULL,
    lease_until INTEGER,
    started_at INTEGER NOT NULL,
    finished_at INTEGER,
    exit_code INTEGER,
    n_output INTEGER NOT NULL,
    output_gone_at INTEGER,
    outcome TEXT,
    settle_at INTEGER,
    key TEXT,
    PRIMARY KEY (project_id, id)
) STRICT;
CREATE UNIQUE INDEX deploys_project_number_idx ON deploys (project_id, number);
CREATE UNIQUE INDEX deploys_project_key_idx ON deploys (project_id, key) WHERE key IS NOT NULL;
CREATE UNIQUE INDEX deploys_project_running_idx ON deploys (project_id, environment)
    WHERE status = 'running';
CREATE INDEX deploys_project_environment_idx ON deploys (project_id, environment, number);
CREATE INDEX deploys_project_deployed_idx
    ON deploys (project_id, environment, repository_id, finished_at, number)
    WHERE status = 'succeeded';
CREATE INDEX deploys_project_ended_idx
    ON deploys (project_id, environment, finished_at, number)
    WHERE status = 'succeeded';
CREATE INDEX deploys_project_started_idx ON deploys (project_id, environment, started_at);
CREATE INDEX deploys_project_output_idx ON deploys (project_id, finished_at)
    WHERE n_output > 0 AND output_gone_at IS NULL;
CREATE INDEX deploys_settle_idx ON deploys (settle_at) WHERE settle_at IS NOT NULL;
CREATE INDEX deploys_lease_idx ON deploys (lease_until) WHERE status = 'running';

CREATE TABLE deploy_output (
    project_id INTEGER NOT NULL,
    deploy_id BLOB NOT NULL,
    start INTEGER NOT NULL,
    output TEXT NOT NULL,
    PRIMARY KEY (project_id, deploy_id, start)
) STRICT;

CREATE TABLE locks (
    project_id INTEGER NOT NULL,
    id BLOB NOT NULL,
    environment TEXT NOT NULL,
    issue_id BLOB,
    reason TEXT,
    assignee TEXT,
    key TEXT,
    expires_at INTEGER,
    owner TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    released_at INTEGER,
    released_by TEXT,
    release_reason TEXT,
    released_fix_id BLOB,
    PRIMARY KEY (project_id, id)
) STRICT;
CREATE INDEX locks_project_environment_idx ON locks (project_id, environment, id);
CREATE INDEX locks_project_active_idx ON locks (project_id, environment, id)
    WHERE released_at IS NULL;
CREATE UNIQUE INDEX locks_project_key_idx ON locks (project_id, environment, key)
    WHERE released_at IS NULL;
CREATE INDEX locks_project_issue_idx ON locks (project_id, issue_id, id)
    WHERE issue_id IS NOT NULL;

CREATE TABLE lock_comments (
    project_id INTEGER NOT NULL,
    lock_id BLOB NOT NULL,
    id BLOB NOT NULL,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (project_id, lock_id, id)
) STRICT;

CREATE TABLE freezes (
    project_id INTEGER NOT NULL,
    id BLOB NOT NULL,
    environment TEXT NOT NULL,
    definition TEXT NOT NULL,
    owner TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (project_id, id)
) STRICT;
CREATE INDEX freezes_project_environment_idx ON freezes (project_id, environment, id);

-- What a verdict on an environment was made on: raised by every change of its locks, freezes and
-- deploys, and of issues that lock it.
CREATE TABLE gates (
    project_id INTEGER NOT NULL,
    environment TEXT NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (project_id, environment)
) STRICT;

-- Commits whose messages were asked which issues they fix: each is asked once.
CREATE TABLE read_messages (
    project_id INTEGER NOT NULL,
    repository_id BLOB NOT NULL,
    sha BLOB NOT NULL,
    read_at INTEGER NOT NULL,
    PRIMARY KEY (project_id, repository_id, sha)
) STRICT, WITHOUT ROWID;

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
