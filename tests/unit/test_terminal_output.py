"""What is printed, whatever the terminal can show."""

import json
import os
import subprocess
import sys
from io import StringIO

import pytest

from jobctl.cli import render


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("no_color", "shown"), [("", "\x1b[31mFAILED \x1b[0m"), ("1", "FAILED ")])
def test_colours_are_left_out_where_somebody_wants_none(
    monkeypatch: pytest.MonkeyPatch, no_color: str, shown: str
) -> None:
    for name, value in {"TERM": "xterm", "NO_COLOR": no_color, "COLORTERM": ""}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.setattr("sys.stdout", Terminal())
    assert render.styled("FAILED ", "red") == shown
    monkeypatch.setattr("sys.stdout", StringIO())
    assert render.styled("FAILED ", "red") == "FAILED "


ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
PRINTS = r"""
from jobctl import __main__
from jobctl.cli import render
__main__._lose_no_character()
render.print_text("\u251c\u2500 Z\xfcrich")
render.print_table("", ["name"], [["Z\xfcrich"]])
render.print_json({"name": "Z\xfcrich"})
"""


def test_what_a_locale_cannot_show_is_shown_by_its_number_and_json_stays_json() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PRINTS], env={**os.environ, **ASCII}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    first, *_, last = done.stdout.splitlines()
    assert first == r"\u251c\u2500 Z\xfcrich"
    assert r"Z\xfcrich" in done.stdout.splitlines()[4]
    assert json.loads(last) == {"name": "Zürich"}


def test_a_table_cuts_no_name_that_is_longer_than_its_column(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    out = StringIO()
    monkeypatch.setattr("sys.stdout", out)
    name = "a-name-without-any-place-to-break-it-at-all"
    render.print_table("", ["first", "second"], [[name, name]])
    cells = "".join(line.split("│")[1].strip() for line in out.getvalue().splitlines() if line.startswith("│"))
    assert cells == name
