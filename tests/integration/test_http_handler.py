"""Tasks of the type `http` against a real server on the loopback."""

import json
import threading
import traceback
from collections.abc import Callable, Generator, Mapping
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from bench_handlers import GaveBack, TryContext, a_task, settings_of
from bench_http import Server, says, says_nothing, sends
from jobctl import clock
from jobctl.jobs.work.http import http
from jobctl.queue.handler import NotRecoverable, Recoverable

TOKEN, HEADER = "t0k3n-c4n4ry", "h34d3r-c4n4ry"
PATH = "/hooks/p4th-c4n4ry-p4th"
Post = Callable[..., Mapping[str, Any] | None]


@pytest.fixture
def server() -> Generator[Server, None, None]:
    with Server([says(200, b'{"id": 5}')]) as made:
        yield made


@pytest.fixture
def contexts() -> list[TryContext]:
    """Those of the posts so far."""
    return []


@pytest.fixture
def post(server: Server, tmp_path: Path, contexts: list[TryContext]) -> Post:
    """One try of a task whose payload is given, over an endpoint `crm` that is the server."""

    def one_try(
        payload: Mapping[str, Any] | None = None,
        *,
        more: str = "allow_private = true",
        others: str = "",
        task_id: int = 7,
        attempt: int = 1,
        timeout_s: float = 60.0,
    ) -> Mapping[str, Any] | None:
        toml = f"""
            [queue.endpoints.crm]
            url = "{server.url(PATH)}"
            headers = {{ X-Key = "{HEADER}" }}
            {more}
            {others}
            """
        context = TryContext(settings_of(tmp_path, toml, JOBCTL_ENDPOINT_TOKENS=f"crm={TOKEN}"), timeout_s)
        contexts.append(context)
        given = {"endpoint": "crm", "body": {"a": "ü"}} if payload is None else payload
        return http(a_task("http", given, task_id=task_id, attempt=attempt), context)

    return one_try


def test_the_body_is_posted_with_headers_token_and_key_and_the_answer_is_the_result(server: Server, post: Post) -> None:
    assert post() == {"status": 200, "body": {"id": 5}}
    (got,) = server.requests
    assert (got.method, got.target, json.loads(got.body)) == ("POST", PATH, {"a": "ü"})
    assert got.headers["content-type"] == "application/json"
    assert got.headers["authorization"] == f"Bearer {TOKEN}"
    assert got.headers["x-key"] == HEADER


def test_the_token_goes_bare_into_a_header_of_the_endpoints_choice(server: Server, post: Post) -> None:
    post(more='allow_private = true\ntoken_header = "X-Api-Key"')
    assert server.requests[0].headers["x-api-key"] == TOKEN
    assert "authorization" not in server.requests[0].headers


def test_the_idempotency_key_is_the_same_in_each_try_and_of_one_task_alone(server: Server, post: Post) -> None:
    body = {"endpoint": "crm", "body": {"a": 1}}
    post(body, attempt=1)
    post(body, attempt=2)
    post(body, task_id=8)
    post({"endpoint": "crm", "body": {"a": 2}})
    keys = [each.headers["idempotency-key"] for each in server.requests]
    assert keys[0] == keys[1] and keys[0].startswith("jobctl-7-")
    assert len(set(keys)) == 3


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
def test_what_may_pass_is_tried_again(server: Server, post: Post, status: int) -> None:
    server.then(says(status, b"busy"))
    with pytest.raises(Recoverable, match=f"answered {status}: busy") as raised:
        post()
    assert raised.value.retry_after_s is None


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 413, 422, 451])
def test_what_would_be_answered_again_is_not(server: Server, post: Post, status: int) -> None:
    server.then(says(status, b'{"error": "no"}', Retry_After="5"))
    with pytest.raises(NotRecoverable, match=f"endpoint crm: http://127.0.0.1:{server.port} answered {status}"):
        post()


@pytest.mark.parametrize("status", [201, 202, 204, 226])
def test_every_2xx_is_success(server: Server, post: Post, status: int) -> None:
    server.then(sends(f"HTTP/1.1 {status} Said\r\nConnection: close\r\n\r\n".encode()))
    assert post() == {"status": status}


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_taken_in_seconds_and_as_a_date_and_capped(server: Server, post: Post, status: int) -> None:
    soon = format_datetime(clock.utc_now() + timedelta(seconds=300), usegmt=True)
    for said, least, most in (("17", 17, 17), (soon, 200, 300), ("9999999", 86_400, 86_400), ("nonsense", None, None)):
        server.then(says(status, b"", Retry_After=said))
        with pytest.raises(Recoverable) as raised:
            post()
        found = raised.value.retry_after_s
        assert found is None if least is None or most is None else found is not None and least <= found <= most


