"""Tasks become vectors, and whatever happens meanwhile, in the end each item has that of its text and nothing else."""

import random
import secrets
from collections.abc import Callable

import psycopg
import pytest

from bench_embeddings import Embedding, Model, has_pgvector, plain_arrays, vector_for
from bench_ingest import Ingest, NewSource, Source
from jobctl.branches import store as branches
from jobctl.branches.removal import remove
from jobctl.db.connection import Database
from jobctl.embeddings import index, store
from jobctl.embeddings.geo import parse_near
from jobctl.embeddings.provider import Busy
from jobctl.embeddings.search import search
from jobctl.embeddings.status import standing
from jobctl.embeddings.vector import floats
from jobctl.errors import ConfigurationError
from jobctl.jobs.reembed import Reembedded, reembed
from jobctl.jobs.work.embed import CHANGED, EMBEDDED, GONE, UNCHANGED
from jobctl.queue.handler import NotRecoverable, Recoverable, Snooze


@pytest.fixture(params=["as migrated", "plain arrays"])
def storage(request: pytest.FixtureRequest, conn: psycopg.Connection) -> str:
    """pgvector's type where the server has it; and what there is where it has not."""
    if request.param == "plain arrays":
        plain_arrays(conn)
        assert store.extension_schema(conn) is None
    return request.param


