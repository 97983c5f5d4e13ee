"""Refused records: listed, counted, exported, tried again; and the removal of a branch with all that is its."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from jobctl.branches import judgements, rejects, removal, store
from jobctl.branches.branch import Branch, Definition
from jobctl.branches.judgements import Refusal
from jobctl.branches.load import Mapped, load
from jobctl.branches.removal import Removed
from jobctl.branches.replay import mark_for_replay
from jobctl.db.connection import Database
from jobctl.errors import SourceError

RUN = uuid4()
MAPPED = Mapped(lambda payload: str(json.loads(payload)["id"]))


@pytest.fixture
def add_branch(database: Database, conn: psycopg.Connection, tmp_path: Path) -> Callable[..., Branch]:
    def add_branch(slug: str, records: int) -> Branch:
        branch = store.insert(conn, Definition(slug, slug, {"record_id": "id", "name": "name"}))
        assert branch is not None
        path = tmp_path / f"{slug}.ndjson"
        path.write_text("".join(f'{{"id":{n},"name":"of {slug}"}}\n' for n in range(records)))
        load(database, branch, path, MAPPED)
        return branch

    return add_branch


def record_nos(conn: psycopg.Connection, branch: Branch) -> list[int]:
    rows = conn.execute(
        "SELECT record_no FROM branch.records WHERE branch_id = %s ORDER BY record_no", (branch.branch_id,)
    )
    return [row[0] for row in rows]


def refuse(conn: psycopg.Connection, numbers: Sequence[int], reason: str, field: str = "name", run: UUID = RUN) -> None:
    refusals = [Refusal(number, reason, field, "seen") for number in numbers]
    assert judgements.refuse(conn, refusals, run_id=run, rules="1.1") == len(refusals)


@pytest.fixture
def shops(add_branch: Callable[..., Branch], conn: psycopg.Connection) -> Branch:
    """20 records: the first 7 refused for two reasons, one of these resolved since; and a branch beside it."""
    branch, other = add_branch("shops", 20), add_branch("others", 3)
    numbers = record_nos(conn, branch)
    refuse(conn, numbers[:4], "missing_field")
    refuse(conn, numbers[4:7], "no_such_date", "updated_at")
    refuse(conn, record_nos(conn, other), "missing_field")
    judgements.resolve(conn, numbers[:1], resolution="accepted", run_id=RUN)
    return branch


def test_pages_of_rejects_follow_one_another_without_gap(shops: Branch, conn: psycopg.Connection) -> None:
    found: list[rejects.Reject] = []
    while page := rejects.list_rejects(conn, shops.branch_id, after=found[-1].reject_id if found else 0, limit=4):
        found += page
    assert [reject.record_no for reject in found] == record_nos(conn, shops)[1:7]
    assert {reject.run_id for reject in found} == {RUN}
    assert found[0].payload == '{"id":1,"name":"of shops"}'


def test_rejects_are_listed_by_reason_and_with_the_resolved_ones(shops: Branch, conn: psycopg.Connection) -> None:
    assert len(rejects.list_rejects(conn, shops.branch_id, reason="missing_field")) == 3
    assert len(rejects.list_rejects(conn, shops.branch_id, reason="missing_field", resolved=True)) == 4
    assert rejects.list_rejects(conn, shops.branch_id, reason="none") == []


def test_rejects_are_counted_by_reason_and_field(shops: Branch, conn: psycopg.Connection) -> None:
    counted = [(c.reason, c.field, c.rejects) for c in rejects.count_by_reason(conn, shops.branch_id)]
    assert counted == [("missing_field", "name", 3), ("no_such_date", "updated_at", 3)]
    assert rejects.count_open(conn, shops.branch_id) == 6


def test_a_list_shows_the_beginning_of_a_large_record_and_an_export_all_of_it(
    shops: Branch, conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rejects, "SHOWN_CHARACTERS", 5)
    shown = rejects.list_rejects(conn, shops.branch_id, limit=1)[0]
    assert (shown.payload, shown.payload_bytes) == ('{"id"', 26)
    whole = next(rejects.iterate(conn, shops.branch_id))
    assert (whole.payload, whole.payload_bytes) == ('{"id":1,"name":"of shops"}', 26)


@pytest.mark.parametrize(("rows", "size"), [(1_000, 4_000_000), (2, 4_000_000), (1_000, 1), (1_000, 60)])
def test_an_export_gives_each_reject_once_however_few_fit_at_a_time(
    shops: Branch, conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, rows: int, size: int
) -> None:
    monkeypatch.setattr(rejects, "EXPORT_ROWS", rows)
    monkeypatch.setattr(rejects, "EXPORT_BYTES", size)
    exported = list(rejects.iterate(conn, shops.branch_id))
    assert [reject.record_no for reject in exported] == record_nos(conn, shops)[1:7]


def positions(conn: psycopg.Connection) -> dict[int, Any]:
    return {row[0]: row[1] for row in conn.execute("SELECT record_no, changed_xid::text FROM branch.records")}


@pytest.mark.parametrize("batch_rows", [1, 2, 10_000])
def test_replay_moves_the_records_of_open_rejects_of_that_reason_alone(
    database: Database, shops: Branch, conn: psycopg.Connection, batch_rows: int
) -> None:
    before = positions(conn)
    assert mark_for_replay(database, shops, reason="missing_field", batch_rows=batch_rows) == 3
    after = positions(conn)
    assert [number for number in before if before[number] != after[number]] == record_nos(conn, shops)[1:4]
    assert all(int(after[number]) >= int(before[number]) for number in before)
    marked = conn.execute("SELECT record_no FROM branch.rejects WHERE rules = '' ORDER BY 1").fetchall()
    assert [row[0] for row in marked] == record_nos(conn, shops)[1:4]


def test_replay_without_a_reason_marks_all_open_rejects_of_the_branch(
    database: Database, shops: Branch, conn: psycopg.Connection
) -> None:
    assert mark_for_replay(database, shops) == 6
    assert mark_for_replay(database, shops) == 6
    untouched = conn.execute("SELECT count(*) FROM branch.rejects WHERE rules <> ''").fetchone()
    assert untouched == (4,)


def test_replay_of_a_branch_that_is_being_loaded_says_so(
    database: Database, shops: Branch, conn: psycopg.Connection
) -> None:
    with conn.transaction():
        store.lock(conn, shops.branch_id)
        with pytest.raises(SourceError, match="by another process"):
            mark_for_replay(database, shops)


def tables(conn: psycopg.Connection) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, query in {
        "branches": "SELECT count(*) FROM branch.branches",
        "loads": "SELECT count(*) FROM branch.loads",
        "records": "SELECT count(*) FROM branch.records",
        "rejects": "SELECT count(*) FROM branch.rejects",
        "items": "SELECT count(*) FROM core.items",
        "tasks": "SELECT count(*) FROM queue.tasks",
        "checkpoints": "SELECT count(*) FROM ops.checkpoints",
    }.items():
        row = conn.execute(query.encode()).fetchone()
        assert row is not None
        found[name] = row[0]
    return found


MAKE_ITEMS = """
INSERT INTO core.items (item_id, branch_id, record_key, name, source_version, payload_hash, content_hash, rules, run_id,
    first_seen_at, last_changed_at)
