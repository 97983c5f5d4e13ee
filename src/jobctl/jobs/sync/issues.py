"""What changed of a project's issues and pull requests, from one list sorted by the time of the last change.

Numbers of pages are not safe here: whatever is edited meanwhile goes to the end of the list, all behind it move up, and
one that stood first on the next page is never seen. So the next page is asked for as a first one, from a second before
the last change on this page (GitHub may mean "after" by `since`, and times have whole seconds); rows that are met twice
are as they were and cost nothing. Only where a whole page has one and the same time are numbers of pages followed, and
walked through again until nothing new is found.

Between two runs the cursor stands OVERLAP before the newest change that was seen, for two changes may share a second
and one may come into GitHub's list late. The list from there on is asked for once more at the end, unless the last page
was that already, so that its ETag is kept: as long as nothing changes the next run's one question is answered by 304.
"""

from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from jobctl.github import etag_store
from jobctl.github.etags import Kept
from jobctl.github.failures import BadAnswer, Gone
from jobctl.github.page import Found, Page
from jobctl.jobs.sync.reading import IssuePage, issue_page
from jobctl.jobs.sync.session import Made, Session, moment_of, stamp
from jobctl.projects.objects import issues, labels, milestones, payloads

STREAM: Final = "issues"
ENDPOINT: Final = "issues"
PER_PAGE: Final = 100
OVERLAP: Final = timedelta(minutes=2)
LATEST: Final = timedelta(hours=1)
SECOND: Final = timedelta(seconds=1)
MOST_PASSES: Final = 3  # through a time that fills pages


class Position(NamedTuple):
    """`since` is where the next question begins, None at the very beginning; `newest` the last change that was seen;
    `first` where a first load began that was not to read all."""

    since: datetime | None
    newest: datetime | None
    first: datetime | None

    def as_cursor(self) -> dict[str, Any]:
        return {"since": stamp(self.since), "newest": stamp(self.newest), "first": stamp(self.first)}


def position_of(session: Session) -> Position:
    cursor = session.cursor(STREAM)
    return Position(*(moment_of(cursor.get(name)) for name in Position._fields))


def begin(session: Session, since: datetime | None, *, full: bool) -> None:
    """Before the first page of a run: where it begins, if not where the last one ended."""
    position = position_of(session)
    if full or not session.cursor(STREAM):
        position = Position(since, None, since)
    elif since is not None and position.since is not None and since < position.since:
        position = position._replace(since=since, first=_earlier(position.first, since))
    else:
        return
    with session.writing():
        session.save_cursor(STREAM, position.as_cursor())


def sweep(session: Session, *, whole: bool = False) -> None:
    """From the cursor to the end of the list."""
    position = position_of(session)
    closed_at: datetime | None = None  # where the closing question began
    while True:
        try:
            page = session.get(_path(session, position.since), ENDPOINT, conditional=True, whole=whole)
        except Gone as error:
            if error.status != 410:
                raise
            session.note("its issues are switched off")
            return
        whole = False
        if page.found is Found.UNCHANGED:
            return
        read = _read(session, page)
        since, newest = position.since, _later(position.newest, read)
        position = position._replace(newest=newest)
        closing = _closing(session, newest, is_narrow=since is not None and since == closed_at)
        if page.next_url is None:
            fits = page.keep is not None or len(read.issues) < PER_PAGE
            is_wide = since is None or closing is None or since <= closing
            if closing is None or (is_wide and fits) or since == closed_at:
                _write(session, read, position, page.keep)
                return
            closed_at = closing
            position = position._replace(since=closing)
        elif since is not None and since == closed_at:
            # All of it was read a moment ago; it does not fit into a page, so there is no ETag of it to keep.
            is_last = closing is None or closing <= since
            closed_at = closing
            position = position._replace(since=since if is_last else closing)
            if is_last:
                _write(session, read, position, None)
                return
        else:
            last = max(issue.updated_at for issue in read.issues) - SECOND
            if since is not None and last <= since:
                position = _through_a_second(session, position, since)
                continue
            position = position._replace(since=last)
        _write(session, read, position, None)


def _through_a_second(session: Session, position: Position, since: datetime) -> Position:
    """Past a time that fills whole pages: by their numbers, until a pass has found nothing new."""
    further = since
    for _ in range(MOST_PASSES):
        has_news, further = False, since
        path: str | None = _path(session, since)
        while path is not None:
            page = session.get(path, ENDPOINT)
            read = _read(session, page)
            position = position._replace(newest=_later(position.newest, read))
            has_news |= _write(session, read, position, None)
            if read.issues:
                further = max(issue.updated_at for issue in read.issues) - SECOND
            path = page.next_url if further <= since else None
        if not has_news:
            break
    return position._replace(since=max(further, since + SECOND))


def _path(session: Session, since: datetime | None) -> str:
    path = f"{session.path}/issues?state=all&sort=updated&direction=asc&per_page={PER_PAGE}"
    return path if since is None else f"{path}&since={stamp(since)}"


def _read(session: Session, page: Page) -> IssuePage:
    if page.found is not Found.DATA:
        raise BadAnswer(f"{session.path}/issues: {page.found} where a list is due")
    read = issue_page(page.data, f"{session.path}/issues")
    if not read.issues and page.next_url is not None:
        raise BadAnswer(f"{session.path}/issues: a page without an issue has a next page")
    return read


def _write(session: Session, read: IssuePage, position: Position, keep: Kept | None) -> bool:
    """Whether it changed anything."""
    with session.writing() as made:
        has_changed = write_issues(session, read, made)
        session.save_cursor(STREAM, position.as_cursor())
        if keep is not None:
            etag_store.keep(session.conn, keep)
    return has_changed


def write_issues(session: Session, read: IssuePage, made: Made) -> bool:
    """In the caller's transaction: whether that changed anything."""
    conn, project_id = session.conn, session.project.project_id
    of_labels = labels.save(conn, project_id, read.labels)
    of_milestones = milestones.save(conn, project_id, read.milestones)
    saved = issues.save(conn, project_id, read.issues)
    made.add("labels", of_labels)
    made.add("milestones", of_milestones)
    made.add("issues", saved.written)
    payloads.keep(conn, project_id, "issue", {each: read.payloads[each] for each in sorted(saved.changed)})
    has_changed = any(each.is_change for each in (of_labels, of_milestones, saved.written))
    if has_changed:
        session.save_cursor("listing", {"due": True})
    return has_changed


def _closing(session: Session, newest: datetime | None, *, is_narrow: bool) -> datetime | None:
    """Where the next run begins. `is_narrow`: from OVERLAP before the newest change on there is more than a page; when
    that was a while ago, nothing comes late any more."""
    if newest is None:
        return None
    is_narrow = is_narrow and session.run.now - newest > LATEST
    return newest - (SECOND if is_narrow else OVERLAP)


def _later(newest: datetime | None, read: IssuePage) -> datetime | None:
    moments = [issue.updated_at for issue in read.issues]
    return max([*moments, newest] if newest is not None else moments, default=None)


def _earlier(first: datetime | None, since: datetime) -> datetime | None:
    """None: all was read."""
    return min(first, since) if first is not None else None
