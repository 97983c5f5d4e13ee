"""Log lines: one JSON object each, redacted, and never a reason for a run to fail."""

import io
import json
import logging
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobctl import log as module
from jobctl.errors import Interrupted
from jobctl.log import bind, bound, configure, dropped_lines, get_logger
from jobctl.redact import Redactor
from jobctl.settings import Settings

SECRET = "C4n4ryC4n4ry"


@pytest.fixture(autouse=True)
def clean_logging() -> Iterator[None]:
    """Each test begins with nothing configured, nothing bound and nothing told."""
    root_handlers = list(logging.getLogger().handlers)
    module._told[0] = 0
    yield
    logger = logging.getLogger("jobctl")
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    logger.propagate = True
    logging.getLogger().handlers[:] = root_handlers
    module._process_context.clear()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log" / "jobctl.log"


def to_file(path: Path, *, level: str = "INFO", quiet: bool = False) -> None:
    settings = Settings.model_validate({"data_dir": path.parent, "log_file": path, "log_level": level})
    configure(settings, Redactor([SECRET]), quiet=quiet)


def to_stream(*, level: str = "INFO", **flags: bool) -> io.StringIO:
    stream = io.StringIO()
    configure(
        Settings.model_validate({"data_dir": "/x", "log_level": level}), Redactor([SECRET]), stream=stream, **flags
    )
    return stream


def lines(source: Path | io.StringIO) -> list[dict[str, Any]]:
    text = source.read_text() if isinstance(source, Path) else source.getvalue()
    assert text == "" or text.endswith("\n")
    return [json.loads(line) for line in text.split("\n")[:-1]]


# What a line holds -------------------------------------------------------------------------------------------------


def test_a_line_has_time_level_event_context_fields_and_message(path: Path) -> None:
    to_file(path)
    bind(job="sync", run_id="r1", correlation_id="c1")
    get_logger().info("batch.done", "5000 read", read=5000, rate=0.5)
    (line,) = lines(path)
    assert list(line) == ["time", "level", "event", "job", "run_id", "correlation_id", "read", "rate", "message"]
    time = line.pop("time")
    assert len(time) == len("2026-11-22T06:00:00.000Z")
    assert time.endswith("Z")
    assert line == {
        "level": "info",
        "event": "batch.done",
        "job": "sync",
        "run_id": "r1",
        "correlation_id": "c1",
        "read": 5000,
        "rate": 0.5,
        "message": "5000 read",
    }


def test_bound_fields_last_for_their_block_and_do_not_reach_other_threads(path: Path) -> None:
    to_file(path)
    bind(job="sync")
    log = get_logger()
    with bound(scope="north", job="inner"):
        log.info("inside")
        with bound(page=2):
            log.info("deeper")
        thread = threading.Thread(target=lambda: log.info("thread"))
        thread.start()
        thread.join()
    log.info("outside")
    bind(job=None)
    log.info("unbound")
    assert [(line["event"], line.get("job"), line.get("scope"), line.get("page")) for line in lines(path)] == [
        ("inside", "inner", "north", None),
        ("deeper", "inner", "north", 2),
        ("thread", "sync", None, None),
        ("outside", "sync", None, None),
        ("unbound", None, None, None),
    ]


def test_a_field_cannot_take_the_place_of_the_lines_own() -> None:
    stream = to_stream()
    get_logger().info("real", "message", level="fake", time="fake", name="n", args="a", exc_info="e", msg="m")
    (line,) = lines(stream)
    assert (line["level"], line["event"], line["message"]) == ("info", "real", "message")
    assert (line["field_level"], line["field_time"]) == ("fake", "fake")
    assert (line["name"], line["args"], line["exc_info"], line["msg"]) == ("n", "a", "e", "m")


