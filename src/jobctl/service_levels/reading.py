"""What happened in some projects up to a moment, as GitHub's rows tell it: set-based questions, nothing is judged here.

Each question is asked of a few hundred projects at once, so that no statement is long and no answer large. `as_of` is
the moment: what was created, closed, merged or answered later has not happened. An issue that was transferred is told
of where it is now, one that was deleted until then.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any

import psycopg
from psycopg.rows import class_row, scalar_row

from jobctl.service_levels.bugs import Meaning
from jobctl.service_levels.facts import Bug, Flow, Issue, Known, Merged, People, Window


@cache
def statement(name: str) -> bytes:
    return files("jobctl.service_levels").joinpath(f"{name}.sql").read_bytes()


LABEL_NAMES = "SELECT DISTINCT name FROM dev.labels WHERE project_id = ANY(%(project_ids)s)"


def label_names(conn: psycopg.Connection, project_ids: Sequence[int]) -> list[str]:
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(LABEL_NAMES, {"project_ids": list(project_ids)}).fetchall()


def bugs(
    conn: psycopg.Connection,
    project_ids: Sequence[int],
    window: Window,
    meanings: Mapping[str, Meaning],
    impact_field: str,
) -> list[Bug]:
    """`meanings` are those of label names that mean anything."""
    with conn.cursor(row_factory=class_row(Bug), binary=True) as cursor:
        return cursor.execute(
            statement("bugs"), bugs_values(project_ids, window, meanings, impact_field), prepare=True
        ).fetchall()


def bugs_values(
    project_ids: Sequence[int], window: Window, meanings: Mapping[str, Meaning], impact_field: str
) -> dict[str, Any]:
    said = list(meanings.values())
    return {
        **_values(project_ids, window),
        "since": window.since,
        "heading": f"### {impact_field}\n",
        "names": list(meanings),
        "is_bug": [each.is_bug for each in said],
        "is_no_bug": [each.is_no_bug for each in said],
        "severity": [each.severity for each in said],
        "impact": [each.impact for each in said],
        "pauses": [each.pauses for each in said],
    }


def flow(conn: psycopg.Connection, project_ids: Sequence[int], window: Window) -> list[Flow]:
    with conn.cursor(row_factory=class_row(Flow), binary=True) as cursor:
        return cursor.execute(statement("flow"), flow_values(project_ids, window), prepare=True).fetchall()


def flow_values(project_ids: Sequence[int], window: Window) -> dict[str, Any]:
    return {
        **_values(project_ids, window),
        "recent": window.back(90),
        "due": window.back(2),
        "issue_touched": window.back(90),
        "pull_touched": window.back(14),
    }


def merged(
    conn: psycopg.Connection, project_ids: Sequence[int], window: Window, weeks: tuple[datetime, datetime]
) -> list[Merged]:
    """`weeks` are the whole ones of the throughput."""
    with conn.cursor(row_factory=class_row(Merged), binary=True) as cursor:
        return cursor.execute(statement("pulls"), merged_values(project_ids, window, weeks), prepare=True).fetchall()


def merged_values(project_ids: Sequence[int], window: Window, weeks: tuple[datetime, datetime]) -> dict[str, Any]:
    return {
        **_values(project_ids, window),
        "recent": window.back(90),
        "weeks_from": weeks[0],
        "weeks_until": weeks[1],
    }


def people(conn: psycopg.Connection, project_ids: Sequence[int], window: Window) -> list[People]:
    with conn.cursor(row_factory=class_row(People), binary=True) as cursor:
        return cursor.execute(statement("people"), people_values(project_ids, window), prepare=True).fetchall()


def people_values(project_ids: Sequence[int], window: Window) -> dict[str, Any]:
    return {**_values(project_ids, window), "recent": window.back(90), "year": window.back(365)}


def _values(project_ids: Sequence[int], window: Window) -> dict[str, Any]:
    return {"project_ids": list(project_ids), "as_of": window.as_of}


PROJECTS = """
SELECT project_id, full_name, team, created_on_github_at FROM dev.projects
WHERE CASE WHEN %(project_ids)s::bigint[] IS NULL THEN active ELSE project_id = ANY(%(project_ids)s) END
ORDER BY project_id
"""


def projects(conn: psycopg.Connection, project_ids: Sequence[int] | None = None) -> list[Known]:
    """Those that are followed, or just these."""
    with conn.cursor(row_factory=class_row(Known)) as cursor:
        asked = None if project_ids is None else list(project_ids)
        return cursor.execute(PROJECTS, {"project_ids": asked}).fetchall()


ISSUE = """
SELECT i.node_id, i.is_pull, i.title, i.body, i.state, i.state_reason, i.created_at, i.first_response_at, i.closed_at,
    i.reopened, i.removed_at, i.removal, i.moved_to, i.assignees,
    ARRAY(SELECT l.name FROM dev.labels AS l WHERE l.label_id = ANY(i.label_ids) ORDER BY lower(l.name)) AS labels,
    m.per_day AS imported, m.note
FROM dev.issues AS i LEFT JOIN dev.impacts AS m USING (project_id, number)
WHERE i.project_id = %(project_id)s AND i.number = %(number)s
ORDER BY i.removed_at DESC NULLS FIRST LIMIT 1
"""


def issue(conn: psycopg.Connection, project_id: int, number: int) -> Issue | None:
    """Its tombstone where it is gone."""
    with conn.cursor(row_factory=class_row(Issue)) as cursor:
        return cursor.execute(ISSUE, {"project_id": project_id, "number": number}).fetchone()
