"""The embedded database serves one host and one user: more of either means locks that protect nobody."""

from collections.abc import Iterator, Sequence

from jobctl.monitor.doctor import server
from jobctl.monitor.doctor.disk import existing
from jobctl.monitor.doctor.finding import Finding, NotAsked, failed, ok, warning
from jobctl.monitor.doctor.server import Place
from jobctl.monitor.doctor.situation import Situation

MEND = "set DATABASE_URL to one PostgreSQL server for all hosts and users"


def check_file_system(situation: Situation) -> Iterator[Finding]:
    from jobctl.db.embedded_host import on_shared_file_system

    _require_embedded(situation)
    data_dir = situation.settings.data_dir
    yield judge_file_system(str(data_dir), is_shared=on_shared_file_system(existing(data_dir)))


def judge_file_system(data_dir: str, *, is_shared: bool) -> Finding:
    check = "embedded.file_system"
    if not is_shared:
        return ok(check, f"{data_dir} is on a file system of this host alone")
    return failed(
        check,
        f"the embedded database's data directory {data_dir} is on a file system that other hosts may share",
        why="two servers over the same files destroy them, and network file systems lose what was synchronised",
        mend=f"{MEND}, or JOBCTL_DATA_DIR to a local disk",
        is_configuration=True,
    )


def check_places(situation: Situation) -> Iterator[Finding]:
    _require_embedded(situation)
    with situation.link.on_our_schema() as conn:
        found = server.places(conn)
    yield from judge_places(found, situation.host)


def judge_places(found: Sequence[Place], host: str) -> list[Finding]:
    check = "embedded.one_host"
    others = sorted({place.host for place in found} - {host})
    users = sorted({place.os_user for place in found})
    findings = [
        failed(
            check,
            f"the embedded database holds runs of {', '.join(others)} beside this host, {host}",
            why="each host with a database of its own has locks of its own: jobs run twice and nobody notices",
            mend=MEND + " (after a host was renamed this passes within 30 days)",
            is_configuration=True,
        )
        if others
        else ok(check, "all runs of the last 30 days were of this host")
    ]
    if len(users) > 1:
        findings.append(
            warning(
                "embedded.one_user",
                f"runs were started by {', '.join(users)}",
                why="without DATABASE_URL each of them may have a data directory, and so a database, of their own",
                mend=MEND + ", or let one user run all jobs",
            )
        )
    return findings


def _require_embedded(situation: Situation) -> None:
    if situation.settings.database_url is not None:
        raise NotAsked("DATABASE_URL names a server: the embedded one is not used")
