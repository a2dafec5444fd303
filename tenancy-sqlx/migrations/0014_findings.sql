-- What a login could do past row security, and which relations let it: read from the catalogs, with
-- the mend of each. A pool asks at start and refuses; what is public of it says the documentation
-- of `tenancy_sqlx::schema::findings`.
--
-- Nothing here locks a table of the application: `pg_get_expr` would, and a pool would then wait for
-- whoever migrates.

-- What the app role may do in this schema; more than this is a finding. `grants.sql` grants it.
CREATE FUNCTION tenancy.app_privileges() RETURNS TABLE (relation name, privilege text)
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT r::name, 'SELECT' FROM unnest(ARRAY['tenants', 'domains', 'external_ids', 'memberships',
            'roles', 'projects', 'project_memberships', 'generations', 'role_names']) AS r;
    END;

-- The role of a kind; NULL where it is not installed.
CREATE FUNCTION tenancy.role_oid(kind text) RETURNS oid
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT r.oid FROM tenancy.role_names AS n JOIN pg_roles AS r ON r.rolname = n.name
        WHERE n.kind = role_oid.kind;
    END;

-- Whom a login can act as: itself, and each role it is a member of, inherited or not. A superuser can
-- act as anybody; that is one finding, and not one for each role.
CREATE FUNCTION tenancy.reach(login name) RETURNS oid[]
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT array_agg(r.oid) FROM pg_roles AS l JOIN pg_roles AS r
            ON r.oid = l.oid OR (NOT l.rolsuper AND pg_has_role(l.oid, r.oid, 'MEMBER'))
        WHERE l.rolname = login;
    END;

-- A role as statements name it.
CREATE FUNCTION tenancy.grantee(role oid) RETURNS text
    LANGUAGE sql STABLE
    RETURN CASE role WHEN 0 THEN 'PUBLIC' ELSE role::regrole::text END;

-- The statements that end a membership, through whichever roles it comes.
CREATE FUNCTION tenancy.leave_sql(role oid, reach oid[]) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT string_agg(format('REVOKE %s FROM %s', role::regrole, m.member::regrole)
            -- From 16 on, each grantor's grant is one of its own.
            || CASE WHEN current_setting('server_version_num')::int >= 160000
                THEN format(' GRANTED BY %s', m.grantor::regrole) ELSE '' END, '; ' ORDER BY m.member)
        FROM pg_auth_members AS m WHERE m.roleid = role AND m.member = ANY (reach);
    END;

