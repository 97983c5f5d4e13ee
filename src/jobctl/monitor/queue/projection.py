"""When the queue will be empty, if all goes on as in the window that was looked at. Pure."""

from typing import Literal, NamedTuple

Verdict = Literal["empty", "shrinking", "steady", "growing", "stalled"]


class Projection(NamedTuple):
    """`due` are the tasks that could run now; `arrived` came and `left` were finished in the window. `empty_in_s` is
    None unless the backlog shrinks."""

    verdict: Verdict
    due: int
    arrived_per_minute: float
    left_per_minute: float
    net_per_minute: float
    empty_in_s: float | None


def project(due: int, *, arrived: int, left: int, window_s: float) -> Projection:
    minutes = window_s / 60
    net = (left - arrived) / minutes
    verdict, empty_in_s = _judge(due, arrived, left, net)
    return Projection(verdict, due, arrived / minutes, left / minutes, net, empty_in_s)


def _judge(due: int, arrived: int, left: int, net: float) -> tuple[Verdict, float | None]:
    if due == 0:
        return "empty", 0.0
    if left == arrived:
        return ("stalled" if left == 0 else "steady"), None
    return ("shrinking", due / net * 60) if net > 0 else ("growing", None)
