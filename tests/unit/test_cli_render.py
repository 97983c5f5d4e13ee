"""What others wrote is shown on a terminal, and not obeyed; as JSON it comes back as it was."""

import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from jobctl.cli import render
from jobctl.errors import JobctlError

HOSTILE = "\x1b[31mred\x1b]0;title\x07\x9b1m\x7f\x84\u202edlog\u2066[red]x[/red]"
SHOWN = r"\x1b[31mred\x1b]0;title\x07\x9b1m\x7f\x84\u202edlog\u2066[red]x[/red]"

SAID: list[Callable[[], None]] = [
    lambda: render.print_text(HOSTILE),
    lambda: render.note(HOSTILE),
    lambda: render.print_error(JobctlError(HOSTILE), as_json=False, redact=str),
    lambda: render.print_error(JobctlError("x", hint=HOSTILE), as_json=False, redact=str),
    lambda: render.print_table(HOSTILE, ["a"], [["b"]]),
    lambda: render.print_table("", [HOSTILE], [["b"]]),
    lambda: render.print_table("", ["a"], [[HOSTILE]]),
]


@pytest.mark.parametrize("say", SAID, ids=["text", "note", "error", "hint", "title", "column", "cell"])
def test_a_terminal_is_given_nothing_that_it_obeys(
    say: Callable[[], None], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    say()
    out, err = capsys.readouterr()
    said = out + err
    assert SHOWN in said.replace("\n", "")
    assert all(letter.isprintable() or letter == "\n" for letter in said)


def test_lines_stay_lines(capsys: pytest.CaptureFixture[str]) -> None:
    render.print_text("one\n  two")
    render.note("three\nfour")
    assert capsys.readouterr() == ("one\n  two\n", "three\nfour\n")


def test_what_a_program_reads_is_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    render.print_as_it_is("a\tb\u00a0c")
    assert capsys.readouterr().out == "a\tb\u00a0c\n"


def test_json_has_the_same_text_with_nothing_in_it_that_a_terminal_obeys(capsys: pytest.CaptureFixture[str]) -> None:
    render.print_json({HOSTILE: [HOSTILE, "Größe"]})
    out = capsys.readouterr().out
    assert all(letter.isprintable() or letter == "\n" for letter in out) and "Größe" in out
    assert json.loads(out) == {HOSTILE: [HOSTILE, "Größe"]}


@pytest.mark.parametrize("say", SAID, ids=["text", "note", "error", "hint", "title", "column", "cell"])
def test_a_reader_that_went_away_ends_nothing(say: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as stream:
        for name in ("stdout", "stderr"):
            monkeypatch.setattr(sys, name, stream)
        say()
        monkeypatch.undo()
        assert os.path.samestat(os.fstat(write), Path(os.devnull).stat()), "the last flush would fail"


def test_what_a_stream_has_no_bytes_for_is_shown_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="latin-1"))
    render.print_text("Größe … 1")
    render.print_json({"a": "Größe …"})
    render.print_table("", ["a"], [["Größe … 2"]])
    text, document, *table = written.getvalue().decode("latin-1").splitlines()
    monkeypatch.undo()
    assert text == r"Größe \u2026 1" and json.loads(document) == {"a": "Größe …"}
    assert r"Größe \u2026 2" in "\n".join(table)
