"""The weekly mail through a server that fails everywhere, and by senders that are killed: nothing twice, nothing lost.

Each story is one fault at one point of SMTP, some recipients, and some calls of the sender; then the server is well
again. The server's own ledger of what it took is compared with the rows.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from bench_report_mail import EMPTY, LETTER, SHORT, put, send, sender_arguments, settings_for, states
from bench_runs import size
from bench_smtp import ANSWERED, POINTS, Fault, SmtpServer, make_certificate, server_side
from jobctl.db.connection import Database
from jobctl.settings import Settings

Ledger = Callable[[str], None]
SEEDS = size(2, 125)
KILLS = size(6, 125)
FAULTS = [(point, kind) for point in POINTS for kind in ("cut", *(("4xx", "5xx") if point in ANSWERED else ()))]
OF_SESSION = (*POINTS[: POINTS.index("mail")], "quit")
# Where a sender cannot know (a cut inside the text is seen before the dot as a rule), and where a recipient or a mail
# is refused for good.
UNKNOWABLE = {("body", "cut"), ("before-dot", "cut"), ("after-dot", "cut"), ("after-dot-lost", "cut")}
FOR_GOOD = {("rcpt", "5xx"), ("data", "5xx"), ("after-dot", "5xx")}


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    return path


def settings_of(tmp_path: Path, server: SmtpServer) -> Settings:
    return settings_for(tmp_path, smtp_url=server.url, mail={"starttls": "required", "timeout_s": 10})


def wrong(conn: psycopg.Connection, server: SmtpServer, fault: tuple[str, str]) -> list[str]:
    """What the server's ledger and the rows do not agree in, when all is settled."""
    found: list[str] = []
    taken = Counter(each.recipient for each in server.taken)
    rows = states(conn)
    found += [f"{who} got {times}" for who, times in taken.items() if times > 1]
    found += [f"{who} is in no row" for who in taken if who not in rows]
    for who, state in rows.items():
        right = {
            "sent": taken[who] == 1,
            "failed": taken[who] == 0 and fault in FOR_GOOD,
            "unknown": fault in UNKNOWABLE,
        }
        if not right.get(state, False):
            found.append(f"{who} is {state}, and was taken {taken[who]} times")
    return found


@pytest.mark.slow
def test_faults_at_every_point_of_smtp_double_nothing_and_lose_nothing(
    conn: psycopg.Connection, database: Database, tmp_path: Path, certificate: Path, rng: random.Random, ledger: Ledger
) -> None:
    base, ends, faults, met = rng.randrange(1 << 32), Counter[str](), list[str](), 0
    with SmtpServer(server_side(certificate), with_auth=True) as server:
        settings = settings_of(tmp_path, server)
        for point, kind in FAULTS:
            for seed in range(base, base + SEEDS):
                story = random.Random(f"{point} {kind} {seed}")
                conn.execute(EMPTY)
                server.taken.clear()
                people = [f"p{n}@example.org" for n in range(story.randint(1, 5))]
                skip = 0 if point in OF_SESSION else story.randrange(len(people))
                server.expect(Fault(point, kind, skip, story.choice((1, 1, 2, 99))))
                put(conn, settings, *people, letter=story.choice((SHORT, LETTER)))
                for _ in range(story.randint(1, 3)):
                    send(settings, database, waits_s=story.choice(((), (0.0,), (0.0, 0.0))))
                met += server.was_met
                server.expect(None)
                send(settings, database)
                faults += [f"{point} {kind} seed {seed}: {each}" for each in wrong(conn, server, (point, kind))]
                ends.update(states(conn).values())
    stories = len(FAULTS) * SEEDS
    ledger(f"{stories} stories ({len(FAULTS)} faults x {SEEDS} seeds, met in {met}): 0 doubles, 0 lost; {dict(ends)}")
    assert faults == [], "\n".join(faults[:50])
    assert met >= stories * 0.9 and ends["sent"] and ends["failed"] and ends["unknown"]


def killer(process: "subprocess.Popen[bytes]", point: str, after: int) -> Callable[[str], None]:
    """Kills it when the server comes to this point for so many times."""
    left = after

    def hook(here: str) -> None:
        nonlocal left
        left -= here == point
        if here == point and left == 0:
            process.kill()
            process.wait(30)

    return hook


# Of a client that is killed just before the handshake Python's ssl leaves the server's socket to the garbage collector.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.slow
def test_killed_senders_double_nothing_and_lose_nothing(
    conn: psycopg.Connection, database: Database, tmp_path: Path, certificate: Path, rng: random.Random, ledger: Ledger
) -> None:
    """Killed at a point of the protocol, by the server itself, or after some time. A later sender does what is left."""
    faults, ends, killed_at = list[str](), Counter[str](), Counter[str]()
    with SmtpServer(server_side(certificate), with_auth=True) as server:
        settings = settings_of(tmp_path, server)
        arguments = sender_arguments(
            database, data_dir=tmp_path, email_from="reports@example.org", smtp_url=server.url,
            mail={"starttls": "required", "timeout_s": 10},
        )  # fmt: skip
        for number in range(KILLS):
            conn.execute(EMPTY)
            server.taken.clear()
            put(conn, settings, *(f"p{n}@example.org" for n in range(6)), letter=LETTER)
            point = rng.choice((*POINTS, "time"))
            left = rng.randint(1, 6) if point not in OF_SESSION else 1
            process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, cwd="/")
            assert process.stdout is not None

            server.hook = killer(process, point, left)
            assert process.stdout.readline() == b"begun\n"
            if point == "time":
                time.sleep(rng.uniform(0.0, 0.15))
                process.kill()
            process.wait(60)
            process.stdout.close()
            server.hook = lambda point: None
            killed_at[point if process.returncode == -signal.SIGKILL else "not"] += 1
            sendings = [send(settings, database) for _ in range(2)]
            assert sendings[1].sent == 0
            faults += [f"kill {number} at {point}: {each}" for each in wrong(conn, server, ("after-dot", "cut"))]
            ends.update(states(conn).values())
    ledger(f"{KILLS} senders killed ({dict(killed_at)}): 0 doubles, 0 lost; {dict(ends)}")
    assert faults == [], "\n".join(faults[:50])
    assert killed_at["not"] < KILLS and os.environ["SSL_CERT_FILE"]
