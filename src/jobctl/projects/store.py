"""Store of dev.projects and of dev.project_aliases, the names by which projects were and are known."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg.rows import class_row, scalar_row

from jobctl.errors import DataError
from jobctl.projects.project import NOTHING_SAID, Care, Facts, Project, unknown_project


class Saved(NamedTuple):
    project: Project
    result: str  # added, updated, unchanged


# By node id, or by number where GitHub has given it a node id of another form.
LOCK = """
SELECT project_id, node_id, github_id, full_name, description, default_branch, language, is_private, is_fork,
    is_archived, stars, created_on_github_at, pushed_at, criticality, team, owner, schedule, active, added_at,
    updated_at, synced_at, sync_outcome, sync_error_class, sync_error_message
FROM dev.projects WHERE node_id = %(node_id)s OR github_id = %(github_id)s
ORDER BY project_id FOR UPDATE
"""

INSERT = """
INSERT INTO dev.projects (node_id, github_id, full_name, description, default_branch, language, is_private, is_fork,
    is_archived, stars, created_on_github_at, pushed_at, criticality, team, owner, schedule, active)
VALUES (%(node_id)s, %(github_id)s, %(full_name)s, %(description)s, %(default_branch)s, %(language)s, %(is_private)s,
    %(is_fork)s, %(is_archived)s, %(stars)s, %(created_on_github_at)s, %(pushed_at)s,
    coalesce(%(criticality)s, 'medium'), nullif(%(team)s, ''), nullif(%(owner)s, ''), nullif(%(schedule)s, ''),
    coalesce(%(active)s, true))
ON CONFLICT DO NOTHING
RETURNING project_id, node_id, github_id, full_name, description, default_branch, language, is_private, is_fork,
    is_archived, stars, created_on_github_at, pushed_at, criticality, team, owner, schedule, active, added_at,
    updated_at, synced_at, sync_outcome, sync_error_class, sync_error_message
"""

UPDATE = """
UPDATE dev.projects
SET node_id = %(node_id)s, github_id = %(github_id)s, full_name = %(full_name)s, description = %(description)s,
    default_branch = %(default_branch)s, language = %(language)s, is_private = %(is_private)s, is_fork = %(is_fork)s,
    is_archived = %(is_archived)s, stars = %(stars)s, created_on_github_at = %(created_on_github_at)s,
    pushed_at = %(pushed_at)s, criticality = %(criticality)s, team = %(team)s, owner = %(owner)s,
    schedule = %(schedule)s, active = %(active)s, updated_at = clock_timestamp()
WHERE project_id = %(project_id)s
RETURNING project_id, node_id, github_id, full_name, description, default_branch, language, is_private, is_fork,
    is_archived, stars, created_on_github_at, pushed_at, criticality, team, owner, schedule, active, added_at,
    updated_at, synced_at, sync_outcome, sync_error_class, sync_error_message
"""


def save(conn: psycopg.Connection, facts: Facts, care: Care = NOTHING_SAID, *, also_named: str | None = None) -> Saved:
    """Add the project, or bring it to what is said now; an unchanged row is not written. `also_named` is another name
    that has led to it. In the caller's transaction."""
    with conn.cursor(row_factory=class_row(Project)) as cursor:
        while True:
            found = cursor.execute(LOCK, {"node_id": facts.node_id, "github_id": facts.github_id}).fetchall()
            if len(found) > 1:
                raise DataError(
                    f"GitHub says that {found[0].full_name} and {found[1].full_name} are one repository now",
                    hint=f"remove one of them: jobctl project remove {found[1].full_name} --yes",
                )
            if found:
                saved = _brought_to(cursor, found[0], facts, care)
                break
            project = cursor.execute(INSERT, facts._asdict() | care._asdict()).fetchone()
            if project is not None:
                saved = Saved(project, "added")
                break
            # Somebody else has added it since it was looked for.
    for name in filter(None, (also_named, facts.full_name)):
        conn.execute(ALIAS, {"name": name.lower(), "project_id": saved.project.project_id})
    return saved


