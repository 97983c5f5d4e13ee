"""Every wait of a client: for the pace, for limits, between tries; for all threads of a run together.

A wait is done here when it ends before `until`, the caller's moment on the monotonic clock, and otherwise raised as
Limited, so that a run can save its checkpoint and go. Two clocks: durations are measured on the monotonic one, the wall
clock only reads GitHub's dates. A limit is waited out, and after LIMITS_IN_A_ROW of unknown length raised.
"""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from jobctl.github.asking import Answer, Ask
from jobctl.github.credentials import Grant, Keyring
from jobctl.github.failures import Limited
from jobctl.github.limits import Kind, Limit, Quota, limit_of, quota_of
from jobctl.github.pace import Pace

LIMITS_IN_A_ROW: Final = 5


class Waiting:
    def __init__(
        self,
        host: str,
        keyring: Keyring,
        pace: Pace,
        *,
        until: float,
        sleep: Callable[[float], object],
        check: Callable[[], object],
        now: Callable[[], float],
        utc_now: Callable[[], datetime],
    ) -> None:
        """No wait goes beyond `until`. `sleep` may end early, and `check` raises when the run is to stop."""
        self._host = host
        self._keyring = keyring
        self._pace = pace
        self._until = until
        self._sleep = sleep
        self._check = check
        self._now = now
        self._utc_now = utc_now
        self._lock = threading.Lock()
        self.quotas: dict[tuple[str, str], Quota] = {}  # by account and resource, as they were told last
        self._limits_in_a_row = 0
        self._limited_at = float("-inf")

    def take_turn(self, grant: Grant, asked: Ask) -> None:
        """Wait for the pace, and for what a limit of another thread has said meanwhile."""
        turn_s = self._pace.reserve(1.0, self._now())
        if turn_s > 0:
            self.pause(turn_s)
        while silence_s := self._keyring.silence_s(grant.account, asked.resource, self._now()):
            self.pause_for_limit(silence_s, asked)

    def heed(self, answer: Answer, asked: Ask, sent_at: float) -> Limit | None:
        """Note what the answer says of limits, before any other thread sends. What was under way when a limit was told
        is the same time again, not a further one."""
        raw, now, utc_now = answer.raw, self._now(), self._utc_now()
        with self._lock:
            is_further = sent_at >= self._limited_at
            before = self._limits_in_a_row if is_further else max(0, self._limits_in_a_row - 1)
            limit = limit_of(raw.status, raw.headers, answer.body, utc_now, times_before=before)
            if limit is not None:
                self._limits_in_a_row += int(is_further and not limit.is_told)
                self._limited_at = now
            elif is_further:
                self._limits_in_a_row = 0
        account = answer.grant.account
        quota = quota_of(raw.headers, utc_now)
        if quota is not None:
            self.quotas[account, quota.resource] = quota
        if quota is not None and quota.remaining == 0:
            self._keyring.silence(account, quota.resource, now + quota.reset_s)
        if limit is not None and limit.kind is Kind.PRIMARY:
            self._keyring.silence(account, asked.resource, now + limit.wait_s)
        elif limit is not None:
            self._keyring.silence_all(now + limit.wait_s)
        return limit

    def give_up_after_many(self, limit: Limit, asked: Ask) -> None:
        """The keyring makes the next request wait; here it is only judged whether there is to be one."""
        if not limit.is_told and self._limits_in_a_row >= LIMITS_IN_A_ROW:
            raise self._limited(limit.wait_s, asked, f"{LIMITS_IN_A_ROW} times in a row, the {limit.kind} limit")

    def pause_for_limit(self, seconds: float, asked: Ask) -> None:
        if self._now() + seconds > self._until:
            raise self._limited(seconds, asked, "a limit")
        self.pause(seconds)

    def _limited(self, seconds: float, asked: Ask, which: str) -> Limited:
        until = self._utc_now() + timedelta(seconds=seconds)
        hint = (
            "without a token it is 60 requests an hour: set GITHUB_TOKEN"
            if self._keyring.is_anonymous
            else "run it again after that, or give further tokens in JOBCTL_GITHUB_TOKENS"
        )
        return Limited(
            f"{self._host}: {which} holds until {until:%Y-%m-%d %H:%M:%S} UTC ({asked.endpoint})",
            until=until,
            hint=hint,
        )

    def pause(self, seconds: float) -> None:
        """All of it, although `sleep` may end early, unless the run is to stop."""
        end = self._now() + seconds
        while (left_s := end - self._now()) > 0:
            self._check()
            self._sleep(left_s)
        self._check()
