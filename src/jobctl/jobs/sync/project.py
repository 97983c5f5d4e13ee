"""The sync of one project, step by step. Each step goes on where the last run left it."""

from jobctl.github.failures import Outcome
from jobctl.jobs.sync import details, following, history, issues, listing, reconcile
from jobctl.jobs.sync.session import Session


def sync(session: Session) -> Outcome:
    """ok, unchanged or moved. Raises what ends it otherwise: what was written until then stays."""
    choice = session.choice
    session.step = "repository"
    named = session.project.full_name
    following.follow(session, whole=choice.full)
    _begin(session)
    session.step = "issues"
    issues.sweep(session, whole=choice.full)
    session.step = "details"
    _details(session)
    reconciles = choice.has_token and reconcile.is_due(session)
    if reconciles or history.is_due(session):
        history.fetch(session)
    session.step = "listing"
    if reconciles or listing.is_due(session):
        listing.fetch(session, whole=choice.full)
    if reconciles:
        session.step = "reconcile"
        reconcile.reconcile(session)
        session.step = "details"
        _details(session)
    if session.project.full_name.lower() != named.lower():
        return Outcome.MOVED
    return Outcome.OK if session.has_changed else Outcome.UNCHANGED


def _begin(session: Session) -> None:
    choice = session.choice
    issues.begin(session, choice.since, full=choice.full)
    if choice.full:
        history.begin(session)
    reconcile.begin(session, is_due=choice.full)


def _details(session: Session) -> None:
    if session.choice.has_token:
        details.fetch(session)
