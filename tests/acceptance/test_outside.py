"""Tasks that ask and start what is outside, through `jobctl work` as cron starts it."""

import json
import os
import signal
import zipfile
from collections.abc import Generator
from pathlib import Path

import psycopg
import pytest
from hatchling.builders.wheel import WheelBuilder
from psycopg import sql

from bench_http import Server, new_authority, says, says_nothing
from bench_postgres import wait_for
from bench_runs import SOURCE, Base, Runner, processes_with
from bench_work import broken_promises, enqueue, outcomes, prepare, states

TOKEN, HEADER, PAYLOAD = "t0k3n-c4n4ry", "h34d3r-c4n4ry", "p4yl04d-c4n4ry"
EXAMPLE = SOURCE.parent / "examples" / "handlers"


@pytest.fixture
def peer() -> Generator[Server, None, None]:
    with Server() as made:
        yield made


@pytest.fixture
def work(base: Base, runner: Runner) -> Runner:
    return prepare(base, runner)


def add(work: Runner, toml: str) -> None:
    """To the settings; the file may hold secrets."""
    path = work.directory / "jobctl.toml"
    path.write_text(path.read_text() + toml)
    path.chmod(0o600)


def endpoint(work: Runner, url: str, more: str = "allow_private = true") -> None:
    add(work, f'\n[queue.endpoints.crm]\nurl = "{url}"\nheaders = {{ X-Key = "{HEADER}" }}\n{more}\n')
    work.settings["JOBCTL_ENDPOINT_TOKENS"] = f"crm={TOKEN}"


