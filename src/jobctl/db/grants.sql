-- jobctl: three roles and what each may do in this database.
--
--   {owner_name}   owns the schemas and migrates:      jobctl db migrate
--   {worker_name}   reads and writes rows, runs the jobs
--   {reader_name}   reads
--
-- Run it connected to jobctl's database as its owner or a superuser; before the first migration, after, and again
-- whenever in doubt: a second run changes nothing. Then give each role a password (psql: \password NAME) or a
-- certificate, and put its address into the DATABASE_URL of whoever needs it.

BEGIN;

DO $jobctl$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY[{owner_name}, {worker_name}, {reader_name}] LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = name) THEN
            EXECUTE pg_catalog.format('CREATE ROLE %I LOGIN', name);
        END IF;
    END LOOP;
    -- An administrator who is no superuser must have the owner's rights to speak for it below. Since PostgreSQL 16 whoever
    -- made a role is its member without them.
    IF NOT pg_catalog.pg_has_role(current_user, {owner_name}, 'USAGE') THEN
        EXECUTE pg_catalog.format('GRANT %I TO CURRENT_USER', {owner_name});
    END IF;
    name := pg_catalog.current_database();
    EXECUTE pg_catalog.format('REVOKE ALL ON DATABASE %I FROM PUBLIC, {worker}, {reader}', name);
    EXECUTE pg_catalog.format('GRANT CONNECT, CREATE, TEMPORARY ON DATABASE %I TO {owner}', name);
    EXECUTE pg_catalog.format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO {worker}', name);
    EXECUTE pg_catalog.format('GRANT CONNECT ON DATABASE %I TO {reader}', name);
    -- Its one thing of ours is the view ingestion_jobs, which operators' queries name without a schema. Since
    -- PostgreSQL 15 only the database's owner may create there.
    IF EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'public') THEN
        REVOKE ALL ON SCHEMA public FROM PUBLIC, {worker}, {reader};
        GRANT USAGE, CREATE ON SCHEMA public TO {owner};
        GRANT USAGE ON SCHEMA public TO {worker}, {reader};
    END IF;
END
$jobctl$;

-- What later migrations create.
ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT USAGE ON SCHEMAS TO {worker}, {reader};
ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {worker};
ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT SELECT ON TABLES TO {reader};
ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT USAGE, SELECT ON SEQUENCES TO {worker};
ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT SELECT ON SEQUENCES TO {reader};
ALTER DEFAULT PRIVILEGES FOR ROLE {owner} REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT EXECUTE ON FUNCTIONS TO {worker}, {reader};

-- What is there already.
DO $jobctl$
DECLARE
    name text;
    thing record;
BEGIN
    FOR name IN
        SELECT nspname FROM pg_catalog.pg_namespace
        WHERE nspname IN ('branch', 'core', 'crawl', 'dev', 'jobctl_meta', 'ops', 'queue') ORDER BY nspname
    LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_namespace AS n JOIN pg_catalog.pg_roles AS r ON r.oid = n.nspowner
                       WHERE n.nspname = name AND r.rolname = {owner_name}) THEN
            EXECUTE pg_catalog.format('ALTER SCHEMA %I OWNER TO {owner}', name);
        END IF;
        -- Sequences of identity columns and indexes follow their table.
        FOR thing IN
            SELECT c.relname,
                CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind
            FROM pg_catalog.pg_class AS c
            JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
            JOIN pg_catalog.pg_roles AS r ON r.oid = c.relowner
            WHERE n.nspname = name AND r.rolname <> {owner_name} AND c.relkind IN ('r', 'p', 'v', 'm', 'S')
                AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d WHERE d.objid = c.oid AND c.relkind = 'S'
                    AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype IN ('a', 'i'))
        LOOP
            EXECUTE pg_catalog.format('ALTER %s %I.%I OWNER TO {owner}', thing.kind, name, thing.relname);
        END LOOP;
        FOR thing IN
            SELECT f.oid::pg_catalog.regprocedure AS name FROM pg_catalog.pg_proc AS f
            JOIN pg_catalog.pg_namespace AS n ON n.oid = f.pronamespace
            JOIN pg_catalog.pg_roles AS r ON r.oid = f.proowner
            WHERE n.nspname = name AND r.rolname <> {owner_name}
        LOOP
            EXECUTE pg_catalog.format('ALTER ROUTINE %s OWNER TO {owner}', thing.name);
        END LOOP;
        EXECUTE pg_catalog.format('REVOKE ALL ON SCHEMA %I FROM PUBLIC, {worker}, {reader}', name);
        EXECUTE pg_catalog.format('REVOKE ALL ON ALL TABLES IN SCHEMA %I FROM PUBLIC, {worker}, {reader}', name);
        EXECUTE pg_catalog.format('REVOKE ALL ON ALL SEQUENCES IN SCHEMA %I FROM PUBLIC, {worker}, {reader}', name);
        EXECUTE pg_catalog.format('REVOKE ALL ON ALL FUNCTIONS IN SCHEMA %I FROM PUBLIC', name);
        EXECUTE pg_catalog.format('GRANT USAGE ON SCHEMA %I TO {worker}, {reader}', name);
        EXECUTE pg_catalog.format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO {worker}, {reader}', name);
        EXECUTE pg_catalog.format('GRANT SELECT ON ALL SEQUENCES IN SCHEMA %I TO {worker}, {reader}', name);
        EXECUTE pg_catalog.format('GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA %I TO {worker}, {reader}', name);
        -- Which migrations were applied is the owner's to write.
        IF name <> 'jobctl_meta' THEN
            EXECUTE pg_catalog.format('GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %I TO {worker}', name);
            EXECUTE pg_catalog.format('GRANT USAGE ON ALL SEQUENCES IN SCHEMA %I TO {worker}', name);
        END IF;
    END LOOP;
    IF EXISTS (SELECT FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
               WHERE n.nspname = 'public' AND c.relname = 'ingestion_jobs' AND c.relkind = 'v') THEN
        ALTER VIEW public.ingestion_jobs OWNER TO {owner};
        REVOKE ALL ON public.ingestion_jobs FROM PUBLIC, {worker}, {reader};
        GRANT SELECT, INSERT, UPDATE, DELETE ON public.ingestion_jobs TO {worker};
        GRANT SELECT ON public.ingestion_jobs TO {reader};
    END IF;
END
$jobctl$;

COMMIT;
