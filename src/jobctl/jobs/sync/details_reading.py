"""What GitHub's GraphQL API says beyond the list of issues, and the query that asks for it. Pure; raises BadAnswer.

A first response is the first comment or review by somebody else than the author and no bot. A pull request's first
commit is the first one that it has now, by the time that its author gave it.
"""

from datetime import datetime
from typing import Any, Final, NamedTuple

from jobctl.github.failures import BadAnswer
from jobctl.github.reading import (
    Object,
    flag,
    inner,
    inner_or_none,
    list_of,
    moment,
    moment_or_none,
    object_of,
    objects_of,
    text,
    text_or_none,
)
from jobctl.jobs.sync.reading import BOT, NOBODY, Who, count_of
from jobctl.projects.objects.rows import AssigneeEvent, LabelEvent, Pull, Review

COMMENTS: Final = 20
CHANGES: Final = 100  # of labels and of assignees, the last ones; hardly an issue has more, and the oldest matter least

_COMMENT: Final = "nodes { author { __typename login } createdAt } pageInfo { hasNextPage endCursor }"
_REVIEW: Final = """
nodes { id author { __typename login } state submittedAt commit { oid } } pageInfo { hasNextPage endCursor }
"""
_ASSIGNEE: Final = "__typename ... on Actor { login }"  # one of several types, each of which is an actor
DETAILS: Final = f"""
query ($ids: [ID!]!) {{
  rateLimit {{ cost }}
  nodes(ids: $ids) {{
    __typename
    ... on Issue {{
      id
      author {{ __typename login }}
      comments(first: {COMMENTS}) {{ {_COMMENT} }}
      reopened: timelineItems(itemTypes: [REOPENED_EVENT], first: 50) {{ nodes {{ __typename }} }}
      labelled: timelineItems(itemTypes: [LABELED_EVENT, UNLABELED_EVENT], last: {CHANGES}) {{
        nodes {{
          __typename
          ... on LabeledEvent {{ createdAt label {{ id }} }}
          ... on UnlabeledEvent {{ createdAt label {{ id }} }}
        }}
      }}
      assigned: timelineItems(itemTypes: [ASSIGNED_EVENT, UNASSIGNED_EVENT], last: {CHANGES}) {{
        nodes {{
          __typename
          ... on AssignedEvent {{ createdAt assignee {{ {_ASSIGNEE} }} }}
          ... on UnassignedEvent {{ createdAt assignee {{ {_ASSIGNEE} }} }}
        }}
      }}
    }}
    ... on PullRequest {{
      id
      author {{ __typename login }}
      comments(first: {COMMENTS}) {{ {_COMMENT} }}
      reopened: timelineItems(itemTypes: [REOPENED_EVENT], first: 50) {{ nodes {{ __typename }} }}
      ready: timelineItems(itemTypes: [READY_FOR_REVIEW_EVENT], first: 50) {{
        nodes {{ ... on ReadyForReviewEvent {{ createdAt }} }}
      }}
      isDraft mergedAt mergedBy {{ __typename login }} mergeCommit {{ oid }} baseRefName headRefName
      additions deletions changedFiles
      commits(first: 1) {{ totalCount nodes {{ commit {{ authoredDate }} }} }}
      reviews(first: 100) {{ {_REVIEW} }}
    }}
  }}
}}
"""
FURTHER_REVIEWS: Final = f"""
query ($id: ID!, $after: String!) {{
  rateLimit {{ cost }}
  node(id: $id) {{ __typename ... on PullRequest {{ reviews(first: 100, after: $after) {{ {_REVIEW} }} }} }}
}}
"""
FURTHER_COMMENTS: Final = f"""
query ($id: ID!, $after: String!) {{
  rateLimit {{ cost }}
  node(id: $id) {{
    __typename
    ... on Issue {{ comments(first: 100, after: $after) {{ {_COMMENT} }} }}
    ... on PullRequest {{ comments(first: 100, after: $after) {{ {_COMMENT} }} }}
  }}
}}
"""


class Comment(NamedTuple):
    author: Who
    at: datetime


class Comments(NamedTuple):
    """`after` is where there are more, None at the end."""

    comments: list[Comment]
    after: str | None


class Reviews(NamedTuple):
    reviews: list[Review]
    after: str | None


class Details(NamedTuple):
    """`pull` and `reviews` are of a pull request alone. `pull.first_review_at` is for whoever has all reviews."""

    node_id: str
    author: Who
    comments: Comments
    reopened: int
    pull: Pull | None
    reviews: Reviews
    label_events: list[LabelEvent]
    assignee_events: list[AssigneeEvent]


def details_of(node: Any, where: str) -> Details:
    of = object_of(node, where)
    kind = text(of, "__typename", where)
    if kind not in ("Issue", "PullRequest"):
        raise BadAnswer(f"{where}: another type where an issue or a pull request is due")
    node_id = text(of, "id", where)
    return Details(
        node_id=node_id,
        author=_who(of, "author", where),
        comments=comments_of(of, where),
        reopened=len(list_of(inner(of, "reopened", where).get("nodes"), f"{where}.reopened")),
        pull=_pull_of(of, node_id, where) if kind == "PullRequest" else None,
        reviews=reviews_of(of, node_id, where) if kind == "PullRequest" else Reviews([], None),
        label_events=_label_events_of(of, node_id, where) if kind == "Issue" else [],
        assignee_events=_assignee_events_of(of, node_id, where) if kind == "Issue" else [],
    )