-- What is wrong with a login by itself. A superuser is told as such, and of nothing that follows.
CREATE FUNCTION tenancy.login_findings(login name)
    RETURNS TABLE (level text, code text, subject text, finding text, mend text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
WITH me AS MATERIALIZED (
    SELECT r.*, login_findings.login = session_user AS present,
        n.nspowner AS owner, tenancy.role_oid('app') AS app,
        ARRAY[n.nspowner, tenancy.role_oid('system'), tenancy.role_oid('registry')] AS ours,
        tenancy.reach(r.rolname) AS reach
    FROM pg_roles AS r JOIN pg_namespace AS n ON n.nspname = 'tenancy'
    WHERE r.rolname = login_findings.login
),
-- Every role in reach, and whether a finding of its own tells all there is to tell of it.
roles AS MATERIALIZED (
    SELECT r.oid, r.rolname, r.oid = me.oid AS itself, r.rolsuper OR r.rolbypassrls AS bypasses,
        r.rolcreaterole OR r.rolreplication AS privileged,
        r.rolname LIKE 'pg\_%' AND r.oid < 16384 AS predefined,
        r.rolsuper OR r.rolbypassrls OR (r.rolname LIKE 'pg\_%' AND r.oid < 16384)
            OR coalesce(r.oid = ANY (me.ours), false) AS told
    FROM me JOIN pg_roles AS r ON r.oid = ANY (me.reach)
),
grantees AS MATERIALIZED (SELECT r.oid FROM roles AS r WHERE NOT r.told UNION ALL SELECT 0),
owned AS MATERIALIZED (
    SELECT r.oid, o.kind, o.name
    FROM roles AS r JOIN (
        SELECT c.relowner AS owner, 'relations' AS kind, regexp_replace(c.oid::regclass::text, '^public\.', '')
            AS name
        FROM pg_class AS c
        WHERE c.oid >= 16384 AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
            AND c.relpersistence <> 't'
        UNION ALL
        SELECT p.proowner, 'functions', p.oid::regprocedure::text
        FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
        WHERE p.oid >= 16384 AND NOT n.nspname LIKE 'pg\_temp\_%'
        UNION ALL
        SELECT n.nspowner, 'schemas', n.oid::regnamespace::text
        FROM pg_namespace AS n
        WHERE n.nspname <> 'information_schema' AND NOT n.nspname LIKE 'pg\_%'
    ) AS o ON o.owner = r.oid
    WHERE NOT r.told
),
-- What sessions of the login start with. The settings of a group are not its members'.
defaults AS MATERIALIZED (
    SELECT split_part(s.setting, '=', 1) AS name, s.setting,
        format('ALTER %s%s RESET %s',
            CASE WHEN d.setrole = 0 AND d.setdatabase <> 0 THEN format('DATABASE %I', current_database())
                WHEN d.setrole = 0 THEN 'ROLE ALL' ELSE format('ROLE %s', d.setrole::regrole) END,
            CASE WHEN d.setrole <> 0 AND d.setdatabase <> 0
                THEN format(' IN DATABASE %I', current_database()) ELSE '' END,
            split_part(s.setting, '=', 1)) AS mend
    FROM me JOIN pg_db_role_setting AS d ON d.setrole IN (0, me.oid)
        AND d.setdatabase IN (0, (SELECT b.oid FROM pg_database AS b
            WHERE b.datname = current_database()))
    CROSS JOIN unnest(d.setconfig) AS s (setting)
),
found (code, subject, finding, mend) AS (
    SELECT 'no-such-login', login_findings.login::text,
        format('there is no role %I', login_findings.login), NULL
    WHERE NOT EXISTS (SELECT FROM me)
    UNION ALL
    SELECT 'login-bypasses', me.oid::regrole::text,
        format('`%s` is a superuser or has BYPASSRLS', me.rolname),
        -- An administrator is to stay one. The service logs in as somebody else.
        CASE WHEN NOT me.rolsuper THEN format('ALTER ROLE %I NOBYPASSRLS', me.rolname) END
    FROM me WHERE me.rolsuper OR me.rolbypassrls
    UNION ALL
    SELECT 'login-privileged', r.oid::regrole::text,
        format('`%s` may create roles or replicate', r.rolname),
        format('ALTER ROLE %I NOCREATEROLE NOREPLICATION', r.rolname)
    FROM me JOIN roles AS r ON r.privileged WHERE NOT me.rolsuper
    UNION ALL
    SELECT 'reaches-bypass', r.oid::regrole::text,
        format('`%s` is a member of %s, which is a superuser or has BYPASSRLS', me.rolname, r.rolname),
        tenancy.leave_sql(r.oid, me.reach)
    FROM me JOIN roles AS r ON r.bypasses AND NOT r.itself
    UNION ALL
    -- All of them, those of versions to come as well, but for the ones that let nobody read or write;
    -- and only those that somebody was made a member of, not what these consist of.
    SELECT 'reaches-predefined', r.oid::regrole::text,
        format('`%s` is a member of %s, which acts past row security or on the server', me.rolname,
            r.rolname),
        tenancy.leave_sql(r.oid, ARRAY(SELECT o.oid FROM roles AS o WHERE NOT o.predefined))
    FROM me JOIN roles AS r ON r.predefined AND NOT r.bypasses
        AND r.rolname NOT IN ('pg_checkpoint', 'pg_use_reserved_connections', 'pg_database_owner')
        AND EXISTS (SELECT FROM pg_auth_members AS m JOIN roles AS o ON o.oid = m.member
            WHERE m.roleid = r.oid AND NOT o.predefined)
    UNION ALL
    SELECT 'reaches-' || k.kind, r.oid::regrole::text,
        format(CASE k.kind
            WHEN 'owner' THEN '`%s` owns tables, or is a member of their owner: %s'
            WHEN 'system' THEN '`%s` is the system login or a member of it: %s'
            ELSE '`%s` is the login that writes the registry or a member of it: %s' END,
            me.rolname, r.rolname),
        CASE WHEN NOT r.itself THEN tenancy.leave_sql(r.oid, me.reach) END
    FROM me CROSS JOIN unnest(ARRAY['owner', 'system', 'registry'], me.ours) AS k (kind, oid)
        JOIN roles AS r ON r.oid = k.oid
    UNION ALL
    SELECT 'owns-' || o.kind, o.oid::regrole::text,
        format('`%s` owns %s, or is a member of their owner: %s', min(me.rolname),
            CASE WHEN o.kind = 'relations' THEN 'tables' ELSE o.kind END,
            array_to_string((array_agg(o.name ORDER BY o.name))[1:5], ', ')
                || CASE WHEN count(*) > 5 THEN format(' and %s more', count(*) - 5) ELSE '' END),
        format('REASSIGN OWNED BY %s TO %s', o.oid::regrole, min(me.owner::regrole::text))
    FROM me, owned AS o GROUP BY o.oid, o.kind
    UNION ALL
    SELECT 'owns-database', b.datname::text,
        format('`%s` owns the database, or is a member of its owner %s', me.rolname, r.rolname),
        format('ALTER DATABASE %I OWNER TO %s', b.datname, me.owner::regrole)
    FROM me JOIN pg_database AS b ON b.datname = current_database()
        JOIN roles AS r ON r.oid = b.datdba AND NOT r.bypasses
        AND r.oid IS DISTINCT FROM me.owner
    UNION ALL
    -- A function, table or operator of the login's own could stand in the way of what is meant.
    SELECT 'may-create', n.oid::regnamespace::text,
        format('`%s` may create in the schema %s', min(me.rolname), n.oid::regnamespace),
        format('REVOKE CREATE ON SCHEMA %s FROM %s', n.oid::regnamespace,
            string_agg(tenancy.grantee(a.grantee), ', '))
    FROM me, pg_namespace AS n
    CROSS JOIN aclexplode(n.nspacl) AS a JOIN grantees AS g ON g.oid = a.grantee
    WHERE a.privilege_type = 'CREATE' AND a.grantee <> n.nspowner AND NOT n.nspname LIKE 'pg\_t%'
    GROUP BY n.oid
    UNION ALL
    SELECT 'may-create', b.datname::text,
        format('`%s` may create schemas in the database', min(me.rolname)),
        format('REVOKE CREATE ON DATABASE %I FROM %s', b.datname,
            string_agg(tenancy.grantee(a.grantee), ', '))
    FROM me, pg_database AS b
    CROSS JOIN aclexplode(b.datacl) AS a JOIN grantees AS g ON g.oid = a.grantee
    WHERE b.datname = current_database() AND a.privilege_type = 'CREATE' AND a.grantee <> b.datdba
    GROUP BY b.datname
    UNION ALL
    SELECT 'may-set-parameter', p.parname,
        format('`%s` may set %s, and so switch off foreign keys and triggers', min(me.rolname),
            p.parname),
        format('REVOKE ALL ON PARAMETER %s FROM %s', p.parname,
            string_agg(DISTINCT tenancy.grantee(a.grantee), ', '))
    FROM me, pg_parameter_acl AS p
    CROSS JOIN aclexplode(p.paracl) AS a JOIN grantees AS g ON g.oid = a.grantee
    WHERE p.parname = 'session_replication_role'
    GROUP BY p.parname
    UNION ALL
    SELECT 'default-setting', d.name,
        format('sessions of `%s` start with %s', me.rolname, d.setting), d.mend
    FROM me, defaults AS d
    WHERE d.name = 'role' OR d.name LIKE 'tenancy.%'
        OR (d.name = 'row_security' AND NOT lower(split_part(d.setting, '=', 2))
            IN ('on', 'true', 'yes', '1'))
        OR (d.name = 'session_replication_role' AND lower(split_part(d.setting, '=', 2)) <> 'origin')
    UNION ALL
    -- What the present session carries from its connection, and not from a default that is told already.
    SELECT 'session-setting', s.name,
        format('this session of `%s` has %s = %s', me.rolname, s.name, s.value),
        NULL
    FROM me, (VALUES ('row_security', current_setting('row_security'), 'on'),
        ('session_replication_role', current_setting('session_replication_role'), 'origin'))
        AS s (name, value, usual)
    WHERE me.present AND s.value <> s.usual
        AND NOT EXISTS (SELECT FROM defaults AS d WHERE d.name = s.name)
    UNION ALL
    SELECT 'not-app', me.oid::regrole::text,
        format('policies are for the app role `%s`, and `%s` does not inherit from it', me.app::regrole,
            me.rolname),
        CASE WHEN me.app = ANY (me.reach) AND NOT me.rolinherit
            AND current_setting('server_version_num')::int < 160000
            THEN format('ALTER ROLE %I INHERIT', me.rolname)
        ELSE format('GRANT %s TO %I%s', me.app::regrole, me.rolname,
            CASE WHEN current_setting('server_version_num')::int >= 160000
                THEN ' WITH INHERIT TRUE' ELSE '' END) END
    FROM me WHERE NOT coalesce(pg_has_role(me.oid, me.app, 'USAGE'), false)
    UNION ALL
    SELECT 'owner-bypasses', o.oid::regrole::text,
        format('the owner role `%s` is a superuser or has BYPASSRLS, and its views and functions show '
            'every tenant''s rows', o.rolname),
        format('ALTER ROLE %I NOSUPERUSER NOBYPASSRLS', o.rolname)
    FROM me JOIN pg_roles AS o ON o.oid = me.owner WHERE o.rolsuper OR o.rolbypassrls
)
SELECT 'error', f.code, f.subject, f.finding, f.mend FROM found AS f ORDER BY f.code, f.subject
$$;

-- The tables that our policies are on, and what is missing of the guard. The policies of
-- `protected_example` say what they read like on this server. Expressions are compared as they are
-- stored, without the places in the text that they were made from, and without the number of the
-- column: which column it is, the dependencies say, and it has to be one.
--
-- A table of this schema (`registry`) has a guard for the app role, and none that binds the owner.
CREATE FUNCTION tenancy.guards() RETURNS TABLE (
        relation oid, registry boolean, tenant int2, tenant_name name, project int2, project_name name,
        owned boolean, secured boolean, policies text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_nestloop = off
AS $$
WITH pol AS MATERIALIZED (
    SELECT p.oid, p.polrelid, p.polname, p.polpermissive, p.polcmd, p.polroles,
        coalesce(hashtextextended(p.polqual::text, 0), 0) AS qual,
        coalesce(hashtextextended(p.polwithcheck::text, 0), 0) AS checked
    FROM pg_policy AS p
    WHERE p.polname IN ('tenancy_allow', 'tenancy_guard', 'tenancy_owner', 'tenancy_owner_guard',
        'tenancy_system', 'tenancy_project', 'tenancy_owner_project')
),
-- As `tenancy.scope_columns` says it, for all tables at once.
scope AS MATERIALIZED (
    SELECT c.polrelid,
        max(c.attnum) FILTER (WHERE NOT c.of_project) AS tenant,
        max(c.attnum) FILTER (WHERE c.of_project) AS project
    FROM (
        SELECT pol.polrelid, pol.polname IN ('tenancy_project', 'tenancy_owner_project') AS of_project,
            min(d.refobjsubid)::int2 AS attnum
        FROM pol JOIN pg_depend AS d ON d.classid = 'pg_policy'::regclass AND d.objid = pol.oid
            AND d.refclassid = 'pg_class'::regclass AND d.refobjid = pol.polrelid AND d.refobjsubid > 0
        WHERE pol.polname NOT IN ('tenancy_owner', 'tenancy_system')
        GROUP BY 1, 2 HAVING min(d.refobjsubid) = max(d.refobjsubid)
    ) AS c
    GROUP BY c.polrelid
),
-- Many policies have one text: it is read once.
body AS MATERIALIZED (
    SELECT one.qual, one.checked, (
        SELECT md5(string_agg(ltrim(t.part, '-0123456789'), ''))
        FROM string_to_table(replace(replace(concat(p.polqual::text, '|', p.polwithcheck::text),
            ':varattnosyn ', ':location '), ':varattno ', ':location '), ':location ')
            AS t (part)) AS plain
    FROM (SELECT pol.qual, pol.checked, min(pol.oid) AS oid FROM pol GROUP BY 1, 2) AS one
    JOIN pg_policy AS p ON p.oid = one.oid
),
standing AS MATERIALIZED (
    SELECT pol.polrelid, pol.polname, pol.polpermissive, pol.polcmd, pol.polroles, body.plain
    FROM pol JOIN body ON (body.qual, body.checked) = (pol.qual, pol.checked)
),
example AS MATERIALIZED (
    SELECT * FROM standing AS s WHERE s.polrelid = 'tenancy.protected_example'::regclass
),
intact AS MATERIALIZED (
    SELECT s.polrelid, array_agg(s.polname) AS policies
    FROM standing AS s JOIN example AS e ON (s.polname, s.polpermissive, s.polcmd, s.polroles, s.plain)
        = (e.polname, e.polpermissive, e.polcmd, e.polroles, e.plain)
    GROUP BY s.polrelid
)
SELECT c.oid, c.relnamespace = n.oid, s.tenant, t.attname, s.project, p.attname,
    c.relowner = n.nspowner, c.relrowsecurity AND (c.relforcerowsecurity OR c.relnamespace = n.oid),
    (SELECT string_agg(e.polname, ', ' ORDER BY e.polname) FROM example AS e
    WHERE NOT e.polname = ANY (coalesce(i.policies, '{}'))
        AND (NOT e.polname LIKE '%project' OR s.project IS NOT NULL
            -- The default stays where the policies were dropped.
            OR EXISTS (SELECT FROM pg_attrdef AS f JOIN pg_depend AS d
                ON d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid
                    AND d.refclassid = 'pg_proc'::regclass
                    AND d.refobjid = 'tenancy.current_project()'::regprocedure
                WHERE f.adrelid = c.oid))
        AND (c.relnamespace <> n.oid OR e.polname = 'tenancy_guard'))
FROM scope AS s JOIN pg_class AS c ON c.oid = s.polrelid
    JOIN pg_namespace AS n ON n.nspname = 'tenancy'
    LEFT JOIN pg_attribute AS t ON t.attrelid = s.polrelid AND t.attnum = s.tenant
    LEFT JOIN pg_attribute AS p ON p.attrelid = s.polrelid AND p.attnum = s.project
    LEFT JOIN intact AS i ON i.polrelid = s.polrelid
WHERE c.oid <> 'tenancy.protected_example'::regclass
$$;

-- What roles were granted on tables, views and the like, and on their columns, in the schemas that
-- they may use or where a view leads.
CREATE FUNCTION tenancy.grants_to(reach oid[])
    RETURNS TABLE (relation oid, grantee oid, privilege text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
WITH relations AS MATERIALIZED (
    SELECT c.oid, c.relacl, c.relowner
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT n.nspname LIKE 'pg\_%'
        AND n.nspname <> 'information_schema'
        AND (EXISTS (SELECT FROM aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) AS a
                WHERE a.privilege_type = 'USAGE' AND a.grantee = ANY (reach))
            -- Whoever comes by a view is not asked for USAGE.
            OR EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_rewrite'::regclass
                AND d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid))
)
SELECT r.oid, a.grantee, a.privilege_type
FROM relations AS r CROSS JOIN aclexplode(coalesce(r.relacl, acldefault('r', r.relowner))) AS a
WHERE a.grantee = ANY (reach)
UNION
SELECT r.oid, a.grantee, a.privilege_type
FROM pg_attribute AS c JOIN relations AS r ON r.oid = c.attrelid CROSS JOIN aclexplode(c.attacl) AS a
WHERE c.attacl IS NOT NULL AND NOT c.attisdropped AND a.grantee = ANY (reach)
$$;

-- Relations without a guard that have rows of tenants: those that have a tenant column, and what
-- inherits from a protected table or is inherited by one, for row security is not.
CREATE FUNCTION tenancy.unguarded(protected oid[], tenant_names name[])
    RETURNS TABLE (relation oid, code text, tenant name, mendable boolean, about oid[])
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
WITH RECURSIVE up (relation, origin) AS (
    SELECT i.inhparent, i.inhrelid FROM pg_inherits AS i WHERE i.inhrelid = ANY (protected)
    UNION
    SELECT i.inhparent, up.origin FROM up JOIN pg_inherits AS i ON i.inhrelid = up.relation
),
down (relation, origin) AS (
    SELECT i.inhrelid, i.inhparent FROM pg_inherits AS i WHERE i.inhparent = ANY (protected)
    UNION
    SELECT i.inhrelid, down.origin FROM down JOIN pg_inherits AS i ON i.inhparent = down.relation
),
named AS (
    SELECT a.attrelid AS relation, a.attname, a.atttypid = 'uuid'::regtype AS mendable
    FROM pg_attribute AS a
    WHERE a.attname = ANY (tenant_names) AND NOT a.attisdropped
    UNION ALL
    -- What refers to tenants' rows is a tenant's.
    SELECT k.conrelid, NULL, false FROM pg_constraint AS k
    WHERE k.contype = 'f' AND (k.confrelid = ANY (protected)
        OR k.confrelid = 'tenancy.projects'::regclass OR k.confrelid = 'tenancy.tenants'::regclass)
    UNION ALL
    SELECT k.conrelid, a.attname, a.atttypid = 'uuid'::regtype
    FROM pg_constraint AS k JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1]
    WHERE k.contype = 'f' AND k.confrelid = 'tenancy.tenants'::regclass AND cardinality(k.conkey) = 1
    UNION ALL
    -- Policies of ours that speak of several columns, or of none.
    SELECT p.polrelid, NULL, false FROM pg_policy AS p
    WHERE p.polname IN ('tenancy_allow', 'tenancy_guard', 'tenancy_owner_guard')
),
found AS (
    SELECT down.relation, 1 AS rank, NULL::name AS attname, false AS mendable, down.origin FROM down
    UNION ALL
    SELECT up.relation, 2, NULL, false, up.origin FROM up
    UNION ALL
    SELECT named.relation, 3, named.attname, named.mendable, NULL FROM named
)
SELECT f.relation,
    CASE min(f.rank) WHEN 1 THEN 'unguarded-child' WHEN 2 THEN 'unguarded-parent'
        ELSE 'unguarded-table' END,
    (array_agg(f.attname ORDER BY f.mendable DESC, f.attname = 'tenant_id' DESC)
        FILTER (WHERE f.attname IS NOT NULL))[1],
    bool_or(f.mendable) AND c.relkind IN ('r', 'p'),
    coalesce(array_agg(DISTINCT f.origin) FILTER (WHERE f.origin IS NOT NULL), '{}')
