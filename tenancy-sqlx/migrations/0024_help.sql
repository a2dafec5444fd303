-- Help for whoever begins: accounts of the whole service, `protect_all`, and one check of everything. Running it
-- again is harmless.

-- Says by example what the policies of a table of accounts read like on this server. Holds no rows.
CREATE TABLE IF NOT EXISTS tenancy.accounts_example (id uuid NOT NULL);

-- The tables of accounts, and the column that names the user: NULL where our policies speak of several
-- columns, or of none.
CREATE OR REPLACE FUNCTION tenancy.account_tables() RETURNS TABLE (relation oid, user_column name, number int2)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
    BEGIN ATOMIC
        SELECT t.oid, t.user_column, a.attnum
        FROM (
            SELECT DISTINCT p.polrelid AS oid,
                tenancy.policy_column(p.polrelid, '{tenancy_members,tenancy_members_guard}') AS user_column
            FROM pg_policy AS p WHERE p.polname IN ('tenancy_members', 'tenancy_members_guard')
        ) AS t LEFT JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attname = t.user_column
        WHERE t.oid <> 'tenancy.accounts_example'::regclass;
    END;

-- The policies of a table of accounts: a tenant sees those of its active members. The array is made once for
-- each statement, so that an index over the user's column serves it, and a statement costs what the tenant has
-- of members and not what the service has of accounts. RESTRICTIVE makes a careless policy that somebody adds
-- later harmless.
CREATE OR REPLACE FUNCTION tenancy.ensure_member_policies(target regclass, user_column name) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    app name := tenancy.role_name('app');
    members text := format('%I = ANY (ARRAY(SELECT m.user_id FROM tenancy.memberships AS m '
        'WHERE m.tenant_id = (SELECT tenancy.current_tenant()) AND m.status = ''active''))', user_column);
BEGIN
    PERFORM tenancy.ensure_policy(target, 'tenancy_members', true, app, members);
    PERFORM tenancy.ensure_policy(target, 'tenancy_members_guard', false, app, members);
    PERFORM tenancy.ensure_policy(target, 'tenancy_system', true, tenancy.role_name('system'), 'true');
END
$$;

