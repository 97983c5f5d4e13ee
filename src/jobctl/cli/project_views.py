"""How projects look to a program (JSON objects) and to a person (tables)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from jobctl.cli.render import note, print_table, print_text
from jobctl.errors import JobctlError
from jobctl.github.account import Account
from jobctl.jobs.sync.adding import Added
from jobctl.projects.project import Project

RESULTS = ("added", "updated", "unchanged", "failed")


def project_object(project: Project) -> dict[str, Any]:
    values = project._asdict()
    error_class, message = values.pop("sync_error_class"), values.pop("sync_error_message")
    return values | {"sync_error": {"class": error_class, "message": message} if error_class else None}


def added_object(added: Added) -> dict[str, Any]:
    return {
        "name": added.name,
        "result": added.result,
        "outcome": str(added.outcome),
        "project": project_object(added.project) if added.project else None,
        "error": error_object(added.error) if added.error else None,
    }


def error_object(error: JobctlError) -> dict[str, str]:
    return {"class": type(error).__name__, "message": error.message, "hint": error.hint}


def quota_object(account: Account) -> dict[str, Any]:
    total = account.total()
    return {
        "requests": total.requests,
        "unchanged": total.unchanged,
        "quota": total.quota,
        "points": total.points,
        "limited": total.limited,
        "failed": total.failed,
        "bytes": total.bytes,
    }


def counts_of(added: Sequence[Added]) -> dict[str, int]:
    return {result: sum(each.result == result for each in added) for result in RESULTS}


def print_added(added: Sequence[Added], *, dry_run: bool) -> None:
    for each in added:
        if each.error is not None:
            note(f"jobctl: {each.error.message}" + (f" ({each.error.hint})" if each.error.hint else ""))
        elif each.project is not None and each.project.full_name.lower() != each.name.lower():
            note(f"jobctl: {each.name} is {each.project.full_name} now")
    counts = counts_of(added)
    told = ", ".join(f"{number:,} {result}" for result, number in counts.items() if number) or "nothing"
    print_text(f"{'Would be: ' if dry_run else ''}{told}.")


def print_projects(projects: Sequence[Project]) -> None:
    if not projects:
        print_text("There are no such projects. To follow one: jobctl project add OWNER/REPO")
        return
    print_table(
        "",
        ["project", "active", "criticality", "team", "owner", "schedule", "last sync", "outcome"],
        [
            [
                each.full_name + (" (archived)" if each.is_archived else ""),
                "yes" if each.active else "no",
                each.criticality,
                each.team,
                each.owner,
                each.schedule,
                each.synced_at or "never",
                each.sync_outcome,
            ]
            for each in projects
        ],
    )


def print_project(project: Project, aliases: Sequence[str], due_at: datetime | None) -> None:
    """`due_at`: not before then, by its own schedule."""
    kinds = [
        word
        for word, is_so in (
            ("private", project.is_private),
            ("fork", project.is_fork),
            ("archived", project.is_archived),
        )
        if is_so
    ]
    rows: list[list[object]] = [
        ["description", project.description],
        ["active", "yes" if project.active else f"no (jobctl project activate {project.full_name})"],
        ["criticality", project.criticality],
        ["team", project.team],
        ["owner", project.owner],
        ["schedule", project.schedule or "with each sync"],
        ["due", due_at or "with the next sync"] if project.active else ["due", None],
        ["former names", ", ".join(aliases)],
        ["on GitHub since", project.created_on_github_at],
        ["last push", project.pushed_at],
        ["kind", ", ".join(kinds)],
        ["default branch", project.default_branch],
        ["language", project.language],
        ["stars", f"{project.stars:,}"],
        ["node id", project.node_id],
        ["number", project.github_id],
        ["added at", project.added_at],
        ["last sync", project.synced_at or "never"],
        ["outcome", project.sync_outcome],
        ["why", project.sync_error_message],
    ]
    print_table(f"Project {project.full_name}", ["", ""], [row for row in rows if row[1] not in (None, "")])
