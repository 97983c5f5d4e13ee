"""The model that ships in a package: offline, quiet, the same vector whatever stands beside a text."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobctl.embeddings.provider import NoVector
from jobctl.embeddings.vector import floats
from jobctl.errors import ConfigurationError

pytest.importorskip("wordllama", reason="the packaged model is not on this platform")

from jobctl.embeddings import packaged

TEXTS = [
    "Sion Airport, Sion, Valais, Switzerland",
    "Yokota Air Base, Fussa, Tokyo, Japan",
    "飛行場",
    "a",
    "runway " * 150,
    *(f"field number {n}, {'far away, ' * (n % 7)}" for n in range(60)),
]


def test_vector_of_a_text_does_not_depend_on_its_batch() -> None:
    together = packaged.load().embed(TEXTS)
    assert together == [packaged.load().embed([text])[0] for text in TEXTS]
    assert together == packaged.load(256, 7).embed(TEXTS)
    for vector in together:
        assert isinstance(vector, bytes)
        assert len(vector) == 4 * 256
        assert sum(x * x for x in floats(vector)) == pytest.approx(1.0, rel=1e-5)


def test_meaning_is_nearer_than_chance() -> None:
    question, near, far = (
        floats(vector)
        for vector in packaged.load().embed(["military base in Japan", TEXTS[1], TEXTS[0]])
        if isinstance(vector, bytes)
    )

    def score(other: list[float]) -> float:
        return sum(x * y for x, y in zip(question, other, strict=True))

    assert score(near) > score(far) + 0.2


def test_shorter_vectors_are_had_and_others_refused() -> None:
    (vector,) = packaged.load(64).embed(["a"])
    assert isinstance(vector, bytes) and len(vector) == 4 * 64
    with pytest.raises(ConfigurationError, match="100 dimensions"):
        packaged.load(100)


def test_text_without_any_word_has_no_vector_and_takes_no_other_along() -> None:
    with_one, without = packaged.load().embed(["a", ""])
    assert isinstance(with_one, bytes)
    assert isinstance(without, NoVector)


QUIET = """
import logging, socket, sys
def no_network(*_: object) -> None: raise OSError("no network here")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = no_network
logging.getLogger().setLevel(logging.ERROR)
from jobctl.embeddings import packaged
assert len(packaged.load().embed(["a"])[0]) == 1024
assert logging.getLogger().handlers == [] and logging.getLogger().level == logging.ERROR
"""


def test_model_is_loaded_without_network_home_or_a_word_and_leaves_logging_alone(tmp_path: Path) -> None:
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", QUIET], env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


def test_missing_package_is_told_with_the_extra_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wordllama", None)
    packaged._load.cache_clear()
    try:
        with pytest.raises(ConfigurationError, match="not installed") as caught:
            packaged.load()
    finally:
        packaged._load.cache_clear()
    assert "jobctl[embeddings]" in caught.value.hint
