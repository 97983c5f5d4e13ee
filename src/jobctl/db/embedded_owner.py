"""Whose account the embedded server runs under, and how root becomes that account.

PostgreSQL refuses to run as root, and root does well not to touch files in a directory that somebody else can write
to. So every slow step (create, start, stop) is done by a forked child that is the owner: it drops its privileges,
leaves the caller's session (a kill of the caller's group does not hit a half-made start) and reports through a pipe.
A fork, not a new interpreter: root's interpreter often lies where the owner cannot read it. For the same reason the
child may import nothing that is not imported already, not even a codec beside UTF-8.
"""

import fcntl
import grp
import json
import os
import pwd
import resource
import signal
import subprocess
import tempfile
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from jobctl import errors
from jobctl.db.embedded_layout import Layout
from jobctl.db.embedded_lock import lock_file
from jobctl.errors import ConfigurationError, JobctlError

USERADD = ("/usr/sbin/useradd", "/sbin/useradd", "/usr/bin/useradd")
USERADD_LIMIT_S = 10
PASSWORD_DIR = Path("/etc")
UNLIMITED = (resource.RLIMIT_AS, resource.RLIMIT_DATA, resource.RLIMIT_CPU, resource.RLIMIT_FSIZE)


@dataclass(frozen=True, slots=True)
class Owner:
    uid: int
    gid: int
    name: str


def owner_of(layout: Layout, run_as_user: str) -> Owner:
    """Who owns the server: whoever made the data directory; for a new one we ourselves, for root `run_as_user`."""
    me = os.geteuid()
    if me != 0:
        return _by_uid(me)
    for path in (layout.server_dir, layout.data_dir):
        with suppress(FileNotFoundError, NotADirectoryError):
            if (uid := path.stat().st_uid) != 0:
                return _by_uid(uid)
            if path == layout.server_dir:
                raise ConfigurationError(
                    f"{path} belongs to root, and PostgreSQL does not run as root",
                    hint=f"chown -R {run_as_user} {path}, or set DATABASE_URL",
                )
    return _system_user(run_as_user)


def make_directories(layout: Layout, owner: Owner) -> None:
    """As root: a data directory of root's that others may pass through, and in it the owner's own, closed one.

    Directories that exist keep their modes; whether the owner comes through them is found out by the owner."""
    if os.geteuid() != 0:
        return
    try:
        _make_as_root(layout, owner)
    except OSError as error:
        raise ConfigurationError(
            f"the data directory {layout.data_dir} cannot be made: {error.strerror}", hint="set JOBCTL_DATA_DIR"
        ) from error


def _make_as_root(layout: Layout, owner: Owner) -> None:
    data_dir = layout.data_dir
    missing = [path for path in (*reversed(data_dir.parents), data_dir) if not path.exists()]
    for path in missing:
        with suppress(FileExistsError):
            path.mkdir()
            path.chmod(0o711 if path == data_dir else 0o755)
    if data_dir.stat().st_uid == 0 and not layout.server_dir.exists():
        # Handed over before it gets its name, so that nobody meets a half-made one.
        new = Path(tempfile.mkdtemp(prefix="postgres.new-", dir=data_dir))
        try:
            os.chown(new, owner.uid, owner.gid)
        except OSError as error:
            new.rmdir()
            raise _not_a_real_root(owner, error) from error
        try:
            new.rename(layout.server_dir)
        except OSError:  # another process was first and has begun to use its own
            new.rmdir()


def as_owner(owner: Owner, work: Callable[[], Any]) -> Any:
    """Do `work` in a child that is `owner`; give back its result (anything JSON can carry) or raise its JobctlError."""
    out, into = os.pipe()
    with warnings.catch_warnings():
        # Python warns of forks beside threads; the child takes no lock that a thread of ours could hold.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        _be_the_owner(owner, work, into)
    os.close(into)
    with os.fdopen(out, "rb") as pipe:
        payload = pipe.read()
    os.waitpid(pid, 0)
    if not payload:
        raise errors.DatabaseUnavailable("the process that was starting the embedded PostgreSQL was killed")
    said = json.loads(payload)
    if "error" in said:
        kind = getattr(errors, said["error"], JobctlError)
        raise kind(said["message"], hint=said["hint"])
    return said["result"]


