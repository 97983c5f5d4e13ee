"""A machine whose crontabs are empty and nobody else's: real crontab(1) and real cron, in private namespaces.

    with Host() as host:
        host.run("crontab", "-", text="5 * * * *  date\\n")
        host.start_cron()

The machine beneath is left as it is: /etc is an overlay, /etc/cron.d, /var/spool/cron and /run are empty file systems
of the host's own. Root only. For cron by a fast clock there is `bench_cron`.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Self

from bench_postgres import children_of, is_root, reachable_directory, wait_for

PLACES = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
CRON = shutil.which("cron", path=PLACES)
PRIVATE = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
SET_UP = """
set -eu
mount -t tmpfs -o mode=755 tmpfs "$1"
mkdir "$1/etc" "$1/work"
mount -t overlay -o "lowerdir=/etc,upperdir=$1/etc,workdir=$1/work" overlay /etc
mount -t tmpfs -o mode=755 tmpfs /etc/cron.d
mount -t tmpfs -o mode=755 tmpfs /var/spool/cron
mount -t tmpfs -o mode=755 tmpfs /run
install -d -m 1730 -g crontab /var/spool/cron/crontabs
: >/etc/crontab
echo ready
exec cat
"""


def reason_to_skip() -> str:
    if not is_root():
        return "real crontabs in namespaces of their own are for root"
    if CRON is None:
        return "cron is not installed"
    if subprocess.run([*PRIVATE, "true"], capture_output=True, check=False).returncode != 0:
        return "this machine allows no namespaces of one's own"
    return ""


@dataclass
class Host:
    environment: Mapping[str, str] = field(default_factory=dict[str, str])

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        with self._stack as stack:
            self.directory = stack.enter_context(reachable_directory())
            process = subprocess.Popen(
                [*PRIVATE, "sh", "-c", SET_UP, "sh", str(self.directory)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            stack.callback(self._end, process)
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            (self._holder,) = children_of(process.pid)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def run(self, *command: str, text: str | bytes = "") -> "subprocess.CompletedProcess[str]":
        given = text.encode() if isinstance(text, str) else text
        done = subprocess.run(
            ["nsenter", "--target", str(self._holder), "--mount", "--pid", *command],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", **self.environment},
            cwd="/",
            input=given,
            capture_output=True,
            check=False,
            timeout=120,
        )
        out, err = (stream.decode(errors="surrogateescape") for stream in (done.stdout, done.stderr))
        return subprocess.CompletedProcess(done.args, done.returncode, out, err)

    def read(self, path: str) -> str:
        return self.run("cat", path).stdout

    def start_cron(self) -> None:
        done = self.run(str(CRON))
        assert done.returncode == 0, done
        wait_for(lambda: bool(self.run("pidof", "cron").stdout.strip()), 10)

    @staticmethod
    def _end(process: "subprocess.Popen[bytes]") -> None:
        process.kill()
        process.communicate(timeout=30)
