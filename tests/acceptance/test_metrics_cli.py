"""`jobctl metrics` and `jobctl project impact`, as cron or an operator runs them."""

import json
import re
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bench_command import Command, command, environment_of
from bench_metrics import DAY, HOUR, Repositories
from bench_page import DOCS
from jobctl import clock
from jobctl.jobs.metrics.job import KEPT
from jobctl.service_levels import health
from jobctl.service_levels.cycles import State

JSON_PAGE = (DOCS / "json.md").read_text(encoding="utf-8")
COUNTS = {"projects", "open_bugs", "unassigned_critical", *State, *KEPT}


@pytest.fixture
def made(conn: psycopg.Connection) -> Repositories:
    return Repositories(conn)


@pytest.fixture
def jobctl(database_url: str, tmp_path: Path) -> Command:
    return command(environment_of(database_url, tmp_path))


def obj(done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stdout)
    assert done.stdout.count("\n") == 1
    return found


def keys_of(value: Any) -> set[str]:
    """Of an object and of all below it, but not names of teams."""
    if isinstance(value, dict):
        own: dict[str, Any] = value  # pyright: ignore[reportUnknownVariableType]
        return set(own) | {key for name, each in own.items() if name != "teams" for key in keys_of(each)}
    return {key for each in value for key in keys_of(each)} if isinstance(value, list) else set()  # pyright: ignore[reportUnknownVariableType]


def told_on(heading: str) -> set[str]:
    return set(re.findall(r"`([a-z0-9_]+)`", JSON_PAGE.partition(f"\n{heading}\n")[2].partition("\n## ")[0]))


def test_under_cron_it_is_silent_and_to_a_person_it_tells_what_is_wrong(made: Repositories, jobctl: Command) -> None:
    now = clock.utc_now()
    cat = made.project(team="pets")
    number = made.bug(cat, "p0", created_at=now - 30 * HOUR)
    quiet = jobctl("metrics", "--scheduled")
    assert (quiet.stdout, quiet.stderr) == ("", "")
    told = jobctl("metrics", "-v").stdout
    for line in (
        "revenue at risk: 2,500.00 USD a day, of 1 open bug",
        "critical bugs that nobody is assigned to: 1",
        "resolution: 1 breached",
        f"octo/cat#{number} (critical): first response is 29.0 h over its goal",
        "health of 1 project: 1 unknown",
    ):
        assert line in told, told


def test_the_object_has_the_documented_keys_and_a_dry_run_tells_the_same(made: Repositories, jobctl: Command) -> None:
    now = clock.utc_now()
    cat = made.project(team="pets")
    made.bug(cat, "p0", created_at=now - 30 * HOUR)
    made.pull(cat, opened_at=now - DAY, merged_at=now - HOUR, first_commit_at=now - 2 * DAY)
    made.commits(cat, "ann", 1, at=now - DAY)
    as_of = (now - timedelta(minutes=1)).isoformat()
    dry = obj(jobctl("metrics", "--dry-run", "--json", "--as-of", as_of))
    wet = obj(jobctl("metrics", "--json", "--as-of", as_of))
    assert (dry["dry_run"], dry["status"], dry["exit_code"]) == (True, "completed", 0)
    assert dry["counts"] == wet["counts"] and set(wet["counts"]) == COUNTS
    (dry_scope,), (scope,) = dry["scopes"], wet["scopes"]
    assert (dry_scope["scope"], dry_scope["evidence"]) == ("", scope["evidence"])
    assert keys_of(scope["evidence"]) | COUNTS | {"revenue_per_day"} <= told_on("## `jobctl metrics --json`")
    one = obj(jobctl("metrics", "--json", "--project", "OCTO/cat"))
    assert [each["project"] for each in one["scopes"][0]["evidence"]["by_project"]] == ["octo/cat"]


def test_explain_tells_which_rule_gave_what(made: Repositories, jobctl: Command) -> None:
    now = clock.utc_now()
    cat = made.project()
    body = "### Revenue impact per day\n\n1.500\n"
    number = made.bug(cat, "p0", "area: ui", created_at=now - 30 * HOUR, body=body, first_response_at=now - 29.5 * HOUR)
    told = jobctl("metrics", "explain", f"https://github.com/octo/cat/issues/{number}")
    for line in (
        "label area: ui",
        "says nothing",
        "severity critical",
        "2,500 USD (from default)",
        "breached: 30.0 h of 24.0 h",
    ):
        assert line in told.stdout
    assert "'1.500' is no amount in USD that can be read without doubt" in told.stderr
    found = obj(jobctl("metrics", "explain", f"octo/cat#{number}", "--json"))
    assert found["cycles"]["first_response"]["state"] == "met"
    assert found["cycles"]["resolution"]["breaches_at"] is not None
    assert (found["severity"], found["severity_from"], found["impact_from"]) == ("critical", "label", "default")
    assert keys_of(found) <= told_on("## `jobctl metrics explain --json`")
    jobctl("project", "impact", "import", "-", stdin=f"issue,impact_per_day,note\nocto/cat#{number},42.5,orders\n")
    found = obj(jobctl("metrics", "explain", f"octo/cat#{number}", "--json"))
    assert (found["impact_per_day"], found["impact_from"], found["note"]) == (42.5, "import", "orders")


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ({"labels": ["enhancement"]}, "no label says that it is one"),
        ({"labels": ["bug", "invalid"]}, "a label says that it is none"),
        ({"labels": ["bug"], "is_pull": True}, "it is a pull request"),
        ({"labels": ["bug"], "removal": "transferred", "removed_at": "now", "moved_to": "octo/dog#3"},
         "it was transferred to octo/dog#3"),
    ],
)  # fmt: skip
def test_explain_tells_why_an_issue_is_no_bug(
    made: Repositories, jobctl: Command, columns: dict[str, Any], why: str
) -> None:
    number = made.issue(made.project(), **columns)
    found = obj(jobctl("metrics", "explain", f"octo/cat#{number}", "--json"))
    assert (found["is_bug"], found["why_not"], found["severity"], found["cycles"]) == (False, why, None, {})
    assert f"no: {why}" in jobctl("metrics", "explain", f"octo/cat#{number}").stdout


