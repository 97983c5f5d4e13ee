"""`jobctl work`, as cron or a person runs it: what is due is done, within limits, once, and what goes wrong is told."""

import json
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from bench_pooler import pgbouncer, pooled
from bench_postgres import wait_for
from bench_runs import Base, Ended, NewRunner, Runner
from bench_wire import READY, Link, Proxy, statement
from bench_work import anew, broken_promises, enqueue, outcomes, own_server, prepare, restart, states

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


def test_what_only_reads_can_write_nothing_and_leaves_its_connection_fit_to_write(base: Base, work: Runner) -> None:
    enqueue(base, "look", {"writes": True})
    enqueue(base, "note", count=2)
    enqueue(base, "look")
    work.run("--concurrency", "1", "--batch", "1")
    assert base.all("SELECT DISTINCT error_class FROM queue.attempts WHERE outcome = 'failed'") == [
        ("ReadOnlySqlTransaction",)
    ]
    assert base.one("SELECT count(*) FROM bench.done") == 2
    assert base.one("SELECT result FROM queue.attempts WHERE type = 'look' AND outcome = 'succeeded'") == {"found": 2}


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
    work.settings |= {"JOBCTL_IDLE_IN_TRANSACTION_TIMEOUT_MS": "20000", "JOBCTL_LEASE_S": "30"}  # nobody else ends it
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
    assert work.run("--concurrency", "1", "--batch", "1").exit_code == 0
    assert base.all("SELECT DISTINCT result, handler_version FROM queue.attempts") == [({"batch": 8}, "m1")]


def test_a_batch_is_one_call_beside_single_tasks_and_neither_waits_for_the_other(base: Base, work: Runner) -> None:
    enqueue(base, "many", count=80)
    enqueue(base, "sleep", {"s": 0.05}, count=6)
    assert work.run("--concurrency", "2").exit_code == 0
    ended = "FROM queue.attempts WHERE type = "
    assert base.all(f"SELECT DISTINCT result {ended} 'many'") == [({"batch": 8},)]
    assert base.one(f"SELECT min(fence) {ended} 'sleep'") < base.one(f"SELECT max(fence) {ended} 'many'")
    assert base.one(AT_ONCE, "") <= 2


def test_one_bad_task_of_a_batch_uses_up_no_try_of_the_others(base: Base, runner: Runner) -> None:
    work = prepare(base, runner, types="[queue.types.many]\nmax_attempts = 1")
    (bad,) = enqueue(base, "many", {"bad": True})
    enqueue(base, "many", count=15)
    enqueue(base, "many", {"fails": True})
    work.run()
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


# Limits and turns ------------------------------------------------------------------------------------------------


# Handlers that ran beside each other, by their own clock, at the moment when each of them began.
AT_ONCE = """
WITH ran AS (
    SELECT user_id, (result->>'began')::float8 AS began, (result->>'ended')::float8 AS ended FROM queue.attempts
)
SELECT max(n) FROM (
    SELECT (SELECT count(*) FROM ran AS b
        WHERE b.began <= a.began AND b.ended > a.began AND (%s = '' OR b.user_id = a.user_id)) AS n
    FROM ran AS a) AS at_once
"""


def test_limits_of_users_types_and_all_hold_between_two_workers(base: Base, runner: Runner) -> None:
    work = prepare(base, runner, per_user=2, more="workers_per_host = 2", types="[queue.types.sleep]\nrunning = 5")
    for user in range(8):
        enqueue(base, "sleep", {"s": 0.05}, count=10, user_id=f"user-{user}")
    both = [work.start("--until-empty") for _ in range(2)]
    ended = [each.wait() for each in both]
    assert [each.exit_code for each in ended] == [0, 0], [each.said for each in ended]
    assert outcomes(base) == {"succeeded": 80}
    assert base.one(AT_ONCE, "user") <= 2
    assert base.one(AT_ONCE, "") <= 5
    assert sorted(base.all("SELECT right(scope, 2), status FROM ops.job_history")) == [
        ("/1", "completed"),
        ("/2", "completed"),
    ]
    assert broken_promises(base) == []


def test_a_quiet_user_does_not_wait_behind_a_busy_one(base: Base, runner: Runner) -> None:
    work = prepare(base, runner, per_user=2)
    enqueue(base, "noop", count=500, user_id="busy")
    quiet = enqueue(base, "noop", count=5, user_id="quiet")
    assert work.run("--batch", "4", "--concurrency", "4").exit_code == 0
    last = base.one("SELECT max(fence) FROM queue.attempts WHERE task_id = ANY (%s)", quiet)
    before = base.one("SELECT count(*) FROM queue.attempts WHERE user_id = 'busy' AND fence <= %s", last)
    assert before <= 30, before


