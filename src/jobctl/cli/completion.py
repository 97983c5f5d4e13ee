"""What the shell offers for an argument: the values there are, looked up while somebody presses Tab.

`jobctl --install-completion` puts a few lines into the shell's own start-up file; from then on each Tab starts this
program. So these functions print nothing, raise nothing, start no server, and give up after TIME_S: whoever cannot be
asked in time is not asked, and the shell offers nothing. Values that the code itself knows need no database.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final, LiteralString

if TYPE_CHECKING:
    import psycopg

    from jobctl.settings import Settings

Offer = tuple[str, str]  # a value, and what it is, for shells that show it
Offering = Callable[[str], list[Offer]]  # for what stands there of the word already

TIME_S: Final = 0.35
MOST: Final = 50

BRANCHES = "SELECT slug, title FROM branch.branches ORDER BY slug"
PROJECTS = "SELECT full_name, coalesce(description, '') FROM dev.projects ORDER BY full_name LIMIT 1000"
TEAMS = "SELECT DISTINCT team, '' FROM dev.projects WHERE team IS NOT NULL ORDER BY 1"
INCIDENTS = "SELECT incident_id::text, title FROM ops.incidents WHERE state = 'open' ORDER BY incident_id DESC LIMIT 50"
RUNS = """
SELECT left(run_id::text, 8), concat_ws(' ', job, nullif(scope, ''), status, to_char(started_at, 'MM-DD HH24:MI'))
FROM ops.job_history ORDER BY started_at DESC, run_id DESC, scope DESC LIMIT 30
"""
RUNNING = """
SELECT left(run_id::text, 8), concat_ws(' ', job, nullif(scope, ''), to_char(started_at, 'MM-DD HH24:MI'))
FROM ops.job_history WHERE status IN ('pending', 'running') ORDER BY started_at DESC LIMIT 30
"""
COMMANDS = "SELECT DISTINCT scope, '' FROM ops.schedules WHERE job = 'run' AND removed_at IS NULL ORDER BY scope"


def _offering(look: Callable[[], Iterable[Offer | str]]) -> Offering:
    """Of what `look` finds; where it fails, nothing."""

    def offer(incomplete: str) -> list[Offer]:
        with suppress(Exception):
            return _begins(look(), incomplete)
        return []

    return offer


def among(words: Iterable[str]) -> Offering:
    return _offering(lambda: words)


def _begins(offers: Iterable[Offer | str], incomplete: str) -> list[Offer]:
    """Those that begin so, each once, and as many as a screen holds."""
    wanted: dict[str, str] = {}
    for offer in offers:
        value, what = (offer, "") if isinstance(offer, str) else offer
        if value.lower().startswith(incomplete.lower()) and value not in wanted:
            wanted[value] = " ".join(what.split())[:60]
    return list(wanted.items())[:MOST]


# How the database is asked ---------------------------------------------------------------------------------------


def _asked(*questions: LiteralString) -> list[Offer]:
    return _with_database(lambda conn: [row for question in questions for row in conn.execute(question).fetchall()])


def _with_database(ask: "Callable[[psycopg.Connection], Sequence[Offer]]") -> list[Offer]:
    """Of a server that is up, if it answers within TIME_S; else it is left to itself, and ends with the process."""
    import threading
    from importlib import import_module

    from jobctl.cli.session import current_settings

    settings = current_settings()  # what takes a while by itself is loaded before the time begins to count
    import_module("psycopg")
    found: list[Offer] = []

    def try_it() -> None:
        with suppress(Exception):
            dsn = _address(settings)
            if dsn is not None:
                found.extend(_answer(dsn, ask))

    thread = threading.Thread(target=try_it, name="completion", daemon=True)
    thread.start()
    thread.join(TIME_S)
    return list(found)


def _address(settings: "Settings") -> str | None:
    """None: the embedded server is down, and stays so."""
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    from jobctl.db import embedded

    if embedded.status(settings.data_dir, timeout_s=TIME_S).state != "running":
        return None
    return embedded.dsn(settings.data_dir)


def _answer(dsn: str, ask: "Callable[[psycopg.Connection], Sequence[Offer]]") -> Sequence[Offer]:
    import psycopg

    # Behind a pooler as well: nothing is set on the session, and nothing is prepared.
    with psycopg.connect(
        dsn, autocommit=True, connect_timeout=2, application_name="jobctl/completion", prepare_threshold=None
    ) as conn:
        return ask(conn)


# What is known to the code, or to the settings -------------------------------------------------------------------


def _jobs() -> list[Offer]:
    from jobctl.schedule.plan import PLAN

    return [*((entry.job, entry.why.partition(":")[0]) for entry in PLAN), ("run", "wrapped commands")]


def _run_states() -> Iterable[str]:
    from jobctl.monitor.runs.states import STATES

    return STATES


def _task_states() -> Iterable[str]:
    from jobctl.queue.listing import STATES

    return STATES


def _verdicts() -> Iterable[str]:
    from jobctl.schedule.verdicts import VERDICTS

    return VERDICTS


def _subjects() -> Iterable[str]:
    from jobctl.monitor.doctor.finding import SUBJECTS

    return SUBJECTS


def _checks() -> list[Offer]:
    from jobctl.monitor.quality.asking import CHECKS

    return [(check.name, check.says) for check in CHECKS]


def _sync_outcomes() -> Iterable[str]:
    from jobctl.github.failures import Outcome

    return Outcome


def _levels() -> Iterable[str]:
    from jobctl.monitor.runs.events import LEVELS

    return LEVELS


def _weeks() -> list[Offer]:
    """The last eight that are over, the latest first."""
    from datetime import timedelta

    from jobctl import clock

    today = clock.utc_now().date()
    mondays = [today - timedelta(days=today.weekday(), weeks=ago) for ago in range(1, 9)]
    return [(f"{monday:%G-W%V}", f"from {monday:%Y-%m-%d}") for monday in mondays]


def _task_types() -> list[Offer]:
    """Those that the settings name; to look for others would be to read the whole queue."""
    from jobctl.cli.session import current_settings

    return [("embed", "vectors for items"), *((name, "") for name in current_settings().queue_settings.types)]


def _channels() -> Iterable[str]:
    from jobctl.cli.session import current_settings

    return current_settings().alert_channels()


# What commands take ----------------------------------------------------------------------------------------------


branches = _offering(lambda: _asked(BRANCHES))
projects = _offering(lambda: _asked(PROJECTS))
teams = _offering(lambda: _asked(TEAMS))
incidents = _offering(lambda: _asked(INCIDENTS))
running = _offering(lambda: _asked(RUNNING))
commands = _offering(lambda: _asked(COMMANDS))  # the wrapped ones that some crontab has
scopes = _offering(lambda: _asked(BRANCHES, COMMANDS))
jobs = _offering(_jobs)
run_states = _offering(_run_states)
task_states = _offering(_task_states)
verdicts = _offering(_verdicts)
subjects = _offering(_subjects)
checks = _offering(_checks)
levels = _offering(_levels)
sync_outcomes = _offering(_sync_outcomes)
weeks = _offering(_weeks)
task_types = _offering(_task_types)
channels = _offering(_channels)


def runs(incomplete: str) -> list[Offer]:
    """`last`, the newest runs, and the jobs, each of which means its last run; an id that is begun is looked up."""
    is_id = not set(incomplete.lower()) - set("0123456789abcdef-")
    newest = _offering(lambda: _with_database(lambda conn: _runs(conn, incomplete)) if is_id else [])
    return _begins([("last", "the run that began last"), *newest(incomplete), *jobs(incomplete)], incomplete)


def _runs(conn: "psycopg.Connection", incomplete: str) -> Sequence[Offer]:
    newest: Sequence[Offer] = conn.execute(RUNS).fetchall()
    digits = "".join(incomplete.lower().split("-"))
    is_old = bool(digits) and not any(run_id.startswith(digits) for run_id, _ in newest)
    if not is_old or len(digits) > 32:
        return newest
    from jobctl.monitor.runs import finding

    return [(str(run_id), "") for run_id in finding.by_beginning(conn, digits, limit=MOST)]
