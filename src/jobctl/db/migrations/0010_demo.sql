-- A database that holds sample data says so.

-- At most one row: the demo that is loaded here. `last_ids` has the highest number of each of its tables whose rows are
-- numbered: at first all up to it were the demo's, whatever came later is not. While it stands, nobody is told of alerts.
CREATE TABLE ops.demo (
    is_loaded boolean PRIMARY KEY DEFAULT true CHECK (is_loaded),
    seed bigint NOT NULL,
    as_of timestamptz NOT NULL,
    loaded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_ids jsonb NOT NULL
);
