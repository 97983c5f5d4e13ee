"""What the linter knows of the commands is what the commands are."""

import re
from pathlib import Path

import pytest
from typer.main import get_command

from bench_crontabs import USER
from jobctl.cli.app import app
from jobctl.cli.command_shapes import command_shapes, shapes_below
from jobctl.schedule.command_line import FLAGS, RUN
from jobctl.schedule.finding import Known
from jobctl.schedule.lint import lint

SHAPES = shapes_below(get_command(app))
PROJECT = Path(__file__).parents[2]


def test_commands_are_named_by_their_words_and_have_their_options() -> None:
    ingest = SHAPES["ingest-branch"]
    assert ingest.options["--branch"] and ingest.options["--max-runtime"]
    assert not ingest.options["--scheduled"] and not ingest.options["-v"] and not ingest.options["--help"]
    assert ingest.arguments == 0
    assert SHAPES["branch load"].arguments == 2
    assert SHAPES["db psql"].arguments is None
    assert "schedule" not in SHAPES and "schedule lint" in SHAPES


def test_flags_of_a_wrapped_command_are_known_so_that_its_name_is_found() -> None:
    if RUN not in SHAPES:
        pytest.skip("this version has no command run")
    flags = {option for option, takes_value in SHAPES[RUN].options.items() if not takes_value}
    assert flags - {"--help"} <= FLAGS


def test_the_crontab_lines_of_the_readme_are_such_as_jobctl_takes() -> None:
    from bench_crontabs import KNOWN

    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    known = Known(KNOWN.zone, KNOWN.now, SHAPES, KNOWN.planned_jobs)
    for text in re.findall(r"```crontab\n(.*?)```", readme, re.DOTALL):
        assert lint(text, USER, known) == ()


def test_a_command_that_was_made_alone_knows_of_all_others() -> None:
    assert command_shapes() == SHAPES
