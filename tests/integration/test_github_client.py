"""The client against a server that answers as GitHub documents it."""

import random
import threading
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from typing import Any

import pytest

from bench_github import (
    FAULTS,
    MIXES,
    Asked,
    GitHub,
    Mix,
    Reply,
    error_reply,
    leads_to,
    redirects_to,
    slow,
    status_fault,
    trickle,
)
from bench_github import (
    Limited as LimitedReply,
)
from bench_github_truth import Repo
from jobctl.errors import ConfigurationError
from jobctl.github.address import api_at
from jobctl.github.app import App, sign
from jobctl.github.budget import Budget
from jobctl.github.client import Client
from jobctl.github.credentials import Credential, Keyring, Token
from jobctl.github.etags import Kept
from jobctl.github.failures import (
    BadAnswer,
    BudgetSpent,
    CredentialsRefused,
    Forbidden,
    ForeignHost,
    Gone,
    Limited,
    NoAnswer,
    NotAccepted,
    Outcome,
    ServerTrouble,
)
from jobctl.github.pace import Pace
from jobctl.github.page import Found, Page
from jobctl.github.wire import Wire

BEGIN = 1_790_000_000.0
ISSUES = "/repos/octo/cat/issues?state=all&sort=updated&direction=asc&per_page=10"


class Clock:
    """One time for server and client; who sleeps makes it go on."""

    def __init__(self) -> None:
        self.seconds = BEGIN
        self.slept: list[float] = []
        self._lock = threading.Lock()

    def now(self) -> float:
        return self.seconds

    def utc_now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.slept.append(seconds)
            self.seconds += seconds


