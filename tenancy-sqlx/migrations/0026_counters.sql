-- Counters that survive: what is used in a period, and what is held. Programs call functions; no login but the
-- operators' reads a table.
--
-- A period is counted by leases. A process debits some units ahead, and then answers from memory. What is debited never
-- exceeds the limit, so what is used does not either. A lease has no end here: what a process that is gone had in hand
-- stays debited until the period ends. A process that lives returns what it does not use.
--
-- What is held is a number and reservations. A reservation ends by itself, or is confirmed: then it has no end, and the
-- next one who looks adds it to the number. A transaction of the application confirms without locking the number, so
-- that those who reserve do not wait for its commit. A reservation of less than nothing is something to be given back,
-- and counts once it is confirmed.

CREATE TABLE tenancy.quota_counts (
    holder text NOT NULL,
    limit_name text NOT NULL,
    -- The period.
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    tenant_id uuid,
    -- What is used, and what processes have in hand.
    debited bigint NOT NULL DEFAULT 0 CHECK (debited >= 0),
    -- The highest threshold that was told, in percent.
    told integer NOT NULL DEFAULT 0,
    -- One period more, for clocks that are set back.
    kept_until timestamptz NOT NULL,
    PRIMARY KEY (holder, limit_name, starts_at)
);
CREATE INDEX quota_counts_kept ON tenancy.quota_counts (kept_until);
CREATE INDEX quota_counts_tenant ON tenancy.quota_counts (tenant_id);

-- What each process has in hand of a period.
CREATE TABLE tenancy.quota_leases (
    holder text NOT NULL,
    limit_name text NOT NULL,
    starts_at timestamptz NOT NULL,
    lessee uuid NOT NULL,
    -- The number of its last call. An earlier call that arrives later changes nothing.
    turn bigint NOT NULL,
    in_hand bigint NOT NULL CHECK (in_hand >= 0),
    -- What it has used so far, by its own count.
    consumed bigint NOT NULL,
    -- What its last call was answered, for when it asks again because the answer got lost.
    granted bigint NOT NULL,
    crossed integer NOT NULL,
    PRIMARY KEY (holder, limit_name, starts_at, lessee),
    FOREIGN KEY (holder, limit_name, starts_at) REFERENCES tenancy.quota_counts ON DELETE CASCADE
);

CREATE TABLE tenancy.quota_holdings (
    holder text NOT NULL,
    limit_name text NOT NULL,
    tenant_id uuid,
    kept bigint NOT NULL DEFAULT 0 CHECK (kept >= 0),
    -- The threshold that was told last, in percent, and when.
    told integer NOT NULL DEFAULT 0,
    told_at timestamptz,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (holder, limit_name)
);
CREATE INDEX quota_holdings_empty ON tenancy.quota_holdings (changed_at) WHERE kept = 0;
CREATE INDEX quota_holdings_tenant ON tenancy.quota_holdings (tenant_id);

CREATE TABLE tenancy.quota_reservations (
    holder text NOT NULL,
    limit_name text NOT NULL,
    operation uuid NOT NULL,
    tenant_id uuid,
    -- Below 0: to be given back.
    amount bigint NOT NULL CHECK (amount <> 0),
    -- When it ends, by the clocks of the programs. NULL once it is confirmed.
    until timestamptz,
    -- How long it lasts at most, for a clock that is set back.
    lasts interval NOT NULL,
    PRIMARY KEY (holder, limit_name, operation)
);
CREATE INDEX quota_reservations_operation ON tenancy.quota_reservations (operation);
CREATE INDEX quota_reservations_until ON tenancy.quota_reservations (until);

-- Operations that may come again.
CREATE TABLE tenancy.quota_operations (
    operation uuid PRIMARY KEY,
    taken boolean NOT NULL,
    settled boolean NOT NULL,
    -- Which call it was, so that one whose answer got lost is not taken for another.
    claim uuid NOT NULL,
    until timestamptz NOT NULL
);
CREATE INDEX quota_operations_until ON tenancy.quota_operations (until);

