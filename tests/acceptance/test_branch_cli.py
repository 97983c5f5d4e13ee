"""`jobctl branch` as an operator uses it: exit codes, streams, tables."""

import csv
import gzip
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from bench_command import Command, command, environment_of

EXAMPLES = Path(__file__).parents[2] / "examples"
MAP = ("--map", "record_id=id", "--map", "name=name")
GOOD = '{"id":1,"name":"one"}\n{"id":2,"name":"two"}\n'
BAD = '{"id":3}\nnot json\n{"id":5,"name":"five","updated_at":"2026-02-30"}\n'


@pytest.fixture
def environment(database_url: str, tmp_path: Path) -> dict[str, str]:
    return environment_of(database_url, tmp_path)


@pytest.fixture
def jobctl(environment: dict[str, str]) -> Command:
    return command(environment)


@pytest.fixture
def shops(jobctl: Command) -> str:
    jobctl("branch", "add", "shops", *MAP)
    return "shops"


def obj(done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    """The one object on stdout; nothing else is there."""
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    assert done.stdout.count("\n") == 1
    return found  # pyright: ignore[reportUnknownVariableType]


# add, list, show -----------------------------------------------------------------------------------------------------


def test_add_registers_a_branch_and_says_what_comes_next(jobctl: Command) -> None:
    done = jobctl("branch", "add", "shops", *MAP, "--title", "Shops", "--country", "DE", "--freshness", "1d")
    assert "jobctl branch load shops FILE" in done.stdout
    shown = obj(jobctl("branch", "show", "shops", "--json"))
    assert (shown["title"], shown["default_country"], shown["expected_freshness_s"]) == ("Shops", "DE", 86_400)
    assert shown["field_map"] == {"record_id": "id", "name": "name"}
    assert (shown["active"], shown["late"], shown["loaded_at"], shown["loads"]) == (False, True, None, [])


def test_adding_the_same_again_changes_nothing_and_another_definition_needs_update(jobctl: Command, shops: str) -> None:
    assert obj(jobctl("branch", "add", shops, *MAP, "--json"))["result"] == "unchanged"
    refused = jobctl("branch", "add", shops, "--map", "name=title", code=2)
    assert "field_map differ" in refused.stderr
    assert "--update" in refused.stderr
    updated = obj(jobctl("branch", "add", shops, "--map", "name=title", "--map", "city=town", "--update", "--json"))
    assert (updated["result"], updated["schema_version"]) == ("updated", 2)
    assert updated["field_map"] == {"record_id": "id", "name": "title", "city": "town"}
    less = obj(jobctl("branch", "add", shops, "--map", "city=", "--title", "Shops", "--update", "--json"))
    assert (less["field_map"], less["title"]) == ({"record_id": "id", "name": "title"}, "Shops")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["Not-A-Slug", *MAP], "is no slug"),
        (["shops"], "record_id"),
        (["shops", *MAP, "--map", "nme=x"], "nme"),
        (["shops", *MAP, "--map", "x"], "maps nothing"),
        (["shops", *MAP, "--country", "Germany"], "country code"),
        (["shops", *MAP, "--freshness", "daily"], "not a duration"),
        (["shops", *MAP, "--max-withdraw-share", "2"], "share"),
        (["shops", "--map-file", "/nonexistent.json"], "cannot read"),
    ],
)
def test_a_wrong_definition_is_refused_in_one_line_and_leaves_nothing(
    jobctl: Command, words: list[str], told: str
) -> None:
    done = jobctl("branch", "add", *words, code=2)
    assert done.stdout == ""
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
    assert obj(jobctl("branch", "list", "--json")) == {"items": [], "next": None}


def test_list_names_the_branches_or_how_to_register_one(jobctl: Command) -> None:
    assert "jobctl branch add" in jobctl("branch", "list").stdout
    jobctl("branch", "add", "shops", *MAP)
    jobctl("branch", "add", "airports", *MAP)
    jobctl("branch", "activate", "shops")
    listed = obj(jobctl("branch", "list", "--json"))
    assert [(item["slug"], item["active"]) for item in listed["items"]] == [("airports", False), ("shops", True)]
    assert [item["slug"] for item in obj(jobctl("branch", "list", "--active", "--json"))["items"]] == ["shops"]
    assert "airports" in jobctl("branch", "list").stdout


