-- What every job stands on: history, events, locks with their fence, checkpoints; branches, items; the queue's table.

CREATE SCHEMA branch;
CREATE SCHEMA core;
CREATE SCHEMA ops;
CREATE SCHEMA queue;

-- ops ---------------------------------------------------------------------------------------------------------------

-- One row a job and scope. Who holds it is decided by the advisory lock of the same key, never by this row: the row
-- carries the fence, the number that each effect of a run checks in its own transaction, and tells who the holder is.
CREATE TABLE ops.locks (
    lock_key bigint PRIMARY KEY,
    job text NOT NULL,
    scope text NOT NULL,
    fence bigint NOT NULL DEFAULT 0,
    run_id uuid,
    host text,
    worker_pid integer,
    guard_backend_pid integer,
    acquired_at timestamptz,
    UNIQUE (job, scope)
);

-- One row a run and scope.
CREATE TABLE ops.job_history (
    run_id uuid NOT NULL,
    scope text NOT NULL DEFAULT '',
    job text NOT NULL,
    correlation_id text NOT NULL,
    status text NOT NULL CHECK (status IN
        ('pending', 'running', 'completed', 'failed', 'timeout', 'interrupted', 'abandoned', 'skipped')),
    degraded boolean NOT NULL DEFAULT false,
    exit_code integer,
    lock_key bigint,
    fence bigint,
    host text NOT NULL,
    os_user text NOT NULL,
    supervisor_pid integer NOT NULL,
    worker_pid integer,
    guard_backend_pid integer,
    version text NOT NULL,
    command text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    heartbeat_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    lease_s integer,
    finished_at timestamptz,
    duration_ms bigint CHECK (duration_ms >= 0),
    counts jsonb NOT NULL DEFAULT '{}',
    metrics jsonb NOT NULL DEFAULT '{}',
    notes jsonb NOT NULL DEFAULT '[]',
    peak_memory_bytes bigint,
    dropped_log_lines integer NOT NULL DEFAULT 0,
    error_class text,
    error_message text,
    error_hint text,
    evidence jsonb,
    PRIMARY KEY (run_id, scope),
    CHECK ((status IN ('pending', 'running')) = (finished_at IS NULL))
);
CREATE INDEX job_history_by_job ON ops.job_history (job, scope, started_at DESC);
CREATE INDEX job_history_unfinished ON ops.job_history (job, scope) WHERE status IN ('pending', 'running');

