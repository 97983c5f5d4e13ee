"""What README, CONTRIBUTING and docs/json.md promise is what there is."""

import re
import tomllib
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

import typer.main

from jobctl import errors
from jobctl.branches.load_report import LoadReport
from jobctl.branches.rejects import ReasonCount, Reject
from jobctl.cli.app import app
from jobctl.cli.command_shapes import shapes_below
from jobctl.cli.queue_account import Account
from jobctl.jobs.ingest_branch.writer import COUNTS
from jobctl.monitor.doctor.finding import SUBJECTS
from jobctl.monitor.quality.asking import CHECKS
from jobctl.monitor.queue import patterns, stats, why
from jobctl.monitor.queue.projection import Projection
from jobctl.monitor.queue.quantiles import Quantiles
from jobctl.monitor.queue.why import Reason
from jobctl.monitor.runs import lineage, showing
from jobctl.monitor.runs.difference import Difference
from jobctl.monitor.runs.listing import Listed
from jobctl.monitor.runs.states import STATES
from jobctl.monitor.runs.steps import Step
from jobctl.queue import listing
from jobctl.runtime.cancellations import Cancellation
from jobctl.runtime.outcome import RunReport, ScopeReport
from jobctl.settings import ENV_NAMES, SECRETS, Settings
from jobctl.settings_queue import QueueSettings, TypePolicy, read_queue

