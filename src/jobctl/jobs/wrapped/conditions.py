"""When a command counts as done: its exit code, what its output must and must not hold, how long it must have taken.

Pure. The output is judged line by line as it streams; of a line longer than LONGEST_LINE bytes only the beginning is.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from jobctl.durations import format_duration

LONGEST_LINE = 8_192
LINE_ENDS = re.compile(rb"[\r\n]+")  # a progress bar ends its lines with a carriage return


@dataclass(frozen=True, slots=True)
class Conditions:
    ok_exit: frozenset[int] = frozenset({0})
    fail_on: tuple[re.Pattern[str], ...] = ()
    require: tuple[re.Pattern[str], ...] = ()
    min_runtime_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """`failure` is empty where the try succeeded; `exit_code` is what jobctl then exits with."""

    failure: str = ""
    exit_code: int = 0


@dataclass(slots=True)
class LineWatch:
    """Looks at the lines of one try for the patterns of the conditions."""

    conditions: Conditions
    offence: str = ""
    _missing: list[re.Pattern[str]] = field(default_factory=list[re.Pattern[str]])
    _unfinished: dict[int, bytes] = field(default_factory=dict[int, bytes])

    def __post_init__(self) -> None:
        self._missing = list(self.conditions.require)

    @property
    def missing(self) -> Sequence[str]:
        """The patterns asked for that no line had."""
        return [pattern.pattern for pattern in self._missing]

    def feed(self, stream: int, chunk: bytes) -> None:
        """`stream` tells stdout and stderr apart, whose lines must not run into one another."""
        if not (self.conditions.fail_on or self._missing):
            return
        *lines, rest = LINE_ENDS.split(self._unfinished.pop(stream, b"") + chunk)
        for line in lines:
            self._look_at(line)
        self._unfinished[stream] = rest[:LONGEST_LINE]

    def end(self) -> None:
        for line in self._unfinished.values():
            self._look_at(line)
        self._unfinished.clear()

    def _look_at(self, line: bytes) -> None:
        text = line[:LONGEST_LINE].decode("utf-8", "replace")
        if not self.offence:
            found = next((pattern for pattern in self.conditions.fail_on if pattern.search(text)), None)
            if found is not None:
                self.offence = f"--fail-on {found.pattern!r} is in its output: {plain(text, 300)}"
        self._missing = [pattern for pattern in self._missing if not pattern.search(text)]


def judge(
    conditions: Conditions, watch: LineWatch, *, exit_code: int, signal_name: str | None, ran_s: float, last_line: str
) -> Verdict:
    """What the end of one try comes to. The exit code is judged first and passed on; the rest fails with exit 1."""
    if signal_name is not None:
        return Verdict(_with(f"ended by {signal_name}", last_line), exit_code)
    if exit_code not in conditions.ok_exit:
        return Verdict(_with(f"exit code {exit_code}", last_line), exit_code or 1)
    if watch.offence:
        return Verdict(watch.offence, 1)
    if watch.missing:
        wanted = ", ".join(repr(pattern) for pattern in watch.missing)
        return Verdict(_with(f"--require {wanted} is not in its output", last_line), 1)
    if ran_s < conditions.min_runtime_s:
        took, least = format_duration(ran_s), format_duration(conditions.min_runtime_s)
        return Verdict(_with(f"it ended after {took}, sooner than --min-runtime {least}", last_line), 1)
    return Verdict()


def last_line_of(text: str) -> str:
    """The last line with something in it, of which only what was left standing by carriage returns."""
    for line in reversed(re.split(r"[\r\n]+", text[-2 * LONGEST_LINE :])):
        if line.strip():
            return plain(line, 300)
    return ""


def plain(text: str, longest: int) -> str:
    """One line of printable characters."""
    text = re.sub(r"\x1b\[[0-9;?]*[ -/]*[@-~]", "", text)  # a terminal's colours and moves
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _with(what: str, last_line: str) -> str:
    return f"{what}: {last_line}" if last_line else what
