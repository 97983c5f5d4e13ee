"""The ingest over records that a test writes: what becomes of them, and what is never written."""

import json
import random
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import LiteralString

import psycopg
import pytest
from psycopg import sql

from bench_ingest import Ingest, NewSource, Source, brief
from jobctl.db.connection import Database
from jobctl.errors import SourceError
from jobctl.jobs.ingest_branch import pages
from jobctl.jobs.ingest_branch.batch import Batch
from jobctl.jobs.ingest_branch.writer import Progress
from jobctl.runtime.outcome import Outcome
from jobctl.runtime.run import Run

HASH = "SELECT coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') FROM {} AS t"


def adds_up(outcome: Outcome) -> bool:
    counts = outcome.counts
    return counts["read"] == sum(counts[n] for n in ("inserted", "updated", "unchanged", "rejected", "skipped"))


def contents(conn: psycopg.Connection) -> dict[str, str]:
    """A hash of every table's rows."""
    tables = conn.execute(
        "SELECT schemaname, tablename FROM pg_catalog.pg_tables"
        " WHERE schemaname IN ('branch', 'core', 'ops', 'queue') ORDER BY 1, 2"
    ).fetchall()
    found: dict[str, str] = {}
    for schema, table in tables:
        row = conn.execute(sql.SQL(HASH).format(sql.Identifier(schema, table))).fetchone()
        assert row is not None
        found[f"{schema}.{table}"] = row[0]
    return found


RUNS_SESSIONS = """
SELECT FROM pg_catalog.pg_stat_activity
WHERE datname = current_database() AND application_name ~ '/(read|write)$'
"""


def writes_to_items(conn: psycopg.Connection) -> tuple[int, int, int]:
    """Once the run's sessions are gone: each gives its counts when it ends, which it does after its client went on."""
    until = time.monotonic() + 10
    while time.monotonic() < until and conn.execute(RUNS_SESSIONS).fetchone() is not None:
        time.sleep(0.02)
    row = conn.execute(
        "SELECT n_tup_ins, n_tup_upd, n_tup_del FROM pg_catalog.pg_stat_user_tables"
        " WHERE schemaname = 'core' AND relname = 'items'"
    ).fetchone()
    assert row is not None
    return row


def test_new_records_become_items_and_each_queues_one_embedding(source: Source, ingest: Ingest) -> None:
    for key in "abc":
        source.place(key)
    outcome = ingest()
    assert brief(outcome) == {"read": 3, "inserted": 3, "enqueued": 3}
    items = source.items()
    assert items["a"]["name"] == "Place a"
    assert items["a"]["country"] == "CH"
    assert items["a"]["geo_cell"]
    assert {key: item["content_hash"] for key, item in items.items()} == source.waiting_tasks()


def test_second_run_reads_nothing_and_says_so(source: Source, ingest: Ingest) -> None:
    source.place("a")
    ingest()
    outcome = ingest()
    assert brief(outcome) == {}
    assert outcome.notes == ["nothing new"]


def test_full_run_over_unchanged_records_writes_not_one_row(
    source: Source, ingest: Ingest, conn: psycopg.Connection
) -> None:
    for number in range(300):
        source.place(f"k{number:03}")
    source.place("bad", lat=95)
    ingest()
    before, tables = writes_to_items(conn), contents(conn)
    outcome = ingest(full=True, batch_size=50)
    assert brief(outcome) == {"read": 301, "unchanged": 300, "rejected": 1}
    assert writes_to_items(conn) == before
    after = contents(conn)
    assert {table for table in tables if tables[table] != after[table]} <= {"ops.checkpoints", "ops.locks"}


def test_changed_record_updates_its_item_and_supersedes_the_waiting_task(source: Source, ingest: Ingest) -> None:
    source.place("a")
    source.place("b")
    ingest()
    first = source.items()["a"]
    source.place("a", name="Renamed")
    assert brief(ingest()) == {"read": 1, "updated": 1, "enqueued": 1}
    second = source.items()["a"]
    assert (second["name"], second["first_seen_at"]) == ("Renamed", first["first_seen_at"])
    assert isinstance(first["last_changed_at"], datetime)
    assert isinstance(second["last_changed_at"], datetime)
    assert second["last_changed_at"] > first["last_changed_at"]
    assert second["run_id"] != first["run_id"]
    assert source.waiting_tasks()["a"] == second["content_hash"]


