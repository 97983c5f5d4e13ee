"""The table [report] of jobctl.toml."""

from pathlib import Path

import pytest

from jobctl.settings_reading.fault import InvalidSettings
from jobctl.settings_reading.load import load
from jobctl.settings_report import ReportSettings


def loaded(tmp_path: Path, text: str) -> ReportSettings:
    file = tmp_path / "jobctl.toml"
    file.write_text(text)
    return load(environ={"HOME": str(tmp_path)}, config_file=file).settings.report_settings


def test_what_is_left_out_has_its_default(tmp_path: Path) -> None:
    assert loaded(tmp_path, "") == ReportSettings()
    chosen = loaded(
        tmp_path, '[report]\nlink = "https://ops.example.org/?of={about}"\ngithub_url = "https://git.example.org/"\n'
    )
    assert (chosen.link, chosen.github_url) == ("https://ops.example.org/?of={about}", "https://git.example.org")
    assert (chosen.success_goal, chosen.stuck_days, chosen.templates) == (0.995, 14, None)
    assert chosen.shown() == {"link": "https://ops.example.org/?of={about}", "github_url": "https://git.example.org"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[report]\nlinks = "https://ops.example.org"\n', "did you mean link?"),
        ('[report]\nlink = "javascript:alert(1)"\n', "must start with http:// or https://"),
        ('[report]\nlink = "https://ops.example.org/{week}"\n', "braces that are not {about}"),
        ('[report]\ngithub_url = "https://git.example.org/?x=1"\n', "has a query or a fragment"),
        ('[report]\ntemplates = "templates"\n', "is not an absolute path"),
        ("[report]\nsuccess_goal = 99.5\n", "success_goal"),
        ("[report]\nstuck_days = 0\n", "stuck_days"),
        ('report = "weekly"\n', "is a table of jobctl.toml"),
    ],
)
def test_a_fault_is_told_in_an_operators_words(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InvalidSettings) as raised:
        loaded(tmp_path, text)
    assert said in raised.value.message
