"""The handler of tasks `embed`: items' texts become vectors.

A task says that an item has no vector of its present text. The handler reads the items as they are now, makes their
texts, and embeds each different text once. It writes in a transaction of its own, under locks on the items, and only
where the item still is what was read: one that changed meanwhile has a newer task. Doing a task twice is harmless: the
second time the text is the one that was embedded already.

A task for another model version than that of the settings is put off: either it is stale, and `retry-failed` or
`jobctl embeddings reembed` removes it, or these settings are, and another host does it.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from jobctl.embeddings import store
from jobctl.embeddings.provider import Busy, NoVector, Provider
from jobctl.embeddings.store import Model, Pending, Row
from jobctl.embeddings.text import text_hash, text_of
from jobctl.embeddings.vector import Vector, dimensions
from jobctl.errors import ConfigurationError, DependencyUnavailable, JobctlError
from jobctl.jobs.embedding_model import provider_of
from jobctl.queue.handler import Context, NotRecoverable, Recoverable, Result, Snooze
from jobctl.queue.task import Task

# Two of them are as many as may run in all by default: one is embedded, one just claimed or just ended.
BATCH_SIZE: Final = 250
OTHER_MODEL_PAUSE_S: Final = 3_600.0

# What is kept with a try; of the usual end nothing, as it is the vector that tells of it.
EMBEDDED: Final[Result] = None
UNCHANGED: Final[Result] = {"embedding": "unchanged"}  # the text is the one that its vector was made of
CHANGED: Final[Result] = {"embedding": "changed"}  # the item, while it was embedded: its newer task does it
GONE: Final[Result] = {"embedding": "gone"}  # the item was withdrawn or deleted


def embed(tasks: Sequence[Task], context: Context) -> Sequence[Result | Exception]:
    """One result for each task, in their order."""
    model_version = context.settings.embed_model_version
    item_ids = sorted({t.subject_id for t in tasks if t.subject_id is not None and t.model_version == model_version})
    done: Mapping[int, Result | Exception] = {}
    if item_ids:
        try:
            done = _embed_items(item_ids, model_version, context)
        except ConfigurationError as error:  # told for each: raised, it would have them tried one by one
            done = dict.fromkeys(item_ids, NotRecoverable(_told(error)))
    return [_result(task, model_version, done) for task in tasks]


embed.version = "1"  # pyright: ignore[reportFunctionMemberAccess]
embed.batch_size = BATCH_SIZE  # pyright: ignore[reportFunctionMemberAccess]


def _result(task: Task, model_version: str, done: Mapping[int, Result | Exception]) -> Result | Exception:
    if task.subject_id is None:
        return NotRecoverable("the task names no item: it has no subject_id")
    if task.model_version != model_version:
        reason = f"the task is for model version {task.model_version!r}, the settings here say {model_version!r}"
        return Snooze(OTHER_MODEL_PAUSE_S, reason)
    return done.get(task.subject_id, GONE)


def _embed_items(item_ids: Sequence[int], model_version: str, context: Context) -> dict[int, Result | Exception]:
    provider = _provider(context)
    with context.reading() as conn:
        found = store.read(conn, item_ids, model_version=model_version)
    texts = [text_of(item.source) for item in found]
    hashes = [text_hash(text) for text in texts]
    done: dict[int, Result | Exception] = {}
    to_confirm: list[Pending] = []
    to_embed: dict[bytes, str] = {}  # each different text once
    of_text: list[tuple[Pending, bytes]] = []
    for item, text, digest in zip(found, texts, hashes, strict=True):
        if digest != item.text_hash:
            to_embed[digest] = text
            of_text.append((item, digest))
        elif item.content_hash != item.embedded_content_hash:
            to_confirm.append(item)
        else:
            done[item.item_id] = UNCHANGED
    vectors = _vectors(provider, to_embed, context)
    rows: list[Row] = []
    for item, digest in of_text:
        vector = vectors[digest]
        if isinstance(vector, NoVector):
            done[item.item_id] = NotRecoverable(f"item {item.item_id}: {vector.reason}")
        else:
            rows.append(Row(item.item_id, digest, item.content_hash, vector))
    if rows or to_confirm:
        done |= _write(provider.model, rows, to_confirm, model_version, context)
    return done


def _write(
    model: str, rows: Sequence[Row], to_confirm: Sequence[Pending], model_version: str, context: Context
) -> dict[int, Result | Exception]:
    with context.effect() as conn:
        # A crash of the server may undo this commit, but only together with the end of the tasks, which comes after it.
        conn.execute("SET LOCAL synchronous_commit TO off")
        now = store.lock(conn, sorted(each.item_id for each in (*rows, *to_confirm)))
        current = [row for row in rows if now.get(row.item_id) == row.content_hash]
        for size in sorted({dimensions(row.vector) for row in current}):
            store.register(conn, Model(model_version, model, size))
        if current:
            store.write(conn, current, model_version=model_version)
        same = [item for item in to_confirm if now.get(item.item_id) == item.content_hash]
        if same:
            store.confirm(conn, [item.item_id for item in same], model_version=model_version)
    done: dict[int, Result | Exception] = {
        each.item_id: CHANGED for each in (*rows, *to_confirm) if each.item_id in now
    }
    return done | {row.item_id: EMBEDDED for row in current} | {item.item_id: UNCHANGED for item in same}


def _provider(context: Context) -> Provider:
    """What is missing on this host may be there on the next, so the tasks are tried again."""
    try:
        return provider_of(context.settings)
    except ConfigurationError as error:
        raise Recoverable(_told(error)) from error


def _vectors(provider: Provider, texts: Mapping[bytes, str], context: Context) -> Mapping[bytes, Vector | NoVector]:
    try:
        return dict(zip(texts, provider.embed(list(texts.values()), context.check), strict=True))
    except DependencyUnavailable as error:
        retry_after_s = error.retry_after_s if isinstance(error, Busy) else None
        raise Recoverable(_told(error), retry_after_s=retry_after_s) from error


def _told(error: JobctlError) -> str:
    return f"{error.message} ({error.hint})" if error.hint else error.message
