"""What a load did."""

from typing import NamedTuple


class LoadReport(NamedTuple):
    """rows = inserted + updated + unchanged + stale + duplicates. `without_key` of them have no readable key."""

    load_id: int
    source: str
    format: str
    full: bool
    dry_run: bool
    rows: int
    bytes: int
    inserted: int
    updated: int
    unchanged: int
    duplicates: int
    stale: int
    withdrawn: int
    without_key: int
    missing_fields: tuple[str, ...]
    duration_ms: int

    @property
    def rate(self) -> float:
        """Rows a second."""
        return self.rows / max(self.duration_ms / 1000, 0.001)
