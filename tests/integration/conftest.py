"""The fixtures of the tests that ingest in this process: a branch of their own, and the job over it."""

from collections.abc import Mapping

import psycopg
import pytest
from psycopg.types.json import Jsonb

from bench_ingest import FIELD_MAP, Ingest, NewSource, Source
from jobctl.db.connection import Database


@pytest.fixture
def make_source(conn: psycopg.Connection) -> NewSource:
    def make(slug: str = "places", field_map: Mapping[str, str] = FIELD_MAP) -> Source:
        row = conn.execute(
            "INSERT INTO branch.branches (slug, title, field_map, active, loaded_at)"
            " VALUES (%s, %s, %s, true, now()) RETURNING branch_id",
            (slug, slug.title(), Jsonb(dict(field_map))),
        ).fetchone()
        assert row is not None
        return Source(conn, row[0], slug)

    return make


@pytest.fixture
def source(make_source: NewSource) -> Source:
    return make_source()


@pytest.fixture
def ingest(database: Database, conn: psycopg.Connection) -> Ingest:
    return Ingest(database, conn)
