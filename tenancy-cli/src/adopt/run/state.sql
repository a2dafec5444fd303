-- What an adoption keeps, in a schema of its own that goes with its last step. Running this again changes nothing.

CREATE SCHEMA IF NOT EXISTS tenancy_adopt;
COMMENT ON SCHEMA tenancy_adopt IS 'An adoption that is under way: see `tenancy adopt status`.';

CREATE TABLE IF NOT EXISTS tenancy_adopt.adoption (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    plan jsonb NOT NULL,
    -- The number of the last phase that stays done, while it is taken back; -1: none stays.
    back_to integer,
    begun_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE IF NOT EXISTS tenancy_adopt.phases (
    phase text PRIMARY KEY,
    number integer NOT NULL,
    begun_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    done_at timestamptz,
    ran_ms bigint NOT NULL DEFAULT 0,
    longest_lock_us bigint NOT NULL DEFAULT 0
);

-- The tables of the plan, in its order.
CREATE TABLE IF NOT EXISTS tenancy_adopt.tables (
    number integer PRIMARY KEY,
    relation regclass NOT NULL UNIQUE,
    kind text NOT NULL CHECK (kind IN ('tenant', 'shared', 'closed')),
    source jsonb,
    -- Names of the indexes that stay unique across tenants.
    everywhere name[] NOT NULL,
    -- The columns that the table had, over which checksums are computed.
    columns name[] NOT NULL,
    -- A digest of the application's own definitions, by which a change meanwhile is found.
    shape text NOT NULL,
    rows_before bigint, sum_before numeric,
    rows_after bigint, sum_after numeric
);

-- What rows are in: the tables themselves, partitions, and what inherits.
CREATE TABLE IF NOT EXISTS tenancy_adopt.parts (
    number integer PRIMARY KEY,
    relation regclass NOT NULL UNIQUE,
    belongs regclass NOT NULL,
    -- The page at which the backfill goes on, and the first that it need not look at.
    block bigint NOT NULL DEFAULT 0,
    blocks bigint,
    filled bigint NOT NULL DEFAULT 0,
    ran_ms bigint NOT NULL DEFAULT 0,
    done boolean NOT NULL DEFAULT false
);

-- How to take back what was done, the last first.
CREATE TABLE IF NOT EXISTS tenancy_adopt.undo (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    phase text NOT NULL,
    statement text NOT NULL,
    -- Outside of a transaction.
    apart boolean NOT NULL
);

-- The tenants that the adoption has registered.
CREATE TABLE IF NOT EXISTS tenancy_adopt.registered (tenant uuid PRIMARY KEY);

-- What a table and its keys were before they were enforced.
CREATE TABLE IF NOT EXISTS tenancy_adopt.kept (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL,
    about text NOT NULL,
    state jsonb NOT NULL
);

-- What row security would have denied, while it was observed.
CREATE TABLE IF NOT EXISTS tenancy_adopt.denials (
    relation regclass NOT NULL,
    command text NOT NULL,
    -- Whether the service could not do that, and not only see less.
    blocks boolean NOT NULL,
    tenant uuid,
    times bigint NOT NULL DEFAULT 1,
    first_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE NULLS NOT DISTINCT (relation, command, tenant)
);

-- Locks tables and what inherits from them, and waits for all of them together no longer than `lock_timeout` says for one.
CREATE OR REPLACE FUNCTION tenancy_adopt.lock(targets regclass[], mode text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    patience text := current_setting('lock_timeout');
    until timestamptz := clock_timestamp() + patience::interval;
    target regclass;
    left_over integer;
BEGIN
    FOR target IN
        SELECT d.relation FROM unnest(targets) WITH ORDINALITY AS t (relation, number)
            CROSS JOIN LATERAL tenancy.descendants(t.relation) AS d (relation) JOIN pg_class AS c ON c.oid = d.relation
        GROUP BY d.relation ORDER BY min(t.number), d.relation
    LOOP
        left_over := extract(epoch FROM until - clock_timestamp()) * 1000;
        IF left_over < 1 THEN
            RAISE EXCEPTION 'the locks could not be had in %', patience USING ERRCODE = 'lock_not_available';
        END IF;
        PERFORM set_config('lock_timeout', left_over::text, true);
        EXECUTE format('LOCK TABLE ONLY %s IN %s MODE', target, mode);
    END LOOP;
    PERFORM set_config('lock_timeout', patience, true);
END
$$;

CREATE OR REPLACE FUNCTION tenancy_adopt.named(name jsonb) RETURNS regclass
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    RETURN to_regclass(format('%I.%I', name ->> 'schema', name ->> 'name'));

-- A name with something behind it, as long as names may be. PostgreSQL counts bytes, and cuts what is too long at the end.
CREATE OR REPLACE FUNCTION tenancy_adopt.cut(name text, suffix text) RETURNS name
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    RETURN (SELECT left(name, n) || suffix FROM generate_series(length(name), 0, -1) AS n
        WHERE octet_length(left(name, n) || suffix) < 64 ORDER BY n DESC LIMIT 1);

CREATE OR REPLACE FUNCTION tenancy_adopt.has_column(relation regclass, wanted name) RETURNS boolean
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    RETURN EXISTS (SELECT FROM pg_attribute AS a
        WHERE a.attrelid = relation AND a.attname = wanted AND a.attnum > 0 AND NOT a.attisdropped);

-- Rows, and a sum over them that does not depend on their order, without the columns that were added.
CREATE OR REPLACE FUNCTION tenancy_adopt.checksum(target regclass, columns name[], OUT rows bigint, OUT sum numeric)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
    SET extra_float_digits = 1 SET "TimeZone" = 'UTC' SET "DateStyle" = 'ISO' SET "IntervalStyle" = 'postgres'
    SET bytea_output = 'hex'
AS $$
BEGIN
    EXECUTE format('SELECT count(*), coalesce(sum(hashtextextended(ROW(%s)::text, 0)::numeric), 0) FROM %s AS c',
        (SELECT string_agg('c.' || quote_ident(n), ', ' ORDER BY o) FROM unnest(columns) WITH ORDINALITY AS u (n, o)),
        target) INTO rows, sum;
END
$$;
