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

from pydantic import Field

from jobctl.settings_outside import CommandSettings, EndpointSettings, Name
from jobctl.settings_table import Table, read_table
from jobctl.settings_values import Seconds

LEAST_BEATS: Final = 6  # within a lease, so that one slow answer costs no task
_Tables = Mapping[str, object]


Count = Annotated[int, Field(ge=0, le=1_000_000)]


class TypePolicy(Table):
    """How tasks of one type are run. `max_attempts` are tries that ended in an error; `crash_limit` tries that took
    their worker with them; the pause before try n+1 is drawn from 0 to min(cap, base x 2^(n-1)) seconds.
    `retry_rounds` is how often `retry-failed` gives a task that failed for good all its tries again; where more than
    `down_share` of the last hour's tries failed, it sends a few tasks to see."""

    running: Count | None = None
    rate_per_minute: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    timeout_s: Seconds = 300.0
    max_attempts: Annotated[int, Field(ge=1, le=1_000)] = 5
    crash_limit: Annotated[int, Field(ge=1, le=100)] = 3
    backoff_base_s: Seconds = 15.0
    backoff_cap_s: Seconds = 3_600.0
    retry_rounds: Annotated[int, Field(ge=0, le=1_000)] = 3
    down_share: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 0.5


class QueueSettings(Table):
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


_TABLES: Final[Mapping[str, type[Table]]] = {
    "defaults": TypePolicy,
    "types": TypePolicy,
    "commands": CommandSettings,
    "endpoints": EndpointSettings,
}


def read_queue(value: object) -> QueueSettings:
    """Raises ValueError with every fault of the table, in an operator's words."""
    if isinstance(value, QueueSettings):
        return value
    whole = _with_defaults(cast(_Tables, value)) if isinstance(value, Mapping) else value
    settings = read_table(whole, QueueSettings, "[queue] and below it per_user = 2", _TABLES)
    faults = [f"{name} {text}" for name, each in settings.endpoints.items() for text in each.faults()]
    if faults:
        raise ValueError("; ".join(f"has endpoints.{fault.replace(' ', ', which ', 1)}" for fault in faults))
    if settings.lease_s < LEAST_BEATS * settings.beat_s:
        raise ValueError(f"needs lease_s ({settings.lease_s:g}) of at least six times beat_s ({settings.beat_s:g})")
    return settings


def _with_defaults(table: _Tables) -> _Tables:
    """A type's table holds what differs from the defaults."""
    defaults, types = table.get("defaults"), table.get("types")
    if not isinstance(defaults, Mapping) or not isinstance(types, Mapping):
        return table
    given = cast(_Tables, defaults)
    whole = {
        name: {**given, **cast(_Tables, own)} if isinstance(own, Mapping) else own
        for name, own in cast(_Tables, types).items()
    }
    return {**table, "types": whole}
