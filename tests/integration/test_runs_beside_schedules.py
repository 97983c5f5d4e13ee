"""What the history tells beside a schedule: the last run of a line, and the runs of one of its slots."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg

from jobctl.runtime.runs_beside_schedule import last_run, runs_of_slot

SLOT = datetime(2026, 1, 13, 2, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
INSERT = """
INSERT INTO ops.job_history (run_id, scope, job, correlation_id, status, exit_code, host, os_user, supervisor_pid,
    version, command, started_at, finished_at, slot_at)
VALUES (%s, %s, %s, '', 'completed', 0, 'here', 'etl', 1, '0', '', %s, %s, %s)
"""


def ran(conn: psycopg.Connection, job: str, scope: str, started_at: datetime, slot_at: datetime | None = None) -> str:
    run_id = uuid4()
    conn.execute(INSERT, (run_id, scope, job, started_at, started_at + timedelta(minutes=5), slot_at))
    return str(run_id)


def test_the_last_run_of_a_job_is_that_of_any_branch_and_of_a_wrapped_command_that_of_its_name(
    conn: psycopg.Connection,
) -> None:
    ran(conn, "ingest-branch", "airports", SLOT)
    newest = ran(conn, "ingest-branch", "hotels", SLOT + HOUR)
    ran(conn, "run", "other", SLOT + 2 * HOUR)
    last = last_run(conn, "ingest-branch", [])
    assert last is not None and (str(last.run_id), last.scope) == (newest, "hotels")
    airports = last_run(conn, "ingest-branch", ["airports"])
    assert airports is not None and airports.started_at == SLOT
    assert last_run(conn, "run", ["backup"]) is None


def test_the_runs_of_a_slot_are_those_that_answered_for_it_and_those_by_hand_in_its_time(
    conn: psycopg.Connection,
) -> None:
    late = ran(conn, "sync", "", SLOT + 3 * HOUR, slot_at=SLOT)
    by_hand = ran(conn, "sync", "", SLOT + timedelta(minutes=30))
    ran(conn, "sync", "", SLOT + HOUR, slot_at=SLOT + HOUR)
    ran(conn, "sync", "", SLOT + timedelta(minutes=1), slot_at=SLOT - HOUR)
    ran(conn, "sync", "", SLOT + 2 * HOUR)
    ran(conn, "metrics", "", SLOT, slot_at=SLOT)
    found = runs_of_slot(conn, "sync", [], SLOT, before=SLOT + HOUR)
    assert [str(run.run_id) for run in found] == [by_hand, late]
