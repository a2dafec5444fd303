-- Operators, whom no tenant has, impersonations, and tenants' consent to them.

-- The people who run the service. No login that serves tenants reads or writes this.
CREATE TABLE tenancy.operators (
    id uuid PRIMARY KEY,
    -- Who vouches for the operator, and the id that is made of what it says.
    issuer text COLLATE "C" NOT NULL CHECK (octet_length(issuer) BETWEEN 1 AND 512),
    subject uuid NOT NULL,
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
    -- A role that a program does not know gives no right.
    roles text[] NOT NULL CHECK (cardinality(roles) <= 32),
    -- The account of the same person as a user of tenants.
    user_id uuid,
    disabled boolean NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (issuer, subject)
);
CREATE INDEX operators_subject ON tenancy.operators (subject);
CREATE INDEX operators_user ON tenancy.operators (user_id) WHERE user_id IS NOT NULL;

-- Who has acted as whom, in which tenant, and why. There is no foreign key to the tenants: to make one waits for every
-- open transaction that has changed a tenant.
CREATE TABLE tenancy.impersonations (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL UNIQUE,
    operator_id uuid NOT NULL REFERENCES tenancy.operators (id),
    user_id uuid NOT NULL,
    -- Of the token, under a pepper that no database has.
    digest bytea NOT NULL UNIQUE CHECK (octet_length(digest) = 32),
    reason text NOT NULL CHECK (octet_length(reason) BETWEEN 1 AND 1024),
    ticket text CHECK (octet_length(ticket) <= 128),
    started_at timestamptz NOT NULL,
    until timestamptz NOT NULL,
    -- The same moment by the clock of this server, so that a program whose clock is slow keeps none going.
    ends_at timestamptz NOT NULL,
    needs_approval boolean NOT NULL,
    approved_by uuid REFERENCES tenancy.operators (id) CHECK (approved_by <> operator_id),
    ended_at timestamptz,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX impersonations_going_on ON tenancy.impersonations (operator_id, until)
    WHERE ended_at IS NULL;

-- What has begun is what it was, and what has ended stays so, by whoever.
CREATE FUNCTION tenancy.keep_impersonations() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF OLD.ended_at IS NOT NULL OR OLD.approved_by IS DISTINCT FROM NEW.approved_by
            AND (OLD.approved_by IS NOT NULL OR NOT OLD.needs_approval)
        OR (OLD.tenant_id, OLD.id, OLD.operator_id, OLD.user_id, OLD.digest, OLD.reason, OLD.started_at,
                OLD.until, OLD.ends_at, OLD.needs_approval)
            IS DISTINCT FROM (NEW.tenant_id, NEW.id, NEW.operator_id, NEW.user_id, NEW.digest, NEW.reason,
                NEW.started_at, NEW.until, NEW.ends_at, NEW.needs_approval)
        OR OLD.ticket IS DISTINCT FROM NEW.ticket
    THEN
        RAISE EXCEPTION 'an impersonation is approved once and ended once, and stays as it is otherwise'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER keep_impersonations BEFORE UPDATE ON tenancy.impersonations
    FOR EACH ROW EXECUTE FUNCTION tenancy.keep_impersonations();
ALTER TABLE tenancy.impersonations ENABLE ALWAYS TRIGGER keep_impersonations;
-- Streams and caches hear of an end.
CREATE TRIGGER advance_generation AFTER UPDATE OF ended_at ON tenancy.impersonations
    FOR EACH ROW EXECUTE FUNCTION tenancy.on_registry_change('tenant_id');
SELECT tenancy.arm_triggers();

-- Until when a tenant agrees to impersonations.
CREATE TABLE tenancy.support_access (
    tenant_id uuid PRIMARY KEY,
    until timestamptz NOT NULL
);

-- An impersonation by the digest of its token, before a tenant is known, or by its id. One whose time is over by this
-- server's clock is told as ended.
CREATE FUNCTION tenancy.find_impersonation(of_digest bytea, of_id uuid)
    RETURNS TABLE (id uuid, operator_id uuid, tenant_id uuid, user_id uuid, reason text, ticket text,
        started_at bigint, until bigint, needs_approval boolean, approved_by uuid, ended_at bigint)
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 1 SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT i.id, i.operator_id, i.tenant_id, i.user_id, i.reason, i.ticket,
            (extract(epoch FROM i.started_at) * 1000000)::bigint,
            (extract(epoch FROM i.until) * 1000000)::bigint, i.needs_approval, i.approved_by,
            (extract(epoch FROM CASE WHEN i.ended_at IS NOT NULL THEN i.ended_at
                WHEN i.ends_at <= statement_timestamp() THEN i.ends_at END) * 1000000)::bigint
        FROM tenancy.impersonations AS i
        WHERE i.digest = find_impersonation.of_digest OR i.id = find_impersonation.of_id;
    END;

-- Until when the tenant that the session names agrees.
CREATE FUNCTION tenancy.find_support_access() RETURNS bigint
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT (extract(epoch FROM s.until) * 1000000)::bigint FROM tenancy.support_access AS s
        WHERE s.tenant_id = tenancy.current_tenant();
    END;

REVOKE ALL ON FUNCTION tenancy.keep_impersonations(), tenancy.find_impersonation(bytea, uuid),
    tenancy.find_support_access() FROM PUBLIC;

-- What programs need from here on: operators and impersonations.
CREATE OR REPLACE FUNCTION tenancy.schema_version() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 14;
