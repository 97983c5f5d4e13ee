"""No secret leaves by any error path: log, streams, rows of any table, command lines of any process.

Forty secrets are planted: the seven settings that are secret, each with another value in the environment, in the env
file and in the config file; in records that are refused; in what the server says when it fails; in settings that are
broken or misspelt; and in words of the command line. Each carries the same marker, which is looked for as it stands and
in encodings, everywhere but where it was planted. The search itself is searched: it must find what is not hidden.
"""

import base64
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Self
from urllib.parse import quote

import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

from bench_runs import SOURCE, Base, mutated, processes_with

# Another in each test process: what one of them types on a command line is seen by all that watch the process table.
MARKER = "c4n4ry" + os.environ.get("PYTEST_XDIST_WORKER", "gw9").replace("gw", "w")
SECRETS: list[str] = []
pytestmark = pytest.mark.slow
_numbers = count(1)


def plant(before: str = "", after: str = "") -> str:
    """A new secret. What stands around the marker makes it look like a token of some service, or needs encoding."""
    SECRETS.append(f"{before}{MARKER}{next(_numbers):02d}{after}")
    return SECRETS[-1]


def configured() -> dict[str, str]:
    """The seven secret settings, with values of their own at each call; that of DATABASE_URL is only its password."""
    return {
        "DATABASE_URL": plant(after="p%w'd/+ä="),
        "GITHUB_TOKEN": plant("ghp_", "A1b2C3d4E5f6G7h8"),
        "CRON_SECRET": plant(after='"quoted\\and plain'),
        "SMTP_URL": f"smtp://mailer:{plant(after='smtp')}@127.0.0.1:1",
        "RESEND_API_KEY": plant("re_", "A1b2C3d4"),
        "SENDGRID_API_KEY": plant("SG.", ".A1b2C3d4E5f6"),
        "SLACK_WEBHOOK_URL": f"https://hooks.slack.com/services/T000/B000/{plant(after='A1b2C3d4')}",
    }


IN_ENVIRONMENT, IN_ENV_FILE, IN_CONFIG_FILE = configured(), configured(), configured()
IN_RECORDS = [
    plant("ghp_", "A1b2C3d4E5f6G7h8"),
    f"https://me:{plant()}@example.org/",
    f"password={plant()}",
    f"Bearer {plant(after='A1b2C3d4')}",
    plant("xoxb-", "-A1b2C3d4"),
]
BY_THE_SERVER = [
    f"password={plant()}",
    f"postgresql://other:{plant()}@db/jobs",
    plant("github_pat_", "A1b2C3d4"),
    f'{{"api_key": "{plant()}"}}',
]
MISPLACED = {
    "an unknown name": {"JOBCTL_GITHUB_TOKEN": plant()},
    "a token for a number": {"JOBCTL_BATCH_SIZE": plant("ghp_", "A1b2C3d4E5f6")},
    "an address for a time zone": {"JOBCTL_TIMEZONE": f"postgresql://a:{plant()}@b/c"},
    "a scheme that is none": {"SMTP_URL": f"ftp://me:{plant()}@mail"},
    "two lines": {"GITHUB_TOKEN": plant(after="\nsecond")},
    "an address that cannot be split": {"DATABASE_URL": f"postgresql://a:{plant()}@b@c/d"},
}
ON_THE_COMMAND_LINE = [
    ("ingest-branch", "--branch", f"postgresql://a:{plant()}@b/c"),
    ("ingest-branch", "--correlation-id", plant("ghp_", "A1b2C3d4E5f6G7h8")),
    ("ingest-branch", "--max-runtime", f"password={plant()}"),
    ("branch", "load", "places", f"postgresql://a:{plant()}@b/c"),
]


def test_forty_secrets_are_planted() -> None:
    assert len(SECRETS) == len(set(SECRETS)) == 40


# The search --------------------------------------------------------------------------------------------------------


