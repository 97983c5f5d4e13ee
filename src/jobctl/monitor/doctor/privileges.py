"""Whether the role can do what jobs do: asked of the catalogue for each table, and tried once in each schema.

What is tried is rolled back, rows with numbers that no sequence gives, so that nothing is left and no sequence moves. A
try finds what the catalogue does not tell: a read-only server, a row policy, a trigger that refuses.
"""

from dataclasses import dataclass

import psycopg
from psycopg.rows import class_row

from jobctl.monitor.doctor.finding import Finding, failed, ok

CHECK = "database.privileges"

# CASE, since has_sequence_privilege fails on what is none, and conditions beside each other come in any order.
MISSING = """
SELECT n.nspname || '.' || c.relname AS name, string_agg(p.privilege, ', ' ORDER BY p.privilege) AS privileges
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
CROSS JOIN (VALUES ('SELECT'), ('INSERT'), ('UPDATE'), ('DELETE')) AS p (privilege)
WHERE n.nspname IN ('branch', 'core', 'crawl', 'dev', 'ops', 'queue') AND c.relkind IN ('r', 'p')
  AND NOT (has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, p.privilege))
GROUP BY n.nspname, c.relname
UNION ALL
SELECT n.nspname || '.' || c.relname, 'USAGE'
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname IN ('branch', 'core', 'crawl', 'dev', 'ops', 'queue')
  AND CASE WHEN c.relkind = 'S' THEN NOT has_sequence_privilege(c.oid, 'USAGE') ELSE false END
ORDER BY name
"""

# Two doctors at once do not meet: the numbers are made of their sessions'.
TRIES = {
    "ops": """
INSERT INTO ops.locks (lock_key, job, scope) VALUES (-pg_backend_pid(), 'jobctl-doctor', pg_backend_pid()::text);
UPDATE ops.locks SET fence = fence + 1 WHERE lock_key = -pg_backend_pid();
DELETE FROM ops.locks WHERE lock_key = -pg_backend_pid();
""",
    "branch": """
INSERT INTO branch.branches (branch_id, slug, title, field_map) OVERRIDING SYSTEM VALUE
VALUES (-pg_backend_pid(), 'jobctl-doctor-' || pg_backend_pid(), '', '{}');
UPDATE branch.branches SET title = 'x' WHERE branch_id = -pg_backend_pid();
DELETE FROM branch.branches WHERE branch_id = -pg_backend_pid();
""",
    "core": """
INSERT INTO core.items (item_id, branch_id, record_key, name, source_version, payload_hash, content_hash, rules, run_id)
SELECT -pg_backend_pid(), -pg_backend_pid(), '', '', 0, u, u, '', u FROM gen_random_uuid() AS u;
UPDATE core.items SET name = 'x' WHERE item_id = -pg_backend_pid();
DELETE FROM core.items WHERE item_id = -pg_backend_pid();
""",
    "queue": """
INSERT INTO queue.tasks (task_id, type, dedupe_key) OVERRIDING SYSTEM VALUE
VALUES (-pg_backend_pid(), 'jobctl-doctor', pg_backend_pid()::text);
UPDATE queue.tasks SET priority = 1 WHERE task_id = -pg_backend_pid();
DELETE FROM queue.tasks WHERE task_id = -pg_backend_pid();
""",
}


@dataclass(frozen=True, slots=True)
class Missing:
    """A table or sequence, and what the role may not do with it."""

    name: str
    privileges: str


def missing(conn: psycopg.Connection) -> list[Missing]:
    with conn.cursor(row_factory=class_row(Missing)) as cursor:
        return cursor.execute(MISSING).fetchall()


def try_to_write(conn: psycopg.Connection) -> dict[str, str]:
    """By schema, why a write there was refused; empty when all went well. Inside a transaction, all of it undone."""
    refused: dict[str, str] = {}
    for schema, statements in TRIES.items():
        try:
            with conn.transaction():
                conn.execute(statements.encode())
                raise psycopg.Rollback
        except psycopg.Error as error:
            if conn.closed:
                raise
            refused[schema] = error.diag.message_primary or type(error).__name__
    return refused


def judge(role: str, lacking: list[Missing], refused: dict[str, str]) -> Finding:
    if not lacking and not refused:
        return ok(CHECK, f"{role} can read and write what jobs do (tried, and undone)")
    if lacking:
        more = f" and on {len(lacking) - 1} more" if len(lacking) > 1 else ""
        text = f"{role} lacks {lacking[0].privileges} on {lacking[0].name}{more}"
    else:
        schema, reason = next(iter(refused.items()))
        text = f"{role} cannot write to {schema}: {reason}"
    return failed(
        CHECK,
        text,
        why="jobs end with exit 78 at their first write",
        mend=f"jobctl db grants --worker {role} | psql (as the database's owner)",
        is_configuration=True,
    )
