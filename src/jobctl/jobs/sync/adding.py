"""Take repositories up as projects: ask GitHub for each, then write all that was found in one transaction.

Nothing is written while GitHub is asked. One that cannot be had leaves the others alone and tells why; asked for twice
it is the same: a project is known by GitHub's id.
"""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

import psycopg

from jobctl.errors import JobctlError
from jobctl.github.client import Client
from jobctl.github.failures import CredentialsRefused, GitHubError, Outcome
from jobctl.github.reading import list_of
from jobctl.jobs.sync.repository import facts_of
from jobctl.projects import store
from jobctl.projects.project import NOTHING_SAID, Care, Facts, Project

AT_ONCE: Final = 5


class Wanted(NamedTuple):
    name: str
    care: Care = NOTHING_SAID


class Fetched(NamedTuple):
    """Facts, or why there are none."""

    wanted: Wanted
    facts: Facts | None
    outcome: Outcome
    error: GitHubError | None = None


class Added(NamedTuple):
    """`result` is added, updated, unchanged or failed."""

    name: str
    result: str
    outcome: Outcome
    project: Project | None
    error: JobctlError | None = None


def fetch(client: Client, wanted: Sequence[Wanted]) -> Iterator[Fetched]:
    """In the order of `wanted`. Raises CredentialsRefused, which is none's own."""
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="github") as pool:
        yield from pool.map(_fetch, [client] * len(wanted), wanted)


def _fetch(client: Client, wanted: Wanted) -> Fetched:
    path = f"/repos/{wanted.name}"
    try:
        page = client.get(path, project=wanted.name, endpoint="repository", conditional=False)
        facts = facts_of(page.data, path)
    except CredentialsRefused:
        raise
    except GitHubError as error:
        return Fetched(wanted, None, error.outcome, error)
    has_moved = facts.full_name.lower() != wanted.name.lower()
    return Fetched(wanted, facts, Outcome.MOVED if has_moved else Outcome.OK)


def fetch_of_owner(
    client: Client, owner: str, kind: str, care: Care, *, forks: bool, archived: bool
) -> Iterator[Fetched]:
    """All repositories of an organisation (`orgs`) or user (`users`), without forks and archived ones unless wanted."""
    path = f"/{kind}/{owner}/repos?per_page=100"
    for page in client.pages(path, project=f"{owner}/", endpoint="repositories", conditional=False):
        for each in list_of(page.data, path):
            facts = facts_of(each, path)
            if (forks or not facts.is_fork) and (archived or not facts.is_archived):
                yield Fetched(Wanted(facts.full_name, care), facts, Outcome.OK)


def write(conn: psycopg.Connection, fetched: Iterable[Fetched]) -> list[Added]:
    """In the caller's transaction. Rows are locked in the order of GitHub's numbers, by everybody."""
    written: dict[int, Added] = {}
    numbered = list(enumerate(fetched))
    for number, each in sorted(numbered, key=lambda pair: pair[1].facts.github_id if pair[1].facts else 0):
        if each.facts is None:
            written[number] = Added(each.wanted.name, "failed", each.outcome, None, each.error)
            continue
        saved = store.save(conn, each.facts, each.wanted.care, also_named=each.wanted.name)
        written[number] = Added(each.wanted.name, saved.result, each.outcome, saved.project)
    return [written[number] for number, _ in numbered]