CREATE FUNCTION tenancy.quota_moment(micros bigint) RETURNS timestamptz
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN timestamptz 'epoch' + micros * interval '1 microsecond';

-- The largest amount that is counted.
CREATE FUNCTION tenancy.quota_most() RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 999999999999999::bigint;

-- The highest of some thresholds that so much use reaches, in percent; 0 for none.
CREATE FUNCTION tenancy.quota_reached(warn jsonb, included bigint, used bigint) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN coalesce((SELECT max(w::integer) FROM jsonb_array_elements_text(warn) AS w
        WHERE used > 0 AND used * 100::numeric >= included::numeric * w::integer), 0);

-- Tells consumers of the outbox that a threshold was reached, in the transaction that reaches it.
CREATE FUNCTION tenancy.quota_tell(tenant uuid, of_holder text, of_limit text, percent integer, used bigint,
    included bigint, starts timestamptz) RETURNS void
    LANGUAGE sql SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        INSERT INTO tenancy.outbox_events (event, tenant_id, kind, payload)
        VALUES (gen_random_uuid(), tenant, 'quota.threshold-reached', jsonb_strip_nulls(jsonb_build_object(
            'holder', of_holder, 'limit', of_limit, 'percent', percent, 'used', used, 'included', included,
            'period_starts_at', to_char(starts AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))));
    END;

-- Reports what a process has in hand of a period and has used, and grants it more.
--
-- The process says what it has in hand and what it has used, and not what has changed. So an answer that got lost is
-- made good by the next call, and a call that arrives late is known by its turn. `fresh` says that it has nothing in
-- hand and begins to count what it uses.
--
-- It is granted what its callers wait for, if there is enough for one of them. Beyond that, it gets `batch` units at
-- most, a 64th of what is left at most, and none that would reach a threshold: whoever reaches one is here.
CREATE FUNCTION tenancy.quota_lease(said jsonb, OUT debited bigint, OUT granted bigint, OUT crossed integer)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    own record;
    entry tenancy.quota_counts;
    lease tenancy.quota_leases;
    is_new boolean;
    back bigint;
    others bigint;
    room bigint;
    threshold bigint;
    reached integer;
