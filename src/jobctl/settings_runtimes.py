"""How long a run of each job may last: what is not said otherwise, and `max_runtime_s` as it is written."""

from collections.abc import Mapping
from typing import Final

from jobctl.did_you_mean import did_you_mean
from jobctl.settings_values import seconds

DEFAULT_MAX_RUNTIME_S: Final[Mapping[str, int]] = {
    "ingest-branch": 3_300,
    "sync": 540,
    "metrics": 540,
    "report": 540,
    "retry-failed": 540,
    "work": 540,
}
OTHER_MAX_RUNTIME_S: Final = 540


def runtimes(value: object) -> object:
    """`ingest-branch=55m,report=9m`, or a table; a job that is left out keeps its default."""
    if isinstance(value, str):
        pairs = [part.partition("=") for part in value.split(",") if part.strip()]
        if any(not sign for _, sign, _ in pairs):
            raise ValueError("is not of the form ingest-branch=55m,report=9m")
        value = {job.strip(): length for job, _, length in pairs}
    if not isinstance(value, Mapping):
        raise ValueError("is not a table of job and duration")  # noqa: TRY004 - pydantic collects only ValueError
    table: Mapping[object, object] = value  # pyright: ignore[reportUnknownVariableType]
    given = {str(job): seconds(length) for job, length in table.items()}
    for job in given:
        if job not in DEFAULT_MAX_RUNTIME_S:
            meant = did_you_mean(job, DEFAULT_MAX_RUNTIME_S)
            raise ValueError(f"names {job!r}, which is not a job" + (f": did you mean {meant}?" if meant else ""))
    return {**DEFAULT_MAX_RUNTIME_S, **given}
