"""The limits of a run, which must rise: each has to hold before the next one acts.

lock wait < statement < idle in transaction < lease < soft limit < max runtime <= cron interval
"""

from collections.abc import Callable, Mapping
from itertools import pairwise

from jobctl.durations import format_duration
from jobctl.settings import ENV_NAMES, Settings
from jobctl.settings_reading.fault import Fault, InvalidSettings


def require_limits(settings: Settings, job: str, max_runtime_s: int, *, within_interval: bool = True) -> None:
    """Refuse a max runtime given on the command line that does not fit between the other limits. A wrapped command has
    an interval of its own, of which these settings know nothing."""
    if not within_interval:
        settings = settings.model_copy(update={"cron_interval_s": max(settings.cron_interval_s, max_runtime_s)})
    faults = order_faults(
        settings, {job: max_runtime_s}, lambda name: "command line" if name == "max_runtime_s" else "settings"
    )
    if faults:
        raise InvalidSettings(tuple(faults))


def order_faults(settings: Settings, max_runtime_s: Mapping[str, int], origin: Callable[[str], str]) -> list[Fault]:
    """What is out of order. `max_runtime_s` by job; `origin` says where a setting came from."""
    chain: list[tuple[str, float]] = [
        ("lock_timeout_ms", settings.lock_timeout_ms / 1000),
        ("statement_timeout_ms", settings.statement_timeout_ms / 1000),
        ("idle_in_transaction_timeout_ms", settings.idle_in_transaction_timeout_ms / 1000),
        ("lease_s", float(settings.lease_s)),
    ]
    faults = [
        _out_of_order(
            lower, upper, f"{lower[0]} ({_span(lower[1])}) must be below {upper[0]} ({_span(upper[1])})", origin
        )
        for lower, upper in pairwise(chain)
        if not lower[1] < upper[1]
    ]
    if settings.lease_s < 6 * settings.heartbeat_s:
        faults.append(
            _out_of_order(
                ("heartbeat_s", settings.heartbeat_s),
                chain[-1],
                f"lease_s ({_span(settings.lease_s)}) must be at least six times heartbeat_s"
                f" ({_span(settings.heartbeat_s)})",
                origin,
            )
        )
    by_runtime: dict[int, list[str]] = {}
    for job, seconds in max_runtime_s.items():
        by_runtime.setdefault(seconds, []).append(job)
    for seconds, jobs in by_runtime.items():
        runtime = ("max_runtime_s", float(seconds))
        named = f"max_runtime_s of {', '.join(jobs)} ({_span(seconds)})"
        soft = settings.soft_limit_share * seconds
        if not settings.lease_s < soft:
            text = (
                f"lease_s ({_span(settings.lease_s)}) must be below the soft limit ({_span(soft)}),"
                f" {settings.soft_limit_share:g} of {named}"
            )
            faults.append(_out_of_order(chain[-1], runtime, text, origin))
        if seconds > settings.cron_interval_s:
            text = f"{named} must not be longer than cron_interval_s ({_span(settings.cron_interval_s)})"
            faults.append(_out_of_order(runtime, ("cron_interval_s", 0.0), text, origin))
    return faults


def _out_of_order(lower: tuple[str, float], upper: tuple[str, float], text: str, origin: Callable[[str], str]) -> Fault:
    where = f"{lower[0]}: {origin(lower[0])}, {upper[0]}: {origin(upper[0])}"
    return Fault(f"{lower[0]}, {upper[0]}", where, text, f"lower {ENV_NAMES[lower[0]]} or raise {ENV_NAMES[upper[0]]}")


def _span(seconds: float) -> str:
    return format_duration(seconds) if seconds >= 1 else f"{round(seconds * 1000)}ms"