-- What is missing of the guard of a table of accounts, and what leads past it.
--
-- Nothing here locks a table of the application: see the file of `relation_findings`.
CREATE OR REPLACE FUNCTION tenancy.account_findings(login name) RETURNS TABLE (
        level text, code text, subject text, subject_oid oid, about oid[], finding text, mend text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
WITH RECURSIVE me AS MATERIALIZED (
    SELECT r.oid, r.rolsuper, n.nspowner AS owner, coalesce(tenancy.role_oid('app'), r.oid) AS app,
        -- What comes by a role that no login may reach is told of the login.
        ARRAY(SELECT x.oid FROM unnest(tenancy.reach(r.rolname)) AS x (oid)
            WHERE NOT coalesce(x.oid IN (n.nspowner, tenancy.role_oid('system'),
                tenancy.role_oid('registry')), false)) || 0::oid AS reach
    FROM pg_roles AS r JOIN pg_namespace AS n ON n.nspname = 'tenancy'
    WHERE r.rolname = account_findings.login
),
accounts AS MATERIALIZED (
    SELECT a.relation, a.user_column, c.relowner, c.relrowsecurity, c.relacl
    FROM tenancy.account_tables() AS a JOIN pg_class AS c ON c.oid = a.relation
),
up (relation, origin) AS (
    SELECT i.inhparent, i.inhrelid FROM pg_inherits AS i WHERE i.inhrelid IN (SELECT a.relation FROM accounts AS a)
    UNION
    SELECT i.inhparent, up.origin FROM up JOIN pg_inherits AS i ON i.inhrelid = up.relation
),
down (relation, origin) AS (
    SELECT i.inhrelid, i.inhparent FROM pg_inherits AS i WHERE i.inhparent IN (SELECT a.relation FROM accounts AS a)
    UNION
    SELECT i.inhrelid, down.origin FROM down JOIN pg_inherits AS i ON i.inhparent = down.relation
),
-- As in `guards`: as they are stored, without places and numbers of columns.
standing AS MATERIALIZED (
    SELECT p.polrelid, p.polname, p.polpermissive, p.polcmd, p.polroles, (
        SELECT md5(string_agg(ltrim(t.part, '-0123456789'), ''))
        FROM string_to_table(replace(replace(concat(p.polqual::text, '|', p.polwithcheck::text),
            ':varattnosyn ', ':location '), ':varattno ', ':location '), ':location ')
            AS t (part)) AS plain
    FROM pg_policy AS p
    WHERE p.polname IN ('tenancy_members', 'tenancy_members_guard', 'tenancy_system')
        AND (p.polrelid = 'tenancy.accounts_example'::regclass
            OR p.polrelid IN (SELECT a.relation FROM accounts AS a))
),
altered AS MATERIALIZED (
    SELECT a.relation, string_agg(e.polname, ', ' ORDER BY e.polname) AS policies
    FROM accounts AS a JOIN standing AS e ON e.polrelid = 'tenancy.accounts_example'::regclass
    WHERE NOT EXISTS (
        SELECT FROM standing AS s WHERE s.polrelid = a.relation
            AND (s.polname, s.polpermissive, s.polcmd, s.polroles, s.plain)
                = (e.polname, e.polpermissive, e.polcmd, e.polroles, e.plain))
    GROUP BY a.relation
),
granted AS MATERIALIZED (
    SELECT a.relation, x.grantee, x.privilege_type AS privilege
    FROM me, accounts AS a CROSS JOIN aclexplode(a.relacl) AS x
    WHERE x.grantee = ANY (me.reach) AND x.grantee <> a.relowner
    UNION
    SELECT a.relation, x.grantee, x.privilege_type
    FROM me, accounts AS a JOIN pg_attribute AS c ON c.attrelid = a.relation AND c.attacl IS NOT NULL
        CROSS JOIN aclexplode(c.attacl) AS x
    WHERE x.grantee = ANY (me.reach) AND x.grantee <> a.relowner
),
found (code, relation, finding, mend) AS (
    SELECT 'accounts-altered', a.relation,
        concat_ws('; ',
            CASE WHEN a.relowner <> me.owner THEN format('it belongs to `%s` and not to the owner role',
                a.relowner::regrole) END,
            CASE WHEN NOT a.relrowsecurity THEN 'row security is off' END,
            'policies are missing or altered: ' || l.policies,
            CASE WHEN a.user_column IS NULL THEN 'which column names the user is not clear' END),
        CASE WHEN a.user_column IS NOT NULL THEN
            format('SELECT tenancy.share_with_members(%L, %L)', a.relation::regclass, a.user_column) END
    FROM me, accounts AS a LEFT JOIN altered AS l ON l.relation = a.relation
    WHERE a.relowner <> me.owner OR NOT a.relrowsecurity OR l.relation IS NOT NULL OR a.user_column IS NULL
    UNION ALL
    -- A person may be a member of several tenants: one of them would change what the others see.
    SELECT 'accounts-writable', g.relation,
        format('%s has %s on it: one tenant would change the account of a person who belongs to others too',
            string_agg(DISTINCT tenancy.grantee(g.grantee), ', '),
            string_agg(DISTINCT g.privilege, ', ' ORDER BY g.privilege)),
        format('REVOKE %s ON %s FROM %s', string_agg(DISTINCT g.privilege, ', ' ORDER BY g.privilege),
            g.relation::regclass, string_agg(DISTINCT tenancy.grantee(g.grantee), ', '))
    FROM granted AS g WHERE g.privilege IN ('INSERT', 'UPDATE', 'DELETE')
    GROUP BY g.relation
    UNION ALL
    -- A role that the login can become, whom the guard does not bind.
    SELECT 'reaches-accounts', g.relation,
        format('the login can act as %s, whom the guard does not bind and a policy lets at every account',
            string_agg(DISTINCT r.oid::regrole::text, ', ')),
        string_agg(DISTINCT tenancy.leave_sql(r.oid, me.reach), '; ')
    FROM me, granted AS g JOIN pg_roles AS r ON r.oid = g.grantee
    WHERE NOT me.rolsuper AND NOT pg_has_role(r.oid, me.app, 'USAGE') AND EXISTS (
        SELECT FROM pg_policy AS o WHERE o.polrelid = g.relation AND o.polpermissive
            AND o.polname NOT IN ('tenancy_members', 'tenancy_system')
            AND (0 = ANY (o.polroles) OR EXISTS (
                SELECT FROM unnest(o.polroles) AS x WHERE pg_has_role(r.oid, x, 'USAGE'))))
    GROUP BY g.relation
    UNION ALL
    -- Row security is not inherited.
    SELECT 'accounts-open', x.relation,
        format('it shares rows with %s by inheritance, and its own name leads past the guard of that',
            string_agg(DISTINCT x.origin::regclass::text, ', ')),
        format('REVOKE ALL ON %s FROM %s', x.relation::regclass,
            string_agg(DISTINCT tenancy.grantee(g.grantee), ', '))
    FROM me, (SELECT u.relation, u.origin FROM up AS u UNION SELECT d.relation, d.origin FROM down AS d) AS x
        JOIN LATERAL tenancy.grants_to(me.reach) AS g ON g.relation = x.relation
    WHERE g.privilege IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
        AND x.relation NOT IN (SELECT a.relation FROM accounts AS a)
    GROUP BY x.relation
)
SELECT 'error', f.code, f.relation::regclass::text, f.relation, ARRAY[f.relation], f.finding, f.mend
FROM found AS f ORDER BY 2, 3
$$;

-- As before, and tables of accounts.
CREATE OR REPLACE FUNCTION tenancy.guards() RETURNS TABLE (
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
UNION ALL
-- Tables of accounts: the owner reads all of them, as it does the registry. What is missing of their guard
-- says `account_findings`.
SELECT a.relation, true, coalesce(a.number, 0::int2), a.user_column, NULL, NULL, true, true, NULL
FROM tenancy.account_tables() AS a
$$;

-- As before, without the sealer's own functions: an application may have a table of the same name as one that
-- these read. What is the sealer's, `seal_findings` looks at.
CREATE OR REPLACE FUNCTION tenancy.definer_findings(login name) RETURNS TABLE (
        level text, code text, subject text, subject_oid oid, about oid[], finding text, mend text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
WITH RECURSIVE me AS MATERIALIZED (
    SELECT r.oid, tenancy.role_oid('app') AS app, tenancy.reach(r.rolname) || 0::oid AS reach
    FROM pg_roles AS r WHERE r.rolname = definer_findings.login
),
guards AS MATERIALIZED (
    SELECT g.relation, g.registry, g.tenant_name FROM tenancy.guards() AS g
),
unguarded AS MATERIALIZED (
    SELECT u.relation, u.mendable, u.tenant FROM tenancy.unguarded(
        ARRAY(SELECT g.relation FROM guards AS g WHERE NOT g.registry),
        ARRAY(SELECT DISTINCT g.tenant_name FROM guards AS g WHERE NOT g.registry AND g.tenant_name <> 'id')
            || 'tenant_id'::name) AS u
),
functions AS MATERIALIZED (
    SELECT p.oid, p.proname, p.prosecdef, p.proowner, p.proacl, p.pronamespace,
        p.prorettype IN ('trigger'::regtype, 'event_trigger'::regtype) AS triggered,
        regexp_replace(lower(p.prosrc), '--[^\n]*', ' ', 'g') AS body
    FROM pg_proc AS p JOIN pg_language AS l ON l.oid = p.prolang
        JOIN pg_namespace AS n ON n.oid = p.pronamespace
    WHERE p.oid >= 16384 AND n.nspname NOT IN ('tenancy', 'tenancy_seal') AND l.lanname NOT IN ('c', 'internal')
        AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_proc'::regclass
            AND d.objid = p.oid AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e')
),
calls (caller, function) AS (
    SELECT f.oid, f.oid FROM functions AS f
    UNION
    SELECT c.caller, g.oid FROM calls AS c JOIN functions AS f ON f.oid = c.function
    JOIN functions AS g ON g.oid <> f.oid AND (
        strpos(f.body, lower(g.proname)) > 0 AND f.body ~ ('(^|[^[:alnum:]_])'
            || regexp_replace(lower(g.proname), '([^[:alnum:]_])', '\\\1', 'g') || '"?\s*\(')
        OR EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_proc'::regclass AND d.objid = f.oid
            AND d.refclassid = 'pg_proc'::regclass AND d.refobjid = g.oid))
),
rules AS MATERIALIZED (
    SELECT DISTINCT c.oid AS relation, c.relkind, d.refclassid = 'pg_proc'::regclass AS calls,
        d.refobjid AS target
    FROM pg_rewrite AS r JOIN pg_class AS c ON c.oid = r.ev_class
    JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
        AND d.refclassid IN ('pg_class'::regclass, 'pg_proc'::regclass) AND d.refobjid <> r.ev_class
    WHERE c.oid >= 16384
),
-- Relations that lead to tenants' rows, and whether whoever reads them as the owner sees everybody's.
held (relation, open) AS (
    SELECT g.relation, g.registry FROM guards AS g
    UNION
    SELECT u.relation, true FROM unguarded AS u
    UNION
    SELECT r.relation, h.open OR r.relkind = 'm'
    FROM held AS h JOIN rules AS r ON r.target = h.relation AND NOT r.calls
),
names AS MATERIALIZED (
    SELECT c.oid AS relation, lower(c.relname) AS name, c.relnamespace = 'tenancy'::regnamespace AS registry,
        bool_or(h.open) AS open,
        regexp_replace(lower(c.relname), '([^[:alnum:]_])', '\\\1', 'g') AS pattern
    FROM held AS h JOIN pg_class AS c ON c.oid = h.relation GROUP BY c.oid
),
reads AS MATERIALIZED (
    SELECT f.oid AS function, n.relation, n.open
    FROM functions AS f JOIN names AS n ON
        strpos(f.body, n.name) > 0 AND f.body ~ (
            '(from|join|using|update|,)\s+(only\s+)?'
            || CASE WHEN n.registry THEN '"?tenancy"?\s*\.\s*' ELSE '("?[^\s".]+"?\s*\.\s*)?' END
            || '"?' || n.pattern || '"?($|[^[:alnum:]_(])')
        OR EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_proc'::regclass AND d.objid = f.oid
            AND d.refclassid = 'pg_class'::regclass AND d.refobjid = n.relation)
),
definers AS MATERIALIZED (
    SELECT f.oid, f.proowner FROM me, functions AS f JOIN pg_namespace AS n ON n.oid = f.pronamespace
    WHERE f.prosecdef AND f.proowner NOT IN (me.oid, me.app)
        AND (NOT f.triggered
            AND EXISTS (SELECT FROM aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) AS a
                WHERE a.privilege_type = 'EXECUTE' AND a.grantee = ANY (me.reach))
            AND (EXISTS (SELECT FROM aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) AS a
                    WHERE a.privilege_type = 'USAGE' AND a.grantee = ANY (me.reach))
                OR EXISTS (SELECT FROM pg_depend AS d WHERE d.refclassid = 'pg_proc'::regclass
                    AND d.refobjid = f.oid AND d.classid IN ('pg_rewrite'::regclass,
                        'pg_policy'::regclass, 'pg_attrdef'::regclass, 'pg_constraint'::regclass)))
        OR EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgfoid = f.oid AND NOT t.tgisinternal))
        AND NOT coalesce(obj_description(f.oid, 'pg_proc') LIKE '%[tenancy: looks across tenants]%', false)
),
entered (relation) AS (
    SELECT g.relation FROM me, tenancy.grants_to(me.reach) AS g
    WHERE g.privilege IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
    UNION
    SELECT r.target FROM entered AS e JOIN rules AS r ON r.relation = e.relation
    WHERE NOT r.calls AND r.relkind <> 'm'
),
found AS (
    SELECT 'definer-reads-unguarded' AS code, d.oid::regprocedure::text AS subject, d.oid,
        array_agg(DISTINCT r.relation) AS about,
        format('it runs as `%s` and reads or changes %s, which has rows of tenants and no guard; the login '
            'may call it or sets it off. If it is to look across tenants, say so in its comment: '
            '[tenancy: looks across tenants]', min(d.proowner::regrole::text),
            string_agg(DISTINCT r.relation::regclass::text, ', ')) AS finding,
        coalesce(
            (SELECT format('SELECT tenancy.protect(%L, %L)', u.relation::regclass, u.tenant)
                FROM unguarded AS u WHERE u.relation = ANY (array_agg(r.relation)) AND u.mendable LIMIT 1),
            format('REVOKE ALL ON FUNCTION %s FROM PUBLIC, %s', d.oid::regprocedure,
                min(me.app::regrole::text))) AS mend
    FROM me, definers AS d JOIN calls AS c ON c.caller = d.oid
        JOIN reads AS r ON r.function = c.function AND r.open
    GROUP BY d.oid
    UNION ALL
    SELECT 'materialized-view', m.relation::regclass::text, m.relation, array_agg(DISTINCT r.relation),
        format('it holds what a function read from %s, and row security can''t be had on it',
            string_agg(DISTINCT r.relation::regclass::text, ', ')),
        format('REVOKE ALL ON %s FROM PUBLIC, %s', m.relation::regclass, min(me.app::regrole::text))
    FROM me, rules AS m JOIN calls AS c ON c.caller = m.target
        JOIN reads AS r ON r.function = c.function
    WHERE m.relkind = 'm' AND m.calls AND m.relation IN (SELECT e.relation FROM entered AS e)
    GROUP BY m.relation
)
SELECT 'error', f.code, f.subject, f.oid, f.about, f.finding, f.mend FROM found AS f ORDER BY 2, 3
$$;

