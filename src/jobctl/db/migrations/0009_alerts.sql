-- Alerts: the incidents that somebody must hear of, what belongs to each, and what became of them.

-- The open period of one cause. `cause` names it (alerts/causes.py): all that has the same cause is one incident.
-- `opened_at`, `last_seen_at` and `resolved_at` are moments of what happened; `told_at` is when people were last told.
-- `notices` counts what was told, and numbers the outbox's keys.
CREATE TABLE ops.incidents (
    incident_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cause text NOT NULL,
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'resolved')),
    severity text NOT NULL CHECK (severity IN ('warning', 'critical')),
    title text NOT NULL,
    facts jsonb NOT NULL DEFAULT '[]',
    page text NOT NULL DEFAULT '',
    is_flapping boolean NOT NULL DEFAULT false,
    occurrences bigint NOT NULL DEFAULT 0,
    notices integer NOT NULL DEFAULT 0,
    opened_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    told_at timestamptz,
    realert_every_s bigint NOT NULL CHECK (realert_every_s > 0),
    acked_at timestamptz,
    acked_by text,
    snoozed_until timestamptz,
    snoozed_by text,
    resolved_at timestamptz,
    CHECK ((state = 'resolved') = (resolved_at IS NOT NULL))
);
CREATE UNIQUE INDEX incidents_open ON ops.incidents (cause) WHERE state = 'open';
CREATE INDEX incidents_by_cause ON ops.incidents (cause, opened_at DESC);

-- What belongs to an incident: a condition about a subject. It is over when `cleared_at` is set, and may come back.
CREATE TABLE ops.alerts (
    incident_id bigint NOT NULL REFERENCES ops.incidents ON DELETE CASCADE,
    condition text NOT NULL,
    subject text NOT NULL,
    title text NOT NULL,
    job text NOT NULL DEFAULT '',
    scope text NOT NULL DEFAULT '',
    run_id uuid,
    host text NOT NULL DEFAULT '',
    occurrences bigint NOT NULL,
    clears integer NOT NULL DEFAULT 0,
    first_seen_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    cleared_at timestamptz,
    PRIMARY KEY (incident_id, condition, subject)
);
CREATE INDEX alerts_firing ON ops.alerts (condition, subject) WHERE cleared_at IS NULL;

-- One row a change of an incident: opened, told again, acknowledged, snoozed, resolved. What `alerts history` shows.
CREATE TABLE ops.incident_events (
    event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    incident_id bigint NOT NULL REFERENCES ops.incidents ON DELETE CASCADE,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    event text NOT NULL,
    said text NOT NULL DEFAULT '',
    who text NOT NULL DEFAULT ''
);
CREATE INDEX incident_events_by_incident ON ops.incident_events (incident_id, event_id);
