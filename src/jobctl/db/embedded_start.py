"""Start the embedded server, whatever state it was left in, however many try at once.

Whether a server lives is decided by a lock, not by a number in a file. The start hands the server an open file on which
`flock` is held; all its processes inherit it, and the kernel lets go of it when the last of them is gone, be it by a
crash, a kill or a loss of power. So:

    the lock is free         nobody lives in the data directory. Any pid file is stale, whatever number it names and
                             whoever bears that number now: it is removed, and no process is signalled.
    the lock is held         a server lives. It is starting, stopping or recovering: wait for it. If its postmaster is
                             dead, its left-over children are asked to go.

A second lock keeps whoever starts and whoever stops apart. Both lie beside the data, so that processes with different
TMPDIRs meet at them too. The server is its own session, holds none of the caller's files and is stopped by nobody's
exit. What `start` hands to `as_owner` runs as the owner.
"""

import os
import signal
import stat
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

from jobctl.db import embedded_processes as processes
from jobctl.db.embedded_binaries import Binaries, choose, copy_for_others
from jobctl.db.embedded_cluster import ENVIRONMENT, configure, create, major_of
from jobctl.db.embedded_host import identity, refuse_another_host
from jobctl.db.embedded_layout import Layout, Record, read_record, socket_dir_for, write_record
from jobctl.db.embedded_lock import PAUSE_S, lock_file
from jobctl.db.embedded_owner import Owner, as_owner, make_directories, owner_of
from jobctl.db.embedded_probe import State, probe
from jobctl.errors import ConfigurationError, DatabaseUnavailable

PROBE_LIMIT_S = 5.0
ODD_GRACE_S = 2.0
LOG_KEPT_BYTES = 10_000_000
LOG_TAIL_BYTES = 20_000


def start(
    layout: Layout,
    *,
    run_as_user: str,
    deadline: float,
    limit_s: float,
    bin_dir: Path | None,
    extra_settings: Mapping[str, str],
    adopt: bool,
) -> None:
    """Come back when the server is ready; raise DatabaseUnavailable at the deadline."""
    owner = owner_of(layout, run_as_user)
    make_directories(layout, owner)
    data_major = as_owner(owner, partial(_enter, layout, owner))
    binaries = choose(bin_dir, data_major)
    if not as_owner(owner, partial(os.access, binaries.postgres, os.X_OK)):
        binaries = _reachable_copy(binaries, layout, owner)
    as_owner(owner, partial(_Starter(layout, owner, binaries, extra_settings, adopt, deadline, limit_s).run))


def _enter(layout: Layout, owner: Owner) -> int | None:
    """Make the directories that are missing, see that they are ours and closed, and read the data's version."""
    try:
        layout.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        layout.server_dir.mkdir(mode=0o700, exist_ok=True)
        if stat.S_IMODE(layout.server_dir.stat().st_mode) & 0o077:
            layout.server_dir.chmod(0o700)
        return major_of(layout.pgdata)
    except (PermissionError, NotADirectoryError, FileExistsError) as error:
        raise ConfigurationError(
            f"the account {owner.name} cannot use {error.filename}: {error.strerror}",
            hint="set JOBCTL_DATA_DIR to a directory that it can reach and write to",
        ) from error
    except OSError as error:
        raise DatabaseUnavailable(f"{layout.server_dir} cannot be made: {error.strerror}") from error


def _reachable_copy(binaries: Binaries, layout: Layout, owner: Owner) -> Binaries:
    if os.geteuid() == 0 and layout.data_dir.stat().st_uid == 0:
        return copy_for_others(binaries, layout.data_dir)
    raise ConfigurationError(
        f"the account {owner.name} cannot run {binaries.postgres}",
        hint="install jobctl where that account can read it, or set DATABASE_URL",
    )


