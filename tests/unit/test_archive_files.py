"""A file of the archive that somebody has tampered with is an error that is told, whatever it is made to unpack to."""

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobctl.archives import files, manifest
from jobctl.archives.failures import ArchiveError

WHOLE: dict[str, Any] = {
    "format": 1,
    "table": "branch.loads",
    "file": "a.ndjson.gz",
    "sha256": "0" * 64,
    "columns": [],
    "first": {},
    "last": {},
    "first_at": None,
    "last_at": None,
    **dict.fromkeys(("rows", "bytes", "schema", "archive_id"), 1),
    **dict.fromkeys(("run_id", "host", "written_at"), ""),
}


def test_a_line_that_has_no_end_is_not_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LONGEST_LINE", 1_000)
    path = tmp_path / "bomb.ndjson.gz"
    path.write_bytes(gzip.compress(b'{"a": 1}\n' + b"x" * 5_000 + b"\n"))
    read: list[str] = []
    with pytest.raises(ArchiveError, match="line 2 is longer than any row"):
        read += files.lines(path)
    path.write_bytes(gzip.compress(b"x" * 998 + b"\n"))
    assert [*files.lines(path)] == ["x" * 998]


@pytest.mark.parametrize(
    "text", ["[" * 100_000, json.dumps({**WHOLE, "rows": float("inf")}), json.dumps({**WHOLE, "bytes": float("nan")})]
)
def test_a_manifest_that_python_cannot_bear_is_one_that_cannot_be_used(text: str) -> None:
    assert manifest.read(json.dumps(WHOLE)).rows == 1
    with pytest.raises(ValueError, match=r"it is no JSON|something wrong in it"):
        manifest.read(text)


def planted_link(path: Path) -> None:
    path.symlink_to(path.with_name("elsewhere"))


def planted_file(path: Path) -> None:
    path.write_text("mine")


@pytest.mark.parametrize("plant", [planted_link, planted_file, os.mkfifo])
def test_what_lies_in_the_way_of_a_new_file_is_not_written_into(tmp_path: Path, plant: Callable[[Path], None]) -> None:
    path = tmp_path / files.draft_name(1)
    plant(path)
    with pytest.raises(ArchiveError, match="cannot write"), files.told(path):
        files.Draft(path)
    assert not (tmp_path / "elsewhere").exists()
    assert plant is not planted_file or path.read_text() == "mine"
