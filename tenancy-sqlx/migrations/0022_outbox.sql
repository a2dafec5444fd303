-- The outbox: events that are written with the rows that they tell of, and consumers that read them. And
-- the entries of the audit trail that are written so too.
--
-- The order of events. An event is written without a place in the order (`place` is NULL). Whoever reads next
-- gives places to all events that have none and that it sees: one reader at a time, under the lock of the row
-- of `outbox_head`, by `id`, without gaps. A consumer's position is a place. This is why:
--
-- * No late commit is skipped. A position is compared with places only, and an event that a reader did not
--   see has no place yet. It gets one when it is seen, and that is greater than every position.
-- * Places are seen in their order. They are given under one lock, which is held until the commit. Whoever
--   sees a place sees all smaller ones, but for those of events that were removed.
-- * What one change has seen of another is kept. Say the second transaction saw the first one's commit and then
--   wrote an event. A snapshot that shows the second one shows the first one too, so that the first one's events
--   get their places in the same round or in an earlier one. In the same round the `id` decides: the first
--   transaction drew its ids before its commit, and the second one drew later. (The identity has no cache.
--   The first part of a round by `id` also holds an event of the first one before one of the second.)
-- * Two transactions of which neither saw the other's commit may come in either order. Where both change one
--   row, the second waits for the first: an event that is written after its change is in the changes' order.
-- * The events of one transaction become visible at once, and have their order by `id`. A subtransaction that is
--   rolled back takes its events with it.
-- * A transaction that is open for long keeps nobody's events but its own: there is no horizon to wait for.
-- * Places are rows' contents and no transaction ids. A copy of the database – a dump, a restore to a point in
--   time, a standby that takes over – has positions and events that belong together. A consumer sees again what
--   it had seen since the copy was made, and skips nothing.

CREATE TABLE tenancy.audit_entries (
    id uuid PRIMARY KEY,
    at timestamptz NOT NULL,
    tenant_id uuid,
    actor_kind text NOT NULL CHECK (actor_kind ~ '^[a-z][a-z-]{0,31}$'),
    actor_id uuid,
    on_behalf_of uuid,
    -- Which credential it was, such as its issuer. Never the credential.
    credential text CHECK (octet_length(credential) <= 512),
    action text NOT NULL
        CHECK (length(action) <= 100 AND action ~ '^[a-z][a-z0-9_-]*(\.[a-z][a-z0-9_-]*)+$'),
    outcome text NOT NULL CHECK (outcome IN ('allowed', 'refused', 'failed')),
    reason text CHECK (octet_length(reason) <= 4096),
    -- What it was done to: an array of {"type": …, "id": …}.
    targets jsonb NOT NULL DEFAULT '[]'
        CHECK (jsonb_typeof(targets) = 'array' AND octet_length(targets::text) <= 131072),
    details jsonb CHECK (octet_length(details::text) <= 131072),
    ip inet,
    user_agent text CHECK (octet_length(user_agent) <= 1024),
    request_id text CHECK (octet_length(request_id) <= 512)
);
CREATE INDEX audit_entries_tenant ON tenancy.audit_entries (tenant_id, id);

-- No foreign key: an event outlives its tenant, and may outlive its entry in the trail.
CREATE TABLE tenancy.outbox_events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event uuid NOT NULL UNIQUE,
    tenant_id uuid,
    kind text NOT NULL
        CHECK (length(kind) <= 100 AND kind ~ '^[a-z][a-z0-9_-]*(\.[a-z][a-z0-9_-]*)+$'),
    -- Programs take 64 KiB of JSON at most. As `jsonb` writes it, it may be longer.
    payload jsonb NOT NULL CHECK (octet_length(payload::text) <= 131072),
    -- The entry in the audit trail.
    caused_by uuid,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    place bigint
);
CREATE UNIQUE INDEX outbox_events_place ON tenancy.outbox_events (place) WHERE place IS NOT NULL;
CREATE INDEX outbox_events_unplaced ON tenancy.outbox_events (id) WHERE place IS NULL;

