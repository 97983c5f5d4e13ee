"""Once in a while: is every issue that is known still there, and is every one that is there known?

A deleted or transferred issue is in no list of changes. So all ids are listed, which costs a point for a hundred; what
is known and not listed is asked for by its number, and only what GitHub says of that one issue removes it: 410, 404
while the repository itself answers still, or an answer from another repository. A limit, a 403 or anything else removes
nothing. A removed issue's row stays, as a tombstone.

What was listed is kept in a table until all is, so that this goes on after any death.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, cast

from jobctl.github.failures import BadAnswer, Forbidden, Gone, NotAccepted
from jobctl.github.page import Found
from jobctl.github.reading import Object, flag, inner, inner_or_none, moment, object_of, objects_of, text, whole
from jobctl.jobs.sync import following
from jobctl.jobs.sync import issues as sweeping
from jobctl.jobs.sync.reading import issue_of, issue_page
from jobctl.jobs.sync.session import Session, moment_of
from jobctl.projects.objects import issues, listed
from jobctl.projects.objects.issues import Known
from jobctl.projects.objects.listed import Listed
from jobctl.projects.objects.upsert import Written

STREAM: Final = "reconcile"
ENDPOINT: Final = "reconcile"
MOST_SINGLY: Final = 20  # more of them are read by pages
KINDS: Final = ("issues", "pullRequests")
QUERY: Final = {
    kind: f"""
query ($owner: String!, $name: String!, $after: String) {{
  rateLimit {{ cost }}
  repository(owner: $owner, name: $name) {{
    databaseId
    {kind}(first: 100, after: $after, orderBy: {{field: CREATED_AT, direction: ASC}}) {{
      nodes {{ id number updatedAt }} pageInfo {{ hasNextPage endCursor }}
    }}
  }}
}}
"""
    for kind in KINDS
}


class _Walk(NamedTuple):
    """`started_at` is by the database's clock. `kind` None: all is listed."""

    started_at: datetime
    kind: str | None
    after: str | None

    def as_cursor(self, session: Session) -> Mapping[str, Any]:
        walk = {"started_at": self.started_at.isoformat(), "kind": self.kind, "after": self.after}
        return {**session.cursor(STREAM), "walk": walk}


def is_due(session: Session) -> bool:
    cursor = session.cursor(STREAM)
    done_at = moment_of(cursor.get("done_at"))
    every = timedelta(days=session.choice.settings.reconcile_days)
    return bool(cursor.get("walk") or cursor.get("due")) or (done_at is not None and session.run.now - done_at >= every)


def begin(session: Session, *, is_due: bool) -> None:
    """`is_due`: from its beginning, in this run. A first load needs none, but the time from then on counts."""
    cursor = session.cursor(STREAM)
    if is_due:
        wanted = {"done_at": cursor.get("done_at"), "due": True}
    elif not cursor:
        wanted = {"done_at": session.run.now.isoformat()}
    else:
        return
    with session.writing():
        session.save_cursor(STREAM, wanted)


def reconcile(session: Session) -> None:
    walk = _walk_of(session) or _start(session)
    while walk.kind is not None:
        walk = _list_page(session, walk, walk.kind)
    answer = following.follow(session, whole=True)  # it is there, and lets us see it
    if answer is not None and not flag(answer, "has_issues", session.path):
        session.note("its issues are switched off")
    else:
        _remove(session, walk)
    _add(session)
    with session.writing():
        listed.clear(session.conn, session.project.project_id)
        session.save_cursor(STREAM, {"done_at": session.run.now.isoformat()})


# Listing -------------------------------------------------------------------------------------------------------------


def _walk_of(session: Session) -> _Walk | None:
    walk = session.cursor(STREAM).get("walk")
    if not isinstance(walk, dict):
        return None
    of = cast("Mapping[str, Any]", walk)
    started_at = moment_of(of["started_at"])
    return _Walk(started_at, of["kind"], of["after"]) if started_at is not None else None


def _start(session: Session) -> _Walk:
    with session.writing():
        row = session.conn.execute("SELECT clock_timestamp()").fetchone()
        assert row is not None
        walk = _Walk(row[0], KINDS[0], None)
        listed.clear(session.conn, session.project.project_id)
        session.save_cursor(STREAM, walk.as_cursor(session))
    return walk


