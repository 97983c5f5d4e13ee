"""Leaving tasks behind: in bulk, deduplicated, in the caller's transaction; and telling the limits."""

import uuid
from datetime import UTC, datetime

import psycopg
import pytest

from bench_queue_store import add, claim_one, limit, states
from jobctl.queue.enqueue import Enqueued, Request, enqueue
from jobctl.queue.limits import tell
from jobctl.settings_queue import read_queue


def test_requests_become_tasks_with_all_they_carry(conn: psycopg.Connection) -> None:
    run_id, content_hash = uuid.uuid4(), uuid.uuid4()
    due = datetime(2030, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
    request = Request("crawl", {"url": 'a"\\b'}, "ann", "org", "https://x", None, "k", "m1", content_hash, 3, due)
    assert enqueue(conn, [request], run_id=run_id) == Enqueued(1, 0)
    row = conn.execute(
        "SELECT type, payload, user_id, organization_id, site_url, subject_id, dedupe_key, model_version, content_hash,"
        " priority, scheduled_at, run_id, state FROM queue.tasks"
    ).fetchone()
    assert row == (*request, run_id, "queued")


def test_a_newer_request_supersedes_the_waiting_one_and_keeps_its_turn(conn: psycopg.Connection) -> None:
    early, late = datetime(2030, 1, 1, tzinfo=UTC), datetime(2031, 1, 1, tzinfo=UTC)
    for number, due in enumerate((early, late)):
        found = enqueue(
            conn,
            [
                Request("crawl", {"n": number}, dedupe_key="k", scheduled_at=due, priority=number),
                Request("crawl", {"n": number}, subject_id=7, scheduled_at=due),
                Request("crawl", {"n": number}),
            ],
        )
        assert found == (Enqueued(3, 0) if number == 0 else Enqueued(1, 2))
    rows = conn.execute(
        "SELECT payload ->> 'n', scheduled_at = %s, priority FROM queue.tasks WHERE dedupe_key = 'k' OR subject_id = 7"
        " ORDER BY priority",
        (early,),
    ).fetchall()
    assert rows == [("1", True, 0), ("1", True, 1)]


def test_twins_in_one_call_are_folded_into_the_last(conn: psycopg.Connection) -> None:
    requests = [Request("crawl", {"n": n}, subject_id=n % 3) for n in range(12)]
    assert enqueue(conn, requests) == Enqueued(3, 9)
    assert conn.execute("SELECT payload ->> 'n' FROM queue.tasks ORDER BY 1").fetchall() == [("10",), ("11",), ("9",)]


def test_a_request_waits_beside_the_try_that_runs(conn: psycopg.Connection) -> None:
    add(conn, subject_id=7)
    running = claim_one(conn)
    assert enqueue(conn, [Request("crawl", subject_id=7)]) == Enqueued(1, 0)
    assert sorted(states(conn).values()) == ["queued", "running"]
    assert states(conn)[running.task_id] == "running"


def test_what_the_caller_rolls_back_was_never_asked_for(conn: psycopg.Connection) -> None:
    with conn.transaction(force_rollback=True):
        assert enqueue(conn, (Request("crawl", user_id=f"u{n}") for n in range(12_000))) == Enqueued(12_000, 0)
    assert states(conn) == {}
    assert enqueue(conn, []) == Enqueued(0, 0)


def test_subject_and_key_together_are_refused(conn: psycopg.Connection) -> None:
    with pytest.raises(ValueError, match="not both"):
        enqueue(conn, [Request("crawl", subject_id=1, dedupe_key="k")])


def told(conn: psycopg.Connection) -> list[tuple[object, ...]]:
    return conn.execute("SELECT kind, name, running, rate_per_minute FROM queue.limits ORDER BY 1, 2").fetchall()


def test_limits_become_what_the_settings_say(conn: psycopg.Connection) -> None:
    limit(conn, "user", 9, "old")
    limit(conn, "type", 9, "old")
    settings = read_queue(
        {
            "running": 40,
            "users": {"ann": 5},
            "types": {"crawl": {"running": 3, "rate_per_minute": 60}, "mail": {"timeout_s": 5}},
        }
    )
    assert tell(conn, settings) == 5
    assert told(conn) == [
        ("all", "", 40, None),
        ("each_user", "", 2, None),
        ("type", "crawl", 3, 60.0),
        ("user", "ann", 5, None),
    ]
    assert tell(conn, settings, types=["mail"]) == 0


def test_the_defaults_limit_every_type_that_has_a_handler_somewhere(conn: psycopg.Connection) -> None:
    settings = read_queue({"defaults": {"running": 4}, "types": {"crawl": {"running": 3}}})
    tell(conn, settings, types=["mail"])
    assert [row[1:3] for row in told(conn) if row[0] == "type"] == [("crawl", 3), ("mail", 4)]
    assert tell(conn, settings, types=["other"]) == 1
    assert [row[1] for row in told(conn) if row[0] == "type"] == ["crawl", "mail", "other"]


def test_a_rate_that_stays_keeps_its_pace(conn: psycopg.Connection) -> None:
    def pace() -> list[tuple[object, ...]]:
        return conn.execute("SELECT next_start_at FROM queue.limits WHERE kind = 'type'").fetchall()

    settings = read_queue({"types": {"crawl": {"rate_per_minute": 60}}})
    tell(conn, settings)
    moment = datetime(2030, 1, 1, tzinfo=UTC)
    conn.execute("UPDATE queue.limits SET next_start_at = %s WHERE kind = 'type'", (moment,))
    tell(conn, read_queue({"types": {"crawl": {"rate_per_minute": 60, "running": 1}}}))
    assert pace() == [(moment,)]
    tell(conn, read_queue({"types": {"crawl": {"rate_per_minute": 61, "running": 1}}}))
    assert pace() == [(None,)]
