"""Accounts of this machine by their names."""

import os
import pwd


def current_user() -> str:
    """Whom this process runs as; of a user without an entry the number."""
    return user_name(os.geteuid()) or str(os.geteuid())


def shown_user(uid: int) -> str:
    """The name as it is told to people; of a user without an entry `uid` and the number."""
    return user_name(uid) or f"uid {uid}"


def user_name(uid: int) -> str | None:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return None