-- As before, and tables of accounts.
CREATE OR REPLACE FUNCTION tenancy.app_leaks() RETURNS TABLE (
        code text, subject text, subject_oid oid, about oid[], finding text, mend text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT f.code, f.subject, f.subject_oid, f.about, f.finding, f.mend
        FROM (
            SELECT * FROM tenancy.relation_findings(tenancy.role_name('app'))
            UNION ALL
            SELECT * FROM tenancy.definer_findings(tenancy.role_name('app'))
            UNION ALL
            SELECT * FROM tenancy.account_findings(tenancy.role_name('app'))
        ) AS f WHERE f.level = 'error';
    END;

-- As before, and later where several tables are protected at once.
CREATE OR REPLACE FUNCTION tenancy.refuse_leaks(target regclass, verb text, known text[]) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    concerned oid[] := ARRAY(SELECT tenancy.descendants(target));
    leak record;
BEGIN
    -- `protect_tables` asks when all of its tables are protected: what one lacks yet would be told of another.
    IF current_setting('tenancy.protects_several', true) = 'yes' THEN
        RETURN;
    END IF;
    SELECT l.*, (SELECT string_agg(a::regclass::text, ', ') FROM unnest(l.about) AS a) AS names INTO leak
    FROM tenancy.app_leaks() AS l
    WHERE l.subject_oid = ANY (concerned) OR l.about && concerned
        OR l.code || ' ' || l.subject <> ALL (known)
    LIMIT 1;
    IF FOUND THEN
        PERFORM tenancy.refuse(
            format('can''t %s %s: %s: %s%s', verb, target, leak.subject, leak.finding,
                coalesce(' (' || leak.names || ')', '')),
            CASE verb WHEN 'share'
                THEN 'What every tenant may read must lead to no tenant''s rows: protect it, or keep what is '
                    'common in a table of its own.'
                ELSE leak.mend END);
    END IF;
END
$$;

-- As before, and tables of accounts.
CREATE OR REPLACE FUNCTION tenancy.check_protectable(target regclass) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    relation pg_class;
    extension name;
BEGIN
    IF target IS NULL THEN
        PERFORM tenancy.refuse('can''t protect: no table was named', 'SELECT tenancy.protect(''notes'')');
    END IF;
    SELECT * INTO STRICT relation FROM pg_class WHERE oid = target;
    IF relation.relkind NOT IN ('r', 'p') THEN
        RAISE EXCEPTION 'can''t protect %: row security exists for tables only', target
            USING ERRCODE = 'wrong_object_type',
            HINT = 'Protect the tables behind a view, and create the view WITH (security_invoker). '
                'Move the data of a materialized view or foreign table into a table.';
    END IF;
    IF relation.relnamespace IN ('tenancy'::regnamespace, 'pg_catalog'::regnamespace,
        'information_schema'::regnamespace) OR relation.relpersistence = 't'
    THEN
        RAISE EXCEPTION 'can''t protect %: it is not a table of the application', target
            USING ERRCODE = 'wrong_object_type';
    END IF;
    SELECT e.extname INTO extension FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid
    WHERE d.classid = 'pg_class'::regclass AND d.objid = target
        AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e';
    IF extension IS NOT NULL THEN
        RAISE EXCEPTION 'can''t protect %: it belongs to the extension %', target, extension
            USING ERRCODE = 'wrong_object_type',
            HINT = 'If every tenant may read it, share it; else keep what is a tenant''s in a table of '
                'your own.';
    END IF;
    IF EXISTS (SELECT FROM tenancy.account_tables() AS a WHERE a.relation = target) THEN
        PERFORM tenancy.refuse(
            format('can''t protect %s: it holds accounts of the whole service, which tenants see by their '
                'members', target),
            format('If its rows belong to tenants after all: ALTER TABLE %s DISABLE ROW LEVEL SECURITY; '
                'REVOKE ALL ON %1$s FROM %I; %s', target, tenancy.role_name('app'), (
                SELECT string_agg(format('DROP POLICY %I ON %s', p.polname, target), '; ' ORDER BY p.polname)
                FROM pg_policy AS p WHERE p.polrelid = target AND p.polname LIKE 'tenancy\_%')));
    END IF;
    IF relation.reloftype <> 0 THEN
        PERFORM tenancy.refuse(format('can''t protect %s: it is of a type, and takes no other column', target),
            format('ALTER TABLE %s NOT OF', target));
    END IF;
    IF relation.relispartition AND tenancy.scope_columns((
        SELECT i.inhparent FROM pg_inherits AS i WHERE i.inhrelid = target)) = '{}'
    THEN
        RAISE EXCEPTION 'can''t protect %: it is a partition of a table that is not protected', target
            USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Protect the partitioned table: that protects its partitions too.';
    END IF;
    IF tenancy.role_name('app') IS NULL THEN
        RAISE EXCEPTION 'can''t protect %: the roles are not installed', target
            USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Run the installation of tenancy first; it records the names of the roles.';
    END IF;
END
$$;

-- The sequences that a table's defaults draw from. An identity's needs no grant.
CREATE OR REPLACE FUNCTION tenancy.drawn_sequences(target oid) RETURNS TABLE (sequence oid)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT DISTINCT d.refobjid FROM pg_attrdef AS f JOIN pg_depend AS d
            ON d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid
                AND d.refclassid = 'pg_class'::regclass
        JOIN pg_class AS s ON s.oid = d.refobjid AND s.relkind = 'S'
        WHERE f.adrelid = target;
    END;

-- Columns of a table whose names say that they are nobody's to read, such as `password_hash`.
CREATE OR REPLACE FUNCTION tenancy.secret_columns(target oid) RETURNS TABLE (attnum int2, attname name)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT a.attnum, a.attname FROM pg_attribute AS a
        WHERE a.attrelid = target AND a.attnum > 0 AND NOT a.attisdropped
            AND a.attname ~* '(^|_)(passw(or)?d|pass(phrase)?|secret|salt|totp|otp|mfa|token|hash|digest|recovery)'
                '(_|s$|s_|$)|password';
    END;

-- Shows each tenant those rows of a table of accounts that are its active members'. To be called by the
-- table's owner, also in a migration:
--
--     CREATE TABLE users (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), email text NOT NULL UNIQUE);
--     SELECT tenancy.share_with_members('users', 'id');
--
-- Tenants read. Whoever signs up has no tenant yet, and whoever is a member of two tenants has one account: so
-- no tenant writes. The owner reads and writes everything, and so do its SECURITY DEFINER functions; those are
-- named by the check at start unless their comment says `[tenancy: looks across tenants]`.
--
-- user_column: the column that names the user, `id` unless said. Remembered.
-- columns: the columns that tenants may read; all of them unless said. Granted on the first call, and
--     afterwards only where said.
-- managed_by: a login of the application's own that reads and writes all accounts, for sign-up and sign-in.
CREATE OR REPLACE FUNCTION tenancy.share_with_members(
    target regclass, user_column name DEFAULT NULL, columns name[] DEFAULT NULL, managed_by name DEFAULT NULL
) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    relation pg_class;
    app name := tenancy.role_name('app');
    known name;
    named name;
    kind oid;
    first boolean;
    missing text;
    secrets text;
    item regclass;
