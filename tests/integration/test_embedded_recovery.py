"""The embedded server after everything that can be left behind: by a crash, a kill, a reboot, a half-made start."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator

import psycopg
import pytest

from bench_postgres import Bench, ask, children_of, fresh_bench, has_processes, postmasters_in, processes_in, wait_for
from jobctl.db import embedded
from jobctl.db import embedded_processes as processes
from jobctl.db.embedded_binaries import choose
from jobctl.db.embedded_layout import SOCKET_NAME
from jobctl.db.embedded_owner import as_owner, owner_of
from jobctl.errors import DatabaseUnavailable


@pytest.fixture
def bench() -> Generator[Bench, None, None]:
    with fresh_bench() as fresh:
        yield fresh


@pytest.fixture
def dead(bench: Bench) -> Bench:
    """A bench whose server was killed, with all it leaves."""
    with psycopg.connect(bench.start()) as conn:
        conn.execute("CREATE TABLE public.kept AS SELECT 42 AS answer")
    bench.kill()
    return bench


@pytest.fixture
def stranger(bench: Bench) -> Generator["subprocess.Popen[bytes]", None, None]:
    """A living process of the server's own account that is none of the server's."""
    uid = None
    if os.geteuid() == 0:
        uid = owner_of(bench.layout, bench.user).uid
    with subprocess.Popen(["/bin/sleep", "600"], user=uid, cwd="/") as process:
        yield process
        process.kill()


def as_the_owner(bench: Bench, work: Callable[[], object]) -> None:
    as_owner(owner_of(bench.layout, bench.user), work)


def write_pid_file(bench: Bench, content: bytes) -> None:
    as_the_owner(bench, lambda: bench.layout.pid_file.write_bytes(content))


def full_pid_file(bench: Bench, pid: int) -> bytes:
    lines = (
        str(pid),
        bench.layout.pgdata,
        1700000000,
        5432,
        bench.layout.server_dir,
        "",
        "  123456    789",
        "ready   ",
    )
    return "".join(f"{line}\n" for line in lines).encode()


def assert_recovers(bench: Bench) -> None:
    assert ask(bench.start(), "SELECT answer FROM public.kept") == 42
    assert len(postmasters_in(bench.layout.pgdata)) == 1


def test_a_killed_server_is_recovered(dead: Bench) -> None:
    assert dead.layout.pid_file.exists()
    assert_recovers(dead)


def test_a_pid_file_with_the_number_of_a_living_stranger_is_seen_through(
    dead: Bench, stranger: "subprocess.Popen[bytes]"
) -> None:
    write_pid_file(dead, full_pid_file(dead, stranger.pid))
    socket_lock = dead.layout.server_dir / f"{SOCKET_NAME}.lock"
    as_the_owner(dead, lambda: socket_lock.write_bytes(full_pid_file(dead, stranger.pid)))
    assert_recovers(dead)
    assert stranger.poll() is None
    dead.stop()
    assert stranger.poll() is None


def test_a_stop_with_a_strangers_number_in_the_pid_file_signals_nobody(
    dead: Bench, stranger: "subprocess.Popen[bytes]"
) -> None:
    write_pid_file(dead, full_pid_file(dead, stranger.pid))
    assert not dead.stop()
    assert stranger.poll() is None


def test_a_pid_file_that_names_our_own_process_or_its_parent_is_seen_through(dead: Bench) -> None:
    for pid in (os.getpid(), os.getppid(), 1):
        write_pid_file(dead, full_pid_file(dead, pid))
        assert_recovers(dead)
        dead.kill()


def test_a_pid_file_that_says_nothing_is_removed(dead: Bench) -> None:
    no_process = b"4194304\n"
    for content in (b"", b"\n", b"12", b"x\n\xff\0\xfe", b"-1\n", b"0\n", b"9" * 20 + b"\n", b"\0" * 4096, no_process):
        write_pid_file(dead, content)
        assert_recovers(dead)
        dead.kill()


def test_a_zombies_number_in_the_pid_file_is_seen_through(dead: Bench) -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # it stays a zombie until it is waited for
    try:
        write_pid_file(dead, full_pid_file(dead, pid))
        assert_recovers(dead)
    finally:
        os.waitpid(pid, 0)


def test_a_foreign_postgres_is_no_server_of_ours(dead: Bench) -> None:
    with fresh_bench() as other:
        other.start()
        write_pid_file(dead, full_pid_file(dead, other.postmaster()))
        assert_recovers(dead)
        assert ask(other.start()) == 1


def test_a_half_made_cluster_is_swept_away(bench: Bench) -> None:
    bench.start()
    bench.stop()
    half = bench.layout.server_dir / "data.new-1"

    def leave() -> None:
        bench.layout.pgdata.rename(half)
        (half / "PG_VERSION").unlink()

    as_the_owner(bench, leave)
    assert ask(bench.start()) == 1
    assert not half.exists()


def test_a_start_that_is_killed_at_any_moment_leaves_nothing_in_the_way(bench: Bench) -> None:
    for delay in (0.05, 0.15, 0.25, 0.35, 0.45):
        call = subprocess.Popen(bench.caller(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        threading.Event().wait(delay)
        for pid in [*children_of(call.pid), call.pid]:
            os.kill(pid, signal.SIGKILL)
        call.wait()
    assert ask(bench.start()) == 1
    wait_for(lambda: len(postmasters_in(bench.layout.pgdata)) == 1)


def test_a_frozen_server_is_waited_for_and_not_doubled(bench: Bench) -> None:
    bench.start()
    pid = bench.postmaster()
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(DatabaseUnavailable, match="does not answer") as caught:
            bench.start(limit_s=0.5)
        assert str(bench.layout.log) in caught.value.hint
        call = subprocess.Popen(bench.caller(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        threading.Event().wait(1)
        assert call.poll() is None
    finally:
        os.kill(pid, signal.SIGCONT)
    _, errors = call.communicate(timeout=30)
    assert (call.returncode, errors) == (0, "")
    assert postmasters_in(bench.layout.pgdata) == [pid]


def test_a_frozen_server_is_stopped_by_force(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobctl.db.embedded_stop.FORCED_STEP_S", 2.0)
    bench.start()
    os.kill(bench.postmaster(), signal.SIGSTOP)
    assert embedded.stop(bench.data_dir, wait_s=0.3, force=True)
    assert not has_processes(bench.layout.pgdata)
    assert ask(bench.start()) == 1


def test_a_start_that_takes_longer_than_the_limit_goes_on_and_is_found_later(bench: Bench) -> None:
    slow = slow_binaries(bench, seconds=3)
    with pytest.raises(DatabaseUnavailable, match="not ready within 1 s") as caught:
        slow.start(limit_s=1)
    assert caught.value.exit_code == 75
    assert str(bench.layout.log) in caught.value.hint
    assert ask(slow.start()) == 1
    assert len(postmasters_in(bench.layout.pgdata)) == 1


def test_a_killed_caller_leaves_the_start_to_go_on_and_nobody_waiting_for_its_output(bench: Bench) -> None:
    slow = slow_binaries(bench, seconds=6)
    call = subprocess.Popen(slow.caller(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for(bench.layout.pgdata.exists)
    call.kill()
    call.communicate(timeout=30)  # to the end of both streams
    assert embedded.status(bench.data_dir).state != "running"
    wait_for(lambda: embedded.status(bench.data_dir).state == "running")
    assert len(postmasters_in(bench.layout.pgdata)) == 1


def slow_binaries(bench: Bench, seconds: int) -> Bench:
    """The same binaries, with a postgres that takes its time before it serves, as after a crash."""
    real = choose(bench.bin_dir, None)
    folder = bench.data_dir.parent / "slow"
    folder.mkdir(mode=0o755)
    (folder / "initdb").symlink_to(real.initdb)
    script = f'#!/bin/sh\nif [ "$1" = -D ]; then sleep {seconds}; fi\nexec {real.postgres} "$@"\n'
    (folder / "postgres").write_text(script)
    (folder / "postgres").chmod(0o755)
    return Bench(bench.data_dir, bench.user, folder)


def test_a_server_that_is_shutting_down_is_waited_for_and_started_again(bench: Bench) -> None:
    with psycopg.connect(bench.start()):
        os.kill(bench.postmaster(), signal.SIGTERM)  # it waits for this session and lets nobody in
        call = subprocess.Popen(bench.caller(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        threading.Event().wait(1)
        assert call.poll() is None
    _, errors = call.communicate(timeout=60)
    assert (call.returncode, errors) == (0, "")


def test_busy_children_of_a_killed_postmaster_are_not_joined_by_a_second_server(bench: Bench) -> None:
    """A child in a computation does not notice that its postmaster died. Two servers on the same files destroy them."""
    bench.start()
    spinner = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, psycopg\npsycopg.connect(sys.argv[1]).execute(sys.argv[2])",
            embedded.dsn(bench.data_dir),
            "SELECT count(*) FROM generate_series(1, 10000000000)",
        ],
        stderr=subprocess.DEVNULL,
    )
    wait_for(lambda: ask(bench.start(), BUSY) == 1)
    old = bench.postmaster()
    children = set(processes_in(bench.layout.pgdata)) - {old}
    os.kill(old, signal.SIGKILL)
    assert ask(bench.start(), "SELECT 1") == 1
    assert not children & set(processes_in(bench.layout.pgdata))
    spinner.wait(timeout=20)


BUSY = """
SELECT count(*) FROM pg_stat_activity
WHERE state = 'active' AND query LIKE '%generate_series%'
    AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""


