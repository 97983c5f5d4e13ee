"""What dashboard, rules and page name is what the export gives, by Prometheus's conventions."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from jobctl.monitor.prometheus.catalogue import METRICS, OWN, SECTIONS
from jobctl.monitor.prometheus.export import READERS
from jobctl.runtime.markers import RUN_METRICS, write_textfile
from jobctl.runtime.outcome import RunReport

PROJECT = Path(__file__).parents[2]
DASHBOARD: dict[str, Any] = json.loads((PROJECT / "deploy/grafana-dashboard.json").read_text(encoding="utf-8"))
RULES: dict[str, Any] = yaml.safe_load((PROJECT / "deploy/prometheus-rules.yml").read_text(encoding="utf-8"))
PAGE = (PROJECT / "docs/prometheus.md").read_text(encoding="utf-8")
ALERTS = [rule for group in RULES["groups"] for rule in group["rules"]]
KNOWN = {
    **{name: metric.labels for name, metric in METRICS.items()},
    **dict.fromkeys(RUN_METRICS, ("job_name", "scope")),
}

# What an expression may consist of, in the parts that we use.
TOKENS = re.compile(
    r"""(?P<space>\s+)
    |(?P<number>\d+(?:\.\d+)?)
    |(?P<range>\[\d+[smhdw]\])
    |(?P<matchers>\{[^{}]*\})
    |(?P<word>[a-zA-Z_][a-zA-Z0-9_]*)
    |(?P<sign>==|!=|>=|<=|[-+*/><(),])""",
    re.VERBOSE,
)
MATCHER = re.compile(r'\s*([a-z_]+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"\s*')
WORDS = {"sum", "min", "max", "count", "by", "on", "and", "or", "time", "absent", "rate", "increase", "topk", "vector"}
GRAFANA = {"$job_name": "sync"}
OWN_LABELS = {"instance", "job"}


def metrics_of(expression: str) -> set[str]:
    """The metrics that an expression names. It fails for what is no expression, for labels that a metric has not."""
    for name, value in GRAFANA.items():
        expression = expression.replace(name, value)
    found: set[str] = set()
    place, depth, last = 0, 0, ""
    groups = False  # inside the brackets of by (...) or on (...)
    while place < len(expression):
        token = TOKENS.match(expression, place)
        assert token is not None, f"at {place}: {expression}"
        place = token.end()
        kind, text = token.lastgroup, token[0]
        if kind == "space":
            continue
        if text == "(":
            depth, groups = depth + 1, last in ("by", "on")
        elif text == ")":
            depth, groups = depth - 1, False
            assert depth >= 0, expression
        elif kind == "matchers":
            assert last in KNOWN, f"{text} is not behind a metric: {expression}"
            for part in text[1:-1].split(","):
                matcher = MATCHER.fullmatch(part)
                assert matcher is not None and matcher[1] in KNOWN[last], f"{part}: {expression}"
        elif kind == "word" and groups:
            assert text in OWN_LABELS or any(text in labels for labels in KNOWN.values()), f"{text}: {expression}"
        elif kind == "word" and text not in WORDS:
            assert text in KNOWN, f"{text} is no metric of ours: {expression}"
            found.add(text)
        last = text
    assert depth == 0, expression
    assert found, expression
    return found


def panels() -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


# The catalogue -------------------------------------------------------------------------------------------------------


def test_names_and_helps_are_by_the_conventions() -> None:
    """What `promtool check metrics` says of names, restated."""
    for name, text in [*((m.name, m.help) for m in METRICS.values()), *RUN_METRICS.items()]:
        assert re.fullmatch(r"jobctl_[a-z0-9]+(_[a-z0-9]+)*", name), name
        assert text[0].isupper() and text.endswith("."), name
        words = name.split("_")
        assert not {"milliseconds", "minutes", "hours", "ms", "percent", "kb", "mb", "mib"} & set(words), name
        for base in ("seconds", "bytes"):
            if base in words:
                assert words[-1] == base, name
        assert words[-1] not in ("count", "sum", "bucket", "created", "gauge", "counter"), name
    for metric in METRICS.values():
        assert (metric.kind == "counter") == metric.name.endswith("_total"), metric.name
        assert not {"job", "instance", "le", "quantile"} & set(metric.labels), metric.name
        assert not {"run_id", "task_id", "user_id", "project", "host"} & set(metric.labels), metric.name


def test_each_name_is_there_once_and_each_section_is_read() -> None:
    assert len(METRICS) == sum(map(len, SECTIONS.values())) + len(OWN)
    assert set(READERS) == set(SECTIONS)
    assert not set(RUN_METRICS) & set(METRICS)
    assert not any(name.startswith("jobctl_run_") for name in METRICS)


def test_the_page_lists_each_metric_with_its_labels_and_no_other() -> None:
    rows = dict(re.findall(r"^\| `(jobctl_[a-z0-9_]+)` \| ([^|]*) \|", PAGE, re.MULTILINE))
    told = {name: tuple(re.findall(r"`([a-z_]+)`", labels)) for name, labels in rows.items()}
    assert told == KNOWN


# The run's own file --------------------------------------------------------------------------------------------------


def test_the_file_of_a_run_is_read_by_prometheus_own_parser(tmp_path: Path) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    report = RunReport("retry-failed", "", "", False, at, at + timedelta(seconds=2), 2_500, peak_memory_bytes=7)
    write_textfile(report, tmp_path)
    write_textfile(report._replace(job="run"), tmp_path, "backup")
    for name, scope in (("jobctl_retry_failed.prom", ""), ("jobctl_run_backup.prom", "backup")):
        path = tmp_path / name
        assert path.stat().st_mode & 0o777 == 0o644
        families = list(text_string_to_metric_families(path.read_text()))
        assert [(family.name, family.documentation) for family in families] == list(RUN_METRICS.items())
        values = {sample.name: sample.value for family in families for sample in family.samples}
        assert values["jobctl_run_duration_seconds"] == 2.5
        assert {sample.labels["scope"] for family in families for sample in family.samples} == {scope}
    assert len(list(tmp_path.iterdir())) == 2  # nothing is left beside them


# The rules -----------------------------------------------------------------------------------------------------------


def test_each_rule_names_metrics_that_there_are_and_a_page() -> None:
    assert len({rule["alert"] for rule in ALERTS}) == len(ALERTS) > 15
    for rule in ALERTS:
        metrics_of(rule["expr"])
        assert re.fullmatch(r"\d+[mh]", rule["for"])
        assert rule["labels"]["severity"] in ("warning", "critical")
        summary = rule["annotations"]["summary"]
        assert summary.count("{{") == summary.count("}}")
        for label in re.findall(r"\$labels\.([a-z_]+)", summary):
            assert any(label in labels for labels in KNOWN.values()) or label in OWN_LABELS, rule["alert"]
        assert (PROJECT / rule["annotations"]["runbook"]).is_file(), rule["alert"]


def test_what_is_no_expression_is_refused_by_this_test() -> None:
    for wrong in (
        "jobctl_job_dead)", "sum(jobctl_job_dead", "jobctl_nothing > 0", 'jobctl_job_dead{user="x"}', "1 > 0",
        "jobctl_job_dead ; 1", "sum by (person) (jobctl_job_dead)",
    ):  # fmt: skip
        with pytest.raises(AssertionError):
            metrics_of(wrong)


# The dashboard -------------------------------------------------------------------------------------------------------


def test_the_dashboard_can_be_imported_anywhere() -> None:
    assert DASHBOARD["schemaVersion"] >= 36
    assert DASHBOARD["uid"] and DASHBOARD["title"] == "jobctl" and "id" not in DASHBOARD
    kinds = {variable["name"]: variable["type"] for variable in DASHBOARD["templating"]["list"]}
    assert kinds == {"datasource": "datasource", "job_name": "query"}
    sources = {json.dumps(each["datasource"]) for each in [*panels(), *(t for p in panels() for t in p["targets"])]}
    assert sources == {'{"type": "prometheus", "uid": "${datasource}"}'}
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)


def test_panels_lie_beside_each_other_and_have_units() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
    for panel in panels():
        unit, title = panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert unit in ("short", "s", "bytes", "percentunit", "ops"), title
        assert panel["description"], title
        named = " ".join(target["expr"] for target in panel["targets"])
        if "_bytes" in named:
            assert unit == "bytes", title
        if "_seconds" in named and " / " not in named:
            assert unit == "s", title


def test_each_panel_and_variable_asks_for_metrics_that_there_are() -> None:
    shown: set[str] = set()
    for panel in panels():
        for target in panel["targets"]:
            shown |= metrics_of(target["expr"])
            for label in re.findall(r"\{\{([a-z_]+)\}\}", target["legendFormat"]):
                assert any(label in KNOWN[name] for name in metrics_of(target["expr"])), target["expr"]
    asked = re.findall(r"label_values\((\w+), (\w+)\)", json.dumps(DASHBOARD["templating"]))
    assert asked and all(label in KNOWN[name] for name, label in asked)
    # What nobody looks at on a board, but a rule or a question may.
    unshown = {
        "jobctl_build_info", "jobctl_export_section_seen", "jobctl_job_scopes_left_out", "jobctl_job_paused",
        "jobctl_schedule_lines", "jobctl_schedule_looked_at_timestamp_seconds", "jobctl_job_last_degraded",
        "jobctl_job_running", "jobctl_job_last_start_timestamp_seconds", "jobctl_job_last_success_timestamp_seconds",
        "jobctl_incident_oldest_open_timestamp_seconds", "jobctl_alerts_firing", "jobctl_database_schema_version",
        "jobctl_project_oldest_sync_timestamp_seconds", "jobctl_metrics_hour_timestamp_seconds", "jobctl_open_bugs",
        "jobctl_outbox_oldest_unsent_timestamp_seconds",
    }  # fmt: skip
    assert set(METRICS) - shown == unshown
