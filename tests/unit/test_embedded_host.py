"""Which host may use a data directory."""

from pathlib import Path

import pytest

from jobctl.db import embedded_host
from jobctl.db.embedded_host import MACHINE, NAME, identity, on_shared_file_system, refuse_another_host
from jobctl.errors import ConfigurationError

HERE, ELSEWHERE = f"{MACHINE}{'a' * 32}", f"{MACHINE}{'b' * 32}"


@pytest.mark.parametrize(
    ("recorded", "here", "shared", "refused"),
    [
        (HERE, HERE, True, False),
        (HERE, ELSEWHERE, False, True),
        (HERE, ELSEWHERE, True, True),
        (f"{NAME}one", f"{NAME}one", True, False),
        (f"{NAME}one", f"{NAME}two", False, False),  # a container, made anew
        (f"{NAME}one", f"{NAME}two", True, True),
        (HERE, f"{NAME}two", False, False),
        (HERE, f"{NAME}two", True, True),
    ],
)
def test_another_host_is_refused_where_it_could_be_a_second_one(
    recorded: str, here: str, shared: bool, refused: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(embedded_host, "identity", lambda: here)
    monkeypatch.setattr(embedded_host, "on_shared_file_system", {tmp_path: shared}.__getitem__)
    if refused:
        with pytest.raises(ConfigurationError, match="serves one host"):
            refuse_another_host(recorded, tmp_path)
    else:
        refuse_another_host(recorded, tmp_path)


def test_the_machine_id_names_a_host_and_the_host_name_stands_in(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "machine-id"
    monkeypatch.setattr(embedded_host, "MACHINE_ID", file)
    assert identity().startswith(NAME)
    file.write_text("")
    assert identity().startswith(NAME)
    file.write_text("a" * 32 + "\n")
    assert identity() == HERE


@pytest.mark.parametrize(
    ("kind", "shared"), [("ext4", False), ("overlay", False), ("nfs4", True), ("fuse.sshfs", True)]
)
def test_the_file_system_tells_whether_other_hosts_see_it(
    kind: str, shared: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    device = tmp_path.stat().st_dev
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"1 0 {device >> 8 & 0xFFF}:{device & 0xFF} / / rw shared:1 - {kind} /dev/x rw\n")
    monkeypatch.setattr(embedded_host, "MOUNTS", mounts)
    assert on_shared_file_system(tmp_path) is shared
    monkeypatch.setattr(embedded_host, "MOUNTS", tmp_path / "missing")
    assert on_shared_file_system(tmp_path)
