"""Which regular expressions every supported Python matches alike."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import jobctl

SOURCES = Path(jobctl.__file__).parent
# The end of a group and a possessive repeat. `()` alone and an escaped parenthesis are no group.
POSSESSIVE_GROUP = re.compile(r"(?<![(\\])\)(?:[*+?]|\{\d*,?\d*\})\+")


def literals(source: str) -> Iterator[tuple[int, str]]:
    """Line and value of every string, parts joined as Python joins them."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
            value = node.value
            yield node.lineno, value if isinstance(value, str) else value.decode("latin-1")


def possessive_groups(source: str) -> list[int]:
    return [line for line, value in literals(source) if POSSESSIVE_GROUP.search(value)]


def test_no_pattern_repeats_a_group_possessively() -> None:
    """CPython before 3.11.5 matches `(?:a|"b")*+` wrongly, and so does Debian 12's up to 3.11.2-6+deb12u8: it goes on
    from where the last attempt failed, not from where it began (gh-100061, gh-106052). Unrolled, `a*(?:ba*)*`, such a
    repeat needs no possession."""
    found = {
        str(path.relative_to(SOURCES)): lines
        for path in sorted(SOURCES.rglob("*.py"))
        if (lines := possessive_groups(path.read_text()))
    }
    assert found == {}


@pytest.mark.parametrize(
    ("source", "is_found"),
    [
        ("""re.compile(r"(?:a|b)*+")""", True),
        ("""re.compile(rb"(?:a|b)++c")""", True),
        ("""re.compile(rf"(?:{A}|b)?+")""", True),
        ("""re.compile(rf"({A}){{1,3}}+")""", True),
        ("""re.compile("(a" "b)" "*+")""", True),
        ("""re.compile(r"[ab]*+(?:c|d)*")""", False),
        ("""re.compile(r"\\)*+")""", False),
        ("""quote(path, safe="!$&'()*+,;=~")""", False),
    ],
)
def test_a_possessive_group_is_seen_where_it_stands(source: str, is_found: bool) -> None:
    assert bool(possessive_groups(source)) == is_found
