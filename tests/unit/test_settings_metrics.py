"""The tables [metrics] and [service_levels]: what they may say, and the definitions that they make."""

import tomllib
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bench_page import rows, section
from jobctl.jobs.metrics.definitions import definitions_of
from jobctl.service_levels.bugs import Rules
from jobctl.service_levels.goals import DEFAULT_GOALS, Definitions, Goals
from jobctl.settings import Settings
from jobctl.settings_metrics import (
    GoalSettings,
    MetricsSettings,
    ServiceLevelSettings,
    parse_hours,
    read_metrics,
    read_service_levels,
)

OFFICE = ((540, 1_020),)


def definitions(**tables: Any) -> Definitions:
    return definitions_of(Settings(data_dir=Path("/nonexistent"), timezone="Europe/Berlin", **tables))


def test_without_tables_everything_is_as_it_is_by_itself() -> None:
    found = definitions()
    assert (found.rules, found.goals) == (Rules(), DEFAULT_GOALS)
    assert found.office.hours == (OFFICE, OFFICE, OFFICE, OFFICE, OFFICE, (), ())
    assert str(found.office.zone) == "Europe/Berlin"


def test_the_goals_of_the_page_are_those_there_are() -> None:
    told = {
        row["severity"]: Goals(
            float(row["first response h"]) * 3_600,
            float(row["resolution h"]) * 3_600 if row["resolution h"] else None,
            row["clock"] == "around",
        )
        for row in rows("metrics.md", "Service levels")
    }
    assert told == DEFAULT_GOALS


def test_a_table_changes_what_it_names_and_nothing_else() -> None:
    found = definitions(
        metrics={"severity_labels": {"critical": ["sev1"]}, "default_impact": {"low": 1}, "currency": "EUR"},
        service_levels={"critical": {"resolution": "none"}, "high": {"around_the_clock": True}},
    )
    usual = Rules()
    assert found.rules.severity_labels == {**usual.severity_labels, "critical": ("sev1",)}
    assert found.rules.default_impact == {**usual.default_impact, "low": Decimal(1)}
    assert (found.rules.currency, found.rules.bug_labels) == ("EUR", usual.bug_labels)
    assert found.goals["critical"] == Goals(3_600.0, None, around_the_clock=True)
    assert found.goals["high"] == DEFAULT_GOALS["high"]._replace(around_the_clock=True)
    assert found.goals["low"] == DEFAULT_GOALS["low"]


def test_each_change_of_a_definition_is_another_version_and_the_same_is_the_same() -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"metrics": {"currency": "EUR"}},
        {"service_levels": {"hours": "mon 09:00-17:00"}},
        {"service_levels": {"holidays": [date(2026, 12, 24)]}},
        {"service_levels": {"region": "DE"}},
        {"service_levels": {"critical": {"resolution": "8h"}}},
        {"service_levels": {"at_risk_share": 0.5}},
    ]
    versions = [definitions(**change).version for change in changes]
    assert len(set(versions)) == len(versions)
    assert versions == [definitions(**change).version for change in changes]
    assert definitions(metrics={"currency": "USD"}).version == versions[0]


def test_the_settings_on_the_page_are_read_and_are_all_there_are() -> None:
    block = section("metrics.md", "Settings").partition("```toml\n")[2].partition("```")[0]
    tables = tomllib.loads(block)
    metrics, levels = read_metrics(tables["metrics"]), read_service_levels(tables["service_levels"])
    assert metrics.model_fields_set == set(MetricsSettings.model_fields)
    assert levels.model_fields_set == set(ServiceLevelSettings.model_fields) - {"high", "medium", "low"}
    assert levels.critical is not None
    assert levels.critical.model_fields_set == set(GoalSettings.model_fields)


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("mon-fri 09:00-17:00", (OFFICE,) * 5 + ((), ())),
        ("sat 10:00-12:00; MON 13:00-17:00, 09:00-12:00", (((540, 720), (780, 1_020)), *((),) * 4, ((600, 720),), ())),
        ("mon-sun 00:00-24:00", (((0, 1_440),),) * 7),
        ("", ((),) * 7),
    ],
)
def test_hours_of_a_week(text: str, days: object) -> None:
    assert parse_hours(text) == days


@pytest.mark.parametrize(
    ("reads", "table", "fault"),
    [
        (read_metrics, "x", "is a table of jobctl.toml: [metrics]"),
        (read_metrics, {"bug_label": ["x"]}, "did you mean bug_labels?"),
        (read_metrics, {"bug_labels": "bug"}, "is a list of labels"),
        (read_metrics, {"severity_labels": {"sev1": ["x"]}}, "severity_labels.sev1"),
        (read_metrics, {"default_impact": {"low": -1}}, "default_impact.low"),
        (read_metrics, {"currency": "$"}, "currency"),
        (read_metrics, {"keep_hours_s": "1d"}, "keep_hours_s"),
        (read_service_levels, {"hours": "mo-fr 9-17"}, "where days stand"),
        (read_service_levels, {"hours": "mon 9-17"}, "where hours stand"),
        (read_service_levels, {"hours": "mon 17:00-09:00"}, "where hours stand"),
        (read_service_levels, {"hours": "mon 23:00-24:30"}, "where hours stand"),
        (read_service_levels, {"hours": "fri-mon 09:00-17:00"}, "ends before it begins"),
        (read_service_levels, {"hours": "mon 09:00-12:00, 11:00-17:00"}, "overlap"),
        (read_service_levels, {"holidays": ["24.12.2026"]}, "no day such as"),
        (read_service_levels, {"region": "Bavaria"}, "region"),
        (read_service_levels, {"critical": {"resolution": "soon"}}, "critical.resolution, which is not a duration"),
        (read_service_levels, {"critical": {"resolution": 0}}, "critical.resolution"),
        (read_service_levels, {"critical": {"response": "1h"}}, "'critical.response', which is not known"),
    ],
)  # fmt: skip
def test_a_fault_is_told_in_an_operators_words(reads: Any, table: object, fault: str) -> None:
    with pytest.raises(ValueError) as told:  # noqa: PT011 - its text is looked at below
        reads(table)
    assert fault in str(told.value)
