-- A request to end a run, made on any host. The run's heartbeat reads it with the beat it writes anyway; one row a run,
-- since a run ends once: who asked first stands, and `is_now` is the second signal.
CREATE TABLE ops.cancellations (
    run_id uuid PRIMARY KEY,
    requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    requested_by text NOT NULL,
    requested_from text NOT NULL,
    reason text NOT NULL DEFAULT '',
    is_now boolean NOT NULL DEFAULT false,
    heard_at timestamptz
);
