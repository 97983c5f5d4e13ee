"""A request to cancel a run, as its heartbeat brings it again and again: what is asked of the run, and how often."""

import os
import signal
from datetime import UTC, datetime

import pytest

from jobctl.errors import Interrupted, MaxRuntimeExceeded
from jobctl.runtime.cancellations import Cancellation
from jobctl.runtime.cancelling import Cancelling
from jobctl.runtime.stop import Stop

NOW = datetime(2026, 6, 1, tzinfo=UTC)
SOON = Cancellation(NOW, "ann", "vm2", "the source sends nonsense", False, None)
AT_ONCE = SOON._replace(is_now=True)


@pytest.fixture
def signals(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    sent: list[tuple[int, int]] = []

    def send(pid: int, number: int) -> None:
        sent.append((pid, number))

    monkeypatch.setattr(os, "kill", send)
    return sent


def test_the_whole_run_is_asked_once_with_who_and_why_and_the_supervisor_keeps_the_time(
    signals: list[tuple[int, int]],
) -> None:
    run = Stop()
    cancelling = Cancelling(run.part(), os.getppid())
    for _ in range(3):
        cancelling.heed(SOON)
    assert isinstance(run.reason, Interrupted)
    assert run.reason.message.startswith("cancelled by ann on vm2: the source sends nonsense")
    assert run.reason.signal_number == signal.SIGTERM
    assert not run.is_hurried
    assert signals == [(os.getppid(), signal.SIGTERM)]


def test_a_second_request_is_the_second_signal_and_there_is_no_third(signals: list[tuple[int, int]]) -> None:
    run = Stop()
    cancelling = Cancelling(run.part(), os.getppid())
    for request in (SOON, AT_ONCE, AT_ONCE, AT_ONCE):
        cancelling.heed(request)
    assert run.is_hurried
    assert len(signals) == 2


def test_a_first_request_that_is_for_now_hurries_at_once(signals: list[tuple[int, int]]) -> None:
    run = Stop()
    cancelling = Cancelling(run.part(), os.getppid())
    cancelling.heed(AT_ONCE)
    assert run.is_hurried and len(signals) == 1
    cancelling.heed(AT_ONCE)
    assert len(signals) == 2


def test_a_run_that_is_ending_already_is_not_hurried_by_it(signals: list[tuple[int, int]]) -> None:
    run = Stop()
    run.request(MaxRuntimeExceeded("its time was up"))
    Cancelling(run.part(), os.getppid()).heed(SOON)
    assert isinstance(run.reason, MaxRuntimeExceeded)
    assert not signals and not run.is_hurried


def test_no_process_but_the_own_parent_is_signalled(signals: list[tuple[int, int]]) -> None:
    run = Stop()
    Cancelling(run, os.getppid() + 1).heed(SOON)
    assert run.reason is not None
    assert not signals
