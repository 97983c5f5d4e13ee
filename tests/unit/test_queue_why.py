"""Each reason for which a task waits, was taken from a worker or ended, judged from facts alone."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jobctl.monitor.queue import why as judgement
from jobctl.monitor.queue.facts import Facts, Limit, Policy, Running, TaskFacts, Try, Turn, Workers
from jobctl.monitor.queue.why import CODES, QUIET, Answer, why

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SOON = NOW + timedelta(minutes=5)
AGO = NOW - timedelta(minutes=5)
TASK = TaskFacts(
    task_id=7,
    type="crawl",
    state="queued",
    user_id="u1",
    attempts=0,
    crashes=0,
    scheduled_at=AGO,
    created_at=AGO,
    updated_at=AGO,
    finished_at=None,
    claimed_at=None,
    lease_until=None,
    worker=None,
    error_class=None,
    error_message=None,
    is_recoverable=None,
)
FACTS = Facts(
    now=NOW,
    host="vm1",
    task=TASK,
    policy=Policy(max_attempts=5, crash_limit=3),
    last_try=None,
    in_all=Limit(500, 3),
    of_type=Limit(None, 3),
    of_user=Limit(2, 0),
    runs_of_user=(),
    next_start_at=None,
    rate_per_minute=None,
    turn=Turn(0, 1),
    twin=None,
    handlers=frozenset({"crawl", "embed"}),
    workers=Workers(running=1, last_started_at=AGO, last_status="running", last_host="vm1", lines=1),
)


def judged(task: dict[str, Any] | None = None, **facts: Any) -> Answer:
    return why(FACTS._replace(task=TASK._replace(**(task or {})), **facts))


def codes(answer: Answer) -> list[str]:
    return [reason.code for reason in answer.reasons]


def ended(outcome: str, **more: Any) -> Try:
    return Try(2, outcome, "vm2/41", AGO - timedelta(seconds=90), AGO, None, None)._replace(**more)


def test_nothing_holds_a_due_task_whose_turn_it_is() -> None:
    answer = judged()
    assert codes(answer) == ["ready"]
    assert answer.text.startswith("task 7 (crawl, user u1) waits: nothing holds it")


def test_a_task_for_later_says_when() -> None:
    answer = judged({"scheduled_at": SOON})
    assert codes(answer) == ["scheduled"]
    assert answer.reasons[0].until == SOON
    assert "scheduled for 2026-03-01 12:05:00 UTC, in 5m" in answer.text


def test_a_pause_after_an_error_names_error_and_try() -> None:
    answer = judged(
        {"scheduled_at": SOON, "attempts": 3, "crashes": 1},
        last_try=ended("failed", error_class="HttpError", error_message="HTTP 503"),
    )
    assert answer.code == "backoff"
    assert "after try 2 of 5 (HttpError: HTTP 503) until 2026-03-01 12:05:00 UTC" in answer.text
    assert answer.reasons[0].evidence["error_class"] == "HttpError"


def test_a_pause_after_a_crash_counts_crashes_and_says_from_whom_it_was_taken() -> None:
    lost = ended("crashed", error_class="WorkerLost", error_message="lease ended at 11:54:00")
    answer = judged({"scheduled_at": SOON, "attempts": 2, "crashes": 2}, last_try=lost)
    assert codes(answer) == ["backoff", "suspect", "taken"]
    assert "after crash 2 of 3" in answer.text
    assert "runs alone" in answer.reasons[1].text
    assert (
        answer.reasons[2].text
        == "attempt 2 was taken from worker vm2/41 at 2026-03-01 11:55:00 UTC: lease ended at 11:54:00"
    )


def test_a_snoozed_task_says_what_its_handler_said() -> None:
    answer = judged({"scheduled_at": SOON}, last_try=ended("snoozed", error_message="site is closed at night"))
    assert codes(answer) == ["put_off"]
    assert "put it off until 2026-03-01 12:05:00 UTC, in 5m: site is closed at night" in answer.text


def test_a_pause_that_is_over_is_no_reason() -> None:
    assert codes(judged({"attempts": 1}, last_try=ended("failed"))) == ["ready"]


def test_the_users_limit_names_who_runs() -> None:
    runs = (Running(3, "crawl", "vm1:12", AGO), Running(4, "embed", "vm2:9", AGO))
    answer = judged(of_user=Limit(2, 2), runs_of_user=runs)
    assert codes(answer) == ["user_limit"]
    assert "2 of 2 run of user u1 (task 3 on vm1:12, task 4 on vm2:9)" in answer.text
    assert answer.reasons[0].evidence["allowed"] == 2


def test_of_many_that_run_a_few_are_named() -> None:
    runs = tuple(Running(n, "crawl", "w", AGO) for n in range(9))
    assert "task 4 on w and 4 more)" in judged(of_user=Limit(9, 9), runs_of_user=runs).text


def test_a_limit_of_nothing_holds_everything() -> None:
    assert "0 of 0 run of user u1" in judged(of_user=Limit(0, 0)).text


def test_nobodys_tasks_know_no_users_limit() -> None:
    answer = judged({"user_id": ""}, of_user=Limit(2, 9))
    assert codes(answer) == ["ready"]
    assert answer.text.startswith("task 7 (crawl) waits")


def test_limits_of_type_and_in_all_and_the_rate() -> None:
    answer = judged(of_type=Limit(10, 10), in_all=Limit(20, 21), next_start_at=SOON, rate_per_minute=120.0)
    assert codes(answer) == ["total_limit", "type_limit", "rate"]
    assert "21 of 20 run in all" in answer.reasons[0].text
    assert "10 of 10 run of type crawl" in answer.reasons[1].text
    assert "begins 120 a minute, the next at 2026-03-01 12:05:00 UTC" in answer.reasons[2].text
    assert answer.reasons[2].until == SOON


def test_a_rate_whose_next_start_has_come_is_no_reason() -> None:
    assert codes(judged(next_start_at=AGO, rate_per_minute=1.0)) == ["ready"]


def test_a_type_without_handler_on_this_host() -> None:
    answer = judged(handlers=frozenset({"embed", "http"}))
    assert codes(answer) == ["no_handler"]
    assert "no handler of type 'crawl' is registered on vm1 (there are: embed, http)" in answer.text
    assert "(there are: none)" in judged(handlers=frozenset()).text


def test_a_paused_job_says_by_whom_and_the_way_out() -> None:
    answer = judged(workers=FACTS.workers._replace(pause="paused until 2026-03-02 by ops: moving"))
    assert codes(answer) == ["paused"]
    assert "by ops: moving (jobctl resume work)" in answer.text


def test_workers_that_stay_away_are_told_with_the_last_one() -> None:
    quiet = Workers(0, NOW - QUIET, "completed", "vm3", lines=1)
    answer = judged(workers=quiet)
    assert codes(answer) == ["no_worker"]
    assert (
        "no worker has begun for 15m; the last, on vm3, began at 2026-03-01 11:45:00 UTC and is completed"
        in answer.text
    )
    recent = quiet._replace(last_started_at=NOW - QUIET + timedelta(seconds=1))
    assert codes(judged(workers=recent)) == ["ready"]


def test_without_a_line_nothing_will_start_a_worker() -> None:
    answer = judged(workers=Workers(0))
    assert codes(answer) == ["no_schedule", "no_worker"]
    assert "no worker has ever run" in answer.reasons[1].text
    assert codes(judged(workers=Workers(1, AGO, "running", "vm1"))) == ["ready"]
    assert codes(judged(workers=Workers(0, AGO, "completed", "vm1"))) == ["ready"]


def test_its_turn_says_who_is_before_it() -> None:
    answer = judged(turn=Turn(1, 50))
    assert codes(answer) == ["turn"]
    assert "1 due task of its user before it" in answer.text
    assert "users with waiting tasks (50) take turns" in answer.text
    assert "3 due tasks of its user" in judged(turn=Turn(3, 1)).text


def test_reasons_stand_in_the_order_in_which_they_must_go_away() -> None:
    answer = judged(
        {"scheduled_at": SOON, "crashes": 1},
        handlers=frozenset(),
        workers=Workers(0, pause="paused"),
        in_all=Limit(1, 1),
        of_type=Limit(1, 1),
        of_user=Limit(1, 1),
        next_start_at=SOON,
        rate_per_minute=1.0,
        turn=Turn(1, 2),
    )
    assert codes(answer) == [
        *("scheduled", "no_handler", "paused", "no_schedule", "no_worker"),
        *("total_limit", "type_limit", "user_limit", "rate", "suspect", "turn"),
    ]


def test_a_blocked_task_and_its_twin() -> None:
    assert codes(judged({"state": "blocked"})) == ["blocked"]
    answer = judged({"state": "blocked"}, twin=9)
    assert codes(answer) == ["blocked", "twin"]
    assert "task 9 waits for the same; unblocked, this one is cancelled" in answer.reasons[1].text


def test_a_running_task_says_who_since_when_and_until() -> None:
    running = {"state": "running", "worker": "vm2/41", "claimed_at": AGO, "lease_until": SOON, "attempts": 2}
    answer = judged(running, twin=9)
    assert codes(answer) == ["running", "twin"]
    assert "worker vm2/41 runs it since 2026-03-01 11:55:00 UTC" in answer.text
    assert "attempt 2; its lease lasts until 2026-03-01 12:05:00 UTC" in answer.text
    over = judged(running | {"lease_until": AGO})
    assert codes(over) == ["lease_over"]
    assert "worker vm2/41 is silent: the lease of attempt 2 ended at 2026-03-01 11:55:00 UTC" in over.text


@pytest.mark.parametrize(
    ("task", "code", "said"),
    [
        ({"attempts": 5, "error_class": "TimeoutError"}, "tries_spent", "5 of 5 tries are spent, the last: Time"),
        ({"attempts": 1, "is_recoverable": False, "error_class": "BadUrl", "error_message": "x"}, "not_recoverable",
         "BadUrl: x; trying again cannot help"),
        ({"attempts": 3, "crashes": 3, "error_class": "WorkerLost", "error_message": "lease ended"}, "crash_limit",
         "3 tries of it took the worker along (limit 3): WorkerLost: lease ended"),
        ({"attempts": 2}, "failed", "no error is kept, at try 2 of 5"),
    ],
)  # fmt: skip
def test_a_failed_task_says_what_it_died_of(task: dict[str, Any], code: str, said: str) -> None:
    answer = judged({"state": "failed", "finished_at": AGO, **task})
    assert answer.code == code
    assert said in answer.text


def test_a_failed_task_with_a_twin_cannot_be_retried() -> None:
    assert codes(judged({"state": "failed", "attempts": 5}, twin=9)) == ["tries_spent", "twin"]


def test_cancelled_by_an_operator_or_for_a_newer_one() -> None:
    operator = judged({"state": "cancelled", "error_class": "Cancelled", "error_message": "by ops"})
    assert (codes(operator), operator.text.partition(": ")[2]) == (
        ["cancelled"],
        "it was withdrawn at 2026-03-01 11:55:00 UTC: by ops",
    )
    assert codes(judged({"state": "cancelled", "error_class": "Superseded"}, twin=9)) == ["superseded", "twin"]


def test_a_finished_task_says_by_whom_and_in_how_long() -> None:
    answer = judged({"state": "succeeded", "finished_at": AGO, "attempts": 2}, last_try=ended("succeeded"))
    assert "at 2026-03-01 11:55:00 UTC, attempt 2 by worker vm2/41 in 1m30s" in answer.text
    assert "its tries are no longer kept" in judged({"state": "succeeded", "finished_at": AGO}).text


def test_the_list_of_codes_is_that_of_the_judgements() -> None:
    source = Path(judgement.__file__).read_text(encoding="utf-8")
    assert set(re.findall(r'Reason\(\s*"(\w+)"', source)) == set(CODES)
