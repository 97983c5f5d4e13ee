"""Durations as an operator writes them: `90`, `90s`, `55m`, `1h30m`, `7d`. Whole seconds; pure."""

import re

SECONDS_OF_UNIT = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
LONGEST_S = 3_660 * 86_400  # ten years: beyond it a digit too many is likelier than the wish

_PART = re.compile(r"([0-9]{1,12})([wdhms])")
_WHOLE = re.compile(r"(?:[0-9]{1,12}[wdhms])+")
_FORM = "write it as 90s, 55m, 2h, 1h30m or 7d"


def parse_duration(text: str) -> int:
    """Seconds of `text`; a bare number is seconds. Raises ValueError that says what `text` is instead."""
    compact = "".join(text.split()).lower()
    if compact.isascii() and compact.isdigit() and len(compact) <= 12:
        seconds = int(compact)
    elif _WHOLE.fullmatch(compact):
        parts = _PART.findall(compact)
        units = [unit for _, unit in parts]
        if units != sorted(set(units), key=list(SECONDS_OF_UNIT).index):
            raise ValueError(f"is not a duration, which names each unit once, the longest first: {_FORM}")
        seconds = sum(int(number) * SECONDS_OF_UNIT[unit] for number, unit in parts)
    else:
        raise ValueError(f"is not a duration: {_FORM}")
    if seconds > LONGEST_S:
        raise ValueError("is a duration of more than ten years")
    return seconds


def format_duration(seconds: float) -> str:
    """The shortest honest form: `0.4s`, `55m`, `1h30m`. Whole seconds come back through `parse_duration`."""
    if seconds < 0:
        return "-" + format_duration(-seconds)
    if seconds < 10 and seconds != int(seconds):
        tenths = round(seconds, 1)
        return f"{tenths:.1f}s" if tenths else "0s"
    rest = round(seconds)
    text = ""
    for unit in "dhms":  # weeks are read, but days are clearer to read back
        number, rest = divmod(rest, SECONDS_OF_UNIT[unit])
        if number:
            text += f"{number}{unit}"
    return text or "0s"
