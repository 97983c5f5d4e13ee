"""Room on the disks that a run writes to: bytes, and inodes, which run out unseen."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jobctl.monitor.doctor.finding import Finding, NotAsked, failed, ok, warning
from jobctl.monitor.doctor.situation import Situation

MIB = 1 << 20
FULL_BYTES = 256 * MIB
LOW_BYTES = 2_048 * MIB
LOW_SHARE = 0.1
FULL_INODES = 1_000
LOW_INODE_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Room:
    """What is left for an ordinary user. Where the file system makes inodes as it needs them `inodes` is 0."""

    path: Path
    bytes: int
    free_bytes: int
    inodes: int
    free_inodes: int


def check_space(situation: Situation) -> Iterator[Finding]:
    places = _places(situation)
    if not places:
        raise NotAsked("no file is written here")
    for name, path in places.items():
        room = room_at(path)
        yield judge_bytes(name, room)
        yield judge_inodes(name, room)


def _places(situation: Situation) -> dict[str, Path]:
    settings = situation.settings
    places = {"data": settings.data_dir, "archive": settings.archive_dir}
    if settings.log_file is not None and settings.log_file != Path("-"):
        places["log"] = settings.log_file.parent
    if settings.textfile_dir is not None:
        places["textfile"] = settings.textfile_dir
    if settings.database_url is None:
        from jobctl.db.embedded_layout import Layout

        places["database"] = Layout.of(settings.data_dir).pgdata
    return places


def room_at(path: Path) -> Room:
    """At the path, or where it will be made. Raises OSError where that cannot be looked at."""
    there = existing(path)
    found = os.statvfs(there)
    return Room(there, found.f_frsize * found.f_blocks, found.f_frsize * found.f_bavail, found.f_files, found.f_favail)


def existing(path: Path) -> Path:
    """The path, or the nearest directory above it that can be seen."""
    return next((each for each in (path, *path.parents) if os.path.exists(each)), Path("/"))  # noqa: PTH110 - closed ones are False


def judge_bytes(name: str, room: Room) -> Finding:
    check = f"disk.{name}_space"
    share = room.free_bytes / room.bytes if room.bytes else 0.0
    text = f"{_size(room.free_bytes)} free at {room.path} ({share:.0%})"
    if room.free_bytes >= LOW_BYTES or (share >= LOW_SHARE and room.free_bytes >= FULL_BYTES):
        return ok(check, text)
    judge = failed if room.free_bytes < FULL_BYTES else warning
    return judge(
        check,
        text,
        why="a full disk ends runs in the middle, loses log lines, and stops a database that lies on it",
        mend=f"du -xh --max-depth=2 {room.path} | sort -h | tail, and make room",
    )


def judge_inodes(name: str, room: Room) -> Finding:
    check = f"disk.{name}_inodes"
    if room.inodes == 0:
        return ok(check, f"inodes at {room.path} are made as needed")
    share = room.free_inodes / room.inodes
    text = f"{room.free_inodes} inodes free at {room.path} ({share:.0%})"
    if share >= LOW_INODE_SHARE and room.free_inodes >= FULL_INODES:
        return ok(check, text)
    judge = failed if room.free_inodes < FULL_INODES else warning
    return judge(
        check,
        text,
        why="without inodes no file can be made, however many bytes are free",
        mend=f"find {room.path} -xdev -type d -size +1M, and remove what fills those directories",
    )


def _size(count: int) -> str:
    return f"{count / (1 << 30):.1f} GiB" if count >= 1 << 30 else f"{count / MIB:.0f} MiB"
