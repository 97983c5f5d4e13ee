"""Trying again: only what is named, only so often, only so long."""

from dataclasses import dataclass, field

import pytest

from jobctl.errors import DependencyUnavailable, JobctlError, UnknownOutcome
from jobctl.retry import Recoverable, retrying


class Away(Exception):
    pass


class Wrong(Exception):
    pass


@dataclass
class World:
    """A clock that only sleeping and working move, a list of the pauses, and a function that fails as told."""

    failures: list[Exception]
    work_s: float = 0.0
    time: float = 100.0
    pauses: list[float] = field(default_factory=list[float])
    lines: list[tuple[str, dict[str, object]]] = field(default_factory=list[tuple[str, dict[str, object]]])
    calls: int = 0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.time += seconds

    def warning(self, event: str, message: str = "", /, **fields: object) -> None:
        self.lines.append((f"{event}: {message}", fields))

    def function(self, answer: str) -> str:
        self.calls += 1
        self.time += self.work_s
        if self.failures:
            raise self.failures.pop(0)
        return answer

    def run(
        self,
        on: Recoverable = (Away,),
        *,
        attempts: int = 3,
        within_s: float = 60,
        jitter_s: float = 0,
        waits: tuple[float, ...] = (5, 10, 15),
    ) -> str:
        tried = retrying(
            on,
            attempts=attempts,
            within_s=within_s,
            jitter_s=jitter_s,
            waits=waits,
            sleep=self.sleep,
            now=self.now,
            log=self,
        )(self.function)
        return tried("answer")


def test_a_named_error_is_tried_again_after_5_and_10_seconds() -> None:
    world = World([Away(), Away()])
    assert world.run() == "answer"
    assert world.pauses == [5, 10]


def test_an_error_that_is_not_named_is_raised_at_once() -> None:
    world = World([Wrong()])
    with pytest.raises(Wrong):
        world.run()
    assert (world.calls, world.pauses) == (1, [])


def test_the_last_error_comes_out_as_it_was_after_the_last_attempt() -> None:
    errors = [Away("first"), Away("second"), Away("third"), Away("fourth")]
    world = World(list(errors))
    with pytest.raises(Away) as raised:
        world.run()
    assert raised.value is errors[2]
    assert world.calls == 3


def test_a_pause_that_would_end_after_the_time_allowed_is_not_begun() -> None:
    world = World([Away(), Away(), Away()])
    with pytest.raises(Away):
        world.run(within_s=14)
    assert world.pauses == [5]


def test_slow_attempts_use_up_the_time_allowed() -> None:
    world = World([Away(), Away(), Away()], work_s=20)
    with pytest.raises(Away):
        world.run(within_s=24)
    assert world.calls == 1


def test_the_last_pause_is_repeated_when_there_are_more_attempts_than_pauses() -> None:
    world = World([Away()] * 4)
    assert world.run(attempts=5, waits=(1, 2)) == "answer"
    assert world.pauses == [1, 2, 2, 2]


def test_jitter_lengthens_pauses_differently_and_within_its_bound() -> None:
    pauses: set[float] = set()
    for _ in range(50):
        world = World([Away()])
        world.run(jitter_s=2)
        pauses.update(world.pauses)
    assert all(5 <= pause <= 7 for pause in pauses)
    assert len(pauses) > 25


def test_an_unknown_outcome_is_never_tried_again_whatever_is_named() -> None:
    def everything(_: BaseException) -> bool:
        return True

    cases: list[Recoverable] = [(JobctlError,), everything]
    for on in cases:
        world = World([UnknownOutcome("the answer to COMMIT was lost")])
        with pytest.raises(UnknownOutcome):
            world.run(on)
        assert world.calls == 1


def test_a_predicate_decides_by_the_error_itself() -> None:
    def try_again(error: BaseException) -> bool:
        return isinstance(error, JobctlError) and error.try_again

    assert World([DependencyUnavailable("down")]).run(try_again) == "answer"
    with pytest.raises(JobctlError):
        World([JobctlError("broken")]).run(try_again)


def test_an_interrupt_is_not_tried_again() -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        retrying(lambda error: True, within_s=60, sleep=lambda _: None)(interrupted)()


def test_each_further_attempt_is_logged_with_its_cause() -> None:
    world = World([Away("down"), Away("still")])
    world.run()
    assert [(text, line["attempt"], line["wait_ms"]) for text, line in world.lines] == [
        ("retry: attempt 1 of 3 failed, trying again", 1, 5_000),
        ("retry: attempt 2 of 3 failed, trying again", 2, 10_000),
    ]
    assert str(world.lines[0][1]["error"]) == "down"


def test_the_time_allowed_begins_anew_with_each_call() -> None:
    world = World([])
    tried = retrying((Away,), within_s=6, jitter_s=0, sleep=world.sleep, now=world.now)(world.function)
    for _ in range(3):
        world.failures = [Away()]
        assert tried("answer") == "answer"
    assert world.pauses == [5, 5, 5]


@pytest.mark.parametrize("on", [(), (Exception,), (Away, Exception)])
def test_all_errors_or_none_cannot_be_named(on: tuple[type[Exception], ...]) -> None:
    with pytest.raises(ValueError, match="name the errors"):
        retrying(on, within_s=1)


@pytest.mark.parametrize("bad", [{"attempts": 0}, {"within_s": 0}, {"waits": ()}, {"waits": (-1,)}, {"jitter_s": -1}])
def test_senseless_bounds_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        World([]).run(**bad)  # pyright: ignore[reportArgumentType]
