-- Usage that is corrected, filled up and removed.
--
-- * `usage_corrections`: what was said later about events. Rows are added and never changed, and so are events: how an event
--   stands its newest correction says.
-- * `usage_backfills`: old events that came under one name.
-- * `usage_pruned`: up to when old usage was removed.

CREATE TABLE tenancy.usage_corrections (
    number bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id uuid NOT NULL,
    -- Of source and id, as that of an event; NULL of what a backfill did.
    key uuid,
    digest bytea,
    source text NOT NULL,
    id text NOT NULL,
    -- The name of the backfill that did it, or whose revert did it.
    backfill text,
    -- What was done at once has one: the entry of the trail that says so.
    cause uuid NOT NULL,
    meter text NOT NULL,
    at timestamptz NOT NULL,
    event_source text NOT NULL,
    event_id text NOT NULL,
    -- How it stood, and how it stands; NULL if it does not count.
    quantity_before numeric,
    events_before bigint,
    quantity numeric CHECK (quantity >= 0),
    events bigint CHECK (events > 0),
    reason text NOT NULL,
    by_whom text NOT NULL,
    corrected_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, number),
    CHECK ((key IS NULL) = (backfill IS NOT NULL) AND (quantity IS NULL) = (events IS NULL)
        AND (quantity_before IS NULL) = (events_before IS NULL))
);
CREATE UNIQUE INDEX usage_corrections_key ON tenancy.usage_corrections (tenant_id, key) WHERE key IS NOT NULL;
CREATE INDEX usage_corrections_event ON tenancy.usage_corrections (tenant_id, meter, at, event_source, event_id, number);
CREATE INDEX usage_corrections_cause ON tenancy.usage_corrections (tenant_id, cause);

CREATE TABLE tenancy.usage_backfills (
    number bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    tenant_id uuid NOT NULL,
    name text NOT NULL,
    digest bytea NOT NULL,
    meter text NOT NULL,
    replaced_since timestamptz,
    replaced_until timestamptz,
    -- Where its events are; NULL if it has none.
    first_at timestamptz,
    last_at timestamptz,
    added bigint NOT NULL,
    voided bigint NOT NULL DEFAULT 0,
    reason text NOT NULL,
    by_whom text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    reverted_at timestamptz,
    PRIMARY KEY (tenant_id, name)
);

-- Up to which moment old usage was removed: of events (`events`), and of windows by their resolution.
CREATE TABLE tenancy.usage_pruned (
    what text NOT NULL CHECK (what IN ('events', 'minutes', 'hours', 'days', 'periods', 'values')),
    -- The nil UUID is of all tenants that have no row of their own.
    tenant_id uuid NOT NULL,
    -- `-infinity` where a tenant's usage is kept for good.
    before timestamptz NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (what, tenant_id)
);

-- By what an event is known, of its source and its id: each with its length, so that no two pairs have the same bytes.
CREATE FUNCTION tenancy.usage_key(source text, id text) RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN encode(substring(sha256('usage-key-1'::bytea || int8send(octet_length(source)) || convert_to(source, 'UTF8')
        || int8send(octet_length(id)) || convert_to(id, 'UTF8')) FROM 1 FOR 16), 'hex')::uuid;

-- The events of a tenant and a meter within a time, as they stand; what is voided has no quantity.
CREATE FUNCTION tenancy.standing_usage(of_tenant uuid, of_meter text, low timestamptz, high timestamptz)
    RETURNS TABLE (at timestamptz, source text, id text, project_id uuid, key_id uuid, dimensions jsonb, unique_value text,
        quantity numeric, events bigint)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT e.at, e.source, e.id, e.project_id, e.key_id, e.dimensions, e.unique_value,
            CASE WHEN c.number IS NULL THEN e.quantity ELSE c.quantity END,
            CASE WHEN c.number IS NULL THEN e.events ELSE c.events END
        FROM tenancy.usage_events AS e LEFT JOIN (
                SELECT DISTINCT ON (x.at, x.event_source, x.event_id) x.at, x.event_source, x.event_id, x.number, x.quantity,
                    x.events
                FROM tenancy.usage_corrections AS x
                WHERE x.tenant_id = standing_usage.of_tenant AND x.meter = standing_usage.of_meter
                    AND x.at >= standing_usage.low AND x.at < standing_usage.high
                ORDER BY x.at, x.event_source, x.event_id, x.number DESC
            ) AS c ON c.at = e.at AND c.event_source = e.source AND c.event_id = e.id
        WHERE e.tenant_id = standing_usage.of_tenant AND e.meter = standing_usage.of_meter
            AND e.at >= standing_usage.low AND e.at < standing_usage.high;
    END;

