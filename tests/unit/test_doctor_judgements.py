"""What each check of the doctor says of what it found: when it is content, warns or fails, and the mend."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from jobctl.errors import ConfigurationError, DatabaseUnavailable
from jobctl.monitor.doctor import (
    cron,
    crontab,
    database,
    disk,
    embedded_use,
    environment,
    outgoing,
    pooler,
    privileges,
    program,
    runs,
    zones,
)
from jobctl.monitor.doctor.disk import Room
from jobctl.monitor.doctor.environment import Setting
from jobctl.monitor.doctor.finding import Finding
from jobctl.monitor.doctor.privileges import Missing
from jobctl.monitor.doctor.server import Connections, DeadRun, Held, Place, Standing, Unsent
from jobctl.monitor.doctor.server_age import age_of, release_days
from jobctl.schedule import finding as lint_finding
from jobctl.schedule.expression import parse
from jobctl.schedule.installed import InstalledLine
from jobctl.schedule.plan import JobSchedule

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TODAY = date(2026, 11, 25)
GIB = 1 << 30


def assert_told(finding: Finding, status: str, *words: str) -> None:
    """Of this status; whoever has something to mend is told what, why and how."""
    assert finding.status == status, finding
    assert all(word in f"{finding.what} {finding.why} {finding.mend}" for word in words), finding
    assert (status == "ok") == (finding.why == "") == (finding.mend == ""), finding


def line(
    job: str = "sync", at: str = "0 2 * * *", command: str = "jobctl sync", scheduled: bool = True
) -> InstalledLine:
    return InstalledLine("crontab", "ann", parse(at), "UTC", job, "", command, scheduled)


# program -----------------------------------------------------------------------------------------------------------


def test_a_python_is_too_old_tried_or_too_new() -> None:
    assert_told(program.judge_python((3, 10)), "failed", "3.10", "bootstrap")
    assert_told(program.judge_python((3, 11)), "ok")
    assert_told(program.judge_python((3, 13)), "ok")
    assert_told(program.judge_python((3, 14)), "warning", "3.14")


def test_modules_that_are_not_compiled_are_counted() -> None:
    assert_told(program.judge_bytecode([], Path("/p")), "ok")
    assert_told(
        program.judge_bytecode([Path("/p/a.py"), Path("/p/b.py")], Path("/p")), "warning", "2 modules", "compileall"
    )


# environment -------------------------------------------------------------------------------------------------------


def test_a_setting_of_the_shell_alone_is_named() -> None:
    day = {"batch_size": Setting("7", "environment JOBCTL_BATCH_SIZE")}
    [found] = environment.compare(day, {"batch_size": Setting("5000", "default")})
    assert_told(found, "warning", "JOBCTL_BATCH_SIZE comes from this shell alone", "here 7, under cron 5000", "default")


def test_a_database_of_the_shell_alone_is_a_failure_of_configuration() -> None:
    day = {"database_url": Setting("postgresql://a", "environment DATABASE_URL", "postgresql://a")}
    [found] = environment.compare(day, {"database_url": Setting("(not set)", "default")})
    assert_told(found, "failed", "DATABASE_URL")
    assert found.is_configuration


def test_a_secret_that_differs_is_told_without_being_shown() -> None:
    day = {"github_token": Setting("(set)", "environment GITHUB_TOKEN", "c4n4ry-day")}
    [found] = environment.compare(day, {"github_token": Setting("(set)", "env file /e", "c4n4ry-night")})
    assert_told(found, "warning", "GITHUB_TOKEN", "/e")
    assert "c4n4ry" not in str(found)


def test_equal_settings_are_in_order_wherever_they_come_from() -> None:
    day = {"batch_size": Setting("7", "environment JOBCTL_BATCH_SIZE"), "slot": Setting("2026", "environment X")}
    night = {"batch_size": Setting("7", "env file /e"), "slot": Setting("(not set)", "default")}
    [found] = environment.compare(day, night)
    assert_told(found, "ok")


def test_a_program_that_does_not_start_says_its_last_line() -> None:
    assert_told(
        environment.judge_no_start(1, "Traceback\nModuleNotFoundError: jobctl"), "failed", "exit 1", "Module", "env -i"
    )
    assert_told(environment.judge_no_start(126, ""), "failed", "nothing was said")


# zones -------------------------------------------------------------------------------------------------------------


def test_a_shell_in_another_zone_than_cron_is_told() -> None:
    assert_told(zones.judge_shell(None, "Europe/Berlin", NOW), "ok", "Europe/Berlin")
    assert_told(zones.judge_shell("Europe/Vienna", "Europe/Berlin", NOW), "ok")
    assert_told(zones.judge_shell(":/usr/share/zoneinfo/Europe/Berlin", "Europe/Berlin", NOW), "ok")
    assert_told(
        zones.judge_shell("America/New_York", "Europe/Berlin", NOW), "warning", "TZ=America/New_York", "unset TZ"
    )
    assert_told(zones.judge_shell("Nowhere/Atall", "Europe/Berlin", NOW), "warning")


def test_alerts_in_another_zone_than_cron_are_told() -> None:
    assert_told(zones.judge_alerts("Etc/UTC", "UTC", NOW), "ok")
    assert_told(zones.judge_alerts("UTC", "Europe/London", NOW), "warning", "JOBCTL_TIMEZONE=Europe/London")


def test_the_databases_zone_is_told_and_never_a_fault() -> None:
    assert_told(zones.judge_database("Asia/Tokyo", "UTC", NOW), "ok", "Asia/Tokyo", "cron works in UTC")


def test_the_next_two_clock_changes_name_the_jobs_they_touch() -> None:
    lines = {"sync": parse("30 2 * * *"), "ingest-branch": parse("0 * * * *"), "report": parse("0 9 * * 1")}
    spring, autumn = zones.judge_clock_changes("Europe/Berlin", lines, NOW)
    assert_told(spring, "ok", "2026-03-29", "from 02:00 to 03:00", "sync runs when the gap ends")
    assert_told(autumn, "ok", "2026-10-25", "from 03:00 back to 02:00", "sync runs the first time only")


def test_a_job_that_a_clock_change_leaves_out_or_doubles_is_a_warning() -> None:
    spring, autumn = zones.judge_clock_changes("America/New_York", {"work": parse("*/5 1,2 * * *")}, NOW)
    assert_told(spring, "warning", "work does not run in that hour", "wall clock")
    assert_told(autumn, "warning", "work runs twice in that hour")


def test_where_clocks_do_not_change_nothing_is_touched() -> None:
    [found] = zones.judge_clock_changes("Asia/Tokyo", {"sync": parse("0 2 * * *")}, NOW)
    assert_told(found, "ok", "do not change")


# database ----------------------------------------------------------------------------------------------------------


def test_no_connection_is_a_failure_and_a_refused_log_in_one_of_configuration() -> None:
    away = database.judge_no_connection(DatabaseUnavailable("cannot be reached", hint="look"))
    assert_told(away, "failed", "cannot be reached", "exit 75", "look")
    refused = database.judge_no_connection(ConfigurationError("refused the log-in"))
    assert_told(refused, "failed", "no job can work", "jobctl db status")
    assert (away.is_configuration, refused.is_configuration) == (False, True)


def test_a_schema_is_right_older_newer_or_absent() -> None:
    assert_told(database.judge_schema(3, 3), "ok")
    for current, word in ((2, "older"), (4, "newer"), (0, "no jobctl schema")):
        found = database.judge_schema(current, 3)
        assert_told(found, "failed", word)
        assert found.is_configuration


STANDING = Standing("18.4", False, False, "worker", False)


def test_a_standby_and_a_read_only_role_fail() -> None:
    assert_told(database.judge_standby(STANDING), "ok")
    assert_told(database.judge_standby(Standing("18.4", True, False, "w", False)), "failed", "standby", "primary")
    assert_told(database.judge_standby(Standing("18.4", False, True, "w", False)), "failed", "ALTER ROLE w RESET")


def test_a_superuser_is_a_warning_but_for_the_embedded_server() -> None:
    root = Standing("18.4", False, False, "postgres", True)
    assert_told(database.judge_role(root, is_embedded=False), "warning", "postgres is a superuser", "db grants")
    assert_told(database.judge_role(root, is_embedded=True), "ok")
    assert_told(database.judge_role(STANDING, is_embedded=False), "ok")


@pytest.mark.parametrize(
    ("version", "today", "status", "word"),
    [
        ("18.4", date(2026, 6, 1), "ok", "released on 2026-05-14"),
        ("18.4 (Debian 18.4-1)", date(2026, 8, 13), "warning", "1 day of releases has passed"),
        ("16.14", date(2026, 11, 25), "warning", "2 days of releases have passed"),
        ("15.15", date(2026, 6, 1), "warning", "3 days of releases"),
        ("15.2", date(2026, 6, 1), "warning", "is older than 2025-11-13, and 4 days"),
        ("18.9", date(2026, 11, 25), "ok", "newer than this jobctl knows"),
        ("19.1", date(2026, 11, 25), "ok", "newer than this jobctl knows"),
        ("15.30", date(2027, 11, 12), "warning", "no more fixes since 2027-11-11"),
        ("19beta1", date(2026, 7, 1), "warning", "is no release"),
    ],
)
def test_the_age_of_a_server_is_told(version: str, today: date, status: str, word: str) -> None:
    assert_told(database.judge_version(version, age_of(version, today), today), status, word)


def test_minor_releases_come_on_the_second_thursday_of_each_quarter() -> None:
    days = [date(2025, 11, 13), date(2026, 2, 12), date(2026, 5, 14), date(2026, 8, 13), date(2026, 11, 12)]
    assert release_days(date(2025, 11, 12), date(2026, 11, 12)) == days
    assert release_days(date(2025, 11, 13), date(2026, 11, 11)) == days[1:-1]


def test_clocks_apart_are_told_beyond_what_the_round_trip_explains() -> None:
    assert_told(database.judge_clock(0.4, 0.01), "ok")
    assert_told(database.judge_clock(3.0, 4.0), "ok")  # two seconds of it may be the way
    assert_told(database.judge_clock(3.0, 1.5), "warning", "2.2 s ahead of")
    assert_told(database.judge_clock(-30.0, 0.01), "warning", "30.0 s behind", "set-ntp")
    assert_told(database.judge_clock(3_600.0, 0.01), "failed", "3600.0 s ahead of")


def test_few_free_connections_warn_and_too_few_for_a_run_fail() -> None:
    assert_told(database.judge_connections(Connections(15, 97)), "ok")
    assert_told(database.judge_connections(Connections(14, 97)), "warning", "14 of 97")
    assert_told(database.judge_connections(Connections(4, 97)), "failed", "exit 75", "max_connections")


def test_an_old_transaction_is_told_with_its_session() -> None:
    assert_told(database.judge_oldest(None), "ok")
    assert_told(database.judge_oldest(Held(599, 7, "psql")), "ok")
    assert_told(database.judge_oldest(Held(600, 7, "psql")), "warning", "psql", "10m", "pg_terminate_backend(7)")
    assert_told(
        database.judge_oldest(Held(21_600, None, "prepared transaction x")), "failed", "6h", "ROLLBACK PREPARED"
    )


def test_a_pooler_is_told_by_its_mode() -> None:
    assert_told(pooler.judge("direct"), "ok", "itself")
    assert_told(pooler.judge("session"), "ok", "session mode")
    assert_told(pooler.judge("transaction"), "warning", "transaction mode", "default_pool_size")


def test_missing_privileges_are_named() -> None:
    assert_told(privileges.judge("w", [], {}), "ok")
    lacking = [Missing("core.items", "DELETE, UPDATE"), Missing("ops.locks", "INSERT")]
    found = privileges.judge("w", lacking, {})
    assert_told(found, "failed", "w lacks DELETE, UPDATE on core.items and on 1 more", "jobctl db grants --worker w")
    assert found.is_configuration
    assert_told(privileges.judge("w", [], {"queue": "read-only transaction"}), "failed", "queue", "read-only")


# disk, embedded ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("free", "of", "status"),
    [
        (50 * GIB, 100 * GIB, "ok"),
        (3 * GIB, 1_000 * GIB, "ok"),  # small a share, and enough
        (1 * GIB, 4 * GIB, "ok"),  # little, and a quarter of a small disk
        (1 * GIB, 100 * GIB, "warning"),
        (200 << 20, 100 * GIB, "failed"),
        (200 << 20, GIB, "failed"),
        (0, 0, "failed"),
    ],
)
def test_disk_space_is_judged_by_size_and_share(free: int, of: int, status: str) -> None:
    assert_told(disk.judge_bytes("data", Room(Path("/d"), of, free, 0, 0)), status, "/d")


@pytest.mark.parametrize(
    ("free", "of", "status"),
    [(0, 0, "ok"), (900_000, 1_000_000, "ok"), (40_000, 1_000_000, "warning"), (999, 1_000_000, "failed")],
)
def test_inodes_are_judged_too(free: int, of: int, status: str) -> None:
    assert_told(disk.judge_inodes("log", Room(Path("/d"), GIB, GIB, of, free)), status, "inodes")


def test_an_embedded_database_on_a_shared_file_system_fails() -> None:
    assert_told(embedded_use.judge_file_system("/d", is_shared=False), "ok")
    assert_told(embedded_use.judge_file_system("/d", is_shared=True), "failed", "/d", "DATABASE_URL")


def test_an_embedded_database_with_runs_of_other_hosts_or_users_is_told() -> None:
    assert_told(embedded_use.judge_places([], "here")[0], "ok")
    [alone] = embedded_use.judge_places([Place("here", "ann")], "here")
    assert_told(alone, "ok")
    host, user = embedded_use.judge_places([Place("here", "ann"), Place("there", "bob")], "here")
    assert_told(host, "failed", "runs of there beside this host, here")
    assert_told(user, "warning", "ann, bob")


# cron, crontab -----------------------------------------------------------------------------------------------------


def test_no_cron_fails_where_lines_wait_for_one() -> None:
    started = datetime(2026, 2, 1, tzinfo=UTC)
    assert_told(cron.judge_alive(started, sources={"crontab"}, has_systemd=False), "ok", "2026-02-01")
    assert_told(cron.judge_alive(None, sources={"crontab"}, has_systemd=True), "failed", "no cron", "cron start")
    assert_told(cron.judge_alive(None, sources=set(), has_systemd=False), "warning", "no cron")
    assert_told(cron.judge_alive(None, sources={"systemd"}, has_systemd=True), "ok", "systemd")
    assert_told(cron.judge_alive(None, sources={"systemd"}, has_systemd=False), "failed", "systemd does not run")
    assert_told(cron.judge_alive(None, sources={"systemd", "crontab"}, has_systemd=True), "failed", "no cron")


def test_a_cron_older_than_its_zone_is_told() -> None:
    assert_told(cron.judge_zone(NOW, NOW - timedelta(days=1)), "ok")
    assert_told(cron.judge_zone(NOW, NOW + timedelta(days=1)), "warning", "2026-03-02", "restart cron")


def test_nothing_installed_is_told() -> None:
    assert_told(crontab.judge_installed([], "ann"), "warning", "ann", "schedule install")
    assert_told(crontab.judge_installed([line()], "ann"), "ok", "1 lines")
    assert_told(crontab.judge_silent(), "failed", "crontab -l")


def test_a_line_that_answers_for_no_slot_is_told() -> None:
    assert_told(crontab.judge_scheduled([line()]), "ok")
    assert_told(crontab.judge_scheduled([line(), line("report", scheduled=False)]), "warning", "report", "--scheduled")


def test_a_command_that_is_not_there_fails() -> None:
    assert_told(crontab.judge_commands([]), "ok")
    assert_told(crontab.judge_commands([line(command="/gone/jobctl sync")]), "failed", "/gone/jobctl sync", "127")


def test_what_is_installed_otherwise_than_planned_is_told() -> None:
    plan = [JobSchedule("sync", parse("0 2 * * *"), "", options=("--max-runtime", "4m"))]
    [same] = crontab.judge_plan([line(command="/x/jobctl sync --scheduled --max-runtime 4m")], plan)
    assert_told(same, "ok")
    [missing] = crontab.judge_plan([line("report")], plan)
    assert_told(missing, "warning", "sync is planned and not installed", "schedule install")
    times, options = crontab.judge_plan([line(at="5 3 * * *", command="jobctl sync --scheduled")], plan)
    assert_told(times, "warning", "installed at 5 3 * * *, and planned at 0 2 * * *", "jobctl.toml")
    assert_told(options, "warning", "with no options, and planned with --max-runtime 4m")


def test_what_lint_says_is_passed_on_but_for_its_notes() -> None:
    said = [
        lint_finding.Finding("percent", "error", 3, "a bare %", "cron cuts there", "write \\%"),
        lint_finding.Finding("mail", "warning", 0, "no MAILTO", "mail goes nowhere", "set it"),
        lint_finding.Finding("clock-change", "note", 4, "moves", "clocks", "nothing"),
    ]
    error, warned = crontab.judge_lint("/etc/cron.d/jobctl", said)
    assert_told(error, "failed", "/etc/cron.d/jobctl, line 3: a bare % [percent]", "cron cuts there", "write \\%")
    assert_told(warned, "warning", "no MAILTO")
    [fine] = crontab.judge_lint("/etc/cron.d/jobctl", said[2:])
    assert_told(fine, "ok")


# outgoing, runs ----------------------------------------------------------------------------------------------------


def test_what_is_not_reached_is_told_with_the_reason() -> None:
    found = outgoing.judge_unreachable("outgoing.mail", "the mail server m:25", "refused for now", "SMTP_URL")
    assert_told(found, "failed", "m:25: refused for now", "SMTP_URL")


def test_dead_runs_are_told_with_the_command_that_goes_on() -> None:
    assert_told(runs.judge_dead([]), "ok")
    dead = DeadRun("0198", "ingest-branch", "airports", "here", 7_200)
    assert_told(
        runs.judge_dead([dead, dead]), "warning", "ingest-branch airports", "0198", "2h", "1 more", "jobctl ingest"
    )


@pytest.mark.parametrize("state", ["failed", "unknown", "new", "sending"])
def test_messages_that_did_not_go_out_are_told(state: str) -> None:
    [found] = runs.judge_unsent([Unsent("slack", state, 3, "HTTP 404")])
    assert_told(found, "warning", "3 messages to slack", "HTTP 404", "--send-test")


def test_an_outbox_without_trouble_is_in_order() -> None:
    assert_told(runs.judge_unsent([])[0], "ok")


def test_runs_that_wait_on_the_disk_are_told() -> None:
    assert_told(runs.judge_spool(Path("/d/spool"), 0, 0), "ok")
    assert_told(runs.judge_spool(Path("/d/spool"), 2, 3_600), "warning", "2 runs", "/d/spool", "1h")
