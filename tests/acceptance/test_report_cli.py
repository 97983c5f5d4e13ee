"""`jobctl report`, as cron or a lead runs it."""

import json
import os
import re
import subprocess
import sys
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import psycopg

from bench_metrics import Repositories
from bench_page import DOCS
from bench_report import keep_hour, keep_run
from jobctl import clock
from jobctl.reports.week import last_full

JSON_PAGE = (DOCS / "json.md").read_text(encoding="utf-8")


def told_on_the_page() -> set[str]:
    return set(
        re.findall(r"`([a-z0-9_]+)`", JSON_PAGE.partition("\n## `jobctl report --json`\n")[2].partition("\n## ")[0])
    )


def keys_of(value: Any) -> set[str]:
    if isinstance(value, dict):
        own: dict[str, Any] = value  # pyright: ignore[reportUnknownVariableType]
        return set(own) | {key for each in own.values() for key in keys_of(each)}
    return {key for each in value for key in keys_of(each)} if isinstance(value, list) else set()  # pyright: ignore[reportUnknownVariableType]


def test_a_lead_looks_at_the_week_in_every_form_and_nothing_is_written(
    database_url: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "DATABASE_URL": database_url,
        "JOBCTL_DATA_DIR": str(tmp_path / "data"),
        "COLUMNS": "100",
        "REPORT_EMAILS": "ann@example.org,bob@example.org",
    }

    def jobctl(*words: object, code: int = 0) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "jobctl", "report", *map(str, words)]
        done = subprocess.run(command, env=environment, text=True, capture_output=True, timeout=120, check=False)
        assert done.returncode == code, done.stderr or done.stdout
        assert "Traceback" not in done.stderr
        return done

    week = last_full(clock.utc_now(), UTC)
    made = Repositories(conn)
    cat = made.project()
    made.bug(cat, "p0", created_at=week.start)
    keep_hour(conn, week.end - timedelta(hours=1))
    keep_run(conn, "sync", week.start, status="failed", exit_code=1)

    text = jobctl("--text").stdout
    assert text.startswith(f"Week {week.number}, ") and "12,750 USD" in text and "octo/cat#" in text
    preview = jobctl("--preview", "--week", week.name).stdout
    assert "What needs a decision" in preview and "12,750 USD" in preview and "\x1b" not in preview
    jobctl("--html", tmp_path / "week.html")
    page = (tmp_path / "week.html").read_text(encoding="utf-8")
    assert "12,750 USD" in page and "data:image/png;base64," in page

    dry = json.loads(jobctl("--dry-run", "--json").stdout)
    assert dry["recipients"] == ["ann@example.org", "bob@example.org"] and dry["counts"]["recipients"] == 2
    assert dry["report"]["week"]["name"] == week.name and dry["letter"]["html"] > 5_000
    assert keys_of({name: dry[name] for name in ("report", "letter", "counts")}) - told_on_the_page() == set()
    told = jobctl("--dry-run", "-v").stdout
    assert "to: ann@example.org" in told and "subject: Week" in told and "attachments" in told

    for words, said in (
        (("--week", "2026-W54"), "write it as 2026-W47"),
        (("--week", "2999-W01"), "still to come"),
        (("--to", "nobody"), "no e-mail address"),
        (("--text", "--preview"), "would stand on stdout together"),
    ):
        assert said in jobctl(*words, code=2).stderr
    assert jobctl("--html", tmp_path / "no" / "where.html", code=1).stderr.count("cannot be written") == 1
    assert conn.execute("SELECT count(*) FROM ops.job_history WHERE job = 'report'").fetchone() == (0,)