BEGIN
    PERFORM tenancy.one_at_a_time();
    IF target IS NULL THEN
        PERFORM tenancy.refuse('can''t share accounts: no table was named',
            'SELECT tenancy.share_with_members(''users'', ''id'')');
    END IF;
    SELECT * INTO STRICT relation FROM pg_class WHERE oid = target;
    IF relation.relkind NOT IN ('r', 'p') OR relation.relpersistence = 't' OR relation.relnamespace IN (
        'tenancy'::regnamespace, 'pg_catalog'::regnamespace, 'information_schema'::regnamespace)
    THEN
        RAISE EXCEPTION 'can''t share % with members: it is no table of the application', target
            USING ERRCODE = 'wrong_object_type';
    END IF;
    IF EXISTS (SELECT FROM pg_inherits AS i WHERE i.inhrelid = target OR i.inhparent = target
        AND relation.relkind = 'r')
    THEN
        PERFORM tenancy.refuse(format('can''t share %s with members: it inherits, or is inherited from', target),
            'Name the partitioned table instead of its partition; keep accounts in a table of their own otherwise.');
    END IF;
    first := NOT EXISTS (SELECT FROM tenancy.account_tables() AS a WHERE a.relation = target);
    IF first AND (tenancy.scope_columns(target) <> '{}' OR EXISTS (SELECT FROM pg_policy AS p
        WHERE p.polrelid = target AND p.polname IN ('tenancy_allow', 'tenancy_guard', 'tenancy_owner_guard')))
    THEN
        PERFORM tenancy.refuse(
            format('can''t share %s with members: it is protected, and its rows belong to tenants', target),
            'A table has rows of tenants or accounts of the whole service. Keep the latter in a table of their own.');
    END IF;
    known := tenancy.policy_column(target, '{tenancy_members,tenancy_members_guard}');
    IF known <> user_column THEN
        PERFORM tenancy.refuse(
            format('can''t share %s with the members that %I names: %I names them', target, user_column, known),
            format('A table of accounts keeps its column: SELECT tenancy.share_with_members(%L)', target));
    END IF;
    named := coalesce(known, user_column, 'id');
    SELECT a.atttypid INTO kind FROM pg_attribute AS a
    WHERE a.attrelid = target AND a.attname = named AND NOT a.attisdropped AND a.attnum > 0;
    IF kind IS NULL THEN
        PERFORM tenancy.refuse(format('can''t share %s with members: it has no column %I', target, named),
            format('Name the column that is the user''s id: SELECT tenancy.share_with_members(%L, ''…'')', target));
    END IF;
    IF kind <> 'uuid'::regtype THEN
        RAISE EXCEPTION 'can''t share % with members: the column % is not of type uuid', target, named
            USING ERRCODE = 'datatype_mismatch',
            HINT = format('Members are known by a uuid. Give the accounts one beside: ALTER TABLE %s ADD COLUMN '
                'user_id uuid NOT NULL UNIQUE DEFAULT gen_random_uuid(); then SELECT '
                'tenancy.share_with_members(%L, ''user_id'')', target, target);
    END IF;
    IF NOT EXISTS (
        SELECT FROM pg_index AS i WHERE i.indrelid = target AND i.indisunique AND i.indisvalid
            AND i.indnkeyatts = 1 AND i.indpred IS NULL
            AND i.indkey[0] = (tenancy.column_numbers(target, ARRAY[named]))[1])
    THEN
        PERFORM tenancy.refuse(
            format('can''t share %s with members: several rows could be the account of one user', target),
            format('ALTER TABLE %s ADD UNIQUE (%I)', target, named));
    END IF;
    missing := (SELECT string_agg(quote_ident(c), ', ') FROM unnest(columns) AS c
        WHERE NOT EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = target AND a.attname = c
            AND a.attnum > 0 AND NOT a.attisdropped));
    IF missing IS NOT NULL THEN
        PERFORM tenancy.refuse(format('can''t share %s with members: it has no column %s', target, missing),
            'Look at the spelling.');
    END IF;
    IF managed_by IS NOT NULL THEN
        IF NOT EXISTS (SELECT FROM pg_roles AS r WHERE r.rolname = managed_by) THEN
            PERFORM tenancy.refuse(
                format('can''t let %I manage the accounts in %s: there is no such role', managed_by, target),
                format('As an administrator, before the migration: CREATE ROLE %I LOGIN PASSWORD ''…''', managed_by));
        END IF;
        IF EXISTS (SELECT FROM tenancy.role_names AS r WHERE r.name = managed_by)
            OR pg_has_role(app, managed_by, 'MEMBER')
        THEN
            PERFORM tenancy.refuse(
                format('can''t let %I manage the accounts in %s: tenants'' statements may run as that role',
                    managed_by, target),
                'Use a role of its own for sign-up and sign-in, of which no other login is a member.');
        END IF;
    END IF;

    PERFORM tenancy.take_over(target);
    PERFORM tenancy.ensure_member_policies(target, named);
    IF NOT relation.relrowsecurity THEN
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', target);
    END IF;
    -- The owner's functions for sign-up and sign-in look at all accounts.
    IF relation.relforcerowsecurity THEN
        EXECUTE format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY', target);
    END IF;

    EXECUTE format('REVOKE ALL ON %s FROM PUBLIC', target);
    IF first OR columns IS NOT NULL THEN
        EXECUTE format('REVOKE ALL ON %s FROM %I', target, app);
        EXECUTE format('GRANT SELECT%s ON %s TO %I', ' (' || tenancy.column_list(columns) || ')', target, app);
    ELSE
        EXECUTE format('REVOKE INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER%s ON %s FROM %I',
            CASE WHEN current_setting('server_version_num')::int >= 170000 THEN ', MAINTAIN' ELSE '' END,
            target, app);
    END IF;
    IF first THEN
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO %I', target, tenancy.role_name('system'));
    END IF;
    PERFORM tenancy.open_schema(target);
    IF managed_by IS NOT NULL THEN
        PERFORM tenancy.ensure_policy(target, 'tenancy_accounts', true, managed_by, 'true');
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO %I', target, managed_by);
        IF NOT has_schema_privilege(managed_by, relation.relnamespace, 'USAGE') THEN
            EXECUTE format('GRANT USAGE ON SCHEMA %s TO %I', relation.relnamespace::regnamespace, managed_by);
        END IF;
        FOR item IN SELECT s.sequence FROM tenancy.drawn_sequences(target) AS s LOOP
            EXECUTE format('GRANT USAGE ON SEQUENCE %s TO %I', item, managed_by);
        END LOOP;
    END IF;
    PERFORM tenancy.refuse_leaks(target, 'share with members', NULL);

    SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) INTO secrets
    FROM tenancy.secret_columns(target) AS a WHERE has_column_privilege(app, target, a.attnum, 'SELECT');
    IF first AND secrets IS NOT NULL THEN
        RAISE WARNING 'tenancy: every tenant may read % of its members in %. Say what it may read: SELECT '
            'tenancy.share_with_members(%, columns => %)', secrets, target, quote_literal(target::text),
            quote_literal(ARRAY(
                SELECT a.attname FROM pg_attribute AS a WHERE a.attrelid = target AND a.attnum > 0
                    AND NOT a.attisdropped AND a.attnum NOT IN (
                        SELECT s.attnum FROM tenancy.secret_columns(target) AS s)
                ORDER BY a.attnum)::text);
    END IF;
