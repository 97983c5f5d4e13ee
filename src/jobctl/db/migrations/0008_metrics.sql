-- squawk-ignore-file require-concurrent-index-creation
-- What `jobctl metrics` is told, by which rules it judges, and what it has found: by the hour and by the day.

-- The facts are read project by project. No version that writes to these tables is older than this file, so nothing waits.
CREATE INDEX issues_by_creation ON dev.issues (project_id, created_at);
CREATE INDEX issues_by_closing ON dev.issues (project_id, closed_at) WHERE closed_at IS NOT NULL;
CREATE INDEX issues_by_removal ON dev.issues (project_id, removed_at) WHERE removed_at IS NOT NULL;
CREATE INDEX pulls_by_merging ON dev.pulls (project_id, merged_at) WHERE merged_at IS NOT NULL;

-- What somebody said that an issue costs a day. By number: it may be said before the issue was synced.
CREATE TABLE dev.impacts (
    project_id bigint NOT NULL REFERENCES dev.projects ON DELETE CASCADE,
    number bigint NOT NULL CHECK (number > 0),
    per_day numeric(14, 2) NOT NULL CHECK (per_day >= 0),
    note text,
    imported_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (project_id, number)
);

-- When an issue had a label that pauses its goals, as the runs saw it.
CREATE TABLE dev.issue_pauses (
    node_id text COLLATE "C" NOT NULL REFERENCES dev.issues ON DELETE CASCADE ON UPDATE CASCADE,
    project_id bigint NOT NULL,
    paused_at timestamptz NOT NULL,
    resumed_at timestamptz CHECK (resumed_at >= paused_at),
    PRIMARY KEY (node_id, paused_at)
);
CREATE UNIQUE INDEX issue_pauses_open ON dev.issue_pauses (node_id) WHERE resumed_at IS NULL;
CREATE INDEX issue_pauses_by_project ON dev.issue_pauses (project_id);

-- The rules by which something was judged, by their version.
CREATE TABLE dev.metric_rules (
    version text COLLATE "C" PRIMARY KEY,
    rules jsonb NOT NULL,
    first_used_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- All projects together, once an hour. It is written last: an hour that has a row has all rows of its projects.
CREATE TABLE dev.metric_hours (
    hour timestamptz PRIMARY KEY CHECK (hour = date_trunc('hour', hour, 'UTC')),
    computed_at timestamptz NOT NULL,
    run_id uuid NOT NULL,
    rules_version text COLLATE "C" NOT NULL REFERENCES dev.metric_rules,
    figures jsonb NOT NULL
);

-- The open bugs of a project that has any, and what they cost a day; by severity: low, medium, high, critical.
CREATE TABLE dev.project_hours (
    hour timestamptz NOT NULL,
    project_id bigint NOT NULL REFERENCES dev.projects ON DELETE CASCADE,
    bugs integer[] NOT NULL CHECK (cardinality(bugs) = 4),
    per_day numeric(16, 2)[] NOT NULL CHECK (cardinality(per_day) = 4),
    PRIMARY KEY (project_id, hour)
);
CREATE INDEX project_hours_by_hour ON dev.project_hours (hour);

-- A project's facts on a day of the team's zone, as they were last found on it, and the health they gave.
CREATE TABLE dev.project_days (
    project_id bigint NOT NULL REFERENCES dev.projects ON DELETE CASCADE,
    day date NOT NULL,
    computed_at timestamptz NOT NULL,
    rules_version text COLLATE "C" NOT NULL REFERENCES dev.metric_rules,
    facts jsonb NOT NULL,
    health_version text NOT NULL,
    health numeric(4, 1) CHECK (health BETWEEN 0 AND 100),
    band text NOT NULL CHECK (band IN ('healthy', 'warning', 'critical', 'unknown')),
    PRIMARY KEY (project_id, day)
);
CREATE INDEX project_days_by_day ON dev.project_days (day);
