"""The jobctl command is found in what people write into crontabs."""

import pytest

from jobctl.schedule.command_line import jobctl_words, program_words
from jobctl.schedule.shell_words import Redirection, simple_commands


@pytest.mark.parametrize(
    "command",
    [
        "/opt/jobctl/.venv/bin/jobctl ingest-branch --scheduled --max-runtime 55m",
        "jobctl ingest-branch --scheduled --max-runtime 55m >> /var/log/jobctl/out.log 2>&1",
        "JOBCTL_ENV_FILE=/etc/jobctl/env TZ='Europe/Berlin' jobctl ingest-branch --scheduled --max-runtime 55m",
        "cd /srv/data && exec jobctl ingest-branch --scheduled --max-runtime 55m",
        "[ -x /usr/bin/jobctl ] && jobctl ingest-branch --scheduled --max-runtime 55m || echo 'no jobctl'",
        "if test -d /srv; then jobctl ingest-branch --scheduled --max-runtime 55m; fi",
        "nice -n 10 ionice -c3 jobctl ingest-branch --scheduled --max-runtime 55m",
        "/usr/bin/timeout -k 10 60m jobctl ingest-branch --scheduled --max-runtime 55m",
        "flock -n /run/lock/x jobctl ingest-branch --scheduled --max-runtime 55m",
        "flock -n /run/lock/x -c 'jobctl ingest-branch --scheduled --max-runtime 55m'",
        "env -i PATH=/usr/bin jobctl ingest-branch --scheduled --max-runtime 55m",
        "sudo -u jobctl /opt/bin/jobctl ingest-branch --scheduled --max-runtime 55m",
        "/bin/bash -lc 'cd /srv; jobctl ingest-branch --scheduled --max-runtime 55m'",
        "python3.11 -I -m jobctl ingest-branch --scheduled --max-runtime 55m",
        "/opt/jobctl/scripts/ingest-branch.sh --scheduled --max-runtime 55m",
        "sh /opt/jobctl/scripts/ingest-branch.sh --scheduled --max-runtime 55m",
        "jobctl ingest-branch --scheduled --max-runtime 55m # the hourly one",
    ],
)
def test_a_jobctl_command_is_found_behind_what_people_put_before_it(command: str) -> None:
    found = jobctl_words(command)
    assert found is not None
    assert (found.job, found.scope, found.is_scheduled) == ("ingest-branch", "", True)
    assert found.words == ("ingest-branch", "--scheduled", "--max-runtime", "55m")


@pytest.mark.parametrize(
    "command",
    [
        "",
        "/usr/local/bin/backup --to jobctl",
        "echo jobctl ingest-branch",
        "test -x /usr/bin/jobctl",
        "/opt/other/ingest-branch.sh",
        "/opt/jobctl/scripts/other.sh",
        "jobctl",
        "'unclosed jobctl ingest-branch",
    ],
)
def test_what_is_no_jobctl_command_is_not_taken_for_one(command: str) -> None:
    assert jobctl_words(command) is None


@pytest.mark.parametrize(
    ("command", "job", "scope", "is_scheduled"),
    [
        ("jobctl run backup -- /usr/bin/backup --scheduled", "run", "backup", False),
        ("jobctl run --scheduled --max-runtime 2h backup -- pg_dump -v", "run", "backup", True),
        ("jobctl run backup --max-runtime=2h --scheduled -- sh -c 'a && b'", "run", "backup", True),
        ("/opt/jobctl/scripts/run.sh backup -- true", "run", "backup", False),
        ("jobctl ingest-branch --branch airports --scheduled", "ingest-branch", "airports", True),
        ("jobctl ingest-branch --branch=a --branch b", "ingest-branch", "a,b", False),
        ("jobctl work --type embed --type=crawl --scheduled", "work", "embed,crawl", True),
        ("jobctl --version db status", "db", "", False),
    ],
)
def test_job_and_scope_are_those_of_lock_history_and_slots(
    command: str, job: str, scope: str, is_scheduled: bool
) -> None:
    found = jobctl_words(command)
    assert found is not None
    assert (found.job, found.scope, found.is_scheduled) == (job, scope, is_scheduled)


def test_a_command_line_is_parted_into_its_simple_commands() -> None:
    cd, tool = simple_commands("cd \"$HOME/a b\" && tool 'x y' a\\ b $(date +%F -d 'x') >/dev/null 2>&1")
    assert (cd.words, cd.end) == (("cd", "$HOME/a b"), "&&")
    assert tool.words == ("tool", "x y", "a b", "$(date +%F -d 'x')")
    assert tool.redirections == (Redirection("", ">", "/dev/null"), Redirection("2", ">&", "1"))


def test_a_digit_before_a_space_is_a_word_and_no_descriptor() -> None:
    (sleep,) = simple_commands("sleep 2 > /tmp/x")
    assert sleep.words == ("sleep", "2")


@pytest.mark.parametrize("text", ["a 'b", 'a "b', "a `b", "a $(b", "a \\", "a >", "&&", "|", "a;;b"])
def test_what_no_shell_could_run_is_parted_without_an_error(text: str) -> None:
    assert all(each.words or each.redirections or each.end for each in simple_commands(text))


def test_the_program_is_what_a_starter_starts() -> None:
    assert program_words(("nice", "-n", "5", "timeout", "60", "find", "-name", "x")) == ("find", "-name", "x")
