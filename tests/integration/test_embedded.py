"""The embedded server in the life it was made for: many short processes, one server."""

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from bench_postgres import TEST_SETTINGS, Bench, ask, fresh_bench, is_root, postmasters_in, wait_for
from jobctl.db import embedded, embedded_binaries, embedded_host
from jobctl.db.embedded_layout import Layout, read_record, socket_dir_for, write_record
from jobctl.db.embedded_owner import as_owner, owner_of
from jobctl.errors import ConfigurationError, DatabaseUnavailable


@pytest.fixture
def bench() -> Generator[Bench, None, None]:
    with fresh_bench() as fresh:
        yield fresh


def test_a_first_start_gives_a_safe_server_on_a_private_socket(bench: Bench) -> None:
    dsn = bench.start(settings={})
    with psycopg.connect(dsn) as conn:
        row = conn.execute(
            """
            SELECT current_setting('listen_addresses'), current_setting('fsync'), current_setting('data_checksums'),
                current_setting('server_encoding'), current_setting('max_connections'),
                current_setting('shared_buffers'), current_setting('TimeZone'), current_user, current_database(),
                inet_server_addr() IS NULL
            """
        ).fetchone()
    assert row == ("", "on", "on", "UTF8", "200", "128MB", "UTC", "jobctl", "jobctl", True)
    layout = bench.layout
    for path in (layout.server_dir, layout.pgdata):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    for path in (layout.start_lock, layout.server_lock, layout.record, layout.log):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    socket_file = Path(str(conninfo_to_dict(dsn)["host"]), ".s.PGSQL.5432")
    assert stat.S_IMODE(socket_file.stat().st_mode) == 0o700
    assert socket_file.stat().st_uid == layout.server_dir.stat().st_uid


def test_text_sorts_by_code_point(bench: Bench) -> None:
    order = ask(bench.start(), "SELECT string_agg(x, '' ORDER BY x) FROM unnest(ARRAY['b','A','a','B','é']) AS x")
    assert order == "ABabé"


