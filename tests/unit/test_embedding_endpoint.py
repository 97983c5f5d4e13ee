"""The endpoint that speaks OpenAI's /v1/embeddings, asked over the loopback."""

import json

import pytest

from bench_embeddings import FakeEndpoint, Reply, error_reply, vector_for, vectors_reply
from jobctl.embeddings.endpoint import PROBE, Endpoint
from jobctl.embeddings.provider import Busy, NoVector
from jobctl.errors import ConfigurationError
from jobctl.jobs.embedding_model import post

KEY = "sk-c4n4ry-c4n4ry"


def provider(endpoint: FakeEndpoint, *, batch_size: int = 256, dimensions: int | None = None) -> Endpoint:
    return Endpoint(
        endpoint.url, "m", api_key=KEY, dimensions=dimensions, batch_size=batch_size, timeout_s=5, post=post
    )


def test_each_text_gets_its_vector_whatever_the_order_of_the_answer() -> None:
    texts = [f"text {n}" for n in range(5)]
    with FakeEndpoint() as endpoint:
        assert provider(endpoint, batch_size=2).embed(texts) == [vector_for(text) for text in texts]
        assert [body["input"] for body in endpoint.bodies] == [texts[:2], texts[2:4], texts[4:]]
        assert endpoint.paths == ["/v1/embeddings"] * 3
        assert endpoint.bodies[0]["model"] == "m" and "dimensions" not in endpoint.bodies[0]
        assert endpoint.headers[0]["Authorization"] == f"Bearer {KEY}"
        assert provider(endpoint).embed([]) == []


def test_check_is_asked_before_each_request() -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with FakeEndpoint() as endpoint:
        with pytest.raises(KeyboardInterrupt):
            provider(endpoint).embed(["a"], stop)
        assert endpoint.bodies == []


@pytest.mark.parametrize("status", [413, 400, 422])
def test_batch_with_a_text_that_is_too_long_is_halved_until_only_that_one_has_no_vector(status: int) -> None:
    texts = ["a", "b", "c" * 100, "d", "e"]

    def behaviour(asked: list[str]) -> Reply:
        return error_reply(status, "too long") if any(len(text) > 10 for text in asked) else vectors_reply(asked)

    with FakeEndpoint(behaviour) as endpoint:
        vectors = provider(endpoint).embed(texts)
    refused = vectors[2]
    assert isinstance(refused, NoVector) and "too long" in refused.reason
    assert [v for n, v in enumerate(vectors) if n != 2] == [vector_for(t) for n, t in enumerate(texts) if n != 2]


def test_batch_that_is_too_large_as_such_is_halved_and_loses_nothing() -> None:
    texts = [f"text {n}" for n in range(9)]
    with FakeEndpoint(lambda asked: error_reply(413) if len(asked) > 2 else vectors_reply(asked)) as endpoint:
        assert provider(endpoint).embed(texts) == [vector_for(text) for text in texts]


def test_request_that_is_refused_whatever_the_text_is_a_fault_of_the_configuration() -> None:
    with FakeEndpoint(lambda asked: error_reply(400, "no such parameter: dimensions")) as endpoint:
        with pytest.raises(ConfigurationError, match="no such parameter"):
            provider(endpoint).embed([f"text {n}" for n in range(64)])
        assert endpoint.bodies[-1]["input"] == [PROBE]
        assert len(endpoint.bodies) < 10


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 529])
def test_endpoint_that_is_busy_is_tried_again_later(status: int) -> None:
    with FakeEndpoint(lambda asked: error_reply(status, "slow down", Retry_After="7")) as endpoint:
        with pytest.raises(Busy, match="slow down") as caught:
            provider(endpoint).embed(["a"])
        assert caught.value.retry_after_s == 7.0
        assert len(endpoint.bodies) == 1


@pytest.mark.parametrize(("status", "hint"), [(401, "API_KEY"), (403, "API_KEY"), (404, "url and model"), (301, "url")])
def test_what_trying_again_cannot_help_is_a_fault_of_the_configuration(status: int, hint: str) -> None:
    with FakeEndpoint(lambda asked: error_reply(status, "go away")) as endpoint:
        with pytest.raises(ConfigurationError, match=f"{status}: go away") as caught:
            provider(endpoint).embed(["a", "b"])
        assert hint in caught.value.hint
        assert KEY not in str(caught.value)
        assert len(endpoint.bodies) == 1


WRONG_ANSWERS: list[tuple[object, str]] = [
    ({"data": []}, "0 vectors for 2 texts"),
    ({"data": [{"index": 0, "embedding": [1.0]}, {"index": 0, "embedding": [1.0]}]}, "index"),
    ({"data": [{"index": 0, "embedding": [1.0]}, {"index": 7, "embedding": [1.0]}]}, "index"),
    ({"data": [{"embedding": [1.0]}, {"embedding": "AAAA"}]}, "no list of numbers"),
    ({"data": [{"embedding": [1.0]}, {"embedding": []}]}, "no list of numbers"),
    ({"data": [{"embedding": [1.0]}, {"embedding": [True]}]}, "no list of numbers"),
    ({"data": [{"embedding": [1.0]}, {"embedding": [0.0]}]}, "no direction"),
    ({"data": [{"embedding": [1.0]}, None]}, "no list of numbers"),
    ({"data": {"a": 1}}, "no list `data`"),
    ([1, 2], "no list `data`"),
]


@pytest.mark.parametrize(("answer", "told"), WRONG_ANSWERS)
def test_answer_that_cannot_be_right_is_not_believed(answer: object, told: str) -> None:
    body = json.dumps(answer).encode()
    with FakeEndpoint(lambda asked: (200, {}, body)) as endpoint, pytest.raises(ConfigurationError, match=told):
        provider(endpoint).embed(["a", "b"])


def test_other_number_of_dimensions_than_asked_for_is_told() -> None:
    with FakeEndpoint() as endpoint:
        with pytest.raises(ConfigurationError, match="8 dimensions, where 16 are expected"):
            provider(endpoint, dimensions=16).embed(["a"])
        assert endpoint.bodies[0]["dimensions"] == 16


@pytest.mark.parametrize("body", [b"<html>", b"[" * 100_000, b'{"data": [', b""])
def test_what_is_no_json_may_be_better_the_next_time(body: bytes) -> None:
    with FakeEndpoint(lambda asked: (200, {}, body)) as endpoint, pytest.raises(Busy, match="no JSON"):
        provider(endpoint).embed(["a"])


def test_endpoint_that_is_away_is_tried_again_and_named_without_its_secret() -> None:
    with FakeEndpoint() as endpoint:
        gone = provider(endpoint)
    with pytest.raises(Busy, match="gave no answer") as caught:
        gone.embed(["a"])
    assert "127.0.0.1" in str(caught.value) and KEY not in str(caught.value)
    assert caught.value.try_again
