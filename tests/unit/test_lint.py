"""The linter names each fault on its line, and says nothing about crontabs that are in order."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench_crontabs import BROKEN, CRON_D, GOOD, INGEST, KNOWN, USER, Broken
from jobctl.schedule.finding import Finding, Known, Place
from jobctl.schedule.lint import lint


def counted(findings: tuple[Finding, ...]) -> list[Finding]:
    """Without the notes, which tell what is so and blame nobody."""
    return [finding for finding in findings if finding.severity != "note"]


@pytest.mark.parametrize("broken", BROKEN, ids=[broken.id for broken in BROKEN])
def test_each_fault_is_named_on_its_line_and_nothing_else_is(broken: Broken) -> None:
    findings = counted(lint(broken.text, broken.place, KNOWN))
    severity = "warning" if broken.is_only_warned_of else "error"
    expected = (broken.code, severity, broken.line)
    assert expected in [(finding.code, finding.severity, finding.line) for finding in findings], findings
    assert {finding.code for finding in findings} == {broken.code}


@pytest.mark.parametrize("path", GOOD, ids=[f"{path.parent.name}-{path.name}" for path in GOOD])
def test_nothing_is_said_about_a_crontab_that_is_in_order(path: Path) -> None:
    is_system = path.parent.name == "cron.d"
    place = Place(is_system, cron_d_name=path.name if is_system else None)
    assert counted(lint(path.read_text(encoding="utf-8"), place, KNOWN)) == []


def test_there_are_enough_of_both_kinds() -> None:
    assert len({broken.code for broken in BROKEN}) >= 30
    assert len(GOOD) >= 20


@pytest.mark.parametrize("broken", BROKEN, ids=[broken.id for broken in BROKEN])
def test_each_finding_says_what_why_and_how_to_mend_it_and_shows_no_secret(broken: Broken) -> None:
    for finding in lint(broken.text, broken.place, KNOWN):
        assert finding.what and finding.why and finding.mend
        for shown in (finding.what, finding.why, finding.mend):
            assert "s3cretword" not in shown and "abcdef123456" not in shown and "Gartenzaun" not in shown
            assert "\n" not in shown


def test_a_time_that_moves_when_the_clocks_change_is_noted_and_not_blamed() -> None:
    skipped, doubled = lint(f"30 2 * * * {INGEST}\n", USER, KNOWN)
    assert (skipped.severity, skipped.code) == (doubled.severity, doubled.code) == ("note", "clock-change")
    assert "2026-03-29" in skipped.what and "when the gap ends" in skipped.why
    assert "2026-10-25" in doubled.what and "the first time" in doubled.why


def test_a_line_of_a_zone_whose_clocks_never_change_has_no_note() -> None:
    assert lint(f"30 2 * * * {INGEST}\n", USER, replace(KNOWN, zone="UTC")) == ()


def test_on_the_machine_itself_users_and_files_are_looked_for() -> None:
    here = replace(KNOWN, users={"root", "etl"}, exists={"/bin/sh", "/etc/jobctl/env"}.__contains__)
    head = "SHELL=/bin/sh\nJOBCTL_ENV_FILE=/etc/jobctl/env\n"
    assert lint(f"{head}0 * * * * etl {INGEST}\n", CRON_D, here) == ()
    text = f"SHELL=/bin/fish\nJOBCTL_ENV_FILE=/etc/none\n0 * * * * nobody {INGEST}\n"
    assert [finding.code for finding in lint(text, CRON_D, here)] == ["shell", "missing-file", "unknown-user"]
    assert [finding.code for finding in lint(f"0 * * * * etl {INGEST}\n", USER, here)] == ["user-field"]


@pytest.mark.parametrize(("zone", "tz"), [("Etc/UTC", "UTC"), ("Europe/Berlin", ":Europe/Berlin"), ("UTC", "Etc/Zulu")])
def test_the_machines_own_zone_under_another_name_is_no_other_zone(zone: str, tz: str) -> None:
    assert lint(f"TZ={tz}\n0 * * * * {INGEST}\n", USER, replace(KNOWN, zone=zone)) == ()


def test_an_unknown_command_is_told_with_the_one_that_was_meant() -> None:
    (finding,) = lint("0 * * * * /opt/bin/jobctl ingest-brunch\n", USER, KNOWN)
    assert finding.mend == "did you mean ingest-branch?"
    (finding,) = lint(f"0 * * * * {INGEST} --brnach a\n", USER, KNOWN)
    assert finding.mend == "did you mean --branch?"


def test_without_a_list_of_commands_jobctl_lines_are_not_judged_by_it() -> None:
    bare = Known(zone="UTC", now=KNOWN.now)
    assert lint("0 * * * * /opt/bin/jobctl whatever --else\n", USER, bare) == ()


@pytest.mark.parametrize(
    "words",
    [
        "ingest-branch --scheduled -v --branch=a --branch b --max-runtime=55m",
        "run --scheduled --max-runtime 5m --when-db-down skip backup -- /bin/x --no-such-option -z",
        "branch list --json",
        "branch load a - --full",
    ],
)
def test_command_lines_that_jobctl_would_take_are_taken(words: str) -> None:
    assert lint(f"0 * * * * /opt/bin/jobctl {words}\n", USER, KNOWN) == ()


def test_a_shorter_gap_on_the_day_the_clocks_change_does_not_count_as_the_interval() -> None:
    before = replace(KNOWN, now=datetime(2026, 3, 27, tzinfo=UTC))
    assert counted(lint(f"30 1,3 * * * {INGEST} --max-runtime 2h\n", USER, before)) == []


def test_two_lines_that_never_meet_do_not_lock_each_other() -> None:
    assert lint(f"0 * * * * {INGEST}\n30 * * * * {INGEST} --full\n", USER, KNOWN) == ()
    assert lint(f"5 * * * 1 {INGEST}\n5 * * * 2 {INGEST} --full\n", USER, KNOWN) == ()


@given(st.text(), st.booleans())
def test_any_text_is_judged_without_an_error(text: str, is_system: bool) -> None:
    for finding in lint(text, Place(is_system), KNOWN):
        assert 0 <= finding.line <= text.count("\n") + 1


WORDS = st.sampled_from(
    ["0", "*", "*/5", "2", "1-5", "61", "@daily", "@reboot", "root", "/bin/x", INGEST, "A=b", "A=", "%", "'", ">", "&&"]
)


@given(st.lists(st.lists(WORDS, max_size=9).map(" ".join), max_size=6).map("\n".join), st.booleans())
def test_lines_that_look_like_a_crontab_are_judged_without_an_error(text: str, is_system: bool) -> None:
    for finding in lint(text, Place(is_system), KNOWN):
        assert 0 <= finding.line <= text.count("\n") + 1
