"""How long a task waits before its next try: exponential with full jitter, as pure arithmetic.

Tasks that failed together must not come back together, so the whole pause is drawn, not a margin of it.
"""

from typing import Final

MOST_DOUBLINGS: Final = 62  # beyond it every cap is reached, and a float would overflow


def ceiling_s(failed_tries: int, *, base_s: float, cap_s: float) -> float:
    """The longest pause after this many failed tries."""
    return min(cap_s, base_s * 2.0 ** min(max(failed_tries, 1) - 1, MOST_DOUBLINGS))


def pause_s(failed_tries: int, *, base_s: float, cap_s: float, share: float) -> float:
    """The pause before the next try; `share` is drawn evenly from 0 to 1."""
    return ceiling_s(failed_tries, base_s=base_s, cap_s=cap_s) * min(max(share, 0.0), 1.0)
