"""What is rendered is read back by cron's rules as it was meant."""

import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.schedule.command_line import jobctl_words
from jobctl.schedule.crontab_text import read_crontab
from jobctl.schedule.expression import parse
from jobctl.schedule.finding import CommandShape, Known, Place
from jobctl.schedule.installed import unit_values
from jobctl.schedule.lint import lint
from jobctl.schedule.plan import PLAN
from jobctl.schedule.render import command_words, crontab_body
from jobctl.schedule.target import Target
from jobctl.schedule.units import max_runtime_s, units

SYSTEMD_ANALYZE = shutil.which("systemd-analyze")
ALL = {entry.job: CommandShape({"--scheduled": False, "--max-runtime": True}) for entry in PLAN}
NOW = datetime(2026, 11, 25, tzinfo=UTC)
SPECIAL = st.sampled_from("%\\'\"$`#=~;& *!{}")
PRINTABLE = SPECIAL | st.characters(codec="utf-8").filter(str.isprintable)
WORDS = st.text(PRINTABLE, min_size=1, max_size=12)
PATHS = st.text(PRINTABLE, max_size=20).map("/opt/{}".format)


@pytest.mark.parametrize("with_user", [False, True])
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
def test_lint_has_nothing_against_it(with_user: bool, zone: str) -> None:
    text = crontab_body(PLAN, Target(zone=zone), ALL, with_user=with_user)
    place = Place(is_system=with_user, cron_d_name="jobctl" if with_user else None)
    known = Known(zone, NOW, ALL, tuple(ALL), {"ingest-branch": 3300}, users={"jobctl"}, exists=lambda path: True)
    assert [each for each in lint(text, place, known) if each.severity != "note"] == []


@given(PATHS, st.lists(WORDS, max_size=3))
def test_the_shell_is_given_the_words_whatever_characters_are_in_them(command: str, options: list[str]) -> None:
    entry = replace(PLAN[0], options=tuple(options))
    target = Target(command=command)
    for with_user in (False, True):
        crontab = read_crontab(crontab_body([entry], target, ALL, with_user=with_user), is_system=with_user)
        (line,) = crontab.entries
        assert tuple(shlex.split(line.program)) == command_words(entry, target)
        assert line.stdin is None
        assert line.user == ("jobctl" if with_user else None)
        assert crontab.ends_with_newline


@given(PATHS, st.text(PRINTABLE, max_size=20))
def test_assignments_are_read_back_as_they_were_meant_or_refused(env_file: str, mailto: str) -> None:
    target = Target(env_file=env_file, mailto=mailto)
    try:
        crontab = read_crontab(crontab_body(PLAN, target, ALL), is_system=False)
    except ValueError:
        assert ("'" in mailto and '"' in mailto) or (
            env_file.rstrip() != env_file and "'" in env_file and '"' in env_file
        )
        return
    said = {line.name: line.value for line in crontab.assignments}
    assert said == {
        "SHELL": "/bin/sh",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "MAILTO": mailto,
        "TZ": "UTC",
        "JOBCTL_ENV_FILE": env_file,
    }


def test_each_job_that_is_there_is_a_line_and_each_other_a_comment_that_says_planned() -> None:
    text = crontab_body(PLAN, Target(), {"ingest-branch"})
    (line,) = read_crontab(text, is_system=False).entries
    assert line.command == "/opt/jobctl/.venv/bin/jobctl ingest-branch --scheduled --max-runtime 55m"
    for entry in PLAN[1:]:
        assert f"# {entry.job}, planned" in text
        assert f"\n# {entry.at}  /opt/jobctl/.venv/bin/jobctl {entry.job} --scheduled" in text


def test_the_reason_of_each_time_stands_beside_it() -> None:
    said = " ".join(crontab_body(PLAN, Target(), ALL).replace("# ", "").split())
    for entry in PLAN:
        assert f"{entry.why} {entry.at} {Target().command} {entry.job} " in said


@pytest.mark.parametrize("command", ["jobctl", "./jobctl", "/opt/a\nb", "/opt/a\x00"])
def test_what_no_crontab_can_carry_is_refused(command: str) -> None:
    with pytest.raises(ValueError, match=r"no absolute path|cannot carry"):
        Target(command=command)


