"""The job in this process: what it finds in rows as a sync leaves them, and what it keeps."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from bench_metrics import DAY, HOUR, NOW, Metrics, Repositories
from bench_page import rows
from bench_retry import content_hash
from jobctl.db.connection import Database
from jobctl.errors import ConfigurationError, Interrupted
from jobctl.jobs.metrics import job
from jobctl.runtime.stop import Stop
from jobctl.service_levels import bugs, impacts, pauses, reading, velocity
from jobctl.service_levels.bugs import Rules
from jobctl.service_levels.cycles import Pause
from jobctl.service_levels.facts import Window
from jobctl.service_levels.impacts import Said


@pytest.fixture
def made(conn: psycopg.Connection) -> Repositories:
    return Repositories(conn)


@pytest.fixture
def metrics(database: Database, conn: psycopg.Connection) -> Metrics:
    return Metrics(database, conn)


def facts_of(figures: Any, project: str = "octo/cat") -> Any:
    (found,) = [each["facts"] for each in figures["by_project"] if each["project"] == project]
    return found


# Bugs and revenue ---------------------------------------------------------------------------------------------------


def test_without_projects_it_says_so(metrics: Metrics) -> None:
    outcome = metrics()
    assert outcome.counts["projects"] == 0 and outcome.degraded is False
    assert outcome.notes == ["no project is followed: jobctl project add OWNER/REPO"]


def test_each_example_of_the_page_is_found_by_the_sql_too(made: Repositories, metrics: Metrics) -> None:
    """A project for each example of docs/metrics.md."""
    expected: dict[str, tuple[str, float]] = {}
    for nth, row in enumerate(rows("metrics.md", "Bugs")):
        name = f"octo/example-{nth}"
        project_id = made.project(name)
        labels = [label.strip() for label in row["labels"].split(",") if label.strip()]
        body = (
            f"### What\r\n\r\nno\r\n\r\n### Revenue impact per day\r\n\r\n{row['form field']}\r\n\r\n### Else\r\n\r\n7"
        )
        number = made.issue(project_id, labels=labels, body=body if row["form field"] else "nothing said")
        if row["imported"]:
            impacts.save(made.conn, [Said(project_id, number, Decimal(row["imported"]))])
        if row["bug"] == "yes":
            expected[name] = (row["severity"], float(row["impact a day"]))
    figures = metrics.figures()
    found = {
        each["project"]: next(
            (name, said["per_day"]) for name, said in each["revenue_at_risk"]["by_severity"].items() if said["bugs"]
        )
        for each in figures["by_project"]
    }
    assert found == expected
    assert figures["revenue_at_risk"]["per_day"] == sum(amount for _, amount in expected.values())
    assert figures["revenue_at_risk"]["bugs"] == len(expected)


@pytest.mark.parametrize(
    "body", ["### Revenue impact per day\n\n9", "### A\n### Revenue impact per day\r\n\r\n 9 \n\n### B\n### B", "",
             "### Revenue impact per day\n\n_No response_\n\n### Revenue impact per day\n\n4", "x\n### Revenue impact"],
)  # fmt: skip
def test_a_form_is_read_alike_by_sql_and_by_explain(made: Repositories, body: str) -> None:
    project_id = made.project()
    made.bug(project_id, body=body)
    rules = Rules()
    meanings = {"bug": bugs.meaning(rules, "bug")}
    (found,) = reading.bugs(made.conn, [project_id], Window(NOW, NOW - DAY), meanings, rules.impact_field)
    assert found.form_text == bugs.form_field(rules, body)


def test_which_issues_count_as_open_bugs(made: Repositories, metrics: Metrics) -> None:
    project_id, gone = made.project(), made.project("octo/gone", active=False)
    made.bug(project_id)
    made.bug(project_id, reopened=2)
    made.bug(project_id, closed_at=NOW - HOUR)
    made.bug(project_id, removed_at=NOW - HOUR, removal="deleted")
    made.bug(project_id, removed_at=NOW - HOUR, removal="transferred", moved_to="octo/dog#1")
    made.bug(project_id, "duplicate")
    made.bug(gone)
    made.issue(project_id, labels=["enhancement"])
    made.issue(project_id, labels=["bug"], is_pull=True)
    made.bug(project_id, created_at=NOW + HOUR)
    figures = metrics.figures()
    assert (figures["projects"], figures["revenue_at_risk"]["bugs"]) == (1, 2)


def test_a_past_moment_sees_what_was_open_then(made: Repositories, metrics: Metrics) -> None:
    project_id = made.project()
    made.bug(project_id, created_at=NOW - 3 * DAY, closed_at=NOW - DAY)
    made.bug(project_id, created_at=NOW - 3 * DAY, removed_at=NOW - DAY, removal="deleted")
    made.bug(project_id, created_at=NOW - 3 * DAY, removed_at=NOW - DAY, removal="transferred")
    made.bug(project_id, created_at=NOW - HOUR)
    assert metrics.figures(as_of=NOW - 2 * DAY)["revenue_at_risk"]["bugs"] == 2
    assert metrics.figures()["revenue_at_risk"]["bugs"] == 1


def test_the_trend_is_against_what_was_kept_an_hour_a_day_and_a_week_ago(made: Repositories, metrics: Metrics) -> None:
    cat, dog = made.project(), made.project("octo/dog")
    metrics.now = NOW - 7 * DAY
    made.bug(cat, "impact: 100", created_at=NOW - 8 * DAY)
    assert metrics.figures()["revenue_at_risk"]["trend"] == {
        name: {"before": None, "change": None, "share": None} for name in ("hour", "day", "week")
    }
    metrics.now = NOW - DAY - HOUR  # an hour was missed: the one before it will do
    metrics()
    metrics.now = NOW
    made.bug(dog, "impact: 50", created_at=NOW - HOUR)
    figures = metrics.figures()
    nothing = {"before": None, "change": None, "share": None}
    half = {"before": 100.0, "change": 50.0, "share": 0.5}
    assert figures["revenue_at_risk"]["trend"] == {"hour": nothing, "day": half, "week": half}
    by_severity = {name: of["trend"]["week"] for name, of in figures["revenue_at_risk"]["by_severity"].items()}
    none = {"before": 0.0, "change": 0.0, "share": None}
    assert by_severity == {"low": none, "medium": half, "high": none, "critical": none}
    assert metrics.figures(project_ids=[cat, dog])["revenue_at_risk"]["trend"]["week"] == half
    by_project = {each["project"]: each["revenue_at_risk"]["trend"]["day"] for each in figures["by_project"]}
    assert by_project["octo/cat"] == {"before": 100.0, "change": 0.0, "share": 0.0}
    assert by_project["octo/dog"] == {"before": 0.0, "change": 50.0, "share": None}


# Service levels -----------------------------------------------------------------------------------------------------


def test_goals_of_open_and_of_completed_cycles(made: Repositories, metrics: Metrics) -> None:
    """Critical: an hour to the first response, 24 hours to the resolution, around the clock."""
    project_id = made.project()
    made.bug(project_id, "p0", created_at=NOW - timedelta(minutes=10))
    made.bug(project_id, "p0", created_at=NOW - timedelta(minutes=50), assignees=["ann"])
    late = made.bug(project_id, "p0", created_at=NOW - 30 * HOUR, first_response_at=NOW - 29 * HOUR)
    made.bug(project_id, "p0", created_at=NOW - 40 * HOUR, closed_at=NOW - 39.5 * HOUR)
    made.bug(project_id, "p0", created_at=NOW - 90 * HOUR, closed_at=NOW - 60 * HOUR)
    made.bug(project_id, "p0", created_at=NOW - 50 * DAY, closed_at=NOW - 40 * DAY)
    figures = metrics.figures()
    of_critical = {goal: states["critical"] for goal, states in figures["service_levels"].items()}
    assert of_critical == {
        "first_response": {"on_track": 1, "at_risk": 1, "breached": 0, "met": 2, "missed": 1},
        "resolution": {"on_track": 2, "at_risk": 0, "breached": 1, "met": 1, "missed": 1},
    }
    assert figures["breaches"] == [
        {
            "issue": f"octo/cat#{late}",
            "severity": "critical",
            "goal": "resolution",
            "elapsed_s": 30 * 3_600.0,
            "goal_s": 24 * 3_600.0,
        }
    ]
    assert figures["unassigned_critical"] == 2
    assert facts_of(figures)["sla_met_share"] == 0.5


def test_goals_run_by_the_teams_calendar(made: Repositories, metrics: Metrics) -> None:
    """High: four hours. Opened on Friday evening, seen on Monday at noon: half past three, or none on a holiday."""
    made.bug(made.project(), "p1", created_at=datetime(2026, 6, 5, 16, tzinfo=UTC))
    metrics.timezone = "Europe/Berlin"
    metrics.now = datetime(2026, 6, 8, 10, 30, tzinfo=UTC)

    def first_response() -> str:
        states = metrics.figures()["service_levels"]["first_response"]["high"]
        return next(name for name, number in states.items() if number)

    assert first_response() == "at_risk"
    metrics.service_levels = {"holidays": [date(2026, 6, 8)]}
    assert first_response() == "on_track"
    metrics.service_levels = {"hours": "mon-fri 06:00-17:00"}
    assert first_response() == "breached"
    metrics.service_levels = {"high": {"first_response": "none"}}
    assert sum(metrics.figures()["service_levels"]["first_response"]["high"].values()) == 0


def test_a_pause_is_seen_kept_and_left_out(made: Repositories, metrics: Metrics) -> None:
    """Seen paused from 12:30 to 20:30, so of the critical goal of 24 hours eight are left over."""
    project_id = made.project()
    number = made.bug(project_id, "p0", "on hold", created_at=NOW - HOUR)
    other = made.bug(project_id, "p0", "on hold", created_at=NOW - HOUR)
    assert metrics().counts["pauses"] == 2
    made.conn.execute("UPDATE dev.issues SET node_id = 'another form of ' || node_id")  # as GitHub does now and then
    metrics.now = NOW + HOUR
    assert metrics().counts["pauses"] == 0
    made.change(number, label_ids=sorted(made.label(project_id, name) for name in ("bug", "p0")))
    made.change(other, state="closed", closed_at=NOW + 2 * HOUR)
    metrics.now = NOW + 8 * HOUR
    assert metrics().counts["pauses"] == 2
    assert made.rows("SELECT paused_at, resumed_at FROM dev.issue_pauses") == [(NOW, NOW + 8 * HOUR)] * 2
    metrics.now = NOW + 31 * HOUR
    assert metrics.figures()["breaches"] == [
        {"issue": f"octo/cat#{number}", "severity": "critical", "goal": "first_response", "elapsed_s": 24 * 3_600.0,
         "goal_s": 3_600.0},
    ]  # fmt: skip
    metrics.now = NOW + 32 * HOUR
    assert [each["goal"] for each in metrics.figures()["breaches"]] == ["first_response", "resolution"]


def labelled(made: Repositories, number: int, label_id: int, at: datetime, *, is_added: bool) -> None:
    made.conn.execute("UPDATE dev.labels SET node_id = 'LA_' || label_id WHERE node_id IS NULL")
    made.conn.execute(
        "INSERT INTO dev.label_events (node_id, label_node_id, at, is_added, project_id)"
        " SELECT node_id, 'LA_' || %s, %s, %s, project_id FROM dev.issues WHERE number = %s",
        (label_id, at, is_added, number),
    )


def test_a_past_day_is_judged_by_the_labels_of_that_day(made: Repositories, metrics: Metrics) -> None:
    """Of medium severity until two days ago and critical since; a second one became a bug yesterday, and a third one
    was a bug until yesterday."""
    project_id = made.project()
    first = made.bug(project_id, "p0", created_at=NOW - 10 * DAY)
    second = made.bug(project_id, "p1", created_at=NOW - 10 * DAY)
    third = made.issue(project_id, created_at=NOW - 10 * DAY)
    bug, medium, critical, high = (made.label(project_id, name) for name in ("bug", "p2", "p0", "p1"))
    labelled(made, first, medium, NOW - 10 * DAY, is_added=True)
    labelled(made, first, medium, NOW - 2 * DAY, is_added=False)
    labelled(made, first, critical, NOW - 2 * DAY, is_added=True)
    labelled(made, second, bug, NOW - 1 * DAY, is_added=True)
    labelled(made, second, high, NOW - 10 * DAY, is_added=True)
    labelled(made, third, bug, NOW - 9 * DAY, is_added=True)
    labelled(made, third, bug, NOW - 1 * DAY, is_added=False)

    def bugs_by_severity(**options: Any) -> dict[str, int]:
        said = metrics.figures(**options)["revenue_at_risk"]["by_severity"]
        return {name: each["bugs"] for name, each in said.items() if each["bugs"]}

    assert bugs_by_severity() == {"critical": 1, "high": 1}
    assert bugs_by_severity(as_of=NOW - 36 * HOUR) == {"critical": 1, "medium": 1}  # the first, and the third
    assert bugs_by_severity(as_of=NOW - 3 * DAY) == {"medium": 2}
    assert bugs_by_severity(as_of=NOW - 9 * DAY - HOUR) == {"medium": 1}


def test_a_past_day_counts_what_had_no_label_on_that_day(made: Repositories, metrics: Metrics) -> None:
    """One got its only label yesterday, one lost its only one then, which is deleted since; the third one had another
    one all the time."""
    project_id = made.project()
    got = made.issue(project_id, labels=["docs"], created_at=NOW - 10 * DAY)
    lost = made.issue(project_id, created_at=NOW - 10 * DAY)
    kept = made.issue(project_id, labels=["docs", "api"], created_at=NOW - 10 * DAY)
    docs = made.label(project_id, "docs")
    labelled(made, got, docs, NOW - DAY, is_added=True)
    labelled(made, kept, docs, NOW - DAY, is_added=True)
    labelled(made, lost, 4_711, NOW - 9 * DAY, is_added=True)
    labelled(made, lost, 4_711, NOW - DAY, is_added=False)

    def unlabelled(**options: Any) -> int:
        return round(facts_of(metrics.figures(project_ids=[project_id], **options))["unlabelled_share"] * 3)

    assert unlabelled() == 1  # the second
    assert unlabelled(as_of=NOW - 2 * DAY) == 1  # the first
    made.conn.execute("DELETE FROM dev.label_events WHERE NOT is_added")
    assert unlabelled(as_of=NOW - 2 * DAY) == 2


def assigned(made: Repositories, number: int, login: str, at: datetime, *, is_added: bool) -> None:
    made.conn.execute(
        "INSERT INTO dev.assignee_events (node_id, login, at, is_added, project_id)"
        " SELECT node_id, %s, %s, %s, project_id FROM dev.issues WHERE number = %s",
        (login, at, is_added, number),
    )


def test_a_past_day_knows_whose_a_bug_was_on_that_day(made: Repositories, metrics: Metrics) -> None:
    """The first is nobody's until a day ago; the second was handed on then; the third is nobody's since; of the last
    one GitHub told nothing."""
    project_id = made.project()
    first, second, third, _ = (
        made.bug(project_id, "p0", created_at=NOW - 10 * DAY, assignees=names)
        for names in (["ann", "bob"], ["bob"], [], ["ann"])
    )
    for login in ("ann", "bob"):
        assigned(made, first, login, NOW - DAY, is_added=True)
    assigned(made, second, "ann", NOW - 9 * DAY, is_added=True)
    assigned(made, second, "ann", NOW - DAY, is_added=False)
    assigned(made, second, "bob", NOW - DAY, is_added=True)
    assigned(made, third, "ann", NOW - 8 * DAY, is_added=True)
    assigned(made, third, "ann", NOW - DAY, is_added=False)

    def unassigned(**options: Any) -> int:
        return metrics.figures(**options)["unassigned_critical"]

    assert unassigned() == 1  # the third
    assert unassigned(as_of=NOW - 2 * DAY) == 1  # the first
    assert unassigned(as_of=NOW - 8.5 * DAY) == 2  # and the third
    assert unassigned(as_of=NOW - 9.5 * DAY) == 3  # and the second


def test_pauses_are_those_that_github_tells_where_it_tells_any(made: Repositories) -> None:
    project_id = made.project()
    told, seen = (made.bug(project_id, "p0", "on hold", created_at=NOW - 10 * DAY) for _ in range(2))
    hold, other = made.label(project_id, "on hold"), made.label(project_id, "awaiting response")
    for number in (told, seen):
        made.conn.execute(
            "INSERT INTO dev.issue_pauses (node_id, project_id, paused_at) VALUES (%s, %s, %s)",
            (f"I_{number}", project_id, NOW - 4 * DAY),
        )
    labelled(made, told, hold, NOW - 8 * DAY, is_added=True)
    labelled(made, told, hold, NOW - 7 * DAY, is_added=False)
    labelled(made, told, hold, NOW - 5 * DAY, is_added=True)
    labelled(made, told, other, NOW - 6 * DAY, is_added=False)  # when it was put on is not known
    found = pauses.of_projects(made.conn, [project_id], NOW, ["on hold", "awaiting response"])
    assert found == {
        f"I_{told}": [Pause(NOW - 8 * DAY, NOW - 7 * DAY), Pause(NOW - 5 * DAY, None)],
        f"I_{seen}": [Pause(NOW - 4 * DAY, None)],
    }
    then = pauses.of_projects(made.conn, [project_id], NOW - 6 * DAY, ["on hold"])
    assert then == {f"I_{told}": [Pause(NOW - 8 * DAY, NOW - 7 * DAY)]}


def test_a_region_that_is_not_known_is_a_fault_of_the_settings(metrics: Metrics) -> None:
    metrics.service_levels = {"region": "XX"}
    with pytest.raises(ConfigurationError, match="names the region 'XX'"):
        metrics()


# Velocity -----------------------------------------------------------------------------------------------------------


def at(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


@pytest.mark.parametrize("row", rows("metrics.md", "Stages"), ids=lambda row: row["case"])
def test_stages_by_sql_are_those_of_the_page(made: Repositories, metrics: Metrics, row: dict[str, str]) -> None:
    project_id = made.project()
    opened, merged = datetime.fromisoformat(row["opened"]), datetime.fromisoformat(row["merged"])
    review = at(row["first review"])
    number = made.pull(
        project_id, opened_at=opened, merged_at=merged, first_commit_at=at(row["first commit"]),
        ready_at=at(row["ready"]), first_review_at=review,
    )  # fmt: skip
    made.review(project_id, number, "ann", opened)  # the author's own, and a bot's, are none
    made.review(project_id, number, "lint[bot]", opened, is_bot=True)
    made.pull(project_id, opened_at=opened, merged_at=merged, first_commit_at=opened - DAY, author_is_bot=True)
    facts = facts_of(metrics.figures(project_ids=[project_id]))
    for stage in ("coding", "pickup", "review", "cycle"):
        expected = float(row[f"{stage} h"]) if row[f"{stage} h"] else None
        assert facts[f"{stage}_h"] == facts[f"{stage}_p90_h"] == expected


def test_pace_of_projects_of_teams_and_of_all(made: Repositories, metrics: Metrics) -> None:
    cat, dog, owl = made.project(team="pets"), made.project("octo/dog", team="pets"), made.project("octo/owl")
    monday = velocity.week_starts(NOW, UTC)[-1]
    for project_id, hours, lines in ((cat, 2, 10), (dog, 4, 30), (owl, 60, 500)):
        merged_at = monday - DAY
        made.pull(
            project_id, opened_at=merged_at - HOUR, merged_at=merged_at, first_commit_at=merged_at - hours * HOUR,
            lines=lines,
        )  # fmt: skip
        for _ in range(hours):
            made.bug(project_id, created_at=NOW - 20 * DAY, closed_at=merged_at)
    made.bug(cat, created_at=NOW - 20 * DAY, closed_at=monday - DAY, state_reason="not_planned")
    made.bug(cat, created_at=NOW - 20 * DAY, closed_at=monday + HOUR)  # this week is not over
    pace = metrics.figures()["velocity"]
    assert pace["teams"].keys() == {"pets"}
    pets, all_ = pace["teams"]["pets"], pace["all"]
    assert (pets["cycle_h"], pets["cycle_p90_h"], pets["size"], pets["size_p90"]) == (3.0, 3.8, 20.0, 28.0)
    assert (pets["merged_per_week"], all_["merged_per_week"]) == (0.5, 0.75)
    assert (all_["cycle_h"], all_["resolved_median_4"], all_["resolved_median_12"]) == (4.0, 0.0, 0.0)
    weekly = [monday - timedelta(weeks=back) + DAY for back in (1, 2, 3)]
    for closed_at in weekly:
        for _ in range(2):
            made.bug(owl, created_at=NOW - 40 * DAY, closed_at=closed_at)
    assert metrics.figures()["velocity"]["all"]["resolved_median_4"] == 2.0


# Health -------------------------------------------------------------------------------------------------------------


def test_what_a_projects_health_is_made_of(made: Repositories, metrics: Metrics) -> None:
    project_id = made.project()
    old, due = NOW - 100 * DAY, NOW - 5 * DAY
    made.issue(project_id, created_at=due, first_response_at=due + 10 * HOUR, closed_at=due + DAY)
    made.issue(project_id, created_at=due, first_response_at=due + 30 * HOUR, labels=["x"])
    made.issue(project_id, created_at=due)
    made.issue(project_id, created_at=NOW - HOUR)
    made.issue(project_id, created_at=due, author_is_bot=True)
    made.issue(project_id, created_at=old, labels=["x"])
    made.pull(project_id, opened_at=NOW - 20 * DAY)
    made.pull(project_id, opened_at=NOW - HOUR)
    made.commits(project_id, "ann", 5)
    made.commits(project_id, "rob", 3)
    made.commits(project_id, "eve", 3, at=old)
    made.commits(project_id, "ci[bot]", 9, author_is_bot=True)
    facts = facts_of(metrics.figures(project_ids=[project_id]))
    names = ("first_response_h", "unanswered_share", "closure_ratio", "absence_factor", "active_people")
    assert [facts[name] for name in names] == [20.0, 0.5, round(1 / 6, 4), 2, 2]
    assert (facts["stale_issue_share"], facts["stale_pull_share"], facts["unlabelled_share"]) == (0.25, 0.5, 0.5)
    assert facts["days_since_commit"] == 1.0


def test_what_was_never_fetched_is_not_known_and_what_is_not_there_is(made: Repositories, metrics: Metrics) -> None:
    unknown, nobody = made.project(), made.project("octo/dog")
    made.conn.execute(
        "INSERT INTO dev.sync_cursors (project_id, stream, position) VALUES (%s, 'commits', '{}')", (nobody,)
    )
    figures = metrics.figures(project_ids=[unknown, nobody])
    facts = facts_of(figures)
    assert "active_people" not in facts and facts["sla_met_share"] is None
    assert [facts_of(figures, "octo/dog")[name] for name in ("active_people", "absence_factor")] == [0, None]
    assert figures["health"]["unknown"] == 2


# What is kept -------------------------------------------------------------------------------------------------------

KEPT = """
SELECT (SELECT array_agg(hour ORDER BY hour) FROM dev.metric_hours),
    (SELECT array_agg((hour, project_id, bugs, per_day)::text ORDER BY hour, project_id) FROM dev.project_hours),
    (SELECT array_agg((project_id, day, facts, health)::text ORDER BY day, project_id) FROM dev.project_days)
