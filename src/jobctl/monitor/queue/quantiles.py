"""Percentiles from counts in buckets that grow by 2 %: right to 1 %, and nothing needs sorting. Pure."""

import math
from collections.abc import Mapping
from typing import Final, NamedTuple

SHORTEST_S: Final = 0.001  # what is shorter counts as this
BUCKETS_PER_E: Final = 1 / math.log(1.02)


class Quantiles(NamedTuple):
    p50_s: float
    p95_s: float
    p99_s: float


def quantiles(counts: Mapping[int, int]) -> Quantiles | None:
    """`counts` by `floor(ln(seconds) * BUCKETS_PER_E)`; None when there are none."""
    total = sum(counts.values())
    if not total:
        return None
    return Quantiles(*(_quantile(counts, total * share) for share in (0.5, 0.95, 0.99)))


def _quantile(counts: Mapping[int, int], rank: float) -> float:
    passed = 0
    for bucket in sorted(counts):
        passed += counts[bucket]
        if passed >= rank:
            break
    return math.exp((bucket + 0.5) / BUCKETS_PER_E)  # pyright: ignore[reportPossiblyUnboundVariable]  # never empty
