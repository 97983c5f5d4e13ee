"""What a receiver on the loopback hears of real runs: each failure once, whoever dies. No run minds the receiver."""

import re
import signal
from collections.abc import Generator

import pytest

from bench_postgres import wait_for
from bench_runs import Base, Ended, NewRunner, Runner
from bench_source import Source
from bench_webhook import TOKEN, Behaviour, Receiver, answer, cut, hang, refusing_url

OUTBOX = "SELECT state, tries FROM ops.outbox ORDER BY message_id"
FAIL = ("--max-age", "1d")  # the branch of these tests is older


@pytest.fixture
def receiver() -> Generator[Receiver, None, None]:
    with Receiver(answer(200)) as made:
        yield made


@pytest.fixture
def source(base: Base) -> Source:
    source = Source([base.conn]).create()
    base.conn.execute("UPDATE branch.branches SET loaded_at = loaded_at - interval '9 days'")
    return source


@pytest.fixture
def runner(base: Base, source: Source, receiver: Receiver, new_runner: NewRunner) -> Runner:
    return new_runner(base.url, ENABLE_SLACK_ALERTS="true", SLACK_WEBHOOK_URL=receiver.url)


def failed(runner: Runner, **settings: str) -> Ended:
    ended = runner.run(*FAIL, settings=settings)
    assert ended.exit_code == 1 and ended.stderr.count(b"\n") == 1, ended.said
    return ended


def everything_written(base: Base, runner: Runner, *ends: Ended) -> str:
    tables = base.all(
        "SELECT format('SELECT coalesce(string_agg(t::text, chr(10)), '''') FROM %I.%I AS t', schemaname, tablename)"
        " FROM pg_catalog.pg_tables WHERE schemaname IN ('branch', 'core', 'ops', 'queue')"
    )
    rows = [base.one(question) for (question,) in tables]
    streams = [(end.stdout + end.stderr).decode() for end in ends]
    return "\n".join([*rows, *streams, runner.log_file.read_text()])


def test_ten_failures_in_a_window_are_one_message_that_says_what_to_look_at(
    runner: Runner, receiver: Receiver, base: Base
) -> None:
    ends = [failed(runner) for _ in range(10)]
    assert len(receiver.texts) == 1 and base.all(OUTBOX) == [("sent", 1)]
    text = receiver.texts[0]
    run_id = base.one("SELECT run_id::text FROM ops.job_history ORDER BY started_at LIMIT 1")
    assert text.startswith(
        "jobctl: ingest-branch places failed: SourceError\nstatus: failed, exit code 1\nerror: SourceError: "
    )
    assert f"run: {run_id}" in text and "\nhost: " in text and "\nlook: " in text
    written = everything_written(base, runner, *ends)
    assert base.all("SELECT state, occurrences, notices FROM ops.incidents") == [("open", 10, 1)]
    runner.succeed()
    assert len(receiver.texts) == 2 and "\nlasted: " in receiver.texts[1]
    assert receiver.texts[1].startswith(
        "jobctl: resolved: ingest-branch places failed 10 times in a row: SourceError\n"
    )
    assert TOKEN not in written and "services/T0" not in written


def test_runs_that_go_well_send_nothing(runner: Runner, receiver: Receiver, base: Base) -> None:
    runner.succeed()
    assert receiver.connections == 0 and base.all(OUTBOX) == []


@pytest.mark.parametrize("arguments", [("--dry-run",), ("--dry-run", *FAIL)], ids=["well", "failing"])
def test_a_dry_run_keeps_and_sends_nothing(
    arguments: tuple[str, ...], runner: Runner, receiver: Receiver, base: Base
) -> None:
    base.conn.execute(
        "INSERT INTO ops.outbox (channel, dedupe_key, payload) VALUES ('slack', 'left', '{\"text\": \"x\"}')"
    )
    runner.run(*arguments)
    assert receiver.connections == 0 and base.all(OUTBOX) == [("new", 0)]


@pytest.mark.parametrize(
    ("behave", "row"),
    [(hang, ("unknown", 1)), (cut, ("unknown", 1)), (answer(500), ("new", 1)), (None, ("new", 1))],
    ids=["hang", "cut", "500", "refused"],
)
def test_a_dead_channel_changes_neither_outcome_nor_streams(
    behave: Behaviour | None, row: tuple[str, int], runner: Runner, receiver: Receiver, base: Base
) -> None:
    quiet = failed(runner, ENABLE_SLACK_ALERTS="false")
    if behave is not None:
        receiver.then(behave)
    ended = failed(runner, **({} if behave is not None else {"SLACK_WEBHOOK_URL": refusing_url()}))
    assert (ended.exit_code, ended.stdout) == (quiet.exit_code, quiet.stdout)
    assert re.sub(rb"\d+s ago", b"", ended.stderr) == re.sub(rb"\d+s ago", b"", quiet.stderr)
    assert base.all(OUTBOX) == [row]
    assert base.all("SELECT status, exit_code FROM ops.job_history") == [("failed", 1)] * 2
    receiver.then(answer(200))
    base.conn.execute("UPDATE ops.outbox SET updated_at = updated_at - interval '1 minute'")
    runner.succeed()
    assert base.all(OUTBOX) == [("sent", 2) if row[0] == "new" else row, ("sent", 1)], "the recovery is told, too"
    assert TOKEN not in everything_written(base, runner, ended)