def script(work: Runner, text: str, more: str = "") -> None:
    path = work.directory / "script"
    path.write_text(text if text.startswith("#!") else f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    add(work, f'\n[queue.commands.x]\nargv = ["{path}"]\n{more}\n')


def everything_kept(base: Base) -> str:
    """All rows of all tables, as text, without the payloads that were given to the queue."""
    tables = base.all("SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('ops', 'queue')")
    texts: list[str] = []
    with psycopg.connect(base.dsn) as conn:
        for schema, table in tables:
            rows = conn.execute(
                sql.SQL("SELECT to_jsonb(t) - 'payload' FROM {} AS t").format(sql.Identifier(schema, table))
            )
            texts += [json.dumps(row[0]) for row in rows]
    return "\n".join(texts)


# Endpoints -------------------------------------------------------------------------------------------------------


def test_a_task_is_posted_until_it_is_taken_with_one_key(base: Base, work: Runner, peer: Server) -> None:
    endpoint(work, peer.url("/hooks"))
    peer.then(says(503), says(500), says(200, b'{"id": 5}'))
    add(work, "\n[queue.types.http]\nmax_attempts = 5\n")
    (task,) = enqueue(base, "http", {"endpoint": "crm", "body": {"a": PAYLOAD}})
    ended = work.run("--until-empty")
    assert ended.exit_code == 0, ended.said
    assert (states(base), outcomes(base)) == ({"succeeded": 1}, {"failed": 2, "succeeded": 1})
    assert len({each.headers["idempotency-key"] for each in peer.requests}) == 1
    assert all(each.headers["authorization"] == f"Bearer {TOKEN}" for each in peer.requests)
    result = "SELECT result FROM queue.attempts WHERE task_id = %s AND outcome = 'succeeded'"
    assert base.one(result, task) == {"status": 200, "body": {"id": 5}}
    assert broken_promises(base) == []


def test_what_cannot_succeed_fails_at_once_and_says_why(base: Base, work: Runner, peer: Server) -> None:
    endpoint(work, peer.url("/hooks"))
    peer.then(says(422, b'{"error": "no such customer"}'))
    (task,) = enqueue(base, "http", {"endpoint": "crm"})
    (misspelt,) = enqueue(base, "http", {"endpoint": "crn"})
    work.run("--until-empty")
    row = "SELECT state, attempts, is_recoverable, error_message FROM queue.tasks WHERE task_id = %s"
    told = f'endpoint crm: http://127.0.0.1:{peer.port} answered 422: {{"error": "no such customer"}}'
    assert base.all(row, task) == [("failed", 1, False, told)]
    assert "did you mean crm?" in base.all(row, misspelt)[0][3]


def test_retry_after_decides_when(base: Base, work: Runner, peer: Server) -> None:
    endpoint(work, peer.url())
    peer.then(says(429, Retry_After="600"))
    enqueue(base, "http", {"endpoint": "crm"})
    assert work.run().exit_code == 0
    assert base.one("SELECT scheduled_at - updated_at BETWEEN interval '590 s' AND interval '800 s' FROM queue.tasks")


def test_a_private_address_is_asked_only_where_the_settings_say_so(base: Base, work: Runner, peer: Server) -> None:
    endpoint(work, peer.url(), 'allow = ["10.0.0.0/8"]')
    add(work, f"\n[queue.endpoints.any]\nurl_from_payload = true\nports = [{peer.port}]\n")
    enqueue(base, "http", {"endpoint": "crm"})
    for host in ("127.0.0.1", "localhost", "0x7f.1", "[::ffff:127.0.0.1]", "169.254.169.254"):
        enqueue(base, "http", {"endpoint": "any", "url": f"https://{host}:{peer.port}/"})
    work.run("--until-empty")
    assert states(base) == {"failed": 6}
    assert base.one("SELECT count(*) FROM queue.tasks WHERE error_message LIKE '%%is not public%%'") == 6
    assert peer.connections == 0


def test_tls_is_checked_against_the_authorities_that_the_environment_names(
    base: Base, work: Runner, tmp_path: Path
) -> None:
    authority = new_authority(tmp_path)
    with Server(tls=authority.server_for("localhost")) as peer:
        endpoint(work, peer.url(host="localhost"))
        add(work, "\n[queue.types.http]\nmax_attempts = 1\n")
        enqueue(base, "http", {"endpoint": "crm"})
        work.run("--until-empty")
        assert "certificate is not accepted" in base.one("SELECT error_message FROM queue.tasks")
        assert peer.requests == []
        enqueue(base, "http", {"endpoint": "crm"})
        work.settings["SSL_CERT_FILE"] = str(authority.file)
        work.run("--until-empty")
        assert states(base) == {"failed": 1, "succeeded": 1}


def test_a_stop_gives_the_task_back_while_the_endpoint_is_silent(base: Base, work: Runner, peer: Server) -> None:
    endpoint(work, peer.url(), "allow_private = true\ntimeout_s = 100")
    peer.then(says_nothing)
    enqueue(base, "http", {"endpoint": "crm"})
    started = work.start()
    assert peer.got_one.wait(30)
    started.signal(signal.SIGTERM, worker=False)
    assert started.wait().exit_code == 143
    assert base.all("SELECT state, attempts FROM queue.tasks") == [("queued", 0)]
    assert outcomes(base) == {"released": 1}


def test_no_secret_is_kept_or_told(base: Base, work: Runner, peer: Server) -> None:
    said = f"Bearer {TOKEN} {HEADER} password=pw-c4n4ry"
    endpoint(work, peer.url("/hooks/p4th-c4n4ry-p4th"))
    script(work, f"echo '{said}' >&2; echo '{{\"token\": \"{TOKEN}\"}}'; exit $(cat | grep -c fail)")
    peer.then(says(200, json.dumps({"echo": said}).encode()), says(500, said.encode()), says(404, said.encode()))
    for _ in range(3):
        enqueue(base, "http", {"endpoint": "crm", "body": {}})
    enqueue(base, "command", {"command": "x"})
    enqueue(base, "command", {"command": "x", "how": "fail"})
    ended = work.run("--until-empty", "-v", "--concurrency", "1")
    assert states(base)["succeeded"] >= 2 and states(base)["failed"] >= 2, ended.said
    kept = everything_kept(base) + work.logged + ended.said
    assert "***" in kept
    assert "c4n4ry" not in kept


# Commands --------------------------------------------------------------------------------------------------------


def test_commands_get_their_payload_and_their_exit_codes_count(base: Base, work: Runner) -> None:
    script(work, 'read -r payload; echo "{\\"task\\": $JOBCTL_TASK_ID, \\"payload\\": $payload}"')
    script_of = {"temporary": 75, "final": 65}
    for name, code in script_of.items():
        add(work, f'\n[queue.commands.{name}]\nargv = ["/bin/sh", "-c", "echo no >&2; exit {code}"]\n')
    (good,) = enqueue(base, "command", {"command": "x", "n": 1})
    (temporary,) = enqueue(base, "command", {"command": "temporary"})
    (final,) = enqueue(base, "command", {"command": "final"})
    work.run("--until-empty")
    row = "SELECT state, attempts, is_recoverable, error_message FROM queue.tasks WHERE task_id = %s"
    assert base.one("SELECT result FROM queue.attempts WHERE task_id = %s", good) == {
        "task": good,
        "payload": {"command": "x", "n": 1},
    }
    assert base.all(row, temporary) == [("failed", 2, True, "command temporary: exit code 75: no")]
    assert base.all(row, final) == [("failed", 1, False, "command final: exit code 65: no")]


def test_a_command_that_takes_too_long_is_a_timeout_by_its_own_time_and_by_that_of_its_type(
    base: Base, runner: Runner
) -> None:
    work = prepare(base, runner, types="[queue.types.command]\ntimeout_s = 2\nmax_attempts = 1")
    script(work, "sleep 300")
    add(work, '\n[queue.commands.short]\nargv = ["/bin/sleep", "300"]\ntimeout_s = 0.5\n')
    enqueue(base, "command", {"command": "x"})
    enqueue(base, "command", {"command": "short"})
    ended = work.run("--json")
    assert json.loads(ended.stdout)["counts"]["timeout"] == 2, ended.said
    assert base.all("SELECT outcome, is_recoverable FROM queue.attempts") == [("timeout", True)] * 2


def test_ten_commands_at_once_leave_nothing_behind(base: Base, work: Runner) -> None:
    script(work, "sleep 300 & setsid sleep 300 & echo done")
    enqueue(base, "command", {"command": "x"}, count=12)
    started = work.start("--concurrency", "10")
    assert started.wait().exit_code == 0
    assert base.all("SELECT DISTINCT result FROM queue.attempts") == [({"output": "done\n"},)]
    assert outcomes(base) == {"succeeded": 12}
    assert processes_with(started.token) == []


HANGS = """trap '' TERM
setsid sh -c 'trap "" TERM; sleep 300' &
touch "$0.started"
sleep 300
sleep 300
"""


def test_the_types_timeout_ends_the_tree_and_the_try(base: Base, work: Runner) -> None:
    script(work, HANGS)
    add(work, "\n[queue.types.command]\ntimeout_s = 3\nmax_attempts = 1\n")
    enqueue(base, "command", {"command": "x"})
    started = work.start()
    assert started.wait().exit_code == 0
    assert base.all("SELECT state, error_message FROM queue.tasks") == [
        ("failed", "command x: ended at its type's timeout of 3s")
    ]
    assert processes_with(started.token) == []


@pytest.mark.parametrize("how", ["stop", "kill worker", "kill both"])
def test_the_end_of_the_run_is_the_end_of_its_commands(base: Base, work: Runner, how: str) -> None:
    script(work, HANGS)
    enqueue(base, "command", {"command": "x"})
    started = work.start()
    wait_for((work.directory / "script.started").exists)
    if how == "stop":
        started.signal(signal.SIGTERM, worker=False)
    else:
        (worker,) = [pid for pid in processes_with(started.token) if _is_worker(pid, started.pid)]
        if how == "kill both":
            os.kill(started.pid, signal.SIGKILL)
        os.kill(worker, signal.SIGKILL)
    started.process.wait(60)
    wait_for(lambda: processes_with(started.token) == [])
    if how == "stop":
        assert base.all("SELECT state, attempts FROM queue.tasks") == [("queued", 0)]


def _is_worker(pid: int, supervisor: int) -> bool:
    status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(status[1]) == supervisor


# The example of the documentation ----------------------------------------------------------------------------------


def test_the_example_package_does_what_its_page_says(base: Base, work: Runner) -> None:
    wheel = next(WheelBuilder(str(EXAMPLE)).build(directory=str(work.directory / "wheel"), versions=["standard"]))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(work.directory / "handlers")
    base.conn.execute(
        "CREATE SCHEMA library;"
        " CREATE TABLE library.loans (book integer PRIMARY KEY, reader text, is_damaged boolean DEFAULT false);"
        " CREATE TABLE library.returned (book integer, reader text);"
        " CREATE TABLE library.read (shelf text, book integer, UNIQUE (shelf, book));"
        " CREATE TABLE library.readers (reader text, address text);"
        " CREATE TABLE library.reminders (reader text);"
        " INSERT INTO library.loans VALUES (7, 'ann', false), (8, 'bob', true);"
        " INSERT INTO library.readers VALUES ('ann', 'ann@example.org'), ('bob', NULL)"
    )
    book = {name: enqueue(base, "return-book", {"book": name})[0] for name in (7, 8, 9)}
    (shelf,) = enqueue(base, "read-shelf", {"shelf": "A", "books": 2_500})
    reader = {name: enqueue(base, "remind", {"reader": name})[0] for name in ("ann", "bob", "eve")}
    ended = work.run()
    assert ended.exit_code == 0, ended.said
    rows = base.all("SELECT task_id, state, attempts, error_message FROM queue.tasks")
    found = {task: (state, attempts, message) for task, state, attempts, message in rows}
    assert found[book[7]][0] == "succeeded"
    assert found[book[8]][:2] == ("queued", 0)
    assert found[book[9]] == ("failed", 1, "book 9 is not lent")
    assert found[shelf][0] == "succeeded", found[shelf]
    assert found[reader["ann"]][0] == "succeeded"
    assert found[reader["bob"]] == ("queued", 1, "reader 'bob' has no address yet")
    assert found[reader["eve"]] == ("failed", 1, "there is no reader 'eve'")
    assert base.all("SELECT book, reader FROM library.returned") == [(7, "ann")]
    assert base.one("SELECT count(*)::int FROM library.read") == 2_500
    assert base.one("SELECT result FROM queue.attempts WHERE task_id = %s", shelf) == {"read": 2_500}
    assert base.all("SELECT reader FROM library.reminders") == [("ann",)]
    assert base.one("SELECT handler_version FROM queue.attempts WHERE task_id = %s", reader["ann"]) == "2026-11"