-- The last place that was given: one row.
CREATE TABLE tenancy.outbox_head (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    place bigint NOT NULL
);
INSERT INTO tenancy.outbox_head (place) VALUES (0);

CREATE TABLE tenancy.outbox_consumers (
    name text PRIMARY KEY CHECK (name ~ '^[a-z][a-z0-9_.-]{0,62}$'),
    -- Everything up to this place was handled, or is parked.
    place bigint NOT NULL,
    -- The process that has the lease, the number of its claim, and until when others leave it alone.
    holder uuid,
    claim bigint NOT NULL DEFAULT 0,
    held_until timestamptz,
    -- What the process is handling, so that an event that ends processes is counted as a try too.
    in_hand bigint,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    moved_at timestamptz
);

-- Events whose handling failed, and those that wait behind one in the same lane: a tenant's events are a
-- lane, and those of no tenant are one, under the nil UUID.
CREATE TABLE tenancy.outbox_parked (
    consumer text NOT NULL REFERENCES tenancy.outbox_consumers (name) ON DELETE CASCADE,
    place bigint NOT NULL,
    event_id bigint NOT NULL REFERENCES tenancy.outbox_events (id),
    lane uuid NOT NULL,
    tries integer NOT NULL DEFAULT 0,
    -- When the first of a lane is tried again. NULL for those that wait behind it.
    due_at timestamptz,
    -- When it was tried last. A time that is still to come says that the clock was set back.
    tried_at timestamptz,
    last_error text CHECK (octet_length(last_error) <= 1024),
    set_aside_at timestamptz,
    parked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (consumer, place)
);
CREATE INDEX outbox_parked_lanes ON tenancy.outbox_parked (consumer, lane, place)
    WHERE set_aside_at IS NULL;
CREATE INDEX outbox_parked_due ON tenancy.outbox_parked (consumer, due_at)
    WHERE set_aside_at IS NULL AND due_at IS NOT NULL;
CREATE INDEX outbox_parked_events ON tenancy.outbox_parked (event_id);

-- Gives places to events that have none. Returns how many. Unless it waits, it leaves that to whoever is
-- at it already.
--
-- Each statement has a snapshot of its own here: the one that looks for events is younger than the lock.
CREATE FUNCTION tenancy.outbox_order(at_most integer, waits boolean) RETURNS integer
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    last bigint;
    given integer;
BEGIN
    IF waits THEN
        SELECT h.place INTO last FROM tenancy.outbox_head AS h FOR UPDATE;
    ELSIF EXISTS (SELECT FROM tenancy.outbox_events AS e WHERE e.place IS NULL) THEN
        SELECT h.place INTO last FROM tenancy.outbox_head AS h FOR UPDATE SKIP LOCKED;
    END IF;
    IF last IS NULL THEN
        RETURN 0;
    END IF;
    UPDATE tenancy.outbox_events AS e SET place = n.place
    FROM (
        SELECT u.id, last + row_number() OVER (ORDER BY u.id) AS place
        FROM (SELECT x.id FROM tenancy.outbox_events AS x WHERE x.place IS NULL
            ORDER BY x.id LIMIT at_most) AS u
    ) AS n
    WHERE e.id = n.id;
    GET DIAGNOSTICS given = ROW_COUNT;
    IF given > 0 THEN
        UPDATE tenancy.outbox_head AS h SET place = last + given;
    END IF;
    RETURN given;
END
$$;

-- Has the first event of a lane, and no other, say when it is tried again.
CREATE FUNCTION tenancy.outbox_mend_lane(of text, in_lane uuid) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    first bigint := (SELECT p.place FROM tenancy.outbox_parked AS p
        WHERE p.consumer = of AND p.lane = in_lane AND p.set_aside_at IS NULL
        ORDER BY p.place LIMIT 1);
