"""`jobctl retry-failed`, as cron or an operator runs it: what it puts right, tells, and leaves when it is ended."""

import json
import signal
from collections.abc import Generator
from datetime import timedelta
from typing import Any

import pytest

from bench_postgres import wait_for
from bench_retry import DAY, HOUR, Queue, content_hash
from bench_runs import Base, Ended, Runner
from bench_webhook import Receiver, answer
from bench_work import broken_promises, enqueue, prepare
from jobctl.jobs.retry_failed.job import COUNTS

STUCK_KEYS = {"task_id", "type", "state", "lease_ended_at", "worker", "attempt", "crashes", "why"}


@pytest.fixture
def queue(base: Base) -> Queue:
    return Queue(base.conn)


@pytest.fixture
def receiver() -> Generator[Receiver, None, None]:
    with Receiver(answer(200)) as made:
        yield made


@pytest.fixture
def retry(base: Base, runner: Runner, receiver: Receiver) -> Runner:
    """With handlers that the due tasks of these tests have, and alerts on."""
    prepare(base, runner)
    runner.job = "retry-failed"
    runner.settings |= {"ENABLE_SLACK_ALERTS": "true", "SLACK_WEBHOOK_URL": receiver.url}
    return runner


def report(ended: Ended) -> dict[str, Any]:
    assert ended.stdout, ended.said
    return json.loads(ended.stdout)


def counted(ended: Ended) -> dict[str, int]:
    return {name: number for name, number in report(ended)["counts"].items() if number}


def everything_wrong(base: Base, queue: Queue) -> None:
    """Something for each step."""
    queue.stuck(outcomes=("failed",), lease_ended=2 * HOUR)
    queue.stuck(type="mail", lease_ended=HOUR, outcomes=("crashed", "crashed"))
    queue.failed()
    queue.failed(is_recoverable=False)
    queue.failed(dedupe_key="k")
    queue.task(dedupe_key="k")
    queue.task(type="embed", subject_id=1, model_version="wordllama-256-v1")
    queue.task(state="succeeded", ago=15 * DAY, outcomes=("failed", "succeeded"))
    queue.tries("slow", failed=10)
    enqueue(base, "noop", count=3)


PUT_RIGHT = {
    "stuck_recovered": 2,
    "stuck_failed": 1,
    "stale_cancelled": 1,
    "requeued": 1,
    "superseded": 1,
    "failures_last_hour": 15,
    "alerts": 1,
    "pruned": 1,
    "drained": 3,
}


def test_all_that_is_wrong_is_put_right_in_one_run(base: Base, queue: Queue, retry: Runner) -> None:
    everything_wrong(base, queue)
    ended = retry.run("--json")
    assert ended.exit_code == 3, ended.said
    assert counted(ended) == PUT_RIGHT
    told = report(ended)
    assert told["counts"].keys() == set(COUNTS)
    (scope,) = told["scopes"]
    assert (scope["scope"], scope["status"], scope["degraded"]) == ("", "completed", True)
    assert [each.keys() for each in scope["evidence"]["stuck"]] == [STUCK_KEYS] * 2
    assert "lease ended at" in scope["evidence"]["stuck"][0]["why"]
    events = base.all("SELECT event, count(*) FROM ops.sync_events WHERE job = 'retry-failed' GROUP BY event")
    expected = {"stuck_recovered": 2, "stale_cancelled": 1, "requeued": 1, "failures_found": 1, "pruned": 1}
    assert {**expected, "drained": 1}.items() <= dict(events).items()
    assert retry.logged.count("lease ended at") >= 2
    assert base.one("SELECT count(*) FROM queue.tasks WHERE type = 'noop' AND state = 'succeeded'") == 3
    assert broken_promises(base) == []


def test_the_alert_reaches_the_channel_once_however_often_cron_calls(
    base: Base, queue: Queue, retry: Runner, receiver: Receiver
) -> None:
    queue.tries("slow", failed=11)
    for _ in range(3):
        ended = retry.run("--scheduled")
        assert ended.exit_code == 3, ended.said
        assert ended.stderr.count(b"\n") == 1 and b"11 tasks failed in the last hour" in ended.stderr
    (text,) = receiver.texts
    assert text.startswith("jobctl: retry-failed degraded: TaskFailures\nerror: TaskFailures: 11 tasks")
    assert "\nhint: jobctl queue stats" in text
    base.conn.execute("DELETE FROM queue.attempts; DELETE FROM queue.tasks")
    assert retry.run("--scheduled").exit_code == 0
    assert len(receiver.texts) == 2 and "resolved: retry-failed degraded: TaskFailures" in receiver.texts[1]
    assert base.all("SELECT state, dedupe_key FROM ops.outbox ORDER BY message_id") == [
        ("sent", "slack/incident/1/1"), ("sent", "slack/incident/1/2"),
    ]  # fmt: skip


def test_alerts_that_are_off_leave_nothing_and_the_run_is_degraded_all_the_same(
    base: Base, queue: Queue, retry: Runner, receiver: Receiver
) -> None:
    queue.tries("slow", failed=11)
    assert retry.run(settings={"ENABLE_SLACK_ALERTS": "false"}).exit_code == 3
    assert base.all("SELECT * FROM ops.outbox") == [] and receiver.connections == 0
    assert base.all("SELECT state, cause FROM ops.incidents") == [("open", "queue-failures/queue")], "history is kept"


