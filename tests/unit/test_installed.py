"""What stands in crontabs and timers is found, in a tree of files that stands for /etc."""

from pathlib import Path

import pytest

from jobctl.accounts import current_user
from jobctl.schedule import installed
from jobctl.schedule.expression import Expression
from jobctl.schedule.installed import InstalledLine, cron_zone, read_installed, user_crontab

ME = current_user()
INGEST = "/opt/jobctl/bin/jobctl ingest-branch --scheduled"


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    for directory in ("etc/cron.d", "etc/systemd/system/timers.target.wants"):
        (tmp_path / directory).mkdir(parents=True)
    return tmp_path / "etc"


def crontab_that(tmp_path: Path, script: str) -> list[str]:
    path = tmp_path / "crontab"
    path.write_text("#!/bin/sh\n" + script)
    path.chmod(0o755)
    return [str(path)]


NONE = 'echo "no crontab for $USER" >&2; exit 1'


def test_our_lines_of_the_users_crontab_are_found_and_other_lines_are_not(etc: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_text(
        f"# mine\nA=b\n0 * * * *  {INGEST}\n@reboot {INGEST}\n61 * * * * {INGEST}\n5 4 * * * backup\n"
    )
    lines = read_installed(ME, etc=etc, crontab=crontab_that(tmp_path, f"cat {tmp_path}/text"))
    assert lines == [InstalledLine("crontab", ME, Expression("0 * * * *"), "UTC", "ingest-branch", "", INGEST, True)]


def test_system_crontabs_name_their_user_and_files_that_cron_passes_over_do_not_count(
    etc: Path, tmp_path: Path
) -> None:
    (etc / "crontab").write_text(f"17 * * * * root {INGEST}\n")
    (etc / "cron.d/jobctl").write_text("5 * * * * jobctl jobctl run backup -- date +\\%F\n")
    (etc / "cron.d/no-newline").write_text(f"6 * * * * jobctl {INGEST}")
    (etc / "cron.d/jobctl.dpkg-old").write_text(f"7 * * * * root {INGEST}\n")
    (etc / "cron.d/directory").mkdir()
    lines = read_installed(ME, etc=etc, crontab=crontab_that(tmp_path, NONE))
    assert [(line.source, line.os_user, str(line.expression), line.job, line.scope) for line in lines] == [
        ("/etc/crontab", "root", "17 * * * *", "ingest-branch", ""),
        ("/etc/cron.d/jobctl", "jobctl", "5 * * * *", "run", "backup"),
        ("/etc/cron.d/no-newline", "jobctl", "6 * * * *", "ingest-branch", ""),
    ]
    assert lines[1].command == "jobctl run backup -- date +\\%F"


def test_an_enabled_timer_of_ours_is_found_and_one_that_is_not_enabled_is_not(etc: Path, tmp_path: Path) -> None:
    units = etc / "systemd/system"
    for name, minute in (("on", 7), ("off", 8)):
        (units / f"jobctl-{name}.timer").write_text(
            f"[Timer]\nOnCalendar=*:0{minute}\nX-Jobctl-Cron={minute} * * * *\n"
        )
        (units / f"jobctl-{name}.service").write_text(
            f"[Service]\nUser=jobctl\nExecStart=/bin/false\nExecStart=\nExecStart=-{INGEST} \\\n  --full\n"
        )
    (units / "timers.target.wants/jobctl-on.timer").symlink_to("/nonexistent/jobctl-on.timer")
    (line,) = read_installed(ME, etc=etc, crontab=crontab_that(tmp_path, NONE))
    assert (line.source, line.os_user, str(line.expression)) == ("systemd", "jobctl", "7 * * * *")
    assert line.job == "ingest-branch" and line.is_scheduled


def test_a_crontab_that_is_not_there_is_empty_and_one_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    assert user_crontab(ME, crontab=crontab_that(tmp_path, NONE)) == ""
    assert user_crontab(ME, crontab=crontab_that(tmp_path, "echo 'you are not allowed' >&2; exit 1")) is None
    assert user_crontab(ME, crontab=["/nonexistent/crontab"]) is None


def test_a_crontab_command_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "CRONTAB_LIMIT_S", 0.2)
    assert user_crontab(ME, crontab=crontab_that(tmp_path, "exec sleep 60")) is None


def test_root_asks_for_another_users_crontab_by_name_and_others_do_not_ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crontab = crontab_that(tmp_path, 'echo "$@"')
    monkeypatch.setattr(installed.os, "geteuid", lambda: 0)
    assert user_crontab("somebody-else", crontab=crontab) == "-u somebody-else -l\n"
    monkeypatch.setattr(installed.os, "geteuid", lambda: 12345)
    assert user_crontab("somebody-else", crontab=crontab) is None


def test_nothing_installed_anywhere_is_an_empty_list(tmp_path: Path) -> None:
    assert read_installed(ME, etc=tmp_path / "none", crontab=["/nonexistent/crontab"]) == []


@pytest.mark.parametrize(
    ("localtime", "timezone", "zone"),
    [
        ("/usr/share/zoneinfo/Europe/Berlin", None, "Europe/Berlin"),
        ("../usr/share/zoneinfo/America/New_York", "Europe/Paris\n", "America/New_York"),
        (None, "Europe/Paris\n", "Europe/Paris"),
        (None, "Mars/Olympus\n", "UTC"),
        ("/usr/share/zoneinfo/Mars/Olympus", "", "UTC"),
        (None, "../../etc/passwd\n", "UTC"),
        (None, None, "UTC"),
    ],
)
def test_the_zone_of_cron_is_that_of_the_machine(
    tmp_path: Path, localtime: str | None, timezone: str | None, zone: str
) -> None:
    if localtime is not None:
        (tmp_path / "localtime").symlink_to(localtime)
    if timezone is not None:
        (tmp_path / "timezone").write_text(timezone)
    assert cron_zone(tmp_path) == zone
