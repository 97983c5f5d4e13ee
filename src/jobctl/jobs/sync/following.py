"""The first step of a project: is its repository there, is it the one that is meant, and what is it called now?"""

from jobctl.github import etag_store
from jobctl.github.failures import BadAnswer, Gone
from jobctl.github.page import Found, Page
from jobctl.github.reading import Object, object_of
from jobctl.jobs.sync.repository import facts_of
from jobctl.jobs.sync.session import Session
from jobctl.projects import store
from jobctl.projects.objects import payloads
from jobctl.projects.objects.upsert import Written
from jobctl.projects.project import Facts, parse_name

ENDPOINT = "repository"


def follow(session: Session, *, whole: bool = False) -> Object | None:
    """Save what GitHub says of the repository, under the name it has now. None: it has not changed since."""
    page = _asked(session, whole=whole)
    if page.found is Found.UNCHANGED:
        return None
    of = object_of(page.data, _path(session))
    facts = facts_of(of, _path(session))
    project = session.project
    if project.github_id != facts.github_id:
        # Somebody else has the name now. Under its number the repository is found wherever it is, if it is there.
        page = session.get(session.path, ENDPOINT)
        of = object_of(page.data, _path(session))
        facts = facts_of(of, _path(session))
        if project.github_id != facts.github_id:
            raise BadAnswer(f"/repositories/{project.github_id}: another repository answers under this number")
    _check_name(facts)
    with session.writing() as made:
        saved = store.save(session.conn, facts)
        if saved.result != "unchanged":
            made.add("facts", Written(updated=1))
            payloads.keep(session.conn, project.project_id, "repository", {facts.node_id: of})
            session.save_cursor("listing", {"due": True})
        if page.keep is not None:
            etag_store.keep(session.conn, page.keep)
    session.project = saved.project
    return of


def _asked(session: Session, *, whole: bool) -> Page:
    try:
        page = session.get(_path(session), ENDPOINT, conditional=True, whole=whole)
    except Gone as error:
        if error.status != 404:
            raise
        # A name may be gone with the redirect that led on from it.
        try:
            page = session.get(session.path, ENDPOINT)
        except Gone:
            raise error from None
    if page.found not in (Found.DATA, Found.UNCHANGED):
        raise BadAnswer(f"{_path(session)}: {page.found} where a repository is due")
    return page


def _path(session: Session) -> str:
    return f"/repos/{session.project.full_name}"


def _check_name(facts: Facts) -> None:
    from jobctl.errors import UsageError

    try:
        is_name = parse_name(facts.full_name) == facts.full_name
    except UsageError:
        is_name = False
    if not is_name:
        raise BadAnswer("a repository's full_name is no name of a repository")
