"""By which way the weekly mail leaves, and what a way says of one mail."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from jobctl.errors import ConfigurationError
from jobctl.reports.mail_store import Mail, Source
from jobctl.settings import Settings
from jobctl.settings_mail import WAYS, WayName

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


def chosen(settings: Settings) -> WayName | None:
    """`way` of [mail], else the first that is set up; None if none is."""
    named = settings.mail_settings.way
    if named is not None:
        return named
    return next((way for way, needed in WAYS.items() if getattr(settings, needed) is not None), None)


def open_way(settings: Settings) -> Way:
    """Nothing is connected to yet. Raises ConfigurationError where none is set up."""
    name, about = chosen(settings), settings.mail_settings
    if name == "smtp" and settings.smtp_url is not None:
        from jobctl.mail.server import server_of
        from jobctl.reports.by_smtp import BySmtp

        return BySmtp(server_of(settings.smtp_url.get_secret_value()), about.starttls, about.timeout_s)
    key = {"resend": settings.resend_api_key, "sendgrid": settings.sendgrid_api_key}.get(name or "")
    if key is not None and (name == "resend" or name == "sendgrid"):
        from jobctl.reports.by_api import ByApi

        return ByApi(name, key.get_secret_value(), about.api_url, about.timeout_s)
    raise ConfigurationError(
        "there is no way for the weekly mail to leave",
        hint="set SMTP_URL, RESEND_API_KEY or SENDGRID_API_KEY, and way in [mail] where several are",
    )