BEGIN
    SELECT s.*, tenancy.quota_moment(s.starts) AS start, tenancy.quota_moment(s.ends) AS stop INTO own
    FROM jsonb_to_record(said) AS s (tenant uuid, holder text, limit_name text, starts bigint, ends bigint,
        lessee uuid, turn bigint, fresh boolean, in_hand bigint, consumed bigint, wanted bigint,
        smallest bigint, batch bigint, included bigint, most bigint, warn jsonb);
    LOOP
        SELECT c.* INTO entry FROM tenancy.quota_counts AS c
        WHERE c.holder = own.holder AND c.limit_name = own.limit_name AND c.starts_at = own.start FOR UPDATE;
        EXIT WHEN FOUND;
        INSERT INTO tenancy.quota_counts (holder, limit_name, starts_at, ends_at, tenant_id, kept_until)
        VALUES (own.holder, own.limit_name, own.start, own.stop, own.tenant,
            own.stop + (own.stop - own.start))
        ON CONFLICT DO NOTHING;
    END LOOP;
    -- A month and a year may begin at one moment and have one name. What is counted is kept for the longer one.
    IF entry.ends_at < own.stop THEN
        UPDATE tenancy.quota_counts AS c
        SET ends_at = own.stop, kept_until = own.stop + (own.stop - own.start)
        WHERE c.holder = own.holder AND c.limit_name = own.limit_name AND c.starts_at = own.start;
    END IF;
    SELECT l.* INTO lease FROM tenancy.quota_leases AS l
    WHERE l.holder = own.holder AND l.limit_name = own.limit_name AND l.starts_at = own.start
        AND l.lessee = own.lessee;
    is_new := NOT FOUND;
    IF NOT is_new AND lease.turn >= own.turn THEN
        debited := entry.debited;
        granted := CASE WHEN lease.turn = own.turn THEN lease.granted ELSE 0 END;
        crossed := CASE WHEN lease.turn = own.turn THEN lease.crossed ELSE 0 END;
        RETURN;
    END IF;

    back := coalesce(lease.in_hand, 0) - own.in_hand
        - (own.consumed - CASE WHEN is_new OR own.fresh THEN 0 ELSE lease.consumed END);
    -- What processes have in hand is debited, whatever is given back.
    others := (SELECT coalesce(sum(l.in_hand), 0) FROM tenancy.quota_leases AS l
        WHERE l.holder = own.holder AND l.limit_name = own.limit_name AND l.starts_at = own.start
            AND l.lessee <> own.lessee);
    debited := least(greatest(entry.debited - back, others + own.in_hand), tenancy.quota_most());

    granted := 0;
    room := coalesce(own.most, tenancy.quota_most()) - debited;
    IF own.wanted > 0 AND room >= own.smallest THEN
        granted := least(room, own.wanted);
        threshold := (SELECT min((own.included * w::integer + 99) / 100)
            FROM jsonb_array_elements_text(own.warn) AS w
            WHERE (own.included * w::integer + 99) / 100 > debited + granted);
        granted := greatest(granted, least(own.batch, room / 64,
            coalesce(threshold - 1 - debited, own.batch)));
    END IF;
    debited := debited + granted;
    reached := tenancy.quota_reached(own.warn, own.included, debited);
    crossed := CASE WHEN granted > 0 AND reached > entry.told THEN reached ELSE 0 END;
    IF crossed > 0 THEN
        PERFORM tenancy.quota_tell(own.tenant, own.holder, own.limit_name, crossed, debited, own.included,
            own.start);
    END IF;
    IF debited <> entry.debited OR crossed > 0 THEN
        UPDATE tenancy.quota_counts AS c SET debited = quota_lease.debited, told = greatest(c.told, crossed)
        WHERE c.holder = own.holder AND c.limit_name = own.limit_name AND c.starts_at = own.start;
    END IF;
    IF is_new AND granted = 0 AND own.in_hand = 0 AND own.consumed = 0 THEN
        RETURN;
    END IF;
    INSERT INTO tenancy.quota_leases AS l (holder, limit_name, starts_at, lessee, turn, in_hand, consumed,
        granted, crossed)
    VALUES (own.holder, own.limit_name, own.start, own.lessee, own.turn, own.in_hand + granted, own.consumed,
        granted, crossed)
    ON CONFLICT ON CONSTRAINT quota_leases_pkey DO UPDATE SET turn = excluded.turn,
        in_hand = excluded.in_hand, consumed = excluded.consumed, granted = excluded.granted,
        crossed = excluded.crossed;
END
$$;

-- What of a holding counts at a moment, without waiting for anybody.
CREATE FUNCTION tenancy.quota_held(of_holder text, of_limit text, at timestamptz) RETURNS bigint
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT greatest(0, least(tenancy.quota_most(), coalesce((SELECT h.kept FROM tenancy.quota_holdings AS h
                WHERE h.holder = of_holder AND h.limit_name = of_limit), 0)
            + coalesce((SELECT sum(r.amount) FROM tenancy.quota_reservations AS r
                WHERE r.holder = of_holder AND r.limit_name = of_limit
                    AND (r.until IS NULL OR r.amount > 0 AND r.until > at)), 0)))::bigint;
    END;

-- Locks a holding until the transaction ends, ends the reservations that are over, and adds what was confirmed to what
-- is kept. Returns what counts.
--
-- A reservation that somebody is confirming can't be ended, and counts.
CREATE FUNCTION tenancy.quota_hold(tenant uuid, of_holder text, of_limit text, at timestamptz) RETURNS bigint
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    before bigint;
    confirmed bigint;
    reserved bigint;
    some_of uuid[];
