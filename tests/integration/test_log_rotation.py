"""The log under the real logrotate and the file that is shipped, with two writers that never pause."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from bench_logrotate import LOGROTATE, Logrotate, texts_of
from jobctl import log

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
    logrotate = Logrotate(tmp_path, keep=ROTATIONS + 5)
    path, stop = logrotate.logs / "jobctl.log", tmp_path / "stop"
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
        for _ in range(ROTATIONS):
            _wait_for_lines(path, writers)
            logrotate.rotate()
    finally:
        stop.touch()
        results = [writer.communicate(timeout=60)[0].split() for writer in writers]
    assert len(list(logrotate.logs.glob("jobctl.log.*"))) == ROTATIONS
    expected = {name: int(result[0]) for name, result in zip("ab", results, strict=True)}
    assert [result[1] for result in results] == ["0", "0"]
    found: Counter[tuple[str, int]] = Counter()
    for written in texts_of(path):
        for text in written.split("\n")[:-1]:
            line = json.loads(text)  # a torn line is no JSON
            found[line["writer"], line["number"]] += 1
    assert set(found.values()) == {1}
    assert Counter(name for name, _ in found) == expected
    assert sum(expected.values()) > ROTATIONS


def _wait_for_lines(path: Path, writers: list[subprocess.Popen[str]]) -> None:
    """Until each writer has written to the new file. One that was held up between looking at the name and writing would
    else write to a file of two rotations ago, which is being compressed: weekly rotations leave it time enough."""
    while not (path.exists() and all(f'"writer": "{name}"' in path.read_text() for name in ("a", "b"))):
        assert all(writer.poll() is None for writer in writers)
