"""`jobctl branch rejects` and `replay`: what was refused, and to have it judged again."""

from typing import Annotated

import typer

from jobctl.cli.branch_options import SlugArgument
from jobctl.cli.options import LARGEST_NUMBER, JsonOption
from jobctl.cli.render import note, print_json, print_text
from jobctl.cli.session import current_settings, open_database
from jobctl.errors import UsageError

REJECTS_EXAMPLE = "Example: jobctl branch rejects airports --reason missing_field --export rejects.ndjson"
REPLAY_EXAMPLE = (
    "Example: jobctl branch replay airports --reason no_such_date && jobctl ingest-branch --branch airports"
)
ReasonOption = Annotated[str | None, typer.Option("--reason", help="Only rejects of this reason.")]


def rejects(
    slug: SlugArgument,
    reason: ReasonOption = None,
    by_reason: Annotated[bool, typer.Option("--by-reason", help="Count them by reason and field.")] = False,
    resolved: Annotated[bool, typer.Option("--all", help="Also those that were resolved since.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="Rejects on a page.")] = 50,
    after: Annotated[
        int, typer.Option("--after", min=0, max=LARGEST_NUMBER, help="Those after this id: the page's `next`.")
    ] = 0,
    export: Annotated[
        str | None, typer.Option("--export", metavar="FILE", help="Write all of them as NDJSON; - is stdout.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """List, count or export refused records.

    What ingest refused, with the reason and the raw record."""
    from dataclasses import asdict

    from jobctl.branches import rejects as store_of_rejects
    from jobctl.branches import store
    from jobctl.cli import branch_views

    if export == "-" and json:
        raise UsageError("--export - and --json both want stdout", hint="leave --json out: the export is NDJSON")
    with open_database(current_settings()).connect(purpose="branch rejects") as conn:
        branch = store.require(conn, slug)
        if export is not None:
            from jobctl.cli.reject_export import export_rejects

            found = store_of_rejects.iterate(conn, branch.branch_id, reason=reason, resolved=resolved)
            exported = export_rejects(found, export)
            if json:
                print_json({"branch": slug, "exported": exported, "file": export})
            elif export != "-":
                print_text(f"Wrote {exported:,} rejects to {export}.")
            return
        if by_reason:
            reasons = store_of_rejects.count_by_reason(conn, branch.branch_id, reason=reason, resolved=resolved)
            if json:
                print_json({"items": [asdict(each) for each in reasons], "next": None})
            else:
                branch_views.print_reasons(reasons)
            return
        page = store_of_rejects.list_rejects(
            conn, branch.branch_id, reason=reason, after=after, limit=limit + 1, resolved=resolved
        )
    shown = page[:limit]
    following = shown[-1].reject_id if len(page) > limit else None
    if json:
        print_json({"items": [branch_views.reject_object(reject) for reject in shown], "next": following})
        return
    branch_views.print_rejects(shown)
    if following is not None:
        again = f" --reason {reason}" if reason else ""
        note(f"More: jobctl branch rejects {slug}{again} --limit {limit} --after {following}")


def replay(
    slug: SlugArgument,
    reason: ReasonOption = None,
    now: Annotated[bool, typer.Option("--now", help="Run ingest-branch for this branch at once.")] = False,
    json: JsonOption = False,
) -> None:
    """Have refused records judged again, after the field map or the code was mended.

    The next ingest-branch reads them; with --now it runs at once, and --json prints its report."""
    from jobctl.branches import store
    from jobctl.branches.replay import mark_for_replay

    database = open_database(current_settings())
    with database.connect(purpose="branch replay") as conn:
        branch = store.require(conn, slug)
    marked = mark_for_replay(database, branch, reason=reason)
    if now:
        from jobctl.cli.job_commands import ingest_branch

        ingest_branch(branch=[slug], json=json, verbose=not json)
    elif json:
        print_json({"branch": slug, "reason": reason, "marked": marked})
    elif marked:
        print_text(f"{marked:,} rejects will be judged again. Next: jobctl ingest-branch --branch {slug}")
    else:
        print_text("There are no open rejects to judge again.")
