"""A row as a line of JSON, and back, exactly. PostgreSQL itself makes both: nothing passes through another's numbers.

Whole numbers and booleans are JSON's own, jsonb is nested, and all else is the type's text as a JSON string: numbers of
any length, times with microseconds and infinity, arrays, bytes in hex. NULL is null. A jsonb that is `null` itself, or
an object with the key `$jsonb`, is wrapped into `{"$jsonb": "its text"}`, so that no two values have the same line.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import psycopg
from psycopg import sql
from psycopg.rows import class_row

AS_THEY_ARE: Final = frozenset({"smallint", "integer", "bigint", "boolean"})
NESTED: Final = "jsonb"

# How values are written as text, whatever the server's or the session's ways are. Of the transaction alone.
FORMS = """
SELECT set_config('datestyle', 'ISO, YMD', true), set_config('intervalstyle', 'postgres', true),
    set_config('extra_float_digits', '1', true), set_config('bytea_output', 'hex', true),
    set_config('timezone', 'UTC', true)
"""


class Column(NamedTuple):
    name: str
    type: str


# What is computed from other columns is not kept: the table computes it again.
COLUMNS = """
SELECT a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS type
FROM pg_attribute AS a
WHERE a.attrelid = %(table)s::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
ORDER BY a.attnum
"""


def columns_of(conn: psycopg.Connection, table: str) -> list[Column]:
    with conn.cursor(row_factory=class_row(Column)) as cursor:
        return cursor.execute(COLUMNS, {"table": table}).fetchall()


def name_of(table: str) -> sql.Identifier:
    return sql.Identifier(*table.split("."))


def line_of(columns: Sequence[Column]) -> sql.Composed:
    """The line of a row `t`."""
    values = sql.SQL(", ").join(_written(each) for each in columns)
    return sql.SQL("(SELECT row_to_json(written)::text FROM (SELECT {}) AS written)").format(values)


def _written(column: Column) -> sql.Composed:
    name = sql.Identifier(column.name)
    if column.type in AS_THEY_ARE:
        return sql.SQL("t.{}").format(name)
    if column.type != NESTED:
        return sql.SQL("t.{0}::text AS {0}").format(name)
    return sql.SQL(
        "CASE WHEN t.{0} = 'null' OR (jsonb_typeof(t.{0}) = 'object' AND t.{0} ? '$jsonb')"
        " THEN jsonb_build_object('$jsonb', t.{0}::text) ELSE t.{0} END AS {0}"
    ).format(name)


def value_of(column: Column, line: sql.Composable) -> sql.Composed:
    """The value of a column from a line, which is an expression of type json. `type` must be the table's own."""
    name, type_ = sql.Literal(column.name), type_of(column)
    if column.type != NESTED:
        return sql.SQL("({} ->> {})::{}").format(line, name, type_)
    return sql.SQL(
        "CASE json_typeof({0} -> {1}) WHEN 'null' THEN NULL"
        " WHEN 'object' THEN coalesce({0} -> {1} ->> '$jsonb', ({0} -> {1})::text)::jsonb"
        " ELSE ({0} -> {1})::text::jsonb END"
    ).format(line, name)


def type_of(column: Column) -> sql.SQL:
    """As the server's own catalogue writes it, which quotes what must be quoted."""
    return sql.SQL(column.type)  # pyright: ignore[reportArgumentType]  # no literal, and from nobody but the server
