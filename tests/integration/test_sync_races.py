"""What happens on GitHub between two requests of one sync, or passes: nothing of it may be kept for good."""

import pytest

from bench_github import Asked, Fault, GitHub, error_reply, json_reply
from bench_github_truth import Repo
from bench_sync import Sync


@pytest.mark.parametrize("before", ["issues", "labels", "commits", "issues/1"])
def test_a_name_that_somebody_else_takes_in_mid_sync_brings_none_of_theirs_and_buries_none_of_ours(
    github: GitHub, sync: Sync, cat: Repo, before: str
) -> None:
    truth = github.truth
    issues = [truth.open_issue(cat) for _ in range(3)]
    truth.label(cat, "ours")
    sync()
    truth.delete_issue(cat, 1)
    truth.edit(issues[2], title="changed")

    def take_name(asked: Asked) -> None:
        if asked.path.endswith(f"/{before}") and cat.full_name == "octo/cat":
            truth.rename(cat, "lion")
            theirs = truth.repo("octo/cat")
            truth.label(theirs, "theirs")
            truth.open_issue(theirs, "theirs")

    github.before_reply = take_name
    sync(full=True)
    github.before_reply = None
    assert cat.full_name == "octo/lion"
    assert sync.conn.execute("SELECT count(*) FROM dev.issues WHERE title = 'theirs'").fetchone() == (0,)
    removed = sync.conn.execute("SELECT node_id FROM dev.issues WHERE removed_at IS NOT NULL").fetchall()
    assert removed in ([], [(issues[0].node_id,)])
    sync(full=True)
    assert sync.differences() == []


PASSING: dict[str, Fault] = {
    "409": lambda reply: error_reply(409, "Git Repository is empty."),
    "202": lambda reply: json_reply(202, {}),
}


@pytest.mark.parametrize("fault", PASSING)
@pytest.mark.parametrize("of", ["commits", "languages", "contributors", "releases", "labels", "milestones"])
def test_an_answer_without_data_empties_no_table_and_is_asked_for_again(
    github: GitHub, sync: Sync, cat: Repo, of: str, fault: str
) -> None:
    truth = github.truth
    truth.label(cat, "bug")
    truth.milestone(cat, "1.0")
    truth.release(cat, "v1")
    issue = truth.open_issue(cat)
    sync()
    assert sync.differences() == []
    truth.push(cat, truth.account("bob"))
    truth.edit(issue, title="again")
    github.fail(f"/{of}$", PASSING[fault], times=1)
    before = sync.rows(of)
    sync()
    assert sync.rows(of) >= before
    sync()
    assert sync.differences() == []


def test_details_that_nobody_could_see_come_when_they_can_be_seen_again(github: GitHub, sync: Sync, cat: Repo) -> None:
    truth = github.truth
    pull = truth.open_pull(cat)
    truth.review(pull)

    def shut(asked: Asked) -> None:
        cat.access = "missing" if asked.path == "/graphql" else "ok"

    github.before_reply = shut
    sync()
    github.before_reply = None
    cat.access = "ok"
    sync()
    assert sync.differences() == []


def test_a_push_in_the_second_of_another_is_seen_by_the_next_sync(github: GitHub, sync: Sync, cat: Repo) -> None:
    import time

    truth = github.truth
    truth.follows = time.time
    truth.push(cat, truth.account("bob"))
    second = truth.now

    def push(asked: Asked) -> None:
        if asked.path.endswith("/languages"):  # the commits have been read by then
            truth.follows = second.timestamp
            truth.push(cat, truth.account("eve"))
            github.before_reply = None

    github.before_reply = push
    sync()
    assert cat.pushed_at == second
    sync()
    assert sync.differences() == []


def test_contributors_that_may_not_be_seen_for_a_while_come_with_the_next_sync(
    github: GitHub, sync: Sync, cat: Repo
) -> None:
    github.fail("/contributors$", lambda reply: error_reply(403, "Resource not accessible by personal access token"))
    sync()
    sync()
    assert sync.differences() == []