BEGIN
    UPDATE tenancy.outbox_parked AS p
        SET due_at = CASE WHEN p.place = first THEN coalesce(p.due_at, clock_timestamp()) END
    WHERE p.consumer = of AND p.lane = in_lane AND p.set_aside_at IS NULL
        AND (p.due_at IS NULL) = (p.place = first);
END
$$;

-- Raises TN002 if the lease was taken over; else extends it.
CREATE FUNCTION tenancy.outbox_hold(of text, by_claim bigint, lasting bigint) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE tenancy.outbox_consumers AS c
        SET held_until = clock_timestamp() + lasting * interval '1 millisecond'
    WHERE c.name = of AND c.claim = by_claim AND c.holder IS NOT NULL;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the lease of the consumer "%" was taken over or given back', of
            USING ERRCODE = 'TN002';
    END IF;
END
$$;

-- Notes that an event was tried in vain: parks it, or counts one more try. Without a pause it is set aside.
CREATE FUNCTION tenancy.outbox_fail(of text, at_place bigint, said text, pause bigint) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    failed tenancy.outbox_events;
    in_lane uuid;
BEGIN
    SELECT e.* INTO failed FROM tenancy.outbox_events AS e WHERE e.place = at_place;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no event has the place %', at_place USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- Somebody has removed it meanwhile.
    IF EXISTS (SELECT FROM tenancy.outbox_consumers AS c WHERE c.name = of AND c.place >= at_place)
        AND NOT EXISTS (SELECT FROM tenancy.outbox_parked AS p WHERE p.consumer = of AND p.place = at_place)
    THEN
        RETURN;
    END IF;
    in_lane := coalesce(failed.tenant_id, '00000000-0000-0000-0000-000000000000');
    INSERT INTO tenancy.outbox_parked AS p (consumer, place, event_id, lane, tries, due_at, tried_at,
        last_error, set_aside_at)
    VALUES (of, at_place, failed.id, in_lane, 1,
        clock_timestamp() + pause * interval '1 millisecond', clock_timestamp(), said,
        CASE WHEN pause IS NULL THEN clock_timestamp() END)
    ON CONFLICT (consumer, place) DO UPDATE SET tries = p.tries + 1, due_at = excluded.due_at,
        tried_at = excluded.tried_at,
        last_error = excluded.last_error, set_aside_at = excluded.set_aside_at;
    UPDATE tenancy.outbox_consumers AS c SET place = at_place, moved_at = clock_timestamp()
    WHERE c.name = of AND c.place < at_place;
    PERFORM tenancy.outbox_mend_lane(of, in_lane);
END
$$;

-- Claims a consumer for a process. Returns the claim's number, or NULL while another process has the lease.
--
-- A process that ended while it handled an event has tried it in vain: else an event that ends processes
-- would stop all tenants for good.
CREATE FUNCTION tenancy.outbox_claim(of text, by_holder uuid, lasting bigint, from_now boolean,
    most_tries integer, pause bigint) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found tenancy.outbox_consumers;
    tried integer;