-- The windows that have the events which a cause has corrected: for each event those of its project, key and dimensions, one
-- of each resolution that is kept.
CREATE FUNCTION tenancy.corrected_windows(of_tenant uuid, of_meter text, of_cause uuid)
    RETURNS TABLE (resolution smallint, since timestamptz, until timestamptz, group_id uuid, project_id uuid, key_id uuid,
        dimensions jsonb, at timestamptz, source text, id text, unique_value text, quantity_before numeric,
        events_before bigint, quantity numeric, events bigint)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
    BEGIN ATOMIC
        SELECT r.resolution, r.since, r.until, r.group_id, e.project_id, e.key_id, e.dimensions, c.at, c.event_source,
            c.event_id, e.unique_value, c.quantity_before, c.events_before, c.quantity, c.events
        FROM tenancy.usage_corrections AS c
            -- Each by itself: without `OFFSET 0` all that there is would be read for a few.
            CROSS JOIN LATERAL (SELECT x.project_id, x.key_id, x.dimensions, x.unique_value
                FROM tenancy.usage_events AS x
                WHERE x.tenant_id = corrected_windows.of_tenant AND x.meter = corrected_windows.of_meter AND x.at = c.at
                    AND x.source = c.event_source AND x.id = c.event_id OFFSET 0) AS e
            -- No window is longer.
            CROSS JOIN (VALUES (0::smallint, interval '1 minute'), (1, interval '2 hours'), (2, interval '2 days'),
                (3, interval '367 days')) AS w (resolution, longest)
            CROSS JOIN LATERAL (SELECT y.resolution, y.since, y.until, y.group_id
                FROM tenancy.usage_rollups AS y
                WHERE y.tenant_id = corrected_windows.of_tenant AND y.meter = corrected_windows.of_meter
                    AND y.resolution = w.resolution AND y.since <= c.at AND y.since > c.at - w.longest AND y.until > c.at
                    AND y.project_id IS NOT DISTINCT FROM e.project_id AND y.key_id IS NOT DISTINCT FROM e.key_id
                    AND y.dimensions = e.dimensions OFFSET 0) AS r
        WHERE c.tenant_id = corrected_windows.of_tenant AND c.cause = corrected_windows.of_cause;
    END;

