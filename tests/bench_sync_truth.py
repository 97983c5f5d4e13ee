"""Are the tables what GitHub holds? Each fault is a line that names the project, the table and the row."""

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import psycopg

from bench_github_shapes import stamp
from bench_github_truth import Account, Event, Issue, Repo, Truth

MOST_TOLD = 5
Rows = Mapping[Any, tuple[Any, ...]]

PROJECTS = """
SELECT github_id, project_id, full_name, description, default_branch, language, is_private, is_fork, is_archived, stars,
    pushed_at
FROM dev.projects
"""
LABELS = "SELECT label_id, name, color, description FROM dev.labels WHERE project_id = %s"
MILESTONES = """
SELECT milestone_id, number, title, state, due_on, created_at, updated_at, closed_at
FROM dev.milestones WHERE project_id = %s
"""
# A label that is no more may still stand with issues that nobody has touched since: its name is gone with its row.
ISSUES = """
SELECT node_id, github_id, number, is_pull, title, body, state, state_reason, author, author_is_bot, assignees,
    ARRAY (SELECT l.label_id FROM dev.labels AS l WHERE l.label_id = ANY (label_ids) ORDER BY l.label_id), milestone_id,
    comments, is_locked, created_at, updated_at, closed_at, first_response_at, reopened
FROM dev.issues WHERE project_id = %s AND removed_at IS NULL
"""
UNDETAILED = """
SELECT node_id FROM dev.issues AS i WHERE project_id = %s AND removed_at IS NULL
    AND (is_pull AND NOT EXISTS (SELECT FROM dev.pulls AS p WHERE p.node_id = i.node_id))
"""
REMOVED = "SELECT node_id, number, removal, moved_to FROM dev.issues WHERE project_id = %s AND removed_at IS NOT NULL"
PULLS = """
SELECT p.node_id, is_draft, merged_at, merged_by, merge_commit, base_branch, head_branch, additions, deletions,
    changed_files, commits, first_commit_at, ready_at, first_review_at
FROM dev.pulls AS p JOIN dev.issues AS i USING (node_id) WHERE p.project_id = %s AND i.removed_at IS NULL
"""
REVIEWS = """
SELECT r.node_id, pull_node_id, r.author, r.author_is_bot, r.state, submitted_at, commit_sha
FROM dev.reviews AS r JOIN dev.issues AS i ON i.node_id = pull_node_id
WHERE r.project_id = %s AND i.removed_at IS NULL
"""
LABEL_EVENTS = """
SELECT concat_ws(' ', e.node_id, e.label_node_id, extract(epoch FROM e.at)::bigint, e.is_added), true
FROM dev.label_events AS e JOIN dev.issues AS i USING (node_id) WHERE e.project_id = %s AND i.removed_at IS NULL
"""
ASSIGNEE_EVENTS = """
SELECT concat_ws(' ', e.node_id, e.login, extract(epoch FROM e.at)::bigint, e.is_added), true
FROM dev.assignee_events AS e JOIN dev.issues AS i USING (node_id) WHERE e.project_id = %s AND i.removed_at IS NULL
"""
COMMITS = """
SELECT sha, author, author_is_bot, author_name, subject, authored_at, committed_at FROM dev.commits
WHERE project_id = %s
"""
CONTRIBUTORS = "SELECT github_id, login, is_bot, contributions FROM dev.contributors WHERE project_id = %s"
RELEASES = """
SELECT release_id, tag, name, is_draft, is_prerelease, created_at, published_at FROM dev.releases WHERE project_id = %s
"""
LANGUAGES = "SELECT name, bytes FROM dev.languages WHERE project_id = %s"
PAYLOADS = """
SELECT p.node_id, payload FROM dev.payloads AS p JOIN dev.issues AS i USING (node_id)
WHERE p.project_id = %s AND part = 'issue' AND i.removed_at IS NULL
"""


def differences(conn: psycopg.Connection, truth: Truth) -> list[str]:
    """Between the tables and the truth, of all projects that can be read."""
    with truth.lock:
        found: list[str] = []
        for github_id, project_id, *facts in conn.execute(PROJECTS).fetchall():
            repo = truth.repos.get(github_id)
            if repo is not None and repo.access == "ok":
                if tuple(facts) != _facts(repo):
                    found.append(f"{repo.full_name}: projects has {facts}, not {_facts(repo)}")
                found += [f"{repo.full_name}: {each}" for each in _inside(conn, truth, repo, project_id)]
        return found


