"""`jobctl archive` as an operator uses it: exit codes, streams, tables, files; killed, and on a full disk."""

import gzip
import json
import os
import random
import shlex
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from bench_archive import seed
from bench_runs import LONGEST_RUN_S, Base, Ended, Runner, processes_with

TOML = "[archive]\nkeep_events = 100\nkeep_runs = 10\n"


class Archive:
    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        self.token = uuid.uuid4().hex
        (runner.directory / "jobctl.toml").write_text(TOML)
        self.environment = runner.environment() | {
            "JOBCTL_CONFIG": str(runner.directory / "jobctl.toml"),
            "COLUMNS": "140",
            "PYTHONDONTWRITEBYTECODE": "1",  # on the full disk it would be cut short, and stay so
            "TORTURE_TOKEN": self.token,
        }
        del self.environment["JOBCTL_LOG_FILE"]
        self.directory = runner.directory / "data/archive"

    def start(self, *words: str, shell: str = "exec") -> "subprocess.Popen[bytes]":
        command = shlex.join([sys.executable, "-m", "jobctl", "archive", *words])
        return subprocess.Popen(
            ["bash", "-c", f"{shell} {command}"],
            env=self.environment,
            cwd=self.runner.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def __call__(self, *words: str, code: int = 0, shell: str = "exec") -> Ended:
        with self.start(*words, shell=shell) as process:
            out, err = process.communicate(timeout=LONGEST_RUN_S)
        done = Ended(process.returncode, out, err)
        assert done.exit_code == code, done.said
        return done

    def kill_all(self) -> None:
        """Supervisor and worker, whichever is first: whoever is left starts nothing new."""
        while pids := processes_with(self.token):
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)

    def json(self, *words: str, code: int = 0) -> Any:
        return json.loads(self(*words, "--json", code=code).stdout)

    def lines(self) -> list[str]:
        return [
            f"{path.name.split('-')[0].rpartition('.')[0]} {line}"
            for path in self.directory.glob("*.ndjson.gz")
            for line in gzip.decompress(path.read_bytes()).decode().splitlines()
        ]


@pytest.fixture
def archive(runner: Runner) -> Generator[Archive, None, None]:
    made = Archive(runner)
    yield made
    made.kill_all()