class Memory:
    """ETags of one test."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], Kept] = {}

    def find(self, identity: str, url: str) -> Kept | None:
        return self.kept.get((identity, url))

    def keep(self, page: Page) -> None:
        if page.keep is not None:
            self.kept[page.keep.identity, page.keep.url] = page.keep


class Asking:
    """What `get` and `pages` need every time."""

    def __init__(self, client: Client, memory: Memory) -> None:
        self.client = client
        self.memory = memory

    def get(self, path: str, *, keep: bool = True, conditional: bool = True) -> Page:
        page = self.client.get(path, project="octo/cat", endpoint="test", conditional=conditional)
        if keep:
            self.memory.keep(page)
        return page

    def pages(self, path: str) -> list[Page]:
        found: list[Page] = []
        for page in self.client.pages(path, project="octo/cat", endpoint="test"):
            self.memory.keep(page)
            found.append(page)
        return found


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def github(clock: Clock) -> Generator[GitHub, None, None]:
    with GitHub(clock=clock.now) as github:
        yield github


@pytest.fixture
def repo(github: GitHub) -> Repo:
    return github.truth.repo("octo/cat")


NewAsking = Callable[..., Asking]


@pytest.fixture
def new(github: GitHub, clock: Clock) -> Generator[NewAsking, None, None]:
    wires: list[Wire] = []

    def make(
        *credentials: Credential,
        memory: Memory | None = None,
        budget: Budget | None = None,
        until: float = float("inf"),
        check: Callable[[], object] = lambda: None,
        timeout_s: float = 30.0,
        sleep: Callable[[float], object] = clock.sleep,
    ) -> Asking:
        api = api_at(github.url)
        wires.append(Wire(api.origin, check=check, timeout_s=timeout_s))
        memory = memory or Memory()
        client = Client(
            api,
            Keyring(credentials or [Token("GITHUB_TOKEN", github.token())]),
            wires[-1],
            until=until,
            etags=memory,
            budget=budget,
            pace=Pace(burst=1e9),
            sleep=sleep,
            check=check,
            now=clock.now,
            utc_now=clock.utc_now,
        )
        return Asking(client, memory)

    yield make
    for wire in wires:
        wire.close()


@pytest.fixture
def asking(new: NewAsking) -> Asking:
    return new()


# Pages and ETags ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cursor_links", [False, True])
def test_pages_are_followed_by_their_link_to_the_last(
    github: GitHub, repo: Repo, asking: Asking, cursor_links: bool
) -> None:
    github.cursor_links = cursor_links
    for _ in range(25):
        github.truth.open_issue(repo)
    pages = asking.pages(ISSUES)
    assert [len(page.data) for page in pages] == [10, 10, 5]
    assert [item["number"] for page in pages for item in page.data] == list(range(1, 26))
    assert github.paths()[1:] == [f"/repositories/{repo.id}/issues"] * 2


@pytest.mark.parametrize("link_on_304", [False, True])
def test_an_unchanged_page_costs_no_quota_and_still_leads_to_the_next(
    github: GitHub, repo: Repo, asking: Asking, link_on_304: bool
) -> None:
    github.link_on_304 = link_on_304
    for _ in range(25):
        github.truth.open_issue(repo)
    asking.pages(ISSUES)
    spent = asking.client.account.total().quota
    again = asking.pages(ISSUES)
    assert [page.found for page in again] == [Found.UNCHANGED] * 3
    assert all(page.data is None and page.keep is None for page in again)
    total = asking.client.account.total()
    assert (total.requests, total.unchanged, total.quota) == (6, 3, spent)
    assert github.used(next(iter(github._tokens))) == 3


def test_only_the_page_that_changed_is_sent_again(github: GitHub, repo: Repo, asking: Asking) -> None:
    issues = [github.truth.open_issue(repo) for _ in range(25)]
    by_creation = ISSUES.replace("sort=updated", "sort=created")
    asking.pages(by_creation)
    github.truth.edit(issues[12], title="another")
    again = asking.pages(by_creation)
    assert [page.found for page in again] == [Found.UNCHANGED, Found.DATA, Found.UNCHANGED]
    assert again[1].data[2]["title"] == "another"


def test_a_full_last_page_is_asked_for_whole_since_only_link_would_tell_of_another(
    github: GitHub, repo: Repo, asking: Asking
) -> None:
    for _ in range(10):
        github.truth.open_issue(repo)
    assert [len(page.data) for page in asking.pages(ISSUES)] == [10]
    github.truth.open_issue(repo)
    again = asking.pages(ISSUES)
    assert [item["number"] for page in again for item in page.data or ()] == list(range(1, 12))


def test_an_etag_belongs_to_its_token(github: GitHub, repo: Repo, new: NewAsking) -> None:
    memory = Memory()
    first = new(Token("a", github.token()), memory=memory)
    first.get("/repos/octo/cat")
    assert first.get("/repos/octo/cat").found is Found.UNCHANGED
    other = new(Token("b", github.token()), memory=memory)
    assert other.get("/repos/octo/cat").found is Found.DATA
    assert not github.requests[-1].is_conditional


def test_what_was_not_kept_is_sent_again(github: GitHub, repo: Repo, asking: Asking) -> None:
    """As after a rollback of the transaction that was to keep it."""
    asking.get("/repos/octo/cat", keep=False)
    assert asking.get("/repos/octo/cat", keep=False).found is Found.DATA


def test_without_conditions_everything_is_sent(github: GitHub, repo: Repo, asking: Asking) -> None:
    asking.get("/repos/octo/cat")
    page = asking.get("/repos/octo/cat", conditional=False)
    assert (page.found, page.keep) == (Found.DATA, None)


def test_a_304_that_was_not_asked_for_is_a_bad_answer(github: GitHub, repo: Repo, asking: Asking) -> None:
    github.fail("/repos/octo/cat", lambda reply: Reply(304))
    with pytest.raises(BadAnswer, match="304"):
        asking.get("/repos/octo/cat")


def test_links_in_a_circle_end(github: GitHub, repo: Repo, asking: Asking) -> None:
    here = f"{github.url}/repos/octo/cat/labels"
    github.fail("labels", lambda reply: Reply(200, b"[]", {"Link": f'<{here}>; rel="next"'}), times=9)
    with pytest.raises(BadAnswer, match="read before"):
        asking.pages("/repos/octo/cat/labels")


def test_an_anonymous_304_is_counted_against_the_quota(github: GitHub, repo: Repo, new: NewAsking) -> None:
    asking = new(Token("nobody", None))
    asking.get("/repos/octo/cat")
    assert asking.get("/repos/octo/cat").found is Found.UNCHANGED
    assert asking.client.account.total().quota == github.used("") == 2


# Moved, empty, gone ---------------------------------------------------------------------------------------------------


def test_a_renamed_repository_is_followed_and_told_as_moved(github: GitHub, repo: Repo, asking: Asking) -> None:
    assert asking.get("/repos/octo/cat").moved_to is None
    github.truth.rename(repo, "dog", owner="newocto")
    page = asking.get("/repos/octo/cat")
    assert page.data["full_name"] == "newocto/dog"
    assert page.moved_to == f"{github.url}/repositories/{repo.id}"
    again = asking.get("/repos/octo/cat")
    assert (again.found, again.moved_to) == (Found.UNCHANGED, page.moved_to)


def test_a_moved_list_keeps_its_query(github: GitHub, repo: Repo, asking: Asking) -> None:
    for _ in range(12):
        github.truth.open_issue(repo)
    github.truth.rename(repo, "dog")
    assert [len(page.data) for page in asking.pages(ISSUES)] == [10, 2]


def test_redirects_without_end_end(github: GitHub, repo: Repo, asking: Asking) -> None:
    github.fail("/repos/octo/cat", redirects_to(f"{github.url}/repos/octo/cat"), times=99)
    with pytest.raises(BadAnswer, match="redirects"):
        asking.get("/repos/octo/cat")


def test_a_repository_without_commits_is_empty(github: GitHub, repo: Repo, asking: Asking) -> None:
    repo.commits.clear()
    assert asking.get("/repos/octo/cat/commits") == (Found.EMPTY, None, None, None, None)  # 409
    assert asking.get("/repos/octo/cat/contributors").found is Found.EMPTY  # 204


def test_statistics_that_are_being_computed_are_told_so(repo: Repo, asking: Asking) -> None:
    path = "/repos/octo/cat/stats/contributors"
    assert [asking.get(path).found for _ in range(2)] == [Found.COMPUTING, Found.DATA]


def test_404_410_and_451_are_gone(github: GitHub, repo: Repo, asking: Asking) -> None:
    github.truth.open_issue(repo)
    github.truth.delete_issue(repo, 1)
    paths = {404: "/repos/octo/none", 410: "/repos/octo/cat/issues/1"}
    for status, path in paths.items():
        with pytest.raises(Gone) as raised:
            asking.get(path)
        assert (raised.value.status, raised.value.outcome) == (status, Outcome.GONE)
        assert path in raised.value.message
    repo.access = "blocked"
    with pytest.raises(Gone, match="451: Repository access blocked"):
        asking.get("/repos/octo/cat")


def test_a_403_of_access_is_forbidden_at_once(github: GitHub, clock: Clock, repo: Repo, asking: Asking) -> None:
    repo.access = "forbidden"
    with pytest.raises(Forbidden, match="not accessible by personal access token") as raised:
        asking.get("/repos/octo/cat")
    assert raised.value.outcome is Outcome.FORBIDDEN
    assert (len(github.requests), clock.slept) == (1, [])


def test_another_4xx_says_what_was_not_accepted(github: GitHub, repo: Repo, asking: Asking) -> None:
    github.fail("/repos/octo/cat", lambda reply: error_reply(422, "Validation Failed"))
    with pytest.raises(NotAccepted, match="422: Validation Failed"):
        asking.get("/repos/octo/cat")


# Limits ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mix", MIXES)
def test_a_limit_is_waited_out_and_the_answer_comes(
    github: GitHub, clock: Clock, repo: Repo, asking: Asking, mix: str
) -> None:
    github.limit_next(MIXES[mix])
    assert asking.get("/repos/octo/cat").found is Found.DATA
    assert github.early() == []
    assert len(github.requests) == 2
    assert sum(clock.slept) > 0
    total = asking.client.account.total()
    assert (total.requests, total.limited, total.quota) == (2, 1, 1)


def test_no_request_comes_early_after_a_thousand_limited_answers(
    github: GitHub, clock: Clock, repo: Repo, new: NewAsking
) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    asking = new(*(Token(f"token {number}", github.token()) for number in range(3)))
    limited = 0
    while limited < 1_000:
        mixes: list[Mix] = [rng.choice(list(MIXES.values())) for _ in range(rng.randint(1, 4))]
        limited += len(mixes)
        github.limit_next(*mixes)
        asking.get("/repos/octo/cat")
        clock.seconds += rng.choice([0.0, 0.3, 5.0])
    assert github.early() == []
    assert asking.client.account.total().limited == limited
    assert len([asked for asked in github.requests if asked.status in (403, 429)]) == limited


@pytest.mark.parametrize("mix", MIXES)
def test_a_limit_beyond_the_callers_patience_is_raised_and_never_told_as_lost_access(
    github: GitHub, clock: Clock, repo: Repo, new: NewAsking, mix: str
) -> None:
    asking = new(until=BEGIN + 0.5)
    github.limit_next(MIXES[mix])
    with pytest.raises(Limited) as raised:
        asking.get("/repos/octo/cat")
    assert raised.value.outcome is Outcome.LIMITED
    assert raised.value.until > clock.utc_now()
    assert f"{raised.value.until:%H:%M:%S}" in raised.value.message
    assert clock.slept == []
    with pytest.raises(Limited):  # and nothing is asked meanwhile
        asking.get("/repos/octo/cat")
    assert len(github.requests) == 1


def test_a_limit_that_never_ends_is_raised_after_five_in_a_row_each_twice_as_long(
    github: GitHub, clock: Clock, repo: Repo, asking: Asking
) -> None:
    github.limit_next(*[MIXES["403 with nothing"]] * 9)
    with pytest.raises(Limited, match="5 times in a row"):
        asking.get("/repos/octo/cat")
    assert clock.slept == [60.0, 120.0, 240.0, 480.0]
    assert len(github.requests) == 5


def test_a_403_without_a_readable_body_is_a_limit(github: GitHub, clock: Clock, repo: Repo, asking: Asking) -> None:
    github.fail("/repos/octo/cat", lambda reply: Reply(403, b"<html>no</html>", content_type="text/html"))
    assert asking.get("/repos/octo/cat").found is Found.DATA
    assert sum(clock.slept) == 60.0


def test_a_token_with_nothing_left_is_not_asked_for_more(
    github: GitHub, clock: Clock, repo: Repo, new: NewAsking
) -> None:
    token = github.token()
    asking = new(Token("t", token))
    github.spend(token, 2, resets_in_s=600)
    for _ in range(3):
        asking.get("/repos/octo/cat", conditional=False)
    assert [asked.status for asked in github.requests] == [200, 200, 200]
    assert 599 <= sum(clock.slept) <= 602


def test_another_token_takes_over_from_a_spent_one(github: GitHub, clock: Clock, repo: Repo, new: NewAsking) -> None:
    secrets = [github.token(), github.token()]
    asking = new(*(Token(secret, secret) for secret in secrets))
    asking.get("/repos/octo/cat", conditional=False)
    home = github.requests[-1].token
    github.spend(home, 1)
    for _ in range(4):
        asking.get("/repos/octo/cat", conditional=False)
    [other] = [secret for secret in secrets if secret != home]
    assert [asked.token for asked in github.requests] == [home, home, other, other, other]
    assert clock.slept == []


def test_a_spent_token_still_asks_graphql(github: GitHub, repo: Repo, new: NewAsking) -> None:
    token = github.token()
    asking = new(Token("t", token), until=BEGIN)
    github.spend(token, 1)
    asking.get("/repos/octo/cat")
    with pytest.raises(Limited):
        asking.get("/repos/octo/cat")
    asking.client.graphql("query { rateLimit { cost } }", {}, project="octo/cat", endpoint="x")


def test_a_limit_told_to_one_thread_holds_for_all(github: GitHub, repo: Repo, new: NewAsking, clock: Clock) -> None:
    """While the first thread waits, the second sends nothing."""
    asleep, awake = threading.Semaphore(0), threading.Event()

    def sleep(seconds: float) -> None:
        asleep.release()
        awake.wait(10)
        clock.sleep(seconds)

    asking = new(sleep=sleep)
    github.limit_next(MIXES["403 with nothing"])
    paths = ("/repos/octo/cat", "/repos/octo/cat/labels")
    threads = [threading.Thread(target=asking.get, args=(path,), daemon=True) for path in paths]
    threads[0].start()
    assert asleep.acquire(timeout=10)
    threads[1].start()
    assert asleep.acquire(timeout=10)
    assert len(github.requests) == 1
    awake.set()
    for thread in threads:
        thread.join(10)
    assert github.early() == []
    assert [asked.status for asked in github.requests] == [403, 200, 200]


def test_a_limit_that_is_told_while_a_request_waits_for_its_turn_holds_for_it(
    github: GitHub, repo: Repo, new: NewAsking, clock: Clock
) -> None:
    def sleep(seconds: float) -> None:
        if not clock.slept:  # meanwhile another thread hears of a limit
            asking.client._keyring.silence_all(clock.now() + 100)
        clock.sleep(seconds)

    asking = new(sleep=sleep)
    asking.client._waiting._pace = Pace(burst=0, points_per_s=1.0)
    asking.get("/repos/octo/cat")
    assert clock.now() == BEGIN + 100


def test_waiting_stops_when_the_run_is_to_stop(github: GitHub, repo: Repo, new: NewAsking) -> None:
    class Stopped(Exception):
        pass

    stopping = threading.Event()

    def check() -> None:
        if stopping.is_set():
            raise Stopped

    def sleep(_seconds: float) -> None:
        stopping.set()

    asking = new(check=check, sleep=sleep)
    github.limit_next(MIXES["403 with nothing"])
    with pytest.raises(Stopped):
        asking.get("/repos/octo/cat")
    assert len(github.requests) == 1


def test_graphql_tells_of_a_limit_with_200(github: GitHub, clock: Clock, repo: Repo, asking: Asking) -> None:
    def limited(github: GitHub, now: float) -> LimitedReply:
        body = b'{"errors": [{"type": "RATE_LIMITED", "message": "API rate limit exceeded"}]}'
        headers = {"x-ratelimit-limit": "5000", "x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(now) + 90)}
        return LimitedReply(Reply(200, body, headers | {"x-ratelimit-resource": "graphql"}), int(now) + 90)

    github.limit_next(limited)
    assert asking.client.graphql("query { rateLimit { cost } }", {}, project="octo/cat", endpoint="x").points == 1
    assert github.early() == []
    assert sum(clock.slept) >= 90


# Budget, faults -------------------------------------------------------------------------------------------------------


def test_a_budget_bounds_what_is_sent(github: GitHub, repo: Repo, new: NewAsking) -> None:
    for _ in range(25):
        github.truth.open_issue(repo)
    asking = new(budget=Budget(2))
    with pytest.raises(BudgetSpent) as raised:
        asking.pages(ISSUES)
    assert raised.value.outcome is Outcome.LIMITED
    assert len(github.requests) == 2


TRIED_AGAIN = ("cut", "no word", "500", "502", "503", "504")


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_comes_has_a_typed_end(github: GitHub, repo: Repo, asking: Asking, fault: str) -> None:
    """Values of another type are found by who reads them."""
    github.truth.open_issue(repo)
    github.fail("issues", FAULTS[fault], times=99)
    if fault in ("another type", "other values", "nulls", "null"):
        assert asking.get(ISSUES).found is Found.DATA
    else:
        expected = (NoAnswer, ServerTrouble) if fault in TRIED_AGAIN else BadAnswer
        with pytest.raises(expected) as raised:
            asking.get(ISSUES)
        assert raised.value.outcome is Outcome.FAILED
        assert raised.value.message.isprintable()
    assert len(github.requests) == (3 if fault in TRIED_AGAIN else 1)


@pytest.mark.parametrize("fault", TRIED_AGAIN)
def test_trouble_that_passes_is_tried_again(
    github: GitHub, clock: Clock, repo: Repo, asking: Asking, fault: str
) -> None:
    github.fail("/repos/octo/cat", FAULTS[fault], times=2)
    assert asking.get("/repos/octo/cat").data["full_name"] == "octo/cat"
    assert len(github.requests) == 3
    assert len(clock.slept) == 2
    assert asking.client.account.total().failed == 2


def test_a_server_that_says_when_to_come_back_is_heeded(
    github: GitHub, clock: Clock, repo: Repo, asking: Asking
) -> None:
    github.fail("/repos/octo/cat", status_fault(503, Retry_After="33"))
    asking.get("/repos/octo/cat")
    assert sum(clock.slept) == 33.0


@pytest.mark.parametrize("fault", [slow(20), trickle(0.05)], ids=["slow", "a byte at a time"])
def test_an_answer_that_does_not_come_in_time_is_none(
    github: GitHub, repo: Repo, new: NewAsking, fault: Callable[[Reply], Reply]
) -> None:
    asking = new(timeout_s=0.3, budget=Budget(1))
    github.fail("/repos/octo/cat", fault, times=9)
    with pytest.raises(BudgetSpent):  # of the second try: the first had ended
        asking.get("/repos/octo/cat")
    assert asking.client.account.total().failed == 1


def test_a_request_under_way_ends_when_the_run_is_to_stop(github: GitHub, repo: Repo, new: NewAsking) -> None:
    class Stopped(Exception):
        pass

    def check() -> None:
        if github.requests:
            raise Stopped

    github.fail("/repos/octo/cat", slow(60))
    asking = new(check=check, timeout_s=5.0)
    with pytest.raises(Stopped):
        asking.get("/repos/octo/cat")
    assert asking.client.account.total().failed == 0  # it was ended, and did not run out of time


def test_a_small_answer_that_unpacks_to_a_large_one_is_refused(github: GitHub, repo: Repo, asking: Asking) -> None:
    github.fail("/repos/octo/cat", lambda reply: Reply(200, b'"' + b"a" * (40 << 20) + b'"'))
    with pytest.raises(BadAnswer, match="larger than 32 MiB"):
        asking.get("/repos/octo/cat")


def test_nobody_listening_is_no_answer(clock: Clock) -> None:
    from bench_webhook import refusing_url

    api = api_at(refusing_url().partition("/services")[0])
    wire = Wire(api.origin)
    client = Client(api, Keyring([]), wire, until=1e12, sleep=clock.sleep, now=clock.now, utc_now=clock.utc_now)
    with pytest.raises(NoAnswer, match="ConnectError"):
        client.get("/repos/octo/cat", project="octo/cat", endpoint="x")
    assert len(clock.slept) == 2


# The token ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def stranger(clock: Clock) -> Generator[GitHub, None, None]:
    """A second host, which would answer."""
    with GitHub(clock=clock.now) as stranger:
        stranger.truth.repo("octo/cat")
        yield stranger


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_to_another_host_is_not_followed(
    github: GitHub, stranger: GitHub, repo: Repo, asking: Asking, status: int
) -> None:
    github.fail("/repos/octo/cat", redirects_to(f"{stranger.url}/repos/octo/cat", status))
    with pytest.raises(ForeignHost) as raised:
        asking.get("/repos/octo/cat")
    assert stranger.requests == []
    assert stranger.url in raised.value.message


def test_a_link_to_another_host_is_not_followed(github: GitHub, stranger: GitHub, repo: Repo, asking: Asking) -> None:
    github.truth.open_issue(repo)
    github.fail("issues", leads_to(stranger.url), times=9)
    with pytest.raises(ForeignHost):
        asking.pages(ISSUES)
    assert stranger.requests == []


def test_a_kept_link_to_another_host_is_not_followed(
    github: GitHub, stranger: GitHub, repo: Repo, asking: Asking
) -> None:
    """What stands in the table may be anybody's."""
    asking.get("/repos/octo/cat")
    [(key, kept)] = asking.memory.kept.items()
    asking.memory.kept[key] = kept._replace(next_url=f"{stranger.url}/x")
    with pytest.raises(ForeignHost):
        asking.pages("/repos/octo/cat")
    assert stranger.requests == []


