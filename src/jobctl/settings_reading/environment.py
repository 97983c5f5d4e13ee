"""The environment of this process. Nothing else in jobctl looks at it."""

import os
from collections.abc import Mapping, Sequence

from jobctl.settings import ENV_NAMES, SECRETS


def of_process() -> Mapping[str, str]:
    return os.environ


def environment_for_commands(keep: Sequence[str] = ()) -> dict[str, str]:
    """This process's environment without the secrets among our settings: a stranger's command has no use for them.
    Names in `keep` stay."""
    secret = {ENV_NAMES[name] for name in SECRETS} - set(keep)
    return {name: value for name, value in os.environ.items() if name not in secret}


def zone_of_shell() -> str | None:
    """The variable TZ, which is no setting: cron does not know the shell's, and a diagnosis tells the difference."""
    return os.environ.get("TZ")