def test_a_server_without_its_socket_is_named_and_not_doubled(bench: Bench) -> None:
    bench.start()
    pid = bench.postmaster()
    (bench.layout.server_dir / SOCKET_NAME).unlink()
    with pytest.raises(DatabaseUnavailable, match="its socket is gone"):
        bench.start(limit_s=20)
    assert postmasters_in(bench.layout.pgdata) == [pid]
    assert bench.stop()
    assert ask(bench.start()) == 1


def test_a_running_server_whose_pid_file_is_spoiled_is_still_stopped(bench: Bench) -> None:
    bench.start()
    write_pid_file(bench, b"garbage")
    assert bench.stop()
    assert not has_processes(bench.layout.pgdata)


def test_a_configuration_error_of_postgres_comes_back_in_its_own_words(bench: Bench) -> None:
    with pytest.raises(DatabaseUnavailable, match="did not start") as caught:
        bench.start(settings={"max_connections": "nonsense"})
    assert "max_connections" in caught.value.message or "jobctl.conf" in caught.value.message
    assert str(bench.layout.log) in caught.value.hint
    assert ask(bench.start()) == 1


def test_only_processes_that_are_proven_ours_are_signalled(bench: Bench, stranger: "subprocess.Popen[bytes]") -> None:
    bench.start()
    as_the_owner(bench, lambda: processes.send(stranger.pid, bench.layout.pgdata, signal.SIGKILL))
    assert stranger.poll() is None
