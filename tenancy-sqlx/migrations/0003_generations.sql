-- Generations: one number per tenant that moves on with every change after which an earlier
-- admission no longer holds, and the feed by which other processes learn of it.

-- No foreign key: a tenant that has been removed must still be told of.
CREATE TABLE tenancy.generations (
    tenant_id uuid PRIMARY KEY,
    generation bigint NOT NULL DEFAULT 1,
    -- The transaction that moved it on.
    changed_xid xid8 NOT NULL DEFAULT pg_current_xact_id()
);
CREATE INDEX generations_changed ON tenancy.generations (changed_xid);

CREATE FUNCTION tenancy.advance_generation(tenant uuid) RETURNS void
    LANGUAGE sql
    BEGIN ATOMIC
        INSERT INTO tenancy.generations AS g (tenant_id) VALUES (tenant)
        ON CONFLICT (tenant_id) DO UPDATE
            SET generation = g.generation + 1, changed_xid = pg_current_xact_id();
    END;
REVOKE ALL ON FUNCTION tenancy.advance_generation(uuid) FROM PUBLIC;

-- Runs as the owner of this schema, so that whoever may change a membership need not be able to
-- write generations. `TG_ARGV[0]` is the column that holds the tenant's id.
CREATE FUNCTION tenancy.on_registry_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    before uuid := CASE WHEN TG_OP <> 'INSERT' THEN (to_jsonb(OLD) ->> TG_ARGV[0])::uuid END;
    after uuid := CASE WHEN TG_OP <> 'DELETE' THEN (to_jsonb(NEW) ->> TG_ARGV[0])::uuid END;
BEGIN
    IF before IS NOT NULL AND after IS NOT NULL AND before <> after THEN
        RAISE EXCEPTION 'a row of tenancy.% can''t move to another tenant', TG_TABLE_NAME
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    PERFORM tenancy.advance_generation(coalesce(after, before));
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION tenancy.on_registry_change() FROM PUBLIC;

DO $$
DECLARE
    registry text;
BEGIN
    FOREACH registry IN ARRAY ARRAY['tenants', 'domains', 'external_ids', 'memberships', 'roles',
                                    'projects', 'project_memberships']
    LOOP
        EXECUTE format(
            'CREATE TRIGGER advance_generation AFTER INSERT OR UPDATE OR DELETE ON tenancy.%I '
            'FOR EACH ROW EXECUTE FUNCTION tenancy.on_registry_change(%L)',
            registry, CASE registry WHEN 'tenants' THEN 'id' ELSE 'tenant_id' END);
    END LOOP;
END
$$;

-- The feed. The cursor is the oldest transaction that may still be running: whatever it or a later
-- one changes is told by a call with that cursor, however late it commits. A sequence would not do:
-- numbers are drawn in one order and become visible in another.
CREATE FUNCTION tenancy.changes_since(since bigint)
    RETURNS TABLE (cursor bigint, tenant_id uuid, generation bigint)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint, g.tenant_id, g.generation
        FROM (SELECT 1) AS always
        LEFT JOIN tenancy.generations AS g ON g.changed_xid >= since::text::xid8;
    END;

-- Raises if the tenant has moved on from this generation: strict mode runs it in the BEGIN batch.
CREATE FUNCTION tenancy.require_generation(tenant uuid, expected bigint) RETURNS void
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM 1 FROM tenancy.generations AS g
    WHERE g.tenant_id = tenant AND g.generation = expected;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the tenant has changed since it was admitted' USING ERRCODE = 'TN001';
    END IF;
END
$$;

-- Finds the id behind a name, and nothing else about the tenant: what the app role may ask before
-- it has a tenant.
CREATE FUNCTION tenancy.resolve_tenant(kind text, provider text, name text) RETURNS uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT t.id FROM tenancy.tenants AS t
        WHERE resolve_tenant.kind = 'slug' AND t.slug = resolve_tenant.name
        UNION ALL
        SELECT d.tenant_id FROM tenancy.domains AS d
        WHERE resolve_tenant.kind = 'domain' AND d.domain = resolve_tenant.name
        UNION ALL
        SELECT e.tenant_id FROM tenancy.external_ids AS e
        WHERE resolve_tenant.kind = 'external'
            AND e.provider = resolve_tenant.provider AND e.external_id = resolve_tenant.name;
    END;

REVOKE ALL ON FUNCTION
    tenancy.changes_since(bigint),
    tenancy.require_generation(uuid, bigint),
    tenancy.resolve_tenant(text, text, text)
FROM PUBLIC;
