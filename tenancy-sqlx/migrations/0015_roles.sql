-- Logins for one purpose each: one writes the registry for the tenant that its transaction names,
-- one adds to the audit trail. What each may do is granted after the migrations.

ALTER TABLE tenancy.role_names
    DROP CONSTRAINT role_names_kind_check,
    ADD CONSTRAINT role_names_kind_check
        CHECK (kind IN ('owner', 'app', 'registry', 'audit', 'system'));

-- Adds an entry to the trail. Adding it twice is adding it once: a retry may follow an answer that
-- got lost.
CREATE FUNCTION tenancy.append_audit(
    id uuid, at timestamptz, tenant_id uuid, actor text, action text, outcome text, reason text,
    target text, ip inet, user_agent text, suppressed bigint
) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        INSERT INTO tenancy.audit_log (id, at, tenant_id, actor, action, outcome, reason, target, ip,
            user_agent, suppressed)
        VALUES (append_audit.id, append_audit.at, append_audit.tenant_id, append_audit.actor,
            append_audit.action, append_audit.outcome, append_audit.reason, append_audit.target,
            append_audit.ip, append_audit.user_agent, append_audit.suppressed)
        ON CONFLICT (id) DO NOTHING;
    END;

-- Gives the owner role what a migration has made as another login, as sqlx-cli runs them: a view or
-- a SECURITY DEFINER function of a superuser would read past row security. Fires where sqlx records
-- the migration, in the migration's own transaction, and looks at what that transaction wrote.
CREATE FUNCTION tenancy.hand_over() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    owner name := (SELECT pg_get_userbyid(n.nspowner) FROM pg_namespace AS n
        WHERE n.nspname = 'tenancy');
    -- PostgreSQL 16 tells apart whether a member may become the role.
    may_become text := CASE WHEN current_setting('server_version_num')::int >= 160000
        THEN 'SET' ELSE 'MEMBER' END;
    found record;
BEGIN
    IF current_user = owner OR NOT pg_has_role(current_user, owner, may_become) THEN
        RETURN NULL;
    END IF;
    FOR found IN
        WITH object (catalog, oid, made_by, owner, schema, kind, name) AS (
            SELECT 'pg_namespace'::regclass, n.oid, n.xmin, n.nspowner, n.oid, 'SCHEMA',
                quote_ident(n.nspname)
            FROM pg_namespace AS n
            UNION ALL
            SELECT 'pg_class'::regclass, c.oid, NULL, c.relowner, c.relnamespace,
                CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'
                    WHEN 'S' THEN 'SEQUENCE' WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END,
                c.oid::regclass::text
            FROM pg_class AS c WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
            UNION ALL
            SELECT 'pg_proc'::regclass, p.oid, NULL, p.proowner, p.pronamespace, 'ROUTINE',
                p.oid::regprocedure::text
            FROM pg_proc AS p
            UNION ALL
            -- Not the types that tables and other types bring along.
            SELECT 'pg_type'::regclass, t.oid, NULL, t.typowner, t.typnamespace, 'TYPE',
                t.oid::regtype::text
            FROM pg_type AS t LEFT JOIN pg_class AS c ON c.oid = t.typrelid
            WHERE t.typtype IN ('e', 'd', 'r') OR (t.typtype = 'c' AND c.relkind = 'c')
        )
        SELECT o.kind, o.name FROM object AS o JOIN pg_namespace AS n ON n.oid = o.schema
        -- What says in which schema it is, is written when it is made; its own row also when somebody
        -- grants on it or refers to it.
        CROSS JOIN LATERAL (SELECT coalesce(o.made_by, (
            SELECT d.xmin FROM pg_depend AS d
            WHERE d.refclassid = 'pg_namespace'::regclass AND d.refobjid = o.schema
                AND (d.classid = o.catalog AND d.objid = o.oid
                    OR o.kind = 'TYPE' AND d.classid = 'pg_class'::regclass AND d.objid = (
                        SELECT t.typrelid FROM pg_type AS t WHERE t.oid = o.oid))
            LIMIT 1)) AS by) AS made
        WHERE o.owner = quote_ident(current_user)::regrole
            AND n.nspname NOT IN ('tenancy', 'information_schema') AND n.nspname NOT LIKE 'pg\_%'
            -- Written by this transaction: by itself or, in a block with an exception, for it.
            AND CASE WHEN age(made.by) <= 0
                THEN pg_xact_status((pg_current_xact_id()::text::bigint - age(made.by))::text::xid8)
                    = 'in progress'
                ELSE false END
            -- Neither an extension's nor a column's, which follow their own.
            AND NOT EXISTS (
                SELECT FROM pg_depend AS d WHERE d.classid = o.catalog AND d.objid = o.oid
                    AND (d.deptype = 'e' OR (o.kind = 'SEQUENCE' AND d.deptype IN ('a', 'i'))))
        ORDER BY o.kind <> 'SCHEMA'
    LOOP
        IF found.kind = 'SCHEMA' AND NOT has_database_privilege(owner, current_database(), 'CREATE')
            AND NOT (SELECT r.rolsuper FROM pg_roles AS r WHERE r.rolname = current_user)
        THEN
            EXECUTE format('GRANT USAGE, CREATE ON SCHEMA %s TO %I', found.name, owner);
        ELSE
            EXECUTE format('ALTER %s %s OWNER TO %I', found.kind, found.name, owner);
        END IF;
    END LOOP;
    RETURN NULL;
END
$$;

REVOKE ALL ON FUNCTION
    tenancy.append_audit(uuid, timestamptz, uuid, text, text, text, text, text, inet, text, bigint),
    tenancy.hand_over()
FROM PUBLIC;
