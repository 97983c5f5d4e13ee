"""What issues and pull requests are called. Pure."""

from random import Random
from typing import Final

_THINGS: Final = (
    *("the export", "checkout", "search", "the import", "login", "the dashboard", "the nightly load", "refunds"),
    *("notifications", "the settings page", "rate limits", "the audit log", "the mobile sync", "invoices"),
)
_BUGS: Final = (
    *("{} fails for large accounts", "{} hangs after a timeout", "wrong totals in {}", "{} loses the last row"),
    *("{} answers 500 at midnight UTC", "memory of {} grows without end", "{} shows another zone's time"),
)
_WISHES: Final = ("support several accounts in {}", "document {}", "make {} faster", "a dark theme for {}")
_PULLS: Final = ("Mend {}", "Speed up {}", "Test {}", "Split {} in two", "Retry in {}", "Log what {} does")


def bug_title(random: Random) -> str:
    return _of(random, _BUGS)


def wish_title(random: Random) -> str:
    return _of(random, _WISHES)


def pull_title(random: Random) -> str:
    return _of(random, _PULLS)


def _of(random: Random, forms: tuple[str, ...]) -> str:
    text = random.choice(forms).format(random.choice(_THINGS))
    return text[0].upper() + text[1:]
