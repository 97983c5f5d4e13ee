"""The table [mail]: what it may say, and what is told of what it may not."""

from pathlib import Path

import pytest

from jobctl.settings_mail import MailSettings, read_mail
from jobctl.settings_reading.fault import InvalidSettings
from jobctl.settings_reading.load import load


def test_what_a_table_says_is_taken() -> None:
    found = read_mail(
        {
            "way": "resend",
            "starttls": "if-offered",
            "list_unsubscribe": "https://example.org/u?who={address}&x=1",
            "list_id": "report.example.org",
            "reply_to": "team@example.org",
            "api_url": "http://127.0.0.1:8080/",
            "timeout_s": "45s",
            "keep_unsent_s": "2d",
        }
    )
    assert (found.timeout_s, found.keep_unsent_s, found.api_url) == (45.0, 172_800.0, "http://127.0.0.1:8080")
    assert read_mail({"list_unsubscribe": "mailto:no@example.org?subject=no"}).shown() == {
        "list_unsubscribe": "mailto:no@example.org?subject=no"
    }
    assert MailSettings().way is None and MailSettings().starttls is None


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ("x", "is a table of jobctl.toml: [mail]"),
        ({"startls": "off"}, "did you mean starttls?"),
        ({"way": "pigeon"}, "way"),
        ({"starttls": True}, "starttls"),
        ({"list_unsubscribe": "http://example.org"}, "neither mailto:"),
        ({"list_unsubscribe": "https://example.org/\r\nBcc: x"}, "neither mailto:"),
        ({"list_unsubscribe": "https://example.org/>, <mailto:x@y.z"}, "neither mailto:"),
        ({"list_unsubscribe": "https://example.org/{who}"}, "brace"),
        ({"list_id": "a b"}, "list_id"),
        ({"reply_to": "a@b.org\r\nBcc: x"}, "reply_to"),
        ({"api_url": "http://example.org"}, "api_url"),
        ({"api_url": "https://me@example.org"}, "api_url"),
        ({"keep_unsent_s": "5m"}, "keep_unsent_s"),
        ({"largest_mb": 100}, "largest_mb"),
    ],
)
def test_a_fault_is_told_in_an_operators_words(table: object, fault: str) -> None:
    with pytest.raises(ValueError) as told:  # noqa: PT011 - its text is looked at below
        read_mail(table)
    assert fault in str(told.value)


def test_faults_are_told_with_all_others_and_a_way_needs_what_it_goes_by(tmp_path: Path) -> None:
    config = tmp_path / "jobctl.toml"
    config.write_text('lease_s = "x"\n[mail]\nway = "pigeon"\nlist_id = "a b"\n')
    with pytest.raises(InvalidSettings) as told:
        load(environ={"HOME": str(tmp_path)}, config_file=config)
    assert {fault.setting for fault in told.value.faults} == {"lease_s", "mail"}
    config.write_text('[mail]\nway = "resend"\n')
    with pytest.raises(InvalidSettings, match="there is no RESEND_API_KEY"):
        load(environ={"HOME": str(tmp_path), "SMTP_URL": "smtp://localhost"}, config_file=config)
    found = load(environ={"HOME": str(tmp_path), "RESEND_API_KEY": "re_1"}, config_file=config)
    assert found.settings.mail_settings.way == "resend"
