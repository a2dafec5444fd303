-- One audit trail, and a table of the issuers that tenants bring along.
--
-- The trail. `audit_entries` has the entries that are written with a change, and from here on also what the
-- engine's sink records. `audit_log` has what sinks recorded until now. Programs of earlier versions still
-- write into it, and nothing is moved: a trail may be large, and an installation must not stop its writers. The
-- view `audit_trail` reads both.

ALTER TABLE tenancy.audit_entries
    -- How many like it were counted and not recorded one by one.
    ADD COLUMN suppressed bigint NOT NULL DEFAULT 0,
    -- A sink is told actions of the application, which may have any name.
    DROP CONSTRAINT audit_entries_action_check,
    ADD CONSTRAINT audit_entries_action_check CHECK (octet_length(action) BETWEEN 1 AND 400);

-- Adds an entry that a sink was told of. One that is there already stays: a store has written it with the
-- change, or an answer got lost and this is another try. A text that is too long is cut, and not lost.
CREATE FUNCTION tenancy.append_entry(
    id uuid, at timestamptz, tenant_id uuid, actor_kind text, actor_id uuid, on_behalf_of uuid,
    credential text, action text, outcome text, reason text, targets jsonb, details jsonb, ip inet,
    user_agent text, request_id text, suppressed bigint
) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        INSERT INTO tenancy.audit_entries (id, at, tenant_id, actor_kind, actor_id, on_behalf_of,
            credential, action, outcome, reason, targets, details, ip, user_agent, request_id, suppressed)
        VALUES (append_entry.id, append_entry.at, append_entry.tenant_id, append_entry.actor_kind,
            append_entry.actor_id, append_entry.on_behalf_of,
            CASE WHEN octet_length(append_entry.credential) > 512
                THEN left(append_entry.credential, 128) ELSE append_entry.credential END,
            left(append_entry.action, 100), append_entry.outcome,
            CASE WHEN octet_length(append_entry.reason) > 4096
                THEN left(append_entry.reason, 1024) ELSE append_entry.reason END,
            CASE WHEN octet_length(append_entry.targets::text) > 131072
                THEN '[]'::jsonb ELSE append_entry.targets END,
            CASE WHEN octet_length(append_entry.details::text) > 131072
                THEN jsonb_build_object('cut', true) ELSE append_entry.details END,
            append_entry.ip,
            CASE WHEN octet_length(append_entry.user_agent) > 1024
                THEN left(append_entry.user_agent, 256) ELSE append_entry.user_agent END,
            CASE WHEN octet_length(append_entry.request_id) > 512
                THEN left(append_entry.request_id, 128) ELSE append_entry.request_id END,
            append_entry.suppressed)
        ON CONFLICT (id) DO NOTHING;
    END;

-- The whole trail, with the rights of who reads it. An entry of `audit_log` says its actor and its target as
-- texts, such as `user:…` and `host:acme`.
CREATE VIEW tenancy.audit_trail WITH (security_invoker = true) AS
    SELECT e.id, e.at, e.tenant_id, e.actor_kind, e.actor_id, e.on_behalf_of, e.credential, e.action,
        e.outcome, e.reason, e.targets, e.details, e.ip, e.user_agent, e.request_id, e.suppressed
    FROM tenancy.audit_entries AS e
    UNION ALL
    SELECT l.id, l.at, l.tenant_id,
        CASE WHEN l.actor ~ '^[a-z][a-z-]{0,31}(:|$)' THEN split_part(l.actor, ':', 1)
            ELSE 'unknown' END,
        CASE WHEN l.actor ~ '^[a-z-]+:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
            THEN split_part(l.actor, ':', 2)::uuid END,
        NULL::uuid, NULL::text, l.action, l.outcome, l.reason,
        CASE WHEN l.target IS NULL THEN '[]'::jsonb
            WHEN strpos(l.target, ':') = 0
            THEN jsonb_build_array(jsonb_build_object('type', 'text', 'id', l.target))
            ELSE jsonb_build_array(jsonb_build_object('type', split_part(l.target, ':', 1),
                'id', substr(l.target, strpos(l.target, ':') + 1))) END,
        NULL::jsonb, l.ip, l.user_agent, NULL::text, l.suppressed
    FROM tenancy.audit_log AS l
    -- An entry that is in both is told once, as the store has it. One of another tenant or action, which merely has
    -- the same id, hides nothing.
    WHERE NOT EXISTS (SELECT FROM tenancy.audit_entries AS e
        WHERE e.id = l.id AND e.tenant_id IS NOT DISTINCT FROM l.tenant_id
            AND e.action = l.action);

-- Issuers of tokens that tenants bring along. What is needed to check a token, the application writes into
-- `config`. A name is compared byte for byte. There is no foreign key: to make one waits for every open
-- transaction that has changed a tenant. An issuer whose tenant is gone is not found.
CREATE TABLE tenancy.issuers (
    issuer text COLLATE "C" PRIMARY KEY CHECK (octet_length(issuer) BETWEEN 1 AND 512),
    tenant_id uuid NOT NULL,
    config jsonb NOT NULL CHECK (octet_length(config::text) <= 131072),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX issuers_tenant ON tenancy.issuers (tenant_id, issuer);

-- Finds an issuer by the name that a token has, before a tenant is known.
CREATE FUNCTION tenancy.find_issuer(name text)
    RETURNS TABLE (issuer text, tenant_id uuid, config jsonb)
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 1 SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT i.issuer, i.tenant_id, i.config FROM tenancy.issuers AS i
        WHERE i.issuer = find_issuer.name
            AND EXISTS (SELECT FROM tenancy.tenants AS t WHERE t.id = i.tenant_id);
    END;

REVOKE ALL ON FUNCTION
    tenancy.append_entry(uuid, timestamptz, uuid, text, uuid, uuid, text, text, text, text, jsonb, jsonb,
        inet, text, text, bigint),
    tenancy.find_issuer(text)
FROM PUBLIC;

-- As before, and the trail as a whole.
CREATE OR REPLACE FUNCTION tenancy.app_privileges() RETURNS TABLE (relation name, privilege text)
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT r::name, 'SELECT' FROM unnest(ARRAY['tenants', 'domains', 'external_ids', 'memberships',
            'roles', 'projects', 'project_memberships', 'generations', 'role_names',
            'audit_entries', 'audit_log', 'audit_trail']) AS r
        UNION ALL
        SELECT r::name, 'INSERT' FROM unnest(ARRAY['outbox_events', 'audit_entries']) AS r;
    END;

-- What programs need from here on: one trail.
CREATE OR REPLACE FUNCTION tenancy.schema_version() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 7;
