"""A file that is replaced as a whole: whoever reads it finds the old text or the new one, never a part.

The new text is written beside it and renamed over it. It is not forced to the disk first: after a crash of the machine
the file may be the old one or empty, which the next writing mends, and a wait for the disk would be every writer's.
"""

import os
import tempfile
from contextlib import suppress
from pathlib import Path


def replace(path: Path, text: bytes, *, mode: int = 0o644) -> None:
    """Raises OSError; what was there stays then. `mode` is the file's, whatever the umask: others read it."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".jobctl-")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text)
        temporary.chmod(mode)
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
