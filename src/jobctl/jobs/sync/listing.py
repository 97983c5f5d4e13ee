"""Labels and milestones: renaming, closing or deleting one changes none of its issues, so they are listed as well."""

from collections.abc import Callable
from typing import Final, TypeVar

from jobctl.github import etag_store
from jobctl.github.etags import Kept
from jobctl.github.failures import BadAnswer, Gone
from jobctl.github.page import Found
from jobctl.github.reading import Object, objects_of
from jobctl.jobs.sync.reading import label_of, milestone_of
from jobctl.jobs.sync.session import Session
from jobctl.projects.objects import labels, milestones

STREAM: Final = "listing"
T = TypeVar("T")


def is_due(session: Session) -> bool:
    """Something of the project has changed since they were listed last."""
    return session.cursor(STREAM).get("due") is not False


def fetch(session: Session, *, whole: bool = False) -> None:
    conn, project_id = session.conn, session.project.project_id
    found = _all(session, "labels?per_page=100", label_of, whole=whole)
    if found is not None:
        by_label = {each.label_id: each for each in found[0]}
        with session.writing() as made:
            made.add("labels", labels.replace(conn, project_id, list(by_label.values())))
            _keep(session, found[1])
    listed = _all(session, "milestones?state=all&per_page=100", milestone_of, whole=whole)
    with session.writing() as made:
        if listed is not None:
            by_milestone = {each.milestone_id: each for each in listed[0]}
            made.add("milestones", milestones.replace(conn, project_id, list(by_milestone.values())))
            _keep(session, listed[1])
        session.save_cursor(STREAM, {"due": False})


def _all(
    session: Session, name: str, read: Callable[[Object], T], *, whole: bool
) -> tuple[list[T], Kept | None] | None:
    """All of a list, and its ETag if it is one page: of several, one may change without the first one. None: it is as
    it was."""
    endpoint = name.partition("?")[0]
    path = f"{session.path}/{name}"
    try:
        page = session.get(path, endpoint, conditional=True, whole=whole)
    except Gone as error:
        if error.status != 410:
            raise
        return [], None
    if page.found is Found.UNCHANGED:
        return None
    keep = page.keep if page.next_url is None else None
    found: list[T] = []
    seen = {path}
    while True:
        if page.found is not Found.DATA:
            raise BadAnswer(f"{session.path}/{endpoint}: {page.found} where a list is due")
        found += [read(of) for of in objects_of(page.data, endpoint)]
        if page.next_url is None:
            return found, keep
        if page.next_url in seen:
            raise BadAnswer(f"{session.path}/{endpoint}: the next page of a list is one that was read before")
        seen.add(page.next_url)
        page = session.get(page.next_url, endpoint)


def _keep(session: Session, keep: Kept | None) -> None:
    if keep is not None:
        etag_store.keep(session.conn, keep)