def test_a_command_longer_than_cron_reads_is_refused() -> None:
    with pytest.raises(ValueError, match="longer than the 990 characters"):
        crontab_body(PLAN, Target(command="/" + "a" * 1_000), ALL)


# Units -------------------------------------------------------------------------------------------------------------


def test_timers_and_crontab_have_the_same_jobs_times_and_commands() -> None:
    target = Target()
    files = units(PLAN, target, ALL)
    entries = read_crontab(crontab_body(PLAN, target, ALL), is_system=False).entries
    in_units = [
        (
            unit_values(files[f"jobctl-{entry.job}.timer"])["Timer", "X-Jobctl-Cron"],
            unit_values(files[f"jobctl-{entry.job}.service"])["Service", "ExecStart"],
        )
        for entry in PLAN
    ]
    assert in_units == [([line.schedule], [line.command]) for line in entries]


def test_a_job_without_a_command_has_no_unit() -> None:
    assert set(units(PLAN, Target(), {"ingest-branch"})) == {
        "jobctl-database.service",
        "jobctl-ingest-branch.service",
        "jobctl-ingest-branch.timer",
    }


def test_systemds_limit_lies_above_the_runs_own_and_the_settings_fill_in_what_the_line_does_not_say() -> None:
    target = Target(max_runtime_s={"sync": 1_200}, kill_grace_s=30)
    files = units(PLAN, target, ALL)
    limits = {entry.job: max_runtime_s(entry, target) for entry in PLAN}
    assert limits == {
        "ingest-branch": 3_300,
        "sync": 1_200,
        "metrics": 540,
        "report": 540,
        "retry-failed": 540,
        "work": 240,
    }
    for job, limit_s in limits.items():
        service = unit_values(files[f"jobctl-{job}.service"])
        (ends_s,) = service["Service", "RuntimeMaxSec"]
        (stop_s,) = service["Service", "TimeoutStopSec"]
        assert int(ends_s) > limit_s + target.kill_grace_s
        assert int(stop_s) > target.kill_grace_s
    assert max_runtime_s(replace(PLAN[0], options=("--max-runtime=10m",)), target) == 600


def test_words_with_specials_are_quoted_for_systemd() -> None:
    entry = replace(PLAN[0], options=("--branch", 'a b$c%d"e\\f'))
    text = units([entry], Target(command="/opt/my jobs/jobctl", env_file="/etc/a b/e$f"), ALL)[
        "jobctl-ingest-branch.service"
    ]
    assert r'ExecStart="/opt/my jobs/jobctl" ingest-branch --scheduled --branch "a b$$c%%d\"e\\f"' in text
    assert 'Environment="JOBCTL_ENV_FILE=/etc/a b/e$f"' in text
    words = jobctl_words(unit_values(text)["Service", "ExecStart"][0].replace("%%", "%"))
    assert words is not None and words.job == "ingest-branch"


@pytest.mark.parametrize(
    ("path", "home"), [("/opt/jobctl", "yes"), ("/home/etl/jobctl", "no"), ("/root/.venv/bin/jobctl", "no")]
)
def test_homes_are_hidden_unless_something_of_ours_lies_in_one(path: str, home: str) -> None:
    text = units(PLAN, Target(command=path), ALL)["jobctl-work.service"]
    assert unit_values(text)["Service", "ProtectHome"] == [home]


def test_a_changed_plan_is_what_is_rendered() -> None:
    entry = replace(PLAN[0], at=parse("7 * * * *"))
    assert "\n7 * * * *  /opt" in crontab_body([entry], Target(), ALL)
    assert "OnCalendar=*-*-* *:07:00\n" in units([entry], Target(), ALL)["jobctl-ingest-branch.timer"]


@pytest.mark.skipif(SYSTEMD_ANALYZE is None, reason="not on this platform: systemd-analyze")
def test_systemd_has_nothing_against_the_units(tmp_path: Path) -> None:
    """As they are for this very installation, since systemd looks for the program."""
    target = Target(command=str(Path(sys.prefix, "bin/jobctl")), os_user="root", env_file="/etc/a b/e$f%h")
    for name, text in units(PLAN, target, ALL).items():
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        [str(SYSTEMD_ANALYZE), "verify", "--man=no", "--recursive-errors=no", *map(str, tmp_path.iterdir())],
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, [line for line in done.stderr.splitlines() if str(tmp_path) in line]) == (0, []), done
