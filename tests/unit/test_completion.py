"""What the shell is offered where no database need be asked, and which command a line that it completes is about."""

from collections.abc import Iterator

import pytest
import typer.main
from typer.core import TyperCommand, TyperGroup
from typer.testing import CliRunner

from jobctl.cli import completion, entry
from jobctl.cli.app import app
from jobctl.cli.root import COMMANDS, list_app, root_app

# Options that take one of the values that there are.
OF_KNOWN_VALUES = {
    *("--job", "--run", "--branch", "--scope", "--project", "--team", "--week", "--level", "--by", "--status"),
    *("--state", "--type", "--channel", "--verdict", "--only", "--outcome"),
}


@pytest.mark.parametrize(
    ("offering", "begun", "offered"),
    [
        (completion.jobs, "re", ["report", "retry-failed"]),
        (completion.run_states, "fro", ["frozen"]),
        (completion.task_states, "succ", ["succeeded"]),
        (completion.verdicts, "late", ["late"]),
        (completion.subjects, "disk", ["disk"]),
        (completion.checks, "items-e", ["items-embedded"]),
        (completion.levels, "", ["debug", "info", "warning", "error"]),
        (completion.sync_outcomes, "gon", ["gone"]),
        (completion.among(("job", "day")), "D", ["day"]),
    ],
)
def test_what_the_code_knows_is_offered(offering: completion.Offering, begun: str, offered: list[str]) -> None:
    assert [value for value, _ in offering(begun)] == offered


def test_the_last_eight_weeks_are_offered_by_their_names() -> None:
    weeks = [week for week, _ in completion.weeks("2")]
    assert len(weeks) == 8 and weeks == sorted(weeks, reverse=True)


def commands(
    command: object, words: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], TyperCommand | TyperGroup]]:
    """It, and all below it."""
    if isinstance(command, TyperCommand | TyperGroup):
        yield words, command
    if isinstance(command, TyperGroup):
        for name, inner in command.commands.items():
            yield from commands(inner, (*words, name))


def test_each_option_of_known_values_offers_them() -> None:
    without = [
        (words, option.opts[0])
        for words, command in commands(typer.main.get_command(app))
        for option in command.params
        if OF_KNOWN_VALUES & set(option.opts) and getattr(option, "_custom_shell_complete", None) is None
    ]
    assert without == []


# Which command a line is about ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "environment", "word"),
    [
        (["status", "--json"], {}, "status"),
        ([], {}, ""),
        ([], {"COMP_WORDS": "jobctl runs show ", "COMP_CWORD": "3"}, "runs"),
        ([], {"COMP_WORDS": "jobctl run", "COMP_CWORD": "1"}, ""),  # it may become runs
        ([], {"_TYPER_COMPLETE_ARGS": "jobctl branch show no"}, "branch"),
        ([], {"_TYPER_COMPLETE_ARGS": "jobctl "}, ""),
    ],
)
def test_the_command_is_known_before_any_other_is_made(
    monkeypatch: pytest.MonkeyPatch, argv: list[str], environment: dict[str, str], word: str
) -> None:
    monkeypatch.setattr("sys.argv", ["jobctl", *argv])
    for name in ("COMP_WORDS", "_TYPER_COMPLETE_ARGS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert entry._first_word() == word


def names_in(made: typer.Typer) -> list[str]:
    return [words[0] for words, _ in commands(typer.main.get_command(made)) if len(words) == 1]


def test_the_table_has_each_command_and_only_the_wanted_one_is_made() -> None:
    assert set(names_in(app)) == set(COMMANDS)
    assert names_in(root_app("runs")) == ["runs"]
    assert names_in(root_app("pause")) == ["slots", "pause", "resume"]  # of one module
    assert names_in(root_app("rums")) == names_in(app)  # so that the right word can be named


def test_the_list_shows_each_command_whole_at_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert names_in(list_app()) == list(COMMANDS)
    shown = CliRunner().invoke(list_app(), ["--help"]).output
    for name, command in COMMANDS.items():
        assert f"\n  {name:<13}  {command.summary}\n" in shown
