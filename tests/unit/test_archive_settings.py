"""The table `archive` is read in an operator's words, and the page tells its defaults; names and batches of files."""

import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

from jobctl.archives.batches import batches
from jobctl.archives.naming import file_name
from jobctl.settings import Settings
from jobctl.settings_archive import ArchiveSettings, read_archive

PAGE = (Path(__file__).parents[2] / "docs/archive.md").read_text(encoding="utf-8")


def test_the_settings_on_the_page_are_read_and_their_defaults_are_the_defaults() -> None:
    first, second = (each.partition("```")[0] for each in PAGE.split("```toml\n")[1:])
    read = read_archive(tomllib.loads(first)["archive"])
    assert read.model_fields_set | {"files_days"} == set(ArchiveSettings.model_fields)
    assert read.model_copy(update={"directory": None}) == ArchiveSettings()
    assert read_archive(tomllib.loads(second)["archive"]).files_days == 730 and ArchiveSettings().files_days is None


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"keep_event": 5}, "did you mean keep_events?"),
        ({"keep_events": 5}, "keep_events, which is wrong: input should be greater than or equal to 100"),
        ({"takes": ["event"]}, "has 'event', which is not a kind of rows: did you mean events?"),
        ({"files_days": 0}, "files_days, which is wrong: input should be greater than or equal to 1"),
        ({"directory": "archive"}, "directory, which is not a whole path: 'archive'"),
    ],
)
def test_a_fault_is_told_with_the_way_out(table: Mapping[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("?", r"\?")):
        read_archive(table)


def test_files_are_in_the_data_directory_unless_another_is_set() -> None:
    assert Settings(data_dir=Path("/d")).archive_dir == Path("/d/archive")
    assert Settings(data_dir=Path("/d"), archive={"directory": "/x"}).archive_dir == Path("/x")


def test_a_file_is_called_after_its_table_and_the_days_of_its_rows() -> None:
    name = file_name("ops.sync_events", "2026-08-01 10:00:00.5+00", "infinity", 12)
    assert name == "ops.sync_events.20260801-infinity.12.ndjson.gz"
    assert file_name("a.b", None, "-infinity", 1) == "a.b.none-infinity.1.ndjson.gz"


def test_batches_are_bounded_by_rows_and_bytes_and_keep_the_order() -> None:
    lines = ["x" * length for length in (1, 1, 1, 50, 3, 4, 9)]
    found = [*batches(lines, rows=2, size=8)]
    assert found == [["x", "x"], ["x"], ["x" * 50], ["xxx", "xxxx"], ["x" * 9]]
    assert [line for batch in found for line in batch] == lines
