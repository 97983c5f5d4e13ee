-- What is followed on GitHub: its repositories, which are called projects here, and what is known of its URLs.

CREATE SCHEMA dev;

-- A project is known by GitHub's own ids, which outlive every renaming and transfer; GitHub has been changing the form
-- of node ids, so the number stands beside it. What the team says of a project (criticality, team, owner, schedule,
-- active) is never touched by what GitHub says. `sync_...` is what became of it in the last sync.
CREATE TABLE dev.projects (
    project_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    node_id text COLLATE "C" NOT NULL UNIQUE,
    github_id bigint NOT NULL UNIQUE,
    full_name text NOT NULL,
    description text,
    default_branch text,
    language text,
    is_private boolean NOT NULL,
    is_fork boolean NOT NULL,
    is_archived boolean NOT NULL,
    stars bigint NOT NULL,
    created_on_github_at timestamptz NOT NULL,
    pushed_at timestamptz,
    criticality text NOT NULL DEFAULT 'medium' CHECK (criticality IN ('low', 'medium', 'high', 'critical')),
    team text,
    owner text,
    schedule text,
    active boolean NOT NULL DEFAULT true,
    added_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    synced_at timestamptz,
    sync_outcome text CHECK (sync_outcome IN ('ok', 'unchanged', 'limited', 'forbidden', 'gone', 'moved', 'failed')),
    sync_run_id uuid,
    sync_error_class text,
    sync_error_message text
);
CREATE INDEX projects_by_name ON dev.projects (lower(full_name) COLLATE "C", project_id);

-- Each name that a project has or had, in small letters. A former name belongs to its project until somebody else is
-- seen to have it; so a name leads to one project, though two rows may for a while show the same one.
CREATE TABLE dev.project_aliases (
    name text COLLATE "C" PRIMARY KEY,
    project_id bigint NOT NULL REFERENCES dev.projects ON DELETE CASCADE,
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX project_aliases_by_project ON dev.project_aliases (project_id);

-- What a URL answered last to whom: asked again with its ETag, GitHub answers 304 at no cost. `identity` tells tokens
-- apart and leads back to none. A 304 need not say where the next page is, so that is kept, too. A row is written in the
-- transaction that writes what the page said.
CREATE TABLE dev.etags (
    identity text COLLATE "C" NOT NULL,
    url text COLLATE "C" NOT NULL,
    etag text NOT NULL,
    next_url text,
    used_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (identity, url)
);