-- Brings the windows of a tenant and a meter to what the corrections of one cause say. These are written already, and the
-- keys of the events that they are about are locked. Sums and counts get the difference; the largest, the smallest and the
-- newest are looked for again where they may be gone.
CREATE FUNCTION tenancy.restate_usage(of_tenant uuid, of_meter text, of_cause uuid, of_latest boolean) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
BEGIN
    -- In the order in which events are added to them. Whoever adds one that is not visible yet waits here, and adds it to
    -- what is written below.
    PERFORM FROM tenancy.usage_rollups AS r
    WHERE r.tenant_id = of_tenant AND r.meter = of_meter
        AND (r.resolution, r.since, r.group_id) IN (SELECT h.resolution, h.since, h.group_id
            FROM tenancy.corrected_windows(of_tenant, of_meter, of_cause) AS h)
    ORDER BY r.resolution, r.since, r.group_id
    FOR UPDATE;

    UPDATE tenancy.usage_rollups AS r SET
        events = r.events + d.events,
        sum = r.sum + d.sum,
        max = CASE WHEN r.events + d.events = 0 THEN NULL
            WHEN d.largest_before >= r.max AND (d.largest IS NULL OR d.largest < r.max) THEN (
                SELECT pg_catalog.max(s.quantity) FROM tenancy.standing_usage(of_tenant, of_meter, r.since, r.until) AS s
                WHERE s.project_id IS NOT DISTINCT FROM r.project_id AND s.key_id IS NOT DISTINCT FROM r.key_id
                    AND s.dimensions = r.dimensions)
            ELSE greatest(r.max, d.largest) END,
        min = CASE WHEN r.events + d.events = 0 THEN NULL
            WHEN d.smallest_before <= r.min AND (d.smallest IS NULL OR d.smallest > r.min) THEN (
                SELECT pg_catalog.min(s.quantity) FROM tenancy.standing_usage(of_tenant, of_meter, r.since, r.until) AS s
                WHERE s.project_id IS NOT DISTINCT FROM r.project_id AND s.key_id IS NOT DISTINCT FROM r.key_id
                    AND s.dimensions = r.dimensions)
            ELSE least(r.min, d.smallest) END,
        (latest, latest_at, latest_source, latest_id) = (
            SELECT l.* FROM (
                SELECT r.latest, r.latest_at, r.latest_source, r.latest_id
                WHERE NOT of_latest OR d.newest_at < r.latest_at
                UNION ALL
                (SELECT s.quantity, s.at, s.source, s.id
                FROM tenancy.standing_usage(of_tenant, of_meter, r.since, r.until) AS s
                WHERE of_latest AND (r.latest_at IS NULL OR d.newest_at >= r.latest_at) AND s.quantity IS NOT NULL
                    AND s.project_id IS NOT DISTINCT FROM r.project_id AND s.key_id IS NOT DISTINCT FROM r.key_id
                    AND s.dimensions = r.dimensions
                ORDER BY s.at DESC, s.source COLLATE "C" DESC, s.id COLLATE "C" DESC LIMIT 1)
            ) AS l LIMIT 1)
    FROM (
        SELECT h.resolution, h.since, h.group_id,
            sum(coalesce(h.events, 0) - coalesce(h.events_before, 0)) AS events,
            sum(coalesce(h.quantity, 0) - coalesce(h.quantity_before, 0)) AS sum,
            max(h.quantity_before) AS largest_before, max(h.quantity) AS largest,
            min(h.quantity_before) AS smallest_before, min(h.quantity) AS smallest, max(h.at) AS newest_at
        FROM tenancy.corrected_windows(of_tenant, of_meter, of_cause) AS h
        GROUP BY h.resolution, h.since, h.group_id
    ) AS d
    WHERE r.tenant_id = of_tenant AND r.meter = of_meter AND r.resolution = d.resolution AND r.since = d.since
        AND r.group_id = d.group_id;

    -- A value stays while an event that stands has it within the same minute, and the same windows.
    WITH v AS MATERIALIZED (
        SELECT DISTINCT p.group_id, p.unique_value, p.low, EXISTS (
                SELECT FROM tenancy.standing_usage(of_tenant, of_meter, p.low, p.high) AS s
                WHERE s.unique_value = p.unique_value AND s.quantity IS NOT NULL
                    AND s.project_id IS NOT DISTINCT FROM p.project_id AND s.key_id IS NOT DISTINCT FROM p.key_id
                    AND s.dimensions = p.dimensions) AS stands
        FROM (
            SELECT h.group_id, h.project_id, h.key_id, h.dimensions, h.unique_value,
                greatest(date_trunc('minute', h.at, 'UTC'), max(h.since)) AS low,
                least(date_trunc('minute', h.at, 'UTC') + interval '1 minute', min(h.until)) AS high
            FROM tenancy.corrected_windows(of_tenant, of_meter, of_cause) AS h
            WHERE h.unique_value IS NOT NULL
            GROUP BY h.group_id, h.project_id, h.key_id, h.dimensions, h.unique_value, h.at, h.source, h.id
        ) AS p
    ), gone AS (
        DELETE FROM tenancy.usage_values AS u USING v
        WHERE NOT v.stands AND u.tenant_id = of_tenant AND u.meter = of_meter AND u.group_id = v.group_id
            AND u.minute = v.low AND u.value = v.unique_value
    )
    INSERT INTO tenancy.usage_values (tenant_id, meter, minute, group_id, value)
    SELECT of_tenant, of_meter, v.low, v.group_id, v.unique_value FROM v WHERE v.stands
    ON CONFLICT DO NOTHING;
END
$$;

-- Up to when usage of a tenant was removed, `events` or windows of a resolution; NULL if none was. A tenant with a retention of
-- its own has its own answer.
CREATE FUNCTION tenancy.usage_pruned_before(of_tenant uuid, of_what text) RETURNS timestamptz
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT nullif(p.before, '-infinity') FROM tenancy.usage_pruned AS p
        WHERE p.what = usage_pruned_before.of_what
            AND p.tenant_id IN (usage_pruned_before.of_tenant, '00000000-0000-0000-0000-000000000000')
        ORDER BY p.tenant_id = usage_pruned_before.of_tenant DESC LIMIT 1;
    END;

-- Whether events were removed of a billing period that a time touches, so that what is left of its events does not add up to it.
CREATE FUNCTION tenancy.is_usage_pruned(of_tenant uuid, of_meter text, low timestamptz, high timestamptz) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT coalesce(tenancy.usage_pruned_before(is_usage_pruned.of_tenant, 'events') > least(is_usage_pruned.low, (
            SELECT min(r.since) FROM tenancy.usage_rollups AS r
            WHERE r.tenant_id = is_usage_pruned.of_tenant AND r.meter = is_usage_pruned.of_meter AND r.resolution = 3
                AND r.since > is_usage_pruned.low - interval '367 days' AND r.since < is_usage_pruned.high
                AND r.until > is_usage_pruned.low)), false);
    END;

-- Lets one transaction at a time correct usage of a tenant. So what is corrected has numbers in the order in which it becomes
-- visible, and who reads page by page misses nothing. It is taken before all other locks.
CREATE FUNCTION tenancy.lock_corrections(of_tenant uuid) RETURNS void
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT pg_advisory_xact_lock(hashtextextended('tenancy.usage_corrections ' || lock_corrections.of_tenant::text, 0));
    END;

