"""`jobctl alerts` as an operator uses it: exit codes, streams, tables; and the hourly look around."""

import json
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from bench_mail import MailBox
from bench_runs import LONGEST_RUN_S, Base, Ended, NewRunner, Runner
from bench_source import Source
from bench_webhook import TOKEN, Receiver, answer, refusing_url
from bench_wrapped import DOWN, Wrapper
from jobctl.settings_conditions import CONDITIONS

FAIL = ("--max-age", "1d")
TOML = """
[alerts]
emails = ["ops@example.org"]
realert_every_s = "6h"
{more}
[alerts.rules.too-many-runs]
query = "SELECT count(*) FROM ops.job_history"
above = 0
summary = "runs at all"
"""


@pytest.fixture
def receiver() -> Generator[Receiver, None, None]:
    with Receiver(answer(200)) as made:
        yield made


@pytest.fixture
def runner(base: Base, receiver: Receiver, new_runner: NewRunner) -> Runner:
    Source([base.conn]).create()
    base.conn.execute("UPDATE branch.branches SET loaded_at = loaded_at - interval '9 days'")
    return new_runner(base.url, ENABLE_SLACK_ALERTS="true", SLACK_WEBHOOK_URL=receiver.url)


@pytest.fixture
def alerts(runner: Runner) -> "Alerts":
    return Alerts(runner)


class Alerts:
    def __init__(self, runner: Runner) -> None:
        self.runner = runner

    def __call__(self, *words: str, code: int = 0, **settings: str) -> Ended:
        done = subprocess.run(
            [sys.executable, "-m", "jobctl", "alerts", *words],
            env=self.runner.environment() | {"COLUMNS": "200"} | settings,
            cwd=self.runner.directory,
            capture_output=True,
            check=False,
            timeout=LONGEST_RUN_S,
        )
        ended = Ended(done.returncode, done.stdout, done.stderr)
        assert ended.exit_code == code, ended.said
        assert TOKEN.encode() not in ended.stdout + ended.stderr
        return ended

    def object(self, *words: str, code: int = 0, **settings: str) -> dict[str, Any]:
        ended = self(*words, "--json", code=code, **settings)
        assert ended.stdout.count(b"\n") == 1, ended.said
        return json.loads(ended.stdout)


def config(runner: Runner, more: str = "") -> dict[str, Any]:
    path = runner.directory / "alerts.toml"
    path.write_text(TOML.format(more=more))
    return {"JOBCTL_CONFIG": str(path), "EMAIL_FROM": "jobs@example.org"}


def test_an_incident_is_listed_shown_acknowledged_snoozed_and_told_to_its_end(
    runner: Runner, alerts: Alerts, receiver: Receiver, base: Base
) -> None:
    assert b"nothing is wrong" in alerts("list").stdout
    assert runner.run(*FAIL).exit_code == 1
    (row,) = alerts.object("list")["items"]
    assert (row["state"], row["cause"]) == ("open", "run/ingest-branch/places/SourceError")
    assert alerts.object("list", "--job", "sync")["items"] == []
    number = str(row["incident_id"])
    shown = alerts.object("show", number)
    assert [each["condition"] for each in shown["alerts"]] == ["run-failed"]
    assert shown["alerts"][0]["run_id"] == base.one("SELECT run_id::text FROM ops.job_history")
    assert alerts.object("ack", number, "--reason", "at it")["incident_id"] == int(number)
    assert b"acknowledged by" in alerts("list").stdout
    assert "snoozed_until" in alerts.object("snooze", number, "--until", "2h")
    assert b"snoozed until" in alerts("show", number).stdout
    runner.succeed()
    assert len(receiver.texts) == 2
    assert alerts.object("list")["items"] == [] and len(alerts.object("list", "--all")["items"]) == 1
    events = [each["event"] for each in alerts.object("history")["items"]]
    assert events == ["resolved", "snoozed", "acknowledged", "opened"]
    assert b"is over" in alerts("ack", number, code=2).stderr
    assert b"there is no incident 99" in alerts("show", "99", code=2).stderr
    assert b"is over already" in alerts("snooze", number, "--until", "2020-01-01", code=2).stderr


@pytest.mark.parametrize("command", ["list", "show", "ack", "snooze", "history", "rules", "test", "deliver"])
def test_every_command_has_help_with_an_example(alerts: Alerts, command: str) -> None:
    assert b"Example" in alerts(command, "--help").stdout


def test_a_test_message_goes_through_each_channel_and_a_dead_one_is_named(alerts: Alerts, receiver: Receiver) -> None:
    with MailBox() as box:
        settings: dict[str, Any] = {**config(alerts.runner), "SMTP_URL": box.url}
        items = alerts.object("test", **settings)["items"]
        assert [(each["channel"], each["arrived"]) for each in items] == [("slack", True), ("email", True)]
        assert len(receiver.texts) == len(box.mails) == 1
        only = alerts.object("test", "--channel", "email", **settings)["items"]
        assert [each["channel"] for each in only] == ["email"] and len(receiver.texts) == 1
    assert b"refused for now" in alerts("test", code=1, SLACK_WEBHOOK_URL=refusing_url()).stdout
    assert b"is no channel here" in alerts("test", "--channel", "fax", code=2).stderr
    assert b"no channel is set up" in alerts("test", code=78, ENABLE_SLACK_ALERTS="false").stderr


