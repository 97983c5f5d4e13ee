"""The real logrotate with the file that is shipped, on a directory of the test."""

import gzip
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

LOGROTATE = shutil.which("logrotate") or shutil.which("logrotate", path="/usr/sbin:/sbin")
SHIPPED = Path(__file__).parents[1] / "deploy/logrotate.conf"
LOGS, OUTPUT = "/var/log/jobctl", "/var/lib/jobctl/output"


@dataclass
class Logrotate:
    """`keep` is how many old files stay; all else is as shipped but the paths and the user."""

    directory: Path
    keep: int

    def __post_init__(self) -> None:
        self.logs, self.output = self.directory / "log", self.directory / "output"
        for each in (self.logs, self.output):
            each.mkdir(mode=0o700)
        text = SHIPPED.read_text(encoding="utf-8")
        for pattern, replacement in (
            (f"{LOGS}/", f"{self.logs}/"),
            (f"{OUTPUT}/", f"{self.output}/"),
            (r"\n *su jobctl jobctl\n", "\n    su root root\n" if os.geteuid() == 0 else "\n"),
            (r"\brotate \d+", f"rotate {self.keep}"),
        ):
            text, count = re.subn(pattern, replacement, text)
            assert count == 1, f"{SHIPPED} has {count} times: {pattern}"
        self._configuration, self._state = self.directory / "logrotate.conf", self.directory / "state"
        self._configuration.write_text(text)
        self._configuration.chmod(0o600)

    def rotate(self) -> None:
        command = [str(LOGROTATE), "--force", "--state", str(self._state), str(self._configuration)]
        subprocess.run(command, check=True)


def texts_of(path: Path) -> list[str]:
    """What was written to the path, from the oldest file that it was rotated to, to itself."""
    numbered = {int(each.name.removeprefix(f"{path.name}.").removesuffix(".gz")): each for each in _rotated(path)}
    paths = [numbered[number] for number in sorted(numbered, reverse=True)]
    return [_read(each) for each in (*paths, path) if each.exists()]


def _rotated(path: Path) -> list[Path]:
    return list(path.parent.glob(f"{path.name}.*"))


def _read(path: Path) -> str:
    return (gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()).decode()
