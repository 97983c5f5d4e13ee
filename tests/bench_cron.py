"""The real cron of Debian, on a machine of its own making and by a clock that runs fast.

    with Cron(zone="Europe/Berlin", starts_at=datetime(...), speed=60, crontab="30 2 * * *  date\\n") as cron:
        cron.run_until(datetime(...))
        cron.stop()
        cron.restart(at=datetime(...))
        cron.starts, cron.mails, cron.log_lines

The machine is a set of private namespaces: `/etc`, `/usr/sbin` and `/dev` are overlaid, `/run` and the crontabs of
users are empty, so that what cron reads and writes is the bench's, and the machine beneath is left as it is. Cron's
mails go to a stand-in for sendmail, its log to a socket of the bench. Host name and process ids are its own as well:
two of them are two hosts. All of it is gone when the bench ends, or dies.

Cron's clock is libfaketime, `speed` times as fast as the real one. A job starts at cron's moment and goes on at the
ordinary speed, under datefudge, which shifts the time of day and leaves waits and time-outs alone (libfaketime 0.9.10
makes Python's `time.sleep` fail). PostgreSQL, outside, has the real time. Cron gives its jobs an environment of its
own, so their clock is set by a stand-in for the shells that cron calls: the crontab's lines and variables stay as they
are installed. A job of one second takes `speed` seconds of cron's time.

Root only: namespaces, mounts and cron itself ask for it.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from bench_postgres import children_of, is_root, reachable_directory, wait_for

PLACES = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
CRON = shutil.which("cron", path=PLACES)
LIBFAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
DATEFUDGE = next(Path("/usr/lib").glob("*/datefudge/datefudge.so"), None)
# It has been up for a hundred days: by its own clock this machine may have booted only minutes ago.
PRIVATE = (
    *("unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"),
    *("--time", "--boottime", str(100 * 86_400)),
)

SET_UP = r"""
set -eu
mount -t tmpfs -o mode=755 tmpfs "$1/machine"
for place in /etc /usr/sbin /dev; do
    mkdir -p "$1/machine$place" "$1/machine/work$place"
    mount -t overlay -o "lowerdir=$place,upperdir=$1/machine$place,workdir=$1/machine/work$place" overlay "$place"
done
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=755 tmpfs /var/spool/cron
mount -t tmpfs -o mode=755 tmpfs /etc/cron.d
install -d -m 1730 -g crontab /var/spool/cron/crontabs
hostname "$2"
ln -sfn "/usr/share/zoneinfo/$3" /etc/localtime
echo "$3" >/etc/timezone
: >/etc/crontab
rm -f /dev/log
ln -s "$1/log.socket" /dev/log
rm -f /usr/sbin/sendmail
cp "$1/sendmail" /usr/sbin/sendmail
for shell in sh bash; do mount --bind "$1/set-clock-$shell" "$(readlink -f "/bin/$shell")"; done
echo ready
exec env --ignore-signal=CHLD "$1/cat" # so that orphans which end leave nothing behind
"""

# The stand-in for a shell. What cron starts has no clock of ours yet; what that starts in turn has it.
SHELL = """#!{directory}/bash
if [ -z "${{DATEFUDGE-}}" ]; then
    read -r real_us fake_us speed <{directory}/clock
    now_us=${{EPOCHREALTIME/[.,]/}}
    export DATEFUDGE=$(((now_us - fake_us - (now_us - real_us) * speed) / 1000000)) LD_PRELOAD={datefudge}
