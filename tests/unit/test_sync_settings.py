"""The table [sync] of jobctl.toml."""

from pathlib import Path

import pytest

from jobctl.settings_reading.fault import InvalidSettings
from jobctl.settings_reading.load import load
from jobctl.settings_sync import SyncSettings


def loaded(tmp_path: Path, text: str) -> SyncSettings:
    file = tmp_path / "jobctl.toml"
    file.write_text(text)
    return load(environ={"HOME": str(tmp_path)}, config_file=file).settings.sync_settings


def test_what_is_left_out_has_its_default(tmp_path: Path) -> None:
    assert loaded(tmp_path, "") == SyncSettings()
    chosen = loaded(tmp_path, "[sync]\nprojects_at_once = 2\ncommits_days = 30\n")
    assert (chosen.projects_at_once, chosen.commits_days, chosen.reconcile_days) == (2, 30, 7)
    assert chosen.shown() == {"projects_at_once": 2, "commits_days": 30}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[sync]\nproject_at_once = 5\n", "did you mean projects_at_once?"),
        ("[sync]\nprojects_at_once = 0\n", "projects_at_once"),
        ("[sync]\nprojects_at_once = 21\n", "projects_at_once"),
        ("[sync]\nreconcile_days = 0.5\n", "reconcile_days"),
        ('sync = "often"\n', "is a table of jobctl.toml"),
    ],
)
def test_a_fault_is_told_in_an_operators_words(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InvalidSettings) as raised:
        loaded(tmp_path, text)
    assert said in raised.value.message
