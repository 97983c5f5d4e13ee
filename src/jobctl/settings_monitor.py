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
from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from jobctl.durations import LONGEST_S, format_duration
from jobctl.settings_table import Table, read_table
from jobctl.settings_values import Seconds, seconds

OrNone = Annotated[float, BeforeValidator(seconds), Field(ge=0, le=LONGEST_S, allow_inf_nan=False)]
Window = Annotated[float, BeforeValidator(seconds), Field(ge=3_600, le=366 * 86_400, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]  # of 1 there is no budget to burn


class SloSettings(Table):
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


def read_slo(value: object) -> SloSettings:
    """Raises ValueError with every fault of the table, in an operator's words."""
    return read_table(value, SloSettings, "[slo] and below it success_share = 0.995")
