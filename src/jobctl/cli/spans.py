"""Lengths of time in four characters or so, for narrow columns: `0.4s`, `45s`, `12m`, `5h`, `12d`."""


def short(seconds: float) -> str:
    """One unit, the largest that leaves two digits; a tenth where that is all there is."""
    seconds = max(0.0, seconds)
    if round(seconds, 1) < 10:
        return f"{seconds:.1f}s"
    for unit, length, most in (("s", 1, 100), ("m", 60, 100), ("h", 3_600, 48)):
        if round(seconds / length) < most:
            return f"{round(seconds / length)}{unit}"
    return f"{round(seconds / 86_400):,}d"


def short_ms(milliseconds: float | None) -> str:
    return "" if milliseconds is None else short(milliseconds / 1_000)