def test_a_whole_url_of_another_host_is_refused(stranger: GitHub, asking: Asking) -> None:
    with pytest.raises(ForeignHost):
        asking.get(f"{stranger.url}/repos/octo/cat")
    assert stranger.requests == []


def test_a_refused_token_is_named_and_the_next_one_asks(github: GitHub, repo: Repo, new: NewAsking) -> None:
    revoked, good = github.token(), github.token()
    github.revoke(revoked)
    asking = new(Token("GITHUB_TOKEN", revoked), Token("second", good))
    for number in range(20):
        asking.client.get("/repos/octo/cat", project=f"octo/{number}", endpoint="x")
    assert [asked.token for asked in github.requests].count(revoked) == 1
    with pytest.raises(CredentialsRefused, match="GITHUB_TOKEN") as raised:
        new(Token("GITHUB_TOKEN", revoked)).get("/repos/octo/cat")
    assert raised.value.exit_code == 78
    assert revoked not in str(raised.value) + raised.value.hint


# GraphQL --------------------------------------------------------------------------------------------------------------

HYDRATE = """
query ($ids: [ID!]!) {
  rateLimit { cost }
  nodes(ids: $ids) {
    __typename
    ... on PullRequest {
      id number state merged
      reviews(first: 2) { nodes { state } pageInfo { hasNextPage endCursor } }
    }
  }
}
"""


