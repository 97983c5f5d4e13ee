"""Another round of tries for tasks that failed for good. Pure.

A task that fails has spent its `max_attempts`. An error that time may mend (the other side was away for longer than all
its pauses) is given up to `retry_rounds` further rounds of as many tries, one an hour. What it has spent is told by its
tries and by those that were forgiven it, so a round needs no counter of its own:

    failed tries so far = (attempts - crashes) + (forgiven_attempts - forgiven_crashes)
    another round       = failed tries so far < max_attempts x (1 + retry_rounds)

Tries that an operator forgave count like any others: a task that was helped by hand comes back by itself less often.

Tasks of a round come back spread over the hour, each in a part of it that is its own, at a random moment. Where the
other side is down, a few are sent to see, soon, and the others wait without spending anything.
"""

from collections.abc import Collection, Iterable, Mapping

PROBE = 5
SPREAD_S = 3_600.0
PROBE_SPREAD_S = 600.0


def tries_allowed(max_attempts: int, retry_rounds: int) -> int:
    return max_attempts * (1 + retry_rounds)


def quotas(failed: Mapping[str, int], down: Collection[str], limit: int) -> dict[str, int]:
    """How many of each type's failed tasks get a round: a probe where the other side is down; of the others `limit` in
    all, shared so that a type with many takes nothing from one with few."""
    granted = {type_: min(number, PROBE) for type_, number in failed.items() if type_ in down}
    left = limit
    others = sorted((number, type_) for type_, number in failed.items() if type_ not in down)
    for place, (number, type_) in enumerate(others):
        granted[type_] = min(number, left // (len(others) - place))
        left -= granted[type_]
    return granted


def spread(over_s: float, draws: Collection[float]) -> list[float]:
    """Seconds from now for as many tasks as there are `draws` (random numbers from 0 to below 1), in rising order."""
    part_s = over_s / len(draws) if draws else 0.0
    return [(place + draw) * part_s for place, draw in enumerate(draws)]


def delays(types: Iterable[str], down: Collection[str], draws: Iterable[float]) -> list[float]:
    """When each task of a round is due, in seconds from now, for tasks of these types in this order."""
    drawn = list(zip(types, draws, strict=False))
    probing = iter(spread(PROBE_SPREAD_S, [draw for type_, draw in drawn if type_ in down]))
    others = iter(spread(SPREAD_S, [draw for type_, draw in drawn if type_ not in down]))
    return [next(probing if type_ in down else others) for type_, _ in drawn]
