-- Who is asking: the settings that a tenant transaction carries, and the functions that read them.
--
-- The names of the settings are public: `tenancy.tenant_id`, `tenancy.project_id`,
-- `tenancy.generation`. They are set for one transaction only, in the round trip of its BEGIN.

-- STABLE, not IMMUTABLE: an immutable function would be folded into cached plans, and a plan made
-- for one tenant would then serve another. NULLIF, because the setting is '' and not NULL on a
-- connection that has carried a tenant before. No tenant set: NULL, which equals nothing.
CREATE FUNCTION tenancy.current_tenant() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN NULLIF(current_setting('tenancy.tenant_id', true), '')::uuid;

CREATE FUNCTION tenancy.current_project() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN NULLIF(current_setting('tenancy.project_id', true), '')::uuid;

-- The roles this database was installed for. Policies and grants name them.
CREATE TABLE tenancy.role_names (
    kind text PRIMARY KEY CHECK (kind IN ('owner', 'app', 'system')),
    name name NOT NULL
);

CREATE FUNCTION tenancy.role_name(kind text) RETURNS name
    LANGUAGE sql STABLE
    BEGIN ATOMIC
        SELECT r.name FROM tenancy.role_names AS r WHERE r.kind = role_name.kind;
    END;

-- The version of this schema that programs ask for; raised by migrations that a program needs.
CREATE FUNCTION tenancy.schema_version() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 1;
