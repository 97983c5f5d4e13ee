"""Trying again inside a run: only what is named, only so often, only so long.

The one importer of tenacity. Each use says which errors may be tried again (`on`) and how many seconds it may take in
all (`within_s`); a wait that would end after that is not begun. An unknown outcome is never tried again here, whatever
`on` says: somebody must look first, or the work is done twice.
"""

import functools
import random
import time
from collections.abc import Callable, Sequence
from typing import ParamSpec, Protocol, TypeVar

from jobctl import clock
from jobctl.errors import UnknownOutcome

P = ParamSpec("P")
T = TypeVar("T")

WAITS_S = (5.0, 10.0, 15.0)
JITTER_S = 2.0  # runs that failed together do not come back together

Recoverable = tuple[type[Exception], ...] | Callable[[BaseException], bool]


class Warns(Protocol):
    """What is needed of a log: see `jobctl.log.Log`."""

    def warning(self, event: str, message: str = "", /, **fields: object) -> None: ...


def retrying(
    on: Recoverable,
    *,
    within_s: float,
    attempts: int = 3,
    waits: Sequence[float] = WAITS_S,
    jitter_s: float = JITTER_S,
    sleep: Callable[[float], object] = time.sleep,
    now: Callable[[], float] = clock.monotonic,
    log: Warns | None = None,
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """A decorator that calls again after the errors of `on`, and at the end raises the last one as it came.

    `sleep` may be the `wait` of an event, so that a stopping run does not sit out its pause."""
    recoverable = _predicate(on)
    if attempts < 1 or within_s <= 0 or not waits or min(waits) < 0 or jitter_s < 0:
        raise ValueError("attempts and within_s must be positive, waits not empty and none of them negative")

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(function)
        def tried(*args: P.args, **kwargs: P.kwargs) -> T:
            import tenacity

            begun = now()

            def wait(state: tenacity.RetryCallState) -> float:
                base = waits[min(state.attempt_number, len(waits)) - 1]
                return base + random.uniform(0.0, jitter_s)

            def stop(state: tenacity.RetryCallState) -> bool:
                return state.attempt_number >= attempts or now() - begun + state.upcoming_sleep > within_s

            def pause(seconds: float) -> None:
                sleep(seconds)

            def tell(state: tenacity.RetryCallState) -> None:
                error = state.outcome.exception() if state.outcome else None
                if log is not None and error is not None:
                    log.warning(  # noqa: PLE1205 - not the standard library's
                        "retry",
                        f"attempt {state.attempt_number} of {attempts} failed, trying again",
                        attempt=state.attempt_number,
                        attempts=attempts,
                        wait_ms=round(state.upcoming_sleep * 1000),
                        error=error,
                    )

            return tenacity.Retrying(
                retry=tenacity.retry_if_exception(recoverable),
                wait=wait,
                stop=stop,
                before_sleep=tell,
                sleep=pause,
                reraise=True,
            )(function, *args, **kwargs)

        return tried

    return decorate


def _predicate(on: Recoverable) -> Callable[[BaseException], bool]:
    if isinstance(on, tuple) and (not on or Exception in on):
        raise ValueError("name the errors that may be tried again; all of them is not an answer")

    def recoverable(error: BaseException) -> bool:
        if not isinstance(error, Exception) or isinstance(error, UnknownOutcome):
            return False
        return isinstance(error, on) if isinstance(on, tuple) else on(error)

    return recoverable