def test_a_rate_spaces_starts_out_and_the_run_waits_for_it(base: Base, runner: Runner) -> None:
    work = prepare(base, runner, types="[queue.types.noop]\nrate_per_minute = 240")
    enqueue(base, "noop", count=12)
    ended = work.run("--json")
    assert report(ended)["counts"]["succeeded"] == 12, ended.said
    assert (
        base.one("SELECT count(DISTINCT fence) FROM queue.attempts") >= 3
    )  # a second's worth at once, the rest spaced
    assert base.one("SELECT max(claimed_at) - min(claimed_at) > interval '1.5 s' FROM queue.attempts")


def test_max_tasks_ends_the_run_after_so_many(base: Base, work: Runner) -> None:
    enqueue(base, "noop", count=50)
    assert work.run("--max-tasks", "7").exit_code == 0
    assert states(base) == {"succeeded": 7, "queued": 43}


def test_only_the_types_asked_for_are_done(base: Base, work: Runner) -> None:
    enqueue(base, "noop", count=3)
    enqueue(base, "note", count=3)
    assert work.run("--type", "note").exit_code == 0
    assert base.all("SELECT type, state FROM queue.tasks GROUP BY 1, 2 ORDER BY 1") == [
        ("noop", "queued"),
        ("note", "succeeded"),
    ]


def test_all_places_of_a_host_taken_is_a_skip_and_another_host_goes_on(base: Base, work: Runner) -> None:
    enqueue(base, "polite", {"s": 30})
    first = work.start()
    wait_for(lambda: states(base) == {"running": 1})
    second = work.start()
    assert second.wait().exit_code == 0
    assert base.all(ROW, second.correlation_id) == [("skipped", 0)]
    first.signal(signal.SIGTERM, worker=False)
    first.wait()


def test_a_blocked_queue_starts_nothing(base: Base, work: Runner) -> None:
    enqueue(base, "noop", count=20)
    base.conn.execute("UPDATE ingestion_jobs SET status = 'blocked' WHERE status = 'queued'")
    ended = work.run("--json")
    assert report(ended)["counts"]["claimed"] == 0
    assert states(base) == {"blocked": 20}
    assert outcomes(base) == {}


def test_a_type_that_nobody_knows_waits_and_is_named(base: Base, work: Runner) -> None:
    enqueue(base, "unheard-of", count=2)
    ended = work.run("--json")
    assert ended.exit_code == 0, ended.said
    notes = report(ended)["scopes"][0]["notes"]
    assert "2 tasks are due of type 'unheard-of', and no handler here is registered for it" in notes
    assert states(base) == {"queued": 2}


def test_a_handler_that_cannot_be_imported_is_named_and_harms_no_other(base: Base, runner: Runner) -> None:
    work = prepare(base, runner, broken=["half"])
    enqueue(base, "half", count=2)
    enqueue(base, "noop", count=5)
    ended = work.run("--json")
    assert ended.exit_code == 3, ended.said
    assert any("'half'" in note and "not installed" in note for note in report(ended)["scopes"][0]["notes"])
    assert base.all("SELECT type, state, attempts FROM queue.tasks GROUP BY 1, 2, 3 ORDER BY 1") == [
        ("half", "queued", 0),
        ("noop", "succeeded", 1),
    ]


@pytest.mark.parametrize(
    "words", [["--type", "nope"], ["--batch", "0"], ["--concurrency", "x"], ["--max-runtime", "soon"]]
)
def test_a_wrong_command_line_is_exit_2(words: list[str], base: Base, work: Runner) -> None:
    ended = work.run(*words)
    assert ended.exit_code == 2, ended.said
    assert ended.stderr and b"Traceback" not in ended.stderr


def test_failures_above_the_share_are_exit_3(base: Base, work: Runner) -> None:
    enqueue(base, "refuse", count=2)
    enqueue(base, "noop", count=2)
    ended = work.run(settings={"JOBCTL_DEGRADED_REJECT_SHARE": "0.1"})
    assert ended.exit_code == 3, ended.said
    assert b"50.0% of the tasks failed for good" in ended.stderr


def test_a_paused_worker_starts_nothing(base: Base, work: Runner) -> None:
    enqueue(base, "noop")
    words = ["pause", "work", "--until", "2099-01-01", "--reason", "a move"]
    done = subprocess.run(
        [sys.executable, "-m", "jobctl", *words], env=work.environment(), cwd=work.directory, check=False
    )
    assert done.returncode == 0
    assert work.run().exit_code == 0
    assert states(base) == {"queued": 1}
    assert base.last_status() == "skipped"