def test_an_error_is_one_line_of_class_text_and_place_without_stack_or_locals() -> None:
    stream = to_stream()

    def failing() -> None:
        local = "in a local variable " + "x" * 10
        raise ValueError(f"line one\nline two {SECRET}") from KeyError(local)

    try:
        failing()
    except ValueError as error:
        get_logger().error("job.failed", error=error)
    (line,) = lines(stream)
    assert line["error_class"] == "ValueError"
    assert line["error"] == "line one line two ***"
    assert line["error_cause"] == "KeyError"
    assert line["error_at"].split(":")[1].isdigit()
    assert "local" not in json.dumps(line)
    assert "Traceback" not in json.dumps(line)


def test_records_of_the_standard_library_below_our_name_become_lines_too() -> None:
    stream = to_stream()
    try:
        raise OSError(f"no {SECRET}")
    except OSError:
        logging.getLogger("jobctl.part").exception("it %s", "failed")
    (line,) = lines(stream)
    assert (line["event"], line["message"], line["error"], line["level"]) == (
        "jobctl.part",
        "it failed",
        "no ***",
        "error",
    )


def test_secrets_and_addresses_are_redacted_in_every_part_of_a_line() -> None:
    stream = to_stream()
    bind(job=f"job {SECRET}")
    with bound(scope=SECRET):
        get_logger().info(
            f"event {SECRET}", f"message {SECRET}", nested={"list": [SECRET], SECRET: 1}, to="ann@example.org"
        )
    text = stream.getvalue()
    assert SECRET not in text
    assert "example.org" not in text
    assert len(lines(stream)) == 1


@pytest.mark.parametrize("where", ["event", "message", "field", "key"])
def test_every_byte_in_every_place_leaves_one_readable_line(where: str) -> None:
    stream = to_stream()
    log = get_logger()
    for code in [*range(256), 0x85, 0x2028, 0x2029, 0xD800, 0xDFFF, 0x1F600]:
        character = chr(code)
        text = f"<{character}>"
        if where == "event":
            log.info(text)
        elif where == "message":
            log.info("e", text)  # noqa: PLE1205 - not the standard library's
        elif where == "field":
            log.info("e", field=text)
        else:
            log.info("e", field={text: 1})
    found = stream.getvalue()
    assert found.count("\n") == 262
    assert len(found.splitlines()) == 262
    assert found.isascii()
    assert len(lines(stream)) == 262


def test_values_that_json_cannot_carry_do_not_lose_the_line() -> None:
    stream = to_stream()
    endless: list[object] = []
    endless.append(endless)
    get_logger().info(
        "odd", nan=float("nan"), huge=10**5000, endless=endless, thing=object(), raw=b"\xff", kind=ValueError
    )
    (line,) = lines(stream)
    assert line["nan"] == "nan"
    assert dropped_lines() == 0


def test_a_very_long_text_is_cut_and_a_very_long_line_loses_its_fields() -> None:
    stream = to_stream()
    bind(run_id="r1")
    get_logger().info("long", text="x" * 50_000_000)
    get_logger().info("longer", **{f"field{number}": "x" * 8_000 for number in range(20)})
    first, second = lines(stream)
    assert len(first["text"]) == module.LONGEST_TEXT
    assert (second["event"], second["run_id"]) == ("longer", "r1")
    assert second["line_length"] > module.LONGEST_LINE


# Levels and streams ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "flags", "expected"),
    [
        ("INFO", {}, ["info", "warning", "error"]),
        ("WARNING", {}, ["warning", "error"]),
        ("WARNING", {"verbose": True}, ["debug", "info", "warning", "error"]),
        ("INFO", {"quiet": True}, ["error"]),
    ],
)
def test_verbose_adds_debug_and_quiet_keeps_errors(level: str, flags: dict[str, bool], expected: list[str]) -> None:
    stream = to_stream(level=level, **flags)
    log = get_logger()
    log.debug("e")
    log.info("e")
    log.warning("e")
    log.error("e")
    assert [line["level"] for line in lines(stream)] == expected


def test_quiet_changes_nothing_about_the_file(path: Path) -> None:
    to_file(path, quiet=True)
    get_logger().info("kept")
    assert len(lines(path)) == 1


