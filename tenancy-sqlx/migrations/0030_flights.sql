-- An operation that a client repeats while it is under way, perhaps in another process: what one request was admitted with
-- is not given back by the other one.

-- Whether a repetition was granted with what the operation has taken.
ALTER TABLE tenancy.quota_operations ADD COLUMN shared boolean NOT NULL DEFAULT false;

-- As before, and a repetition leaves a note. Whoever repeats and whoever settles take turns at the operation's row: either
-- the settlement finds the note, or the repetition finds that nothing is taken any more, and takes it.
CREATE OR REPLACE FUNCTION tenancy.quota_reserve(said jsonb) RETURNS TABLE (place integer, used bigint,
    is_denied boolean, crossed integer, is_repeated boolean)
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
    IF remembered IS NOT NULL THEN
        PERFORM FROM tenancy.quota_operations AS o
        WHERE o.operation = of AND o.taken AND o.until > at AND o.claim <> by_claim FOR UPDATE;
        repeated := FOUND;
    END IF;
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

    IF remembered IS NOT NULL AND NOT repeated AND NOT denied AND NOT dry THEN
        INSERT INTO tenancy.quota_operations AS o (operation, taken, settled, claim, until)
        VALUES (of, true, false, by_claim, at + remembered * interval '1 microsecond')
        ON CONFLICT (operation) DO UPDATE SET taken = true, settled = false, claim = excluded.claim,
            until = excluded.until, shared = o.shared AND o.claim = by_claim
        WHERE NOT o.taken OR o.until <= at OR o.claim = by_claim;
        repeated := NOT FOUND;
    END IF;
    IF repeated THEN
        UPDATE tenancy.quota_operations AS o SET shared = true WHERE o.operation = of AND NOT o.shared;
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

-- As before. With `keeps_shared`, an operation with such a note stays taken, and `repeated` is the answer. Programs of
-- the release before don't say it.
CREATE OR REPLACE FUNCTION tenancy.quota_settle(said jsonb) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    of uuid := (said ->> 'operation')::uuid;
    at timestamptz := tenancy.quota_moment((said ->> 'now')::bigint);
    by_claim uuid := (said ->> 'claim')::uuid;
    gives_all_back boolean := (said ->> 'gives_all_back')::boolean;
    keeps_shared boolean := coalesce((said ->> 'keeps_shared')::boolean, false);
    one record;
    was_reserved boolean;
    is_kept boolean;
    outcome text := 'done';
BEGIN
    INSERT INTO tenancy.quota_operations AS o (operation, taken, settled, claim, until)
    VALUES (of, false, true, by_claim, at + (said ->> 'remembered')::bigint * interval '1 microsecond')
    ON CONFLICT (operation) DO UPDATE SET
        taken = o.taken AND o.until > at AND NOT (gives_all_back AND NOT (keeps_shared AND o.shared)),
        settled = true, claim = excluded.claim, until = excluded.until
    WHERE NOT o.settled OR o.until <= at
    RETURNING o.taken AND o.shared AND keeps_shared INTO is_kept;
    IF NOT FOUND THEN
        RETURN CASE WHEN EXISTS (SELECT FROM tenancy.quota_operations AS o WHERE o.operation = of
                AND o.claim = by_claim AND NOT (o.taken AND o.shared AND keeps_shared))
            THEN 'done' ELSE 'repeated' END;
    END IF;
    IF is_kept THEN
        RETURN 'repeated';
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

REVOKE ALL ON FUNCTION tenancy.quota_reserve(jsonb), tenancy.quota_settle(jsonb) FROM PUBLIC;

-- What programs need from here on: the column `shared` of operations.
CREATE OR REPLACE FUNCTION tenancy.schema_version() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 13;
