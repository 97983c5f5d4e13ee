import pytest

from jobctl.runtime.pings import BEGAN, DONE, FAILED, address, url_of

RUN = "8b0c"


@pytest.mark.parametrize(
    ("url", "state", "expected"),
    [
        ("https://hc-ping.com/uuid", BEGAN, "https://hc-ping.com/uuid/start?rid=8b0c"),
        ("https://hc-ping.com/uuid/", DONE, "https://hc-ping.com/uuid?rid=8b0c"),
        ("https://watch.example/ping/x?key=1", FAILED, "https://watch.example/ping/x/fail?key=1&rid=8b0c"),
        ("https://cronitor.link/p/key/job", BEGAN, "https://cronitor.link/p/key/job?state=run&series=8b0c"),
        ("https://cronitor.link/p/key/job", FAILED, "https://cronitor.link/p/key/job?state=fail&series=8b0c"),
        (
            "https://o1.ingest.sentry.io/api/2/cron/job/key/",
            DONE,
            "https://o1.ingest.sentry.io/api/2/cron/job/key/?check_in_id=8b0c&status=ok",
        ),
        ("https://notsentry.io/x", DONE, "https://notsentry.io/x?rid=8b0c"),
    ],
)
def test_each_kind_of_watcher_is_told_in_its_own_form(url: str, state: str, expected: str) -> None:
    assert address(url, state, RUN) == expected


def test_a_duration_is_told_to_those_who_take_one() -> None:
    assert address("https://cronitor.link/p/k/j", DONE, RUN, duration_ms=1500).endswith("&metric=duration:1.5")
    assert address("https://o1.ingest.sentry.io/c/", DONE, RUN, duration_ms=1500).endswith("&duration=1.5")


def test_the_address_of_a_scope_goes_before_that_of_its_job() -> None:
    urls = {"run": "a", "run/backup": "b"}
    assert (url_of(urls, "run", "backup"), url_of(urls, "run", "x"), url_of(urls, "sync", "")) == ("b", "a", None)
