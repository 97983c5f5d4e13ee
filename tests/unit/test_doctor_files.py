"""Owners and modes as the doctor judges them: 12 modes of 4 files, ways that others can change, closed ways."""

import os
import stat
from pathlib import Path

import pytest

from jobctl.monitor.doctor.account import Account, Facts, may
from jobctl.monitor.doctor.files import Kind, judge_missing, judge_mode
from jobctl.monitor.doctor.path_walk import steps, where_it_ends, who_else_writes
from jobctl.monitor.doctor.program import judge_owners, judge_readable

ANN = Account("ann", 4_001, (4_001, 4_100), Path("/home/ann"))
ROOT = Account("root", 0, (0,), Path("/root"))
STRANGER = 4_002

MODES = (0o400, 0o440, 0o600, 0o640, 0o644, 0o660, 0o664, 0o666, 0o700, 0o755, 0o770, 0o777)
# o in order, w warning, F failed; for each of the modes above.
EXPECTED: dict[Kind, str] = {
    "env": "oFoFFFFFoFFF",  # with a secret in it: its owner's alone
    "config": "ooooowwFoowF",  # without one: nobody else writes to it
    "log": "FFooowwFoowF",  # ann must write to it
    "data": "FFFFFFFFooFF",  # ann must enter it, and nobody else make files in it
}
STATUS = {"o": "ok", "w": "warning", "F": "failed"}


def facts(mode: int, uid: int = ANN.uid, gid: int = ANN.gid, *, directory: bool = False, path: str = "/x") -> Facts:
    return Facts(Path(path), uid, gid, mode | (stat.S_IFDIR if directory else stat.S_IFREG))


@pytest.mark.parametrize("kind", EXPECTED)
@pytest.mark.parametrize("number", range(len(MODES)))
def test_twelve_modes_of_four_files(kind: Kind, number: int) -> None:
    mode = MODES[number]
    found = judge_mode(kind, facts(mode, directory=kind == "data"), ANN, has_secret=kind == "env")
    assert found.status == STATUS[EXPECTED[kind][number]], f"{mode:04o}: {found}"
    if found.status != "ok":
        assert f"{mode:04o}" in found.what and found.why and found.mend.split()[0] in ("chmod", "chown")


@pytest.mark.parametrize("kind", EXPECTED)
def test_a_strangers_file_fails_whatever_its_mode(kind: Kind) -> None:
    found = judge_mode(kind, facts(0o777, STRANGER, directory=kind == "data"), ANN)
    assert (found.status, "belongs to" in found.what) == ("failed", True)
    assert found.mend.startswith("chown ann ")


@pytest.mark.parametrize("kind", ["env", "config", "log"])
def test_roots_file_that_the_user_cannot_use_fails(kind: Kind) -> None:
    assert judge_mode(kind, facts(0o600, 0, 0), ANN).status == "failed"
    assert judge_mode(kind, facts(0o660, 0, 4_100), ANN).status == "warning"  # by a group of ann's


def test_the_account_of_roots_embedded_server_may_own_the_data() -> None:
    owned = facts(0o700, STRANGER, directory=True)
    assert judge_mode("data", owned, ROOT, also=(STRANGER,)).status == "ok"
    assert judge_mode("data", owned, ROOT).status == "failed"


def test_a_file_in_place_of_a_directory_and_the_reverse_fail() -> None:
    assert "is no directory" in judge_mode("data", facts(0o700), ANN).what
    assert "is no file" in judge_mode("log", facts(0o700, directory=True), ANN).what


def test_a_log_or_data_directory_that_is_not_there_can_be_made_or_not() -> None:
    open_one = facts(0o755, directory=True, path="/var/log/jobctl")
    closed = facts(0o755, 0, 0, directory=True, path="/var/log/jobctl")
    log = Path("/var/log/jobctl/jobctl.log")
    assert judge_missing("log", log, open_one, ANN).status == "ok"
    assert "may not make it" in judge_missing("log", log, closed, ANN).what
    assert "is not there" in judge_missing("log", log.parent / "deeper/x.log", open_one, ANN).what
    assert judge_missing("data", Path("/var/log/jobctl/a/b"), open_one, ANN).status == "ok"
    assert judge_missing("data", Path("/var/log/jobctl/a/b"), closed, ANN).mend.startswith("install -d -o ann")


@pytest.mark.parametrize(
    ("account", "who", "mode", "want", "expected"),
    [
        (ANN, (ANN.uid, 1), 0o400, "read", True),
        (ANN, (ANN.uid, 4_100), 0o040, "read", False),  # the owner's bits alone count for the owner
        (ANN, (1, 4_100), 0o040, "read", True),
        (ANN, (1, 4_100), 0o004, "read", False),
        (ANN, (1, 1), 0o004, "read", True),
        (ANN, (1, 1), 0o002, "write", True),
        (ROOT, (1, 1), 0o000, "write", True),
        (ROOT, (1, 1), 0o644, "pass", False),
    ],
)
def test_the_mode_allows_as_the_kernel_does(
    account: Account, who: tuple[int, int], mode: int, want: str, expected: bool
) -> None:
    assert want in ("read", "write", "pass")
    assert may(account, facts(mode, *who), want) is expected