def _be_the_owner(owner: Owner, work: Callable[[], Any], into: int) -> NoReturn:
    try:
        into = _keep_only(into)
        try:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
                signal.signal(number, signal.SIG_DFL)
            signal.set_wakeup_fd(-1)
            signal.pthread_sigmask(signal.SIG_SETMASK, [])
            _drop_to(owner)
            os.setsid()
            os.umask(0o077)
            os.chdir("/")
            for limit in UNLIMITED:  # a caller's memory limit is not meant for the database
                hard = resource.getrlimit(limit)[1]
                resource.setrlimit(limit, (hard, hard))
            said = {"result": work()}
        except JobctlError as error:
            said = {"error": type(error).__name__, "message": error.message, "hint": error.hint}
        except BaseException as error:  # noqa: BLE001 - whatever it is, the parent reports it
            said = {"error": "JobctlError", "message": f"{type(error).__name__}: {error}", "hint": ""}
        payload = json.dumps(said).encode()
        while payload:
            payload = payload[os.write(into, payload) :]
    finally:
        os._exit(0)


def _keep_only(pipe: int) -> int:
    """Close all of the caller's files but the pipe: who waits for their end must not wait for us.

    The pipe is moved first: where the caller's streams are closed, it may be one of them."""
    pipe = fcntl.fcntl(pipe, fcntl.F_DUPFD_CLOEXEC, 3)
    os.closerange(3, pipe)
    os.closerange(pipe + 1, os.sysconf("SC_OPEN_MAX"))
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    os.close(nothing)
    return pipe


def _drop_to(owner: Owner) -> None:
    if os.geteuid() != 0:
        return
    try:
        os.setgroups([])
        os.setgid(owner.gid)
        os.setuid(owner.uid)
    except OSError as error:
        raise _not_a_real_root(owner, error) from error


def _not_a_real_root(owner: Owner, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"root may not become {owner.name} here ({error.strerror}), and PostgreSQL does not run as root",
        hint="run as an ordinary user, or set DATABASE_URL",
    )


def _by_uid(uid: int) -> Owner:
    try:
        found = pwd.getpwuid(uid)
    except KeyError:
        raise ConfigurationError(
            f"uid {uid} has no name on this system, and PostgreSQL needs one",
            hint="add it to /etc/passwd, or set DATABASE_URL",
        ) from None
    return Owner(found.pw_uid, found.pw_gid, found.pw_name)


def _system_user(name: str) -> Owner:
    """The account of this name, created if it is missing."""
    with suppress(KeyError):
        return _by_name(name)
    # Two useradd at once both find the name free, and the later one gives the account another uid. So one at a time,
    # by a lock on a directory that is always there.
    with lock_file(PASSWORD_DIR, wait_s=USERADD_LIMIT_S, directory=True):
        with suppress(KeyError):
            return _by_name(name)
        useradd = next((path for path in USERADD if os.access(path, os.X_OK)), None)
        reason = _create(useradd, name) if useradd else "no useradd on this system"
        with suppress(KeyError):
            return _by_name(name)
    raise ConfigurationError(
        f"PostgreSQL does not run as root and the account {name} cannot be created: {reason}",
        hint=f"useradd --system {name}, or run as an ordinary user, or set DATABASE_URL",
    )


def _by_name(name: str) -> Owner:
    found = pwd.getpwnam(name)
    if found.pw_uid == 0:
        raise ConfigurationError(f"the embedded PostgreSQL cannot run as {name}: that is root")
    return Owner(found.pw_uid, found.pw_gid, found.pw_name)


def _create(useradd: str, name: str) -> str:
    """Why it failed, if it did."""
    group = ["--gid", name] if _has_group(name) else ["--user-group"]
    done = subprocess.run(
        [useradd, "--system", *group, "--no-create-home", "--home-dir", "/nonexistent",
         "--shell", "/usr/sbin/nologin", "--comment", "jobctl embedded PostgreSQL", "--", name],
        capture_output=True, check=False, stdin=subprocess.DEVNULL, cwd="/",
    )  # fmt: skip
    return done.stderr.decode(errors="replace").strip() or f"useradd ended with {done.returncode}"


def _has_group(name: str) -> bool:
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True
