"""What a command needs to begin: the settings, read once, and the database they name."""

from functools import cache

from jobctl.db.connection import Database
from jobctl.settings import Settings


@cache
def current_settings() -> Settings:
    from jobctl import settings

    return settings.load().settings


def open_database(settings: Settings, need_schema: bool = True) -> Database:
    from jobctl.db import opening

    return opening.open_database(settings, need_schema=need_schema)
