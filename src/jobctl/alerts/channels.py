"""Which channels there are, and one message to one of them. A new channel is a line here and a module beside."""

import sys

from jobctl.alerts.webhook import Answer, Deadline, End
from jobctl.alerts.words import Told
from jobctl.settings import Settings


def send(channel: str, settings: Settings, told: Told, key: str, deadline: Deadline) -> Answer:
    """Raises nothing that a channel can do. `key` is the message's own, the same at each try."""
    kind, _, number = channel.partition("-")
    if kind == "stderr":
        return _printed(told)
    if kind == "slack" and settings.slack_webhook_url is not None:
        from jobctl.alerts import slack

        return slack.send(settings.slack_webhook_url.get_secret_value(), told, deadline)
    if kind == "email" and settings.smtp_url is not None and settings.email_from is not None:
        from jobctl.alerts import mail

        post = mail.Post(
            settings.smtp_url.get_secret_value(),
            settings.email_from,
            settings.alert_settings.emails,
            settings.mail_settings.starttls,
        )
        return mail.send(post, told, key, deadline)
    if kind == "apprise" and 0 < int(number) <= len(settings.apprise_addresses()):
        from jobctl.alerts import by_apprise

        return by_apprise.send(settings.apprise_addresses()[int(number) - 1], told, deadline)
    return Answer(End.TRY_LATER, "this channel is not set up here")


def _printed(told: Told) -> Answer:
    """One line, as cron's mail has it."""
    said = dict(told.lines)
    about = said.get("error") or said.get("lasted") or ""
    try:
        sys.stderr.write(f"{told.title}" + (f" ({about})" if about else "") + "\n")
        sys.stderr.flush()
    except (OSError, ValueError) as error:
        return Answer(End.TRY_LATER, type(error).__name__)
    return Answer(End.ARRIVED, "")
