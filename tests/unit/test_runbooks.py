"""What ops/ names is there: a page for each exit code and alert, and commands, options, tables, columns, links."""

import re
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer.main

from jobctl import errors
from jobctl.alerts.conditions.run_fact import ASKED_FOR
from jobctl.cli.app import app
from jobctl.cli.command_shapes import shapes_below
from jobctl.db.migrate import migrations
from jobctl.runtime import outcome
from jobctl.schedule import verdicts
from jobctl.schedule.plan import PLAN
from jobctl.schedule.verdicts import HostFacts
from jobctl.settings_conditions import CONDITIONS

PROJECT = Path(__file__).parents[2]
OPS = PROJECT / "ops"
RUNBOOKS = OPS / "runbooks"
INDEX = RUNBOOKS / "README.md"
PAGES = sorted(page for page in RUNBOOKS.glob("*.md") if page != INDEX)
DOCUMENTS = [OPS / "scheduling.md", INDEX, *PAGES]
HEADINGS = ["What it means", "What to look at", "What to do", "How to know it is over"]
PAGE_OF_CODE = {"n": "exit-of-a-command.md", "128+n": "exit-signal.md"}

# Named before they are there; an entry whose command exists must go.
STILL_TO_COME: frozenset[str] = frozenset()

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
RELATION = re.compile(r"(?<![\w-])(ops|branch|core|queue)\.([a-z_]+)(?:\.([a-z_]+))?")
CREATED = re.compile(r"^CREATE TABLE (\w+\.\w+) \((.*?)^\);", re.MULTILINE | re.DOTALL)
ADDED = re.compile(r"^ALTER TABLE (\w+\.\w+)\n(.*?);", re.MULTILINE | re.DOTALL)


def names(paths: list[Path]) -> list[str]:
    return [path.name for path in paths]


def text_of(document: Path) -> str:
    return document.read_text(encoding="utf-8")


def blocks(document: Path, kind: str) -> list[str]:
    return [body for language, body in BLOCK.findall(text_of(document)) if language == kind]


def commands_in(document: Path) -> Iterator[list[str]]:
    """The words behind each `jobctl` that is a program's name, in blocks, crontab lines and between backticks."""
    lines = [line.removeprefix("$ ") for body in blocks(document, "console") for line in body.splitlines()]
    lines += [line.split(maxsplit=5)[5] for body in blocks(document, "crontab") for line in body.splitlines()]
    lines += INLINE.findall(BLOCK.sub("", text_of(document)).replace("\n", " "))
    for line in lines:
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            continue  # an apostrophe: prose
        for place, word in enumerate(words):
            is_program = word == "jobctl" or word.endswith("/bin/jobctl")
            if is_program and (place == 0 or words[place - 1] != "-u") and words[place + 1 :]:
                yield words[place + 1 :]
                break


def tables() -> dict[str, set[str]]:
    columns: dict[str, set[str]] = {}
    for migration in migrations():
        sql = migration.text.decode()
        for table, body in CREATED.findall(sql):
            columns[table] = set(re.findall(r"^    ([a-z_0-9]+) ", body, re.MULTILINE))
        for table, body in ADDED.findall(sql):
            columns.setdefault(table, set()).update(re.findall(r"ADD COLUMN ([a-z_0-9]+) ", body))
    return columns


def test_each_exit_code_of_the_error_tree_and_of_its_constants_has_a_page() -> None:
    assert errors.__doc__ is not None
    tree = set(re.findall(r"^    .*?[A-Z]\w+ +(\d+\+n|\d+|n) ", errors.__doc__, re.MULTILINE))
    constants = {str(value) for name, value in vars(errors).items() if name.startswith("EXIT_")}
    assert {"1", "75", "128+n", "n"} <= tree
    for code in tree | constants | {"126", "127"}:
        page = PAGE_OF_CODE.get(code, f"exit-{code}.md")
        if code in ("126", "127"):
            page = PAGE_OF_CODE["n"]
        assert page in names(PAGES), code
        row = rf"^\| [^|]*(?<![\w+]){re.escape(code)}(?![\w+])[^|]* \| \[[^]]+\]\({re.escape(page)}\)"
        assert re.search(row, text_of(INDEX), re.MULTILINE), f"the index has no row that leads from {code} to {page}"


@pytest.mark.parametrize(
    "status", [outcome.FAILED, outcome.TIMEOUT, outcome.ABANDONED, outcome.INTERRUPTED, "missed", "degraded"]
)
def test_each_status_that_is_alerted_leads_to_a_page(status: str) -> None:
    page = re.search(rf"\| alert `{status}` \| \[[^]]+\]\(([^)]+)\)", text_of(INDEX))
    assert page is not None, status
    assert f"Alert `{status}`" in text_of(RUNBOOKS / page[1])


