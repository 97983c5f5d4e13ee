"""A server on the loopback that answers as GitHub documents it, over a truth that tests change (bench_github_truth).

    with GitHub() as github:
        repo = github.truth.repo("octo/cat")
        ... GITHUB_API_URL=github.url GITHUB_TOKEN=github.token() ...

REST with `Link`, `ETag` (another one for another token), redirects of renamed and transferred repositories, limits by
token, GraphQL (bench_github_graphql), a GitHub App. `requests` is the account of all that was asked, with the moment,
the token and whether it came earlier than a limit had allowed; the server judges by `clock`, which a test may share
with the client under test. `limit_next` and `fail` plan what goes wrong, `before_reply` lets a test change the truth
between two pages.
"""

import base64
import gzip
import hashlib
import heapq
import json
import random
import re
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any, NamedTuple, Self, TypeVar
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import bench_github_shapes as shapes
from bench_github_graphql import GraphQL
from bench_github_truth import Commit, Issue, Repo, Truth

DOCUMENTATION = "https://docs.github.com/rest"
ANONYMOUS = ""
EVERYTHING = "*"
HOUR = 3_600
_T = TypeVar("_T")


# What was asked, and what is answered -------------------------------------------------------------------------------


@dataclass
class Asked:
    """A request. `token` is what stood in its Authorization header, '' for none."""

    at: float
    method: str
    path: str
    query: dict[str, str]
    token: str
    headers: dict[str, str]
    body: bytes
    is_early: bool = False
    status: int = 0

    @property
    def is_conditional(self) -> bool:
        return "if-none-match" in self.headers


