"""Where a number comes from: a page of GitHub's, a page of the team's own, or the command that shows it. Pure.

A link is made of an address that the settings have checked and of parts that are quoted here; what is no name of a
repository gets none. So no word of a stranger's can decide where a link leads.
"""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from jobctl.reports.week import Week

ABOUT: Final = "{about}"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}/[A-Za-z0-9._-]{1,100}")

# By the word that takes the place of {about}.
COMMANDS: Final = {
    "revenue": "jobctl metrics --as-of {sunday} --dry-run -v",
    "service-levels": "jobctl metrics --as-of {sunday} --dry-run -v",
    "velocity": "jobctl metrics --as-of {sunday} --dry-run -v",
    "health": "jobctl metrics health OWNER/REPO --as-of {sunday}",
    "bugs": "jobctl metrics explain OWNER/REPO#NUMBER",
    "pulls": "jobctl report --week {week} --json --dry-run",
    "ingest": "jobctl branch list",
    "queue": "jobctl queue stats",
    "embeddings": "jobctl embeddings status",
    "jobs": "jobctl slots --since {monday}",
    "incidents": "jobctl alerts history --since {monday}",
    "sync": "jobctl project list",
}


@dataclass(frozen=True, slots=True)
class Source:
    """`url` is None where there is no page; the command is there always."""

    url: str | None
    command: str


@dataclass(frozen=True, slots=True)
class Links:
    """`github` is an http(s) address without a slash at its end; `page` one with {about} in it, or None."""

    github: str
    page: str | None
    week: Week

    def project(self, name: str) -> str | None:
        return f"{self.github}/{quote(name)}" if _is_name(name) else None

    def issue(self, project: str, number: int) -> str | None:
        """GitHub leads on to the pull request where it is one."""
        of = self.project(project)
        return f"{of}/issues/{number}" if of is not None and number > 0 else None

    def pull(self, project: str, number: int) -> str | None:
        of = self.project(project)
        return f"{of}/pull/{number}" if of is not None and number > 0 else None

    def about(self, what: str) -> Source:
        command = COMMANDS[what].format(
            monday=self.week.monday.isoformat(), sunday=self.week.sunday.isoformat(), week=self.week.name
        )
        return Source(None if self.page is None else self.page.replace(ABOUT, quote(what)), command)


def github_pages(api_url: str) -> str:
    """The address of the pages beside an API: https://HOST/api/v3 is that of an Enterprise Server."""
    base = api_url.rstrip("/")
    if base == "https://api.github.com":
        return "https://github.com"
    return re.sub(r"/api/v3$", "", base)


def _is_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None and name.rpartition("/")[2] not in (".", "..")
