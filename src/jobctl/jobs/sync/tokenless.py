"""Without a token: what is left of the hour's 60 requests goes into the details of pull requests, by REST.

GraphQL, which tells of fifty at once, answers nobody without a token; by REST one costs three requests. So when all
projects are done, pull requests are asked for one by one, those first whose change was longest ago, whosesoever they
are, until the hour's requests are nearly spent. Each is written on its own and due no more; the next run goes on with
those that are. SPARE requests are left for somebody at a terminal.

Issues' details (a first response) are not asked for: they are due until there is a token, and so is what was written
here a moment after its change.
"""

from collections.abc import Sequence
from typing import Final

from jobctl.github.client import Client
from jobctl.github.failures import BudgetSpent, CredentialsRefused, GitHubError, Limited, NoAnswer
from jobctl.jobs.sync import pull_by_rest
from jobctl.jobs.sync.doing import COMPLETE, Done
from jobctl.jobs.sync.session import Choice, OutOfTime, Session
from jobctl.projects.objects import issues
from jobctl.projects.project import Project
from jobctl.runtime.run import Run

SPARE: Final = 6
MOST: Final = 500  # GitHub Enterprise may have no limit
ENOUGH: Final = (Limited, BudgetSpent, OutOfTime, NoAnswer)


def fetch(run: Run, client: Client, choice: Choice, projects: Sequence[Project], done: Sequence[Done]) -> int:
    """Of the projects that were brought to their end, whose counts and notes it adds to; gives how many are left."""
    complete = {each.project_id: each for each in done if each.outcome in COMPLETE}
    by_id = {each.project_id: each for each in projects}
    with run.connect("details") as conn:
        for due in issues.pulls_due(conn, list(complete), limit=MOST):
            if not _has_left(client):
                break
            session = Session(run, conn, client, by_id[due.project_id], choice)
            session.step = "details"
            try:
                pull_by_rest.fetch(session, due)
            except ENOUGH:
                break
            except CredentialsRefused:
                raise
            except GitHubError as error:
                session.note(f"#{due.number}: {error.message}")
            _add(complete[due.project_id], session)
        return issues.count_pulls_due(conn, list(complete))


def _has_left(client: Client) -> bool:
    quota = next((quota for (_, resource), quota in client.quotas.items() if resource == "core"), None)
    return quota is None or quota.remaining >= pull_by_rest.REQUESTS + SPARE


def _add(done: Done, session: Session) -> None:
    done.counts.update({name: number for name, number in session.counts.items() if number})
    done.notes += [note for note in session.notes if note not in done.notes]
    done.spent = session.client.account.total(done.was)
    if done.was != done.name:
        done.spent.add(session.client.account.total(done.name))
