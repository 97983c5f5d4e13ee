"""What an archive can be wrong with."""

from jobctl.errors import JobctlError


class ArchiveError(JobctlError):
    """An archive cannot be written, read or taken back; the database is as it was before."""