@pytest.fixture
def work(database: Database, conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> Embedding:
    return Embedding(database, conn, monkeypatch)


def expected(text: str) -> tuple[float, ...]:
    return tuple(round(x, 5) for x in floats(vector_for(text)))


def text(key: str, name: str | None = None) -> str:
    return f"{name or f'Place {key}'}, Bern, Switzerland"


# The handler ---------------------------------------------------------------------------------------------------------


def test_items_get_the_vector_of_their_text_and_equal_texts_are_embedded_once(
    source: Source, ingest: Ingest, work: Embedding, storage: str
) -> None:
    for key in ("1", "2"):
        source.place(key)
    source.place("3", name="Place 1")
    ingest()
    assert set(work.statuses().values()) == {"pending"}
    assert list(work().values()) == [EMBEDDED] * 3
    assert [sorted(texts) for texts in work.model.asked] == [[text("1"), text("2")]]
    assert work.vectors() == {
        ("1", "m1"): expected(text("1")), ("2", "m1"): expected(text("2")), ("3", "m1"): expected(text("1")),
    }  # fmt: skip
    assert set(work.statuses().values()) == {"embedded"}


def test_changed_text_is_embedded_anew_and_a_change_of_anything_else_is_not(
    source: Source, ingest: Ingest, work: Embedding, storage: str
) -> None:
    source.place("1")
    source.place("2")
    ingest()
    work()
    source.place("1", version=2, name="Other")
    source.place("2", version=2, lat=47.0)
    ingest()
    assert set(work.statuses().values()) == {"pending"}
    results = work()
    assert sorted(map(str, results.values())) == sorted(map(str, (EMBEDDED, UNCHANGED)))
    assert work.model.asked[1:] == [[text("1", "Other")]]
    assert work.vectors() == {("1", "m1"): expected(text("1", "Other")), ("2", "m1"): expected(text("2"))}
    assert set(work.statuses().values()) == {"embedded"}


def test_second_task_for_the_same_text_does_nothing(
    source: Source, ingest: Ingest, work: Embedding, conn: psycopg.Connection
) -> None:
    source.place("1")
    ingest()
    work()
    before = conn.execute("SELECT xmin, ctid::text FROM core.embeddings").fetchall()
    conn.execute(
        "INSERT INTO queue.tasks (type, subject_id, model_version) SELECT 'embed', item_id, 'm1' FROM core.items"
    )
    assert list(work().values()) == [UNCHANGED]
    assert conn.execute("SELECT xmin, ctid::text FROM core.embeddings").fetchall() == before
    assert len(work.model.asked) == 2 and work.model.asked[1] == []


def test_item_that_changes_while_it_is_embedded_keeps_its_newer_task(
    source: Source, ingest: Ingest, work: Embedding, storage: str
) -> None:
    source.place("1")
    source.place("2")
    ingest()

    def change() -> None:
        work.model.while_embedding = lambda: None
        source.place("1", version=2, name="Newer")
        ingest()
        work()  # another worker, which is done sooner

    work.model.while_embedding = change
    results = work()
    assert sorted(map(str, results.values())) == sorted(map(str, (CHANGED, EMBEDDED)))
    assert work.vectors() == {("1", "m1"): expected(text("1", "Newer")), ("2", "m1"): expected(text("2"))}


def test_item_cannot_change_between_the_last_look_at_it_and_the_commit_of_its_vector(
    source: Source, ingest: Ingest, conn: psycopg.Connection, database: Database
) -> None:
    source.place("1")
    ingest()
    row = conn.execute("SELECT item_id FROM core.items").fetchone()
    assert row is not None
    item_id = row[0]
    with database.connect() as writer, writer.transaction():
        assert list(store.lock(writer, [item_id, item_id + 1])) == [item_id]
        conn.execute("SET lock_timeout = '50ms'")
        for statement in ("UPDATE core.items SET withdrawn_at = now()", "DELETE FROM core.items"):
            with pytest.raises(psycopg.errors.LockNotAvailable):
                conn.execute(statement.encode())


def test_withdrawn_item_loses_its_vectors_and_gets_none_from_a_task_that_runs(
    source: Source, ingest: Ingest, work: Embedding, storage: str
) -> None:
    for key in ("1", "2", "3"):
        source.place(key)
    ingest()

    def withdraw() -> None:
        work.model.while_embedding = lambda: None
        source.withdraw("1")
        ingest()

    work.model.while_embedding = withdraw
    assert sorted(map(str, work().values())) == sorted(map(str, (GONE, EMBEDDED, EMBEDDED)))
    source.withdraw("2")
    ingest()
    assert set(work.vectors()) == {("3", "m1")}
    assert work.statuses() == {("3", "m1"): "embedded"}


def test_removed_branch_leaves_no_vectors(
    database: Database, source: Source, ingest: Ingest, work: Embedding, conn: psycopg.Connection
) -> None:
    source.place("1")
    ingest()
    work()
    branch = branches.require(conn, source.slug)
    branches.set_active(conn, branch.branch_id, active=False)
    remove(database, branches.require(conn, source.slug))
    assert work.vectors() == {}


def test_refused_text_fails_alone_and_for_good(source: Source, ingest: Ingest, work: Embedding) -> None:
    source.place("1")
    source.place("2")
    ingest()
    work.model.refused = {text("1")}
    assert [type(result) for result in work().values() if result] == [NotRecoverable]
    assert work.statuses() == {("1", "m1"): "failed", ("2", "m1"): "embedded"}


@pytest.mark.parametrize(
    ("error", "kind"),
    [(Busy("slow down", retry_after_s=9.0), Recoverable), (ConfigurationError("wrong key"), NotRecoverable)],
)
def test_trouble_of_the_provider_is_tried_again_or_ends_the_tasks(
    source: Source, ingest: Ingest, work: Embedding, error: Exception, kind: type[Exception]
) -> None:
    source.place("1")
    ingest()
    work.model.error = error
    if kind is Recoverable:
        with pytest.raises(Recoverable, match="slow down") as caught:
            work()
        assert caught.value.retry_after_s == 9.0
    else:
        (result,) = work().values()
        assert isinstance(result, NotRecoverable) and "wrong key" in str(result)
    assert work.vectors() == {}


def test_task_of_another_model_version_is_put_off_and_one_without_an_item_fails(
    source: Source, ingest: Ingest, work: Embedding, conn: psycopg.Connection
) -> None:
    source.place("1")
    ingest()
    conn.execute("INSERT INTO queue.tasks (type, model_version) VALUES ('embed', 'm1')")
    work.model_version = "m2"
    conn.execute("UPDATE queue.tasks SET model_version = 'm2' WHERE subject_id IS NULL")
    results = work()
    assert sorted(type(result).__name__ for result in results.values()) == ["NotRecoverable", "Snooze"]
    assert any("m1" in str(result) and "m2" in str(result) for result in results.values() if isinstance(result, Snooze))
    assert work.model.asked == []


def test_model_version_stands_for_one_model_and_one_number_of_dimensions(
    source: Source, ingest: Ingest, work: Embedding, storage: str
) -> None:
    source.place("1")
    ingest()
    work()
    source.place("2")
    ingest()
    for model in (Model(dimensions=16), Model(model="test/other")):
        work.model = model
        (result,) = work().values()
        assert isinstance(result, NotRecoverable) and "JOBCTL_EMBED_MODEL_VERSION" in str(result)
        reembed(work.database, model_version="m1", failed=True)
    work.model = Model()
    assert list(work().values()) == [EMBEDDED]


# Histories -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("round_", range(6))
def test_whatever_the_order_of_changes_and_embedding_the_end_is_that_of_a_fresh_run(
    source: Source, ingest: Ingest, work: Embedding, conn: psycopg.Connection, round_: int
) -> None:
    seed = secrets.randbelow(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    if round_ % 2:
        plain_arrays(conn)
    names: dict[str, str] = {}
    version = 0

    def put() -> None:
        nonlocal version
        version += 1
        key = rng.choice("abcdef")
        names[key] = rng.choice(["One", "Two", f"Name {version}"])
        source.place(key, version=version, name=names[key], lat=rng.choice([46.9, 47.1]))

    def withdraw() -> None:
        key = rng.choice("abcdef")
        if names.pop(key, None) is not None:
            source.withdraw(key)

    def embed() -> None:
        depth.append(0)
        work.model.while_embedding = nested if len(depth) < 3 else lambda: None
        work(rng.choice([1, 2, None]))
        depth.pop()

    def nested() -> None:
        """Happens between reading and writing, while the tasks of the outer batch run."""
        for _ in range(rng.randrange(3)):
            rng.choice(steps)()

    def run() -> None:
        ingest(max_withdraw_share=1.0)

    depth: list[int] = []
    steps: list[Callable[[], None]] = [put, put, withdraw, run, run, embed, embed]
    for _ in range(40):
        rng.choice(steps)()
    run()
    work.model.while_embedding = lambda: None
    while work():
        pass
    assert work.vectors() == {(key, "m1"): expected(text(key, name)) for key, name in names.items()}
    assert work.statuses() == {(key, "m1"): "embedded" for key in names}
    assert reembed(work.database, model_version="m1") == Reembedded(0, 0)
    # Another model, and back: nothing is lost and nothing done that was done.
    work.model_version = "m2"
    assert reembed(work.database, model_version="m2") == Reembedded(len(names), 0)
    while work():
        pass
    assert {key for key, model in work.vectors() if model == "m2"} == set(names)
    assert reembed(work.database, model_version="m1") == Reembedded(0, 0)


# reembed, status -----------------------------------------------------------------------------------------------------


def test_another_model_makes_vectors_stale_and_reembed_queues_all_and_takes_back_old_requests(
    source: Source, ingest: Ingest, work: Embedding, conn: psycopg.Connection, database: Database
) -> None:
    for key in ("1", "2", "3"):
        source.place(key)
    ingest()
    work(limit=2)
    assert of_model(conn, "m2", current="m2") == (3, 0, 0, 0, 0, 3)
    assert of_model(conn, "m1", current="m2")[4] == 2
    dry = reembed(database, model_version="m2", dry_run=True)
    assert waiting(conn) == {"m1": 1}
    assert reembed(database, model_version="m2") == dry == Reembedded(queued=3, cancelled=1)
    assert waiting(conn) == {"m2": 3}
    assert reembed(database, model_version="m2") == Reembedded(0, 0)
    assert of_model(conn, "m2", current="m2") == (3, 0, 3, 0, 0, 0)
    work.model_version = "m2"
    work.model = Model(model="test/other", dimensions=16)
    work()
    assert of_model(conn, "m2", current="m2") == (3, 3, 0, 0, 0, 0)


def test_reembed_queues_only_what_was_asked_for(
    make_source: NewSource, ingest: Ingest, work: Embedding, conn: psycopg.Connection, database: Database
) -> None:
    north, south = make_source("north"), make_source("south")
    for each in (north, south):
        each.place("1")
        each.place("2", name="Bad")
        ingest(each.slug)
    work.model.refused = {text("2", "Bad")}
    work()
    assert of_model(conn, "m1", current="m1") == (2, 1, 0, 1, 0, 0)
    assert reembed(database, model_version="m1", branch_id=north.branch_id, failed=True) == Reembedded(1, 0)
    conn.execute("UPDATE core.embeddings SET content_hash = NULL")
    assert reembed(database, model_version="m1", branch_id=south.branch_id, failed=True) == Reembedded(1, 0)
    assert reembed(database, model_version="m1", branch_id=south.branch_id) == Reembedded(1, 0)
    assert reembed(database, model_version="m2", branch_id=south.branch_id) == Reembedded(2, 2)
    assert waiting(conn) == {"m1": 1, "m2": 2}


def test_status_tells_what_is_blocked_as_pending_and_an_outlived_failure_as_embedded(
    source: Source, ingest: Ingest, work: Embedding, conn: psycopg.Connection
) -> None:
    source.place("1")
    ingest()
    conn.execute("UPDATE queue.tasks SET state = 'blocked'")
    assert of_model(conn, "m1", current="m1") == (1, 0, 1, 0, 0, 0)
    conn.execute("UPDATE queue.tasks SET state = 'failed', finished_at = now()")
    assert of_model(conn, "m1", current="m1") == (1, 0, 0, 1, 0, 0)
    reembed(work.database, model_version="m1")
    work()
    assert of_model(conn, "m1", current="m1") == (1, 1, 0, 0, 0, 0)
    conn.execute("UPDATE core.embeddings SET content_hash = NULL")
    assert of_model(conn, "m1", current="m1") == (1, 0, 0, 0, 1, 0)


def of_model(conn: psycopg.Connection, model_version: str, *, current: str) -> tuple[int, int, int, int, int, int]:
    """Of the first branch: items, embedded, pending, failed, stale, missing."""
    row = conn.execute("SELECT now() - interval '1 hour'").fetchone()
    assert row is not None
    each = next(s for s in standing(conn, model_version=current, hour_ago=row[0]) if s.model_version == model_version)
    if each.is_current:
        assert each.items == each.embedded + each.pending + each.failed + each.stale + each.missing
    return each.items, each.embedded, each.pending, each.failed, each.stale, each.missing


def waiting(conn: psycopg.Connection) -> dict[str, int]:
    return dict(
        conn.execute("SELECT model_version, count(*) FROM queue.tasks WHERE state = 'queued' GROUP BY 1").fetchall()
    )


# Search --------------------------------------------------------------------------------------------------------------


def found(conn: psycopg.Connection, asked: str, **filters: object) -> list[str]:
    known = store.model(conn, "m1")
    assert known is not None
    with conn.transaction():
        return [hit.record_key for hit in search(conn, vector_for(asked), known, **filters).hits]  # pyright: ignore[reportArgumentType]


def test_search_finds_the_nearest_first_within_branch_and_distance(
    make_source: NewSource, ingest: Ingest, work: Embedding, conn: psycopg.Connection, storage: str
) -> None:
    north, south = make_source("north"), make_source("south")
    places = {"a": (46.9, 7.4), "b": (47.4, 8.5), "c": (-17.7, 179.9), "d": (-17.7, -179.9), "e": (None, None)}
    for each in (north, south):
        for key, (lat, lon) in places.items():
            each.place(f"{each.slug[0]}{key}", lat=lat, lon=lon, name=f"{each.slug} {key}")
        ingest(each.slug)
    work()
    known = store.model(conn, "m1")
    assert known is not None
    everything = search(conn, vector_for(text("", "north a")), known, limit=100)
    scores = [hit.score for hit in everything.hits]
    assert everything.is_exact and len(everything.hits) == 10
    assert everything.hits[0].record_key == "na" and scores[0] == pytest.approx(1.0, abs=1e-6)
    by_hand = {
        hit.record_key: sum(
            x * y
            for x, y in zip(
                expected(text("", "north a")), expected(text("", f"{hit.branch} {hit.record_key[1]}")), strict=True
            )
        )
        for hit in everything.hits
    }
    assert scores == sorted(scores, reverse=True)
    assert scores == pytest.approx([by_hand[hit.record_key] for hit in everything.hits], abs=1e-4)
    assert len(found(conn, "x", limit=3)) == 3
    assert {key[0] for key in found(conn, "x", branch_id=south.branch_id)} == {"s"}
    assert sorted(found(conn, "x", near=parse_near("46.9,7.4,50"))) == ["na", "sa"]
    assert sorted(found(conn, "x", near=parse_near("46.9,7.4,120"), branch_id=north.branch_id)) == ["na", "nb"]
    assert sorted(found(conn, "x", near=parse_near("-17.7,180,50"), branch_id=north.branch_id)) == ["nc", "nd"]
    assert len(found(conn, "x", near=parse_near("0,0,25000"))) == 8
    near = search(conn, vector_for("x"), known, near=parse_near("47.4,8.5,120"), branch_id=north.branch_id)
    distances = {hit.record_key: hit.distance_km for hit in near.hits}
    assert distances == {"nb": pytest.approx(0.0, abs=1e-6), "na": pytest.approx(100.9, abs=1.0)}


def test_search_marks_a_stale_vector_and_keeps_to_its_model_version(
    source: Source, ingest: Ingest, work: Embedding, conn: psycopg.Connection, storage: str
) -> None:
    source.place("1")
    ingest()
    work()
    work.model_version = "m%2"  # a percent sign has a meaning to the client library
    reembed(work.database, model_version="m%2")
    work()
    source.place("1", version=2, name="Newer")
    ingest()
    known = store.model(conn, "m%2")
    assert known is not None
    (hit,) = search(conn, vector_for("x"), known).hits
    assert (hit.name, hit.is_current) == ("Newer", False)


def test_index_answers_a_plain_search_and_a_filtered_one_stays_exact(
    source: Source, ingest: Ingest, work: Embedding, conn: psycopg.Connection, database: Database
) -> None:
    for n in range(200):
        source.place(str(n))
    ingest()
    work()
    if not has_pgvector(conn):
        with pytest.raises(ConfigurationError, match="no extension pgvector"):
            index.create(database, "m1")
        return
    plain_arrays(conn)  # as where pgvector came later
    made = index.create(database, "m1")
    assert store.extension_schema(conn) is not None
    assert made.is_valid and index.create(database, "m1") == made
    known = store.model(conn, "m1")
    assert known is not None
    conn.execute("SET enable_seqscan = off")
    with conn.transaction():
        by_index = search(conn, vector_for(text("7")), known, limit=5)
        exact = search(conn, vector_for(text("7")), known, limit=5, branch_id=source.branch_id)
    assert (by_index.is_exact, exact.is_exact) == (False, True)
    assert by_index.hits[0].record_key == exact.hits[0].record_key == "7"
    # Half-made, it is neither used nor in the way.
    conn.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = ('core.' || %s)::regclass", (made.name,))
    assert search(conn, vector_for(text("7")), known).is_exact
    assert index.create(database, "m1").is_valid
    assert index.drop(conn, "m1") and not index.drop(conn, "m1")


def test_index_is_that_which_the_search_uses(
    source: Source, ingest: Ingest, work: Embedding, conn: psycopg.Connection, database: Database
) -> None:
    source.place("1")
    ingest()
    work()
    if not has_pgvector(conn):
        return
    made = index.create(database, "m1")
    known = store.model(conn, "m1")
    assert known is not None
    conn.execute("SET enable_seqscan = off")
    with conn.transaction():
        search(conn, vector_for("x"), known)
    conn.execute("SELECT pg_stat_force_next_flush()")
    used = conn.execute("SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = %s", (made.name,)).fetchone()
    assert used == (1,)
