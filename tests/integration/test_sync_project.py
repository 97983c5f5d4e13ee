"""The sync of one project: what its tables hold, what that costs, what it is called, and what a bad answer does."""

import psycopg
import pytest

from bench_github import FAULTS, GitHub, status_fault
from bench_github_truth import Repo
from bench_sync import Sync, counted, no_pause
from jobctl.github.waiting import Waiting
from jobctl.projects import store


def something_of_everything(github: GitHub, cat: Repo) -> None:
    truth = github.truth
    truth.account("helper[bot]", "Bot")
    bug, milestone = truth.label(cat, "bug"), truth.milestone(cat, "1.0")
    issue = truth.open_issue(cat, body="text")
    truth.put_label(issue, bug)
    truth.set_milestone(issue, milestone)
    truth.assign(issue, "dan", "ann")
    truth.comment(issue, "helper[bot]")
    truth.comment(issue, "eve")
    truth.close(issue)
    truth.reopen(issue)
    pull = truth.open_pull(cat, draft=True)
    truth.ready(pull)
    truth.review(pull, "CHANGES_REQUESTED", "helper[bot]")
    truth.review(pull, "APPROVED", "cat")
    truth.merge(pull)
    truth.open_issue(cat, author=None)
    truth.release(cat, "v1")
    truth.push(cat, truth.account("bob"), "more\n\nand why")


def test_everything_is_there_and_asked_again_it_is_two_304_and_no_quota_and_nothing_written(
    github: GitHub, sync: Sync, cat: Repo, conn: psycopg.Connection
) -> None:
    something_of_everything(github, cat)
    first = sync()
    assert sync.differences() == []
    assert first.counts["issues_inserted"] == 3 and first.counts["ok"] == 1
    rows = "SELECT xmin::text, node_id FROM dev.issues ORDER BY node_id"
    before, spent = conn.execute(rows).fetchall(), github.used(sync.token)
    second = sync()
    assert sync.asked == ["GET /repos/octo/cat 304", f"GET /repositories/{cat.id}/issues 304"]
    assert counted(second) == {"projects": 1, "unchanged": 1, "requests": 2, "not_modified": 2}
    assert github.used(sync.token) == spent
    full = sync(full=True)
    assert full.counts["unchanged"] == 1 and full.counts["issues_unchanged"] == 3
    assert conn.execute(rows).fetchall() == before


def test_what_is_edited_after_it_was_closed_or_merged_comes_with_the_next_sync(
    github: GitHub, sync: Sync, cat: Repo
) -> None:
    something_of_everything(github, cat)
    sync()
    truth = github.truth
    issue, pull = cat.issues[1], cat.issues[2]
    truth.tick(1_000)
    truth.edit(issue, title="another")
    truth.review(pull, "COMMENTED", "dan")
    assert pull.pull is not None
    truth.dismiss(pull, pull.pull.reviews[1])
    truth.delete_review(pull, pull.pull.reviews[0])
    told = sync()
    assert sync.differences() == []
    assert counted(told)["issues_updated"] == 2 and told.counts["reviews_removed"] == 1


def test_a_renamed_project_is_followed_and_one_whose_name_was_taken_is_found_by_its_number(
    github: GitHub, sync: Sync, cat: Repo, conn: psycopg.Connection
) -> None:
    sync()
    github.truth.rename(cat, "lion", "newocto")
    github.truth.open_issue(cat)
    assert counted(sync())["moved"] == 1
    assert sync.outcomes() == {"newocto/lion": "moved"} and sync.differences() == []
    assert store.require(conn, "octo/cat").full_name == "newocto/lion"
    sync()
    assert sync.outcomes() == {"newocto/lion": "unchanged"} and len(sync.asked) == 2
    github.truth.rename(cat, "tiger")
    thief = github.truth.repo("newocto/lion")
    github.truth.open_issue(thief, "not ours")
    assert counted(sync())["moved"] == 1
    assert sync.outcomes() == {"newocto/tiger": "moved"} and sync.differences() == []
    assert conn.execute("SELECT count(*) FROM dev.issues WHERE title = 'not ours'").fetchone() == (0,)
    github.truth.delete(cat)
    assert counted(sync())["gone"] == 1
    assert sync.rows("issues") == 1


