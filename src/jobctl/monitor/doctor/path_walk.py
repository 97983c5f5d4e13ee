"""Who can change what stands at the end of a path: every directory on the way to it, links followed, counts.

Whoever may write to one of them can put another file in its place, so a program that is started from there does what
that account wants, as the user that cron runs it for.
"""

import grp
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from jobctl.accounts import shown_user
from jobctl.monitor.doctor.account import ROOT, Account, Facts, facts_of, may

MOST_LINKS = 40


def steps(path: Path) -> list[Facts]:
    """Each directory that the kernel passes, and the file itself. Raises OSError where the walk cannot go on."""
    found: dict[Path, Facts] = {}
    _walk(Path(os.path.normpath(Path.cwd() / path)) if not path.is_absolute() else path, found, MOST_LINKS)
    return list(found.values())


def _walk(path: Path, found: dict[Path, Facts], links_left: int) -> None:
    here = Path("/")
    found.setdefault(here, facts_of(here))
    parts = path.parts[1:]
    for number, part in enumerate(parts):
        here = here.parent if part == ".." else here / part
        if here.is_symlink():
            if links_left == 0:
                raise OSError(f"{path} is a ring of links")
            target = here.parent / here.readlink()
            _walk(target.joinpath(*parts[number + 1 :]), found, links_left - 1)
            return
        found.setdefault(here, facts_of(here))


def who_else_writes(walked: Iterable[Facts], account: Account) -> list[str]:
    """Faults, each as a sentence: a step that belongs to a stranger, or that others may write to. Pure but for names.

    A directory with the sticky bit lets nobody replace what is another's. A group that is the account's own, or
    root's, is nobody else."""
    faults: list[str] = []
    for step in walked:
        if step.uid not in (ROOT, account.uid):
            faults.append(f"{step.path} belongs to {shown_user(step.uid)}")
        sticky = step.is_directory and bool(step.mode & stat.S_ISVTX)
        if sticky:
            continue
        if step.permissions & stat.S_IWOTH:
            faults.append(f"{step.path} can be changed by everybody (mode {step.permissions:04o})")
        elif step.permissions & stat.S_IWGRP and not _is_private_group(step.gid, account):
            faults.append(f"{step.path} can be changed by group {_group(step.gid)} (mode {step.permissions:04o})")
    return faults


def where_it_ends(walked: Iterable[Facts], account: Account) -> str | None:
    """The first step that the account cannot pass or read, as a sentence; None when it comes through."""
    *before, last = walked
    for step in before:
        if step.is_directory and not may(account, step, "pass"):
            return f"{account.name} cannot enter {step.path} (mode {step.permissions:04o}, {shown_user(step.uid)}'s)"
    if not may(account, last, "read"):
        return f"{account.name} cannot read {last.path} (mode {last.permissions:04o}, {shown_user(last.uid)}'s)"
    return None


def _is_private_group(gid: int, account: Account) -> bool:
    return gid == ROOT or (gid == account.gid and _group(gid) == account.name)


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return f"gid {gid}"