BEGIN
    IF NOT EXISTS (SELECT FROM tenancy.outbox_consumers AS c WHERE c.name = of) THEN
        -- Nobody gives places, or adds a consumer, meanwhile.
        PERFORM FROM tenancy.outbox_head FOR UPDATE;
        IF (SELECT count(*) FROM tenancy.outbox_consumers) >= 64 THEN
            RAISE EXCEPTION 'there are 64 consumers of the outbox, as many as there may be'
                USING ERRCODE = 'program_limit_exceeded',
                HINT = 'Remove one that is not used any more.';
        END IF;
        IF from_now THEN
            WHILE tenancy.outbox_order(10000, true) > 0 LOOP
            END LOOP;
        END IF;
        INSERT INTO tenancy.outbox_consumers (name, place)
        VALUES (of, CASE WHEN from_now THEN (SELECT h.place FROM tenancy.outbox_head AS h) ELSE 0 END)
        ON CONFLICT (name) DO NOTHING;
    END IF;
    -- Rows that were restored into a table that was in use: no place is given a second time.
    UPDATE tenancy.outbox_head AS h SET place = l.place
    FROM (SELECT greatest((SELECT max(e.place) FROM tenancy.outbox_events AS e),
        (SELECT max(c.place) FROM tenancy.outbox_consumers AS c)) AS place) AS l
    WHERE h.place < l.place;
    SELECT c.* INTO STRICT found FROM tenancy.outbox_consumers AS c WHERE c.name = of FOR UPDATE;
    IF found.holder <> by_holder AND found.held_until > clock_timestamp() THEN
        RETURN NULL;
    END IF;
    UPDATE tenancy.outbox_consumers AS c
        SET holder = by_holder, claim = c.claim + 1, in_hand = NULL,
            held_until = clock_timestamp() + lasting * interval '1 millisecond'
    WHERE c.name = of;
    IF found.in_hand IS NOT NULL AND found.holder <> by_holder THEN
        tried := 1 + coalesce((SELECT p.tries FROM tenancy.outbox_parked AS p
            WHERE p.consumer = of AND p.place = found.in_hand), 0);
        PERFORM tenancy.outbox_fail(of, found.in_hand,
            'the process ended, or lost its lease, while it handled the event',
            CASE WHEN tried < most_tries THEN pause END)
        FROM tenancy.outbox_events AS e WHERE e.place = found.in_hand;
    END IF;
    RETURN found.claim + 1;
END
$$;

-- What to handle next: events that failed and are due, each with those that wait behind it, and then new
-- events, up to the first one that has to wait behind a parked one. New events that have to wait are parked
-- before anything is returned.
CREATE FUNCTION tenancy.outbox_page(of text, by_claim bigint, lasting bigint, at_most integer)
    RETURNS TABLE (place bigint, is_parked boolean, event uuid, tenant_id uuid, kind text, payload jsonb,
        caused_by uuid, created_at timestamptz, tries integer)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    nobody CONSTANT uuid := '00000000-0000-0000-0000-000000000000';
    here bigint;
    reached bigint;
    first bigint;
