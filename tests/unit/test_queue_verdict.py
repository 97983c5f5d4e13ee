"""What becomes of a task when a try of it ends; and what of its words the database can keep."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.queue import storable, verdict
from jobctl.queue.task import Task
from jobctl.queue.verdict import Fault
from jobctl.settings_queue import TypePolicy

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
DUE = NOW - timedelta(minutes=5)
POLICY = TypePolicy(max_attempts=3, backoff_base_s=10, backoff_cap_s=60)
FAULT = Fault("Broken", "it broke")


def task(*, attempt: int = 1, crashes: int = 0) -> Task:
    return Task(7, "crawl", 1, "u", None, None, {}, None, None, "", None, attempt, crashes, None, DUE, NOW)


def test_a_failed_try_waits_for_its_pause_and_is_queued_again() -> None:
    ending = verdict.failed(task(attempt=2), FAULT, POLICY, now=NOW, share=0.5)
    assert (ending.outcome, ending.state, ending.is_recoverable) == ("failed", "queued", True)
    assert ending.scheduled_at == NOW + timedelta(seconds=10)
    assert (ending.error_class, ending.error_message) == ("Broken", "it broke")


def test_the_last_try_fails_for_good_and_stays_recoverable_for_an_operator() -> None:
    ending = verdict.failed(task(attempt=3), FAULT, POLICY, now=NOW, share=0.5)
    assert (ending.state, ending.is_recoverable, ending.scheduled_at) == ("failed", True, None)


def test_crashes_use_up_no_tries() -> None:
    assert verdict.failed(task(attempt=3, crashes=1), FAULT, POLICY, now=NOW, share=0.5).state == "queued"
    assert verdict.failed(task(attempt=4, crashes=1), FAULT, POLICY, now=NOW, share=0.5).state == "failed"


def test_what_cannot_get_better_fails_at_its_first_try() -> None:
    ending = verdict.failed(task(), FAULT._replace(is_recoverable=False), POLICY, now=NOW, share=0.5)
    assert (ending.state, ending.is_recoverable) == ("failed", False)


def test_a_timeout_is_a_failed_try() -> None:
    first = verdict.failed(task(), FAULT, POLICY, now=NOW, share=0.5, outcome="timeout")
    last = verdict.failed(task(attempt=3), FAULT, POLICY, now=NOW, share=0.5, outcome="timeout")
    assert [(each.outcome, each.state) for each in (first, last)] == [("timeout", "queued"), ("timeout", "failed")]


@given(asked=st.floats(min_value=0.001), share=st.floats(0, 1))
def test_retry_after_is_honoured_within_reason(asked: float, share: float) -> None:
    ending = verdict.failed(task(), FAULT._replace(retry_after_s=asked), POLICY, now=NOW, share=share)
    assert ending.scheduled_at is not None
    wait_s = (ending.scheduled_at - NOW).total_seconds()
    assert min(asked, verdict.LONGEST_RETRY_AFTER_S) <= wait_s + 1e-3
    assert wait_s <= max(POLICY.backoff_cap_s, 1.2 * verdict.LONGEST_RETRY_AFTER_S) + 1e-3


@given(seconds=st.floats())
def test_a_snooze_is_never_shorter_than_a_second_and_never_for_ever(seconds: float) -> None:
    ending = verdict.snoozed(task(), seconds, "later", now=NOW)
    assert (ending.outcome, ending.state) == ("snoozed", "queued")
    assert ending.scheduled_at is not None
    wait_s = (ending.scheduled_at - NOW).total_seconds()
    assert verdict.SHORTEST_SNOOZE_S <= wait_s <= verdict.LONGEST_SNOOZE_S


def test_a_released_task_keeps_its_turn() -> None:
    ending = verdict.released(task(), "the run ended")
    assert (ending.outcome, ending.state, ending.scheduled_at) == ("released", "queued", DUE)


# Text and results ------------------------------------------------------------------------------------------------

nasty = st.text(st.characters(codec=None), max_size=50) | st.sampled_from(
    ["\0", "a\0b", "\ud800", "\udfff\ud800", "😀"]
)


def is_storable(text: str) -> bool:
    return "\0" not in text and text.encode("utf-8", "ignore").decode() == text


@given(text=nasty, limit=st.integers(1, 100))
def test_any_text_can_be_stored(text: str, limit: int) -> None:
    assert is_storable(storable.text(text, limit))


def test_long_text_is_cut() -> None:
    assert storable.text("x" * 5_000) == "x" * (storable.LONGEST_MESSAGE - 1) + "…"


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | nasty,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(nasty, inner, max_size=3),
    max_leaves=10,
)


@given(result=st.dictionaries(nasty, values, max_size=3))
def test_any_json_result_can_be_stored(result: dict[str, Any]) -> None:
    kept = storable.result_of(result)
    written = json.dumps(kept, ensure_ascii=False)
    assert is_storable(written) and "\\u0000" not in written.replace("\\\\", "")  # a backslash of the text is two


def test_a_plain_result_is_kept_as_it_is() -> None:
    result = {"bytes": 3, "names": ["ä", "😀"], "nothing": None}
    assert storable.result_of(result) == result
    assert storable.result_of(None) is None


circle: dict[str, Any] = {}
circle["again"] = circle


@pytest.mark.parametrize(
    ("result", "says"),
    [
        ("done", "returned a str"),
        ([1], "returned a list"),
        ({"at": NOW}, "not JSON"),
        ({"x": float("nan")}, "not JSON"),
        ({"x": {1, 2}}, "not JSON"),
        ({("a", 1): 2}, "not JSON"),
        (circle, "not JSON"),
        ({"x": "y" * 70_000}, "70,009 bytes as JSON, more than 65,536"),
    ],
)
def test_what_is_no_result_is_refused_with_the_reason(result: object, says: str) -> None:
    with pytest.raises(storable.UnfitResult, match=says):
        storable.result_of(result)


@pytest.mark.parametrize("outcome", ["failed", "timeout"])
def test_what_an_error_says_can_be_stored(outcome: Literal["failed", "timeout"]) -> None:
    fault = Fault("Odd\0", "NUL \0 and half \ud800" + "x" * 9_000)
    ending = verdict.failed(task(), fault, POLICY, now=NOW, share=0.5, outcome=outcome)
    assert ending.error_class is not None and is_storable(ending.error_class)
    assert ending.error_message is not None and is_storable(ending.error_message)
    assert len(ending.error_message) <= storable.LONGEST_MESSAGE


def test_an_error_that_cannot_say_what_it_is_has_its_class() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert storable.message_of(Mute()) == "Mute"
    assert storable.message_of(ValueError()) == "ValueError"
