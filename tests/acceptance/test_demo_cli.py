"""`jobctl demo` as a newcomer runs it, and what the other commands then have to show."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from jobctl.jobs.demo.plan import HOST
from jobctl.monitor.doctor import server

HOLDS = """
SELECT count(*) FROM pg_locks WHERE relation = 'ops.demo'::regclass AND mode = 'ShareRowExclusiveLock' AND granted
"""
ROWS = """
SELECT (SELECT count(*) FROM dev.issues) + (SELECT count(*) FROM ops.job_history) + (SELECT count(*) FROM ops.demo)
"""


@pytest.mark.slow
def test_a_newcomer_loads_looks_around_and_removes(database_url: str, conn: psycopg.Connection, tmp_path: Path) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "DATABASE_URL": database_url,
        "JOBCTL_DATA_DIR": str(tmp_path / "data"),
        "COLUMNS": "100",
        "ENABLE_SLACK_ALERTS": "true",
        "SLACK_WEBHOOK_URL": "http://127.0.0.1:9/never",
    }

    def start(*words: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "jobctl", *words], env=environment, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def jobctl(*words: str, code: int = 0) -> str:
        with start(*words) as process:
            stdout, stderr = process.communicate(timeout=900)
        assert process.returncode == code, stderr or stdout
        assert "Traceback" not in stderr
        return stderr if code else stdout

    def obj(*words: str) -> dict[str, Any]:
        return json.loads(jobctl(*words, "--json"))

    def number(question: str) -> int:
        row = conn.execute(question.encode()).fetchone()
        assert row is not None
        return row[0]

    assert "--anyway" in jobctl("demo", "load", code=2) and number(ROWS) == 0

    with start("demo", "load", "--anyway", "--json") as process:
        while not number(HOLDS):
            assert process.poll() is None
            time.sleep(0.05)
        time.sleep(1)  # somewhere within it
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
    while number(HOLDS):  # until the server has seen it
        time.sleep(0.1)
    assert number(ROWS) == 0

    loaded = obj("demo", "load", "--anyway", "--seed", "3", "--as-of", "1d")
    assert set(loaded) == {"seed", "as_of", "duration_ms", "rows", "tables"}
    assert loaded["seed"] == 3 and loaded["rows"] == sum(loaded["tables"].values()) > 80_000
    assert "jobctl demo remove" in jobctl("demo", "load", "--anyway", code=2)

    report = obj("metrics")
    figures = report["scopes"][0]["evidence"]
    assert report["status"] == "completed" and figures["projects"] == 25
    assert "demo/" in jobctl("metrics", "health", "demo/atlas")
    assert obj("alerts", "list")["items"]
    assert obj("queue", "stats")["backlog"]
    assert obj("slots", "--verdict", "missed", "--since", "365d")["items"]
    assert obj("branch", "rejects", "demo-places")["items"]
    assert "25 sample projects were left out" in " ".join(obj("sync")["notes"])
    assert "GitHub knows nothing" in jobctl("sync", "--project", "demo/atlas", code=2)
    assert any("sample data" in each["what"] for each in obj("doctor", "--only", "runs")["items"])
    assert all(place.host != HOST for place in server.places(conn))
    assert number("SELECT count(*) FROM ops.outbox") == 0

    removed = obj("demo", "remove")
    assert set(removed) == {"removed", "rows", "tables", "left"}
    assert removed["removed"] is True and removed["left"]["runs"] >= 2 and removed["tables"]["dev.projects"] == 25
    assert number("SELECT count(*) FROM dev.issues") == number("SELECT count(*) FROM ops.demo") == 0
    assert obj("demo", "remove") == {"removed": False, "rows": 0, "tables": {}, "left": {}}
