"""The program itself: can cron's user start it, is it quick to start, and can anybody else change what it does."""

import sys
from collections.abc import Iterable, Iterator
from importlib.util import cache_from_source
from pathlib import Path

import jobctl
from jobctl.monitor.doctor.account import ROOT, Account
from jobctl.monitor.doctor.finding import Finding, failed, ok, warning
from jobctl.monitor.doctor.path_walk import steps, where_it_ends, who_else_writes
from jobctl.monitor.doctor.situation import Situation

OLDEST_PYTHON = (3, 11)
NEWEST_TRIED_PYTHON = (3, 13)
MTIME_BYTES = slice(8, 12)
SIZE_BYTES = slice(12, 16)
FLAG_BYTES = slice(4, 8)


def package() -> Path:
    return Path(jobctl.__path__[0])


def interpreter() -> Path:
    return Path(sys.executable)


def check_python(_: Situation) -> Iterator[Finding]:
    yield judge_python(sys.version_info[:2])


def judge_python(version: tuple[int, int]) -> Finding:
    said = "{}.{}".format(*version)
    if version < OLDEST_PYTHON:
        return failed(
            "program.python",
            f"this is Python {said}",
            why="jobctl is written for Python 3.11 and later",
            mend="install a later Python, then: ./scripts/bootstrap",
        )
    if version > NEWEST_TRIED_PYTHON:
        return warning(
            "program.python",
            f"this is Python {said}, with which this jobctl was not tried",
            why="a library may behave otherwise there",
            mend="PYTHON=/path/to/python3.13 ./scripts/bootstrap, or run ./scripts/test with this one",
        )
    return ok("program.python", f"Python {said}")


def check_readable(situation: Situation) -> Iterator[Finding]:
    for name, path in (("interpreter", interpreter()), ("package", package() / "__main__.py")):
        yield judge_readable(name, path, situation.cron_user)


def judge_readable(name: str, path: Path, account: Account) -> Finding:
    """Whether the account comes to the file; a file that nobody finds is one that it cannot read."""
    check = f"program.{name}"
    try:
        end = where_it_ends(steps(path), account)
    except OSError as error:
        end = f"{path} cannot be reached: {error.strerror or error}"
    if end is None:
        return ok(check, f"{account.name} can read {path}")
    return failed(
        check,
        end,
        why=f"cron starts jobctl as {account.name}, and every start would fail before its first line",
        mend="install jobctl where that user may read it, such as /opt/jobctl",
    )


def check_owners(situation: Situation) -> Iterator[Finding]:
    paths = {
        "interpreter": [interpreter()],
        "package": [package() / "__main__.py", *_modules()],
        "config": list(situation.files),
    }
    for name, each in paths.items():
        yield judge_owners(name, each, situation.cron_user)


def judge_owners(name: str, paths: Iterable[Path], account: Account) -> Finding:
    check = f"program.{name}_owner"
    faults: dict[str, None] = {}
    for path in paths:
        try:
            faults |= dict.fromkeys(who_else_writes(steps(path), account))
        except OSError:
            continue  # told by the check of what can be read
    if not faults:
        who = "root" if account.uid == ROOT else f"root and {account.name}"
        return ok(check, f"only {who} can change the {name}")
    first, *rest = faults
    more = f" (and {len(rest)} more)" if rest else ""
    path = first.partition(" belongs to ")[0].partition(" can be changed")[0]
    mend = f"chmod go-w {path}" if " can be changed" in first else f"chown root: {path}"
    return failed(
        check,
        f"{first}{more}",
        why=f"whoever can change the {name} does at night what they like, as {account.name}",
        mend=mend,
    )


def check_bytecode(_: Situation) -> Iterator[Finding]:
    yield judge_bytecode([path for path in _modules() if not _is_compiled(path)], package())


def judge_bytecode(missing: list[Path], directory: Path) -> Finding:
    if not missing:
        return ok("program.bytecode", "all modules are compiled")
    return warning(
        "program.bytecode",
        f"{len(missing)} modules are not compiled, {missing[0].name} among them",
        why="each start compiles them anew when the user of cron may not write there, which costs a start a second",
        mend=f"{sys.executable} -m compileall -q {directory}",
    )


def _modules() -> list[Path]:
    return sorted(package().rglob("*.py"))


def _is_compiled(path: Path) -> bool:
    """Whether the compiled form is that of this source: its time and size stand in the head (PEP 552)."""
    try:
        with Path(cache_from_source(path)).open("rb") as file:
            head = file.read(16)
        status = path.stat()
    except (OSError, NotImplementedError):
        return False
    if len(head) == 16 and head[FLAG_BYTES] != b"\0\0\0\0":
        return True  # made from the content, by whoever installed it
    return head[MTIME_BYTES] == _four_bytes(int(status.st_mtime)) and head[SIZE_BYTES] == _four_bytes(status.st_size)


def _four_bytes(number: int) -> bytes:
    return (number & 0xFFFF_FFFF).to_bytes(4, "little")
