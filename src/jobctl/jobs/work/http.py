"""Tasks of the type `http`: a JSON object POSTed to an endpoint of the settings.

    payload   {"endpoint": "crm", "body": {...}}

Whom that reaches, with which headers and token, stands in `[queue.endpoints.crm]`. Where that says `url_from_payload`,
a payload may name the URL, too (`"url": "https://..."`): it is vetted like every other, and our headers and token go
there only if it is of the endpoint's own origin.

The Idempotency-Key is the same in each try of a task, so that who keeps to it does the work once, although a try whose
answer was lost is made again. 2xx is success, with the answer as result. Worth another try, after `Retry-After` where
it is given: 408, 425, 429, 5xx, no connection and no answer. What else is answered would be answered again.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from jobctl import clock
from jobctl.did_you_mean import did_you_mean
from jobctl.jobs.work.said import beginning_of, clean_object, object_in, redactor_of
from jobctl.jobs.wrapped.conditions import plain
from jobctl.outbound.addresses import parse_network
from jobctl.outbound.failures import OutboundError, TooLarge
from jobctl.outbound.request import Response, request
from jobctl.outbound.retry_after import retry_after_s
from jobctl.outbound.vetting import Rules
from jobctl.queue.handler import Context, NotRecoverable, Recoverable
from jobctl.queue.task import Task
from jobctl.redact import Redactor
from jobctl.settings_outside import EndpointSettings
from jobctl.web_url import WebUrl, parse_url

TRY_AGAIN: Final = frozenset({408, 425, 429})
KEYS: Final = frozenset({"endpoint", "body", "url"})
LONGEST_NAME: Final = 63
LONGEST_REASON: Final = 200


def http(task: Task, context: Context) -> Mapping[str, Any]:
    name, endpoint = _named(task, context)
    url = _url(task, name, endpoint)
    body = json.dumps(task.payload.get("body", {})).encode("ascii")
    redactor = redactor_of(context.settings)
    try:
        answer = request(
            "POST",
            url,
            {**_own_headers(name, endpoint, url, context), **_headers_of(task, body)},
            body,
            rules=rules_of(endpoint, url),
            timeout_s=min(context.seconds_left(), endpoint.timeout_s),
            max_body_bytes=endpoint.max_answer_bytes,
            check=context.check,
        )
    except TooLarge as error:  # what became of the request is known all the same
        answer = Response(error.status, error.headers, b"", url)
    except OutboundError as error:
        context.check()  # when the try itself is at its end, that is the reason
        text = redactor.text(f"endpoint {name}: {error.message}" + (f" ({error.hint})" if error.hint else ""))
        raise (Recoverable if error.try_again else NotRecoverable)(text) from None
    if 200 <= answer.status < 300:
        return _result(answer, redactor)
    raise _refusal(name, answer, redactor)


def rules_of(endpoint: EndpointSettings, url: WebUrl) -> Rules:
    """The endpoint's own URL may have any port: an operator wrote it. It may redirect on its own host, for the body is
    meant for nobody else. A payload's URL has what the settings list."""
    own = endpoint.web_url
    is_own = own is not None and url.origin == own.origin
    listed = [each for each in endpoint.allow if _is_network(each)]
    return Rules(
        allow_private=endpoint.allow_private,
        networks=tuple(parse_network(each) for each in listed),
        private_hosts=frozenset(endpoint.allow) - frozenset(listed),
        hosts=(url.host,) if is_own else endpoint.hosts,
        ports=frozenset(endpoint.ports) | ({own.port} if own is not None and is_own else set()),
    )


def _is_network(text: str) -> bool:
    try:
        parse_network(text)
    except ValueError:
        return False
    return True


def _named(task: Task, context: Context) -> tuple[str, EndpointSettings]:
    payload = task.payload
    name, known = payload.get("endpoint"), context.settings.queue_settings.endpoints
    if not isinstance(name, str):
        raise NotRecoverable('the payload names no endpoint: {"endpoint": NAME, "body": {...}}')
    if name not in known:
        shown = plain(name, LONGEST_NAME)
        meant = did_you_mean(shown, known, cutoff=0.6)
        raise NotRecoverable(
            f"the payload names the endpoint {shown!r}, which the settings do not have"
            + (f": did you mean {meant}?" if meant else ": write [queue.endpoints.NAME] with its url")
        )
    unknown = sorted(payload.keys() - KEYS)
    if unknown:
        raise NotRecoverable(
            f"the payload has {plain(unknown[0], LONGEST_NAME)!r}; known are {', '.join(sorted(KEYS))}"
        )
    if not isinstance(payload.get("body", {}), dict):
        raise NotRecoverable("the payload's body is not a JSON object")
    return name, known[name]


def _url(task: Task, name: str, endpoint: EndpointSettings) -> WebUrl:
    given = task.payload.get("url")
    own = endpoint.web_url
    if given is None:
        if own is None:
            raise NotRecoverable(f'endpoint {name} has no url, and the payload names none: {{"url": "https://..."}}')
        return own
    if not endpoint.url_from_payload:
        raise NotRecoverable(f"the payload names a url; endpoint {name} allows that with url_from_payload = true")
    try:
        url = parse_url(given if isinstance(given, str) else "")
    except ValueError as error:
        raise NotRecoverable(f"the payload's url {error}") from None
    if url.scheme == "http" and not (endpoint.allow_private or endpoint.allow):
        raise NotRecoverable("the payload's url begins with http://: outside of one's own network it must be https://")
    return url


def _own_headers(name: str, endpoint: EndpointSettings, url: WebUrl, context: Context) -> dict[str, str]:
    """Headers and token, which are for the endpoint's own origin and for no other."""
    own = endpoint.web_url
    if own is None or url.origin != own.origin:
        return {}
    headers = {name: value.get_secret_value() for name, value in endpoint.headers.items()}
    token = context.settings.endpoint_token_of().get(name)
    if token:
        is_bearer = endpoint.token_header.lower() == "authorization"
        headers[endpoint.token_header] = f"Bearer {token}" if is_bearer else token
    return headers


def _headers_of(task: Task, body: bytes) -> dict[str, str]:
    """The digest keeps apart the tasks of two databases that have the same number."""
    digest = hashlib.sha256(body).hexdigest()[:16]
    return {"Content-Type": "application/json", "Idempotency-Key": f"jobctl-{task.task_id}-{digest}"}


def _result(answer: Response, redactor: Redactor) -> dict[str, Any]:
    result: dict[str, Any] = {"status": answer.status}
    found = object_in(answer.body)
    cleaned = clean_object(found, redactor) if found is not None else None
    if cleaned is not None:
        result["body"] = cleaned
    elif answer.body:
        result["text"] = beginning_of(redactor.text(answer.body.decode("utf-8", "replace"), limit=10_000))
    return result


def _refusal(name: str, answer: Response, redactor: Redactor) -> Recoverable | NotRecoverable:
    status = answer.status
    said = plain(redactor.text(answer.body.decode("utf-8", "replace"), limit=4 * LONGEST_REASON), LONGEST_REASON)
    text = f"endpoint {name}: {answer.url.origin} answered {status}" + (f": {said}" if said else "")
    if status in TRY_AGAIN or 500 <= status < 600:
        return Recoverable(text, retry_after_s=retry_after_s(answer.headers, clock.utc_now()))
    if 300 <= status < 400:
        text = f"endpoint {name}: {answer.url.origin} answered {status}, a redirect that no POST follows; mend its url"
    return NotRecoverable(text)