BEGIN
    LOOP
        SELECT h.kept INTO before FROM tenancy.quota_holdings AS h
        WHERE h.holder = of_holder AND h.limit_name = of_limit FOR UPDATE;
        EXIT WHEN FOUND;
        INSERT INTO tenancy.quota_holdings (holder, limit_name, tenant_id)
        VALUES (of_holder, of_limit, tenant) ON CONFLICT DO NOTHING;
    END LOOP;
    SELECT array_agg(l.operation) INTO some_of FROM (SELECT x.operation FROM tenancy.quota_reservations AS x
        WHERE x.holder = of_holder AND x.limit_name = of_limit AND x.until > at + x.lasts
        FOR UPDATE SKIP LOCKED) AS l;
    IF some_of IS NOT NULL THEN
        UPDATE tenancy.quota_reservations AS r SET until = at + r.lasts
        WHERE r.holder = of_holder AND r.limit_name = of_limit AND r.operation = ANY (some_of);
    END IF;
    SELECT array_agg(l.operation), coalesce(sum(l.amount) FILTER (WHERE l.until IS NULL), 0)
    INTO some_of, confirmed
    FROM (SELECT x.operation, x.amount, x.until FROM tenancy.quota_reservations AS x
        WHERE x.holder = of_holder AND x.limit_name = of_limit AND (x.until <= at OR x.until IS NULL)
        FOR UPDATE SKIP LOCKED) AS l;
    IF some_of IS NOT NULL THEN
        DELETE FROM tenancy.quota_reservations AS r
        WHERE r.holder = of_holder AND r.limit_name = of_limit AND r.operation = ANY (some_of);
    END IF;
    before := greatest(0, least(before + confirmed, tenancy.quota_most()));
    UPDATE tenancy.quota_holdings AS h SET kept = before, changed_at = clock_timestamp()
    WHERE h.holder = of_holder AND h.limit_name = of_limit
        AND (h.kept <> before OR h.changed_at < clock_timestamp() - interval '1 hour');
    reserved := (SELECT coalesce(sum(r.amount), 0) FROM tenancy.quota_reservations AS r
        WHERE r.holder = of_holder AND r.limit_name = of_limit AND r.amount > 0);
    RETURN least(before + reserved, tenancy.quota_most());
END
$$;

-- Reserves of several holdings, all or nothing, and remembers the operation if it may come again. With `dry`, looks
-- only. The first row, at place -1, tells whether it was taken before; then comes each take.
CREATE FUNCTION tenancy.quota_reserve(said jsonb) RETURNS TABLE (place integer, used bigint, is_denied boolean,
    crossed integer, is_repeated boolean)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    of uuid := (said ->> 'operation')::uuid;
    at timestamptz := tenancy.quota_moment((said ->> 'now')::bigint);
    dry boolean := (said ->> 'dry')::boolean;
    remembered bigint := (said ->> 'remembered')::bigint;
    by_claim uuid := (said ->> 'claim')::uuid;
    repeated boolean := false;
    denied boolean := false;
    one record;
    uses bigint[];
    use bigint;
    number integer := 0;
    is_reserved boolean;