-- An event as it stands, of one of these meters, for a correction; it is locked until the end of the transaction. `known` is
-- the digest of a correction of this key, which is told before all else. Where the event is not there, or where events of
-- its billing period were removed, there is no meter.
CREATE FUNCTION tenancy.find_corrected_usage(of_tenant uuid, correction_key uuid, event_source text, event_id text,
    known_meters text[]
) RETURNS TABLE (known bytea, meter text, at timestamptz, quantity numeric, events bigint)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    first_at timestamptz;
BEGIN
    PERFORM tenancy.lock_corrections(of_tenant);
    SELECT k.at INTO first_at FROM tenancy.usage_keys AS k
    WHERE k.tenant_id = of_tenant AND k.key = tenancy.usage_key(event_source, event_id)
    FOR UPDATE;
    SELECT c.digest INTO known FROM tenancy.usage_corrections AS c
    WHERE c.tenant_id = of_tenant AND c.key = correction_key;
    IF known IS NULL AND first_at IS NOT NULL THEN
        SELECT e.meter INTO meter FROM tenancy.usage_events AS e
        WHERE e.tenant_id = of_tenant AND e.meter = ANY (known_meters) AND e.at = first_at AND e.source = event_source
            AND e.id = event_id;
        SELECT s.quantity, s.events INTO quantity, events
        FROM tenancy.standing_usage(of_tenant, meter, first_at, first_at + interval '1 microsecond') AS s
        WHERE s.source = event_source AND s.id = event_id;
        at := first_at;
        IF tenancy.is_usage_pruned(of_tenant, meter, first_at, first_at + interval '1 microsecond') THEN
            meter := NULL;
        END IF;
    END IF;
    RETURN NEXT;
END
$$;

-- Writes an entry of the trail that tells what was done to usage of a tenant: by whom and why it says itself.
CREATE FUNCTION tenancy.tell_usage(of_tenant uuid, of_action text, entry jsonb, details jsonb) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT tenancy.append_records(jsonb_build_array(tell_usage.entry || jsonb_build_object(
            'tenant_id', tell_usage.of_tenant, 'action', tell_usage.of_action, 'outcome', 'allowed',
            'details', tell_usage.details)));
    END;

-- Corrects an event that was found so. `entry` is the entry of the trail that says who did it, and its id is the cause.
CREATE FUNCTION tenancy.correct_usage(of_tenant uuid, correction_key uuid, digest bytea, source text, id text,
    event_source text, event_id text, of_meter text, of_latest boolean, at timestamptz, quantity_before numeric,
    events_before bigint, quantity numeric, events bigint, reason text, by_whom text, entry jsonb
) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    of_cause uuid := (entry ->> 'id')::uuid;
BEGIN
    INSERT INTO tenancy.usage_corrections (tenant_id, key, digest, source, id, cause, meter, at, event_source, event_id,
        quantity_before, events_before, quantity, events, reason, by_whom)
    VALUES (of_tenant, correction_key, correct_usage.digest, correct_usage.source, correct_usage.id, of_cause, of_meter,
        correct_usage.at, correct_usage.event_source, correct_usage.event_id, correct_usage.quantity_before,
        correct_usage.events_before, correct_usage.quantity, correct_usage.events, correct_usage.reason,
        correct_usage.by_whom);
    PERFORM tenancy.restate_usage(of_tenant, of_meter, of_cause, of_latest);
    PERFORM tenancy.tell_usage(of_tenant, 'usage.correct', entry, jsonb_build_object('meter', of_meter,
        'before', correct_usage.quantity_before::text, 'after', correct_usage.quantity::text));
END
$$;

-- Begins a backfill. If there was one of its name, `known` is the digest of that one, and nothing is written.
CREATE FUNCTION tenancy.begin_backfill(of_tenant uuid, name text, digest bytea, meter text, since timestamptz,
    until timestamptz, first_at timestamptz, last_at timestamptz, added bigint, reason text, by_whom text
) RETURNS TABLE (known bytea, is_reverted boolean, pruned_before timestamptz)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM tenancy.lock_corrections(of_tenant);
    INSERT INTO tenancy.usage_backfills AS b (tenant_id, name, digest, meter, replaced_since, replaced_until, first_at,
        last_at, added, reason, by_whom)
    VALUES (of_tenant, begin_backfill.name, begin_backfill.digest, begin_backfill.meter, begin_backfill.since,
        begin_backfill.until, begin_backfill.first_at, begin_backfill.last_at, begin_backfill.added,
        begin_backfill.reason, begin_backfill.by_whom)
    ON CONFLICT ON CONSTRAINT usage_backfills_pkey DO NOTHING;
    IF NOT FOUND THEN
        SELECT b.digest, b.reverted_at IS NOT NULL INTO known, is_reverted
        FROM tenancy.usage_backfills AS b WHERE b.tenant_id = of_tenant AND b.name = begin_backfill.name;
    END IF;
    pruned_before := tenancy.usage_pruned_before(of_tenant, 'events');
    RETURN NEXT;
