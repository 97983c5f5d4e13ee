"""The ledger against a real database: time is a value, cron is not needed."""

import uuid
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import psycopg
import pytest

from jobctl.schedule import ledger, pauses, registry, slots
from jobctl.schedule.expression import parse
from jobctl.schedule.ledger import Start
from jobctl.schedule.pause import Refusal
from jobctl.schedule.registry import Line

HOST = "vm1"
NOON = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)


def line(
    expression: str = "0 * * * *",
    *,
    catch_up: str = "none",
    zone: str = "UTC",
    job: str = "ingest-branch",
    cap: int = 24,
) -> Line:
    return Line("crontab", job, "", expression, zone, f"/opt/jobctl/bin/jobctl {job} --scheduled", 120, catch_up, cap)


def start(of: Line, now: datetime, *, host: str = HOST, slot_at: datetime | None = None) -> Start:
    slot = slot_at or parse(of.expression).last_until(now, ZoneInfo(of.zone))
    return Start(of.job, of.scope, uuid.uuid4(), host, "jobctl", now, of, slot)


def install(conn: psycopg.Connection, *lines: Line, at: datetime = NOON, host: str = HOST) -> int:
    return registry.register(conn, host, "jobctl", lines, now=at)


def verdicts(conn: psycopg.Connection) -> list[tuple[str, str]]:
    return conn.execute("SELECT to_char(slot_at, 'HH24:MI'), verdict FROM ops.slots ORDER BY slot_at, job").fetchall()


def test_registering_the_same_lines_again_writes_nothing_and_a_changed_line_ends_the_old_one(
    conn: psycopg.Connection,
) -> None:
    assert install(conn, line(), line(job="sync", expression="0 2 * * *")) == 2
    assert install(conn, line(), line(job="sync", expression="0 2 * * *")) == 0
    assert install(conn, line("30 * * * *"), line(job="sync", expression="0 2 * * *")) == 2
    assert install(conn, line("30 * * * *"), at=NOON + timedelta(hours=1)) == 1
    rows = conn.execute("SELECT job, expression, removed_at IS NULL FROM ops.schedules ORDER BY schedule_id").fetchall()
    assert rows == [
        ("ingest-branch", "0 * * * *", False),
        ("sync", "0 2 * * *", False),
        ("ingest-branch", "30 * * * *", True),
    ]


def test_a_slot_is_given_to_one_of_two_hosts(conn: psycopg.Connection) -> None:
    one, two = start(line(), NOON), start(line(), NOON + timedelta(seconds=1), host="vm2")
    assert ledger.begin(conn, one) is None
    refused = ledger.begin(conn, two)
    assert isinstance(refused, Refusal)
    assert str(one.run_id) in refused.why
    assert verdicts(conn) == [("12:00", "ran")]


def test_the_second_time_round_in_the_repeated_hour_is_the_same_slot(conn: psycopg.Connection) -> None:
    nightly = line("30 2 * * *", zone="Europe/Berlin")
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)  # 02:30 summer time
    assert ledger.begin(conn, start(nightly, first)) is None
    assert ledger.begin(conn, start(nightly, first + timedelta(hours=1))) is not None
    local = conn.execute("SELECT slot_local FROM ops.slots").fetchall()
    assert local == [("2026-10-25 02:30 CEST",)]


def test_a_start_at_the_end_of_the_gap_is_told_as_shifted(conn: psycopg.Connection) -> None:
    nightly = line("30 2 * * *", zone="Europe/Berlin")
    assert ledger.begin(conn, start(nightly, datetime(2026, 3, 29, 1, 0, 1, tzinfo=UTC))) is None
    assert verdicts(conn) == [("01:00", "dst_shifted")]


def test_three_hours_without_cron_are_three_missed_slots_each_told_once(conn: psycopg.Connection) -> None:
    install(conn, line())
    later = NOON + timedelta(hours=3, minutes=30)
    missed = ledger.judge(conn, host=HOST, now=later)
    assert [each.slot_local for each in missed] == [f"2026-06-01 {hour}:00 UTC" for hour in (13, 14, 15)]
    assert ledger.judge(conn, host=HOST, now=later) == []
    assert verdicts(conn) == [("13:00", "missed"), ("14:00", "missed"), ("15:00", "missed")]


def test_a_slot_is_not_missed_before_its_grace_is_over(conn: psycopg.Connection) -> None:
    install(conn, line())
    assert ledger.judge(conn, host=HOST, now=NOON + timedelta(hours=1, seconds=119)) == []
    assert len(ledger.judge(conn, host=HOST, now=NOON + timedelta(hours=1, seconds=121))) == 1


def test_a_missed_slot_whose_run_comes_after_all_is_late(conn: psycopg.Connection) -> None:
    install(conn, line())
    ledger.judge(conn, host=HOST, now=NOON + timedelta(hours=1, minutes=10))
    assert ledger.begin(conn, start(line(), NOON + timedelta(hours=1, minutes=11))) is None
    assert verdicts(conn) == [("13:00", "late")]


def test_another_hosts_slots_are_judged_here_when_it_stays_silent(conn: psycopg.Connection) -> None:
    install(conn, line(), host="vm2")
    assert ledger.judge(conn, host=HOST, now=NOON + timedelta(hours=1, minutes=5)) == []
    (missed,) = ledger.judge(conn, host=HOST, now=NOON + timedelta(hours=1, minutes=13))
    assert (missed.host, missed.reason) == ("vm2", "its host has not answered for it")


