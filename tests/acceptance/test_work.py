"""`jobctl work`, as cron or a person runs it: what is due is done, within limits, once, and what goes wrong is told."""

import json
from typing import Any

import pytest

from bench_runs import Base, Ended, Runner
from bench_work import broken_promises, enqueue, outcomes, prepare, states

ROW = "SELECT status, exit_code FROM ops.job_history WHERE correlation_id = %s"


def report(ended: Ended) -> dict[str, Any]:
    assert ended.stdout, ended.said
    return json.loads(ended.stdout)


@pytest.fixture
def work(base: Base, runner: Runner) -> Runner:
    return prepare(base, runner)


def test_what_is_due_is_done_and_cron_hears_nothing(base: Base, work: Runner) -> None:
    enqueue(base, "noop", count=45)
    started = work.start()
    ended = started.wait()
    assert (ended.exit_code, ended.stdout, ended.stderr) == (0, b"", b""), ended.said
    assert states(base) == {"succeeded": 45}
    assert outcomes(base) == {"succeeded": 45}
    assert base.all(ROW, started.correlation_id) == [("completed", 0)]
    assert broken_promises(base) == []


def test_an_empty_queue_is_exit_0_and_says_so_to_a_person(base: Base, work: Runner) -> None:
    ended = work.run("-v")
    assert ended.exit_code == 0, ended.said
    assert b"nothing was due" in ended.stdout
    assert base.last_status() == "completed"


# How a try ends --------------------------------------------------------------------------------------------------


def test_what_is_written_in_an_effect_is_written_once_and_the_result_is_kept(base: Base, work: Runner) -> None:
    tasks = enqueue(base, "note", count=30)
    assert work.run().exit_code == 0
    assert base.all("SELECT task_id FROM bench.done ORDER BY task_id") == [(task_id,) for task_id in tasks]
    assert base.all("SELECT DISTINCT result FROM queue.attempts") == [({"noted": True},)]


def test_errors_are_tried_again_until_the_tries_are_used_up(base: Base, work: Runner) -> None:
    (failing,) = enqueue(base, "fail", {"says": "no luck"})
    (refused,) = enqueue(base, "refuse")
    ended = work.run("--json", "--until-empty")
    counts = report(ended)["counts"]
    assert (counts["claimed"], counts["retried"], counts["failed"]) == (3, 1, 2), counts
    asked = "SELECT state, attempts, error_class, error_message, is_recoverable FROM queue.tasks WHERE task_id = %s"
    assert base.all(asked, failing) == [("failed", 2, "ValueError", "no luck", True)]
    assert base.all(asked, refused) == [("failed", 1, "NotRecoverable", "it can never be done", False)]


def test_retry_after_is_waited_for(base: Base, work: Runner) -> None:
    enqueue(base, "busy", {"s": 600})
    assert work.run().exit_code == 0
    assert base.one("SELECT scheduled_at - updated_at > interval '590 s' FROM queue.tasks")
    assert states(base) == {"queued": 1}


@pytest.mark.parametrize("seconds", [0, -5, 0.01])
def test_a_snooze_spends_no_try_and_does_not_spin(seconds: float, base: Base, work: Runner) -> None:
    enqueue(base, "snooze", {"s": seconds})
    counts = report(work.run("--json"))["counts"]
    assert (counts["claimed"], counts["snoozed"]) == (1, 1)
    assert base.all("SELECT state, attempts, scheduled_at >= updated_at + interval '0.9 s' FROM queue.tasks") == [
        ("queued", 0, True)
    ]


@pytest.mark.parametrize("how", ["exit", "memory", "odd", "interrupt"])
def test_what_ends_a_program_ends_only_the_try(how: str, base: Base, work: Runner) -> None:
    enqueue(base, "leave", {"how": how})
    enqueue(base, "noop", count=20)
    ended = work.run("--max-tasks", "21")
    assert ended.exit_code == 0, ended.said
    assert outcomes(base) == {"succeeded": 20, "failed": 1}


def test_words_and_results_that_no_database_takes_hold_up_nobody(base: Base, work: Runner) -> None:
    (nul,) = enqueue(base, "nul")
    (nul_result,) = enqueue(base, "nul_result")
    (large,) = enqueue(base, "give", {"result": {"x": "y" * 100_000}})
    (wrong,) = enqueue(base, "give", {"result": "text"})
    enqueue(base, "noop", count=10)
    work.run("--until-empty")
    assert outcomes(base)["succeeded"] == 11
    messages = dict(base.all("SELECT task_id, error_message FROM queue.tasks"))
    assert messages[nul] == "a NUL ␀ and half a pair ?"
    assert base.one("SELECT result FROM queue.attempts WHERE task_id = %s", nul_result) == {"a␀b": "c␀d ?"}
    assert "more than 65,536" in messages[large]
    assert "returned a str" in messages[wrong]


