"""The details of one pull request by REST: as GraphQL tells them (details.py), in three requests and more if much
happened to it. The pull request, its first commit, and the timeline, which has reviews, comments, when it was reopened
and when it was ready."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from jobctl import clock
from jobctl.github.failures import BadAnswer, Gone
from jobctl.github.page import Found, Page
from jobctl.github.reading import (
    Object,
    flag,
    inner,
    moment,
    moment_or_none,
    object_of,
    objects_of,
    text,
    text_or_none,
)
from jobctl.jobs.sync.details import ENDPOINT, MOST_PAGES, SETTLED, Batch, write
from jobctl.jobs.sync.details import Found as Details
from jobctl.jobs.sync.details_reading import Comment, first_response, first_review
from jobctl.jobs.sync.reading import commit_of, count_of, who
from jobctl.jobs.sync.session import Session
from jobctl.projects.objects.issues import PullDue
from jobctl.projects.objects.rows import IssueDetails, Pull, Review

REQUESTS: Final = 3


class Happened(NamedTuple):
    """What the timeline tells."""

    reviews: Sequence[Review]
    comments: list[Comment]
    reopened: int
    ready: Sequence[datetime]


def fetch(session: Session, due: PullDue) -> None:
    """Raises what keeps it from being had; then it stays due."""
    asked_at, path = clock.utc_now(), f"{session.path}/pulls/{due.number}"
    try:
        of = object_of(_data(session.get(path, ENDPOINT), path), path)
        if text(of, "node_id", path) != due.node_id:
            raise BadAnswer(f"{path}: another one where #{due.number} is due")
        commits = f"{path}/commits?per_page=1"
        first = [commit_of(each) for each in objects_of(_data(session.get(commits, ENDPOINT), commits), commits)]
        happened = _timeline(session, due)
    except Gone:
        write(session, Batch([], [due.node_id], 0))
        return
    author = who(of, "user", path)
    commit = first[0].commit if first else None
    reviewed = first_review(author, list(happened.reviews))
    responded = first_response(author, happened.comments)
    pull = _pull(of, path)._replace(
        first_commit_at=commit.authored_at if commit is not None else None,
        ready_at=max(happened.ready, default=None),
        first_review_at=reviewed,
    )
    issue = IssueDetails(
        due.node_id,
        due.updated_at if asked_at - due.updated_at >= SETTLED else None,
        min((each for each in (responded, reviewed) if each is not None), default=None),
        happened.reopened,
    )
    by_id = {review.node_id: review for review in happened.reviews}
    write(session, Batch([Details(issue, pull, list(by_id.values()), [], of)], [], 0))


def happened_of(events: Iterable[Object], pull_node_id: str, where: str) -> Happened:
    """Events of other kinds are passed over."""
    found = Happened([], [], 0, [])
    reviews: list[Review] = []
    ready: list[datetime] = []
    reopened = 0
    for of in events:
        kind = of.get("event")
        if kind == "commented":
            found.comments.append(Comment(who(of, "user", where), moment(of, "created_at", where)))
        elif kind == "reopened":
            reopened += 1
        elif kind == "ready_for_review":
            ready.append(moment(of, "created_at", where))
        elif kind == "reviewed" and (submitted_at := moment_or_none(of, "submitted_at", where)) is not None:
            reviewer = who(of, "user", where)
            reviews.append(
                Review(
                    node_id=text(of, "node_id", where),
                    pull_node_id=pull_node_id,
                    author=reviewer.login,
                    author_is_bot=reviewer.is_bot,
                    state=text(of, "state", where).upper(),
                    submitted_at=submitted_at,
                    commit_sha=text_or_none(of, "commit_id", where),
                )
            )
    return found._replace(reviews=reviews, reopened=reopened, ready=ready)


def _timeline(session: Session, due: PullDue) -> Happened:
    path: str | None = f"{session.path}/issues/{due.number}/timeline?per_page=100"
    events: list[Object] = []
    for _ in range(MOST_PAGES):
        if path is None:
            break
        page = session.get(path, ENDPOINT)
        events += objects_of(_data(page, path), path)
        path = page.next_url
    return happened_of(events, due.node_id, f"#{due.number}.timeline")


def _pull(of: Object, where: str) -> Pull:
    """`merge_commit_sha` of one that is not merged is of a trial, and tells nothing."""
    merged_at = moment_or_none(of, "merged_at", where)
    return Pull(
        node_id=text(of, "node_id", where),
        is_draft=flag(of, "draft", where),
        merged_at=merged_at,
        merged_by=who(of, "merged_by", where).login,
        merge_commit=text_or_none(of, "merge_commit_sha", where) if merged_at is not None else None,
        base_branch=text_or_none(inner(of, "base", where), "ref", where) or "",
        head_branch=text_or_none(inner(of, "head", where), "ref", where) or "",
        additions=count_of(of, "additions", where),
        deletions=count_of(of, "deletions", where),
        changed_files=count_of(of, "changed_files", where),
        commits=count_of(of, "commits", where),
        first_commit_at=None,
        ready_at=None,
        first_review_at=None,
    )


def _data(page: Page, path: str) -> Any:
    if page.found is not Found.DATA:
        raise BadAnswer(f"{path}: {page.found} where data is due")
    return page.data
