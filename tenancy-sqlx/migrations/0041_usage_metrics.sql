-- Custom metrics: what a tenant, or an operator for all tenants, wants to be told of events that are counted already.

CREATE TABLE tenancy.usage_metrics (
    -- Whose it is. Of nobody, which is this id of no tenant, it is for all tenants.
    owner uuid NOT NULL,
    name text COLLATE "C" NOT NULL,
    meter text NOT NULL,
    aggregation text NOT NULL CHECK (aggregation IN ('count', 'sum', 'max', 'min', 'latest', 'unique')),
    -- The values by which events are chosen, for names of dimensions: at most 8 of 64 values of 128 bytes.
    chosen jsonb NOT NULL CHECK (jsonb_typeof(chosen) = 'object' AND octet_length(chosen::text) <= 1048576),
    by_whom text NOT NULL,
    defined_at timestamptz NOT NULL,
    PRIMARY KEY (owner, name)
);

-- Defines a metric, or defines it anew: 0 there was none of its name, 1 there was another, 2 it is as it was, 3 its owner has
-- as many as it may have. `entry` is the entry of the trail that says who did it and why.
CREATE FUNCTION tenancy.define_metric(of_tenant uuid, name text, meter text, aggregation text, chosen jsonb, most integer,
    by_whom text, defined_at timestamptz, entry jsonb
) RETURNS smallint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    of_owner uuid := coalesce(of_tenant, '00000000-0000-0000-0000-000000000000');
    known tenancy.usage_metrics;
    outcome smallint;
BEGIN
    -- One at a time, so that two don't take the last place.
    PERFORM pg_advisory_xact_lock(hashtextextended('tenancy.usage_metrics ' || of_owner::text, 0));
    SELECT * INTO known FROM tenancy.usage_metrics AS m WHERE m.owner = of_owner AND m.name = define_metric.name;
    IF known.name IS NULL AND (SELECT count(*) FROM tenancy.usage_metrics AS m WHERE m.owner = of_owner) >= most THEN
        RETURN 3;
    END IF;
    outcome := CASE WHEN known.name IS NULL THEN 0
        WHEN (known.meter, known.aggregation, known.chosen) = (define_metric.meter, define_metric.aggregation,
            define_metric.chosen) THEN 2 ELSE 1 END;
    IF outcome < 2 THEN
        INSERT INTO tenancy.usage_metrics AS m (owner, name, meter, aggregation, chosen, by_whom, defined_at)
        VALUES (of_owner, define_metric.name, define_metric.meter, define_metric.aggregation, define_metric.chosen,
            define_metric.by_whom, define_metric.defined_at)
        ON CONFLICT ON CONSTRAINT usage_metrics_pkey DO UPDATE SET meter = excluded.meter,
            aggregation = excluded.aggregation, chosen = excluded.chosen, by_whom = excluded.by_whom,
            defined_at = excluded.defined_at;
        PERFORM tenancy.tell_usage(of_tenant, 'usage.define-metric', entry, jsonb_build_object(
            'meter', define_metric.meter, 'aggregation', define_metric.aggregation));
    END IF;
    RETURN outcome;
END
$$;

-- Removes a metric; whether there was one.
CREATE FUNCTION tenancy.remove_metric(of_tenant uuid, name text, entry jsonb) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM tenancy.usage_metrics AS m
    WHERE m.owner = coalesce(of_tenant, '00000000-0000-0000-0000-000000000000') AND m.name = remove_metric.name;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM tenancy.tell_usage(of_tenant, 'usage.remove-metric', entry, '{}');
    RETURN true;
END
$$;

-- The metrics for all tenants, and those of one.
CREATE FUNCTION tenancy.list_metrics(of_tenant uuid) RETURNS SETOF tenancy.usage_metrics
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT m.* FROM tenancy.usage_metrics AS m
        WHERE m.owner IN (list_metrics.of_tenant, '00000000-0000-0000-0000-000000000000')
        ORDER BY m.owner, m.name;
    END;

-- The usage of a tenant and a meter by windows that begin within a time, and by what is to be told apart. `chosen` names
-- dimensions and values, such as {"model": ["large"]}; each dimension has to fit.
CREATE FUNCTION tenancy.read_usage(of_tenant uuid, of_meter text, of_resolution smallint, low timestamptz,
    high timestamptz, of_project uuid, of_key uuid, by_project boolean, by_key boolean, by_dimensions text[],
    as_one boolean, of_values boolean, chosen jsonb
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
            AND NOT EXISTS (SELECT FROM jsonb_each(chosen) AS o WHERE NOT coalesce(o.value @> (r.dimensions -> o.key), false))
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

-- As processes of earlier releases ask.
CREATE OR REPLACE FUNCTION tenancy.read_usage(of_tenant uuid, of_meter text, of_resolution smallint, low timestamptz,
    high timestamptz, of_project uuid, of_key uuid, by_project boolean, by_key boolean, by_dimensions text[],
    as_one boolean, of_values boolean
) RETURNS TABLE (since timestamptz, until timestamptz, project_id uuid, key_id uuid, dimensions jsonb, events numeric,
    sum numeric, max numeric, min numeric, latest numeric, different bigint)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT u.* FROM tenancy.read_usage(of_tenant, of_meter, of_resolution, low, high, of_project, of_key, by_project,
            by_key, by_dimensions, as_one, of_values, '{}'::jsonb) AS u;
    END;

REVOKE ALL ON FUNCTION
    tenancy.define_metric(uuid, text, text, text, jsonb, integer, text, timestamptz, jsonb),
    tenancy.remove_metric(uuid, text, jsonb), tenancy.list_metrics(uuid),
    tenancy.read_usage(uuid, text, smallint, timestamptz, timestamptz, uuid, uuid, boolean, boolean, text[], boolean,
        boolean, jsonb)
FROM PUBLIC;

-- What programs need from here on: custom metrics.
CREATE OR REPLACE FUNCTION tenancy.schema_version() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 20;
