"""Commits as far back as they must be read, and what hangs on a push."""

from datetime import timedelta

from bench_github import Asked, GitHub
from bench_github_truth import Commit, Repo
from bench_sync import Sync, counted
from jobctl.errors import Interrupted


def asked_for_commits(sync: Sync) -> int:
    return sum("/commits " in line for line in sync.asked)


def push(github: GitHub, cat: Repo, count: int) -> None:
    for number in range(count):
        github.truth.push(cat, github.truth.account("bob"), f"commit {number}")


def test_a_push_costs_one_page_however_long_the_history_is(github: GitHub, sync: Sync, cat: Repo) -> None:
    push(github, cat, 350)
    sync()
    assert sync.rows("commits") == 351 and sync.differences() == []
    push(github, cat, 3)
    assert counted(sync())["commits_inserted"] == 3
    assert asked_for_commits(sync) == 1
    push(github, cat, 130)
    sync()
    assert sync.rows("commits") == 484 and sync.differences() == []


def test_a_rewritten_history_is_read_to_where_it_forks_and_what_it_dropped_stays(
    github: GitHub, sync: Sync, cat: Repo
) -> None:
    push(github, cat, 120)
    sync()
    github.truth.force_push(cat, 5)
    assert counted(sync())["commits_inserted"] == 5
    assert sync.rows("commits") == 126 and asked_for_commits(sync) == 1
    assert sync.differences() == []


def test_a_walk_that_was_stopped_goes_on_and_then_reads_what_came_meanwhile(
    github: GitHub, sync: Sync, cat: Repo
) -> None:
    push(github, cat, 450)

    def before(asked: Asked) -> None:
        if asked.query.get("page") == "3":
            sync.stop.request(Interrupted("enough", signal_number=15))

    github.before_reply = before
    sync()
    github.before_reply = None
    loaded = sync.rows("commits")
    assert 100 <= loaded < 451
    sync.stop = type(sync.stop)()
    push(github, cat, 2)
    sync()
    assert sync.rows("commits") == 453 and sync.differences() == []


def test_a_merged_branch_of_long_ago_is_read_whole(github: GitHub, sync: Sync, cat: Repo) -> None:
    """Its commits stand far behind what is known already."""
    push(github, cat, 250)
    sync()
    old = cat.commits[5]
    branch = Commit("b" * 40, None, "on a branch", old.at + timedelta(seconds=1), old)
    merge = github.truth.push(cat, None, "Merge branch")
    merge.merged = cat.ever[branch.sha] = branch
    cat.commits.insert(6, branch)
    sync()
    assert sync.rows("commits") == 253 and sync.differences() == []


def test_languages_contributors_and_releases_are_those_of_now(github: GitHub, sync: Sync, cat: Repo) -> None:
    github.truth.release(cat, "v1")
    push(github, cat, 3)
    sync()
    cat.languages = {"Rust": 5}
    cat.releases.clear()
    github.truth.release(cat, "v2")
    push(github, cat, 1)
    told = sync()
    assert sync.differences() == []
    assert told.counts["languages_removed"] == 2 and told.counts["releases_removed"] == 1


def test_a_history_too_long_for_a_list_of_contributors_is_no_failure(github: GitHub, sync: Sync, cat: Repo) -> None:
    from bench_github import error_reply

    told = "The history or contributor list is too large to list contributors for this repository via the API."
    github.fail(r"/contributors$", lambda reply: error_reply(403, told))
    outcome = sync()
    assert counted(outcome)["ok"] == 1 and any("contributors" in note for note in outcome.notes)
    sync()
    assert any("/contributors" in asked for asked in sync.asked), "said once, it is asked again"
    sync()
    assert len(sync.asked) == 2
