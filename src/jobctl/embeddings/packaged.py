"""The model that ships in a package, wordllama: 256 numbers a text, its weights inside, no network ever.

The package is an extra of jobctl. Its import sets up logging for the whole process, which is undone here; its loader
looks for its own files in a folder that is spelt otherwise, and would fetch them, unless told where they are.
"""

import logging
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Protocol, cast

from jobctl.embeddings.provider import Check, NoVector
from jobctl.embeddings.vector import Vector
from jobctl.errors import ConfigurationError

DIMENSIONS = 256
SHORTER = (64, 128)  # what the model can be cut to: its first numbers matter most
_CONFIG = "l2_supercat"
_loading = threading.Lock()


class _Inference(Protocol):
    """What is used of the package, whose arrays have no types here."""

    def embed(self, texts: list[str], *, batch_size: int) -> Any: ...


def load(dimensions: int = DIMENSIONS, batch_size: int = 256) -> "Packaged":
    """Loaded once a process: half a second and 100 MB. Raises ConfigurationError where the package is not installed."""
    if dimensions not in (*SHORTER, DIMENSIONS):
        raise ConfigurationError(
            f"the packaged model has no vectors of {dimensions} dimensions",
            hint=f"jobctl.toml: [embeddings] dimensions = {DIMENSIONS}, 128 or 64",
        )
    with _loading:
        return _load(dimensions, batch_size)


@cache
def _load(dimensions: int, batch_size: int) -> "Packaged":
    with _logging_as_it_was():
        try:
            import wordllama  # pyright: ignore[reportMissingTypeStubs]
        except ImportError as error:
            raise ConfigurationError(
                f"the packaged embedding model is not installed here ({error})",
                hint="install the extra: pip install 'jobctl[embeddings]'; or name an endpoint: [embeddings] provider",
            ) from error
        folder = Path(wordllama.__file__).parent
        try:
            model = wordllama.WordLlama.load(
                _CONFIG,
                cache_dir=folder,
                dim=DIMENSIONS,
                trunc_dim=dimensions if dimensions != DIMENSIONS else None,
                disable_download=True,
            )
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"the packaged embedding model cannot be loaded: {error}",
                hint="install the extra anew: pip install --force-reinstall 'jobctl[embeddings]'",
            ) from error
    return Packaged(cast(_Inference, model), f"wordllama/{_CONFIG}", batch_size)


@contextmanager
def _logging_as_it_was() -> Generator[None, None, None]:
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    try:
        yield
    finally:
        root.setLevel(level)
        for handler in set(root.handlers) - set(handlers):
            root.removeHandler(handler)


class Packaged:
    """One thread at a time is in the model, which itself uses all cores; so memory does not grow with the threads."""

    def __init__(self, model: _Inference, name: str, batch_size: int) -> None:
        self.model = name
        self._inference = model
        self._batch_size = batch_size
        self._turn = threading.Lock()

    def embed(self, texts: Sequence[str], check: Check = lambda: None) -> list[Vector | NoVector]:
        given = list(texts)
        vectors: list[Vector | NoVector] = []
        for start in range(0, len(given), self._batch_size):
            check()
            with self._turn:
                vectors += self._embed(given[start : start + self._batch_size])
        return vectors

    def _embed(self, texts: list[str]) -> list[Vector | NoVector]:
        matrix = self._inference.embed(texts, batch_size=len(texts))
        lengths = (matrix * matrix).sum(axis=1, keepdims=True) ** 0.5
        has_none = lengths == 0.0
        lengths[has_none] = 1.0
        packed = (matrix / lengths).astype(">f4").tobytes()
        width = len(packed) // len(texts)
        vectors: list[Vector | NoVector] = [packed[at : at + width] for at in range(0, len(packed), width)]
        for row in has_none[:, 0].nonzero()[0].tolist():
            vectors[row] = NoVector("the model knows no word of its text")
        return vectors