def test_a_paused_job_does_not_start_and_its_slots_are_paused_not_missed(conn: psycopg.Connection) -> None:
    install(conn, line())
    pauses.begin(
        conn,
        "ingest-branch",
        "",
        now=NOON,
        until_at=NOON + timedelta(hours=2, minutes=30),
        reason="a move",
        paused_by="ann",
    )
    refused = ledger.begin(conn, start(line(), NOON + timedelta(hours=1)))
    assert refused is not None
    assert "by ann: a move" in refused.why
    missed = ledger.judge(conn, host=HOST, now=NOON + timedelta(hours=3, minutes=30))
    assert [each.slot_local for each in missed] == ["2026-06-01 15:00 UTC"]
    assert verdicts(conn) == [("13:00", "paused"), ("14:00", "paused"), ("15:00", "missed")]
    assert pauses.end(conn, "ingest-branch", "", now=NOON + timedelta(minutes=5), ended_by="bob") == 1
    assert ledger.begin(conn, start(line(), NOON + timedelta(hours=1))) is None


def test_a_start_by_hand_is_paused_too_and_takes_no_slot(conn: psycopg.Connection) -> None:
    by_hand = Start("ingest-branch", "", uuid.uuid4(), HOST, "ann", NOON)
    assert ledger.begin(conn, by_hand) is None
    pauses.begin(
        conn, "ingest-branch", "", now=NOON, until_at=NOON + timedelta(hours=1), reason="a move", paused_by="ann"
    )
    assert ledger.begin(conn, by_hand) is not None
    assert verdicts(conn) == []


def test_a_held_lock_makes_the_slot_skipped_and_it_may_be_taken_again(conn: psycopg.Connection) -> None:
    one = start(line(), NOON)
    assert ledger.begin(conn, one) is None
    ledger.locked(conn, one, "held by run X")
    assert verdicts(conn) == [("12:00", "skipped_locked")]
    assert ledger.begin(conn, start(line(), NOON + timedelta(seconds=30))) is None
    ledger.locked(conn, one, "held by run X")  # it is another run's by now
    assert verdicts(conn) == [("12:00", "late")]


def owed_at(conn: psycopg.Connection, now: datetime) -> list[str]:
    return [f"{each.slot.slot_at:%H:%M}" for each in ledger.owed(conn, host=HOST, os_user="jobctl", now=now)]


@pytest.mark.parametrize(
    ("catch_up", "cap", "expected"),
    [
        ("none", 24, []),
        ("latest", 24, ["15:00"]),
        ("all", 24, ["13:00", "14:00", "15:00"]),
        ("all", 2, ["14:00", "15:00"]),
    ],
)
def test_what_is_caught_up_after_three_hours(
    conn: psycopg.Connection, catch_up: str, cap: int, expected: list[str]
) -> None:
    install(conn, line(catch_up=catch_up, cap=cap))
    later = NOON + timedelta(hours=3, minutes=30)
    ledger.judge(conn, host=HOST, now=later)
    assert owed_at(conn, later) == expected


def test_one_run_covers_the_missed_slots_before_it_and_nothing_is_owed_then(conn: psycopg.Connection) -> None:
    hourly = line(catch_up="latest")
    install(conn, hourly)
    later = NOON + timedelta(hours=3, minutes=30)
    ledger.judge(conn, host=HOST, now=later)
    own = start(hourly, later)
    assert ledger.begin(conn, own) is None
    assert ledger.done(conn, own) == 2
    covered = conn.execute("SELECT count(*) FROM ops.slots WHERE covered_by_run_id = %s", (own.run_id,)).fetchone()
    assert covered == (2,)
    assert owed_at(conn, later) == []


def test_a_command_that_never_takes_its_slot_is_tried_three_times(conn: psycopg.Connection) -> None:
    install(conn, line(catch_up="latest"))
    later = NOON + timedelta(hours=1, minutes=30)
    ledger.judge(conn, host=HOST, now=later)
    assert [owed_at(conn, later) for _ in range(4)] == [["13:00"], ["13:00"], ["13:00"], []]


def test_a_run_that_came_in_from_the_spool_is_no_missed_slot(conn: psycopg.Connection) -> None:
    install(conn, line())
    slot = NOON + timedelta(hours=1)
    conn.execute(
        "INSERT INTO ops.job_history (run_id, scope, job, correlation_id, status, exit_code, host, os_user,"
        " supervisor_pid, version, command, started_at, finished_at, slot_at, replayed_at) VALUES (%s, '',"
        " 'ingest-branch', 'c', 'failed', 75, 'vm1', 'jobctl', 1, '0', '', %s, %s, %s, now())",
        (uuid.uuid4(), slot, slot, slot),
    )
    assert ledger.judge(conn, host=HOST, now=slot + timedelta(minutes=30)) == []
    assert verdicts(conn) == [("13:00", "ran")]


def test_a_year_without_anybody_is_not_a_hundred_thousand_rows(conn: psycopg.Connection) -> None:
    install(conn, line("*/5 * * * *"))
    ledger.judge(conn, host=HOST, now=NOON + timedelta(days=365))
    assert conn.execute("SELECT count(*) FROM ops.slots").fetchone() == (1_000,)


def test_two_judges_at_once_tell_a_missed_slot_once(database: object, conn: psycopg.Connection) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from jobctl.db.connection import Database

    assert isinstance(database, Database)
    install(conn, line("*/5 * * * *"))
    later = NOON + timedelta(hours=4)

    def judge(_: int) -> int:
        with database.connect() as own:
            return len(ledger.judge(own, host=HOST, now=later))

    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(judge, range(4)))
    assert sum(told) == 47
    assert slots.get(conn, "ingest-branch", "", NOON + timedelta(minutes=5)) is not None
