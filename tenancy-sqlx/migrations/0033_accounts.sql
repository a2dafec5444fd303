-- Tenants that are made as one, accounts of the service, and password resets.
--
-- None of these tables is a tenant's. No login but the operators' reads a row of them: what serves sign-up and sign-in asks
-- functions, which find one thing by its whole name and list none.

-- What was made with which key of a caller. Both digests are SHA-256. There is no foreign key: to make one waits for every
-- open transaction that has changed a tenant, and a row is kept for a day.
CREATE TABLE tenancy.provisionings (
    key bytea PRIMARY KEY CHECK (octet_length(key) = 32),
    request bytea NOT NULL CHECK (octet_length(request) = 32),
    tenant_id uuid NOT NULL,
    owner_id uuid NOT NULL,
    project_id uuid,
    key_id uuid,
    until timestamptz NOT NULL
);
CREATE INDEX provisionings_until ON tenancy.provisionings (until);

-- Notes what is made in this transaction, for a day; false if a tenant was made with the key. Of two transactions with one
-- key the second waits for the first. Some notes that are forgotten go with each that comes, but never one that somebody
-- else has locked.
CREATE FUNCTION tenancy.note_provisioning(by_key bytea, request bytea, tenant uuid, owner uuid, project uuid,
    api_key uuid) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    -- The registry login names the tenant of its transaction, and makes no other.
    IF tenancy.current_tenant() IS NOT NULL AND tenancy.current_tenant() <> tenant THEN
        RAISE EXCEPTION 'the transaction is of another tenant' USING ERRCODE = 'insufficient_privilege';
    END IF;
    DELETE FROM tenancy.provisionings AS p WHERE p.key IN (
        SELECT o.key FROM tenancy.provisionings AS o WHERE o.until <= clock_timestamp() AND o.key <> by_key
        ORDER BY o.until LIMIT 16 FOR UPDATE SKIP LOCKED);
    INSERT INTO tenancy.provisionings AS p (key, request, tenant_id, owner_id, project_id, key_id, until)
    VALUES (by_key, request, tenant, owner, project, api_key, clock_timestamp() + interval '24 hours')
    ON CONFLICT (key) DO UPDATE SET request = excluded.request, tenant_id = excluded.tenant_id,
        owner_id = excluded.owner_id, project_id = excluded.project_id, key_id = excluded.key_id,
        until = excluded.until
    WHERE p.until <= clock_timestamp();
    RETURN FOUND;
END
$$;

CREATE FUNCTION tenancy.find_provisioning(by_key bytea)
    RETURNS TABLE (request bytea, tenant_id uuid, owner_id uuid, project_id uuid, key_id uuid)
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 1 SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT p.request, p.tenant_id, p.owner_id, p.project_id, p.key_id FROM tenancy.provisionings AS p
        WHERE p.key = find_provisioning.by_key AND p.until > clock_timestamp();
    END;

-- Who may sign in. The address has one form, in which it is compared byte for byte. `password` is a PHC string.
CREATE TABLE tenancy.accounts (
    user_id uuid PRIMARY KEY,
    email text COLLATE "C" UNIQUE CHECK (octet_length(email) BETWEEN 3 AND 254),
    password text CHECK (octet_length(password) <= 512),
    disabled boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (password IS NULL OR email IS NOT NULL)
);

-- Who they are at identity providers.
CREATE TABLE tenancy.account_subjects (
    issuer text COLLATE "C" NOT NULL CHECK (octet_length(issuer) BETWEEN 1 AND 512),
    subject text COLLATE "C" NOT NULL CHECK (octet_length(subject) BETWEEN 1 AND 512),
    user_id uuid NOT NULL REFERENCES tenancy.accounts (user_id) ON DELETE CASCADE,
    PRIMARY KEY (issuer, subject)
);
CREATE INDEX account_subjects_user ON tenancy.account_subjects (user_id);

-- One account, by exactly one of these.
CREATE FUNCTION tenancy.find_account(by_user uuid, by_email text, by_issuer text, by_subject text)
    RETURNS TABLE (user_id uuid, email text, password text, disabled boolean, created_at bigint, issuers text[],
        subjects text[])
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 1 SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT a.user_id, a.email, a.password, a.disabled, (extract(epoch FROM a.created_at) * 1000000)::bigint,
            ARRAY(SELECT s.issuer FROM tenancy.account_subjects AS s WHERE s.user_id = a.user_id
                ORDER BY s.issuer, s.subject),
            ARRAY(SELECT s.subject FROM tenancy.account_subjects AS s WHERE s.user_id = a.user_id
                ORDER BY s.issuer, s.subject)
        FROM tenancy.accounts AS a
        WHERE a.user_id = coalesce(find_account.by_user,
            (SELECT e.user_id FROM tenancy.accounts AS e WHERE e.email = find_account.by_email),
            (SELECT s.user_id FROM tenancy.account_subjects AS s
                WHERE s.issuer = find_account.by_issuer AND s.subject = find_account.by_subject));
    END;