def test_nodes_are_hydrated_in_one_request_and_what_is_gone_is_null(github: GitHub, repo: Repo, asking: Asking) -> None:
    pulls = [github.truth.open_pull(repo) for _ in range(3)]
    for _ in range(3):
        github.truth.review(pulls[0])
    github.truth.merge(pulls[1])
    ids = [pull.node_id for pull in pulls]
    github.truth.delete_issue(repo, pulls[2].number)
    found = asking.client.graphql(HYDRATE, {"ids": ids}, project="octo/cat", endpoint="hydrate")
    first, second, third = found.data["nodes"]
    assert (first["state"], second["state"], third) == ("OPEN", "MERGED", None)
    assert len(first["reviews"]["nodes"]) == 2
    assert first["reviews"]["pageInfo"]["hasNextPage"]
    assert [error["type"] for error in found.errors] == ["NOT_FOUND"]
    [line] = asking.client.account.lines()
    assert (line.spent.requests, line.spent.points, line.spent.quota) == (1, 1, 0)


DETAILS = """
query ($ids: [ID!]!) {
  rateLimit { cost }
  nodes(ids: $ids) {
    __typename
    ...OfIssue
    ... on PullRequest {
      timelineItems(itemTypes: [READY_FOR_REVIEW_EVENT], last: 1) {
        totalCount nodes { ... on ReadyForReviewEvent { createdAt actor { login } } }
      }
    }
  }
}
fragment OfIssue on Issue {
  comments(first: 100) { totalCount nodes { createdAt author { __typename login } } }
  timelineItems(itemTypes: [REOPENED_EVENT], first: 1) { totalCount }
}
"""


