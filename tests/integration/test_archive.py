"""Rows that leave the database are in a whole file first, come back as they were, and keep nobody waiting."""

import errno
import json
import os
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from bench_archive import SEED, SMALL, Archiver, add_run, as_text, seed
from bench_retry import DAY, Queue, RetryFailed
from jobctl.archives import checking, files, store
from jobctl.archives.failures import ArchiveError
from jobctl.archives.lines import columns_of, type_of
from jobctl.archives.restoring import Restored, restore
from jobctl.archives.rows import Asked, Table, prepare
from jobctl.archives.sources import SOURCES, Source
from jobctl.archives.store import Archive
from jobctl.db.connection import Database
from jobctl.errors import Interrupted, LockLost
from jobctl.jobs.report.filing import Filing

OTHERS = {f"archived_{kind}": 3 for kind in ("loads", "rejects", "incidents", "attempts", "payloads")}


@pytest.fixture
def archiver(database: Database, conn: psycopg.Connection, tmp_path: Path) -> Archiver:
    return Archiver(database, conn, tmp_path / "archive")


def put_back(archiver: Archiver, archive: Archive, *, dry_run: bool = False, path: Path | None = None) -> Restored:
    """As the command does it."""

    def begin() -> None:
        assert dry_run or store.restored(archiver.conn, archive.archive_id)

    return restore(archiver.database, archiver.conn, path or archive.path, archive, begin=begin, dry_run=dry_run)


def rows_counted(counts: Mapping[str, int]) -> dict[str, int]:
    return {name: number for name, number in counts.items() if number and name.startswith("archived")}


def test_what_is_past_goes_into_files_and_comes_back_to_the_byte(archiver: Archiver) -> None:
    seed(archiver.conn)
    tables = [source.table for source in SOURCES]
    before, texts = archiver.table_rows(), {table: as_text(archiver.conn, table) for table in tables}
    foreseen = archiver(dry_run=True, file_rows=40)
    assert archiver.table_rows() == before and not archiver.files() and not archiver.archives()

    done = archiver(file_rows=40)
    assert done == foreseen and not done.notes
    expected = {"archived_events": 150, "archived_runs": 20, **OTHERS}
    assert rows_counted(done.counts) == {"archived": sum(expected.values()), **expected}
    assert done.counts["archive_files"] == 4 + 6
    assert archiver.table_rows() + archiver.file_rows() == before
    archives = archiver.archives()
    assert {each.state for each in archives} == {"complete"}
    assert sum(each.bytes for each in archives) == done.counts["archive_bytes"]
    assert len(archiver.files()) == 2 * len(archives)
    assert {(archiver.directory / name).stat().st_mode & 0o777 for name in archiver.files()} == {0o600}
    assert archiver.directory.stat().st_mode & 0o777 == 0o700
    for each in archives:
        told_of = checking.check(each.path, each)
        assert each.path.name.startswith(f"{each.table_name}.") and told_of.rows == each.rows
        assert each.first_at is not None and f"{each.first_at:%Y%m%d}" in each.path.name
    again = archiver()
    assert again.counts["archived"] == 0 and len(archiver.files()) == 2 * len(archives)

    for each in archives:
        assert put_back(archiver, each, dry_run=True).restored == each.rows
    assert archiver.table_rows() + archiver.file_rows() == before
    for each in archives:
        assert put_back(archiver, each) == Restored(each.table_name, each.rows, each.rows, 0, 0, ())
        assert put_back(archiver, each).unchanged == each.rows
    assert {table: as_text(archiver.conn, table) for table in tables} == texts

    # What was put back stays for a while, and then leaves by the files that hold it already.
    assert archiver().counts["archived"] == 0
    kept = archiver.files()
    later = archiver(now=datetime.now(UTC) + timedelta(days=31))
    assert later.counts["archived"] >= sum(expected.values())
    assert {each.state for each in archiver.archives()} == {"complete"} and set(kept) <= set(archiver.files())
    assert max(archiver.file_rows().values()) == 1


