-- Versions of plans, and limits of single tenants.

-- A change of a plan is a new version, and a tenant's record names the version that it is on.

CREATE TABLE tenancy.plan_versions (
    plan text COLLATE "C" NOT NULL CHECK (octet_length(plan) BETWEEN 1 AND 64 AND strpos(plan, '@') = 0),
    version integer NOT NULL CHECK (version > 0),
    definition jsonb NOT NULL
        CHECK (jsonb_typeof(definition) = 'object' AND octet_length(definition::text) <= 131072),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (plan, version)
);

-- What a tenant has bought stays what it was: a version is added, and never changed or removed, by whoever.
CREATE FUNCTION tenancy.keep_plan_versions() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'a version of a plan stays as it is' USING ERRCODE = 'integrity_constraint_violation',
        HINT = 'Add a version with `Admin::add_plan_version`, and put tenants on it with `Admin::set_plan`.';
END
$$;
CREATE TRIGGER keep_plan_versions BEFORE UPDATE OR DELETE OR TRUNCATE ON tenancy.plan_versions
    FOR EACH STATEMENT EXECUTE FUNCTION tenancy.keep_plan_versions();
ALTER TABLE tenancy.plan_versions ENABLE ALWAYS TRIGGER keep_plan_versions;

-- A version of a plan, or its newest. The login of the service finds what it can name, and lists none: a plan may have
-- been made for one tenant.
CREATE FUNCTION tenancy.find_plan_version(of_plan text, of_version integer)
    RETURNS TABLE (plan text, version integer, definition jsonb, created_at bigint)
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 1 SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT v.plan, v.version, v.definition, (extract(epoch FROM v.created_at) * 1000000)::bigint
        FROM tenancy.plan_versions AS v
        WHERE v.plan = find_plan_version.of_plan
            AND (find_plan_version.of_version IS NULL OR v.version = find_plan_version.of_version)
        ORDER BY v.version DESC LIMIT 1;
    END;

-- What a tenant has in the place of a limit of its plan, until `ends_at` or for good. There is no foreign key: to make one
-- waits for every open transaction that has changed a tenant.
CREATE TABLE tenancy.limit_overrides (
    tenant_id uuid NOT NULL,
    limit_name text COLLATE "C" NOT NULL CHECK (octet_length(limit_name) BETWEEN 1 AND 64),
    meter text NOT NULL CHECK (octet_length(meter) BETWEEN 1 AND 512),
    definition jsonb NOT NULL
        CHECK (jsonb_typeof(definition) = 'object' AND octet_length(definition::text) <= 8192),
    ends_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, limit_name)
);
CREATE TRIGGER advance_generation AFTER INSERT OR UPDATE OR DELETE ON tenancy.limit_overrides
    FOR EACH ROW EXECUTE FUNCTION tenancy.on_registry_change('tenant_id');

-- Those of the tenant that the session names. Also what has ended: a reader compares times by its own clock.
CREATE FUNCTION tenancy.find_limit_overrides()
    RETURNS TABLE (meter text, definition jsonb, ends_at bigint)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT o.meter, o.definition, (extract(epoch FROM o.ends_at) * 1000000)::bigint
        FROM tenancy.limit_overrides AS o
        WHERE o.tenant_id = tenancy.current_tenant()
        ORDER BY o.limit_name;
    END;

REVOKE ALL ON FUNCTION tenancy.keep_plan_versions(), tenancy.find_plan_version(text, integer),
    tenancy.find_limit_overrides() FROM PUBLIC;

-- What programs need from here on: `find_plan_version` and `find_limit_overrides`.
CREATE OR REPLACE FUNCTION tenancy.schema_version() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 11;
