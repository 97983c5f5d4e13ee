"""Accounts of this machine by their names."""

import os
import pwd


def current_user() -> str:
    """Whom this process runs as; of a user without an entry the number."""
    return user_name(os.geteuid()) or str(os.geteuid())


def user_name(uid: int) -> str | None:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return None