PROJECT = Path(__file__).parents[2]
README = (PROJECT / "README.md").read_text(encoding="utf-8")
QUEUE = (PROJECT / "docs/queue.md").read_text(encoding="utf-8")
JSON = (PROJECT / "docs/json.md").read_text(encoding="utf-8")
CONTRIBUTING = (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8")
NOW = datetime(2026, 1, 1, tzinfo=UTC)

SETTING_ROW = re.compile(r"^\| `([A-Z][A-Z0-9_]+)`( \(secret\))? \| (.*?) \| .* \|$", re.MULTILINE)


def test_readme_lists_each_setting_and_no_other_and_says_which_are_secret() -> None:
    rows = {name: bool(secret) for name, secret, _ in SETTING_ROW.findall(README)}
    assert rows == {env_name: name in SECRETS for name, env_name in ENV_NAMES.items()}


def test_readme_tells_the_default_of_each_plain_setting() -> None:
    told = {name: default for name, _, default in SETTING_ROW.findall(README)}
    for name, field in Settings.model_fields.items():
        if isinstance(field.default, bool):
            assert told[ENV_NAMES[name]] == str(field.default).lower()
        elif isinstance(field.default, int | float):
            assert float(told[ENV_NAMES[name]]) == field.default
        elif isinstance(field.default, str):
            assert told[ENV_NAMES[name]] == field.default


def test_readme_lists_each_exit_code() -> None:
    told = {int(code) for code in re.findall(r"^\| (\d+) \| ", README, re.MULTILINE)}
    assert told == {value for name, value in vars(errors).items() if name.startswith("EXIT_")}


def test_json_page_lists_each_key_of_a_run() -> None:
    scope = ScopeReport("airports", "completed", NOW, NOW, 0)
    report = RunReport("ingest-branch", "", "", False, NOW, NOW, 0, scopes=[scope])
    told = set(re.findall(r"`([a-z0-9_]+)`", JSON))
    assert {*report.as_json(), *scope.as_json()} <= told


def test_json_page_lists_each_key_of_a_load_and_of_a_reject() -> None:
    told = set(re.findall(r"`([a-z0-9_]+)`", JSON))
    assert {*LoadReport._fields, *(each.name for of in (Reject, ReasonCount) for each in fields(of))} <= told


def test_readme_names_each_command_and_no_other() -> None:
    there = {
        f"{group.name} {command.name or getattr(command.callback, '__name__', '')}"
        for group in app.registered_groups
        if group.typer_instance is not None
        for command in group.typer_instance.registered_commands
    }
    groups = "|".join(sorted(str(group.name) for group in app.registered_groups))
    rows = re.findall(rf"^\| (`(?:{groups}) .*?) \| ", README, re.MULTILINE)
    told = {
        f"{row.split()[0].strip('`')} {name}"
        for row in rows
        for name in re.findall(rf"`(?:(?:{groups}) )?([a-z]+)[^`]*`", row)
    }
    assert told == there


def test_readme_lists_each_subject_of_the_doctor() -> None:
    table = README.partition("| subject |")[2].partition("\nExit 0")[0]
    assert tuple(re.findall(r"^\| `([a-z]+)` \|", table, re.MULTILINE)) == SUBJECTS


def test_json_page_lists_each_key_of_a_task_and_of_its_figures() -> None:
    told = set(re.findall(r"`([a-z0-9_]+)`", JSON.partition("## `jobctl queue --json`")[2].partition("\n## ")[0]))
    tables = (listing.Listed, listing.Shown, listing.Attempt, stats.Backlog, stats.Load, stats.FailedTry)
    assert {name for of in (*tables, patterns.Pattern, Projection, Quantiles, Reason) for name in of._fields} <= told
    assert {*Account("retry").as_json(), *stats.OUTCOMES} - {"items", "next"} <= told


def test_json_page_lists_each_key_of_runs_and_of_what_came_of_them() -> None:
    told = set(re.findall(r"`([a-z0-9_]+)`", JSON.partition("## `jobctl runs --json`")[2].partition("\n## ")[0]))
    tables = (
        *(Listed, Difference, Step, Cancellation, showing.Event, showing.SlotOf, showing.Line),
        *(lineage.Tasks, lineage.Rejects, lineage.Tries, lineage.IncidentOf, lineage.Message, lineage.Mails),
    )
    assert {name for of in tables for name in of._fields} <= told
    assert {"pending", *told} >= set(STATES)


def test_queue_page_lists_each_setting_state_reason_view_and_outcome() -> None:
    told = set(re.findall(r"`(?:queue\.)?([a-z0-9_]+)`", QUEUE)) | set(
        re.findall(r"^([a-z_]+) = ", QUEUE, re.MULTILINE)
    )
    settings = {*QueueSettings.model_fields, *TypePolicy.model_fields} - {"defaults", "users", "types"}
    views = {"no_task_twice", "limits_held", "no_stuck_past_lease", "attempts_add_up"}
    assert settings | {*listing.STATES} | {*why.CODES} | {*stats.OUTCOMES} | views <= told


def test_the_settings_on_the_queue_page_are_read_and_their_defaults_are_the_defaults() -> None:
    block = QUEUE.partition("```toml\n")[2].partition("```")[0]
    read = read_queue(tomllib.loads(block)["queue"])
    assert read.model_copy(update={"users": {}, "types": {}}) == QueueSettings()
    assert read.types["crawl"].rate_per_minute == 120


def test_json_page_lists_each_count_of_ingest_branch() -> None:
    assert set(COUNTS) <= set(re.findall(r"`([a-z0-9_]+)`", JSON.partition("`counts`:")[2]))


def test_contributing_lists_each_script() -> None:
    scripts = {each.name for each in (PROJECT / "scripts").iterdir() if each.is_file() and each.suffix == ""}
    assert set(re.findall(r"^\| `scripts/([a-z-]+)", CONTRIBUTING, re.MULTILINE)) == scripts


def test_the_pages_of_insights_and_quality_list_what_there_is() -> None:
    quality = (PROJECT / "docs/quality.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (.*) \|$", quality, re.MULTILINE))
    assert {name: text.replace("`", "") for name, text in rows.items()} == {each.name: each.says for each in CHECKS}
    whole = quality.partition("| `messages-delivered`")[2].partition("look at each row")[0]
    named = set(re.findall(r"`([a-z-]+)`", whole.rpartition("\n\n")[2]))
    assert named == {each.name for each in CHECKS if each.reads}
    insights = (PROJECT / "docs/insights.md").read_text(encoding="utf-8")
    told = set(re.findall(r"^\| `([a-z-]+)` \|", insights, re.MULTILINE))
    source = "".join(path.read_text() for path in (PROJECT / "src/jobctl/monitor/insights").glob("*.py"))
    codes = {code for code in re.findall(r'"([a-z]+(?:-[a-z]+)*)"', source) if code in told or "-" in code}
    assert told == codes - {"ingest-branch"}


def test_what_a_check_tells_to_do_names_commands_that_there_are() -> None:
    there = shapes_below(typer.main.get_command(app))
    for check in CHECKS:
        for words, option in re.findall(r"jobctl ((?:[a-z-]+ ?){1,2})(--[a-z-]+)?", check.mend):
            name = next((name for name in (words.strip(), words.split()[0]) if name in there), None)
            assert name is not None, check.mend
            assert not option or option in there[name].options, check.mend