def test_details_of_issues_and_pull_requests_come_in_one_request(github: GitHub, repo: Repo, asking: Asking) -> None:
    truth = github.truth
    issue, pull = truth.open_issue(repo), truth.open_pull(repo, draft=True)
    truth.account("helper[bot]", "Bot")
    comment = truth.comment(issue, by="helper[bot]")
    truth.close(issue)
    truth.reopen(issue)
    truth.ready(pull)
    ids = [issue.node_id, pull.node_id]
    found = asking.client.graphql(DETAILS, {"ids": ids}, project="octo/cat", endpoint="details").data["nodes"]
    said = {"createdAt": f"{comment.created_at:%Y-%m-%dT%H:%M:%SZ}", "author": {"__typename": "Bot", "login": "helper"}}
    assert found[0]["comments"] == {"totalCount": 1, "nodes": [said]}
    assert found[0]["timelineItems"] == {"totalCount": 1}
    assert found[1]["timelineItems"]["nodes"][0]["createdAt"] == f"{pull.updated_at:%Y-%m-%dT%H:%M:%SZ}"


def test_a_list_of_commits_from_a_head_does_not_change_when_that_is_dropped(
    github: GitHub, repo: Repo, asking: Asking
) -> None:
    for _ in range(5):
        github.truth.push(repo, None)
    path = f"/repos/octo/cat/commits?sha={repo.commits[-1].sha}&per_page=2"
    before = [item["sha"] for page in asking.pages(path) for item in page.data]
    github.truth.force_push(repo, 3)
    page = asking.get("/repos/octo/cat/commits?per_page=6")
    assert [item["sha"] for page in asking.pages(f"{path}&x=1") for item in page.data] == before
    now = [item["sha"] for item in page.data]
    assert (len(now), now[3:]) == (6, before[3:]) and not set(now[:3]) & set(before)


