"""The run over all projects: isolation, order, fence, time, and what is cleaned up after it."""

import signal
import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from bench_github import Asked, GitHub, status_fault
from bench_sync import Sync, counted, no_pause
from jobctl.errors import Interrupted
from jobctl.github.failures import CredentialsRefused, NoAnswer
from jobctl.github.waiting import Waiting
from jobctl.jobs.sync import doing, history, project
from jobctl.jobs.sync.session import Session
from jobctl.retry import Recoverable, retrying


@pytest.fixture
def many(github: GitHub, sync: Sync) -> list[str]:
    names = [f"octo/r{number}" for number in range(12)]
    for name in names:
        repo = github.truth.repo(name)
        github.truth.open_issue(repo)
        github.truth.open_pull(repo)
    sync.follow(*names)
    return names


def scopes(sync_evidence: object) -> dict[str, dict[str, object]]:
    assert isinstance(sync_evidence, dict)
    return {scope["scope"]: scope for scope in sync_evidence["projects"]}  # pyright: ignore[reportUnknownVariableType]


@pytest.mark.usefixtures("many")
def test_an_error_that_nobody_foresaw_is_one_projects_own(sync: Sync, monkeypatch: pytest.MonkeyPatch) -> None:
    real = history.fetch

    def fetch(session: Session) -> None:
        if session.project.full_name == "octo/r3":
            raise KeyError("nobody foresaw this")
        real(session)

    monkeypatch.setattr(project.history, "fetch", fetch)
    told = sync()
    assert (told.counts["failed"], told.counts["ok"], told.degraded) == (1, 12, True)
    error = scopes(told.evidence)["octo/r3"]["error"]
    assert isinstance(error, dict) and error["message"] == "KeyError: 'nobody foresaw this'"
    monkeypatch.undo()
    sync()
    assert sync.differences() == []