STEPS = {
    "repository": r"^/repos/octo/cat$",
    "issues": r"/issues$",
    "details": r"^/graphql$",
    "commits": r"/commits$",
    "languages": r"/languages$",
    "contributors": r"/contributors$",
    "releases": r"/releases$",
    "labels": r"/labels$",
    "milestones": r"/milestones$",
}


@pytest.mark.parametrize("step", STEPS)
def test_a_bad_answer_is_a_typed_outcome_and_leaves_nothing_half_written(
    github: GitHub, sync: Sync, cat: Repo, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every third fault in turn, each step another third of them; the run after it finds the truth."""
    monkeypatch.setattr(Waiting, "pause", no_pause)
    something_of_everything(github, cat)
    allowed = {"BadAnswer", "NoAnswer", "ServerTrouble", "NotAccepted", None}
    faults = list({**FAULTS, "422": status_fault(422)}.items())
    for name, fault in faults[list(STEPS).index(step) % 3 :: 3]:
        if step == "details":
            github.truth.edit(cat.issues[1], title=name)
        github.fail(STEPS[step], fault, times=9)
        told = sync(full=True)
        github._plans.clear()
        assert told.evidence is not None
        (scope,) = told.evidence["projects"]  # pyright: ignore[reportGeneralTypeIssues, reportUnknownVariableType]
        error = scope["error"] and scope["error"]["class"]  # pyright: ignore[reportUnknownVariableType]
        assert error in allowed and "Traceback" not in str(told), (name, scope)
        assert scope["outcome"] in ("failed", "ok", "unchanged"), (name, scope)
        sync()
        assert sync.differences() == [], name


def test_what_github_forbids_or_limits_is_told_and_removes_nothing(
    github: GitHub, sync: Sync, cat: Repo, conn: psycopg.Connection
) -> None:
    something_of_everything(github, cat)
    sync()
    for access, outcome in (("forbidden", "forbidden"), ("missing", "gone"), ("blocked", "gone")):
        cat.access = access  # pyright: ignore[reportAttributeAccessIssue]
        assert counted(sync(full=True))[outcome] == 1
        row = conn.execute("SELECT sync_outcome, sync_error_class, sync_error_message FROM dev.projects").fetchone()
        assert row is not None and row[0] == outcome and "/repos/octo/cat" in row[2]
    cat.access = "ok"
    github.spend(sync.token, 0, resets_in_s=1_000)
    assert counted(sync(full=True))["limited"] == 1
    github._allowed_from.clear()
    github.spend(sync.token, 1_000)
    sync()
    assert sync.differences() == [] and sync.rows("issues") == 3


def test_without_a_token_there_is_what_rest_tells(github: GitHub, sync: Sync, cat: Repo) -> None:
    something_of_everything(github, cat)
    sync.token = ""
    told = sync()
    assert counted(told)["ok"] == 1 and any("without a token" in note for note in told.notes)
    assert sync.rows("issues") == 3 and sync.rows("pulls") == len(cat.pulls()), "pull requests one by one"
    assert not any("/graphql" in asked for asked in sync.asked)
    sync.token = github.token()
    sync()
    assert sync.differences() == []


def test_switched_off_issues_and_an_empty_repository_are_no_failure(github: GitHub, sync: Sync, cat: Repo) -> None:
    cat.has_issues = False
    cat.commits.clear()
    cat.ever.clear()
    cat.languages.clear()
    github.truth.label(cat, "bug")
    for options in ({}, {"full": True}, {}, {}):  # that there is nothing is believed when it is said twice
        assert counted(sync(**options)).keys() & {"ok", "unchanged"}
    assert sync.differences() == []
    assert len(sync.asked) == 2