FROM found AS f JOIN pg_class AS c ON c.oid = f.relation
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'f') AND c.relpersistence <> 't' AND NOT n.nspname LIKE 'pg\_%'
    AND n.nspname NOT IN ('information_schema', 'tenancy') AND NOT c.oid = ANY (protected)
GROUP BY c.oid, f.relation
$$;

-- Which relations let a login past row security, or would if somebody looked away.
CREATE FUNCTION tenancy.relation_findings(login name) RETURNS TABLE (
        level text, code text, subject text, subject_oid oid, about oid[], finding text, mend text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
WITH RECURSIVE me AS MATERIALIZED (
    SELECT r.oid, n.nspowner AS owner, coalesce(tenancy.role_oid('app'), r.oid) AS app,
        tenancy.role_oid('system') AS system,
        -- What comes by a role that no login may reach is told of the login.
        ARRAY(SELECT x.oid FROM unnest(tenancy.reach(r.rolname)) AS x (oid)
            WHERE NOT coalesce(x.oid IN (n.nspowner, tenancy.role_oid('system'),
                tenancy.role_oid('registry')), false)) || 0::oid AS reach
    FROM pg_roles AS r JOIN pg_namespace AS n ON n.nspname = 'tenancy'
    WHERE r.rolname = relation_findings.login
),
guards AS MATERIALIZED (SELECT * FROM tenancy.guards()),
protected AS MATERIALIZED (SELECT * FROM guards AS g WHERE NOT g.registry),
unguarded AS MATERIALIZED (
    SELECT u.* FROM tenancy.unguarded(ARRAY(SELECT p.relation FROM protected AS p),
        -- A table whose own id is its tenant's says nothing of other tables' ids.
        ARRAY(SELECT DISTINCT p.tenant_name FROM protected AS p WHERE p.tenant_name <> 'id')
            || 'tenant_id'::name) AS u
),
granted AS MATERIALIZED (SELECT g.* FROM me, tenancy.grants_to(me.reach) AS g),
-- What reads which relation by a rule: views, and tables with rules of their own.
rules AS MATERIALIZED (
    SELECT DISTINCT r.ev_class AS relation, d.refobjid AS target, r.ev_type = '1' AS selects
    FROM pg_rewrite AS r JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
        AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> r.ev_class
    WHERE r.ev_class >= 16384
),
-- Whose eyes it reads with: 0 is whoever asks, at whatever depth. PostgreSQL knows `security_invoker`
-- for what a view selects, and not for rules that do something instead of a change.
readers AS MATERIALIZED (
    SELECT c.oid AS relation, c.relkind, k.selects,
        CASE WHEN k.selects AND c.relkind = 'v' AND EXISTS (SELECT FROM pg_options_to_table(c.reloptions) AS o
            WHERE o.option_name = 'security_invoker' AND o.option_value::boolean)
            THEN 0 ELSE c.relowner END AS reader
    FROM pg_class AS c JOIN (SELECT DISTINCT r.relation, r.selects FROM rules AS r) AS k
        ON k.relation = c.oid
),
-- What the login gets to, and by which grant it enters. What `whoever asks` reads needs a grant itself.
reached AS (
    SELECT DISTINCT g.relation, g.relation AS entry FROM granted AS g
    WHERE g.privilege IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
    UNION
    SELECT r.target, x.entry FROM reached AS x JOIN rules AS r ON r.relation = x.relation
        JOIN readers AS v ON v.relation = x.relation AND v.selects = r.selects AND v.relkind <> 'm'
            AND v.reader <> 0
),
reach AS MATERIALIZED (SELECT DISTINCT x.relation FROM reached AS x),
-- Statements that close every way to it.
closing AS MATERIALIZED (
    SELECT x.relation, string_agg(format('REVOKE ALL ON %s FROM %s', x.entry::regclass, g.grantees), '; '
        ORDER BY x.entry) AS mend
    FROM reached AS x JOIN (
        SELECT g.relation, string_agg(DISTINCT tenancy.grantee(g.grantee), ', ') AS grantees
        FROM granted AS g GROUP BY g.relation
    ) AS g ON g.relation = x.entry
    WHERE x.relation IN (SELECT u.relation FROM unguarded AS u UNION ALL
        SELECT c.oid FROM pg_class AS c WHERE c.relkind IN ('m', 'f'))
    GROUP BY x.relation
),
-- What no eyes but the right ones may read.
targets AS MATERIALIZED (
    SELECT g.relation, g.registry, NOT g.registry AS protected FROM guards AS g
    UNION ALL
    SELECT u.relation, false, false FROM unguarded AS u
),
led AS (
    SELECT c.oid AS origin, r.target FROM pg_class AS c JOIN rules AS r ON r.relation = c.oid
    WHERE c.relkind = 'm'
    UNION
    SELECT l.origin, r.target FROM led AS l JOIN rules AS r ON r.relation = l.target
),
-- Relations of nobody's that the login changes, by itself or by a foreign key to what it changes.
cascading AS (
    SELECT f.relation FROM (
        SELECT g.relation FROM granted AS g JOIN pg_class AS c ON c.oid = g.relation
        WHERE g.privilege IN ('UPDATE', 'DELETE') AND c.relkind IN ('r', 'p')
        UNION
        SELECT k.conrelid FROM pg_constraint AS k JOIN granted AS g ON g.relation = k.confrelid
        WHERE k.contype = 'f' AND k.confdeltype IN ('c', 'n', 'd') AND g.privilege IN ('UPDATE', 'DELETE')
    ) AS f WHERE NOT EXISTS (SELECT FROM protected AS p WHERE p.relation = f.relation)
    UNION
    SELECT k.conrelid FROM cascading AS a JOIN pg_constraint AS k ON k.confrelid = a.relation
    WHERE k.contype = 'f' AND k.confdeltype IN ('c', 'n', 'd')
        AND NOT EXISTS (SELECT FROM protected AS p WHERE p.relation = k.conrelid)
),
-- Functions that act as their owner, and that the login may call or sets off by writing.
definers AS MATERIALIZED (
    SELECT p.oid, p.proowner
    FROM me, pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
    WHERE p.prosecdef AND p.oid >= 16384
        AND p.proowner NOT IN (me.owner, me.app, me.oid)
        AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_proc'::regclass
            AND d.objid = p.oid AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e')
        -- A trigger function can't be called. The owner's functions may call what the owner may.
        AND ((p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
            AND EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a
                WHERE a.grantee = ANY (me.reach) OR a.grantee = me.owner)
            AND (EXISTS (SELECT FROM aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) AS a
                    WHERE a.privilege_type = 'USAGE' AND (a.grantee = ANY (me.reach) OR a.grantee = me.owner))
                -- Nobody is asked for USAGE where a view, a policy or a default calls it.
                OR EXISTS (SELECT FROM pg_depend AS d WHERE d.refclassid = 'pg_proc'::regclass
                    AND d.refobjid = p.oid AND d.classid IN ('pg_rewrite'::regclass,
                        'pg_policy'::regclass, 'pg_attrdef'::regclass, 'pg_constraint'::regclass,
                        'pg_proc'::regclass, 'pg_operator'::regclass, 'pg_cast'::regclass))))
        OR EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgfoid = p.oid AND NOT t.tgisinternal
            AND t.tgrelid IN (
                SELECT x.relation FROM reached AS x JOIN granted AS g ON g.relation = x.entry
                WHERE g.privilege IN ('INSERT', 'UPDATE', 'DELETE'))))
),
strangers AS MATERIALIZED (
    SELECT o.oid, o.rolname, o.rolsuper OR o.rolbypassrls OR o.reaches_system AS sees_all,
        CASE WHEN NOT (o.rolsuper OR o.rolbypassrls OR o.reaches_system) THEN ARRAY(
            SELECT DISTINCT p.relation FROM protected AS p JOIN pg_class AS c ON c.oid = p.relation
            WHERE c.relowner = o.oid OR EXISTS (
                SELECT FROM aclexplode(c.relacl) AS a WHERE a.grantee <> 0
                    AND (a.grantee = o.oid OR pg_has_role(o.oid, a.grantee, 'MEMBER'))
                UNION ALL
                SELECT FROM pg_attribute AS t CROSS JOIN aclexplode(t.attacl) AS a
                WHERE t.attrelid = c.oid AND t.attacl IS NOT NULL AND a.grantee <> 0
                    AND (a.grantee = o.oid OR pg_has_role(o.oid, a.grantee, 'MEMBER')))
        ) ELSE '{}' END AS about
    FROM (
        SELECT r.*, coalesce(pg_has_role(r.oid, me.system, 'MEMBER'), false) AS reaches_system
        FROM me, pg_roles AS r WHERE r.oid IN (SELECT d.proowner FROM definers AS d)
    ) AS o
),
found (level, code, relation, subject, about, finding, mend) AS (
    SELECT 'error', 'privilege-past-guard', g.relation, NULL::text,
        CASE WHEN EXISTS (SELECT FROM protected AS p WHERE p.relation = g.relation)
            THEN ARRAY[g.relation] ELSE '{}' END,
        format('%s has %s on it, which row security does not cover',
            string_agg(DISTINCT tenancy.grantee(g.grantee), ', '),
            string_agg(DISTINCT g.privilege, ', ')),
        format('REVOKE %s ON %s FROM %s', string_agg(DISTINCT g.privilege, ', '), g.relation::regclass,
            string_agg(DISTINCT tenancy.grantee(g.grantee), ', '))
    FROM granted AS g JOIN pg_class AS c ON c.oid = g.relation
    WHERE g.privilege IN ('TRUNCATE', 'REFERENCES', 'TRIGGER', 'MAINTAIN') AND g.grantee <> c.relowner
        AND c.relnamespace <> 'tenancy'::regnamespace
    GROUP BY g.relation
    UNION ALL
    -- A role of a group that the login can become, and for which a policy of the application's is.
    SELECT 'error', 'role-past-guard', g.relation, NULL, ARRAY[g.relation],
        format('the login can SET ROLE %s, whom the guard does not bind and a policy lets at its rows',
            string_agg(DISTINCT r.oid::regrole::text, ', ')),
        string_agg(DISTINCT format('REVOKE ALL ON %s FROM %s', g.relation::regclass, r.oid::regrole), '; ')
    FROM me, granted AS g JOIN pg_roles AS r ON r.oid = g.grantee
        JOIN protected AS p ON p.relation = g.relation
    WHERE NOT pg_has_role(r.oid, me.app, 'USAGE') AND EXISTS (
        SELECT FROM pg_policy AS o WHERE o.polrelid = g.relation AND o.polpermissive
            AND o.polname NOT LIKE 'tenancy\_%' AND (0 = ANY (o.polroles) OR EXISTS (
                SELECT FROM unnest(o.polroles) AS x WHERE pg_has_role(r.oid, x, 'USAGE'))))
    GROUP BY g.relation
    UNION ALL
    -- PostgreSQL follows a foreign key past row security: what the login deletes or renames in a table
    -- of nobody's takes rows of every tenant with it.
    SELECT 'error', 'cascade-past-guard', k.conrelid, NULL, ARRAY[k.conrelid],
        format('its foreign key %s changes rows of every tenant along with %s, which the login can change',
            k.conname, k.confrelid::regclass),
        format('ALTER TABLE %s DROP CONSTRAINT %I; or take the rights to change %s away',
            k.conrelid::regclass, k.conname, k.confrelid::regclass)
    FROM pg_constraint AS k JOIN protected AS p ON p.relation = k.conrelid
    WHERE k.contype = 'f' AND k.conparentid = 0
        AND (k.confdeltype IN ('c', 'n', 'd') OR k.confupdtype IN ('c', 'n', 'd'))
        AND k.confrelid IN (SELECT c.relation FROM cascading AS c)
    UNION ALL
    SELECT 'error', 'registry-privilege', g.relation, NULL, '{}',
        format('%s has %s on it, and the app role needs none of that',
            string_agg(DISTINCT tenancy.grantee(g.grantee), ', '),
            string_agg(DISTINCT g.privilege, ', ')),
        format('REVOKE %s ON %s FROM %s', string_agg(DISTINCT g.privilege, ', '), g.relation::regclass,
            string_agg(DISTINCT tenancy.grantee(g.grantee), ', '))
    FROM granted AS g JOIN pg_class AS c ON c.oid = g.relation
    WHERE c.relnamespace = 'tenancy'::regnamespace AND g.grantee <> c.relowner
        AND NOT EXISTS (SELECT FROM tenancy.app_privileges() AS a
            WHERE a.relation = c.relname AND a.privilege = g.privilege)
    GROUP BY g.relation
    UNION ALL
    SELECT 'error', 'guard-altered', g.relation, NULL,
        CASE WHEN g.registry THEN '{}' ELSE ARRAY[g.relation] END,
        concat_ws('; ',
            CASE WHEN NOT g.owned THEN format('it belongs to `%s` and not to the owner role',
                c.relowner::regrole) END,
            CASE WHEN NOT c.relrowsecurity THEN 'row security is off'
                WHEN NOT g.secured THEN 'row security is not forced' END,
            'policies are missing or altered: ' || g.policies),
        CASE WHEN g.registry THEN concat_ws('; ',
            CASE WHEN NOT g.secured THEN format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY',
                g.relation::regclass) END,
            CASE WHEN g.policies IS NOT NULL THEN format('SELECT tenancy.ensure_policy(%L, %L, false, %L, %L)',
                g.relation::regclass, 'tenancy_guard', me.app::regrole,
                format('%I = (SELECT tenancy.current_tenant())', g.tenant_name)) END)
        WHEN g.tenant IS NOT NULL THEN concat_ws('; ',
            format('SELECT tenancy.protect(%L, %L)', g.relation::regclass, g.tenant_name),
            CASE WHEN g.project IS NOT NULL AND g.policies IS NOT NULL THEN
                format('SELECT tenancy.ensure_policies(%L, %L, %L)', g.relation::regclass, g.tenant_name,
                    g.project_name) END)
        END
    FROM me, guards AS g JOIN pg_class AS c ON c.oid = g.relation
    WHERE (NOT g.secured OR g.policies IS NOT NULL OR NOT g.owned OR g.tenant IS NULL)
        AND g.relation IN (SELECT x.relation FROM reach AS x)
    UNION ALL
    SELECT 'error', CASE WHEN f.protected IS NULL THEN u.code ELSE 'foreign-table' END, c.oid, NULL,
        CASE WHEN f.protected IS NULL THEN u.about ELSE f.protected END,
        CASE WHEN f.protected IS NOT NULL
            THEN 'it leads to a table of that name past row security, with the rights of another server''s login'
        WHEN u.code = 'unguarded-child'
            THEN 'it is a part of a protected table, and its own name leads past the guard of that'
        WHEN u.code = 'unguarded-parent'
            THEN 'it shows the rows of protected tables that inherit from it, past their guard'
        WHEN u.tenant IS NULL THEN 'it refers to tenants'' rows and has no guard'
        ELSE format('it has a tenant column (%s) and no guard', u.tenant) END,
        CASE WHEN f.protected IS NULL AND c.relkind <> 'f' AND u.code = 'unguarded-child' THEN
            format('SELECT tenancy.protect(%L, %L)', c.oid::regclass,
                (SELECT p.tenant_name FROM protected AS p WHERE p.relation = u.about[1]))
        WHEN f.protected IS NULL AND u.code = 'unguarded-table' AND u.mendable THEN
            format('SELECT tenancy.protect(%L, %L)', c.oid::regclass, u.tenant)
        ELSE (SELECT k.mend FROM closing AS k WHERE k.relation = c.oid) END
    FROM reach AS x JOIN pg_class AS c ON c.oid = x.relation
        LEFT JOIN unguarded AS u ON u.relation = c.oid
        LEFT JOIN LATERAL (
            SELECT array_agg(p.relation) AS protected
            FROM pg_foreign_table AS t JOIN pg_foreign_server AS s ON s.oid = t.ftserver
                JOIN pg_foreign_data_wrapper AS w ON w.oid = s.srvfdw
                CROSS JOIN LATERAL (
                    SELECT coalesce(min(o.option_value) FILTER (WHERE o.option_name = 'table_name'),
                            CASE WHEN w.fdwname = 'postgres_fdw' THEN c.relname END) AS named,
                        min(o.option_value) FILTER (WHERE o.option_name = 'schema_name') AS within
                    FROM pg_options_to_table(t.ftoptions) AS o
                ) AS o
                JOIN pg_class AS q ON q.relname = o.named
                    AND (o.within IS NULL OR q.relnamespace::regnamespace::text = quote_ident(o.within))
                JOIN protected AS p ON p.relation = q.oid
            WHERE t.ftrelid = c.oid
        ) AS f ON c.relkind = 'f'
    WHERE u.relation IS NOT NULL OR f.protected IS NOT NULL
    UNION ALL
    SELECT 'error', 'view-past-guard', v.relation, NULL, coalesce(array_agg(t.relation)
            FILTER (WHERE t.protected), '{}'),
        format('it reads %s as `%s`, whom their guard does not bind',
            array_to_string((array_agg(t.relation::regclass::text ORDER BY t.relation))[1:5], ', '),
            v.reader::regrole),
        -- Whoever asks needs rights of its own then; the owner role has them.
        CASE WHEN v.relkind = 'v' AND v.selects AND (v.reader = min(me.owner) OR NOT EXISTS (
                SELECT FROM rules AS r WHERE r.relation = v.relation AND NOT EXISTS (
                    SELECT FROM granted AS g WHERE g.relation = r.target AND g.privilege = 'SELECT')))
            THEN format('ALTER VIEW %s SET (security_invoker = true)', v.relation::regclass)
        ELSE format('ALTER %s %s OWNER TO %s', CASE v.relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END,
            v.relation::regclass, min(me.owner::regrole::text)) END
    FROM me, readers AS v JOIN reach AS x ON x.relation = v.relation
        JOIN rules AS r ON r.relation = v.relation AND r.selects = v.selects
        JOIN targets AS t ON t.relation = r.target
    WHERE v.relkind <> 'm' AND v.reader NOT IN (0, me.app, me.oid)
        AND (v.reader <> me.owner OR t.registry)
    GROUP BY v.relation, v.relkind, v.reader, v.selects
    UNION ALL
    SELECT 'error', 'materialized-view', l.origin, NULL,
        coalesce(array_agg(t.relation) FILTER (WHERE t.protected), '{}'),
        format('it holds what was read from %s, and row security can''t be had on it',
            array_to_string((array_agg(t.relation::regclass::text ORDER BY t.relation))[1:5], ', ')),
        (SELECT k.mend FROM closing AS k WHERE k.relation = l.origin)
    FROM led AS l JOIN targets AS t ON t.relation = l.target
    WHERE l.origin IN (SELECT x.relation FROM reach AS x)
    GROUP BY l.origin
    UNION ALL
    SELECT 'error', 'definer-function', d.oid, d.oid::regprocedure::text, s.about,
        format('it runs as `%s`, who %s, and the login may call it or sets it off', s.rolname,
            CASE WHEN s.sees_all THEN 'sees every tenant''s rows'
                ELSE 'has rights on protected tables' END),
        format('ALTER ROUTINE %s OWNER TO %s', d.oid::regprocedure, me.owner::regrole)
    FROM me, definers AS d JOIN strangers AS s ON s.oid = d.proowner
    WHERE s.sees_all OR s.about <> '{}'
    UNION ALL
    SELECT 'warning', 'view-not-invoker', v.relation, NULL, array_agg(t.relation),
        'it reads as the owner role, whose guard is a range of tenants: an index over the tenant and '
            'more columns serves these less well through it',
        format('ALTER VIEW %s SET (security_invoker = true)', v.relation::regclass)
    FROM me, readers AS v JOIN reach AS x ON x.relation = v.relation
        JOIN rules AS r ON r.relation = v.relation AND r.selects
        JOIN targets AS t ON t.relation = r.target AND t.protected
    WHERE v.relkind = 'v' AND v.selects AND v.reader = me.owner
    GROUP BY v.relation
    UNION ALL
    SELECT 'warning',
        CASE WHEN k.convalidated THEN 'foreign-key-unpaired' ELSE 'foreign-key-not-valid' END,
        k.conrelid, NULL, ARRAY[k.conrelid, k.confrelid],
        format(CASE WHEN NOT k.convalidated
            THEN 'the foreign key %s has not been checked for the rows that are there'
            ELSE 'the foreign key %s does not pair the tenants, or projects, of both sides: it can lead '
                'to another''s row' END, k.conname),
        CASE WHEN NOT k.convalidated THEN CASE
            WHEN coalesce((to_jsonb(k) ->> 'conenforced')::boolean, true)
                THEN format('ALTER TABLE %s VALIDATE CONSTRAINT %I', k.conrelid::regclass, k.conname)
            ELSE format('ALTER TABLE %s ALTER CONSTRAINT %I ENFORCED', k.conrelid::regclass, k.conname) END
        ELSE format('SELECT tenancy.protect(%L, %L)', k.conrelid::regclass, a.tenant_name) END
    FROM pg_constraint AS k JOIN protected AS a ON a.relation = k.conrelid
        LEFT JOIN protected AS b ON b.relation = k.confrelid
    WHERE k.contype = 'f' AND k.conparentid = 0
        AND (b.relation IS NOT NULL OR k.confrelid = 'tenancy.tenants'::regclass)
        AND (NOT k.convalidated
            OR (b.tenant IS NOT NULL AND NOT EXISTS (
                SELECT FROM unnest(k.conkey, k.confkey) AS u (mine, theirs)
                WHERE u.mine = a.tenant AND u.theirs = b.tenant))
            OR (a.project IS NOT NULL AND b.project IS NOT NULL AND NOT EXISTS (
                SELECT FROM unnest(k.conkey, k.confkey) AS u (mine, theirs)
                WHERE u.mine = a.project AND u.theirs = b.project)))
    UNION ALL
    SELECT 'warning', 'key-across-tenants', p.relation, NULL, ARRAY[p.relation],
        format('the unique key %s spans tenants: a duplicate tells that another has the value. If that '
            'is meant, say so in a comment on the index: [tenancy: unique across tenants]',
            i.indexrelid::regclass),
        format('SELECT tenancy.protect(%L, %L)', p.relation::regclass, p.tenant_name)
    FROM protected AS p JOIN pg_index AS i ON i.indrelid = p.relation
        JOIN pg_class AS c ON c.oid = i.indexrelid AND NOT c.relispartition
        LEFT JOIN pg_constraint AS k ON k.conindid = i.indexrelid AND k.contype = 'x'
    WHERE CASE WHEN i.indisexclusion THEN NOT EXISTS (
            SELECT FROM generate_series(0, i.indnkeyatts - 1) AS n
            WHERE i.indkey[n] = p.tenant AND (k.oid IS NULL
                -- Of an exclusion, `tenant WITH =` keeps it within a tenant and nothing else does.
                OR (SELECT o.oprname FROM pg_operator AS o WHERE o.oid = k.conexclop[n + 1]) = '='))
        -- Not the columns that an index merely carries along (INCLUDE).
        ELSE i.indisunique AND NOT p.tenant = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]) END
        AND NOT EXISTS (SELECT FROM pg_description AS d WHERE d.objoid = i.indexrelid AND d.objsubid = 0
            AND d.classoid = 'pg_class'::regclass
            AND d.description LIKE '%[tenancy: unique across tenants]%')
    UNION ALL
    SELECT 'warning', 'policy-setting', p.relation, NULL, ARRAY[p.relation],
        format('the policy %I reads a setting without saying missing_ok: where nobody has set it, every '
            'statement on the table fails. Write current_setting(…, true)', o.polname),
        NULL
    FROM protected AS p JOIN pg_policy AS o ON o.polrelid = p.relation AND NOT o.polname LIKE 'tenancy\_%'
    WHERE concat(o.polqual::text, o.polwithcheck::text)
        LIKE format('%%:funcid %s %%', 'current_setting(text)'::regprocedure::oid)
    UNION ALL
    SELECT 'warning', 'publication-columns', p.relation, NULL, ARRAY[p.relation],
        format('the publication %I leaves the tenant out, and an UPDATE fails where it is of the identity',
            b.pubname),
        CASE WHEN r.prqual IS NULL THEN format(
            'ALTER PUBLICATION %1$I DROP TABLE %2$s; ALTER PUBLICATION %1$I ADD TABLE %2$s (%3$s)',
            b.pubname, p.relation::regclass, (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum)
                FROM pg_attribute AS a WHERE a.attrelid = p.relation
                    AND (a.attnum = p.tenant OR a.attnum = ANY (r.prattrs::int2[])))) END
    FROM protected AS p JOIN pg_publication_rel AS r ON r.prrelid = p.relation
        JOIN pg_publication AS b ON b.oid = r.prpubid
    WHERE r.prattrs IS NOT NULL AND NOT p.tenant = ANY (r.prattrs::int2[])
)
SELECT f.level, f.code, coalesce(f.subject, f.relation::regclass::text), f.relation, f.about, f.finding,
    f.mend
