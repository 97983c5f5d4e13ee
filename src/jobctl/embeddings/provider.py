"""What makes vectors of texts: a model that ships in a package (`packaged`), or an HTTP endpoint (`endpoint`).

A provider gives as many answers as it was given texts, each a vector of length 1 or the reason why there is none for
this text. What concerns all of them it raises: DependencyUnavailable when trying again may help (`Busy` with how long
to wait), ConfigurationError when it cannot.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from jobctl.embeddings.vector import Vector
from jobctl.errors import DependencyUnavailable


class NoVector(NamedTuple):
    """The model makes nothing of this text, and never will."""

    reason: str


class Busy(DependencyUnavailable):
    """The endpoint asks for patience; `retry_after_s` is how long at least, where it said so."""

    def __init__(self, message: str, *, hint: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


Check = Callable[[], None]  # is called between requests; what it raises ends the work


class Provider(Protocol):
    @property
    def model(self) -> str:
        """Provider and model, as the database keeps it beside the model version."""
        ...

    def embed(self, texts: Sequence[str], check: Check = lambda: None) -> Sequence[Vector | NoVector]: ...
