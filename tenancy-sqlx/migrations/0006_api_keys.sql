-- API keys: their records, and never their secrets.

CREATE TABLE tenancy.api_keys (
    id uuid PRIMARY KEY,
    tenant_id uuid NOT NULL REFERENCES tenancy.tenants (id),
    creator uuid NOT NULL,
    environment text NOT NULL,
    name text NOT NULL,
    scopes text[] NOT NULL,
    project_id uuid,
    networks text[] NOT NULL,
    metadata jsonb NOT NULL,
    -- A digest under a pepper that no database has: see `KeyHasher`.
    digest bytea NOT NULL CHECK (octet_length(digest) = 32),
    digest_version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    overlap_until timestamptz,
    successor uuid,
    disabled boolean NOT NULL,
    revoked_at timestamptz,
    last_used_at timestamptz,
    FOREIGN KEY (tenant_id, project_id) REFERENCES tenancy.projects (tenant_id, id)
);
CREATE INDEX api_keys_tenant ON tenancy.api_keys (tenant_id, id);

-- Uses and digests tell nobody anything: they advance no generation.
CREATE TRIGGER advance_generation AFTER INSERT OR DELETE OR UPDATE OF
    tenant_id, creator, environment, name, scopes, project_id, networks, metadata, created_at,
    expires_at, overlap_until, successor, disabled, revoked_at
    ON tenancy.api_keys
    FOR EACH ROW EXECUTE FUNCTION tenancy.on_registry_change('tenant_id');

-- Finds a key by its id, before anybody knows whose it is. The app role reads keys in no other way.
CREATE FUNCTION tenancy.find_api_key(key uuid) RETURNS SETOF tenancy.api_keys
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT k.* FROM tenancy.api_keys AS k WHERE k.id = find_api_key.key;
    END;

-- Notes when keys were last used. A time goes forward only. Rows are locked in one order, so that
-- two processes that note the same keys wait for each other and not in a circle.
CREATE FUNCTION tenancy.note_key_uses(keys uuid[], at timestamptz[]) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        WITH used AS (
            SELECT u.key, max(u.at) AS at
            FROM unnest(note_key_uses.keys, note_key_uses.at) AS u (key, at) GROUP BY u.key
        ), locked AS (
            SELECT k.id, used.at FROM tenancy.api_keys AS k JOIN used ON used.key = k.id
            WHERE k.last_used_at IS NULL OR k.last_used_at < used.at
            ORDER BY k.id FOR NO KEY UPDATE OF k
        )
        UPDATE tenancy.api_keys AS k SET last_used_at = locked.at
        FROM locked WHERE k.id = locked.id;
    END;

REVOKE ALL ON FUNCTION
    tenancy.find_api_key(uuid),
    tenancy.note_key_uses(uuid[], timestamptz[])
FROM PUBLIC;