SELECT record_no, branch_id, record_key, 'name', 1, payload_hash, payload_hash, '1.1', gen_random_uuid(), now(), now()
FROM branch.records
"""
MAKE_TASKS = "INSERT INTO queue.tasks (type, subject_id, model_version) SELECT 'embed', item_id, 'm' FROM core.items"
MAKE_CHECKPOINTS = """
INSERT INTO ops.checkpoints (job, scope, format, position, run_id, fence, batch_no)
SELECT 'ingest-branch', slug, 1, '{}', gen_random_uuid(), 1, 1 FROM branch.branches
"""


@pytest.fixture
def ingested(shops: Branch, conn: psycopg.Connection) -> Branch:
    for statement in (MAKE_ITEMS, MAKE_TASKS, MAKE_CHECKPOINTS):
        conn.execute(statement)
    return shops


@pytest.mark.parametrize("batch_rows", [1, 7, 5_000])
def test_removal_takes_all_that_is_the_branchs_and_nothing_else(
    database: Database, ingested: Branch, conn: psycopg.Connection, batch_rows: int
) -> None:
    removed = removal.remove(database, ingested, batch_rows=batch_rows)
    assert removed == Removed(records=20, items=20, rejects=7, tasks=20)
    assert tables(conn) == {
        "branches": 1, "loads": 1, "records": 3, "rejects": 3, "items": 3, "tasks": 3, "checkpoints": 1
    }  # fmt: skip
    assert store.get(conn, "shops") is None
    assert store.get(conn, "others") is not None


def test_an_activated_branch_is_not_removed(database: Database, ingested: Branch, conn: psycopg.Connection) -> None:
    store.set_active(conn, ingested.branch_id, active=True)
    before = tables(conn)
    with pytest.raises(SourceError, match="is activated") as raised:
        removal.remove(database, ingested)
    assert "deactivate" in raised.value.hint
    assert tables(conn) == before


def test_a_branch_with_a_live_run_is_not_removed_until_its_lock_is_free(
    database: Database, ingested: Branch, conn: psycopg.Connection
) -> None:
    conn.execute(
        "INSERT INTO ops.locks (lock_key, job, scope, run_id, host) "
        "VALUES (-123456789012345, 'ingest-branch', 'shops', gen_random_uuid(), 'vm1')"
    )
    before = tables(conn)
    with database.connect() as guard, guard.transaction():
        guard.execute("SELECT pg_catalog.pg_advisory_xact_lock(-123456789012345)")
        with pytest.raises(SourceError, match="on vm1 is at work"):
            removal.remove(database, ingested)
    assert tables(conn) == before
    assert removal.remove(database, ingested).records == 20


def test_a_removal_that_was_cut_short_is_continued(
    database: Database, ingested: Branch, conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(rejects, "delete_batch", stop)
        with pytest.raises(KeyboardInterrupt):
            removal.remove(database, ingested)
    assert store.get(conn, "shops") is not None
    assert removal.remove(database, ingested) == Removed(records=20, items=0, rejects=7, tasks=0)
