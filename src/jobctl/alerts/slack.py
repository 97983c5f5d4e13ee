"""An incident as a Slack message (Block Kit), by an incoming webhook. The payload's part is pure.

Whatever comes from data stands in plain_text elements, which are not read for markup; the `text` beside the blocks, for
notifications and for receivers that know no blocks, has Slack's own three characters escaped. The one link is that to
the runbook, whose address is a setting.
"""

from collections.abc import Mapping

from jobctl.alerts.webhook import Answer, Deadline, post
from jobctl.alerts.words import Told, cut

MAX_HEADER = 150
MAX_SECTION = 2_900
MAX_FIELD = 1_900  # a field takes 2,000
SHORT = 100  # what fits beside another
MOST_FIELDS = 10


def body(told: Told) -> Mapping[str, object]:
    escaped = told.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    long = [f"{word}: {said}" for word, said in told.lines if len(said) > SHORT]
    short = [f"{word}\n{said}" for word, said in told.lines if len(said) <= SHORT][:MOST_FIELDS]
    blocks: list[dict[str, object]] = [{"type": "header", "text": _plain(told.title, MAX_HEADER)}]
    if long:
        blocks.append({"type": "section", "text": _plain("\n".join(long), MAX_SECTION)})
    if short:
        blocks.append({"type": "section", "fields": [_plain(each, MAX_FIELD) for each in short]})
    if told.runbook_url is not None:
        link = {"type": "mrkdwn", "text": f"<{told.runbook_url}|Runbook>", "verbatim": True}
        blocks.append({"type": "context", "elements": [link]})
    return {"text": escaped, "blocks": blocks, "mrkdwn": False, "unfurl_links": False, "unfurl_media": False}


def send(url: str, told: Told, deadline: Deadline) -> Answer:
    return post(url, body(told), deadline)


def _plain(text: str, longest: int) -> dict[str, object]:
    return {"type": "plain_text", "text": cut(text, longest), "emoji": False}
