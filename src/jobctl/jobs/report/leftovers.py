"""Before anything new is begun (`archiving`): files past their time go, and what earlier runs left is put right."""

from datetime import timedelta
from pathlib import Path

from jobctl.archives import files, store
from jobctl.archives.checking import check
from jobctl.archives.failures import ArchiveError
from jobctl.archives.restoring import table_of
from jobctl.archives.store import Archive, Holder
from jobctl.jobs.report.filing import Filing


def expire(filing: Filing, *, keeps: timedelta | None) -> None:
    """Files that were written longer ago are given up, and `settle` removes them with their rows of ops.archives; None:
    none ever is. A dry run counts them."""
    if keeps is None:
        return
    for each in store.expired(filing.conn, host=filing.host, before=filing.run.now - keeps):
        filing.run.stop.check()
        if filing.holder is not None:
            with filing.run.effect(filing.conn):
                if not store.take_over(filing.conn, each, filing.holder, state="discarded"):
                    continue  # its rows are asked back at this moment
            filing.run.event(
                "archive_expired", table=each.table_name, archive_id=each.archive_id, file=each.file, rows=each.rows
            )
        else:
            filing.counts["archive_files_deleted"] += 1


def settle(filing: Filing, holder: Holder, *, stays: timedelta) -> None:
    """`stays`: how long restored rows do. What another run is at is its own affair."""
    for each in store.unsettled(filing.conn):
        filing.run.stop.check()
        if each.is_held and each.run_id != holder.run_id:
            continue
        if each.state in ("writing", "discarded"):
            _remove(filing, each, holder)
        elif each.state == "written" or store.is_due(each, now=filing.run.now, stays=stays):
            _go_on(filing, each, holder)


def _remove(filing: Filing, each: Archive, holder: Holder) -> None:
    """It was never whole, or is past its time. Only its own host knows what lies there."""
    if each.state == "writing":
        with filing.run.effect(filing.conn):
            if not store.take_over(filing.conn, each, holder, state="discarded"):
                return
    if each.host != filing.host:
        return
    directory = Path(each.directory)
    try:
        with files.told(directory, "remove what was given up in"):
            files.remove(directory, each.archive_id, each.file)
    except ArchiveError as error:  # the directory is another user's as a rule, whose own run removes it
        filing.notes.append(f"archive {each.archive_id} of {each.table_name} was given up: {error.message}")
        return
    for left in store.unsettled(filing.conn):
        if left.archive_id == each.archive_id:
            with filing.run.effect(filing.conn):
                store.forget(filing.conn, left)
    filing.counts["archive_files_deleted"] += each.written_at is not None  # what was never whole was no file of ours


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
