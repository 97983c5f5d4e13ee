"""The colours of the report, each pair of text and ground with a contrast that WCAG calls enough (4.5). Pure.

In the dark, pictures are inverted by the page (`filter`), so that their white ground becomes DARK["card"]; clients that
cannot show them as they are.
"""

from typing import Final

LIGHT: Final = {
    "page": "#f3f4f6",
    "card": "#ffffff",
    "ink": "#1f2937",
    "muted": "#4b5563",
    "link": "#0b57d0",
    "good": "#166534",
    "warn": "#8a4b00",
    "bad": "#b3261e",
    "line": "#d9dde3",
}
DARK: Final = {
    "page": "#121212",
    "card": "#1f1f1f",
    "ink": "#ececec",
    "muted": "#b5b8bd",
    "link": "#8ab4f8",
    "good": "#7fd1a0",
    "warn": "#f2b866",
    "bad": "#ff9d94",
    "line": "#3d3d3d",
}
TEXTS: Final = ("ink", "muted", "link", "good", "warn", "bad")
GROUNDS: Final = ("page", "card")

# Of charts: the fill of each band, and the text that stands on it.
BANDS: Final = {
    "critical": ("#b3261e", "#ffffff"),
    "warning": ("#f0b849", "#1f2937"),
    "healthy": ("#1f7a4a", "#ffffff"),
    "unknown": ("#c7ccd4", "#1f2937"),
}
# Of the heat map: no runs, all good, a few bad, many bad.
HEAT: Final = {
    "none": ("#eef0f3", "#4b5563"),
    "good": ("#cfe8d8", "#14532d"),
    "few": ("#fbe3b0", "#6b3f00"),
    "many": ("#f3b8b3", "#7a1410"),
}
MONEY: Final = "#0b57d0"
PULLS: Final = "#8a4b00"
BUGS: Final = "#166534"


def contrast(one: str, other: str) -> float:
    """The WCAG ratio of two colours: 1 to 21."""
    brighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
