"""Asking GitHub: within its limits, for as little as possible, and with a typed end to everything that can happen.

    credential -> its ETag of this URL -> budget -> pace -> still allowed? -> send -> what do the headers say?
         ^                                                    |                          |
         '------------ wait, within the caller's patience ----'<------- a limit ---------'

**Pages** are followed by the `Link` that GitHub gives, on the API's own origin alone; redirects likewise, and the page
tells that its address has moved. A 304 gives the next page's link from what was kept with the ETag. The last page of a
list is no reason for silence when it is full: a further item would begin another page, change no byte of this one and
be announced by `Link` alone, which a 304 need not carry. So a full page without a next one is asked for whole.

**Waiting** is done here when it ends before `until`, the caller's moment on the monotonic clock, and otherwise raised
as Limited, so that a run can save its checkpoint and go. Two clocks: durations are measured on the monotonic one, the
wall clock only reads GitHub's dates.

**Trying again**: no answer and 5xx, three times in all. A limit is no failure and no try: it is waited out, and after
LIMITS_IN_A_ROW of unknown length raised. A project's other errors are raised as they come; see `failures`.
"""

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, NamedTuple, cast
from urllib.parse import parse_qs, urlsplit

from jobctl import clock
from jobctl.github.account import Account, Spent
from jobctl.github.address import Api, next_of, path_of
from jobctl.github.budget import Budget
from jobctl.github.credentials import Credential, Grant, Keyring, Wait
from jobctl.github.etags import Etags, Kept
from jobctl.github.failures import (
    BadAnswer,
    CredentialsRefused,
    Forbidden,
    GitHubError,
    Gone,
    Limited,
    NoAnswer,
    NotAccepted,
    ServerTrouble,
)
from jobctl.github.limits import Kind, Limit, Quota, limit_of, quota_of
from jobctl.github.pace import Pace
from jobctl.github.reading import inner_or_none, object_of, read_json, said, whole_or_none
from jobctl.github.wire import Raw, Wire
from jobctl.retry import retrying

API_VERSION: Final = "2022-11-28"
ACCEPT: Final = "application/vnd.github+json"
REDIRECTS: Final = frozenset({301, 302, 307, 308})
SAME_REQUEST: Final = frozenset({307, 308})
MOST_REDIRECTS: Final = 5
USUAL_PER_PAGE: Final = 30
LIMITS_IN_A_ROW: Final = 5
AGAIN_WITHIN_S: Final = 120.0
_ETAG: Final = re.compile(r'(?:W/)?"[\x21\x23-\x7e]{1,200}"')


class Found(StrEnum):
    DATA = "data"
    UNCHANGED = "unchanged"  # 304: as it was when its ETag was kept
    EMPTY = "empty"  # 204, and 409 of a repository without a commit
    COMPUTING = "computing"  # 202: GitHub is working statistics out; ask later


class Page(NamedTuple):
    """`data` is there with Found.DATA alone. `keep` goes into the ETag store in the transaction that writes the page's
    rows. `moved_to` is the address that answered, where that is another than was asked."""

    found: Found
    data: Any
    next_url: str | None
    keep: Kept | None
    moved_to: str | None


class GraphQL(NamedTuple):
    """`errors` are those beside data: a node that is gone, say."""

    data: Mapping[str, Any]
    errors: tuple[Mapping[str, Any], ...]
    points: int


class _Ask(NamedTuple):
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


class _Answer(NamedTuple):
    raw: Raw
    body: Any  # None: there is none, or it is no JSON
    unreadable: BadAnswer | None
    grant: Grant
    known: Kept | None
    url: str


