"""GitHub's GraphQL API as far as hydration needs it: a reader of queries and the fields of some types.

A field that a type does not have is refused as GitHub does it, with `errors` and no data, so that a query under test
cannot ask for what there is not. A node that is gone is null, with an error of type NOT_FOUND beside the data. The cost
follows GitHub's rule: the connections asked for, multiplied by the nodes above them, divided by 100, at least 1; more
than 500,000 nodes are refused.
"""

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, NamedTuple

import bench_github_shapes as shapes
from bench_github_truth import Account, Comment, Commit, Event, Issue, Label, Milestone, Repo, Review, Truth

MOST_NODES = 500_000
LEADS_ON = "Wrapped"  # no type of GitHub's
_TOKEN = re.compile(r'[\s,]*(?:#[^\n]*\s*)*(\.\.\.|[{}()\[\]:!=$]|"(?:\\.|[^"\\])*"|-?\d+|[A-Za-z_]\w*)')


class Selected(NamedTuple):
    """A field as a query asks for it; `on` is the type of the fragment around it."""

    key: str
    name: str
    arguments: Mapping[str, Any]
    inside: "Sequence[Selected]"
    on: str | None


class Refused(Exception):
    def __init__(self, message: str, kind: str = "") -> None:
        super().__init__(message)
        self.kind = kind


class _Reader:
    def __init__(self, text: str, variables: Mapping[str, Any]) -> None:
        self._tokens = _TOKEN.findall(text)
        self._at = 0
        self._variables = variables
        self.declared: set[str] = set()
        self._fragments = {  # by name: where its type stands
            name: at + 3 for at, (word, name) in enumerate(pairwise(self._tokens)) if word == "fragment"
        }

    def query(self) -> list[Selected]:
        if self._peek() == "query":
            self._next()
            if self._peek() not in ("{", "("):
                self._next()
            if self._peek() == "(":
                self._declarations()
        return self._selection(None)

    def _declarations(self) -> None:
        self._next()
        while self._peek() != ")":
            if self._next() == "$":
                self.declared.add(self._peek())
        self._next()

    def _selection(self, on: str | None) -> list[Selected]:
        self._expect("{")
        found: list[Selected] = []
        while self._peek() != "}":
            if self._peek() == "...":
                self._next()
                if self._peek() == "on":
                    self._next()
                    found.extend(self._selection(self._next()))
                else:
                    found.extend(self._fragment(self._next()))
                continue
            key = name = self._next()
            if self._peek() == ":":
                self._next()
                name = self._next()
            arguments: dict[str, Any] = {}
            if self._peek() == "(":
                self._next()
                while self._peek() != ")":
                    argument = self._next()
                    self._expect(":")
                    arguments[argument] = self._value()
                self._next()
            inside = self._selection(None) if self._peek() == "{" else []
            found.append(Selected(key, name, arguments, inside, on))
        self._next()
        return found

    def _fragment(self, name: str) -> list[Selected]:
        if name not in self._fragments:
            raise Refused(f"Fragment {name} was used, but not defined")
        here, self._at = self._at, self._fragments[name]
        found = self._selection(self._next())
        self._at = here
        return found

    def _value(self) -> Any:
        token = self._next()
        if token == "$":
            name = self._next()
            if name not in self.declared:
                raise Refused(f"Variable ${name} is used but not declared")
            return self._variables.get(name)
        if token == "[":
            values: list[Any] = []
            while self._peek() != "]":
                values.append(self._value())
            self._next()
            return values
        if token == "{":
            given: dict[str, Any] = {}
            while self._peek() != "}":
                name = self._next()
                self._expect(":")
                given[name] = self._value()
            self._next()
            return given
        if token.startswith('"'):
            return token[1:-1]
        if re.fullmatch(r"-?\d+", token):
            return int(token)
        return {"true": True, "false": False, "null": None}.get(token, token)

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _next(self) -> str:
        token = self._peek()
        if not token:
            raise Refused("Expected one of SCHEMA, SCALAR, ... actual: (none)")
        self._at += 1
        return token

    def _expect(self, token: str) -> None:
        if (got := self._next()) != token:
            raise Refused(f"Expected {token}, actual: {got}")


