"""The table of branches."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from jobctl.branches import store
from jobctl.branches.branch import Branch, Definition
from jobctl.errors import UsageError

SHOPS = Definition("shops", "Shops", {"record_id": "id", "name": "title"}, "DE", timedelta(hours=36), 0.3)


@pytest.fixture
def shops(conn: psycopg.Connection) -> Branch:
    branch = store.insert(conn, SHOPS)
    assert branch is not None
    return branch


def test_a_branch_comes_back_as_it_was_defined(shops: Branch, conn: psycopg.Connection) -> None:
    assert store.require(conn, "shops") == shops
    assert shops.definition == SHOPS
    assert (shops.schema_version, shops.active, shops.loaded_at) == (1, False, None)


def test_a_slug_is_taken_once(shops: Branch, conn: psycopg.Connection) -> None:
    assert store.insert(conn, Definition("shops", "Other", {"record_id": "x"})) is None
    assert store.require(conn, "shops") == shops


@pytest.mark.parametrize(
    ("changed", "version"),
    [
        (Definition("shops", "Stores", SHOPS.field_map, "DE", None, 0.9), 1),
        (Definition("shops", "Shops", {"record_id": "id", "name": "name"}, "DE"), 2),
        (Definition("shops", "Shops", SHOPS.field_map, None), 2),
        (Definition("shops", "Shops", SHOPS.field_map, "FR"), 2),
    ],
)
def test_a_change_is_a_new_version_where_records_become_other_items(
    shops: Branch, conn: psycopg.Connection, changed: Definition, version: int
) -> None:
    updated = store.update(conn, changed, schema_version=1)
    assert updated is not None
    assert updated.definition == changed
    assert updated.schema_version == version
    assert updated.branch_id == shops.branch_id


@pytest.mark.usefixtures("shops")
def test_a_change_of_a_version_that_was_changed_meanwhile_is_not_made(conn: psycopg.Connection) -> None:
    other = Definition("shops", "Shops", {"record_id": "other"})
    assert store.update(conn, other, schema_version=7) is None
    assert store.require(conn, "shops").definition == SHOPS


def test_activation_tells_whether_it_changed_anything(shops: Branch, conn: psycopg.Connection) -> None:
    assert store.set_active(conn, shops.branch_id, active=True)
    assert not store.set_active(conn, shops.branch_id, active=True)
    assert [branch.slug for branch in store.list_branches(conn, active=True)] == ["shops"]
    assert store.list_branches(conn, active=False) == []


@pytest.mark.usefixtures("shops")
def test_an_unknown_slug_is_answered_with_the_nearest(conn: psycopg.Connection) -> None:
    with pytest.raises(UsageError) as raised:
        store.require(conn, "shosp")
    assert "did you mean shops?" in raised.value.hint
    assert "jobctl branch list" in raised.value.hint


def test_a_branch_is_late_when_its_load_is_older_than_expected(shops: Branch, conn: psycopg.Connection) -> None:
    now = datetime.now(UTC)
    assert shops.is_late(now)
    conn.execute("UPDATE branch.branches SET loaded_at = %s", (now - timedelta(hours=35),))
    assert not store.require(conn, "shops").is_late(now)
    assert store.require(conn, "shops").is_late(now + timedelta(hours=2))