def _inside(conn: psycopg.Connection, truth: Truth, repo: Repo, project_id: int) -> list[str]:
    def rows(question: str) -> dict[Any, tuple[Any, ...]]:
        return {row[0]: _hashable(row[1:]) for row in conn.execute(question.encode(), (project_id,))}

    issues = list(repo.issues.values())
    pulls = [issue for issue in issues if issue.pull is not None]
    commits = {each.sha: _commit(each) for each in repo.ever.values()}
    now = {each.sha for each in repo.commits}
    known = rows(COMMITS)
    payloads = {key: json.loads(zlib.decompress(row[0])) for key, row in rows(PAYLOADS).items()}
    found = [
        *compared("labels", rows(LABELS), {each.id: (each.name, each.color, each.description) for each in repo.labels}),
        *compared("milestones", rows(MILESTONES), {each.id: _milestone(each) for each in repo.milestones}),
        *compared("issues", rows(ISSUES), {issue.node_id: _issue(issue) for issue in issues}),
        *compared("pulls", rows(PULLS), {issue.node_id: _pull(issue) for issue in pulls}),
        *compared("reviews", rows(REVIEWS), {key: row for issue in pulls for key, row in _reviews(issue).items()}),
        *compared(
            "label events", rows(LABEL_EVENTS), {key: (True,) for issue in issues for key in _label_events(issue)}
        ),
        *compared(
            "assignee events",
            rows(ASSIGNEE_EVENTS),
            {key: (True,) for issue in issues for key in _assignee_events(issue)},
        ),
        # What a forced push has dropped may stand; what nobody ever pushed may not.
        *compared(
            "commits",
            {sha: row for sha, row in known.items() if sha in now or sha not in commits},
            {sha: commits[sha] for sha in now},
        ),
        *compared("contributors", rows(CONTRIBUTORS), _contributors(repo)),
        *compared("releases", rows(RELEASES), {each.id: _release(each) for each in repo.releases}),
        *compared("languages", rows(LANGUAGES), {name: (count,) for name, count in repo.languages.items()}),
        *compared(
            "payloads",
            {key: (of["number"], of["title"], of["updated_at"]) for key, of in payloads.items()},
            {issue.node_id: (issue.number, issue.title, stamp(issue.updated_at)) for issue in issues},
        ),
    ]
    undetailed = conn.execute(UNDETAILED, (project_id,)).fetchall()
    return [*found, *(f"no details of {row[0]}" for row in undetailed), *_wrongly_removed(rows(REMOVED), truth, repo)]


def _hashable(row: Sequence[Any]) -> tuple[Any, ...]:
    """Arrays as tuples."""
    lists: list[Any] = [tuple(each) if isinstance(each, list) else each for each in row]  # pyright: ignore[reportUnknownArgumentType]
    return tuple(lists)


def compared(table: str, known: Rows, true: Rows) -> list[str]:
    """The first few rows that are missing, too many, or other."""
    missing = [f"{table} lacks {key}: {true[key]}" for key in true if key not in known]
    strange = [f"{table} has {key}, which is not there: {known[key]}" for key in known if key not in true]
    other = [
        f"{table} {key}: {_apart(known[key], true[key])}" for key in true if known.get(key, true[key]) != true[key]
    ]
    return [
        line
        for lines in (missing, strange, other)
        for line in [*lines[:MOST_TOLD], *([f"... {table}: {len(lines)} in all"] if len(lines) > MOST_TOLD else [])]
    ]


def _apart(known: tuple[Any, ...], true: tuple[Any, ...]) -> str:
    """The columns that differ, by their place in the question."""
    apart = [(place, *pair) for place, pair in enumerate(zip(known, true, strict=True), 2) if pair[0] != pair[1]]
    return ", ".join(f"column {place} is {one!s}, not {other!s}" for place, one, other in apart)


def removed_alive(conn: psycopg.Connection, truth: Truth) -> list[str]:
    """Tombstones of what is there: never allowed, whatever was answered meanwhile."""
    with truth.lock:
        rows = conn.execute("SELECT node_id, removal FROM dev.issues WHERE removed_at IS NOT NULL").fetchall()
        return [
            f"{node_id} is there, and was taken for {removal}" for node_id, removal in rows if node_id in truth.by_node
        ]


def _wrongly_removed(removed: Rows, truth: Truth, repo: Repo) -> list[str]:
    """Each tombstone stands for an issue that was deleted or transferred, and says which of them."""
    found: list[str] = []
    for node_id, (number, removal, moved_to) in removed.items():
        if node_id in truth.by_node:
            found.append(f"issues {node_id} (#{number}) is {removal}, but it is there")
        elif number in repo.transferred:
            # Where nobody may look, a transferred issue cannot be told from a deleted one.
            places = _places(repo, number)
            if removal == "transferred" and not (moved_to or "").endswith(places):
                found.append(f"issues {node_id} (#{number}) is {removal} to {moved_to}, not to {places}")
        elif removal != "deleted" or number not in repo.deleted:
            found.append(f"issues {node_id} (#{number}) is {removal}, but was not deleted")
    return found


