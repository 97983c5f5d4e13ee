"""A demo in this process: what is planted, what real code makes of it, and that it goes without a trace."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from bench_ingest import Ingest, brief
from bench_metrics import Metrics, Repositories
from jobctl import clock
from jobctl.alerts import judging
from jobctl.alerts import store as alerts
from jobctl.alerts.verdict import Verdict
from jobctl.db.connection import Database
from jobctl.errors import UsageError
from jobctl.jobs.demo import issues, loading, projects, removing, runs, tasks
from jobctl.jobs.demo.plan import BRANCH, Plan
from jobctl.jobs.demo.stories import PROFILES
from jobctl.projects import store
from jobctl.redact import Redactor
from jobctl.settings import Settings

AS_OF = datetime(2026, 6, 10, 12, tzinfo=UTC)  # a Wednesday
PLAN = Plan(7, AS_OF)
SETTINGS = Settings(data_dir=Path("/nonexistent"))
TABLES = """
SELECT n.nspname, c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname IN ('branch', 'core', 'dev', 'ops', 'queue') ORDER BY 1, 2
"""
# The database's own: the transaction that changed a record, the moment of a load.
NOT_PLANNED = {"branch.records": ("changed_xid", "payload_bytes"), "ops.demo": ("loaded_at",)}


def load(database: Database, plan: Plan = PLAN, **options: Any) -> loading.Loaded:
    return loading.load(database, SETTINGS, plan, **options)


def counts(conn: psycopg.Connection) -> dict[str, int]:
    """Of all tables that have rows."""
    found: dict[str, int] = {}
    for schema, name in conn.execute(TABLES).fetchall():
        row = conn.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, name))).fetchone()
        assert row is not None
        if row[0]:
            found[f"{schema}.{name}"] = row[0]
    return found


def hashes(conn: psycopg.Connection) -> dict[str, str]:
    """Of what is in each table, without what the database itself adds."""
    question = (
        "SELECT md5(string_agg(r, E'\n' ORDER BY r))"
        " FROM (SELECT (to_jsonb(t) - %s::text[])::text AS r FROM {} AS t) AS s"
    )
    found: dict[str, str] = {}
    for table in counts(conn):
        statement = sql.SQL(question).format(sql.Identifier(*table.split(".")))
        row = conn.execute(statement, (list(NOT_PLANNED.get(table, ())),)).fetchone()
        assert row is not None
        found[table] = row[0]
    return found


def one(conn: psycopg.Connection, question: str, *values: object) -> Any:
    row = conn.execute(question.encode(), values).fetchone()
    assert row is not None
    return row[0]


def health(conn: psycopg.Connection, project: str, since: int, until: int) -> float:
    """The mean of what was kept between so many days before the end of the year."""
    question = """
    SELECT avg(d.health)::float8 FROM dev.project_days AS d JOIN dev.projects AS p USING (project_id)
    WHERE p.full_name = %s AND d.day BETWEEN %s AND %s
    """
    return one(conn, question, project, AS_OF - timedelta(days=since), AS_OF - timedelta(days=until))


@pytest.mark.slow
def test_a_demo_is_worked_on_by_real_code_and_goes_without_what_is_not_its_own(
    database: Database, conn: psycopg.Connection
) -> None:
    before = counts(conn)
    load(database)
    planted = hashes(conn)

    # Its rows add up as real ones do, and each story can be seen.
    for view in ("no_task_twice", "limits_held", "attempts_add_up"):
        assert conn.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier("queue", view))).fetchall() == []
    assert {row[0] for row in conn.execute("SELECT DISTINCT state FROM queue.tasks")} == {
        *("queued", "running", "succeeded", "failed", "blocked", "cancelled"),
    }
    statuses = {row[0] for row in conn.execute("SELECT DISTINCT status FROM ops.job_history")}
    assert statuses == {"completed", "failed", "timeout", "interrupted", "abandoned", "skipped"}
    verdicts = {row[0] for row in conn.execute("SELECT DISTINCT verdict FROM ops.slots")}
    assert verdicts == {"ran", "missed", "paused", "skipped_locked"}
    assert health(conn, "demo/atlas", 270, 170) > health(conn, "demo/atlas", 14, 0) + 10
    assert health(conn, "demo/delta", 14, 0) > health(conn, "demo/delta", 330, 250) + 10

    # The real jobs take it for theirs.
    metrics = Metrics(database, conn, now=AS_OF + timedelta(minutes=20))
    figures = metrics.figures()
    risk = figures["revenue_at_risk"]
    assert figures["projects"] == len(PROFILES) and 30 <= risk["bugs"] <= 500 and risk["per_day"] > 5_000
    assert all(risk["trend"][span]["before"] is not None for span in ("hour", "day", "week"))
    assert sum(figures["health"].values()) == len(PROFILES) and figures["health"]["unknown"] == 0
    assert min(figures["health"][band] for band in ("healthy", "warning", "critical")) >= 1
    assert ("bug-unassigned", "demo/beacon") in metrics.firing()
    ingested = brief(Ingest(database, conn)(BRANCH))
    assert set(ingested) == {"read", "unchanged", "rejected"}, ingested
    assert store.to_sync(conn) == [] and store.count_demos(conn) == len(PROFILES)

    # Whatever fires is kept, and nobody is told.
    tell(conn, [each._replace(at=clock.utc_now()) for each in metrics.told])
    assert alerts.is_any_open(conn) and outbox_rows(conn) == 0

    with pytest.raises(UsageError, match="a demo is loaded here"):
        load(database)

    # What is not its own stays.
    project_id = Repositories(conn, 1_000).project("octo/cat")
    conn.execute("INSERT INTO queue.tasks (type) VALUES ('mine')")
    conn.execute(
        "INSERT INTO ops.job_history (run_id, job, correlation_id, status, host, os_user, supervisor_pid, version,"
        " command) VALUES (gen_random_uuid(), 'sync', 'x', 'pending', 'here', 'me', 1, '1', 'jobctl sync')"
    )
    removed = removing.remove(database)
    assert removed is not None and removed.left == {"projects": 1, "runs": 1, "tasks": 1}
    assert one(conn, "SELECT project_id FROM dev.projects") == project_id
    left = {**before, "dev.projects": 1, "dev.project_aliases": 1, "queue.tasks": 1, "ops.job_history": 1}
    assert {table: rows for table, rows in counts(conn).items() if table != "ops.locks"} == left
    assert removing.remove(database) is None

    # The same seed and moment give the same rows.
    conn.execute("TRUNCATE dev.projects, queue.tasks, ops.job_history CASCADE")
    conn.execute("DELETE FROM ops.locks")
    load(database)
    assert hashes(conn) == planted


def tell(conn: psycopg.Connection, verdicts: Sequence[Verdict]) -> None:
    settings = Settings(
        data_dir=Path("/nonexistent"),
        enable_slack_alerts=True,
        slack_webhook_url="https://hooks.example.com/x",  # pyright: ignore[reportArgumentType]
    )
    assert settings.alert_channels()
    with conn.transaction():
        judging.judged(conn, settings, Redactor(()), verdicts)


def outbox_rows(conn: psycopg.Connection) -> int:
    return one(conn, "SELECT count(*) FROM ops.outbox")


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("INSERT INTO queue.tasks (type) VALUES ('mine')", "(tasks: 1)"),
        (
            "INSERT INTO branch.branches (slug, title, field_map) VALUES ('a', 'A', '{}')",
            "(branches: 1)",
        ),
    ],
)
def test_a_database_with_anything_in_it_is_left_as_it_is(
    database: Database, conn: psycopg.Connection, statement: str, said: str
) -> None:
    conn.execute(statement.encode())
    before = counts(conn)
    with pytest.raises(UsageError, match=said) as refused:
        load(database)
    assert "JOBCTL_DATA_DIR" in refused.value.hint and counts(conn) == before


def test_alerts_are_told_where_no_demo_is(conn: psycopg.Connection) -> None:
    """What the test above relies on."""
    tell(conn, [Verdict("sla-breach", "octo/cat", True, AS_OF, "sla-breach/octo%2Fcat", "late", severity="critical")])
    assert outbox_rows(conn) > 0


def test_a_load_that_ends_halfway_leaves_nothing(database: Database, conn: psycopg.Connection) -> None:
    before = counts(conn)

    def end(done: int, _all: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(database, progress=end)
    assert counts(conn) == before


def test_another_seed_makes_other_rows_and_no_moment_lies_ahead() -> None:
    other = Plan(8, AS_OF)
    assert projects.rows(PLAN) == projects.rows(PLAN) != projects.rows(other)
    assert tasks.rows(PLAN) == tasks.rows(PLAN) != tasks.rows(other)
    assert runs.made(PLAN) == runs.made(PLAN) != runs.made(other)
    drawn = issues.drawn(PLAN, 0, PROFILES[0])
    for each in drawn:
        assert PLAN.start <= each.created_at < AS_OF
        assert each.closed_at is None or each.created_at < each.closed_at < AS_OF
        assert each.first_response_at is None or each.created_at <= each.first_response_at < AS_OF
    of_runs = runs.made(PLAN).rows["ops.job_history"]
    finished = runs.COLUMNS["ops.job_history"].index("finished_at")
    assert all(row[finished] < AS_OF for row in of_runs)
