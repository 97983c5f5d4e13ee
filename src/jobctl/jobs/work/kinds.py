"""What is claimed together, and whose turn it is.

A call of a handler has one task, or a batch of those of a type whose handler takes batches. What counts for
`--concurrency` is the call. So a claim is either of tasks that are called singly, of whatever type, or of one type that
is called in batches: then how many calls come of it is known before it is made.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple


class Kind(NamedTuple):
    types: tuple[str, ...]
    batch_size: int


class Kinds:
    """Kinds take turns, so that neither holds up the other."""

    def __init__(self) -> None:
        self._asked: dict[tuple[str, ...], int] = {}

    def in_turn(self, types: Sequence[str], batch_sizes: Mapping[str, int], found: Collection[str]) -> list[Kind]:
        """Those of which something was found lately come first, among them the one that was asked longest ago."""
        kinds = [Kind((type_,), batch_sizes[type_]) for type_ in types if type_ in batch_sizes]
        single = tuple(type_ for type_ in types if type_ not in batch_sizes)
        if single:
            kinds.append(Kind(single, 1))
        return sorted(
            kinds, key=lambda kind: (all(type_ not in found for type_ in kind.types), self._asked.get(kind.types, 0))
        )

    def was_asked(self, kind: Kind) -> None:
        self._asked[kind.types] = max(self._asked.values(), default=0) + 1
