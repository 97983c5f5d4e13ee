"""Store of how each job went lately: its last runs by job and scope, read by the index of jobs and times.

Which jobs and scopes there are is found by going from one to the next along that index, so a long history costs
nothing: what is read grows with the number of jobs and scopes alone.
"""

from collections.abc import Sequence

import psycopg
from psycopg import sql

from jobctl.monitor.runs.course import MOST_RUNS
from jobctl.monitor.runs.facts import Place, Ran
from jobctl.monitor.scopes import PAIRS

MOST_PLACES = 2_000
SHOWN_MESSAGE = 300


# Job and scope are compared as they are so that only the index of jobs gives this order. By the index of times the
# planner would look for the last runs of a job that is no more among a year of others'.
LAST_RUNS = PAIRS + sql.SQL("""
SELECT p.job, p.scope, r.run_id, r.status, r.degraded, r.exit_code, r.host, r.version, r.slot_at, r.started_at,
    r.finished_at, r.duration_ms, r.error_class, r.error_message
FROM (SELECT * FROM pairs LIMIT %(most)s) AS p CROSS JOIN LATERAL (
    SELECT h.run_id, h.status, h.degraded, h.exit_code, h.host, h.version, h.slot_at, h.started_at, h.finished_at,
        h.duration_ms, h.error_class, left(h.error_message, %(message)s) AS error_message
    FROM ops.job_history AS h
    WHERE (h.job, h.scope) >= (p.job, p.scope) AND (h.job, h.scope) <= (p.job, p.scope)
    ORDER BY h.job, h.scope, h.started_at DESC LIMIT %(runs)s
) AS r
ORDER BY p.job, p.scope, r.started_at DESC, r.run_id
""")


def places(conn: psycopg.Connection, *, runs: int = MOST_RUNS, most: int = MOST_PLACES) -> list[Place]:
    """By job and scope."""
    found: dict[tuple[str, str], list[Ran]] = {}
    for job, scope, *run in conn.execute(LAST_RUNS, {"most": most, "runs": runs, "message": SHOWN_MESSAGE}):
        found.setdefault((job, scope), []).append(Ran(*run))
    return [Place(job, scope, tuple(runs)) for (job, scope), runs in found.items()]


def of_job(every: Sequence[Place], job: str, scope: str) -> list[Place]:
    """Those that a schedule's line for this job and scope starts: without a scope each."""
    return [place for place in every if place.job == job and scope in ("", place.scope)]
