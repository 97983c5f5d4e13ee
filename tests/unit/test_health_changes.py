"""A project that moves from one band to another is told with what moved it."""

from datetime import date

import pytest

from jobctl.jobs.report.health_changes import Change, Judged, change, in_order
from jobctl.service_levels import health

DAY = date(2026, 11, 30)
GOOD: dict[str, float | None] = {each.name: each.good for each in health.INPUTS}


def judged(**changes: float | None) -> Judged:
    facts = {**GOOD, **changes}
    found = health.judge(facts)
    return Judged(found.band.value, found.score, found.version, facts)


def changed(was: Judged, now: Judged) -> Change:
    found = change(1, "octo/cat", DAY, was, now)
    assert found is not None
    return found


def test_what_fell_is_told_with_the_inputs_that_lost_most_points() -> None:
    now = judged(absence_factor=1, sla_met_share=0.7, cycle_h=400, unlabelled_share=0.06)
    found = changed(judged(), now)
    assert (found.was, found.band, found.direction, found.level) == ("healthy", "warning", "down", "warning")
    assert found.reasons == (
        "fewest people with half of the commits, 365 days: 4 then, 1 now",
        "goals met of those completed in 30 days or breached now: 0.95 then, 0.7 now",
        "median hours from first commit to merged, 90 days: 72 then, 400 now",
    )
    assert found.said.startswith("octo/cat went from healthy to warning (100 to ")


def test_what_rose_is_told_with_what_won_and_is_no_warning() -> None:
    found = changed(judged(absence_factor=1, sla_met_share=0.7, cycle_h=400), judged(cycle_h=400))
    assert (found.direction, found.level, len(found.reasons)) == ("up", "info", 2)


def test_the_same_band_is_no_change_however_far_the_score_went() -> None:
    assert change(1, "octo/cat", DAY, judged(), judged(absence_factor=1)) is None


def test_what_is_no_longer_known_and_what_is_known_again_name_what_is_missing_or_costs_most() -> None:
    nothing = judged(**dict.fromkeys(GOOD))
    assert nothing.band == "unknown"
    lost = changed(judged(), nothing)
    assert (lost.direction, lost.level) == ("lost", "info") and lost.reasons[0].endswith("and 9 more")
    found = changed(nothing, judged(absence_factor=1, sla_met_share=0.7, cycle_h=720, active_people=0))
    assert (found.direction, found.band) == ("found", "warning") and "15 of 15 points lost" in found.reasons[0]


def test_scores_of_two_versions_are_not_compared_input_by_input() -> None:
    earlier = judged()._replace(version="0")
    found = changed(earlier, judged(absence_factor=1, sla_met_share=0.7, cycle_h=400))
    assert all("points lost" in reason for reason in found.reasons)


@pytest.mark.parametrize("seed", range(3))
def test_critical_comes_first_then_what_fell_then_the_rest(seed: int) -> None:
    import random

    def of(name: str, band: str, direction: str) -> Change:
        return Change(1, name, DAY, "x", band, None, None, direction, ())

    right = [
        of("b", "critical", "down"),
        of("a", "critical", "found"),
        of("C", "warning", "down"),
        of("d", "warning", "down"),
        of("a", "unknown", "lost"),
        of("a", "healthy", "up"),
    ]
    print(f"seed {seed}")
    mixed = random.Random(seed).sample(right, len(right))
    assert in_order(mixed) == right
