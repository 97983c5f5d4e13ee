"""The model that the settings name, ready to be asked: by tasks, and for what somebody searches.

An endpoint is the operator's own word, so it may have any port and a private address; redirects are not followed, since
text and key are meant for nobody else.
"""

from collections.abc import Mapping
from typing import Final

from jobctl import clock
from jobctl.embeddings import chosen
from jobctl.embeddings.endpoint import Answer
from jobctl.embeddings.provider import Busy, Check, Provider
from jobctl.errors import ConfigurationError
from jobctl.settings import Settings

LARGEST_ANSWER: Final = 1 << 26


def provider_of(settings: Settings) -> Provider:
    """Threads may share it. Raises ConfigurationError."""
    return chosen.provider_of(settings, post)


def post(url: str, headers: Mapping[str, str], body: bytes, timeout_s: float, check: Check) -> Answer:
    from jobctl.outbound.failures import OutboundError
    from jobctl.outbound.request import request
    from jobctl.outbound.retry_after import retry_after_s
    from jobctl.outbound.vetting import Rules

    rules = Rules(allow_private=True, ports=None, max_redirects=0)
    try:
        answer = request(
            "POST", url, headers, body, rules=rules, timeout_s=timeout_s, max_body_bytes=LARGEST_ANSWER, check=check
        )
    except OutboundError as error:
        message = f"the embedding endpoint gave no answer: {error.message}"
        if error.try_again:
            raise Busy(message, hint=error.hint) from error
        raise ConfigurationError(message, hint=error.hint or "check url of [embeddings] in jobctl.toml") from error
    return Answer(answer.status, retry_after_s(answer.headers, clock.utc_now()), answer.body)
