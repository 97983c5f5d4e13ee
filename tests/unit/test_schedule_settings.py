"""A team's settings change the plan, and an expression that cron cannot read is a fault of the settings."""

from pathlib import Path

import pytest

from jobctl.errors import EXIT_CONFIGURATION, exit_code_of
from jobctl.schedule.from_settings import planned_from, schedule_faults
from jobctl.schedule.plan import PLAN
from jobctl.settings_reading.fault import InvalidSettings
from jobctl.settings_reading.load import Loaded, load


def loaded(tmp_path: Path, toml: str) -> Loaded:
    path = tmp_path / "jobctl.toml"
    path.write_text(toml)
    path.chmod(0o600)
    return load(environ={"HOME": str(tmp_path)}, config_file=path)


def test_without_changes_the_plan_is_the_plan(tmp_path: Path) -> None:
    assert planned_from(loaded(tmp_path, "").settings) == PLAN


def test_what_a_team_says_replaces_the_plan_and_the_rest_stays(tmp_path: Path) -> None:
    text = '[schedules.sync]\nat = "@weekly"\nowner = "data team"\nstart_grace_s = "10m"\ncap = 3'
    (sync,) = [entry for entry in planned_from(loaded(tmp_path, text).settings) if entry.job == "sync"]
    assert (str(sync.at), sync.owner, sync.start_grace_s, sync.cap) == ("0 0 * * 0", "data team", 600, 3)
    assert sync.catch_up == "latest"


def test_an_expression_that_cron_cannot_read_is_a_fault_of_the_settings(tmp_path: Path) -> None:
    found = loaded(tmp_path, '[schedules.sync]\nat = "15 25 * * *"\n[schedules.report]\nat = "0 9 L * *"')
    hour, last = schedule_faults(found)
    assert (hour.setting, last.setting) == ("schedules.sync.at", "schedules.report.at")
    assert "hour '25'" in hour.message and "jobctl.toml" in hour.origin and "five fields" in hour.mend
    with pytest.raises(InvalidSettings) as raised:
        planned_from(found.settings)
    assert exit_code_of(raised.value) == EXIT_CONFIGURATION