def test_without_file_and_stream_nothing_is_written_and_the_formatter_is_not_even_imported() -> None:
    code = (
        "import sys; from jobctl import log, redact, settings;"
        "log.configure(settings.Settings(data_dir='/x'), redact.Redactor());"
        "log.get_logger().error('e'); print('pythonjsonlogger' in sys.modules)"
    )
    done = run_python(code)
    assert (done.stdout, done.stderr) == ("False\n", "")


def run_python(code: str, **options: Any) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(Path(module.__file__).parent.parent), *sys.path])
    return subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": path}, capture_output=True, text=True, check=True, **options
    )


def test_libraries_that_warn_print_nothing_to_stderr() -> None:
    done = run_python(
        "import logging; from jobctl import log, redact, settings;"
        "log.configure(settings.Settings(data_dir='/x'), redact.Redactor());"
        "logging.getLogger('somelibrary').error('connected to postgresql://a:b@c'); logging.warning('root');"
        "logging.basicConfig(); logging.getLogger('late').error('x')"
    )
    assert (done.stdout, done.stderr) == ("", "")


# The file ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o777])
def test_file_and_directories_are_made_for_their_owner_alone_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    path = tmp_path / "a" / "b" / "jobctl.log"
    before = os.umask(umask)
    try:
        to_file(path)
        get_logger().info("e")
    finally:
        os.umask(before)
    assert [stat.S_IMODE(p.stat().st_mode) for p in (path.parent.parent, path.parent, path)] == [0o700, 0o700, 0o600]
    assert len(lines(path)) == 1


