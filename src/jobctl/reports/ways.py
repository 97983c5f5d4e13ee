"""By which way the weekly mail leaves. A new way is a line here and a module beside."""

from jobctl.errors import ConfigurationError
from jobctl.reports.answer import Way
from jobctl.settings import Settings
from jobctl.settings_mail import WAYS, WayName


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
    if key is not None and name is not None and name != "smtp":
        from jobctl.reports.by_api import ByApi

        return ByApi(name, key.get_secret_value(), about.api_url, about.timeout_s)
    raise ConfigurationError(
        "there is no way for the weekly mail to leave",
        hint="set SMTP_URL, RESEND_API_KEY or SENDGRID_API_KEY, and way in [mail] where several are",
    )
