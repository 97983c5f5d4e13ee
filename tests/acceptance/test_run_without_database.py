"""`jobctl run` while PostgreSQL is away, goes away and comes back: what runs, what is kept, what comes into history."""

import json
import time
import uuid

import pytest

from bench_postgres import wait_for
from bench_runs import Base, NewRunner
from bench_webhook import Receiver, answer
from bench_wire import Proxy
from bench_wrapped import DOWN, SHORT, Wrapper, below


@pytest.fixture
def wrapper(new_runner: NewRunner, base: Base) -> Wrapper:
    return Wrapper(new_runner(base.url))


def test_without_the_database_it_is_skipped_with_75_and_the_run_comes_into_history_later(
    wrapper: Wrapper, base: Base
) -> None:
    ended = wrapper.run("x", "--", "touch", "done", settings={"DATABASE_URL": DOWN})
    assert ended.exit_code == 75, ended.said
    assert not (wrapper.runner.directory / "done").exists()
    assert len(wrapper.spooled) == 1
    assert wrapper.run("other", "--", "true").exit_code == 0
    rows = base.all("SELECT scope, status, exit_code, replayed_at IS NULL FROM ops.job_history ORDER BY started_at")
    assert rows == [("x", "failed", 75, False), ("other", "completed", 0, True)]
    assert wrapper.spooled == []


def test_without_the_database_it_runs_if_told_so_and_is_replayed_in_order(wrapper: Wrapper, base: Base) -> None:
    for number in range(3):
        script = f"echo {number}; exit {number}"
        ended = wrapper.run("--when-db-down=run", "x", "--", "sh", "-c", script, settings={"DATABASE_URL": DOWN})
        assert ended.exit_code == number, ended.said
    (wrapper.runner.directory / "data" / "spool" / "00000000-garbage.json").write_text('{"format": 1, "identi')
    assert wrapper.run("other", "--", "true").exit_code == 0
    rows = base.all("SELECT scope, exit_code, output FROM ops.job_history WHERE scope = 'x' ORDER BY started_at")
    assert rows == [("x", 0, "0\n"), ("x", 1, "1\n"), ("x", 2, "2\n")]
    assert [
        path.suffix for path in (wrapper.runner.directory / "data" / "spool").iterdir() if "garbage" in path.name
    ] == [".bad"]


def test_a_run_of_ingest_that_finds_no_database_leaves_no_hole_either(wrapper: Wrapper, base: Base) -> None:
    ended = wrapper.runner.run(url=DOWN)
    assert ended.exit_code == 75
    assert wrapper.runner.run().exit_code == 0
    rows = base.all("SELECT status, exit_code, replayed_at IS NULL FROM ops.job_history ORDER BY started_at")
    assert rows == [("failed", 75, False), ("completed", 0, True)]


def test_without_the_database_two_on_one_host_still_exclude_each_other(wrapper: Wrapper) -> None:
    words = ("--when-db-down=run", "x", "--", "sh", "-c", "echo x >> ready; sleep 20")
    first = wrapper.start(*words, settings={"DATABASE_URL": DOWN})
    try:
        wait_for((wrapper.runner.directory / "ready").exists, 20)
        second = wrapper.run(*words, settings={"DATABASE_URL": DOWN})
        assert second.exit_code == 0
        assert (wrapper.runner.directory / "ready").read_text() == "x\n"
    finally:
        first.terminate()
        first.communicate(timeout=20)


def test_what_began_without_the_database_keeps_others_on_its_host_away_when_it_is_back(
    wrapper: Wrapper, base: Base
) -> None:
    words = ("--when-db-down=run", "x", "--", "sh", "-c", "echo x >> ready; sleep 20")
    first = wrapper.start(*words, settings={"DATABASE_URL": DOWN})
    try:
        wait_for((wrapper.runner.directory / "ready").exists, 20)
        assert wrapper.run(*words).exit_code == 0
        assert wrapper.run("x", "--", "sh", "-c", "echo second >> ready").exit_code == 0
        assert (wrapper.runner.directory / "ready").read_text() == "x\n"
        holders = base.all("SELECT notes ->> 0 FROM ops.job_history WHERE status = 'skipped' AND scope = 'x'")
        assert len(holders) == 2 and all("lock of this host is held by run " in note for (note,) in holders)
    finally:
        first.terminate()
        first.communicate(timeout=20)


