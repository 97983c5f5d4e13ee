"""Facts of the server: what it counted of tables and indexes, and the oldest snapshot."""

from collections.abc import Iterator

import psycopg
from psycopg.rows import class_row

from jobctl.monitor.doctor import server
from jobctl.monitor.insights import storage
from jobctl.monitor.insights.finding import Finding
from jobctl.monitor.insights.storage import Index, Snapshot, Table

TABLES = """
SELECT s.schemaname || '.' || s.relname AS name, s.n_live_tup AS rows, s.n_dead_tup AS dead,
    pg_catalog.pg_total_relation_size(s.relid) AS bytes, s.seq_scan AS seq_scans, s.seq_tup_read AS seq_rows
FROM pg_catalog.pg_stat_user_tables AS s ORDER BY 1
"""
INDEXES = """
SELECT s.schemaname || '.' || s.indexrelname AS name, s.relname AS table,
    pg_catalog.pg_relation_size(s.indexrelid) AS bytes, s.idx_scan AS scans, i.indisunique AS is_needed
FROM pg_catalog.pg_stat_user_indexes AS s JOIN pg_catalog.pg_index AS i USING (indexrelid) ORDER BY 1
"""
# Statistics that were never reset are as old as the server at least.
AGE = """
SELECT (extract(epoch FROM statement_timestamp() - coalesce(d.stats_reset, pg_catalog.pg_postmaster_start_time()))
    / 86400)::float8
FROM pg_catalog.pg_stat_database AS d WHERE d.datname = pg_catalog.current_database()
"""


def of_server(conn: psycopg.Connection) -> Iterator[Finding]:
    (days,) = conn.execute(AGE).fetchone() or (0.0,)
    with conn.cursor(row_factory=class_row(Table)) as cursor:
        tables = cursor.execute(TABLES).fetchall()
    with conn.cursor(row_factory=class_row(Index)) as cursor:
        indexes = cursor.execute(INDEXES).fetchall()
    held = server.oldest(conn)
    oldest = None if held is None else Snapshot(held.age_s, held.name, held.pid)
    judged = [
        storage.old_snapshot(oldest),
        *(storage.bloated(table, oldest) for table in tables),
        *(storage.missing_index(table, days) for table in tables),
        *(storage.unused_index(index, days) for index in indexes),
    ]
    yield from (found for found in judged if found is not None)