BEGIN
    FOR one IN
        SELECT t.* FROM jsonb_to_recordset(said -> 'takes') AS t (tenant uuid, holder text, limit_name text,
            amount bigint, most bigint)
        ORDER BY t.holder, t.limit_name
    LOOP
        number := number + 1;
        use := CASE WHEN dry THEN tenancy.quota_held(one.holder, one.limit_name, at)
            ELSE tenancy.quota_hold(one.tenant, one.holder, one.limit_name, at) END;
        uses[number] := use;
        is_reserved := EXISTS (SELECT FROM tenancy.quota_reservations AS r WHERE r.holder = one.holder
            AND r.limit_name = one.limit_name AND r.operation = of AND r.until > at);
        denied := denied OR one.amount > 0 AND NOT is_reserved
            AND use + one.amount > coalesce(one.most, tenancy.quota_most());
    END LOOP;

    IF remembered IS NOT NULL THEN
        repeated := EXISTS (SELECT FROM tenancy.quota_operations AS o
            WHERE o.operation = of AND o.taken AND o.until > at AND o.claim <> by_claim);
        IF NOT repeated AND NOT denied AND NOT dry THEN
            INSERT INTO tenancy.quota_operations AS o (operation, taken, settled, claim, until)
            VALUES (of, true, false, by_claim, at + remembered * interval '1 microsecond')
            ON CONFLICT (operation) DO UPDATE SET taken = true, settled = false, claim = excluded.claim,
                until = excluded.until
            WHERE NOT o.taken OR o.until <= at OR o.claim = by_claim;
            repeated := NOT FOUND;
        END IF;
    END IF;
    place := -1;
    is_repeated := repeated;
    is_denied := denied AND NOT repeated;
    RETURN NEXT;

    number := 0;
    FOR one IN
        SELECT t.* FROM jsonb_to_recordset(said -> 'takes') AS t (place integer, tenant uuid, holder text,
            limit_name text, amount bigint, included bigint, most bigint, lasts bigint, warn jsonb)
        ORDER BY t.holder, t.limit_name
    LOOP
        number := number + 1;
        place := one.place;
        used := uses[number];
        crossed := 0;
        is_reserved := EXISTS (SELECT FROM tenancy.quota_reservations AS r WHERE r.holder = one.holder
            AND r.limit_name = one.limit_name AND r.operation = of AND r.until > at);
        is_denied := NOT repeated AND one.amount > 0 AND NOT is_reserved
            AND used + one.amount > coalesce(one.most, tenancy.quota_most());
        IF NOT (repeated OR denied OR dry OR is_reserved) AND one.amount > 0 THEN
            INSERT INTO tenancy.quota_reservations (holder, limit_name, operation, tenant_id, amount, until,
                lasts)
            VALUES (one.holder, one.limit_name, of, one.tenant, one.amount,
                at + one.lasts * interval '1 microsecond', one.lasts * interval '1 microsecond');
            crossed := tenancy.quota_reached(one.warn, one.included, used + one.amount);
            IF crossed <= tenancy.quota_reached(one.warn, one.included, used) THEN
                crossed := 0;
            END IF;
            used := used + one.amount;
            -- Whoever reserves and gives back by turns decides how often that is. It is told once in an hour.
            UPDATE tenancy.quota_holdings AS h SET told = quota_reserve.crossed, told_at = clock_timestamp()
            WHERE h.holder = one.holder AND h.limit_name = one.limit_name AND quota_reserve.crossed > 0
                AND (h.told_at IS NULL OR h.told < quota_reserve.crossed
                    OR h.told_at < clock_timestamp() - interval '1 hour');
            IF FOUND THEN
                PERFORM tenancy.quota_tell(one.tenant, one.holder, one.limit_name, crossed, used,
                    one.included, NULL);
            END IF;
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;

-- Settles an operation, or gives something back, once. Returns `done`, `repeated`, or `late` where a reservation that is
-- kept had ended.
CREATE FUNCTION tenancy.quota_settle(said jsonb) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    of uuid := (said ->> 'operation')::uuid;
    at timestamptz := tenancy.quota_moment((said ->> 'now')::bigint);
    by_claim uuid := (said ->> 'claim')::uuid;
    gives_all_back boolean := (said ->> 'gives_all_back')::boolean;
    one record;
    was_reserved boolean;
    outcome text := 'done';
