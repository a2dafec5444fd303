-- Limits that a key has of its own, beside those of its tenant's plan: a list of objects with a `meter` and a `limit`.

-- NULL for none. Every key that is there has none, so there is nothing to check and nothing to rewrite: the table is
-- locked until this installation commits, and what is locked is not read through. Transactions that read or change keys
-- are short, and no transaction of a tenant's does; one that stays open makes the installation give up after its
-- `lock_timeout`, with nothing changed.
ALTER TABLE tenancy.api_keys
    ADD COLUMN limits jsonb,
    ADD CONSTRAINT api_keys_limits CHECK (
        jsonb_typeof(limits) = 'array' AND octet_length(limits::text) <= 8192) NOT VALID;

-- Programs write them once, with the key. What is changed by hand ends what processes remember of the key.
CREATE OR REPLACE TRIGGER advance_generation AFTER INSERT OR DELETE OR UPDATE OF
    tenant_id, creator, environment, name, scopes, project_id, networks, metadata, created_at,
    expires_at, overlap_until, successor, disabled, revoked_at, handle, secret_hash, limits
    ON tenancy.api_keys
    FOR EACH ROW EXECUTE FUNCTION tenancy.on_registry_change('tenant_id');
SELECT tenancy.arm_triggers();

-- Again as they were: each `*` stands for the columns of the day the function was made.
CREATE OR REPLACE FUNCTION tenancy.find_api_key(key uuid) RETURNS SETOF tenancy.api_keys
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT k.* FROM tenancy.api_keys AS k WHERE k.id = find_api_key.key;
    END;
CREATE OR REPLACE FUNCTION tenancy.find_imported_key(environment text, handle text)
    RETURNS SETOF tenancy.api_keys
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT k.* FROM tenancy.api_keys AS k
        WHERE k.environment = find_imported_key.environment
            AND k.handle = find_imported_key.handle;
    END;
REVOKE ALL ON FUNCTION tenancy.find_api_key(uuid), tenancy.find_imported_key(text, text) FROM PUBLIC;

-- What programs need from here on: the column `limits` of keys.
CREATE OR REPLACE FUNCTION tenancy.schema_version() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 12;
