-- Usage: what tenants have used, each event counted once, and what it adds up to by minute, hour, day and billing period.
--
-- * `usage_keys`: by what an event is known, and its digest. Written in the transaction that counts it.
-- * `usage_events`: the events that were counted, from which all else can be computed again.
-- * `usage_rollups`, `usage_values`: what they add up to, and the different values of meters that count those.
-- * `usage_status`: what became of all events that came, counted or not.
-- * `usage_pending`: events that a tenant's transaction has written with its rows. They are counted after the commit, so
--   that no such transaction waits for another. `usage_refused`: those that can't be counted.
--
-- Nothing refers to `tenants`: what a tenant has used is billed after it has gone.

CREATE TABLE tenancy.usage_keys (
    tenant_id uuid NOT NULL,
    -- Of source and id, so that each key has one size.
    key uuid NOT NULL,
    digest bytea NOT NULL,
    -- The first time that it came with, which holds.
    at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, key)
);
CREATE INDEX usage_keys_at ON tenancy.usage_keys USING brin (at);

CREATE TABLE tenancy.usage_events (
    tenant_id uuid NOT NULL,
    meter text NOT NULL,
    at timestamptz NOT NULL,
    source text NOT NULL,
    id text NOT NULL,
    quantity numeric NOT NULL CHECK (quantity >= 0),
    -- How many events it stands for.
    events bigint NOT NULL CHECK (events > 0),
    unique_value text,
    project_id uuid,
    key_id uuid,
    user_id uuid,
    job text,
    dimensions jsonb NOT NULL,
    counted_at timestamptz NOT NULL DEFAULT clock_timestamp()
) PARTITION BY RANGE (at);
CREATE INDEX usage_events_tenant ON tenancy.usage_events (tenant_id, meter, at);

CREATE TABLE tenancy.usage_rollups (
    tenant_id uuid NOT NULL,
    meter text NOT NULL,
    -- 0 minute, 1 hour, 2 day, 3 billing period.
    resolution smallint NOT NULL CHECK (resolution BETWEEN 0 AND 3),
    since timestamptz NOT NULL,
    -- Of project, key and dimensions.
    group_id uuid NOT NULL,
    until timestamptz NOT NULL,
    project_id uuid,
    key_id uuid,
    dimensions jsonb NOT NULL,
    events numeric NOT NULL,
    -- Up to here programs add without rounding.
    sum numeric NOT NULL CONSTRAINT usage_sum CHECK (sum <= 70000000000000000000),
    -- Without, where none of the events stands any more. The row stays, so that it is the same one when something comes again.
    max numeric,
    min numeric,
    latest numeric,
    latest_at timestamptz,
    latest_source text COLLATE "C",
    latest_id text COLLATE "C",
    PRIMARY KEY (tenant_id, meter, resolution, since, group_id)
) PARTITION BY RANGE (since);

CREATE TABLE tenancy.usage_values (
    tenant_id uuid NOT NULL,
    meter text NOT NULL,
    -- The minute, or where the window of the event begins within it.
    minute timestamptz NOT NULL,
    group_id uuid NOT NULL,
    value text NOT NULL,
    PRIMARY KEY (tenant_id, meter, group_id, minute, value)
) PARTITION BY RANGE (minute);

-- Rows of a month that has no partition.
CREATE TABLE tenancy.usage_events_other PARTITION OF tenancy.usage_events DEFAULT;
CREATE TABLE tenancy.usage_rollups_other PARTITION OF tenancy.usage_rollups DEFAULT;
CREATE TABLE tenancy.usage_values_other PARTITION OF tenancy.usage_values DEFAULT;

CREATE TABLE tenancy.usage_status (
    tenant_id uuid PRIMARY KEY,
    counted bigint NOT NULL DEFAULT 0,
    already_counted bigint NOT NULL DEFAULT 0,
    conflicts bigint NOT NULL DEFAULT 0,
    unmatched bigint NOT NULL DEFAULT 0,
    too_late bigint NOT NULL DEFAULT 0,
    refused bigint NOT NULL DEFAULT 0,
    newest_event timestamptz,
    rolled_up_until timestamptz
);

