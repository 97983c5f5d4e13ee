"""GitHub's answers, read into rows: what the API documents, its odd corners, and what is none of it."""

from datetime import UTC, datetime
from typing import Any

import pytest

import bench_github_shapes as shapes
from bench_github_truth import Repo, Truth
from jobctl.github.failures import BadAnswer
from jobctl.jobs.sync import details_reading, reading
from jobctl.jobs.sync.reading import NOBODY, Who

API = "https://api.github.example"
AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def repo() -> Repo:
    truth = Truth()
    made = truth.repo("octo/cat")
    issue = truth.open_issue(made, "title", body="text")
    truth.put_label(issue, truth.label(made, "ops"))
    truth.put_label(issue, truth.label(made, "bug"))
    issue.labels.reverse()
    truth.assign(issue, "dan", "ann")
    truth.set_milestone(issue, truth.milestone(made, "1.0"))
    truth.open_pull(made, author=None)
    return made


def issue_json(repo: Repo, number: int = 1, **changed: Any) -> dict[str, Any]:
    return shapes.issue(API, repo, repo.issues[number]) | changed


def test_an_issue_is_read_with_what_is_inside_it(repo: Repo) -> None:
    page = reading.issue_page([issue_json(repo), issue_json(repo, 2)], "issues")
    first, second = page.issues
    assert (first.number, first.is_pull, first.state, first.body) == (1, False, "open", "text")
    assert first.assignees == ("ann", "dan") and first.label_ids == tuple(sorted(first.label_ids))
    assert {label.label_id for label in page.labels} == set(first.label_ids)
    assert [each.milestone_id for each in page.milestones] == [first.milestone_id]
    assert (second.is_pull, second.author, second.author_is_bot) == (True, None, False)
    assert page.payloads[first.node_id]["title"] == "title"


def test_one_that_stands_twice_counts_as_it_was_changed_last(repo: Repo) -> None:
    later = issue_json(repo, title="later", updated_at="2027-01-01T00:00:00Z")
    for answer in ([later, issue_json(repo)], [issue_json(repo), later]):
        (issue,) = reading.issue_page(answer, "issues").issues
        assert issue.title == "later"
    with pytest.raises(BadAnswer, match="one number"):
        reading.issue_page([issue_json(repo), issue_json(repo, node_id="another")], "issues")


@pytest.mark.parametrize(
    "changed",
    [
        {"state": "merged"},
        {"state": None},
        {"number": "1"},
        {"number": 1 << 63},
        {"comments": -1},
        {"comments": 1 << 31},
        {"locked": "no"},
        {"updated_at": "yesterday"},
        {"updated_at": "2026-13-01T00:00:00Z"},
        {"created_at": None},
        {"labels": {"name": "bug"}},
        {"labels": ["bug"]},
        {"user": "ann"},
        {"user": {"login": 7}},
        {"assignees": None},
        {"milestone": []},
        {"node_id": ""},
        {"title": 7},
    ],
)
def test_what_is_not_documented_is_a_bad_answer(repo: Repo, changed: dict[str, Any]) -> None:
    with pytest.raises(BadAnswer):
        reading.issue_page([issue_json(repo) | changed], "issues")


def test_a_bot_is_known_by_its_type_or_its_name_under_one_name_in_both_apis(repo: Repo) -> None:
    def login(kind: str, name: str) -> Who:
        return reading.who({"user": {"login": name, "type": kind}}, "user", "issue")

    assert login("Bot", "renovate[bot]") == Who("renovate[bot]", True)
    assert login("User", "helper[bot]") == Who("helper[bot]", True)
    assert login("User", "robot") == Who("robot", False)
    assert reading.who({"user": None}, "user", "issue") == reading.who({"user": {}}, "user", "issue") == NOBODY
    node = {"author": {"__typename": "Bot", "login": "renovate"}, "createdAt": "2026-01-01T00:00:00Z"}
    connection = {"nodes": [node], "pageInfo": {"hasNextPage": False, "endCursor": None}}
    (comment,) = details_reading.comments_of({"comments": connection}, "issue").comments
    assert comment == (Who("renovate[bot]", True), AT)


def test_a_response_is_somebody_elses_and_no_bots() -> None:
    ann, bob, bot = Who("ann", False), Who("bob", False), Who("b[bot]", True)
    responds = details_reading.is_response
    assert [responds(ann, by) for by in (ann, bob, bot, NOBODY)] == [False, True, False, True]
    assert [responds(NOBODY, by) for by in (ann, NOBODY)] == [True, False]


def test_a_commit_is_read_as_far_as_git_knows_it(repo: Repo) -> None:
    of = shapes.commit(API, repo, repo.commits[0])
    read = reading.commit_of(of)
    assert read.commit is not None and read.commit.author == "ann" and read.parents == ()
    git = of["commit"]
    late: dict[str, Any] = of | {"author": {}, "commit": git | {"author": None, "message": "\n\n  subject  \n\nbody"}}
    read = reading.commit_of(late)
    assert read.commit is not None
    assert (read.commit.author, read.commit.author_name, read.commit.subject) == (None, "", "subject")
    assert read.commit.authored_at == read.commit.committed_at
    without = of | {"commit": git | {"author": None, "committer": {"date": "0000-00-00T00:00:00Z"}}}
    assert reading.commit_of(without).commit is None
    with pytest.raises(BadAnswer):
        reading.commit_of(of | {"sha": None})


def test_a_review_that_is_not_submitted_is_none_yet(repo: Repo) -> None:
    node = {"id": "PRR_1", "author": None, "state": "PENDING", "submittedAt": None, "commit": None}
    page = {"nodes": [node], "pageInfo": {"hasNextPage": True, "endCursor": "next"}}
    assert details_reading.reviews_of({"reviews": page}, "PR_1", "pull") == ([], "next")
    with pytest.raises(BadAnswer):
        details_reading.reviews_of({"reviews": {"nodes": [None], "pageInfo": {}}}, "PR_1", "pull")
    with pytest.raises(BadAnswer):
        details_reading.details_of({"__typename": "Discussion"}, "issue")
