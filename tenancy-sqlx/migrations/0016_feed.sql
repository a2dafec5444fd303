-- The feed where no session of ours writes: logical replication, `session_replication_role`, a
-- database that was restored or has another in its place.

-- In the order in which a change of the registry takes them: a service may be at work.
LOCK TABLE tenancy.tenants, tenancy.domains, tenancy.external_ids, tenancy.memberships,
    tenancy.roles, tenancy.projects, tenancy.project_memberships, tenancy.api_keys,
    tenancy.generations, tenancy.token_epochs IN SHARE ROW EXCLUSIVE MODE;

-- Which feed this is: the cluster, the database in it, the table, and the timeline. A restored dump
-- has another table at least. After a restore to a point in time, and after a standby has taken over,
-- the timeline is another one. Transaction ids mean something within one of these alone. What a
-- server does not tell is `?`.
CREATE FUNCTION tenancy.feed_origin() RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    cluster text := '?';
    timeline text := '?';
BEGIN
    BEGIN
        cluster := (SELECT s.system_identifier FROM pg_control_system() AS s);
    EXCEPTION WHEN OTHERS THEN NULL;
    END;
    BEGIN
        timeline := CASE WHEN pg_is_in_recovery()
            THEN (SELECT upper(lpad(to_hex(c.timeline_id), 8, '0')) FROM pg_control_checkpoint() AS c)
            ELSE left(pg_walfile_name(pg_current_wal_lsn()), 8) END;
    EXCEPTION WHEN OTHERS THEN NULL;
    END;
    RETURN format('%s/%s/%s/%s', cluster,
        (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database()),
        'tenancy.generations'::regclass::oid, timeline);
END
$$;

-- Where this feed was last based: one row.
CREATE TABLE tenancy.feed (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    origin text NOT NULL
);

-- As before, but for stamps from the future, which a database has that was restored into a younger
-- cluster: they would be told at every call. What they stand for happened before the restore.
CREATE OR REPLACE FUNCTION tenancy.changes_since(since bigint)
    RETURNS TABLE (cursor bigint, tenant_id uuid, generation bigint)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint, g.tenant_id, g.generation
        FROM (SELECT 1) AS always
        LEFT JOIN tenancy.generations AS g ON g.changed_xid >= since::text::xid8
            AND g.changed_xid < pg_snapshot_xmax(pg_current_snapshot());
    END;

