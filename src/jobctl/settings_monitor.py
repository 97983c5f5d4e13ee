"""The table `slo` of `jobctl.toml`: what the team has promised itself of its jobs, for `jobctl slo`.

[slo]
window_s = "30d"           # the promises are kept over this window
burn_short_s = "6h"        # how fast the error budget goes is told of these two
burn_long_s = "3d"
success_share = 0.995      # of runs that somebody wanted to end well
duration_share = 0.95      # of a job's completed runs within the time below
hourly_s = "30s"
daily_s = "2m"
weekly_s = "90s"
sync_share = 0.99          # of projects brought to their end
error_share = 0.01         # the most of records rejected, of tries failed, of projects failed
freshness_s = "1h"         # since a branch was last ingested
freshness_share = 0.99     # of the time

[slo.jobs]
ingest-branch = "10m"      # another time for one job, or "run/backup" = "2h" for one scope; 0 is none
"""

from collections.abc import Mapping
from typing import Annotated, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from jobctl.durations import LONGEST_S, format_duration, parse_duration
from jobctl.settings_sources import did_you_mean


def _seconds(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


Seconds = Annotated[float, BeforeValidator(_seconds), Field(gt=0, le=LONGEST_S, allow_inf_nan=False)]
OrNone = Annotated[float, BeforeValidator(_seconds), Field(ge=0, le=LONGEST_S, allow_inf_nan=False)]
Window = Annotated[float, BeforeValidator(_seconds), Field(ge=3_600, le=366 * 86_400, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]  # of 1 there is no budget to burn


class SloSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    window_s: Window = 30 * 86_400.0
    burn_short_s: Window = 6 * 3_600.0
    burn_long_s: Window = 3 * 86_400.0
    success_share: Share = 0.995
    duration_share: Share = 0.95
    hourly_s: Seconds = 30.0
    daily_s: Seconds = 120.0
    weekly_s: Seconds = 90.0
    sync_share: Share = 0.99
    error_share: Share = 0.01
    freshness_s: Seconds = 3_600.0
    freshness_share: Share = 0.99
    jobs: Mapping[str, OrNone] = {}

    @model_validator(mode="after")
    def _in_order(self) -> "SloSettings":
        if not self.burn_short_s < self.burn_long_s < self.window_s:
            spans = (format_duration(each) for each in (self.burn_short_s, self.burn_long_s, self.window_s))
            raise ValueError("burn_short_s ({}), burn_long_s ({}) and window_s ({}) must rise".format(*spans))
        return self

    def shown(self) -> dict[str, object]:
        """What was set, for people."""
        return self.model_dump(mode="json", exclude_unset=True)


def read_slo(value: object) -> SloSettings:
    """Raises ValueError with every fault of the table, in an operator's words."""
    if isinstance(value, SloSettings):
        return value
    if not isinstance(value, Mapping):
        raise ValueError("is a table of jobctl.toml: [slo] and below it success_share = 0.995")  # noqa: TRY004
    try:
        return SloSettings.model_validate(cast(Mapping[str, object], value))
    except ValidationError as error:
        raise ValueError("; ".join(_fault(detail) for detail in error.errors(include_url=False))) from None


def _fault(detail: ErrorDetails) -> str:
    where = ".".join(str(part) for part in detail["loc"])
    said = detail.get("ctx", {}).get("error", detail["msg"])
    if not where:
        return f"does not fit together: {said}"
    if detail["type"] == "extra_forbidden":
        meant = did_you_mean(where, SloSettings.model_fields)
        known = f"did you mean {meant}?" if meant else f"one of {', '.join(SloSettings.model_fields)}"
        return f"has {where!r}, which is not known: {known}"
    if detail["type"] == "value_error":
        return f"has {where}, which {said}"
    return f"has {where}, which is wrong: {detail['msg'][:1].lower()}{detail['msg'][1:]}"
