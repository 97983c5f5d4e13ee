"""What a way for mail is asked, and what it says of one mail."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from jobctl.reports.mail_store import Mail, Source
from jobctl.settings_mail import WayName

# sent: taken. later: not for now. failed: not at all. unknown: may have been taken. not-ours: another process has it.
End = Literal["sent", "later", "failed", "unknown", "not-ours"]


@dataclass(frozen=True, slots=True)
class Answer:
    """`is_of_way`: it is nothing of this mail's, so no other one would get through now. `helps_to_wait`: for seconds.
    `is_cut`: there was no answer."""

    end: End
    reason: str
    is_of_way: bool = False
    helps_to_wait: bool = True
    is_cut: bool = False


class Way(Protocol):
    @property
    def name(self) -> WayName: ...

    def send(self, mail: Mail, source: Source, claim: Callable[[], bool]) -> Answer:
        """One mail. `claim` is called once, right before what may make the mail the other side's; if it says no, that
        is not done. Raises nothing that a network can do, and what `claim` raises."""
        ...

    def close(self) -> None:
        """Raises nothing."""
        ...
