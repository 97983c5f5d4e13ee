"""jobctl items: find items."""

from typing import TYPE_CHECKING, Annotated

import typer

from jobctl.cli.embeddings_commands import BranchOption
from jobctl.cli.options import JsonOption

if TYPE_CHECKING:
    import psycopg

    from jobctl.embeddings.geo import Near
    from jobctl.embeddings.search import Found, Hit
    from jobctl.errors import JobctlError

app = typer.Typer(
    help="Items are the normalised records of all branches.",
    epilog="Example: jobctl items search 'quiet airfield in the Alps' --near 46.8,8.2,150",
    no_args_is_help=True,
    rich_markup_mode=None,
)
SEARCH_EXAMPLE = """Examples:\n
\b
  jobctl items search "quiet airfield in the Alps"
  jobctl items search "seaplane base" --branch airports --near 47.6,-122.3,100 --limit 5
  jobctl items search "military airport" --json
"""


@app.command(epilog=SEARCH_EXAMPLE)
def search(
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="What is looked for, in words.")],
    branch: BranchOption = None,
    near: Annotated[
        str | None,
        typer.Option("--near", metavar="LAT,LON,KM", help="Only within so many km of a place.", show_default=False),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1_000, help="The nearest so many.")] = 10,
    json: JsonOption = False,
) -> None:
    """Find items by meaning: those whose text is nearest to the question, best first."""
    from jobctl.cli import render
    from jobctl.cli.embeddings_commands import branch_id_of
    from jobctl.cli.session import current_settings, open_database
    from jobctl.db.sqlstate import translated
    from jobctl.embeddings import store
    from jobctl.embeddings.provider import NoVector
    from jobctl.embeddings.search import search as search_items
    from jobctl.embeddings.vector import dimensions
    from jobctl.errors import UsageError
    from jobctl.jobs.embedding_model import provider_of

    if not question.strip():
        raise UsageError("the question is empty", hint="say in words what is looked for")
    around = _near(near)
    settings = current_settings()
    database = open_database(settings)
    with translated(), database.connect(purpose="items search") as conn:
        branch_id = branch_id_of(conn, branch)
        known = store.model(conn, settings.embed_model_version)
        if known is None:
            raise _nothing_embedded(conn, settings.embed_model_version)
        provider = provider_of(settings)
        (vector,) = provider.embed([question])
        if isinstance(vector, NoVector):
            raise UsageError(f"the question has no meaning to the model: {vector.reason}", hint="use other words")
        store.require_same(known, provider.model, dimensions(vector))
        with database.transaction(conn):
            found = search_items(conn, vector, known, branch_id=branch_id, near=around, limit=limit)
    if json:
        render.print_json(
            {
                "items": [_hit_object(hit) for hit in found.hits],
                "next": None,
                "model_version": known.model_version,
                "exact": found.is_exact,
            }
        )
    else:
        _print(found, has_near=around is not None)


def _near(text: str | None) -> "Near | None":
    if text is None:
        return None
    from jobctl.embeddings.geo import parse_near
    from jobctl.errors import UsageError

    try:
        return parse_near(text)
    except ValueError as error:
        raise UsageError(
            f"--near {text!r} {error}", hint="--near 46.8,8.2,100 is within 100 km of that place"
        ) from None


def _nothing_embedded(conn: "psycopg.Connection", model_version: str) -> "JobctlError":
    """Which step is still to be done."""
    from datetime import timedelta

    from jobctl import clock
    from jobctl.embeddings.status import standing
    from jobctl.errors import JobctlError

    found = standing(conn, model_version=model_version, hour_ago=clock.utc_now() - timedelta(hours=1))
    current = [each for each in found if each.is_current]
    pending = sum(each.pending for each in current)
    if not any(each.items for each in current):
        return JobctlError("there are no items yet", hint="run: jobctl ingest-branch; then: jobctl work --type embed")
    what = f"no item has a vector of model version {model_version!r} yet"
    if pending:
        return JobctlError(f"{what}, {pending:,} wait for it", hint="run: jobctl work --type embed")
    return JobctlError(what, hint="run: jobctl embeddings reembed; then: jobctl work --type embed")


def _hit_object(hit: "Hit") -> dict[str, object]:
    values: dict[str, object] = hit._asdict()
    values["score"] = round(hit.score, 4)
    values["distance_km"] = round(hit.distance_km, 3) if hit.distance_km is not None else None
    values["stale"] = not values.pop("is_current")
    return values


def _print(found: "Found", *, has_near: bool) -> None:
    from jobctl.cli import render

    if not found.hits:
        render.print_text("Nothing was found there: no item within --branch and --near is embedded.")
        return
    columns = ("name", "kind", "city", "region", "country", "branch")
    shown = [name for name in columns if any(getattr(hit, name) for hit in found.hits)]
    rows = [
        [
            f"{hit.score:.3f}" + ("" if hit.is_current else " (stale)"),
            *(getattr(hit, name) for name in shown),
            *([f"{hit.distance_km:,.1f}"] if hit.distance_km is not None else []),
        ]
        for hit in found.hits
    ]
    render.print_table("", ["score", *shown, *(["km"] if has_near else [])], rows)