def test_an_operator_archives_looks_verifies_and_gets_rows_back(base: Base, archive: Archive) -> None:
    seed(base.conn)
    assert archive.json("list") == {"items": [], "next": None}
    foreseen = archive.json("run", "--dry-run")
    assert foreseen["counts"]["archived_events"] == 150 and not archive.directory.exists()

    # A disk that is full: nothing is deleted, the run fails with one line that names the file.
    full = archive("run", code=1, shell="ulimit -f 1; exec")
    assert full.stderr.startswith(b"jobctl archive: the archive cannot write ") and b"too large" in full.stderr
    assert full.stderr.count(b"\n") == 1 and not [*archive.directory.iterdir()]
    assert base.one("SELECT count(*) FROM ops.sync_events WHERE job = 'sync'") == 250

    told = archive("run", "-v").stdout.decode()
    assert "ops.sync_events: 150 rows" in told and "in 6 files" in told
    assert archive("run").stdout == b""
    shown = archive("list").stdout.decode()
    assert "ops.sync_events" in shown and "complete" in shown and f"{archive.directory}" in shown
    one = next(each for each in archive.json("list")["items"] if each["table"] == "ops.sync_events")
    assert archive.json("list", "--table", "ops.sync_events", "--limit", "1") == {"items": [one], "next": None}
    page, newest = archive("list", "--limit", "1"), archive.json("list", "--limit", "1")
    assert page.stderr == f"More: --before {newest['next']}\n".encode()
    assert len(archive.json("list", "--before", str(newest["next"]))["items"]) == 5
    assert b"6 of 6 archives are whole" in archive("verify").stdout

    number = str(one["archive_id"])
    assert archive.json("restore", number, "--dry-run")["restored"] == 150
    assert archive.json("restore", number)["restored"] == 150
    assert archive.json("restore", one["file"]) == {
        "file": one["file"], "dry_run": False, "table": "ops.sync_events", "rows": 150, "restored": 0,
        "unchanged": 150, "conflicts": 0, "keys": [],
    }  # fmt: skip
    base.conn.execute("UPDATE ops.sync_events SET event = 'other' WHERE event_id = 5")
    conflict = archive("restore", number, code=3)
    assert conflict.stderr == b"1 rows are there as others and stay so: 5\n"

    path = Path(one["file"])
    path.write_bytes(path.read_bytes()[:-1])
    wrong = archive.json("verify", code=1)["items"]
    assert [(each["archive_id"], each["verdict"]) for each in wrong if each["verdict"] != "whole"] == [
        (one["archive_id"], "wrong")
    ]
    assert b"bytes, and had" in archive("verify", number, code=1).stdout
    assert b"bytes, and had" in archive("restore", number, code=1).stderr
    path.unlink()
    assert b"is missing" in archive("verify", code=1).stdout
    assert b"only copy of 150 rows" in archive("forget", number, code=2).stderr
    archive("forget", number, "--yes")
    assert b"5 of 5" in archive("verify").stdout
    assert b"there is no archive" in archive("restore", number, code=2).stderr
    assert b"there is no file /nowhere/x.ndjson.gz" in archive("restore", "/nowhere/x.ndjson.gz", code=2).stderr
    old = archive.json("list")["items"][-1]
    base.conn.execute(
        "UPDATE ops.archives SET written_at = now() - interval '8 days' WHERE archive_id = %s", (old["archive_id"],)
    )
    config = archive.runner.directory / "jobctl.toml"
    config.write_text(TOML + "files_days = 7\n")
    assert "old files deleted: 1" in archive("run", "--dry-run", "-v").stdout.decode() and Path(old["file"]).exists()
    assert "old files deleted: 1" in archive("run", "-v").stdout.decode()
    assert old not in archive.json("list")["items"] and not [*archive.directory.glob(f"*.{old['archive_id']}.*")]
    assert old["archive_id"] not in {row[0] for row in base.all("SELECT archive_id FROM ops.archives")}
    config.write_text(TOML)
    base.conn.execute("UPDATE ops.archives SET host = 'elsewhere', directory = '/nowhere'")
    assert archive.json("verify")["items"][0]["verdict"] == "elsewhere"
    other = str(archive.json("list")["items"][0]["archive_id"])
    assert b"lies on elsewhere: /nowhere/" in archive("restore", other, code=1).stderr


@pytest.mark.slow
def test_a_run_that_is_killed_at_any_moment_loses_no_row_and_doubles_none(base: Base, archive: Archive) -> None:
    """Worker and supervisor at once, as a power cut does it."""
    seed(base.conn, events=20_100, runs=5_010)
    ids = {row[0] for row in base.all("SELECT event_id FROM ops.sync_events WHERE job = 'sync'")}
    at = random.Random(seed_ := random.randrange(10**6))
    print(f"seed {seed_}")
    cut = 0
    for _ in range(4):
        process = archive.start("run")
        time.sleep(at.uniform(0.5, 3.0))
        if process.poll() is None:
            cut += 1
        archive.kill_all()
        process.communicate()
    archive("run")
    archive("run")
    lines = archive.lines()
    assert len(lines) == len(set(lines)) == sum(each["rows"] for each in archive.json("list")["items"])
    filed = {json.loads(line.partition(" ")[2])["event_id"] for line in lines if line.startswith("ops.sync_events ")}
    left = {row[0] for row in base.all("SELECT event_id FROM ops.sync_events WHERE job = 'sync'")}
    assert not filed & left and ids <= filed | left and len(left) == 100
    assert not [each for each in archive.directory.iterdir() if each.name.startswith(".")]
    archive("verify")
    print(f"{cut} of 4 were cut")
