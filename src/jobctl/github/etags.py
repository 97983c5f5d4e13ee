"""What is known of a URL from the last time, so that only what changed is sent again.

The client looks it up and hands back what is to be kept; the caller keeps it in the transaction that writes the page's
rows, for an ETag that outlives a rollback would have the page answered with 304 for ever. GitHub makes another ETag for
another token, so the key is the token's identity and the URL. A 304 need not say where the next page is: the link is
kept with the ETag.
"""

from typing import NamedTuple, Protocol


class Kept(NamedTuple):
    identity: str
    url: str
    etag: str
    next_url: str | None


class Etags(Protocol):
    """Called from several threads."""

    def find(self, identity: str, url: str) -> Kept | None: ...