def test_secrets_are_taken_out_of_messages_and_results(base: Base, work: Runner) -> None:
    secret = "ghp_" + "a1B2" * 9
    enqueue(base, "fail", {"says": f"token {secret} refused"})
    enqueue(base, "give", {"result": {"said": f"Bearer {secret}"}})
    work.run("--until-empty")
    kept = base.one(
        "SELECT string_agg(coalesce(error_message, '') || coalesce(result::text, ''), ' ') FROM queue.attempts"
    )
    assert secret not in kept and "refused" in kept
    assert secret not in base.one("SELECT string_agg(coalesce(error_message, ''), ' ') FROM queue.tasks")
    assert secret not in work.logged


def test_a_try_goes_on_from_the_checkpoint_of_the_one_before(base: Base, runner: Runner) -> None:
    work = prepare(base, runner, types="[queue.types.steps]\nmax_attempts = 5")
    enqueue(base, "steps")
    assert work.run("--until-empty").exit_code == 0
    assert base.one("SELECT result FROM queue.attempts WHERE outcome = 'succeeded'") == {"step": 3}
    assert outcomes(base) == {"failed": 2, "succeeded": 1}


def test_a_try_that_takes_too_long_is_a_timeout_and_the_run_ends_all_the_same(base: Base, runner: Runner) -> None:
    work = prepare(base, runner, types="[queue.types.sleep]\ntimeout_s = 1\nmax_attempts = 1")
    enqueue(base, "sleep", {"s": 3_000})
    enqueue(base, "note", {"within_s": 0.01}, count=20)
    ended = work.run("--json", settings={"JOBCTL_DEGRADED_REJECT_SHARE": "0"})
    assert ended.exit_code == 3, ended.said
    assert outcomes(base) == {"timeout": 1, "succeeded": 20}
    assert base.all("SELECT state, error_class, is_recoverable FROM queue.tasks WHERE type = 'sleep'") == [
        ("failed", "TimedOut", True)
    ]
    counts = report(ended)["counts"]
    assert (counts["timeout"], counts["failed"]) == (1, 1)


def test_a_timeout_within_an_effect_leaves_nothing_of_it(base: Base, runner: Runner) -> None:
    work = prepare(base, runner, types="[queue.types.note]\ntimeout_s = 1\nmax_attempts = 1")
    enqueue(base, "note", {"within_s": 60})
    work.run()
    assert outcomes(base) == {"timeout": 1}
    assert base.one("SELECT count(*) FROM bench.done") == 0


def test_when_too_many_tries_hang_the_run_ends_early_and_is_degraded(base: Base, runner: Runner) -> None:
    work = prepare(base, runner, types="[queue.types.sleep]\ntimeout_s = 1\nmax_attempts = 1")
    enqueue(base, "sleep", {"s": 3_000}, count=40)
    ended = work.run("--json", "--concurrency", "4")
    assert ended.exit_code == 3, ended.said
    assert any("hang" in note for note in report(ended)["scopes"][0]["notes"])
    assert outcomes(base)["timeout"] in range(3, 9)
    assert states(base)["queued"] >= 30
    assert broken_promises(base) == []


# Batches and suspects --------------------------------------------------------------------------------------------


def test_a_batch_handler_gets_batches(base: Base, work: Runner) -> None:
    enqueue(base, "many", count=16)
    assert work.run("--concurrency", "16", "--batch", "16").exit_code == 0
    assert base.all("SELECT DISTINCT result, handler_version FROM queue.attempts") == [({"batch": 8}, "m1")]


def test_one_bad_task_of_a_batch_uses_up_no_try_of_the_others(base: Base, runner: Runner) -> None:
    work = prepare(base, runner, types="[queue.types.many]\nmax_attempts = 1")
    (bad,) = enqueue(base, "many", {"bad": True})
    enqueue(base, "many", count=15)
    enqueue(base, "many", {"fails": True})
    work.run("--concurrency", "17", "--batch", "17")
    assert outcomes(base) == {"succeeded": 15, "failed": 2}
    assert base.one("SELECT state FROM queue.tasks WHERE task_id = %s", bad) == "failed"
    assert broken_promises(base) == []


@pytest.mark.slow
def test_a_poison_task_dies_at_its_crash_limit_and_takes_none_of_99_along(base: Base, runner: Runner) -> None:
    work = prepare(base, runner, lease_s=1.2)
    (poison,) = enqueue(base, "poison", {"kills": True})
    enqueue(base, "poison", count=99)
    codes: list[int] = []
    for _ in range(12):
        codes.append(work.run("--until-empty").exit_code)
        if states(base) == {"succeeded": 99, "failed": 1}:
            break
    assert states(base) == {"succeeded": 99, "failed": 1}, codes
    asked = "SELECT crashes, error_class, is_recoverable FROM queue.tasks WHERE task_id = %s"
    assert base.all(asked, poison) == [(3, "WorkerLost", False)]
    assert base.one("SELECT max(crashes) FROM queue.tasks WHERE task_id <> %s", poison) <= 1
    assert base.one("SELECT count(*) FROM (SELECT task_id FROM bench.done GROUP BY task_id) AS d") == 99
    assert broken_promises(base) == []
