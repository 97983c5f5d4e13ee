-- What GitHub says of the projects' issues, pull requests and what hangs on them, and how far each sync has come.

-- A label keeps its id when it is renamed, and renaming it touches no issue: so issues hold ids, and names stand here.
CREATE TABLE dev.labels (
    label_id bigint PRIMARY KEY,
    project_id bigint NOT NULL REFERENCES dev.projects ON DELETE CASCADE,
    name text NOT NULL,
    color text NOT NULL DEFAULT '',
    description text
);
CREATE INDEX labels_by_project ON dev.labels (project_id);

CREATE TABLE dev.milestones (
    milestone_id bigint PRIMARY KEY,
    project_id bigint NOT NULL REFERENCES dev.projects ON DELETE CASCADE,
    number integer NOT NULL,
    title text NOT NULL,
    state text NOT NULL,
    due_on timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    closed_at timestamptz
);
CREATE INDEX milestones_by_project ON dev.milestones (project_id);

-- Issues and pull requests, which GitHub numbers together. `*_at` are GitHub's moments but for seen_at and removed_at.
-- detailed_for is the updated_at that the details were fetched for: another one, or none, means that they are due.
-- A row whose issue is gone from its repository stays, as a tombstone.
CREATE TABLE dev.issues (
    node_id text COLLATE "C" PRIMARY KEY,
    github_id bigint NOT NULL,
    project_id bigint NOT NULL REFERENCES dev.projects ON DELETE CASCADE,
    number bigint NOT NULL,
    is_pull boolean NOT NULL,
    title text NOT NULL,
    body text,
    state text NOT NULL CHECK (state IN ('open', 'closed')),
    state_reason text,
    author text,
    author_is_bot boolean NOT NULL DEFAULT false,
    assignees text[] NOT NULL DEFAULT '{}',
    label_ids bigint[] NOT NULL DEFAULT '{}',
    milestone_id bigint,
    comments integer NOT NULL DEFAULT 0,
    is_locked boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    closed_at timestamptz,
    detailed_for timestamptz,
    first_response_at timestamptz,
    reopened integer NOT NULL DEFAULT 0,
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    removed_at timestamptz,
    removal text CHECK (removal IN ('deleted', 'transferred')),
    moved_to text,
    CHECK ((removed_at IS NULL) = (removal IS NULL))
);
CREATE UNIQUE INDEX issues_by_number ON dev.issues (project_id, number) WHERE removed_at IS NULL;
CREATE INDEX issues_details_due ON dev.issues (project_id, node_id)
    WHERE detailed_for IS DISTINCT FROM updated_at AND removed_at IS NULL;
CREATE INDEX issues_open ON dev.issues (project_id) WHERE state = 'open' AND removed_at IS NULL;
CREATE INDEX issues_closed ON dev.issues (closed_at) WHERE closed_at IS NOT NULL AND removed_at IS NULL;

-- What a pull request has beyond its issue. One that was fetched has a row; the rest is due (issues.detailed_for).
CREATE TABLE dev.pulls (
    node_id text COLLATE "C" PRIMARY KEY REFERENCES dev.issues ON DELETE CASCADE ON UPDATE CASCADE,
    project_id bigint NOT NULL,
    is_draft boolean NOT NULL,
    merged_at timestamptz,
    merged_by text,
    merge_commit text,
    base_branch text NOT NULL,
    head_branch text NOT NULL,
    additions integer NOT NULL,
    deletions integer NOT NULL,
    changed_files integer NOT NULL,
    commits integer NOT NULL,
    first_commit_at timestamptz,
    ready_at timestamptz,
    first_review_at timestamptz
);
CREATE INDEX pulls_merged ON dev.pulls (merged_at) WHERE merged_at IS NOT NULL;

CREATE TABLE dev.reviews (
    node_id text COLLATE "C" PRIMARY KEY,
    pull_node_id text COLLATE "C" NOT NULL REFERENCES dev.issues ON DELETE CASCADE ON UPDATE CASCADE,
    project_id bigint NOT NULL,
    author text,
    author_is_bot boolean NOT NULL DEFAULT false,
    state text NOT NULL,
    submitted_at timestamptz NOT NULL,
    commit_sha text
);
CREATE INDEX reviews_by_pull ON dev.reviews (pull_node_id);

-- Commits of the default branch.
CREATE TABLE dev.commits (
    project_id bigint NOT NULL REFERENCES dev.projects ON DELETE CASCADE,
    sha text COLLATE "C" NOT NULL,
    author text,
    author_is_bot boolean NOT NULL DEFAULT false,
    author_name text NOT NULL,
    subject text NOT NULL,
    authored_at timestamptz NOT NULL,
    committed_at timestamptz NOT NULL,
    PRIMARY KEY (project_id, sha)
);
CREATE INDEX commits_by_time ON dev.commits (project_id, committed_at);

CREATE TABLE dev.contributors (
    project_id bigint NOT NULL REFERENCES dev.projects ON DELETE CASCADE,
    github_id bigint NOT NULL,
    login text NOT NULL,
    is_bot boolean NOT NULL,
    contributions bigint NOT NULL,
    PRIMARY KEY (project_id, github_id)
);

CREATE TABLE dev.releases (
    release_id bigint PRIMARY KEY,
    project_id bigint NOT NULL REFERENCES dev.projects ON DELETE CASCADE,
    tag text NOT NULL,
    name text,
    is_draft boolean NOT NULL,
    is_prerelease boolean NOT NULL,
    created_at timestamptz NOT NULL,
    published_at timestamptz
);
CREATE INDEX releases_by_project ON dev.releases (project_id, published_at);

CREATE TABLE dev.languages (
    project_id bigint NOT NULL REFERENCES dev.projects ON DELETE CASCADE,
    name text NOT NULL,
    bytes bigint NOT NULL,
    PRIMARY KEY (project_id, name)
);

-- What was answered last of an issue, a pull request's details or a repository, packed (zlib), so that facts can be
-- worked out anew without asking. Pruned by age.
CREATE TABLE dev.payloads (
    node_id text COLLATE "C" NOT NULL,
    part text NOT NULL CHECK (part IN ('repository', 'issue', 'details')),
    project_id bigint NOT NULL REFERENCES dev.projects ON DELETE CASCADE,
    payload bytea NOT NULL,
    fetched_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (node_id, part)
);
ALTER TABLE dev.payloads ALTER COLUMN payload SET STORAGE EXTERNAL;
CREATE INDEX payloads_by_age ON dev.payloads (fetched_at);

-- How far the sync of a project has come in a stream (issues, commits, reconcile, ...). Written in the transaction that
-- writes the page's rows.
CREATE TABLE dev.sync_cursors (
    project_id bigint NOT NULL REFERENCES dev.projects ON DELETE CASCADE,
    stream text NOT NULL,
    position jsonb NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (project_id, stream)
);

-- The issues that a reconcile has been told of so far: what is known and stands here when all were listed is there
-- still. Kept in a table so that it goes on after any death; empty between two reconciles.
CREATE TABLE dev.listed_issues (
    project_id bigint NOT NULL REFERENCES dev.projects ON DELETE CASCADE,
    node_id text COLLATE "C" NOT NULL,
    number bigint NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (project_id, node_id)
);
