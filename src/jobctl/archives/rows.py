"""The rows of an archived table: read those that are past, delete those of a file, put those of a file back.

Lines go to the server as one text: none has a line break in it, and an array of them would be quoted twice. Reading
takes no lock. Deleting and putting back are batches that the caller bounds, each a short transaction of its
own, and go by the index of the key alone. A row is deleted only if it still is what its line says, to the byte.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import psycopg
from psycopg import sql

from jobctl.archives.lines import FORMS, Column, line_of, name_of, type_of, value_of
from jobctl.archives.sources import Source

LOCK_MS: Final = 500  # a row that somebody changes is waited for so long
READ_MS: Final = 240_000  # of the statement that reads the rows of one file
Key = Mapping[str, object]

PREPARE = "SELECT set_config('lock_timeout', %(lock)s, true), set_config('statement_timeout', %(statement)s, true)"
# Whatever the statistics say of an array of lines: each of its rows is found by the key's index.
BY_INDEX = """
SELECT set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true),
    set_config('enable_mergejoin', 'off', true), set_config('enable_bitmapscan', 'off', true)
"""


class Span(NamedTuple):
    """From a row to a row in the order of a file, both with it."""

    first: Key
    last: Key


class Asked(NamedTuple):
    """Rows that are past by these bounds, behind `after` in the order of the source, and outside of `spans`."""

    bounds: Mapping[str, object]
    after: Key | None = None
    spans: Sequence[Span] = ()


def prepare(conn: psycopg.Connection, *, statement_ms: int = 0) -> None:
    """At the begin of each transaction: how values are written, and how long is waited."""
    conn.execute(FORMS)
    if statement_ms:
        conn.execute(PREPARE, {"lock": f"{LOCK_MS}ms", "statement": f"{statement_ms}ms"})
    else:
        conn.execute("SELECT set_config('lock_timeout', %(lock)s, true)", {"lock": f"{LOCK_MS}ms"})
        conn.execute(BY_INDEX)


@dataclass(frozen=True, slots=True)
class Table:
    """A source with the columns that are written of it, which may be fewer than it has."""

    source: Source
    columns: Sequence[Column]

    def has_any(self, conn: psycopg.Connection, asked: Asked) -> bool:
        """Whether there is anything to read."""
        conditions, values = self._conditions(asked)
        statement = sql.SQL("SELECT EXISTS (SELECT FROM {} AS t WHERE {})").format(
            name_of(self.source.table), conditions
        )
        row = conn.execute(statement, values).fetchone()
        return row is not None and row[0]

    def read(self, conn: psycopg.Connection, asked: Asked, *, most: int) -> Generator[str, None, None]:
        """Inside a transaction: the lines of the first so many rows, as they come from the server. Whoever ends early
        rolls back."""
        conditions, values = self._conditions(asked)
        statement = sql.SQL("COPY (SELECT {} FROM {} AS t WHERE {} ORDER BY {} LIMIT {}) TO STDOUT").format(
            line_of(self.columns),
            name_of(self.source.table),
            conditions,
            sql.SQL(", ").join(sql.SQL("t.{}").format(sql.Identifier(name)) for name in self.source.order),
            sql.Literal(most),
        )
        with conn.cursor() as cursor, cursor.copy(statement, values) as copy:
            copy.set_types(["text"])
            for row in copy.rows():
                yield row[0]

    def delete(self, conn: psycopg.Connection, lines: Sequence[str]) -> int:
        """Inside a transaction: those of the rows that are still there as their line says; gives how many."""
        statement = sql.SQL(
            "WITH r AS MATERIALIZED (SELECT l.line, {keys} FROM string_to_table(%(lines)s, chr(10)) AS l (line))"
            " DELETE FROM {table} AS t USING r WHERE {same} AND {line} = r.line"
        ).format(keys=self._keys(), table=name_of(self.source.table), same=self._same(), line=line_of(self.columns))
        return conn.execute(statement, {"lines": "\n".join(lines)}).rowcount

    def other(self, conn: psycopg.Connection, lines: Sequence[str]) -> int:
        """How many of the rows are there, and not as their line says."""
        statement = sql.SQL(
            "WITH r AS MATERIALIZED (SELECT l.line, {keys} FROM string_to_table(%(lines)s, chr(10)) AS l (line))"
            " SELECT count(*) FROM r JOIN {table} AS t ON {same} WHERE {line} <> r.line"
        ).format(keys=self._keys(), table=name_of(self.source.table), same=self._same(), line=line_of(self.columns))
        row = conn.execute(statement, {"lines": "\n".join(lines)}).fetchone()
        return row[0] if row is not None else 0

    def put(self, conn: psycopg.Connection, lines: Sequence[str]) -> int:
        """Inside a transaction: the rows back; one whose place is taken is left out. Gives how many went in."""
        line = sql.SQL("l.line::json")
        statement = sql.SQL(
            "INSERT INTO {table} ({names}) OVERRIDING SYSTEM VALUE"
            " SELECT {values} FROM string_to_table(%(lines)s, chr(10)) AS l (line) ON CONFLICT DO NOTHING"
        ).format(
            table=name_of(self.source.table),
            names=sql.SQL(", ").join(sql.Identifier(each.name) for each in self.columns),
            values=sql.SQL(", ").join(value_of(each, line) for each in self.columns),
        )
        return conn.execute(statement, {"lines": "\n".join(lines)}).rowcount

    def missing(self, conn: psycopg.Connection, lines: Sequence[str]) -> list[str]:
        """The keys of the rows that are not there as their line says, for a person."""
        statement = sql.SQL(
            "WITH r AS MATERIALIZED (SELECT l.line, {keys} FROM string_to_table(%(lines)s, chr(10)) AS l (line))"
            " SELECT concat_ws(', ', {named}) FROM r"
            " WHERE NOT EXISTS (SELECT FROM {table} AS t WHERE {same} AND {line} = r.line)"
        ).format(
            keys=self._keys(),
            named=sql.SQL(", ").join(sql.SQL("r.{}").format(sql.Identifier(name)) for name in self.source.key),
            table=name_of(self.source.table),
            same=self._same(),
            line=line_of(self.columns),
        )
        return [row[0] for row in conn.execute(statement, {"lines": "\n".join(lines)}).fetchall()]

    def _column(self, name: str) -> Column:
        return next(each for each in self.columns if each.name == name)

    def _keys(self) -> sql.Composed:
        line = sql.SQL("l.line::json")
        return sql.SQL(", ").join(
            sql.SQL("{} AS {}").format(value_of(self._column(name), line), sql.Identifier(name))
            for name in self.source.key
        )

    def _same(self) -> sql.Composed:
        return sql.SQL(" AND ").join(sql.SQL("t.{0} = r.{0}").format(sql.Identifier(name)) for name in self.source.key)

    def _conditions(self, asked: Asked) -> tuple[sql.Composed, dict[str, object]]:
        conditions: list[sql.Composable] = [sql.SQL(self.source.past)]
        values = dict(asked.bounds)
        if asked.after is not None:
            conditions.append(sql.SQL("{} > {}").format(self._place(), self._place_of("after", asked.after, values)))
        conditions += [
            sql.SQL("NOT ({0} >= {1} AND {0} <= {2})").format(
                self._place(),
                self._place_of(f"first_{nth}", span.first, values),
                self._place_of(f"last_{nth}", span.last, values),
            )
            for nth, span in enumerate(asked.spans)
        ]
        return sql.SQL(" AND ").join(sql.SQL("({})").format(each) for each in conditions), values

    def _place(self) -> sql.Composed:
        return sql.SQL("ROW({})").format(
            sql.SQL(", ").join(sql.SQL("t.{}").format(sql.Identifier(name)) for name in self.source.order)
        )

    def _place_of(self, prefix: str, key: Key, values: dict[str, object]) -> sql.Composed:
        """The same of a key, whose values go into `values`."""
        parts: list[sql.Composed] = []
        for name in self.source.order:
            values[f"{prefix}_{name}"] = str(key[name])
            value = sql.Placeholder(f"{prefix}_{name}")
            parts.append(sql.SQL("{}::text::{}").format(value, type_of(self._column(name))))
        return sql.SQL("ROW({})").format(sql.SQL(", ").join(parts))