def _list_page(session: Session, walk: _Walk, kind: str) -> _Walk:
    owner, _, name = session.project.full_name.partition("/")
    answer = session.ask(QUERY[kind], {"owner": owner, "name": name, "after": walk.after}, ENDPOINT)
    where = f"graphql {kind}"
    repository = inner_or_none(answer.data, "repository", where)
    if repository is None:
        types = {error.get("type") for error in answer.errors}
        if types == {"NOT_FOUND"}:
            raise Gone(f"{session.path}: GraphQL does not know it", status=404)
        raise Forbidden(f"{session.path}: GraphQL does not show it")
    if whole(repository, "databaseId", where) != session.project.github_id:
        raise BadAnswer(f"{where}: another repository has the name now")
    connection = inner(repository, kind, where)
    if answer.errors:
        raise BadAnswer(f"{where}: a part of it could not be had")
    found = [
        Listed(text(of, "id", where), whole(of, "number", where), moment(of, "updatedAt", where))
        for of in objects_of(connection.get("nodes"), where)
    ]
    info = inner(connection, "pageInfo", where)
    if flag(info, "hasNextPage", where):
        after = text(info, "endCursor", where)
        if after == walk.after:
            raise BadAnswer(f"{where}: the next page of a list is one that was read before")
        walk = walk._replace(after=after)
    else:
        following_kinds = KINDS[KINDS.index(kind) + 1 :]
        walk = walk._replace(kind=following_kinds[0] if following_kinds else None, after=None)
    with session.writing() as made:
        listed.add(session.conn, session.project.project_id, found)
        made.rows += len(found)
        session.save_cursor(STREAM, walk.as_cursor(session))
    return walk


# What is known and was not listed ------------------------------------------------------------------------------------


def _remove(session: Session, walk: _Walk) -> None:
    after = ""
    conn, project_id = session.conn, session.project.project_id
    while missing := issues.not_listed(conn, project_id, before=walk.started_at, after=after):
        for known in missing:
            _judge(session, known)
        after = missing[-1].node_id


def _judge(session: Session, known: Known) -> None:
    path = f"{session.path}/issues/{known.number}"
    try:
        page = session.get(path, "issue")
    except Gone as error:
        if error.status not in (404, 410):
            raise
        if error.status == 404:
            following.follow(session)  # which raises when it is the whole repository that cannot be seen any more
        _bury(session, known, "deleted", None)
        return
    of = object_of(page.data if page.found is Found.DATA else None, path)
    issue = issue_of(of, path)
    is_same = issue.node_id == known.node_id or (issue.github_id == known.github_id and issue.number == known.number)
    if is_same and (page.moved_to is None or _repository_of(of, path) == session.project.full_name.lower()):
        _save(session, of)
    else:
        _bury(session, known, "transferred", f"{_repository_of(of, path)}#{issue.number}")


def _bury(session: Session, known: Known, removal: str, moved_to: str | None) -> None:
    with session.writing() as made:
        if issues.remove(session.conn, known.node_id, removal, moved_to=moved_to):
            made.add("issues", Written(removed=1))


def _repository_of(of: Object, where: str) -> str:
    """`octo/cat`, in small letters."""
    return "/".join(text(of, "repository_url", where).rstrip("/").split("/")[-2:]).lower()


# What was listed and is not known as it is ---------------------------------------------------------------------------


def _add(session: Session) -> None:
    position = sweeping.position_of(session)
    wanted = listed.wanted(session.conn, session.project.project_id, since=position.first, limit=MOST_SINGLY + 1)
    if len(wanted) > MOST_SINGLY:
        sweeping.begin(session, wanted[0].updated_at - sweeping.SECOND, full=False)
        sweeping.sweep(session, whole=True)
        return
    for each in wanted:
        path = f"{session.path}/issues/{each.number}"
        try:
            page = session.get(path, "issue")
        except (Gone, NotAccepted):
            continue  # gone since it was listed
        of = object_of(page.data if page.found is Found.DATA else None, path)
        if page.moved_to is None or _repository_of(of, path) == session.project.full_name.lower():
            _save(session, of)


def _save(session: Session, of: Object) -> None:
    read = issue_page([of], session.path)
    with session.writing() as made:
        sweeping.write_issues(session, read, made)