def test_a_second_call_finds_the_same_server_and_starts_no_process(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    dsn = bench.start()
    monkeypatch.setattr(os, "fork", lambda: pytest.fail("it forked"))
    monkeypatch.setattr(subprocess, "Popen", None)
    assert bench.start() == dsn


def test_the_quick_way_loads_neither_the_slow_one_nor_a_client_library(bench: Bench) -> None:
    bench.start()
    code = (
        "import sys; from pathlib import Path; from jobctl.db import embedded;"
        "embedded.ensure_running(Path(sys.argv[1]), run_as_user='');"
        "print([m for m in sys.modules if m in ('subprocess', 'psycopg', 'jobctl.db.embedded_start')])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(bench.data_dir)], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("round_", range(2))
def test_eight_first_starts_with_mixed_temp_directories_share_one_server(bench: Bench, round_: int) -> None:
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        calls = [
            subprocess.Popen(
                bench.caller(),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env={"TMPDIR": (one, other, "/nonexistent")[number % 3], "PATH": "/usr/bin:/bin"},
            )
            for number in range(8)
        ]
        said = [call.communicate(timeout=90) for call in calls]
        assert list(Path(one).iterdir()) == list(Path(other).iterdir()) == []
    assert [call.returncode for call in calls] == [0] * 8, said
    assert {errors for _, errors in said} == {""}
    assert len({started for started, _ in said}) == 1
    assert len(postmasters_in(bench.layout.pgdata)) == 1
    assert not list(bench.layout.server_dir.glob("data.new-*"))


def test_it_starts_in_an_empty_environment_with_every_stream_closed(bench: Bench) -> None:
    closed = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"]
    done = bench.call("env", "-i", *closed)
    assert done.returncode in (0, 120)  # 120: python could not flush the closed streams; our part was done
    assert embedded.status(bench.data_dir).state == "running"
    again = bench.call("env", "-i")
    assert (again.returncode, again.stderr) == (0, "")


def test_a_start_says_nothing_on_either_stream(bench: Bench) -> None:
    done = bench.call()
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 1


def test_nobody_who_waits_for_the_callers_output_waits_for_the_server(bench: Bench) -> None:
    # `call` reads both pipes to their end: it comes back only when no process holds them any more.
    assert bench.call().returncode == 0
    assert embedded.status(bench.data_dir).state == "running"


def test_the_server_outlives_a_kill_of_its_starters_whole_group(bench: Bench) -> None:
    code = bench.caller()
    code[2] += "\nprint('up', flush=True)\nimport time\ntime.sleep(60)\n"
    call = subprocess.Popen(code, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert call.stdout is not None
    while call.stdout.readline() != "up\n":
        pass
    started = ask(bench.start(), "SELECT pg_postmaster_start_time()::text")
    os.killpg(call.pid, signal.SIGKILL)
    call.wait()
    call.stdout.close()
    assert ask(bench.start(), "SELECT pg_postmaster_start_time()::text") == started


def test_sessions_live_on_when_other_processes_come_and_go(bench: Bench) -> None:
    with psycopg.connect(bench.start()) as conn:
        for _ in range(5):
            assert bench.call().returncode == 0
        assert conn.execute("SELECT 1").fetchone() == (1,)


def test_the_server_inherits_none_of_its_starters_files(bench: Bench) -> None:
    left, right = socket.socketpair()
    os.set_inheritable(right.fileno(), True)
    bench.start()
    right.close()
    left.settimeout(5)
    assert left.recv(1) == b""  # the end: nobody holds the other side
    left.close()


def test_stop_waits_until_the_last_process_is_gone_and_a_start_comes_back(bench: Bench) -> None:
    dsn = bench.start()
    with psycopg.connect(dsn) as conn:
        conn.execute("CREATE TABLE public.kept AS SELECT 42 AS answer")
    assert bench.stop()
    assert postmasters_in(bench.layout.pgdata) == []
    assert embedded.status(bench.data_dir).state == "stopped"
    assert not bench.stop()
    assert ask(bench.start(), "SELECT answer FROM public.kept") == 42


def test_an_unforced_stop_cuts_nobody(bench: Bench) -> None:
    with psycopg.connect(bench.start()) as conn:
        with pytest.raises(DatabaseUnavailable, match="sessions are still open"):
            embedded.stop(bench.data_dir, wait_s=0.3)
        assert conn.execute("SELECT 1").fetchone() == (1,)
    wait_for(lambda: embedded.status(bench.data_dir).state == "stopped")
    assert ask(bench.start()) == 1


def test_status_tells_what_is_there_and_starts_nothing(bench: Bench) -> None:
    assert embedded.status(bench.data_dir).state == "absent"
    assert not bench.data_dir.exists()
    bench.start()
    status = embedded.status(bench.data_dir)
    assert (status.state, status.data_dir, status.log) == ("running", bench.data_dir, bench.layout.log)
    assert [status.pid] == postmasters_in(bench.layout.pgdata)


@pytest.mark.parametrize("below", ["x" * 120, "with space", "comma, and 'quote' \\ ü", 'double"quote'])
def test_any_data_path_gets_a_socket(below: str) -> None:
    with fresh_bench(below) as bench:
        dsn = bench.start()
        assert ask(dsn) == 1
        assert bench.start() == dsn
        where = Path(str(conninfo_to_dict(dsn)["host"]))
        assert len(os.fsencode(where / ".s.PGSQL.5432")) <= 107
        assert stat.S_IMODE(where.stat().st_mode) == 0o700
        bench.stop()
        assert bench.start() == dsn  # the short place is kept
        bench.stop()
        if where != bench.layout.server_dir:
            where.rmdir()


def test_a_short_socket_place_that_another_prepared_is_not_used(tmp_path: Path) -> None:
    layout = Layout.of(tmp_path / ("x" * 120))
    open_to_all, link = tmp_path / "open", tmp_path / "link"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    link.symlink_to(open_to_all)
    for trap in (open_to_all, link, tmp_path / "missing"):
        chosen = Path(socket_dir_for(layout, str(trap)))
        assert chosen != trap
        chosen.rmdir()
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    assert socket_dir_for(layout, str(private)) == str(private)


def test_control_characters_in_the_data_path_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="control characters"):
        embedded.ensure_running(Path("/tmp/a\nb"), run_as_user="nobody")


def test_without_the_wheel_the_error_names_the_extra(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobctl.db.embedded_binaries.PACKAGE", "no_such_package")
    with pytest.raises(ConfigurationError) as caught:
        embedded.ensure_running(bench.data_dir, run_as_user=bench.user)
    assert "jobctl[embedded]" in caught.value.hint
    assert embedded.psql_path() is None


def test_data_of_another_major_version_is_refused_in_words(bench: Bench) -> None:
    bench.start()
    bench.stop()
    as_owner(owner_of(bench.layout, bench.user), lambda: (bench.layout.pgdata / "PG_VERSION").write_text("9\n"))
    with pytest.raises(ConfigurationError, match="written by PostgreSQL 9"):
        bench.start()


def test_a_directory_that_belongs_to_another_host_is_refused_until_it_is_adopted(bench: Bench) -> None:
    bench.start()
    bench.stop()
    record = read_record(bench.layout)
    assert record is not None
    owner = owner_of(bench.layout, bench.user)
    foreign = type(record)(record.socket_dir, f"{embedded_host.MACHINE}{'0' * 32}")
    as_owner(owner, lambda: write_record(bench.layout, foreign))
    if not embedded_host.identity().startswith(embedded_host.MACHINE):
        pytest.skip("this host has no machine-id")
    with pytest.raises(ConfigurationError, match="serves one host"):
        bench.start()
    assert postmasters_in(bench.layout.pgdata) == []
    assert ask(bench.start(adopt=True)) == 1
    bench.stop()
    assert ask(bench.start()) == 1


@pytest.mark.skipif(not is_root(), reason="needs two accounts")
def test_a_second_account_gets_a_clear_refusal_and_root_does_not_lock_the_owner_out(bench: Bench) -> None:
    bench.start()

    def as_stranger() -> None:
        os.setgroups([])
        os.setgid(12345)
        os.setuid(12345)
        embedded.ensure_running(bench.data_dir, run_as_user="")

    pid = os.fork()
    if pid == 0:
        try:
            as_stranger()
        except ConfigurationError as error:
            os._exit(7 if f"belongs to {bench.user}" in error.message and "uid 12345" in error.message else 8)
        os._exit(9)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    # The owner itself comes in, though root made it all.
    assert (
        as_owner(owner_of(bench.layout, ""), lambda: embedded.ensure_running(bench.data_dir, run_as_user=""))
        is not None
    )


SEVERAL_ROOTS = """
set -e
mkdir "$1/etc" && cp -a /etc/. "$1/etc" && mount --bind "$1/etc" /etc
for n in 1 2 3 4 5 6; do "$2" -c "$3" "$1/several" jobctl-test-new "$4" "fsync=off" >>"$1/started" & done
wait
id -u jobctl-test-new >>"$1/uids"; stat -c %u "$1/several/postgres" "$1/several/postgres/data" >>"$1/uids"
"$2" -c "from pathlib import Path; from jobctl.db import embedded; embedded.stop(Path('$1/several'), force=True)"
"""


@pytest.mark.skipif(not is_root(), reason="needs root")
def test_several_roots_at_once_create_the_account_once(bench: Bench) -> None:
    """In a mount namespace with an /etc of its own, so that this host gets no account."""
    if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no mount namespaces here")
    where, code = bench.data_dir.parent, bench.caller()[2]
    words = [
        "unshare",
        "-m",
        "sh",
        "-c",
        SEVERAL_ROOTS,
        "sh",
        str(where),
        sys.executable,
        code,
        str(bench.bin_dir or ""),
    ]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=90)
    assert (done.returncode, done.stderr) == (0, "")
    started = (where / "started").read_text().splitlines()
    assert len(started) == 6
    assert len(set(started)) == 1
    assert len(set((where / "uids").read_text().split())) == 1


@pytest.mark.skipif(not is_root(), reason="needs root")
def test_root_opens_no_parent_directory_and_says_where_to_go(bench: Bench) -> None:
    closed = bench.data_dir.parent / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(ConfigurationError, match="cannot use") as caught:
        Bench(closed / "data").start()
    assert "JOBCTL_DATA_DIR" in caught.value.hint
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    assert stat.S_IMODE(bench.data_dir.parent.stat().st_mode) == 0o711


@pytest.mark.skipif(not is_root(), reason="needs root")
def test_root_copies_binaries_that_the_account_cannot_reach(bench: Bench) -> None:
    if bench.bin_dir is not None:
        pytest.skip("not on this platform: a distribution's PostgreSQL keeps its parts apart, and is always reachable")
    install = embedded_binaries.newest().bin_dir.parent
    closed = bench.data_dir.parent / "closed"
    closed.mkdir(mode=0o700)
    libraries = f"{install.parent.name}.libs"
    shutil.copytree(install, closed / install.parent.name / install.name, symlinks=True)
    shutil.copytree(install.parent.with_name(libraries), closed / libraries)
    hidden = Bench(bench.data_dir, bench.user, closed / install.parent.name / install.name / "bin")
    assert ask(hidden.start()) == 1
    running = Path(f"/proc/{hidden.postmaster()}/exe").readlink()
    assert running.is_relative_to(bench.data_dir)
    assert running.stat().st_uid == running.parent.stat().st_uid == 0
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


def test_settings_of_this_call_reach_the_server(bench: Bench) -> None:
    assert ask(bench.start(settings={**TEST_SETTINGS, "work_mem": "7MB"}), "SHOW work_mem") == "7MB"


def test_failed_statements_leave_no_values_in_the_servers_log(bench: Bench) -> None:
    with psycopg.connect(bench.start(), autocommit=True) as conn:
        conn.execute("CREATE TABLE public.t (email text PRIMARY KEY)")
        conn.execute("INSERT INTO public.t VALUES ('canary-4711')")
        for statement in (
            "INSERT INTO public.t VALUES ('canary-4711')",
            "SELECT 'canary-4711'::integer",
            "SELECT canary_4711 FROM nowhere",
        ):
            with pytest.raises(psycopg.Error):
                conn.execute(statement.encode())
    assert "4711" not in bench.layout.log.read_text()
