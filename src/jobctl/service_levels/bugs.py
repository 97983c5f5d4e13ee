"""Which issues are bugs, how bad each is and what it costs a day: by rules that say what gave each answer. Pure.

Labels decide whether an issue is a bug and of which severity; the worst of several holds. The daily impact on revenue
is what stands first of these:

    import    somebody said it of this issue (`jobctl project impact import`)
    label     the largest amount of its labels, `impact: 1500`
    form      the answer to a field of the issue form
    default   what a bug of its severity costs if nobody says anything

An amount that cannot be read without doubt is not read: `1.500` is one and a half or fifteen hundred, and another
currency is not converted. Nor is one above `largest_impact` believed of a label or a form, which strangers may fill in.
Of each answer the explanation tells what was passed over and why.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Any, Final, NamedTuple

SEVERITIES: Final = ("low", "medium", "high", "critical")  # an issue's severity is its place here
SYMBOLS: Final = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "INR": "₹"}
_MULTIPLES: Final = {"": 1, "k": 1_000, "m": 1_000_000}
# Fifteen hundred is 1500, 1,500, 1 500 or 1.5k. A point before exactly three digits may mean two things.
_AMOUNT: Final = re.compile(
    r"(?P<whole>[0-9]{1,12}|[0-9]{1,3}(?:[, '_][0-9]{3}){1,3})"
    r"(?P<part>\.[0-9]{1,2}|\.[0-9]{3}(?=\s?[km]))?\s?(?P<times>[km]?)"
    r"(?:\s?(?:/|per|a)\s?d(?:ay)?)?"
)
LONGEST_ANSWER: Final = 200  # that is looked at, here and in bugs.sql
_NO_ANSWER: Final = frozenset({"", "_no response_", "none", "n/a", "-", "unknown", "?"})


class Rules(NamedTuple):
    """Patterns are labels, `*` in them stands for anything; both without regard to capitals."""

    bug_labels: Sequence[str] = (
        "bug",
        "bug:*",
        "kind/bug",
        "type: bug",
        "type/bug",
        "defect",
        "regression",
    )
    not_bug_labels: Sequence[str] = ("duplicate", "invalid", "wontfix", "question")
    severity_labels: Mapping[str, Sequence[str]] = {
        "critical": ("critical", "severity: critical", "severity/critical", "priority: critical", "sev1", "p0"),
        "high": ("high", "severity: high", "severity/high", "priority: high", "sev2", "p1"),
        "medium": ("medium", "severity: medium", "severity/medium", "priority: medium", "sev3", "p2"),
        "low": ("low", "severity: low", "severity/low", "priority: low", "sev4", "p3"),
    }
    default_severity: str = "medium"
    pause_labels: Sequence[str] = ("waiting for customer", "waiting-for-customer", "awaiting response", "on hold")
    impact_labels: Sequence[str] = ("impact: *", "revenue: *")
    impact_field: str = "Revenue impact per day"
    default_impact: Mapping[str, Decimal] = {
        "critical": Decimal(2_500),
        "high": Decimal(500),
        "medium": Decimal(50),
        "low": Decimal(0),
    }
    largest_impact: Decimal = Decimal(1_000_000)
    currency: str = "USD"

    def as_json(self) -> dict[str, Any]:
        return json.loads(json.dumps(self._asdict(), default=str, sort_keys=True))

    @property
    def version(self) -> str:
        """The same rules have the same one, everywhere."""
        return hashlib.sha256(json.dumps(self.as_json(), sort_keys=True).encode()).hexdigest()[:12]


class Meaning(NamedTuple):
    """What one label says. `severity` is a place in SEVERITIES."""

    is_bug: bool = False
    is_no_bug: bool = False
    severity: int | None = None
    impact: Decimal | None = None
    pauses: bool = False
    passed_over: str = ""


NO_MEANING: Final = Meaning()


class Labels(NamedTuple):
    """What all labels of an issue say together."""

    is_bug: bool
    severity: int | None
    impact: Decimal | None
    is_paused: bool


class Verdict(NamedTuple):
    severity: int
    severity_from: str  # label or default
    impact: Decimal
    impact_from: str  # import, label, form or default
    passed_over: tuple[str, ...] = ()


def meaning(rules: Rules, label: str) -> Meaning:
    name = " ".join(label.lower().split())
    severity = max(
        (SEVERITIES.index(each) for each, patterns in rules.severity_labels.items() if _fits(name, patterns)),
        default=None,
    )
    impact, passed_over = None, ""
    if (text := _amount_in(name, rules.impact_labels)) is not None:
        impact, passed_over = believed(rules, text)
    return Meaning(
        _fits(name, rules.bug_labels),
        _fits(name, rules.not_bug_labels),
        severity,
        impact,
        _fits(name, rules.pause_labels),
        f"label {label!r}: {passed_over}" if passed_over else "",
    )


def together(meanings: Iterable[Meaning]) -> Labels:
    """One label that says `no bug` outweighs all others."""
    said = list(meanings)
    return Labels(
        any(each.is_bug for each in said) and not any(each.is_no_bug for each in said),
        max((each.severity for each in said if each.severity is not None), default=None),
        max((each.impact for each in said if each.impact is not None), default=None),
        any(each.pauses for each in said),
    )


def judge(
    rules: Rules,
    severity: int | None,
    label_impact: Decimal | None,
    form_text: str | None,
    imported: Decimal | None,
) -> Verdict:
    """Of a bug, from what its labels say together."""
    severity_from = "default" if severity is None else "label"
    if severity is None:
        severity = SEVERITIES.index(rules.default_severity)
    if imported is not None:
        return Verdict(severity, severity_from, imported, "import")
    if label_impact is not None:
        return Verdict(severity, severity_from, label_impact, "label")
    passed_over = ""
    if form_text is not None:
        answered, passed_over = believed(rules, form_text)
        if answered is not None:
            return Verdict(severity, severity_from, answered, "form")
    told = (f"form field {rules.impact_field!r}: {passed_over}",) if passed_over else ()
    return Verdict(severity, severity_from, rules.default_impact[SEVERITIES[severity]], "default", told)


def form_field(rules: Rules, body: str | None) -> str | None:
    """The answer as an issue form writes it: below a heading of the third level, up to the next one."""
    _, found, rest = (body or "").replace("\r\n", "\n").partition(f"### {rules.impact_field}\n")
    return rest.partition("\n###")[0].strip()[:LONGEST_ANSWER] if found else None


def believed(rules: Rules, text: str) -> tuple[Decimal | None, str]:
    """The amount, or why there is none."""
    if text.strip().lower() in _NO_ANSWER:
        return None, ""
    amount = parse_amount(text, rules.currency)
    if amount is None:
        return None, f"{text.strip()[:40]!r} is no amount in {rules.currency} that can be read without doubt"
    if amount > rules.largest_impact:
        return None, f"{amount:,} is above largest_impact ({rules.largest_impact:,})"
    return amount, ""


def parse_amount(text: str, currency: str) -> Decimal | None:
    """`1500`, `1,500`, `$1.5k/day`, `1 500.50 USD`. None when it may mean something else, too."""
    plain = " ".join(text.lower().replace("\N{NO-BREAK SPACE}", " ").split())
    for mark in (currency.lower(), SYMBOLS.get(currency, currency.lower())):
        plain = plain.replace(mark, " ", 1)
    found = _AMOUNT.fullmatch(" ".join(plain.split()).replace(" /", "/"))
    if found is None:
        return None
    whole = re.sub(r"[, '_]", "", found["whole"])
    return Decimal(whole + (found["part"] or "")) * _MULTIPLES[found["times"]]


def _fits(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern.lower()) for pattern in patterns)


def _amount_in(name: str, patterns: Iterable[str]) -> str | None:
    """What stands where a pattern has its `*`."""
    for pattern in patterns:
        head, star, tail = pattern.lower().partition("*")
        if star and name.startswith(head) and name.endswith(tail) and len(name) > len(head) + len(tail):
            return name[len(head) : len(name) - len(tail)]
    return None
