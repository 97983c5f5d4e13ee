"""How branches, loads and rejects look to a program (JSON objects) and to a person (tables)."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any

from jobctl.branches.branch import Branch
from jobctl.branches.load_report import LoadReport
from jobctl.branches.rejects import ReasonCount, Reject
from jobctl.branches.store import Load
from jobctl.cli.render import note, print_table, print_text
from jobctl.durations import format_duration

SHOWN_PAYLOAD = 60


def branch_object(branch: Branch) -> dict[str, Any]:
    freshness = branch.expected_freshness
    return {
        "slug": branch.slug,
        "title": branch.title,
        "active": branch.active,
        "field_map": dict(branch.field_map),
        "schema_version": branch.schema_version,
        "default_country": branch.default_country,
        "expected_freshness_s": freshness.total_seconds() if freshness else None,
        "max_withdraw_share": branch.max_withdraw_share,
        "late": branch.is_late(datetime.now(UTC)),
        "loaded_at": branch.loaded_at,
        "created_at": branch.created_at,
        "updated_at": branch.updated_at,
    }


def load_object(load: Load) -> dict[str, Any]:
    values = load._asdict()
    del values["branch_id"]
    values["full"] = values.pop("full_load")
    return values


def reject_object(reject: Reject) -> dict[str, Any]:
    return asdict(reject)


def report_object(report: LoadReport, branch: Branch) -> dict[str, Any]:
    return {
        "branch": branch.slug,
        **report._asdict(),
        "rows_per_s": round(report.rate, 1),
        "warnings": warnings_of(report, branch),
    }


def warnings_of(report: LoadReport, branch: Branch) -> list[str]:
    warnings: list[str] = []
    if report.missing_fields:
        warnings.append(
            f"mapped fields that none of the first records has: {', '.join(report.missing_fields)}; "
            f"correct the map: jobctl branch add {branch.slug} --update --map our_field=source_field"
        )
    if report.without_key:
        warnings.append(
            f"{report.without_key:,} of {report.rows:,} records have no readable "
            f"{branch.field_map['record_id']} (record_id); ingest will refuse them"
        )
    return warnings


def print_branches(branches: Sequence[Branch]) -> None:
    if not branches:
        print_text("There are no branches yet. Register one: jobctl branch add --help")
        return
    now = datetime.now(UTC)
    print_table(
        "Branches",
        ["slug", "title", "active", "loaded at", "every", "late"],
        [
            [
                branch.slug,
                branch.title,
                "yes" if branch.active else "no",
                branch.loaded_at,
                _freshness(branch),
                "late" if branch.is_late(now) else "",
            ]
            for branch in branches
        ],
    )


def print_branch(branch: Branch, shown: dict[str, Any], loads: Sequence[Load]) -> None:
    checkpoint = shown["checkpoint"]
    rows: list[list[object]] = [
        ["title", branch.title],
        ["active", "yes" if branch.active else f"no (jobctl branch activate {branch.slug})"],
        ["loaded at", branch.loaded_at or "never"],
        ["expected every", (_freshness(branch) or "not set") + (" (late)" if shown["late"] else "")],
        ["field map", ", ".join(f"{ours}={source}" for ours, source in branch.field_map.items())],
        ["schema version", branch.schema_version],
        ["default country", branch.default_country],
        ["max withdraw share", f"{branch.max_withdraw_share:.0%}"],
        ["records", f"{shown['records']['live']:,} live, {shown['records']['withdrawn']:,} withdrawn"],
        ["items", f"{shown['items']['live']:,} live"],
        ["open rejects", f"{shown['rejects_open']:,}"],
        [
            "ingested up to",
            f"batch {checkpoint['batch_no']:,} of run {checkpoint['run_id']}" if checkpoint else "never",
        ],
    ]
    print_table(f"Branch {branch.slug}", ["", ""], rows)
    if loads:
        print_table(
            "Last loads",
            ["at", "file", "rows", "new", "updated", "withdrawn"],
            [
                [
                    load.loaded_at,
                    f"{PurePath(load.source).name}{' (full)' if load.full_load else ''}",
                    f"{load.rows:,}",
                    f"{load.inserted:,}",
                    f"{load.updated:,}",
                    f"{load.withdrawn:,}",
                ]
                for load in loads
            ],
        )


def print_report(report: LoadReport, branch: Branch) -> None:
    counts = {
        "new": report.inserted,
        "updated": report.updated,
        "unchanged": report.unchanged,
        "duplicates": report.duplicates,
        "older than what stands": report.stale,
        "withdrawn": report.withdrawn,
    }
    told = ", ".join(f"{number:,} {name}" for name, number in counts.items() if number) or "nothing"
    print_text(
        f"{'Would load' if report.dry_run else 'Loaded'} {branch.slug}: {report.rows:,} rows, {_size(report.bytes)}, "
        f"{report.rate:,.0f} rows/s: {told}."
    )
    for warning in warnings_of(report, branch):
        note(f"jobctl: warning: {warning}")
    if report.dry_run:
        return
    if not branch.active:
        print_text(f"Next: jobctl branch activate {branch.slug}")
    elif report.inserted or report.updated or report.withdrawn:
        print_text(f"Next: jobctl ingest-branch --branch {branch.slug}")


def print_rejects(rejects: Sequence[Reject]) -> None:
    print_table(
        "",
        ["id", "record", "reason", "field", "detail", "payload"],
        [
            [
                reject.reject_id,
                reject.record_key,
                reject.reason + (f" ({reject.resolution})" if reject.resolution else ""),
                reject.field,
                reject.detail,
                reject.payload[:SHOWN_PAYLOAD] + ("..." if len(reject.payload) > SHOWN_PAYLOAD else ""),
            ]
            for reject in rejects
        ],
    )


def print_reasons(reasons: Sequence[ReasonCount]) -> None:
    print_table(
        "",
        ["reason", "field", "rejects", "newest"],
        [[reason.reason, reason.field, f"{reason.rejects:,}", reason.newest_at] for reason in reasons],
    )


def _freshness(branch: Branch) -> str:
    return format_duration(branch.expected_freshness.total_seconds()) if branch.expected_freshness else ""


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:,.0f} {unit}" if unit == "bytes" else f"{count:,.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} GB"