@pytest.mark.parametrize("answer", [sends(), sends(b"HTTP/1.1 200 OK\r\n"), sends(b"garbage\r\n\r\n")])
def test_no_whole_answer_is_tried_again(server: Server, post: Post, answer: Any) -> None:
    server.then(answer)
    with pytest.raises(Recoverable):
        post()


def test_no_connection_is_tried_again(server: Server, tmp_path: Path) -> None:
    toml = '[queue.endpoints.crm]\nurl = "http://127.0.0.1:1/"\nallow_private = true'
    with pytest.raises(Recoverable, match=r"no connection to 127\.0\.0\.1"):
        http(a_task("http", {"endpoint": "crm"}), TryContext(settings_of(tmp_path, toml)))


def test_the_endpoints_timeout_ends_the_request_and_the_try_may_be_made_again(server: Server, post: Post) -> None:
    server.then(says_nothing)
    with pytest.raises(Recoverable, match="no whole answer in time"):
        post(more="allow_private = true\ntimeout_s = 0.4")


def test_the_end_of_the_try_is_the_workers_to_tell(server: Server, post: Post) -> None:
    server.then(says_nothing)
    with pytest.raises(GaveBack):
        post(timeout_s=0.4)


def test_the_end_of_the_run_ends_the_request(server: Server, post: Post, contexts: list[TryContext]) -> None:
    server.then(says_nothing)

    def stop() -> None:
        server.got_one.wait(20)
        contexts[0].stop.set()

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(GaveBack):
        post(more="allow_private = true\ntimeout_s = 3600", timeout_s=3_600)
    thread.join()


def test_an_endpoint_at_a_private_address_is_refused_unless_it_is_allowed(server: Server, post: Post) -> None:
    with pytest.raises(NotRecoverable, match=r"its address 127\.0\.0\.1 is not public \(loopback.*allow_private"):
        post(more='allow = ["10.0.0.0/8"]')
    assert server.connections == 0
    for more in ('allow = ["127.0.0.0/8"]', 'allow = ["127.0.0.1"]', "allow_private = true"):
        assert post(more=more)


def test_a_redirect_on_the_endpoints_host_is_followed_with_the_same_request(server: Server, post: Post) -> None:
    server.then(says(308, Location="/moved"), says(200, b'{"ok": true}'))
    assert post() == {"status": 200, "body": {"ok": True}}
    assert server.requests[0].body == server.requests[1].body
    assert server.requests[1].headers["authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize("status", [307, 308])
def test_a_redirect_to_another_host_is_refused_and_the_body_stays_here(server: Server, post: Post, status: int) -> None:
    server.then(says(status, Location=f"http://localhost:{server.port}/elsewhere"))
    with pytest.raises(NotRecoverable, match="this host is not allowed"):
        post()
    assert server.connections == 1


@pytest.mark.parametrize("status", [301, 302, 303, 304])
def test_a_redirect_that_makes_a_get_of_a_post_is_no_success(server: Server, post: Post, status: int) -> None:
    server.then(says(status, b"", Location="/login"))
    with pytest.raises(NotRecoverable, match=f"answered {status}, a redirect"):
        post()
    assert len(server.requests) == 1


# A URL of the payload ------------------------------------------------------------------------------------------------

ANY = "[queue.endpoints.any]\nurl_from_payload = true\n"


def test_a_payload_names_a_url_only_where_the_endpoint_allows_it(server: Server, post: Post) -> None:
    with pytest.raises(NotRecoverable, match="endpoint crm allows that with url_from_payload"):
        post({"endpoint": "crm", "body": {}, "url": server.url()})
    assert server.connections == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "0x7f.1", "2130706433", "localhost", "[::ffff:127.0.0.1]"])
