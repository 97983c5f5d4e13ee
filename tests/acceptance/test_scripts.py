"""scripts/bootstrap on machines it must get along with, played by stand-ins for Python: nothing is downloaded."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
TOOLS = (
    *("awk", "bash", "cat", "cut", "dirname", "env", "flock", "grep", "head", "ln", "mkdir", "mktemp", "rm", "sed"),
    *("sha256sum", "shasum", "sort", "tail"),
)
ASKED_FOR_FACTS = "*_base_executable*"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A directory that is all of PATH: ordinary tools, an ordinary user, and no Python."""
    bin_dir = tmp_path / "bin"
    bin_dir.mkdir()
    for tool in TOOLS:
        if found := shutil.which(tool):  # flock and shasum are not everywhere
            (bin_dir / tool).symlink_to(found)
    program(bin_dir / "id", "echo 1000")
    return bin_dir


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What bootstrap reads of the repository, at a path with a space."""
    target = tmp_path / "my clone"
    for folder in ("scripts", "requirements"):
        shutil.copytree(PROJECT / folder, target / folder)
    (target / "src/jobctl").mkdir(parents=True)
    shutil.copy(PROJECT / "src/jobctl/version.py", target / "src/jobctl")
    shutil.copy(PROJECT / "pyproject.toml", target)
    return target


def program(where: Path, body: str) -> Path:
    where.write_text(f"#!/bin/bash\n{body}\n")
    where.chmod(where.stat().st_mode | stat.S_IXUSR)
    return where


def run(command: list[str], path: Path, home: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    env = {"PATH": str(path), "HOME": str(home), **environment}
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)


def choose(path: Path, home: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    return run(["bash", "-c", f"source '{PROJECT}/scripts/lib.sh'; choose_python"], path, home, **environment)


def test_shims_without_a_python_and_old_versions_are_passed_over(path: Path, tmp_path: Path) -> None:
    program(path / "python3", "echo 'pyenv: python3: command not found' >&2; exit 127")
    program(path / "python3.13", "exit 1")  # what a version that is too old answers
    (path / "python3.12").symlink_to(sys._base_executable)  # type: ignore[attr-defined]
    chosen = choose(path, tmp_path)
    assert (chosen.returncode, chosen.stderr) == (0, "")
    version, _, where = chosen.stdout.strip().partition(" ")
    assert version == "{}.{}.{}".format(*sys.version_info[:3])
    assert Path(where).name.startswith("python3")


def test_versions_of_pyenv_are_found_without_its_shims(path: Path, tmp_path: Path) -> None:
    version = tmp_path / ".pyenv/versions/3.12.1/bin"
    version.mkdir(parents=True)
    python = program(version / "python3", f"echo 3.12.1 {version}/python3")
    assert choose(path, tmp_path).stdout == f"3.12.1 {python}\n"


def test_no_python_at_all_names_what_to_install(path: Path, tmp_path: Path) -> None:
    chosen = choose(path, tmp_path)
    assert chosen.returncode == 1
    assert "apt-get install python3 python3-venv" in chosen.stderr


def test_the_python_that_was_asked_for_is_taken_or_refused_but_never_replaced(path: Path, tmp_path: Path) -> None:
    (path / "python3").symlink_to(sys._base_executable)  # type: ignore[attr-defined]
    refused = choose(path, tmp_path, PYTHON="/nonexistent/python3")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "/nonexistent/python3" in refused.stderr


def test_a_python_that_can_make_no_environment_names_the_missing_package(path: Path, clone: Path) -> None:
    program(path / "python3", f'case "$*" in {ASKED_FOR_FACTS}) echo 3.11.9 {path}/python3 ;; *) exit 1 ;; esac')
    done = run([str(clone / "scripts/bootstrap")], path, clone)
    assert done.returncode == 1
    assert "apt-get install python3.11-venv" in done.stderr
    assert not (clone / ".venv").exists()


def test_without_ensurepip_the_pip_of_the_system_fills_the_environment_once(path: Path, clone: Path) -> None:
    calls = clone / "calls"
    without_pip = program(path / "python-without-pip", "case \"$*\" in *'-m pip'*) exit 1 ;; esac")
    program(
        path / "python3",
        f"""case "$*" in
{ASKED_FOR_FACTS}) echo 3.11.9 {path}/python3 ;;
*ensurepip*) exit 1 ;;
'-m venv --without-pip '*) mkdir -p .venv/bin; ln -s {without_pip} .venv/bin/python ;;
'-m pip --python .venv/bin/python --version') ;;
'-m pip --python .venv/bin/python install '*) echo "$*" >>calls ;;
*) exit 1 ;;
esac""",
    )
    first = run([str(clone / "scripts/bootstrap")], path, clone)
    assert (first.returncode, first.stderr) == (0, "")
    installed, project = calls.read_text().splitlines()
    assert "--require-hashes -r requirements/build.txt -r requirements/runtime.txt" in installed
    assert project.endswith("--no-deps --no-build-isolation -e .")

    second = run([str(clone / "scripts/bootstrap")], path, clone)
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")
    assert len(calls.read_text().splitlines()) == 2

    (clone / "requirements/runtime.txt").write_text("typer==1\n")
    run([str(clone / "scripts/bootstrap")], path, clone)
    assert len(calls.read_text().splitlines()) == 4


def test_a_failing_installation_shows_what_the_installer_said(path: Path, clone: Path) -> None:
    program(
        path / "python3",
        f"""case "$*" in
{ASKED_FOR_FACTS}) echo 3.11.9 {path}/python3 ;;
*ensurepip*) ;;
'-m venv '*) mkdir -p .venv/bin; ln -s {path}/python3 .venv/bin/python ;;
'-m pip install '*) echo 'no matching distribution' >&2; exit 1 ;;
esac""",
    )
    done = run([str(clone / "scripts/bootstrap")], path, clone)
    assert done.returncode == 1
    assert "no matching distribution" in done.stderr
    assert not list((clone / ".venv").glob("stamp-*"))


def test_the_scripts_are_executable_and_the_shared_part_is_not() -> None:
    modes = {each.name: os.access(each, os.X_OK) for each in (PROJECT / "scripts").iterdir() if each.is_file()}
    assert not modes.pop("lib.sh")
    assert all(modes.values()), modes
