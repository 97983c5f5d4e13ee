"""The table `report` of `jobctl.toml`: what the weekly report looks at, and where its numbers lead.

[report]
link = "https://ops.example.org/jobctl/{about}"   # where a number leads that is none of GitHub's
github_url = "https://git.example.org"            # GitHub's pages; by default those beside GITHUB_API_URL
templates = "/etc/jobctl/report"                  # a directory whose files stand in for the built-in templates
success_goal = 0.995                              # of the runs of each job
stuck_days = 14                                   # a pull request that nobody has touched for so long is stuck

Of `link`, {about} becomes one of the words below. Without it the report names the command that shows the number.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from jobctl.settings_sources import did_you_mean
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


class ReportSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    link: Annotated[str | None, BeforeValidator(_web_url)] = None
    github_url: Annotated[str | None, BeforeValidator(_plain_url)] = None
    templates: Annotated[Path | None, BeforeValidator(_directory)] = None
    success_goal: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 0.995
    stuck_days: Annotated[int, Field(ge=1, le=365)] = 14

    def shown(self) -> dict[str, object]:
        """What was set, for people."""
        return self.model_dump(mode="json", exclude_unset=True)


def read_report(value: object) -> ReportSettings:
    """Raises ValueError with every fault of the table, in an operator's words."""
    if isinstance(value, ReportSettings):
        return value
    if not isinstance(value, Mapping):
        raise ValueError('is a table of jobctl.toml: [report] and below it link = "https://..."')  # noqa: TRY004
    try:
        return ReportSettings.model_validate(cast(Mapping[str, object], value))
    except ValidationError as error:
        raise ValueError("; ".join(_fault(detail) for detail in error.errors(include_url=False))) from None


def _fault(detail: ErrorDetails) -> str:
    last = str(detail["loc"][-1])
    if detail["type"] == "extra_forbidden":
        meant = did_you_mean(last, ReportSettings.model_fields)
        known = f"did you mean {meant}?" if meant else f"one of {', '.join(ReportSettings.model_fields)}"
        return f"has {last!r}, which is not known: {known}"
    text = detail["msg"].removeprefix("Value error, ")
    return f"has {last}, which is wrong: {text[:1].lower() + text[1:]}"