def test_a_url_of_the_payload_is_vetted(server: Server, post: Post, host: str) -> None:
    ports = f'ports = [{server.port}]\nallow = ["10.0.0.0/8"]'
    with pytest.raises(NotRecoverable, match="is not public"):
        post({"endpoint": "any", "url": server.url(host=host)}, others=f"{ANY}{ports}")
    assert server.connections == 0


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (7, "must start with http"),
        ("file:///etc/passwd", "must start with http"),
        ("http://example.org/", "must be https://"),
        ("https://a@example.org/", "has a user name"),
        ("https://example.org/\r\nX: y", "has a space, a backslash or a control character"),
        ("https://example.org:8443/", "port 8443 is not allowed"),
        ("https://evil.example/", "this host is not allowed"),
    ],
)
def test_a_url_of_the_payload_that_the_rules_do_not_allow_is_refused(post: Post, url: object, said: str) -> None:
    with pytest.raises(NotRecoverable, match=said):
        post({"endpoint": "any", "url": url}, others=f'{ANY}hosts = [".example.org", "example.org"]')


def test_our_headers_and_token_go_to_the_endpoints_own_origin_alone(server: Server, post: Post) -> None:
    with Server() as other:
        more = f"allow_private = true\nurl_from_payload = true\nports = [{other.port}]"
        post({"endpoint": "crm", "url": other.url("/x")}, more=more)
        post({"endpoint": "crm", "url": server.url("/y")}, more=more)
        assert "c4n4ry" not in other.requests[0].raw_head.decode()
        assert server.requests[0].headers["authorization"] == f"Bearer {TOKEN}"


# Payloads and what is kept -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ({}, "names no endpoint"),
        ({"endpoint": 3}, "names no endpoint"),
        ({"endpoint": "crn"}, "which the settings do not have: did you mean crm"),
        ({"endpoint": "crm\r\nX: y"}, "which the settings do not have"),
        ({"endpoint": "crm", "body": [1]}, "body is not a JSON object"),
        ({"endpoint": "crm", "path": "/../admin"}, "has 'path'; known are body, endpoint, url"),
        ({"endpoint": "crm", "headers": {"X": "y"}}, "has 'headers'"),
        ({"endpoint": "any"}, "has no url, and the payload names none"),
    ],
)
def test_a_payload_that_says_something_else_is_no_task(
    server: Server, post: Post, payload: Mapping[str, Any], said: str
) -> None:
    with pytest.raises(NotRecoverable, match=said):
        post(payload, others=ANY)
    assert server.connections == 0


def test_a_body_with_line_breaks_is_one_body(server: Server, post: Post) -> None:
    body = {"a\r\nX-Evil: 1": "b\r\n\r\nGET / HTTP/1.1\r\n\r\n", "nul": "\0"}
    post({"endpoint": "crm", "body": body})
    (got,) = server.requests
    assert json.loads(got.body) == body
    assert b"Evil" not in got.raw_head


@pytest.mark.parametrize("status", [200, 404, 503])
@pytest.mark.parametrize("shape", ["json", "text"])
def test_no_secret_is_in_result_or_error(server: Server, post: Post, status: int, shape: str) -> None:
    said = f"Bearer {TOKEN} {HEADER} {PATH} password=pw-c4n4ry"
    answer = json.dumps({"echo": said, "token": "other-c4n4ry"}) if shape == "json" else said
    server.then(says(status, answer.encode()))
    try:
        told = repr(post())
    except (Recoverable, NotRecoverable):
        told = traceback.format_exc()
    assert "c4n4ry" not in told and "***" in told


@pytest.mark.parametrize("body", [b"x" * 900_000, json.dumps({"a": "\0" * 60_000}).encode(), b"\xff\x00" * 9_000])
def test_a_large_answer_is_kept_in_part_and_never_fails_what_has_succeeded(
    server: Server, post: Post, body: bytes
) -> None:
    server.then(says(200, body))
    result = post()
    assert result is not None and result["status"] == 200
    assert 1_000 < len(json.dumps(result)) < 40_000


def test_an_answer_beyond_the_bound_is_judged_by_its_status_and_not_kept(server: Server, post: Post) -> None:
    more = "allow_private = true\nmax_answer_bytes = 1000"
    server.then(says(200, bytes(2_000)))
    assert post(more=more) == {"status": 200}
    server.then(says(503, bytes(2_000), Retry_After="9"))
    with pytest.raises(Recoverable) as raised:
        post(more=more)
    assert raised.value.retry_after_s == 9
    server.then(says(404, bytes(2_000)))
    with pytest.raises(NotRecoverable):
        post(more=more)