END
$$;

-- Voids what a backfill replaces, which has begun and whose own events have not come yet; how many events.
CREATE FUNCTION tenancy.replace_usage(of_tenant uuid, of_name text, of_latest boolean, entry jsonb) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
    b tenancy.usage_backfills;
    of_cause uuid := (entry ->> 'id')::uuid;
    locked uuid[];
    gone bigint;
BEGIN
    SELECT * INTO STRICT b FROM tenancy.usage_backfills AS x WHERE x.tenant_id = of_tenant AND x.name = of_name;
    locked := ARRAY(SELECT k.key FROM tenancy.usage_keys AS k
        WHERE k.tenant_id = of_tenant AND k.key IN (SELECT tenancy.usage_key(s.source, s.id)
            FROM tenancy.standing_usage(of_tenant, b.meter, b.replaced_since, b.replaced_until) AS s)
        ORDER BY k.key
        FOR UPDATE);
    -- What has come since then is not locked, and counts beside the backfill.
    INSERT INTO tenancy.usage_corrections (tenant_id, source, id, backfill, cause, meter, at, event_source, event_id,
        quantity_before, events_before, reason, by_whom)
    SELECT of_tenant, 'backfill:' || of_name, s.id, of_name, of_cause, b.meter, s.at, s.source, s.id, s.quantity, s.events,
        b.reason, b.by_whom
    FROM tenancy.standing_usage(of_tenant, b.meter, b.replaced_since, b.replaced_until) AS s
        JOIN unnest(locked) AS k (key) ON k.key = tenancy.usage_key(s.source, s.id)
    WHERE s.quantity IS NOT NULL
    ORDER BY s.at, s.source, s.id;
    GET DIAGNOSTICS gone = ROW_COUNT;
    PERFORM tenancy.restate_usage(of_tenant, b.meter, of_cause, of_latest);
    UPDATE tenancy.usage_backfills AS x SET voided = gone WHERE x.tenant_id = of_tenant AND x.name = of_name;
    RETURN gone;
END
$$;

-- Tells of a backfill in the trail, when all of it is written.
CREATE FUNCTION tenancy.tell_backfill(of_tenant uuid, of_name text, entry jsonb) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT tenancy.tell_usage(tell_backfill.of_tenant, 'usage.backfill', tell_backfill.entry, jsonb_build_object(
            'backfill', b.name, 'meter', b.meter, 'added', b.added, 'voided', b.voided))
        FROM tenancy.usage_backfills AS b
        WHERE b.tenant_id = tell_backfill.of_tenant AND b.name = tell_backfill.of_name;
    END;

-- Reverts a backfill: its events count no more, and what it has replaced counts again. What became of it: 0 it is reverted, 1
-- it was, 2 there is none, 3 a later one replaces events of it or a part of its range, and its source is told, 4 events of its
-- billing periods were removed, and up to when is told.
CREATE FUNCTION tenancy.revert_usage(of_tenant uuid, of_name text, latest_meters text[], reason text, by_whom text,
    entry jsonb
) RETURNS TABLE (outcome smallint, voided bigint, restored bigint, other text)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    b tenancy.usage_backfills;
    of_cause uuid := (entry ->> 'id')::uuid;
    own text := 'backfill:' || of_name;
    low timestamptz;
    high timestamptz;
