-- Accounts of the whole service: no tenant's, so that these tables are not protected. The service's login for
-- tenants has no privilege on them. The login `pages_accounts`, which `install` makes, sees nothing else.
CREATE TABLE accounts (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    email text NOT NULL UNIQUE CHECK (email = lower(email) AND email LIKE '%_@_%'),
    name text NOT NULL CHECK (name <> ''),
    password_hash text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
GRANT SELECT, INSERT ON accounts TO pages_accounts;

-- Sessions of `pages-axum`. The key is a hash of what the cookie says, so that a copy of the table signs nobody in.
CREATE TABLE sessions (
    id bytea PRIMARY KEY,
    data jsonb NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX sessions_expires ON sessions (expires_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON sessions TO pages_accounts;

-- The organizations of one account, for the switcher. The registry shows a tenant its own part only, and this looks
-- at all of it; so it runs as the owner role, and says so.
CREATE FUNCTION organizations_of(account uuid)
    RETURNS TABLE (slug text, name text, role text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
        SELECT t.slug, t.name, m.role
        FROM tenancy.memberships m
        JOIN tenancy.tenants t ON t.id = m.tenant_id
        WHERE m.user_id = account AND m.status = 'active' AND t.status IN ('active', 'past-due')
        ORDER BY t.name, t.slug
    $$;
COMMENT ON FUNCTION organizations_of IS '[tenancy: looks across tenants] The organizations of one account.';
REVOKE EXECUTE ON FUNCTION organizations_of FROM PUBLIC;
GRANT EXECUTE ON FUNCTION organizations_of TO pages_accounts;