def test_the_mode_of_a_file_that_is_there_is_left_as_the_operator_set_it(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    path.chmod(0o640)
    to_file(path)
    get_logger().info("e")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_lines_are_appended_to_what_is_there(path: Path) -> None:
    path.parent.mkdir()
    path.write_text('{"event": "old"}\n')
    to_file(path)
    get_logger().info("new")
    assert [line["event"] for line in lines(path)] == ["old", "new"]


def test_a_file_that_was_moved_removed_or_replaced_is_made_anew(path: Path) -> None:
    to_file(path)
    log = get_logger()
    log.info("one")
    path.rename(path.with_suffix(".1"))
    log.info("two")
    path.unlink()
    log.info("three")
    path.unlink()
    path.write_text("")
    log.info("four")
    path.unlink()
    path.parent.joinpath("jobctl.1").unlink()
    path.parent.rmdir()
    log.info("five")
    assert [line["event"] for line in lines(path)] == ["five"]
    assert dropped_lines() == 0


def test_each_line_is_one_write(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []
    real = os.write

    def write(descriptor: int, data: bytes) -> int:
        written.append(data)
        return real(descriptor, data)

    to_file(path)
    monkeypatch.setattr(os, "write", write)
    get_logger().info("e", text="x" * 8_000)
    assert len(written) == 1
    assert written[0].endswith(b"\n")


def test_a_descriptor_that_was_closed_and_given_to_another_file_is_not_written_to(path: Path, tmp_path: Path) -> None:
    to_file(path)
    log = get_logger()
    log.info("one")
    (handler,) = logging.getLogger("jobctl").handlers
    descriptor: int = handler._file._descriptor  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType]
    os.close(descriptor)  # pyright: ignore[reportUnknownArgumentType]
    other = tmp_path / "other"
    assert os.open(other, os.O_WRONLY | os.O_CREAT) == descriptor
    log.info("two")
    assert other.read_bytes() == b""
    os.write(descriptor, b"still open")  # pyright: ignore[reportUnknownArgumentType]
    os.close(descriptor)  # pyright: ignore[reportUnknownArgumentType]
    assert [line["event"] for line in lines(path)] == ["one", "two"]


def test_a_forked_worker_writes_to_the_same_file(path: Path) -> None:
    to_file(path)
    log = get_logger()
    log.info("parent")
    child = os.fork()
    if child == 0:
        log.info("child")
        os._exit(0)
    os.waitpid(child, 0)
    log.info("parent again")
    assert [line["event"] for line in lines(path)] == ["parent", "child", "parent again"]


# What cannot be written --------------------------------------------------------------------------------------------


def test_a_full_disk_drops_lines_counts_them_and_is_told_once(path: Path) -> None:
    done = run_python(
        f"""
import resource, signal
from pathlib import Path
from jobctl import log, redact, settings
path = Path({str(path)!r})
log.configure(settings.Settings(data_dir="/x", log_file=path), redact.Redactor())
log.get_logger().info("first")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
# No file can grow further than this: what a full disk does to a writer.
resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 20, resource.RLIM_INFINITY))
for _ in range(1_000):
    log.get_logger().info("lost")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log.get_logger().info("after")
print(log.dropped_lines())
"""
    )
    assert done.stdout == "1000\n"
    reason = "No space left on device; the run goes on and counts the lines it loses"
    assert done.stderr == f"jobctl: cannot write the log {path}: {reason}\n"
    first, piece, after, end = path.read_text().split("\n")
    assert (json.loads(first)["event"], json.loads(after)["event"], end) == ("first", "after", "")
    assert len(piece) == 20  # what still fitted stands on a line of its own, and the next line is whole


def test_supervisor_and_worker_together_tell_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    to_file(tmp_path / "file" / "below" / "jobctl.log")
    child = os.fork()
    if child == 0:
        get_logger().info("lost")
        os._exit(dropped_lines())
    _, status = os.waitpid(child, 0)
    get_logger().info("lost")
    assert (os.waitstatus_to_exitcode(status), dropped_lines()) == (1, 1)
    assert capfd.readouterr().err.count("\n") == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_without_the_right_to_write_drops_lines(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    tmp_path.chmod(0o500)
    to_file(tmp_path / "jobctl.log")
    get_logger().info("lost")
    assert dropped_lines() == 1
    assert "Permission denied" in capfd.readouterr().err


def test_a_pipe_without_a_reader_does_not_hang_the_run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "pipe")
    to_file(tmp_path / "pipe")
    get_logger().info("lost")
    assert dropped_lines() == 1
    assert capfd.readouterr().err.count("\n") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("target", ["-", "/dev/full"])
def test_a_full_standard_output_changes_neither_exit_code_nor_the_last_flush(target: str) -> None:
    code = (
        "from pathlib import Path; from jobctl import log, redact, settings;"
        f"log.configure(settings.Settings(data_dir='/x', log_file=Path({target!r})), redact.Redactor());"
        "[log.get_logger().info('e') for _ in range(100)]; assert log.dropped_lines() == 100"
    )
    path = os.pathsep.join([str(Path(module.__file__).parent.parent), *sys.path])
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONPATH": path},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("\n") == 1


def test_closed_standard_streams_are_survived() -> None:
    code = (
        "import os, sys; from pathlib import Path; from jobctl import log, redact, settings;"
        "os.close(2); os.close(1);"
        "log.configure(settings.Settings(data_dir='/x', log_file=Path('-')), redact.Redactor());"
        "log.get_logger().info('e'); os._exit(log.dropped_lines() + 40)"
    )
    path = os.pathsep.join([str(Path(module.__file__).parent.parent), *sys.path])
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": path}, check=False).returncode == 41


def test_a_line_that_cannot_be_made_is_dropped_and_the_next_is_not(capfd: pytest.CaptureFixture[str]) -> None:
    stream = to_stream()
    logging.getLogger("jobctl").info("%d", "not a number")
    get_logger().info("next")
    assert dropped_lines() == 1
    assert [line["event"] for line in lines(stream)] == ["next"]
    assert capfd.readouterr().err.count("\n") == 1


def test_a_signal_that_arrives_while_a_line_is_written_is_not_swallowed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(descriptor: int, data: bytes) -> int:
        raise Interrupted("SIGTERM", signal_number=15)

    to_file(path)
    get_logger().info("e")
    monkeypatch.setattr(os, "write", write)
    with pytest.raises(Interrupted):
        get_logger().info("e")
