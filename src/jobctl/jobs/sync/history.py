"""What a push changes: commits of the default branch, languages, contributors, releases.

Commits come newest first from one fixed commit on, a list that nothing changes, so its pages may be numbered. How far
back must be read? Until every parent of what is new is known: all that is behind a known commit is known, too, but not
all that stands behind it in the list, for a merge brings in commits of long ago. A history that was rewritten meets
what is known where it forks off; what is no longer part of it stays, as history.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any, Final, TypeVar
from urllib.parse import quote

from jobctl import clock
from jobctl.github.failures import BadAnswer, Forbidden, Gone, NotAccepted
from jobctl.github.page import Found
from jobctl.github.reading import Object, objects_of
from jobctl.jobs.sync.reading import CommitRead, commit_of, contributor_of, languages_of, release_of
from jobctl.jobs.sync.session import Session, stamp
from jobctl.projects.objects import commits, contributors, languages, releases

STREAM: Final = "history"
COMMITS: Final = "commits"
SETTLED: Final = timedelta(minutes=1)
T = TypeVar("T")


def is_due(session: Session) -> bool:
    """Something was pushed since it was read last."""
    return dict(session.cursor(STREAM)) != _state(session)


def fetch(session: Session) -> None:
    """Raises what ends the project's sync; then the next run begins with what is not done.

    An answer that there is nothing (an empty repository, statistics that are being worked out) is believed when it is
    given twice: the next run asks once more. So it does when the push was a moment ago, for another may share its
    second."""
    pushed_at = session.project.pushed_at
    is_settled = pushed_at is None or clock.utc_now() - pushed_at >= SETTLED
    session.step = "commits"
    is_sure = _commits(session)
    session.step = "history"
    is_sure &= _languages(session)
    is_sure &= _contributors(session)
    is_sure &= _releases(session)
    with session.writing():
        state, before = _state(session), session.cursor(STREAM)
        was_doubted = before.get("doubt") is True and before.items() >= state.items()
        doubt = {} if is_sure or was_doubted else {"doubt": True}
        session.save_cursor(STREAM, state | doubt | ({} if is_settled else {"recent": True}))


def _state(session: Session) -> dict[str, Any]:
    return {"pushed_at": stamp(session.project.pushed_at), "branch": session.project.default_branch}


# Commits -------------------------------------------------------------------------------------------------------------


def begin(session: Session) -> None:
    """Read it all again."""
    with session.writing():
        session.save_cursor(STREAM, {})
        session.save_cursor(COMMITS, {"full": True})


def _commits(session: Session) -> bool:
    """Go on with the walk that was begun, then walk from what is the newest commit now. False: there may be none."""
    cursor = session.cursor(COMMITS)
    if cursor.get("next"):
        try:
            _walk(session, cursor)
        except (Gone, NotAccepted):  # the commit it began with is no more
            with session.writing():
                session.save_cursor(COMMITS, {"full": True})
        cursor = session.cursor(COMMITS)
    branch = session.project.default_branch
    if branch is None:
        return True
    page = session.get(_path(session, branch), COMMITS)
    if page.found is not Found.DATA:
        return False
    read = _read(page.data)
    if not read or (read[0].sha == cursor.get("head") and not cursor.get("full")):
        return True
    is_full = bool(cursor.get("full"))
    if page.next_url is not None and (is_full or _open_after(session, read, ())):
        no_parents: list[str] = []
        start = {"head": read[0].sha, "full": is_full, "open": no_parents, "next": _path(session, read[0].sha)}
        _walk(session, start)
        return True
    _write(session, read, {"head": read[0].sha})
    return True


def _walk(session: Session, cursor: Mapping[str, Any]) -> None:
    """From the page `next` on. `open` are parents that have not come yet; `full`: to the end, whatever is known."""
    path: str | None = cursor["next"]
    missing: Iterable[str] = cursor["open"]
    while path is not None:
        page = session.get(path, COMMITS)
        if page.found is not Found.DATA:
            raise BadAnswer(f"{session.path}/commits: {page.found} where a list is due")
        read = _read(page.data)
        missing = _open_after(session, read, missing)
        path = page.next_url if missing or cursor["full"] else None
        further = {**cursor, "next": path, "open": sorted(missing)}
        _write(session, read, further if path is not None else {"head": cursor["head"]})


def _open_after(session: Session, read: list[CommitRead], before: Iterable[str]) -> set[str]:
    """Parents of commits that were not known, which are neither known nor among those read."""
    project_id = session.project.project_id
    new = commits.unknown(session.conn, project_id, {each.sha for each in read})
    parents = {parent for each in read if each.sha in new for parent in each.parents}
    parents = (parents | set(before)) - {each.sha for each in read}
    return commits.unknown(session.conn, project_id, parents)


def _write(session: Session, read: list[CommitRead], cursor: Mapping[str, Any]) -> None:
    by_sha = {each.sha: each.commit for each in read if each.commit is not None}
    with session.writing() as made:
        made.add("commits", commits.save(session.conn, session.project.project_id, list(by_sha.values())))
        session.save_cursor(COMMITS, cursor)
    session.failed[session.step] += len(read) - len(by_sha)


def _read(answer: Any) -> list[CommitRead]:
    return [commit_of(of) for of in objects_of(answer, "commits")]


def _path(session: Session, sha: str) -> str:
    since = session.run.now.replace(hour=0, minute=0, second=0) - timedelta(days=session.choice.settings.commits_days)
    return f"{session.path}/commits?sha={quote(sha, safe='')}&since={stamp(since)}&per_page=100"


# The rest ------------------------------------------------------------------------------------------------------------


def _languages(session: Session) -> bool:
    page = session.get(f"{session.path}/languages", "languages")
    if page.found is not Found.DATA:
        return False
    found = languages_of(page.data, f"{session.path}/languages")
    with session.writing() as made:
        made.add("languages", languages.replace(session.conn, session.project.project_id, found))
    return True


def _contributors(session: Session) -> bool:
    try:
        found = _all(session, "contributors", contributor_of)
    except Forbidden:
        # A history that is too long is refused like what may not be seen for a while: the next run asks again.
        session.note("GitHub lists no contributors: the history may be too long, or they may not be seen now")
        return False
    if found is None:
        return False
    by_id = {each.github_id: each for each in found}
    with session.writing() as made:
        made.add("contributors", contributors.replace(session.conn, session.project.project_id, [*by_id.values()]))
    return True


def _releases(session: Session) -> bool:
    found = _all(session, "releases", release_of)
    if found is None:
        return False
    by_id = {each.release_id: each for each in found}
    with session.writing() as made:
        made.add("releases", releases.replace(session.conn, session.project.project_id, [*by_id.values()]))
    return True


def _all(session: Session, name: str, read: Callable[[Object], T]) -> list[T] | None:
    """Of all pages. None: there was an answer without any."""
    found: list[T] = []
    path: str | None = f"{session.path}/{name}?per_page=100"
    seen: set[str] = set()
    while path is not None:
        if path in seen:
            raise BadAnswer(f"{session.path}/{name}: the next page of a list is one that was read before")
        seen.add(path)
        page = session.get(path, name)
        if page.found is not Found.DATA:
            return None
        found += [read(of) for of in objects_of(page.data, name)]
        path = page.next_url
    return found