"""


def test_an_hour_and_a_day_have_one_row_each_of_the_last_run(made: Repositories, metrics: Metrics) -> None:
    cat, dog = made.project(), made.project("octo/dog")
    number = made.bug(cat, "impact: 7")
    made.bug(dog, "p0")
    metrics()
    metrics.now = NOW + timedelta(minutes=5)
    made.change(number, state="closed", closed_at=NOW)
    outcome = metrics()
    assert (outcome.counts["project_hours"], outcome.counts["project_days"]) == (1, 2)
    hour = NOW.replace(minute=0)
    assert made.rows("SELECT hour, computed_at, (figures->'revenue_at_risk'->>'bugs')::int FROM dev.metric_hours") == [
        (hour, metrics.now, 1)
    ]
    assert made.rows("SELECT project_id, bugs, per_day FROM dev.project_hours") == [
        (dog, [0, 0, 0, 1], [Decimal("0.00")] * 3 + [Decimal("2500.00")])
    ]
    assert made.rows("SELECT project_id, day, (facts->>'open_bugs')::int FROM dev.project_days ORDER BY 1") == [
        (cat, NOW.date(), 0),
        (dog, NOW.date(), 1),
    ]
    assert metrics().counts["project_days"] == 0
    assert made.rows("SELECT count(*) FROM dev.metric_rules") == [(1,)]
    metrics.metrics = {"default_severity": "low"}
    metrics()
    assert made.rows("SELECT count(*) FROM dev.metric_rules") == [(2,)]


def test_a_dry_run_counts_as_the_run_that_follows_and_writes_nothing(made: Repositories, metrics: Metrics) -> None:
    for name in ("octo/cat", "octo/dog"):
        made.bug(made.project(name), "p0", "on hold")
    before = content_hash(made.conn)
    kept = made.rows(KEPT)
    dry = metrics(dry_run=True)
    assert made.rows(KEPT) == kept and [line for line in content_hash(made.conn) if "locks" not in line] == [
        line for line in before if "locks" not in line
    ]
    wet = metrics()
    assert (dry.counts, dry.metrics, dry.evidence) == (wet.counts, wet.metrics, wet.evidence)
    assert wet.counts["project_hours"] == wet.counts["project_days"] == wet.counts["pauses"] == 2


def test_the_past_fills_in_what_is_missing_and_changes_nothing(made: Repositories, metrics: Metrics) -> None:
    project_id = made.project()
    made.bug(project_id, created_at=NOW - 9 * DAY)
    metrics()
    kept = made.rows(KEPT)
    made.bug(project_id, created_at=NOW - 9 * DAY)
    metrics.now = NOW + HOUR
    assert metrics(as_of=NOW).counts["open_bugs"] == 2
    assert made.rows(KEPT) == kept
    outcome = metrics(as_of=NOW - 5 * DAY)
    assert (outcome.counts["project_hours"], outcome.counts["project_days"], outcome.counts["pruned"]) == (1, 1, 0)
    assert len(made.rows("SELECT FROM dev.metric_hours")) == 2


def test_some_projects_alone_keep_theirs_and_no_total(made: Repositories, metrics: Metrics) -> None:
    cat, dog = made.project(), made.project("octo/dog")
    for project_id in (cat, dog):
        made.bug(project_id)
    figures = metrics.figures(project_ids=[dog])
    assert [each["project"] for each in figures["by_project"]] == ["octo/dog"]
    assert made.rows("SELECT project_id FROM dev.project_hours") == [(dog,)]
    assert made.rows("SELECT FROM dev.metric_hours") == []


def test_what_is_past_its_time_is_pruned(made: Repositories, metrics: Metrics) -> None:
    made.bug(made.project(), created_at=NOW - 900 * DAY)
    pruned: list[int] = []
    for back in (900, 20, 0):
        metrics.now = NOW - back * DAY
        pruned.append(metrics().counts["pruned"])
    assert pruned == [0, 3, 1]  # after 800 days all three rows, after 15 the project's hour
    assert made.rows("SELECT count(*) FROM dev.metric_hours") == [(2,)]
    assert made.rows("SELECT count(*) FROM dev.project_hours") == [(1,)]
    assert made.rows("SELECT count(*) FROM dev.project_days") == [(2,)]


def test_a_project_that_is_removed_meanwhile_is_passed_over(
    made: Repositories, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    cat, dog = made.project(), made.project("octo/dog")
    for project_id in (cat, dog):
        made.bug(project_id, "on hold")
    judge = job.judge

    def removing(*args: Any) -> Any:
        made.conn.execute("DELETE FROM dev.projects WHERE project_id = %s", (dog,))
        return judge(*args)

    monkeypatch.setattr(job, "judge", removing)
    assert metrics().counts["project_days"] == 1
    for table in ("project_hours", "project_days", "issue_pauses"):
        assert made.rows(f"SELECT project_id FROM dev.{table}") == [(cat,)]


def test_a_run_that_ends_halfway_leaves_an_hour_that_no_trend_looks_at(
    made: Repositories, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "PAGE", 1)
    for name in ("octo/cat", "octo/dog", "octo/owl"):
        made.bug(made.project(name))
    stop = Stop()
    pages: list[int] = []
    judge = job.judge

    def judged(*args: Any) -> Any:
        pages.append(1)
        if len(pages) == 2:
            stop.request(Interrupted("stopped", signal_number=15))
        return judge(*args)

    monkeypatch.setattr(job, "judge", judged)
    metrics.now = NOW - HOUR
    with pytest.raises(Interrupted):
        metrics(stop=stop)
    assert len(made.rows("SELECT FROM dev.project_hours")) == 2
    monkeypatch.setattr(job, "judge", judge)
    metrics.now = NOW
    figures = metrics.figures()
    assert figures["revenue_at_risk"]["trend"]["hour"]["before"] is None
    assert figures["revenue_at_risk"]["bugs"] == 3


# Alerts -------------------------------------------------------------------------------------------------------------


def test_what_is_critical_is_told_once_a_project_and_is_over_when_it_is_not_found_any_more(
    made: Repositories, metrics: Metrics
) -> None:
    cat, dog = made.project("octo/cat"), made.project("octo/dog")
    metrics.service_levels = {"critical": {"resolution": "4h", "around_the_clock": True}}
    metrics.metrics = {"default_impact": {"critical": 7_000}}
    old = made.bug(cat, "severity: critical", created_at=NOW - 2 * DAY)
    young = made.bug(cat, "severity: critical", created_at=NOW - 5 * HOUR)
    made.bug(dog, "severity: critical", created_at=NOW - HOUR / 2, assignees=["ann"])
    metrics()
    assert metrics.firing() == {
        ("sla-breach", "octo/cat"): f"octo/cat: 2 critical bugs breached the SLA: #{old}, #{young}",
        ("bug-unassigned", "octo/cat"): f"octo/cat#{old}: a critical bug is nobody's, 2d after it was opened",
        ("revenue-at-risk", "revenue"): "open bugs cost 21,000 USD a day",
    }
    (breach,) = [each for each in metrics.told if each.condition == "sla-breach"]
    assert (f"#{old} resolution", "48.0 h, the goal is 4.0 h") in breach.facts
    made.conn.execute("UPDATE dev.issues SET state = 'closed', closed_at = %s WHERE number = %s", (NOW, old))
    made.conn.execute("UPDATE dev.issues SET assignees = '{ann}' WHERE number = %s", (young,))
    metrics()
    assert set(metrics.firing()) == {("sla-breach", "octo/cat"), ("revenue-at-risk", "revenue")}
    metrics(project_ids=[cat])
    assert metrics.told == []
    metrics(as_of=NOW - HOUR)
    assert metrics.told == []
