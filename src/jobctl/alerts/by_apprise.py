"""An incident through one of Apprise's services. The package is an extra, and is imported when something is sent."""

from typing import Any

from jobctl.alerts.bounded import Attempt, bounded
from jobctl.alerts.webhook import Answer, Deadline, End
from jobctl.alerts.words import Told

SHORTEST_S = 1.0  # the package's import alone may take longer than a run's budget; `alerts deliver` has time for it


def send(url: str, told: Told, deadline: Deadline) -> Answer:
    """Each address is a channel of its own, so that one that fails sends nothing twice to another."""
    return bounded(lambda attempt: _sent(url, told, deadline, attempt), deadline, "apprise")


def _sent(url: str, told: Told, deadline: Deadline, attempt: Attempt) -> Answer:
    try:
        import apprise
    except ImportError:
        return Answer(End.TRY_LATER, "the package apprise is not installed: pip install 'jobctl[apprise]'")
    try:
        asset: Any = apprise.AppriseAsset(plugin_paths=[], async_mode=False, app_id="jobctl")
        sender: Any = apprise.Apprise(asset=asset)
        if not sender.add(url):
            return Answer(End.REFUSED, "apprise does not know this kind of address")
        if deadline.left_s() < SHORTEST_S or not attempt.begin():
            return Answer(End.TRY_LATER, "no time was left")
        kind = "success" if told.notice == "resolved" else ("failure" if told.severity == "critical" else "warning")
        body = "\n".join(f"{word}: {said}" for word, said in told.lines)
        done = sender.notify(body=body, title=told.title, notify_type=kind, body_format="text", interpret_escapes=False)
    except Exception as error:  # noqa: BLE001 - a hundred services, each with faults of its own
        return Answer(End.UNKNOWN, type(error).__name__)
    return Answer(End.ARRIVED, "") if done else Answer(End.TRY_LATER, "apprise says no")
