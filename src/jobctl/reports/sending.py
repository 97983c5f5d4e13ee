"""Send what waits of the weekly mail: after the run's commit, by later runs, and when somebody says so.

A pass tries each mail that says `new`, once. What was not taken for now is tried again by up to three passes, 5, 10 and
15 s later; then by the next call. A pass ends early where no mail would get through, or where three in a row were cut.
"""

import random
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import psycopg

from jobctl import log
from jobctl.db.connection import Database, Limits
from jobctl.redact import Redactor
from jobctl.reports import mail_store as store
from jobctl.reports.answer import Answer, Way
from jobctl.reports.mail_store import Mail, Source
from jobctl.reports.message import one_line
from jobctl.reports.ways import open_way
from jobctl.settings import Settings

LOG = log.get_logger()

WAITS_S: Final = (5.0, 10.0, 15.0)
JITTER: Final = 0.2
PATIENCE: Final = 3
BRIEF: Final = Limits(lock_ms=2_000, statement_ms=10_000, idle_in_transaction_ms=30_000)
LONGEST_REASON: Final = 300
END_OF: Final[Mapping[str, store.End]] = {"sent": "sent", "later": "new", "failed": "failed", "unknown": "unknown"}


@dataclass(frozen=True, slots=True)
class Sent:
    """What this call did; `left` still waits. `unknown` includes what an earlier sender had left behind. `problem` is
    why no mail got through at the last, if so."""

    sent: int = 0
    failed: int = 0
    unknown: int = 0
    left: int = 0
    problem: str = ""

    def counts(self) -> dict[str, int]:
        return {
            "mails_sent": self.sent,
            "mails_failed": self.failed,
            "mails_unknown": self.unknown,
            "mails_left": self.left,
        }


def send_due(
    settings: Settings,
    database: Database,
    redactor: Redactor,
    *,
    stopping: threading.Event | None = None,
    week: str | None = None,
    waits_s: Sequence[float] = WAITS_S,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Sent:
    """`stopping` is looked at between mails and wakes a wait. Raises ConfigurationError where mails wait and there is
    no way for them, and what the database raises; nothing that a network can do."""
    stopping = stopping or threading.Event()
    with database.connect(purpose="report mail", limits=BRIEF) as conn:
        with database.transaction(conn, limits=BRIEF):
            lost = store.give_up_lost(conn)
        if lost:
            LOG.error("report_mail_unknown", mails=lost, reason="their sender ended before it knew the answer")
        counts = Counter(unknown=lost)
        if not store.waiting(conn, week):
            return _sum(counts, 0, "")
        with _Sender(settings, database, redactor, conn, open_way(settings)) as sender:
            last = sender.pass_over(week, counts, stopping, progress)
            for wait_s in waits_s:
                if not last.helps_to_wait or stopping.wait(wait_s * random.uniform(1.0, 1.0 + JITTER)):
                    break
                last = sender.pass_over(week, counts, stopping, progress)
        return _sum(counts, len(store.waiting(conn, week)), last.problem)


def _sum(counts: Counter[str], left: int, problem: str) -> Sent:
    return Sent(counts["sent"], counts["failed"], counts["unknown"], left, problem)


@dataclass
class _Pass:
    helps_to_wait: bool = False
    problem: str = ""


class _Sender:
    def __init__(
        self, settings: Settings, database: Database, redactor: Redactor, conn: psycopg.Connection, way: Way
    ) -> None:
        self._keep_s = settings.mail_settings.keep_unsent_s
        # The answer to the dot is waited for inside a transaction; the database must not end it before.
        idle_ms = round(settings.mail_settings.timeout_s * 1_000) + 30_000
        self._holding = Limits(BRIEF.lock_ms, BRIEF.statement_ms, idle_ms)
        self._database = database
        self._redactor = redactor
        self._conn = conn
        self._way = way
        self._letter: tuple[int, Source] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._way.close()

    def pass_over(
        self,
        week: str | None,
        counts: Counter[str],
        stopping: threading.Event,
        progress: Callable[[int, int], None],
    ) -> _Pass:
        ids, found, in_a_row = store.waiting(self._conn, week), _Pass(), 0
        for done, mail_id in enumerate(ids):
            progress(done, len(ids))
            if stopping.is_set():
                return _Pass()
            mail = store.read(self._conn, mail_id)
            if mail is None:
                continue
            answer = self._try(mail, counts)
            in_a_row = in_a_row + 1 if answer.is_cut else 0
            if answer.end == "later":
                found.helps_to_wait |= answer.helps_to_wait
            if answer.end == "later" or in_a_row >= PATIENCE:
                found.problem = self._short(answer.reason)
            if answer.is_of_way or in_a_row >= PATIENCE:
                return found
        progress(len(ids), len(ids))
        return found

    def _try(self, mail: Mail, counts: Counter[str]) -> Answer:
        hold = _Hold(self._database, self._conn, mail, self._way.name, self._holding)
        with hold:
            answer = self._way.send(mail, self._source(mail.letter_id), hold.take)
            said = self._short(answer.reason)
            if hold.is_held:
                state = store.settle(self._conn, mail, END_OF[answer.end], said, keep_s=self._keep_s)
            elif answer.end in ("later", "failed"):
                end = "failed" if answer.end == "failed" else "new"
                state = store.turn_down(self._conn, mail, self._way.name, end, said, keep_s=self._keep_s)
            else:
                state = None
        if state is not None:
            self._tell(mail, state, said)
            counts[state] += 1
        return answer

    def _source(self, letter_id: int) -> Source:
        """Of one letter at a time: a week's mails have the same."""
        if self._letter is None or self._letter[0] != letter_id:
            self._letter = letter_id, store.source(self._conn, letter_id)
        return self._letter[1]

    def _tell(self, mail: Mail, state: store.State, said: str) -> None:
        fields = {"mail_id": mail.mail_id, "week": mail.week, "way": self._way.name, "tries": mail.tries + 1}
        if state == "sent":
            LOG.info("report_mail_sent", **fields, reason=said)
        elif state == "new":
            LOG.warning("report_mail_try_later", **fields, reason=said)
        elif state == "failed":
            LOG.error("report_mail_failed", **fields, reason=said)
        else:
            LOG.error("report_mail_unknown", **fields, reason=said)

    def _short(self, reason: str) -> str:
        """One line that the database can keep: a server may say anything, NUL included."""
        return self._redactor.text(one_line(reason), limit=LONGEST_REASON)


class _Hold:
    """The claim of one mail, and the transaction that shows from then on that its sender lives."""

    def __init__(self, database: Database, conn: psycopg.Connection, mail: Mail, way: str, limits: Limits) -> None:
        self._database = database
        self._conn = conn
        self._mail = mail
        self._way = way
        self._limits = limits
        self._stack = ExitStack()
        self.is_held = False

    def __enter__(self) -> Self:
        self._stack.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def take(self) -> bool:
        with self._database.transaction(self._conn, limits=BRIEF):
            is_claimed = store.claim(self._conn, self._mail, self._way)
        if not is_claimed:
            return False
        self._stack.enter_context(self._database.transaction(self._conn, limits=self._limits))
        self.is_held = store.hold(self._conn, self._mail)
        return self.is_held