def read(query: str, variables: Mapping[str, Any]) -> list[Selected]:
    """Raises Refused."""
    return _Reader(query, variables).query()


class _Connection(NamedTuple):
    items: Sequence[Any]


class GraphQL:
    """Called under the truth's lock."""

    def __init__(self, truth: Truth, query: str, variables: Mapping[str, Any], visible: Callable[[Repo], bool]) -> None:
        self._truth = truth
        self._visible = visible
        self._errors: list[dict[str, Any]] = []
        self._connections = 0
        self._query = query
        self._variables = variables

    def answer(self, rate: Callable[[int], Mapping[str, Any]]) -> tuple[dict[str, Any], int]:
        """`rate` makes the object rateLimit of a cost. The JSON object, and the cost."""
        try:
            selected = read(self._query, self._variables)
            cost = self._cost(selected)
            self._rate = rate(cost)
            data = self._object("Query", None, selected, ())
        except Refused as refused:
            error: dict[str, Any] = {"message": str(refused), "locations": [{"line": 1, "column": 1}]}
            return {"errors": [error | ({"type": refused.kind} if refused.kind else {})]}, 1
        return {"data": data, **({"errors": self._errors} if self._errors else {})}, cost

    def _cost(self, selected: Sequence[Selected]) -> int:
        requests, nodes = self._weigh(selected, 1)
        if nodes > MOST_NODES:
            raise Refused(f"This query requests up to {nodes:,} possible nodes", "MAX_NODE_LIMIT_EXCEEDED")
        return max(1, round(requests / 100))

    def _weigh(self, selected: Sequence[Selected], above: int) -> tuple[int, int]:
        requests = nodes = 0
        for field in selected:
            here = above
            if field.name == "nodes" and "ids" in field.arguments:
                ids = field.arguments["ids"]
                if not isinstance(ids, list) or len(ids) > 100:  # pyright: ignore[reportUnknownArgumentType]
                    raise Refused("You may not provide more than 100 node ids", "ARGUMENT_LIMIT")
                here, requests = above * max(1, len(ids)), requests + above  # pyright: ignore[reportUnknownArgumentType]
            elif "first" in field.arguments or "last" in field.arguments:
                size = field.arguments.get("first") or field.arguments.get("last") or 0
                if not 1 <= size <= 100:
                    raise Refused(f"Requesting {size} records on the `{field.name}` connection", "EXCESSIVE_PAGINATION")
                here, requests, nodes = above * size, requests + above, nodes + above * size
            inner = self._weigh(field.inside, here)
            requests, nodes = requests + inner[0], nodes + inner[1]
        return requests, nodes

    # Types -----------------------------------------------------------------------------------------------------------

    def _object(self, kind: str, of: Any, selected: Sequence[Selected], path: tuple[str | int, ...]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for field in selected:
            if field.on not in (None, kind, "Node", "Actor", "GitObject", "Comment"):
                continue
            value = kind if field.name == "__typename" else self._field(kind, of, field, (*path, field.key))
            found[field.key] = self._shown(value, field, (*path, field.key))
        return found

    def _shown(self, value: Any, field: Selected, path: tuple[str | int, ...]) -> Any:
        if isinstance(value, datetime):
            return shapes.stamp(value)
        if isinstance(value, _Connection):
            return self._page(value.items, field, path)
        if isinstance(value, list):
            found: list[Any] = value  # pyright: ignore[reportUnknownVariableType]
            return [self._shown(each, field, (*path, number)) for number, each in enumerate(found)]
        kind = _kind(value)
        if kind is None:
            return value
        if not field.inside:
            raise Refused(f"Field must have selections (field '{field.name}' returns {kind} but has no selections)")
        return self._object(kind, value, field.inside, path)

    def _page(self, items: Sequence[Any], field: Selected, path: tuple[str | int, ...]) -> dict[str, Any]:
        begin = 0
        if after := field.arguments.get("after"):
            begin = int(base64.b64decode(after).decode().removeprefix("cursor:"))
        size, last = field.arguments.get("first"), field.arguments.get("last")
        if size is None and last is not None:
            size, begin = last, max(0, len(items) - last)
        if size is None:
            raise Refused(f"You must provide a `first` or `last` value to paginate the `{field.name}` connection.")
        shown = items[begin : begin + size]
        end = base64.b64encode(f"cursor:{begin + len(shown)}".encode()).decode()
        parts: dict[str, Any] = {
            "totalCount": len(items),
            "filteredCount": len(items),
            "pageCount": len(shown),
            "nodes": list(shown),
            "pageInfo": {"hasNextPage": begin + len(shown) < len(items), "endCursor": end if shown else None},
        }
        found: dict[str, Any] = {}
        for inner in field.inside:
            if inner.name not in parts:
                raise Refused(f"Field '{inner.name}' doesn't exist on type '{field.name}Connection'")
            value = parts[inner.name]
            if inner.name == "pageInfo":
                found[inner.key] = {each.key: value[each.name] for each in inner.inside}
            else:
                found[inner.key] = self._shown(value, inner, (*path, inner.key))
        return found

    def _field(self, kind: str, of: Any, field: Selected, path: tuple[str | int, ...]) -> Any:
        if kind == "Query":
            return self._of_query(field, path)
        fields = FIELDS[kind]
        if field.name not in fields:
            raise Refused(f"Field '{field.name}' doesn't exist on type '{kind}'", "undefinedField")
        value = fields[field.name](self, of, field)
        if value is None and field.name in ("issue", "pullRequest", "issueOrPullRequest"):
            self._not_found(f"Could not resolve to an issue with the number of {field.arguments['number']}.", path)
        return value

    def _of_query(self, field: Selected, path: tuple[str | int, ...]) -> Any:
        if field.name == "rateLimit":
            return {each.key: self._rate[each.name] for each in field.inside}
        if field.name == "repository":
            name = f"{field.arguments['owner']}/{field.arguments['name']}"
            repo = self._truth.named(name)
            if repo is None or not self._visible(repo):
                self._not_found(f"Could not resolve to a Repository with the name '{name}'.", path)
                return None
            return repo
        if field.name == "node":
            return self._node(field.arguments["id"], path)
        if field.name == "nodes":
            return [self._node(each, (*path, number)) for number, each in enumerate(field.arguments["ids"])]
        raise Refused(f"Field '{field.name}' doesn't exist on type 'Query'", "undefinedField")

    def _node(self, node_id: str, path: tuple[str | int, ...]) -> Any:
        of = self._truth.by_node.get(node_id)
        if of is not None and of[0].id in self._truth.repos and self._visible(of[0]):
            return of
        for repo in self._truth.repos.values():
            if repo.node_id == node_id and self._visible(repo):
                return repo
        self._not_found(f"Could not resolve to a node with the global id of '{node_id}'", path)
        return None

    def _not_found(self, message: str, path: tuple[str | int, ...]) -> None:
        self._errors.append({"type": "NOT_FOUND", "path": list(path), "message": message})


def _kind(value: Any) -> str | None:
    if isinstance(value, Repo):
        return "Repository"
    if isinstance(value, Account):
        return value.kind
    if isinstance(value, tuple):
        of: tuple[Repo, Issue] = value  # pyright: ignore[reportUnknownVariableType]
        return "Issue" if of[1].pull is None else "PullRequest"
    if isinstance(value, Event):
        return value.kind
    kinds: dict[type, str] = {
        Review: "PullRequestReview",
        Commit: "Commit",
        Comment: "IssueComment",
        Label: "Label",
        Milestone: "Milestone",
    }
    return LEADS_ON if isinstance(value, _Wrapped) else kinds.get(type(value))  # pyright: ignore[reportUnknownArgumentType]


class _Wrapped:
    """An object that only leads on: PullRequestCommit, Count."""

    def __init__(self, **fields: Any) -> None:
        self.fields = fields


_Field = Callable[[GraphQL, Any, Selected], Any]


def _number_of(pulls: bool) -> _Field:
    def find(graph: GraphQL, repo: Repo, field: Selected) -> Any:
        issue = repo.issues.get(field.arguments["number"])
        return (repo, issue) if issue is not None and (issue.pull is not None) == pulls else None

    return find


def _items_of(pulls: bool) -> _Field:
    def find(graph: GraphQL, repo: Repo, field: Selected) -> Any:
        is_there = pulls or repo.has_issues
        found = [issue for issue in repo.issues.values() if is_there and (issue.pull is not None) == pulls]
        filters: Mapping[str, Any] = field.arguments.get("filterBy") or {}
        since = filters.get("since")
        if since:
            found = [issue for issue in found if issue.updated_at >= datetime.fromisoformat(since).astimezone(UTC)]
        order = field.arguments.get("orderBy") or {"field": "CREATED_AT", "direction": "ASC"}
        attribute = "updated_at" if order["field"] == "UPDATED_AT" else "created_at"
        found.sort(key=lambda issue: (getattr(issue, attribute), issue.id), reverse=order["direction"] == "DESC")
        return _Connection([(repo, issue) for issue in found])

    return find


def _issue(read: Callable[[Issue], Any]) -> _Field:
    return lambda graph, of, field: read(of[1])


def _pull(read: Callable[[Any], Any]) -> _Field:
    return lambda graph, of, field: read(of[1].pull)


def _plain(read: Callable[[Any], Any]) -> _Field:
    return lambda graph, of, field: read(of)


def _timeline(graph: GraphQL, of: tuple[Repo, Issue], field: Selected) -> Any:
    wanted = field.arguments.get("itemTypes")
    return _Connection([each for each in of[1].events if wanted is None or _item_type(each.kind) in wanted])


def _item_type(kind: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind).upper()


def _history(commit: Commit | None) -> list[Commit]:
    found: list[Commit] = []
    while commit is not None:
        found.append(commit)
        commit = commit.parent
    return found


def _default_branch(repo: Repo) -> Any:
    return _Wrapped(name=repo.default_branch, target=repo.commits[-1]) if repo.commits else None


def _login(who: Account) -> str:
    """REST writes `dependabot[bot]` for what GraphQL calls `dependabot`."""
    return who.login.removesuffix("[bot]") if who.kind == "Bot" else who.login


def _commits(items: Sequence[Commit]) -> _Connection:
    return _Connection([_Wrapped(commit=each) for each in items])


_OF_BOTH: dict[str, _Field] = {
    "id": _issue(lambda issue: issue.node_id),
    "number": _issue(lambda issue: issue.number),
    "title": _issue(lambda issue: issue.title),
    "body": _issue(lambda issue: issue.body or ""),
    "author": _issue(lambda issue: issue.author),
    "createdAt": _issue(lambda issue: issue.created_at),
    "updatedAt": _issue(lambda issue: issue.updated_at),
    "closedAt": _issue(lambda issue: issue.closed_at),
    "closed": _issue(lambda issue: issue.state == "closed"),
    "comments": _issue(lambda issue: _Connection(issue.thread)),
    "timelineItems": _timeline,
    "locked": _issue(lambda issue: issue.locked),
    "labels": _issue(lambda issue: _Connection(issue.labels)),
    "assignees": _issue(lambda issue: _Connection(issue.assignees)),
    "milestone": _issue(lambda issue: issue.milestone),
    "repository": _plain(lambda of: of[0]),
}

_OF_ACCOUNT: dict[str, _Field] = {
    "login": _plain(_login),
    "id": _plain(lambda of: of.node_id),
    "databaseId": _plain(lambda of: of.id),
}

FIELDS: dict[str, dict[str, _Field]] = (
    {
        "Repository": {
            "id": _plain(lambda repo: repo.node_id),
            "databaseId": _plain(lambda repo: repo.id),
            "name": _plain(lambda repo: repo.name),
            "nameWithOwner": _plain(lambda repo: repo.full_name),
            "owner": _plain(lambda repo: repo.owner),
            "isArchived": _plain(lambda repo: repo.archived),
            "isPrivate": _plain(lambda repo: repo.private),
            "pushedAt": _plain(lambda repo: repo.pushed_at),
            "updatedAt": _plain(lambda repo: repo.updated_at),
            "defaultBranchRef": _plain(_default_branch),
            "issue": _number_of(False),
            "pullRequest": _number_of(True),
            "issues": _items_of(False),
            "pullRequests": _items_of(True),
        },
        "Issue": _OF_BOTH
        | {
            "databaseId": _issue(lambda issue: issue.id),
            "fullDatabaseId": _issue(lambda issue: str(issue.id)),
            "state": _issue(lambda issue: issue.state.upper()),
            "stateReason": _issue(lambda issue: (issue.state_reason or "").upper() or None),
        },
        "PullRequest": _OF_BOTH
        | {
            "databaseId": _issue(lambda issue: issue.pull_id),
            "fullDatabaseId": _issue(lambda issue: str(issue.pull_id)),
            "state": _issue(lambda issue: "MERGED" if issue.pull and issue.pull.merged_at else issue.state.upper()),
            "isDraft": _pull(lambda pull: pull.draft),
            "merged": _pull(lambda pull: pull.merged_at is not None),
            "mergedAt": _pull(lambda pull: pull.merged_at),
            "mergedBy": _pull(lambda pull: pull.merged_by),
            "mergeCommit": _pull(lambda pull: _Wrapped(oid=pull.merge_commit) if pull.merge_commit else None),
            "additions": _pull(lambda pull: pull.additions),
            "deletions": _pull(lambda pull: pull.deletions),
            "changedFiles": _pull(lambda pull: pull.changed_files),
            "baseRefName": _pull(lambda pull: pull.base),
            "headRefName": _pull(lambda pull: pull.head),
            "headRefOid": _pull(lambda pull: pull.commits[-1].sha),
            "commits": _pull(lambda pull: _commits(pull.commits)),
            "reviews": _pull(lambda pull: _Connection(pull.reviews)),
        },
        "PullRequestReview": {
            "id": _plain(lambda review: review.node_id),
            "databaseId": _plain(lambda review: review.id),
            "fullDatabaseId": _plain(lambda review: str(review.id)),
            "author": _plain(lambda review: review.author),
            "state": _plain(lambda review: review.state),
            "submittedAt": _plain(lambda review: review.submitted_at),
            "body": _plain(lambda review: review.body),
            "commit": _plain(lambda review: _Wrapped(oid=review.commit)),
        },
        "Commit": {
            "oid": _plain(lambda commit: commit.sha),
            "committedDate": _plain(lambda commit: commit.at),
            "authoredDate": _plain(lambda commit: commit.authored_at),
            "history": _plain(lambda commit: _Connection(_history(commit))),
            "message": _plain(lambda commit: commit.message),
        },
        "Label": {"id": _plain(lambda of: of.node_id), "name": _plain(lambda of: of.name)},
        "Milestone": {
            "id": _plain(lambda of: of.node_id),
            "number": _plain(lambda of: of.number),
            "title": _plain(lambda of: of.title),
        },
        LEADS_ON: {name: _plain(lambda of, name=name: of.fields[name]) for name in ("oid", "commit", "name", "target")},
        "IssueComment": {
            "id": _plain(lambda of: of.node_id),
            "author": _plain(lambda of: of.author),
            "createdAt": _plain(lambda of: of.created_at),
        },
        "User": _OF_ACCOUNT,
        "Organization": _OF_ACCOUNT,
        "Bot": _OF_ACCOUNT,
        "Mannequin": _OF_ACCOUNT,
    }
    | {
        kind: {"actor": _plain(lambda of: of.actor), "createdAt": _plain(lambda of: of.created_at)}
        for kind in ("ReopenedEvent", "ClosedEvent", "ReadyForReviewEvent", "ConvertToDraftEvent")
    }
    | {
        kind: {
            "actor": _plain(lambda of: of.actor),
            "createdAt": _plain(lambda of: of.created_at),
            "label": _plain(lambda of: of.label),
        }
        for kind in ("LabeledEvent", "UnlabeledEvent")
    }
    | {
        kind: {
            "actor": _plain(lambda of: of.actor),
            "createdAt": _plain(lambda of: of.created_at),
            "assignee": _plain(lambda of: of.assignee),
        }
        for kind in ("AssignedEvent", "UnassignedEvent")
    }
)