def test_a_dry_run_counts_what_the_run_then_does_and_changes_nothing(base: Base, runner: Runner) -> None:
    work = prepare(base, runner, per_user=2)
    for user in range(3):
        enqueue(base, "note", count=9, user_id=f"user-{user}")
    enqueue(base, "noop", count=6)
    before = base.all("SELECT * FROM queue.tasks ORDER BY task_id")
    dry = report(work.run("--dry-run", "--json"))
    assert base.all("SELECT * FROM queue.tasks ORDER BY task_id") == before
    assert (outcomes(base), base.all("SELECT * FROM bench.done"), base.all("SELECT * FROM ops.job_history")) == (
        {},
        [],
        [],
    )
    real = report(work.run("--json"))
    assert dry["counts"]["claimed"] == real["counts"]["claimed"] == 33
    assert dry["scopes"][0]["notes"] == ["would do 6 of type 'noop'", "would do 27 of type 'note'"]


def test_the_object_has_its_keys(base: Base, work: Runner) -> None:
    enqueue(base, "noop", count=3)
    said = report(work.run("--json"))
    assert list(said["counts"]) == [
        *("claimed", "succeeded", "retried", "failed", "snoozed", "released", "lost", "timeout", "rescued", "crashed"),
    ]
    assert list(said["scopes"][0]["metrics"]) == ["tasks_per_s"]
    assert (said["job"], said["status"], said["exit_code"]) == ("work", "completed", 0)
    assert said["counts"]["claimed"] == said["counts"]["succeeded"] == 3


# Stops, kills, frozen workers ------------------------------------------------------------------------------------


def begun(base: Base, count: int = 1) -> None:
    wait_for(lambda: base.one("SELECT count(*) FROM queue.tasks WHERE state = 'running'") >= count)


def test_sigterm_gives_back_what_has_not_ended_at_no_cost(base: Base, work: Runner) -> None:
    polite = enqueue(base, "polite", {"s": 60}, count=2)
    returning = enqueue(base, "polite", {"s": 60, "returns": True})
    deaf = enqueue(base, "sleep", {"s": 60})
    started = work.start("--json", "--concurrency", "4")
    begun(base, 4)
    time.sleep(0.5)
    started.signal(signal.SIGTERM, worker=False)
    ended = started.wait()
    assert ended.exit_code == 128 + signal.SIGTERM, ended.said
    assert base.all(ROW, started.correlation_id) == [("interrupted", 143)]
    found = {task_id: rest for task_id, *rest in base.all("SELECT task_id, state, attempts FROM queue.tasks")}
    assert [found[task_id] for task_id in (*polite, *deaf)] == [["queued", 0]] * 3
    assert found[returning[0]] == ["succeeded", 1]
    assert outcomes(base) == {"released": 3, "succeeded": 1}
    assert report(ended)["counts"] | {"released": 3, "succeeded": 1, "claimed": 4} == report(ended)["counts"]
    assert broken_promises(base) == []


def test_the_end_of_its_time_gives_back_what_has_not_ended_and_is_no_failure(base: Base, work: Runner) -> None:
    enqueue(base, "polite", {"s": 60}, count=2)
    started = work.start("--json", "--max-runtime", "5s")
    ended = started.wait()
    assert ended.exit_code == 0, ended.said
    assert states(base) == {"queued": 2}
    assert outcomes(base) == {"released": 2}
    assert report(ended)["counts"]["released"] == 2


def test_a_killed_worker_is_found_by_its_leases_and_its_tasks_are_done_by_the_next(base: Base, runner: Runner) -> None:
    work = prepare(base, runner, lease_s=1.2)
    enqueue(base, "note", {"before_s": 60}, count=3)
    started = work.start()
    begun(base, 3)
    started.signal(signal.SIGKILL)
    started.wait_for_all()
    base.conn.execute("UPDATE queue.tasks SET payload = '{}'")
    ended = work.run("--until-empty", "--json")
    assert ended.exit_code == 0, ended.said
    assert report(ended)["counts"]["rescued"] == 3
    assert outcomes(base) | {"crashed": 3, "succeeded": 3} == {"crashed": 3, "succeeded": 3, "released": 2}
    said = base.one("SELECT error_message FROM queue.attempts WHERE outcome = 'crashed' LIMIT 1")
    assert said.startswith("lease ended at ") and "attempt 1" in said
    assert broken_promises(base) == []