CREATE FUNCTION tenancy.create_account(new_user uuid, new_email text, new_password text, is_disabled boolean,
    made_at bigint, issuers text[], subjects text[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO tenancy.accounts (user_id, email, password, disabled, created_at)
    VALUES (new_user, new_email, new_password, is_disabled,
        timestamptz 'epoch' + made_at * interval '1 microsecond');
    INSERT INTO tenancy.account_subjects (issuer, subject, user_id)
        SELECT s.issuer, s.subject, new_user FROM unnest(issuers, subjects) AS s (issuer, subject);
END
$$;

-- Takes the tokens of a user back that were issued before; a later moment stays.
CREATE FUNCTION tenancy.take_tokens_back(of_user uuid, before bigint) RETURNS void
    LANGUAGE sql SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        INSERT INTO tenancy.token_epochs AS e (kind, subject, valid_after)
        VALUES ('user', of_user::text, timestamptz 'epoch' + before * interval '1 microsecond')
        ON CONFLICT (kind, subject) DO UPDATE
            SET valid_after = excluded.valid_after, changed_xid = pg_current_xact_id()
            WHERE e.valid_after < excluded.valid_after;
    END;

-- Changes an account; null is for what stays. False if there is none. `taken_back` is not null where a password is set or
-- the account disabled.
CREATE FUNCTION tenancy.change_account(of_user uuid, new_password text, is_disabled boolean, taken_back bigint)
    RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- An open reset would undo it. Resets are locked before accounts, as where one is used.
    IF taken_back IS NOT NULL THEN
        DELETE FROM tenancy.password_resets AS r USING tenancy.accounts AS a
        WHERE a.user_id = of_user AND r.email = a.email;
    END IF;
    UPDATE tenancy.accounts AS a SET password = coalesce(new_password, a.password),
        disabled = coalesce(is_disabled, a.disabled)
    WHERE a.user_id = of_user;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF taken_back IS NOT NULL THEN
        PERFORM tenancy.take_tokens_back(of_user, taken_back);
    END IF;
    RETURN true;
END
$$;

-- Links an account with somebody at an issuer, or parts them. False if there is no such account, and a violation of the
-- primary key if that is another account's.
CREATE FUNCTION tenancy.link_account(of_user uuid, of_issuer text, of_subject text, is_linked boolean)
    RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM FROM tenancy.accounts AS a WHERE a.user_id = of_user FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF NOT is_linked THEN
        DELETE FROM tenancy.account_subjects AS s
        WHERE s.issuer = of_issuer AND s.subject = of_subject AND s.user_id = of_user;
        RETURN true;
    END IF;
    IF EXISTS (SELECT FROM tenancy.account_subjects AS s
        WHERE s.issuer = of_issuer AND s.subject = of_subject AND s.user_id = of_user)
    THEN
        RETURN true;
    END IF;
    IF (SELECT count(*) FROM tenancy.account_subjects AS s WHERE s.user_id = of_user) >= 8 THEN
        RAISE EXCEPTION 'the account has 8 external subjects' USING ERRCODE = 'check_violation';
    END IF;
    INSERT INTO tenancy.account_subjects (issuer, subject, user_id) VALUES (of_issuer, of_subject, of_user);
    RETURN true;
END
$$;

-- Puts another hash of the same password in the place of the expected one; whether it was that one.
CREATE FUNCTION tenancy.renew_account_hash(of_user uuid, expected text, renewed text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE tenancy.accounts AS a SET password = renewed WHERE a.user_id = of_user AND a.password = expected;
    RETURN FOUND;
END
$$;

-- Resets that were asked for, by the address that was typed: there need not be such an account, so that asking is the same
-- work in either case. The account is looked for when the reset is mailed and when it is used.
CREATE TABLE tenancy.password_resets (
    email text COLLATE "C" PRIMARY KEY CHECK (octet_length(email) BETWEEN 3 AND 254),
    id uuid NOT NULL UNIQUE,
    digest bytea NOT NULL CHECK (octet_length(digest) = 32),
    digest_version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX password_resets_expiry ON tenancy.password_resets (expires_at);

CREATE FUNCTION tenancy.request_password_reset(of_email text, new_id uuid, new_digest bytea, version bigint,
    made_at bigint, ends_at bigint) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM tenancy.password_resets AS r WHERE r.email IN (
        SELECT o.email FROM tenancy.password_resets AS o
        WHERE o.expires_at <= clock_timestamp() AND o.email <> of_email
        ORDER BY o.expires_at LIMIT 16 FOR UPDATE SKIP LOCKED);
    INSERT INTO tenancy.password_resets AS r (email, id, digest, digest_version, created_at, expires_at)
    VALUES (of_email, new_id, new_digest, version, timestamptz 'epoch' + made_at * interval '1 microsecond',
        timestamptz 'epoch' + ends_at * interval '1 microsecond')
    ON CONFLICT (email) DO UPDATE SET id = excluded.id, digest = excluded.digest,
        digest_version = excluded.digest_version, created_at = excluded.created_at,
        expires_at = excluded.expires_at;
END
$$;

CREATE FUNCTION tenancy.find_password_reset(by_id uuid)
    RETURNS TABLE (email text, digest bytea, digest_version bigint, expires_at bigint, user_id uuid)
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 1 SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT r.email, r.digest, r.digest_version, (extract(epoch FROM r.expires_at) * 1000000)::bigint,
            (SELECT a.user_id FROM tenancy.accounts AS a WHERE a.email = r.email AND NOT a.disabled)
        FROM tenancy.password_resets AS r WHERE r.id = find_password_reset.by_id;
    END;

-- Ends a reset, sets the password and takes the user's tokens back; false if somebody else was first, or it is not that
-- user's any more. `used_at` is the caller's clock, by which it was made.
CREATE FUNCTION tenancy.use_password_reset(by_id uuid, by_digest bytea, of_user uuid, used_at bigint,
    new_password text, taken_back bigint) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    of_email text;
BEGIN
    DELETE FROM tenancy.password_resets AS r
    WHERE r.id = by_id AND r.digest = by_digest
        AND r.expires_at > timestamptz 'epoch' + used_at * interval '1 microsecond'
    RETURNING r.email INTO of_email;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE tenancy.accounts AS a SET password = new_password
    WHERE a.user_id = of_user AND a.email = of_email AND NOT a.disabled;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM tenancy.take_tokens_back(of_user, taken_back);
    RETURN true;
END
$$;

-- The entry and the events of a change of an account, which is no tenant's: the registry login writes into the trail and
-- the outbox for a tenant alone. Of what it says here, it decides no more than it does there.
CREATE FUNCTION tenancy.record_account_change(
    id uuid, at timestamptz, actor_kind text, actor_id uuid, on_behalf_of uuid, credential text, action text,
    outcome text, reason text, targets jsonb, details jsonb, ip inet, user_agent text, request_id text,
    events uuid[], kinds text[], payloads jsonb[]
) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF NOT starts_with(action, 'account.') OR EXISTS (
        SELECT FROM unnest(kinds) AS k (kind) WHERE NOT starts_with(k.kind, 'account.'))
    THEN
        RAISE EXCEPTION 'this is no change of an account' USING ERRCODE = 'insufficient_privilege';
    END IF;
    INSERT INTO tenancy.audit_entries (id, at, tenant_id, actor_kind, actor_id, on_behalf_of, credential,
        action, outcome, reason, targets, details, ip, user_agent, request_id)
    VALUES (id, at, NULL, actor_kind, actor_id, on_behalf_of, credential, action, outcome, reason, targets,
        details, ip, user_agent, request_id);
    INSERT INTO tenancy.outbox_events (event, tenant_id, kind, payload, caused_by)
        SELECT e.event, NULL, e.kind, e.payload, id
        FROM unnest(events, kinds, payloads) WITH ORDINALITY AS e (event, kind, payload, number)
        ORDER BY e.number;
END
$$;

REVOKE ALL ON FUNCTION
    tenancy.note_provisioning(bytea, bytea, uuid, uuid, uuid, uuid),
    tenancy.find_provisioning(bytea),
    tenancy.find_account(uuid, text, text, text),
    tenancy.create_account(uuid, text, text, boolean, bigint, text[], text[]),
    tenancy.take_tokens_back(uuid, bigint),
    tenancy.change_account(uuid, text, boolean, bigint),
    tenancy.link_account(uuid, text, text, boolean),
    tenancy.renew_account_hash(uuid, text, text),
    tenancy.request_password_reset(text, uuid, bytea, bigint, bigint, bigint),
    tenancy.find_password_reset(uuid),
    tenancy.use_password_reset(uuid, bytea, uuid, bigint, text, bigint),
    tenancy.record_account_change(uuid, timestamptz, text, uuid, uuid, text, text, text, text, jsonb, jsonb, inet,
        text, text, uuid[], text[], jsonb[])
FROM PUBLIC;

-- What programs need from here on: the functions above.
CREATE OR REPLACE FUNCTION tenancy.schema_version() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 14;