@pytest.mark.parametrize(
    "words", [["show"], ["load"], ["activate"], ["deactivate"], ["rejects"], ["replay"], ["remove"]]
)
def test_an_unknown_slug_is_a_usage_error_with_the_nearest_names(
    jobctl: Command, shops: str, tmp_path: Path, words: list[str]
) -> None:
    file = tmp_path / "a.ndjson"
    file.write_text(GOOD)
    done = jobctl("branch", *words, "shpos", *([file] if words == ["load"] else []), code=2)
    assert f"did you mean {shops}?" in done.stderr
    assert "jobctl branch list" in done.stderr
    told = obj(jobctl("branch", *words, "shpos", *([file] if words == ["load"] else []), "--json", code=2))
    assert told["error"]["class"] == "UsageError"


# load ----------------------------------------------------------------------------------------------------------------


def test_load_says_rows_bytes_and_rate_and_a_second_load_that_nothing_changed(
    jobctl: Command, shops: str, tmp_path: Path
) -> None:
    file = tmp_path / "shops.ndjson"
    file.write_text(GOOD)
    first = jobctl("branch", "load", shops, file)
    assert "2 rows, 44 bytes," in first.stdout
    assert "rows/s: 2 new." in first.stdout
    assert first.stderr == ""
    again = obj(jobctl("branch", "load", shops, file, "--full", "--json"))
    assert set(again) == {
        "branch", "load_id", "source", "format", "full", "dry_run", "rows", "bytes", "inserted", "updated", "unchanged",
        "duplicates", "stale", "withdrawn", "without_key", "missing_fields", "duration_ms", "rows_per_s", "warnings",
    }  # fmt: skip
    assert (again["rows"], again["unchanged"], again["bytes"]) == (2, 2, 44)
    loads = obj(jobctl("branch", "show", shops, "--json"))["loads"]
    assert [(load["inserted"], load["unchanged"]) for load in loads] == [(0, 2), (2, 0)]


def test_load_reads_stdin_packed_or_not(jobctl: Command, shops: str) -> None:
    assert obj(jobctl("branch", "load", shops, "-", "--json", stdin=GOOD.encode()))["inserted"] == 2
    packed = gzip.compress(b"id;name\n3;three\n")
    report = obj(jobctl("branch", "load", shops, "-", "--json", stdin=packed))
    assert (report["format"], report["source"], report["inserted"]) == ("csv", "-", 1)


def test_load_warns_of_mapped_fields_that_are_not_there(jobctl: Command, shops: str) -> None:
    done = jobctl("branch", "load", shops, "-", stdin=b'{"id":1,"title":"a"}\n{"x":1}\n')
    assert "mapped fields that none of the first records has: name" in done.stderr
    assert "1 of 2 records have no readable id" in done.stderr


def test_a_cut_file_fails_in_one_line_and_leaves_the_branch_as_it_was(
    jobctl: Command, shops: str, conn: psycopg.Connection
) -> None:
    jobctl("branch", "load", shops, "-", stdin=GOOD.encode())
    before = conn.execute("SELECT *, xmin::text FROM branch.records").fetchall()
    packed = gzip.compress("".join(f'{{"id":{n},"name":"x"}}\n' for n in range(1_000)).encode())
    done = jobctl("branch", "load", shops, "-", "--full", code=1, stdin=packed[:-9])
    assert done.stdout == ""
    assert "cut" in done.stderr
    assert done.stderr.count("\n") == 1
    assert conn.execute("SELECT *, xmin::text FROM branch.records").fetchall() == before