class _Starter:
    """One attempt to come to a ready server before the deadline."""

    def __init__(
        self,
        layout: Layout,
        owner: Owner,
        binaries: Binaries,
        extra_settings: Mapping[str, str],
        adopt: bool,
        deadline: float,
        limit_s: float,
    ) -> None:
        self._layout = layout
        self._owner = owner
        self._binaries = binaries
        self._extra = extra_settings
        self._adopt = adopt
        self._deadline = deadline
        self._limit_s = limit_s
        self._why = "nobody answered"
        self._odd_since: float | None = None

    def run(self) -> None:
        while (state := self._ask()) != "ready":
            if state == "absent":
                with lock_file(self._layout.start_lock, wait_s=0) as ours:
                    if ours is not None and self._begin():
                        return
            self._pause()

    def _begin(self) -> bool:
        """Under the start lock: start a server if none lives, and wait for it; False if one lives already."""
        with lock_file(self._layout.server_lock, wait_s=0) as server_lock:
            if server_lock is None:
                self._watch_the_living()
                return False
            if (pid := processes.postmaster_of(self._layout.pgdata, self._layout.pid_file)) is not None:
                self._why = f"a server that was not started by jobctl (pid {pid}) uses the data directory"
                return False
            self._take_possession()
            server = self._spawn(server_lock)
        while self._ask() != "ready":
            if server.poll() is not None:
                raise DatabaseUnavailable(
                    f"the embedded PostgreSQL did not start: {_last_words(self._layout.log)}",
                    hint=f"see {self._layout.log}",
                )
            self._pause()
        return True

    def _take_possession(self) -> None:
        """Nobody lives here: make the cluster if there is none, clear what a dead server left, configure."""
        layout = self._layout
        old = read_record(layout)
        if old is not None and not self._adopt:
            refuse_another_host(old.host, layout.server_dir)
        record = Record(socket_dir=socket_dir_for(layout, old.socket_dir if old else None), host=identity())
        write_record(layout, record)
        if major_of(layout.pgdata) is None:
            if layout.pgdata.exists():
                raise ConfigurationError(
                    f"{layout.pgdata} exists and holds no database", hint="move it away, or set JOBCTL_DATA_DIR"
                )
            create(layout, self._binaries, fsync=self._extra.get("fsync") != "off")
        for stale in (layout.pid_file, Path(record.socket), Path(f"{record.socket}.lock")):
            stale.unlink(missing_ok=True)
        configure(layout, self._owner.name, record.socket_dir, self._extra)

    def _spawn(self, server_lock: int) -> "subprocess.Popen[bytes]":
        with suppress(FileNotFoundError):
            if self._layout.log.stat().st_size > LOG_KEPT_BYTES:
                self._layout.log.replace(self._layout.log.with_suffix(".log.1"))
        log = os.open(self._layout.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        try:
            return subprocess.Popen(
                [self._binaries.postgres, "-D", self._layout.pgdata],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=ENVIRONMENT,
                cwd="/",
                pass_fds=(server_lock,),
                start_new_session=True,
            )
        except OSError as error:
            raise ConfigurationError(f"{self._binaries.postgres} does not run: {error.strerror}") from error
        finally:
            os.close(log)

    def _ask(self) -> State:
        record = read_record(self._layout)
        if record is None:
            return "absent"
        answer = probe(record.socket, max(0.05, min(PROBE_LIMIT_S, self._deadline - time.monotonic())))
        if answer.state == "refused":
            raise ConfigurationError(
                f"the embedded PostgreSQL refused us: {answer.text}",
                hint=f"see {self._layout.log}, or set DATABASE_URL",
            )
        if answer.state == "busy":
            self._why = answer.text
        return answer.state

    def _watch_the_living(self) -> None:
        """A server lives and its socket does not answer. Mostly it is on its way; two cases do not mend themselves."""
        layout = self._layout
        postmaster = processes.postmaster_of(layout.pgdata, layout.pid_file)
        self._why = "a server is starting or stopping"
        lost_socket = postmaster is not None and processes.says_ready(layout.pid_file)
        if postmaster is not None and not lost_socket:
            self._odd_since = None
            return
        now = time.monotonic()
        self._odd_since = self._odd_since or now
        if now - self._odd_since < ODD_GRACE_S:
            return
        if lost_socket:
            raise DatabaseUnavailable(
                f"the embedded PostgreSQL runs (pid {postmaster}) and its socket is gone or elsewhere",
                hint="jobctl db stop, then jobctl db start",
            )
        # Children outlive a killed postmaster for a moment, a busy one for long; nobody can reach them any more.
        self._why = "processes of a dead server are still there"
        for orphan in processes.all_of(layout.pgdata):
            processes.send(orphan, layout.pgdata, signal.SIGQUIT)

    def _pause(self) -> None:
        if time.monotonic() >= self._deadline:
            raise DatabaseUnavailable(
                f"the embedded PostgreSQL was not ready within {self._limit_s:g} s: {self._why}",
                hint=f"it is left to go on; see {self._layout.log}",
            )
        time.sleep(PAUSE_S)


def _last_words(log: Path) -> str:
    """Why PostgreSQL gave up, from the end of its log."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - LOG_TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return "its log cannot be read"
    fatal = [line.partition("FATAL:")[2].strip() for line in lines if "FATAL:" in line]
    return fatal[-1] if fatal else (lines[-1].strip() if lines else "it said nothing")
