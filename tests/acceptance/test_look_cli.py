"""`jobctl insights`, `quality` and `export` as an operator and cron use them: exit codes, streams, files, keys."""

import json
import os
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from bench_command import Command, command, environment_of
from bench_past import insert, ran
from bench_tasks import make_task

HOUR = timedelta(hours=1)


@pytest.fixture
def jobctl(database_url: str, tmp_path: Path) -> Command:
    return command(environment_of(database_url, tmp_path, JOBCTL_EMBED_MODEL_VERSION="m1"))


def obj(done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stdout)
    assert done.stderr == ""
    return found


def test_the_export_as_text_as_a_file_and_as_an_object(
    jobctl: Command, conn: psycopg.Connection, tmp_path: Path
) -> None:
    ran(conn, "sync")
    text = jobctl("export", "prometheus").stdout
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert families["jobctl_job_last_success"].samples[0].labels == {"job_name": "sync", "scope": ""}
    assert "_created" not in text

    path = tmp_path / "jobctl.prom"
    path.write_text("old")
    old_umask = os.umask(0o077)
    try:
        done = jobctl("export", "prometheus", "--textfile", path)
    finally:
        os.umask(old_umask)
    assert (done.stdout, done.stderr) == ("", "")  # cron would mail it each minute
    assert "jobctl_job_last_success" in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o644
    assert sorted(each.name for each in tmp_path.iterdir() if "prom" in each.name or "jobctl-" in each.name) == [
        "jobctl.prom"
    ]

    told = obj(jobctl("export", "prometheus", "--json"))
    assert set(told) == {"at", "items", "next", "unseen", "textfile", "bytes"}
    assert all(set(item) == {"name", "kind", "help", "samples"} for item in told["items"])
    assert told["textfile"] is None and told["next"] is None and told["unseen"] == []

    for wrong, said in (
        (tmp_path / "jobctl.txt", "does not end in .prom"),
        (tmp_path / "no" / "x.prom", "no directory"),
    ):
        assert said in jobctl("export", "prometheus", "--textfile", wrong, code=2).stderr
    before = path.read_text()
    away = jobctl("export", "prometheus", "--textfile", path, code=75, DATABASE_URL="postgresql://x@127.0.0.1:9/x")
    assert path.read_text() == before and away.stderr.count("\n") == 1


def test_quality_is_silent_when_all_is_in_order_and_exits_1_when_it_is_not(
    jobctl: Command, conn: psycopg.Connection
) -> None:
    done = jobctl("quality")
    assert (done.stdout, done.stderr) == ("", "")
    told = obj(jobctl("quality", "--json"))
    assert set(told) == {"since", "until", "exit_code", "counts", "items", "next", "events", "unseen"}
    assert told["counts"] == {"ok": len(told["items"]), "failed": 0, "unknown": 0}
    assert all(set(item) == {"name", "says", "status", "rows", "example", "mend", "why"} for item in told["items"])

    insert(conn, "ops.outbox", channel="sl\x1b[2Jack", dedupe_key="a", payload={}, state="failed")
    run = ran(conn, "sync", status="failed", error_class="NoAnswer", error_message="after 5 s")
    insert(conn, "ops.sync_events", run_id=run, job="sync", level="error", event="project_synced")
    done = jobctl("quality", code=1)
    assert done.stdout == "" and done.stderr.count("\n") == 1
    assert "messages-delivered: 1 broken, such as message" in done.stderr
    assert "\x1b" not in done.stderr  # what is stored is shown, not obeyed
    told = obj(jobctl("quality", "--json", code=1))
    events = told["events"]
    assert set(events) == {"runs", "is_whole", "processed", "failed", "success_rate", "by_type", "patterns"}
    assert (events["processed"], events["failed"], events["success_rate"]) == (0, 1, 0.0)
    assert set(events["by_type"][0]) == {"job", "type", "events", "processed", "failed", "success_rate"}
    assert set(events["patterns"][0]) == {"error_class", "pattern", "failures", "types", "first_at", "last_at"}
    shown = jobctl("quality", "-v", code=1, COLUMNS="80").stdout
    assert "FAILED   messages-delivered (1 broken)" in shown and "mend: jobctl doctor --only outgoing" in shown
    assert "\x1b" not in shown and "sl\\x1b[2Jack" in shown
    assert obj(jobctl("quality", "--only", "limits-held", "--json"))["events"] is None
    assert "did you mean limits-held?" in jobctl("quality", "--only", "limit-held", code=2).stderr


def test_a_check_that_could_not_be_asked_is_exit_3(jobctl: Command, conn: psycopg.Connection) -> None:
    with conn.transaction():
        conn.execute("LOCK TABLE ops.outbox IN ACCESS EXCLUSIVE MODE")
        done = jobctl("quality", "--only", "messages-delivered", code=3)
    assert "messages-delivered: took too long" in done.stderr


def test_insights_say_what_to_do_with_the_numbers_it_rests_on(jobctl: Command, conn: psycopg.Connection) -> None:
    assert "Nothing to do" in jobctl("insights").stdout
    for nth in range(40):
        is_new = nth >= 30
        ran(conn, "sync", ago=(40 - nth) * HOUR, took_s=60 if is_new else 10, version="1.5" if is_new else "1.4")
    for _ in range(60):
        make_task(conn, scheduled_at="now() - interval '2 hours'")
    told = obj(jobctl("insights", "--json"))
    assert set(told) == {"since", "until", "items", "next", "unseen"}
    assert all(
        set(item) == {"code", "severity", "subject", "what", "evidence", "basis", "do"} for item in told["items"]
    )
    assert [item["code"] for item in told["items"]] == ["slower", "backlog"]
    assert told["items"][0]["evidence"]["version"] == "1.5"
    shown = jobctl("insights", "-v").stdout
    assert "high    sync takes 1m, 6.0 times as long as before" in shown and "basis: medians of 30 runs" in shown