BEGIN
    PERFORM tenancy.outbox_hold(of, by_claim, lasting);
    PERFORM tenancy.outbox_order(10000, false);

    FOR rounds IN 1..10 LOOP
        here := (SELECT c.place FROM tenancy.outbox_consumers AS c WHERE c.name = of);
        WITH ahead AS (
            SELECT e.id, e.place, coalesce(e.tenant_id, nobody) AS lane
            FROM tenancy.outbox_events AS e WHERE e.place > here ORDER BY e.place LIMIT 1000
        ), marked AS (
            SELECT a.*, EXISTS (SELECT FROM tenancy.outbox_parked AS p
                WHERE p.consumer = of AND p.lane = a.lane AND p.set_aside_at IS NULL) AS waits
            FROM ahead AS a
        ), behind AS (
            INSERT INTO tenancy.outbox_parked (consumer, place, event_id, lane)
            SELECT of, m.place, m.id, m.lane FROM marked AS m
            WHERE m.place < coalesce((SELECT min(f.place) FROM marked AS f WHERE NOT f.waits),
                9223372036854775807)
            RETURNING outbox_parked.place
        )
        SELECT max(b.place) INTO reached FROM behind AS b;
        EXIT WHEN reached IS NULL;
        UPDATE tenancy.outbox_consumers AS c SET place = reached, moved_at = clock_timestamp()
        WHERE c.name = of;
    END LOOP;
    here := (SELECT c.place FROM tenancy.outbox_consumers AS c WHERE c.name = of);

    is_parked := true;
    FOR place, event, tenant_id, kind, payload, caused_by, created_at, tries IN
        SELECT e.place, e.event, e.tenant_id, e.kind, e.payload, e.caused_by, e.created_at, w.tries
        FROM (SELECT p.lane, p.place, p.due_at FROM tenancy.outbox_parked AS p
            WHERE p.consumer = of AND p.set_aside_at IS NULL AND p.due_at IS NOT NULL
                AND (p.due_at <= clock_timestamp()
                    OR coalesce(p.tried_at, p.due_at) > clock_timestamp())
            ORDER BY p.due_at LIMIT at_most) AS due
        CROSS JOIN LATERAL (SELECT p.place, p.event_id, p.tries FROM tenancy.outbox_parked AS p
            WHERE p.consumer = of AND p.lane = due.lane AND p.set_aside_at IS NULL
                AND p.place >= due.place
            ORDER BY p.place LIMIT at_most) AS w
        JOIN tenancy.outbox_events AS e ON e.id = w.event_id
        ORDER BY due.due_at, due.place, w.place LIMIT at_most
    LOOP
        first := coalesce(first, place);
        RETURN NEXT;
    END LOOP;

    is_parked := false;
    tries := 0;
    FOR place, event, tenant_id, kind, payload, caused_by, created_at IN
        WITH ahead AS MATERIALIZED (
            SELECT e.* FROM tenancy.outbox_events AS e WHERE e.place > here
            ORDER BY e.place LIMIT at_most
        ), waiting AS (
            SELECT min(a.place) AS place FROM ahead AS a
            WHERE EXISTS (SELECT FROM tenancy.outbox_parked AS p
                WHERE p.consumer = of AND p.lane = coalesce(a.tenant_id, nobody)
                    AND p.set_aside_at IS NULL)
        )
        SELECT a.place, a.event, a.tenant_id, a.kind, a.payload, a.caused_by, a.created_at
        FROM ahead AS a, waiting AS w WHERE w.place IS NULL OR a.place < w.place ORDER BY a.place
    LOOP
        first := coalesce(first, place);
        RETURN NEXT;
    END LOOP;

    UPDATE tenancy.outbox_consumers AS c SET in_hand = first
    WHERE c.name = of AND c.in_hand IS DISTINCT FROM first;
END
$$;

-- Extends a lease.
CREATE FUNCTION tenancy.outbox_renew(of text, by_claim bigint, lasting bigint) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT tenancy.outbox_hold(of, by_claim, lasting);
    END;

-- Notes that an event was handled, moves the position, and notes what is handled next.
CREATE FUNCTION tenancy.outbox_succeed(of text, by_claim bigint, lasting bigint, at_place bigint,
    next_place bigint) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    in_lane uuid;
BEGIN
    PERFORM tenancy.outbox_hold(of, by_claim, lasting);
    DELETE FROM tenancy.outbox_parked AS p WHERE p.consumer = of AND p.place = at_place
    RETURNING p.lane INTO in_lane;
    IF FOUND THEN
        PERFORM tenancy.outbox_mend_lane(of, in_lane);
    END IF;
    UPDATE tenancy.outbox_consumers AS c
        SET place = greatest(c.place, at_place), moved_at = clock_timestamp(), in_hand = next_place
    WHERE c.name = of;
END
$$;

-- Notes that an event was tried in vain, moves the position, and notes what is handled next.
CREATE FUNCTION tenancy.outbox_park(of text, by_claim bigint, lasting bigint, at_place bigint, said text,
    pause bigint, next_place bigint) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM tenancy.outbox_hold(of, by_claim, lasting);
    PERFORM tenancy.outbox_fail(of, at_place, said, pause);
    UPDATE tenancy.outbox_consumers AS c SET in_hand = next_place WHERE c.name = of;
END
$$;

-- Gives a lease back.
CREATE FUNCTION tenancy.outbox_release(of text, by_claim bigint) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        UPDATE tenancy.outbox_consumers AS c SET holder = NULL, held_until = NULL, in_hand = NULL
        WHERE c.name = of AND c.claim = by_claim;
    END;

