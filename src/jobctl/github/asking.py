"""One request and its answer: what is sent, and how what comes back is read. Nothing is waited for here."""

from typing import Any, Final, NamedTuple, cast
from urllib.parse import parse_qs, urlsplit

from jobctl.github.address import path_of
from jobctl.github.credentials import Grant
from jobctl.github.etags import Kept
from jobctl.github.failures import BadAnswer, Forbidden, GitHubError, Gone, NotAccepted, ServerTrouble
from jobctl.github.reading import read_json, said
from jobctl.github.wire import Raw

API_VERSION: Final = "2022-11-28"
ACCEPT: Final = "application/vnd.github+json"
USUAL_PER_PAGE: Final = 30


class Ask(NamedTuple):
    """A request as its caller means it."""

    method: str
    url: str
    project: str
    owner: str
    endpoint: str
    body: bytes | None = None
    resource: str = "core"
    conditional: bool = True
    whole: bool = False
    word: str | None = None  # of an App, in place of a credential


class Answer(NamedTuple):
    """One answer to it, and who asked. `known` is what its ETag was kept with."""

    raw: Raw
    body: Any  # None: there is none, or it is no JSON
    unreadable: BadAnswer | None
    grant: Grant
    known: Kept | None
    url: str


def headers_of(grant: Grant, known: Kept | None, asked: Ask) -> dict[str, str]:
    headers = {"Accept": ACCEPT, "X-GitHub-Api-Version": API_VERSION}
    if grant.authorization is not None:
        headers["Authorization"] = grant.authorization
    if known is not None:
        headers["If-None-Match"] = known.etag
    if asked.body is not None:
        headers["Content-Type"] = "application/json"
    elif asked.method == "POST":
        headers["Content-Length"] = "0"
    return headers


def read(raw: Raw, grant: Grant, known: Kept | None, asked: Ask) -> Answer:
    body, unreadable = None, None
    if raw.status not in (204, 304):
        try:
            body = read_json(raw.body, path_of(asked.url))
        except BadAnswer as error:
            unreadable = error
    return Answer(raw, body, unreadable, grant, known, asked.url)


def failure_of(answer: Answer) -> GitHubError:
    """Of a status from 400 on that is neither a limit nor a 401."""
    status, path = answer.raw.status, path_of(answer.url)
    text = f"{path}: HTTP {status}" + (f": {words}" if (words := said(answer.body)) else "")
    if status >= 500:
        return ServerTrouble(text)
    if status == 403:
        hint = "may the token read this repository, and is it authorised for its organisation (SSO)?"
        return Forbidden(text, hint=hint)
    if status in (404, 410, 451):
        hint = "GitHub says the same of what is not there and of what the token may not see" if status == 404 else ""
        return Gone(text, status=status, hint=hint)
    return NotAccepted(text, status=status)


def is_full(answer: Answer) -> bool:
    """Whether a list has as many items as its page may have."""
    if not isinstance(answer.body, list):
        return False
    said_so = parse_qs(urlsplit(answer.url).query).get("per_page", [""])[0]
    per_page = int(said_so) if said_so.isascii() and said_so.isdigit() and len(said_so) < 4 else USUAL_PER_PAGE
    return len(cast("list[object]", answer.body)) >= per_page
