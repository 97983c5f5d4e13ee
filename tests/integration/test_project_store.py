"""The tables of projects, their names, and of ETags."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from jobctl.db.connection import Database
from jobctl.errors import DataError, UsageError
from jobctl.github import etag_store
from jobctl.github.etags import Kept
from jobctl.projects import store
from jobctl.projects.project import Care, Facts

AT = datetime(2026, 1, 1, tzinfo=UTC)
CAT = Facts("R_cat", 1, "octo/Cat", "purrs", "main", "Python", False, False, False, 3, AT, AT)
DOG = CAT._replace(node_id="R_dog", github_id=2, full_name="octo/dog")


def test_a_project_is_added_once_and_an_unchanged_one_is_not_written(conn: psycopg.Connection) -> None:
    first = store.save(conn, CAT, Care("high", "platform", "ann", "5 3 * * *", False))
    assert first.result == "added"
    project = first.project
    assert (project.full_name, project.criticality, project.team, project.active) == (
        "octo/Cat",
        "high",
        "platform",
        False,
    )
    rows = "SELECT xmin::text FROM dev.projects UNION ALL SELECT xmin::text FROM dev.project_aliases"
    before = conn.execute(rows).fetchall()
    assert store.save(conn, CAT) == (project, "unchanged")
    assert store.save(conn, CAT, Care(team="platform")).result == "unchanged"
    assert conn.execute(rows).fetchall() == before


def test_what_the_team_says_stays_until_the_team_says_otherwise(conn: psycopg.Connection) -> None:
    store.save(conn, CAT, Care("high", "platform", "ann"))
    saved = store.save(conn, CAT._replace(stars=4))
    assert (saved.result, saved.project.stars, saved.project.team) == ("updated", 4, "platform")
    saved = store.save(conn, CAT, Care(team="", criticality="low"))
    assert (saved.project.team, saved.project.owner, saved.project.criticality) == (None, "ann", "low")


def test_a_renamed_project_is_the_same_one_and_its_former_name_leads_to_it(conn: psycopg.Connection) -> None:
    project = store.save(conn, CAT).project
    renamed = store.save(conn, CAT._replace(full_name="newocto/lion"), also_named="octo/cat")
    assert (renamed.result, renamed.project.project_id) == ("updated", project.project_id)
    for name in ("octo/cat", "OCTO/CAT", "newocto/lion"):
        assert store.require(conn, name) == renamed.project
    assert store.aliases(conn, renamed.project) == ["octo/cat"]


def test_a_name_that_somebody_else_has_now_is_theirs(conn: psycopg.Connection) -> None:
    """The first row shows a name that is no longer its own, until its next sync."""
    cat = store.save(conn, CAT).project
    thief = store.save(conn, DOG._replace(full_name="octo/cat")).project
    assert store.require(conn, "octo/cat") == thief
    store.save(conn, CAT._replace(full_name="octo/lion"))
    assert store.require(conn, "octo/lion").project_id == cat.project_id
    assert store.require(conn, "octo/cat") == thief


def test_a_node_id_of_another_form_is_taken_over(conn: psycopg.Connection) -> None:
    project = store.save(conn, CAT).project
    saved = store.save(conn, CAT._replace(node_id="MDEwOlJlcG9zaXRvcnkx"))
    assert (saved.result, saved.project.project_id) == ("updated", project.project_id)


def test_two_projects_that_turn_out_to_be_one_are_told(conn: psycopg.Connection) -> None:
    store.save(conn, CAT)
    store.save(conn, DOG)
    with pytest.raises(DataError, match="one repository") as raised:
        store.save(conn, CAT._replace(github_id=2))
    assert "jobctl project remove octo/dog --yes" in raised.value.hint


def test_two_sessions_add_the_same_project_once(database: Database) -> None:
    with database.connect() as one, database.connect() as two:
        with one.transaction():
            assert store.save(one, CAT).result == "added"
            two.execute("SET lock_timeout = 300")
            with pytest.raises(psycopg.errors.LockNotAvailable), two.transaction():
                store.save(two, CAT)
        assert store.save(two, CAT).result == "unchanged"


def test_a_page_of_projects_goes_on_where_the_last_one_ended(conn: psycopg.Connection) -> None:
    names = ["b/x", "a/Y", "a/x", "A/z", "c/x"]
    for number, name in enumerate(names):
        care = Care(team="t" if number % 2 else None, active=number != 4)
        store.save(conn, CAT._replace(node_id=f"R_{number}", github_id=number, full_name=name), care)
    seen: list[str] = []
    after: int | None = None
    while page := store.list_projects(conn, after=after, limit=2):
        seen += [project.full_name for project in page]
        after = page[-1].project_id
    assert seen == ["a/x", "a/Y", "A/z", "b/x", "c/x"]
    assert [project.full_name for project in store.list_projects(conn, team="t")] == ["a/Y", "A/z"]
    assert "c/x" not in [project.full_name for project in store.list_projects(conn, active=True)]
    assert store.list_projects(conn, outcome="gone") == []


def test_an_unknown_project_is_answered_with_the_nearest(conn: psycopg.Connection) -> None:
    store.save(conn, CAT)
    for asked in ("octo/cst", "other/cat"):
        with pytest.raises(UsageError) as raised:
            store.require(conn, asked)
        assert "did you mean octo/Cat?" in raised.value.hint


def test_activation_and_removal_tell_whether_they_changed_anything(conn: psycopg.Connection) -> None:
    project = store.save(conn, CAT).project
    assert store.set_active(conn, project.project_id, active=False)
    assert not store.set_active(conn, project.project_id, active=False)
    assert store.delete(conn, project.project_id)
    assert not store.delete(conn, project.project_id)
    assert conn.execute("SELECT FROM dev.project_aliases").rowcount == 0


# ETags ---------------------------------------------------------------------------------------------------------------

KEPT = Kept("me", "https://api.github.com/repositories/1/issues", 'W/"1"', "https://api.github.com/x?page=2")


def test_an_etag_is_found_by_who_asks_and_what(conn: psycopg.Connection) -> None:
    assert etag_store.keep(conn, KEPT)
    found = etag_store.StoredEtags(conn)
    assert found.find("me", KEPT.url) == KEPT
    assert found.find("you", KEPT.url) is None
    assert found.find("me", KEPT.url + "?page=2") is None


def test_an_etag_goes_with_the_transaction_that_keeps_it(conn: psycopg.Connection) -> None:
    with conn.transaction():
        etag_store.keep(conn, KEPT)
        raise psycopg.Rollback
    assert etag_store.find(conn, "me", KEPT.url) is None


def test_an_etag_that_stands_is_not_written_again(conn: psycopg.Connection) -> None:
    etag_store.keep(conn, KEPT)
    assert not etag_store.keep(conn, KEPT)
    assert not etag_store.stamp(conn, "me", KEPT.url)
    for changed in (KEPT._replace(etag='"2"'), KEPT._replace(etag='"2"', next_url=None)):
        assert etag_store.keep(conn, changed)
        assert etag_store.find(conn, "me", KEPT.url) == changed


def test_what_is_of_use_is_stamped_once_a_day_and_the_rest_is_pruned(conn: psycopg.Connection) -> None:
    etag_store.keep(conn, KEPT)
    etag_store.keep(conn, KEPT._replace(identity="left behind"))
    conn.execute("UPDATE dev.etags SET used_at = now() - interval '30 days'")
    assert etag_store.stamp(conn, "me", KEPT.url)
    assert not etag_store.stamp(conn, "me", KEPT.url)
    assert etag_store.prune(conn, unused_for=timedelta(days=14)) == 1
    assert etag_store.find(conn, "me", KEPT.url) == KEPT


def test_what_is_wanted_whole_again_is_forgotten(conn: psycopg.Connection) -> None:
    etag_store.keep(conn, KEPT)
    etag_store.keep(conn, KEPT._replace(url="https://api.github.com/repositories/12/issues"))
    assert etag_store.forget(conn, "https://api.github.com/repositories/1/") == 1
