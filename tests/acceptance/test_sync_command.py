"""`jobctl sync`, as cron or an operator runs it."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from typing import Any

import pytest

from bench_github import MIXES, Asked, GitHub, status_fault
from bench_runs import Base, Ended, Runner
from bench_sync_truth import differences
from jobctl.jobs.sync.telling import COUNTS
from jobctl.projects import store
from jobctl.projects.project import Facts

OBJECT = {
    *("job", "run_id", "correlation_id", "status", "degraded", "dry_run", "exit_code", "started_at", "finished_at"),
    *("duration_ms", "counts", "peak_memory_bytes", "dropped_log_lines", "notes", "slot_at", "scopes", "error"),
    *("metrics", "quota"),
}
SCOPE = {
    *("scope", "status", "exit_code", "outcome", "was", "counts", "requests", "not_modified", "quota", "points"),
    *("duration_ms", "notes", "error"),
}
SPENT = {"requests", "unchanged", "quota", "points", "limited", "failed", "bytes"}


@pytest.fixture
def github() -> Generator[GitHub, None, None]:
    with GitHub() as github:
        yield github


@pytest.fixture
def sync(runner: Runner, github: GitHub) -> Runner:
    runner.job = "sync"
    runner.settings |= {"GITHUB_API_URL": github.url, "GITHUB_TOKEN": github.token()}
    return runner


def follow(base: Base, github: GitHub, *names: str, issues: int = 3) -> None:
    """Repositories with issues and pull requests, taken up as projects."""
    truth = github.truth
    for name in names:
        repo = truth.repo(name)
        for number in range(issues):
            truth.open_issue(repo, f"issue {number}")
        truth.review(truth.open_pull(repo))
        facts = Facts(
            repo.node_id, repo.id, repo.full_name, None, "main", None, False, False, False, 0, repo.created_at, None
        )
        store.save(base.conn, facts)


def report(ended: Ended) -> dict[str, Any]:
    assert ended.stdout, ended.said
    assert ended.stdout.count(b"\n") == 1
    return json.loads(ended.stdout)


def outcomes(told: dict[str, Any]) -> dict[str, str]:
    return {scope["scope"]: scope["outcome"] for scope in told["scopes"]}


def test_its_object_has_a_scope_for_each_project_and_an_account_of_the_quota(
    base: Base, github: GitHub, sync: Runner
) -> None:
    follow(base, github, "octo/cat", "octo/dog")
    told = report(sync.run("--json"))
    assert told.keys() == OBJECT and told["counts"].keys() == set(COUNTS)
    assert [scope.keys() for scope in told["scopes"]] == [SCOPE, SCOPE]
    assert told["quota"].keys() == SPENT | {"endpoints"}
    assert {frozenset(each) for each in told["quota"]["endpoints"]} == {frozenset(SPENT | {"endpoint"})}
    assert (told["exit_code"], outcomes(told)) == (0, {"octo/cat": "ok", "octo/dog": "ok"})
    assert told["quota"]["requests"] == told["counts"]["requests"] == len(github.requests)
    assert told["metrics"]["completion_rate"] == 1.0
    assert differences(base.conn, github.truth) == []
    events = base.all("SELECT event, fields ->> 'step' FROM ops.sync_events WHERE fields ->> 'project' = 'octo/cat'")
    steps = {"repository", "issues", "details", "commits", "history", "listing"}
    assert {step for event, step in events if event == "project_step"} >= steps - {"listing"}
    assert ("project_synced", None) in events
    # Under cron: silent, and of the quota nothing.
    ended = sync.run("--scheduled")
    assert (ended.exit_code, ended.stdout, ended.stderr) == (0, b"", b"")
    assert {asked.status for asked in github.requests[told["counts"]["requests"] :]} == {304}


def on_a_terminal(sync: Runner, *words: str) -> str:
    """What a terminal of 120 columns shows of a run that ends with 0, without its colours."""
    terminal, end = pty.openpty()
    environment = sync.environment() | {"TERM": "xterm", "COLUMNS": "120", "LINES": "40"}
    command = [sys.executable, "-m", "jobctl", "sync", *words]
    process = subprocess.Popen(
        command, env=environment, cwd=sync.directory, stdin=subprocess.DEVNULL, stdout=end, stderr=end
    )
    os.close(end)
    shown = bytearray()
    try:
        while part := os.read(terminal, 65_536):
            shown += part
    except OSError:  # nobody has the other end any more
        pass
    finally:
        os.close(terminal)
        assert process.wait(60) == 0, bytes(shown)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())


def test_on_a_terminal_each_project_is_seen_as_it_goes_and_at_the_end_what_was_asked_of_github(
    base: Base, github: GitHub, sync: Runner
) -> None:
    follow(base, github, "octo/cat", "octo/dog")
    github.before_reply = lambda asked: time.sleep(0.15)  # longer than the screen takes to be drawn anew
    shown = on_a_terminal(sync)
    for name in ("octo/cat", "octo/dog"):
        steps = set(re.findall(rf"  {name} [^\r\n]*?(repository|issues|details|commits|history|listing)", shown))
        assert len(steps) >= 2, shown
    assert re.search(r"projects [^\r\n]*0/2", shown) and re.search(r"projects [^\r\n]*2/2 octo/(cat|dog): ok", shown)
    told = base.one("SELECT counts FROM ops.job_history WHERE job = 'sync'")
    _, _, account = shown.partition(f"GitHub: {told['requests']:,} requests, 0 of them not modified; ")
    assert account.startswith(f"{told['quota']:,} of the hour's quota, {told['points']:,} points")
    told_of = re.findall(r"^    (\w+): (\d+) requests", account, re.MULTILINE)
    by_endpoint = {name: int(number) for name, number in told_of}
    assert {"repository", "issues", "details"} <= by_endpoint.keys()
    assert sum(by_endpoint.values()) == told["requests"]


def test_a_dry_run_writes_nothing_and_counts_what_the_run_after_it_does(
    base: Base, github: GitHub, sync: Runner
) -> None:
    follow(base, github, "octo/cat", "octo/dog")
    dry = report(sync.run("--json", "--dry-run"))
    assert dry["counts"]["issues_inserted"] == 8
    for table in ("issues", "pulls", "etags", "sync_cursors", "payloads", "commits"):
        assert base.one(f"SELECT count(*) FROM dev.{table}") == 0
    assert base.one("SELECT count(*) FROM dev.projects WHERE sync_outcome IS NOT NULL OR synced_at IS NOT NULL") == 0
    real = report(sync.run("--json"))
    assert real["counts"] == dry["counts"]
    assert outcomes(real) == outcomes(dry)


def test_others_go_on_when_some_fail_and_it_exits_3(base: Base, github: GitHub, sync: Runner) -> None:
    follow(base, github, "octo/cat", "octo/secret", "octo/gone", "octo/bad")
    truth = github.truth
    for name, access in (("octo/secret", "forbidden"), ("octo/gone", "missing")):
        repo = truth.named(name)
        assert repo is not None
        repo.access = access  # pyright: ignore[reportAttributeAccessIssue]
    bad = truth.named("octo/bad")
    assert bad is not None
    github.fail(rf"^/repositories/{bad.id}/issues$", status_fault(422), times=9)
    ended = sync.run("--json")
    told = report(ended)
    assert ended.exit_code == 3 and told["degraded"] and told["status"] == "completed"
    expected = {"octo/cat": "ok", "octo/secret": "forbidden", "octo/gone": "gone", "octo/bad": "failed"}
    assert outcomes(told) == expected
    errors = {scope["scope"]: scope["error"]["class"] for scope in told["scopes"] if scope["error"]}
    assert errors == {"octo/secret": "Forbidden", "octo/gone": "Gone", "octo/bad": "NotAccepted"}
    assert base.all("SELECT full_name, sync_outcome FROM dev.projects ORDER BY 1") == sorted(expected.items())
    assert base.all("SELECT full_name FROM dev.projects WHERE synced_at IS NOT NULL") == [("octo/cat",)]
    assert b"octo/bad: failed" in sync.run().stderr


def test_a_token_that_is_not_accepted_is_exit_78_and_a_github_that_is_away_75(
    base: Base, github: GitHub, sync: Runner
) -> None:
    follow(base, github, "octo/cat", "octo/dog")
    ended = sync.run(settings={"GITHUB_TOKEN": "ghp_wrong"})
    assert ended.exit_code == 78, ended.said
    ended = sync.run(settings={"GITHUB_API_URL": "http://127.0.0.1:9"})
    assert ended.exit_code == 75, ended.said
    assert b"Traceback" not in ended.stderr


def test_a_spent_budget_and_a_limit_are_no_failure_and_the_next_run_goes_on(
    base: Base, github: GitHub, sync: Runner
) -> None:
    follow(base, github, "octo/cat", "octo/dog", issues=120)
    told = report(sync.run("--json", "--budget", "7"))
    assert told["exit_code"] == 0 and len(github.requests) == 7
    assert "limited" in outcomes(told).values()
    assert any("the next run goes on" in note for note in told["notes"])
    github.limit_next(MIXES["403 with a spent quota"])
    github.rng.seed(3)
    told = report(sync.run("--json", "--project", "octo/cat", "--max-runtime", "80s"))
    assert told["exit_code"] == 0 and outcomes(told) == {"octo/cat": "limited"}
    assert github.early() == []
    github._allowed_from.clear()
    told = report(sync.run("--json"))
    assert set(outcomes(told).values()) == {"ok"}
    assert differences(base.conn, github.truth) == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, 1)])
def test_ended_in_the_middle_it_goes_on_where_it_was(
    base: Base, github: GitHub, sync: Runner, number: signal.Signals, code: int
) -> None:
    follow(base, github, "octo/cat", issues=450)
    met = threading.Event()

    def before(asked: Asked) -> None:
        if sum(each.path.endswith("/issues") for each in github.requests) == 3:
            met.set()
            threading.Event().wait(1)

    github.before_reply = before
    started = sync.start("--json")
    assert met.wait(60)
    started.signal(number, supervisor=number != signal.SIGKILL)
    ended = started.wait()
    started.wait_for_all()
    assert ended.exit_code == code, ended.said
    github.before_reply = None
    loaded = base.one("SELECT count(*) FROM dev.issues")
    assert 200 <= loaded < 451
    begun = len(github.requests)
    told = report(sync.run("--json"))
    assert told["counts"]["issues_inserted"] == 451 - loaded
    assert sum(each.path.endswith("/issues") for each in github.requests[begun:]) < 6
    assert differences(base.conn, github.truth) == []


def test_one_project_since_a_time_and_wrong_usage(base: Base, github: GitHub, sync: Runner) -> None:
    follow(base, github, "octo/cat", "octo/dog")
    cat = github.truth.named("octo/cat")
    assert cat is not None
    github.truth.tick(86_400 * 30)
    github.truth.open_issue(cat, "new")
    since = github.truth.now.isoformat()
    told = report(sync.run("--json", "--project", "OCTO/cat", "--since", since))
    assert outcomes(told) == {"octo/cat": "ok"}
    assert base.all("SELECT title FROM dev.issues") == [("new",)]
    assert {each.path.split("/")[3] for each in github.requests if each.path.startswith("/repos/")} == {"cat"}
    for words, said in (
        (("--project", "octo/none"), b"there is no project"),
        (("--project", "octo"), b"is no name of a repository"),
        (("--since", "tomorrow"), b"--since"),
        (("--budget", "0"), b"--budget"),
    ):
        ended = sync.run(*words)
        assert ended.exit_code == 2 and said in ended.stderr, ended.said
