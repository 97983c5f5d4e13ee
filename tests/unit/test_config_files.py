"""Which files are read, and which are refused for who could read or write them."""

import os
import socket
import subprocess
from pathlib import Path

import pytest

from jobctl.settings_reading.fault import InvalidSettings
from jobctl.settings_reading.files import LARGEST_FILE
from jobctl.settings_reading.load import Loaded, load

SECRET = "c4n4ry-c4n4ry"
MODES = [0o400, 0o600, 0o640, 0o604, 0o644, 0o660, 0o620, 0o602, 0o666, 0o700, 0o755, 0o777]
FILES = {
    "an env file with a secret": ("JOBCTL_ENV_FILE", f"GITHUB_TOKEN={SECRET}\n", True),
    "an env file without one": ("JOBCTL_ENV_FILE", "JOBCTL_BATCH_SIZE=7\n", False),
    "a config file with a secret": ("JOBCTL_CONFIG", f'database_url = "postgresql://app:{SECRET}@db/jobs"\n', True),
    "a config file without one": ("JOBCTL_CONFIG", "batch_size = 7\n", False),
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "work"
    directory.mkdir(mode=0o755)
    monkeypatch.chdir(directory)
    return directory


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def read(home: Path, **environ: str) -> Loaded:
    return load(environ={"HOME": str(home), **environ})


def the_fault(home: Path, **environ: str) -> tuple[str, str]:
    with pytest.raises(InvalidSettings) as raised:
        read(home, **environ)
    (fault,) = raised.value.faults
    return fault.message, fault.mend


@pytest.mark.parametrize("mode", MODES, ids=oct)
@pytest.mark.parametrize("kind", FILES)
def test_a_file_is_refused_when_others_may_read_its_secret_or_all_may_write_it(
    here: Path, kind: str, mode: int
) -> None:
    variable, text, secret = FILES[kind]
    path = write(here / "the file", text, mode)
    if secret and mode & 0o077:
        message, mend = the_fault(here, **{variable: str(path)})
        assert f"holds a secret and is open to others (mode {mode:04o})" in message
        assert mend == f"chmod 600 '{path}'"
        assert SECRET not in message
    elif mode & 0o002:
        message, mend = the_fault(here, **{variable: str(path)})
        assert "is writable by all" in message
        assert mend == f"chmod o-w '{path}'"
    else:
        assert read(here, **{variable: str(path)}).files == (path,)


def test_the_mend_that_is_told_mends_it(here: Path) -> None:
    path = write(here / "env", f"GITHUB_TOKEN={SECRET}\n", 0o644)
    _, mend = the_fault(here, JOBCTL_ENV_FILE=str(path))
    subprocess.run(mend, shell=True, check=True)
    assert read(here, JOBCTL_ENV_FILE=str(path)).settings.secrets() == (SECRET,)


def test_an_empty_secret_is_no_secret(here: Path) -> None:
    path = write(here / "env", "GITHUB_TOKEN=\n", 0o644)
    assert read(here, JOBCTL_ENV_FILE=str(path)).settings.github_token is None


def test_a_broken_config_file_with_a_secret_is_refused_for_both(here: Path) -> None:
    path = write(here / "toml", f'github_token = "{SECRET}"\nbroken = \n', 0o644)
    with pytest.raises(InvalidSettings) as raised:
        read(here, JOBCTL_CONFIG=str(path))
    assert len(raised.value.faults) == 2
    assert SECRET not in str(raised.value)


def test_a_link_is_judged_by_the_file_it_leads_to(here: Path) -> None:
    write(here / "real", f"GITHUB_TOKEN={SECRET}\n", 0o644)
    (here / "link").symlink_to(here / "real")
    message, _ = the_fault(here, JOBCTL_ENV_FILE=str(here / "link"))
    assert "open to others" in message


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("variable", ["JOBCTL_ENV_FILE", "JOBCTL_CONFIG"])
def test_a_file_of_another_user_is_refused(here: Path, variable: str) -> None:
    path = write(here / "file", "")
    os.chown(path, 65534, -1)
    message, mend = the_fault(here, **{variable: str(path)})
    assert "belongs to another user (uid 65534)" in message
    assert mend == f"chown 0 {path}"


def test_a_file_of_root_is_accepted_by_others(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(here / "file", "JOBCTL_BATCH_SIZE=7\n", 0o644)
    if os.geteuid() == 0:
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        assert read(here, JOBCTL_ENV_FILE=str(path)).settings.batch_size == 7
    else:
        assert read(here, JOBCTL_ENV_FILE=str(path)).settings.batch_size == 7


# Where they are looked for -----------------------------------------------------------------------------------------


def test_the_nearest_file_is_read_and_only_that(here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    far = write(home / ".config/jobctl/env", "JOBCTL_BATCH_SIZE=1\nJOBCTL_H3_RESOLUTION=1\n")
    assert read(home).files == (far,)
    near = write(here / "jobctl.env", "JOBCTL_BATCH_SIZE=2\n")
    found = read(home)
    assert (found.files, found.settings.batch_size, found.settings.h3_resolution) == ((near,), 2, 8)
    named = write(tmp_path / "named", "JOBCTL_BATCH_SIZE=3\n")
    assert read(home, JOBCTL_ENV_FILE=str(named)).settings.batch_size == 3


def test_config_files_are_looked_for_in_the_same_order(here: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    write(home / ".config/jobctl/jobctl.toml", "batch_size = 1")
    assert read(home).settings.batch_size == 1
    assert read(home, XDG_CONFIG_HOME=str(tmp_path / "none")).settings.batch_size == 5_000
    write(here / "jobctl.toml", "batch_size = 2")
    assert read(home).settings.batch_size == 2
    named = write(tmp_path / "named", "batch_size = 3")
    assert read(home, JOBCTL_CONFIG=str(named)).settings.batch_size == 3


def test_a_plain_dotenv_of_the_working_directory_is_never_read(here: Path) -> None:
    write(here / ".env", "JOBCTL_BATCH_SIZE=7\nDATABASE_URL=postgresql://other/db\n", 0o644)
    assert read(here).settings.batch_size == 5_000
    assert read(here, JOBCTL_ENV_FILE="/dev/null").files == (Path("/dev/null"),)


@pytest.mark.parametrize("name", ["jobctl.env", "jobctl.toml"])
def test_a_working_directory_that_others_can_write_to_is_passed_over_and_told(here: Path, name: str) -> None:
    path = write(here / name, "JOBCTL_BATCH_SIZE=7\n" if name.endswith("env") else "batch_size = 7")
    here.chmod(0o1777)
    found = read(here)
    assert (found.files, found.settings.batch_size) == ((), 5_000)
    assert f"{path} was not read" in found.notes[0]
    variable = "JOBCTL_ENV_FILE" if name.endswith("env") else "JOBCTL_CONFIG"
    assert read(here, **{variable: name}).settings.batch_size == 7


def test_the_environment_wins_over_a_named_file_that_says_otherwise(here: Path) -> None:
    path = write(here / "env", "JOBCTL_BATCH_SIZE=7\n")
    assert read(here, JOBCTL_ENV_FILE=str(path), JOBCTL_BATCH_SIZE="8").settings.batch_size == 8


# What cannot be read -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variable", ["JOBCTL_ENV_FILE", "JOBCTL_CONFIG"])
class TestUnreadable:
    def test_a_named_file_that_is_not_there(self, here: Path, variable: str) -> None:
        assert "does not exist" in the_fault(here, **{variable: "missing"})[0]

    def test_a_directory(self, here: Path, variable: str) -> None:
        assert "is not a file" in the_fault(here, **{variable: str(here)})[0]

    def test_a_pipe_that_nobody_writes_to_does_not_hang(self, here: Path, variable: str) -> None:
        os.mkfifo(here / "pipe")
        assert "is not a file" in the_fault(here, **{variable: "pipe"})[0]

    def test_a_socket(self, here: Path, variable: str) -> None:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("s")
            assert "cannot be read" in the_fault(here, **{variable: "s"})[0]

    def test_bytes_that_are_no_text(self, here: Path, variable: str) -> None:
        (here / "latin").write_bytes("timezone = 'Zürich'".encode("latin-1"))
        assert "is not UTF-8" in the_fault(here, **{variable: "latin"})[0]

    def test_a_file_that_is_far_too_large(self, here: Path, variable: str) -> None:
        write(here / "large", "#" * (LARGEST_FILE + 1))
        assert "larger than 1 MiB" in the_fault(here, **{variable: "large"})[0]

    def test_a_path_that_is_none(self, here: Path, variable: str) -> None:
        assert "cannot be read" in the_fault(here, **{variable: "a\0b"})[0]

    @pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
    def test_a_file_without_the_right_to_read_it(self, here: Path, variable: str) -> None:
        write(here / "closed", "", 0o000)
        assert "cannot be read: Permission denied" in the_fault(here, **{variable: "closed"})[0]


def test_a_byte_order_mark_and_windows_line_ends_are_no_part_of_a_value(here: Path) -> None:
    (here / "env").write_bytes(b"\xef\xbb\xbfJOBCTL_BATCH_SIZE=7\r\nBRANCH_SLUG=north\r\n")
    found = read(here, JOBCTL_ENV_FILE="env")
    assert (found.settings.batch_size, found.settings.branch_slug) == (7, "north")


def test_a_working_directory_that_was_removed_is_no_reason_to_fail(here: Path, tmp_path: Path) -> None:
    here.rmdir()
    assert read(tmp_path).files == ()