def test_health_tells_each_point_and_a_past_day_from_what_was_kept(made: Repositories, jobctl: Command) -> None:
    now = clock.utc_now()
    cat = made.project()
    made.issue(cat, created_at=now - 5 * DAY, first_response_at=now - 5 * DAY + HOUR, closed_at=now - 4 * DAY)
    for person in ("ann", "rob", "eve", "joe"):
        made.commits(cat, person, 1, at=now - DAY)
    made.pull(cat, opened_at=now - 3 * DAY, merged_at=now - 2 * DAY, first_commit_at=now - 3 * DAY,
              first_review_at=now - 2.9 * DAY)  # fmt: skip
    found = obj(jobctl("metrics", "health", "octo/cat", "--json"))
    assert (found["source"], found["score"], found["band"]) == ("computed", 81.0, "healthy")
    assert keys_of(found) - set(health.Group) <= told_on("## `jobctl metrics health --json`")
    assert [each["name"] for each in found["inputs"]] == [each.name for each in health.INPUTS]
    told = jobctl("metrics", "health", "octo/cat").stdout
    assert "81 of 100, healthy" in told and "not known: counts neither way" in told
    yesterday = (now - DAY).date()
    jobctl("metrics", "--as-of", yesterday)
    made.conn.execute("UPDATE dev.project_days SET facts = facts || '{\"absence_factor\": 1}', health = 90")
    kept = obj(jobctl("metrics", "health", "octo/cat", "--as-of", yesterday, "--json"))
    assert (kept["source"], kept["day"], kept["kept_score"]) == ("kept", yesterday.isoformat(), 90)
    assert kept["score"] < 90
    assert "Kept of that day: 90, by version 1." in jobctl("metrics", "health", "octo/cat", "--as-of", "1d").stdout


def test_impacts_are_imported_whole_or_not_at_all(made: Repositories, jobctl: Command, tmp_path: Path) -> None:
    cat = made.project()
    made.bug(cat)
    file = tmp_path / "impacts.csv"
    file.write_text("issue;impact_per_day\nocto/cat#1;1.5k\nocto/cat#9;7\n", encoding="utf-8")
    rows = "SELECT number, per_day::float8 FROM dev.impacts ORDER BY 1"
    assert jobctl("project", "impact", "import", file, "--dry-run").stdout == "Would be: 2 written.\n"
    assert made.rows(rows) == []
    assert jobctl("project", "impact", "import", file).stdout == "2 written.\n"
    assert made.rows(rows) == [(1, 1_500.0), (9, 7.0)]
    lines = '{"issue": "octo/cat#1", "impact_per_day": 1500}\n{"issue": "octo/cat#9", "impact_per_day": "none"}\n'
    again = obj(jobctl("project", "impact", "import", "-", "--json", stdin=lines))
    assert again == {"written": 0, "removed": 1, "unchanged": 1, "dry_run": False}
    for faulty, message in (
        ("issue,impact_per_day\nocto/cat#1,5\nocto/cat#2,1.500\n", "line 3: '1.500' is no amount"),
        ("issue,impact_per_day\nocto/cat,5\n", "line 2: 'octo/cat' is no issue"),
        ("issue,impact_per_day\nocto/dog#1,5\n", "there is no project 'octo/dog'"),
        ("issue,cost\nocto/cat#1,5\n", "line 1: 'cost' is none of issue, impact_per_day, note"),
        ("issue\nocto/cat#1\n", "line 1: there is no impact_per_day"),
        ("", "the file names no issue"),
    ):
        done = jobctl("project", "impact", "import", "-", stdin=faulty, code=2 if "octo/dog" in faulty else 1)
        assert message in done.stderr
    assert made.rows(rows) == [(1, 1_500.0)]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--project", "octo/dog"], 2, "there is no project 'octo/dog'"),
        (["--as-of", "2999-01-01"], 2, "is still to come"),
        (["--as-of", "soon"], 2, "neither a duration nor a time"),
        (["--dry-run", "explain", "octo/cat#1"], 2, "--dry-run stands before explain"),
        (["explain", "cat"], 2, "'cat' is no issue"),
        (["explain", "octo/cat#5"], 2, "there is no issue octo/cat#5"),
        (["health", "octo/dog"], 2, "there is no project 'octo/dog'"),
    ],
)
def test_wrong_usage_is_told(made: Repositories, jobctl: Command, words: list[str], code: int, message: str) -> None:
    made.project()
    assert message in jobctl("metrics", *words, code=code).stderr


def test_a_region_that_is_not_known_is_a_fault_of_the_configuration(jobctl: Command, tmp_path: Path) -> None:
    config = tmp_path / "jobctl.toml"
    config.write_text('[service_levels]\nregion = "XX"\n', encoding="utf-8")
    config.chmod(0o600)
    done = jobctl("metrics", JOBCTL_CONFIG=str(config), code=78)
    assert "[service_levels] names the region 'XX'" in done.stderr