FROM found AS f ORDER BY f.level, f.code, 3
$$;

-- Functions of the application that a tenant column breaks: told for the code that they are in, and
-- not asked at each start. Found by their text, and so by the usual ways to write it.
CREATE FUNCTION tenancy.code_warnings() RETURNS TABLE (
        level text, code text, subject text, subject_oid oid, about oid[], finding text, mend text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
WITH protected AS MATERIALIZED (
    SELECT g.relation, g.tenant_name, c.relname, c.relnamespace::regnamespace::text AS within, c.reltype
    FROM tenancy.guards() AS g JOIN pg_class AS c ON c.oid = g.relation
    WHERE NOT g.registry AND g.tenant IS NOT NULL
),
-- Comments go, lines stay.
bodies AS MATERIALIZED (
    SELECT p.oid, p.prorettype, p.proretset, regexp_replace(
        coalesce(pg_get_function_sqlbody(p.oid), p.prosrc), '--[^\n]*', '', 'g') AS body
    FROM pg_proc AS p JOIN pg_language AS l ON l.oid = p.prolang
        JOIN pg_namespace AS n ON n.oid = p.pronamespace
    WHERE p.oid >= 16384 AND l.lanname IN ('sql', 'plpgsql') AND n.nspname <> 'tenancy'
        AND (coalesce(p.prosrc, '') ~* 'on\s+conflict|select' OR p.prosqlbody IS NOT NULL)
        AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_proc'::regclass
            AND d.objid = p.oid AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e')
),
patterns (code, pattern) AS (VALUES
    ('on-conflict', 'insert\s+into\s+([\w".]+)[^;]*?(\yon\s+conflict)\s*\(([^;]*?)\)\s*(?:where|do)\y'),
    ('positional-insert', '(?:insert\s+into)\s+([\w".]+)(?:\s+as\s+\w+)?\s+(select)\s+((?:\w+\.)?\*)')
),
hits AS MATERIALIZED (
    SELECT b.oid, p.code, regexp_substr(b.body, p.pattern, 1, n, 'i', 1) AS named,
        regexp_substr(b.body, p.pattern, 1, n, 'i', 3) AS said,
        regexp_count(left(b.body, regexp_instr(b.body, p.pattern, 1, n, 0, 'i', 2)), '\n') + 1 AS line
    FROM bodies AS b CROSS JOIN patterns AS p
        CROSS JOIN generate_series(1, regexp_count(b.body, p.pattern, 1, 'i')) AS n
),
found (code, function, line, relation, finding) AS (
    SELECT h.code, h.oid, h.line, p.relation,
        format(CASE h.code WHEN 'on-conflict'
            THEN 'ON CONFLICT (%3$s) on %1$s names no key that is there: they begin with %2$I, so that it '
                'fails with 42P10. Add the column'
            ELSE 'INSERT INTO %1$s SELECT %3$s goes by position, and %2$I has shifted them. Name the columns'
            END, p.relation::regclass, p.tenant_name, h.said)
    FROM hits AS h CROSS JOIN LATERAL string_to_array(replace(h.named, '"', ''), '.') AS i (parts)
        JOIN protected AS p ON lower(p.relname) = lower(i.parts[cardinality(i.parts)])
            AND (cardinality(i.parts) = 1 OR lower(p.within) = quote_ident(lower(i.parts[1])))
    WHERE h.code = 'positional-insert' OR strpos(lower(h.said), lower(p.tenant_name)) = 0
        -- A key that spans tenants on purpose is found as ever.
        AND NOT EXISTS (
            SELECT FROM pg_index AS x WHERE x.indrelid = p.relation AND x.indisunique AND (
                SELECT string_agg(a.attname, ',' ORDER BY a.attname) FROM pg_attribute AS a
                WHERE a.attrelid = p.relation AND a.attnum = ANY ((x.indkey::int2[])[0:x.indnkeyatts - 1])
            ) = (SELECT string_agg(btrim(s, ' "'), ',' ORDER BY btrim(s, ' "'))
                FROM regexp_split_to_table(h.said, ',') AS s))
    UNION ALL
    SELECT 'returns-row', b.oid,
        regexp_count(left(b.body, regexp_instr(b.body, '\yselect\y', 1, 1, 0, 'i')), '\n') + 1, p.relation,
        format('it returns rows of %s from a list of columns without %I, which is one of them now. Add it, '
            'or select *', p.relation::regclass, p.tenant_name)
    FROM bodies AS b JOIN protected AS p ON p.reltype = b.prorettype
    WHERE b.body ~* '\yselect\y' AND NOT b.body ~* '\yselect\s+(distinct\s+)?(\w+\.)?\*'
        AND strpos(lower(b.body), lower(p.tenant_name)) = 0
)
SELECT 'warning', f.code, f.function::regprocedure::text, f.function, ARRAY[f.relation],
    format('line %s: %s', f.line, f.finding), NULL
FROM found AS f ORDER BY 2, 3, f.line
$$;


REVOKE ALL ON FUNCTION
    tenancy.app_privileges(), tenancy.role_oid(text), tenancy.reach(name), tenancy.grantee(oid),
    tenancy.leave_sql(oid, oid[]), tenancy.login_findings(name), tenancy.guards(),
    tenancy.grants_to(oid[]), tenancy.unguarded(oid[], name[]), tenancy.relation_findings(name),
    tenancy.code_warnings()
FROM PUBLIC;
