"""Debian's own cron starts what is installed; what is looked at are its log, its mails and the tables.

Where it runs fast, `size` says how fast: a machine that stands still for more than five of cron's minutes makes cron
leave starts out, as it does after a sleep.
"""

import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from bench_cron import Cron, Start, reason_to_skip
from bench_runs import Base, size
from bench_source import Source, violations
from jobctl.schedule.expression import parse

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(reason_to_skip()), reason=reason_to_skip() or "-"),
]
JOBCTL = Path(sys.prefix, "bin/jobctl")
SPEED = size(120, 60)

EXPRESSIONS = (
    "* * * * *",
    "*/5 * * * *",
    "0 * * * *",
    "15 * * * *",
    "30 2 * * *",
    "30 1 * * *",
    "0 3 * * *",
    "20 2 * * sun",
    "0,30 1-3 * * *",
    "*/30 2 * * *",
    "5-50/15 2 * * *",
    "45 1-2 * 3,10,11 0",
)


@pytest.fixture
def environment_file(base: Base, tmp_path: Path) -> Path:
    path = tmp_path / "env"
    log_file = f"JOBCTL_LOG_FILE={tmp_path}/jobctl.log\n"
    path.write_text(f"DATABASE_URL={base.url}\nJOBCTL_DEGRADED_REJECT_SHARE=1\n{log_file}")
    path.chmod(0o600)
    return path


@dataclass(frozen=True, slots=True)
class Day:
    """The hours around a change of the clocks, `hours` long."""

    zone: ZoneInfo
    begin: datetime
    hours: float

    @property
    def end(self) -> datetime:
        return self.begin + timedelta(hours=self.hours, seconds=30)


def day(name: str, *begin: int, hours: float) -> Day:
    zone = ZoneInfo(name)
    month, of_month, hour, minute = begin
    return Day(zone, datetime(2026, month, of_month, hour, minute, tzinfo=zone).astimezone(UTC), hours)


DAYS = (
    day("Europe/Berlin", 3, 29, 1, 40, hours=1),
    day("Europe/Berlin", 10, 25, 1, 50, hours=2.25),
    day("America/New_York", 3, 8, 1, 40, hours=1),
    day("America/New_York", 11, 1, 0, 50, hours=2.75),
)


def test_cron_starts_at_the_moments_that_an_expression_names_when_the_clocks_change() -> None:
    crontab = "".join(f"{text}  : line {number}\n" for number, text in enumerate(EXPRESSIONS))

    def spend(day: Day) -> list[Start]:
        with Cron(zone=day.zone.key, starts_at=day.begin, speed=SPEED, crontab=crontab) as cron:
            cron.run_until(day.end)
            cron.stop()
            return cron.starts

    with ThreadPoolExecutor(len(DAYS)) as pool:
        for day, starts in zip(DAYS, pool.map(spend, DAYS), strict=True):
            for number, text in enumerate(EXPRESSIONS):
                _agree(text, day, [each.at for each in starts if each.command == f": line {number}"])


def _agree(text: str, day: Day, started: list[datetime]) -> None:
    expression = parse(text)
    slots = [expression.last_until(at, day.zone) for at in started]
    assert sorted(set(slots)) == expression.between(day.begin, day.end, day.zone), (text, day)
    assert all(at - slot < timedelta(minutes=4) for at, slot in zip(started, slots, strict=True)), (text, day, started)
    # Of a line with several times in the gap, cron makes up for each when the gap ends: for us that is one slot.
    twice = {slot.astimezone(day.zone).strftime("%m-%d %H:%M") for slot, times in Counter(slots).items() if times > 1}
    assert twice <= {"03-29 03:00", "03-08 03:00"}, (text, day)
    if text == "30 2 * * *":
        assert len(started) == 1


def test_two_hourly_runs_of_ingest_cost_no_mail_and_a_failing_one_costs_one_line(
    base: Base, environment_file: Path
) -> None:
    source = Source([base.conn], count=20).create()
    crontab = f"""
SHELL=/bin/sh
PATH=/usr/bin:/bin
MAILTO=operators@example.org
JOBCTL_ENV_FILE={environment_file}
0 * * * *  {JOBCTL} ingest-branch --max-runtime 55m
30 * * * *  {JOBCTL} ingest-branch --branch nowhere
"""
    begin = datetime(2026, 6, 10, 0, 59, 40, tzinfo=UTC)
    with Cron(zone="UTC", starts_at=begin, speed=SPEED, crontab=crontab) as cron:
        cron.run_until(begin + timedelta(minutes=40))
        source.write(dict.fromkeys(range(5), False))
        cron.run_until(begin + timedelta(hours=1, minutes=1))
        cron.stop()
        assert [each.command.split()[-1] for each in cron.starts] == ["55m", "nowhere", "55m"]
        (mail,) = cron.mails
    head, _, said = mail.partition("\n\n")
    assert "operators@example.org" in head and "--branch nowhere" in head
    assert said.startswith("jobctl") and "nowhere" in said and said.count("\n") == 1
    runs = base.all(
        "SELECT status, counts ->> 'inserted', counts ->> 'updated' FROM ops.job_history"
        " WHERE scope = 'places' ORDER BY started_at"
    )
    assert runs == [("completed", "18", "0"), ("completed", "0", "5")]
    assert violations(base.conn) == []