def _brought_to(cursor: psycopg.Cursor[Project], known: Project, facts: Facts, care: Care) -> Saved:
    wanted = {**known._asdict(), **facts._asdict(), **_said(care)}
    if wanted == known._asdict():
        return Saved(known, "unchanged")
    updated = cursor.execute(UPDATE, wanted).fetchone()
    assert updated is not None  # it is locked
    return Saved(updated, "updated")


def _said(care: Care) -> Mapping[str, Any]:
    """'' takes a value back."""
    return {name: value if value != "" else None for name, value in care._asdict().items() if value is not None}


ALIAS = """
INSERT INTO dev.project_aliases AS a (name, project_id) VALUES (%(name)s, %(project_id)s)
ON CONFLICT (name) DO UPDATE SET project_id = excluded.project_id, seen_at = clock_timestamp()
WHERE a.project_id <> excluded.project_id
"""

FIND = """
SELECT p.project_id, p.node_id, p.github_id, p.full_name, p.description, p.default_branch, p.language, p.is_private,
    p.is_fork, p.is_archived, p.stars, p.created_on_github_at, p.pushed_at, p.criticality, p.team, p.owner, p.schedule,
    p.active, p.added_at, p.updated_at, p.synced_at, p.sync_outcome, p.sync_error_class, p.sync_error_message
FROM dev.project_aliases AS a JOIN dev.projects AS p USING (project_id) WHERE a.name = %(name)s
"""


def find(conn: psycopg.Connection, name: str) -> Project | None:
    """By any name it has or had; a former one that somebody else has now is theirs."""
    with conn.cursor(row_factory=class_row(Project)) as cursor:
        return cursor.execute(FIND, {"name": name.lower()}).fetchone()


NAMES = 'SELECT full_name FROM dev.projects ORDER BY lower(full_name) COLLATE "C", project_id'


def require(conn: psycopg.Connection, name: str) -> Project:
    """Raises UsageError with the nearest names when there is no such project."""
    project = find(conn, name)
    if project is None:
        with conn.cursor(row_factory=scalar_row) as cursor:
            raise unknown_project(name, cursor.execute(NAMES).fetchall())
    return project


ALIASES = "SELECT name FROM dev.project_aliases WHERE project_id = %(project_id)s ORDER BY seen_at, name"


def aliases(conn: psycopg.Connection, project: Project) -> list[str]:
    """Its former names, in small letters."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        names: list[str] = cursor.execute(ALIASES, {"project_id": project.project_id}).fetchall()
    return [name for name in names if name != project.full_name.lower()]


LIST = """
SELECT project_id, node_id, github_id, full_name, description, default_branch, language, is_private, is_fork,
    is_archived, stars, created_on_github_at, pushed_at, criticality, team, owner, schedule, active, added_at,
    updated_at, synced_at, sync_outcome, sync_error_class, sync_error_message
FROM dev.projects
WHERE (%(active)s::boolean IS NULL OR active = %(active)s)
    AND (%(team)s::text IS NULL OR team = %(team)s)
    AND (%(outcome)s::text IS NULL OR sync_outcome = %(outcome)s)
    AND (%(after)s::bigint IS NULL OR (lower(full_name) COLLATE "C", project_id) > (
        SELECT lower(b.full_name) COLLATE "C", b.project_id FROM dev.projects AS b WHERE b.project_id = %(after)s))
