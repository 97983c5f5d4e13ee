"""`jobctl doctor` as an operator calls it, on machines on which one thing is wrong each."""

import json
import os
import pty
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from bench_mail import MailBox
from bench_pooler import pgbouncer, pooled
from bench_postgres import Bench, fresh_bench, is_root, reachable_directory
from bench_runs import Base
from bench_user import as_ordinary_user, give_to_ordinary_user
from bench_webhook import TOKEN, Receiver, answer, refusing_url
from jobctl.db.address import to_url
from jobctl.db.connection import Database
from jobctl.db.grants import script
from jobctl.db.migrate import migrate
from jobctl.monitor.doctor import server

SECRET = "c4n4ry-c4n4ry"
JOBCTL = Path(sys.executable).with_name("jobctl")
Findings = dict[str, list[dict[str, Any]]]


class Doctor:
    """The command in an environment that holds only what the test says."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.before: list[str] = []

    def run(self, *words: str, **settings: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*self.before, sys.executable, "-m", "jobctl", "doctor", *words],
            cwd="/",
            env={
                "HOME": str(self.home),
                "PATH": "/usr/bin:/bin:/usr/sbin",
                "JOBCTL_DATA_DIR": str(self.home / "data"),  # root's own would be the machine's
                **settings,
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def ask(self, *words: str, **settings: str) -> tuple[int, Findings]:
        """Exit code, and the findings by check."""
        return parsed(self.run("--json", *words, **settings))


def parsed(done: "subprocess.CompletedProcess[str]") -> tuple[int, Findings]:
    assert done.stderr == "", done.stderr
    assert len(done.stdout.splitlines()) == 1
    told: dict[str, Any] = json.loads(done.stdout)
    assert told.keys() == {"status", "exit_code", "counts", "items", "next"}
    assert told["exit_code"] == done.returncode
    found: Findings = {}
    for item in told["items"]:
        assert item.keys() == {"check", "subject", "status", "what", "why", "mend"}
        assert "the check broke" not in item["what"], item
        assert (item["status"] in ("warning", "failed")) == bool(item["why"]) == bool(item["mend"]), item
        found.setdefault(item["check"], []).append(item)
    return done.returncode, found


def status(found: Findings, check: str) -> str:
    [item] = found[check]
    return item["status"]


def what(found: Findings, check: str) -> str:
    return " | ".join(item["what"] for item in found[check])


@pytest.fixture
def doctor(tmp_path: Path) -> Doctor:
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    return Doctor(home)


# As a whole --------------------------------------------------------------------------------------------------------


def test_a_sound_database_is_in_order_and_nothing_is_changed_by_looking(doctor: Doctor, base: Base) -> None:
    last = "SELECT string_agg(coalesce(last_value, 0)::text, ',' ORDER BY sequencename) FROM pg_sequences"
    rows = "SELECT sum(n) FROM (VALUES {}) AS counts (n)".format(
        ", ".join(
            f"((SELECT count(*) FROM {table}))" for table in ("ops.locks", "ops.seen", "core.items", "queue.tasks")
        )
    )
    base.conn.execute("CREATE TABLE ops.seen (what text)")
    base.conn.execute(
        "CREATE FUNCTION ops.see() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN INSERT INTO ops.seen VALUES (TG_OP); RETURN NULL; END$$"
    )
    base.conn.execute("CREATE TRIGGER see AFTER INSERT OR DELETE ON ops.locks FOR EACH ROW EXECUTE FUNCTION ops.see()")
    before = base.one(last), base.one(rows)
    code, found = doctor.ask("--only", "database", "--only", "runs", DATABASE_URL=base.url)
    assert code == 0
    statuses = {check: status(found, check) for check in found}
    assert statuses.pop("database.role") == "warning"  # the tests' own role is a superuser
    del statuses["database.version"]  # which grows old by itself
    assert statuses == dict.fromkeys(
        [
            "database.reachable",
            "database.schema",
            "database.standby",
            "database.privileges",
            "database.pooler",
            "database.clock",
            "database.connections",
            "database.oldest_transaction",
            "runs.spool",
            "runs.dead",
            "runs.outbox",
        ],
        "ok",
    )
    assert "to the server itself" in what(found, "database.pooler")
    assert (base.one(last), base.one(rows)) == before


def test_without_any_environment_and_database_it_looks_and_starts_nothing(doctor: Doctor, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    code, found = doctor.ask(JOBCTL_DATA_DIR=str(data_dir))
    assert code in (0, 1)
    assert status(found, "database.reachable") == "ok" and "next run starts it" in what(found, "database.reachable")
    assert status(found, "database.schema") == "skipped"
    assert not data_dir.exists()
    words = [sys.executable, "-m", "jobctl", "doctor", "--json"]
    parsed(subprocess.run(words, env={}, capture_output=True, text=True, check=False))


def test_faulty_settings_are_told_and_the_rest_is_looked_at(doctor: Doctor) -> None:
    code, found = doctor.ask(JOBCTL_LEASE_S="soon", JOBCTL_BATCH_SIZE="0", GITHUB_TOKEN=f"{SECRET}\nx")
    assert code == 78
    assert len(found["settings.faults"]) + len(found["settings.limits"]) == 3
    assert SECRET not in str(found)
    assert status(found, "program.python") == "ok"
    assert status(found, "database.reachable") == status(found, "files.log") == "skipped"


def test_root_is_told_whether_the_user_of_cron_can_start_the_program(doctor: Doctor) -> None:
    if not is_root():
        pytest.skip("only root can become another user")
    nobody = 65_534
    try:
        subprocess.run([sys.executable, "-c", "import jobctl"], user=nobody, group=nobody, cwd="/", check=True)
    except (OSError, subprocess.CalledProcessError):
        expected, code = "failed", 1
    else:
        expected, code = "ok", 0
    said, found = doctor.ask("--only", "environment", "--user", "nobody")
    assert (said, status(found, "environment.start")) == (code, expected)
    _, found = doctor.ask("--only", "program", "--user", "nobody")
    readable = {status(found, "program.interpreter"), status(found, "program.package")}
    assert ("failed" in readable) == (expected == "failed")


def test_an_ordinary_user_may_ask_in_an_emptied_environment(base: Base) -> None:
    with reachable_directory() as path:
        home = give_to_ordinary_user(path)
        _, found = parsed(as_ordinary_user([str(JOBCTL), "doctor", "--json"], home))
        assert status(found, "files.data") == "ok" and str(home) in what(found, "files.data")
        assert list(home.iterdir()) == []
        _, found = parsed(as_ordinary_user([str(JOBCTL), "doctor", "--json"], home, DATABASE_URL=base.url))
        assert status(found, "database.privileges") == "ok"
        assert "DATABASE_URL comes from this shell alone" in what(found, "environment.settings")


def test_without_a_terminal_it_is_silent_or_says_one_line(doctor: Doctor, base: Base) -> None:
    fine = doctor.run("--only", "database", DATABASE_URL=base.url)
    assert (fine.returncode, fine.stdout, fine.stderr) == (0, "", "")
    bad = doctor.run("--only", "database", DATABASE_URL="postgresql://127.0.0.1:1/x")
    assert (bad.returncode, bad.stdout, bad.stderr.count("\n")) == (1, "", 1)
    assert bad.stderr.startswith("jobctl: doctor: database.reachable: PostgreSQL cannot be reached")
    all_of_it = doctor.run("-v", "--only", "database", DATABASE_URL=base.url)
    assert "ok       database.schema: the schema is at version" in all_of_it.stdout


def test_on_a_terminal_only_what_is_not_in_order_is_explained(doctor: Doctor, base: Base) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "jobctl", "doctor", "--only", "database", "--only", "disk"],
        stdout=theirs,
        stderr=theirs,
        env={"HOME": str(doctor.home), "DATABASE_URL": base.url, "TERM": "xterm"},
        cwd="/",
    )
    os.close(theirs)
    said = b""
    try:
        while chunk := os.read(ours, 65_536):
            said += chunk
    except OSError:  # the terminal's end
        pass
    os.close(ours)
    assert process.wait(30) == 0
    text = said.decode()
    assert "database.role: jobctl is a superuser" in text and "why:" in text and "mend:" in text
    assert "database.schema" not in text and "in order" in text.splitlines()[-1]


def test_an_unknown_subject_or_user_is_wrong_usage(doctor: Doctor) -> None:
    done = doctor.run("--only", "databse")
    assert (done.returncode, "did you mean database?" in done.stderr) == (2, True)
    done = doctor.run("--user", "nobody-of-that-name")
    assert (done.returncode, "is not a user" in done.stderr) == (2, True)


# Environment and files ---------------------------------------------------------------------------------------------


def test_a_database_that_only_the_shell_knows_fails(doctor: Doctor, base: Base) -> None:
    code, found = doctor.ask("--only", "environment", DATABASE_URL=base.url, JOBCTL_BATCH_SIZE="7")
    assert code == 78
    assert "DATABASE_URL comes from this shell alone" in what(found, "environment.settings")
    assert "JOBCTL_BATCH_SIZE comes from this shell alone: here 7, under cron 5000" in what(
        found, "environment.settings"
    )


@pytest.fixture
def etc_crontab(doctor: Doctor, tmp_path: Path) -> Generator[Callable[[str], None], None, None]:
    """Puts a crontab of this name into cron.d, as the doctor sees it: in a mount namespace with its own processes."""
    if not is_root() or shutil.which("unshare") is None:
        pytest.skip("only root can have a cron.d of its own")
    cron_d = tmp_path / "cron.d"
    cron_d.mkdir()

    def put(text: str) -> None:
        (cron_d / "jobctl").write_text(text)
        (cron_d / "jobctl").chmod(0o644)
        prepare = f'mount --bind {cron_d} /etc/cron.d && exec "$@"'
        doctor.before = ["unshare", "-m", "-p", "--fork", "--mount-proc", "sh", "-c", prepare, "sh"]

    yield put
    doctor.before = []


def test_an_installed_crontab_is_read_and_no_cron_is_noticed(
    doctor: Doctor, etc_crontab: Callable[[str], None], tmp_path: Path, base: Base
) -> None:
    env_file = tmp_path / "env"
    env_file.write_text(f"DATABASE_URL={base.url}\nJOBCTL_DATA_DIR={doctor.home}/data\n")
    env_file.chmod(0o600)
    etc_crontab(
        f"SHELL=/bin/sh\nPATH=/usr/bin:/bin\nMAILTO=root\nJOBCTL_ENV_FILE={env_file}\n"
        f"0 * * * * root {JOBCTL} ingest-branch --scheduled --max-runtime 55m\n"
        f"0 2 * * * root {JOBCTL} sync --scheduled\n"
        f"20 * * * * root {JOBCTL} metrics --scheduled\n"
        f"0 9 * * 1 root {JOBCTL} report --scheduled\n"
        f"40 * * * * root {JOBCTL} retry-failed --scheduled\n"
        f"*/5 * * * * root {JOBCTL} work --scheduled --max-runtime 4m\n"
    )
    code, found = doctor.ask(
        "--only", "cron", "--only", "crontab", "--only", "environment", JOBCTL_ENV_FILE=str(env_file)
    )
    assert code == 1
    assert status(found, "cron.alive") == "failed" and "no cron" in what(found, "cron.alive")
    for check in ("environment.settings", "crontab.installed", "crontab.scheduled", "crontab.commands", "crontab.plan"):
        assert status(found, check) == "ok", found[check]
    assert {item["status"] for item in found["crontab.lint"]} <= {"ok", "warning"}, found["crontab.lint"]


def test_a_broken_crontab_is_told_line_by_line(doctor: Doctor, etc_crontab: Callable[[str], None]) -> None:
    etc_crontab(
        "7 * * * * root /gone/jobctl ingest-branch --max-runtime 55m\n5 * * * * root /usr/bin/touch /tmp/$(date +%F)\n"
    )
    code, found = doctor.ask("--only", "crontab")
    assert code == 1
    assert status(found, "crontab.scheduled") == "warning"
    assert "ingest-branch is installed at 7 * * * *, and planned at 0 * * * *" in what(found, "crontab.plan")
    assert "/gone/jobctl" in what(found, "crontab.commands") and status(found, "crontab.commands") == "failed"
    assert "failed" in {item["status"] for item in found["crontab.lint"]}
    assert "/etc/cron.d/jobctl, line 2" in what(found, "crontab.lint")


def test_settings_that_fail_only_under_cron_are_told(doctor: Doctor, etc_crontab: Callable[[str], None]) -> None:
    etc_crontab(f"JOBCTL_BATCH_SIZE=none\n0 * * * * root {JOBCTL} ingest-branch --scheduled\n")
    code, found = doctor.ask("--only", "environment")
    assert code == 78
    assert "started by cron, JOBCTL_BATCH_SIZE is not a whole number" in what(found, "environment.settings")


def test_an_env_file_that_others_can_read_fails_and_a_closed_one_does_not(doctor: Doctor, tmp_path: Path) -> None:
    env_file = doctor.home / ".config/jobctl/env"
    env_file.parent.mkdir(parents=True)
    env_file.write_text(f"GITHUB_TOKEN={SECRET}\nJOBCTL_LOG_FILE={tmp_path}/gone/jobctl.log\n")
    env_file.chmod(0o644)
    code, found = doctor.ask("--only", "settings", "--only", "files")
    assert (code, f"chmod 600 {env_file}" in str(found)) == (78, True)
    env_file.chmod(0o600)
    code, found = doctor.ask("--only", "settings", "--only", "files")
    assert code == 1
    assert status(found, "files.env") == "ok"
    assert status(found, "files.log") == "failed" and f"{tmp_path}/gone is not there" in what(found, "files.log")
    assert SECRET not in str(found)


# Database ----------------------------------------------------------------------------------------------------------


def test_a_server_that_is_away_fails_with_one_finding(doctor: Doctor) -> None:
    url = f"postgresql://someone:{SECRET}@127.0.0.1:1/x?sslmode=disable"
    code, found = doctor.ask("--only", "database", DATABASE_URL=url)
    assert code == 1
    assert [check for check in found if status(found, check) == "failed"] == ["database.reachable"]
    assert SECRET not in str(found)


def test_a_server_that_takes_the_connection_and_says_nothing_holds_nobody_up(doctor: Doctor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://127.0.0.1:{silent.getsockname()[1]}/x"
        code, found = doctor.ask("--only", "database", "--only", "program", DATABASE_URL=url)
    assert code == 1
    assert status(found, "database.reachable") == "failed"
    assert status(found, "program.python") == "ok"


def test_an_older_a_newer_and_no_schema_are_failures_of_configuration(doctor: Doctor, base: Base) -> None:
    base.conn.execute("DELETE FROM jobctl_meta.migrations WHERE version > 1")
    code, found = doctor.ask("--only", "database", DATABASE_URL=base.url)
    assert (code, "is older" in what(found, "database.schema")) == (78, True)
    assert status(found, "database.privileges") == "skipped"
    base.conn.execute(
        "INSERT INTO jobctl_meta.migrations (version, name, checksum, duration_ms, jobctl_version)"
        " VALUES (9999, 'later', '', 0, '9')"
    )
    code, found = doctor.ask("--only", "database", DATABASE_URL=base.url)
    assert (code, "is newer" in what(found, "database.schema")) == (78, True)


def test_an_empty_database_fails_with_the_command_that_mends_it(doctor: Doctor, empty_database: Database) -> None:
    code, found = doctor.ask("--only", "database", "--only", "runs", DATABASE_URL=to_url(empty_database.dsn))
    assert code == 78
    assert found["database.schema"][0]["mend"] == "jobctl db migrate"


ROLES = {"owner": "doctor_owner", "worker": "doctor_worker", "reader": "doctor_reader"}


@pytest.fixture
def role_url(empty_database: Database) -> Generator[Callable[[str], str], None, None]:
    """The database with the roles of `jobctl db grants`, as one of them."""
    with empty_database.connect() as admin:
        migrate(empty_database)
        admin.execute(script(**ROLES).encode())

        def url(role: str) -> str:
            admin.execute(sql.SQL("ALTER ROLE {} PASSWORD 'for-this-test'").format(sql.Identifier(role)))
            return to_url(make_conninfo(empty_database.dsn, user=role, password="for-this-test"), show_password=True)

        yield url
        for role in ROLES.values():
            name = sql.Identifier(role)
            admin.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(name))
            admin.execute(sql.SQL("DROP ROLE {}").format(name))


def test_the_worker_has_what_jobs_need_and_the_reader_has_not(doctor: Doctor, role_url: Callable[[str], str]) -> None:
    code, found = doctor.ask("--only", "database", DATABASE_URL=role_url(ROLES["worker"]))
    assert (code, status(found, "database.privileges"), status(found, "database.role")) == (0, "ok", "ok")
    code, found = doctor.ask("--only", "database", DATABASE_URL=role_url(ROLES["reader"]))
    assert (code, status(found, "database.privileges")) == (78, "failed")
    assert "doctor_reader lacks DELETE, INSERT, UPDATE on branch.branches" in what(found, "database.privileges")


def test_what_the_catalogue_does_not_tell_is_found_by_trying(
    doctor: Doctor, role_url: Callable[[str], str], empty_database: Database
) -> None:
    url = role_url(ROLES["worker"])
    with empty_database.connect() as admin:
        admin.execute("ALTER TABLE queue.tasks ENABLE ROW LEVEL SECURITY")
        code, found = doctor.ask("--only", "database", DATABASE_URL=url)
        assert (code, "cannot write to queue: " in what(found, "database.privileges")) == (78, True)
        admin.execute("ALTER TABLE queue.tasks DISABLE ROW LEVEL SECURITY")
        admin.execute("ALTER ROLE doctor_worker SET default_transaction_read_only = on")
        code, found = doctor.ask("--only", "database", DATABASE_URL=url)
        assert (code, status(found, "database.standby")) == (78, "failed")
        admin.execute("ALTER ROLE doctor_worker RESET ALL")
        admin.execute("ALTER ROLE doctor_worker CONNECTION LIMIT 4")
        code, found = doctor.ask("--only", "database", DATABASE_URL=url)
        assert (code, status(found, "database.connections")) == (1, "failed")
        assert "3 of 4 connections" in what(found, "database.connections")
        wrong = url.replace("for-this-test", SECRET)
        code, found = doctor.ask("--only", "database", DATABASE_URL=wrong)
        assert (code, status(found, "database.reachable")) == (78, "failed")
        assert SECRET not in str(found)


@pytest.mark.skipif(pgbouncer() is None, reason="PgBouncer is not installed")
@pytest.mark.parametrize(
    ("mode", "code", "check", "verdict", "word"),
    [
        ("session", 0, "database.pooler", "ok", "session mode"),
        ("transaction", 0, "database.pooler", "warning", "transaction mode"),
        ("statement", 78, "database.reachable", "failed", "statement mode"),
    ],
)
def test_each_kind_of_pooler_is_named(
    doctor: Doctor, base: Base, mode: str, code: int, check: str, verdict: str, word: str
) -> None:
    with pooled(base.dsn, mode) as url:
        for _ in range(3):
            said, found = doctor.ask("--only", "database", DATABASE_URL=url)
            assert (said, status(found, check), word in what(found, check)) == (code, verdict, True), found


def test_clocks_that_are_apart_are_told(doctor: Doctor, base: Base) -> None:
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
    if library is None:
        pytest.skip("libfaketime is not installed")
    shifted = {"LD_PRELOAD": str(library), "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}
    for shift, code, verdict, word in (("-30", 0, "warning", "ahead of"), ("+7200", 1, "failed", "behind")):
        said, found = doctor.ask("--only", "database", DATABASE_URL=base.url, FAKETIME=shift, **shifted)
        assert (said, status(found, "database.clock")) == (code, verdict)
        assert word in what(found, "database.clock")


def test_an_old_transaction_and_dead_runs_and_unsent_messages_are_found(doctor: Doctor, base: Base) -> None:
    base.conn.execute(
        "INSERT INTO ops.job_history (run_id, scope, job, correlation_id, status, lock_key, fence, host, os_user,"
        " supervisor_pid, guard_backend_pid, version, command, started_at) VALUES (gen_random_uuid(), 'airports',"
        " 'ingest-branch', 'c', 'running', 77, 1, 'h', 'u', 1, 1, '0', 'jobctl', now() - interval '2 hours')"
    )
    base.conn.execute(
        "INSERT INTO ops.outbox (channel, dedupe_key, payload, state, error_message)"
        f" VALUES ('slack', 'a', '{{}}', 'failed', 'https://hooks.slack.com/services/{TOKEN}')"
    )
    code, found = doctor.ask("--only", "runs", DATABASE_URL=base.url)
    assert code == 0
    assert "ingest-branch airports" in what(found, "runs.dead") and status(found, "runs.dead") == "warning"
    assert "1 messages to slack were refused" in what(found, "runs.outbox")
    assert TOKEN not in str(found)
    holder = psycopg.connect(base.dsn, autocommit=True, application_name="a-dead-run")
    with holder:
        holder.execute("BEGIN")
        holder.execute("SELECT pg_advisory_xact_lock(77)")
        pid = holder.info.backend_pid
        _, found = doctor.ask("--only", "runs", DATABASE_URL=base.url)
        assert status(found, "runs.dead") == "warning"  # a successor of the same key holds it
        base.conn.execute("UPDATE ops.job_history SET guard_backend_pid = %s", (pid,))
        _, found = doctor.ask("--only", "runs", DATABASE_URL=base.url)
        assert status(found, "runs.dead") == "ok"


def test_a_transaction_with_a_number_or_snapshot_counts_and_a_guards_does_not(base: Base) -> None:
    with (
        psycopg.connect(base.dsn, autocommit=True, application_name="guard") as guard,
        psycopg.connect(base.dsn, autocommit=True, application_name="hanging") as hanging,
    ):
        guard.execute("BEGIN")
        guard.execute("SELECT pg_try_advisory_xact_lock(1)")
        assert "guard" not in {each.name for each in [server.oldest(base.conn)] if each is not None}
        hanging.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        hanging.execute("SELECT 1")
        held = server.oldest(base.conn)
        assert held is not None and (held.name, held.pid) == ("hanging", hanging.info.backend_pid)
        hanging.execute("ROLLBACK")
        hanging.execute("BEGIN")
        hanging.execute("SELECT pg_current_xact_id()")
        held = server.oldest(base.conn)
        assert held is not None and held.name == "hanging"


# Embedded ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def bench() -> Generator[Bench, None, None]:
    with fresh_bench() as made:
        made.start()
        migrate(Database(made.dsn("jobctl"), "jobctl-test"))
        yield made


def embedded_on(bench: Bench) -> Mapping[str, str]:
    return {"JOBCTL_DATA_DIR": str(bench.data_dir), "JOBCTL_RUN_AS_USER": bench.user}


def test_an_embedded_database_with_runs_of_another_host_fails(doctor: Doctor, bench: Bench) -> None:
    words = ("--only", "embedded", "--only", "database", "--only", "disk", "--only", "files")
    code, found = doctor.ask(*words, **embedded_on(bench))
    assert code == 0
    for check in ("embedded.one_host", "embedded.file_system", "database.role", "database.privileges", "files.data"):
        assert status(found, check) == "ok", found[check]
    assert {"disk.database_space", "disk.data_inodes"} <= found.keys()
    with psycopg.connect(bench.dsn("jobctl"), autocommit=True) as conn:
        conn.execute(
            "INSERT INTO ops.job_history (run_id, job, correlation_id, status, host, os_user, supervisor_pid, version,"
            " command, finished_at) VALUES (gen_random_uuid(), 'sync', 'c', 'completed', 'elsewhere', 'bob', 1, '0',"
            " 'jobctl', now())"
        )
    code, found = doctor.ask(*words, **embedded_on(bench))
    assert (code, status(found, "embedded.one_host")) == (78, "failed")
    assert "runs of elsewhere" in what(found, "embedded.one_host")
    spool = bench.data_dir / "spool"
    spool.mkdir()
    (spool / "0001.json").write_text("{}")
    _, found = doctor.ask("--only", "runs", **embedded_on(bench))
    assert "1 runs made without the database wait" in what(found, "runs.spool")


# Outgoing ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def receiver() -> Generator[Receiver, None, None]:
    with Receiver(answer(200)) as made:
        yield made


def test_slack_and_watchers_are_reached_and_nothing_is_posted(doctor: Doctor, receiver: Receiver) -> None:
    settings = {
        "SLACK_WEBHOOK_URL": receiver.url,
        "JOBCTL_HEARTBEAT_URLS": f"sync={receiver.url},report={receiver.url}",
    }
    code, found = doctor.ask("--only", "outgoing", **settings)
    assert code == 0
    assert status(found, "outgoing.slack") == status(found, "outgoing.heartbeat") == "ok"
    assert "sync, report" in what(found, "outgoing.heartbeat")
    assert receiver.paths == receiver.bodies == []


def test_a_test_message_is_posted_and_a_refusal_told_without_its_address(doctor: Doctor, receiver: Receiver) -> None:
    words = ("--only", "outgoing", "--send-test")
    code, found = doctor.ask(*words, SLACK_WEBHOOK_URL=receiver.url)
    assert (code, status(found, "outgoing.slack_test")) == (0, "ok")
    assert receiver.texts == ["jobctl doctor test"]
    receiver.then(answer(404, f"no_service {TOKEN}"))
    code, found = doctor.ask(*words, SLACK_WEBHOOK_URL=receiver.url)
    assert (code, status(found, "outgoing.slack_test")) == (1, "failed")
    assert "HTTP 404: no_service ***" in what(found, "outgoing.slack_test")
    assert TOKEN not in str(found)


def test_what_cannot_be_reached_is_told(doctor: Doctor) -> None:
    url = refusing_url()
    settings = {
        "SLACK_WEBHOOK_URL": url,
        "JOBCTL_HEARTBEAT_URLS": f"sync={url}",
        "SMTP_URL": "smtp://me:pw@127.0.0.1:1",
    }
    code, found = doctor.ask("--only", "outgoing", **settings)
    assert code == 1
    for check in ("outgoing.slack", "outgoing.heartbeat", "outgoing.mail"):
        assert status(found, check) == "failed" and "ConnectionRefusedError" in what(found, check)
    assert TOKEN not in str(found)


def test_a_peer_without_tls_is_told(doctor: Doctor, receiver: Receiver) -> None:
    url = receiver.url.replace("http://127.0.0.1", "https://localhost")
    code, found = doctor.ask("--only", "outgoing", SLACK_WEBHOOK_URL=url)
    assert (code, status(found, "outgoing.slack")) == (1, "failed")
    assert TOKEN not in str(found)


def test_mail_is_greeted_and_with_send_test_one_is_sent(doctor: Doctor) -> None:
    addresses = {"REPORT_EMAILS": "ann@example.org,bob@example.org", "EMAIL_FROM": "jobctl <jobs@example.org>"}
    with MailBox() as box:
        code, found = doctor.ask("--only", "outgoing", SMTP_URL=box.url, **addresses)
        assert (code, status(found, "outgoing.mail"), box.mails) == (0, "ok", [])
        code, found = doctor.ask("--only", "outgoing", "--send-test", SMTP_URL=box.url, **addresses)
        assert (code, status(found, "outgoing.mail_test")) == (0, "ok"), found
        [mail] = box.mails
        assert "Subject: jobctl doctor test" in mail and "To: ann@example.org, bob@example.org" in mail
        _, found = doctor.ask("--only", "outgoing", "--send-test", SMTP_URL=box.url)
        assert "needs EMAIL_FROM" in what(found, "outgoing.mail")
    refusals = {"RCPT": f"550 unknown, {SECRET}"}
    with MailBox(answers=refusals) as box:
        url = box.url.replace("//", f"//me:{SECRET}@")
        _, found = doctor.ask("--only", "outgoing", SMTP_URL=url)
        assert "offers no log-in" in what(found, "outgoing.mail")
        code, found = doctor.ask("--only", "outgoing", "--send-test", SMTP_URL=box.url, **addresses)
        assert (code, status(found, "outgoing.mail_test")) == (1, "failed")