def test_change_in_an_unmapped_field_is_unchanged_and_queues_nothing(source: Source, ingest: Ingest) -> None:
    source.place("a")
    ingest()
    before = source.items()["a"]
    source.place("a", note="new")
    assert brief(ingest()) == {"read": 1, "unchanged": 1}
    after = source.items()["a"]
    assert after["last_changed_at"] == before["last_changed_at"]
    # The payload's hash is kept, so that the next full run need not judge it again.
    assert after["payload_hash"] != before["payload_hash"]
    assert brief(ingest(full=True)) == {"read": 1, "unchanged": 1}


def test_older_version_never_overwrites_a_newer_one(source: Source, ingest: Ingest) -> None:
    source.place("a", version=5, name="New")
    ingest()
    source.place("a", version=4, name="Old")
    assert brief(ingest()) == {"read": 1, "skipped": 1}
    assert source.items()["a"]["name"] == "New"


BAD = {
    "nul": '{"id": "nul", "name": "a\\u0000b"}',
    "surrogate": '{"id": "surrogate", "name": "\\ud800"}',
    "nan": '{"id": "nan", "name": "x", "lat": NaN, "lon": 1}',
    "infinity": '{"id": "infinity", "name": "x", "lat": Infinity, "lon": 1}',
    "digits": '{"id": "digits", "name": "x", "lat": ' + "9" * 5000 + ', "lon": 1}',
    "deep": '{"id": "deep", "name": ' + "[" * 10_000 + "]" * 10_000 + "}",
    "type": '{"id": "type", "name": ["x"]}',
    "no-id": '{"name": "x"}',
    "no-json": "id;name",
    "range": '{"id": "range", "name": "x", "lat": 95, "lon": 200}',
    "swapped": '{"id": "swapped", "name": "x", "lat": 139.7, "lon": 35.7}',
}


def test_bad_records_are_kept_with_their_reason_and_take_no_good_one_along(
    source: Source, ingest: Ingest, conn: psycopg.Connection
) -> None:
    for number in range(200):
        source.place(f"good{number}")
    for key, payload in BAD.items():
        source.put(key, payload)
    outcome = ingest(batch_size=64, degraded_reject_share=0.5)
    assert adds_up(outcome)
    assert brief(outcome) == {"read": 211, "inserted": 200, "rejected": len(BAD), "enqueued": 200}
    assert set(source.open_rejects()) == set(BAD)
    kept = dict(conn.execute("SELECT record_key, payload FROM branch.rejects").fetchall())
    assert kept == BAD


def test_huge_record_is_rejected_without_passing_through_the_worker(
    source: Source, ingest: Ingest, conn: psycopg.Connection
) -> None:
    source.place("good")
    conn.execute(
        "INSERT INTO branch.records (branch_id, record_key, payload, payload_hash, source_version, load_id)"
        " SELECT %s, 'huge', '{\"id\": \"huge\", \"name\": \"' || repeat('x', 50000000) || '\"}', md5('h')::uuid, 1, 1",
        (source.branch_id,),
    )
    outcome = ingest(degraded_reject_share=1)
    assert brief(outcome) == {"read": 2, "inserted": 1, "rejected": 1, "enqueued": 1}
    assert source.open_rejects() == {"huge": "too_large"}
    row = conn.execute("SELECT octet_length(payload) FROM branch.rejects").fetchone()
    assert row is not None
    assert row[0] > 50_000_000


def test_pages_end_where_their_payloads_reach_the_memory_limit(
    source: Source, ingest: Ingest, database: Database, conn: psycopg.Connection
) -> None:
    for number in range(40):
        source.place(f"k{number:02}", note="x" * 10_000)
    with database.connect() as reading:
        reader = pages.Reader(database, reading, source.branch_id, "r", 1000, 100_000, 1_000_000)
        position = pages.START
        sizes: list[int] = []
        while page := reader.next_page(position, look_ahead=False):
            position = page.end
            sizes.append(len(page.to_judge))
    assert sum(sizes) == 40
    assert max(sizes) < 10
    assert min(sizes) >= 1


