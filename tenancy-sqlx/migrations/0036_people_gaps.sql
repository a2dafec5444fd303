-- How far a key reaches that was handed over, who has invited if it was a key or a service account, and which tenant people
-- join by themselves where several have a domain.

-- Of a key of the whole tenant that has another holder: it enters no project by role. Every key that is there says false,
-- so there is nothing to check and nothing to rewrite; the table is locked until this installation commits.
ALTER TABLE tenancy.api_keys ADD COLUMN open_projects_only boolean NOT NULL DEFAULT false;

CREATE OR REPLACE TRIGGER advance_generation AFTER INSERT OR DELETE OR UPDATE OF
    tenant_id, creator, environment, name, scopes, project_id, networks, metadata, created_at,
    expires_at, overlap_until, successor, disabled, revoked_at, handle, secret_hash, limits, open_projects_only
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

-- The key by which a member has invited, and the service account that has, where no member did.
ALTER TABLE tenancy.invitations
    ADD COLUMN inviter_key uuid,
    ADD COLUMN inviter_account uuid,
    ADD CONSTRAINT invitations_by CHECK (
        (inviter_key IS NULL OR inviter IS NOT NULL) AND (inviter_account IS NULL OR inviter IS NULL)) NOT VALID;
CREATE INDEX invitations_account ON tenancy.invitations (inviter_account)
    WHERE inviter_account IS NOT NULL AND state = 'pending';
-- What has been over for long is swept away by its end.
CREATE INDEX invitations_end ON tenancy.invitations (tenant_id, expires_at);
CREATE OR REPLACE FUNCTION tenancy.find_invitation(invitation uuid) RETURNS SETOF tenancy.invitations
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 1 SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT i.* FROM tenancy.invitations AS i WHERE i.id = find_invitation.invitation;
    END;

-- Several tenants may have a domain for automatic joins: to refuse the second would tell it of the first. The rule that has
-- been automatic for longest comes first.
DROP INDEX tenancy.domain_joins_automatic;
CREATE OR REPLACE FUNCTION tenancy.find_domain_joins(of_domain text)
    RETURNS TABLE (tenant_id uuid, domain text, mode text, role text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT j.tenant_id, j.domain, j.mode, j.role FROM tenancy.domain_joins AS j
        WHERE j.domain = find_domain_joins.of_domain
        ORDER BY j.mode <> 'automatic', CASE j.mode WHEN 'automatic' THEN j.created_at END, j.tenant_id LIMIT 100;
    END;

REVOKE ALL ON FUNCTION tenancy.find_api_key(uuid), tenancy.find_imported_key(text, text),
    tenancy.find_invitation(uuid), tenancy.find_domain_joins(text) FROM PUBLIC;

-- What programs need from here on: `open_projects_only` of keys, `inviter_key` and `inviter_account` of invitations.
CREATE OR REPLACE FUNCTION tenancy.schema_version() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 15;
