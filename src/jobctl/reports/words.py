"""Numbers, moments and strangers' words as the report writes them. Pure."""

import unicodedata
from datetime import date, datetime, tzinfo
from math import floor
from typing import Final

NOT_KNOWN: Final = "not known"
LONGEST_TITLE: Final = 90
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def one_line(text: str, longest: int = LONGEST_TITLE) -> str:
    """What somebody else wrote, as one line: no break, no control, nothing that turns the direction of what follows."""
    plain = "".join(_shown(character) for character in text[: 4 * longest])
    plain = " ".join(plain.split())
    return plain if len(plain) <= longest else plain[: longest - 1].rstrip() + "…"


def _shown(character: str) -> str:
    kind = unicodedata.category(character)
    if kind in ("Cc", "Zl", "Zp"):
        return " "
    return "" if kind == "Cf" else "\ufffd" if kind in ("Cs", "Co", "Cn") else character


def count(number: int, what: str, many: str = "") -> str:
    return f"{number:,} {what if number == 1 else many or what + 's'}"


def more(left: int, where: str) -> str:
    """Below the first rows of a list; nothing where they are all."""
    return f"and {left:,} more: {where}" if left > 0 else ""


def money(amount: float, currency: str) -> str:
    return f"{amount:,.0f} {currency}"


def number(value: float | None, unit: str = "") -> str:
    if value is None:
        return NOT_KNOWN
    text = f"{value:,.1f}".removesuffix(".0")
    return f"{text} {unit}".rstrip()


def percent(share: float | None, digits: int = 1) -> str:
    """Rounded down, so that what missed its goal never looks as if it had met it."""
    if share is None:
        return NOT_KNOWN
    scale = 10**digits
    if 0 < share < 0.01 / scale:
        return f"under {1 / scale:g} %"
    return f"{floor(share * 100 * scale + 1e-9) / scale:.{digits}f}".removesuffix("." + "0" * digits) + " %"


def change(share: float) -> str:
    """Against then: +18 %, -3 %."""
    return "no change" if abs(share) < 0.005 else f"{share:+.0%}".replace("%", " %")


def signed(value: float) -> str:
    return f"{value:+,.1f}".removesuffix(".0") if value else "0"


def span(seconds: float) -> str:
    """In its one largest unit: 25 d, 3 h, 12 min, 8 s."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length * (2 if unit == "d" else 1):
            return f"{int(seconds // length):,} {unit}"
    return f"{max(seconds, 0):.0f} s"


def took(milliseconds: float | None) -> str:
    """Of a run."""
    if milliseconds is None:
        return NOT_KNOWN
    seconds = milliseconds / 1_000
    if seconds < 90:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7_200 else f"{seconds / 3_600:.1f} h"


def day(of: date) -> str:
    return f"{of.day} {_MONTHS[of.month - 1]}"


def weekday(of: date) -> str:
    return f"{_DAYS[of.weekday()]} {of.day}"


def days(first: date, last: date) -> str:
    """16 to 22 Nov 2026."""
    start = str(first.day) if (first.year, first.month) == (last.year, last.month) else day(first)
    if first.year != last.year:
        start += f" {first.year}"
    return f"{start} to {day(last)} {last.year}"


def moment(at: datetime, zone: tzinfo) -> str:
    local = at.astimezone(zone)
    return f"{_DAYS[local.weekday()]} {day(local.date())} {local:%H:%M}"
