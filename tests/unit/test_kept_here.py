"""What a host knows of its runs without the database."""

from datetime import UTC, datetime
from pathlib import Path

from jobctl.monitor.runs import kept_here

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_run_that_is_brought_in_meanwhile_hides_none_of_those_that_wait(tmp_path: Path) -> None:
    for nth in range(20):  # a name whose file is gone by the time it is looked at
        (tmp_path / f"{nth}-gone.json").symlink_to(tmp_path / "nowhere")
    for nth in range(3):
        (tmp_path / f"{nth}-waits.json").write_text("{}")
    (tmp_path / "alerts.json").write_text("{}")
    found = kept_here.look(tmp_path, [], NOW)
    assert (found.runs, found.has_alerts) == (3, True)


def test_a_spool_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert kept_here.look(tmp_path / "none", [], NOW) == (0, None, False, ())
