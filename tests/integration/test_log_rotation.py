"""The log under the real logrotate, with two writers that never pause."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from jobctl import log

LOGROTATE = shutil.which("logrotate") or shutil.which("logrotate", path="/usr/sbin:/sbin")
ROTATIONS = 40
WRITER = """
import sys
from pathlib import Path
from jobctl import log
from jobctl.redact import Redactor
from jobctl.settings import Settings

path, stop, name = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
log.configure(Settings(data_dir=path.parent, log_file=path), Redactor())
number = 0
while not stop.exists():
    for _ in range(50):
        log.get_logger().info("line", "x" * (number % 300), writer=name, number=number)
        number += 1
print(number, log.dropped_lines())
"""


@pytest.mark.skipif(LOGROTATE is None, reason="logrotate is not installed")
def test_two_writers_lose_and_tear_no_line_in_40_rotations(tmp_path: Path) -> None:
    directory = tmp_path / "log"
    directory.mkdir(mode=0o700)
    path, stop, state = directory / "jobctl.log", tmp_path / "stop", tmp_path / "state"
    configuration = tmp_path / "logrotate.conf"
    configuration.write_text(f"{path} {{\n  rotate {ROTATIONS + 5}\n  nocreate\n  missingok\n  su root root\n}}\n")
    if os.geteuid() != 0:
        configuration.write_text(configuration.read_text().replace("  su root root\n", ""))
    configuration.chmod(0o600)
    environment = {"PYTHONPATH": os.pathsep.join([str(Path(log.__file__).parent.parent), *sys.path])}
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(stop), name],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("a", "b")
    ]
    try:
        rotated = 0
        while rotated < ROTATIONS:
            _wait_for_lines(path, writers)
            subprocess.run([str(LOGROTATE), "--force", "--state", str(state), str(configuration)], check=True)
            rotated = len(list(directory.glob("jobctl.log.*")))
    finally:
        stop.touch()
        results = [writer.communicate(timeout=60)[0].split() for writer in writers]
    assert rotated == ROTATIONS
    expected = {name: int(result[0]) for name, result in zip("ab", results, strict=True)}
    assert [result[1] for result in results] == ["0", "0"]
    found: Counter[tuple[str, int]] = Counter()
    for file in directory.iterdir():
        for text in file.read_text().split("\n")[:-1]:
            line = json.loads(text)  # a torn line is no JSON
            found[line["writer"], line["number"]] += 1
    assert set(found.values()) == {1}
    assert Counter(name for name, _ in found) == expected
    assert sum(expected.values()) > ROTATIONS


def _wait_for_lines(path: Path, writers: list[subprocess.Popen[str]]) -> None:
    """Until there is something to rotate: logrotate leaves an empty or missing file alone."""
    while not (path.exists() and path.stat().st_size > 2_000):
        assert all(writer.poll() is None for writer in writers)
