"""Who asks: nobody, a token, or a GitHub App; and which of several answers for a request.

A project keeps to its own token as long as it can (an ETag of one token is nothing to another), and when that one is
spent takes the next that is not. A primary limit stops one account and resource (`core`, `graphql`), a secondary one
everything, since what it asks for is less haste from this place.

A token's identity is a keyed hash of it, cut to 16 bytes: it tells tokens apart and leads back to none. An App's
installation token lives for an hour, and its ETags with it.
"""

import threading
from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple, Protocol

from jobctl.github.failures import CredentialsRefused

EVERYTHING = "*"


class Grant(NamedTuple):
    """Leave to make a request. `account` is whose limits it counts against, `identity` whose ETags it knows;
    `authorization` is the header, None for nobody."""

    account: str
    identity: str
    authorization: str | None


class Credential(Protocol):
    """`owner` is whose repository is asked for: an App has another grant for each."""

    @property
    def name(self) -> str:
        """For people: never a part of the secret."""
        ...

    def account_of(self, owner: str, /) -> str: ...

    def grant(self, owner: str, /) -> Grant:
        """May itself ask GitHub. Raises Forbidden where it does not reach."""
        ...

    def renew(self, refused: Grant, /) -> bool:
        """401 was the answer to `refused`: is there another grant to try?"""
        ...


def identity_of(token: str) -> str:
    return blake2b(token.encode(), digest_size=16, person=b"jobctl/etags").hexdigest()


class Token:
    def __init__(self, name: str, secret: str | None) -> None:
        """None: nobody, with 60 requests an hour and public repositories only."""
        self.name = name
        if secret is None:
            self._grant = Grant("anonymous", "anonymous", None)
        else:
            identity = identity_of(secret)
            self._grant = Grant(identity, identity, f"Bearer {secret}")

    @property
    def is_anonymous(self) -> bool:
        return self._grant.authorization is None

    def account_of(self, _owner: str, /) -> str:
        return self._grant.account

    def grant(self, _owner: str, /) -> Grant:
        return self._grant

    def renew(self, _refused: Grant, /) -> bool:
        return False


class Wait(NamedTuple):
    """No credential may ask before so many seconds have passed."""

    seconds: float


class Keyring:
    """All credentials of a run, and until when each of them is to be silent. Times are of one monotonic clock."""

    def __init__(self, credentials: Sequence[Credential]) -> None:
        self._credentials: list[Credential] = list(credentials) or [Token("nobody", None)]
        self._refused: set[str] = set()
        self._silent_until: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()

    @property
    def is_anonymous(self) -> bool:
        return all(isinstance(each, Token) and each.is_anonymous for each in self._credentials)

    def pick(
        self, project: str, owner: str, resource: str, now: float, *, without: frozenset[str] = frozenset()
    ) -> Credential | Wait | None:
        """None: all of them are in `without`. Raises CredentialsRefused when GitHub has accepted none of them."""
        with self._lock:
            accepted = [each for each in self._credentials if each.name not in self._refused]
            usable = [each for each in accepted if each.name not in without]
            if not accepted:
                raise CredentialsRefused(
                    f"GitHub does not accept {', '.join(sorted(self._refused))} (401)",
                    hint="is it expired or revoked? Set GITHUB_TOKEN to a new one",
                )
            if not usable:
                return None
            shortest: float | None = None
            for each in sorted(usable, key=lambda one: _weight(project, one.name), reverse=True):
                seconds = self._silence_s(each.account_of(owner), resource, now)
                if seconds <= 0:
                    return each
                shortest = seconds if shortest is None else min(shortest, seconds)
            return Wait(shortest or 0.0)

    def silence_s(self, account: str, resource: str, now: float) -> float:
        """How long this account is still to ask nothing."""
        with self._lock:
            return self._silence_s(account, resource, now)

    def silence(self, account: str, resource: str, until: float) -> None:
        """Never shortens what stands."""
        with self._lock:
            key = (account, resource)
            self._silent_until[key] = max(self._silent_until.get(key, until), until)

    def silence_all(self, until: float) -> None:
        self.silence(EVERYTHING, EVERYTHING, until)

    def refuse(self, credential: Credential) -> None:
        """It was not accepted, and is not tried again."""
        with self._lock:
            self._refused.add(credential.name)

    def _silence_s(self, account: str, resource: str, now: float) -> float:
        keys = ((EVERYTHING, EVERYTHING), (account, EVERYTHING), (account, resource))
        return max(0.0, *(self._silent_until.get(key, now) - now for key in keys))


def _weight(project: str, name: str) -> bytes:
    """The highest one wins (rendezvous hashing): a token that comes or goes moves only its own projects."""
    return blake2b(f"{project}\0{name}".encode(), digest_size=8).digest()
