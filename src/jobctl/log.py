"""Logs: one JSON object a line, redacted, to a file or a stream; never a reason for a run to fail.

A line has `time` (UTC, milliseconds), `level`, `event` (a fixed word to search for), the bound context (job, run_id,
...), the fields of the call, and `message`. An error becomes its class, its redacted text and the place it was raised:
one line, no stack, no local variables, which is where secrets lie.

    bind(job="sync", run_id=run_id)            # for the process and all its threads
    with bound(scope="north"): ...             # for this block
    log = get_logger(); log.info("batch.done", "5000 records read", read=5000)

Supervisor, worker and other runs share the file, and it may be rotated at any time: see `appended_file`.

What cannot be written (full disk, missing rights) is counted (`dropped_lines`) and told once on stderr: supervisor and
worker share that memory. Loggers of libraries get a handler that does nothing, so that none of them prints to stderr.
"""

import logging
import mmap
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, TextIO

from jobctl.appended_file import AppendedFile
from jobctl.errors import JobctlError
from jobctl.redact import Redactor

if TYPE_CHECKING:
    from jobctl.settings import Settings

LONGEST_TEXT: Final = 8_192
LONGEST_LINE: Final = 65_536
FIRST_KEYS: Final = ("time", "level", "event", "job", "run_id", "correlation_id", "scope")
OWN_KEYS: Final = frozenset({"time", "level", "event", "message"})

_logger: Final = logging.getLogger("jobctl")
_process_context: dict[str, object] = {}
_block_context: ContextVar[Mapping[str, object]] = ContextVar("jobctl_log_context")
_dropped: Final = [0]
_told = mmap.mmap(-1, 1)  # shared with the processes forked from here on


class Log:
    """What the code logs with. Keyword arguments become fields; `error=` takes an exception."""

    def debug(self, event: str, message: str = "", /, **fields: object) -> None:
        _emit(logging.DEBUG, event, message, fields)

    def info(self, event: str, message: str = "", /, **fields: object) -> None:
        _emit(logging.INFO, event, message, fields)

    def warning(self, event: str, message: str = "", /, **fields: object) -> None:
        _emit(logging.WARNING, event, message, fields)

    def error(self, event: str, message: str = "", /, **fields: object) -> None:
        _emit(logging.ERROR, event, message, fields)


_log: Final = Log()


def get_logger() -> Log:
    return _log


def bind(**fields: object) -> None:
    """Add these fields to every line of this process from now on; None takes one away."""
    for name, value in fields.items():
        if value is None:
            _process_context.pop(name, None)
        else:
            _process_context[name] = value


@contextmanager
def bound(**fields: object) -> Generator[None]:
    """Add these fields to the lines of this block, in this thread."""
    token = _block_context.set({**_block_context.get({}), **fields})
    try:
        yield
    finally:
        _block_context.reset(token)


def dropped_lines() -> int:
    """How many lines this process could not write since `configure`."""
    return _dropped[0]


def configure(
    settings: "Settings",
    redactor: Redactor,
    *,
    stream: TextIO | None = None,
    verbose: bool = False,
    quiet: bool = False,
    keep_stdout: bool = False,
) -> None:
    """Log to the file of the settings and to `stream`, each if there is one.

    The file `-` is stdout, or stderr when `keep_stdout` says that stdout is for something else.

    `verbose` adds debug lines; `quiet` keeps all but errors off the stream, and changes nothing about the file."""
    level = logging.DEBUG if verbose else logging.getLevelNamesMapping()[settings.log_level]
    for old in list(_logger.handlers):
        _logger.removeHandler(old)
        with suppress(OSError):
            old.close()
    _dropped[0] = 0
    _logger.propagate = False
    _logger.setLevel(level)
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(logging.NullHandler())  # else Python prints the warnings of libraries to stderr
    handlers: list[_LineHandler] = []
    if settings.log_file == Path("-"):
        handlers.append(_StreamHandler(sys.stderr if keep_stdout else sys.stdout))
    elif settings.log_file is not None:
        handlers.append(_FileHandler(settings.log_file))
    if stream is not None:
        handlers.append(_StreamHandler(stream))
        handlers[-1].setLevel(logging.ERROR if quiet else level)
    if not handlers:
        _logger.addHandler(logging.NullHandler())
        return
    formatter = _formatter(redactor)
    for handler in handlers:
        handler.setFormatter(formatter)
        _logger.addHandler(handler)


def _emit(level: int, event: str, message: str, fields: Mapping[str, object]) -> None:
    if not _logger.isEnabledFor(level):
        return
    record = logging.LogRecord(_logger.name, level, "", 0, message, None, None)
    record.event = event
    record.fields = fields
    _logger.handle(record)


