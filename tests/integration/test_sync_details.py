"""What the list of issues does not tell, by GraphQL."""

from datetime import UTC, datetime
from time import time
from typing import Any

import psycopg
import pytest

from bench_github import Asked, GitHub, Reply, json_reply, status_fault
from bench_github_truth import Repo
from bench_sync import Sync, counted, no_pause
from jobctl.github.waiting import Waiting


def test_more_reviews_and_comments_than_a_page_are_all_read(
    github: GitHub, sync: Sync, cat: Repo, conn: psycopg.Connection
) -> None:
    truth = github.truth
    truth.account("helper[bot]", "Bot")
    pull, issue = truth.open_pull(cat, author="bob"), truth.open_issue(cat, author="ann")
    for number in range(250):
        truth.review(pull, "COMMENTED", "helper[bot]" if number < 220 else "cat")
    for _ in range(130):
        truth.comment(issue, "helper[bot]")
        truth.comment(issue, "ann")
    answered = truth.comment(issue, "eve").created_at
    sync()
    assert sync.differences() == []
    row = conn.execute("SELECT first_response_at FROM dev.issues WHERE number = 2").fetchone()
    assert sync.rows("reviews") == 250 and row == (answered,)


def test_when_labels_were_put_on_and_taken_away_is_kept(
    github: GitHub, sync: Sync, cat: Repo, conn: psycopg.Connection
) -> None:
    truth = github.truth
    issue, pull = truth.open_issue(cat), truth.open_pull(cat)
    p0, hold = truth.label(cat, "p0"), truth.label(cat, "on hold")
    truth.put_label(issue, p0)
    truth.put_label(issue, hold)
    truth.put_label(pull, p0)
    sync()
    assert sync.differences() == [] and sync.rows("label_events") == 2
    truth.take_label(issue, hold)
    truth.rename_label(cat, p0, "severity: critical")
    sync()
    assert sync.differences() == [] and sync.rows("label_events") == 3
    named = "SELECT l.name, e.is_added FROM dev.label_events AS e JOIN dev.labels AS l ON l.node_id = e.label_node_id"
    assert sorted(conn.execute(named.encode()).fetchall()) == [
        ("on hold", False), ("on hold", True), ("severity: critical", True),
    ]  # fmt: skip


def test_what_was_asked_for_in_the_minute_of_its_change_is_asked_for_once_more(
    github: GitHub, sync: Sync, cat: Repo
) -> None:
    """A review in the same second moves nothing that the list tells."""
    truth = github.truth
    truth.now = datetime.fromtimestamp(int(time()), UTC)
    pull = truth.open_pull(cat)
    sync()
    truth.seconds_a_change = 0
    truth.review(pull)
    assert sync.rows("reviews") == 0
    sync()
    assert sync.differences() == [] and sync.rows("reviews") == 1


def test_a_batch_that_is_too_much_is_asked_for_in_parts_and_one_that_is_refused_leaves_the_others(
    github: GitHub, sync: Sync, cat: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Waiting, "pause", no_pause)
    for _ in range(60):
        github.truth.open_pull(cat)
    evil = cat.issues[17].node_id
    sizes: list[int] = []

    def chaos(asked: Asked, reply: Reply) -> Reply:
        if asked.path != "/graphql":
            return reply
        import json

        ids: list[Any] = json.loads(asked.body)["variables"]["ids"]
        sizes.append(len(ids))
        if len(ids) > 20:
            return Reply(502, b"<html>", content_type="text/html")
        if evil in ids:
            return json_reply(200, {"data": None, "errors": [{"message": "Something went wrong"}]})
        return reply

    github.chaos = chaos
    told = sync()
    assert max(sizes) == 50 and sync.rows("pulls") == 59
    assert counted(told)["ok"] == 1 and any("#17" in note for note in told.notes)
    github.chaos = None
    sync()
    assert sync.differences() == [] and sync.rows("pulls") == 60


