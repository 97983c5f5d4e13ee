"""An archive that dies at any point: no row is lost, none is in two files, and the next run leaves no rest."""

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bench_archive import SEED, SMALL, Archiver, seed
from jobctl.archives import checking, store
from jobctl.archives.restoring import restore
from jobctl.archives.rows import Table
from jobctl.db.connection import Database
from jobctl.jobs.report.filing import Filing
from jobctl.runtime.run import Run


class Died(BaseException):
    """Nobody catches it, as nobody catches a SIGKILL."""


class Points:
    """Counts what a run passes, and dies at the one that is asked for."""

    def __init__(self, dies_at: int) -> None:
        self.dies_at = dies_at
        self.passed = 0

    def __call__(self, name: str) -> None:
        self.passed += 1
        if self.passed == self.dies_at:
            raise Died(name)

    def around(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        def watched(*arguments: Any, **options: Any) -> Any:
            self(f"before {name}")
            result = function(*arguments, **options)
            self(f"after {name}")
            return result

        return watched


def leave(*_: object) -> None:
    """In place of what a run does after an error."""


def watch(patch: pytest.MonkeyPatch, points: Points) -> None:
    """Each step that leaves something behind, before and after it; each commit. A death tidies nothing up."""
    patch.setattr(os, "fsync", points.around(os.fsync, "fsync"))
    patch.setattr(Path, "replace", points.around(Path.replace, "rename"))
    patch.setattr(Path, "unlink", points.around(Path.unlink, "unlink"))
    patch.setattr(Table, "delete", points.around(Table.delete, "delete"))
    patch.setattr(Filing, "_give_up", leave)
    effect = Run.effect

    @contextmanager
    def committed(self: Run, conn: psycopg.Connection, **options: Any) -> Generator[None, None, None]:
        with effect(self, conn, **options):
            yield
            points("before commit")
        points("after commit")

    patch.setattr(Run, "effect", committed)


@pytest.mark.slow
def test_a_death_at_any_point_loses_no_row_and_doubles_none(
    database: Database, conn: psycopg.Connection, tmp_path: Path
) -> None:
    """Also a second death, in the run that puts the first one right."""
    seed(conn, events=0, runs=18)
    settings = {**SMALL, "takes": ["runs"]}
    original = Archiver(database, conn, tmp_path / "never").table_rows()
    met: set[str] = set()
    dies_at, died = 0, True
    while died:
        dies_at += 1
        archiver = Archiver(database, conn, tmp_path / str(dies_at), settings)
        died = died_of(archiver, dies_at, met)
        if died and dies_at % 3 == 0:
            died_of(archiver, 1 + dies_at % 7, met)
        assert set(archiver.table_rows() + archiver.file_rows()) == set(original), f"lost at point {dies_at}"
        archiver(file_rows=90)
        assert archiver.table_rows() + archiver.file_rows() == original, f"lost or doubled at point {dies_at}"
        archives = archiver.archives()
        assert len(archiver.files()) == 2 * len(archives) and not store.unsettled(conn)
        for each in archives:
            checking.check(each.path, each)
        back(archiver, conn)
    print(f"{dies_at} points, of {len(met)} kinds")
    assert dies_at > 20 and {"before fsync", "after rename", "after delete", "after commit", "before unlink"} <= met


def died_of(archiver: Archiver, dies_at: int, met: set[str]) -> bool:
    with pytest.MonkeyPatch.context() as patch:
        watch(patch, Points(dies_at))
        try:
            archiver(file_rows=90)
        except Died as death:
            met.add(str(death))
            return True
    return False


def back(archiver: Archiver, conn: psycopg.Connection) -> None:
    """All rows in their tables again, and no archive: as it was at first."""
    for each in archiver.archives():
        restore(archiver.database, conn, each.path, each, begin=lambda: None, dry_run=False)
    conn.execute("DELETE FROM ops.archives")


@pytest.mark.slow
def test_a_death_while_old_files_are_deleted_leaves_no_rest(
    database: Database, conn: psycopg.Connection, tmp_path: Path
) -> None:
    seed(conn, events=0, runs=18)
    dies_at, died, met = 0, True, set[str]()
    while died:
        dies_at += 1
        archiver = Archiver(database, conn, tmp_path / str(dies_at), {**SMALL, "takes": ["runs"]})
        archiver(file_rows=4)
        kept = archiver.table_rows()
        conn.execute("UPDATE ops.archives SET written_at = now() - interval '3 days'")
        archiver.settings = {**archiver.settings, "files_days": 2}
        died = died_of(archiver, dies_at, met)
        archiver()
        assert not archiver.files() and not archiver.archives() and not store.unsettled(conn), (
            f"left at point {dies_at}"
        )
        assert archiver.table_rows() == kept
        conn.execute("TRUNCATE ops.job_history")
        conn.execute(SEED[1].encode(), {"runs": 18})
    print(f"{dies_at} points, of {len(met)} kinds")
    assert {"before unlink", "after unlink", "before commit", "after commit"} <= met
