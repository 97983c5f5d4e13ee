"""Debian's own cron starts what is installed; what is looked at are its log, its mails and the tables.

Where it runs fast, `size` says how fast: a machine that stands still for more than five of cron's minutes makes cron
leave starts out, as it does after a sleep.
"""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from bench_cron import Cron, Start, reason_to_skip
from bench_runs import Base, NewBase, size
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
MARKED = {"night": "30 2 * * *", "half-hours": "0,30 1-3 * * *"}
BERLIN = ZoneInfo("Europe/Berlin")


@dataclass(frozen=True, slots=True)
class Place:
    """What an operator set up on a host: settings in an environment file, and a file where commands leave a mark."""

    directory: Path
    base: Base

    def __post_init__(self) -> None:
        self.directory.mkdir()
        self.point_to(self.base.url)

    @property
    def environment_file(self) -> Path:
        return self.directory / "env"

    def point_to(self, url: str) -> None:
        settings = {
            "DATABASE_URL": url,
            "JOBCTL_DATA_DIR": self.directory / "data",
            "JOBCTL_LOG_FILE": self.directory / "jobctl.log",
            "JOBCTL_DEGRADED_REJECT_SHARE": 1,
        }
        self.environment_file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        self.environment_file.chmod(0o600)

    def crontab(self, *lines: str, **variables: object) -> str:
        named = {"JOBCTL_ENV_FILE": self.environment_file, **variables}
        return "".join([*(f"{name}={value}\n" for name, value in named.items()), *(f"{line}\n" for line in lines)])

    def command(self, *words: str) -> str:
        return f"{JOBCTL} {' '.join(words)}"

    def marking(self, name: str) -> str:
        """A command of a user's own under the envelope; it leaves a line in a file each time it is started."""
        return self.command("run", "--scheduled", name, "--", f"sh -c 'echo done >>{self.directory / name}'")

    def marks(self, name: str) -> int:
        path = self.directory / name
        return path.read_text().count("\n") if path.exists() else 0


NewPlace = Callable[[], Place]


@pytest.fixture
def new_place(new_base: NewBase, tmp_path: Path) -> NewPlace:
    numbers = count()
    return lambda: Place(tmp_path / f"place{next(numbers)}", new_base())


@pytest.fixture
def place(new_place: NewPlace) -> Place:
    return new_place()


@dataclass(frozen=True, slots=True)
class Day:
    """The hours around a change of the clocks, `hours` long."""

    zone: ZoneInfo
    begin: datetime
    hours: float

    @property
    def end(self) -> datetime:
        return self.begin + timedelta(hours=self.hours, seconds=30)

    @property
    def is_spring(self) -> bool:
        return self.begin.month == 3


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


def test_what_cron_starts_when_the_clocks_change_is_what_an_expression_names_and_each_slot_has_one_effect(
    new_place: NewPlace, ledger: Callable[[str], None]
) -> None:
    def spend(day: Day, place: Place) -> list[Start]:
        crontab = place.crontab(
            *(f"{text}  : line {number}" for number, text in enumerate(EXPRESSIONS)),
            *(f"{text}  {place.marking(name)}" for name, text in MARKED.items()),
        )
        with Cron(zone=day.zone.key, starts_at=day.begin, speed=SPEED, crontab=crontab) as cron:
            cron.run_until(day.end)
            cron.stop()
            assert cron.mails == []
            return cron.starts

    places = [new_place() for _ in DAYS]
    with ThreadPoolExecutor(len(DAYS)) as pool:
        for day, place, starts in zip(DAYS, places, pool.map(spend, DAYS, places), strict=True):
            for number, text in enumerate(EXPRESSIONS):
                _agree(text, day, [each.at for each in starts if each.command == f": line {number}"])
            for name, text in MARKED.items():
                slots = parse(text).between(day.begin, day.end, day.zone)
                fired = sum(each.command == place.marking(name) for each in starts)
                shown = place.base.all("SELECT slot_at, verdict FROM ops.slots WHERE scope = %s ORDER BY slot_at", name)
                assert [slot_at for slot_at, _ in shown] == slots, (day, name)
                assert place.marks(name) == len(slots), (day, name)
                verdicts = [verdict for _, verdict in shown]
                if name == "night":
                    assert (fired, verdicts) == (1, ["dst_shifted" if day.is_spring else "ran"]), day
                else:
                    # Of a line with several times in the gap, cron makes up for each when the gap ends.
                    assert fired - len(slots) == (2 if day.is_spring else 0), day
                    assert {*verdicts} == {"ran"}, day
                ledger(
                    f"{day.zone.key} {day.begin.astimezone(day.zone):%d %B}, {text}: cron started it {fired} times,"
                    f" {len(slots)} slots ({', '.join(verdicts)}), {place.marks(name)} effects"
                )


