"""What is in no list of changes: deleted, transferred, renamed, and what was missed."""

import json
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from bench_github import Asked, GitHub, Reply, error_reply, json_reply
from bench_github_truth import Repo
from bench_sync import Sync, counted, no_pause
from jobctl.errors import Interrupted
from jobctl.github.waiting import Waiting

DONE_LONG_AGO = json.dumps({"done_at": "2026-01-01T00:00:00+00:00"})
TOMBSTONES = "SELECT number, removal, moved_to FROM dev.issues WHERE removed_at IS NOT NULL ORDER BY number"


@pytest.fixture
def dog(github: GitHub) -> Repo:
    return github.truth.repo("octo/dog")


def fill(github: GitHub, cat: Repo, count: int = 6) -> None:
    for number in range(count):
        if number % 2:
            github.truth.open_pull(cat)
        else:
            github.truth.open_issue(cat)


def test_deleted_and_transferred_issues_become_tombstones_and_are_themselves_again_when_they_are_back(
    github: GitHub, sync: Sync, cat: Repo, dog: Repo, conn: psycopg.Connection
) -> None:
    fill(github, cat)
    sync()
    gone = cat.issues[1]
    github.truth.delete_issue(cat, 1)
    github.truth.transfer_issue(cat, 3, dog)
    assert counted(sync())["unchanged"] == 1 and conn.execute(TOMBSTONES).fetchall() == []
    dry = sync(full=True, dry_run=True)
    assert conn.execute(TOMBSTONES).fetchall() == []
    told = sync(full=True)
    assert told.counts["issues_removed"] == dry.counts["issues_removed"] == 2
    assert conn.execute(TOMBSTONES).fetchall() == [(1, "deleted", None), (3, "transferred", "octo/dog#1")]
    assert sync.differences() == [] and sync.rows("listed_issues") == 0
    sync()
    assert len(sync.asked) == 2
    cat.issues[1] = gone
    cat.deleted.clear()
    github.truth.by_node[gone.node_id] = (cat, gone)
    sync(full=True)
    assert conn.execute(TOMBSTONES).fetchall() == [(3, "transferred", "octo/dog#1")]
    assert sync.differences() == []


Trouble = Callable[[Asked, Reply], Reply]


def _only(path: str, reply: Callable[[], Reply]) -> Trouble:
    return lambda asked, found: reply() if path in asked.path else found


def _not_shown() -> Reply:
    error = {"type": "FORBIDDEN", "path": ["repository"], "message": "Resource protected by organization SAML"}
    return json_reply(200, {"data": {"repository": None, "rateLimit": {"cost": 1}}, "errors": [error]})


TROUBLES: dict[str, Trouble] = {
    "403 of one issue": _only("/issues/", lambda: error_reply(403, "Resource not accessible by personal access token")),
    "limit": _only("/issues/", lambda: error_reply(403, "You have exceeded a secondary rate limit.")),
    "451": _only("/issues/", lambda: error_reply(451, "Repository access blocked")),
    "500": _only("/issues/", lambda: error_reply(500, "Something went wrong")),
    "html": _only("/issues/", lambda: Reply(200, b"<html></html>")),
    "graphql shows nothing": _only("/graphql", _not_shown),
    "graphql lists nothing": _only("/graphql", lambda: json_reply(200, {"data": {"repository": {}}})),
}


def _goes_with(path: str) -> Trouble:
    """The whole repository, when this is asked for."""
    is_gone: list[bool] = []

    def trouble(asked: Asked, found: Reply) -> Reply:
        is_gone.extend([True] if path.encode() in asked.path.encode() + asked.body else [])
        return error_reply(404, "Not Found") if is_gone and asked.path != "/graphql" else found

    return trouble


TROUBLES["the repository is gone, too"] = _goes_with("orderBy")
TROUBLES["the repository goes while an issue is asked for"] = _goes_with("/issues/")


@pytest.mark.parametrize("name", TROUBLES)
def test_only_what_github_says_of_the_issue_itself_removes_it(
    github: GitHub, sync: Sync, cat: Repo, conn: psycopg.Connection, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Waiting, "pause", no_pause)
    fill(github, cat)
    sync()
    github.truth.delete_issue(cat, 2)
    github.chaos = TROUBLES[name]
    told = counted(sync(full=True, within_s=5.0))
    assert told.keys() & {"forbidden", "limited", "gone", "failed"}, told
    assert conn.execute(TOMBSTONES).fetchall() == []
    github.chaos = None
    sync.token = github.token()
    sync(full=True)
    assert conn.execute(TOMBSTONES).fetchall() == [(2, "deleted", None)]


def test_it_is_due_after_its_days_goes_on_after_any_end_and_finds_what_was_missed(
    github: GitHub, sync: Sync, cat: Repo, conn: psycopg.Connection
) -> None:
    fill(github, cat, 250)
    sync()
    github.truth.delete_issue(cat, 7)
    conn.execute("DELETE FROM dev.issues WHERE number IN (1, 150)")
    conn.execute("UPDATE dev.issues SET updated_at = '2026-01-01', title = 'old' WHERE number = 20")
    conn.execute("UPDATE dev.sync_cursors SET position = %s WHERE stream = 'reconcile'", (DONE_LONG_AGO,))
    listed: list[Any] = []

    def before(asked: Asked) -> None:
        if b"orderBy" in asked.body:
            listed.append(json.loads(asked.body)["variables"]["after"])
            if len(listed) == 2:
                sync.stop.request(Interrupted("enough", signal_number=15))

    github.before_reply = before
    sync()
    assert sync.rows("listed_issues") >= 100
    sync.stop = type(sync.stop)()
    told = counted(sync())
    assert listed.count(None) == 2, "issues and pull requests are listed from their beginning once"
    assert told["issues_removed"] == 1 and told["issues_inserted"] == 2
    assert sync.differences() == [] and sync.rows("listed_issues") == 0
    before_next = len(listed)
    sync()
    assert len(listed) == before_next


def test_many_that_were_missed_are_read_by_pages(
    github: GitHub, sync: Sync, cat: Repo, conn: psycopg.Connection
) -> None:
    fill(github, cat, 250)
    sync()
    conn.execute("DELETE FROM dev.issues WHERE number > 100")
    conn.execute("UPDATE dev.sync_cursors SET position = %s WHERE stream = 'reconcile'", (DONE_LONG_AGO,))
    sync()
    assert sync.differences() == []
    assert sum("/issues/" in line for line in sync.asked) == 0


def test_labels_and_milestones_that_changed_alone_come_with_it_and_with_any_other_change(
    github: GitHub, sync: Sync, cat: Repo
) -> None:
    truth = github.truth
    bug, ops, milestone = truth.label(cat, "bug"), truth.label(cat, "ops"), truth.milestone(cat, "1.0")
    issue = truth.open_issue(cat)
    truth.put_label(issue, ops)
    truth.set_milestone(issue, milestone)
    for _ in range(120):
        truth.label(cat, f"label {truth.now}")
    sync()
    assert sync.differences() == []
    truth.tick(1_000)
    other = truth.open_issue(cat, "another")
    truth.rename_label(cat, bug, "defect")
    truth.delete_label(cat, ops)
    truth.close_milestone(milestone)
    told = sync()
    assert told.counts["labels_removed"] == 1 and sync.differences() == []
    truth.rename_label(cat, bug, "fault")
    sync(full=True)
    assert sync.differences() == [] and other.number == 2
