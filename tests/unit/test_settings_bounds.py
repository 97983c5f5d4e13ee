"""A number that is too large is told before anything begins, and not by PostgreSQL in the middle of a run."""

import pytest
from pydantic import ValidationError

from jobctl.durations import LONGEST_S
from jobctl.settings import Settings

HUGE = 10**30
SPANS = [
    (
        "alerts",
        ("realert_every_s", "flap_window_s", "calm_s", "forget_after_s", "keep_history_s", "keep_undelivered_s"),
    ),
    ("queue", ("lease_s", "keep_finished_s", "keep_failed_s")),
    ("slo", ("hourly_s", "daily_s", "weekly_s", "freshness_s")),
    ("mail", ("keep_unsent_s",)),
    ("embeddings", ("timeout_s",)),
]


def takes(**given: object) -> bool:
    try:
        Settings.model_validate({"data_dir": "/d", **given})
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize(("table", "name"), [(table, name) for table, names in SPANS for name in names])
def test_a_span_of_a_table_is_ten_years_at_most(table: str, name: str) -> None:
    assert not takes(**{table: {name: HUGE}}) and not takes(**{table: {name: LONGEST_S + 1}})
    assert takes(**{table: {name: LONGEST_S}})


@pytest.mark.parametrize(
    ("name", "most"),
    [
        *((f"{which}_timeout_ms", 2**31 - 1) for which in ("lock", "statement", "idle_in_transaction")),
        *((name, LONGEST_S) for name in ("lease_s", "cron_interval_s")),
        ("memory_limit_mb", 1 << 24),
    ],
)
def test_a_number_of_the_program_has_an_end(name: str, most: int) -> None:
    assert takes(**{name: most}) and not takes(**{name: most + 1}) and not takes(**{name: HUGE})


@pytest.mark.parametrize("name", ["keep_events", "keep_runs"])
def test_what_the_archive_keeps_is_a_number_that_a_server_can_count(name: str) -> None:
    assert takes(archive={name: 10**9}) and not takes(archive={name: HUGE})
