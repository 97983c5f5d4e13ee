"""Tasks of dead workers, put right with the pause of their type."""

import random
from itertools import groupby

import psycopg

from jobctl.queue.backoff import pause_s
from jobctl.queue.rescue import Rescued, find_lost, put_back
from jobctl.settings_queue import QueueSettings


def rescue_lost(conn: psycopg.Connection, settings: QueueSettings) -> list[Rescued]:
    rescued: list[Rescued] = []
    lost = sorted(find_lost(conn), key=lambda each: each.type)
    for type_, of_type in groupby(lost, key=lambda each: each.type):
        policy = settings.policy_of(type_)
        pause = pause_s(1, base_s=policy.backoff_base_s, cap_s=policy.backoff_cap_s, share=random.random())
        rescued += put_back(conn, list(of_type), {}, policy.crash_limit, pause_s=pause)
    return rescued