def _agree(text: str, day: Day, started: list[datetime]) -> None:
    expression = parse(text)
    slots = [expression.last_until(at, day.zone) for at in started]
    assert sorted(set(slots)) == expression.between(day.begin, day.end, day.zone), (text, day)
    assert all(at - slot < timedelta(minutes=4) for at, slot in zip(started, slots, strict=True)), (text, day, started)
    twice = {slot.astimezone(day.zone).strftime("%m-%d %H:%M") for slot, times in Counter(slots).items() if times > 1}
    assert twice <= {"03-29 03:00", "03-08 03:00"}, (text, day)


def starts_of(job: str, cron: Cron) -> list[Start]:
    return [each for each in cron.starts if f"{JOBCTL} {job} " in each.command]


def test_the_installed_crontab_runs_hour_after_hour_without_a_mail_and_a_failing_run_costs_one_line(
    place: Place, ledger: Callable[[str], None]
) -> None:
    source = Source([place.base.conn], count=20).create()
    begin = datetime(2026, 6, 10, 0, 55, tzinfo=BERLIN)
    others = "MAILTO=me@example.org\n17 3 * * *  backup --all\n"
    with Cron(zone=BERLIN.key, starts_at=begin - timedelta(minutes=40), speed=1, crontab=others) as cron:

        def jobctl(*words: str) -> "subprocess.CompletedProcess[str]":
            env = ("env", f"JOBCTL_ENV_FILE={place.environment_file}")
            return cron.inside(*env, str(JOBCTL), "schedule", *words, check=False)

        assert jobctl("install").returncode == 0
        installed = cron.inside("crontab", "-l").stdout
        assert installed.startswith(others)
        assert f"\n0 * * * *  {JOBCTL} ingest-branch --scheduled --max-runtime 55m\n" in installed
        findings = {each["check"]: each["status"] for each in json.loads(jobctl("verify", "--json").stdout)["items"]}
        assert (findings["crontab.equal"], findings["cron.alive"]) == ("ok", "ok")

        cron.stop()
        cron.restart(at=begin, speed=SPEED)
        cron.run_until(begin + timedelta(minutes=40))
        source.write(dict.fromkeys(range(5), False))
        cron.run_until(begin + timedelta(minutes=70))
        cron.stop()
        assert len(starts_of("ingest-branch", cron)) == 2
        assert len(starts_of("retry-failed", cron)) == 1
        assert 12 <= len(starts_of("work", cron)) <= 14  # of 13 those on the edges are not held to
        assert cron.mails == []

        place.point_to("postgresql://app@127.0.0.1:1/jobs")
        cron.restart(at=begin + timedelta(minutes=124))
        cron.run_until(begin + timedelta(minutes=126))
        cron.stop()
        assert len(starts_of("ingest-branch", cron)) == 3
        # Each start that failed costs one mail, whatever the job.
        assert len(cron.mails) == 2
        (mail,) = (each for each in cron.mails if "ingest-branch" in each)
    head, _, said = mail.partition("\n\n")
    assert "\nTo: root\n" in head and "ingest-branch --scheduled" in head
    assert said.startswith("jobctl") and "PostgreSQL cannot be reached" in said and said.count("\n") == 1

    hours = [datetime(2026, 6, 10, hour, tzinfo=BERLIN) for hour in (1, 2)]
    of_ingest = "SELECT scope, slot_at, verdict FROM ops.slots WHERE job = 'ingest-branch' ORDER BY slot_at"
    assert place.base.all(of_ingest) == [("", hour, "ran") for hour in hours]
    of_others = "SELECT DISTINCT job, verdict FROM ops.slots WHERE job <> 'ingest-branch' AND slot_at > %s ORDER BY job"
    # What was due before, while cron did not run, is missed.
    assert place.base.all(of_others, begin) == [("retry-failed", "ran"), ("sync", "ran"), ("work", "ran")]
    runs = place.base.all(
        "SELECT h.scope, h.status, h.slot_at, h.counts ->> 'inserted', h.counts ->> 'updated', s.run_id IS NOT NULL"
        " FROM ops.job_history AS h LEFT JOIN ops.slots AS s USING (run_id)"
        " WHERE h.job = 'ingest-branch' ORDER BY h.started_at"
    )
    assert runs == [
        ("places", "completed", hours[0], "18", "0", True),
        ("places", "completed", hours[1], "0", "5", True),
    ]
    assert violations(place.base.conn) == []
    ledger("2 consecutive hourly runs of the installed crontab: 2 rows, 2 slots, 0 bytes of mail; a failed one: 1 line")


