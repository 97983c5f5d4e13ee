"""A mail server that is not on this host must offer encryption before anything is told it."""

import pytest

from bench_mail import MailBox
from jobctl.mail.server import MailServer, server_of
from jobctl.monitor.doctor import mail


class Distant(MailServer):
    """A server that is taken for one elsewhere."""

    is_loopback = False  # type: ignore[assignment]


def distant(box: MailBox) -> MailServer:
    return Distant("127.0.0.1", box.port, is_tls_from_start=False, user="me", password="c4n4ry")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://mail.example.org", MailServer("mail.example.org", 587, False, None, None)),
        ("smtps://me:p%40ss@mail.example.org", MailServer("mail.example.org", 465, True, "me", "p@ss")),
        ("SMTP://mail:2525", MailServer("mail", 2525, False, None, None)),
    ],
)
def test_an_address_is_read(url: str, expected: MailServer) -> None:
    assert server_of(url) == expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("127.0.0.9", True),
        ("::1", True),
        ("mail.example.org", False),
        ("localhost.evil.org", False),
    ],
)
def test_only_this_host_is_trusted_without_encryption(host: str, expected: bool) -> None:
    assert MailServer(host, 25, False, None, None).is_loopback is expected


def test_a_server_that_offers_no_encryption_is_refused_and_learns_no_password() -> None:
    with MailBox("AUTH PLAIN LOGIN") as box:
        assert "STARTTLS" in (mail.greet(distant(box), 3) or "")
        said = mail.send(distant(box), sender="a@b.org", recipients=("c@d.org",), subject="s", limit_s=3)
        assert "STARTTLS" in (said or "")
    assert box.mails == [] and "AUTH" not in box.commands


def test_a_server_whose_encryption_does_not_come_is_refused() -> None:
    with MailBox("STARTTLS", answers={"STARTTLS": "454 not now"}) as box:
        assert "454 not now" in (mail.greet(distant(box), 3) or "")


def test_a_server_that_does_not_greet_is_left_after_the_limit() -> None:
    with MailBox(greets=False) as box:
        server = server_of(box.url)
        assert "timed out" in (mail.greet(server, 0.2) or "").lower()
