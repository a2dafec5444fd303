-- The feed in pages: a cursor says what a snapshot has seen, so that one long transaction does not have
-- everything told again at each call, and a page is no longer than its reader wants.

-- In the order of pages.
CREATE INDEX generations_pages ON tenancy.generations (changed_xid, tenant_id);
DROP INDEX tenancy.generations_changed;
CREATE INDEX token_epochs_pages ON tenancy.token_epochs (changed_xid, kind, subject);
DROP INDEX tenancy.token_epochs_changed;

-- One page of what changed since a cursor; without one, of every epoch. The last row has the cursor to
-- go on with, and says whether there is more.
--
-- A cursor has the snapshot that everything up to it has been told of (`until`). Where there is more, it
-- also has the snapshot before (`base`) and how far between the two the page has come: changes are told
-- in the order of their transactions, tenants before epochs. What commits meanwhile behind that place
-- is not in `until`, and so is told by a later call.
--
-- A change is told if the transaction that made it was not visible in the snapshot. That of a subtransaction would
-- not do; `changed_xid` never is one's. A standby does not tell which transactions were open: there a
-- snapshot has seen what is older than the oldest of them.
CREATE FUNCTION tenancy.feed_page(since text, at_most integer)
    RETURNS TABLE (cursor text, number bigint, more boolean, origin text,
        tenant_id uuid, generation bigint, kind text, subject text, valid_after timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    here pg_snapshot := pg_current_snapshot();
    next xid8 := pg_snapshot_xmax(here);
    place jsonb := since::jsonb;
    continued boolean := coalesce(place ? 'stage', false);
    base pg_snapshot := CASE WHEN continued THEN place ->> 'base' ELSE place ->> 'until' END;
    until pg_snapshot := CASE WHEN continued THEN (place ->> 'until')::pg_snapshot
        WHEN pg_is_in_recovery() THEN
            format('%1$s:%1$s:', pg_snapshot_xmin(here))::pg_snapshot
        ELSE here END;
    -- What is not in `base`: from `later` on, and what was open then.
    later xid8 := coalesce(pg_snapshot_xmax(base), '0');
    open xid8[] := ARRAY(SELECT x FROM pg_snapshot_xip(base) AS x);
    first xid8 := coalesce(pg_snapshot_xmin(base), '0');
    stage text := CASE WHEN continued THEN place ->> 'stage' WHEN base IS NULL THEN 'epochs' ELSE 'tenants' END;
    after xid8 := coalesce(place ->> 'xid', '0')::xid8;
    told integer := 0;
    found record;
BEGIN
    number := pg_snapshot_xmin(until)::text::bigint;
    IF stage = 'tenants' THEN
        FOR found IN
            SELECT g.changed_xid AS xid, g.tenant_id AS id, g.generation AS now FROM tenancy.generations AS g
            WHERE (g.changed_xid, g.tenant_id) > (greatest(after, first),
                    CASE WHEN after > '0' THEN (place ->> 'id')::uuid
                        ELSE '00000000-0000-0000-0000-000000000000' END)
                AND (g.changed_xid >= later OR g.changed_xid = ANY (open)) AND g.changed_xid < next
            ORDER BY g.changed_xid, g.tenant_id LIMIT at_most
        LOOP
            told := told + 1;
            tenant_id := found.id;
            generation := found.now;
            RETURN NEXT;
        END LOOP;
        tenant_id := NULL;
        generation := NULL;
        IF told = at_most THEN
            place := jsonb_build_object('stage', stage, 'xid', found.xid::text, 'id', found.id);
        ELSE
            stage := 'epochs';
            after := '0';
            place := NULL;
        END IF;
    END IF;
    IF told < at_most THEN
        FOR found IN
            SELECT e.changed_xid AS xid, e.kind AS of, e.subject AS who, e.valid_after AS first_moment
            FROM tenancy.token_epochs AS e
            WHERE (e.changed_xid, e.kind, e.subject) > (greatest(after, first),
                    CASE WHEN after > '0' THEN place ->> 'kind' ELSE '' END,
                    CASE WHEN after > '0' THEN place ->> 'subject' ELSE '' END)
                -- Without a cursor also stamps from the future: what they stand for is of today.
                AND (base IS NULL
                    OR (e.changed_xid >= later OR e.changed_xid = ANY (open)) AND e.changed_xid < next)
            ORDER BY e.changed_xid, e.kind, e.subject LIMIT at_most - told
        LOOP
            told := told + 1;
            kind := found.of;
            subject := found.who;
            valid_after := found.first_moment;
            RETURN NEXT;
        END LOOP;
        kind := NULL;
        subject := NULL;
        valid_after := NULL;
        place := CASE WHEN told = at_most THEN jsonb_build_object('stage', stage, 'xid', found.xid::text,
            'kind', found.of, 'subject', found.who) END;
    END IF;
    more := place IS NOT NULL;
    cursor := coalesce(place || jsonb_build_object('base', base::text), '{}')
        || jsonb_build_object('until', until::text);
    origin := tenancy.feed_origin();
    RETURN NEXT;
END
$$;
REVOKE ALL ON FUNCTION tenancy.feed_page(text, integer) FROM PUBLIC;

-- What programs need from here on: `feed_page`.
CREATE OR REPLACE FUNCTION tenancy.schema_version() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 5;
