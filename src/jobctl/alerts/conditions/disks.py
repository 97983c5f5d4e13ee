"""What is left on the disks that runs write to. Pure."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from jobctl.alerts import causes
from jobctl.alerts.conditions.judge import Judge, Settings
from jobctl.alerts.verdict import About, Verdict, between


class Room(NamedTuple):
    place: str
    path: str
    free_bytes: int
    bytes: int


def of_disks(rooms: Iterable[Room], host: str, settings: Settings, now: datetime) -> list[Verdict]:
    """Its cause is that of runs that met a full disk."""
    verdicts: list[Verdict] = []
    for room in rooms:
        judge = Judge(settings, f"disk {room.place} of {host}", now, About(host=host))
        found = judge.of("disk-low")
        if found is None or room.bytes <= 0:
            continue
        free_mb, share = room.free_bytes / (1 << 20), room.free_bytes / room.bytes
        # A large disk may be nearly full and have room, and a small one is small: both must be low.
        both = (
            between(share, found.of("share"), is_below=True, margin=0.5),
            between(free_mb, found.of("free_mb"), is_below=True, margin=0.5),
        )
        firing = False if False in both else (None if None in both else True)
        title = f"{host}: {free_mb:,.0f} MiB ({share:.0%}) are left for {room.place}"
        judge.say("disk-low", firing, title=title, facts=(("path", room.path), ("host", host)), cause=causes.DISK)
        verdicts += judge.verdicts
    return verdicts
