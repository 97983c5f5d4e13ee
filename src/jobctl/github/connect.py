"""A client of GitHub from the settings: where the API is, and who asks."""

import stat
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from jobctl import clock
from jobctl.errors import ConfigurationError
from jobctl.github.address import api_at
from jobctl.github.app import App
from jobctl.github.budget import Budget
from jobctl.github.client import Client
from jobctl.github.credentials import Credential, Keyring, Token
from jobctl.github.etags import Etags
from jobctl.github.pace import Pace
from jobctl.github.wire import Wire
from jobctl.settings import Settings

LARGEST_KEY: Final = 100_000


@contextmanager
def open_client(
    settings: Settings,
    *,
    until: float,
    sleep: Callable[[float], object],
    check: Callable[[], object] = lambda: None,
    etags: Etags | None = None,
    budget: Budget | None = None,
    pace: Pace | None = None,
) -> Generator[Client, None, None]:
    """Asks nothing yet. Raises ConfigurationError for a token or key that cannot be one."""
    credentials = _tokens(settings)
    if settings.github_app_id is not None and settings.github_app_key_file is not None:
        key = _key(settings.github_app_key_file)

        def ask(method: str, path: str, word: str) -> tuple[Any, str | None]:
            return client.ask_as_app(method, path, word)

        credentials.insert(
            0,
            App(
                settings.github_app_id,
                key,
                ask,
                clock.utc_now,
                installation_id=settings.github_app_installation_id,
            ),
        )
    api = api_at(settings.github_api_url)
    wire = Wire(api.origin, check=check)
    client = Client(
        api,
        Keyring(credentials),
        wire,
        until=until,
        etags=etags,
        budget=budget,
        pace=pace,
        sleep=sleep,
        check=check,
    )
    try:
        yield client
    finally:
        wire.close()


def is_anonymous(settings: Settings) -> bool:
    """60 requests an hour, and public repositories only."""
    return settings.github_token is None and settings.github_app_id is None and not settings.further_github_tokens()


def _tokens(settings: Settings) -> list[Credential]:
    secrets: dict[str, str] = {}
    if settings.github_token is not None:
        secrets[settings.github_token.get_secret_value()] = "GITHUB_TOKEN"
    for number, secret in enumerate(settings.further_github_tokens(), 1):
        secrets.setdefault(secret, f"token {number} of JOBCTL_GITHUB_TOKENS")
    for secret, name in secrets.items():
        if not secret.isascii() or not secret.isprintable() or " " in secret:
            raise ConfigurationError(
                f"{name} has a character that no token has", hint="copy the token once more, without quotes"
            )
    return [Token(name, secret) for secret, name in secrets.items()]


def _key(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(path.stat().st_mode)
            data = file.read(LARGEST_KEY)
    except OSError as error:
        raise ConfigurationError(
            f"the GitHub App's key cannot be read: {path}: {error.strerror}",
            hint="JOBCTL_GITHUB_APP_KEY_FILE names the .pem file that GitHub has made for the App",
        ) from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigurationError(
            f"the GitHub App's key {path} is open to others (mode {mode:04o})", hint=f"chmod 600 {path}"
        )
    return data