END
$$;

-- Protects several tables, in any order of their names: what refers to what does not matter, in circles
-- too. All of them or none; what stands in the way is named for each table. The options are those of `protect`,
-- and hold for all: a name in `global` is that of a key of any of them.
CREATE OR REPLACE FUNCTION tenancy.protect_tables(
    targets regclass[], tenant_column name DEFAULT NULL, project boolean DEFAULT NULL,
    global name[] DEFAULT '{}'
) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    all_of oid[] := ARRAY(SELECT DISTINCT t.oid::oid FROM unnest(targets) AS t (oid) WHERE t.oid IS NOT NULL);
    -- Those that come before what inherits from them, then those that refer before those that are referred to.
    ordered regclass[];
    failed oid[] := '{}';
    -- Of each table that can't be protected: which, what was said, and the hint.
    refused regclass[] := '{}';
    problems text[] := '{}';
    hints text[] := '{}';
    target regclass;
    scope name[];
    said text;
    hint text;
    unknown text;
BEGIN
    PERFORM tenancy.one_at_a_time();
    IF all_of = '{}' OR array_position(targets, NULL) IS NOT NULL THEN
        PERFORM tenancy.refuse('can''t protect: no table was named', 'SELECT tenancy.protect_all(''notes'', ''notebooks'')');
    END IF;
    unknown := (SELECT string_agg(quote_ident(k), ', ') FROM unnest(global) AS k WHERE NOT EXISTS (
        SELECT FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
        WHERE i.indrelid = ANY (all_of) AND i.indisunique AND c.relname = k));
    IF unknown IS NOT NULL THEN
        PERFORM tenancy.refuse(
            format('can''t protect: none of the tables has a unique key %s that could stay unique across tenants',
                unknown),
            'Look at the spelling: it is the name of the index.');
    END IF;
    WITH RECURSIVE above (oid, ancestor) AS (
        SELECT i.inhrelid, i.inhparent FROM pg_inherits AS i WHERE i.inhrelid = ANY (all_of)
        UNION
        SELECT a.oid, i.inhparent FROM above AS a JOIN pg_inherits AS i ON i.inhrelid = a.ancestor
    ),
    -- In a circle this ends too: what is there already comes no second time.
    leads (oid, other) AS (
        SELECT c.conrelid, c.confrelid FROM pg_constraint AS c
        WHERE c.contype = 'f' AND c.conrelid <> c.confrelid
            AND c.conrelid = ANY (all_of) AND c.confrelid = ANY (all_of)
        UNION
        SELECT l.oid, c.confrelid FROM leads AS l JOIN pg_constraint AS c ON c.conrelid = l.other
        WHERE c.contype = 'f' AND c.confrelid = ANY (all_of)
    )
    SELECT array_agg(t.oid::regclass ORDER BY
        (SELECT count(*) FROM above AS a WHERE a.oid = t.oid),
        (SELECT count(DISTINCT l.other) FROM leads AS l WHERE l.oid = t.oid) DESC, t.oid::regclass::text)
    INTO ordered FROM unnest(all_of) AS t (oid);

    -- First the columns, so that each table has one when another is protected that it refers to.
    FOREACH target IN ARRAY ordered LOOP
        CONTINUE WHEN EXISTS (SELECT FROM pg_inherits AS i WHERE i.inhrelid = target AND i.inhparent = ANY (all_of));
        BEGIN
            PERFORM tenancy.check_protectable(target);
            scope := tenancy.wanted_scope(target, tenant_column, project);
            PERFORM tenancy.take_over(target);
            -- Policies of the application's own would hide rows.
            IF (SELECT c.relforcerowsecurity FROM pg_class AS c WHERE c.oid = target) AND NOT EXISTS (
                SELECT FROM pg_policy AS p WHERE p.polrelid = target AND p.polname LIKE 'tenancy\_%')
            THEN
                EXECUTE format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY', target);
            END IF;
            PERFORM tenancy.ensure_scope_column(target, scope[1], 'tenancy.current_tenant()', 'tenant');
            IF cardinality(scope) = 2 THEN
                PERFORM tenancy.ensure_scope_column(target, scope[2], 'tenancy.current_project()', 'project');
            END IF;
        EXCEPTION WHEN OTHERS THEN
            -- What passes is not the table's.
            IF SQLSTATE ~ '^(40|53|57|58|XX)' OR SQLSTATE = '55P03' THEN
                RAISE;
            END IF;
            GET STACKED DIAGNOSTICS said = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
            failed := failed || target::oid;
            refused := refused || target;
            problems := problems || tenancy.about_table(target, said);
            hints := hints || hint;
        END;
    END LOOP;
    PERFORM set_config('tenancy.protects_several', 'yes', true);
    FOREACH target IN ARRAY ordered LOOP
        -- What failed above fails again, and what it refers to fails for its sake.
        CONTINUE WHEN target::oid = ANY (failed) OR EXISTS (
            SELECT FROM pg_constraint AS c WHERE c.contype = 'f' AND c.confrelid = target
                AND c.conrelid = ANY (failed))
            OR EXISTS (SELECT FROM pg_inherits AS i WHERE i.inhrelid = target AND i.inhparent = ANY (failed));
        BEGIN
            PERFORM tenancy.protect(target, tenant_column, project, ARRAY(
                SELECT k FROM unnest(global) AS k WHERE EXISTS (
                    SELECT FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
                    WHERE i.indrelid = target AND i.indisunique AND c.relname = k)));
        EXCEPTION WHEN OTHERS THEN
            IF SQLSTATE ~ '^(40|53|57|58|XX)' OR SQLSTATE = '55P03' THEN
                RAISE;
            END IF;
            GET STACKED DIAGNOSTICS said = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
            refused := refused || target;
            problems := problems || tenancy.about_table(target, said);
            hints := hints || hint;
        END;
    END LOOP;
    PERFORM set_config('tenancy.protects_several', 'no', true);
    -- Where a table failed, others are told of what it lacks.
    IF problems = '{}' THEN
        FOREACH target IN ARRAY ordered LOOP
            BEGIN
                PERFORM tenancy.refuse_leaks(target, 'protect', NULL);
            EXCEPTION WHEN object_not_in_prerequisite_state THEN
                GET STACKED DIAGNOSTICS said = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
                refused := refused || target;
                problems := problems || tenancy.about_table(target, said);
                hints := hints || hint;
            END;
        END LOOP;
    END IF;
    IF problems <> '{}' THEN
        PERFORM tenancy.refuse(
            format('can''t protect %s of %s tables, and so none: %s', cardinality(problems), cardinality(ordered),
                (SELECT string_agg(g.tables || ': ' || g.problem, '; ' ORDER BY g.tables) FROM (
                    SELECT string_agg(r.target::text, ', ' ORDER BY r.target::text) AS tables, r.problem
                    FROM unnest(refused, problems) AS r (target, problem) GROUP BY r.problem) AS g)),
            -- What is the same but for the table's name is said once.
            (SELECT string_agg(g.tables[1] || ': ' || g.hint
                || CASE WHEN cardinality(g.tables) > 1
                    THEN format(' (the same for %s)', array_to_string(g.tables[2:], ', ')) ELSE '' END, E'\n'
                ORDER BY g.tables[1])
            FROM (
                SELECT array_agg(r.target::text ORDER BY r.target::text) AS tables,
                    (array_agg(r.hint ORDER BY r.target::text))[1] AS hint
                FROM unnest(refused, hints) AS r (target, hint)
                WHERE r.hint <> '' GROUP BY replace(r.hint, r.target::text, '')) AS g));
    END IF;
