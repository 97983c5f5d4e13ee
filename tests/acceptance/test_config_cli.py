"""`jobctl config` as an operator calls it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from jobctl.settings import ENV_NAMES

SECRET = "c4n4ry-c4n4ry"
ALL_SECRETS = {
    "DATABASE_URL": f"postgresql://app:{SECRET}@db.example.org/jobs",
    "GITHUB_TOKEN": SECRET,
    "CRON_SECRET": SECRET,
    "SMTP_URL": f"smtp://me:{SECRET}@mail.example.org:587",
    "RESEND_API_KEY": SECRET,
    "SENDGRID_API_KEY": SECRET,
    "SLACK_WEBHOOK_URL": f"https://hooks.slack.com/services/{SECRET}",
}
Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def jobctl(tmp_path: Path) -> Command:
    """The command in an environment that holds only what the test says, as under cron."""

    def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "jobctl", *arguments],
            cwd=tmp_path,
            env={"HOME": str(tmp_path), **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def test_show_prints_every_value_with_its_origin_and_no_secret(jobctl: Command, tmp_path: Path) -> None:
    (tmp_path / "jobctl.toml").write_text("batch_size = 7\n")
    done = jobctl("config", "show", **ALL_SECRETS)
    assert (done.returncode, done.stderr) == (0, "")
    assert SECRET not in done.stdout
    values = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert set(values) == set(ENV_NAMES)
    assert "postgresql://app:***@db.example.org/jobs   [environment DATABASE_URL]" in values["database_url"]
    assert "(set)   [environment GITHUB_TOKEN]" in values["github_token"]
    assert f"7   [config file {tmp_path}/jobctl.toml]" in values["batch_size"]
    data_dir = "/var/lib/jobctl" if os.geteuid() == 0 else f"{tmp_path}/.local/share/jobctl"
    assert f"{data_dir}   [default]" in values["data_dir"]


def test_show_as_json_is_one_object_with_frozen_keys(jobctl: Command) -> None:
    done = jobctl("config", "show", "--json", JOBCTL_LEASE_S="61", **ALL_SECRETS)
    assert SECRET not in done.stdout
    shown = json.loads(done.stdout)
    assert shown.keys() == {"items", "next", "files"}
    assert shown["next"] is None
    for item in shown["items"]:
        assert item.keys() == {"setting", "env", "value", "shown", "origin", "secret", "is_set"}
        assert not (item["secret"] and item["value"] is not None)
    items = {item["setting"]: item for item in shown["items"]}
    assert items["lease_s"]["value"] == 61
    assert items["max_runtime_s"]["value"]["ingest-branch"] == 3_300
    assert items["report_emails"] == {
        "setting": "report_emails",
        "env": "REPORT_EMAILS",
        "value": [],
        "shown": "(not set)",
        "origin": "default",
        "secret": False,
        "is_set": False,
    }


def test_check_is_silent_on_standard_output_when_all_is_well(jobctl: Command) -> None:
    done = jobctl("config", "check")
    assert (done.returncode, done.stdout) == (0, "")
    assert "settings are in order" in done.stderr
    assert json.loads(jobctl("config", "check", "--json").stdout) == {"ok": True, "items": [], "next": None}


def test_check_explains_every_fault_with_a_command_that_can_be_copied(jobctl: Command, tmp_path: Path) -> None:
    path = tmp_path / ("a-long-name-" * 10)
    path.write_text(f"GITHUB_TOKEN={SECRET}\n")
    path.chmod(0o644)
    faulty = {"JOBCTL_ENV_FILE": str(path), "JOBCTL_LEASE_S": "soon", "JOBCTL_DTAA_DIR": "x"}
    done = jobctl("config", "check", **faulty)
    assert done.returncode == 78
    assert f"mend: chmod 600 {path}\n" in done.stdout
    assert "3 faults" in done.stdout
    assert "did you mean JOBCTL_DATA_DIR?" in done.stdout
    assert SECRET not in done.stdout + done.stderr
    as_json = jobctl("config", "check", "--json", **faulty)
    assert as_json.returncode == 78
    told = json.loads(as_json.stdout)
    assert (told["ok"], len(told["items"])) == (False, 3)
    assert told["items"][0].keys() == {"setting", "origin", "message", "mend"}


@pytest.mark.parametrize("command", [["config", "show"], ["ingest-branch"], ["branch", "list"], ["db", "status"]])
def test_every_command_refuses_faulty_settings_in_one_line(jobctl: Command, command: list[str]) -> None:
    done = jobctl(*command, JOBCTL_LEASE_S="soon", GITHUB_TOKEN=f"{SECRET}\nx")
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr.count("\n") == 1
    assert "JOBCTL_LEASE_S is not a duration" in done.stderr
    assert SECRET not in done.stderr


def test_a_file_that_was_passed_over_is_told(jobctl: Command, tmp_path: Path) -> None:
    (tmp_path / "jobctl.env").write_text("JOBCTL_BATCH_SIZE=7\n")
    tmp_path.chmod(0o777)
    done = jobctl("config", "show")
    assert "jobctl.env was not read" in done.stderr
    assert "batch_size                      5000   [default]" in done.stdout


@pytest.mark.parametrize(
    ("words", "said", "hint"),
    [
        (["runs", "list", "--limit", "many", "--json"], "Invalid value for '--limit'", "jobctl runs list --help"),
        (["runs", "show", "--json"], "Missing argument 'RUN'", "jobctl runs show --help"),
        (["sync", "--json", "--projekt", "x"], "No such option: --projekt", "jobctl sync --help"),
        (["nonsense", "--json"], "No such command 'nonsense'", "jobctl --help"),
    ],
)
def test_a_command_line_that_is_refused_is_an_object_too_where_one_was_asked_for(
    jobctl: Command, words: list[str], said: str, hint: str
) -> None:
    done = jobctl(*words)
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["class"]) == (2, "UsageError")
    assert said in error["message"] and error["hint"].endswith(hint)
    plain = jobctl(*(word for word in words if word != "--json"))
    assert (plain.returncode, plain.stdout, plain.stderr) == (2, "", done.stderr)


@pytest.mark.parametrize("command", [[], ["show"], ["check"]])
def test_help_is_given_with_an_example(jobctl: Command, command: list[str]) -> None:
    done = jobctl("config", *command, "--help")
    assert done.returncode == 0
    assert "Example" in done.stdout or not command


def test_a_schedule_of_the_team_is_shown_and_one_that_cron_cannot_read_is_a_fault(
    jobctl: Command, tmp_path: Path
) -> None:
    file = tmp_path / "jobctl.toml"
    file.write_text('[schedules.sync]\nat = "15 3 * * *"\nowner = "data team"\n')
    (shown,) = [
        i for i in json.loads(jobctl("config", "show", "--json").stdout)["items"] if i["setting"] == "schedules"
    ]
    assert shown["value"] == {"sync": {"at": "15 3 * * *", "owner": "data team"}}
    assert "15 3 * * *" in jobctl("config", "show").stdout
    assert jobctl("config", "check").returncode == 0
    file.write_text('[schedules.sync]\nat = "15 25 * * *"\n')
    done = jobctl("config", "check", "--json")
    assert done.returncode == 78
    (fault,) = json.loads(done.stdout)["items"]
    assert fault["setting"] == "schedules.sync.at" and "hour '25'" in fault["message"]
    assert str(file) in fault["origin"]