def test_a_query_that_github_refuses_says_why(repo: Repo, asking: Asking) -> None:
    query = 'query { rateLimit { cost } repository(owner: "octo", name: "cat") { inventedField } }'
    with pytest.raises(NotAccepted, match="inventedField"):
        asking.client.graphql(query, {}, project="octo/cat", endpoint="x")


@pytest.mark.parametrize(
    "fault", ["truncated", "html", "empty", "null", "another type", "5,000 digits", "10,000 levels"]
)
def test_graphql_answers_are_read_with_care(github: GitHub, repo: Repo, asking: Asking, fault: str) -> None:
    github.fail("/graphql", FAULTS[fault], times=9)
    body = "query { rateLimit { cost } }"
    if fault == "5,000 digits":
        github.fail("/graphql", lambda reply: Reply(200, b'{"data": {"rateLimit": {"cost": ' + b"9" * 5_000 + b"}}}"))
        github._plans.pop(0)
    with pytest.raises(BadAnswer):
        asking.client.graphql(body, {}, project="octo/cat", endpoint="x")


# A GitHub App ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def key() -> Any:
    from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

    return generate_private_key(65537, 2048)


def pem(key: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())


@pytest.fixture
def as_app(github: GitHub, clock: Clock, new: NewAsking, key: Any) -> Asking:
    github.app_key = key.public_key()
    github.installations = {7: "octo", 8: "other"}
    github.truth.repo("other/dog")
    signer = new()  # asks for the App; what it sends carries the App's word
    return new(App("1", pem(key), signer.client.ask_as_app, clock.utc_now))


