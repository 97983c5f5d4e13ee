"""Tables of a page of docs, so that its numbers are the tests' numbers."""

import re
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def section(page: str, heading: str) -> str:
    text = (DOCS / page).read_text(encoding="utf-8")
    found = re.search(rf"^(#+) {re.escape(heading)}\n(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)
    assert found is not None, f"{page} has no section {heading!r}"
    return found[2]


def rows(page: str, heading: str) -> list[dict[str, str]]:
    """The rows of the section's table by their columns' names."""
    lines = [line for line in section(page, heading).splitlines() if line.startswith("|")]
    header, _rule, *body = ([cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines)
    assert body and all(len(cells) == len(header) for cells in body)
    return [dict(zip(header, cells, strict=True)) for cells in body]
