"""`jobctl schedule install|diff|remove|verify|render`: the plan in a crontab that may be somebody else's, too."""

from typing import TYPE_CHECKING, Annotated

import typer

from jobctl.cli.options import JsonOption

if TYPE_CHECKING:
    from pathlib import Path

    from jobctl.cli.crontab_place import CrontabPlace

INSTALL_EXAMPLE = """Examples:\n
\b
  jobctl schedule install --dry-run          what would stand in your crontab
  jobctl schedule install                    in the crontab of who calls it
  sudo jobctl schedule install --cron-d      in /etc/cron.d/jobctl, for the user jobctl
"""
UserOption = Annotated[
    str | None, typer.Option("--user", help="Whose crontab (default: yours; another's as root).", show_default=False)
]
CronDOption = Annotated[bool, typer.Option("--cron-d", help="/etc/cron.d/jobctl instead of a user's crontab.")]
MailtoOption = Annotated[
    str | None,
    typer.Option("--mailto", help="Who gets cron's mail (default: as installed, else the user).", show_default=False),
]
ForceOption = Annotated[bool, typer.Option("--force", help="Also replace what was edited by hand.")]


def install(
    user: UserOption = None,
    cron_d: CronDOption = False,
    mailto: MailtoOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the text and write nothing.")] = False,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Put the plan's lines into a crontab, as a marked block; no other line is touched."""
    from zoneinfo import ZoneInfo

    from jobctl.cli import render

    place = _place(user, cron_d=cron_d, mailto=mailto)
    wanted = place.wanted()
    starts = place.next_starts()
    said = {"place": place.name, "changed": wanted != place.text}
    items = {"items": [each.as_json() for each in starts], "next": None}
    if dry_run:
        if as_json:
            render.print_json({**said, "text": wanted, **items})
        else:
            render.print_as_it_is(wanted.removesuffix("\n"))
        return
    place.require_account()
    place.require_unedited(force=force)
    backup = place.write(wanted)
    place.register()
    if as_json:
        render.print_json({**said, "backup": backup, **items})
        return
    _tell(place, changed=wanted != place.text, backup=backup, done="installed in")
    for each in starts:
        at = each.at.astimezone(ZoneInfo(each.zone))
        render.print_text(f"    {each.job:<15} next {at:%a %Y-%m-%d %H:%M %Z}   {each.words}")
    render.print_text("look: jobctl schedule verify; jobctl schedule list")


def diff(
    user: UserOption = None,
    cron_d: CronDOption = False,
    mailto: MailtoOption = None,
    as_json: JsonOption = False,
) -> None:
    """What `install` would change, as a unified diff; exit 1 when it would change something."""
    import difflib

    from jobctl.cli import render

    place = _place(user, cron_d=cron_d, mailto=mailto)
    wanted = place.wanted()
    lines = list(
        difflib.unified_diff(
            place.text.splitlines(keepends=True),
            wanted.splitlines(keepends=True),
            place.name,
            "jobctl schedule install",
        )
    )
    if as_json:
        render.print_json({"place": place.name, "changed": bool(lines), "diff": "".join(lines)})
    elif lines:
        render.print_as_it_is("".join(lines).removesuffix("\n"))
    raise typer.Exit(1 if lines else 0)


def remove(
    user: UserOption = None,
    cron_d: CronDOption = False,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Take the marked block out again; every other line stays as it is. Runs that have begun go on."""
    from jobctl.cli import render

    place = _place(user, cron_d=cron_d)
    place.require_unedited(force=force)
    wanted = place.without()
    backup = place.write(wanted)
    place.register()
    changed = wanted != place.text
    if as_json:
        render.print_json({"place": place.name, "changed": changed, "backup": backup})
    else:
        _tell(place, changed=changed, backup=backup, done="removed from")


def verify(user: UserOption = None, cron_d: CronDOption = False, as_json: JsonOption = False) -> None:
    """Is what is installed what is planned, would it run as cron starts it, and is a cron there (exit 1 if not)?"""
    from jobctl.cli import render

    findings = _place(user, cron_d=cron_d).findings()
    failed = [each for each in findings if each["status"] == "failed"]
    if as_json:
        render.print_json({"ok": not failed, "items": findings, "next": None})
    else:
        for each in findings:
            render.print_text(f"{each['status']:<8} {each['check']}: {each['what']}")
            if each["status"] != "ok" and each["mend"]:
                render.print_text(f"         why:  {each['why']}\n         mend: {each['mend']}")
    raise typer.Exit(1 if failed else 0)


def render_files(
    directory: Annotated[str, typer.Argument(metavar="DIRECTORY", help="Where to write them, such as deploy.")],
) -> None:
    """Write the crontab and the systemd units of the default installation, as `deploy/` has them."""
    from pathlib import Path

    from jobctl.cli import render
    from jobctl.cli.command_shapes import command_shapes
    from jobctl.cli.crontab_place import deployed_files

    root = Path(directory)
    for name, text in deployed_files(command_shapes()).items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        render.print_text(str(path))


def _place(user: str | None, *, cron_d: bool, mailto: str | None = None) -> "CrontabPlace":
    from jobctl.cli.command_shapes import command_shapes
    from jobctl.cli.crontab_place import CrontabPlace
    from jobctl.errors import UsageError

    if user is not None and cron_d:
        raise UsageError("--user and --cron-d are two places", hint="give one of them")
    return CrontabPlace.find(user, cron_d=cron_d, shapes=command_shapes(), mailto=mailto)


def _tell(place: "CrontabPlace", *, changed: bool, backup: "Path | None", done: str) -> None:
    from jobctl.cli import render

    if not changed:
        render.print_text(f"{place.name}: nothing changed")
    else:
        render.print_text(f"{done} {place.name}" + (f"; what was there before: {backup}" if backup else ""))