CREATE TABLE tenancy.usage_pending (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id uuid NOT NULL,
    -- Some hundred bytes, and 128 of each text at most. As numbers, quantities would lose digits.
    event jsonb NOT NULL CHECK (octet_length(event::text) <= 16384
        AND (event -> 'quantity' IS NULL OR jsonb_typeof(event -> 'quantity') = 'string')),
    -- By which it is in time, however late it is counted.
    written_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Of a row that is no event it is empty. An application may have written a longer one by its own SQL, for which an index
    -- has no room.
    meter text COLLATE "C" NOT NULL GENERATED ALWAYS AS (coalesce(left(event ->> 'meter', 128), '')) STORED
);
-- Who waits, with what and since when.
CREATE INDEX usage_pending_tenant ON tenancy.usage_pending (tenant_id, meter, number);

-- What transactions have written and what can't be counted: to be mended by hand, and written again.
CREATE TABLE tenancy.usage_refused (
    number bigint PRIMARY KEY,
    tenant_id uuid NOT NULL,
    event jsonb NOT NULL,
    why text NOT NULL,
    written_at timestamptz NOT NULL,
    refused_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Makes the partitions of the two months before, of this one, and of so many to come; how many it made.
CREATE FUNCTION tenancy.prepare_usage(ahead integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    month timestamptz := date_trunc('month', clock_timestamp(), 'UTC');
    made integer := 0;
    parent name;
    since timestamptz;
BEGIN
    FOR n IN -2 .. least(ahead, 24) LOOP
        since := (month AT TIME ZONE 'UTC' + make_interval(months => n)) AT TIME ZONE 'UTC';
        FOREACH parent IN ARRAY ARRAY['usage_events', 'usage_rollups', 'usage_values'] LOOP
            made := made + tenancy.make_month(parent, since, since::text,
                ((since AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC')::text)::integer;
        END LOOP;
    END LOOP;
    RETURN made;
END
$$;
SELECT tenancy.prepare_usage(3);

-- Counts what is new of a batch, and says what became of each event: 0 it is counted, 1 it was counted before, 2 another one
-- was under its key, 3 it is neither known nor in time, 4 its project or its key is another tenant's. Of each event there is
-- one element in every array; `late` says whether it comes too late (1), or is ahead of the clock (2).
--
-- An event that would make a sum too large fails the whole batch with check_violation; the caller then sends each alone.
CREATE FUNCTION tenancy.record_usage(
    tenants uuid[], keys uuid[], digests bytea[], meters text[], ats timestamptz[], sources text[], ids text[],
    quantities numeric[], counts bigint[], uniques text[], projects uuid[], api_keys uuid[], users uuid[], jobs text[],
    dimensions jsonb[], groups uuid[], of_latest boolean[], late smallint[], hours timestamptz[], hour_ends timestamptz[],
    days timestamptz[], day_ends timestamptz[], periods timestamptz[], period_ends timestamptz[],
    bad_tenants uuid[], unmatched bigint[], refused bigint[], counted_at timestamptz
) RETURNS smallint[]
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
    -- A plan for arrays of any length reads each of them for each element.
    SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
DECLARE
    foreigners bigint[];
    fresh bigint[];
    outcomes smallint[];
BEGIN
    SELECT array_agg(e.n) INTO foreigners
    FROM unnest(tenants, projects, api_keys) WITH ORDINALITY AS e (tenant, project, key, n)
    WHERE EXISTS (SELECT FROM tenancy.projects AS p WHERE p.id = e.project AND p.tenant_id <> e.tenant)
        OR EXISTS (SELECT FROM tenancy.api_keys AS k WHERE k.id = e.key AND k.tenant_id <> e.tenant);

    -- In one order for all, so that none of two waits for the other.
    WITH e AS (
        SELECT DISTINCT ON (x.tenant, x.key) x.*
        FROM unnest(tenants, keys, digests, ats, late) WITH ORDINALITY AS x (tenant, key, digest, at, late, n)
        WHERE x.late = 0 AND (foreigners IS NULL OR x.n <> ALL (foreigners))
        ORDER BY x.tenant, x.key, x.n
    ), k AS (
        INSERT INTO tenancy.usage_keys (tenant_id, key, digest, at)
        SELECT e.tenant, e.key, e.digest, e.at FROM e ORDER BY e.tenant, e.key
        ON CONFLICT (tenant_id, key) DO NOTHING
        RETURNING tenant_id, key
    )
    SELECT array_agg(e.n) INTO fresh FROM e JOIN k ON k.tenant_id = e.tenant AND k.key = e.key;

    SELECT array_agg(CASE
            WHEN e.n = f.n THEN 0
            -- Of those before it in the batch none was counted.
            WHEN k.digest IS NULL OR e.n < f.n THEN CASE WHEN e.n = ANY (foreigners) THEN 4 ELSE 3 END
            WHEN k.digest = e.digest THEN 1
            ELSE 2
        END::smallint ORDER BY e.n)
    INTO outcomes
    FROM unnest(tenants, keys, digests) WITH ORDINALITY AS e (tenant, key, digest, n)
        LEFT JOIN tenancy.usage_keys AS k ON k.tenant_id = e.tenant AND k.key = e.key
        LEFT JOIN (SELECT tenants[g.n] AS tenant, keys[g.n] AS key, g.n FROM unnest(fresh) AS g (n)) AS f
            ON f.tenant = e.tenant AND f.key = e.key;

    IF fresh IS NOT NULL THEN
        WITH e AS MATERIALIZED (
            SELECT * FROM unnest(tenants, meters, ats, sources, ids, quantities, counts, uniques, projects, api_keys, users,
                jobs, dimensions, groups, of_latest, hours, hour_ends, days, day_ends, periods, period_ends)
                WITH ORDINALITY AS x (tenant, meter, at, source, id, quantity, events, unique_value, project, key, by_user,
                job, dimensions, group_id, of_latest, hour, hour_end, day, day_end, period, period_end, n)
            WHERE x.n = ANY (fresh)
        ), kept AS (
            INSERT INTO tenancy.usage_events (tenant_id, meter, at, source, id, quantity, events, unique_value, project_id,
                key_id, user_id, job, dimensions)
            SELECT e.tenant, e.meter, e.at, e.source, e.id, e.quantity, e.events, e.unique_value, e.project, e.key, e.by_user,
                e.job, e.dimensions
            FROM e
        )
        INSERT INTO tenancy.usage_rollups AS r (tenant_id, meter, resolution, since, until, group_id, project_id, key_id,
            dimensions, events, sum, max, min, latest, latest_at, latest_source, latest_id)
        SELECT e.tenant, e.meter, w.resolution, w.since, w.until, e.group_id, e.project, e.key, e.dimensions,
            sum(e.events), sum(e.quantity), max(e.quantity), min(e.quantity),
            (array_agg(e.quantity ORDER BY e.at DESC, e.source COLLATE "C" DESC, e.id COLLATE "C" DESC)
                FILTER (WHERE e.of_latest))[1],
            max(e.at) FILTER (WHERE e.of_latest),
            (array_agg(e.source ORDER BY e.at DESC, e.source COLLATE "C" DESC, e.id COLLATE "C" DESC)
                FILTER (WHERE e.of_latest))[1],
            (array_agg(e.id ORDER BY e.at DESC, e.source COLLATE "C" DESC, e.id COLLATE "C" DESC)
                FILTER (WHERE e.of_latest))[1]
        FROM e CROSS JOIN LATERAL (VALUES
            (0::smallint, date_trunc('minute', e.at, 'UTC'), date_trunc('minute', e.at, 'UTC') + interval '1 minute'),
            (1::smallint, e.hour, e.hour_end), (2::smallint, e.day, e.day_end), (3::smallint, e.period, e.period_end)
        ) AS w (resolution, since, until)
        GROUP BY e.tenant, e.meter, w.resolution, w.since, w.until, e.group_id, e.project, e.key, e.dimensions
        ORDER BY e.tenant, e.meter, w.resolution, w.since, e.group_id
        ON CONFLICT (tenant_id, meter, resolution, since, group_id) DO UPDATE SET
            events = r.events + excluded.events,
            sum = r.sum + excluded.sum,
            max = greatest(r.max, excluded.max),
            min = least(r.min, excluded.min),
            (latest, latest_at, latest_source, latest_id) = (
                SELECT l.* FROM (VALUES (r.latest, r.latest_at, r.latest_source, r.latest_id),
                    (excluded.latest, excluded.latest_at, excluded.latest_source, excluded.latest_id)) AS l (q, at, source, id)
                ORDER BY l.at DESC NULLS LAST, l.source COLLATE "C" DESC, l.id COLLATE "C" DESC LIMIT 1);

        -- After the windows, whose rows are locked from here on: a correction locks them too before it removes a value.
        INSERT INTO tenancy.usage_values (tenant_id, meter, minute, group_id, value)
        SELECT DISTINCT e.tenant, e.meter, greatest(date_trunc('minute', e.at, 'UTC'), e.hour, e.day, e.period),
            e.group_id, e.unique_value
        FROM unnest(tenants, meters, ats, uniques, groups, hours, days, periods)
            WITH ORDINALITY AS e (tenant, meter, at, unique_value, group_id, hour, day, period, n)
        WHERE e.n = ANY (fresh) AND e.unique_value IS NOT NULL
        ORDER BY 1, 2, 4, 3, 5
        ON CONFLICT DO NOTHING;
    END IF;

    INSERT INTO tenancy.usage_status AS s (tenant_id, counted, already_counted, conflicts, unmatched, too_late, refused,
        newest_event, rolled_up_until)
    SELECT o.tenant, sum(o.counted), sum(o.already), sum(o.conflicts), sum(o.unmatched), sum(o.too_late), sum(o.refused),
        max(o.newest), max(o.until)
    FROM (
        SELECT e.tenant, (e.outcome = 0)::int AS counted, (e.outcome = 1)::int AS already, (e.outcome = 2)::int AS conflicts,
            0::bigint AS unmatched, (e.outcome = 3 AND e.late = 1)::int AS too_late,
            (e.outcome = 3 AND e.late <> 1 OR e.outcome = 4)::int::bigint AS refused,
            CASE WHEN e.outcome = 0 THEN e.at END AS newest,
            CASE WHEN e.outcome = 0 THEN record_usage.counted_at END AS until
        FROM unnest(tenants, outcomes, late, ats) AS e (tenant, outcome, late, at)
        UNION ALL
        SELECT b.tenant, 0, 0, 0, b.unmatched, 0, b.refused, NULL, NULL
        FROM unnest(bad_tenants, unmatched, refused) AS b (tenant, unmatched, refused)
    ) AS o
    GROUP BY o.tenant ORDER BY o.tenant
    ON CONFLICT (tenant_id) DO UPDATE SET
        counted = s.counted + excluded.counted, already_counted = s.already_counted + excluded.already_counted,
        conflicts = s.conflicts + excluded.conflicts, unmatched = s.unmatched + excluded.unmatched,
        too_late = s.too_late + excluded.too_late, refused = s.refused + excluded.refused,
        newest_event = greatest(s.newest_event, excluded.newest_event),
        rolled_up_until = greatest(s.rolled_up_until, excluded.rolled_up_until);
    RETURN coalesce(outcomes, '{}');
END
$$;

-- The usage of a tenant and a meter by windows that begin within a time, and by what is to be told apart.
CREATE FUNCTION tenancy.read_usage(of_tenant uuid, of_meter text, of_resolution smallint, low timestamptz,
    high timestamptz, of_project uuid, of_key uuid, by_project boolean, by_key boolean, by_dimensions text[],
    as_one boolean, of_values boolean
) RETURNS TABLE (since timestamptz, until timestamptz, project_id uuid, key_id uuid, dimensions jsonb, events numeric,
    sum numeric, max numeric, min numeric, latest numeric, different bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH w AS MATERIALIZED (
        SELECT r.since AS own_since, r.until AS own_until, r.group_id,
            CASE WHEN as_one THEN low ELSE r.since END AS since, CASE WHEN as_one THEN high ELSE r.until END AS until,
            CASE WHEN by_project THEN r.project_id END AS project_id, CASE WHEN by_key THEN r.key_id END AS key_id,
            CASE WHEN by_dimensions = '{}' OR r.dimensions = '{}' THEN '{}'::jsonb
                ELSE (SELECT coalesce(jsonb_object_agg(d.key, d.value), '{}') FROM jsonb_each(r.dimensions) AS d
                    WHERE d.key = ANY (by_dimensions)) END AS dimensions,
            r.events, r.sum, r.max, r.min, r.latest, r.latest_at, r.latest_source, r.latest_id
        FROM tenancy.usage_rollups AS r
        WHERE r.tenant_id = of_tenant AND r.meter = of_meter AND r.resolution = of_resolution
            AND r.since >= low AND r.since < high
            AND (of_project IS NULL OR r.project_id = of_project) AND (of_key IS NULL OR r.key_id = of_key)
    ), v AS (
        SELECT w.since, w.until, w.project_id, w.key_id, w.dimensions, count(DISTINCT u.value) AS different
        FROM w JOIN tenancy.usage_values AS u ON u.tenant_id = of_tenant AND u.meter = of_meter
            AND u.group_id = w.group_id AND u.minute >= w.own_since AND u.minute < w.own_until
            -- So that months outside are not read.
            AND u.minute >= low AND u.minute < (SELECT pg_catalog.max(x.own_until) FROM w AS x)
        WHERE of_values
        GROUP BY w.since, w.until, w.project_id, w.key_id, w.dimensions
    ), s AS (
        SELECT w.since, w.until, w.project_id, w.key_id, w.dimensions, pg_catalog.sum(w.events) AS events,
            pg_catalog.sum(w.sum) AS sum, pg_catalog.max(w.max) AS max, pg_catalog.min(w.min) AS min,
            (array_agg(w.latest ORDER BY w.latest_at DESC, w.latest_source DESC, w.latest_id DESC)
                FILTER (WHERE w.latest_at IS NOT NULL))[1] AS latest
        FROM w GROUP BY w.since, w.until, w.project_id, w.key_id, w.dimensions
    )
    SELECT s.*, v.different
    FROM s LEFT JOIN v ON v.since = s.since AND v.until = s.until AND v.project_id IS NOT DISTINCT FROM s.project_id
        AND v.key_id IS NOT DISTINCT FROM s.key_id AND v.dimensions = s.dimensions;
END
$$;

CREATE FUNCTION tenancy.find_usage_status(of_tenant uuid) RETURNS SETOF tenancy.usage_status
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 1 SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT s.* FROM tenancy.usage_status AS s WHERE s.tenant_id = find_usage_status.of_tenant;
    END;

-- Events that transactions have written and that wait to be counted, of the meters that the caller knows: a newer or another
-- service may know others. Of a row that is no event the meter is empty, and everybody takes it. Who takes them holds them
-- until the end of its transaction, in which they go.
--
-- Tenants have their turns: each gets the same part of what is taken, and what some don't need is divided among the others. So a
-- backlog of one tenant delays no other.
CREATE FUNCTION tenancy.take_pending_usage(most integer, known text[]) RETURNS SETOF tenancy.usage_pending
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
    -- In the order of an index few rows are read, however long the backlog is.
    SET enable_sort = off SET enable_seqscan = off SET enable_bitmapscan = off
AS $$
DECLARE
    -- Whose events of which meter wait, and up to which number they are taken.
    tenants uuid[];
    meters text[];
    reached bigint[];
    taken bigint[] := '{}';
    fresh bigint[];
    part integer;
BEGIN
    -- Whose oldest waits longest comes first. Each step finds the next tenant and meter in the index, and reads nothing of what
    -- is between: what nobody here knows costs a step, however much of it there is.
    WITH RECURSIVE t AS (
        (SELECT p.tenant_id, p.meter, p.number FROM tenancy.usage_pending AS p
            ORDER BY p.tenant_id, p.meter, p.number LIMIT 1)
        UNION ALL
        SELECT n.tenant_id, n.meter, n.number FROM t CROSS JOIN LATERAL (
            SELECT p.tenant_id, p.meter, p.number FROM tenancy.usage_pending AS p
            WHERE (p.tenant_id, p.meter) > (t.tenant_id, t.meter)
            ORDER BY p.tenant_id, p.meter, p.number LIMIT 1) AS n
    ), w AS (
        SELECT t.tenant_id, t.meter, t.number, min(t.number) OVER (PARTITION BY t.tenant_id) AS oldest
        FROM t WHERE t.meter = '' OR t.meter = ANY (take_pending_usage.known)
    )
    SELECT array_agg(h.tenant_id ORDER BY h.oldest, h.number), array_agg(h.meter ORDER BY h.oldest, h.number),
        array_agg(h.number - 1 ORDER BY h.oldest, h.number)
    INTO tenants, meters, reached
    FROM (SELECT w.* FROM w ORDER BY w.oldest, w.number LIMIT most) AS h;

    WHILE cardinality(tenants) > 0 AND cardinality(taken) < most LOOP
        part := greatest((most - cardinality(taken)) / (SELECT count(DISTINCT t) FROM unnest(tenants) AS t), 1);
        WITH w AS (
            SELECT x.*, greatest(part / count(*) OVER (PARTITION BY x.tenant), 1) AS part
            FROM unnest(tenants, meters, reached) WITH ORDINALITY AS x (tenant, meter, reached, n)
        ), f AS MATERIALIZED (
            SELECT w.n, p.number FROM (SELECT w.* FROM w ORDER BY w.n LIMIT most - cardinality(taken)) AS w
                CROSS JOIN LATERAL (SELECT p.number FROM tenancy.usage_pending AS p
                    WHERE p.tenant_id = w.tenant AND p.meter = w.meter AND p.number > w.reached
                    ORDER BY p.tenant_id, p.meter, p.number LIMIT w.part FOR UPDATE SKIP LOCKED) AS p
        ), g AS (
            SELECT f.n, count(*) AS found, max(f.number) AS reached FROM f GROUP BY f.n
        )
        -- Who had less than its part has no more.
        SELECT (SELECT array_agg(f.number) FROM f), array_agg(w.tenant ORDER BY w.n), array_agg(w.meter ORDER BY w.n),
            array_agg(coalesce(g.reached, w.reached) ORDER BY w.n)
        INTO fresh, tenants, meters, reached
        FROM w LEFT JOIN g ON g.n = w.n WHERE g.found >= w.part OR w.n > most - cardinality(taken);
        taken := (taken || fresh)[1:most];
    END LOOP;
    RETURN QUERY DELETE FROM tenancy.usage_pending AS d WHERE d.number = ANY (taken) RETURNING d.*;
END
$$;

-- Keeps what was taken and can't be counted.
CREATE FUNCTION tenancy.refuse_usage(numbers bigint[], tenants uuid[], events jsonb[], reasons text[], written timestamptz[])
    RETURNS void
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        INSERT INTO tenancy.usage_refused (number, tenant_id, event, why, written_at)
        SELECT r.number, r.tenant, r.event, left(r.why, 1000), r.written_at
        FROM unnest(refuse_usage.numbers, refuse_usage.tenants, refuse_usage.events, refuse_usage.reasons,
            refuse_usage.written) AS r (number, tenant, event, why, written_at);
    END;

REVOKE ALL ON FUNCTION
    tenancy.prepare_usage(integer),
    tenancy.record_usage(uuid[], uuid[], bytea[], text[], timestamptz[], text[], text[], numeric[], bigint[], text[],
        uuid[], uuid[], uuid[], text[], jsonb[], uuid[], boolean[], smallint[], timestamptz[], timestamptz[], timestamptz[],
        timestamptz[], timestamptz[], timestamptz[], uuid[], bigint[], bigint[], timestamptz),
    tenancy.read_usage(uuid, text, smallint, timestamptz, timestamptz, uuid, uuid, boolean, boolean, text[], boolean,
        boolean),
    tenancy.find_usage_status(uuid), tenancy.take_pending_usage(integer, text[]),
    tenancy.refuse_usage(bigint[], uuid[], jsonb[], text[], timestamptz[])
FROM PUBLIC;

-- As before, and usage that a transaction writes.
CREATE OR REPLACE FUNCTION tenancy.app_privileges() RETURNS TABLE (relation name, privilege text)
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT r::name, 'SELECT' FROM unnest(ARRAY['tenants', 'domains', 'external_ids', 'memberships',
            'roles', 'projects', 'project_memberships', 'generations', 'role_names',
            'audit_before', 'audit_entries', 'audit_history', 'audit_log', 'audit_particulars', 'audit_records',
            'audit_trail']) AS r
        UNION ALL
        SELECT r::name, 'INSERT' FROM unnest(ARRAY['outbox_events', 'audit_entries', 'audit_particulars',
            'audit_records', 'usage_pending']) AS r;
    END;

-- What programs need from here on: usage.
CREATE OR REPLACE FUNCTION tenancy.schema_version() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 17;