def test_rules_shows_each_condition_and_what_each_rule_gives_now(alerts: Alerts) -> None:
    settings: dict[str, Any] = {
        **config(alerts.runner, "[alerts.conditions.skips]\nenabled = false\n"),
        "SMTP_URL": "smtp://127.0.0.1",
    }
    found = alerts.object("rules", **settings)
    items = {each["name"]: each for each in found["items"]}
    assert len(items) == len(CONDITIONS) + 1 and found["channels"] == ["slack", "email"]
    assert items["anomaly-duration"]["thresholds"] == {"score": 5, "least_s": 60, "runs": 8, "weeks": 12}
    assert items["skips"]["enabled"] is False and items["consecutive-failures"]["thresholds"] == {"after": 3}
    assert (items["too-many-runs"]["value"], items["too-many-runs"]["is_firing"]) == (0, False)
    assert b"told through: slack, email" in alerts("rules", **settings).stdout


def test_retry_failed_looks_around_and_its_next_look_ends_what_is_over(
    runner: Runner, alerts: Alerts, receiver: Receiver, base: Base
) -> None:
    base.conn.execute("UPDATE branch.branches SET expected_freshness = '1 day'")
    base.conn.execute(
        "INSERT INTO queue.tasks (type, dedupe_key, scheduled_at) VALUES ('nobody', 'k', now() - interval '2 hours')"
    )
    runner.job = "retry-failed"
    settings: dict[str, Any] = {**config(runner), "SMTP_URL": "smtp://127.0.0.1:1"}
    assert runner.run(settings=settings).exit_code == 0
    causes = {"queue-backlog/queue nobody", "stale-branch/branch places", "rule/too-many-runs"}
    assert {row["cause"] for row in alerts.object("list")["items"]} == causes
    assert runner.run("--dry-run", settings=settings).exit_code == 0
    base.conn.execute("UPDATE branch.branches SET active = false; DELETE FROM queue.tasks")
    assert runner.run(settings=settings).exit_code == 0
    assert {row["cause"] for row in alerts.object("list")["items"]} == {"rule/too-many-runs"}
    assert sorted(text.partition("\n")[0].split(":")[1] for text in receiver.texts).count(" resolved") == 2


def test_a_rule_that_cannot_be_judged_degrades_retry_failed_and_is_named(
    runner: Runner, receiver: Receiver, base: Base
) -> None:
    (runner.directory / "alerts.toml").write_text('[alerts.rules.bad]\nquery = "SELECT FROM nowhere"\nabove = 1\n')
    runner.job = "retry-failed"
    ended = runner.run("--json", settings={"JOBCTL_CONFIG": str(runner.directory / "alerts.toml")})
    assert ended.exit_code == 3 and b"bad: relation" in ended.stdout, ended.said
    assert len(receiver.texts) == 1 and "retry-failed degraded" in receiver.texts[0]


def test_when_postgresql_is_the_outage_one_message_leaves_and_one_when_it_is_back(
    runner: Runner, receiver: Receiver, base: Base
) -> None:
    wrapper = Wrapper(runner)
    for name in ("x", "y", "x"):
        assert wrapper.run(name, "--", "true", settings={"DATABASE_URL": DOWN}).exit_code == 75
    assert len(receiver.texts) == 1 and receiver.texts[0].startswith("jobctl: PostgreSQL cannot be reached\n")
    assert wrapper.run("other", "--", "true").exit_code == 0
    assert len(receiver.texts) == 2, receiver.texts
    assert receiver.texts[1].startswith("jobctl: resolved: PostgreSQL cannot be reached\nlasted: ")
    assert base.all("SELECT cause, state, notices FROM ops.incidents") == [("database", "resolved", 2)]
    assert wrapper.run("other", "--", "true").exit_code == 0
    assert len(receiver.texts) == 2


def test_deliver_sends_what_waits_and_tells_again_what_is_due(
    runner: Runner, alerts: Alerts, receiver: Receiver, base: Base
) -> None:
    receiver.then(answer(500))
    assert runner.run(*FAIL).exit_code == 1
    assert alerts.object("deliver") == {"left": 1} and len(receiver.bodies) == 1
    receiver.then(answer(200))
    base.conn.execute("UPDATE ops.outbox SET updated_at = updated_at - interval '1 minute'")
    assert alerts.object("deliver") == {"left": 0} and len(receiver.bodies) == 2
    base.conn.execute("UPDATE ops.incidents SET told_at = told_at - interval '7 hours'")
    alerts("deliver")
    alerts("deliver")
    assert len(receiver.texts) == 3 and receiver.texts[2].startswith("jobctl: still: ingest-branch places failed")


def test_faults_of_the_table_are_told_with_where_they_stand(alerts: Alerts, tmp_path: Path) -> None:
    path = alerts.runner.directory / "alerts.toml"
    path.write_text('[alerts]\nemails = ["ops@example.org"]\n')
    said = alerts("list", code=78, JOBCTL_CONFIG=str(path)).stderr
    assert b"alerts has emails, but there is no SMTP_URL and no EMAIL_FROM" in said
    path.write_text("[alerts.conditions.skip]\nafter = 2\n")
    assert b"did you mean skips?" in alerts("list", code=78, JOBCTL_CONFIG=str(path)).stderr
