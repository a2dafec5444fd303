-- The check finds a table that shows the rows of another one that inherits from it, has a tenant column, and was never
-- protected. Three mends say what helps.

-- Relations without a guard that have rows of tenants: those that have a tenant column, what inherits from a protected
-- table, for row security is not inherited, and what is inherited by any of these: it shows their rows.
CREATE OR REPLACE FUNCTION tenancy.unguarded(protected oid[], tenant_names name[])
    RETURNS TABLE (relation oid, code text, tenant name, mendable boolean, about oid[])
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
WITH RECURSIVE down (relation, origin) AS (
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
up (relation, origin) AS (
    SELECT i.inhparent, i.inhrelid FROM pg_inherits AS i
    WHERE i.inhrelid = ANY (protected) OR i.inhrelid IN (SELECT named.relation FROM named)
    UNION
    SELECT i.inhparent, up.origin FROM up JOIN pg_inherits AS i ON i.inhrelid = up.relation
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

-- Changes a few words of functions that are long and stay as they are otherwise.
DO $$
DECLARE
    change record;
    definition text;
BEGIN
    FOR change IN SELECT * FROM (VALUES
        ('tenancy.relation_findings(name)'::regprocedure,
            'it shows the rows of protected tables that inherit from it, past their guard',
            'it shows the rows of tenants'''' tables that inherit from it, past their guard'),
        -- A login that is one of the other roles does not become the service's by a grant.
        ('tenancy.login_findings(name)'::regprocedure,
            'CASE WHEN me.app = ANY (me.reach) AND NOT me.rolinherit',
            'CASE WHEN me.oid = ANY (me.ours) THEN NULL WHEN me.app = ANY (me.reach) AND NOT me.rolinherit'),
        ('tenancy.rebuild_key(regclass, oid, name[])'::regprocedure,
            $old$HINT = format('Give the other table$old$,
            $new$HINT = CASE cardinality(own) WHEN 0 THEN format('Protect both in one call: '
                    'SELECT tenancy.protect_all(%L, %L). Or step by step. ', (fk).conrelid::regclass, target)
                ELSE '' END || format('Give the other table$new$)
    ) AS c (function, old, new)
    LOOP
        definition := pg_get_functiondef(change.function);
        CONTINUE WHEN position(change.new IN definition) > 0;
        IF position(change.old IN definition) = 0 THEN
            RAISE EXCEPTION '% is not what this migration changes', change.function;
        END IF;
        EXECUTE replace(definition, change.old, change.new);
    END LOOP;
END
$$;