-- Has a parked event tried again at once, with as many tries as a new one. Returns whether there is one.
CREATE FUNCTION tenancy.outbox_retry(of text, at_place bigint) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    in_lane uuid;
BEGIN
    PERFORM FROM tenancy.outbox_consumers AS c WHERE c.name = of FOR UPDATE;
    UPDATE tenancy.outbox_parked AS p SET tries = 0, due_at = clock_timestamp(), tried_at = NULL,
        set_aside_at = NULL
    WHERE p.consumer = of AND p.place = at_place
    RETURNING p.lane INTO in_lane;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM tenancy.outbox_mend_lane(of, in_lane);
    RETURN true;
END
$$;

-- Removes a parked event: this consumer does not see it any more. Returns whether there was one.
CREATE FUNCTION tenancy.outbox_drop(of text, at_place bigint) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    in_lane uuid;
BEGIN
    PERFORM FROM tenancy.outbox_consumers AS c WHERE c.name = of FOR UPDATE;
    DELETE FROM tenancy.outbox_parked AS p WHERE p.consumer = of AND p.place = at_place
    RETURNING p.lane INTO in_lane;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM tenancy.outbox_mend_lane(of, in_lane);
    RETURN true;
END
$$;

-- Removes a consumer, with its position and what it has parked. Returns whether there was one.
CREATE FUNCTION tenancy.outbox_remove_consumer(of text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM tenancy.outbox_consumers AS c WHERE c.name = of;
    RETURN FOUND;
END
$$;

-- Removes events that are older than so many milliseconds, that every consumer has passed, and that nobody has
-- parked. Looks at so many of the oldest, and returns how many it has removed.
CREATE FUNCTION tenancy.outbox_prune(older_than bigint, at_most integer) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    passed bigint;
    removed bigint;
BEGIN
    PERFORM tenancy.outbox_order(10000, false);
    passed := (SELECT coalesce(min(c.place), 9223372036854775807) FROM tenancy.outbox_consumers AS c);
    DELETE FROM tenancy.outbox_events AS e
    USING (
        SELECT o.id, o.created_at FROM tenancy.outbox_events AS o
        WHERE o.place <= passed
            AND NOT EXISTS (SELECT FROM tenancy.outbox_parked AS p WHERE p.event_id = o.id)
        ORDER BY o.place LIMIT at_most
    ) AS oldest
    WHERE e.id = oldest.id
        AND oldest.created_at <= clock_timestamp() - older_than * interval '1 millisecond';
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN removed;
END
$$;

REVOKE ALL ON FUNCTION
    tenancy.outbox_order(integer, boolean), tenancy.outbox_mend_lane(text, uuid),
    tenancy.outbox_hold(text, bigint, bigint), tenancy.outbox_fail(text, bigint, text, bigint),
    tenancy.outbox_claim(text, uuid, bigint, boolean, integer, bigint),
    tenancy.outbox_page(text, bigint, bigint, integer), tenancy.outbox_renew(text, bigint, bigint),
    tenancy.outbox_succeed(text, bigint, bigint, bigint, bigint),
    tenancy.outbox_park(text, bigint, bigint, bigint, text, bigint, bigint),
    tenancy.outbox_release(text, bigint), tenancy.outbox_retry(text, bigint),
    tenancy.outbox_drop(text, bigint), tenancy.outbox_remove_consumer(text),
    tenancy.outbox_prune(bigint, integer)
FROM PUBLIC;

-- As before, and the outbox and the trail.
CREATE OR REPLACE FUNCTION tenancy.app_privileges() RETURNS TABLE (relation name, privilege text)
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT r::name, 'SELECT' FROM unnest(ARRAY['tenants', 'domains', 'external_ids', 'memberships',
            'roles', 'projects', 'project_memberships', 'generations', 'role_names',
            'audit_entries']) AS r
        UNION ALL
        SELECT r::name, 'INSERT' FROM unnest(ARRAY['outbox_events', 'audit_entries']) AS r;
    END;

-- What programs need from here on: the outbox, and entries of the trail that are written with a change.
CREATE OR REPLACE FUNCTION tenancy.schema_version() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 6;