def test_what_is_open_or_spoken_of_never_goes(archiver: Archiver) -> None:
    conn, old = archiver.conn, datetime(2020, 1, 1, tzinfo=UTC)
    going = add_run(conn, "sync", old, status="running")
    in_incident, in_slot, covered, past = (add_run(conn, "sync", old + timedelta(hours=n)) for n in range(1, 5))
    conn.execute(
        "WITH i AS (INSERT INTO ops.incidents (cause, severity, title, opened_at, last_seen_at, realert_every_s)"
        " VALUES ('c', 'warning', 'T', now(), now(), 60) RETURNING incident_id) INSERT INTO ops.alerts (incident_id,"
        " condition, subject, title, run_id, occurrences, first_seen_at, last_seen_at)"
        " SELECT incident_id, 'run-failed', 's', 'T', %s, 1, now(), now() FROM i",
        (in_incident,),
    )
    conn.execute(
        "INSERT INTO ops.slots (job, slot_at, slot_local, verdict, host, run_id, covered_by_run_id)"
        " VALUES ('sync', now() - interval '14 days', '', 'ran', 'h', %s, %s)",
        (in_slot, covered),
    )
    for run_id in (going, in_incident, in_slot, covered, past):
        conn.execute(
            "INSERT INTO ops.sync_events (run_id, job, level, event) VALUES (%s, 'sync', 'info', 'e')", (run_id,)
        )
    for nth in range(10):
        add_run(conn, "sync", datetime.now(UTC) - timedelta(minutes=nth))
    done = archiver()
    assert rows_counted(done.counts) == {"archived": 2, "archived_runs": 1, "archived_events": 1}
    left = {row[0] for row in conn.execute("SELECT run_id FROM ops.job_history").fetchall()}
    assert {going, in_incident, in_slot, covered} <= left and past not in left
    # A talkative job: what open runs said stays however much it is, the rest goes by its number alone.
    conn.execute(
        "INSERT INTO ops.sync_events (run_id, job, level, event)"
        " SELECT %s, 'sync', 'info', 'e' FROM generate_series(1, 300)",
        (in_slot,),
    )
    assert archiver().counts["archived_events"] == 202
    said = {row[0] for row in conn.execute("SELECT DISTINCT run_id FROM ops.sync_events").fetchall()}
    assert said == {going, in_incident, in_slot}


ODD = """
CREATE TABLE ops.odd (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz, plain timestamp, day date,
    span interval, exact numeric, short numeric(12, 3), double double precision, single real, is_so boolean,
    bytes bytea, said text, fixed char(5), words text[], grid numeric[], times timestamptz[], doc jsonb, raw json,
    who uuid, net inet, letter "char", place point, twice bigint GENERATED ALWAYS AS (id * 2) STORED)
"""
VALUES: dict[str, list[str | None]] = {
    "at": ["2026-10-25 01:30:00.000001+02", "infinity", "-infinity", "0044-03-15 00:00:00+00 BC", "20000-01-01 00:00Z"],
    "plain": ["infinity", "1900-01-01 00:00:00.123456"],
    "day": ["infinity", "5874897-12-31", "4713-01-01 BC"],
    "span": ["-1 year 2 mons -3 days 04:05:06.000007", "00:00:00"],
    "exact": ["NaN", "Infinity", "-Infinity", "1e-100", f"{10**60 + 1}.000000000000000000000000010", "0.00"],
    "short": ["-0.001", "999999999.999"],
    "double": ["NaN", "Infinity", "-0", "5e-324", "1.7976931348623157e308", "0.1"],
    "single": ["NaN", "3.4028235e38", "1e-45", "0.1"],
    "is_so": ["true", "false"],
    "bytes": ["\\x", "\\x00ff0a5c22", "\\x" + "0a" * 1_000],
    "said": [
        "", "null", 'a "quote" and a \\ back', "line\nbreak\r\t\x01\x7f", "\u2028\u2029\ufeff",
        "𝒳 é é \U0010ffff", "{}", "'; --", "%(x)s %",
    ],
    "fixed": ["a", "     "],
    "words": ["{}", '{NULL,"NULL","","a,b","c\\"d"}', "[0:1]={a,b}", "{{a,b},{c,d}}"],
    "grid": ["{NaN,1.10,NULL}", "{{1,2},{3,4}}"],
    "times": ['{infinity,"2026-01-01 00:00:00.5+00"}'],
    "doc": [
        "null", "true", '"text"', "1e400", "1.10", "[]", "{}", '{"$jsonb": null}', '{"$jsonb": {"a": 1}, "b": 2}',
        '{"a": {"$jsonb": "x"}}', "[null]", json.dumps({"k": "x" * 1_000_000}), '{"": "\\u00e9 \\\\ \\" \\n"}',
    ],
    "raw": ['{"b": 1,  "a": 1, "b": 2}', "null", "[1,\n 2]"],
    "who": ["00000000-0000-0000-0000-000000000000"],
    "net": ["192.168.0.0/24", "::1"],
    "letter": ["x"],
    "place": ["(0.1,-1e300)"],
}  # fmt: skip


