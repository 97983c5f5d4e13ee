"""Loads into a real PostgreSQL: all or nothing, only what differs, in bounded memory."""

import gzip
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from jobctl.branches import load as load_module
from jobctl.branches import store
from jobctl.branches.branch import Branch, Definition
from jobctl.branches.load import Mapped, load
from jobctl.branches.load_report import LoadReport
from jobctl.branches.readers import Format
from jobctl.db.connection import Database
from jobctl.errors import DataError, SourceError

Record = Mapping[str, object]


def key_of(payload: str) -> str | None:
    try:
        found: object = json.loads(payload)["id"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return str(found) if isinstance(found, str | int) else None


def version_of(payload: str) -> int | None:
    try:
        return int(datetime.fromisoformat(json.loads(payload)["updated_at"]).timestamp() * 1_000_000)
    except (ValueError, LookupError, TypeError):
        return None


BY_KEY = Mapped(key_of)
BY_KEY_AND_VERSION = Mapped(key_of, version_of)


@pytest.fixture
def branch(conn: psycopg.Connection) -> Branch:
    added = store.insert(conn, Definition("shops", "Shops", {"record_id": "id", "name": "name"}))
    assert added is not None
    return added


@pytest.fixture
def load_records(database: Database, branch: Branch, tmp_path: Path) -> Callable[..., LoadReport]:
    def load_records(
        records: Iterable[Record | str], *, mapped: Mapped = BY_KEY, full: bool = False, **options: Any
    ) -> LoadReport:
        path = tmp_path / "records.ndjson"
        lines = (record if isinstance(record, str) else json.dumps(record) for record in records)
        path.write_text("".join(line + "\n" for line in lines))
        return load(database, branch, path, mapped, full=full, **options)

    return load_records


def shops(*numbers: int, name: str = "shop") -> list[Record]:
    return [{"id": number, "name": name} for number in numbers]


def table(conn: psycopg.Connection) -> dict[str, dict[str, Any]]:
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute("SELECT *, ctid::text, xmin::text FROM branch.records").fetchall()
    return {row["record_key"]: row for row in rows}


def names(conn: psycopg.Connection) -> dict[str, str]:
    return {key: json.loads(row["payload"])["name"] for key, row in table(conn).items() if row["withdrawn_at"] is None}


def counts(report: LoadReport) -> dict[str, int]:
    fields = ("rows", "inserted", "updated", "unchanged", "duplicates", "stale", "withdrawn")
    found = {field: getattr(report, field) for field in fields}
    assert found["rows"] == sum(found[field] for field in fields[1:-1])
    return {field: number for field, number in found.items() if number}


def test_first_load_inserts_every_record(load_records: Callable[..., LoadReport], conn: psycopg.Connection) -> None:
    report = load_records(shops(1, 2, 3))
    assert counts(report) == {"rows": 3, "inserted": 3}
    assert names(conn) == {"1": "shop", "2": "shop", "3": "shop"}


@pytest.mark.parametrize(("known", "total"), [(0, 2_000), (1, 20), (3, 40), (400, 2_000)])
def test_new_records_are_numbered_in_the_order_of_the_file(
    load_records: Callable[..., LoadReport], conn: psycopg.Connection, known: int, total: int
) -> None:
    if known:
        load_records(shops(*range(known)))
    order = random.Random(7).sample(range(total), total)
    load_records(shops(*order))
    found = conn.execute("SELECT record_key::integer FROM branch.records ORDER BY record_no OFFSET %s", (known,))
    assert [row[0] for row in found] == [number for number in order if number >= known]


def test_loading_the_same_file_twice_writes_no_tuple(
    load_records: Callable[..., LoadReport], conn: psycopg.Connection
) -> None:
    records = [*shops(1, 2, 3), "not json", "not json", *shops(2)]
    load_records(records)
    before = table(conn)
    report = load_records(records, full=True)
    assert counts(report) == {"rows": 6, "unchanged": 4, "duplicates": 2}
    assert table(conn) == before
    conn.execute("SELECT pg_catalog.pg_stat_force_next_flush()")
    written = conn.execute(
        "SELECT n_tup_ins, n_tup_upd, n_tup_del FROM pg_catalog.pg_stat_all_tables "
        "WHERE relid = 'branch.records'::regclass"
    ).fetchone()
    assert written == (4, 0, 0)


def test_changed_records_alone_are_written_and_move_to_a_new_change_position(
    load_records: Callable[..., LoadReport], conn: psycopg.Connection
) -> None:
    load_records(shops(1, 2, 3))
    before = table(conn)
    report = load_records([*shops(1), *shops(2, name="renamed"), *shops(3, 4)])
    assert counts(report) == {"rows": 4, "inserted": 1, "updated": 1, "unchanged": 2}
    after = table(conn)
    assert after["1"] == before["1"]
    assert after["3"] == before["3"]
    assert json.loads(after["2"]["payload"])["name"] == "renamed"
    assert after["2"]["record_no"] == before["2"]["record_no"]
    assert int(after["2"]["changed_xid"]) > int(before["2"]["changed_xid"])
    assert after["2"]["changed_xid"] == after["4"]["changed_xid"]
    assert after["2"]["load_id"] == report.load_id
    assert after["2"]["changed_at"] > before["2"]["changed_at"]
    assert after["2"]["first_loaded_at"] == before["2"]["first_loaded_at"]


def test_the_last_of_several_records_of_one_key_stays(
    load_records: Callable[..., LoadReport], conn: psycopg.Connection
) -> None:
    report = load_records([*shops(1, name="a"), *shops(2), *shops(1, name="b"), *shops(1, name="c")])
    assert counts(report) == {"rows": 4, "inserted": 2, "duplicates": 2}
    assert names(conn) == {"1": "c", "2": "shop"}


def dated(number: int, day: str, name: str) -> Record:
    return {"id": number, "name": name, "updated_at": f"2026-01-{day}T00:00:00+00:00"}


def test_an_older_version_never_replaces_a_newer_one(
    load_records: Callable[..., LoadReport], conn: psycopg.Connection
) -> None:
    load_records([dated(1, "10", "a"), dated(2, "10", "a"), dated(3, "10", "a")], mapped=BY_KEY_AND_VERSION)
    report = load_records(
        [dated(1, "09", "old"), dated(2, "10", "same day"), dated(3, "11", "new")], mapped=BY_KEY_AND_VERSION
    )
    assert counts(report) == {"rows": 3, "updated": 2, "stale": 1}
    assert names(conn) == {"1": "a", "2": "same day", "3": "new"}
    assert table(conn)["3"]["source_version"] == version_of(json.dumps(dated(3, "11", "new")))


def test_the_newest_of_several_versions_in_one_file_stays_wherever_it_stands(
    load_records: Callable[..., LoadReport], conn: psycopg.Connection
) -> None:
    load_records([dated(1, "10", "new"), dated(1, "09", "old")], mapped=BY_KEY_AND_VERSION)
    assert names(conn) == {"1": "new"}


def test_a_record_whose_version_is_unreadable_is_applied_and_its_version_never_falls(
    load_records: Callable[..., LoadReport], conn: psycopg.Connection
) -> None:
    load_records([dated(1, "10", "a")], mapped=BY_KEY_AND_VERSION)
    report = load_records([{"id": 1, "name": "b", "updated_at": "yesterday"}], mapped=BY_KEY_AND_VERSION)
    assert counts(report) == {"rows": 1, "updated": 1}
    assert counts(load_records([dated(1, "09", "c")], mapped=BY_KEY_AND_VERSION)) == {"rows": 1, "stale": 1}


def test_a_date_of_the_far_future_does_not_keep_later_versions_out(
    load_records: Callable[..., LoadReport], conn: psycopg.Connection
) -> None:
    load_records([{"id": 1, "name": "a", "updated_at": "9999-01-01T00:00:00+00:00"}], mapped=BY_KEY_AND_VERSION)
    assert counts(load_records([dated(1, "10", "b")], mapped=BY_KEY_AND_VERSION)) == {"rows": 1, "updated": 1}


def test_without_versions_the_later_load_counts_as_newer(
    load_records: Callable[..., LoadReport], conn: psycopg.Connection
) -> None:
    first = load_records(shops(1, name="a"))
    second = load_records(shops(1, name="b"))
    assert table(conn)["1"]["source_version"] == second.load_id > first.load_id


def test_full_load_withdraws_what_is_missing_and_brings_back_what_reappears(
    load_records: Callable[..., LoadReport], conn: psycopg.Connection
) -> None:
    load_records(shops(*range(20)))
    before = table(conn)
    report = load_records(shops(*range(18)), full=True)
    assert counts(report) == {"rows": 18, "unchanged": 18, "withdrawn": 2}
    after = table(conn)
    assert {key for key, row in after.items() if row["withdrawn_at"]} == {"18", "19"}
    assert int(after["18"]["changed_xid"]) > int(before["18"]["changed_xid"])
    assert after["0"] == before["0"]

    again = load_records(shops(*range(18)), full=True)
    assert counts(again) == {"rows": 18, "unchanged": 18}
    assert table(conn) == after

    back = load_records(shops(18))
    assert counts(back) == {"rows": 1, "updated": 1}
    assert table(conn)["18"]["withdrawn_at"] is None
    assert int(table(conn)["18"]["changed_xid"]) > int(after["18"]["changed_xid"])


def test_a_load_that_is_not_full_withdraws_nothing(
    load_records: Callable[..., LoadReport], conn: psycopg.Connection
) -> None:
    load_records(shops(1, 2, 3))
    assert counts(load_records(shops(1))) == {"rows": 1, "unchanged": 1}
    assert set(names(conn)) == {"1", "2", "3"}


def test_full_load_that_would_withdraw_more_than_the_share_is_refused(
    load_records: Callable[..., LoadReport], conn: psycopg.Connection
) -> None:
    load_records(shops(*range(100)))
    before = table(conn)
    with pytest.raises(DataError, match="21 of 100 live records") as raised:
        load_records(shops(*range(79), 100), full=True)
    assert "--max-withdraw-share" in raised.value.hint
    assert table(conn) == before
    assert load_records(shops(*range(80)), full=True).withdrawn == 20
    assert load_records(shops(*range(10)), full=True, max_withdraw_share=1.0).withdrawn == 70


def test_a_branch_of_fewer_than_ten_records_is_not_guarded(load_records: Callable[..., LoadReport]) -> None:
    load_records(shops(*range(9)))
    assert load_records(shops(0), full=True).withdrawn == 8


def test_full_load_of_a_file_without_records_is_refused(
    database: Database,
    branch: Branch,
    load_records: Callable[..., LoadReport],
    tmp_path: Path,
    conn: psycopg.Connection,
) -> None:
    load_records(shops(1))
    path = tmp_path / "empty.csv"
    path.write_text("id,name\n")
    with pytest.raises(DataError, match="no records"):
        load(database, branch, path, BY_KEY, full=True, max_withdraw_share=1.0)
    assert load(database, branch, path, BY_KEY).rows == 0
    assert set(names(conn)) == {"1"}


NASTY = [
    '{"id":"nul","name":"a\0b"}',
    '{"id":"escaped nul","name":"a\\u0000b"}',
    '{"id":"surrogate","name":"\\ud800"}',
    '{"id":"nan","x":NaN}',
    '{"id":"digits","x":' + "9" * 5_000 + "}",
    '{"id":"deep","x":' + "[" * 10_000 + "]" * 10_000 + "}",
    '{"id":"tab\\tnewline\\n","name":"back\\\\slash"}',
    '{"id":"a\\u0000"}',
    '{"id":"\\ud800"}',
    '{"id":"' + "k" * 5_000 + '"}',
    '{"id":{"not":"text"}}',
    "{}",
    "[]",
    "not json",
    "\\N",
    "\\.",
]


def test_nasty_records_are_kept_each_for_itself(
    load_records: Callable[..., LoadReport], conn: psycopg.Connection
) -> None:
    report = load_records([*shops(1), *NASTY, *shops(2)])
    assert report.inserted == len(NASTY) + 2
    rows = table(conn)
    assert {"1", "2", "nul", "escaped nul", "surrogate", "nan", "tab\tnewline\n"} <= set(rows)
    assert json.loads(rows["nul"]["payload"])["name"] == "a\0b"
    assert report.without_key == sum(key.startswith("#") for key in rows) >= 8
    assert {row["payload"] for row in rows.values()} >= {"not json", "\\N", "\\.", "[]", "{}"}


def test_bytes_that_are_no_utf8_take_no_record_along(
    database: Database, branch: Branch, tmp_path: Path, conn: psycopg.Connection
) -> None:
    path = tmp_path / "latin.csv"
    path.write_bytes(b"id,name\n1,caf\xe9\n2,plain\n")
    assert load(database, branch, path, BY_KEY).inserted == 2
    assert names(conn)["2"] == "plain"


@pytest.mark.slow
def test_a_record_of_fifty_megabytes_is_kept(database: Database, branch: Branch, tmp_path: Path) -> None:
    path = tmp_path / "large.ndjson"
    path.write_bytes(b'{"id":1,"name":"a"}\n{"id":2,"name":"' + b"x" * 50_000_000 + b'"}\n{"id":3,"name":"c"}\n')
    assert load(database, branch, path, BY_KEY).inserted == 3
    with database.connect() as conn:
        found = conn.execute("SELECT payload_bytes FROM branch.records ORDER BY record_no").fetchall()
    assert [size for (size,) in found] == [19, 50_000_018, 19]


def test_a_file_that_is_cut_leaves_the_branch_as_it_was(
    database: Database,
    branch: Branch,
    load_records: Callable[..., LoadReport],
    tmp_path: Path,
    conn: psycopg.Connection,
) -> None:
    load_records(shops(*range(50)))
    before = table(conn)
    loads = store.recent_loads(conn, branch.branch_id)
    text = "".join(json.dumps(record) + "\n" for record in shops(*range(20_000), name="other"))
    path = tmp_path / "cut.ndjson.gz"
    path.write_bytes(gzip.compress(text.encode())[:-100])
    with pytest.raises(DataError, match="cut"):
        load(database, branch, path, BY_KEY, full=True)
    assert table(conn) == before
    assert store.recent_loads(conn, branch.branch_id) == loads


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_a_load_that_is_stopped_leaves_the_branch_as_it_was(
    load_records: Callable[..., LoadReport], conn: psycopg.Connection, error: type[BaseException]
) -> None:
    load_records(shops(1))
    before = table(conn)

    def stop(progress: object) -> None:
        raise error

    with pytest.raises(error):
        load_records(shops(*range(5_000), name="other"), progress=stop)
    assert table(conn) == before


def test_a_killed_load_leaves_the_branch_as_it_was_and_keeps_no_lock(
    database: Database, branch: Branch, load_records: Callable[..., LoadReport], conn: psycopg.Connection
) -> None:
    load_records(shops(1))
    before = table(conn)
    program = (
        "import sys\n"
        "from jobctl.branches import store\n"
        "from jobctl.branches.load import Mapped, load\n"
        "from jobctl.db.connection import Database\n"
        "database = Database(sys.argv[1], 'killed')\n"
        "with database.connect() as conn: branch = store.require(conn, 'shops')\n"
        "told = lambda progress: print(progress.rows, flush=True)\n"
        "load(database, branch, '-', Mapped(lambda payload: payload), progress=told)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, database.dsn], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("".join(f'{{"id":{n}}}\n' for n in range(100_000)).encode())
        process.stdin.flush()
        assert process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    assert table(conn) == before
    assert load_records(shops(1, 2)).inserted == 1


def test_dry_run_counts_what_a_run_would_do_and_writes_nothing(
    database: Database, branch: Branch, load_records: Callable[..., LoadReport], conn: psycopg.Connection
) -> None:
    load_records(shops(*range(20)))
    before, loads = table(conn), store.recent_loads(conn, branch.branch_id)
    loaded_at = store.require(conn, "shops").loaded_at
    wanted = [*shops(*range(10)), *shops(*range(10, 18), name="other"), *shops(30)]
    dry = load_records(wanted, full=True, dry_run=True)
    assert table(conn) == before
    assert store.recent_loads(conn, branch.branch_id) == loads
    assert store.require(conn, "shops").loaded_at == loaded_at
    assert counts(load_records(wanted, full=True)) == counts(dry)


def test_each_load_is_accounted_for(
    branch: Branch, load_records: Callable[..., LoadReport], conn: psycopg.Connection
) -> None:
    report = load_records([*shops(1, 2), *shops(2)], full=True)
    (row,) = store.recent_loads(conn, branch.branch_id)
    assert (row.load_id, row.rows, row.inserted, row.duplicates) == (report.load_id, 3, 2, 1)
    assert (row.format, row.full_load, row.bytes) == ("ndjson", True, report.bytes)
    assert Path(row.source).name == "records.ndjson"
    assert store.require(conn, "shops").loaded_at is not None


def test_branches_do_not_touch_each_others_records(
    database: Database, load_records: Callable[..., LoadReport], conn: psycopg.Connection, tmp_path: Path
) -> None:
    load_records(shops(*range(20)))
    other = store.insert(conn, Definition("others", "Others", {"record_id": "id"}))
    assert other is not None
    path = tmp_path / "others.json"
    path.write_text(json.dumps(shops(0, 1, name="theirs")))
    report = load(database, other, path, BY_KEY, full=True)
    assert counts(report) == {"rows": 2, "inserted": 2}
    held = conn.execute(
        "SELECT branch_id, count(*) FROM branch.records WHERE withdrawn_at IS NULL GROUP BY 1"
    ).fetchall()
    assert sorted(held) == [(1, 20), (2, 2)]


def test_a_load_waits_for_another_of_the_same_branch(
    database: Database, branch: Branch, load_records: Callable[..., LoadReport], conn: psycopg.Connection
) -> None:
    done: list[LoadReport] = []
    with conn.transaction():
        store.lock(conn, branch.branch_id)
        waiting = threading.Thread(target=lambda: done.append(load_records(shops(1))))
        waiting.start()
        with database.connect() as watcher:
            waits = "SELECT FROM pg_catalog.pg_stat_activity WHERE wait_event_type = 'Lock'"
            while waiting.is_alive() and not watcher.execute(waits).rowcount:
                time.sleep(0.01)
        assert not done
    waiting.join()
    assert done[0].inserted == 1


def test_a_load_that_waits_too_long_says_for_what(
    branch: Branch, load_records: Callable[..., LoadReport], conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load_module, "LOCK_MS", 100)
    with conn.transaction():
        store.lock(conn, branch.branch_id)
        with pytest.raises(SourceError, match="being loaded, replayed or removed by another process"):
            load_records(shops(1))


def test_a_load_notices_that_the_definition_was_changed_meanwhile(
    branch: Branch, load_records: Callable[..., LoadReport], conn: psycopg.Connection
) -> None:
    store.update(conn, Definition("shops", "Shops", {"record_id": "code"}), schema_version=branch.schema_version)
    with pytest.raises(SourceError, match="was changed meanwhile"):
        load_records(shops(1))


def test_mapped_fields_that_the_first_records_lack_are_told(load_records: Callable[..., LoadReport]) -> None:
    seen: list[int] = []

    def missing_in(payloads: Iterable[str]) -> list[str]:
        sample = list(payloads)
        seen.append(len(sample))
        return [] if any("name" in payload for payload in sample) else ["name"]

    mapped = Mapped(key_of, None, missing_in)
    assert load_records([{"id": n} for n in range(500)], mapped=mapped).missing_fields == ("name",)
    assert load_records(shops(1), mapped=mapped).missing_fields == ()
    assert seen == [100, 1]


def test_progress_tells_rows_and_bytes(load_records: Callable[..., LoadReport]) -> None:
    told: list[load_module.Progress] = []
    report = load_records(shops(*range(2_500)), progress=told.append)
    assert [progress.rows for progress in told] == [1_000, 2_000, 2_500]
    assert told[-1].bytes_read == told[-1].bytes_total == report.bytes


def test_the_planner_knows_the_table_after_a_large_load(
    load_records: Callable[..., LoadReport], conn: psycopg.Connection
) -> None:
    load_records(shops(*range(10_000)))
    row = conn.execute("SELECT reltuples FROM pg_catalog.pg_class WHERE oid = 'branch.records'::regclass").fetchone()
    assert row == (10_000.0,)


MEMORY_PROGRAM = """
import resource, sys
from jobctl.branches import store
from jobctl.branches.load import Mapped, load
from jobctl.branches.readers import Format
from jobctl.db.connection import Database
database = Database(sys.argv[1], "memory")
with database.connect() as conn:
    branch = store.require(conn, "shops")
report = load(database, branch, "-", Mapped(lambda payload: payload[6:20]), fmt=Format.ndjson)
print(report.rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.usefixtures("branch")
def test_memory_does_not_grow_with_the_file(database: Database) -> None:
    def peak_kb(rows: int) -> int:
        with subprocess.Popen(
            [sys.executable, "-c", MEMORY_PROGRAM, database.dsn],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            filler = "x" * 500
            for start in range(0, rows, 1_000):
                lines = (f'{{"id":{n:012},"name":"{filler}"}}\n' for n in range(start, start + 1_000))
                process.stdin.write("".join(lines).encode())
            process.stdin.close()
            told, peak = process.stdout.read().split()
        assert int(told) == rows
        return int(peak)

    small, large = peak_kb(5_000), peak_kb(60_000)
    assert large < small + 6_000  # the file is 32 MB


@pytest.mark.parametrize("fmt", list(Format))
def test_every_format_gives_the_same_records(
    database: Database, branch: Branch, tmp_path: Path, conn: psycopg.Connection, fmt: Format
) -> None:
    content = {
        Format.csv: "id,name\n1,a\n2,b\n",
        Format.ndjson: '{"id":"1","name":"a"}\n{"id":"2","name":"b"}\n',
        Format.json: '[{"id":"1","name":"a"},\n {"id":"2","name":"b"}]\n',
    }[fmt]
    path = tmp_path / f"records.{fmt}.gz"
    path.write_bytes(gzip.compress(content.encode()))
    assert load(database, branch, path, BY_KEY).format == fmt
    assert names(conn) == {"1": "a", "2": "b"}