def test_record_larger_than_the_limit_does_not_let_the_page_pass_over_those_before_it(
    source: Source, database: Database
) -> None:
    """Its own size, equal to the sum of what came before, must not look like the first of a page."""
    for key in "abc":
        source.put(key, '{"id": "%s", "name": "%s"}' % (key, "x" * (900 - 23)))  # noqa: UP031 - braces
    source.put("d", "y" * 2_700)
    sizes = source.conn.execute("SELECT payload_bytes FROM branch.records ORDER BY record_no").fetchall()
    assert sizes == [(900,), (900,), (900,), (2_700,)]
    with database.connect() as reading:
        reader = pages.Reader(database, reading, source.branch_id, "r", 100, 2_000, 1_000)
        first = reader.next_page(pages.START, look_ahead=False)
        assert first is not None
        assert [row[1] for row in first.to_judge] == ["a", "b"]
        second = reader.next_page(first.end, look_ahead=False)
        assert second is not None
        assert [row[1] for row in second.to_judge] == ["c", "d"]


def test_branch_restored_from_another_cluster_is_read_again(source: Source, ingest: Ingest) -> None:
    for key in "abc":
        source.place(key)
    ingest()
    source.place("d")
    # What a dump brings along: positions that this cluster has not reached.
    source.conn.execute("UPDATE branch.records SET changed_xid = '4000000000'::xid8")
    source.conn.execute('UPDATE ops.checkpoints SET position = position || \'{"xid": "4000000000"}\'')
    with pytest.raises(SourceError, match="another PostgreSQL"):
        ingest(dry_run=True)
    assert brief(ingest()) == {"read": 4, "inserted": 1, "unchanged": 3, "enqueued": 1}
    assert "restored_branch_adopted" in ingest.events
    source.place("e")
    assert brief(ingest()) == {"read": 1, "inserted": 1, "enqueued": 1}


def test_mapped_field_is_missed_also_when_the_first_pages_need_no_judging(source: Source, ingest: Ingest) -> None:
    for number in range(30):
        source.place(f"k{number:02}")
    ingest()
    source.conn.execute("UPDATE branch.records SET payload = replace(payload, '\"city\"', '\"town\"')")
    source.place("new", city=None)
    source.conn.execute("UPDATE branch.records SET payload = replace(payload, '\"city\"', '\"town\"')")
    with pytest.raises(SourceError, match="city"):
        ingest(full=True, batch_size=10)


def test_rejected_record_that_is_mended_becomes_an_item_and_its_reject_is_closed(
    source: Source, ingest: Ingest, conn: psycopg.Connection
) -> None:
    source.place("a", lat=95)
    assert brief(ingest(degraded_reject_share=1)) == {"read": 1, "rejected": 1}
    source.place("a", lat=46)
    assert brief(ingest()) == {"read": 1, "inserted": 1, "enqueued": 1}
    assert source.open_rejects() == {}
    assert conn.execute("SELECT resolution FROM branch.rejects").fetchall() == [("accepted",)]


def test_item_stays_as_it_was_while_its_newer_record_is_rejected(source: Source, ingest: Ingest) -> None:
    source.place("a", name="Good")
    ingest()
    source.place("a", name="")
    assert brief(ingest(degraded_reject_share=1)) == {"read": 1, "rejected": 1}
    assert source.items()["a"]["name"] == "Good"
    assert set(source.open_rejects()) == {"a"}


def test_rejects_above_the_share_make_the_run_degraded(source: Source, ingest: Ingest) -> None:
    for number in range(8):
        source.place(f"k{number}")
    for number in range(2):
        source.place(f"bad{number}", lat=95)
    outcome = ingest(degraded_reject_share=0.1)
    assert outcome.degraded
    assert "20.0%" in outcome.notes[0]


def test_withdrawn_record_leaves_a_tombstone_and_cancels_its_waiting_task(source: Source, ingest: Ingest) -> None:
    for number in range(20):
        source.place(f"k{number:02}")
    ingest()
    source.withdraw("k00")
    assert brief(ingest()) == {"withdrawn": 1}
    items = source.items()
    assert items["k00"]["withdrawn_at"] is not None
    assert len(items) == 20
    assert "k00" not in source.waiting_tasks()
    source.place("k00")
    assert brief(ingest()) == {"read": 1, "updated": 1, "enqueued": 1}
    assert source.items()["k00"]["withdrawn_at"] is None


def test_withdrawing_too_many_at_once_is_refused_before_anything_is_written(
    source: Source, ingest: Ingest, conn: psycopg.Connection
) -> None:
    for number in range(20):
        source.place(f"k{number:02}")
    ingest()
    for number in range(10):
        source.withdraw(f"k{number:02}")
    before = contents(conn)
    with pytest.raises(SourceError, match="10 of 20 items"):
        ingest()
    after = contents(conn)
    assert {table for table in before if before[table] != after[table]} == {"ops.locks"}
    assert brief(ingest(max_withdraw_share=1.0)) == {"withdrawn": 10}


