"""The table [slo]: what it may say, and that its page tells the truth."""

import tomllib
from typing import Any

import pytest

from bench_page import section
from jobctl.settings_monitor import SloSettings, read_slo


def test_the_block_on_the_page_is_the_default() -> None:
    block = section("status.md", "jobctl slo").partition("```toml\n")[2].partition("```")[0]
    read = read_slo(tomllib.loads(block)["slo"])
    assert read.jobs == {"ingest-branch": 600, "run/backup": 7_200}
    assert read.model_copy(update={"jobs": {}}) == SloSettings()
    assert read_slo(read) is read


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"sucess_share": 0.9}, "did you mean success_share"),
        ({"success_share": 1}, "less than 1"),
        ({"daily_s": "soon"}, "daily_s, which is not a duration"),
        ({"burn_long_s": "2h"}, r"burn_short_s \(6h\), burn_long_s \(2h\) and window_s \(30d\) must rise"),
        ("no table", "is a table of jobctl.toml"),
    ],
)
def test_a_wrong_table_is_refused_in_an_operators_words(table: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_slo(table)
