"""The table `mail` of `jobctl.toml`: by which way the weekly mail leaves, and what its headers say.

    [mail]
    way = "resend"                         # where several are set up: smtp, resend or sendgrid
    starttls = "required"                  # or "if-offered", or "off"
    list_unsubscribe = "https://intranet.example.org/unsubscribe?who={address}"
    list_id = "report.jobctl.example.org"
    reply_to = "data-team@example.org"

Without `starttls` a server on this host is spoken to in the clear, and every other one must encrypt; alerts by mail go
by it, too. Without `list_unsubscribe` it is a mail to EMAIL_FROM. `{address}` in it becomes the recipient's address.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field

from jobctl.settings_table import Table, read_table
from jobctl.settings_values import Seconds, seconds

WayName = Literal["smtp", "resend", "sendgrid"]
# What each way needs, in the order in which they are taken where none is named.
WAYS: Final[Mapping[WayName, str]] = {"smtp": "smtp_url", "resend": "resend_api_key", "sendgrid": "sendgrid_api_key"}
_ADDRESS: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+@[A-Za-z0-9.-]+"
_URL_TEXT: Final = r"[!#-;=?-\[\]_a-z{}~]+"  # ASCII that may stand between < and > of a header


def _unsubscribe(value: object) -> object:
    if isinstance(value, str) and not (
        re.fullmatch(rf"mailto:{_ADDRESS}(?:\?{_URL_TEXT})?|https://{_URL_TEXT}", value) and len(value) <= 500
    ):
        raise ValueError("is neither mailto:ADDRESS nor https://ADDRESS in plain ASCII, 500 characters at most")
    if isinstance(value, str) and re.search(r"[{}]", value.replace("{address}", "")):
        raise ValueError("has a brace that is not of {address}")
    return value


def _list_id(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)+", value):
        raise ValueError("is not of the form report.jobctl.example.org")
    return value


def _reply_to(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch(_ADDRESS, value):
        raise ValueError("is not an e-mail address in plain ASCII")
    return value


def _api_url(value: object) -> object:
    if isinstance(value, str):
        loopback = re.fullmatch(r"http://(?:localhost|127\.[0-9.]+|\[::1\])(?::\d+)?(?:/[^\s?#@]*)?", value)
        if not loopback and not re.fullmatch(r"https://[^\s/?#@]+(?:/[^\s?#@]*)?", value):
            raise ValueError("is not an https:// address without user, query and fragment")
        return value.rstrip("/")
    return value


Text = Annotated[str, Field(min_length=1, max_length=500)]


class MailSettings(Table):
    """`timeout_s` is for each wait for the other side. `keep_unsent_s` is how long a mail may wait for its turn: a
    weekly mail that comes later than that is none. `largest_mb` bounds one mail with its pictures and tables."""

    way: WayName | None = None
    starttls: Literal["required", "if-offered", "off"] | None = None
    list_unsubscribe: Annotated[Text, BeforeValidator(_unsubscribe)] | None = None
    list_id: Annotated[Text, BeforeValidator(_list_id)] | None = None
    reply_to: Annotated[Text, BeforeValidator(_reply_to)] | None = None
    api_url: Annotated[Text, BeforeValidator(_api_url)] | None = None
    timeout_s: Annotated[float, BeforeValidator(seconds), Field(gt=0, le=600, allow_inf_nan=False)] = 30.0
    keep_unsent_s: Annotated[Seconds, Field(ge=3_600)] = 3 * 86_400.0
    largest_mb: Annotated[int, Field(ge=1, le=24)] = 10


def read_mail(value: object) -> MailSettings:
    """Raises ValueError with every fault of the table, in an operator's words."""
    return read_table(value, MailSettings, '[mail] and below it way = "smtp"')
