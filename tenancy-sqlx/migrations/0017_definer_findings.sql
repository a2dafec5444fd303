-- Functions of the owner read what the owner may read. Of protected tables that is the tenant's rows; of
-- a table that has tenants and no guard, of the registry, or of a materialized view, it is everybody's.

-- SECURITY DEFINER functions that the login may call, or sets off by writing, and that read or change a
-- relation which holds tenants' rows without a guard; and materialized views that are filled by a function
-- which reads tenants' rows. Found by what follows FROM, JOIN, USING, UPDATE or a comma in their text, and
-- in that of functions that they call, and by what PostgreSQL knows they depend on; a name that is put
-- together at run time is not found. What has to be looked up before a tenant is known is looked up by such
-- a function: one whose comment contains `[tenancy: looks across tenants]` is left out.
--
-- Nothing here locks a table of the application: see the file of `relation_findings`.
CREATE FUNCTION tenancy.definer_findings(login name) RETURNS TABLE (
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
    WHERE p.oid >= 16384 AND n.nspname <> 'tenancy' AND l.lanname NOT IN ('c', 'internal')
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

REVOKE ALL ON FUNCTION tenancy.definer_findings(name) FROM PUBLIC;
