"""Asking GitHub: within its limits, for as little as possible, and with a typed end to everything that can happen.

    credential -> its ETag of this URL -> budget -> pace -> still allowed? -> send -> what do the headers say?
         ^                                                    |                          |
         '------------ wait, within the caller's patience ----'<------- a limit ---------'

**Pages** are followed by the `Link` that GitHub gives, on the API's own origin alone; redirects likewise, and the page
tells that its address has moved. A 304 gives the next page's link from what was kept with the ETag. The last page of a
list is no reason for silence when it is full: a further item would begin another page, change no byte of this one and
be announced by `Link` alone, which a 304 need not carry. So a full page without a next one is asked for whole.

**Trying again**: no answer and 5xx, three times in all. A limit is no failure and no try: it is waited out (`waiting`).
A project's other errors are raised as they come; see `failures`.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final, cast

from jobctl import clock
from jobctl.github.account import Account, Spent
from jobctl.github.address import Api, next_of, path_of
from jobctl.github.asking import Answer, Ask, failure_of, headers_of, is_full, read
from jobctl.github.budget import Budget
from jobctl.github.credentials import Credential, Grant, Keyring, Wait
from jobctl.github.etags import Etags, Kept
from jobctl.github.failures import (
    BadAnswer,
    CredentialsRefused,
    Forbidden,
    GitHubError,
    NoAnswer,
    NotAccepted,
    ServerTrouble,
)
from jobctl.github.limits import Quota
from jobctl.github.pace import Pace
from jobctl.github.page import Found, GraphQL, Page
from jobctl.github.reading import inner_or_none, object_of, said, whole_or_none
from jobctl.github.waiting import Waiting
from jobctl.github.wire import Wire
from jobctl.retry import retrying

REDIRECTS: Final = frozenset({301, 302, 307, 308})
SAME_REQUEST: Final = frozenset({307, 308})
MOST_REDIRECTS: Final = 5
AGAIN_WITHIN_S: Final = 120.0
_ETAG: Final = re.compile(r'(?:W/)?"[\x21\x23-\x7e]{1,200}"')


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
        self._etags = etags
        self._budget = budget or Budget()
        self._check = check
        self._now = now
        self._waiting = Waiting(
            api.host, keyring, pace or Pace(), until=until, sleep=sleep, check=check, now=now, utc_now=utc_now
        )
        again = retrying((NoAnswer, ServerTrouble), within_s=AGAIN_WITHIN_S, sleep=self._waiting.pause, now=self._now)
        self._asked_again = again(self._asked)

    @property
    def quotas(self) -> Mapping[tuple[str, str], Quota]:
        """What is left, by account and resource, as it was told last."""
        return self._waiting.quotas

    def get(self, path: str, *, project: str, endpoint: str, conditional: bool = True, whole: bool = False) -> Page:
        """`path` of an endpoint, or a page's `next_url`. `project` is a full name: its owner decides which installation
        of an App asks, and its lines in the account are its own. `whole`: whatever is known of it, all of it is wanted;
        its ETag is to keep all the same."""
        url = self.api.follow(self.api.base, path) if "://" in path else self.api.url(path)
        owner = project.partition("/")[0]
        asked = Ask("GET", url, project, owner, endpoint, conditional=conditional, whole=whole)
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
        asked = Ask("POST", self.api.graphql, project, owner, endpoint, body, "graphql", conditional=False)
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
        asked = Ask(method, url, "", "", "app", resource="core", conditional=False, word=word)
        answer = self._followed(asked)
        if answer.unreadable is not None:
            raise answer.unreadable
        return answer.body, self._next(answer)

    # Redirects and pages ---------------------------------------------------------------------------------------------

    def _followed(self, asked: Ask) -> Answer:
        for _ in range(MOST_REDIRECTS + 1):
            answer = self._settled(asked)
            status = answer.raw.status
            if status not in REDIRECTS or (asked.method != "GET" and status not in SAME_REQUEST):
                return answer
            asked = asked._replace(url=self.api.follow(asked.url, answer.raw.headers.get("location", "")))
        raise BadAnswer(f"{path_of(asked.url)}: more than {MOST_REDIRECTS} redirects")

    def _page(self, asked: Ask, answer: Answer) -> Page:
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
        if asked.conditional and _ETAG.fullmatch(etag) and (following is not None or not is_full(answer)):
            keep = Kept(answer.grant.identity, answer.url, etag, following)
        return Page(Found.DATA, answer.body, following, keep, moved_to)

    def _next(self, answer: Answer) -> str | None:
        following = next_of(answer.raw.headers.get("link", ""))
        return self.api.follow(answer.url, following) if following is not None else None

    # One request, until it has an end --------------------------------------------------------------------------------

    def _settled(self, asked: Ask) -> Answer:
        """An answer that is one: below 400, or 409."""
        while True:
            answer = self._asked_again(asked)
            if answer is not None:
                return answer

    def _asked(self, asked: Ask) -> Answer | None:
        """None: ask again, by then allowed."""
        self._check()
        credential, grant = self._granted(asked)
        is_asked_for = self._etags is not None and asked.conditional and not asked.whole
        known = self._etags.find(grant.identity, asked.url) if self._etags and is_asked_for else None
        self._waiting.take_turn(grant, asked)
        self._budget.spend()
        sent_at = self._now()
        try:
            raw = self._wire.send(asked.method, asked.url, headers_of(grant, known, asked), asked.body)
        except GitHubError:
            self.account.add(asked.project, asked.endpoint, Spent(requests=1, failed=1))
            raise
        answer = read(raw, grant, known, asked)
        limit = self._waiting.heed(answer, asked, sent_at)
        self._count(answer, asked, limited=limit is not None)
        if limit is not None:
            self._waiting.give_up_after_many(limit, asked)
            return None
        if raw.status == 401:
            self._after_401(credential, grant)
            return None
        if raw.status >= 400 and raw.status != 409:
            raise failure_of(answer)
        return answer

    def _granted(self, asked: Ask) -> tuple[Credential | None, Grant]:
        if asked.word is not None:
            return None, Grant("app", "", f"Bearer {asked.word}")
        without: frozenset[str] = frozenset()
        out_of_reach: Forbidden | None = None
        while True:
            picked = self._keyring.pick(asked.project, asked.owner, asked.resource, self._now(), without=without)
            if isinstance(picked, Wait):
                self._waiting.pause_for_limit(picked.seconds, asked)
            elif picked is None:
                raise out_of_reach or Forbidden(f"no credential reaches {asked.owner}")
            else:
                try:
                    return picked, picked.grant(asked.owner)
                except Forbidden as error:
                    out_of_reach, without = error, without | {picked.name}

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

    def _count(self, answer: Answer, asked: Ask, *, limited: bool) -> None:
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
