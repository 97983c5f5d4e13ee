"""What a demo is: a seed, the moment at which its year ends, and how its rows can be told from real ones. Pure.

Each part draws from a random generator of its own, named after the part: more rows of one part change no other part.
"""

from datetime import datetime, timedelta
from hashlib import blake2b
from random import Random
from typing import Any, Final, NamedTuple
from uuid import UUID

from jobctl.projects.project import DEMO_NODE

SEED: Final = 7
YEAR: Final = timedelta(days=365)
OWNER: Final = "demo"  # of the projects
HOST: Final = "demo.invalid"  # of the runs: RFC 2606 sees to it that no host is called so
USER: Final = "demo"
BRANCH: Final = "demo-places"
VERSION: Final = "demo"

Row = tuple[Any, ...]


class Plan(NamedTuple):
    """The same plan gives the same rows."""

    seed: int
    as_of: datetime

    @property
    def start(self) -> datetime:
        return self.as_of - YEAR

    def ago(self, days: float) -> datetime:
        return self.as_of - timedelta(days=days)

    def share(self, at: datetime) -> float:
        """How much of the year is over: 0 at its beginning, 1 at its end."""
        return min(1.0, max(0.0, (at - self.start) / YEAR))

    def random(self, *part: object) -> Random:
        return Random("/".join(map(str, (self.seed, *part))))

    def uuid(self, *part: object) -> UUID:
        text = "/".join(map(str, (self.seed, self.as_of.isoformat(), *part)))
        return UUID(bytes=blake2b(text.encode(), digest_size=16).digest(), version=4)

    def sha(self, *part: object) -> str:
        return blake2b("/".join(map(str, (self.seed, *part))).encode(), digest_size=20).hexdigest()


def node_id(*part: object) -> str:
    """No id of GitHub's begins so."""
    return DEMO_NODE + "_".join(map(str, part))