@pytest.mark.usefixtures("many")
def test_a_run_that_another_one_deposed_writes_nothing_more(
    github: GitHub, sync: Sync, conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def before(asked: Asked) -> None:
        if asked.path == "/graphql":
            conn.execute("UPDATE ops.locks SET fence = fence + 1")

    github.before_reply = before
    told = sync()
    assert type(told.error).__name__ == "LockLost"
    assert sync.rows("pulls") == 0


@pytest.mark.usefixtures("many")
def test_the_time_is_up_before_the_run_is_ended_and_the_next_one_begins_with_what_was_left(
    github: GitHub, sync: Sync, conn: psycopg.Connection
) -> None:
    sync.sync = {"projects_at_once": 2}
    told = sync(within_s=0.35)
    counts = counted(told)
    assert told.error is None and not told.degraded
    assert counts.get("ok", 0) < 13 and counts.get("left", 0) + counts.get("limited", 0) > 0
    assert any("the next run goes on" in note for note in told.notes)
    done = {name for (name,) in conn.execute("SELECT full_name FROM dev.projects WHERE synced_at IS NOT NULL")}
    sync()
    assert sync.differences() == []
    late = [line.split("/")[3].split()[0] for line in sync.asked if line.startswith("GET /repos/")]
    firsts = list(dict.fromkeys(late))
    assert {f"octo/{name}" for name in firsts[: len(firsts) - len(done)]}.isdisjoint(done)


@pytest.mark.usefixtures("many")
def test_credentials_end_the_run_and_so_does_a_github_that_answers_nobody(
    github: GitHub, sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Waiting, "pause", no_pause)
    token, sync.token = sync.token, "ghp_wrong"
    assert isinstance(sync().error, CredentialsRefused)
    sync.token, sync.sync = token, {"projects_at_once": 1}
    github.fail("/repos/", status_fault(500), times=5)
    assert counted(sync())["failed"] == 1, "one that is down for a moment ends nothing"
    github._plans.clear()
    github.chaos = lambda asked, reply: type(reply)(200, is_silent=True)
    told = sync()
    assert isinstance(told.error, NoAnswer) and told.counts["left"] > 0


@pytest.mark.usefixtures("many")
def test_projects_are_done_several_at_once_and_never_more(github: GitHub, sync: Sync) -> None:
    sync.sync = {"projects_at_once": 3}
    lock, inside, most = threading.Lock(), set[int](), [0]

    def before(asked: Asked) -> None:
        with lock:
            inside.add(threading.get_ident())
            most[0] = max(most[0], len(inside))
        threading.Event().wait(0.05)
        with lock:
            inside.discard(threading.get_ident())

    github.before_reply = before
    assert sync().counts["ok"] == 13
    assert most[0] == 3


def test_a_connection_that_is_cut_off_is_no_failure(
    github: GitHub, sync: Sync, conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def retrying_at_once(on: Recoverable, *, within_s: float, sleep: Callable[[float], object]) -> Any:
        return retrying(on, within_s=within_s, sleep=sleep, waits=(0.0,), jitter_s=0.0)

    monkeypatch.setattr(doing, "retrying", retrying_at_once)
    repo = github.truth.named("octo/cat")
    assert repo is not None
    for _ in range(250):
        github.truth.open_issue(repo)
    cut: list[int] = []

    def before(asked: Asked) -> None:
        if asked.path.endswith("/issues") and "since" in asked.query and not cut:
            cut.append(1)
            mine = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE '%/project'"
            conn.execute(mine + " AND datname = current_database()")

    github.before_reply = before
    assert counted(sync())["ok"] == 1
    assert cut and sync.differences() == []


def test_what_is_past_its_time_is_dropped(github: GitHub, sync: Sync, conn: psycopg.Connection) -> None:
    event = (
        "INSERT INTO ops.sync_events (run_id, job, level, event, at) SELECT gen_random_uuid(), %s, 'info', 'e',"
        " now() - %s::interval FROM generate_series(1, 3)"
    )
    for job, age in (("sync", "31 days"), ("sync", "29 days"), ("work", "31 days")):
        conn.execute(event, (job, age))
    assert sync().counts["events_pruned"] == 0, "they are the archive's, unless it does not take them"
    sync.archive = {"takes": ["runs"]}
    repo = github.truth.named("octo/cat")
    assert repo is not None
    github.truth.open_issue(repo)
    assert sync().counts["events_pruned"] == 3
    conn.execute("UPDATE dev.payloads SET fetched_at = now() - interval '181 days' WHERE part = 'issue'")
    conn.execute("UPDATE dev.etags SET used_at = now() - interval '40 days'")
    conn.execute(
        "INSERT INTO dev.etags (identity, url, etag, used_at) VALUES ('i', 'u', 'e', now() - interval '31 days')"
    )
    for outcome in (sync(dry_run=True), sync()):
        pruned = {name: outcome.counts[name] for name in ("events_pruned", "payloads_pruned", "etags_pruned")}
        assert pruned == {"events_pruned": 0, "payloads_pruned": 1, "etags_pruned": 3}
    rows = conn.execute("SELECT job, count(*) FROM ops.sync_events WHERE event = 'e' GROUP BY job ORDER BY job")
    assert rows.fetchall() == [("sync", 3), ("work", 3)]
    used = conn.execute("SELECT count(*) FROM dev.etags WHERE used_at > now() - interval '1 day'").fetchone()
    assert used == (2,), "what was of use in this run stays, the rest was not asked for"


def test_a_stop_keeps_what_was_written(github: GitHub, sync: Sync) -> None:
    repo = github.truth.named("octo/cat")
    assert repo is not None
    github.truth.open_issue(repo)

    def before(asked: Asked) -> None:
        if asked.path == "/graphql":
            sync.stop.request(Interrupted("enough", signal_number=signal.SIGTERM))

    github.before_reply = before
    told = sync()
    assert isinstance(told.error, Interrupted) and told.counts["issues_inserted"] == 1
    assert sync.outcomes() == {"octo/cat": "limited"}


@pytest.mark.usefixtures("many")
def test_the_day_of_what_changed_is_worked_out_and_a_low_quota_is_told(github: GitHub, sync: Sync) -> None:
    told = sync()
    assert told.counts["project_days"] == sync.rows("project_days") == 13
    assert not any(each.is_firing for each in sync.told)
    repo = github.truth.named("octo/r3")
    assert repo is not None
    github.truth.open_issue(repo)
    github.spend(sync.token, 300)
    told = sync()
    assert told.counts["project_days"] == 1
    (low,) = [each for each in sync.told if each.is_firing]
    assert low.condition == "quota-low" and "of 5,000 core requests an hour are left" in low.title


def test_a_project_that_is_not_due_by_its_own_schedule_is_left_out_unless_it_is_named(
    github: GitHub, sync: Sync, conn: psycopg.Connection
) -> None:
    github.truth.repo("octo/dog")
    sync.follow("octo/dog")
    # On the 31st of December alone: due only because it was never synced.
    conn.execute("UPDATE dev.projects SET schedule = '0 0 31 12 *' WHERE full_name = 'octo/dog'")
    assert sync().counts["ok"] == 2
    conn.execute("UPDATE dev.projects SET synced_at = synced_at - interval '1 hour' WHERE full_name = 'octo/dog'")
    told = sync()
    assert counted(told).items() >= {"projects": 1, "not_due": 1, "unchanged": 1}.items()
    assert "1 project is not due by its own schedule (--project syncs one now)" in told.notes
    assert told.metrics["completion_rate"] == 1.0 and told.metrics["oldest_sync_s"] < 3_000
    assert len(sync.asked) == 2
    named = sync(names=["octo/dog"])
    assert (named.counts["projects"], named.counts["unchanged"], named.counts["not_due"]) == (1, 1, 0)
    conn.execute("UPDATE dev.projects SET synced_at = synced_at - interval '367 days' WHERE full_name = 'octo/dog'")
    assert sync().counts["projects"] == 2, "its day came meanwhile"
    conn.execute("UPDATE dev.projects SET schedule = '0 0 31 12 *'")
    told = sync(dry_run=True)
    assert (told.counts["projects"], told.counts["not_due"], told.metrics["completion_rate"]) == (0, 2, 1.0)
    assert not any("no project is followed" in note for note in told.notes)
