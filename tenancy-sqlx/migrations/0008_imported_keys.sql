-- Imported keys: found by a handle of another system, verified against a slow hash of their secret.

ALTER TABLE tenancy.api_keys
    ALTER COLUMN digest DROP NOT NULL,
    ALTER COLUMN digest_version DROP NOT NULL,
    ADD COLUMN handle text COLLATE "C"
        CHECK (handle ~ '^[!-~]{1,64}$' AND strpos(handle, ',') = 0),
    -- An Argon2id hash as a PHC string: see `SecretHash`.
    ADD COLUMN secret_hash text CHECK (octet_length(secret_hash) BETWEEN 1 AND 512),
    -- A key is verified in one way: the digest of one kind is never the hash of the other.
    ADD CONSTRAINT api_keys_verifier CHECK (
        num_nonnulls(digest, digest_version) = 2 AND num_nonnulls(handle, secret_hash) = 0
        OR num_nonnulls(digest, digest_version) = 0 AND num_nonnulls(handle, secret_hash) = 2),
    -- Handles are said before anybody knows whose key it is, so that they are one tenant's only.
    ADD CONSTRAINT api_keys_handle UNIQUE (environment, handle);

-- A hash that is changed by hand ends what processes remember of the key.
CREATE OR REPLACE TRIGGER advance_generation AFTER INSERT OR DELETE OR UPDATE OF
    tenant_id, creator, environment, name, scopes, project_id, networks, metadata, created_at,
    expires_at, overlap_until, successor, disabled, revoked_at, handle, secret_hash
    ON tenancy.api_keys
    FOR EACH ROW EXECUTE FUNCTION tenancy.on_registry_change('tenant_id');

-- Again as it was: its `*` stands for the columns of the day it was made.
CREATE OR REPLACE FUNCTION tenancy.find_api_key(key uuid) RETURNS SETOF tenancy.api_keys
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT k.* FROM tenancy.api_keys AS k WHERE k.id = find_api_key.key;
    END;

-- Finds an imported key by its handle, before anybody knows whose it is. The app role finds
-- imported keys in this way and by their ids, and lists none.
CREATE FUNCTION tenancy.find_imported_key(environment text, handle text)
    RETURNS SETOF tenancy.api_keys
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT k.* FROM tenancy.api_keys AS k
        WHERE k.environment = find_imported_key.environment
            AND k.handle = find_imported_key.handle;
    END;

REVOKE ALL ON FUNCTION tenancy.find_imported_key(text, text) FROM PUBLIC;
