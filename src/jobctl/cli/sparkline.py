"""The last values of something as a row of blocks, one character each: a trend that fits into a table's cell."""

from collections.abc import Callable, Sequence

BLOCKS = "▁▂▃▄▅▆▇█"
NOTHING = "·"


def sparkline(values: Sequence[float | None]) -> str:
    """Oldest first, scaled from zero to the greatest: what is flat looks flat. None is a gap, not a zero.

    >>> sparkline([0, 1, None, 8])
    '▁▂·█'
    """
    greatest = max((value for value in values if value is not None), default=0)
    return "".join(NOTHING if value is None else _block(value, greatest) for value in values)


def chart(values: Sequence[int | None], in_words: Callable[[int], str]) -> str:
    """The row of blocks, and between what they lie.

    >>> chart([1, None, 8], str)
    '▂·█ 1 to 8'
    """
    known = [value for value in values if value is not None]
    return f"{sparkline(values)} {in_words(min(known))} to {in_words(max(known))}" if known else "not known"


def _block(value: float, greatest: float) -> str:
    share = value / greatest if greatest > 0 else 0.0
    return BLOCKS[min(round(max(share, 0.0) * (len(BLOCKS) - 1)), len(BLOCKS) - 1)]