DIES_ONCE = """
CREATE SEQUENCE public.deaths;
CREATE FUNCTION public.die_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF pg_catalog.nextval('public.deaths') = 1 THEN
        PERFORM pg_catalog.pg_terminate_backend(pg_catalog.pg_backend_pid());
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER die_once BEFORE INSERT ON ops.outbox FOR EACH ROW EXECUTE FUNCTION public.die_once();
"""


def test_an_alert_is_not_lost_with_the_session_that_kept_it(runner: Runner, receiver: Receiver, base: Base) -> None:
    base.conn.execute(DIES_ONCE.encode())
    ended = runner.run(*FAIL)
    assert ended.exit_code == 1 and base.last_status() == "failed", ended.said
    assert base.one("SELECT last_value FROM public.deaths") == 2
    assert len(receiver.texts) == 1 and base.all(OUTBOX) == [("sent", 1)]


def test_a_worker_that_is_killed_is_told_of_by_its_supervisor(runner: Runner, receiver: Receiver, base: Base) -> None:
    with base.conn.transaction():
        base.conn.execute("LOCK TABLE core.items")
        started = runner.start(settings={"JOBCTL_LOCK_TIMEOUT_MS": "20000"})
        wait_for(lambda: base.one("SELECT count(*) FROM ops.job_history WHERE status = 'running'") == 1)
        started.signal(signal.SIGKILL, supervisor=False)
        ended = started.wait()
    assert ended.exit_code == 1 and len(receiver.texts) == 1
    assert "ingest-branch places failed: WorkerDied" in receiver.texts[0]


def test_a_run_of_which_nothing_is_left_is_told_of_by_the_next(runner: Runner, receiver: Receiver, base: Base) -> None:
    with base.conn.transaction():
        base.conn.execute("LOCK TABLE core.items")
        started = runner.start(settings={"JOBCTL_LOCK_TIMEOUT_MS": "20000"})
        wait_for(lambda: base.one("SELECT count(*) FROM ops.job_history WHERE status = 'running'") == 1)
        dead = base.one("SELECT run_id::text FROM ops.job_history")
        started.signal(signal.SIGKILL)
        started.wait_for_all()
    wait_for(lambda: base.one("SELECT count(*) FROM pg_catalog.pg_locks WHERE locktype = 'advisory'") == 0)
    assert receiver.texts == []
    runner.succeed()
    runner.succeed()
    assert len(receiver.texts) == 2 and "resolved: " in receiver.texts[1]
    assert "ingest-branch places abandoned" in receiver.texts[0] and f"run: {dead}" in receiver.texts[0]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_somebody_ended_is_not_told_of(number: int, runner: Runner, receiver: Receiver, base: Base) -> None:
    with base.conn.transaction():
        base.conn.execute("LOCK TABLE core.items")
        started = runner.start()
        wait_for(lambda: base.one("SELECT count(*) FROM ops.job_history WHERE status = 'running'") == 1)
        started.signal(number, worker=False)
        wait_for(lambda: '"run_failed"' in runner.logged or not started.is_alive)
    assert started.wait().exit_code == 128 + number
    assert receiver.texts == [] and base.all(OUTBOX) == []


def test_a_signal_that_comes_while_the_alert_is_sent_does_not_change_the_exit_code(
    runner: Runner, receiver: Receiver, base: Base
) -> None:
    receiver.then(hang)
    started = runner.start(*FAIL)
    assert receiver.got_one.wait(30)
    started.signal(signal.SIGTERM, worker=False)
    assert started.wait().exit_code == 1
    assert base.all(OUTBOX) == [("unknown", 1)]


def test_a_supervisor_killed_while_the_alert_is_sent_leaves_a_row_that_the_next_run_owns_up_to(
    runner: Runner, receiver: Receiver, base: Base
) -> None:

    receiver.then(hang)
    started = runner.start(*FAIL)
    assert receiver.got_one.wait(30)
    started.signal(signal.SIGKILL)
    started.wait_for_all()
    wait_for(
        lambda: base.one("SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE application_name LIKE '%/outbox'") == 0
    )
    receiver.then(answer(200))
    runner.succeed()
    runner.succeed()
    assert base.all(OUTBOX) == [("unknown", 1), ("sent", 1)] and len(receiver.texts) == 2
    assert "resolved: " in receiver.texts[1]
    assert '"outbox_unknown"' in runner.log_file.read_text()
