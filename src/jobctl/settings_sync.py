"""The table `sync` of `jobctl.toml`: how GitHub's projects are followed.

[sync]
projects_at_once = 5
commits_days = 365      # how far back commits of the default branch are read
reconcile_days = 7      # after so long it is looked whether issues were deleted or transferred
payload_days = 180      # after so long what GitHub answered is dropped; what was read from it stays
events_days = 30        # after so long what runs of sync have noted is dropped, where the archive does not take it
"""

from typing import Annotated

from pydantic import Field

from jobctl.settings_table import Table, read_table

Days = Annotated[int, Field(ge=1, le=36_500)]


class SyncSettings(Table):
    projects_at_once: Annotated[int, Field(ge=1, le=20)] = 5
    commits_days: Days = 365
    reconcile_days: Days = 7
    payload_days: Days = 180
    events_days: Days = 30


def read_sync(value: object) -> SyncSettings:
    """Raises ValueError with every fault of the table, in an operator's words."""
    return read_table(value, SyncSettings, "[sync] and below it projects_at_once = 5")
