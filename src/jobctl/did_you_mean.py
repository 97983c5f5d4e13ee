"""Which known name a misspelt one was meant to be. Pure."""

from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str], *, cutoff: float = 0.7) -> str | None:
    """The likeliest of `known`, if one is at least as like as `cutoff` (0 to 1)."""
    import difflib

    close = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return close[0] if close else None
