"""`jobctl queue` as an operator uses it: exit codes, streams, tables."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bench_command import Command, command, environment_of
from bench_tasks import broken, column, make_attempt, make_task, state_of

COMMANDS = ("list", "show", "why", "stats", "enqueue", "retry", "cancel", "block", "unblock", "purge")
ACCOUNT = {
    *("action", "dry_run", "changed", "superseded", "unchanged", "refused", "left", "items", "next"),
}  # fmt: skip


@pytest.fixture
def environment(database_url: str, tmp_path: Path) -> dict[str, str]:
    return environment_of(database_url, tmp_path, JOBCTL_LOG_FILE=str(tmp_path / "log"))


@pytest.fixture
def queue(environment: dict[str, str]) -> Command:
    return command(environment, "queue")


@pytest.fixture
def logged(tmp_path: Path) -> Callable[[], list[dict[str, Any]]]:
    return lambda: [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]


def obj(done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    """The one object on stdout; nothing else is there."""
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    assert done.stdout.count("\n") == 1
    return found  # pyright: ignore[reportUnknownVariableType]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(queue: Command, command: str) -> None:
    assert "Example" in queue(command, "--help").stdout


# list, show ----------------------------------------------------------------------------------------------------------


def test_list_pages_filters_and_says_how_to_go_on(queue: Command, conn: psycopg.Connection) -> None:
    assert queue("list").stdout == "No such tasks.\n"
    assert obj(queue("list", "--json")) == {"items": [], "next": None}
    made = [make_task(conn, user_id=f"u{number % 2}") for number in range(4)]
    failed = make_task(conn, "sync", state="failed", error_class="HttpError", error_message="HTTP 503")
    make_task(conn, "sync", updated_at="now() - interval '2 days'")
    first = obj(queue("list", "--type", "crawl", "--limit", 3, "--json"))
    assert [item["task_id"] for item in first["items"]] == made[:0:-1]
    rest = obj(queue("list", "--type", "crawl", "--limit", 3, "--after", first["next"], "--json"))
    assert ([item["task_id"] for item in rest["items"]], rest["next"]) == ([made[0]], None)
    assert set(rest["items"][0]) == {
        "task_id", "type", "state", "user_id", "organization_id", "site_url", "subject_id", "dedupe_key", "priority",
        "attempts", "crashes", "scheduled_at", "created_at", "updated_at", "finished_at", "worker", "error_class",
        "error_message",
    }  # fmt: skip
    assert [each["task_id"] for each in obj(queue("list", "--state", "failed", "--json"))["items"]] == [failed]
    of_user = obj(queue("list", "--user", "u1", "--json"))["items"]
    assert [each["task_id"] for each in of_user] == [made[3], made[1]]
    assert len(obj(queue("list", "--type", "sync", "--since", "1d", "--json"))["items"]) == 1
    shown = queue("list", "--limit", 2)
    assert f"More: add --after {failed}" in shown.stderr
    assert "HttpError: HTTP 503" in shown.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["list", "--state", "fialed"], "did you mean failed?"),
        (["list", "--limit", "0"], "--limit"),
        (["list", "--since", "yesterday"], "neither a duration nor a time"),
        (["list", "--after", "x"], "--after"),
        (["show", "77"], "there is no task 77 (it may have been purged"),
        (["show", "x"], "ID"),
        (["why", "77"], "there is no task 77"),
        (["why"], "ID"),
        (["stats", "--since", "2999-01-01"], "is not over yet"),
        (["stats", "--since", "often"], "neither a duration nor a time"),
        (["retry"], "which tasks? (name them by number, or say --failed"),
        (["retry", "--type", "crawl"], "which tasks?"),
        (["retry", "1", "--failed"], "not both"),
        (["retry", "0"], "ID"),
        (["cancel"], "which tasks?"),
        (["cancel", "1", "--running"], "not both"),
        (["cancel", "--all", "--user", "u"], "which tasks? (leave --all out, or the rest)"),
        (["cancel", "1", "--reason", "x" * 501], "--reason is longer"),
        (["block"], "which tasks?"),
        (["block", "1", "--all"], "not both"),
        (["unblock"], "which tasks?"),
        (["purge"], "--older-than"),
        (["purge", "--older-than", "30d", "--state", "queued"], "is no state in which a task has finished"),
        (["purge", "--older-than", "2999-01-01"], "is still to come"),
        (["purge", "--older-than", "old"], "neither a duration nor a time"),
    ],
)
def test_a_wrong_command_line_is_exit_2_and_says_what_is_wrong(queue: Command, words: list[str], told: str) -> None:
    done = queue(*words, code=2)
    assert done.stdout == ""
    assert told in done.stderr


def test_show_tells_all_of_a_task_and_its_tries(queue: Command, conn: psycopg.Connection) -> None:
    task_id = make_task(conn, attempts=1, payload={"url": "https://a.example"}, checkpoint=[3], user_id="u1")
    make_attempt(conn, task_id, error_class="HttpError", error_message="HTTP 503")
    shown = obj(queue("show", task_id, "--json"))
    assert set(shown) == {
        "task_id", "type", "state", "user_id", "organization_id", "site_url", "subject_id", "dedupe_key",
        "model_version", "content_hash", "payload", "checkpoint", "priority", "attempts", "crashes",
        "forgiven_attempts", "forgiven_crashes", "scheduled_at", "created_at", "updated_at", "finished_at", "run_id",
        "fence", "claimed_at", "lease_until", "worker", "worker_run_id", "error_class", "error_message",
        "is_recoverable", "handler_version", "tries",
    }  # fmt: skip
    assert (shown["payload"], shown["checkpoint"]) == ({"url": "https://a.example"}, [3])
    assert set(shown["tries"][0]) == {
        "attempt", "fence", "outcome", "host", "worker", "run_id", "due_at", "claimed_at", "finished_at",
        "error_class", "error_message", "is_recoverable", "handler_version", "memory_bytes", "result",
    }  # fmt: skip
    told = queue("show", task_id).stdout
    assert '{"url": "https://a.example"}' in told
    assert "HttpError: HTTP 503" in told
    assert "vm2/41/1" in told


# why -----------------------------------------------------------------------------------------------------------------


def test_why_names_the_first_reason_and_what_else_would_hold_it(queue: Command, conn: psycopg.Connection) -> None:
    conn.execute("INSERT INTO queue.limits (kind, name, running) VALUES ('user', 'u1', 1)")
    make_task(conn, user_id="u1", state="running", worker="vm9/3/1")
    task_id = make_task(conn, user_id="u1", scheduled_at="now() + interval '2 hours'")
    answer = obj(queue("why", task_id, "--json"))
    assert set(answer) == {"task_id", "state", "code", "text", "at", "reasons"}
    assert set(answer["reasons"][0]) == {"code", "text", "evidence", "until"}
    assert [each["code"] for each in answer["reasons"]] == [
        "scheduled", "no_handler", "no_schedule", "no_worker", "user_limit",
    ]  # fmt: skip
    assert answer["reasons"][4]["evidence"]["tasks"][0]["worker"] == "vm9/3/1"
    told = queue("why", task_id).stdout.splitlines()
    assert told[0].startswith(f"task {task_id} (crawl, user u1) waits: it is scheduled for ")
    assert "  besides: no worker has ever run on this database (jobctl work)" in told
    assert told[4].endswith("1 of 1 run of user u1 (task 1 on vm9/3/1)")


def test_why_of_a_task_that_failed_for_good(queue: Command, conn: psycopg.Connection) -> None:
    task_id = make_task(conn, state="failed", attempts=5, error_class="HttpError", error_message="HTTP 503")
    assert queue("why", task_id).stdout == (
        f"task {task_id} (crawl) failed for good: 5 of 5 tries are spent, the last: HttpError: HTTP 503\n"
    )


# enqueue -------------------------------------------------------------------------------------------------------------


def test_enqueue_takes_a_payload_from_the_line_a_file_or_stdin(
    queue: Command, conn: psycopg.Connection, tmp_path: Path
) -> None:
    file = tmp_path / "payload.json"
    file.write_text('{"a": 2}')
    options = ("--user", "u1", "--organization", "o", "--site", "https://a.example", "--priority", "-3", "--at", "2h")
    first = obj(queue("enqueue", "crawl", "--payload", '{"a": 1}', *options, "--json"))
    assert set(first) == {"task_id", "new", "superseded", "warnings"}
    assert (first["new"], first["superseded"]) == (1, 0)
    assert "no handler of type 'crawl' is registered on" in first["warnings"][0]
    names = ("payload", "user_id", "organization_id", "site_url", "priority", "state")
    assert column(conn, first["task_id"], *names) == ({"a": 1}, "u1", "o", "https://a.example", -3, "queued")
    assert conn.execute("SELECT FROM queue.tasks WHERE scheduled_at > now() + interval '119 minutes'").rowcount == 1
    for payload, stdin, expected in ((f"@{file}", "", {"a": 2}), ("-", '{"a": 3}', {"a": 3})):
        done = queue("enqueue", "crawl", "--payload", payload, stdin=stdin)
        assert "warning: no handler of type 'crawl'" in done.stderr
        task_id = int(done.stdout.removeprefix("task ").removesuffix(" is queued\n"))
        assert column(conn, task_id, "payload") == (expected,)
    bare = obj(queue("enqueue", "crawl", "--json"))["task_id"]
    assert column(conn, bare, "payload", "user_id") == (None, "")


def test_a_second_request_with_the_same_key_goes_into_the_waiting_task(
    queue: Command, conn: psycopg.Connection
) -> None:
    words = ("enqueue", "crawl", "--dedupe-key", "k", "--payload")
    first = obj(queue(*words, '{"a": 1}', "--json"))
    second = obj(queue(*words, '{"a": 2}', "--json"))
    assert (second["task_id"], second["new"], second["superseded"]) == (first["task_id"], 0, 1)
    assert column(conn, first["task_id"], "payload") == ({"a": 2},)
    assert f"task {first['task_id']} waits for the same and took this content" in queue(*words, "{}").stdout


def test_a_file_of_lines_goes_in_as_a_whole(queue: Command, conn: psycopg.Connection, tmp_path: Path) -> None:
    lines = [
        {"payload": {"n": 1}, "user": "u1", "dedupe_key": "k"},
        {"payload": {"n": 2}, "type": "sync", "priority": 5, "at": "2999-01-01T00:00"},
        {"payload": {"n": 3}, "user": "u1", "dedupe_key": "k"},
    ]
    text = "\n".join(map(json.dumps, lines)) + "\n\n"
    done = obj(queue("enqueue", "crawl", "--user", "u9", "--file", "-", "--json", stdin=text))
    assert (done["task_id"], done["new"], done["superseded"], len(done["warnings"])) == (None, 2, 1, 2)
    rows = conn.execute("SELECT type, user_id, payload, priority FROM queue.tasks ORDER BY task_id").fetchall()
    assert sorted(rows) == [("crawl", "u1", {"n": 3}, 0), ("sync", "u9", {"n": 2}, 5)]
    file = tmp_path / "tasks.ndjson"
    file.write_text("{}\n" * 3)
    assert "3 tasks are queued" in queue("enqueue", "crawl", "--file", file).stdout


@pytest.mark.parametrize(
    ("words", "stdin", "told"),
    [
        (["crawl", "--payload", "{"], "", "--payload is not JSON"),
        (["crawl", "--payload", "[1]"], "", "is no JSON object"),
        (["crawl", "--payload", '{"a": NaN}'], "", "NaN is no JSON"),
        (["crawl", "--payload", '{"a": "\\u0000"}'], "", "character NUL"),
        (["crawl", "--payload", "@/nonexistent"], "", "cannot read /nonexistent: No such file"),
        (["crawl", "--payload", "{}", "--file", "-"], "", "exclude each other"),
        (["crawl", "--at", "2020-01-01"], "", "is over already"),
        (["crawl", "--at", "soon"], "", "neither a duration nor a time"),
        (["crawl", "--priority", "40000"], "", "--priority"),
        (["crawl", "--user", "a\nb"], "", "printable"),
        ([""], "", "has no type"),
        ([], "", "TYPE"),
        (["crawl", "--file", "/nonexistent"], "", "cannot read /nonexistent"),
        (["crawl", "--file", "-"], "{}\n{}\nx", "line 3 is not JSON"),
        (["crawl", "--file", "-"], '{}\n{"usr": "u"}', "line 2 has 'usr', which is not known"),
        (["crawl", "--file", "-"], '{"priority": 1.5}', "line 1 has priority 1.5"),
        (["crawl", "--file", "-"], '{"payload": [1]}', "line 1 has a payload that is no JSON object"),
        (["crawl", "--file", "-"], '{"user": 7}', "line 1 has user that is no text"),
    ],
)
def test_what_is_no_task_is_refused_and_nothing_is_enqueued(
    queue: Command, conn: psycopg.Connection, words: list[str], stdin: str, told: str
) -> None:
    done = queue("enqueue", *words, code=2, stdin=stdin)
    assert told in done.stderr
    assert done.stdout == ""
    assert conn.execute("SELECT FROM queue.tasks").rowcount == 0


# retry, cancel, block, unblock ---------------------------------------------------------------------------------------


def test_retry_by_number_tells_of_each_and_fails_when_one_cannot(
    queue: Command, conn: psycopg.Connection, logged: Callable[[], list[dict[str, Any]]]
) -> None:
    failed = make_task(conn, state="failed", attempts=5)
    for fence in range(5):
        end = f"now() - interval '{9 - fence} s'"
        make_attempt(conn, failed, fence=fence + 1, claimed_at=end, finished_at=end)
    later = make_task(conn, scheduled_at="now() + interval '1 hour'")
    due = make_task(conn)
    running = make_task(conn, state="running")
    with_twin = make_task(conn, state="failed", dedupe_key="k")
    twin = make_task(conn, dedupe_key="k")
    ids = (failed, later, due, running, with_twin, 999)
    done = queue("retry", *ids, "--reset-attempts", "--json", code=1)
    account = obj(done)
    assert set(account) == ACCOUNT
    assert [account[name] for name in ("changed", "superseded", "unchanged", "refused")] == [2, 0, 1, 3]
    assert account["left"] == {"failed": 1, "queued": 1}
    items = {item["task_id"]: item for item in account["items"]}
    assert set(items[failed]) == {"task_id", "result", "type", "was", "now", "twin", "why"}
    assert (items[failed]["was"], items[failed]["now"]) == ("failed", "queued")
    assert items[due]["result"] == "unchanged"
    assert items[running]["why"] == "a worker runs it"
    assert (items[with_twin]["twin"], items[with_twin]["why"]) == (twin, f"task {twin} waits for the same")
    assert items[999]["why"] == "there is no such task"
    assert column(conn, failed, "attempts", "forgiven_attempts") == (0, 5)
    assert broken(conn) == []
    line = logged()[-1]
    assert (line["event"], line["changed"], line["task_ids"]) == ("queue.retry", 2, list(ids))
    again = queue("retry", failed, running, code=1)
    assert again.stdout == f"task {failed} is queued already\n"
    assert again.stderr == f"task {running} stays running: a worker runs it\n"


def test_retry_of_all_that_failed(queue: Command, conn: psycopg.Connection) -> None:
    crawl, sync = make_task(conn, state="failed", user_id="u1"), make_task(conn, "sync", state="failed")
    cancelled = make_task(conn, state="cancelled")
    assert "1 task queued now (were 1 failed)" in queue("retry", "--failed", "--type", "crawl").stdout
    assert (state_of(conn, crawl), state_of(conn, sync)) == ("queued", "failed")
    twin = make_task(conn, "sync", state="failed", dedupe_key="k")
    waiting = make_task(conn, "sync", dedupe_key="k")
    account = obj(queue("retry", "--failed", "--json"))
    assert (account["changed"], account["refused"], account["left"]) == (1, 1, {"failed": 1})
    assert [(item["task_id"], item["twin"]) for item in account["items"]] == [(twin, waiting)]
    assert state_of(conn, cancelled) == "cancelled"
    assert (
        f"1 left as they are, since a twin waits: task (twin) {twin} ({waiting})" in queue("retry", "--failed").stdout
    )


def test_cancel_takes_running_tasks_too_and_keeps_the_books(
    queue: Command, conn: psycopg.Connection, logged: Callable[[], list[dict[str, Any]]]
) -> None:
    running, done = make_task(conn, state="running"), make_task(conn, state="succeeded")
    told = queue("cancel", running, done, "--reason", "wrong site", code=1)
    assert told.stdout == f"task {running}: running -> cancelled\n"
    assert told.stderr == f"task {done} stays succeeded: it has succeeded\n"
    assert column(conn, running, "attempts", "error_class") == (0, "Cancelled")
    assert column(conn, running, "error_message")[0].endswith(": wrong site")
    assert broken(conn) == []
    assert logged()[-1]["left"] == {"running": 1}


def test_cancel_of_many_wants_to_be_sure(queue: Command, conn: psycopg.Connection) -> None:
    mine = [make_task(conn, user_id="u1", state=state) for state in ("queued", "blocked", "running")]
    make_task(conn, user_id="u2")
    refused = queue("cancel", "--user", "u1", code=2)
    assert "nothing was done: 2 tasks (1 blocked, 1 queued) would be cancelled (add --yes)" in refused.stderr
    assert "2 tasks cancelled now (were 1 blocked, 1 queued)" in queue("cancel", "--user", "u1", "--yes").stdout
    account = obj(queue("cancel", "--all", "--running", "--yes", "--json"))
    assert account["left"] == {"queued": 1, "running": 1}
    assert {state_of(conn, task_id) for task_id in mine} == {"cancelled"}
    assert broken(conn) == []
    assert queue("cancel", "--all").stdout == "There are no such tasks.\n"


def test_block_and_unblock_by_number_and_by_filter(queue: Command, conn: psycopg.Connection) -> None:
    one, other = make_task(conn, dedupe_key="k"), make_task(conn, "sync")
    running = make_task(conn, state="running")
    told = queue("block", one, running, code=1)
    assert told.stdout == f"task {one}: queued -> blocked\n"
    assert "a worker runs it" in told.stderr
    assert queue("block", one).stdout == f"task {one} is blocked already\n"
    assert "1 task blocked now (were 1 queued)" in queue("block", "--all").stdout
    assert (state_of(conn, one), state_of(conn, other)) == ("blocked", "blocked")
    twin = make_task(conn, dedupe_key="k")
    account = obj(queue("unblock", "--type", "crawl", "--type", "sync", "--json"))
    assert (account["changed"], account["superseded"], account["left"]) == (1, 1, {"blocked": 2})
    assert [(item["task_id"], item["now"], item["twin"]) for item in account["items"]] == [(one, "cancelled", twin)]
    blocked = make_task(conn, dedupe_key="k", state="blocked")
    told = queue("unblock", blocked)
    assert told.stdout == f"task {blocked}: blocked -> cancelled (task {twin} waits for the same)\n"
    make_task(conn, dedupe_key="k", state="blocked")
    assert "1 cancelled, since a twin waits: task (twin) " in queue("unblock", "--all").stdout


def test_an_unblocked_queue_set_by_the_view_goes_on(queue: Command, conn: psycopg.Connection) -> None:
    task_id = make_task(conn)
    conn.execute("UPDATE public.ingestion_jobs SET status = 'blocked' WHERE status = 'queued'")
    assert "is blocked: an operator blocked it" in queue("why", task_id).stdout
    queue("unblock", "--all")
    assert state_of(conn, task_id) == "queued"


# purge ---------------------------------------------------------------------------------------------------------------


def test_purge_counts_asks_and_removes_tasks_with_their_tries(queue: Command, conn: psycopg.Connection) -> None:
    old = "now() - interval '40 days'"
    succeeded = make_task(conn, state="succeeded", finished_at=old)
    failed = make_task(conn, state="failed", finished_at=old, attempts=1)
    kept = [make_task(conn, state="succeeded", finished_at="now()"), make_task(conn, created_at=old)]
    make_attempt(conn, failed)
    words = ("purge", "--older-than", "30d")
    dry = obj(queue(*words, "--dry-run", "--json"))
    assert (dry["dry_run"], dry["changed"], dry["left"]) == (True, 2, {"failed": 1, "succeeded": 1})
    assert "2 tasks would be removed (were 1 failed, 1 succeeded)" in queue(*words, "--dry-run").stdout
    assert "2 tasks (1 failed, 1 succeeded) would be removed (add --yes)" in queue(*words, code=2).stderr
    assert state_of(conn, failed) == "failed"
    assert "1 task removed, with their tries (were 1 failed)" in queue(*words, "--state", "failed", "--yes").stdout
    account = obj(queue(*words, "--yes", "--json"))
    assert set(account) == ACCOUNT
    assert (account["changed"], account["left"]) == (1, {"succeeded": 1})
    assert [state_of(conn, task_id) for task_id in (succeeded, failed)] == [None, None]
    assert [state_of(conn, task_id) for task_id in kept] == ["succeeded", "queued"]
    assert conn.execute("SELECT FROM queue.attempts").rowcount == 0


# stats ---------------------------------------------------------------------------------------------------------------


def test_stats_of_an_empty_queue(queue: Command) -> None:
    told = queue("stats").stdout
    assert "Nothing is due (0.0 a minute come, 0.0 are finished)." in told
    assert "No try ended in the last 1h." in told


def test_stats_tell_backlog_rates_times_users_failures_and_patterns(queue: Command, conn: psycopg.Connection) -> None:
    for number in range(3):
        task_id = make_task(conn, user_id="u1", state="failed", attempts=1, finished_at="now()")
        make_attempt(conn, task_id, user_id="u1", error_class="HttpError", error_message=f"HTTP 503 for item {number}")
    done = make_task(conn, "sync", state="succeeded", attempts=1, finished_at="now()")
    make_attempt(conn, done, "succeeded", type="sync")
    make_task(conn, user_id="u2", scheduled_at="now() - interval '5 minutes'", created_at="now() - interval '2 hours'")
    figures = obj(queue("stats", "--since", "1h", "--json"))
    assert set(figures) == {
        "since", "until", "type", "backlog", "tries", "sampled_share", "users", "failures", "patterns", "projection",
    }  # fmt: skip
    queued = next(each for each in figures["backlog"] if each["state"] == "queued")
    assert set(queued) == {"type", "state", "tasks", "due", "oldest_due_at", "oldest_due_s"}
    assert (queued["tasks"], queued["due"], queued["oldest_due_s"] >= 300) == (1, 1, True)
    total, crawl, sync = figures["tries"]
    assert set(total) == {
        "type", "ended", "per_minute", "per_hour", "succeeded", "failed", "timeout", "crashed", "snoozed", "released",
        "wait", "run",
    }  # fmt: skip
    assert (total["type"], total["ended"], crawl["failed"], sync["succeeded"]) == (None, 4, 3, 1)
    assert total["per_hour"] == pytest.approx(4)
    assert total["wait"] == pytest.approx({"p50_s": 10, "p95_s": 10, "p99_s": 10}, rel=0.02)
    assert {each["user_id"]: each["tries"] for each in figures["users"]} == {"u1": 3, "": 1, "u2": 0}
    assert set(figures["users"][0]) == {"user_id", "due", "running", "tries", "run_s"}
    assert set(figures["failures"][0]) == {
        "task_id", "type", "user_id", "attempt", "outcome", "worker", "finished_at", "error_class", "error_message",
    }  # fmt: skip
    (pattern,) = figures["patterns"]
    assert set(pattern) == {
        "error_class", "pattern", "failures", "types", "first_at", "last_at", "task_id",
    }  # fmt: skip
    assert (pattern["pattern"], pattern["failures"], pattern["types"]) == ("HTTP 503 for item N", 3, ["crawl"])
    assert set(figures["projection"]) == {
        "verdict", "due", "arrived_per_minute", "left_per_minute", "net_per_minute", "empty_in_s",
    }  # fmt: skip
    assert (figures["projection"]["verdict"], figures["projection"]["due"]) == ("steady", 1)
    told = queue("stats").stdout
    assert "1 task is due; the backlog stays as it is" in told
    assert "HttpError: HTTP 503 for item N" in told
    only = obj(queue("stats", "--type", "sync", "--users", 0, "--failures", 0, "--json"))
    assert (len(only["tries"]), only["users"], only["failures"], only["projection"]["verdict"]) == (2, [], [], "empty")
