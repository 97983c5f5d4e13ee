"""Search by meaning: the items whose vectors are nearest to that of a question, by the cosine between them.

Where an index of the model version is and no filter given, the index answers, approximately. With a filter, or without
an index, every vector in question is compared, exactly; without pgvector the server multiplies arrays.
"""

from typing import NamedTuple

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from jobctl.embeddings import index, store
from jobctl.embeddings.geo import EARTH_RADIUS_KM, Near, box_around
from jobctl.embeddings.store import Model
from jobctl.embeddings.vector import Vector, literal

MOST_FOUND = 1_000  # what an index can be asked for


class Hit(NamedTuple):
    """An item and how near it is: `score` is the cosine, 1 for the same direction. `is_current`: its vector is that of
    its present text; else it waits to be embedded anew."""

    item_id: int
    branch: str
    record_key: str
    name: str
    kind: str | None
    city: str | None
    region: str | None
    country: str | None
    latitude: float | None
    longitude: float | None
    url: str | None
    score: float
    distance_km: float | None
    is_current: bool


class Found(NamedTuple):
    hits: list[Hit]
    is_exact: bool


# The haversine, safe against rounding beyond 1. A null coordinate gives null, which no filter lets pass.
NEAR = """
SELECT i.item_id, 2 * %(radius_km)s::float8 * asin(sqrt(least(1.0,
    sin(radians(i.latitude - %(latitude)s::float8) / 2) ^ 2 + cos(radians(%(latitude)s::float8))
    * cos(radians(i.latitude)) * sin(radians(i.longitude - %(longitude)s::float8) / 2) ^ 2))) AS distance_km
FROM core.items AS i
WHERE i.withdrawn_at IS NULL AND (%(branch_id)s::integer IS NULL OR i.branch_id = %(branch_id)s)
    AND i.latitude BETWEEN %(south)s AND %(north)s
    AND CASE WHEN %(west)s::float8 <= %(east)s::float8 THEN i.longitude BETWEEN %(west)s AND %(east)s
        ELSE i.longitude >= %(west)s OR i.longitude <= %(east)s END
"""
IN_BRANCH = """
SELECT i.item_id, NULL::float8 AS distance_km FROM core.items AS i
WHERE i.withdrawn_at IS NULL AND i.branch_id = %(branch_id)s
"""
ALL = "SELECT i.item_id, NULL::float8 AS distance_km FROM core.items AS i WHERE i.withdrawn_at IS NULL"

# The filter is done first, so that what passes it is few and the vectors of the others are never read.
EXACT = """
WITH wanted AS MATERIALIZED ({wanted})
SELECT e.item_id, e.content_hash, {score} AS score, w.distance_km
FROM wanted AS w JOIN core.embeddings AS e ON e.item_id = w.item_id
WHERE e.model_version = {of} AND (w.distance_km <= %(km)s OR %(km)s::float8 IS NULL)
ORDER BY 3 DESC, 1
LIMIT %(limit)s
"""
BY_INDEX = """
SELECT e.item_id, e.content_hash, {score} AS score, NULL::float8 AS distance_km
FROM core.embeddings AS e
WHERE e.model_version = {of}
ORDER BY {vector} OPERATOR({schema}.<=>) {question}
LIMIT %(limit)s
"""
SHOWN = """
SELECT i.item_id, b.slug AS branch, i.record_key, i.name, i.kind, i.city, i.region, i.country, i.latitude,
    i.longitude, i.url, f.score, f.distance_km, f.content_hash IS NOT DISTINCT FROM i.content_hash AS is_current
FROM ({found}) AS f
JOIN core.items AS i ON i.item_id = f.item_id
JOIN branch.branches AS b ON b.branch_id = i.branch_id
WHERE i.withdrawn_at IS NULL
ORDER BY f.score DESC, i.item_id
"""
OF_ARRAYS = "(SELECT sum(p.x::float8 * p.y) FROM unnest(e.vector, {question}) AS p (x, y))"


def search(
    conn: psycopg.Connection,
    question: Vector,
    known: Model,
    *,
    branch_id: int | None = None,
    near: Near | None = None,
    limit: int = 10,
) -> Found:
    """The nearest first. Inside a transaction: the index is told there how many to find."""
    schema = store.extension_schema(conn)
    asked = sql.Literal(literal(question))
    of = sql.Literal(known.model_version.replace("%", "%%"))  # beside parameters a percent sign is doubled
    vector: sql.Composable
    if schema is None:
        of_array = sql.SQL("translate({}, '[]', '{{}}')::real[]").format(asked)
        score = sql.SQL(OF_ARRAYS).format(question=of_array)
        by_index = False
        vector = typed = sql.SQL("")
    else:
        vector = index.indexed_expression(schema, known.dimensions)
        typed = sql.SQL("{}::{}").format(asked, sql.Identifier(schema, index.type_of(known.dimensions)))
        score = sql.SQL("1 - ({} OPERATOR({}.<=>) {})").format(vector, sql.Identifier(schema), typed)
        made = index.find(conn, known.model_version)
        by_index = branch_id is None and near is None and made is not None and made.is_valid
    if by_index:
        assert schema is not None
        conn.execute("SELECT set_config('hnsw.ef_search', %(size)s, true)", {"size": str(max(40, limit))})
        found = sql.SQL(BY_INDEX).format(
            score=score, of=of, vector=vector, schema=sql.Identifier(schema), question=typed
        )
    else:
        wanted = NEAR if near is not None else IN_BRANCH if branch_id is not None else ALL
        found = sql.SQL(EXACT).format(wanted=sql.SQL(wanted), score=score, of=of)
    with conn.cursor(row_factory=class_row(Hit)) as cursor:
        hits = cursor.execute(sql.SQL(SHOWN).format(found=found), _parameters(branch_id, near, limit)).fetchall()
    return Found(hits, not by_index)


def _parameters(branch_id: int | None, near: Near | None, limit: int) -> dict[str, object]:
    parameters: dict[str, object] = {"branch_id": branch_id, "limit": limit, "km": None}
    if near is not None:
        parameters |= near._asdict() | box_around(near)._asdict() | {"radius_km": EARTH_RADIUS_KM}
    return parameters
