"""Which host a data directory belongs to: the embedded server serves one.

On a file system that several hosts share, a second server over the same files destroys them, and the lock of a job
would hold on one host only. So the host that made the directory is noted and any other is refused.

A machine-id is a strong name and decides alone. A container has none, and its host name changes each time it is made;
there a new name is accepted where the file system is local (no second kernel can be there, and the server's own lock
tells whether a server lives), and refused where it is shared.
"""

import os
import socket
from pathlib import Path

from jobctl.errors import ConfigurationError

MACHINE_ID = Path("/etc/machine-id")
MOUNTS = Path("/proc/self/mountinfo")
MACHINE, NAME = "machine-id:", "hostname:"
SHARED = ("nfs", "cifs", "smb", "fuse", "9p", "afs", "ceph", "gluster", "lustre", "beegfs", "ocfs2", "gfs2", "virtiofs")


def identity() -> str:
    """This host's name for itself."""
    try:
        text = MACHINE_ID.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        text = ""
    return f"{MACHINE}{text}" if len(text) == 32 else f"{NAME}{socket.gethostname()}"


def refuse_another_host(recorded: str, path: Path) -> None:
    """Raise ConfigurationError if the directory was made by another host than this one."""
    here = identity()
    if recorded == here:
        return
    if not (recorded.startswith(MACHINE) and here.startswith(MACHINE)) and not on_shared_file_system(path):
        return
    raise ConfigurationError(
        f"the embedded PostgreSQL in {path} serves one host, and that is another ({recorded}; this one is {here})",
        hint="set DATABASE_URL to a PostgreSQL server for several hosts; if the data moved here for good: "
        "jobctl db start --adopt",
    )


def on_shared_file_system(path: Path) -> bool:
    """Whether other hosts may see the same files. What cannot be told counts as shared."""
    try:
        lines = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return True
    device = path.stat().st_dev
    name = f"{os.major(device)}:{os.minor(device)}"
    kinds = [line.split(" - ", 1)[1].split()[0] for line in lines if line.split()[2] == name and " - " in line]
    return not kinds or any(kind.startswith(SHARED) for kind in kinds)
