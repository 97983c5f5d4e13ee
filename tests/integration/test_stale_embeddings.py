"""Embeddings that nobody needs are cancelled, each with its reason; all others stay."""

import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from bench_retry import Queue
from jobctl.db.connection import Database
from jobctl.queue import stale, store

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
OLD, NEW = uuid.uuid4(), uuid.uuid4()


@pytest.fixture
def queue(conn: psycopg.Connection) -> Queue:
    return Queue(conn)


def embed(queue: Queue, item_id: int, content_hash: uuid.UUID = NEW, **columns: Any) -> int:
    columns = {"model_version": "m2", **columns}
    return queue.task(type="embed", subject_id=item_id, content_hash=content_hash, **columns)


def failed_embed(queue: Queue, item_id: int, content_hash: uuid.UUID = NEW, **columns: Any) -> int:
    columns = {"model_version": "m2", **columns}
    return queue.failed(type="embed", subject_id=item_id, content_hash=content_hash, **columns)


def suspects(queue: Queue, *, size: int = 100) -> list[int]:
    found: list[int] = []
    place: stale.Place | None = stale.START
    while place is not None:
        page = stale.waiting(queue.conn, after=place, current="m2", size=size)
        found += page.suspects
        place = page.end
    return found + stale.failed(queue.conn, since=LONG_AGO, current="m2")


def reason(queue: Queue, task_id: int) -> str | None:
    row = queue.row(task_id)
    assert (row["state"] == "cancelled") == (row["error_class"] == "Stale")
    return row["error_message"] if row["state"] == "cancelled" else None


@pytest.mark.parametrize("make", [embed, failed_embed], ids=["waiting", "failed"])
def test_an_item_that_is_gone_or_withdrawn_or_a_model_that_is_not_the_current_one(
    queue: Queue, make: Callable[..., int]
) -> None:
    queue.item(1, NEW)
    queue.item(2, NEW, withdrawn=True)
    right, withdrawn, gone = make(queue, 1), make(queue, 2), make(queue, 3)
    of_old_model = make(queue, 1, model_version="m1")
    found = suspects(queue)
    assert sorted(found) == [withdrawn, gone, of_old_model]
    done = stale.cancel(queue.conn, [*found, right], current="m2")
    assert sorted(done) == [
        "made for model m1, and the model is m2 now",
        "the item is gone",
        "the item was withdrawn",
    ]
    assert reason(queue, right) is None
    assert None not in [reason(queue, task_id) for task_id in (withdrawn, gone, of_old_model)]


def test_a_changed_item_makes_a_task_stale_only_where_a_newer_one_waits(queue: Queue) -> None:
    for item_id in (1, 2, 3):
        queue.item(item_id, NEW)
    with_successor, without, waiting = failed_embed(queue, 1, OLD), failed_embed(queue, 2, OLD), embed(queue, 3, OLD)
    successor = embed(queue, 1)
    older_waits = embed(queue, 4, OLD)
    queue.item(4, NEW)
    newer_failed = failed_embed(queue, 4, OLD)
    assert stale.cancel(queue.conn, suspects(queue), current="m2") == [
        "the item has changed, and a newer request waits"
    ]
    assert reason(queue, with_successor) is not None
    rest = queue.states(without, waiting, successor, older_waits, newer_failed)
    assert rest == ["failed", "queued", "queued", "queued", "failed"]


@pytest.mark.parametrize("state", ["running", "succeeded", "blocked"])
def test_tasks_in_other_states_and_of_other_types_are_left_alone(queue: Queue, state: str) -> None:
    task_ids = [embed(queue, 9, state=state), queue.task(type="crawl", subject_id=9), queue.task(type="embed")]
    assert suspects(queue) == []
    assert stale.cancel(queue.conn, task_ids, current="m2") == []
    assert queue.states(*task_ids) == [state, "queued", "queued"]


def test_failures_that_get_no_other_round_keep_their_error(queue: Queue) -> None:
    queue.failed(type="embed", subject_id=1, model_version="m1", is_recoverable=False)
    assert suspects(queue) == []


def test_every_page_is_looked_at_once(queue: Queue) -> None:
    for item_id in range(25):
        for model in ("m1", "m2"):
            embed(queue, item_id, model_version=model)
    found = suspects(queue, size=7)
    assert len(found) == len(set(found)) == 50


def test_a_task_that_a_claim_holds_is_left_alone(queue: Queue, database: Database) -> None:
    task_id = embed(queue, 1)
    with database.connect() as other, other.transaction():
        other.execute("SELECT FROM queue.tasks WHERE task_id = %s FOR UPDATE", (task_id,))
        assert stale.cancel(queue.conn, [task_id], current="m2") == []
    assert stale.cancel(queue.conn, [task_id], current="m2") == ["the item is gone"]


def test_an_item_that_comes_back_meanwhile_keeps_its_embedding(queue: Queue, database: Database) -> None:
    """The item is withdrawn in the snapshot of the cancelling statement, and asked for anew before it has the row."""
    queue.item(1, NEW, withdrawn=True)
    task_id = embed(queue, 1)
    queue.conn.execute(
        "CREATE FUNCTION public.wait() RETURNS boolean LANGUAGE plpgsql VOLATILE AS"
        " $$ BEGIN PERFORM pg_advisory_lock(1); PERFORM pg_advisory_unlock(1); RETURN true; END $$"
    )
    slow = stale.CANCEL.replace("WHERE j.reason IS NOT NULL", "WHERE public.wait() AND j.reason IS NOT NULL")
    assert slow != stale.CANCEL
    results: list[list[tuple[str]]] = []

    def cancel() -> None:
        with database.connect() as conn:
            parameters = {"task_ids": [task_id], "current": "m2", "stale": stale.STALE}
            results.append(conn.execute(slow.encode(), parameters).fetchall())

    queue.conn.execute("SELECT pg_advisory_lock(1)")
    thread = threading.Thread(target=cancel)
    thread.start()
    with database.connect() as watch:
        while not watch.execute("SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted").fetchall():
            pass
    queue.conn.execute("UPDATE core.items SET withdrawn_at = NULL")
    store.enqueue_embeddings(queue.conn, [(1, NEW)], model_version="m2", run_id=uuid.uuid4())
    queue.conn.execute("SELECT pg_advisory_unlock(1)")
    thread.join()
    assert results == [[]]
    assert queue.states(task_id) == ["queued"]


def test_waiting_tasks_are_read_by_their_index(queue: Queue) -> None:
    queue.conn.execute(
        "INSERT INTO queue.tasks (type, subject_id, model_version, state) SELECT 'embed', n, 'm2',"
        " CASE WHEN n % 3 = 0 THEN 'succeeded' ELSE 'queued' END FROM generate_series(1, 50000) AS n"
    )
    queue.conn.execute(
        "INSERT INTO core.items (item_id, branch_id, record_key, name, source_version, payload_hash, content_hash,"
        " rules, run_id) SELECT n, 1, n::text, 'x', 1, %(h)s, %(h)s, 'r', %(h)s FROM generate_series(1, 50000) AS n",
        {"h": NEW},
    )
    queue.conn.execute("ANALYZE queue.tasks, core.items")
    parameters = {"subject_id": 1_000, "model_version": "m2", "current": "m2", "size": 500}
    plan = queue.conn.execute(b"EXPLAIN " + stale.WAITING.encode(), parameters).fetchall()
    text = "\n".join(line for (line,) in plan)
    assert "tasks_one_waiting_subject" in text and "Seq Scan on tasks" not in text, text