def _encoded(marker: bytes) -> list[bytes]:
    forms = [marker.hex().encode()]
    for offset in range(3):
        text = base64.b64encode(b"\0" * offset + marker)
        forms.append(text[-(-offset * 8 // 6) : (offset + len(marker)) * 8 // 6])
    return forms


FORMS = re.compile(b"(?i:" + MARKER.encode() + b")|" + b"|".join(map(re.escape, _encoded(MARKER.encode()))))


def test_the_search_finds_what_is_encoded() -> None:
    secret = f"some {MARKER}99 thing".encode()
    for shift in range(3):
        assert FORMS.search(base64.b64encode(b"x" * shift + secret))
    assert FORMS.search(secret.hex().encode())
    assert FORMS.search(secret.upper())
    assert FORMS.search(quote(secret).encode())
    assert not FORMS.search(b"nothing of the kind")


class CommandLines:
    """Reads the command line of every process, over and over, and keeps what carries the marker."""

    def __init__(self) -> None:
        self.found: set[bytes] = set()
        self.rounds = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.004):
            for entry in os.scandir("/proc"):
                if entry.name.isdigit():
                    with suppress(OSError):
                        words = Path(entry.path, "cmdline").read_bytes()
                        if FORMS.search(words):
                            self.found.add(words)
            self.rounds += 1


def test_the_watch_over_command_lines_sees_a_secret_that_is_there() -> None:
    with CommandLines() as watch:
        subprocess.run([sys.executable, "-c", "import time; time.sleep(0.5)", f"--password={MARKER}"], check=True)
    assert len(watch.found) == 1


ALL_COLUMNS = """
SELECT n.nspname, c.relname, a.attname
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
WHERE c.relkind IN ('r', 'p', 'm') AND a.attnum > 0 AND NOT a.attisdropped
    AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
"""
# What a source sent is kept as it came: that is the purpose of these columns.
AS_IT_CAME = {"branch.records.payload", "branch.rejects.payload"}
# An explanation of ours, which has a test of its own: else every run that refuses a record would fail for it.
EXPLANATIONS = {"branch.rejects.detail"}


def rows_with_the_marker(conn: psycopg.Connection) -> tuple[set[str], int]:
    """The columns that hold it, and how many values were looked at."""
    found: set[str] = set()
    looked_at = 0
    for schema, table, column in conn.execute(ALL_COLUMNS).fetchall():
        question = sql.SQL("SELECT {}::text FROM {}").format(sql.Identifier(column), sql.Identifier(schema, table))
        for (value,) in conn.execute(question):
            looked_at += 1
            if value is not None and FORMS.search(value.encode("utf-8", "surrogatepass")):
                found.add(f"{schema}.{table}.{column}")
    return found, looked_at


# The world ---------------------------------------------------------------------------------------------------------


@dataclass
class World:
    """A database with the schema, the three sources of settings, and a watch over all that comes out."""

    directory: Path
    base: Base
    watch: CommandLines
    environment: dict[str, str]
    said: dict[str, bytes] = field(default_factory=dict[str, bytes])
    on_command_line: bool = False

    @property
    def log_file(self) -> Path:
        return self.directory / "log" / "jobctl.log"

    def run(
        self,
        *words: str,
        code: Path = SOURCE,
        meanwhile: Callable[["subprocess.Popen[bytes]"], None] = lambda process: None,
        more: Mapping[str, str] | None = None,
    ) -> int:
        process = subprocess.Popen(
            [sys.executable, "-m", "jobctl", *words],
            cwd=self.directory,
            env=self.environment | {"PYTHONPATH": str(code), "TORTURE_TOKEN": str(self.directory)} | dict(more or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        meanwhile(process)
        out, err = process.communicate(timeout=60)
        label = f"{len(self.said)}: jobctl {words[0]} ... -> {process.returncode}"
        self.said[label] = out + b"\n" + err
        return process.returncode

    def ingest(self, *words: str, more: Mapping[str, str] | None = None) -> int:
        return self.run("ingest-branch", *words, more=more)

    def assert_nothing_leaked(self) -> None:
        for label, text in self.said.items():
            assert not FORMS.search(text), f"{label}\n{text.decode(errors='replace')}"
        for file in self.directory.glob("log/*"):
            for line in file.read_bytes().splitlines():
                assert not FORMS.search(line), line.decode(errors="replace")
        for file in self.directory.glob("metrics/*"):
            assert not FORMS.search(file.read_bytes())
        found, looked_at = rows_with_the_marker(self.base.conn)
        assert found <= AS_IT_CAME | EXPLANATIONS
        assert looked_at > 100
        if not self.on_command_line:
            assert self.watch.found == set()
        assert self.watch.rounds > 3


@pytest.fixture
def world(base: Base, tmp_path: Path) -> Generator[World, None, None]:
    directory = tmp_path / "world"
    (directory / "metrics").mkdir(parents=True)
    url = _with_password(base.url, IN_ENVIRONMENT["DATABASE_URL"])
    env_file, config_file = directory / "jobctl.env", directory / "jobctl.toml"
    hidden = {**IN_ENV_FILE, "DATABASE_URL": _with_password(base.url, IN_ENV_FILE["DATABASE_URL"])}
    env_file.write_text("".join(f"{name}={_single_quoted(value)}\n" for name, value in hidden.items()))
    hidden = {**IN_CONFIG_FILE, "DATABASE_URL": _with_password(base.url, IN_CONFIG_FILE["DATABASE_URL"])}
    config_file.write_text("".join(f"{name.lower()} = '''{value}'''\n" for name, value in hidden.items()))
    for file in (env_file, config_file):
        file.chmod(0o600)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        **IN_ENVIRONMENT,
        "DATABASE_URL": url,
        "JOBCTL_LOG_FILE": str(directory / "log" / "jobctl.log"),
        "JOBCTL_LOG_LEVEL": "DEBUG",
        "JOBCTL_TEXTFILE_DIR": str(directory / "metrics"),
        "JOBCTL_KILL_GRACE_S": "2",
    }
    _make_branch(base.conn)
    with CommandLines() as watch:
        made = World(directory, base, watch, environment)
        yield made
        for pid in processes_with(str(directory)):
            os.kill(pid, signal.SIGKILL)


def _with_password(url: str, password: str) -> str:
    scheme, _, rest = url.partition("://")
    user, _, place = rest.partition("@")
    return f"{scheme}://{user.partition(':')[0]}:{quote(password, safe='')}@{place}"


def _single_quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _make_branch(conn: psycopg.Connection) -> None:
    """Twenty good records, and some that are refused in ways whose explanation shows the value."""
    mapped = {
        "record_id": "id",
        "name": "name",
        "latitude": "lat",
        "longitude": "lon",
        "updated_at": "at",
        "url": "url",
    }
    conn.execute(
        "INSERT INTO branch.branches (slug, title, field_map, active, loaded_at)"
        " VALUES ('places', 'Places', %s, true, now())",
        [Jsonb(mapped)],
    )
    good = '{"id": %d, "name": "Place", "lat": 1, "lon": 2, "at": "2026-01-02", "url": "https://example.org/"}'
    payloads = [good % number for number in range(20)]
    for number, text in enumerate(IN_RECORDS, start=100):
        payloads += [
            f'{{"id": {number}0, "name": "x", "at": "{text}"}}',
            f'{{"id": {number}1, "name": "x", "lat": "{text}", "lon": 2}}',
            f'{{"id": {number}2, "name": ["{text}"]}}',
            f'{{"id": {number}3, "name": {text}}}',
            text,
        ]
    for number, payload in enumerate(payloads):
        conn.execute(
            "INSERT INTO branch.records (branch_id, record_key, payload, payload_hash, source_version, load_id)"
            " SELECT branch_id, %s, %s, gen_random_uuid(), 1, 1 FROM branch.branches",
            [str(number), payload],
        )


# What is done --------------------------------------------------------------------------------------------------------


def test_the_search_of_the_tables_finds_what_was_planted_there(world: World) -> None:
    assert rows_with_the_marker(world.base.conn)[0] == {"branch.records.payload"}


def test_nothing_leaks_while_all_goes_well(world: World) -> None:
    for words in (
        ["config", "show"],
        ["config", "show", "--json"],
        ["config", "check"],
        ["db", "status"],
        ["db", "status", "--json"],
        ["db", "url"],
        ["db", "migrate"],
        ["db", "psql", "-c", "SELECT application_name FROM pg_stat_activity"],
        ["branch", "list"],
        ["branch", "show", "places", "--json"],
        ["ingest-branch", "--dry-run", "--json"],
    ):
        assert world.run(*words) in (0, 3), world.said
    world.assert_nothing_leaked()


def test_a_run_that_refuses_records_tells_nothing_of_what_is_in_them(world: World) -> None:
    assert world.ingest("--json") == 3
    assert world.ingest("--full", "-v") == 3
    assert world.base.one("SELECT count(*) FROM branch.rejects") == 5 * len(IN_RECORDS)
    assert world.run("branch", "show", "places") == 0
    world.assert_nothing_leaked()


def test_the_explanation_of_a_refusal_does_not_quote_a_secret(world: World) -> None:
    assert world.ingest() == 3
    assert rows_with_the_marker(world.base.conn)[0] <= AS_IT_CAME


FAILING = """
CREATE FUNCTION public.fail() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    RAISE EXCEPTION USING ERRCODE = TG_ARGV[0], MESSAGE = TG_ARGV[1], DETAIL = TG_ARGV[1], HINT = TG_ARGV[1];
END $body$
"""
SERVER_SAYS = " and ".join([*BY_THE_SERVER, IN_ENVIRONMENT["DATABASE_URL"], IN_ENVIRONMENT["CRON_SECRET"]])


@contextmanager
def failing(world: World, table: str, when: str, state: str = "P0001") -> Generator[None, None, None]:
    """The server refuses, and quotes every kind of secret in its message, its detail and its hint."""
    conn = world.base.conn
    conn.execute(FAILING)
    place = sql.Identifier(*table.split("."))
    conn.execute(
        sql.SQL("CREATE TRIGGER fail BEFORE {} ON {} FOR EACH ROW EXECUTE FUNCTION public.fail({}, {})").format(
            sql.SQL("INSERT") if when == "INSERT" else sql.SQL("UPDATE"),
            place,
            sql.Literal(state),
            sql.Literal(SERVER_SAYS),
        )
    )
    try:
        yield
    finally:  # the function's own text must not be found among the rows, and later commands must work
        conn.execute(sql.SQL("DROP TRIGGER fail ON {}").format(place))
        conn.execute("DROP FUNCTION public.fail")


@pytest.mark.parametrize(
    ("table", "when"),
    [
        ("core.items", "INSERT"),
        ("branch.rejects", "INSERT"),
        ("ops.checkpoints", "INSERT"),
        ("ops.job_history", "INSERT"),
        ("ops.job_history", "UPDATE"),
        ("ops.locks", "INSERT"),
    ],
)
def test_an_error_of_the_server_leaks_nothing(world: World, table: str, when: str) -> None:
    with failing(world, table, when):
        assert any([world.ingest(), world.ingest("--json", "-v")])
    world.ingest("--dry-run")
    world.assert_nothing_leaked()


@pytest.mark.parametrize("state", ["22001", "23514", "42501", "53100", "57P01", "40001", "57014", "XX000"])
def test_an_error_of_any_class_leaks_nothing(world: World, state: str) -> None:
    with failing(world, "core.items", "INSERT", state):
        assert world.ingest(more={"JOBCTL_BATCH_SIZE": "50"}) != 0
    world.assert_nothing_leaked()


def test_an_error_of_a_load_leaks_nothing(world: World) -> None:
    file = world.directory / "new.ndjson"
    file.write_text('{"id": 900, "name": "new"}\n')
    with failing(world, "branch.records", "INSERT"):
        assert world.run("branch", "load", "places", str(file)) == 1
        assert world.run("branch", "load", "places", str(file), "--json") == 1
    world.assert_nothing_leaked()


def test_a_row_that_a_constraint_quotes_leaks_nothing(world: World) -> None:
    secret = f"https://me:{MARKER}@example.org/"
    world.base.conn.execute("ALTER TABLE core.items ADD CONSTRAINT no_urls CHECK (url IS NULL) NOT VALID")
    world.base.conn.execute(
        "UPDATE branch.records SET payload = %s, payload_hash = gen_random_uuid() WHERE record_key = '0'",
        [f'{{"id": 0, "name": "{IN_ENVIRONMENT["DATABASE_URL"]}", "lat": 1, "lon": 2, "url": "{secret}"}}'],
    )
    assert world.ingest("-v") == 1
    world.assert_nothing_leaked()


@contextmanager
def a_server_that_turns_everybody_away(text: str) -> Generator[int, None, None]:
    """Speaks just enough of PostgreSQL's protocol to refuse a log-in in its own words."""

    def answer() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client, suppress(OSError):
                client.settimeout(5)
                while (start := client.recv(1_000)) and struct.unpack("!i", start[4:8])[0] in (80877103, 80877104):
                    client.sendall(b"N")  # neither TLS nor GSSAPI
                fields = b"SFATAL\0VFATAL\0C28P01\0M" + text.encode() + b"\0D" + text.encode() + b"\0\0"
                client.sendall(b"E" + struct.pack("!i", len(fields) + 4) + fields)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.parametrize(
    "kind", ["refusing", "closed", "unknown host", "bad port", "bad encoding", "no database", "key=value"]
)
def test_a_database_that_cannot_be_reached_leaks_nothing(world: World, kind: str) -> None:
    password = quote(IN_ENVIRONMENT["DATABASE_URL"], safe="")
    with a_server_that_turns_everybody_away(f"no entry for {SERVER_SAYS}") as port:
        url = {
            "refusing": f"postgresql://app:{password}@127.0.0.1:{port}/jobs",
            "closed": f"postgresql://app:{password}@127.0.0.1:1/jobs",
            "unknown host": f"postgresql://app:{password}@no-such-host.invalid/jobs",
            "bad port": f"postgresql://app:{password}@127.0.0.1:notaport/jobs",
            "bad encoding": f"postgresql://app:{MARKER}%zz@127.0.0.1/jobs",
            "no database": world.environment["DATABASE_URL"].replace(f"/{world.base.name}", "/nowhere"),
            "key=value": f"host=127.0.0.1 port=1 user=app password='{MARKER} 00' dbname=jobs",
        }[kind]
        for words in (["ingest-branch", "-v"], ["branch", "list", "--json"], ["db", "status"], ["db", "url"]):
            world.run(*words, more={"DATABASE_URL": url})
    assert b"error" in b"".join(world.said.values())
    world.assert_nothing_leaked()


@pytest.mark.parametrize("kind", MISPLACED)
def test_settings_at_fault_leak_nothing(world: World, kind: str) -> None:
    assert world.ingest(more=MISPLACED[kind]) == 78
    assert world.run("config", "check", "--json", more=MISPLACED[kind]) == 78
    world.assert_nothing_leaked()


@pytest.mark.parametrize("name", ["jobctl.env", "jobctl.toml"])
def test_files_at_fault_leak_nothing(world: World, name: str) -> None:
    file = world.directory / name
    with file.open("a") as more:
        more.write("this is no line\nGITHUB_TOKN=x\n")
    file.chmod(0o644)
    assert world.run("config", "check") == 78
    assert world.ingest() == 78
    world.assert_nothing_leaked()


@pytest.mark.parametrize("words", ON_THE_COMMAND_LINE, ids=lambda words: words[1])
def test_what_was_written_on_the_command_line_goes_no_further(world: World, words: tuple[str, ...]) -> None:
    world.on_command_line = True
    world.run(*words)
    world.run(*words, "--json")
    world.assert_nothing_leaked()


SLOW = """
CREATE FUNCTION public.slow() RETURNS trigger LANGUAGE plpgsql AS
$body$ BEGIN PERFORM pg_catalog.pg_sleep(30); RETURN NEW; END $body$;
CREATE TRIGGER slow BEFORE INSERT ON core.items FOR EACH STATEMENT EXECUTE FUNCTION public.slow()
"""


@pytest.mark.parametrize("kind", ["TERM", "KILL of the worker", "statement timeout", "session terminated"])
def test_a_run_that_is_ended_from_outside_leaks_nothing(world: World, kind: str) -> None:
    world.base.conn.execute(SLOW)

    def end(process: "subprocess.Popen[bytes]") -> None:
        until = time.monotonic() + 30
        while not world.base.one(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND state = 'active'"
        ):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < until
            time.sleep(0.02)
        if kind == "TERM":
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGTERM)
        elif kind == "KILL of the worker":
            for pid in processes_with(str(world.directory)):
                if pid != process.pid:
                    os.kill(pid, signal.SIGKILL)
        elif kind == "session terminated":
            world.base.conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
            )

    limits: dict[str, str] = {}
    if kind == "statement timeout":
        limits = {"JOBCTL_STATEMENT_TIMEOUT_MS": "2100"}
    assert world.run("ingest-branch", "-v", meanwhile=end, more=limits) != 0
    world.assert_nothing_leaked()


RAISING = f'raise RuntimeError(__import__("os").environ["DATABASE_URL"] + {" and ".join(BY_THE_SERVER)!r})'
UNFORESEEN = [
    ("jobs/ingest_branch/scopes.py", "branches_to_ingest"),
    ("jobs/ingest_branch/writer.py", "write"),
    ("db/opening.py", "open_database"),
    ("runtime/history.py", "start"),
    ("runtime/history.py", "finish"),
    ("runtime/markers.py", "log_outcome"),
    ("branches/store.py", "list_branches"),
]


@pytest.mark.parametrize(("module", "function"), UNFORESEEN)
def test_an_error_that_nobody_foresaw_leaks_nothing(world: World, tmp_path: Path, module: str, function: str) -> None:
    """A mutant that raises in the function, with every kind of secret in the text."""
    signature = rf"^def {function}\((?:.|\n)*?\) -> .*:\n"
    code = mutated(tmp_path, (module, signature, rf"\g<0>    {RAISING}\n"))
    commands = (["ingest-branch"], ["ingest-branch", "--json", "-v"], ["branch", "list"])
    codes = [world.run(*words, code=code) for words in commands]  # every one of them, whatever the first says
    assert any(codes)
    world.assert_nothing_leaked()
