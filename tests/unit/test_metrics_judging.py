"""From facts to figures: what is told of all bugs together is what is explained of each, and each counts once."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from jobctl.jobs.metrics.figures import MOST_TOLD, Totals
from jobctl.jobs.metrics.judging import COMPLETED_WITHIN, Facts, Page, Rulers, judge, responded_at
from jobctl.jobs.metrics.tallies import GOALS
from jobctl.service_levels import bugs
from jobctl.service_levels.bugs import SEVERITIES, Rules
from jobctl.service_levels.cycles import Pause, State, cycle
from jobctl.service_levels.facts import Bug, Flow, Known, Merged, People
from jobctl.service_levels.goals import DEFAULT_GOALS, Definitions, Office
from jobctl.service_levels.velocity import week_starts

NOW = datetime(2026, 6, 10, 12, 30, tzinfo=UTC)
KINDS = Definitions(Rules(), DEFAULT_GOALS, Office(UTC)).kinds()
RULERS = Rulers(NOW, Rules(), KINDS, week_starts(NOW, UTC))
CAT = Known(1, "octo/cat", "pets", NOW - timedelta(days=900))
LONG_AGO = NOW - timedelta(days=120)

before_now = st.integers(0, 119 * 86_400).map(lambda seconds: LONG_AGO + timedelta(seconds=seconds))
amounts = st.integers(0, 10_000).map(Decimal)


@st.composite
def made_bugs(draw: st.DrawFn) -> list[Bug]:
    made: list[Bug] = []
    for number in range(1, draw(st.integers(0, 12)) + 1):
        created = draw(before_now)
        later = before_now.map(lambda moment, created=created: max(moment, created))
        made.append(
            Bug(
                f"I_{number}", draw(st.sampled_from([1, 2])), number, created, draw(st.none() | later),
                draw(st.none() | later), draw(st.booleans()), draw(st.booleans()),
                draw(st.none() | st.integers(0, 3)), draw(st.none() | amounts), draw(st.booleans()),
                draw(st.none() | st.sampled_from(["7", "1.500", "_No response_"])), draw(st.none() | amounts),
            )
        )  # fmt: skip
    return made


def page_of(made: list[Bug], pauses: dict[str, list[Pause]]) -> Page:
    return judge([CAT, CAT._replace(project_id=2, full_name="octo/dog")], Facts(made, [], [], [], pauses), RULERS)


@settings(max_examples=40)
@given(made_bugs(), st.lists(st.tuples(before_now, st.none() | before_now), max_size=3), st.randoms())
def test_all_together_are_what_each_is_by_itself(
    made: list[Bug], paused: list[tuple[datetime, datetime | None]], rng: random.Random
) -> None:
    pauses = {bug.node_id: [Pause(*each) for each in paused] for bug in made if rng.random() < 0.5}
    states: Counter[tuple[str, str, str]] = Counter()
    breaches: set[tuple[int, str]] = set()
    total = Decimal(0)
    for bug in made:
        verdict = bugs.judge(RULERS.rules, bug.severity, bug.label_impact, bug.form_text, bug.imported)
        total += verdict.impact if bug.closed_at is None else 0
        kind = KINDS[verdict.severity]
        answered = responded_at(bug.first_response_at, bug.closed_at)
        for name, goal, stop in zip(
            GOALS, (kind.first_response, kind.resolution), (answered, bug.closed_at), strict=True
        ):
            if goal is not None and (stop is None or stop >= NOW - COMPLETED_WITHIN):
                state = cycle(kind.working, goal, bug.created_at, stop, NOW, pauses.get(bug.node_id, [])).state
                states[name, SEVERITIES[verdict.severity], state.value] += 1
                if state is State.BREACHED:
                    breaches.add((bug.number, name))
    page = page_of(made, pauses)
    totals = Totals(RULERS.starts, all_projects=True)
    totals.take(page)
    told = totals.levels.as_json()
    assert {
        (goal, severity, state): number
        for goal, by_severity in told.items()
        for severity, by_state in by_severity.items()
        for state, number in by_state.items()
        if number
    } == dict(states)
    assert {(each.number, each.goal) for each in page.breaches} == breaches
    assert totals.at_risk.total == total == sum((each.at_risk.total for each in page.projects), Decimal(0))
    assert totals.counts()["open_bugs"] == sum(bug.closed_at is None for bug in made)


@settings(max_examples=40)
@given(made_bugs(), st.integers(0, 12))
def test_figures_do_not_depend_on_how_projects_are_paged(made: list[Bug], seed: int) -> None:
    whole, parts = Totals(RULERS.starts, all_projects=True), Totals(RULERS.starts, all_projects=True)
    whole.take(page_of(made, {}))
    projects = [CAT, CAT._replace(project_id=2, full_name="octo/dog")]
    random.Random(seed).shuffle(projects)
    for project in projects:
        mine = [bug for bug in made if bug.project_id == project.project_id]
        parts.take(judge([project], Facts(mine, [], [], [], {}), RULERS))
    told = [each.figures(NOW, "USD", {"hour": None}, {"hour": {}}) for each in (whole, parts)]
    assert told[0] == told[1]


def test_of_many_the_worst_and_the_costliest_are_told() -> None:
    projects = [CAT._replace(project_id=n, full_name=f"octo/{n:03}") for n in range(1, 101)]
    made = [
        Bug(f"I_{n}", n, n, NOW - timedelta(hours=24 + n), None, None, False, True, 3, Decimal(n), False, None, None)
        for n in range(1, 101)
    ]
    totals = Totals(RULERS.starts, all_projects=True)
    for start in range(0, 100, 7):
        ids = range(start + 1, min(start + 7, 100) + 1)
        here = [bug for bug in made if bug.project_id in ids]
        totals.take(judge([each for each in projects if each.project_id in ids], Facts(here, [], [], [], {}), RULERS))
    told = totals.figures(NOW, "USD", {}, {})
    assert [each["project"] for each in told["by_project"]] == [f"octo/{n:03}" for n in range(100, 100 - MOST_TOLD, -1)]
    assert [each["issue"] for each in told["breaches"]] == [f"octo/{n:03}#{n}" for n in range(100, 100 - MOST_TOLD, -1)]
    assert told["revenue_at_risk"]["per_day"] == 5_050


def test_a_share_of_nothing_is_not_known_and_zero_is_known() -> None:
    empty = Flow(1, 0, 0, 0, 0, None, 0, 0, 0, 0, 0)
    busy = Flow(2, 4, 2, 10, 5, 7_200.0, 4, 0, 1, 1, 0)
    people = [People(1, None, None, None), People(2, 3, 2, NOW - timedelta(days=3))]
    merged = [Merged(2, 2, 2, [3_600.0], [], [7_200.0, 3_600.0], [], [10.0])]
    page = judge([CAT, CAT._replace(project_id=2)], Facts([], [empty, busy], merged, people, {}), RULERS)
    nothing, something = (each.facts for each in page.projects)
    shares = ("closure_ratio", "unanswered_share", "stale_issue_share", "stale_pull_share", "unlabelled_share")
    assert [nothing[name] for name in shares] == [None] * 5
    assert [something[name] for name in shares] == [0.5, 0.0, 0.25, 0.5, 0.0]
    assert (nothing["days_since_commit"], something["days_since_commit"]) == (365.0, 3.0)
    names = ("first_response_h", "coding_h", "pickup_h", "review_h", "cycle_h", "merged_per_week", "size")
    assert [something[name] for name in names] == [2.0, 1.0, None, 1.5, None, 0.5, 10.0]
