-- A tenant that has an owner keeps one, and ownership is handed on by an offer.

-- An offer of ownership. There is no foreign key: to make one waits for every open transaction that has changed a
-- membership. What an offer rests on is looked at when it is accepted, and an offer that rests on nothing is removed
-- with the change that takes it away.
CREATE TABLE tenancy.ownership_offers (
    tenant_id uuid PRIMARY KEY,
    from_user uuid NOT NULL,
    to_user uuid NOT NULL CHECK (to_user <> from_user),
    from_becomes text NOT NULL,
    expires_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- What follows a change of a membership that is there, with the tenant's generation locked: of two changes that go on
-- at once, the second sees what the first has left. So two owners who leave at once never both go.
--
-- The rule is here and not in programs, so that it holds for every login and every path: also for a statement by hand.
-- A tenant that is deleted may lose all its members. What replication brings was decided where it comes from: an error
-- here would end the replication.
CREATE FUNCTION tenancy.keep_owner(tenant uuid, before jsonb, after jsonb) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    member uuid := (before ->> 'user_id')::uuid;
    owned boolean := before ->> 'role' = 'owner' AND before ->> 'status' = 'active';
    is_active boolean := coalesce(after ->> 'status' = 'active', false);
    owns boolean := is_active AND after ->> 'role' = 'owner';
BEGIN
    DELETE FROM tenancy.ownership_offers AS o WHERE o.tenant_id = tenant
        AND (o.from_user = member AND NOT owns OR o.to_user = member AND NOT is_active);
    IF owned AND NOT owns AND current_setting('session_replication_role') <> 'replica'
        AND NOT EXISTS (SELECT FROM tenancy.memberships AS m
            WHERE m.tenant_id = tenant AND m.role = 'owner' AND m.status = 'active')
        AND EXISTS (SELECT FROM tenancy.tenants AS t WHERE t.id = tenant AND t.status <> 'deleted')
    THEN
        RAISE EXCEPTION 'the tenant would have no active owner' USING ERRCODE = 'TN005',
            DETAIL = 'A tenant that has an active owner keeps one.',
            HINT = 'Make somebody else an owner first.';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION tenancy.keep_owner(uuid, jsonb, jsonb) FROM PUBLIC;

-- As before, and of memberships what follows a change. It is this function and no trigger of its own for the reason
-- that is said in the migration of slugs.
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
    IF TG_TABLE_NAME = 'memberships' AND TG_OP <> 'INSERT' THEN
        PERFORM tenancy.keep_owner(before, to_jsonb(OLD), CASE WHEN TG_OP = 'UPDATE' THEN to_jsonb(NEW) END);
    END IF;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION tenancy.on_registry_change() FROM PUBLIC;

-- What programs need from here on: offers of ownership.
CREATE OR REPLACE FUNCTION tenancy.schema_version() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 14;