def test_a_full_load_that_withdraws_too_much_names_the_option(jobctl: Command, shops: str) -> None:
    many = "".join(f'{{"id":{n},"name":"x"}}\n' for n in range(100)).encode()
    jobctl("branch", "load", shops, "-", stdin=many)
    done = jobctl("branch", "load", shops, "-", "--full", code=1, stdin=GOOD.encode())
    assert "98 of 100 live records" in done.stderr
    assert "--max-withdraw-share 1" in done.stderr
    allowed = ("branch", "load", shops, "-", "--full", "--max-withdraw-share", "1", "--json")
    dry = obj(jobctl(*allowed, "--dry-run", stdin=GOOD.encode()))
    wet = obj(jobctl(*allowed, stdin=GOOD.encode()))
    assert (dry["withdrawn"], wet["withdrawn"]) == (98, 98)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--format", "xml"], "no format"),
        (["--delimiter", ",,"], "no delimiter"),
        (["--max-withdraw-share", "7"], "share"),
    ],
)
def test_a_wrong_option_of_load_is_a_usage_error(jobctl: Command, shops: str, words: list[str], told: str) -> None:
    assert told in jobctl("branch", "load", shops, "-", *words, code=2, stdin=GOOD.encode()).stderr


def test_a_file_that_is_not_there_is_a_usage_error(jobctl: Command, shops: str, tmp_path: Path) -> None:
    assert "No such file" in jobctl("branch", "load", shops, tmp_path / "none.csv", code=2).stderr


def test_an_interrupted_load_exits_130_and_leaves_the_branch_as_it_was(
    environment: dict[str, str], jobctl: Command, shops: str, conn: psycopg.Connection
) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "jobctl", "branch", "load", shops, "-"],
        env=environment,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write("".join(f'{{"id":{n},"name":"x"}}\n' for n in range(20_000)).encode())
        process.stdin.flush()
        copying = "SELECT FROM pg_catalog.pg_stat_activity WHERE query LIKE '%%COPY pg_temp.staged%%' AND pid <> %s"
        while not conn.execute(copying, (conn.info.backend_pid,)).rowcount:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        told = process.stderr.read().decode()
    assert process.returncode == 130
    assert "is as it was before" in told
    assert conn.execute("SELECT count(*) FROM branch.records").fetchone() == (0,)


# rejects, replay -----------------------------------------------------------------------------------------------------


@pytest.fixture
def refused(jobctl: Command, shops: str) -> str:
    """Two good records and three that ingest refuses."""
    jobctl("branch", "add", shops, "--map", "updated_at=updated_at", "--update")
    jobctl("branch", "load", shops, "-", stdin=(GOOD + BAD).encode())
    jobctl("branch", "activate", shops)
    jobctl("ingest-branch", "--branch", shops, code=3)
    return shops


def test_rejects_are_listed_counted_and_exported(jobctl: Command, refused: str, tmp_path: Path) -> None:
    page = obj(jobctl("branch", "rejects", refused, "--limit", 2, "--json"))
    assert [item["payload"] for item in page["items"]] == BAD.splitlines()[:2]
    rest = obj(jobctl("branch", "rejects", refused, "--after", page["next"], "--json"))
    assert [item["reason"] for item in rest["items"]] == ["no_such_date"]
    assert rest["next"] is None

    counted = obj(jobctl("branch", "rejects", refused, "--by-reason", "--json"))
    assert sorted((item["reason"], item["field"], item["rejects"]) for item in counted["items"]) == [
        ("invalid_json", "", 1),
        ("missing_field", "name", 1),
        ("no_such_date", "updated_at", 1),
    ]
    listed = jobctl("branch", "rejects", refused).stdout
    assert "missing_field" in listed
    assert "not json" in listed

    streamed = jobctl("branch", "rejects", refused, "--export", "-").stdout
    file = tmp_path / "out.ndjson"
    jobctl("branch", "rejects", refused, "--export", file)
    assert file.read_text() == streamed
    assert [json.loads(line)["payload"] for line in streamed.splitlines()] == BAD.splitlines()
    assert file.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.glob(".*.part")] == []


def test_an_export_that_cannot_be_written_is_a_usage_error(jobctl: Command, refused: str) -> None:
    done = jobctl("branch", "rejects", refused, "--export", "/nonexistent/out.ndjson", code=2)
    assert "cannot write" in done.stderr