ORDER BY lower(full_name) COLLATE "C", project_id
LIMIT %(limit)s
"""


def list_projects(
    conn: psycopg.Connection,
    *,
    active: bool | None = None,
    team: str | None = None,
    outcome: str | None = None,
    after: int | None = None,
    limit: int | None = None,
) -> list[Project]:
    """By name. `after` is the number of the project that a former page ended with."""
    values = {"active": active, "team": team, "outcome": outcome, "after": after, "limit": limit}
    with conn.cursor(row_factory=class_row(Project)) as cursor:
        return cursor.execute(LIST, values).fetchall()


SET_ACTIVE = """
UPDATE dev.projects SET active = %(active)s, updated_at = clock_timestamp()
WHERE project_id = %(project_id)s AND active <> %(active)s
"""


def set_active(conn: psycopg.Connection, project_id: int, *, active: bool) -> bool:
    """False: it was so already, or the project is gone."""
    return conn.execute(SET_ACTIVE, {"project_id": project_id, "active": active}).rowcount == 1


DELETE = "DELETE FROM dev.projects WHERE project_id = %(project_id)s"


def delete(conn: psycopg.Connection, project_id: int) -> bool:
    """Its names go with it. False: it was gone already."""
    return conn.execute(DELETE, {"project_id": project_id}).rowcount == 1


# Those that were brought to their end longest ago, or never, come first. GitHub is not asked of sample projects.
TO_SYNC = """
SELECT project_id, node_id, github_id, full_name, description, default_branch, language, is_private, is_fork,
    is_archived, stars, created_on_github_at, pushed_at, criticality, team, owner, schedule, active, added_at,
    updated_at, synced_at, sync_outcome, sync_error_class, sync_error_message
FROM dev.projects WHERE active AND NOT starts_with(node_id, 'DEMO_') ORDER BY synced_at NULLS FIRST, project_id
"""


def to_sync(conn: psycopg.Connection) -> list[Project]:
    with conn.cursor(row_factory=class_row(Project)) as cursor:
        return cursor.execute(TO_SYNC).fetchall()


DEMOS = "SELECT count(*) FROM dev.projects WHERE starts_with(node_id, 'DEMO_')"


def count_demos(conn: psycopg.Connection) -> int:
    """Sample projects, of which GitHub knows nothing."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        return int(cursor.execute(DEMOS).fetchone() or 0)


SYNCED = """
UPDATE dev.projects
SET sync_outcome = %(outcome)s, sync_run_id = %(run_id)s, sync_error_class = %(error_class)s,
    sync_error_message = %(error_message)s,
    synced_at = CASE WHEN %(is_complete)s THEN clock_timestamp() ELSE synced_at END
WHERE project_id = %(project_id)s
"""


def synced(
    conn: psycopg.Connection,
    project_id: int,
    outcome: str,
    run_id: UUID,
    *,
    is_complete: bool,
    error_class: str | None = None,
    error_message: str | None = None,
) -> bool:
    """What became of it. False: it was removed meanwhile."""
    values = {
        "project_id": project_id,
        "outcome": outcome,
        "run_id": run_id,
        "is_complete": is_complete,
        "error_class": error_class,
        "error_message": error_message,
    }
    return conn.execute(SYNCED, values).rowcount == 1


OUTCOMES = """
SELECT coalesce(sync_outcome, ''), count(*) FROM dev.projects WHERE active GROUP BY 1
"""


def outcomes(conn: psycopg.Connection) -> dict[str, int]:
    """How many of the active projects ended their last sync in which way; '' is those that never had one."""
    return dict(conn.execute(OUTCOMES).fetchall())


FRESHNESS = """
SELECT count(*) AS projects, count(synced_at) AS synced,
    extract(epoch FROM clock_timestamp() - min(synced_at))::float8 AS oldest_s
FROM dev.projects WHERE active AND NOT starts_with(node_id, 'DEMO_') AND NOT project_id = ANY (%(without)s)
"""


class Freshness(NamedTuple):
    """Of projects: how many there are, how many were ever brought to their end, and how old the oldest of those is."""

    projects: int
    synced: int
    oldest_s: float | None


def freshness(conn: psycopg.Connection, *, without: Sequence[int] = ()) -> Freshness:
    """Of the active ones but these, by number: those that need not be any fresher."""
    with conn.cursor(row_factory=class_row(Freshness)) as cursor:
        found = cursor.execute(FRESHNESS, {"without": list(without)}).fetchone()
    assert found is not None
    return found
