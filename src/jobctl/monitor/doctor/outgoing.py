"""What must leave the host gets out: mail server, Slack, watchers are reached; with --send-test something is sent.

Without --send-test nothing is posted and no password is sent: a connection, and what the other side says first.
"""

import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import suppress
from urllib.parse import urlsplit

from jobctl.mail.server import MailServer, server_of
from jobctl.monitor.doctor import mail
from jobctl.monitor.doctor.finding import Finding, NotAsked, failed, ok
from jobctl.monitor.doctor.situation import Situation
from jobctl.settings import Settings

REACH_LIMIT_S = 3.0
SEND_LIMIT_S = 6.0
TEST_TEXT = "jobctl doctor test"
PORTS = {"http": 80, "https": 443}


def check_mail(situation: Situation) -> Iterator[Finding]:
    settings = situation.settings
    if settings.smtp_url is None:
        raise NotAsked("SMTP_URL is not set")
    server = server_of(settings.smtp_url.get_secret_value())
    check = "outgoing.mail"
    if situation.sends_test:
        yield _send_mail(settings, server)
        return
    starttls = settings.mail_settings.starttls or server.usual_starttls
    reason = mail.greet(server, REACH_LIMIT_S, starttls)
    if reason is None:
        is_encrypted = server.is_tls_from_start or starttls == "required"
        yield ok(check, f"{server.host}:{server.port} answers" + (", encrypted" if is_encrypted else ""))
    else:
        yield judge_unreachable(check, f"the mail server {server.host}:{server.port}", reason, "SMTP_URL")


def _send_mail(settings: Settings, server: MailServer) -> Finding:
    check = "outgoing.mail_test"
    if settings.email_from is None or not settings.report_emails:
        raise NotAsked("a test mail needs EMAIL_FROM and REPORT_EMAILS")
    reason = mail.send(
        server,
        sender=settings.email_from,
        recipients=settings.report_emails,
        subject=TEST_TEXT,
        limit_s=SEND_LIMIT_S,
        starttls=settings.mail_settings.starttls,
    )
    if reason is None:
        return ok(check, f"{server.host}:{server.port} took a test mail for {len(settings.report_emails)} addresses")
    return judge_unreachable(check, f"a test mail through {server.host}:{server.port}", reason, "SMTP_URL")


def check_slack(situation: Situation) -> Iterator[Finding]:
    url = situation.settings.slack_webhook_url
    if url is None:
        raise NotAsked("SLACK_WEBHOOK_URL is not set")
    address = url.get_secret_value()
    host = urlsplit(address).hostname or ""
    if situation.sends_test:
        yield _post(address, host)
        return
    reason = reach(address, REACH_LIMIT_S)
    check = "outgoing.slack"
    yield (
        ok(check, f"{host} is reached")
        if reason is None
        else judge_unreachable(check, f"Slack's webhook at {host}", reason, "SLACK_WEBHOOK_URL")
    )


def _post(address: str, host: str) -> Finding:
    from jobctl.alerts import webhook

    check = "outgoing.slack_test"
    answer = webhook.post(address, {"text": TEST_TEXT}, webhook.Deadline(SEND_LIMIT_S))
    if answer.end is webhook.End.ARRIVED:
        return ok(check, f"{host} took a test message")
    return judge_unreachable(check, f"a test message to {host}", answer.reason, "SLACK_WEBHOOK_URL")


def check_heartbeats(situation: Situation) -> Iterator[Finding]:
    urls = situation.settings.heartbeat_url_of_job()
    if not urls:
        raise NotAsked("JOBCTL_HEARTBEAT_URLS is not set")
    check = "outgoing.heartbeat"
    for place, jobs in _by_place(urls).items():
        host = urlsplit(place).hostname or ""
        reason = reach(place, REACH_LIMIT_S)
        yield (
            ok(check, f"{host} is reached ({jobs})")
            if reason is None
            else judge_unreachable(check, f"the watcher {host} of {jobs}", reason, "JOBCTL_HEARTBEAT_URLS")
        )


def judge_unreachable(check: str, what: str, reason: str, setting: str) -> Finding:
    return failed(
        check,
        f"{what}: {reason[:300]}",
        why="nobody would hear of a run that failed",
        mend=f"check {setting}, the network and its firewall (jobctl config show tells where the setting comes from)",
    )


def reach(url: str, limit_s: float) -> str | None:
    """Connect, with TLS where the address says so, and send nothing; why it failed, None when it went well."""
    address = urlsplit(url)
    host, scheme = address.hostname or "", address.scheme.lower()
    try:
        port = address.port or PORTS.get(scheme, 443)
        with socket.create_connection((host, port), timeout=limit_s) as plain:
            if scheme == "https":
                with ssl.create_default_context().wrap_socket(plain, server_hostname=host) as secure, suppress(OSError):
                    secure.unwrap()
    except (OSError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    return None


def _by_place(urls: Mapping[str, str]) -> dict[str, str]:
    """One address for each place, and the jobs that are told there."""
    places: dict[str, list[str]] = {}
    for job, url in urls.items():
        address = urlsplit(url)
        places.setdefault(f"{address.scheme}://{address.netloc.rpartition('@')[2]}", []).append(job)
    return {place: ", ".join(jobs) for place, jobs in places.items()}
