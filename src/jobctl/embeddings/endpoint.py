"""Vectors from any endpoint that speaks OpenAI's `/v1/embeddings`.

One request a batch. A batch that is too large for the endpoint (413, or 400 and 422 about one of its texts) is halved
until it fits or a single text is left over, which then has no vector. Whether a refused text is at fault, or the
request as such (an unknown model, a parameter), is asked with one word of our own: the endpoint refuses that, too, when
nothing about the texts is wrong.

What comes back is believed only when it is as many vectors as there were texts, of the expected number of dimensions,
finite, and not zero.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import Any, Final, NamedTuple, cast
from urllib.parse import urlsplit

from jobctl import clock
from jobctl.embeddings.provider import Busy, Check, NoVector
from jobctl.embeddings.vector import Vector, unit
from jobctl.errors import ConfigurationError, DependencyUnavailable

TOO_LARGE: Final = 413
ABOUT_THE_INPUT: Final = frozenset({400, 422})
TRY_LATER: Final = frozenset({408, 409, 425, 429})
LARGEST_ANSWER: Final = 1 << 26
PROBE: Final = "word"
_TOLD: Final = 200  # characters of an endpoint's own words
_HINT_OF_KEY: Final = "set JOBCTL_EMBEDDINGS_API_KEY to a key that is valid there"


class Answer(NamedTuple):
    """`headers` by their names in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes


Post = Callable[[str, Mapping[str, str], bytes, float, Check], Answer]
"""One POST of (url, headers, body) within seconds. Raises DependencyUnavailable when no whole answer comes."""


class Endpoint:
    def __init__(
        self,
        url: str,
        model: str,
        *,
        api_key: str | None,
        dimensions: int | None,
        batch_size: int,
        timeout_s: float,
        post: Post,
    ) -> None:
        self.model = f"http/{model}"
        base = url.rstrip("/")
        self._url = base if base.endswith("/embeddings") else f"{base}/embeddings"
        self._host = urlsplit(url).netloc.rpartition("@")[2]
        self._request = {"model": model} | ({"dimensions": dimensions} if dimensions else {})
        self._dimensions = dimensions
        self._headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if api_key is not None:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._batch_size = batch_size
        self._timeout_s = timeout_s
        self._post = post

    def embed(self, texts: Sequence[str], check: Check = lambda: None) -> list[Vector | NoVector]:
        vectors: list[Vector | NoVector] = []
        for start in range(0, len(texts), self._batch_size):
            vectors += self._batch(texts[start : start + self._batch_size], check)
        return vectors

    def _batch(self, texts: Sequence[str], check: Check) -> list[Vector | NoVector]:
        check()
        answer = self._ask(texts, check)
        if answer.status == 200:
            return self._vectors(answer.body, len(texts))
        if answer.status != TOO_LARGE and answer.status not in ABOUT_THE_INPUT:
            raise self._failure(answer)
        if len(texts) > 1:
            half = len(texts) // 2
            return self._batch(texts[:half], check) + self._batch(texts[half:], check)
        if answer.status in ABOUT_THE_INPUT and self._ask([PROBE], check).status in ABOUT_THE_INPUT:
            raise ConfigurationError(
                f"the embedding endpoint {self._host} refuses every text: {_told(answer)}",
                hint="check model and dimensions of [embeddings] in jobctl.toml",
            )
        return [NoVector(f"the embedding endpoint refuses its text: {_told(answer)}")]

    def _ask(self, texts: Sequence[str], check: Check) -> Answer:
        body = json.dumps({**self._request, "input": list(texts)}).encode("ascii")
        return self._post(self._url, self._headers, body, self._timeout_s, check)

    def _failure(self, answer: Answer) -> DependencyUnavailable | ConfigurationError:
        told = f"the embedding endpoint {self._host} answered {_told(answer)}"
        if answer.status in TRY_LATER or answer.status >= 500:
            return Busy(told, retry_after_s=_retry_after_s(answer.headers.get("retry-after", "")))
        if answer.status in (401, 403):
            return ConfigurationError(told, hint=_HINT_OF_KEY)
        return ConfigurationError(told, hint="check url and model of [embeddings] in jobctl.toml")

    def _vectors(self, body: bytes, count: int) -> list[Vector | NoVector]:
        try:
            found: object = json.loads(body)
        except (ValueError, RecursionError) as error:
            # A proxy's page, or an answer that was cut: the next may be whole.
            raise Busy(f"the embedding endpoint {self._host} answered what is no JSON: {error}") from error
        data = cast("dict[str, Any]", found).get("data") if isinstance(found, dict) else None
        if not isinstance(data, list):
            raise self._wrong("no list `data`")
        rows = cast("list[Any]", data)
        if len(rows) != count:
            raise self._wrong(f"{len(rows)} vectors for {count} texts")
        placed: dict[int, Vector] = {}
        for place, row in enumerate(rows):
            entry: dict[str, Any] = cast("dict[str, Any]", row) if isinstance(row, dict) else {}
            placed[entry.get("index", place)] = self._vector(entry.get("embedding"))
        if placed.keys() != set(range(count)):
            raise self._wrong("vectors whose `index` is not that of a text")
        return [placed[place] for place in range(count)]

    def _vector(self, embedding: object) -> Vector:
        numbers: list[Any] = cast("list[Any]", embedding) if isinstance(embedding, list) else []
        if not numbers or not all(type(x) in (float, int) and isfinite(x) for x in numbers):
            raise self._wrong("an `embedding` that is no list of numbers")
        if self._dimensions is not None and len(numbers) != self._dimensions:
            raise self._wrong(f"vectors of {len(numbers)} dimensions, where {self._dimensions} are expected")
        try:
            return unit(numbers)
        except ValueError as error:
            raise self._wrong(f"a vector that {error}") from error

    def _wrong(self, what: str) -> ConfigurationError:
        return ConfigurationError(
            f"the embedding endpoint {self._host} answered with {what}",
            hint="check url, model and dimensions of [embeddings] in jobctl.toml",
        )


