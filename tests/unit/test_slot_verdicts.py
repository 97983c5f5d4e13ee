from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from jobctl.schedule import host_facts
from jobctl.schedule.expression import parse
from jobctl.schedule.verdicts import HostFacts, due, is_shifted, local_text, of_absence, of_start

UTC_ZONE = ZoneInfo("UTC")
BERLIN = ZoneInfo("Europe/Berlin")
SLOT = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)


def after(**span: int) -> datetime:
    return SLOT + timedelta(**span)


@pytest.mark.parametrize(
    ("facts", "cause"),
    [
        (HostFacts(booted_at=after(hours=1), cron_started_at=after(hours=1)), "host_down"),
        (
            HostFacts(booted_at=after(hours=1), cron_started_at=after(hours=1), last_sign_of_life_at=after(minutes=9)),
            "cron_down",
        ),
        (HostFacts(booted_at=after(hours=-9), cron_started_at=None), "cron_down"),
        (HostFacts(booted_at=after(hours=-9), cron_started_at=after(hours=2)), "cron_down"),
        (HostFacts(after(hours=-9), after(hours=-8), command_is_there=False), "command_not_found"),
        (HostFacts(after(hours=-9), after(hours=-8), command_is_there=True), "not_started"),
    ],
)
def test_the_cause_of_a_missed_slot_follows_from_what_the_host_knows(facts: HostFacts, cause: str) -> None:
    verdict, reason, evidence = of_absence("sync", "", SLOT, pauses=(), facts=facts)
    assert (verdict, evidence["cause"]) == ("missed", cause)
    assert reason


def test_a_start_within_its_grace_ran_and_one_after_it_is_late() -> None:
    hourly = parse("0 * * * *")
    assert of_start(hourly, SLOT, UTC_ZONE, after(seconds=120), start_grace_s=120) == "ran"
    assert of_start(hourly, SLOT, UTC_ZONE, after(seconds=121), start_grace_s=120) == "late"


def test_only_a_fixed_time_inside_the_gap_is_shifted() -> None:
    gap_ends = datetime(2026, 3, 29, 1, 0, tzinfo=UTC)
    assert is_shifted(parse("30 2 * * *"), gap_ends, BERLIN)
    assert not is_shifted(parse("0 3 * * *"), gap_ends, BERLIN)
    assert not is_shifted(parse("0 * * * *"), gap_ends, BERLIN)
    assert not is_shifted(parse("30 2 * * *"), datetime(2026, 3, 30, 0, 30, tzinfo=UTC), BERLIN)


def test_the_two_halves_of_the_repeated_hour_have_names_of_their_own() -> None:
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert local_text(first, BERLIN) == "2026-10-25 02:30 CEST"
    assert local_text(first + timedelta(hours=1), BERLIN) == "2026-10-25 02:30 CET"


def test_what_is_judged_at_once_is_bounded() -> None:
    slots, start = due(parse("*/5 * * * *"), UTC_ZONE, evaluated_until=after(days=-400), until=SLOT)
    assert len(slots) == 1_000
    assert slots[-1] == SLOT
    assert start < slots[0]


@pytest.mark.parametrize(
    ("command", "there"),
    [
        ("/bin/sh -c true", True),
        ("TZ=UTC /bin/sh -c true", True),
        ("/nonexistent/jobctl sync", False),
        ("$HOME/jobctl sync", None),
        ("'unclosed", None),
        ("", None),
    ],
)
def test_whether_a_lines_command_is_there(command: str, there: bool | None) -> None:
    assert host_facts.command_is_there(command) is there


def test_the_oldest_cron_counts_and_what_only_has_its_name_in_an_argument_does_not(tmp_path: Path) -> None:
    (tmp_path / "uptime").write_text("1000.50 1900.00\n")
    for pid, name, started in (("7", "cron", 20_000), ("8", "crond", 50_000), ("9", "vi cron", 100), ("10", "cron", 0)):
        (tmp_path / pid).mkdir()
        state = "Z" if pid == "10" else "S"
        (tmp_path / pid / "stat").write_text(f"{pid} ({name}) {state} " + "0 " * 18 + f"{started} 0 0\n")
    (tmp_path / "self").mkdir()
    assert host_facts.cron_started_at(SLOT, tmp_path) == SLOT - timedelta(seconds=1000.5 - 200)
    assert host_facts.booted_at(SLOT, tmp_path) == SLOT - timedelta(seconds=1000.5)


def test_without_a_kernel_that_tells_nothing_is_known(tmp_path: Path) -> None:
    assert host_facts.booted_at(SLOT, tmp_path) is None
    assert host_facts.cron_started_at(SLOT, tmp_path) is None