def _places(repo: Repo, number: int) -> tuple[str, ...]:
    """Where it went, and went on to, by number."""
    found: list[str] = []
    while number in repo.transferred:
        repo, number = repo.transferred[number]
        found.append(str(number))
    return tuple(found)


# What a row ought to be ---------------------------------------------------------------------------------------------


def _facts(repo: Repo) -> tuple[Any, ...]:
    language = max(repo.languages, key=lambda name: repo.languages[name], default=None)
    return (
        *(repo.full_name, repo.description, repo.default_branch, language),
        *(repo.private, repo.fork, repo.archived, repo.stars, repo.pushed_at),
    )


def _milestone(of: Any) -> tuple[Any, ...]:
    return (of.number, of.title, of.state, of.due_on, of.created_at, of.updated_at, of.closed_at)


def _issue(of: Issue) -> tuple[Any, ...]:
    return (
        *(of.id, of.number, of.pull is not None, of.title, of.body, of.state, of.state_reason, *_who(of.author)),
        tuple(sorted(each.login for each in of.assignees)),
        tuple(sorted(each.id for each in of.labels)),
        of.milestone.id if of.milestone is not None else None,
        *(of.comments, of.locked, of.created_at, of.updated_at, of.closed_at, _first_response(of)),
        sum(each.kind == "ReopenedEvent" for each in of.events),
    )


def _first_response(of: Issue) -> datetime | None:
    """A comment or a review by somebody else than the author, and no bot."""
    said = [(each.author, each.created_at) for each in of.thread]
    if of.pull is not None:
        said += [(each.author, each.submitted_at) for each in of.pull.reviews]
    return min((at for author, at in said if _answers(of, author)), default=None)


def _answers(of: Issue, author: Account | None) -> bool:
    return author is not of.author and (author is None or author.kind != "Bot")


def _pull(of: Issue) -> tuple[Any, ...]:
    pull = of.pull
    assert pull is not None
    ready = [each.created_at for each in of.events if each.kind == "ReadyForReviewEvent"]
    reviewed = [each.submitted_at for each in pull.reviews if _answers(of, each.author)]
    return (
        *(pull.draft, pull.merged_at, pull.merged_by.login if pull.merged_by is not None else None, pull.merge_commit),
        *(pull.base, pull.head, pull.additions, pull.deletions, pull.changed_files, len(pull.commits)),
        *(pull.commits[0].authored_at, max(ready, default=None), min(reviewed, default=None)),
    )


ADDED = {"LabeledEvent": "t", "UnlabeledEvent": "f", "AssignedEvent": "t", "UnassignedEvent": "f"}


def _label_events(of: Issue) -> set[str]:
    return _changes(of, lambda each: each.label and each.label.node_id)


def _assignee_events(of: Issue) -> set[str]:
    return _changes(of, lambda each: each.assignee and each.assignee.login)


def _changes(of: Issue, subject: Callable[[Event], str | None]) -> set[str]:
    """What came and went of an issue that is no pull request."""
    return {
        f"{of.node_id} {name} {int(each.created_at.timestamp())} {ADDED[each.kind]}"
        for each in of.events
        if of.pull is None and (name := subject(each)) is not None
    }


def _reviews(of: Issue) -> dict[str, tuple[Any, ...]]:
    assert of.pull is not None
    return {
        each.node_id: (of.node_id, *_who(each.author), each.state, each.submitted_at, each.commit)
        for each in of.pull.reviews
    }


def _commit(of: Any) -> tuple[Any, ...]:
    login, is_bot = _who(of.author)
    return (login, is_bot, login or "somebody", of.message.partition("\n")[0], of.authored_at, of.at)


def _contributors(repo: Repo) -> dict[int, tuple[Any, ...]]:
    by: dict[int, tuple[Any, ...]] = {}
    for commit in repo.commits:
        if (who := commit.author) is not None:
            by[who.id] = (*_who(who), by.get(who.id, (None, None, 0))[2] + 1)
    return by


def _release(of: Any) -> tuple[Any, ...]:
    return (of.tag, of.tag, of.draft, of.prerelease, of.created_at, of.published_at)


def _who(who: Account | None) -> tuple[str | None, bool]:
    return (None, False) if who is None else (who.login, who.kind == "Bot")
