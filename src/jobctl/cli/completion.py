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

Offer = tuple[str, str]  # a value, and what it is, for shells that show it

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


# Looked up -------------------------------------------------------------------------------------------------------


def branches(incomplete: str) -> list[Offer]:
    return _begins(_asked(BRANCHES), incomplete)


def projects(incomplete: str) -> list[Offer]:
    return _begins(_asked(PROJECTS), incomplete)


def teams(incomplete: str) -> list[Offer]:
    return _begins(_asked(TEAMS), incomplete)


def incidents(incomplete: str) -> list[Offer]:
    return _begins(_asked(INCIDENTS), incomplete)


def runs(incomplete: str) -> list[Offer]:
    """`last`, the newest runs, and the jobs, each of which means its last run; an id that is begun is looked up."""
    is_id = not set(incomplete.lower()) - set("0123456789abcdef-")
    found = _with_database(lambda conn: _runs(conn, incomplete)) if is_id else []
    return _begins([("last", "the run that began last"), *found, *_known(_jobs)], incomplete)


def running(incomplete: str) -> list[Offer]:
    return _begins(_asked(RUNNING), incomplete)


def scopes(incomplete: str) -> list[Offer]:
    """A scope is a branch, or the name of a wrapped command."""
    return _begins([*_asked(BRANCHES), *_asked(COMMANDS)], incomplete)


def commands(incomplete: str) -> list[Offer]:
    """The wrapped commands that some crontab has."""
    return _begins(_asked(COMMANDS), incomplete)


def task_types(incomplete: str) -> list[Offer]:
    """Those that the settings name; to look for others would be to read the whole queue."""
    return _begins([("embed", "vectors for items"), *_known(_types_of_settings)], incomplete)


def channels(incomplete: str) -> list[Offer]:
    return _begins(_known(_channels_of_settings), incomplete)


# Known to the code -----------------------------------------------------------------------------------------------


def jobs(incomplete: str) -> list[Offer]:
    return _begins(_known(_jobs), incomplete)


def run_states(incomplete: str) -> list[Offer]:
    return _begins(_known(_run_states), incomplete)


def task_states(incomplete: str) -> list[Offer]:
    return _begins(_known(_task_states), incomplete)


def verdicts(incomplete: str) -> list[Offer]:
    return _begins(_known(_verdicts), incomplete)


def subjects(incomplete: str) -> list[Offer]:
    """Of the doctor."""
    return _begins(_known(_subjects), incomplete)


def weeks(incomplete: str) -> list[Offer]:
    """The last eight calendar weeks, the latest first, by their ISO names."""
    return _begins(_known(_weeks), incomplete)


def _jobs() -> list[Offer]:
    from jobctl.schedule.plan import PLAN

    return [*((entry.job, entry.why.partition(":")[0]) for entry in PLAN), ("run", "wrapped commands")]


def _run_states() -> list[Offer]:
    from jobctl.monitor.runs.states import STATES

    return [(state, "") for state in STATES]


def _task_states() -> list[Offer]:
    from jobctl.queue.listing import STATES

    return [(state, "") for state in STATES]


def _verdicts() -> list[Offer]:
    from jobctl.schedule.verdicts import VERDICTS

    return [(verdict, "") for verdict in VERDICTS]


def _subjects() -> list[Offer]:
    from jobctl.monitor.doctor.finding import SUBJECTS

    return [(subject, "") for subject in SUBJECTS]


def _weeks() -> list[Offer]:
    from datetime import timedelta

    from jobctl import clock

    today = clock.utc_now().date()
    mondays = [today - timedelta(days=today.weekday(), weeks=ago) for ago in range(1, 9)]
    return [(f"{monday:%G-W%V}", f"from {monday:%Y-%m-%d}") for monday in mondays]


# How it is asked -------------------------------------------------------------------------------------------------


def _types_of_settings() -> list[Offer]:
    from jobctl.cli.session import current_settings

    return [(name, "") for name in current_settings().queue_settings.types]


def _channels_of_settings() -> list[Offer]:
    from jobctl.cli.session import current_settings

    return [(name, "") for name in current_settings().alert_channels()]


def _asked(question: LiteralString) -> list[Offer]:
    return _with_database(lambda conn: conn.execute(question).fetchall())


def _runs(conn: "psycopg.Connection", incomplete: str) -> Sequence[Offer]:
    newest: Sequence[Offer] = conn.execute(RUNS).fetchall()
    digits = "".join(incomplete.lower().split("-"))
    is_old = bool(digits) and not any(run_id.startswith(digits) for run_id, _ in newest)
    if not is_old or len(digits) > 32:
        return newest
    from jobctl.monitor.runs import finding

    return [(str(run_id), "") for run_id in finding.by_beginning(conn, digits, limit=MOST)]


def _with_database(ask: "Callable[[psycopg.Connection], Sequence[Offer]]") -> list[Offer]:
    """Of a server that is up, if it answers within TIME_S; else it is left to itself, and ends with the process."""
    import threading

    found: list[Offer] = []

    def try_it(dsn: str) -> None:
        with suppress(Exception):
            found.extend(_answer(dsn, ask))

    with suppress(Exception):
        dsn = _address()
        if dsn is not None:
            thread = threading.Thread(target=try_it, args=(dsn,), name="completion", daemon=True)
            thread.start()
            thread.join(TIME_S)
    return list(found)


def _address() -> str | None:
    """What takes a while by itself, the settings and the driver, is loaded here; for nobody is waited. None: the
    embedded server is down, and stays so."""
    from importlib import import_module

    from jobctl.cli.session import current_settings
    from jobctl.db import embedded

    import_module("psycopg")  # before the time begins to count
    settings = current_settings()
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
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


def _known(look: Callable[[], Sequence[Offer]]) -> list[Offer]:
    """What the code or the settings know."""
    with suppress(Exception):
        return list(look())
    return []


def _begins(offers: Iterable[Offer], incomplete: str) -> list[Offer]:
    """Those that begin so, each once, and as many as a screen holds."""
    wanted: dict[str, str] = {}
    for value, what in offers:
        if value.lower().startswith(incomplete.lower()) and value not in wanted:
            wanted[value] = " ".join(what.split())[:60]
    return list(wanted.items())[:MOST]
