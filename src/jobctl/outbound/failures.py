"""What can go wrong with a request to the outside, and whether trying again may help.

    OutboundError
    |-- Refused          no   the rules do not allow it: URL, address, redirect, header. Nothing was sent there
    |-- TooLarge         no   the answer is larger than the caller wants
    |-- NotReached       yes  no address for the name, no connection, no TLS: nothing was sent
    `-- NoAnswer         yes  sent, at least in part, and no whole answer came: it may have arrived

The texts name host and port and never the path, which may be a secret.
"""

from collections.abc import Mapping
from typing import ClassVar, Self

from jobctl.errors import JobctlError


class OutboundError(JobctlError):
    may_have_arrived: ClassVar[bool] = False

    def after(self, redirects: int) -> Self:
        """The same, told of a request that had been sent on."""
        self.message = f"after {redirects} redirects, {self.message}"
        self.args = (self.message,)
        return self


class Refused(OutboundError):
    pass


class TooLarge(OutboundError):
    """Status and headers came, and tell what became of the request."""

    may_have_arrived = True

    def __init__(self, message: str, *, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers


class NotReached(OutboundError):
    try_again = True


class NoAnswer(OutboundError):
    try_again = True
    may_have_arrived = True