BEGIN
    INSERT INTO tenancy.quota_operations AS o (operation, taken, settled, claim, until)
    VALUES (of, false, true, by_claim, at + (said ->> 'remembered')::bigint * interval '1 microsecond')
    ON CONFLICT (operation) DO UPDATE SET taken = o.taken AND o.until > at AND NOT gives_all_back,
        settled = true, claim = excluded.claim, until = excluded.until
    WHERE NOT o.settled OR o.until <= at;
    IF NOT FOUND THEN
        RETURN CASE WHEN EXISTS (SELECT FROM tenancy.quota_operations AS o
            WHERE o.operation = of AND o.claim = by_claim) THEN 'done' ELSE 'repeated' END;
    END IF;
    FOR one IN
        SELECT t.* FROM jsonb_to_recordset(said -> 'settles') AS t (tenant uuid, holder text, limit_name text,
            actual bigint, frees bigint)
        ORDER BY t.holder, t.limit_name
    LOOP
        PERFORM tenancy.quota_hold(one.tenant, one.holder, one.limit_name, at);
        -- What a transaction has confirmed is kept.
        DELETE FROM tenancy.quota_reservations AS r
        WHERE r.holder = one.holder AND r.limit_name = one.limit_name AND r.operation = of
            AND r.until IS NOT NULL AND one.frees IS NULL;
        was_reserved := FOUND;
        IF one.actual > 0 OR one.frees > 0 THEN
            UPDATE tenancy.quota_holdings AS h SET changed_at = clock_timestamp(),
                kept = least(greatest(h.kept + coalesce(one.actual, 0) - coalesce(one.frees, 0), 0),
                    tenancy.quota_most())
            WHERE h.holder = one.holder AND h.limit_name = one.limit_name;
        END IF;
        IF one.actual > 0 AND NOT was_reserved THEN
            outcome := 'late';
        END IF;
    END LOOP;
    RETURN outcome;
END
$$;

-- Gives reservations their full time again. Returns whether all were there.
CREATE FUNCTION tenancy.quota_renew(said jsonb) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    at timestamptz := tenancy.quota_moment((said ->> 'now')::bigint);
    one record;
    are_all boolean := true;
BEGIN
    FOR one IN
        SELECT t.* FROM jsonb_to_recordset(said -> 'takes') AS t (tenant uuid, holder text, limit_name text)
        ORDER BY t.holder, t.limit_name
    LOOP
        PERFORM tenancy.quota_hold(one.tenant, one.holder, one.limit_name, at);
        UPDATE tenancy.quota_reservations AS r SET until = at + r.lasts
        WHERE r.holder = one.holder AND r.limit_name = one.limit_name AND r.until > at
            AND r.operation = (said ->> 'operation')::uuid;
        are_all := are_all AND FOUND;
    END LOOP;
    RETURN are_all;
END
$$;

-- Prepares to give something back: it counts once the application's transaction confirms it.
CREATE FUNCTION tenancy.quota_offer(said jsonb) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    at timestamptz := tenancy.quota_moment((said ->> 'now')::bigint);
    one record;
BEGIN
    FOR one IN
        SELECT t.*, t.lasts * interval '1 microsecond' AS span
        FROM jsonb_to_recordset(said -> 'takes') AS t (tenant uuid, holder text, limit_name text,
            amount bigint, lasts bigint)
        WHERE t.amount > 0 ORDER BY t.holder, t.limit_name
    LOOP
        PERFORM tenancy.quota_hold(one.tenant, one.holder, one.limit_name, at);
        INSERT INTO tenancy.quota_reservations (holder, limit_name, operation, tenant_id, amount, until, lasts)
        VALUES (one.holder, one.limit_name, (said ->> 'operation')::uuid, one.tenant, -one.amount,
            at + one.span, one.span)
        ON CONFLICT DO NOTHING;
    END LOOP;
END
$$;

-- Confirms what was reserved or offered under an id, in the transaction of the rows that it is about. Returns how many
-- holdings it is about. The only one of these functions that the service's login may call. It can't make up an amount:
-- what there is to confirm was reserved against the limit, by another login. And it can't reach another tenant's.
CREATE FUNCTION tenancy.quota_confirm(of_operation uuid) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    confirmed integer;
BEGIN
    -- What is of the whole service has no tenant. Ids can't be guessed.
    UPDATE tenancy.quota_reservations AS r SET until = NULL
    WHERE r.operation = of_operation AND r.until IS NOT NULL
        AND coalesce(r.tenant_id, tenancy.current_tenant()) = tenancy.current_tenant();
    GET DIAGNOSTICS confirmed = ROW_COUNT;
    RETURN confirmed;
END
$$;