CREATE TABLE ops.sync_events (
    event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id uuid NOT NULL,
    scope text NOT NULL DEFAULT '',
    job text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    level text NOT NULL CHECK (level IN ('debug', 'info', 'warning', 'error')),
    event text NOT NULL,
    fields jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX sync_events_by_run ON ops.sync_events (run_id, event_id);

-- The position up to which a job has worked, written in the transaction that wrote the work.
CREATE TABLE ops.checkpoints (
    job text NOT NULL,
    scope text NOT NULL,
    format integer NOT NULL,
    position jsonb NOT NULL,
    run_id uuid NOT NULL,
    fence bigint NOT NULL,
    batch_no bigint NOT NULL,
    counts jsonb NOT NULL DEFAULT '{}',
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (job, scope)
);

-- What must leave the process (Slack, mail, HTTP), written with its cause and sent after that commit.
CREATE TABLE ops.outbox (
    message_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel text NOT NULL,
    dedupe_key text NOT NULL UNIQUE,
    payload jsonb NOT NULL,
    state text NOT NULL DEFAULT 'new' CHECK (state IN ('new', 'sending', 'sent', 'unknown', 'failed')),
    tries integer NOT NULL DEFAULT 0,
    run_id uuid,
    error_message text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX outbox_unsent ON ops.outbox (message_id) WHERE state IN ('new', 'sending');

-- branch ------------------------------------------------------------------------------------------------------------

CREATE TABLE branch.branches (
    branch_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    slug text NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    title text NOT NULL,
    field_map jsonb NOT NULL,
    schema_version integer NOT NULL DEFAULT 1,
    default_country text CHECK (default_country ~ '^[A-Z]{2}$'),
    expected_freshness interval,
    max_withdraw_share real NOT NULL DEFAULT 0.2 CHECK (max_withdraw_share BETWEEN 0 AND 1),
    active boolean NOT NULL DEFAULT false,
    loaded_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE branch.loads (
    load_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    branch_id integer NOT NULL REFERENCES branch.branches ON DELETE CASCADE,
    source text NOT NULL,
    format text NOT NULL,
    full_load boolean NOT NULL,
    bytes bigint NOT NULL,
    rows bigint NOT NULL,
    inserted bigint NOT NULL,
    updated bigint NOT NULL,
    unchanged bigint NOT NULL,
    duplicates bigint NOT NULL,
    stale bigint NOT NULL,
    withdrawn bigint NOT NULL,
    loaded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    duration_ms bigint NOT NULL
);
CREATE INDEX loads_by_branch ON branch.loads (branch_id, loaded_at DESC);

-- A source row as it came. The payload is JSON text, not jsonb: what a source can send (NUL, lone surrogates,
-- 10,000 levels, no JSON at all) must be storable to be judged. No foreign key to branches: it costs a tenth of a load.
-- (changed_xid, record_no) is the change position: the transaction that last changed the row, and the row.
CREATE TABLE branch.records (
    record_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    branch_id integer NOT NULL,
    record_key text NOT NULL,
    payload text NOT NULL,
    payload_bytes integer NOT NULL GENERATED ALWAYS AS (pg_catalog.octet_length(payload)) STORED,
    payload_hash uuid NOT NULL,
    source_version bigint NOT NULL,
    load_id bigint NOT NULL,
    changed_xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    first_loaded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    withdrawn_at timestamptz
);
CREATE UNIQUE INDEX records_by_key ON branch.records (branch_id, record_key);
CREATE INDEX records_by_change ON branch.records (branch_id, changed_xid, record_no);
CREATE INDEX records_withdrawn ON branch.records (branch_id, record_no) WHERE withdrawn_at IS NOT NULL;

CREATE TABLE branch.rejects (
    reject_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    branch_id integer NOT NULL,
    record_no bigint NOT NULL,
    record_key text NOT NULL,
    run_id uuid NOT NULL,
    reason text NOT NULL,
    field text NOT NULL DEFAULT '',
    detail text NOT NULL DEFAULT '',
    payload text NOT NULL,
    payload_hash uuid NOT NULL,
    rules text NOT NULL,
    rejected_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    resolved_at timestamptz,
    resolution text CHECK (resolution IN ('accepted', 'superseded', 'withdrawn')),
    resolved_run_id uuid,
    CHECK ((resolved_at IS NULL) = (resolution IS NULL))
);
-- A record has at most one open reject; `replay` sets its rules to '' so that the next run judges it anew.
CREATE UNIQUE INDEX rejects_open ON branch.rejects (record_no) WHERE resolved_at IS NULL;
CREATE INDEX rejects_by_branch ON branch.rejects (branch_id, reject_id);

-- core --------------------------------------------------------------------------------------------------------------

-- A record, normalised. item_id is the record's number: an item is a record after judgement, one to one.
-- rules names the normaliser's and the field map's versions: same payload_hash and same rules mean the same item.
CREATE TABLE core.items (
    item_id bigint PRIMARY KEY,
    branch_id integer NOT NULL,
    record_key text NOT NULL,
    name text NOT NULL,
    kind text,
    street text,
    city text,
    region text,
    postal_code text,
    country text,
    latitude double precision,
    longitude double precision,
    geo_cell text,
    url text,
    attributes jsonb,
    flags text[],
    derived jsonb,
    source_updated_at timestamptz,
    source_version bigint NOT NULL,
    payload_hash uuid NOT NULL,
    content_hash uuid NOT NULL,
    rules text NOT NULL,
    run_id uuid NOT NULL,
    first_seen_at timestamptz NOT NULL DEFAULT now(),
    last_changed_at timestamptz NOT NULL DEFAULT now(),
    withdrawn_at timestamptz
);
CREATE UNIQUE INDEX items_by_record ON core.items (branch_id, record_key);

-- queue -------------------------------------------------------------------------------------------------------------

-- A task is about a subject that has a number (an item) or carries a key of its own; content_hash tells which state of
-- the subject it was made for.
CREATE TABLE queue.tasks (
    task_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    type text NOT NULL,
    subject_id bigint,
    dedupe_key text,
    model_version text NOT NULL DEFAULT '',
    content_hash uuid,
    payload jsonb,
    state text NOT NULL DEFAULT 'queued' CHECK (state IN
        ('queued', 'running', 'succeeded', 'failed', 'blocked', 'cancelled')),
    priority smallint NOT NULL DEFAULT 0,
    scheduled_at timestamptz NOT NULL DEFAULT now(),
    run_id uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
-- One waiting task a subject or key: a newer one supersedes it in place.
CREATE UNIQUE INDEX tasks_one_waiting_subject ON queue.tasks (type, subject_id, model_version)
    WHERE state = 'queued' AND subject_id IS NOT NULL;
CREATE UNIQUE INDEX tasks_one_waiting_key ON queue.tasks (type, dedupe_key)
    WHERE state = 'queued' AND dedupe_key IS NOT NULL;