def test_an_app_asks_with_the_token_of_the_owners_installation(github: GitHub, repo: Repo, as_app: Asking) -> None:
    for project in ("octo/cat", "other/dog", "octo/cat", "Octo/Cat"):
        as_app.client.get(f"/repos/{project}", project=project, endpoint="x")
    tokens = [asked.token for asked in github.requests if asked.path.startswith("/repos")]
    assert all(token.startswith("ghs_") for token in tokens)
    assert tokens[0] == tokens[2] == tokens[3] != tokens[1]
    assert github.paths().count("/app/installations") == 1
    assert github.paths().count("/app/installations/7/access_tokens") == 1


def test_an_installations_token_is_renewed_before_it_ends(
    github: GitHub, clock: Clock, repo: Repo, as_app: Asking
) -> None:
    as_app.get("/repos/octo/cat")
    clock.seconds += 54 * 60
    as_app.get("/repos/octo/cat")
    clock.seconds += 2 * 60
    as_app.get("/repos/octo/cat")
    tokens = [asked.token for asked in github.requests if asked.path.startswith("/repos")]
    assert tokens[0] == tokens[1] != tokens[2]
    assert all(asked.status in (200, 201, 304) for asked in github.requests)


def test_a_revoked_installation_token_is_bought_anew(github: GitHub, clock: Clock, repo: Repo, as_app: Asking) -> None:
    as_app.get("/repos/octo/cat")
    clock.seconds += 120
    github.revoke(github.requests[-1].token)
    assert as_app.get("/repos/octo/cat").found is Found.DATA
    assert [asked.status for asked in github.requests][-3:] == [401, 201, 200]