def _formatter(redactor: Redactor) -> logging.Formatter:
    """The formatter, made here so that python-json-logger is imported only by a process that logs."""
    from pythonjsonlogger.json import JsonFormatter

    class LineFormatter(JsonFormatter):
        def format(self, record: logging.LogRecord) -> str:
            line = super().format(record)
            if len(line) <= LONGEST_LINE:
                return line
            bare = logging.LogRecord(
                record.name, record.levelno, "", 0, "this line was too long to keep its fields", None, None
            )
            bare.created, bare.msecs = record.created, record.msecs
            bare.event = getattr(record, "event", record.name)
            bare.fields = {"line_length": len(line)}
            return super().format(bare)

        def add_fields(
            self,
            log_data: dict[str, Any],
            record: logging.LogRecord,
            message_dict: dict[str, Any],  # noqa: ARG002 - python-json-logger's signature
        ) -> None:
            found: dict[str, object] = {**_process_context, **_block_context.get({})}
            found.update(_expand_errors(getattr(record, "fields", {})))
            if record.exc_info:
                found.update(_error_fields("error", record.exc_info[1]))
            stamp = datetime.fromtimestamp(record.created, UTC)
            found = {(f"field_{key}" if key in OWN_KEYS else key): value for key, value in found.items()}
            found["time"] = stamp.strftime("%Y-%m-%dT%H:%M:%S.") + f"{stamp.microsecond // 1000:03d}Z"
            found["level"] = record.levelname.lower()
            found["event"] = getattr(record, "event", record.name)
            for key in FIRST_KEYS:
                if key in found:
                    log_data[key] = found.pop(key)
            log_data.update(found)
            log_data["message"] = record.getMessage()

        def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
            cleaned = redactor.deep(log_data, limit=LONGEST_TEXT)
            return cleaned if isinstance(cleaned, dict) else {}  # pyright: ignore[reportUnknownVariableType]

    return LineFormatter()


def _expand_errors(fields: Mapping[str, object]) -> dict[str, object]:
    expanded: dict[str, object] = {}
    for key, value in fields.items():
        if isinstance(value, BaseException):
            expanded.update(_error_fields(key, value))
        else:
            expanded[key] = value
    return expanded


def _error_fields(key: str, error: BaseException | None) -> dict[str, object]:
    if error is None:
        return {}
    fields: dict[str, object] = {f"{key}_class": type(error).__name__, key: " ".join(str(error).split())}
    place = _place(error.__traceback__)
    if place:
        fields[f"{key}_at"] = place
    if error.__cause__ is not None:
        fields[f"{key}_cause"] = type(error.__cause__).__name__
    return fields


def _place(traceback: TracebackType | None) -> str:
    """Module and line of the innermost frame of ours, else of the innermost at all."""
    place = ours = ""
    while traceback is not None:
        module = str(traceback.tb_frame.f_globals.get("__name__", "?"))
        place = f"{module}:{traceback.tb_lineno}"
        ours = place if module.startswith("jobctl.") else ours
        traceback = traceback.tb_next
    return ours or place


# Handlers ----------------------------------------------------------------------------------------------------------


class _LineHandler(logging.Handler, ABC):
    """A handler that counts what it cannot write and never raises; only jobctl's own errors, which a signal may raise
    in the middle of anything, pass through."""

    target = "the log"

    def emit(self, record: logging.LogRecord) -> None:
        try:
            # Never more than one line: JSON escapes what could break it, and nothing else is in it.
            self.write((self.format(record) + "\n").encode("ascii", "backslashreplace"))
        except JobctlError:
            raise
        except Exception as error:  # noqa: BLE001 - logging never fails a run
            _drop(self.target, error)

    @abstractmethod
    def write(self, line: bytes) -> None: ...

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - logging's names
        _drop(self.target, None)


class _StreamHandler(_LineHandler):
    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self.target = "the log to " + str(getattr(stream, "name", "a stream"))

    def write(self, line: bytes) -> None:
        _write_through(self._stream, line)


class _FileHandler(_LineHandler):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = AppendedFile(path)
        self._torn = False
        self.target = f"the log {path}"

    def write(self, line: bytes) -> None:
        if not self._file.is_current():
            self._torn = False
        if self._torn:
            line = b"\n" + line  # a full disk cut the last line short; this one starts anew
        written = self._file.write(line)
        if written < len(line):
            self._torn = True
            raise OSError(28, "No space left on device")
        self._torn = False

    def close(self) -> None:
        self._file.close()
        super().close()


def _drop(target: str, error: Exception | None) -> None:
    _dropped[0] += 1
    if _told[0]:
        return
    _told[0] = 1
    reason = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
    text = f"jobctl: cannot write {target}: {reason}; the run goes on and counts the lines it loses\n"
    with suppress(Exception):
        _write_through(sys.stderr, text.encode(errors="replace"))


def _write_through(stream: TextIO, data: bytes) -> None:
    """Past the stream's buffer: what could not be written must not wait there to fail again when the process ends."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError, AttributeError):  # closed, or a stream of a test without a descriptor
        stream.write(data.decode())
        return
    stream.flush()
    while data:
        data = data[os.write(descriptor, data) :]
