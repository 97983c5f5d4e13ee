"""Accounts of this machine, and what the mode of a file lets each of them do."""

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ROOT = 0
BITS = {"read": stat.S_IRUSR, "write": stat.S_IWUSR, "pass": stat.S_IXUSR}


@dataclass(frozen=True, slots=True)
class Account:
    """`groups` are all it belongs to, its own first."""

    name: str
    uid: int
    groups: tuple[int, ...]
    home: Path

    @property
    def gid(self) -> int:
        return self.groups[0]


@dataclass(frozen=True, slots=True)
class Facts:
    """What the file system says of one file or directory."""

    path: Path
    uid: int
    gid: int
    mode: int

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.mode)

    @property
    def permissions(self) -> int:
        return stat.S_IMODE(self.mode)


def facts_of(path: Path) -> Facts:
    """Of the file that the path leads to. Raises OSError."""
    status = path.stat()
    return Facts(path, status.st_uid, status.st_gid, status.st_mode)


def current_account() -> Account:
    return _account(os.geteuid(), tuple(dict.fromkeys((os.getegid(), *os.getgroups()))))


def account_named(name: str) -> Account | None:
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        return None
    groups = os.getgrouplist(name, found.pw_gid)
    return Account(name, found.pw_uid, tuple(dict.fromkeys((found.pw_gid, *groups))), Path(found.pw_dir))


def may(account: Account, facts: Facts, want: Literal["read", "write", "pass"]) -> bool:
    """Whether owner, group and mode let the account do it; root may do all but run what nobody can."""
    if account.uid == ROOT:
        return want != "pass" or facts.is_directory or bool(facts.permissions & 0o111)
    bit = BITS[want]
    if facts.uid == account.uid:
        return bool(facts.permissions & bit)
    if facts.gid in account.groups:
        return bool(facts.permissions & bit >> 3)
    return bool(facts.permissions & bit >> 6)


def _account(uid: int, groups: tuple[int, ...]) -> Account:
    try:
        found = pwd.getpwuid(uid)
    except KeyError:
        return Account(f"uid {uid}", uid, groups, Path("/"))
    return Account(found.pw_name, uid, groups, Path(found.pw_dir))
