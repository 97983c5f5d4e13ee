"""What the list of issues does not tell: reviews, sizes, merges, first responses. By GraphQL, many at once; without a
token, which GraphQL wants, as far as REST can be asked (tokenless.py).

Each row notes the change that its details were asked for, so that they are due again with the next change, whatever
ended this run. A review is no change of its issue's row but for the time, and two may share a second: what was asked
for within SETTLED of the change is asked for once more by the next run.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final, NamedTuple

from jobctl import clock
from jobctl.github.failures import BadAnswer, NotAccepted, ServerTrouble
from jobctl.github.reading import Object, list_of, object_of
from jobctl.jobs.sync.details_reading import (
    DETAILS,
    FURTHER_COMMENTS,
    FURTHER_REVIEWS,
    Details,
    comments_of,
    details_of,
    first_response,
    first_review,
    reviews_of,
)
from jobctl.jobs.sync.session import Session
from jobctl.projects.objects import assignee_events, issues, label_events, payloads, pulls, reviews
from jobctl.projects.objects.issues import Due
from jobctl.projects.objects.rows import AssigneeEvent, IssueDetails, LabelEvent, Pull, Review
from jobctl.projects.objects.upsert import Written

ENDPOINT: Final = "details"
AT_ONCE: Final = 50
FEWER: Final = 4
SETTLED: Final = timedelta(minutes=1)
MOST_PAGES: Final = 100  # of one's reviews or comments


class Found(NamedTuple):
    issue: IssueDetails
    pull: Pull | None
    reviews: Sequence[Review]
    label_events: Sequence[LabelEvent]
    assignee_events: Sequence[AssigneeEvent]
    payload: Object


class Batch(NamedTuple):
    """`missing` are no longer there; `refused` may not be seen, or only now."""

    found: Sequence[Found]
    missing: Sequence[str]
    refused: int


def fetch(session: Session) -> None:
    """Of all rows whose details are due."""
    after, size = "", AT_ONCE
    while due := issues.due(session.conn, session.project.project_id, after=after, limit=size):
        try:
            batch = _ask(session, due)
        except (NotAccepted, ServerTrouble) as error:
            if len(due) > 1:  # too much at once, as GitHub has it
                size = max(1, len(due) // FEWER)
                continue
            if isinstance(error, ServerTrouble):
                raise
            batch = Batch([], [], 1)
            session.note(f"#{due[0].number}: {error.message}")
        write(session, batch)
        after = due[-1].node_id


def _ask(session: Session, due: Sequence[Due]) -> Batch:
    asked_at = clock.utc_now()
    answer = session.ask(DETAILS, {"ids": [each.node_id for each in due]}, ENDPOINT)
    nodes = list_of(answer.data.get("nodes"), "nodes")
    if len(nodes) != len(due):
        raise BadAnswer(f"graphql nodes: {len(nodes)} for {len(due)} ids")
    missing_at = {_place(error) for error in answer.errors if error.get("type") == "NOT_FOUND"}
    found: list[Found] = []
    missing: list[str] = []
    for number, (row, node) in enumerate(zip(due, nodes, strict=True)):
        if node is None:
            if number in missing_at:
                missing.append(row.node_id)
            continue
        details = details_of(node, f"#{row.number}")
        if details.node_id != row.node_id:
            raise BadAnswer(f"graphql nodes: another one where #{row.number} is due")
        is_settled = asked_at - row.updated_at >= SETTLED
        found.append(_whole(session, details, row, object_of(node, "node"), is_settled=is_settled))
    return Batch(found, missing, len(due) - len(found) - len(missing))


def _place(error: Object) -> Any:
    path: Any = error.get("path")
    return path[1] if isinstance(path, list) and len(path) == 2 and path[0] == "nodes" else None  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]


def _whole(session: Session, details: Details, row: Due, payload: Object, *, is_settled: bool) -> Found:
    """With the pages beyond the first ones, as far as they are needed."""
    where = f"#{row.number}"
    all_reviews = list(details.reviews.reviews)
    after = details.reviews.after
    for _ in range(MOST_PAGES):
        if after is None:
            break
        further = reviews_of(_node(session, FURTHER_REVIEWS, row.node_id, after, where), row.node_id, where)
        all_reviews += further.reviews
        after = further.after
    responded = first_response(details.author, details.comments.comments)
    after = details.comments.after
    for _ in range(MOST_PAGES):
        if after is None or responded is not None:
            break
        comments = comments_of(_node(session, FURTHER_COMMENTS, row.node_id, after, where), where)
        responded = first_response(details.author, comments.comments)
        after = comments.after
    reviewed = first_review(details.author, all_reviews)
    first = min((each for each in (responded, reviewed) if each is not None), default=None)
    issue = IssueDetails(row.node_id, row.updated_at if is_settled else None, first, details.reopened)
    pull = details.pull._replace(first_review_at=reviewed) if details.pull is not None else None
    by_id = {review.node_id: review for review in all_reviews}
    return Found(issue, pull, list(by_id.values()), details.label_events, details.assignee_events, payload)


def _node(session: Session, query: str, node_id: str, after: str, where: str) -> Object:
    answer = session.ask(query, {"id": node_id, "after": after}, ENDPOINT)
    return object_of(answer.data.get("node"), f"{where}.node")


def write(session: Session, batch: Batch) -> None:
    conn, project_id = session.conn, session.project.project_id
    of_pulls = [each.pull for each in batch.found if each.pull is not None]
    of_reviews = [review for each in batch.found for review in each.reviews]
    with session.writing() as made:
        changed = issues.detail(conn, [each.issue for each in batch.found])
        given_up = issues.give_up_details(conn, batch.missing)
        made.add("details", Written(updated=changed + given_up))
        made.add("pulls", pulls.save(conn, project_id, of_pulls))
        made.add("reviews", reviews.replace(conn, project_id, [each.node_id for each in of_pulls], of_reviews))
        ids = [each.issue.node_id for each in batch.found if each.pull is None]
        of_labels = [event for each in batch.found for event in each.label_events]
        of_assignees = [event for each in batch.found for event in each.assignee_events]
        events = label_events.replace(conn, project_id, ids, of_labels)
        events += assignee_events.replace(conn, project_id, ids, of_assignees)
        made.add("details", Written(updated=events))
        payloads.keep(conn, project_id, "details", {each.issue.node_id: each.payload for each in batch.found})
    session.failed[session.step] += batch.refused
    if batch.refused:
        session.note(f"details of {batch.refused:,} issues could not be had; the next run asks again")