END
$$;

-- A refusal of `protect`, without the table's name.
CREATE OR REPLACE FUNCTION tenancy.about_table(target regclass, message text) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    RETURN CASE WHEN starts_with(message, format('can''t protect %s: ', target))
        THEN substr(message, length(format('can''t protect %s: ', target)) + 1) ELSE message END;

CREATE OR REPLACE FUNCTION tenancy.protect_all(VARIADIC targets regclass[]) RETURNS void
    LANGUAGE sql SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT tenancy.protect_tables(targets);
    END;

-- What a schema lacks that is no way past the guard: it fails in production, or it was forgotten.
--
-- A table that is no tenant's, and closed to the service on purpose, says so in its comment:
-- `[tenancy: not for tenants]`. So does one that the service may write though it is nobody's.
CREATE OR REPLACE FUNCTION tenancy.schema_findings() RETURNS TABLE (
        level text, code text, subject text, subject_oid oid, about oid[], finding text, mend text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
WITH me AS MATERIALIZED (
    SELECT tenancy.role_oid('app') AS app, tenancy.role_oid('system') AS system, n.nspowner AS owner
    FROM pg_namespace AS n WHERE n.nspname = 'tenancy'
),
guards AS MATERIALIZED (SELECT * FROM tenancy.guards()),
tables AS MATERIALIZED (
    SELECT c.oid, c.relname, n.oid AS schema, n.nspowner,
        has_any_column_privilege(me.app, c.oid, 'SELECT') AS reads,
        array_to_string(array_remove(ARRAY[
            CASE WHEN has_any_column_privilege(me.app, c.oid, 'INSERT') THEN 'INSERT' END,
            CASE WHEN has_any_column_privilege(me.app, c.oid, 'UPDATE') THEN 'UPDATE' END,
            CASE WHEN has_table_privilege(me.app, c.oid, 'DELETE') THEN 'DELETE' END], NULL), ', ') AS writes,
        EXISTS (SELECT FROM guards AS g WHERE g.relation = c.oid) AS guarded
    FROM me, pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND NOT c.relispartition
        AND n.nspname NOT IN ('information_schema', 'tenancy', 'tenancy_seal') AND NOT n.nspname LIKE 'pg\_%'
        AND (c.relowner = me.owner OR n.nspname = 'public')
        AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass
            AND d.objid = c.oid AND d.deptype = 'e')
        -- sqlx's own, whatever its name.
        AND (SELECT array_agg(a.attname::text ORDER BY a.attname) FROM pg_attribute AS a
            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
            IS DISTINCT FROM '{checksum,description,execution_time,installed_on,success,version}'
),
-- What other findings tell of already.
tenants AS MATERIALIZED (
    SELECT u.relation FROM tenancy.unguarded(
        ARRAY(SELECT g.relation FROM guards AS g WHERE NOT g.registry),
        ARRAY(SELECT DISTINCT g.tenant_name FROM guards AS g WHERE NOT g.registry AND g.tenant_name <> 'id')
            || 'tenant_id'::name) AS u
),
meant AS MATERIALIZED (
    SELECT d.objoid AS relation FROM pg_description AS d
    WHERE d.classoid = 'pg_class'::regclass AND d.objsubid = 0
        AND d.description LIKE '%[tenancy: not for tenants]%'
),
found (code, subject, relation, finding, mend) AS (
    SELECT 'undecided-table', t.oid::regclass::text, t.oid,
        'neither protected nor shared: the service gets 42501 from it. Rows of tenants: protect; the same for '
            'all: share; accounts of the whole service: share_with_members. If no tenant is to see it, say so '
            'in its comment: [tenancy: not for tenants]',
        format('SELECT tenancy.protect(%L)', t.oid::regclass)
    FROM tables AS t
    WHERE NOT t.guarded AND NOT t.reads AND t.writes = ''
        AND t.oid NOT IN (SELECT m.relation FROM meant AS m)
    UNION ALL
    SELECT 'open-table', t.oid::regclass::text, t.oid,
        format('it is no tenant''s, and every tenant may %s: what one writes the others %s. If that is meant, say '
            'so in its comment: [tenancy: not for tenants]', t.writes,
            CASE WHEN t.reads THEN 'read' ELSE 'meet' END),
        format('SELECT tenancy.protect(%L)', t.oid::regclass)
    FROM tables AS t
    WHERE NOT t.guarded AND t.writes <> '' AND t.oid NOT IN (SELECT u.relation FROM tenants AS u)
        AND t.oid NOT IN (SELECT m.relation FROM meant AS m)
    UNION ALL
    SELECT 'sequence-closed', s.sequence::regclass::text, s.sequence,
        format('a default of %s draws from it, and the service may not: its INSERT fails with 42501',
            string_agg(t.oid::regclass::text, ', ' ORDER BY t.oid)),
        format('GRANT USAGE ON SEQUENCE %s TO %s, %s', s.sequence::regclass, min(me.app::regrole::text),
            min(me.system::regrole::text))
    FROM me, tables AS t CROSS JOIN LATERAL tenancy.drawn_sequences(t.oid) AS s
    WHERE t.writes LIKE 'INSERT%' AND NOT has_sequence_privilege(me.app, s.sequence, 'USAGE')
    GROUP BY s.sequence
    UNION ALL
    SELECT 'schema-closed', t.schema::regnamespace::text, t.schema,
        format('%s may not use it, and has rights on tables there (%s): a statement on them fails with 42501, or '
            'finds no such table',
            min(CASE WHEN NOT has_schema_privilege(me.app, t.schema, 'USAGE') THEN me.app
                ELSE me.system END::regrole::text),
            array_to_string((array_agg(t.oid::regclass::text ORDER BY t.oid))[1:5], ', ')),
        format('GRANT USAGE ON SCHEMA %s TO %s, %s', t.schema::regnamespace, min(me.app::regrole::text),
            min(me.system::regrole::text))
    FROM me, tables AS t
    WHERE (t.reads OR t.writes <> '') AND NOT (has_schema_privilege(me.app, t.schema, 'USAGE')
        AND has_schema_privilege(me.system, t.schema, 'USAGE'))
    GROUP BY t.schema
    UNION ALL
    SELECT 'schema-closed', t.schema::regnamespace::text, t.schema,
        format('the owner role %s may not use it or make anything in it: the next migration of its tables fails',
            min(me.owner::regrole::text)),
        format('GRANT USAGE, CREATE ON SCHEMA %s TO %s', t.schema::regnamespace, min(me.owner::regrole::text))
    FROM me, tables AS t WHERE NOT has_schema_privilege(me.owner, t.schema, 'USAGE')
        OR NOT has_schema_privilege(me.owner, t.schema, 'CREATE')
    GROUP BY t.schema
    UNION ALL
    SELECT 'account-secrets', g.relation::regclass::text, g.relation,
        format('every tenant may read %s of its members', string_agg(quote_ident(s.attname), ', ' ORDER BY s.attnum)),
        format('SELECT tenancy.share_with_members(%L, columns => %L)', g.relation::regclass, (
            SELECT array_agg(a.attname ORDER BY a.attnum) FROM pg_attribute AS a
            WHERE a.attrelid = g.relation AND a.attnum > 0 AND NOT a.attisdropped
                AND has_column_privilege(min(me.app), a.attrelid, a.attnum, 'SELECT')
                AND a.attnum <> ALL (array_agg(s.attnum)))::text)
    FROM me, guards AS g CROSS JOIN LATERAL tenancy.secret_columns(g.relation) AS s
    WHERE g.registry AND g.relation IN (SELECT a.relation FROM tenancy.account_tables() AS a)
        AND has_column_privilege(me.app, g.relation, s.attnum, 'SELECT')
    GROUP BY g.relation
)
SELECT 'warning', f.code, f.subject, f.relation, ARRAY[f.relation], f.finding, f.mend
FROM found AS f ORDER BY f.code, 3
$$;

-- Everything that is known to be wrong with the schema, for the installer and for CI. An error: tenants are
-- not kept apart, and a pool refuses to start. A warning: something fails, is slower, or was forgotten.
--
-- A function that `code_warnings` is mistaken about says so in its comment: `[tenancy: checked]`.
CREATE OR REPLACE FUNCTION tenancy.check() RETURNS TABLE (severity text, code text, object text, what text, mend text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
    BEGIN ATOMIC
        SELECT f.level, f.code, f.subject, f.finding, f.mend
        FROM (
            SELECT l.level, l.code, l.subject, l.finding, l.mend
            FROM tenancy.login_findings(tenancy.role_name('app')) AS l
            UNION ALL
            SELECT r.level, r.code, r.subject, r.finding, r.mend
            FROM tenancy.relation_findings(tenancy.role_name('app')) AS r
            UNION ALL
            SELECT d.level, d.code, d.subject, d.finding, d.mend
            FROM tenancy.definer_findings(tenancy.role_name('app')) AS d
            UNION ALL
            SELECT a.level, a.code, a.subject, a.finding, a.mend
            FROM tenancy.account_findings(tenancy.role_name('app')) AS a
            UNION ALL
            SELECT s.level, s.code, s.subject, s.finding, s.mend
            FROM tenancy.seal_findings(tenancy.role_name('app')) AS s
            UNION ALL
            SELECT h.level, h.code, h.subject, h.finding, h.mend FROM tenancy.schema_findings() AS h
            UNION ALL
            SELECT c.level, c.code, c.subject, c.finding, c.mend FROM tenancy.code_warnings() AS c
            WHERE NOT EXISTS (SELECT FROM pg_description AS n WHERE n.objoid = c.subject_oid
                AND n.classoid = 'pg_proc'::regclass AND n.description LIKE '%[tenancy: checked]%')
        ) AS f
        -- `protect` refuses while something around the table is open: its mend comes last.
        ORDER BY f.level, coalesce(f.mend LIKE 'SELECT tenancy.protect%', false), f.code, f.subject;
    END;

REVOKE ALL ON FUNCTION
    tenancy.account_tables(), tenancy.ensure_member_policies(regclass, name), tenancy.account_findings(name),
    tenancy.drawn_sequences(oid), tenancy.secret_columns(oid),
    tenancy.share_with_members(regclass, name, name[], name),
    tenancy.protect_tables(regclass[], name, boolean, name[]), tenancy.about_table(regclass, text),
    tenancy.protect_all(regclass[]), tenancy.schema_findings(), tenancy.check()
FROM PUBLIC;

-- What programs need from here on: `account_findings`, `check`.
CREATE OR REPLACE FUNCTION tenancy.schema_version() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 8;
