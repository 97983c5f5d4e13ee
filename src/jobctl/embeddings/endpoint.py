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
from math import isfinite
from typing import Any, Final, NamedTuple, cast
from urllib.parse import urlsplit

from jobctl.embeddings.provider import Busy, Check, NoVector
from jobctl.embeddings.vector import Vector, unit
from jobctl.errors import ConfigurationError, DependencyUnavailable

TOO_LARGE: Final = 413
ABOUT_THE_INPUT: Final = frozenset({400, 422})
TRY_LATER: Final = frozenset({408, 409, 425, 429})
PROBE: Final = "word"
_TOLD: Final = 200  # characters of an endpoint's own words
_HINT_OF_KEY: Final = "set JOBCTL_EMBEDDINGS_API_KEY to a key that is valid there"


class Answer(NamedTuple):
    """`retry_after_s` is what its header Retry-After says, if it has one."""

    status: int
    retry_after_s: float | None
    body: bytes


Post = Callable[[str, Mapping[str, str], bytes, float, Check], Answer]
"""One POST of (url, headers, body) within seconds, without redirects. Raises DependencyUnavailable when no whole answer
comes, and ConfigurationError when none can."""


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
            return Busy(told, retry_after_s=answer.retry_after_s)
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