@pytest.mark.parametrize(
    ("step", "word"),
    [
        (facts(0o755, STRANGER, directory=True), "belongs to"),
        (facts(0o777, 0, 0, directory=True), "by everybody"),
        (facts(0o775, 0, 4_100, directory=True), "by group"),
        (facts(0o664, 0, 4_002), "by group"),
        (facts(0o666, ANN.uid), "by everybody"),
    ],
)
def test_a_step_that_others_can_change_is_named(step: Facts, word: str) -> None:
    [fault] = who_else_writes([facts(0o755, 0, 0, directory=True), step], ANN)
    assert word in fault and "/x" in fault


@pytest.mark.parametrize(
    "step",
    [
        facts(0o755, 0, 0, directory=True),
        facts(0o775, 0, 0, directory=True),  # root's group
        facts(0o1777, 0, 0, directory=True),  # sticky: nobody replaces what is another's
        facts(0o755, directory=True),
    ],
)
def test_a_step_that_only_root_and_the_user_can_change_is_in_order(step: Facts) -> None:
    assert who_else_writes([step], ANN) == []


def test_a_program_of_an_ordinary_user_is_a_strangers_for_root() -> None:
    assert len(who_else_writes([facts(0o755)], ROOT)) == 1


def test_links_are_followed_and_each_directory_on_the_way_counts(tmp_path: Path) -> None:
    (tmp_path / "real/deep").mkdir(parents=True)
    (tmp_path / "real/deep/program").touch()
    (tmp_path / "link").symlink_to("real/../real/deep")
    (tmp_path / "entry").symlink_to(tmp_path / "link/program")
    walked = [step.path for step in steps(tmp_path / "entry")]
    assert walked[0] == Path("/")
    assert {tmp_path / "real", tmp_path / "real/deep", tmp_path / "real/deep/program"} <= set(walked)
    assert walked[-1].name == "program"


def test_a_ring_of_links_ends(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    with pytest.raises(OSError, match=r"ring of links|symbolic links"):
        steps(tmp_path / "one")


LAYOUTS = {
    "the file is everybody's": ("a/b/program", 0o666),
    "the file is a group's": ("a/b/program", 0o664),
    "its directory is everybody's": ("a/b", 0o777),
    "its directory is a group's": ("a/b", 0o775),
    "a directory above is everybody's": ("a", 0o777),
    "a directory above is everybody's to write alone": ("a", 0o733),
    "the link lies where everybody writes": ("links", 0o777),
    "the link lies where a group writes": ("links", 0o775),
    "a directory on the link's way is everybody's": ("way", 0o777),
    "a directory that a link leads through is everybody's": ("far/deep", 0o777),
}


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """links/entry -> way/hop/program, where way/hop -> far/deep/../../a/b: each part is one's own and closed."""
    for directory in ("a/b", "links", "way", "far/deep"):
        (tmp_path / directory).mkdir(parents=True)
    (tmp_path / "a/b/program").touch()
    (tmp_path / "way/hop").symlink_to(tmp_path / "far/deep/../../a/b")
    (tmp_path / "links/entry").symlink_to(tmp_path / "way/hop/program")
    for path in (tmp_path, *tmp_path.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize("name", LAYOUTS)
def test_ten_layouts_that_others_can_change_are_found_on_the_disk(layout: Path, name: str) -> None:
    part, mode = LAYOUTS[name]
    me = Account("me", os.geteuid(), (60_009,), layout)
    shared = layout / part
    os.chown(shared, -1, os.getgid())
    assert judge_owners("package", [layout / "links/entry"], me).status == "ok"
    shared.chmod(mode)
    if os.getgid() == 0 and mode & 0o002 == 0:
        os.chown(shared, -1, 60_010)  # root's own group would be nobody else
    found = judge_owners("package", [layout / "links/entry"], me)
    assert found.status == "failed", found
    assert found.mend == f"chmod go-w {shared}"


def test_a_strangers_directory_is_found_on_the_disk(layout: Path) -> None:
    someone_else = Account("someone", 60_001, (60_001,), layout)
    found = judge_owners("package", [layout / "links/entry"], someone_else)
    expected = "ok" if os.geteuid() == 0 else "failed"  # what is root's may always be there
    assert found.status == expected


def test_the_first_closed_step_is_named(tmp_path: Path) -> None:
    path = tmp_path / "closed/program"
    path.parent.mkdir()
    path.touch()
    path.parent.chmod(0o700)
    stranger = Account("stranger", 60_001, (60_001,), Path("/"))
    end = where_it_ends([step for step in steps(path) if step.path.is_relative_to(path.parent)], stranger)
    assert end is not None and f"cannot enter {path.parent} (mode 0700" in end
    found = judge_readable("package", path, stranger)
    assert (found.status, "/opt/jobctl" in found.mend) == ("failed", True)
    path.parent.chmod(0o755)
    path.chmod(0o600)
    end = where_it_ends([step for step in steps(path) if step.path.is_relative_to(path.parent)], stranger)
    assert end is not None and f"cannot read {path}" in end
    assert "cannot be reached" in judge_readable("package", path / "gone", stranger).what
