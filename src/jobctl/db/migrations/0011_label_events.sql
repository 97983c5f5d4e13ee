-- squawk-ignore-file require-concurrent-index-creation
-- When an issue got a label and when it lost it, so that a past day can be judged by the labels of that day.

-- A label's own name for itself, by which events know it. Older rows get it when they are next read.
ALTER TABLE dev.labels ADD COLUMN node_id text COLLATE "C";

-- Of issues, not of pull requests. A label that is no more has events and no row in dev.labels.
CREATE TABLE dev.label_events (
    node_id text COLLATE "C" NOT NULL REFERENCES dev.issues ON DELETE CASCADE ON UPDATE CASCADE,
    label_node_id text COLLATE "C" NOT NULL,
    at timestamptz NOT NULL,
    is_added boolean NOT NULL,
    project_id bigint NOT NULL,
    PRIMARY KEY (node_id, label_node_id, at, is_added)
);
CREATE INDEX label_events_by_project ON dev.label_events (project_id, at);
