"""The page is valid HTML, by the judgement of html-validate (tests/html).

Two of its rules are off, for mail clients: they lay out by tables, whose `align`, `width` and `cellpadding` Outlook
needs (no-deprecated-attr), and what reads a mail aloud knows `role="article"` and no `<article>`
(prefer-native-element).
"""

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from bench_report import LINKS, PAGES, a_report
from jobctl.reports import rendering
from jobctl.reports.model import Part, Some

HERE = Path(__file__).parents[1] / "html"
PARTS: tuple[Part, ...] = get_args(Part)
PROGRAM = HERE / "node_modules" / ".bin" / "html-validate"


def test_the_page_is_valid_html_whatever_stands_in_it(tmp_path: Path) -> None:
    if shutil.which("node") is None or not PROGRAM.exists():
        pytest.skip("html-validate is missing: npm ci --prefix tests/html")
    full, hostile = a_report(), a_report(" <b>\"'&amp;</td>")
    nothing = replace(
        full, figures=None, trend=(), paces=(), projects=(), bugs=Some((), 0), unassigned=0, pulls=Some((), 0),
        branches=(), jobs=(), incidents=Some((), 0), embeddings=None,
    )  # fmt: skip
    unread = replace(nothing, unread=dict.fromkeys(PARTS, "canceling <statement> & more"))
    told = {"full": (full, PAGES), "hostile": (hostile, LINKS), "nothing": (nothing, LINKS), "unread": (unread, LINKS)}
    for name, (report, links) in told.items():
        letter = rendering.letter_of(rendering.shown(report, links), report.bugs.shown, report.pulls.shown)
        (tmp_path / f"{name}.html").write_text(rendering.page_of(letter), encoding="utf-8")
    judged = subprocess.run(
        [PROGRAM, "--config", HERE / "html-validate.json", "--formatter", "json", *sorted(tmp_path.glob("*.html"))],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    faults = [
        f"{Path(page['filePath']).name}:{each['line']} {each['ruleId']}: {each['message']}"
        for page in json.loads(judged.stdout)
        for each in page["messages"]
    ]
    assert not faults and judged.returncode == 0, "\n".join(faults[:30])
