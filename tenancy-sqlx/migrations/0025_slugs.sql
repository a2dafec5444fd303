-- Slugs that rest after a tenant has let go of them, and the tenants of one user.

-- A slug that a tenant has replaced. Links, bookmarks and cookies still lead there, so that no other tenant gets it
-- before `rests_until`. The tenant itself may take it back. There is no foreign key: the slug of a tenant whose row
-- is gone rests on.
CREATE TABLE tenancy.resting_slugs (
    slug text PRIMARY KEY,
    tenant_id uuid NOT NULL,
    rests_until timestamptz NOT NULL
);
CREATE INDEX resting_slugs_tenant ON tenancy.resting_slugs (tenant_id);

-- Lets a tenant take a slug in place of another one; `before` is null for a new tenant. A tenant has 10 resting slugs
-- at most, so that nobody reserves names by taking one after the other.
CREATE FUNCTION tenancy.rest_slug(tenant uuid, before text, after text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF before = after THEN
        RETURN;
    END IF;
    IF EXISTS (SELECT FROM tenancy.resting_slugs AS r
        WHERE r.slug = after AND r.tenant_id <> tenant AND r.rests_until > clock_timestamp())
    THEN
        RAISE EXCEPTION 'the slug "%" rests', after USING ERRCODE = 'TN003',
            DETAIL = 'Another tenant has let go of it, and links still lead there.',
            HINT = 'Choose another slug. Operators end the rest with DELETE FROM tenancy.resting_slugs.';
    END IF;
    DELETE FROM tenancy.resting_slugs AS r WHERE r.slug = after;
    IF before IS NULL THEN
        RETURN;
    END IF;
    DELETE FROM tenancy.resting_slugs AS r WHERE r.tenant_id = tenant AND r.rests_until <= clock_timestamp();
    IF (SELECT count(*) FROM tenancy.resting_slugs AS r WHERE r.tenant_id = tenant) >= 10 THEN
        RAISE EXCEPTION 'the tenant has 10 resting slugs' USING ERRCODE = 'TN004',
            DETAIL = 'It has changed its slug 10 times in 90 days.',
            HINT = 'Wait until one is free, or let it take one of its own back.';
    END IF;
    INSERT INTO tenancy.resting_slugs (slug, tenant_id, rests_until)
        VALUES (before, tenant, clock_timestamp() + interval '90 days');
END
$$;

-- As before, and a slug that was replaced rests. It is this function and no trigger of its own, because to make a
-- trigger waits for every open transaction that has changed a tenant. It runs after the row is written: whoever takes
-- a slug has then waited for whoever lets go of it, and sees that it rests.
CREATE OR REPLACE FUNCTION tenancy.on_registry_change() RETURNS trigger
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
    IF TG_TABLE_NAME = 'tenants' AND after IS NOT NULL THEN
        PERFORM tenancy.rest_slug(after, CASE WHEN TG_OP = 'UPDATE' THEN to_jsonb(OLD) ->> 'slug' END,
            to_jsonb(NEW) ->> 'slug');
    END IF;
    PERFORM tenancy.advance_generation(coalesce(after, before));
    RETURN NULL;
END
$$;

-- The tenants that a user is a member of, by id, whatever the status of the membership. Tenants that are deleted are
-- not told. The registry login sees one tenant's part of the registry, and a user may be a member of several; so this
-- looks across tenants, for one user.
CREATE FUNCTION tenancy.tenants_of(member uuid, member_status text, member_role text, behind uuid, most integer)
    RETURNS TABLE (id uuid, slug text, name text, status text, plan text, settings jsonb, created_at bigint,
        generation bigint, tenant_id uuid, user_id uuid, role text, membership_status text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT t.id, t.slug, t.name, t.status, t.plan, t.settings,
            (extract(epoch FROM t.created_at) * 1000000)::bigint,
            (SELECT g.generation FROM tenancy.generations AS g WHERE g.tenant_id = t.id),
            m.tenant_id, m.user_id, m.role, m.status
        FROM tenancy.memberships AS m JOIN tenancy.tenants AS t ON t.id = m.tenant_id
        WHERE m.user_id = tenants_of.member AND t.status <> 'deleted'
            AND (tenants_of.member_status IS NULL OR m.status = tenants_of.member_status)
            AND (tenants_of.member_role IS NULL OR m.role = tenants_of.member_role)
            AND (tenants_of.behind IS NULL OR t.id > tenants_of.behind)
        ORDER BY t.id LIMIT tenants_of.most;
    END;

REVOKE ALL ON FUNCTION tenancy.rest_slug(uuid, text, text),
    tenancy.tenants_of(uuid, text, text, uuid, integer) FROM PUBLIC;

-- What programs need from here on: `tenants_of`.
CREATE OR REPLACE FUNCTION tenancy.schema_version() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 9;
