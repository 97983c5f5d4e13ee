"""`jobctl db` as an operator runs it: exit codes, both streams, and what is left afterwards."""

import json
import subprocess
import sys
from collections.abc import Generator, Mapping
from typing import Any

import psycopg
import pytest

from bench_postgres import Bench, ask, fresh_bench, is_root
from jobctl.db import embedded
from jobctl.db.migrate import expected_version

UNREACHABLE = "postgresql://someone:canary-pass@127.0.0.1:1/x?sslmode=disable"


def jobctl(*words: str, env: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    """The command in an environment that holds nothing else, as under cron."""
    return subprocess.run(
        [sys.executable, "-m", "jobctl", *words],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", **env},
        stdin=subprocess.DEVNULL,
        cwd="/",
        timeout=90,
    )


def on(bench: Bench) -> dict[str, str]:
    return {"JOBCTL_DATA_DIR": str(bench.data_dir), "JOBCTL_RUN_AS_USER": bench.user, "HOME": "/nonexistent"}


def parsed(done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    assert len(done.stdout.splitlines()) == 1
    said: dict[str, Any] = json.loads(done.stdout)
    return said


@pytest.fixture
def bench() -> Generator[Bench, None, None]:
    with fresh_bench() as fresh:
        yield fresh


@pytest.fixture
def up(bench: Bench) -> Bench:
    bench.start()
    return bench


def test_start_migrate_status_and_stop_tell_one_story(bench: Bench) -> None:
    env = on(bench)
    before = parsed(jobctl("db", "status", "--json", env=env))
    assert (before["kind"], before["state"]) == ("embedded", "absent")
    assert not bench.data_dir.exists()

    started = jobctl("db", "start", "--json", env=env)
    assert (started.returncode, started.stderr) == (0, "")
    assert parsed(started)["state"] == "running"
    assert parsed(started)["schema_version"] == 0
    assert set(parsed(started)) == set(before)  # the same keys whatever the state

    applied = parsed(jobctl("db", "migrate", "--json", env=env))
    assert [each["version"] for each in applied["items"]] == list(range(1, expected_version() + 1))
    again = jobctl("db", "migrate", env=env)
    assert (again.returncode, again.stdout) == (0, f"The schema is at version {expected_version()} already.\n")

    assert parsed(jobctl("db", "stop", "--json", env=env))["stopped"] is True
    assert parsed(jobctl("db", "stop", "--json", env=env))["stopped"] is False
    assert parsed(jobctl("db", "status", "--json", env=env))["state"] == "stopped"


def test_stop_is_refused_while_a_run_is_connected(up: Bench) -> None:
    with psycopg.connect(embedded.dsn(up.data_dir), application_name="jobctl/ingest-branch") as conn:
        refused = jobctl("db", "stop", env=on(up))
        assert refused.returncode == 75
        assert "in use: jobctl/ingest-branch (1)" in refused.stderr
        assert "--force" in refused.stderr
        assert conn.execute("SELECT 1").fetchone() == (1,)
        forced = jobctl("db", "stop", "--force", env=on(up))
        assert (forced.returncode, forced.stderr) == (0, "")
        with pytest.raises(psycopg.OperationalError):
            conn.execute("SELECT 1")


def test_the_url_leads_other_programs_to_the_database(up: Bench) -> None:
    address = jobctl("db", "url", env=on(up)).stdout.strip()
    assert ask(address, "SELECT current_database()") == "jobctl"
    assert parsed(jobctl("db", "url", "--json", env=on(up))) == {"url": address}


def test_psql_opens_the_embedded_database_and_gets_the_words_that_follow(up: Bench) -> None:
    done = jobctl("db", "psql", "-A", "-t", "-c", "SELECT current_user, current_database()", env=on(up))
    assert (done.returncode, done.stdout) == (0, "jobctl|jobctl\n")


def test_psql_opens_in_an_emptied_environment_too(up: Bench) -> None:
    words = ["/usr/bin/env", "-i", *(f"{name}={value}" for name, value in on(up).items())]
    words += [sys.executable, "-m", "jobctl", "db", "psql", "-A", "-t", "-c", "SELECT 7"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "7\n", "")


def test_psql_carries_no_password_on_its_command_line(up: Bench) -> None:
    with psycopg.connect(embedded.dsn(up.data_dir), autocommit=True) as conn:
        conn.execute("CREATE ROLE guest LOGIN PASSWORD 'canary-pass'")
    host = up.layout.server_dir
    env = {"DATABASE_URL": f"postgresql://guest:canary-pass@/jobctl?host={host}&port=5432", **on(up)}
    done = jobctl("db", "psql", "-A", "-t", "-c", r"\! tr '\0' ' ' < /proc/$PPID/cmdline", env=env)
    assert done.returncode == 0, done.stderr
    assert "psql" in done.stdout
    assert "canary" not in done.stdout
    user = jobctl("db", "psql", "-A", "-t", "-c", "SELECT current_user", env=env)
    assert user.stdout == "guest\n"


def test_the_address_of_an_external_server_is_shown_without_its_password(bench: Bench) -> None:
    env = {"DATABASE_URL": UNREACHABLE, **on(bench)}
    masked = jobctl("db", "url", env=env)
    assert masked.stdout == "postgresql://someone:***@127.0.0.1:1/x?sslmode=disable\n"
    assert jobctl("db", "url", "--show-password", env=env).stdout == f"{UNREACHABLE}\n"
    for words in (["status"], ["status", "--json"], ["migrate"], ["start"], ["stop"], ["psql", "-c", "SELECT 1"]):
        done = jobctl("db", *words, env=env)
        assert "canary" not in done.stdout + done.stderr
        assert done.returncode != 0
    assert not bench.data_dir.exists()


def test_an_external_server_is_reported_and_neither_started_nor_stopped(database_url: str, bench: Bench) -> None:
    env = {"DATABASE_URL": database_url, **on(bench)}
    said = parsed(jobctl("db", "status", "--json", env=env))
    assert (said["kind"], said["state"], said["schema_version"]) == ("external", "running", expected_version())
    start = jobctl("db", "start", env=env)
    assert start.returncode == 0
    assert "neither starts nor stops" in start.stderr
    stop = jobctl("db", "stop", env=env)
    assert stop.returncode == 2
    assert "neither starts nor stops" in stop.stderr


def test_an_unreachable_server_is_exit_75_and_one_line(bench: Bench) -> None:
    done = jobctl("db", "status", env={"DATABASE_URL": UNREACHABLE, **on(bench)})
    assert (done.returncode, done.stdout) == (75, "")
    assert len(done.stderr.splitlines()) == 1
    as_json = jobctl("db", "status", "--json", env={"DATABASE_URL": UNREACHABLE, **on(bench)})
    assert (as_json.returncode, as_json.stderr) == (75, "")
    assert parsed(as_json)["error"]["class"] == "DatabaseUnavailable"


def test_grants_prints_sql_that_runs(up: Bench) -> None:
    done = jobctl("db", "grants", "--owner", "a_owner", "--worker", "a_worker", "--reader", "a_reader", env=on(up))
    assert (done.returncode, done.stderr) == (0, "")
    with psycopg.connect(embedded.dsn(up.data_dir), autocommit=True) as conn:
        conn.execute(done.stdout.encode())
        row = conn.execute("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'a\\_%'").fetchone()
    assert row == (3,)
    assert parsed(jobctl("db", "grants", "--json", env=on(up)))["owner"] == "jobctl_owner"
    assert jobctl("db", "grants", "--owner", "no; name", env=on(up)).returncode == 2


@pytest.mark.skipif(not is_root(), reason="needs root")
def test_root_is_told_how_to_go_on_where_no_account_can_be_made(bench: Bench) -> None:
    done = jobctl("db", "start", env={**on(bench), "JOBCTL_RUN_AS_USER": "root"})
    assert done.returncode == 78
    assert "that is root" in done.stderr


@pytest.mark.parametrize("command", ["start", "stop", "status", "migrate", "url", "psql", "grants"])
def test_every_command_has_help_with_an_example(command: str, bench: Bench) -> None:
    done = jobctl("db", command, "--help", env=on(bench))
    assert done.returncode == 0
    assert "Example:" in done.stdout
