"""The sync of one project: what its tables hold, what that costs, and where it goes on."""

from collections.abc import Generator

import psycopg
import pytest

from bench_github import GitHub
from bench_sync import Sync, counted
from jobctl.db.connection import Database


@pytest.fixture
def github() -> Generator[GitHub, None, None]:
    with GitHub() as github:
        github.truth.repo("octo/cat")
        yield github


@pytest.fixture
def sync(database: Database, conn: psycopg.Connection, github: GitHub) -> Sync:
    made = Sync(database, conn, github, github.token())
    made.follow("octo/cat")
    return made


def something_of_everything(github: GitHub) -> None:
    truth = github.truth
    cat = truth.named("octo/cat")
    assert cat is not None
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


def test_everything_of_a_project_is_there_and_asked_again_it_is_two_304_and_no_quota(
    github: GitHub, sync: Sync, conn: psycopg.Connection
) -> None:
    something_of_everything(github)
    first = sync()
    assert sync.differences() == []
    assert first.counts["issues_inserted"] == 3 and first.counts["ok"] == 1
    rows = "SELECT xmin::text, * FROM dev.issues ORDER BY node_id"
    before, spent = conn.execute(rows).fetchall(), github.used(sync.token)
    second = sync()
    assert sync.asked == ["GET /repos/octo/cat 304", "GET /repos/octo/cat/issues 304"]
    assert counted(second) == {"projects": 1, "unchanged": 1, "requests": 2, "not_modified": 2}
    assert github.used(sync.token) == spent
    assert conn.execute(rows).fetchall() == before
