"""Tell a watcher outside (healthchecks.io, Cronitor, Sentry, what speaks like them) that a run began and how it ended.

It notices what nothing on this host can: that the host itself is gone. Nothing about it can delay or fail a job: each
ping is sent by a process of its own, detached from ours, that has PING_LIMIT_S to do it and whose fate nobody asks
for. The supervisor starts it before the worker and after its end, when there are no threads or connections to inherit.
"""

import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import urlsplit

from jobctl import log
from jobctl.runtime.outcome import RunReport

LOG = log.get_logger()

PING_LIMIT_S = 10
BEGAN = "began"
DONE = "done"
FAILED = "failed"

# What each kind of watcher is told, by the host of its address; any other is taken for one like healthchecks.io, whose
# form Uptime Kuma, Dead Man's Snitch and self-hosted ones take, too.
CRONITOR_HOSTS = ("cronitor.link", "cronitor.io")
SENTRY_HOSTS = ("sentry.io",)
CRONITOR_STATES = {BEGAN: "run", DONE: "complete", FAILED: "fail"}
SENTRY_STATES = {BEGAN: "in_progress", DONE: "ok", FAILED: "error"}
PATHS = {BEGAN: "/start", DONE: "", FAILED: "/fail"}


def address(url: str, state: str, run_id: str, *, duration_ms: int | None = None) -> str:
    """Where to send the news of a run. Pure."""
    host = (urlsplit(url).hostname or "").lower()
    base, _, query = url.partition("?")
    terms = [query] if query else []
    if _is_at(host, CRONITOR_HOSTS):
        terms += [f"state={CRONITOR_STATES[state]}", f"series={run_id}"]
        if duration_ms is not None:
            terms.append(f"metric=duration:{duration_ms / 1000:g}")
    elif _is_at(host, SENTRY_HOSTS):
        terms += [f"check_in_id={run_id}", f"status={SENTRY_STATES[state]}"]
        if duration_ms is not None:
            terms.append(f"duration={duration_ms / 1000:g}")
    else:
        base = base.rstrip("/") + PATHS[state]
        terms.append(f"rid={run_id}")
    return f"{base}?{'&'.join(terms)}"


def url_of(urls: Mapping[str, str], job: str, scope: str) -> str | None:
    """The address for a job, or for one scope of it (`run/backup`), which goes before."""
    return urls.get(f"{job}/{scope}") or urls.get(job)


def began(url: str, run_id: str) -> None:
    _detached(address(url, BEGAN, run_id))


def ended(url: str, report: RunReport) -> None:
    """By the exit code: 0 and 3 are done, whatever else is failed."""
    state = DONE if report.exit_code in (0, 3) else FAILED
    _detached(address(url, state, report.run_id, duration_ms=report.duration_ms))


def _is_at(host: str, hosts: tuple[str, ...]) -> bool:
    return any(host == known or host.endswith("." + known) for known in hosts)


def _detached(url: str) -> None:
    """Twice forked, so that it is nobody's child; with streams of its own, so that cron does not wait for its end."""
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        child = os.fork()
        if child == 0:
            with suppress(OSError):
                os.setsid()
                if os.fork() == 0:
                    _send(url)
            os._exit(0)
        os.waitpid(child, 0)
    except OSError as error:
        LOG.warning("ping_not_sent", error=error)


def _send(url: str) -> None:
    try:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(PING_LIMIT_S)
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nothing, stream)
        from jobctl.alerts import webhook

        webhook.get(url, webhook.Deadline(PING_LIMIT_S))
    finally:
        os._exit(0)