def test_rows_committed_late_are_neither_lost_nor_read_twice(
    source: Source, ingest: Ingest, database: Database
) -> None:
    """A transaction draws its number, a later one commits first, and the run comes in between."""
    with database.connect() as late:
        late.execute("BEGIN")
        late.execute(
            "INSERT INTO branch.records (branch_id, record_key, payload, payload_hash, source_version, load_id)"
            ' VALUES (%s, \'late\', \'{"id": "late", "name": "Late"}\', md5(\'x\')::uuid, 1, 1)',
            (source.branch_id,),
        )
        source.place("early")  # commits with a higher number
        first = ingest()
        assert brief(first) == {}
        assert "wait behind a transaction" in first.notes[1]
        late.execute("COMMIT")
    assert brief(ingest()) == {"read": 2, "inserted": 2, "enqueued": 2}
    assert brief(ingest()) == {}


def test_run_waits_a_moment_for_a_transaction_that_is_just_ending(
    source: Source, ingest: Ingest, database: Database
) -> None:
    with database.connect() as late:
        late.execute("BEGIN")
        late.execute("SELECT pg_current_xact_id()")
        source.place("a")
        timer = threading.Timer(0.5, lambda: late.execute("COMMIT"))
        timer.start()
        outcome = ingest()
        timer.join()
    assert brief(outcome) == {"read": 1, "inserted": 1, "enqueued": 1}


def test_dry_run_counts_what_the_run_would_do_and_changes_no_row_of_any_table(
    source: Source, ingest: Ingest, conn: psycopg.Connection
) -> None:
    for number in range(60):
        source.place(f"k{number:02}")
    source.place("bad", lat=95)
    ingest()
    source.place("k01", name="Changed")
    source.place("k02", note="unmapped")
    source.place("bad", lat=1)
    source.place("k03", country=5)
    source.place("new")
    source.withdraw("k04")
    before = contents(conn)
    dry = ingest(dry_run=True, batch_size=2)
    assert contents(conn) == before
    wet = ingest(batch_size=2)
    assert dict(dry.counts) == dict(wet.counts)
    assert adds_up(wet)
    assert contents(conn) != before


def test_change_of_the_field_map_judges_every_record_again(source: Source, ingest: Ingest) -> None:
    for key in "ab":
        source.place(key, title=f"Title {key}")
    ingest()
    source.remap({**source_map(source), "name": "title"})
    assert brief(ingest()) == {"read": 2, "updated": 2, "enqueued": 2}
    assert source.items()["a"]["name"] == "Title a"


def source_map(source: Source) -> dict[str, str]:
    row = source.conn.execute("SELECT field_map FROM branch.branches").fetchone()
    assert row is not None
    return row[0]


def test_mapped_field_that_no_record_has_is_named_before_anything_is_written(source: Source, ingest: Ingest) -> None:
    source.place("a")
    source.remap({**source_map(source), "url": "website"})
    with pytest.raises(SourceError, match="website"):
        ingest()
    assert source.items() == {}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ("UPDATE branch.branches SET active = false", "not activated"),
        ("UPDATE branch.branches SET loaded_at = NULL", "never loaded"),
        ("UPDATE branch.branches SET loaded_at = now() - interval '3 days', expected_freshness = '1 day'", "3d ago"),
        ("DELETE FROM branch.branches", "no branch"),
    ],
)
def test_source_that_cannot_be_read_is_refused_with_the_way_out(
    source: Source, ingest: Ingest, conn: psycopg.Connection, change: LiteralString, text: str
) -> None:
    source.place("a")
    conn.execute(change)
    with pytest.raises(SourceError, match=text) as raised:
        ingest()
    assert "jobctl branch" in raised.value.hint
    assert source.items() == {}


def test_max_age_overrules_the_expected_freshness(source: Source, ingest: Ingest, conn: psycopg.Connection) -> None:
    source.place("a")
    conn.execute("UPDATE branch.branches SET loaded_at = now() - interval '3 days', expected_freshness = '1 day'")
    assert brief(ingest(max_age=timedelta(days=4)))["inserted"] == 1


