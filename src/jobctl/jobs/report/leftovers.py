"""What earlier runs left of the archive, put right before anything new is begun (`archiving`)."""

from datetime import timedelta
from pathlib import Path

from jobctl.archives import files, store
from jobctl.archives.checking import check
from jobctl.archives.failures import ArchiveError
from jobctl.archives.restoring import table_of
from jobctl.archives.store import Archive, Holder
from jobctl.jobs.report.filing import Filing


def settle(filing: Filing, holder: Holder, *, stays: timedelta) -> None:
    """`stays`: how long restored rows do. What a run is at is its own affair."""
    for each in store.unsettled(filing.conn):
        filing.run.stop.check()
        if each.is_held:
            continue
        if each.state in ("writing", "discarded"):
            _remove(filing, each, holder)
        elif each.state == "written" or store.is_due(each, now=filing.run.now, stays=stays):
            _go_on(filing, each, holder)


def _remove(filing: Filing, each: Archive, holder: Holder) -> None:
    """Nothing was deleted of its rows. Only its own host knows what lies there."""
    if each.state == "writing":
        with filing.run.effect(filing.conn):
            if not store.take_over(filing.conn, each, holder, state="discarded"):
                return
    if each.host != filing.host:
        return
    directory = Path(each.directory)
    try:
        with files.told(directory, "remove what was not whole in"):
            files.remove(directory, each.archive_id, each.file)
    except ArchiveError as error:  # the directory is another user's as a rule, whose own run removes it
        filing.notes.append(f"archive {each.archive_id} of {each.table_name} was given up: {error.message}")
        return
    for left in store.unsettled(filing.conn):
        if left.archive_id == each.archive_id:
            with filing.run.effect(filing.conn):
                store.forget(filing.conn, left)


def _go_on(filing: Filing, each: Archive, holder: Holder) -> None:
    """Delete what is still there of its rows, if its file is seen from here and is what it was."""
    try:
        table = table_of(filing.conn, check(each.path, each), each.path)
    except ArchiveError as error:
        where = "" if each.host == filing.host else f" (it was written on {each.host})"
        filing.notes.append(
            f"archive {each.archive_id} of {each.table_name} is not finished{where}: {error.message}; its rows stay"
        )
        return
    with filing.run.effect(filing.conn):
        is_mine = store.take_over(filing.conn, each, holder, state="written")
    if is_mine:
        filing.delete(table, each.path, each.archive_id)
