"""The week, the words and the links of the report."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from bench_report import LINKS, PAGES, WEEK, a_report, figures, is_week, project_of
from jobctl.reports import decisions, words
from jobctl.reports.links import COMMANDS, github_pages
from jobctl.reports.model import Risk, Some
from jobctl.reports.week import last_full, parse_week, week_of


@pytest.mark.parametrize(
    ("now", "zone", "name"),
    [
        ("2026-11-23T08:00Z", "UTC", "2026-W47"),
        ("2026-11-23T00:30+01:00", "Europe/Berlin", "2026-W47"),  # in UTC it is Sunday still
        ("2026-11-22T23:59+01:00", "Europe/Berlin", "2026-W46"),
        ("2027-01-04T09:00Z", "UTC", "2026-W53"),
        ("2026-01-05T09:00Z", "UTC", "2026-W01"),
    ],
)
def test_the_last_full_week_is_that_of_the_teams_zone(now: str, zone: str, name: str) -> None:
    assert last_full(datetime.fromisoformat(now), ZoneInfo(zone)).name == name


def test_a_week_begins_and_ends_at_the_zones_midnight_also_where_the_clocks_change() -> None:
    zone = ZoneInfo("Europe/Berlin")
    spring, autumn = parse_week("2026-W13", zone), parse_week("2026-W43", zone)
    assert (spring.monday, spring.sunday) == (date(2026, 3, 23), date(2026, 3, 29))
    assert spring.end - spring.start == timedelta(hours=7 * 24 - 1)
    assert autumn.end - autumn.start == timedelta(hours=7 * 24 + 1)
    assert autumn.before(30) == spring
    for day in (date(2025, 12, 29) + timedelta(days=nth) for nth in range(0, 800, 3)):
        week = week_of(day, zone)
        assert is_week(week) and week.monday <= day <= week.sunday and parse_week(week.name, zone) == week


@pytest.mark.parametrize("text", ["2026-W54", "2025-W53", "W47", "2026-11-18", "2026-W00", "0000-W01", "", "9999-W53 "])
def test_what_is_no_week_is_refused(text: str) -> None:
    with pytest.raises((ValueError, OverflowError)):
        parse_week(text, UTC)


@pytest.mark.parametrize(
    ("share", "said"),
    [(0.99499, "99.4 %"), (0.995, "99.5 %"), (1.0, "100 %"), (0.0, "0 %"), (None, "not known"), (0.29, "29 %")],
)
def test_a_share_is_never_rounded_up_to_its_goal(share: float | None, said: str) -> None:
    assert words.percent(share) == said


def test_what_a_stranger_wrote_becomes_one_line_without_what_cannot_be_seen() -> None:
    assert words.one_line("a\r\nBcc: eve@example.org\u2028b\x00c\x1b[31m") == "a Bcc: eve@example.org b c [31m"
    assert words.one_line("safe\u202egpj.exe\u200b") == "safegpj.exe"
    assert words.one_line("x" * 500) == "x" * 89 + "…"


def test_words_of_numbers_and_spans() -> None:
    assert [words.span(each) for each in (0, 59, 3_600, 90_000, 172_800, 90 * 86_400)] == [
        "0 s",
        "59 s",
        "1 h",
        "25 h",
        "2 d",
        "90 d",
    ]
    assert [words.number(each) for each in (None, 3.0, 2.25, 1_234.56)] == ["not known", "3", "2.2", "1,234.6"]
    assert [words.change(each) for each in (0.18, -0.034, 0.001)] == ["+18 %", "-3 %", "no change"]
    assert words.days(date(2026, 12, 28), date(2027, 1, 3)) == "28 Dec 2026 to 3 Jan 2027"
    assert words.days(date(2026, 11, 16), date(2026, 11, 22)) == "16 to 22 Nov 2026"


@pytest.mark.parametrize(
    "name",
    [
        "octo/..",
        "octo",
        "octo/cat/../dog",
        "a b/c",
        "javascript:alert(1)/x",
        "octo/cat?x",
        "//evil.example/x",
        "octo/cat#1",
        "",
    ],
)
def test_what_is_no_name_of_a_repository_gets_no_link(name: str) -> None:
    assert LINKS.project(name) is None and LINKS.issue(name, 1) is None and LINKS.pull(name, 1) is None


def test_numbers_lead_to_github_to_the_teams_page_or_name_the_command() -> None:
    assert LINKS.issue("octo/cat", 12) == "https://github.com/octo/cat/issues/12"
    assert LINKS.pull("octo/cat", 12) == "https://github.com/octo/cat/pull/12"
    assert (LINKS.about("jobs").url, LINKS.about("jobs").command) == (None, "jobctl slots --since 2026-11-16")
    assert PAGES.about("service-levels").url == "https://ops.example.org/jobctl/service-levels"
    assert LINKS.about("health").command == "jobctl metrics health OWNER/REPO --as-of 2026-11-22"
    assert all(LINKS.about(each).command.startswith("jobctl ") for each in COMMANDS)


def test_the_pages_stand_beside_the_api() -> None:
    assert github_pages("https://api.github.com") == "https://github.com"
    assert github_pages("https://git.example.org/api/v3") == "https://git.example.org"
    assert github_pages("http://127.0.0.1:8080/") == "http://127.0.0.1:8080"


def test_the_subject_has_the_one_most_important_fact() -> None:
    quiet = a_report(unassigned=0, bugs=Some((), 0), projects=(), jobs=())
    assert decisions.subject(a_report()) == "Week 47: 4 critical bugs are nobody's"
    assert decisions.subject(quiet) == "Week 47: revenue at risk up 18 % to 12,750 USD a day"
    calm = a_report(unassigned=0, projects=(), jobs=(), figures=figures(risk=Risk(100.0, 3, 99.0), goals=()))
    assert decisions.subject(calm) == "Week 47: revenue at risk 100 USD a day, 3 open bugs"
    assert decisions.subject(a_report(unassigned=0, figures=None)) == "Week 47: no figures were kept"
    long = a_report(
        unassigned=0,
        figures=figures(risk=Risk(1.0, 1, 1.0)),
        projects=(project_of("octo/" + "x" * 100, "critical", "healthy"),),
    )
    assert len(decisions.subject(long)) <= 120 and "\n" not in decisions.subject(long)


def test_decisions_begin_with_what_presses_and_are_few() -> None:
    asked = decisions.decisions(a_report())
    assert asked[0].said.startswith("Who takes octo/project-0#100? A critical bug, nobody's for 27 h:")
    assert asked[0].is_pressing and len(asked) == decisions.MOST
    assert decisions.decisions(a_report(figures=None))[2].said.startswith("No figures of engineering were kept")


def test_a_week_without_anything_wrong_asks_for_nothing() -> None:
    from jobctl.reports.model import Queue, Sync

    calm = a_report(
        figures=figures(risk=Risk(0.0, 0, 0.0), goals=()),
        unassigned=0,
        bugs=Some((), 0),
        pulls=Some((), 0),
        projects=(project_of("octo/cat", "healthy", "healthy"),),
        branches=(),
        jobs=(),
        incidents=Some((), 0),
        queue=Queue(0, 0, 0, 0, None, 0),
        sync=Sync(0, 0, 0, None),
    )
    assert decisions.decisions(calm) == []
    assert WEEK.name == "2026-W47"


def test_a_projects_name_is_never_written_with_a_capital_that_it_has_not() -> None:
    """The fact begins a sentence of the page, too."""
    calm = figures(risk=Risk(100.0, 1, 100.0))
    sunk = a_report(unassigned=0, figures=calm, projects=(project_of("octo/cat", "critical", "healthy"),))
    assert decisions.headline(sunk) == "health of octo/cat became critical"