@pytest.mark.parametrize(("mode", "exit_code", "status"), [("run", 4, "failed"), ("skip", 75, "failed")])
def test_a_database_that_goes_away_under_a_command_ends_it_or_not_as_it_was_told(
    wrapper: Wrapper, base: Base, mode: str, exit_code: int, status: str
) -> None:
    script = "touch ready; while ! test -e go; do sleep 0.1; done; echo to the end; exit 4"
    words = (f"--when-db-down={mode}", "--max-runtime", "60s", "x", "--", "sh", "-c", script)
    with Proxy(base.dsn) as proxy:
        process = wrapper.start(*words, settings={**SHORT, "DATABASE_URL": proxy.url})
        wait_for((wrapper.runner.directory / "ready").exists, 20)
    if mode == "run":
        time.sleep(2 * float(SHORT["JOBCTL_LEASE_S"]))  # longer than the lease
        assert process.poll() is None
        (wrapper.runner.directory / "go").touch()
    _, err = process.communicate(timeout=60)
    assert process.returncode == exit_code, err
    assert below(wrapper.runner.directory) == [] and len(wrapper.spooled) == 1
    assert base.one("SELECT status FROM ops.job_history WHERE scope = 'x'") == "running"
    assert wrapper.run("other", "--", "true").exit_code == 0
    found = base.all("SELECT status, exit_code, replayed_at IS NULL FROM ops.job_history WHERE scope = 'x'")
    assert found == [(status, exit_code, False)]
    assert ("to the end" in base.one("SELECT output FROM ops.job_history WHERE scope = 'x'")) == (mode == "run")


def test_a_run_that_others_took_for_dead_has_the_last_word_about_itself(wrapper: Wrapper, base: Base) -> None:
    script = "touch ready; while ! test -e go; do sleep 0.1; done; echo to the end"
    words = ("--when-db-down=run", "--max-runtime", "60s", "x", "--", "sh", "-c", script)
    process = wrapper.start(*words, settings=SHORT)
    wait_for((wrapper.runner.directory / "ready").exists, 20)
    base.one("SELECT pg_terminate_backend(guard_backend_pid) FROM ops.job_history WHERE scope = 'x'")
    assert wrapper.run("other", "--", "true").exit_code == 0
    assert base.one("SELECT status FROM ops.job_history WHERE scope = 'x'") == "abandoned"
    (wrapper.runner.directory / "go").touch()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert wrapper.run("other", "--", "true").exit_code == 0
    assert base.all("SELECT status, exit_code FROM ops.job_history WHERE scope = 'x'") == [("completed", 0)]


def test_what_the_database_will_not_have_stops_nobody(wrapper: Wrapper, base: Base) -> None:
    for _ in range(2):
        wrapper.run("--when-db-down=run", "x", "--", "true", settings={"DATABASE_URL": DOWN})
    poisoned = wrapper.spooled[0]
    poisoned.write_text(poisoned.read_text().replace('"notes": [', '"notes": ["a\\u0000b", '))
    ended = wrapper.run("other", "--", "true")
    assert ended.exit_code == 0, ended.said
    assert base.one("SELECT count(*) FROM ops.job_history WHERE scope = 'x'") == 1
    assert wrapper.spooled == [] and poisoned.with_suffix(".bad").exists()


def test_many_that_replay_at_once_double_nothing(wrapper: Wrapper, base: Base) -> None:
    wrapper.run("--when-db-down=run", "x", "--", "true", settings={"DATABASE_URL": DOWN})
    (first,) = wrapper.spooled
    text, count = first.read_text(), 60
    run_id = json.loads(text)["identity"]["run_id"]
    for number in range(count):
        other = str(uuid.uuid4())
        first.with_name(f"20200101T0000{number:02d}.000000-{other}.json").write_text(text.replace(run_id, other))
    started = [wrapper.start(f"other{number}", "--", "true") for number in range(6)]
    for process in started:
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
    assert base.one("SELECT count(*) FROM ops.job_history WHERE scope = 'x'") == count + 1
    assert [path.name for path in (wrapper.data / "spool").iterdir() if path.suffix != ".lock"] == []


def test_a_failure_without_the_database_is_told_at_once_and_not_again_when_it_is_back(
    wrapper: Wrapper, base: Base
) -> None:
    with Receiver(answer(200)) as receiver:
        wrapper.runner.settings |= {"ENABLE_SLACK_ALERTS": "true", "SLACK_WEBHOOK_URL": receiver.url}
        words = ("--when-db-down=run", "x", "--", "sh", "-c", "echo no disk; exit 4")
        assert wrapper.run(*words, settings={"DATABASE_URL": DOWN}).exit_code == 4
        assert len(receiver.texts) == 1 and "exit code 4: no disk" in receiver.texts[0]
        assert wrapper.run("other", "--", "true").exit_code == 0
        assert base.all("SELECT state, notices FROM ops.incidents") == [("open", 1)]
        assert wrapper.run("x", "--", "true").exit_code == 0
        assert len(receiver.texts) == 2 and "resolved: run x failed: CommandFailed" in receiver.texts[1]


def test_two_names_with_one_slot_are_kept_apart(wrapper: Wrapper, base: Base) -> None:
    for name in ("x", "y"):
        assert wrapper.run(name, "--", "true", settings={"DATABASE_URL": DOWN}).exit_code == 75
    assert wrapper.run("other", "--", "true").exit_code == 0
    assert [scope for (scope,) in base.all("SELECT scope FROM ops.job_history ORDER BY started_at")] == [
        "x",
        "y",
        "other",
    ]
