-- When runs are expected, and what became of each expected moment.

-- A line of an installed crontab (or timer), as a host has it. A changed line is a new row; the old one keeps the time
-- from which it was no longer expected. Slots before `installed_at` are nobody's promise.
CREATE TABLE ops.schedules (
    schedule_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    host text NOT NULL,
    os_user text NOT NULL,
    source text NOT NULL,
    job text NOT NULL,
    scope text NOT NULL DEFAULT '',
    expression text NOT NULL,
    zone text NOT NULL,
    command text NOT NULL,
    start_grace_s integer NOT NULL CHECK (start_grace_s >= 0),
    catch_up text NOT NULL CHECK (catch_up IN ('none', 'latest', 'all')),
    catch_up_cap integer NOT NULL CHECK (catch_up_cap >= 0),
    installed_at timestamptz NOT NULL,
    evaluated_until timestamptz NOT NULL,
    removed_at timestamptz
);
CREATE UNIQUE INDEX schedules_installed ON ops.schedules (host, os_user, source, job, scope, expression, zone)
    WHERE removed_at IS NULL;

-- One row a slot: the moment, by the host's clock, at which a job and scope were expected to start. Two hosts with the
-- same line share it, so that it has one effect. The verdict tells how it began;
-- how the run ended stands in ops.job_history.
CREATE TABLE ops.slots (
    job text NOT NULL,
    scope text NOT NULL DEFAULT '',
    slot_at timestamptz NOT NULL,
    slot_local text NOT NULL,
    verdict text NOT NULL CHECK (verdict IN ('ran', 'late', 'skipped_locked', 'paused', 'missed', 'dst_shifted')),
    host text NOT NULL,
    run_id uuid,
    started_at timestamptz,
    covered_by_run_id uuid,
    reason text NOT NULL DEFAULT '',
    evidence jsonb,
    decided_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (job, scope, slot_at)
);
CREATE INDEX slots_missed ON ops.slots (slot_at) WHERE verdict = 'missed';

-- A planned quiet time. It ends at `until_at`, or earlier when somebody resumes the job.
CREATE TABLE ops.pauses (
    pause_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job text NOT NULL,
    scope text NOT NULL DEFAULT '',
    from_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    until_at timestamptz NOT NULL CHECK (until_at > from_at),
    reason text NOT NULL,
    paused_by text NOT NULL,
    ended_at timestamptz,
    ended_by text
);
CREATE INDEX pauses_by_job ON ops.pauses (job, scope, until_at);

-- The slot a run answers for; the end of what a wrapped command printed; when a row that was kept aside while the
-- database was away came in.
ALTER TABLE ops.job_history
    ADD COLUMN slot_at timestamptz,
    ADD COLUMN output text,
    ADD COLUMN replayed_at timestamptz;