@pytest.mark.parametrize(
    ("catch_up", "verdicts", "runs"),
    [
        ("none", ["ran", "missed", "missed", "missed"], [2]),
        ("latest", ["ran", "missed, covered", "missed, covered", "late"], [2, 5]),
        ("all", ["ran", "late", "late", "late"], [2, 3, 4, 5]),
    ],
)
def test_three_hours_without_cron_are_three_missed_slots_and_the_catch_up_that_was_asked_for(
    catch_up: str, verdicts: list[str], runs: list[int], place: Place, ledger: Callable[[str], None]
) -> None:
    Source([place.base.conn], count=20).create()
    settings = place.directory / "jobctl.toml"
    settings.write_text(f'[schedules.ingest-branch]\ncatch_up = "{catch_up}"\n')
    crontab = place.crontab(
        f"0 * * * *  {place.command('ingest-branch', '--scheduled')}",
        f"5 * * * *  {place.marking('watch')}",
        JOBCTL_CONFIG=settings,
    )

    def at(hour: int, minute: int, second: int = 0) -> datetime:
        return datetime(2026, 6, 10, hour, minute, second, tzinfo=BERLIN)

    with Cron(zone=BERLIN.key, starts_at=at(1, 59, 30), speed=60, crontab=crontab) as cron:
        cron.run_until(at(2, 6))
        cron.stop()
        cron.restart(at=at(5, 4, 30))
        cron.run_until(at(5, 6))
        cron.stop()
        assert cron.mails == []
    shown = place.base.all(
        "SELECT slot_at, verdict || CASE WHEN covered_by_run_id IS NULL THEN '' ELSE ', covered' END"
        " FROM ops.slots WHERE job = 'ingest-branch' ORDER BY slot_at"
    )
    assert shown == [(at(hour, 0), verdict) for hour, verdict in zip(range(2, 6), verdicts, strict=True)]
    causes = "SELECT DISTINCT evidence ->> 'cause' FROM ops.slots WHERE evidence IS NOT NULL"
    assert place.base.all(causes) == [("cron_down",)]
    watched = "SELECT slot_at, verdict FROM ops.slots WHERE scope = 'watch' ORDER BY slot_at"
    assert place.base.all(watched) == [
        *((at(2, 5), "ran"), (at(3, 5), "missed"), (at(4, 5), "missed"), (at(5, 5), "ran")),
    ]
    done = "SELECT slot_at FROM ops.job_history WHERE scope = 'places' AND status = 'completed' ORDER BY started_at"
    assert [slot_at for (slot_at,) in place.base.all(done)] == [at(hour, 0) for hour in runs]
    assert place.marks("watch") == 2
    ledger(f"cron away for 3 hours, catch-up {catch_up}: {', '.join(verdicts[1:])}; {len(runs) - 1} runs made up for")


def test_two_hosts_with_the_same_crontab_have_one_effect_a_slot(place: Place, ledger: Callable[[str], None]) -> None:
    minutes, speed = size(30, 240), 30
    crontab = place.crontab(f"* * * * *  {place.marking('tick')}")
    begin = datetime(2026, 6, 10, 1, 59, 30, tzinfo=UTC)
    end = begin + timedelta(minutes=minutes)
    earlier = begin.replace(hour=0, second=0)
    with (
        Cron(zone="UTC", starts_at=earlier, speed=1, crontab=crontab, host="one") as one,
        Cron(zone="UTC", starts_at=earlier, speed=1, crontab=crontab, host="two") as two,
    ):
        one.stop()
        two.stop()
        one.restart(at=begin, speed=speed)
        two.restart(at=one.now, speed=speed)  # the same moment of both clocks, so that their starts race
        one.run_until(end)
        two.run_until(end)
        one.stop()
        two.stop()
        assert (one.mails, two.mails) == ([], [])
        assert (len(one.starts), len(two.starts)) == (minutes, minutes)
    slots = parse("* * * * *").between(begin, end, UTC)
    shown = place.base.all("SELECT slot_at, verdict, host FROM ops.slots ORDER BY slot_at")
    assert [slot_at for slot_at, _, _ in shown] == slots
    assert {verdict for _, verdict, _ in shown} == {"ran"}
    assert place.marks("tick") == minutes
    ended = place.base.all("SELECT status, count(*)::int FROM ops.job_history GROUP BY status ORDER BY status")
    assert ended == [("completed", minutes), ("skipped", minutes)]
    by_host = Counter(host for _, _, host in shown)
    ledger(
        f"2 hosts, {minutes} minutes: {minutes} slots, {minutes} effects (by host: {by_host['one']}, {by_host['two']})"
    )
