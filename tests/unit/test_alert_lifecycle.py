"""When people hear of an incident: every order of verdicts, words of people and time keeps to the same few promises."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.alerts import lifecycle
from jobctl.alerts.ledger import Change, work_through
from jobctl.alerts.lifecycle import Incident, Policy
from jobctl.alerts.verdict import Verdict, between

START = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)
POLICY = Policy()
HOUR = timedelta(hours=1)


def verdict(is_firing: bool | None, minutes: float = 0, cause: str = "database", **changes: object) -> Verdict:
    made = Verdict("run-failed", "sync", is_firing, START + timedelta(minutes=minutes), cause, "sync failed")
    return made._replace(**changes)


class Story:
    """One world of incidents, in which time goes by; what is told stands in `told` with its minute."""

    def __init__(self, policy: Policy = POLICY, window: timedelta = HOUR) -> None:
        self.policy = policy
        self.window = window
        self.open: dict[str, Incident] = {}
        self.past: list[Incident] = []
        self.opened: list[tuple[str, datetime]] = []
        self.told: list[tuple[float, str, str]] = []

    def hears(self, minutes: float, *verdicts: Verdict, settled: Sequence[str] = ()) -> list[Change]:
        now = START + timedelta(minutes=minutes)
        changes = work_through(
            list(self.open.values()),
            [each._replace(at=now) for each in verdicts],
            self.policy,
            now,
            recent=lambda cause: sum(name == cause and at > now - self.window for name, at in self.opened),
            settled=settled,
        )
        for change in changes:
            if change.before is None:
                self.opened.append((change.after.cause, now))
            if change.after.is_open:
                self.open[change.after.cause] = change.after
            else:
                self.open.pop(change.after.cause, None)
                self.past.append(change.after)
            self.told += [(minutes, notice, change.after.cause) for notice, _ in change.told]
        return changes

    @property
    def notices(self) -> list[str]:
        return [notice for _, notice, _ in self.told]


def test_a_thousand_failures_of_five_jobs_with_one_cause_are_one_opening_and_one_recovery() -> None:
    story = Story()
    for nth in range(1_000):
        story.hears(nth / 10, verdict(True, subject=f"job{nth % 5}"))
    assert story.notices == ["opened"] and story.open["database"].occurrences == 1_000
    for nth in range(5):
        story.hears(101 + nth, verdict(False, subject=f"job{nth}"))
    assert story.notices == ["opened", "resolved"] and not story.open
    assert story.past[0].resolved_at == START + timedelta(minutes=105)


def test_two_causes_at_once_are_two_incidents() -> None:
    story = Story()
    story.hears(0, verdict(True, subject="a"), verdict(True, cause="github", subject="b"))
    story.hears(1, verdict(True, subject="a"), verdict(True, cause="github", subject="b"))
    assert [(notice, cause) for _, notice, cause in story.told] == [("opened", "database"), ("opened", "github")]
    story.hears(2, verdict(False, subject="b"))
    assert story.told[-1] == (2, "resolved", "github") and list(story.open) == ["database"]


def test_it_is_told_again_each_interval_while_it_lasts_whether_or_not_anybody_looks() -> None:
    story = Story()
    story.hears(0, verdict(True))
    for minutes in range(1, 24 * 60, 7):
        story.hears(minutes, *([verdict(True)] if minutes % 2 else []))
    assert story.notices == ["opened", "again", "again", "again"]
    assert all(later - earlier >= 360 for (earlier, *_), (later, *_) in zip(story.told, story.told[1:], strict=False))


def test_a_condition_may_have_an_interval_of_its_own() -> None:
    story = Story()
    story.hears(0, verdict(True, realert_every_s=600.0))
    story.hears(9)
    story.hears(10)
    assert story.notices == ["opened", "again"]


def test_acknowledged_it_is_silent_until_its_recovery() -> None:
    story = Story()
    story.hears(0, verdict(True))
    story.open["database"] = lifecycle.acknowledged(story.open["database"], START)
    for hours in range(1, 200):
        story.hears(60 * hours, verdict(True))
    story.hears(60 * 200, verdict(False))
    assert story.notices == ["opened", "resolved"]


def test_snoozed_it_is_silent_until_then_and_told_once_when_it_still_fires() -> None:
    story = Story()
    story.hears(0, verdict(True))
    until = START + timedelta(hours=30)
    story.open["database"] = lifecycle.snoozed(lifecycle.acknowledged(story.open["database"], START), until)
    for minutes in range(10, 31 * 60, 10):
        story.hears(minutes, verdict(True))
    assert story.told[1:] == [(30 * 60, "again", "database")]


def test_a_condition_that_asks_for_three_verdicts_is_over_with_the_third_in_a_row() -> None:
    story = Story()
    story.hears(0, verdict(True))
    for minutes, is_firing in enumerate([False, False, True, False, False], start=1):
        story.hears(minutes, verdict(is_firing, clear_after=3))
        assert story.notices == ["opened"]
    story.hears(6, verdict(False, clear_after=3))
    assert story.notices == ["opened", "resolved"]


def test_what_flaps_is_told_so_once_and_ends_when_it_was_calm() -> None:
    story = Story()
    for minutes in range(0, 60, 2):
        story.hears(minutes, verdict(minutes % 4 == 0))
    assert story.notices == ["opened", "resolved", "opened", "resolved", "flapping"]
    story.hears(70)
    assert story.notices[-1] == "flapping", "the last failure was 14 minutes ago"
    story.hears(87)
    assert story.notices[-1] == "resolved" and len(story.notices) == 6 and not story.open


def test_a_cause_that_was_seen_to_be_gone_ends_whatever_it_left() -> None:
    story = Story()
    story.hears(0, *(verdict(True, subject=f"job{nth}") for nth in range(5)))
    story.hears(1, verdict(False, subject="job0"), settled=["database"])
    assert story.notices == ["opened", "resolved"] and not story.open


def test_an_alert_that_nobody_judges_any_more_is_forgotten() -> None:
    story = Story(Policy(forget_after=timedelta(days=2)))
    story.hears(0, verdict(True))
    story.hears(2 * 24 * 60)
    assert story.notices[-1] == "resolved" and not story.open


def test_what_nobody_could_be_told_is_told_as_new_once_there_is_a_channel() -> None:
    story = Story(Policy(can_tell=False))
    story.hears(0, verdict(True))
    story.hears(1, verdict(True, cause="github", subject="b"))
    story.hears(2, verdict(False))
    assert story.notices == [] and list(story.open) == ["github"]
    story.policy = POLICY
    story.hears(3)
    story.hears(4, verdict(False, subject="b"))
    assert [(notice, cause) for _, notice, cause in story.told] == [("opened", "github"), ("resolved", "github")]


def test_news_from_before_the_end_does_not_open_it_again() -> None:
    story = Story()
    story.hears(0, verdict(True, subject="a"), verdict(True, subject="b"))
    story.hears(10, verdict(False, subject="a"))
    now = START + timedelta(minutes=11)
    (change,) = work_through(
        story.open.values(), [verdict(True, 5, subject="a"), verdict(False, 11, subject="b")], POLICY, now
    )
    assert not change.after.is_open and change.after.occurrences == 3


@pytest.mark.parametrize(
    ("value", "is_below", "firing"),
    [
        (96, True, False),
        (94.9, True, True),
        (95.5, True, None),
        (11, False, True),
        (10, False, None),
        (8, False, False),
    ],
)
def test_between_firing_and_over_there_is_a_margin(value: float, is_below: bool, firing: bool | None) -> None:
    limit, margin = (95, 0.01) if is_below else (10, 0.1)
    assert between(value, limit, is_below=is_below, margin=margin) is firing


moves = st.lists(
    st.tuples(
        st.integers(0, 400),
        st.sampled_from(["fire", "clear", "hold", "nothing", "ack", "snooze", "settle"]),
        st.sampled_from(["database", "github", "run/a"]),
        st.sampled_from(["a", "b", "c"]),
    ),
    max_size=60,
)


@given(moves)
def test_whatever_happens_the_promises_are_kept(steps: list[tuple[int, str, str, str]]) -> None:
    story, minutes = Story(), 0
    for pause, move, cause, subject in steps:
        minutes += pause
        now = START + timedelta(minutes=minutes)
        if move == "ack" and cause in story.open:
            story.open[cause] = lifecycle.acknowledged(story.open[cause], now)
        elif move == "snooze" and cause in story.open:
            story.open[cause] = lifecycle.snoozed(story.open[cause], now + timedelta(minutes=90))
        told_before = {name: incident for name, incident in story.open.items() if incident.is_quiet(now)}
        is_firing = {"fire": True, "clear": False}.get(move)
        given_ = [] if move in ("nothing", "ack", "snooze", "settle") else [verdict(is_firing, cause=cause)]
        given_ = [each._replace(subject=f"{cause} {subject}") for each in given_]
        before = len(story.told)
        story.hears(minutes, *given_, settled=[cause] if move == "settle" else [])
        new = story.told[before:]
        assert len({name for _, _, name in new}) == len(new), "one message about one cause at a time"
        assert not [name for _, notice, name in new if notice == "again" and name in told_before], "somebody knows"
    for cause in ("database", "github", "run/a"):
        said = [(at, notice) for at, notice, name in story.told if name == cause]
        is_open = False
        last = -10_000.0
        for at, notice in said:
            if notice in ("opened", "flapping"):
                assert not is_open, "opened once"
                is_open = True
            else:
                assert is_open, "nothing is told of what nobody heard the beginning of"
                is_open = notice != "resolved"
            if notice == "again":
                assert at - last >= 90, "not before its interval or the end of a snooze"
            last = at
        assert is_open == (cause in story.open), "each end is told"
        openings = [at for at, notice in said if notice == "opened"]
        for first, _, third in zip(openings, openings[1:], openings[2:], strict=False):
            assert third - first >= 60, "the third within an hour is flapping"