def test_one_that_is_gone_meanwhile_is_left_to_the_reconcile(
    github: GitHub, sync: Sync, cat: Repo, conn: psycopg.Connection
) -> None:
    for _ in range(3):
        github.truth.open_pull(cat)

    def before(asked: Asked) -> None:
        if asked.path == "/graphql" and 2 in cat.issues:
            github.truth.delete_issue(cat, 2)

    github.before_reply = before
    assert counted(sync())["ok"] == 1
    assert (sync.rows("issues"), sync.rows("pulls")) == (3, 2)
    sync()
    sync()
    assert len(sync.asked) == 2, "it was asked for once more, and then not again"
    sync(full=True)
    assert conn.execute("SELECT removal FROM dev.issues WHERE number = 2").fetchone() == ("deleted",)


# Without a token -----------------------------------------------------------------------------------------------------


def of_pulls(sync: Sync) -> list[str]:
    """Issues' own details need a token."""
    return [line for line in sync.differences() if ": pulls " in line or ": reviews " in line or "no details" in line]


def test_without_a_token_pull_requests_come_by_rest_as_graphql_tells_them(
    github: GitHub, sync: Sync, cat: Repo, conn: psycopg.Connection
) -> None:
    truth = github.truth
    truth.account("helper[bot]", "Bot")
    draft, merged, old = truth.open_pull(cat, draft=True), truth.open_pull(cat), truth.open_pull(cat, author=None)
    truth.ready(draft)
    truth.push_to_pull(draft)
    truth.comment(merged, "helper[bot]")
    truth.comment(merged, "bob")
    for state, by in (("COMMENTED", "helper[bot]"), ("CHANGES_REQUESTED", "eve"), ("APPROVED", None)):
        truth.review(merged, state, by)
    truth.merge(merged)
    truth.close(old)
    truth.reopen(old)
    answered = truth.comment(old, "dan").created_at
    issue = truth.open_issue(cat)
    truth.comment(issue, "dan")
    sync.token = ""
    told = sync()
    assert counted(told)["ok"] == 1 and told.counts["pulls_inserted"] == 3 and told.counts["reviews_inserted"] == 3
    assert of_pulls(sync) == [] and told.counts["details_left"] == 0
    rows = conn.execute("SELECT number, first_response_at IS NOT NULL, reopened FROM dev.issues ORDER BY number")
    assert rows.fetchall() == [(1, False, 0), (2, True, 0), (3, True, 1), (4, False, 0)]
    row = conn.execute("SELECT first_response_at FROM dev.issues WHERE number = 3").fetchone()
    assert row == (answered,)
    sync()
    assert not any("/pulls/" in asked for asked in sync.asked), "none is due"
    sync.token = github.token()
    sync()
    assert sync.differences() == []


def test_the_hours_requests_go_as_far_as_they_do_and_the_next_run_goes_on_with_the_oldest_left(
    github: GitHub, sync: Sync, cat: Repo, conn: psycopg.Connection
) -> None:
    truth = github.truth
    pulls = [truth.open_pull(cat) for _ in range(25)]
    truth.edit(pulls[0])  # its change is the newest now
    order = [*range(2, 26), 1]

    def detailed() -> list[int]:
        rows = conn.execute("SELECT i.number FROM dev.pulls JOIN dev.issues AS i USING (node_id)").fetchall()
        return sorted((number for (number,) in rows), key=order.index)

    sync.token = ""
    told = sync()
    first = len(detailed())
    assert 10 <= first < 20 and detailed() == order[:first]
    assert counted(told)["ok"] == 1 and told.error is None and told.counts["details_left"] == 25 - first
    assert any(f"{25 - first} pull requests wait for the next runs" in note for note in told.notes)
    assert 60 - github.used("") in range(6, 9), "a few are left for somebody at a terminal"
    sync()
    assert len(detailed()) == first and len(sync.asked) == 2
    github._quotas.clear()
    github.fail("/pulls/20$", status_fault(404))
    github.fail(f"/pulls/{order[first]}$", status_fault(422))
    told = sync(budget=2 + 3 * 5 + 1)
    assert len(detailed()) == first + 4 and any(f"#{order[first]}: " in note for note in told.notes)
    github._quotas.clear()
    sync()
    github._quotas.clear()
    sync()
    assert of_pulls(sync) == [] and len(detailed()) == 25
