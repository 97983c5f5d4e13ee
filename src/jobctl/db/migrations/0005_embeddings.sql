-- Vectors of items: what a model made of an item's text.

-- What a model version is, told by whoever wrote its first vector. Another model, or another number of dimensions, is
-- another version: vectors of two models cannot be compared.
CREATE TABLE core.embedding_models (
    model_version text COLLATE "C" PRIMARY KEY,
    model text NOT NULL,
    dimensions integer NOT NULL CHECK (dimensions > 0),
    first_used_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- One row an item and model version. `text_hash` is that of the text that was embedded, `content_hash` that of the
-- item's state it answers for: the vector is current exactly while that is the item's own. A change of how texts are
-- made (embeddings/text.py) sets it to null in its migration. Vectors have length 1. There is no foreign key, whose
-- check would be a tenth of the cost of a row: who withdraws or deletes an item deletes its vectors first, and who
-- writes one holds a lock on the item's row.
CREATE TABLE core.embeddings (
    item_id bigint NOT NULL,
    model_version text COLLATE "C" NOT NULL,
    text_hash uuid NOT NULL,
    content_hash uuid,
    embedded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (item_id, model_version)
);

-- The vector: pgvector's type where that is installed or may be, else a plain array. `jobctl embeddings index` turns
-- the array into it where pgvector came later. Without a number of dimensions, so that model versions can differ.
DO $jobctl$
DECLARE
    home text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'vector')
        AND EXISTS (SELECT FROM pg_catalog.pg_available_extensions WHERE name = 'vector')
    THEN
        BEGIN
            CREATE EXTENSION vector WITH SCHEMA public;
        EXCEPTION WHEN insufficient_privilege OR undefined_file OR feature_not_supported OR invalid_schema_name THEN
            RAISE NOTICE 'pgvector is not created: %', SQLERRM;
        END;
    END IF;
    SELECT n.nspname INTO home
    FROM pg_catalog.pg_extension AS e JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace
    WHERE e.extname = 'vector' AND pg_catalog.has_schema_privilege(n.oid, 'USAGE');
    IF home IS NULL THEN
        ALTER TABLE core.embeddings ADD COLUMN vector real[] NOT NULL;
    ELSE
        EXECUTE pg_catalog.format('ALTER TABLE core.embeddings ADD COLUMN vector %I.vector NOT NULL', home);
    END IF;
END
$jobctl$;
-- Floats do not compress; trying costs more than the rest of the write.
ALTER TABLE core.embeddings ALTER COLUMN vector SET STORAGE EXTERNAL;

-- How it stands with each item and model version: `embedded` while the vector is that of the item as it is; else
-- `pending` while a task for it waits, runs or is blocked; `failed` when its last task failed for good; `stale` when
-- there is no more than a vector of an earlier text. Items without vector and task are not in it. Which model version is the
-- present one the settings know: vectors of another are stale whatever stands here.
CREATE VIEW core.embedding_status AS
SELECT
    i.item_id,
    i.branch_id,
    coalesce(e.model_version, t.model_version) AS model_version,
    CASE
        WHEN e.content_hash = i.content_hash THEN 'embedded'
        WHEN t.is_waiting THEN 'pending'
        WHEN e.embedded_at IS NULL OR t.failed_at > e.embedded_at THEN 'failed'
        ELSE 'stale'
    END AS status,
    e.text_hash,
    e.embedded_at
FROM core.embeddings AS e
FULL JOIN (
    SELECT q.subject_id, q.model_version, bool_or(q.state <> 'failed') AS is_waiting,
        max(coalesce(q.finished_at, q.updated_at)) FILTER (WHERE q.state = 'failed') AS failed_at
    FROM queue.tasks AS q
    WHERE q.type = 'embed' AND q.state IN ('queued', 'running', 'blocked', 'failed') AND q.subject_id IS NOT NULL
    GROUP BY q.subject_id, q.model_version
) AS t ON t.subject_id = e.item_id AND t.model_version = e.model_version
JOIN core.items AS i ON i.item_id = coalesce(e.item_id, t.subject_id)
WHERE i.withdrawn_at IS NULL;
