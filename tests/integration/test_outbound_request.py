"""Requests to the outside, against real servers on the loopback: where they go, how long they take, what they tell."""

import socket
import ssl
import threading
import time
from collections.abc import Generator, Sequence
from pathlib import Path

import pytest

from bench_http import Authority, Behaviour, Server, drips, floods, new_authority, says, says_nothing, sends
from jobctl.outbound.addresses import parse_network
from jobctl.outbound.failures import NoAnswer, NotReached, OutboundError, Refused, TooLarge
from jobctl.outbound.request import Response, request
from jobctl.outbound.vetting import Rules

SECRET = "s3cr3t-c4n4ry"
HERE = Rules(allow_private=True, ports=None)
OK = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture
def server() -> Generator[Server, None, None]:
    with Server() as made:
        yield made


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return new_authority(tmp_path_factory.mktemp("authority"))


class Resolver:
    """The loopback for every name, unless the test says otherwise; counts how often it is asked."""

    def __init__(self, **answers: Sequence[str]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        return self.answers.get(host.replace(".", "_"), ["127.0.0.1"])


def get(url: str, rules: Rules = HERE, timeout_s: float = 20.0) -> Response:
    return request("GET", url, rules=rules, timeout_s=timeout_s)


# What is sent and what comes back ------------------------------------------------------------------------------------


def test_a_request_arrives_as_it_was_given_and_the_answer_comes_back(server: Server) -> None:
    server.then(says(201, b"done", X_Two="a", Retry_After="7"))
    answer = request("POST", server.url("/a/ü?b=c"), {"X-One": "1", "Accept": "text/plain"}, b"body", rules=HERE)
    assert (answer.status, answer.body, answer.headers["x-two"]) == (201, b"done", "a")
    (got,) = server.requests
    assert (got.method, got.target, got.body) == ("POST", "/a/%C3%BC?b=c", b"body")
    assert got.headers == {
        "host": f"127.0.0.1:{server.port}",
        "connection": "close",
        "accept-encoding": "identity",
        "user-agent": got.headers["user-agent"],
        "x-one": "1",
        "accept": "text/plain",
        "content-length": "4",
    }


def test_a_chunked_answer_is_put_together(server: Server) -> None:
    server.then(sends(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", b"6\r\n world\r\n", b"0\r\n\r\n"))
    assert get(server.url()).body == b"hello world"


def test_an_answer_that_ends_with_the_connection_is_whole(server: Server) -> None:
    server.then(sends(OK + b"\r\n", b"to the end"))
    assert get(server.url()).body == b"to the end"


@pytest.mark.parametrize("body", [b"", None])
def test_a_post_without_a_body_says_so(server: Server, body: bytes | None) -> None:
    request("POST", server.url(), body=body, rules=HERE)
    assert server.requests[0].headers["content-length"] == "0"


@pytest.mark.parametrize(
    "headers",
    [
        {"X": "a\r\nEvil: b"},
        {"X": "a\nEvil: b"},
        {"X": "a\r\n Evil: b"},
        {"X": "a\rb"},
        {"X": "a\0b"},
        {"X": "a\u0100"},
        {"X\r\nEvil": "b"},
        {"X:": "b"},
        {"": "b"},
        {"Host": "evil.example"},
        {"Content-Length": "3"},
        {"transfer-encoding": "chunked"},
        {"Proxy-Authorization": "x"},
    ],
)
def test_a_header_that_would_be_two_or_would_frame_the_message_is_refused_unsent(
    server: Server, headers: dict[str, str]
) -> None:
    with pytest.raises(Refused):
        request("POST", server.url(), headers, b"x", rules=HERE)
    assert server.connections == 0


@pytest.mark.parametrize("method", ["", "GET / HTTP/1.1\r\nX:", "get", "CONNECT"])
def test_a_method_that_is_none_is_refused_unsent(server: Server, method: str) -> None:
    with pytest.raises(Refused):
        request(method, server.url(), rules=HERE)
    assert server.connections == 0


# Addresses -----------------------------------------------------------------------------------------------------------


def test_without_a_rule_for_it_this_machine_is_not_asked(server: Server) -> None:
    for rules in (Rules(ports=None), Rules(ports=None, networks=(parse_network("10.0.0.0/8"),))):
        with pytest.raises(Refused):
            get(server.url(), rules)
    assert server.connections == 0


def test_a_name_is_looked_up_once_and_the_connection_goes_where_that_said(server: Server) -> None:
    """A second lookup, as a rebinding name hopes for, would lead to another answer; it is never made."""
    asked: list[str] = []

    def rebinds(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    answer = request("GET", server.url(host="rebind.example"), rules=HERE, resolve=rebinds)
    assert (answer.status, asked) == (200, ["rebind.example"])
    assert server.requests[0].headers["host"] == f"rebind.example:{server.port}"


def test_the_next_address_is_tried_when_one_does_not_answer(server: Server) -> None:
    resolver = Resolver(two_example=["127.0.0.2", "::1", "127.0.0.1"])  # the server listens at the last alone
    assert request("GET", server.url(host="two.example"), rules=HERE, resolve=resolver).status == 200


def test_where_nobody_listens_nothing_was_sent_and_it_may_go_better_later() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(NotReached) as raised:
        get(f"http://127.0.0.1:{port}/{SECRET}")
    assert raised.value.try_again and not raised.value.may_have_arrived and SECRET not in str(raised.value)


def test_proxies_of_the_environment_are_not_used(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url())
        assert get(server.url()).status == 200
        assert proxy.connections == 0


# Redirects -----------------------------------------------------------------------------------------------------------

ELSEWHERE = Rules(networks=(parse_network("127.0.0.1/32"),), ports=None)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("host", ["127.0.0.2", "0x7f.2", "[::1]", "169.254.169.254", "10.0.0.1", "[::ffff:127.0.0.2]"])
def test_a_redirect_to_an_address_that_is_not_allowed_is_refused(server: Server, status: int, host: str) -> None:
    server.then(says(status, Location=f"http://{host}:{server.port}/latest/{SECRET}"))
    with pytest.raises(Refused) as raised:
        get(server.url(), ELSEWHERE)
    assert len(server.requests) == 1
    assert SECRET not in str(raised.value) + raised.value.hint


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "ftp://x/", "http://u:p@127.0.0.1/", "//", "http://[", "\\\\x"]
)
def test_a_redirect_to_no_web_address_is_refused(server: Server, location: str) -> None:
    server.then(says(302, Location=location))
    with pytest.raises(Refused):
        get(server.url())


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_get_follows_redirects_up_to_the_limit(server: Server, status: int) -> None:
    server.then(says(status, Location="/b"), says(status, Location="c?d"), says(200, b"there"))
    answer = get(server.url("/a/x"))
    assert (answer.body, answer.url.target) == (b"there", "/c?d")
    assert [each.target for each in server.requests] == ["/a/x", "/b", "/c?d"]


def test_redirects_without_end_are_refused(server: Server) -> None:
    server.then(says(302, Location="/again"))
    with pytest.raises(Refused, match="more than 3 redirects"):
        get(server.url())
    assert len(server.requests) == 4


@pytest.mark.parametrize("status", [307, 308])
def test_a_post_is_repeated_as_it_was_where_the_answer_says_so(server: Server, status: int) -> None:
    server.then(says(status, Location="/b"), says(200))
    assert request("POST", server.url("/a"), {"X-Key": SECRET}, b"body", rules=HERE).status == 200
    assert [(each.method, each.target, each.body) for each in server.requests] == [
        ("POST", "/a", b"body"),
        ("POST", "/b", b"body"),
    ]
    assert server.requests[1].headers["x-key"] == SECRET


@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_post_never_becomes_a_get(server: Server, status: int) -> None:
    server.then(says(status, Location="/b"), says(200))
    assert request("POST", server.url("/a"), body=b"x", rules=HERE).status == status
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_credential_goes_to_another_origin(server: Server, status: int) -> None:
    headers = {"Authorization": f"Bearer {SECRET}", "Cookie": SECRET, "X-Api-Key": SECRET, "Accept": "text/plain"}
    with Server() as other:
        server.then(says(status, Location=other.url("/x")), says(200))
        other.then(says(status, Location=server.url("/back")))
        request("GET", server.url(), headers, rules=HERE)
        (got,) = other.requests
        back = server.requests[1]
        for each in (got, back):  # nor does it come back to the first, which another has sent us to
            assert SECRET.encode() not in each.raw_head
            assert each.headers["accept"] == "text/plain"


def test_https_does_not_lead_to_http(server: Server, authority: Authority) -> None:
    leads_back = says(302, Location=server.url("/x"))
    with (
        Server([leads_back], tls=authority.server_for("secure.example")) as secure,
        pytest.raises(Refused, match="from https to http"),
    ):
        request("GET", secure.url(host="secure.example"), rules=HERE, resolve=Resolver(), tls=authority.trusted())
    assert server.connections == 0


# Time and size -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "behaviour",
    [
        says_nothing,
        drips(b"", b"H"),
        drips(OK, b"X: y\r\n"),
        drips(OK + b"Content-Length: 100000\r\n\r\n", b"x"),
        drips(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        drips(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["silence", "first line", "headers", "body", "chunks", "continue"],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_answer_that_comes_byte_by_byte_ends_with_the_time(
    authority: Authority, behaviour: Behaviour, scheme: str
) -> None:
    tls = authority.server_for("slow.example") if scheme == "https" else None
    with Server([behaviour], tls=tls) as server, pytest.raises(NoAnswer) as raised:
        request(
            "POST",
            server.url(f"/{SECRET}", host="slow.example"),
            body=b"x",
            rules=HERE,
            timeout_s=0.6,
            resolve=Resolver(),
            tls=authority.trusted(),
        )
    assert raised.value.try_again and raised.value.may_have_arrived
    assert SECRET not in str(raised.value)


def test_redirects_share_one_time(server: Server) -> None:
    def slowly(server: Server, peer: socket.socket) -> None:
        server.closing.wait(0.25)
        says(302, Location="/again")(server, peer)

    server.then(slowly)
    with pytest.raises(NoAnswer):
        get(server.url(), HERE._replace(max_redirects=1_000), timeout_s=0.6)
    assert len(server.requests) <= 3


def test_a_lookup_that_hangs_is_left_behind() -> None:
    released = threading.Event()

    def hangs(host: str, port: int) -> Sequence[str]:
        released.wait(60)
        return ["127.0.0.1"]

    with pytest.raises(NotReached) as raised:
        request("GET", "http://hangs.example/", rules=HERE, resolve=hangs, timeout_s=0.3)
    released.set()
    assert raised.value.try_again


def test_a_server_that_reads_nothing_ends_with_the_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        with pytest.raises(NoAnswer):
            request("POST", url, body=bytes(64 << 20), rules=HERE, timeout_s=0.5)


def test_a_server_that_takes_no_part_in_tls_ends_with_the_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(NotReached) as raised:
        get(f"https://127.0.0.1:{listener.getsockname()[1]}/", timeout_s=0.4)
    assert not raised.value.may_have_arrived


def test_who_asks_to_stop_is_heard_while_waiting() -> None:
    class Ended(Exception):
        pass

    stops_at = time.monotonic() + 0.3

    def check() -> None:
        if time.monotonic() > stops_at:
            raise Ended

    with Server([says_nothing]) as server:
        with pytest.raises(Ended) as raised:
            request("GET", server.url(), rules=HERE, timeout_s=600, check=check)
        assert server.requests
    assert raised.value.__cause__ is None and raised.value.__suppress_context__


def test_a_timeout_of_the_callers_own_is_not_taken_for_one_of_the_network(server: Server) -> None:
    def check() -> None:
        raise TimeoutError("the try is over")

    with pytest.raises(TimeoutError, match="the try is over"):
        request("GET", server.url(), rules=HERE, check=check)


def test_a_body_up_to_the_bound_is_taken_and_one_byte_more_is_not(server: Server) -> None:
    server.then(says(200, bytes(1_000)))
    assert len(request("GET", server.url(), rules=HERE, max_body_bytes=1_000).body) == 1_000
    with pytest.raises(TooLarge) as raised:
        request("GET", server.url(), rules=HERE, max_body_bytes=999)
    assert (raised.value.try_again, raised.value.status) == (False, 200)


@pytest.mark.parametrize(
    "behaviour",
    [
        sends(OK + b"Content-Length: 99999999999\r\n\r\n"),
        floods(OK + b"\r\n", bytes(65_536)),
        floods(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + bytes(65_536) + b"\r\n"),
    ],
    ids=["announced", "endless", "endless in chunks"],
)
def test_a_body_without_end_is_not_read_to_its_end(behaviour: Behaviour) -> None:
    with Server([behaviour]) as server:
        with pytest.raises(TooLarge):
            request("GET", server.url(), rules=HERE, max_body_bytes=100_000)
        assert server.flooded < 32 << 20  # what fits into the buffers of two sockets, and no more


@pytest.mark.parametrize(
    "behaviour",
    [
        sends(),
        sends(OK),
        sends(OK + b"Content-Length: 10\r\n\r\nhalf"),
        sends(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel"),
        sends(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
        sends(b"SSH-2.0-OpenSSH\r\n"),
        sends(b"HTTP/1.1 abc\r\n\r\n"),
        sends(b"\x16\x03\x01\r\n\r\n"),
        sends(OK + b"X: y\r\n" * 200 + b"\r\n"),
        sends(OK + b"X: " + b"y" * 70_000 + b"\r\n\r\n"),
    ],
)
def test_an_answer_that_is_cut_or_is_none_may_come_another_time(behaviour: Behaviour) -> None:
    with Server([behaviour]) as server, pytest.raises(NoAnswer) as raised:
        get(server.url(f"/{SECRET}"))
    assert raised.value.may_have_arrived and SECRET not in str(raised.value)


# TLS -----------------------------------------------------------------------------------------------------------------


def test_tls_is_for_the_host_of_the_url_though_the_connection_goes_to_an_address(authority: Authority) -> None:
    with Server(tls=authority.server_for("good.example")) as server:
        url = server.url(host="good.example")
        answer = request("POST", url, body=b"x", rules=HERE, resolve=Resolver(), tls=authority.trusted())
        assert (answer.status, server.requests[0].headers["host"]) == (200, f"good.example:{server.port}")


@pytest.mark.parametrize("case", ["another name", "run out", "not trusted", "an address"])
def test_a_certificate_that_is_not_the_hosts_own_is_refused_and_nothing_is_sent(
    authority: Authority, case: str
) -> None:
    names = {"another name": "other.example", "an address": "127.0.0.1"}
    days = -1 if case == "run out" else 1
    tls = ssl.create_default_context() if case == "not trusted" else authority.trusted()
    with Server(tls=authority.server_for(names.get(case, "good.example"), days=days)) as server:
        with pytest.raises(NotReached, match="certificate") as raised:
            request(
                "POST", server.url(host="good.example"), body=SECRET.encode(), rules=HERE, resolve=Resolver(), tls=tls
            )
        assert server.requests == []
    assert not raised.value.may_have_arrived


def test_an_https_url_answered_without_tls_is_not_spoken_to(server: Server) -> None:
    with pytest.raises(NotReached):
        get(server.url().replace("http://", "https://"), timeout_s=1)
    assert server.requests == []


def test_every_error_is_of_one_family() -> None:
    assert all(issubclass(each, OutboundError) for each in (Refused, TooLarge, NotReached, NoAnswer))


def test_no_connection_is_left_open(server: Server, tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        get(server.url())
    with pytest.raises(Refused):
        get("http://127.0.0.1/", Rules())
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 2