def test_a_dry_run_writes_and_sends_nothing_and_tells_what_the_run_that_follows_does(
    base: Base, queue: Queue, retry: Runner, receiver: Receiver
) -> None:
    everything_wrong(base, queue)
    before = content_hash(base.conn)
    dry = retry.run("--dry-run", "--json")
    assert dry.exit_code == 3, dry.said
    assert content_hash(base.conn) == before and receiver.connections == 0
    assert counted(dry) == PUT_RIGHT == counted(retry.run("--json"))


def test_nothing_wrong_is_exit_0_and_silent_under_cron(base: Base, retry: Runner) -> None:
    ended = retry.run("--scheduled")
    assert (ended.exit_code, ended.stdout, ended.stderr) == (0, b"", b"")
    assert base.last_status() == "completed"


def test_a_person_reads_a_summary(base: Base, queue: Queue, retry: Runner) -> None:
    everything_wrong(base, queue)
    said = retry.run("-v").stdout.decode()
    for line in (
        "retry-failed: completed, degraded in ",
        "  tasks taken from workers that were lost: 2",
        "  failed tasks requeued: 1",
        "  due tasks worked off: 3",
        "    15 tasks failed in the last hour and have not succeeded since, more than 10: ",
    ):
        assert line in said, said
    assert "exit code 3" in said.splitlines()[-1]


def test_an_operator_gives_a_task_another_try(base: Base, queue: Queue, retry: Runner) -> None:
    task_id = queue.failed(is_recoverable=False)
    ended = retry.run("--id", str(task_id), "--json")
    assert ended.exit_code == 0 and counted(ended) == {"requeued": 1}, ended.said
    row = queue.row(task_id)
    assert (row["state"], row["attempts"], row["forgiven_attempts"]) == ("queued", 0, 5)
    again = retry.run("--id", str(task_id))
    assert again.exit_code == 3 and b"was not requeued: it is queued" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--id", "1", "--type", "crawl"), b"leave out --type and --since"),
        (("--since", "soon"), b"neither a duration nor a time"),
        (("--id", "0"), b"--id"),
        (("--max-runtime", "never"), b"--max-runtime"),
    ],
)
def test_wrong_usage_is_exit_2(retry: Runner, arguments: tuple[str, ...], said: bytes) -> None:
    ended = retry.run(*arguments)
    assert ended.exit_code == 2 and said in ended.stderr, ended.said


def test_a_database_that_is_away_is_exit_75(retry: Runner) -> None:
    assert retry.run(url="postgresql://app@127.0.0.1:1/jobs").exit_code == 75


def test_a_second_run_at_the_same_time_is_skipped(base: Base, queue: Queue, retry: Runner) -> None:
    queue.task(state="succeeded", ago=15 * DAY)
    with base.conn.transaction():
        base.conn.execute("LOCK TABLE queue.tasks IN ACCESS EXCLUSIVE MODE")
        first = retry.start(settings={"JOBCTL_LOCK_TIMEOUT_MS": "900"})
        wait_for(lambda: base.one("SELECT count(*) FROM ops.job_history WHERE status = 'running'") == 1)
        second = retry.run("--json")
    assert second.exit_code == 0 and report(second)["status"] == "skipped", second.said
    first.wait()


def test_a_step_that_fails_is_told_as_a_degraded_run(
    base: Base, queue: Queue, retry: Runner, receiver: Receiver
) -> None:
    stuck = queue.stuck(lease_ended=HOUR)
    base.conn.execute("ALTER TABLE core.items RENAME TO hidden")
    ended = retry.run()
    assert ended.exit_code == 3 and b"cancel stale failed: PostgreSQL refused (42P01)" in ended.stderr, ended.said
    assert queue.states(stuck) == ["queued"]
    assert len(receiver.texts) == 1 and "notes: cancel stale failed" in receiver.texts[0]


SLOW = """
CREATE FUNCTION public.slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.2); RETURN NULL; END $$;
CREATE TRIGGER slow AFTER DELETE ON queue.tasks FOR EACH STATEMENT EXECUTE FUNCTION public.slow();
INSERT INTO queue.tasks (type, state, created_at, finished_at)
SELECT 'crawl', 'succeeded', now() - interval '20 days', now() - interval '20 days' FROM generate_series(1, 200000);
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_ended_while_it_prunes_tells_what_it_pruned(base: Base, retry: Runner, number: int) -> None:
    base.conn.execute(SLOW.encode())
    started = retry.start()
    pruned = "SELECT coalesce((SELECT (counts ->> 'pruned')::int FROM ops.checkpoints WHERE job = 'retry-failed'), 0)"
    wait_for(lambda: base.one(pruned) > 4_000)
    started.signal(number, supervisor=number == signal.SIGTERM, worker=number == signal.SIGKILL)
    ended = started.wait()
    assert ended.exit_code == (143 if number == signal.SIGTERM else 1), ended.said
    gone = 200_000 - base.one("SELECT count(*) FROM queue.tasks")
    assert 4_000 < gone < 200_000
    assert base.one("SELECT (counts ->> 'pruned')::int FROM ops.job_history") == gone
    base.conn.execute("DROP TRIGGER slow ON queue.tasks")
    assert counted(retry.run("--json")) == {"pruned": 200_000 - gone}


def test_a_worker_that_finishes_while_its_task_is_looked_at_keeps_its_word(
    base: Base, queue: Queue, retry: Runner
) -> None:
    """Its row is locked by the ending when the lease is seen to be over."""
    task_id = queue.stuck(lease_ended=timedelta(seconds=1))
    with base.conn.transaction():
        base.conn.execute("UPDATE queue.tasks SET state = 'succeeded', lease_until = NULL, finished_at = now()")
        ended = retry.run("--json")
    assert ended.exit_code == 0 and counted(ended) == {}, ended.said
    assert queue.states(task_id) == ["succeeded"]
