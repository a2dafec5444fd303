-- Functions of the owner read what the owner may read. Of protected tables that is the tenant's rows; of
-- a table that has tenants and no guard, or of a materialized view, it is everybody's.

-- SECURITY DEFINER functions that the login may call, or sets off by writing, and that name a relation
-- which holds tenants' rows without a guard. Found by name in their text, and in that of functions that
-- they call; a name that is put together at run time is not found. What has to be looked up before a
-- tenant is known is looked up by such a function: one whose comment contains
-- `[tenancy: looks across tenants]` is left out.
CREATE FUNCTION tenancy.definer_findings(login name) RETURNS TABLE (
        level text, code text, subject text, subject_oid oid, about oid[], finding text, mend text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
WITH RECURSIVE me AS MATERIALIZED (
    SELECT r.oid, tenancy.role_oid('app') AS app, tenancy.reach(r.rolname) || 0::oid AS reach
    FROM pg_roles AS r WHERE r.rolname = definer_findings.login
),
protected AS MATERIALIZED (
    SELECT g.relation, g.tenant_name FROM tenancy.guards() AS g WHERE NOT g.registry
),
unguarded AS MATERIALIZED (
    SELECT u.relation, u.mendable, u.tenant FROM tenancy.unguarded(
        ARRAY(SELECT p.relation FROM protected AS p),
        ARRAY(SELECT DISTINCT p.tenant_name FROM protected AS p WHERE p.tenant_name <> 'id')
            || 'tenant_id'::name) AS u
),
rules AS MATERIALIZED (
    SELECT DISTINCT c.oid AS relation, c.relkind, d.refobjid AS target
    FROM pg_rewrite AS r JOIN pg_class AS c ON c.oid = r.ev_class
    JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
        AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> r.ev_class
    WHERE c.oid >= 16384
),
-- Relations that show every tenant's rows to whoever reads them as the owner. `snapshot`: what a
-- materialized view would hold.
holding (relation, snapshot) AS (
    SELECT p.relation, true FROM protected AS p
    UNION
    SELECT u.relation, false FROM unguarded AS u
    UNION
    SELECT r.relation, h.snapshot AND r.relkind <> 'm'
    FROM holding AS h JOIN rules AS r ON r.target = h.relation
),
open AS MATERIALIZED (
    SELECT c.oid, c.relname, c.relkind FROM holding AS h JOIN pg_class AS c ON c.oid = h.relation
    WHERE NOT h.snapshot
),
functions AS MATERIALIZED (
    SELECT p.oid, p.proname, p.prosecdef, p.proowner, p.proacl, p.pronamespace,
        lower(coalesce(pg_get_function_sqlbody(p.oid), p.prosrc)) AS body
    FROM pg_proc AS p JOIN pg_language AS l ON l.oid = p.prolang
        JOIN pg_namespace AS n ON n.oid = p.pronamespace
    WHERE p.oid >= 16384 AND n.nspname <> 'tenancy' AND l.lanname NOT IN ('c', 'internal')
        AND EXISTS (SELECT FROM open)
        AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_proc'::regclass
            AND d.objid = p.oid AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e')
),
definers AS MATERIALIZED (
    SELECT f.oid FROM me, functions AS f JOIN pg_namespace AS n ON n.oid = f.pronamespace
    WHERE f.prosecdef AND f.proowner NOT IN (me.oid, me.app)
        AND (EXISTS (SELECT FROM aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) AS a
                WHERE a.privilege_type = 'EXECUTE' AND a.grantee = ANY (me.reach))
            AND EXISTS (SELECT FROM aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) AS a
                WHERE a.privilege_type = 'USAGE' AND a.grantee = ANY (me.reach))
        OR EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgfoid = f.oid AND NOT t.tgisinternal))
        AND NOT coalesce(obj_description(f.oid, 'pg_proc') LIKE '%[tenancy: looks across tenants]%', false)
),
calls (definer, function) AS (
    SELECT d.oid, d.oid FROM definers AS d
    UNION
    SELECT c.definer, g.oid FROM calls AS c JOIN functions AS f ON f.oid = c.function
    JOIN functions AS g ON g.oid <> f.oid AND strpos(f.body, lower(g.proname)) > 0
),
named AS (
    SELECT DISTINCT c.definer, o.oid AS relation
    FROM calls AS c JOIN functions AS f ON f.oid = c.function
    JOIN open AS o ON strpos(f.body, lower(o.relname)) > 0
        AND f.body ~ ('(^|[^[:alnum:]_])' || regexp_replace(lower(o.relname), '([^[:alnum:]_])', '\\\1', 'g')
            || '($|[^[:alnum:]_])')
)
SELECT 'error', 'definer-reads-unguarded', n.definer::regprocedure::text, n.definer,
    array_agg(n.relation),
    format('it runs as `%s` and names %s, which has rows of tenants and no guard; the login may call it or '
        'sets it off. If it is to look across tenants, say so in its comment: '
        '[tenancy: looks across tenants]',
        min(f.proowner::regrole::text), string_agg(n.relation::regclass::text, ', ')),
    concat_ws('; ',
        (SELECT format('SELECT tenancy.protect(%L, %L)', u.relation::regclass, u.tenant) FROM unguarded AS u
            WHERE u.relation = ANY (array_agg(n.relation)) AND u.mendable LIMIT 1),
        CASE WHEN NOT bool_or(u.mendable) THEN format('REVOKE ALL ON FUNCTION %s FROM PUBLIC, %s',
            n.definer::regprocedure, min(me.app::regrole::text)) END)
FROM me, named AS n JOIN functions AS f ON f.oid = n.definer
    LEFT JOIN unguarded AS u ON u.relation = n.relation
GROUP BY n.definer ORDER BY 3
$$;

REVOKE ALL ON FUNCTION tenancy.definer_findings(name) FROM PUBLIC;