def test_stopped_run_keeps_its_batches_and_the_next_goes_on_after_them(
    source: Source, ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jobctl.errors import Interrupted
    from jobctl.jobs.ingest_branch import writer

    for number in range(50):
        source.place(f"k{number:02}")
    written = 0
    real = writer.write

    def stop_after_two(
        run: Run, conn: psycopg.Connection, batch: Batch, before: Progress, *, model_version: str
    ) -> Progress:
        nonlocal written
        progress = real(run, conn, batch, before, model_version=model_version)
        written += 1
        if written == 2:
            run.stop.request(Interrupted("SIGTERM ended the run", signal_number=15))
        return progress

    monkeypatch.setattr(writer, "write", stop_after_two)
    with pytest.raises(Interrupted):
        ingest(batch_size=10)
    kept = len(source.items())
    assert kept in (20, 30)
    monkeypatch.setattr(writer, "write", real)
    assert brief(ingest(batch_size=10)) == {"read": 50 - kept, "inserted": 50 - kept, "enqueued": 50 - kept}


def test_random_histories_end_as_one_full_run_over_the_last_state_would(
    source: Source, ingest: Ingest, conn: psycopg.Connection
) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    keys = [f"k{number:02}" for number in range(30)]
    for _ in range(12):
        for key in rng.sample(keys, rng.randint(0, 12)):
            match rng.randrange(5):
                case 0:
                    source.place(key, lat=rng.choice([95, "x", None]))
                case 1 if rng.random() < 0.3:
                    source.withdraw(key)
                case _:
                    source.place(key, name=f"Name {rng.randrange(4)}")
        outcome = ingest(full=rng.random() < 0.3, batch_size=rng.randint(1, 15), max_withdraw_share=1.0,
                         degraded_reject_share=1)  # fmt: skip
        assert adds_up(outcome)
    live = {key: item for key, item in source.items().items() if item["withdrawn_at"] is None}
    records = conn.execute("SELECT record_key, payload, withdrawn_at FROM branch.records").fetchall()
    for key, payload, withdrawn_at in records:
        right = isinstance(json.loads(payload)["lat"], float | int) and json.loads(payload)["lat"] < 90
        if withdrawn_at is not None:
            assert key not in live
            assert key not in source.open_rejects()
        elif right:
            assert live[key]["name"] == json.loads(payload)["name"]
            assert key not in source.open_rejects()
        else:
            assert key in source.open_rejects()
    assert {key: item["content_hash"] for key, item in live.items()} == source.waiting_tasks()


def test_page_query_reads_a_range_of_an_index_however_large_the_tables(
    source: Source, ingest: Ingest, database: Database, conn: psycopg.Connection
) -> None:
    conn.execute(
        "INSERT INTO branch.records (branch_id, record_key, payload, payload_hash, source_version, load_id)"
        ' SELECT %s, \'k\' || n, \'{"id": "k\' || n || \'", "name": "x"}\', md5(n::text)::uuid, 1, 1'
        " FROM generate_series(1, 20000) AS n",
        (source.branch_id,),
    )
    conn.execute("ANALYZE")
    with database.connect() as reading, database.transaction(reading):
        reading.execute(pages.NESTED_LOOPS)
        reader = pages.Reader(database, reading, source.branch_id, "r", 100, 1_000_000, 1_000_000)
        for statement in (pages.PAGE, pages.STRETCH):
            parameters = {**reader._parameters(pages.START), "stretch": 1000}
            plan = reading.execute(sql.SQL("EXPLAIN {}").format(statement), parameters).fetchall()
            text = "\n".join(row[0] for row in plan)
            assert "records_by_change" in text
            assert "Seq Scan" not in text
            assert "Hash" not in text


def test_branches_do_not_touch_each_other(make_source: NewSource, ingest: Ingest) -> None:
    one, two = make_source("one"), make_source("two")
    one.place("a", name="One")
    two.place("a", name="Two")
    assert brief(ingest("one"))["inserted"] == 1
    assert two.items() == {}
    assert brief(ingest("two"))["inserted"] == 1
    assert (one.items()["a"]["name"], two.items()["a"]["name"]) == ("One", "Two")
    first_seen_at = one.items()["a"]["first_seen_at"]
    assert isinstance(first_seen_at, datetime)
    assert datetime.now(UTC) > first_seen_at


def test_database_of_the_run_is_left_without_open_transactions(
    source: Source, ingest: Ingest, database: Database
) -> None:
    source.place("a")
    ingest()
    with database.connect() as conn:
        row = conn.execute(
            "SELECT count(*) FROM pg_catalog.pg_stat_activity"
            " WHERE datname = current_database() AND state LIKE 'idle in transaction%'"
        ).fetchone()
    assert row == (0,)
