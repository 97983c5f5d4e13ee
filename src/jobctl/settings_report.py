"""The table `report` of `jobctl.toml`: what the weekly report looks at, and where its numbers lead.

[report]
link = "https://ops.example.org/jobctl/{about}"   # where a number leads that is none of GitHub's
github_url = "https://git.example.org"            # GitHub's pages; by default those beside GITHUB_API_URL
templates = "/etc/jobctl/report"                  # a directory whose files stand in for the built-in templates
success_goal = 0.995                              # of the runs of each job
stuck_days = 14                                   # a pull request that nobody has touched for so long is stuck

Of `link`, {about} becomes one of the words below. Without it the report names the command that shows the number.
"""

from pathlib import Path
from typing import Annotated, Final

from pydantic import BeforeValidator, Field

from jobctl.settings_table import Table, read_table
from jobctl.web_url import parse_url

ABOUT: Final = "{about}"


def _web_url(value: object) -> object:
    if isinstance(value, str):
        parse_url(value.replace(ABOUT, "about"))
        if "{" in value.replace(ABOUT, "") or "}" in value.replace(ABOUT, ""):
            raise ValueError(f"has braces that are not {ABOUT}")
    return value


def _plain_url(value: object) -> object:
    if isinstance(value, str):
        if "?" in value or "#" in value:
            raise ValueError("has a query or a fragment")
        parse_url(value)
        return value.rstrip("/")
    return value


def _directory(value: object) -> object:
    if isinstance(value, str) and not value.startswith("/"):
        raise ValueError("is not an absolute path")
    return value


class ReportSettings(Table):
    link: Annotated[str | None, BeforeValidator(_web_url)] = None
    github_url: Annotated[str | None, BeforeValidator(_plain_url)] = None
    templates: Annotated[Path | None, BeforeValidator(_directory)] = None
    success_goal: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 0.995
    stuck_days: Annotated[int, Field(ge=1, le=365)] = 14


def read_report(value: object) -> ReportSettings:
    """Raises ValueError with every fault of the table, in an operator's words."""
    return read_table(value, ReportSettings, '[report] and below it link = "https://..."')