@dataclass
class Reply:
    """An answer, and how it is sent: `sent_bytes` of the body before the connection is cut, with what pauses."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict[str, str])
    content_type: str = "application/json; charset=utf-8"
    sent_bytes: int | None = None
    before_s: float = 0.0
    byte_pause_s: float = 0.0
    is_silent: bool = False  # the connection is closed without a word


def json_reply(status: int, value: Any, **headers: str) -> Reply:
    return Reply(status, json.dumps(value).encode(), {name.replace("_", "-"): text for name, text in headers.items()})


def error_reply(status: int, message: str, page: str = "", **headers: str) -> Reply:
    told = {"message": message, "documentation_url": DOCUMENTATION + page, "status": str(status)}
    return json_reply(status, told, **headers)


# Faults --------------------------------------------------------------------------------------------------------------

Fault = Callable[[Reply], Reply]


def _with_body(change: Callable[[bytes], bytes]) -> Fault:
    return lambda reply: replace(reply, body=change(reply.body))


def status_fault(status: int, **headers: str) -> Fault:
    return lambda reply: error_reply(status, "Something went wrong", **headers)


def slow(seconds: float) -> Fault:
    return lambda reply: replace(reply, before_s=seconds)


def trickle(pause_s: float) -> Fault:
    """The whole answer a byte at a time, its headers too."""
    return lambda reply: replace(reply, byte_pause_s=pause_s)


def leads_to(origin: str) -> Fault:
    """Both Link and Location lead to another host."""

    def change(reply: Reply) -> Reply:
        elsewhere = f"{origin}/repositories/1/issues?page=2"
        return replace(reply, headers=reply.headers | {"Link": f'<{elsewhere}>; rel="next"', "Location": elsewhere})

    return change


def redirects_to(url: str, status: int = 301) -> Fault:
    return lambda reply: json_reply(status, {"message": "Moved Permanently", "url": url}, Location=url)


def _nulls(body: bytes) -> bytes:
    """Every field of every object is null."""
    found = json.loads(body)
    if isinstance(found, list):
        return json.dumps([dict.fromkeys(each) if isinstance(each, dict) else each for each in found]).encode()  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return json.dumps(dict.fromkeys(found)).encode()


def _other_types(body: bytes) -> bytes:
    """A list where an object is due, an object where a list is due."""
    return b'{"items": 7}' if body.lstrip().startswith(b"[") else b'["text"]'


def _other_values(body: bytes) -> bytes:
    """Of the right shape, with numbers for texts and texts for numbers."""

    def swapped(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: swapped(each) for name, each in value.items()}  # pyright: ignore[reportUnknownVariableType]
        if isinstance(value, list):
            return [swapped(each) for each in value]  # pyright: ignore[reportUnknownVariableType]
        return str(value) if isinstance(value, int) else 7 if isinstance(value, str) else value

    return json.dumps(swapped(json.loads(body))).encode()


def _huge_number(body: bytes) -> bytes:
    return re.sub(rb'"id": \d+', b'"id": ' + b"9" * 5_000, body, count=1)


HTML = b"<!DOCTYPE html><html><head><title>Unicorn!</title></head><body>This page is taking too long.</body></html>"

# What a 200 may turn into. Each of them must end in a typed outcome.
FAULTS: dict[str, Fault] = {
    "truncated": _with_body(lambda body: body[: len(body) // 2]),
    "not json": _with_body(lambda body: b"OK"),
    "html": lambda reply: Reply(200, HTML, content_type="text/html; charset=utf-8"),
    "empty": _with_body(lambda body: b""),
    "another type": _with_body(_other_types),
    "other values": _with_body(_other_values),
    "nulls": _with_body(_nulls),
    "null": _with_body(lambda body: b"null"),
    "5,000 digits": _with_body(_huge_number),
    "10,000 levels": _with_body(lambda body: b"[" * 10_000 + b"]" * 10_000),
    "not utf-8": _with_body(lambda body: body[:1] + b'"\xff\xfe"' + body[1:]),
    "cut": lambda reply: replace(reply, sent_bytes=len(reply.body) // 2),
    "no word": lambda reply: replace(reply, is_silent=True),
    "500": status_fault(500),
    "502": lambda reply: Reply(502, HTML, content_type="text/html; charset=utf-8"),
    "503": status_fault(503),
    "504": status_fault(504),
}


# Limits --------------------------------------------------------------------------------------------------------------


class Limited(NamedTuple):
    """A limited answer, and from when on (by the server's clock) the token may ask again."""

    reply: Reply
    allowed_from: float


Mix = Callable[["GitHub", float], Limited]

SECONDARY = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
PRIMARY = "API rate limit exceeded for user ID 1."
LIMITS_PAGE = "/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits"


def _retry_after(status: int) -> Mix:
    def make(github: "GitHub", now: float) -> Limited:
        seconds = github.rng.randint(1, 300)
        return Limited(error_reply(status, SECONDARY, LIMITS_PAGE, Retry_After=str(seconds)), now + seconds)

    return make


def _reset(status: int) -> Mix:
    def make(github: "GitHub", now: float) -> Limited:
        reset = int(now) + github.rng.randint(1, 1_800)
        headers = {"x_ratelimit_limit": "5000", "x_ratelimit_remaining": "0", "x_ratelimit_reset": str(reset)}
        return Limited(error_reply(status, PRIMARY, **headers), reset)

    return make


def _nothing(status: int) -> Mix:
    """No header at all: a minute at least, twice as long each further time."""

    def make(github: "GitHub", now: float) -> Limited:
        return Limited(error_reply(status, SECONDARY, LIMITS_PAGE), now + 60 * 2 ** min(github.untold_in_a_row, 5))

    return make


MIXES: dict[str, Mix] = {
    "403 with retry-after": _retry_after(403),
    "429 with retry-after": _retry_after(429),
    "403 with a spent quota": _reset(403),
    "429 with a spent quota": _reset(429),
    "403 with nothing": _nothing(403),
    "429 with nothing": _nothing(429),
}


@dataclass
class _Quota:
    used: int = 0
    reset_at: float = 0.0


class _Plan(NamedTuple):
    path: re.Pattern[str]
    fault: Fault
    left: list[int]


# The server ----------------------------------------------------------------------------------------------------------


class GitHub:
    """Listens from `with` on."""

    def __init__(
        self,
        truth: Truth | None = None,
        *,
        clock: Callable[[], float] = time.time,
        latency_s: float = 0.0,
        seed: int = 0,
        cursor_links: bool = False,
        link_on_304: bool = False,
    ) -> None:
        """`cursor_links`: a next page is `after` an item instead of a number of items, so that no change between two
        pages moves it. `link_on_304`: a 304 tells the next page."""
        self.truth = truth or Truth()
        self.clock = clock
        self.latency_s = latency_s
        self.rng = random.Random(seed)
        self.cursor_links = cursor_links
        self.link_on_304 = link_on_304
        self.quota = 5_000
        self.anonymous_quota = 60
        self.requests: list[Asked] = []
        self.before_reply: Callable[[Asked], None] | None = None
        self.chaos: Callable[[Asked, Reply], Reply] | None = None
        self.untold_in_a_row = 0
        self.app_key: Any = None  # the public key of the App, when there is one
        self.app_id = "1"
        self.installations: dict[int, str] = {}
        self._tokens: dict[str, float | None] = {}  # and until when each holds
        self._quotas: dict[tuple[str, str], _Quota] = {}
        self._allowed_from: dict[tuple[str, str], float] = {}  # by token and resource
        self._limits: list[Mix] = []
        self._plans: list[_Plan] = []
        self._statistics_asked: dict[int, int] = {}
        self._numbers = count(1)
        self._lock = threading.RLock()
        self._server = _Server(self)

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    # What a test plans and asks --------------------------------------------------------------------------------------

    def token(self, *, lasts_s: float | None = None) -> str:
        """A new one that is accepted."""
        with self._lock:
            made = f"ghp_{hashlib.sha256(str(next(self._numbers)).encode()).hexdigest()[:36]}"
            self._tokens[made] = None if lasts_s is None else self.clock() + lasts_s
            return made

    def revoke(self, token: str) -> None:
        with self._lock:
            self._tokens.pop(token, None)

    def limit_next(self, *mixes: Mix) -> None:
        """The next requests get these instead of an answer, one each."""
        with self._lock:
            self._limits.extend(mixes)

    def fail(self, path: str, fault: Fault, times: int = 1) -> None:
        """Answers to paths that match go wrong so often."""
        with self._lock:
            self._plans.append(_Plan(re.compile(path), fault, [times]))

    def spend(self, token: str, remaining: int, *, resets_in_s: float = HOUR, resource: str = "core") -> None:
        """Leave so many requests of this token's hour."""
        with self._lock:
            self._quotas[token, resource] = _Quota(self._limit_for(token) - remaining, self.clock() + resets_in_s)

    def used(self, token: str, resource: str = "core") -> int:
        with self._lock:
            return self._quotas.get((token, resource), _Quota()).used

    def paths(self) -> list[str]:
        with self._lock:
            return [asked.path for asked in self.requests]

    def early(self) -> list[Asked]:
        with self._lock:
            return [asked for asked in self.requests if asked.is_early]

    # One request -----------------------------------------------------------------------------------------------------

    def handle(self, asked: Asked) -> Reply:
        if self.before_reply is not None:
            self.before_reply(asked)
        with self._lock, self.truth.lock:
            self.requests.append(asked)
            reply = self._reply(asked)
            asked.status = reply.status
        if self.chaos is not None:
            reply = self.chaos(asked, reply)
        return replace(reply, before_s=reply.before_s + self.latency_s)

    def _reply(self, asked: Asked) -> Reply:
        now = self.clock()
        if asked.token and not self._is_accepted(asked.token) and not asked.path.startswith("/app"):
            return self._dated(error_reply(401, "Bad credentials"), now)
        resource = "graphql" if asked.path == "/graphql" else "core"
        allowed_from = max(self._allowed_from.get((asked.token, each), now) for each in (EVERYTHING, resource))
        if now < allowed_from - 0.001:
            asked.is_early = True
            return self._dated(self._told_again(allowed_from - now), now)
        if self._limits:
            mix = self._limits.pop(0)
            limited = mix(self, now)
            is_told = "Retry-After" in limited.reply.headers or "x-ratelimit-remaining" in limited.reply.headers
            self.untold_in_a_row = 0 if is_told else self.untold_in_a_row + 1
            # A quota is a resource's own; haste is held against all of them.
            spent = resource if "x-ratelimit-remaining" in limited.reply.headers else EVERYTHING
            self._allowed_from[asked.token, spent] = limited.allowed_from
            return self._dated(limited.reply, now)
        self.untold_in_a_row = 0
        quota = self._quota_of(asked.token, resource, now)
        limit = self._limit_for(asked.token)
        if quota.used >= limit and asked.path != "/rate_limit":
            self._allowed_from[asked.token, resource] = quota.reset_at
            return self._dated(error_reply(403, PRIMARY, **self._rate(quota, limit, resource)), now)
        reply, cost = self._answered(asked)
        reply = self._conditional(asked, reply)
        if not (reply.status == 304 and asked.token):
            quota.used += cost
        told = {name.replace("_", "-"): text for name, text in self._rate(quota, limit, resource).items()}
        reply = replace(reply, headers=told | reply.headers)
        return self._dated(self._faulty(asked, reply), now)

    def _told_again(self, seconds: float) -> Reply:
        return error_reply(403, SECONDARY, LIMITS_PAGE, Retry_After=str(int(seconds) + 1))

    def _dated(self, reply: Reply, now: float) -> Reply:
        return replace(reply, headers={"Date": formatdate(int(now), usegmt=True)} | reply.headers)

    def _is_accepted(self, token: str) -> bool:
        until = self._tokens.get(token, 0.0)
        return until is None or self.clock() < until

    def _limit_for(self, token: str) -> int:
        return self.quota if token else self.anonymous_quota

    def _quota_of(self, token: str, resource: str, now: float) -> _Quota:
        quota = self._quotas.setdefault((token, resource), _Quota(0, int(now) + HOUR))
        if now >= quota.reset_at:
            quota.used, quota.reset_at = 0, int(now) + HOUR
        return quota

    @staticmethod
    def _rate(quota: _Quota, limit: int, resource: str) -> dict[str, str]:
        return {
            "x_ratelimit_limit": str(limit),
            "x_ratelimit_remaining": str(max(0, limit - quota.used)),
            "x_ratelimit_used": str(quota.used),
            "x_ratelimit_reset": str(int(quota.reset_at)),
            "x_ratelimit_resource": resource,
        }

    def _conditional(self, asked: Asked, reply: Reply) -> Reply:
        if reply.status != 200 or asked.method != "GET":
            return reply
        said = f"{asked.token} {asked.path} {sorted(asked.query.items())} ".encode() + reply.body
        etag = f'W/"{hashlib.sha256(said).hexdigest()}"'
        if asked.headers.get("if-none-match") == etag:
            kept = {"Link": reply.headers["Link"]} if self.link_on_304 and "Link" in reply.headers else {}
            return Reply(304, b"", {"ETag": etag} | kept)
        return replace(reply, headers=reply.headers | {"ETag": etag})

    def _faulty(self, asked: Asked, reply: Reply) -> Reply:
        for plan in self._plans:
            if plan.left[0] > 0 and plan.path.search(asked.path) and reply.status != 304:
                plan.left[0] -= 1
                return plan.fault(reply)
        return reply

    # What the API knows ----------------------------------------------------------------------------------------------

    def _answered(self, asked: Asked) -> tuple[Reply, int]:
        """And what it costs."""
        if asked.path == "/graphql" and asked.method == "POST":
            return self._graphql(asked)
        if asked.path.startswith("/app"):
            return self._app(asked), 0
        if asked.method != "GET":
            return error_reply(404, "Not Found"), 1
        if match := re.fullmatch(r"/(orgs|users)/([^/]+)/repos", asked.path):
            return self._repos_of(asked, match[1], match[2]), 1
        if match := re.fullmatch(r"/repositories/(\d+)((?:/.*)?)", asked.path):
            repo = self.truth.repos.get(int(match[1]))
            return self._of_repo(asked, repo, match[2]), 1
        if match := re.fullmatch(r"/repos/([^/]+)/([^/]+)((?:/.*)?)", asked.path):
            named = f"{match[1]}/{match[2]}"
            repo = self.truth.named(named)
            if repo is not None and repo.full_name.lower() != named.lower() and repo.access != "missing":
                query = f"?{urlencode(asked.query)}" if asked.query else ""
                url = f"{self.url}/repositories/{repo.id}{match[3]}{query}"
                page = "https://docs.github.com/rest/guides/best-practices-for-using-the-rest-api#follow-redirects"
                told = {"message": "Moved Permanently", "url": url, "documentation_url": page}
                return json_reply(301, told, Location=url), 1
            return self._of_repo(asked, repo, match[3]), 1
        if asked.path == "/rate_limit":
            return json_reply(200, {"resources": {}, "rate": {}}), 0
        return error_reply(404, "Not Found"), 1

    def _repos_of(self, asked: Asked, kind: str, login: str) -> Reply:
        owner = self.truth.accounts.get(login.lower())
        if owner is None or (kind == "orgs") != (owner.kind == "Organization"):
            return error_reply(404, "Not Found")
        repos = [
            repo
            for repo in self.truth.repos.values()
            if repo.owner is owner and repo.access == "ok" and (asked.token or not repo.private)
        ]
        repos.sort(key=lambda repo: repo.full_name.lower())
        keys = [(repo.full_name.lower(), repo.id) for repo in repos]
        return self._page(asked, repos, keys, lambda repo: shapes.repository(self.url, repo, full=False))

    def _of_repo(self, asked: Asked, repo: Repo | None, rest: str) -> Reply:
        if repo is None or repo.access == "missing" or (repo.private and not asked.token):
            return error_reply(404, "Not Found")
        if repo.access == "forbidden":
            return error_reply(403, "Resource not accessible by personal access token")
        if repo.access == "blocked":
            told: dict[str, Any] = {"message": "Repository access blocked", "block": {"reason": "dmca"}}
            return json_reply(451, told)
        if rest == "":
            return json_reply(200, shapes.repository(self.url, repo, full=True))
        if match := re.fullmatch(r"/(issues|pulls)/(\d+)(/reviews|/comments|/commits|/timeline)?", rest):
            return self._one(asked, repo, match[1], int(match[2]), match[3] or "")
        lists: dict[str, Callable[[Asked, Repo], Reply]] = {
            "/issues": self._issues,
            "/pulls": self._pulls,
            "/labels": self._labels,
            "/milestones": self._milestones,
            "/commits": self._commits,
            "/contributors": self._contributors,
            "/releases": self._releases,
            "/languages": lambda _, of: json_reply(200, of.languages),
            "/stats/contributors": self._statistics,
        }
        if match := re.fullmatch(r"/commits/([^/]+)", rest):
            return self._commit(repo, match[1])
        make = lists.get(rest)
        return make(asked, repo) if make is not None else error_reply(404, "Not Found")

    def _one(self, asked: Asked, repo: Repo, kind: str, number: int, rest: str) -> Reply:
        if kind == "issues" and number in repo.transferred:
            to, there = repo.transferred[number]
            url = f"{self.url}/repositories/{to.id}/issues/{there}"
            return json_reply(301, {"message": "Moved Permanently", "url": url}, Location=url)
        if kind == "issues" and number in repo.deleted:
            return error_reply(410, "This issue was deleted")
        issue = repo.issues.get(number)
        if kind == "issues" and not repo.has_issues and (issue is None or issue.pull is None):
            return error_reply(410, "Issues are disabled for this repo")
        if issue is None or (kind == "pulls" and issue.pull is None):
            return error_reply(404, "Not Found")
        if kind == "issues" and rest == "/comments":
            keys = [(each.created_at.isoformat(), each.id) for each in issue.thread]
            return self._page(asked, issue.thread, keys, lambda each: shapes.comment(self.url, repo, issue, each))
        if kind == "issues" and rest == "/timeline":
            timeline = shapes.timeline(self.url, repo, issue)
            keys = [("", place) for place in range(len(timeline))]
            return self._page(asked, timeline, keys, lambda each: each)
        if kind == "issues":
            return json_reply(200, shapes.issue(self.url, repo, issue))
        if rest == "/commits" and issue.pull is not None:
            keys = [("", place) for place in range(len(issue.pull.commits))]
            return self._page(asked, issue.pull.commits, keys, lambda each: shapes.commit(self.url, repo, each))
        if rest != "/reviews" or issue.pull is None:
            return json_reply(200, shapes.pull(self.url, repo, issue, full=True))
        found = issue.pull.reviews
        keys = [(each.submitted_at.isoformat(), each.id) for each in found]
        return self._page(asked, found, keys, lambda each: shapes.review(self.url, repo, issue, each))

    def _issues(self, asked: Asked, repo: Repo) -> Reply:
        if not repo.has_issues:
            return error_reply(410, "Issues are disabled for this repo")
        found = list(repo.issues.values())
        if since := asked.query.get("since"):
            found = [issue for issue in found if issue.updated_at >= _moment(since)]
        found = self._sorted(asked, found)
        return self._page(asked, found, self._keys(asked, found), lambda each: shapes.issue(self.url, repo, each))

    def _pulls(self, asked: Asked, repo: Repo) -> Reply:
        """There is no `since` here: GitHub does not heed it."""
        found = self._sorted(asked, repo.pulls())
        keys = self._keys(asked, found)
        return self._page(asked, found, keys, lambda each: shapes.pull(self.url, repo, each, full=False))

    @staticmethod
    def _sorted(asked: Asked, found: Sequence[Issue]) -> list[Issue]:
        state = asked.query.get("state", "open")
        by = {"updated": "updated_at", "comments": "comments"}.get(asked.query.get("sort", ""), "created_at")
        return sorted(
            (issue for issue in found if state in ("all", issue.state)),
            key=lambda issue: (getattr(issue, by), issue.id),
            reverse=asked.query.get("direction", "desc") == "desc",
        )

    @staticmethod
    def _keys(asked: Asked, found: Sequence[Issue]) -> list[tuple[str, int]]:
        by = "updated_at" if asked.query.get("sort") == "updated" else "created_at"
        return [(getattr(issue, by).isoformat(), issue.id) for issue in found]

    def _labels(self, asked: Asked, repo: Repo) -> Reply:
        keys = [("", each.id) for each in repo.labels]
        return self._page(asked, repo.labels, keys, lambda each: shapes.label(self.url, repo, each))

    def _milestones(self, asked: Asked, repo: Repo) -> Reply:
        state = asked.query.get("state", "open")
        found = [each for each in repo.milestones if state in ("all", each.state)]
        keys = [("", each.id) for each in found]
        return self._page(asked, found, keys, lambda each: shapes.milestone(self.url, repo, each))

    def _commits(self, asked: Asked, repo: Repo) -> Reply:
        if not repo.commits:
            return error_reply(409, "Git Repository is empty.", "/commits/commits#list-commits")
        from_ = self._head(repo, asked.query.get("sha", repo.default_branch))
        if from_ is None:
            return error_reply(404, "Not Found", "/commits/commits#list-commits")
        since = asked.query.get("since")
        found = [each for each in _history(from_) if since is None or each.at >= _moment(since)]
        keys = [(each.at.isoformat(), -number) for number, each in enumerate(found)]
        return self._page(asked, found, keys, lambda each: shapes.commit(self.url, repo, each))

    def _commit(self, repo: Repo, ref: str) -> Reply:
        if not repo.commits:
            return error_reply(409, "Git Repository is empty.", "/commits/commits#get-a-commit")
        found = self._head(repo, ref)
        if found is None:
            return error_reply(422, f"No commit found for SHA: {ref}", "/commits/commits#get-a-commit")
        told: dict[str, Any] = {"stats": {"total": 3, "additions": 2, "deletions": 1}, "files": []}
        return json_reply(200, shapes.commit(self.url, repo, found) | told)

    @staticmethod
    def _head(repo: Repo, ref: str) -> Commit | None:
        """Of the default branch, or the commit of that sha, which outlives a forced push."""
        return repo.commits[-1] if ref in (repo.default_branch, "HEAD") else repo.ever.get(ref)

    def _contributors(self, asked: Asked, repo: Repo) -> Reply:
        if not repo.commits:
            return Reply(204)
        by: dict[str, int] = {}
        for each in repo.commits:
            if each.author is not None:
                by[each.author.login] = by.get(each.author.login, 0) + 1
        ranked = sorted(by.items(), key=lambda pair: (-pair[1], pair[0]))
        keys = [("", place) for place in range(len(ranked))]
        return self._page(
            asked, ranked, keys, lambda each: shapes.contributor(self.url, self.truth.account(each[0]), each[1])
        )

    def _releases(self, asked: Asked, repo: Repo) -> Reply:
        found = repo.releases[::-1]
        keys = [("", each.id) for each in found]
        return self._page(asked, found, keys, lambda each: shapes.release(self.url, repo, each))

    def _statistics(self, asked: Asked, repo: Repo) -> Reply:
        asked_before = self._statistics_asked.get(repo.id, 0)
        self._statistics_asked[repo.id] = asked_before + 1
        return json_reply(202, {}) if asked_before < repo.statistics_after else json_reply(200, [])

    # Pages -----------------------------------------------------------------------------------------------------------

    def _page(
        self, asked: Asked, items: Sequence[_T], keys: Sequence[tuple[str, int]], show: Callable[[_T], Any]
    ) -> Reply:
        """`keys` give each item's place in the order, for cursors."""
        per_page = min(100, max(1, int(asked.query.get("per_page", "30"))))
        number = max(1, int(asked.query.get("page", "1")))
        begin = (number - 1) * per_page
        if after := asked.query.get("after"):
            key, at = json.loads(base64.urlsafe_b64decode(after))
            is_descending = len(keys) > 1 and keys[0] > keys[-1]
            begin = sum((each < (key, at)) != is_descending for each in keys if each != (key, at))
            begin += sum(each == (key, at) for each in keys)
        shown = items[begin : begin + per_page]
        links: dict[str, str] = {}
        has_next = begin + len(shown) < len(items)
        query = {name: value for name, value in asked.query.items() if name not in ("page", "after")}
        if self.cursor_links and has_next:
            cursor = base64.urlsafe_b64encode(json.dumps(keys[begin + len(shown) - 1]).encode()).decode()
            links["next"] = urlencode(query | {"after": cursor})
        elif not self.cursor_links:
            last = max(1, -(-len(items) // per_page))
            if number > 1:
                links |= {"prev": urlencode(query | {"page": str(number - 1)})}
            if has_next:
                links |= {
                    "next": urlencode(query | {"page": str(number + 1)}),
                    "last": urlencode(query | {"page": str(last)}),
                }
            if number > 1:
                links |= {"first": urlencode(query | {"page": "1"})}
        link = ", ".join(f'<{self._by_id(asked.path)}?{text}>; rel="{name}"' for name, text in links.items())
        return json_reply(200, [show(each) for each in shown], **({"Link": link} if link else {}))

    def _by_id(self, path: str) -> str:
        """GitHub's links name a repository by its number."""
        match = re.fullmatch(r"/repos/([^/]+)/([^/]+)(/.*)", path)
        repo = self.truth.named(f"{match[1]}/{match[2]}") if match else None
        return self.url + (f"/repositories/{repo.id}{match[3]}" if match and repo else quote(path))

    # GraphQL and the App ---------------------------------------------------------------------------------------------

    def _graphql(self, asked: Asked) -> tuple[Reply, int]:
        if not asked.token:
            return error_reply(401, "This endpoint requires you to be authenticated.", "/graphql"), 0
        try:
            document: Mapping[str, Any] = json.loads(asked.body)
            query: str = document["query"]
            variables: Mapping[str, Any] = document.get("variables") or {}
        except (ValueError, KeyError):
            return error_reply(400, "Problems parsing JSON"), 1
        quota = self._quota_of(asked.token, "graphql", self.clock())
        limit = self._limit_for(asked.token)

        def rate(cost: int) -> Mapping[str, Any]:
            reset_at = datetime.fromtimestamp(quota.reset_at, UTC)
            used = quota.used + cost
            return {
                "cost": cost,
                "limit": limit,
                "used": used,
                "remaining": limit - used,
                "nodeCount": 0,
                "resetAt": shapes.stamp(reset_at),
            }

        found, cost = GraphQL(self.truth, query, variables, lambda repo: repo.access == "ok").answer(rate)
        return json_reply(200, found), cost

    def _app(self, asked: Asked) -> Reply:
        if not self._is_word_of_app(asked.token):
            return error_reply(401, "A JSON web token could not be decoded")
        if asked.path == "/app/installations" and asked.method == "GET":
            numbers = sorted(self.installations)
            return self._page(asked, numbers, [("", number) for number in numbers], self._installation)
        match = re.fullmatch(r"/app/installations/(\d+)/access_tokens", asked.path)
        if match is None or asked.method != "POST" or int(match[1]) not in self.installations:
            return error_reply(404, "Not Found")
        token = "ghs_" + self.token(lasts_s=HOUR).removeprefix("ghp_")
        self._tokens[token] = self.clock() + HOUR
        expires_at = shapes.stamp(datetime.fromtimestamp(self.clock() + HOUR, UTC))
        told = {"token": token, "expires_at": expires_at, "permissions": {"issues": "read"}}
        return json_reply(201, told | {"repository_selection": "all"})

    def _installation(self, number: int) -> Any:
        owner = self.truth.account(self.installations[number], "Organization")
        return shapes.installation(self.url, number, self.app_id, owner)

    def _is_word_of_app(self, word: str) -> bool:
        if self.app_key is None or word.count(".") != 2:
            return False
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
        from cryptography.hazmat.primitives.hashes import SHA256

        head, claims, signature = word.split(".")
        try:
            self.app_key.verify(_unpadded(signature), f"{head}.{claims}".encode(), PKCS1v15(), SHA256())
        except InvalidSignature:
            return False
        said = json.loads(_unpadded(claims))
        now = self.clock()
        is_valid = said["iat"] <= now < said["exp"] <= said["iat"] + 600
        return json.loads(_unpadded(head)) == {"alg": "RS256", "typ": "JWT"} and said["iss"] == self.app_id and is_valid


def _history(head: Commit) -> list[Commit]:
    """From the newest on, as git lists it: by time, and none before what it is a parent of."""
    found: dict[str, Commit] = {}
    waiting = [(-head.at.timestamp(), 0, head)]
    numbers = count(1)
    while waiting:
        each = heapq.heappop(waiting)[2]
        if each.sha not in found:
            found[each.sha] = each
            for parent in each.parents:
                heapq.heappush(waiting, (-parent.at.timestamp(), next(numbers), parent))
    return list(found.values())


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _unpadded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


# HTTP ----------------------------------------------------------------------------------------------------------------


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    block_on_close = False

    def __init__(self, github: GitHub) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.github = github
        self.closing = threading.Event()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), name="github", daemon=True)
        self._peers: set[socket.socket] = set()
        self._peers_lock = threading.Lock()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self.closing.set()
        self.shutdown()
        self.server_close()
        with self._peers_lock:
            for peer in self._peers:
                try:
                    peer.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # it has hung up already
        self._thread.join(10)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._peers_lock:
            self._peers.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._peers_lock:
            self._peers.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        import sys

        if not isinstance(sys.exc_info()[1], OSError):  # whoever hung up has its reasons
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_GET(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - theirs
        """Tests look at `requests`."""

    def _handle(self) -> None:
        github = self.server.github
        address = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(
            github.clock(),
            self.command,
            address.path,
            dict(parse_qsl(address.query)),
            headers.get("authorization", "").partition(" ")[2],
            headers,
            self.rfile.read(int(headers.get("content-length", "0"))),
        )
        reply = github.handle(asked)
        if reply.before_s:
            self.server.closing.wait(reply.before_s)
        if reply.is_silent:
            self.close_connection = True
            return
        body, packed = reply.body, {}
        if len(body) > 1_000 and "gzip" in headers.get("accept-encoding", ""):
            body, packed = gzip.compress(body, 1), {"Content-Encoding": "gzip"}
        cut = None if reply.sent_bytes is None else len(body) // 2
        self._send(reply, body, packed, cut)

    def _send(self, reply: Reply, body: bytes, packed: Mapping[str, str], cut: int | None) -> None:
        head = {"Server": "github.com", "Content-Type": reply.content_type, **reply.headers, **packed}
        if reply.status not in (204, 304):
            head["Content-Length"] = str(len(body))
        lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
        whole = f"HTTP/1.1 {reply.status} Said\r\n{lines}\r\n".encode("latin-1") + (body if cut is None else body[:cut])
        if reply.byte_pause_s:
            for at in range(len(whole)):
                self.wfile.write(whole[at : at + 1])
                if self.server.closing.wait(reply.byte_pause_s):
                    break
        else:
            self.wfile.write(whole)
        if cut is not None:
            self.close_connection = True
