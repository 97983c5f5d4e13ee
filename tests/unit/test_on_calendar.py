"""OnCalendar names the minutes that the cron expression names, by our own reading of it and by systemd's."""

import re
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobctl.schedule.expression import Expression, ExpressionError, parse
from jobctl.schedule.on_calendar import on_calendar
from jobctl.schedule.plan import PLAN

SYSTEMD_ANALYZE = shutil.which("systemd-analyze")
BEGIN = datetime(2026, 1, 30, 22, 58, tzinfo=UTC)
EXPRESSIONS = (
    *(str(entry.at) for entry in PLAN),
    *("* * * * *", "*/5 * * * *", "7-59/10 8-18 * * 1-5", "0 9 1 * *", "0 9 1 * 1", "0 0 */2 * 1", "30 4 29 2 *"),
    *("15,45 */6 1-7 jan,jul *", "0 12 * * sun", "0 12 * * 7", "0 12 * * 5-7", "1-59/2 0-23 * * *", "59 23 31 12 *"),
    *("2-20/6 1-9/4 * 2-8/3 *", "0 0 3-13/5 * 1-3"),
)
needs_systemd = pytest.mark.skipif(SYSTEMD_ANALYZE is None, reason="not on this platform: systemd-analyze")
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def numbers(field: str, highest: int) -> set[int]:
    """A field of OnCalendar, after systemd.time(7)."""
    found: set[int] = set()
    for part in field.split(","):
        first, to, last = part.partition("..")
        start, slash, step = part.partition("/")
        if part == "*":
            found |= set(range(highest + 1))
        elif to:
            found |= set(range(int(first), int(last) + 1))
        elif slash:
            found |= set(range(int(start), highest + 1, int(step)))
        else:
            found.add(int(part))
    return found


def matches(event: str, moment: datetime) -> bool:
    match = re.fullmatch(r"(?:([A-Za-z,]+) )?\*-(\S+)-(\S+) (\S+):(\S+):00", event)
    assert match is not None, event
    weekdays, month, day, hour, minute = match.groups()
    return (
        (weekdays is None or WEEKDAYS[moment.weekday()] in weekdays.split(","))
        and moment.month in numbers(month, 12)
        and moment.day in numbers(day, 31)
        and moment.hour in numbers(hour, 23)
        and moment.minute in numbers(minute, 59)
    )


def field(lowest: int, highest: int) -> st.SearchStrategy[str]:
    value = st.integers(lowest, highest)
    span = st.tuples(value, value).map(lambda pair: f"{min(pair)}-{max(pair)}")
    step = st.integers(1, 12).map(lambda step: f"*/{step}")
    stepped = st.tuples(span, st.integers(1, 7)).map(lambda pair: f"{pair[0]}/{pair[1]}")
    one = st.one_of(value.map(str), span, stepped)
    return st.one_of(st.just("*"), step, st.lists(one, min_size=1, max_size=3).map(",".join))


@st.composite
def expressions(draw: st.DrawFn) -> Expression | None:
    text = " ".join(draw(field(*limits)) for limits in ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6)))
    try:
        return parse(text)
    except ExpressionError:  # the 30th of February
        return None


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_it_names_the_minutes_that_the_expression_names(text: str) -> None:
    _agree(parse(text), BEGIN, timedelta(days=40))


@settings(max_examples=60, deadline=None)
@given(expressions(), st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1)))  # noqa: DTZ001 - a zone is given below
def test_it_does_so_for_any_expression(expression: Expression | None, begin: datetime) -> None:
    if expression is not None:
        _agree(expression, begin.replace(second=0, microsecond=0, tzinfo=UTC), timedelta(days=2))


def _agree(expression: Expression, begin: datetime, length: timedelta) -> None:
    events = on_calendar(expression)
    minutes = (begin + timedelta(minutes=number) for number in range(1, int(length.total_seconds() // 60) + 1))
    named = [minute for minute in minutes if any(matches(event, minute) for event in events)]
    assert named == expression.between(begin, begin + length, UTC), events


def by_systemd(event: str, begin: datetime, count: int) -> list[datetime]:
    done = subprocess.run(
        [
            str(SYSTEMD_ANALYZE),
            "calendar",
            f"--iterations={count}",
            f"--base-time={begin:%Y-%m-%d %H:%M:%S} UTC",
            event,
        ],
        env={"TZ": "UTC", "PATH": "/usr/bin:/bin", "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.findall(r"(?:Next elapse|Iter\. #\d+): \w+ ([\d-]+ [\d:]+) UTC", done.stdout)
    assert len(found) == count, done.stdout
    return [datetime.fromisoformat(f"{at}+00:00") for at in found]


@needs_systemd
@pytest.mark.parametrize("text", EXPRESSIONS)
def test_systemd_reads_it_so_too(text: str) -> None:
    elapses: set[datetime] = set()
    for event in on_calendar(parse(text)):
        elapses |= set(by_systemd(event, BEGIN, 30))
    slots = parse(text).after(BEGIN, UTC)
    assert sorted(elapses)[:30] == [next(slots) for _ in range(30)]


@needs_systemd
def test_where_the_clocks_change_systemd_leaves_out_what_cron_makes_up_for() -> None:
    """As on_calendar and ops/scheduling.md say: of a later systemd that does better, this test tells."""
    zone = ZoneInfo("Europe/Berlin")
    gap, repeated = datetime(2026, 3, 28, 20, tzinfo=UTC), datetime(2026, 10, 24, 23, 30, tzinfo=UTC)
    nightly, hourly = parse("30 2 * * *"), parse("0 * * * *")
    (event,) = on_calendar(nightly)
    assert nightly.next_after(gap, zone) == datetime(2026, 3, 29, 1, tzinfo=UTC)
    assert by_systemd(f"{event} Europe/Berlin", gap, 1) == [datetime(2026, 3, 30, 0, 30, tzinfo=UTC)]
    (event,) = on_calendar(hourly)
    slots = hourly.after(repeated, zone)
    assert [next(slots).hour for _ in range(3)] == [0, 1, 2]
    assert [at.hour for at in by_systemd(f"{event} Europe/Berlin", repeated, 2)] == [0, 2]


@pytest.mark.parametrize(
    ("text", "events"),
    [
        ("0 * * * *", ("*-*-* *:00:00",)),
        ("*/5 * * * *", ("*-*-* *:00/5:00",)),
        ("0 2 * * *", ("*-*-* 02:00:00",)),
        ("0 9 * * 1", ("Mon *-*-* 09:00:00",)),
        ("0 9-17 * * 1-5", ("Mon,Tue,Wed,Thu,Fri *-*-* 09..17:00:00",)),
        ("0 9 1 * 1", ("*-*-01 09:00:00", "Mon *-*-* 09:00:00")),
    ],
)
def test_it_is_written_as_a_person_would(text: str, events: tuple[str, ...]) -> None:
    assert on_calendar(parse(text)) == events
