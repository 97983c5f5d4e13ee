"""Files of the archive: one JSON object a line, packed by gzip, 0600, with a manifest beside it.

A file stands under its name only when it is whole and on the disk: written under another name, fsync, renamed, fsync of
the directory; the manifest first, so that no file is without one. Whoever finds neither row nor rest of a file may take
it that there was none.
"""

import errno
import gzip
import hashlib
import io
import os
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from jobctl.appended_file import make_private_directory
from jobctl.archives import manifest
from jobctl.archives.failures import ArchiveError
from jobctl.archives.manifest import Manifest

ENDING: Final = ".ndjson.gz"
LEVEL: Final = 6
READ_AT_ONCE: Final = 1 << 20
LONGEST_MANIFEST: Final = 1 << 20
LONGEST_LINE: Final = 1 << 27  # a file of a few kilobytes may be unpacked to one line without end


class Written(NamedTuple):
    rows: int
    bytes: int
    sha256: str


class _Sink(io.RawIOBase):
    """What goes to the disk, counted and hashed; without a descriptor it goes nowhere."""

    def __init__(self, descriptor: int | None) -> None:
        self.descriptor = descriptor
        self.bytes = 0
        self.hash = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        view = memoryview(data)
        while self.descriptor is not None and view:
            view = view[os.write(self.descriptor, view) :]
        self.hash.update(data)
        self.bytes += len(data)
        return len(data)


class Draft:
    """A file that is being written. With no path, nothing is: only its size is found."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._descriptor = None if path is None else _create(path)
        self._sink = _Sink(self._descriptor)
        self._packed = gzip.GzipFile(filename="", mode="wb", compresslevel=LEVEL, fileobj=self._sink, mtime=0)
        self.rows = 0
        self.raw_bytes = 0

    def add(self, line: str) -> None:
        data = line.encode() + b"\n"
        self._packed.write(data)
        self.rows += 1
        self.raw_bytes += len(data)

    def finish(self) -> Written:
        """On the disk, still under its first name."""
        self._packed.close()
        if self._descriptor is not None:
            os.fsync(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None
        return Written(self.rows, self._sink.bytes, self._sink.hash.hexdigest())

    def give_up(self) -> None:
        with suppress(OSError):
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = self._sink.descriptor = None
            if self._path is not None:
                self._path.unlink(missing_ok=True)


def draft_name(archive_id: int) -> str:
    return f".new-{archive_id}"


def manifest_path(path: Path) -> Path:
    return path.with_name(path.name.removesuffix(ENDING) + ".json")


@contextmanager
def told(path: Path, doing: str = "write") -> Generator[None, None, None]:
    """An OSError in an operator's words."""
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error)
        hint = "nothing was deleted; make room or open the way, and run it again"
        raise ArchiveError(f"the archive cannot {doing} {path}: {why}", hint=hint) from error


def make_directory(directory: Path) -> None:
    with told(directory):
        make_private_directory(directory)
        if not directory.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))


def require_free(path: Path) -> None:
    """Raises ArchiveError where a file of this name lies already: another database's numbers and days may be the same,
    and its file is the only copy of its rows."""
    for each in (path, manifest_path(path)):
        if os.path.lexists(each):
            raise ArchiveError(
                f"{each} lies there already, and is no file of this database",
                hint="give each database a directory of its own: directory in [archive]; nothing was deleted",
            )


def publish(draft: Path, path: Path, told_of: Manifest) -> None:
    """Under its name, with the manifest; both on the disk when this returns."""
    beside = manifest_path(path)
    descriptor = _create(draft.with_name(draft.name + ".json"))
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as stream:
            stream.write(told_of.text().encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    draft.with_name(draft.name + ".json").replace(beside)
    draft.replace(path)
    _sync(path.parent)


def remove(directory: Path, archive_id: int, file: str | None) -> None:
    """Whatever there is of an archive that was given up."""
    names = [draft_name(archive_id), draft_name(archive_id) + ".json"]
    if file is not None:
        names += [file, manifest_path(Path(file)).name]
    for name in names:
        (directory / name).unlink(missing_ok=True)
    if directory.is_dir():
        _sync(directory)


def manifest_of(path: Path) -> Manifest:
    """Raises ArchiveError."""
    beside = manifest_path(path)
    try:
        with beside.open("rb") as stream:
            text = stream.read(LONGEST_MANIFEST).decode()
        found = manifest.read(text)
    except FileNotFoundError:
        raise ArchiveError(f"the manifest {beside} is missing", hint="take it back from a copy") from None
    except OSError as error:
        raise ArchiveError(f"the manifest {beside} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ArchiveError(f"the manifest {beside} cannot be used: {error}", hint="take it back from a copy") from error
    if found.file != path.name:
        raise ArchiveError(f"the manifest {beside} is of another file: {found.file}")
    return found


def check_whole(path: Path, size: int, sha256: str) -> None:
    """Raises ArchiveError unless the file is what it was when it was written, to the byte."""
    hint = "take it back from a copy"
    found = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            there = os.fstat(stream.fileno()).st_size
            if there != size:
                raise ArchiveError(f"{path} has {there:,} bytes, and had {size:,} when it was written", hint=hint)
            while data := stream.read(READ_AT_ONCE):
                found.update(data)
    except FileNotFoundError:
        raise ArchiveError(f"{path} is missing", hint=hint) from None
    except OSError as error:
        raise ArchiveError(f"{path} cannot be read: {error.strerror}") from error
    if found.hexdigest() != sha256:
        raise ArchiveError(f"{path} was changed: its sha-256 is not the one that it was written with", hint=hint)


def lines(path: Path) -> Iterator[str]:
    """Raises ArchiveError where it ends early or cannot be unpacked."""
    read = 0
    try:
        with gzip.open(path, "rb") as stream:
            while line := stream.readline(LONGEST_LINE):
                if len(line) == LONGEST_LINE:
                    raise ArchiveError(f"{path}, line {read + 1:,} is longer than any row")
                if not line.endswith(b"\n"):
                    raise EOFError
                read += 1
                yield line[:-1].decode()
    except EOFError:
        raise ArchiveError(f"{path} is cut short behind line {read:,}", hint="take it back from a copy") from None
    except (OSError, zlib.error, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise ArchiveError(f"{path} cannot be unpacked behind line {read:,}: {why}") from error


def _create(path: Path) -> int:
    """Raises OSError for whatever is there already: it is somebody else's, and a pipe would be waited for for ever."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    os.fchmod(descriptor, 0o600)
    return descriptor


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