class Client:
    """For all threads of a run together."""

    def __init__(
        self,
        api: Api,
        keyring: Keyring,
        wire: Wire,
        *,
        until: float,
        etags: Etags | None = None,
        budget: Budget | None = None,
        pace: Pace | None = None,
        account: Account | None = None,
        sleep: Callable[[float], object],
        check: Callable[[], object] = lambda: None,
        now: Callable[[], float] = clock.monotonic,
        utc_now: Callable[[], datetime] = clock.utc_now,
    ) -> None:
        """No wait goes beyond `until`. `sleep` may end early, and `check` raises when the run is to stop."""
        self.api = api
        self.account = account or Account()
        self._keyring = keyring
        self._wire = wire
        self._until = until
        self._etags = etags
        self._budget = budget or Budget()
        self._pace = pace or Pace()
        self._sleep = sleep
        self._check = check
        self._now = now
        self._utc_now = utc_now
        self._lock = threading.Lock()
        self.quotas: dict[tuple[str, str], Quota] = {}  # by account and resource, as they were told last
        self._limits_in_a_row = 0
        self._limited_at = float("-inf")
        again = retrying((NoAnswer, ServerTrouble), within_s=AGAIN_WITHIN_S, sleep=self._pause, now=self._now)
        self._asked_again = again(self._asked)

    def get(self, path: str, *, project: str, endpoint: str, conditional: bool = True, whole: bool = False) -> Page:
        """`path` of an endpoint, or a page's `next_url`. `project` is a full name: its owner decides which installation
        of an App asks, and its lines in the account are its own. `whole`: whatever is known of it, all of it is wanted;
        its ETag is to keep all the same."""
        url = self.api.follow(self.api.base, path) if "://" in path else self.api.url(path)
        owner = project.partition("/")[0]
        asked = _Ask("GET", url, project, owner, endpoint, conditional=conditional, whole=whole)
        answer = self._followed(asked)
        return self._page(asked, answer)

    def pages(self, path: str, *, project: str, endpoint: str, conditional: bool = True) -> Iterator[Page]:
        """From `path` on, to the last one. Raises BadAnswer for a link that leads in a circle."""
        seen: set[str] = set()
        following: str | None = path
        while following is not None:
            if following in seen:
                raise BadAnswer(f"{endpoint}: the next page of a list is one that was read before")
            seen.add(following)
            page = self.get(following, project=project, endpoint=endpoint, conditional=conditional)
            yield page
            following = page.next_url

    def graphql(self, query: str, variables: Mapping[str, object], *, project: str, endpoint: str) -> GraphQL:
        """The query asks for `rateLimit { cost }`, which is what the account counts."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        owner = project.partition("/")[0]
        asked = _Ask("POST", self.api.graphql, project, owner, endpoint, body, "graphql", conditional=False)
        answer = self._followed(asked)
        if answer.unreadable is not None:
            raise answer.unreadable
        where = f"graphql {endpoint}"
        document = object_of(answer.body, where)
        errors: object = document.get("errors") or []
        if not isinstance(errors, list) or not all(isinstance(each, dict) for each in cast("list[object]", errors)):
            raise BadAnswer(f"{where}: its errors are no list of objects")
        told = cast("list[Mapping[str, Any]]", errors)
        if document.get("data") is None and told:
            raise NotAccepted(f"{where}: {said(told[0]) or 'refused without a reason'}", status=200)
        data = object_of(document.get("data"), f"{where}.data")
        rate = inner_or_none(data, "rateLimit", where)
        points = (whole_or_none(rate, "cost", f"{where}.rateLimit") if rate is not None else None) or 1
        self.account.add(project, endpoint, Spent(points=points))
        return GraphQL(data, tuple(told), points)

    def ask_as_app(self, method: str, path: str, word: str) -> tuple[Any, str | None]:
        """What `app.App` needs of a client."""
        url = self.api.follow(self.api.base, path) if "://" in path else self.api.url(path)
        asked = _Ask(method, url, "", "", "app", resource="core", conditional=False, word=word)
        answer = self._followed(asked)
        if answer.unreadable is not None:
            raise answer.unreadable
        return answer.body, self._next(answer)

    # Redirects and pages ---------------------------------------------------------------------------------------------

    def _followed(self, asked: _Ask) -> _Answer:
        for _ in range(MOST_REDIRECTS + 1):
            answer = self._settled(asked)
            status = answer.raw.status
            if status not in REDIRECTS or (asked.method != "GET" and status not in SAME_REQUEST):
                return answer
            asked = asked._replace(url=self.api.follow(asked.url, answer.raw.headers.get("location", "")))
        raise BadAnswer(f"{path_of(asked.url)}: more than {MOST_REDIRECTS} redirects")

    def _page(self, asked: _Ask, answer: _Answer) -> Page:
        moved_to = answer.url if answer.url != asked.url else None
        status, headers, known = answer.raw.status, answer.raw.headers, answer.known
        if status == 304:
            if known is None:
                raise BadAnswer(f"{path_of(answer.url)}: 304, although nothing is known of it")
            following = self._next(answer) or (
                self.api.follow(answer.url, known.next_url) if known.next_url is not None else None
            )
            return Page(Found.UNCHANGED, None, following, None, moved_to)
        if status in (204, 409):
            return Page(Found.EMPTY, None, None, None, moved_to)
        if status == 202:
            return Page(Found.COMPUTING, None, None, None, moved_to)
        if status not in (200, 201):
            raise BadAnswer(f"{path_of(answer.url)}: HTTP {status}, which is not documented")
        if answer.unreadable is not None:
            raise answer.unreadable
        following = self._next(answer)
        etag = headers.get("etag", "")
        keep = None
        if asked.conditional and _ETAG.fullmatch(etag) and (following is not None or not _is_full(answer)):
            keep = Kept(answer.grant.identity, answer.url, etag, following)
        return Page(Found.DATA, answer.body, following, keep, moved_to)

    def _next(self, answer: _Answer) -> str | None:
        following = next_of(answer.raw.headers.get("link", ""))
        return self.api.follow(answer.url, following) if following is not None else None

    # One request, until it has an end --------------------------------------------------------------------------------

    def _settled(self, asked: _Ask) -> _Answer:
        """An answer that is one: below 400, or 409."""
        while True:
            answer = self._asked_again(asked)
            if answer is not None:
                return answer

    def _asked(self, asked: _Ask) -> _Answer | None:
        """None: ask again, by then allowed."""
        self._check()
        credential, grant = self._granted(asked)
        is_asked_for = self._etags is not None and asked.conditional and not asked.whole
        known = self._etags.find(grant.identity, asked.url) if self._etags and is_asked_for else None
        self._take_turn(grant, asked)
        self._budget.spend()
        sent_at = self._now()
        try:
            raw = self._wire.send(asked.method, asked.url, _headers(grant, known, asked), asked.body)
        except GitHubError:
            self.account.add(asked.project, asked.endpoint, Spent(requests=1, failed=1))
            raise
        answer = _read(raw, grant, known, asked)
        limit = self._heeded(answer, asked, sent_at)
        self._count(answer, asked, limited=limit is not None)
        if limit is not None:
            self._wait_out(limit, asked)
            return None
        if raw.status == 401:
            self._after_401(credential, grant)
            return None
        if raw.status >= 400 and raw.status != 409:
            raise _failure(answer)
        return answer

    def _granted(self, asked: _Ask) -> tuple[Credential | None, Grant]:
        if asked.word is not None:
            return None, Grant("app", "", f"Bearer {asked.word}")
        without: frozenset[str] = frozenset()
        out_of_reach: Forbidden | None = None
        while True:
            picked = self._keyring.pick(asked.project, asked.owner, asked.resource, self._now(), without=without)
            if isinstance(picked, Wait):
                self._pause_for_limit(picked.seconds, asked)
            elif picked is None:
                raise out_of_reach or Forbidden(f"no credential reaches {asked.owner}")
            else:
                try:
                    return picked, picked.grant(asked.owner)
                except Forbidden as error:
                    out_of_reach, without = error, without | {picked.name}

    def _take_turn(self, grant: Grant, asked: _Ask) -> None:
        """Wait for the pace, and for what a limit of another thread has said meanwhile."""
        turn_s = self._pace.reserve(1.0, self._now())
        if turn_s > 0:
            self._pause(turn_s)
        while silence_s := self._keyring.silence_s(grant.account, asked.resource, self._now()):
            self._pause_for_limit(silence_s, asked)

    def _heeded(self, answer: _Answer, asked: _Ask, sent_at: float) -> Limit | None:
        """Note what the answer says of limits, before any other thread sends. What was under way when a limit was told
        is the same time again, not a further one."""
        raw, now, utc_now = answer.raw, self._now(), self._utc_now()
        with self._lock:
            is_further = sent_at >= self._limited_at
            before = self._limits_in_a_row if is_further else max(0, self._limits_in_a_row - 1)
            limit = limit_of(raw.status, raw.headers, answer.body, utc_now, times_before=before)
            if limit is not None:
                self._limits_in_a_row += int(is_further and not limit.is_told)
                self._limited_at = now
            elif is_further:
                self._limits_in_a_row = 0
        account = answer.grant.account
        quota = quota_of(raw.headers, utc_now)
        if quota is not None:
            self.quotas[account, quota.resource] = quota
        if quota is not None and quota.remaining == 0:
            self._keyring.silence(account, quota.resource, now + quota.reset_s)
        if limit is not None and limit.kind is Kind.PRIMARY:
            self._keyring.silence(account, asked.resource, now + limit.wait_s)
        elif limit is not None:
            self._keyring.silence_all(now + limit.wait_s)
        return limit

    def _wait_out(self, limit: Limit, asked: _Ask) -> None:
        """The keyring makes the next request wait; here it is only judged whether there is to be one."""
        if not limit.is_told and self._limits_in_a_row >= LIMITS_IN_A_ROW:
            raise self._limited(limit.wait_s, asked, f"{LIMITS_IN_A_ROW} times in a row, the {limit.kind} limit")

    def _pause_for_limit(self, seconds: float, asked: _Ask) -> None:
        if self._now() + seconds > self._until:
            raise self._limited(seconds, asked, "a limit")
        self._pause(seconds)

    def _limited(self, seconds: float, asked: _Ask, which: str) -> Limited:
        until = self._utc_now() + timedelta(seconds=seconds)
        hint = (
            "without a token it is 60 requests an hour: set GITHUB_TOKEN"
            if self._keyring.is_anonymous
            else "run it again after that, or give further tokens in JOBCTL_GITHUB_TOKENS"
        )
        return Limited(
            f"{self.api.host}: {which} holds until {until:%Y-%m-%d %H:%M:%S} UTC ({asked.endpoint})",
            until=until,
            hint=hint,
        )

    def _pause(self, seconds: float) -> None:
        """All of it, although `sleep` may end early, unless the run is to stop."""
        end = self._now() + seconds
        while (left_s := end - self._now()) > 0:
            self._check()
            self._sleep(left_s)
        self._check()

    def _after_401(self, credential: Credential | None, grant: Grant) -> None:
        if credential is None:
            raise CredentialsRefused(
                f"{self.api.host} does not accept the word of the GitHub App (401)",
                hint="do JOBCTL_GITHUB_APP_ID and the key belong together, and is this machine's clock right?",
            )
        if grant.authorization is None:
            raise CredentialsRefused(f"{self.api.host} answers nobody without a token (401)", hint="set GITHUB_TOKEN")
        if not credential.renew(grant):
            self._keyring.refuse(credential)

    def _count(self, answer: _Answer, asked: _Ask, *, limited: bool) -> None:
        raw = answer.raw
        unchanged = raw.status == 304
        is_free = (unchanged and answer.grant.authorization is not None) or asked.resource == "graphql"
        self.account.add(
            asked.project,
            asked.endpoint,
            Spent(
                requests=1,
                unchanged=int(unchanged),
                quota=int(not is_free and not limited),
                limited=int(limited),
                failed=int(raw.status >= 400 and raw.status != 409 and not limited),
                bytes=len(raw.body),
            ),
        )


def _headers(grant: Grant, known: Kept | None, asked: _Ask) -> dict[str, str]:
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


def _read(raw: Raw, grant: Grant, known: Kept | None, asked: _Ask) -> _Answer:
    body, unreadable = None, None
    if raw.status not in (204, 304):
        try:
            body = read_json(raw.body, path_of(asked.url))
        except BadAnswer as error:
            unreadable = error
    return _Answer(raw, body, unreadable, grant, known, asked.url)


def _failure(answer: _Answer) -> GitHubError:
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


def _is_full(answer: _Answer) -> bool:
    if not isinstance(answer.body, list):
        return False
    said_so = parse_qs(urlsplit(answer.url).query).get("per_page", [""])[0]
    per_page = int(said_so) if said_so.isascii() and said_so.isdigit() and len(said_so) < 4 else USUAL_PER_PAGE
    return len(cast("list[object]", answer.body)) >= per_page
