"""A crontab's text is read as Debian's cron reads it: each case here was tried with cron 3.0pl1-162."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.schedule.crontab_text import Assignment, Entry, Line, Unreadable, read_crontab, render_crontab


def only(text: str, *, is_system: bool = False) -> Line:
    (line,) = read_crontab(text + "\n", is_system=is_system).lines
    return line


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("A='x y '", "A", "x y "),
        ("B = un quoted  ", "B", "un quoted"),
        ('C="$HOME/bin"', "C", "$HOME/bin"),
        ("D=~/x", "D", "~/x"),
        ("E=a # c", "E", "a # c"),
        ('"F"=g', "F", "g"),
        ('EMPTY=""', "EMPTY", ""),
        ("  G=1", "G", "1"),
        ("H=a'b'", "H", "a'b'"),
    ],
)
def test_an_assignment_is_read_with_its_quotes_and_nothing_expanded(text: str, name: str, value: str) -> None:
    line = only(text)
    assert isinstance(line, Assignment)
    assert (line.name, line.value) == (name, value)


@pytest.mark.parametrize("text", ["FOO=", 'FOO="bar" baz', 'FOO="bar', "FOO bar", "export FOO=bar", "* * * *", "\r"])
def test_what_is_neither_assignment_nor_entry_is_unreadable(text: str) -> None:
    assert isinstance(only(text), Unreadable)


def test_what_has_five_words_is_an_entry_whatever_they_are() -> None:
    line = only("export A=b and more words")
    assert isinstance(line, Entry) and line.schedule == "export A=b and more words"


def test_a_comment_is_a_line_of_its_own() -> None:
    assert type(only("  # 0 * * * * true")) is Line
    assert type(only(" \t")) is Line
    entry = only("0 2 * * * true # nightly")
    assert isinstance(entry, Entry) and entry.command == "true # nightly"


@pytest.mark.parametrize(
    ("text", "schedule", "user", "command"),
    [
        ("  17 *\t* * *  root\tcd / && run-parts x  ", "17 * * * *", "root", "cd / && run-parts x  "),
        ("@daily root true", "@daily", "root", "true"),
    ],
)
def test_an_entry_of_a_system_crontab_names_its_user(text: str, schedule: str, user: str, command: str) -> None:
    line = only(text, is_system=True)
    assert isinstance(line, Entry)
    assert (line.schedule, line.user, line.command) == (schedule, user, command)


@pytest.mark.parametrize("text", ["0 * * * * root", "@daily root", "@daily"])
def test_a_system_entry_without_a_command_is_one_that_cron_cannot_read(text: str) -> None:
    assert isinstance(only(text, is_system=True), Unreadable)


@pytest.mark.parametrize(
    ("command", "program", "stdin"),
    [
        (r"date +\%F > x", "date +%F > x", None),
        (r"echo 'a\\b' 'e\f'", r"echo 'a\b' 'e\f'", None),
        (r"cat%one%two\%three%", "cat", "one\ntwo%three\n"),
        (r"cat # \\%2", "cat # \\", "2\n"),
        (r"cat%a\%b\\%c", "cat", "a%b\\%c\n"),
        ("cat%", "cat", ""),
        ("%", "", ""),
    ],
)
def test_the_first_bare_percent_sign_ends_the_command_and_begins_its_input(
    command: str, program: str, stdin: str | None
) -> None:
    line = only("* * * * * " + command)
    assert isinstance(line, Entry)
    assert (line.program, line.stdin) == (program, stdin)


def test_an_assignment_holds_for_the_entries_below_it() -> None:
    crontab = read_crontab("A=1\n0 * * * * a\nA=2\nB=3\n0 * * * * b\n", is_system=False)
    first, second = crontab.entries
    assert dict(crontab.environment_of(first)) == {"A": "1"}
    assert dict(crontab.environment_of(second)) == {"A": "2", "B": "3"}


def test_a_last_line_without_its_end_is_told() -> None:
    assert not read_crontab("0 * * * * a", is_system=False).ends_with_newline
    assert read_crontab("0 * * * * a\n", is_system=False).ends_with_newline
    assert read_crontab("", is_system=False).ends_with_newline


def test_lines_have_their_numbers_and_only_a_line_feed_parts_them() -> None:
    crontab = read_crontab("# a\x0b\u2028b\n\n0 * * * * c\r\n", is_system=False)
    assert [line.number for line in crontab.lines] == [1, 2, 3]
    assert crontab.entries[0].command == "c\r"


@given(st.text(), st.booleans())
def test_any_text_is_read_and_comes_back_as_it_was(text: str, is_system: bool) -> None:
    crontab = read_crontab(text, is_system=is_system)
    assert render_crontab(crontab.lines) == (text if crontab.ends_with_newline else text + "\n")


WORD = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=8)
FIELD = st.sampled_from(["*", "0", "*/5", "1-5", "mon"])
COMMAND = st.text(st.characters(codec="utf-8", exclude_characters="\n", exclude_categories=["Cs"])).map(
    lambda text: "c" + text
)


@given(st.lists(FIELD, min_size=5, max_size=5), WORD, COMMAND, st.sampled_from([" ", "\t", "  \t"]), st.booleans())
def test_an_entry_is_read_back_as_it_was_written(
    fields: list[str], user: str, command: str, gap: str, is_system: bool
) -> None:
    line = only(gap.join([*fields, *([user] if is_system else []), command]), is_system=is_system)
    assert isinstance(line, Entry)
    assert (line.schedule, line.user, line.command) == (" ".join(fields), user if is_system else None, command)


@given(WORD.map(lambda word: "N" + word), COMMAND.filter(lambda value: '"' not in value))
def test_an_assignment_is_read_back_as_it_was_written(name: str, value: str) -> None:
    line = only(f'{name}="{value}"')
    assert isinstance(line, Assignment)
    assert (line.name, line.value) == (name, value)