def _label_events_of(of: Object, node_id: str, where: str) -> list[LabelEvent]:
    """Of an issue. An event whose label GitHub no longer tells says nothing."""
    where = f"{where}.labelled"
    return [
        LabelEvent(
            node_id,
            text(label, "id", where),
            moment(each, "createdAt", where),
            text(each, "__typename", where) == "LabeledEvent",
        )
        for each in _nodes(inner(of, "labelled", where), where)
        if (label := inner_or_none(each, "label", where)) is not None
    ]


def _assignee_events_of(of: Object, node_id: str, where: str) -> list[AssigneeEvent]:
    """Of an issue. An event of an account that is no more says nothing."""
    where = f"{where}.assigned"
    return [
        AssigneeEvent(
            node_id, login, moment(each, "createdAt", where), text(each, "__typename", where) == "AssignedEvent"
        )
        for each in _nodes(inner(of, "assigned", where), where)
        if (login := _who(each, "assignee", where).login) is not None
    ]


def comments_of(of: Object, where: str) -> Comments:
    connection = inner(of, "comments", where)
    where = f"{where}.comments"
    comments = [
        Comment(_who(each, "author", where), moment(each, "createdAt", where)) for each in _nodes(connection, where)
    ]
    return Comments(comments, _after(connection, where))


def reviews_of(of: Object, pull_node_id: str, where: str) -> Reviews:
    """Without those that are not submitted, which their authors alone can see."""
    connection = inner(of, "reviews", where)
    where = f"{where}.reviews"
    reviews: list[Review] = []
    for each in _nodes(connection, where):
        submitted_at = moment_or_none(each, "submittedAt", where)
        if submitted_at is None:
            continue
        author = _who(each, "author", where)
        commit = inner_or_none(each, "commit", where)
        reviews.append(
            Review(
                node_id=text(each, "id", where),
                pull_node_id=pull_node_id,
                author=author.login,
                author_is_bot=author.is_bot,
                state=text(each, "state", where),
                submitted_at=submitted_at,
                commit_sha=text(commit, "oid", where) if commit is not None else None,
            )
        )
    return Reviews(reviews, _after(connection, where))


def first_response(author: Who, comments: list[Comment]) -> datetime | None:
    return min((each.at for each in comments if is_response(author, each.author)), default=None)


def first_review(author: Who, reviews: list[Review]) -> datetime | None:
    """By a person other than the author."""
    return min(
        (each.submitted_at for each in reviews if is_response(author, Who(each.author, each.author_is_bot))),
        default=None,
    )


def is_response(author: Who, by: Who) -> bool:
    """Somebody whose account is gone is taken for somebody else, unless the author's is gone, too."""
    return not by.is_bot and by != author


def _pull_of(of: Object, node_id: str, where: str) -> Pull:
    commits = inner(of, "commits", where)
    first = [inner(each, "commit", f"{where}.commits") for each in _nodes(commits, f"{where}.commits")]
    merge_commit = inner_or_none(of, "mergeCommit", where)
    ready = [moment(each, "createdAt", f"{where}.ready") for each in _nodes(inner(of, "ready", where), where)]
    return Pull(
        node_id=node_id,
        is_draft=flag(of, "isDraft", where),
        merged_at=moment_or_none(of, "mergedAt", where),
        merged_by=_who(of, "mergedBy", where).login,
        merge_commit=text(merge_commit, "oid", where) if merge_commit is not None else None,
        base_branch=text_or_none(of, "baseRefName", where) or "",
        head_branch=text_or_none(of, "headRefName", where) or "",
        additions=count_of(of, "additions", where),
        deletions=count_of(of, "deletions", where),
        changed_files=count_of(of, "changedFiles", where),
        commits=count_of(commits, "totalCount", f"{where}.commits"),
        first_commit_at=moment(first[0], "authoredDate", f"{where}.commits") if first else None,
        ready_at=max(ready, default=None),
        first_review_at=None,
    )


def _who(of: Object, name: str, where: str) -> Who:
    """GraphQL names a bot without the ending that REST gives it."""
    found = inner_or_none(of, name, where)
    if found is None:
        return NOBODY
    login = text(found, "login", f"{where}.{name}")
    is_bot = found.get("__typename") == "Bot" or login.endswith(BOT)
    return Who(login if not is_bot or login.endswith(BOT) else login + BOT, is_bot)


def _nodes(connection: Object, where: str) -> list[Object]:
    return objects_of(connection.get("nodes"), where)


def _after(connection: Object, where: str) -> str | None:
    info = inner(connection, "pageInfo", where)
    return text(info, "endCursor", where) if flag(info, "hasNextPage", where) else None
