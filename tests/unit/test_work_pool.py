"""The threads of a worker: all calls are carried out, as many at once as allowed, and results are told in time."""

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from hypothesis import given, settings
from hypothesis import strategies as st

from bench_postgres import wait_for
from jobctl.jobs.work.pool import Pool


@contextmanager
def pool_of(size: int, carry_out: Callable[[int], list[int]]) -> Generator[Pool[int, int], None, None]:
    pool: Pool[int, int] = Pool(size, carry_out)
    try:
        yield pool
    finally:
        pool.close()


def drained(pool: Pool[int, int], wanted: int) -> list[int]:
    found: list[int] = []

    def all_there() -> bool:
        pool.wait(wanted - len(found), 0.5)
        found.extend(pool.collect())
        return len(found) >= wanted

    wait_for(all_there)
    return found


@settings(max_examples=25)
@given(size=st.integers(1, 8), chunks=st.lists(st.integers(0, 200), max_size=6))
def test_every_call_is_carried_out_once(size: int, chunks: list[int]) -> None:
    wanted = [1_000 * nth + n for nth, count in enumerate(chunks) for n in range(count)]
    with pool_of(size, lambda n: [n]) as pool:
        for nth, count in enumerate(chunks):
            pool.offer([1_000 * nth + n for n in range(count)])
        assert sorted(drained(pool, len(wanted))) == wanted
        assert pool.in_hand() == 0


def test_calls_that_block_run_at_the_same_time_up_to_the_size() -> None:
    barrier = threading.Barrier(5, timeout=20)  # passes only if five run at once
    with pool_of(5, lambda n: [barrier.wait() * 0 + n]) as pool:
        pool.offer(range(10))
        assert sorted(drained(pool, 10)) == list(range(10))


def test_never_more_at_once_than_allowed() -> None:
    lock, now, most = threading.Lock(), 0, 0

    def carry_out(n: int) -> list[int]:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.002)
        with lock:
            now -= 1
        return [n]

    with pool_of(3, carry_out) as pool:
        pool.offer(range(60))
        drained(pool, 60)
    assert most == 3


def test_what_was_taken_back_never_begins() -> None:
    gate, begun = threading.Event(), list[int]()

    def carry_out(n: int) -> list[int]:
        begun.append(n)
        gate.wait(20)
        return [n]

    with pool_of(1, carry_out) as pool:
        pool.offer([1, 2, 3])
        wait_for(lambda: begun == [1])
        assert pool.take_back() == [2, 3]
        gate.set()
        assert drained(pool, 1) == [1]
        assert (begun, pool.in_hand()) == ([1], 0)


def test_a_call_that_was_given_up_counts_for_nothing_and_its_thread_comes_back() -> None:
    gate = threading.Event()

    def carry_out(n: int) -> list[int]:
        if n == 1:
            gate.wait(20)
        return [n]

    with pool_of(2, carry_out) as pool:
        pool.offer([1])
        wait_for(lambda: pool.running() == [1])
        assert pool.abandon(1)
        assert not pool.abandon(1)
        assert (pool.stuck, pool.in_hand()) == (1, 0)
        pool.offer([2])
        assert drained(pool, 1) == [2]
        gate.set()
        wait_for(lambda: pool.stuck == 0)
        assert pool.collect() == []


def test_a_wait_ends_when_nothing_is_in_hand_or_somebody_nudges() -> None:
    with pool_of(1, lambda n: [n]) as pool:
        pool.wait(5, 60)  # nothing in hand
        pool.offer([1])
        pool.wait(5, 60)  # one of five, and then nothing in hand
        assert pool.collect() == [1]
        threading.Timer(0.05, pool.nudge).start()
        pool.pause(60)