fi
exec nice -n 10 {directory}/{shell} "$@"
"""
SENDMAIL = """#!{directory}/sh
exec {directory}/cat >"$(mktemp {directory}/mails/XXXXXXXX)"
"""


def reason_to_skip() -> str:
    """Why cron cannot be run here; empty when it can."""
    if not is_root():
        return "real cron in namespaces of its own is for root"
    if CRON is None:
        return "cron is not installed"
    if LIBFAKETIME is None or DATEFUDGE is None:
        return "libfaketime and datefudge are not installed"
    if subprocess.run([*PRIVATE, "true"], capture_output=True, check=False).returncode != 0:
        return "this machine allows no namespaces of one's own"
    return ""


@dataclass(frozen=True, slots=True)
class LogLine:
    """What cron told syslog, and when by its own clock."""

    at: datetime
    text: str


@dataclass(frozen=True, slots=True)
class Start:
    """A command that cron started."""

    at: datetime
    user: str
    command: str


@dataclass(frozen=True, slots=True)
class Clock:
    """Two moments that belong together, and how fast the second goes on. Microseconds since 1970."""

    real_us: int
    fake_us: int
    speed: int

    def at(self, real_us: int) -> datetime:
        us = self.fake_us + (real_us - self.real_us) * self.speed
        return datetime.fromtimestamp(us / 1_000_000, UTC)

    @property
    def ahead(self) -> str:
        """How far it was ahead at first, as libfaketime wants it: a time of day would be two in the repeated hour."""
        return f"{(self.fake_us - self.real_us) / 1_000_000:+.6f}"


@dataclass
class Cron:
    """One host with cron. `crontab` is root's; `cron_d` are files of /etc/cron.d. Times are aware."""

    zone: str
    starts_at: datetime
    speed: int = 60
    crontab: str | None = None
    cron_d: dict[str, str] = field(default_factory=dict[str, str])
    host: str = "cron-host"
    log_lines: list[LogLine] = field(default_factory=list[LogLine], init=False)

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        with self._stack as stack:
            self.directory = stack.enter_context(reachable_directory())
            self._clock: Clock | None = None
            self._cron: subprocess.Popen[bytes] | None = None
            self._make_files()
            self._listen(stack)
            self._holder = self._make_machine(stack)
            if self.crontab is not None:
                self.inside("crontab", "-", text=self.crontab)
            for name, text in self.cron_d.items():
                self.inside("tee", f"/etc/cron.d/{name}", text=text)
            self.restart(at=self.starts_at)
            stack.callback(self._end_cron)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    # The clock ----------------------------------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        assert self._clock is not None, "cron was never started"
        return self._clock.at(_real_us())

    def run_until(self, moment: datetime) -> None:
        """Returns when cron's clock has passed the moment."""
        while (ahead_s := (moment - self.now).total_seconds()) > 0:
            assert self._cron is not None and self._cron.poll() is None, f"cron is not running: {self.log_lines}"
            time.sleep(min(ahead_s / self.speed, 1))

    # Cron itself --------------------------------------------------------------------------------------------------

    def restart(self, at: datetime, speed: int | None = None) -> None:
        """Starts cron; by its clock it is `at` then, which is later than when it was stopped."""
        assert self._cron is None, "cron is running"
        self.speed = speed or self.speed
        fake_us = round(at.timestamp() * 1_000_000)
        # Cron's clock begins with its process, a little later than this: what its jobs see is never before its minute.
        clock = self._clock = Clock(_real_us(), fake_us, self.speed)
        (self.directory / "clock").write_text(f"{clock.real_us} {clock.fake_us} {clock.speed}\n")
        self._cron = self._start(
            # On a busy machine, too, cron has to see each of its short minutes; its jobs are as nice as they would be.
            *("env", f"LD_PRELOAD={LIBFAKETIME}", f"FAKETIME={clock.ahead} x{clock.speed}", "nice", "-n", "-10"),
            *(str(CRON), "-f", "-L", "15"),
        )

    def stop(self) -> None:
        """Ends cron, and returns when the jobs that it had started have ended."""
        assert self._cron is not None, "cron is not running"
        self._end_cron()
        wait_for(lambda: not self._jobs(), 120)

    def _end_cron(self) -> None:
        process, self._cron = self._cron, None
        if process is None:
            return
        for pid in children_of(process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        process.wait(30)

    def inside(self, *command: str, text: str = "", check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Runs a command on that host, by its clock at the ordinary speed."""
        clock = [] if self._clock is None else [f"DATEFUDGE={int((datetime.now(UTC) - self.now).total_seconds())}"]
        process = self._start("env", f"LD_PRELOAD={DATEFUDGE}", *clock, *command, streams=subprocess.PIPE)
        out, err = (stream.decode(errors="replace") for stream in process.communicate(text.encode(), timeout=120))
        done = subprocess.CompletedProcess(command, process.returncode, out, err)
        assert not check or process.returncode == 0, done
        return done

    # What came of it ----------------------------------------------------------------------------------------------

    @property
    def mails(self) -> list[str]:
        """The mails that cron sent, oldest first."""
        files = [(path.stat().st_mtime_ns, path) for path in (self.directory / "mails").iterdir()]
        return [path.read_text(encoding="utf-8", errors="replace") for _, path in sorted(files)]

    @property
    def starts(self) -> list[Start]:
        """The commands that cron started, in their order."""
        found = [(line.at, re.search(r": \((\S+)\) CMD \((.*)\)$", line.text)) for line in self.log_lines]
        return [Start(at, match[1], re.sub(r"^\[\d+\] ", "", match[2])) for at, match in found if match]

    # How the machine is made --------------------------------------------------------------------------------------

    def _make_files(self) -> None:
        for name in ("machine", "mails"):
            (self.directory / name).mkdir()
        for name in ("sh", "bash", "cat"):
            shutil.copy(Path("/bin", name).resolve(), self.directory / name)
        for shell in ("sh", "bash"):
            text = SHELL.format(directory=self.directory, shell=shell, datefudge=DATEFUDGE)
            _program(self.directory / f"set-clock-{shell}", text)
        _program(self.directory / "sendmail", SENDMAIL.format(directory=self.directory))

    def _make_machine(self, stack: ExitStack) -> int:
        """Its first process, as this machine numbers it: it ends with its standard input, and all others with it."""
        process = subprocess.Popen(
            [
                *PRIVATE,
                *(str(self.directory / "sh"), "-c", SET_UP, "sh", str(self.directory), self.host, self.zone),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        stack.callback(_end, process)
        assert process.stdout is not None and process.stderr is not None
        if process.stdout.readline() != b"ready\n":
            raise AssertionError(f"no machine for cron: {process.stderr.read().decode(errors='replace')}")
        (first,) = children_of(process.pid)
        return first

    def _start(self, *command: str, streams: int = subprocess.DEVNULL) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            ["nsenter", "--target", str(self._holder), "--mount", "--uts", "--time", "--pid", *command],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"},
            cwd="/",
            stdin=streams,
            stdout=streams,
            stderr=streams,
        )

    def _jobs(self) -> Sequence[int]:
        own = _namespace(self._holder)
        pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
        return [pid for pid in pids if pid != self._holder and _namespace(pid) == own]

    def _listen(self, stack: ExitStack) -> None:
        log = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        log.bind(str(self.directory / "log.socket"))
        log.settimeout(0.2)
        ended = threading.Event()

        def listen() -> None:
            while not ended.is_set():
                with suppress(TimeoutError):
                    text = log.recv(65_536).decode(errors="replace").rstrip("\0\n")
                    if self._clock is not None:
                        self.log_lines.append(LogLine(self._clock.at(_real_us()), text))

        thread = threading.Thread(target=listen, name="cron-log", daemon=True)
        thread.start()
        stack.callback(thread.join, 10)
        stack.callback(ended.set)


def _real_us() -> int:
    return time.time_ns() // 1_000


def _namespace(pid: int) -> str | None:
    with suppress(OSError):
        return os.readlink(f"/proc/{pid}/ns/pid")  # noqa: PTH115 - not a path, and Path would make one of it
    return None


def _program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.communicate(timeout=30)