def test_every_value_that_a_column_can_hold_comes_back_as_it_was(conn: psycopg.Connection) -> None:
    conn.execute(ODD)
    conn.execute("INSERT INTO ops.odd DEFAULT VALUES")
    for name, values in VALUES.items():
        statement = sql.SQL("INSERT INTO ops.odd ({}) SELECT unnest(%s::text[])::{}")
        column = next(each for each in columns_of(conn, "ops.odd") if each.name == name)
        for value in values:
            conn.execute(statement.format(sql.Identifier(name), type_of(column)), ([value],))
    before = as_text(conn, "ops.odd")
    table = Table(Source("events", "ops.odd", ("id",), ("id",), "at", "true"), columns_of(conn, "ops.odd"))
    # However the session would have it: a line has one form.
    conn.execute("SET datestyle TO 'German'; SET intervalstyle TO 'iso_8601'; SET extra_float_digits TO -5")
    conn.execute("SET bytea_output TO 'escape'; SET timezone TO 'Asia/Kathmandu'")
    with conn.transaction():
        prepare(conn, statement_ms=60_000)
        lines = [*table.read(conn, Asked({}), most=10_000)]
    assert len(lines) == len(before) and not any("\n" in line for line in lines)
    with conn.transaction():
        prepare(conn)
        assert table.other(conn, lines) == 0 and table.put(conn, lines) == 0
        assert table.delete(conn, lines) == len(lines) and table.missing(conn, lines[:3]) == ["1", "2", "3"]
    with conn.transaction():
        prepare(conn)
        assert table.put(conn, lines) == len(lines) and not table.missing(conn, lines)
    for name in ("datestyle", "intervalstyle", "extra_float_digits", "bytea_output"):
        conn.execute(sql.SQL("RESET {}").format(sql.Identifier(name)))
    conn.execute("SET timezone TO 'UTC'")
    assert as_text(conn, "ops.odd") == before