BEGIN
    PERFORM tenancy.lock_corrections(of_tenant);
    SELECT * INTO b FROM tenancy.usage_backfills AS x WHERE x.tenant_id = of_tenant AND x.name = of_name FOR UPDATE;
    IF b.name IS NULL OR b.reverted_at IS NOT NULL THEN
        RETURN QUERY SELECT CASE WHEN b.name IS NULL THEN 2 ELSE 1 END::smallint, 0::bigint, 0::bigint, NULL::text;
        RETURN;
    END IF;
    low := least(b.first_at, b.replaced_since);
    high := greatest(b.last_at + interval '1 microsecond', b.replaced_until);
    IF tenancy.is_usage_pruned(of_tenant, b.meter, low, high) THEN
        RETURN QUERY SELECT 4::smallint, 0::bigint, 0::bigint,
            to_char(tenancy.usage_pruned_before(of_tenant, 'events') AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"');
        RETURN;
    END IF;
    -- What this one has replaced would count again beside what stands in its place now.
    SELECT 'backfill:' || x.name INTO other FROM tenancy.usage_backfills AS x
    WHERE x.tenant_id = of_tenant AND x.meter = b.meter AND x.number > b.number AND x.reverted_at IS NULL
        AND x.replaced_since < b.replaced_until AND x.replaced_until > b.replaced_since
    ORDER BY x.number DESC LIMIT 1;
    IF other IS NOT NULL THEN
        RETURN QUERY SELECT 3::smallint, 0::bigint, 0::bigint, other;
        RETURN;
    END IF;
    PERFORM FROM tenancy.usage_keys AS k
    WHERE k.tenant_id = of_tenant AND k.key IN (SELECT tenancy.usage_key(s.source, s.id)
        FROM tenancy.standing_usage(of_tenant, b.meter, low, high) AS s WHERE s.source = own OR s.quantity IS NULL)
    ORDER BY k.key
    FOR UPDATE;
    SELECT min('backfill:' || l.backfill) INTO other FROM (
        SELECT DISTINCT ON (c.at, c.event_id) c.backfill, c.quantity FROM tenancy.usage_corrections AS c
        WHERE c.tenant_id = of_tenant AND c.meter = b.meter AND c.at >= low AND c.at < high AND c.event_source = own
        ORDER BY c.at, c.event_id, c.number DESC) AS l
    WHERE l.quantity IS NULL AND l.backfill IS NOT NULL;
    IF other IS NOT NULL THEN
        RETURN QUERY SELECT 3::smallint, 0::bigint, 0::bigint, other;
        RETURN;
    END IF;
    INSERT INTO tenancy.usage_corrections (tenant_id, source, id, backfill, cause, meter, at, event_source, event_id,
        quantity_before, events_before, quantity, events, reason, by_whom)
    SELECT of_tenant, own, w.id, of_name, of_cause, b.meter, w.at, w.source, w.id, w.quantity_before, w.events_before,
        w.quantity, w.events, revert_usage.reason, revert_usage.by_whom
    FROM (
        SELECT s.at, s.source, s.id, s.quantity AS quantity_before, s.events AS events_before, NULL::numeric AS quantity,
            NULL::bigint AS events
        FROM tenancy.standing_usage(of_tenant, b.meter, low, high) AS s WHERE s.source = own AND s.quantity IS NOT NULL
        UNION ALL
        SELECT l.at, l.event_source, l.event_id, NULL, NULL, l.quantity_before, l.events_before FROM (
            SELECT DISTINCT ON (c.at, c.event_source, c.event_id) c.* FROM tenancy.usage_corrections AS c
            WHERE c.tenant_id = of_tenant AND c.meter = b.meter AND c.at >= b.replaced_since AND c.at < b.replaced_until
            ORDER BY c.at, c.event_source, c.event_id, c.number DESC) AS l
        WHERE l.backfill = of_name AND l.quantity IS NULL AND l.event_source <> own
    ) AS w
    ORDER BY w.at, w.source, w.id;
    SELECT count(*) FILTER (WHERE c.quantity IS NULL), count(*) FILTER (WHERE c.quantity IS NOT NULL)
    INTO voided, restored FROM tenancy.usage_corrections AS c WHERE c.tenant_id = of_tenant AND c.cause = of_cause;
    PERFORM tenancy.restate_usage(of_tenant, b.meter, of_cause, b.meter = ANY (latest_meters));
    UPDATE tenancy.usage_backfills AS x SET reverted_at = clock_timestamp()
        WHERE x.tenant_id = of_tenant AND x.name = of_name;
    PERFORM tenancy.tell_usage(of_tenant, 'usage.revert', entry, jsonb_build_object('backfill', of_name,
        'meter', b.meter, 'voided', voided, 'restored', restored));
    outcome := 0;
    RETURN NEXT;
END
$$;

CREATE FUNCTION tenancy.list_usage_corrections(of_tenant uuid, after bigint, most integer)
    RETURNS SETOF tenancy.usage_corrections
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT c.* FROM tenancy.usage_corrections AS c
        WHERE c.tenant_id = list_usage_corrections.of_tenant AND c.number > list_usage_corrections.after
        ORDER BY c.number LIMIT list_usage_corrections.most;
    END;

CREATE FUNCTION tenancy.list_usage_backfills(of_tenant uuid, after bigint, most integer)
    RETURNS SETOF tenancy.usage_backfills
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT b.* FROM tenancy.usage_backfills AS b
        WHERE b.tenant_id = list_usage_backfills.of_tenant AND b.number > list_usage_backfills.after
        ORDER BY b.number LIMIT list_usage_backfills.most;
    END;

-- How many events of a tenant wait to be counted, and since when.
CREATE FUNCTION tenancy.find_usage_lag(of_tenant uuid) RETURNS TABLE (pending bigint, pending_since timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 1 SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT count(*), min(p.written_at) FROM tenancy.usage_pending AS p WHERE p.tenant_id = find_usage_lag.of_tenant;
    END;

-- Removes old usage of one partition after the other, so many rows at most; how many. `what` is `events`, which are events
-- with their keys, `values`, which are the different values, or the windows of a resolution. Without a tenant it is of all but these.
-- `entry` says who removes it and why; it is written in the trail if something was removed. Usage of the last month is never
-- removed, whatever the caller says; how long it is needed beyond that the caller knows. Without a moment a tenant's usage is
-- kept for good, and nothing goes.
CREATE FUNCTION tenancy.prune_usage(of_what text, before timestamptz, of_tenant uuid, but uuid[], most integer,
    entry jsonb
) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
    of_resolution smallint := array_position(ARRAY['minutes', 'hours', 'days', 'periods'], of_what) - 1;
    part record;
    gone bigint;
    removed bigint := 0;
    of_all constant uuid := '00000000-0000-0000-0000-000000000000';
BEGIN
    IF of_what NOT IN ('events', 'values') AND of_resolution IS NULL THEN
        RAISE EXCEPTION 'there is no usage of the kind %', of_what USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF before > clock_timestamp() - interval '31 days' THEN
        RAISE EXCEPTION 'usage of the last 31 days is not removed, and % is within them', before
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- What was removed of a tenant with all others is gone, also if it has its own retention from now on.
    INSERT INTO tenancy.usage_pruned AS p (what, tenant_id, before)
    VALUES (of_what, coalesce(of_tenant, of_all), greatest(coalesce(prune_usage.before, '-infinity'),
        (SELECT o.before FROM tenancy.usage_pruned AS o WHERE o.what = of_what AND o.tenant_id = of_all)))
    ON CONFLICT (what, tenant_id) DO UPDATE SET before = greatest(p.before, prune_usage.before), at = clock_timestamp();
    IF of_tenant IS NULL THEN
        UPDATE tenancy.usage_pruned AS p SET before = prune_usage.before, at = clock_timestamp()
        WHERE p.what = of_what AND p.tenant_id <> of_all AND p.tenant_id <> ALL (but) AND p.before < prune_usage.before;
    END IF;
    IF prune_usage.before IS NULL THEN
        RETURN 0;
    END IF;
    FOR part IN
        SELECT c.oid::regclass AS name, w.moment
        FROM (VALUES ('usage_events', 'at', 'events'), ('usage_values', 'minute', 'values'),
                ('usage_rollups', 'until', CASE WHEN of_resolution IS NOT NULL THEN of_what END)) AS w (parent, moment, of)
            JOIN pg_class AS p ON p.relname = w.parent AND p.relnamespace = 'tenancy'::regnamespace
            JOIN pg_inherits AS i ON i.inhparent = p.oid JOIN pg_class AS c ON c.oid = i.inhrelid
        WHERE w.of = of_what AND (c.relname !~ '_[0-9]{4}_[0-9]{2}$'
            OR right(c.relname, 7) <= to_char(prune_usage.before AT TIME ZONE 'UTC', 'YYYY"_"MM'))
        ORDER BY c.relname
    LOOP
        EXIT WHEN removed >= most;
        EXECUTE format('DELETE FROM %1$s WHERE ctid = ANY (ARRAY(SELECT x.ctid FROM %1$s AS x WHERE x.%2$I < $1 '
            'AND ($2 IS NULL OR x.tenant_id = $2) AND x.tenant_id <> ALL ($3) %3$s LIMIT $4))', part.name, part.moment,
            CASE WHEN part.name::text LIKE '%usage_rollups%' THEN format('AND x.resolution = %s', of_resolution) ELSE '' END)
        USING prune_usage.before, of_tenant, but, most - removed;
        GET DIAGNOSTICS gone = ROW_COUNT;
        removed := removed + gone;
    END LOOP;
    IF of_what = 'events' AND removed < most THEN
        DELETE FROM tenancy.usage_keys AS k WHERE k.ctid = ANY (ARRAY(SELECT x.ctid FROM tenancy.usage_keys AS x
            WHERE x.at < prune_usage.before AND (of_tenant IS NULL OR x.tenant_id = of_tenant) AND x.tenant_id <> ALL (but)
            LIMIT most - removed));
        GET DIAGNOSTICS gone = ROW_COUNT;
        removed := removed + gone;
    END IF;
    IF removed > 0 THEN
        PERFORM tenancy.tell_usage(of_tenant, 'usage.prune', entry, jsonb_build_object('what', of_what,
            'before', prune_usage.before::text, 'rows', removed));
    END IF;
    RETURN removed;
END
$$;

-- Drops one partition of a month that has ended before a moment: of events as it is, of windows and values if it is empty. Its
-- name, and how many rows it had; nothing if there is none. To drop one locks the whole table: it waits for nobody
-- longer than a tenth of a second. `entry` says who drops it and why.
CREATE FUNCTION tenancy.drop_usage_month(events_before timestamptz, entry jsonb) RETURNS TABLE (month text, removed bigint)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '100ms' SET jit = off
AS $$
DECLARE
    part record;
    is_empty boolean;
BEGIN
    FOR part IN
        SELECT c.oid::regclass AS name, p.oid::regclass AS parent, c.relname,
            p.relname = 'usage_events' AND right(c.relname, 7) < to_char(events_before AT TIME ZONE 'UTC', 'YYYY"_"MM')
                AS is_over
        FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid JOIN pg_class AS p ON p.oid = i.inhparent
        WHERE p.relnamespace = 'tenancy'::regnamespace AND p.relname IN ('usage_events', 'usage_rollups', 'usage_values')
            AND c.relname ~ '_[0-9]{4}_[0-9]{2}$'
            -- These months are made again for events that come late.
            AND right(c.relname, 7) < to_char((clock_timestamp() - interval '2 months') AT TIME ZONE 'UTC', 'YYYY"_"MM')
        ORDER BY c.relname
    LOOP
        EXECUTE format('SELECT NOT EXISTS (SELECT FROM %s)', part.name) INTO is_empty;
        CONTINUE WHEN NOT is_empty AND NOT part.is_over;
        EXECUTE format('SELECT count(*) FROM %s', part.name) INTO removed;
        BEGIN
            -- In the order in which whoever reads locks them.
            EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', part.parent);
            EXECUTE format('SELECT NOT EXISTS (SELECT FROM %s)', part.name) INTO is_empty;
            IF is_empty OR part.is_over THEN
                IF part.is_over THEN
                    INSERT INTO tenancy.usage_pruned AS u (what, tenant_id, before)
                    VALUES ('events', '00000000-0000-0000-0000-000000000000', date_trunc('month', events_before, 'UTC'))
                    ON CONFLICT (what, tenant_id) DO UPDATE SET before = greatest(u.before, excluded.before),
                        at = clock_timestamp();
                    UPDATE tenancy.usage_pruned AS u SET before = date_trunc('month', events_before, 'UTC'),
                        at = clock_timestamp()
                    WHERE u.what = 'events' AND u.before < date_trunc('month', events_before, 'UTC');
                END IF;
                EXECUTE format('DROP TABLE %s', part.name);
                month := part.relname;
                PERFORM tenancy.tell_usage(NULL, 'usage.prune', entry, jsonb_build_object('dropped', month,
                    'rows', removed));
                RETURN NEXT;
                RETURN;
            END IF;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            RAISE WARNING 'the partition % was not dropped: usage is being counted; it is tried again', part.name;
        END;
    END LOOP;
END
$$;

-- The tenants that have usage, after one of them.
CREATE FUNCTION tenancy.list_used_tenants(after uuid, most integer) RETURNS SETOF uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT s.tenant_id FROM tenancy.usage_status AS s
        WHERE list_used_tenants.after IS NULL OR s.tenant_id > list_used_tenants.after
        ORDER BY s.tenant_id LIMIT list_used_tenants.most;
    END;

REVOKE ALL ON FUNCTION
    tenancy.usage_key(text, text), tenancy.standing_usage(uuid, text, timestamptz, timestamptz),
    tenancy.corrected_windows(uuid, text, uuid), tenancy.restate_usage(uuid, text, uuid, boolean),
    tenancy.usage_pruned_before(uuid, text), tenancy.is_usage_pruned(uuid, text, timestamptz, timestamptz),
    tenancy.lock_corrections(uuid), tenancy.find_corrected_usage(uuid, uuid, text, text, text[]),
    tenancy.correct_usage(uuid, uuid, bytea, text, text, text, text, text, boolean, timestamptz, numeric, bigint, numeric,
        bigint, text, text, jsonb),
    tenancy.begin_backfill(uuid, text, bytea, text, timestamptz, timestamptz, timestamptz, timestamptz, bigint, text, text),
    tenancy.replace_usage(uuid, text, boolean, jsonb), tenancy.tell_backfill(uuid, text, jsonb),
    tenancy.tell_usage(uuid, text, jsonb, jsonb), tenancy.revert_usage(uuid, text, text[], text, text, jsonb),
    tenancy.list_usage_corrections(uuid, bigint, integer), tenancy.list_usage_backfills(uuid, bigint, integer),
    tenancy.find_usage_lag(uuid), tenancy.prune_usage(text, timestamptz, uuid, uuid[], integer, jsonb),
    tenancy.drop_usage_month(timestamptz, jsonb), tenancy.list_used_tenants(uuid, integer)
FROM PUBLIC;

-- What programs need from here on: usage that can be corrected.
CREATE OR REPLACE FUNCTION tenancy.schema_version() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 18;
