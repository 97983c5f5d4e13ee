"""Signing in as a GitHub App: a word signed with its key buys an installation's token, which lasts an hour.

Only this needs `cryptography`, so it is an extra (`jobctl[github-app]`) and loaded when a word is signed. The word is
RS256 and twelve lines; PyJWT would add 90 ms of import to that and nothing else.
"""

import base64
import json
import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from jobctl.errors import ConfigurationError
from jobctl.github.credentials import Grant, identity_of
from jobctl.github.failures import BadAnswer, Forbidden
from jobctl.github.reading import inner, moment, object_of, objects_of, text, whole

BACKDATED: Final = timedelta(seconds=60)  # GitHub's clock may be behind ours
VALID: Final = timedelta(minutes=9)  # ten at most
RENEWED_BEFORE: Final = timedelta(minutes=5)

Ask = Callable[[str, str, str], tuple[Any, str | None]]
"""Method, path (or a whole next URL) and word in; the JSON of the answer and its next URL out. Raises GitHubError."""


class _Leased(NamedTuple):
    grant: Grant
    until: datetime


class App:
    """Installations are found by their owner, unless one is named."""

    def __init__(
        self, app_id: str, key: bytes, ask: Ask, now: Callable[[], datetime], *, installation_id: int | None = None
    ) -> None:
        self.name = f"app {app_id}"
        self._app_id = app_id
        self._key = key
        self._ask = ask
        self._now = now
        self._named = installation_id
        self._installations: Mapping[str, int] | None = None
        self._leased: dict[int, _Leased] = {}
        self._lock = threading.Lock()

    def account_of(self, owner: str, /) -> str:
        """Before the installations are known all owners share one."""
        installation = self._named or (self._installations or {}).get(owner.lower())
        return f"{self.name}/{installation or ''}"

    def grant(self, owner: str, /) -> Grant:
        with self._lock:
            installation = self._named or self._installation_of(owner)
            leased = self._leased.get(installation)
            if leased is None or leased.until - self._now() < RENEWED_BEFORE:
                leased = self._leased[installation] = self._lease(installation)
            return leased.grant

    def renew(self, refused: Grant, /) -> bool:
        """A token may have been revoked before its time; one that was refused when it was new is not renewed."""
        with self._lock:
            for installation, leased in list(self._leased.items()):
                if leased.grant == refused:
                    del self._leased[installation]
                    return self._now() - (leased.until - timedelta(hours=1)) > timedelta(minutes=1)
            return True  # another thread has done it

    def _lease(self, installation: int) -> _Leased:
        where = f"/app/installations/{installation}/access_tokens"
        answer = object_of(self._ask("POST", where, self._word())[0], where)
        token, until = text(answer, "token", where), moment(answer, "expires_at", where)
        if not token.isascii() or not token.isprintable() or " " in token:
            raise BadAnswer(f"{where}: its token is none")
        return _Leased(Grant(f"{self.name}/{installation}", identity_of(token), f"Bearer {token}"), until)

    def _installation_of(self, owner: str) -> int:
        if self._installations is None:
            self._installations = self._list()
        found = self._installations.get(owner.lower())
        if found is None and len(self._installations) == 1 and not owner:
            found = next(iter(self._installations.values()))
        if found is None:
            known = ", ".join(sorted(self._installations)[:5]) or "nobody"
            raise Forbidden(
                f"the GitHub {self.name} is not installed for {owner or 'one owner alone'} (it is for {known})",
                hint="install it there, or name an installation in JOBCTL_GITHUB_APP_INSTALLATION_ID",
            )
        return found

    def _list(self) -> dict[str, int]:
        found: dict[str, int] = {}
        where: str | None = "/app/installations?per_page=100"
        while where is not None:
            page, following = self._ask("GET", where, self._word())
            for each in objects_of(page, "/app/installations"):
                if each.get("suspended_at") is None:
                    owner = text(inner(each, "account", "/app/installations"), "login", "/app/installations")
                    found[owner.lower()] = whole(each, "id", "/app/installations")
            where = following
        return found

    def _word(self) -> str:
        return sign(self._app_id, self._key, self._now())


def sign(app_id: str, key: bytes, now: datetime) -> str:
    """The App's word, a JSON Web Token. Raises ConfigurationError for a key that is none."""
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError:
        raise ConfigurationError(
            "to sign in as a GitHub App, jobctl needs the package cryptography", hint="install jobctl[github-app]"
        ) from None
    try:
        private = load_pem_private_key(key, password=None)
        if not isinstance(private, RSAPrivateKey):
            raise TypeError
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigurationError(
            "the file of JOBCTL_GITHUB_APP_KEY_FILE holds no RSA key without a password",
            hint="make a new key on the App's page and give the .pem file that GitHub sends",
        ) from None
    claims = {"iat": int((now - BACKDATED).timestamp()), "exp": int((now + VALID).timestamp()), "iss": app_id}
    signed = f"{_part({'alg': 'RS256', 'typ': 'JWT'})}.{_part(claims)}"
    return f"{signed}.{_encoded(private.sign(signed.encode(), PKCS1v15(), SHA256()))}"


def _part(value: Mapping[str, object]) -> str:
    return _encoded(json.dumps(value, separators=(",", ":")).encode())


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
