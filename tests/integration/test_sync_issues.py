"""The list of what changed, while it changes: nothing is missed, nothing is asked for twice without need."""

from collections import Counter

import psycopg
import pytest

from bench_github import Asked, GitHub
from bench_github_truth import Repo
from bench_sync import Sync, counted
from jobctl.errors import Interrupted
from jobctl.jobs.sync import issues


def pages(sync: Sync) -> int:
    return sum("/issues " in line for line in sync.asked)


def test_what_moves_to_the_end_while_pages_are_read_leaves_nothing_unseen(
    github: GitHub, sync: Sync, cat: Repo, conn: psycopg.Connection
) -> None:
    """By numbers of pages 10 would be missed for each page."""
    for number in range(450):
        github.truth.open_issue(cat, f"issue {number}")
    edited = iter(range(1, 400))

    def before(asked: Asked) -> None:
        if asked.path.endswith("/issues"):
            for _ in range(10):
                github.truth.edit(cat.issues[next(edited)], body="edited")

    github.before_reply = before
    sync()
    github.before_reply = None
    assert conn.execute("SELECT count(*) FROM dev.issues").fetchone() == (450,)
    assert sync.differences() == []


@pytest.mark.parametrize("count", [99, 100, 101, 250])
def test_many_in_one_second_are_all_seen_also_while_they_change(
    github: GitHub, sync: Sync, cat: Repo, count: int
) -> None:
    github.truth.open_issue(cat, "before")
    github.truth.tick(1_000)
    github.truth.seconds_a_change = 0
    for number in range(count):
        github.truth.open_issue(cat, f"issue {number}")
    left = [100, 50, 20]

    def before(asked: Asked) -> None:
        if asked.path.endswith("/issues") and left and len(github.requests) > 2:
            issue = cat.issues[left.pop()]
            github.truth.tick(1)
            github.truth.edit(issue, body="edited")

    github.before_reply = before
    sync()
    github.before_reply = None
    assert sync.differences() == []
    sync()
    sync()
    # Of a full page in one second there is no ETag to keep.
    assert len(sync.asked) == 2 or count > 99


def test_two_changes_in_one_second_are_both_seen(github: GitHub, sync: Sync, cat: Repo) -> None:
    issue = github.truth.open_issue(cat)
    for _ in range(150):
        github.truth.open_issue(cat)
    github.truth.edit(issue, title="first")
    sync()
    github.truth.seconds_a_change = 0
    github.truth.edit(issue, title="second")
    github.truth.comment(issue)
    assert counted(sync())["issues_updated"] == 1
    assert sync.differences() == []


def test_a_changed_project_costs_one_question_as_long_as_the_answer_is_one_page(
    github: GitHub, sync: Sync, cat: Repo
) -> None:
    github.truth.seconds_a_change = 60
    for _ in range(230):
        github.truth.open_issue(cat)
    sync()
    assert pages(sync) == 3
    for _ in range(3):
        github.truth.tick(86_400)
        for number in range(1, 20):
            github.truth.edit(cat.issues[number], body=f"{github.truth.now}")
        sync()
        assert pages(sync) == 1
    sync()
    assert [line.split()[-1] for line in sync.asked] == ["304", "304"]


def test_it_goes_on_at_the_page_where_it_was_stopped(github: GitHub, sync: Sync, cat: Repo) -> None:
    for _ in range(450):
        github.truth.open_issue(cat)
    asked_for: Counter[str] = Counter()

    def before(asked: Asked) -> None:
        if asked.path.endswith("/issues"):
            asked_for[asked.query.get("since", "")] += 1
            if sum(asked_for.values()) == 3:
                sync.stop.request(Interrupted("enough", signal_number=15))

    github.before_reply = before
    stopped = sync()
    assert isinstance(stopped.error, Interrupted) and 150 < sync.rows("issues") < 450
    sync.stop = type(sync.stop)()
    told = sync()
    assert sync.differences() == []
    assert told.counts["issues_inserted"] + stopped.counts["issues_inserted"] == 450
    assert asked_for.most_common(1)[0][1] <= 2, asked_for


def test_since_is_where_a_first_sync_begins_and_others_are_read_again(github: GitHub, sync: Sync, cat: Repo) -> None:
    old = github.truth.open_issue(cat, "old")
    github.truth.tick(86_400)
    between = github.truth.now
    new = github.truth.open_issue(cat, "new")
    sync(since=between)
    assert sync.rows("issues") == 1
    sync.sync = {"reconcile_days": 1}
    due = "UPDATE dev.sync_cursors SET position = %s WHERE stream = 'reconcile'"
    sync.conn.execute(due, ('{"done_at": "2026-01-01T00:00:00+00:00"}',))
    sync()
    assert sync.rows("issues") == 1, "what was not wanted is not brought by a reconcile"
    sync(since=old.created_at)
    assert sync.rows("issues") == 2 and new.number == 2
    assert sync.differences() == []


def test_an_older_answer_changes_nothing_and_a_node_id_of_another_form_is_the_same_issue(
    github: GitHub, sync: Sync, cat: Repo, conn: psycopg.Connection
) -> None:
    issue = github.truth.open_issue(cat, "title")
    pull = github.truth.open_pull(cat)
    github.truth.review(pull)
    sync()
    conn.execute("UPDATE dev.issues SET title = 'newer', updated_at = updated_at + interval '1 hour'")
    sync(full=True)
    assert conn.execute("SELECT DISTINCT title FROM dev.issues").fetchall() == [("newer",)]
    conn.execute("UPDATE dev.issues SET updated_at = updated_at - interval '1 hour'")
    conn.execute("UPDATE dev.issues SET node_id = 'MDU6' || node_id")
    sync(full=True)
    assert sync.differences() == []
    assert sync.rows("issues") == 2 and sync.rows("pulls") == 1 and issue.number == 1
    assert issues.OVERLAP.total_seconds() == 120
