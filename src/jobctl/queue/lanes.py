"""The wheel of users, in a claimer's memory: whose turn it is, and where to go on in each of their lanes.

A lane is the waiting tasks of one user and type. A claim is offered the lanes of the users who have waited longest for
their turn; who was served, or has as many running as allowed, goes to the end. Who got nothing because a type was full
stays in front, so that its next free place is theirs. A lane found empty leaves the wheel, and its user with the last
of them, until the wheel is laid out anew.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass


@dataclass(slots=True)
class Lane:
    """Its tasks behind (rank, task_id) are still to be looked at. The rank is in PostgreSQL's own words. A `late` lane
    has only tasks of low priority left, which rank behind this moment and are due all the same."""

    user_id: str
    type: str
    rank: str
    task_id: int
    late: bool


class Wheel:
    def __init__(self) -> None:
        self._users: dict[str, dict[str, Lane]] = {}  # lanes by type; the users in the order of their turns

    def __len__(self) -> int:
        """Users who may have something to claim."""
        return len(self._users)

    def lay_out(self, lanes: Iterable[Lane], *, start_at: float = 0.0) -> None:
        """Take these lanes instead of what is on the wheel. Users keep their places, and new ones come to the end. On
        an empty wheel they stand in the order of their names, from this share of a round (0 to 1) on."""
        found: dict[str, dict[str, Lane]] = {}
        for lane in lanes:
            found.setdefault(lane.user_id, {})[lane.type] = lane
        if self._users:
            order = [user_id for user_id in self._users if user_id in found]
            order += [user_id for user_id in found if user_id not in self._users]
        else:
            names = sorted(found)
            first = int(start_at * len(names))
            order = names[first:] + names[:first]
        self._users = {user_id: found[user_id] for user_id in order}

    def offer(
        self, users: int, *, types: Collection[str] | None = None, but: Collection[str] = ()
    ) -> list[tuple[str, list[Lane]]]:
        """The next so many users with their lanes, of these types only if any are named; `but` are users to pass
        over."""
        offered: list[tuple[str, list[Lane]]] = []
        for user_id, by_type in self._users.items():
            if len(offered) == users:
                break
            if user_id in but:
                continue
            lanes = list(by_type.values())
            if types is not None:
                lanes = [lane for lane in lanes if lane.type in types]
            if lanes:
                offered.append((user_id, lanes))
        return offered

    def drop(self, lane: Lane) -> None:
        """Nothing was found in the lane."""
        by_type = self._users.get(lane.user_id)
        if by_type is not None and by_type.pop(lane.type, None) is not None and not by_type:
            del self._users[lane.user_id]

    def had_turn(self, user_id: str) -> None:
        """To the end."""
        by_type = self._users.pop(user_id, None)
        if by_type is not None:
            self._users[user_id] = by_type
