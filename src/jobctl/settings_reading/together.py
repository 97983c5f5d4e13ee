"""What is wrong with a value only beside another one."""

from jobctl.did_you_mean import did_you_mean
from jobctl.settings import ENV_NAMES, Settings
from jobctl.settings_reading.fault import Fault
from jobctl.settings_reading.found import Found
from jobctl.settings_reading.limits import order_faults


def together_faults(settings: Settings, found: Found) -> list[Fault]:
    """A field that is at fault already takes no part."""
    faulty = {fault.setting for fault in found.faults}

    def origin(name: str) -> str:
        return found.values[name].origin if name in found.values else "default"

    faults = [
        fault
        for fault in order_faults(settings, settings.max_runtime_s, origin)
        if not faulty.intersection(fault.setting.split(", "))
    ]
    if (settings.github_app_id is None) != (settings.github_app_key_file is None):
        missing, there = sorted(
            ("github_app_id", "github_app_key_file"), key=lambda name: getattr(settings, name) is not None
        )
        if not faulty & {missing, there}:
            message = f"{ENV_NAMES[there]} is set, but there is no {ENV_NAMES[missing]}"
            faults.append(Fault(there, origin(there), message, "set both to sign in as a GitHub App, or unset both"))
    if settings.enable_slack_alerts and settings.slack_webhook_url is None and "slack_webhook_url" not in faulty:
        message = "ENABLE_SLACK_ALERTS is on, but there is no SLACK_WEBHOOK_URL"
        faults.append(
            Fault(
                "enable_slack_alerts",
                origin("enable_slack_alerts"),
                message,
                "set SLACK_WEBHOOK_URL or ENABLE_SLACK_ALERTS=false",
            )
        )
    if settings.alerts is not None and settings.alerts.emails and not faulty & {"alerts", "smtp_url", "email_from"}:
        missing = [ENV_NAMES[name] for name in ("smtp_url", "email_from") if getattr(settings, name) is None]
        if missing:
            message = f"alerts has emails, but there is no {' and no '.join(missing)}"
            faults.append(Fault("alerts", origin("alerts"), message, f"set {' and '.join(missing)}, or remove emails"))
    if settings.mail is not None and settings.mail.way is not None and "mail" not in faulty:
        faults += _way_faults(settings, faulty, origin("mail"))
    if not faulty & {"queue", "endpoint_tokens"}:
        faults += _token_faults(settings, origin("endpoint_tokens"))
    return faults


def _way_faults(settings: Settings, faulty: set[str], origin: str) -> list[Fault]:
    from jobctl.settings_mail import WAYS

    way = settings.mail_settings.way
    needed = WAYS[way] if way is not None else ""
    if not needed or needed in faulty or getattr(settings, needed) is not None:
        return []
    message = f"mail has way = {way!r}, but there is no {ENV_NAMES[needed]}"
    return [Fault("mail", origin, message, f"set {ENV_NAMES[needed]}, or remove way")]


def _token_faults(settings: Settings, origin: str) -> list[Fault]:
    """A token nobody uses is a misspelt name: the endpoint would be asked without any."""
    faults: list[Fault] = []
    for name in settings.endpoint_token_of():
        endpoints = settings.queue_settings.endpoints
        if name not in endpoints:
            meant = did_you_mean(name, endpoints, cutoff=0.6)
            mend = f"did you mean {meant}?" if meant else f"add [queue.endpoints.{name}] or remove the token"
            message = f"JOBCTL_ENDPOINT_TOKENS names {name!r}, which is not an endpoint"
            faults.append(Fault("endpoint_tokens", origin, message, mend))
        elif endpoints[name].url is None:
            message = f"JOBCTL_ENDPOINT_TOKENS has a token for {name!r}, which has no url to whose host it could go"
            faults.append(Fault("endpoint_tokens", origin, message, f"add url to [queue.endpoints.{name}]"))
    return faults
