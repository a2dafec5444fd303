-- Invitations: an address that may become a member, once. A token is derived from its row, and only an HMAC of it is here.
--
-- There is no foreign key: to make one waits for every open transaction that has changed a tenant. Whoever adds one locks
-- the tenant's record.
CREATE TABLE tenancy.invitations (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    email text COLLATE "C" NOT NULL
        CHECK (octet_length(email) BETWEEN 3 AND 254 AND email = lower(email) AND strpos(email, '@') > 1),
    role text NOT NULL,
    -- A list of objects with a `project` and a `role`.
    projects jsonb NOT NULL
        CHECK (jsonb_typeof(projects) = 'array' AND octet_length(projects::text) <= 32768),
    -- The member who answers for it, and by which permission it was made; NULL where no member does.
    inviter uuid,
    permission text CHECK (octet_length(permission) <= 512),
    state text NOT NULL CHECK (state IN ('pending', 'accepted', 'revoked', 'expired')),
    created_at timestamptz NOT NULL,
    sent_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    rotation bigint NOT NULL CHECK (rotation >= 0),
    digest bytea NOT NULL CHECK (octet_length(digest) = 32),
    digest_version bigint NOT NULL,
    accepted_by uuid,
    PRIMARY KEY (tenant_id, id),
    CHECK ((inviter IS NULL) = (permission IS NULL)),
    CHECK ((accepted_by IS NULL) = (state <> 'accepted'))
);
-- By its id alone, which stands in the link, an invitation is found by the function below.
CREATE UNIQUE INDEX invitations_id ON tenancy.invitations (id);
-- An address has one open invitation to a tenant.
CREATE UNIQUE INDEX invitations_open ON tenancy.invitations (tenant_id, email) WHERE state = 'pending';

-- Finds an invitation before anybody knows whose it is: never for the service's login, whose SQL a caller may reach.
CREATE FUNCTION tenancy.find_invitation(invitation uuid) RETURNS SETOF tenancy.invitations
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 1 SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT i.* FROM tenancy.invitations AS i WHERE i.id = find_invitation.invitation;
    END;

-- The seats that are taken of the tenant that the session names: by members, and by invitations that are open.
CREATE FUNCTION tenancy.seats_taken(at timestamptz) RETURNS bigint
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT (SELECT count(*) FROM tenancy.memberships AS m WHERE m.tenant_id = tenancy.current_tenant())
            + (SELECT count(*) FROM tenancy.invitations AS i WHERE i.tenant_id = tenancy.current_tenant()
                AND i.state = 'pending' AND i.expires_at > seats_taken.at);
    END;

-- Who has a verified address at a domain may join. The domain matches exactly.
CREATE TABLE tenancy.domain_joins (
    tenant_id uuid NOT NULL,
    domain text COLLATE "C" NOT NULL CHECK (octet_length(domain) BETWEEN 1 AND 253 AND domain = lower(domain)),
    mode text NOT NULL CHECK (mode IN ('suggested', 'automatic')),
    role text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, domain)
);
CREATE INDEX domain_joins_domain ON tenancy.domain_joins (domain, tenant_id);
-- One tenant has a domain for automatic joins.
CREATE UNIQUE INDEX domain_joins_automatic ON tenancy.domain_joins (domain) WHERE mode = 'automatic';

-- The rules of all tenants for a domain, for whoever adds members: never for the service's login.
CREATE FUNCTION tenancy.find_domain_joins(of_domain text)
    RETURNS TABLE (tenant_id uuid, domain text, mode text, role text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT j.tenant_id, j.domain, j.mode, j.role FROM tenancy.domain_joins AS j
        WHERE j.domain = find_domain_joins.of_domain
        ORDER BY j.mode <> 'automatic', j.tenant_id LIMIT 100;
    END;

REVOKE ALL ON FUNCTION tenancy.find_invitation(uuid), tenancy.seats_taken(timestamptz),
    tenancy.find_domain_joins(text) FROM PUBLIC;

-- What programs need from here on: `find_invitation`, `seats_taken` and `find_domain_joins`.
CREATE OR REPLACE FUNCTION tenancy.schema_version() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 14;