CREATE OR REPLACE FUNCTION tenancy.epochs_since(since bigint)
    RETURNS TABLE (kind text, subject text, valid_after timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT e.kind, e.subject, e.valid_after FROM tenancy.token_epochs AS e
        WHERE since IS NULL OR (e.changed_xid >= since::text::xid8
            AND e.changed_xid < pg_snapshot_xmax(pg_current_snapshot()));
    END;

-- A generation's stamp is the transaction that writes it here, whatever another server has stamped,
-- and a generation never goes back. A row that replication brings and that is there already, because
-- the triggers of the registry have made it, moves it on: a duplicate key would stop the
-- replication. (What those triggers insert looks the same, and means the same.)
CREATE FUNCTION tenancy.stamp_generation() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.changed_xid := pg_current_xact_id();
    IF TG_OP = 'UPDATE' THEN
        NEW.generation := greatest(NEW.generation, OLD.generation + 1);
    ELSIF current_setting('session_replication_role') = 'replica' THEN
        UPDATE tenancy.generations AS g SET generation = NEW.generation
        WHERE g.tenant_id = NEW.tenant_id;
        IF FOUND THEN
            RETURN NULL;
        END IF;
    END IF;
    RETURN NEW;
END
$$;

-- The same for epochs. Of two, the later one counts. Replication fires no triggers of statements, so
-- that this also tells.
CREATE FUNCTION tenancy.stamp_epoch() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.changed_xid := pg_current_xact_id();
    IF current_setting('session_replication_role') <> 'replica' THEN
        RETURN NEW;
    END IF;
    PERFORM pg_notify('tenancy_changes', '');
    IF TG_OP = 'UPDATE' THEN
        IF (NEW.kind, NEW.subject) = (OLD.kind, OLD.subject) THEN
            NEW.valid_after := greatest(NEW.valid_after, OLD.valid_after);
        END IF;
        RETURN NEW;
    END IF;
    UPDATE tenancy.token_epochs AS e SET valid_after = NEW.valid_after
    WHERE e.kind = NEW.kind AND e.subject = NEW.subject;
    IF FOUND THEN
        RETURN NULL;
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER stamp_generation BEFORE INSERT OR UPDATE ON tenancy.generations
    FOR EACH ROW EXECUTE FUNCTION tenancy.stamp_generation();
CREATE TRIGGER stamp_epoch BEFORE INSERT OR UPDATE ON tenancy.token_epochs
    FOR EACH ROW EXECUTE FUNCTION tenancy.stamp_epoch();

-- Has the feed's triggers fire whoever writes, replication and `session_replication_role = replica`
-- included; also one that was switched off. A trigger that is replaced is an ordinary one again, so
-- that this runs with each installation.
CREATE FUNCTION tenancy.arm_triggers() RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found record;
BEGIN
    FOR found IN
        SELECT t.tgrelid::regclass AS registry, t.tgname AS name FROM pg_trigger AS t
        WHERE NOT t.tgisinternal AND t.tgenabled <> 'A' AND t.tgfoid IN (
            'tenancy.on_registry_change()'::regprocedure, 'tenancy.tell_change()'::regprocedure,
            'tenancy.stamp_generation()'::regprocedure, 'tenancy.stamp_epoch()'::regprocedure)
        -- As a change of the registry takes the tables, lest both wait for each other.
        ORDER BY t.tgfoid <> 'tenancy.on_registry_change()'::regprocedure, t.tgrelid, t.tgname
    LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', found.registry, found.name);
    END LOOP;
END
$$;
SELECT tenancy.arm_triggers();

-- Tells everything anew where this feed is another than the one that was last based here, or has
-- stamps from the future; else does nothing. Runs with each installation, and is to be run as
-- the owner role after a restore without one. Returns whether it has.
--
-- Generations become milliseconds since 1970, which is beyond any that the former database can have
-- reached after the copy was made: whoever remembers one of those must not take it for one of these.
CREATE FUNCTION tenancy.rebase_feed() RETURNS boolean
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    here text := tenancy.feed_origin();
    next xid8 := pg_snapshot_xmax(pg_current_snapshot());
    own xid8 := coalesce(pg_current_xact_id_if_assigned(), '0');
BEGIN
    IF EXISTS (SELECT FROM tenancy.feed AS f WHERE f.origin = here)
        AND NOT EXISTS (SELECT FROM tenancy.generations AS g
            WHERE g.changed_xid >= next AND g.changed_xid <> own)
        AND NOT EXISTS (SELECT FROM tenancy.token_epochs AS e
            WHERE e.changed_xid >= next AND e.changed_xid <> own)
    THEN
        RETURN false;
    END IF;
    -- Whoever changes several tenants must not wait for this in a circle.
    LOCK TABLE tenancy.generations, tenancy.token_epochs IN EXCLUSIVE MODE;
    UPDATE tenancy.generations AS g
        SET generation = greatest(g.generation + 1,
            floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint);
    UPDATE tenancy.token_epochs AS e SET valid_after = e.valid_after;
    INSERT INTO tenancy.feed AS f (origin) VALUES (here)
        ON CONFLICT (one) DO UPDATE SET origin = excluded.origin;
    RETURN true;
END
$$;

REVOKE ALL ON FUNCTION
    tenancy.feed_origin(), tenancy.stamp_generation(), tenancy.stamp_epoch(),
    tenancy.arm_triggers(), tenancy.rebase_feed()
FROM PUBLIC;