def test_an_owner_without_an_installation_is_forbidden_and_told(github: GitHub, as_app: Asking) -> None:
    with pytest.raises(Forbidden) as raised:
        as_app.client.get("/repos/third/cat", project="third/cat", endpoint="x")
    assert "not installed for third" in raised.value.message
    assert "octo, other" in raised.value.message


def test_a_token_asks_where_the_app_does_not_reach(github: GitHub, clock: Clock, new: NewAsking, key: Any) -> None:
    github.app_key = key.public_key()
    github.installations = {7: "octo"}
    github.truth.repo("third/cat")
    app = App("1", pem(key), new().client.ask_as_app, clock.utc_now)
    both = new(app, Token("GITHUB_TOKEN", github.token()))
    for number in range(10):
        assert both.client.get("/repos/third/cat", project="third/cat", endpoint=str(number)).found


def test_a_word_of_another_key_is_refused_with_the_way_out(
    github: GitHub, clock: Clock, new: NewAsking, key: Any
) -> None:
    from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

    github.app_key = generate_private_key(65537, 2048).public_key()
    asking = new(App("1", pem(key), new().client.ask_as_app, clock.utc_now))
    with pytest.raises(CredentialsRefused, match="word of the GitHub App") as raised:
        asking.get("/repos/octo/cat")
    assert "JOBCTL_GITHUB_APP_ID" in raised.value.hint


@pytest.mark.parametrize(
    "text", [b"", b"no key", b"-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----"]
)
def test_a_file_that_holds_no_key_is_a_configuration_error(text: bytes) -> None:
    with pytest.raises(ConfigurationError, match="JOBCTL_GITHUB_APP_KEY_FILE"):
        sign("1", text, datetime(2026, 1, 1, tzinfo=UTC))


# The server itself ----------------------------------------------------------------------------------------------------


def test_the_server_sees_who_comes_early(github: GitHub, repo: Repo, new: NewAsking, clock: Clock) -> None:
    token = github.token()
    github.limit_next(MIXES["403 with nothing"])
    for _ in range(2):
        with pytest.raises(Limited):
            new(Token("t", token), until=BEGIN).get("/repos/octo/cat")
    assert [asked.is_early for asked in github.requests] == [False, True]


def test_a_change_between_two_pages_by_number_moves_an_item_past_the_reader(
    github: GitHub, repo: Repo, asking: Asking
) -> None:
    """The fault of counting pages that a sync has to outdo; by cursor it does not happen."""
    issues = [github.truth.open_issue(repo) for _ in range(20)]

    def edit_one(asked: Asked) -> None:
        if "page" in asked.query or "after" in asked.query:
            github.before_reply = None
            github.truth.edit(issues[0])

    seen: dict[bool, set[int]] = {}
    for cursor_links in (False, True):
        github.cursor_links = cursor_links
        github.before_reply = edit_one
        pages = asking.client.pages(ISSUES, project="octo/cat", endpoint="x", conditional=False)
        seen[cursor_links] = {item["number"] for page in pages for item in page.data}
        issues.sort(key=lambda issue: issue.updated_at)
    assert len(seen[False]) == 19
    assert len(seen[True]) == 20


def test_many_threads_share_a_client(github: GitHub, repo: Repo, new: NewAsking) -> None:
    asking = new()
    failed: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(20):
                asking.get("/repos/octo/cat", conditional=False)
        except BaseException as error:  # noqa: BLE001 - told below
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []
    assert asking.client.account.total().requests == len(github.requests) == 160
