-- When an issue was assigned to somebody and when it was taken from them, so that a past day knows the assignees of that day.

-- Of issues, not of pull requests. By the login that the account has now, as dev.issues.assignees has it.
CREATE TABLE dev.assignee_events (
    node_id text COLLATE "C" NOT NULL REFERENCES dev.issues ON DELETE CASCADE ON UPDATE CASCADE,
    login text NOT NULL,
    at timestamptz NOT NULL,
    is_added boolean NOT NULL,
    project_id bigint NOT NULL,
    PRIMARY KEY (node_id, login, at, is_added)
);
CREATE INDEX assignee_events_by_project ON dev.assignee_events (project_id, at);