-- Where limits stand, without waiting for anybody.
CREATE FUNCTION tenancy.quota_standings(said jsonb) RETURNS TABLE (place integer, used bigint)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT t.place, CASE WHEN t.starts IS NULL
            THEN tenancy.quota_held(t.holder, t.limit_name, tenancy.quota_moment((said ->> 'now')::bigint))
            ELSE coalesce((SELECT c.debited FROM tenancy.quota_counts AS c WHERE c.holder = t.holder
                AND c.limit_name = t.limit_name AND c.starts_at = tenancy.quota_moment(t.starts)), 0) END
        FROM jsonb_to_recordset(said -> 'takes') AS t (place integer, holder text, limit_name text,
            starts bigint);
    END;

-- Removes what changes no answer any more, so many rows of each table at most. Returns how many. By the clock of the
-- database: that of one program may be wrong.
CREATE FUNCTION tenancy.quota_clean(at_most integer) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    removed bigint := 0;
    gone bigint;
BEGIN
    DELETE FROM tenancy.quota_operations AS o USING (SELECT x.operation FROM tenancy.quota_operations AS x
        WHERE x.until <= clock_timestamp() ORDER BY x.until LIMIT at_most FOR UPDATE SKIP LOCKED) AS past
    WHERE o.operation = past.operation;
    GET DIAGNOSTICS gone = ROW_COUNT;
    removed := removed + gone;
    DELETE FROM tenancy.quota_counts AS c USING (SELECT x.holder, x.limit_name, x.starts_at
        FROM tenancy.quota_counts AS x WHERE x.kept_until <= clock_timestamp()
        ORDER BY x.kept_until LIMIT at_most FOR UPDATE SKIP LOCKED) AS past
    WHERE (c.holder, c.limit_name, c.starts_at) = (past.holder, past.limit_name, past.starts_at);
    GET DIAGNOSTICS gone = ROW_COUNT;
    removed := removed + gone;
    -- Clocks of programs differ by less than an hour.
    DELETE FROM tenancy.quota_reservations AS r USING (SELECT x.holder, x.limit_name, x.operation
        FROM tenancy.quota_reservations AS x WHERE x.until <= clock_timestamp() - interval '1 hour'
        ORDER BY x.until LIMIT at_most FOR UPDATE SKIP LOCKED) AS past
    WHERE (r.holder, r.limit_name, r.operation) = (past.holder, past.limit_name, past.operation);
    GET DIAGNOSTICS gone = ROW_COUNT;
    removed := removed + gone;
    DELETE FROM tenancy.quota_holdings AS h USING (SELECT x.holder, x.limit_name
        FROM tenancy.quota_holdings AS x
        WHERE x.kept = 0 AND x.changed_at <= clock_timestamp() - interval '1 day'
            AND NOT EXISTS (SELECT FROM tenancy.quota_reservations AS r
                WHERE r.holder = x.holder AND r.limit_name = x.limit_name)
        ORDER BY x.changed_at LIMIT at_most FOR UPDATE SKIP LOCKED) AS empty
    WHERE (h.holder, h.limit_name) = (empty.holder, empty.limit_name) AND h.kept = 0
        AND NOT EXISTS (SELECT FROM tenancy.quota_reservations AS r
            WHERE r.holder = h.holder AND r.limit_name = h.limit_name);
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN removed + gone;
END
$$;

REVOKE ALL ON FUNCTION tenancy.quota_moment(bigint), tenancy.quota_most(),
    tenancy.quota_reached(jsonb, bigint, bigint),
    tenancy.quota_tell(uuid, text, text, integer, bigint, bigint, timestamptz), tenancy.quota_lease(jsonb),
    tenancy.quota_held(text, text, timestamptz), tenancy.quota_hold(uuid, text, text, timestamptz),
    tenancy.quota_reserve(jsonb), tenancy.quota_settle(jsonb), tenancy.quota_renew(jsonb),
    tenancy.quota_offer(jsonb), tenancy.quota_confirm(uuid), tenancy.quota_standings(jsonb),
    tenancy.quota_clean(integer)
FROM PUBLIC;

-- What programs need from here on: counters.
CREATE OR REPLACE FUNCTION tenancy.schema_version() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 10;
