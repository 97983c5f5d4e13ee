-- The archive: which rows left the database, in which file, and whether all of them are gone; the health that was last told.

-- One row a file. `writing`: the file is not whole, and nothing was deleted. `written`: it is whole on its host's disk,
-- and its rows are being deleted. `complete`: its rows are in the file alone. `restored`: they are back for a while.
-- `discarded`: it was given up before it was whole, and its host is to remove what there may be of it.
-- Who works on it is told by the run and its fence; keys are the first and the last row's, in the order of the file.
CREATE TABLE ops.archives (
    archive_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    table_name text NOT NULL,
    state text NOT NULL DEFAULT 'writing' CHECK (state IN ('writing', 'written', 'complete', 'restored', 'discarded')),
    host text NOT NULL,
    directory text NOT NULL,
    file text,
    rows bigint NOT NULL DEFAULT 0 CHECK (rows >= 0),
    bytes bigint NOT NULL DEFAULT 0 CHECK (bytes >= 0),
    sha256 text CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    first_key jsonb,
    last_key jsonb,
    first_at timestamptz,
    last_at timestamptz,
    run_id uuid NOT NULL,
    lock_key bigint NOT NULL,
    fence bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    written_at timestamptz,
    completed_at timestamptz,
    restored_at timestamptz,
    CHECK (state IN ('writing', 'discarded')
        OR (file IS NOT NULL AND sha256 IS NOT NULL AND first_key IS NOT NULL AND last_key IS NOT NULL))
);
-- Of a table one file is written at a time, whoever writes it, so that no two hold the same row.
CREATE UNIQUE INDEX archives_one_writer ON ops.archives (table_name) WHERE state = 'writing';
CREATE INDEX archives_unsettled ON ops.archives (table_name) WHERE state <> 'complete';

-- The band of each project's health that was last told, and the facts it was judged by: a change is told once, in the
-- transaction that writes this.
CREATE TABLE dev.project_bands (
    project_id bigint PRIMARY KEY REFERENCES dev.projects ON DELETE CASCADE,
    band text NOT NULL CHECK (band IN ('healthy', 'warning', 'critical', 'unknown')),
    health numeric(4, 1) CHECK (health BETWEEN 0 AND 100),
    health_version text NOT NULL,
    facts jsonb NOT NULL,
    day date NOT NULL,
    since timestamptz NOT NULL,
    checked_at timestamptz NOT NULL
);
