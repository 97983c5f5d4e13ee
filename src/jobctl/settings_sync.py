"""The table `sync` of `jobctl.toml`: how GitHub's projects are followed.

[sync]
projects_at_once = 5
commits_days = 365      # how far back commits of the default branch are read
reconcile_days = 7      # after so long it is looked whether issues were deleted or transferred
payload_days = 180      # after so long what GitHub answered is dropped; what was read from it stays
events_days = 30        # after so long what runs of sync have noted is dropped, where the archive does not take it
"""

from collections.abc import Mapping
from typing import Annotated, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from jobctl.settings_sources import did_you_mean

Days = Annotated[int, Field(ge=1, le=36_500)]


class SyncSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    projects_at_once: Annotated[int, Field(ge=1, le=20)] = 5
    commits_days: Days = 365
    reconcile_days: Days = 7
    payload_days: Days = 180
    events_days: Days = 30

    def shown(self) -> dict[str, object]:
        """What was set, for people."""
        return self.model_dump(mode="json", exclude_unset=True)


def read_sync(value: object) -> SyncSettings:
    """Raises ValueError with every fault of the table, in an operator's words."""
    if isinstance(value, SyncSettings):
        return value
    if not isinstance(value, Mapping):
        raise ValueError("is a table of jobctl.toml: [sync] and below it projects_at_once = 5")  # noqa: TRY004
    try:
        return SyncSettings.model_validate(cast(Mapping[str, object], value))
    except ValidationError as error:
        raise ValueError("; ".join(_fault(detail) for detail in error.errors(include_url=False))) from None


def _fault(detail: ErrorDetails) -> str:
    last = str(detail["loc"][-1])
    if detail["type"] == "extra_forbidden":
        meant = did_you_mean(last, SyncSettings.model_fields)
        known = f"did you mean {meant}?" if meant else f"one of {', '.join(SyncSettings.model_fields)}"
        return f"has {last!r}, which is not known: {known}"
    text = detail["msg"]
    return f"has {last}, which is wrong: {text[:1].lower() + text[1:]}"