def test_replay_after_a_fix_brings_the_refused_records_in(jobctl: Command, refused: str) -> None:
    assert obj(jobctl("branch", "replay", refused, "--reason", "invalid_json", "--json"))["marked"] == 1
    again = obj(jobctl("ingest-branch", "--branch", refused, "--json", code=3))
    assert (again["counts"]["read"], again["counts"]["rejected"]) == (1, 1)
    assert len(obj(jobctl("branch", "rejects", refused, "--json"))["items"]) == 3

    jobctl("branch", "add", refused, "--update", "--map", "updated_at=")
    told = jobctl("branch", "replay", refused).stdout
    assert f"jobctl ingest-branch --branch {refused}" in told
    jobctl("ingest-branch", "--branch", refused, code=3)
    left = obj(jobctl("branch", "rejects", refused, "--json"))["items"]
    assert [item["reason"] for item in left] == ["missing_field", "invalid_json"]
    resolved = obj(jobctl("branch", "rejects", refused, "--all", "--reason", "no_such_date", "--json"))["items"]
    assert {item["resolution"] for item in resolved} <= {"accepted", "superseded"}
    assert "accepted" in {item["resolution"] for item in resolved}


# activate, deactivate, remove ----------------------------------------------------------------------------------------


def test_activation_is_told_once_and_harmless_twice(jobctl: Command, shops: str) -> None:
    assert "jobctl branch load shops FILE" in jobctl("branch", "activate", shops).stdout
    assert obj(jobctl("branch", "activate", shops, "--json")) == {"slug": shops, "active": True, "changed": False}
    assert obj(jobctl("branch", "deactivate", shops, "--json")) == {"slug": shops, "active": False, "changed": True}


def test_remove_wants_to_be_sure_and_takes_all_that_is_the_branchs(
    jobctl: Command, refused: str, conn: psycopg.Connection
) -> None:
    assert "--yes" in jobctl("branch", "remove", refused, code=2).stderr
    assert f"jobctl branch deactivate {refused}" in jobctl("branch", "remove", refused, "--yes", code=1).stderr
    jobctl("branch", "deactivate", refused)
    removed = obj(jobctl("branch", "remove", refused, "--yes", "--json"))
    assert removed == {"slug": refused, "removed": {"records": 5, "items": 2, "rejects": 3, "tasks": 2}}
    for table in ("records", "rejects", "loads"):
        assert conn.execute(sql.SQL("SELECT FROM {}").format(sql.Identifier("branch", table))).rowcount == 0
    for schema, table in (("core", "items"), ("queue", "tasks"), ("ops", "checkpoints")):
        assert conn.execute(sql.SQL("SELECT FROM {}").format(sql.Identifier(schema, table))).rowcount == 0


# the example ---------------------------------------------------------------------------------------------------------


def test_the_example_is_what_the_package_has_and_is_small() -> None:
    import airportsdata

    packed = (EXAMPLES / "airports.csv.gz").read_bytes()
    assert len(packed) < 1_000_000
    rows = list(csv.DictReader(gzip.decompress(packed).decode().splitlines()))
    assert len(rows) == 28_298
    assert {row["icao"] for row in rows} <= {"EDDF", *(str(code) for code in airportsdata.load("ICAO"))}
    assert "Copyright (c) 2020- Mike Borsetti" in (EXAMPLES / "README.md").read_text()


def test_the_example_loads_completely(jobctl: Command) -> None:
    jobctl("branch", "add", "airports", "--map-file", EXAMPLES / "airports.map.json")
    report = obj(jobctl("branch", "load", "airports", EXAMPLES / "airports.csv.gz", "--full", "--json"))
    assert (report["rows"], report["inserted"], report["warnings"]) == (28_298, 28_298, [])


@pytest.mark.parametrize(
    "command", ["add", "list", "show", "load", "activate", "deactivate", "rejects", "replay", "remove"]
)
def test_every_command_has_help_with_an_example(jobctl: Command, command: str) -> None:
    told = jobctl("branch", command, "--help").stdout
    assert "Example:" in told
    assert "--json" in told