@pytest.mark.slow
def test_a_worker_that_was_frozen_past_its_lease_is_refused(base: Base, runner: Runner, new_runner: NewRunner) -> None:
    work = prepare(base, runner, lease_s=1.2, more="workers_per_host = 2")
    tasks = enqueue(base, "note", {"before_s": 2}, count=3)
    frozen = work.start("--json")
    begun(base, 3)
    frozen.signal(signal.SIGSTOP)
    try:
        second = work.run("--until-empty")
    finally:
        frozen.signal(signal.SIGCONT)
    ended = frozen.wait()
    assert second.exit_code == 0, second.said
    assert base.all("SELECT task_id, count(*)::int FROM bench.done GROUP BY 1 ORDER BY 1") == [
        (task_id, 1) for task_id in tasks
    ]
    assert outcomes(base) | {"crashed": 3, "succeeded": 3} == {"crashed": 3, "succeeded": 3, "released": 2}
    assert broken_promises(base) == []
    assert ended.stdout == b"" or report(ended)["counts"]["lost"] == 3, ended.said


@pytest.mark.slow
def test_a_database_restarted_in_mid_drain_loses_nothing_and_the_same_run_goes_on(new_runner: NewRunner) -> None:
    with own_server() as (bench, base):
        work = prepare(base, new_runner(base.url), lease_s=30)
        work.settings["JOBCTL_LEASE_S"] = "10"
        tasks = enqueue(base, "note", {"before_s": 0.02}, count=1_500)
        started = work.start("--json", "--until-empty")
        begun(base)
        wait_for(lambda: base.one("SELECT count(*) FROM bench.done") > 50)
        base.conn.close()
        restart(bench)
        after = anew(base)
        ended = started.wait()
        assert ended.exit_code == 0, ended.said
        assert after.all(ROW, started.correlation_id) == [("completed", 0)]
        assert states(after) == {"succeeded": 1_500}
        assert after.all("SELECT task_id FROM bench.done EXCEPT SELECT unnest(%s::bigint[])", tasks) == []
        assert after.one("SELECT count(DISTINCT task_id) FROM bench.done") == 1_500
        assert after.one("SELECT count(*) FROM queue.attempts WHERE outcome = 'succeeded'") == 1_500
        assert after.one("SELECT fence FROM ops.locks WHERE job = 'work'") >= 2
        assert broken_promises(after) == []
        after.conn.close()


def lose_answer(proxy: Proxy, purpose: str, after: str, tag: bytes) -> list[Link]:
    """The first time that the server says it has done this, behind a statement with these words, nobody hears of it."""
    asked: set[Link] = set()
    lost: list[Link] = []

    def there(link: Link, kind: bytes, body: bytes) -> bool:
        if link.purpose == purpose and after in statement(kind, body):
            asked.add(link)
        return True

    def back(link: Link, kind: bytes, body: bytes) -> bool:
        if not lost and link in asked and kind == b"C" and body.startswith(tag):
            lost.append(link)
        if link in lost and kind == READY:
            link.cut_client()
        return link not in lost

    proxy.from_client, proxy.from_server = there, back
    return lost


@pytest.mark.slow
@pytest.mark.parametrize(
    ("purpose", "after", "tag"),
    [("complete", "INSERT INTO queue.attempts", b"INSERT"), ("claim", "nextval('queue.fences')", b"COMMIT")],
)
def test_a_commit_whose_answer_is_lost_is_neither_repeated_nor_forgotten(
    purpose: str, after: str, tag: bytes, base: Base, proxy: Proxy, work: Runner
) -> None:
    enqueue(base, "note", count=60)
    lost = lose_answer(proxy, purpose, after, tag)
    ended = work.run("--json", url=proxy.url)
    assert ended.exit_code == 0, ended.said
    assert len(lost) == 1, "no answer was lost"
    assert report(ended)["counts"]["succeeded"] == 60
    assert states(base) == {"succeeded": 60}
    assert outcomes(base) == {"succeeded": 60}
    assert base.one("SELECT count(*) FROM bench.done") == 60
    assert broken_promises(base) == []


@pytest.mark.slow
@pytest.mark.skipif(pgbouncer() is None, reason="PgBouncer is not installed")
def test_through_a_pooler_in_transaction_mode(base: Base, work: Runner) -> None:
    enqueue(base, "note", count=100)
    enqueue(base, "fail", count=3)
    with pooled(base.dsn, "transaction") as url:
        started = work.start("--until-empty", url=url)
        ended = started.wait()
        assert ended.exit_code == 0, ended.said
    assert states(base) == {"succeeded": 100, "failed": 3}
    assert base.one("SELECT count(*) FROM bench.done") == 100
    assert broken_promises(base) == []
