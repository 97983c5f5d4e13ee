"""The table `queue` of `jobctl.toml`: how many tasks may run at once, how long, how often.

    [queue]
    running = 500            # in all, on all hosts together
    per_user = 2             # of each user

    [queue.users]
    "user-17" = 5            # of this one

    [queue.types.crawl]
    running = 10
    timeout_s = "2m"
    rate_per_minute = 120

What a type does not say it takes from `[queue.defaults]`. Programs and addresses that tasks may use stand there, too:
`settings_outside`.
"""

from collections.abc import Mapping
from typing import Annotated, Final, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from jobctl.durations import LONGEST_S, parse_duration
from jobctl.settings_outside import CommandSettings, EndpointSettings, Name
from jobctl.settings_sources import did_you_mean

LEAST_BEATS: Final = 6  # within a lease, so that one slow answer costs no task
_Tables = Mapping[str, object]
FROZEN = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def _seconds(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


Seconds = Annotated[float, BeforeValidator(_seconds), Field(gt=0, le=LONGEST_S, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=1_000_000)]


class TypePolicy(BaseModel):
    """How tasks of one type are run. `max_attempts` are tries that ended in an error; `crash_limit` tries that took
    their worker with them; the pause before try n+1 is drawn from 0 to min(cap, base x 2^(n-1)) seconds.
    `retry_rounds` is how often `retry-failed` gives a task that failed for good all its tries again; where more than
    `down_share` of the last hour's tries failed, it sends a few tasks to see."""

    model_config = FROZEN

    running: Count | None = None
    rate_per_minute: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    timeout_s: Seconds = 300.0
    max_attempts: Annotated[int, Field(ge=1, le=1_000)] = 5
    crash_limit: Annotated[int, Field(ge=1, le=100)] = 3
    backoff_base_s: Seconds = 15.0
    backoff_cap_s: Seconds = 3_600.0
    retry_rounds: Annotated[int, Field(ge=0, le=1_000)] = 3
    down_share: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 0.5


class QueueSettings(BaseModel):
    model_config = FROZEN

    running: Count = 500
    per_user: Count = 2
    users: Mapping[Annotated[str, Field(min_length=1)], Count] = {}
    defaults: TypePolicy = TypePolicy()
    types: Mapping[Annotated[str, Field(min_length=1)], TypePolicy] = {}
    lease_s: Seconds = 60.0
    beat_s: Seconds = 10.0
    workers_per_host: Annotated[int, Field(ge=1, le=1_000)] = 1
    keep_finished_s: Seconds = 14 * 86_400.0
    keep_failed_s: Seconds = 90 * 86_400.0
    alert_failures_per_hour: Count = 10
    commands: Mapping[Name, CommandSettings] = {}
    endpoints: Mapping[Name, EndpointSettings] = {}

    def policy_of(self, type_: str) -> TypePolicy:
        return self.types.get(type_, self.defaults)

    def secrets(self) -> tuple[str, ...]:
        """What of it the redactor must know."""
        return tuple(secret for endpoint in self.endpoints.values() for secret in endpoint.secrets())

    def shown(self) -> dict[str, object]:
        """What was set, for people and without secrets."""
        given = self.model_dump(mode="json", exclude_unset=True, exclude={"endpoints"})
        endpoints = {name: endpoint.shown() for name, endpoint in self.endpoints.items()}
        return {**given, "endpoints": endpoints} if endpoints else given


_TABLES: Final[Mapping[str, type[BaseModel]]] = {
    "defaults": TypePolicy,
    "types": TypePolicy,
    "commands": CommandSettings,
    "endpoints": EndpointSettings,
}


def read_queue(value: object) -> QueueSettings:
    """Raises ValueError with every fault of the table, in an operator's words."""
    if isinstance(value, QueueSettings):
        return value
    if not isinstance(value, Mapping):
        raise ValueError("is a table of jobctl.toml: [queue] and below it per_user = 2")  # noqa: TRY004
    table = cast(Mapping[str, object], value)
    defaults, types = table.get("defaults"), table.get("types")
    if isinstance(defaults, Mapping) and isinstance(types, Mapping):
        table = {**table, "types": _inherited(cast(_Tables, types), cast(Mapping[str, object], defaults))}
    try:
        settings = QueueSettings.model_validate(table)
    except ValidationError as error:
        raise ValueError("; ".join(_fault(detail) for detail in error.errors(include_url=False))) from None
    faults = [f"{name} {text}" for name, each in settings.endpoints.items() for text in each.faults()]
    if faults:
        raise ValueError("; ".join(f"has endpoints.{fault.replace(' ', ', which ', 1)}" for fault in faults))
    if settings.lease_s < LEAST_BEATS * settings.beat_s:
        raise ValueError(f"needs lease_s ({settings.lease_s:g}) of at least six times beat_s ({settings.beat_s:g})")
    return settings


def _inherited(types: _Tables, defaults: Mapping[str, object]) -> dict[str, object]:
    """A type's table holds what differs from the defaults."""
    return {
        name: {**defaults, **cast(Mapping[str, object], own)} if isinstance(own, Mapping) else own
        for name, own in types.items()
    }


def _fault(detail: ErrorDetails) -> str:
    *path, last = (str(part) for part in detail["loc"] if part != "[key]")
    if detail["type"] == "extra_forbidden":
        model = _TABLES.get(path[0], QueueSettings) if path else QueueSettings
        meant = did_you_mean(last, model.model_fields)
        known = f"did you mean {meant}?" if meant else f"one of {', '.join(model.model_fields)}"
        return f"has {'.'.join([*path, last])!r}, which is not known: {known}"
    if detail["type"] == "missing":
        return f"has {'.'.join(path)} without {last}"
    if detail["type"] == "value_error":
        return f"has {'.'.join([*path, last])}, which {detail.get('ctx', {}).get('error', detail['msg'])}"
    text = detail["msg"]
    return f"has {'.'.join([*path, last])}, which is wrong: {text[:1].lower() + text[1:]}"