def _told(answer: Answer) -> str:
    """Status, and the endpoint's own words: those of OpenAI's error object, else the beginning of what came."""
    text = answer.body[: 4 * _TOLD].decode("utf-8", "replace")
    try:
        found: object = json.loads(answer.body)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict):
        table = cast("dict[str, object]", found)
        error = table.get("error", table)
        message = cast("dict[str, object]", error).get("message") if isinstance(error, dict) else error
        text = message if isinstance(message, str) else text
    words = " ".join(text.split())[:_TOLD]
    return f"HTTP {answer.status}" + (f": {words}" if words else "")


def _retry_after_s(value: str) -> float | None:
    """Seconds or a date, as HTTP has both."""
    if value.strip().isdigit():
        return float(value)
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (until - clock.utc_now()).total_seconds()) if until.tzinfo is not None else None


def post_once(url: str, headers: Mapping[str, str], body: bytes, timeout_s: float, check: Check) -> Answer:
    """By the standard library: no redirects, no proxies, and an answer of bounded size."""
    import ssl
    from http.client import HTTPConnection, HTTPException, HTTPSConnection

    check()
    address = urlsplit(url)
    host = address.hostname or ""
    until = clock.monotonic() + timeout_s
    conn = (
        HTTPSConnection(host, address.port, timeout=timeout_s, context=ssl.create_default_context())
        if address.scheme == "https"
        else HTTPConnection(host, address.port, timeout=timeout_s)
    )
    try:
        conn.request("POST", address.path + (f"?{address.query}" if address.query else ""), body, dict(headers))
        response = conn.getresponse()
        read = bytearray()
        while chunk := response.read1(1 << 16):
            read += chunk
            if len(read) > LARGEST_ANSWER:
                raise ConfigurationError(f"the answer of {address.netloc} is larger than {LARGEST_ANSWER >> 20} MB")
            if clock.monotonic() > until:
                raise TimeoutError(f"no whole answer within {timeout_s:g} s")
        if response.length:  # what was promised and did not come
            raise ConnectionError("the answer was cut")
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, bytes(read))
    except (OSError, HTTPException) as error:
        raise Busy(
            f"the embedding endpoint {address.netloc} gave no answer: {error or type(error).__name__}",
            hint="check that it runs, and url of [embeddings] in jobctl.toml",
        ) from error
    finally:
        conn.close()
