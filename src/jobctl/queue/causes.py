"""What of the last hour's failures somebody must hear of, in words. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

from jobctl.queue.rates import Failing, TypeTries, rising

MOST_TYPES = 10  # that are told of in one hour, each by itself
MOST_KINDS = 5  # that one message lists

TOO_MANY = "TaskFailures"
RISING = "FailureRate"


class Cause(NamedTuple):
    """An alert's cause; `about` is the type, or nothing for all of them."""

    name: str
    about: str
    message: str
    hint: str


def causes(failing: Sequence[Failing], rates: Sequence[TypeTries], *, most_failures: int) -> list[Cause]:
    """More tasks than `most_failures` failing, and types that fail more often than in the day before."""
    found: list[Cause] = []
    tasks = sum(each.tasks for each in failing)
    if tasks > most_failures:
        kinds = [f"{each.type} {each.error_class}".rstrip() + f" ({each.tasks:,})" for each in failing[:MOST_KINDS]]
        rest = tasks - sum(each.tasks for each in failing[:MOST_KINDS])
        said = ", ".join([*kinds, *([f"others ({rest:,})"] if rest else [])])
        message = f"{tasks:,} tasks failed in the last hour and have not succeeded since, more than {most_failures:,}"
        hint = "jobctl queue stats shows what fails; alert_failures_per_hour in [queue] is the limit"
        found.append(Cause(TOO_MANY, "", f"{message}: {said}", hint))
    for rate in rising(rates)[:MOST_TYPES]:
        message = (
            f"{rate.share:.0%} of the last hour's tries of {rate.type} failed ({rate.failed:,} of {rate.tries:,}), "
            f"and {rate.share_before:.0%} in the 24 hours before"
        )
        hint = f"jobctl queue stats --type {rate.type} shows what fails"
        found.append(Cause(RISING, rate.type, message, hint))
    return found