@pytest.mark.parametrize("name", CONDITIONS)
def test_each_condition_leads_to_a_page_that_names_it(name: str) -> None:
    page = f"{CONDITIONS[name].page}.md"
    assert page in names(PAGES) and f"`{name}`" in text_of(RUNBOOKS / page)
    assert f"`{name}`" in text_of(PROJECT / "docs" / "alerts.md")


def test_the_signals_that_are_not_alerted_are_those_that_the_page_names() -> None:
    listed = re.search(r"exit_code NOT IN \(([\d, ]+)\)", text_of(RUNBOOKS / "run-interrupted.md"))
    assert listed is not None
    assert {int(code) for code in listed[1].split(",")} == set(ASKED_FOR)


def test_each_cause_of_a_missed_slot_has_a_row() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    before, after = at - verdicts.OLDEST, at + verdicts.OLDEST
    facts = [
        None,
        HostFacts(booted_at=after),
        HostFacts(booted_at=before),
        HostFacts(booted_at=before, cron_started_at=before, command_is_there=False),
        HostFacts(booted_at=before, cron_started_at=before, command_is_there=True),
    ]
    causes = {str(verdicts.of_absence("sync", "", at, pauses=(), facts=each)[2]["cause"]) for each in facts}
    rows = set(re.findall(r"^\| `([a-z_]+)` \|", text_of(RUNBOOKS / "slot-missed.md"), re.MULTILINE))
    assert len(causes) == len(facts)
    assert rows == causes


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_each_page_has_the_four_headings_in_their_order_and_is_short(page: Path) -> None:
    lines = text_of(page).splitlines()
    assert lines[0].startswith("# ")
    assert [line.removeprefix("## ") for line in lines if line.startswith("## ")] == HEADINGS
    assert 15 <= len(lines) <= 40
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*\.md", page.name)


def test_the_index_links_each_page() -> None:
    assert set(names(PAGES)) <= set(LINK.findall(text_of(INDEX)))


@pytest.mark.parametrize("document", DOCUMENTS, ids=names(DOCUMENTS))
def test_each_link_leads_somewhere(document: Path) -> None:
    for link in LINK.findall(text_of(document)):
        assert (document.parent / link.partition("#")[0]).is_file(), link


@pytest.mark.parametrize("document", DOCUMENTS, ids=names(DOCUMENTS))
def test_each_command_and_option_is_there(document: Path) -> None:
    shapes = shapes_below(typer.main.get_command(app))
    planned = {entry.job for entry in PLAN} - set(shapes)
    for words in commands_in(document):
        if words[0].startswith("-") or words[0].isupper():  # jobctl --version; jobctl JOB
            continue
        name = next((name for name in (" ".join(words[:2]), words[0]) if name in shapes), None)
        if name is None:
            assert words[0] in planned or " ".join(words[:2]) in STILL_TO_COME, words
            continue
        own = words[: words.index("--")] if "--" in words else words
        given = {word.partition("=")[0] for word in own if word.startswith("-") and word != "-"}
        assert given <= set(shapes[name].options), words


def test_what_was_still_to_come_is_not_there_yet() -> None:
    assert not STILL_TO_COME & set(shapes_below(typer.main.get_command(app))), "take it off the list"


@pytest.mark.parametrize("document", DOCUMENTS, ids=names(DOCUMENTS))
def test_each_script_is_there(document: Path) -> None:
    for name in re.findall(r"\bscripts/([a-z.-]+)", text_of(document)):
        assert (PROJECT / "scripts" / name).is_file(), name


@pytest.mark.parametrize("document", DOCUMENTS, ids=names(DOCUMENTS))
def test_each_table_and_column_is_in_the_migrations(document: Path) -> None:
    known = tables()
    for schema, table, column in RELATION.findall(text_of(document)):
        assert f"{schema}.{table}" in known
        assert not column or column in known[f"{schema}.{table}"], f"{schema}.{table}.{column}"


def test_the_plan_is_told_as_it_is() -> None:
    told = re.findall(
        r"^\| `([a-z-]+)` \| `([^`]+)` \| `([^`]+)` \| .+ \| `(\w+)` \| (here|planned) \|$",
        text_of(OPS / "scheduling.md"),
        re.MULTILINE,
    )
    there = shapes_below(typer.main.get_command(app))
    assert told == [
        (
            entry.job,
            str(entry.at),
            ("jobctl " if entry.job in there else "") + " ".join((entry.job, "--scheduled", *entry.options)),
            entry.catch_up,
            "here" if entry.job in there else "planned",
        )
        for entry in PLAN
    ]