def test_a_row_that_was_changed_meanwhile_stays_and_goes_with_the_next_run(
    archiver: Archiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed(archiver.conn, events=0)
    written = store.written

    def changed_meanwhile(conn: psycopg.Connection, *rest: Any) -> None:
        written(conn, *rest)
        with archiver.database.connect() as other:
            other.execute("UPDATE ops.job_history SET notes = '[\"late\"]' WHERE duration_ms = 3")

    monkeypatch.setattr(store, "written", changed_meanwhile)
    done = archiver()
    assert done.counts["archived_runs"] == 19 and "1 rows of ops.job_history were changed" in done.notes[0]
    monkeypatch.undo()
    assert archiver().counts["archived_runs"] == 1


def test_nobody_waits_for_it_and_it_waits_for_nobody_long(archiver: Archiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """While its deletes are not committed others insert, change and delete; a row that they hold is left for later."""
    seed(archiver.conn)
    delete, conn = Table.delete, archiver.conn
    inserted = 0
    with archiver.database.connect() as other:
        other.execute("SET lock_timeout TO '200ms'")

        def delete_beside_others(self: Table, mine: psycopg.Connection, lines: list[str]) -> int:
            nonlocal inserted
            gone = delete(self, mine, lines)
            other.execute(
                "INSERT INTO ops.sync_events (run_id, job, level, event) VALUES (%s, 'sync', 'info', 'beside')",
                (add_run(other, "beside", datetime.now(UTC)),),
            )
            inserted += 1
            return gone

        monkeypatch.setattr(Table, "delete", delete_beside_others)
        with archiver.database.connect() as holder, holder.transaction():
            holder.execute("SELECT FROM ops.sync_events WHERE event_id = 7 FOR UPDATE")
            done = archiver()
        assert any("held by another session" in note for note in done.notes) and inserted >= 5
        assert [each.state for each in archiver.archives() if each.table_name == "ops.sync_events"] == ["written"]
        assert archiver().counts["archived_events"] >= 150
    assert max(archiver.file_rows().values()) == 1
    row = conn.execute("SELECT count(*) FROM ops.sync_events WHERE event = 'beside'").fetchone()
    assert row == (inserted,)


def test_rows_that_come_in_beside_it_are_neither_lost_nor_doubled(archiver: Archiver) -> None:
    seed(archiver.conn, events=3_000)
    over, added = threading.Event(), 0

    def insert() -> None:
        nonlocal added
        with archiver.database.connect() as other:
            while not over.is_set():
                other.execute(
                    "INSERT INTO ops.sync_events (run_id, job, level, event)"
                    " SELECT gen_random_uuid(), 'sync', 'info', 'added' FROM generate_series(1, 5)"
                )
                added += 5

    thread = threading.Thread(target=insert)
    thread.start()
    try:
        for _ in range(3):
            archiver(file_rows=700)
    finally:
        over.set()
        thread.join()
    both = archiver.table_rows() + archiver.file_rows()
    assert max(both.values()) == 1
    assert sum(each.startswith("ops.sync_events ") for each in both) == 3_000 + added


def test_it_stops_between_two_batches_and_the_next_run_goes_on(archiver: Archiver) -> None:
    seed(archiver.conn, events=5_100)
    before = archiver.table_rows()
    archiver.stop.request(Interrupted("stop", signal_number=15))
    with pytest.raises(Interrupted):
        archiver()
    archiver.stop = type(archiver.stop)()
    archiver(until=-1.0)
    assert archiver.table_rows() == before
    assert archiver(file_bytes=50_000).counts["archive_files"] > 20
    assert archiver.table_rows() + archiver.file_rows() == before


def test_what_another_run_is_at_is_left_to_it_and_what_a_dead_one_left_is_taken(archiver: Archiver) -> None:
    seed(archiver.conn, events=200, runs=0)
    with archiver.run(job="archive") as other:
        assert other.grant is not None
        archiver.conn.execute(
            "INSERT INTO ops.job_history (run_id, job, correlation_id, status, host, os_user, supervisor_pid, version,"
            " command) VALUES (%s, 'archive', '', 'running', 'h', 'u', 1, '0', 'jobctl')",
            (other.run_id,),
        )
        holder = store.Holder(other.run_id, other.grant.lock_key, other.grant.fence)
        mine = store.begin(archiver.conn, "ops.sync_events", holder, host="elsewhere", directory=archiver.directory)
        assert mine is not None
        done = archiver()
        assert done.counts["archived_events"] == 0 and "another run archives ops.sync_events" in done.notes[0]
        archiver.conn.execute("UPDATE ops.job_history SET status = 'abandoned', finished_at = now()")
    assert archiver().counts["archived_events"] == 100
    left = [each for each in store.unsettled(archiver.conn) if each.archive_id == mine]
    assert [each.state for each in left] == ["discarded"]  # what lies on the other host is its own to remove


def test_a_half_deleted_archive_of_a_host_that_is_gone_is_told_and_its_rows_are_left_alone(
    archiver: Archiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed(archiver.conn, runs=0)

    def dies(self: Table, conn: psycopg.Connection, lines: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(Table, "delete", dies)
    with pytest.raises(KeyboardInterrupt):
        archiver()
    monkeypatch.undo()
    away = archiver.directory.rename(archiver.directory.with_name("away"))
    archiver.conn.execute("UPDATE ops.archives SET host = 'gone'")
    done = archiver()
    assert done.counts["archived_events"] == 0 and "written on gone" in done.notes[0] and "is missing" in done.notes[0]
    for each in away.iterdir():
        each.rename(archiver.directory / each.name)
    assert archiver().counts["archived_events"] == 150 and max(archiver.file_rows().values()) == 1


def damaged(archive: Archive, how: str) -> Path:
    path = archive.path
    beside = files.manifest_path(path)
    content = path.read_bytes()
    told_of: dict[str, Any] = json.loads(beside.read_text())
    if how == "missing":
        path.unlink()
    elif how == "cut":
        path.write_bytes(content[:-20])
    elif how == "byte":
        path.write_bytes(content[:50] + bytes([content[50] ^ 1]) + content[51:])
    elif how == "no manifest":
        beside.unlink()
    elif how == "other manifest":
        beside.write_text(json.dumps({**told_of, "rows": 1}))
    elif how == "format":
        beside.write_text(json.dumps({**told_of, "format": 2}))
    elif how == "junk":
        beside.write_bytes(b"\xff\x00 no manifest")
    elif how == "way out":
        beside.write_text(json.dumps({**told_of, "file": "../../etc/passwd"}))
    return path


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("missing", "is missing"),
        ("cut", "bytes, and had"),
        ("byte", "was changed: its sha-256"),
        ("no manifest", "is missing"),
        ("other manifest", "says that rows is 1, and the database 150"),
        ("format", "is of format 2, and this version reads format 1"),
        ("junk", "cannot be used"),
        ("way out", "is no name of a file"),
    ],
)
def test_what_is_wrong_with_an_archive_is_named_and_nothing_is_restored(
    archiver: Archiver, how: str, said: str
) -> None:
    seed(archiver.conn, runs=0)
    archiver()
    archive = next(each for each in archiver.archives() if each.table_name == "ops.sync_events")
    path = damaged(archive, how)
    before = archiver.table_rows()
    with pytest.raises(ArchiveError, match=said):
        checking.check(path, archive)
    with pytest.raises(ArchiveError, match=said):
        put_back(archiver, archive)
    assert archiver.table_rows() == before


def test_a_file_that_does_not_fit_its_manifest_or_the_tables_of_today_is_refused(archiver: Archiver) -> None:
    """Also one whose manifest was made to fit a damaged file, without the database that would know better."""
    seed(archiver.conn, runs=0)
    archiver()
    archive = next(each for each in archiver.archives() if each.table_name == "branch.loads")
    beside = files.manifest_path(archive.path)
    told_of: dict[str, Any] = json.loads(beside.read_text())

    def refused(said: str, **changes: Any) -> None:
        beside.write_text(json.dumps({**told_of, **changes}))
        with pytest.raises(ArchiveError, match=said):
            restore(archiver.database, archiver.conn, archive.path, None, begin=lambda: None, dry_run=False)

    refused("written under schema 999", schema=999)
    refused("has 3 rows, and its manifest says 4", rows=4)
    refused("does not begin and end", first={"load_id": 99})
    refused("which this version does not archive", table="ops.locks")
    columns: list[dict[str, str]] = told_of["columns"]
    refused("has not the columns", columns=[*columns, {"name": "more", "type": "text"}])
    refused("load_id of branch.loads is bigint now, and text", columns=[{**columns[0], "type": "text"}, *columns[1:]])
    archiver.conn.execute("ALTER TABLE branch.loads RENAME COLUMN source TO origin")
    refused("has the column source, which branch.loads no longer has")
    archiver.conn.execute("ALTER TABLE branch.loads RENAME COLUMN origin TO source")
    archiver.conn.execute("ALTER TABLE branch.loads ADD COLUMN since text NOT NULL DEFAULT 'new'")
    beside.write_text(json.dumps(told_of))
    done = restore(archiver.database, archiver.conn, archive.path, None, begin=lambda: None, dry_run=False)
    assert done.restored == 3  # a column that came later has its default
    archiver.conn.execute("DELETE FROM branch.loads; DELETE FROM branch.branches")
    refused("what a row .* belongs to is not there any more: .*branch_id")


def test_a_row_whose_place_is_taken_stays_and_is_named(archiver: Archiver) -> None:
    seed(archiver.conn, runs=0)
    archiver()
    archive = next(each for each in archiver.archives() if each.table_name == "ops.incident_events")
    assert archive.first_key is not None
    taken: int = archive.first_key["event_id"]
    archiver.conn.execute(
        "INSERT INTO ops.incident_events (event_id, incident_id, event) OVERRIDING SYSTEM VALUE"
        " VALUES (%s, 1, 'other')",
        (taken,),
    )
    done = put_back(archiver, archive)
    assert (done.restored, done.unchanged, done.conflicts, done.keys) == (2, 0, 1, (str(taken),))
    row = archiver.conn.execute("SELECT event FROM ops.incident_events WHERE event_id = %s", (taken,)).fetchone()
    assert row == ("other",)


def test_the_tries_of_a_task_stay_with_it_and_go_into_files_when_it_is_gone(
    archiver: Archiver, database: Database
) -> None:
    """The hourly retry-failed deletes the task alone; taken out of `takes`, its tries go with it."""
    queue, retry = Queue(archiver.conn), RetryFailed(database, archiver.conn)
    old = queue.task(state="succeeded", ago=15 * DAY, outcomes=("failed", "succeeded"))
    kept = queue.failed(ago=89 * DAY)
    before = archiver.table_rows()
    assert archiver().counts["archived_attempts"] == 0
    done = retry()
    assert (done.counts["pruned"], done.counts["pruned_attempts"]) == (1, 0)
    queue.assert_books_are_in_order()
    assert archiver().counts["archived_attempts"] == 2 and archiver.table_rows() + archiver.file_rows() == before
    assert queue.value("SELECT count(*) FROM queue.attempts WHERE task_id = %(id)s", {"id": kept}) == 5
    [archive] = archiver.archives()
    assert archive.first_key is not None and archive.first_key["task_id"] == old
    assert put_back(archiver, archive).restored == 2
    retry()
    assert archiver.table_rows() == before and archiver().counts["archived"] == 0
    queue.assert_books_are_in_order()

    queue.task(state="succeeded", ago=15 * DAY, outcomes=("succeeded",))
    alone = RetryFailed(database, archiver.conn, archive={"takes": ["events"]})
    assert alone(dry_run=True).counts["pruned_attempts"] == alone().counts["pruned_attempts"] == 1


def test_files_past_their_time_are_deleted_with_their_rows_and_nothing_else(archiver: Archiver) -> None:
    """Only this host's own, and none whose rows are back for a while."""
    seed(archiver.conn, events=300, runs=0)
    archiver.settings = {**SMALL, "takes": ["events", "loads", "rejects"]}
    archiver(file_rows=100)
    old, restored, elsewhere, young = archiver.archives()
    put_back(archiver, restored)
    archiver.conn.execute(
        "UPDATE ops.archives SET written_at = now() - interval '800 days' WHERE archive_id <> %s", (young.archive_id,)
    )
    archiver.conn.execute("UPDATE ops.archives SET host = 'vm9' WHERE archive_id = %s", (elsewhere.archive_id,))
    assert archiver().counts["archive_files_deleted"] == 0 and len(archiver.archives()) == 4, "never, unless it is said"
    archiver.settings = {**archiver.settings, "files_days": 730}
    files_before, rows_before = archiver.files(), archiver.table_rows()
    foreseen = archiver(dry_run=True)
    assert foreseen.counts["archive_files_deleted"] == 1 and archiver.files() == files_before
    assert archiver() == foreseen
    assert [(event, fields["archive_id"]) for event, fields in archiver.events] == [("archive_expired", old.archive_id)]
    assert [each.archive_id for each in archiver.archives()] == [
        each.archive_id for each in (restored, elsewhere, young)
    ]
    gone = {old.path.name, files.manifest_path(old.path).name}
    assert archiver.files() == [name for name in files_before if name not in gone]
    assert archiver.table_rows() == rows_before and archiver().counts["archive_files_deleted"] == 0


def test_an_old_file_that_cannot_be_removed_is_told_and_not_counted_until_it_is(archiver: Archiver) -> None:
    seed(archiver.conn, events=200, runs=0)
    archiver.settings = {**SMALL, "takes": ["events"]}
    archiver(file_rows=1_000)
    (old,) = archiver.archives()
    archiver.conn.execute("UPDATE ops.archives SET written_at = now() - interval '800 days'")
    archiver.settings = {**archiver.settings, "files_days": 730}
    old.path.unlink()
    old.path.mkdir()
    done = archiver()
    assert done.counts["archive_files_deleted"] == 0 and "was given up" in "".join(done.notes)
    old.path.rmdir()
    assert archiver().counts["archive_files_deleted"] == 1 and not archiver.archives()


def test_what_was_done_before_an_error_is_counted(archiver: Archiver, monkeypatch: pytest.MonkeyPatch) -> None:
    seed(archiver.conn)
    begin = Filing.begin

    def full(self: Filing, source: Source) -> int | None:
        if source.kind == "loads":
            raise ArchiveError("no room")
        return begin(self, source)

    monkeypatch.setattr(Filing, "begin", full)
    done = archiver.outcome()
    assert isinstance(done.error, ArchiveError) and done.counts["archived"] == 150 + 20 == len(archiver.file_rows())
    assert done.counts["archive_files"] == 2


def test_a_directory_that_cannot_be_written_to_ends_it_and_nothing_is_deleted(archiver: Archiver) -> None:
    seed(archiver.conn)
    before = archiver.table_rows()
    archiver.directory.write_text("no directory")
    with pytest.raises(ArchiveError, match="the archive cannot write"):
        archiver()
    assert archiver.table_rows() == before and not archiver.archives()
    archiver.directory.unlink()
    assert archiver().counts["archived_events"] == 150


def test_a_file_of_another_database_in_the_same_directory_is_left_as_it_is(archiver: Archiver) -> None:
    archiver.settings = {"takes": ["events"], "keep_events": 100}
    events = SEED[0].encode()
    archiver.conn.execute(events, {"events": 250})
    archiver()
    others = {path.name: path.read_bytes() for path in archiver.directory.iterdir()}
    archiver.conn.execute("TRUNCATE ops.archives, ops.sync_events RESTART IDENTITY")  # as another database begins
    archiver.conn.execute(events, {"events": 250})
    with pytest.raises(ArchiveError, match="lies there already"):
        archiver()
    assert {path.name: path.read_bytes() for path in archiver.directory.iterdir()} == others
    assert sum(archiver.table_rows().values()) == 250
    assert archiver().counts["archived_events"] == 150  # by its next number, which the other does not have


def test_what_another_user_left_unfinished_is_told_and_the_run_goes_on(
    archiver: Archiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed(archiver.conn, runs=0)
    with archiver.run(job="archive") as other:
        assert other.grant is not None
        holder = store.Holder(other.run_id, other.grant.lock_key, other.grant.fence)
        store.begin(archiver.conn, "ops.sync_events", holder, host=other.identity.host, directory=Path("/theirs"))

    remove = files.remove

    def refuses(directory: Path, archive_id: int, file: str | None) -> None:
        if directory == Path("/theirs"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        remove(directory, archive_id, file)

    monkeypatch.setattr(files, "remove", refuses)
    done = archiver()
    assert done.counts["archived_events"] == 150 and "/theirs: Permission denied" in done.notes[0]


def test_a_deposed_run_deletes_nothing_more(archiver: Archiver, monkeypatch: pytest.MonkeyPatch) -> None:
    seed(archiver.conn)
    before = archiver.table_rows()
    delete = Filing.delete

    def deposed(self: Filing, *rest: Any) -> None:
        archiver.conn.execute("UPDATE ops.locks SET fence = fence + 1")
        delete(self, *rest)

    monkeypatch.setattr(Filing, "delete", deposed)
    with pytest.raises(LockLost):
        archiver()
    assert archiver.table_rows() == before
    monkeypatch.undo()
    archiver()
    assert archiver.table_rows() + archiver.file_rows() == before
    assert SMALL["keep_events"] == 100
