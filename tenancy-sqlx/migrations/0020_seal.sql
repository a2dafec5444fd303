-- Sealed sessions: the tenant is read from where no SQL of a login can write it. What keeps it there is the
-- sealer role's, in the schema `tenancy_seal`; here is what switches the functions over that policies,
-- defaults and guards call.

ALTER TABLE tenancy.role_names
    DROP CONSTRAINT role_names_kind_check,
    ADD CONSTRAINT role_names_kind_check
        CHECK (kind IN ('owner', 'app', 'registry', 'audit', 'system', 'sealer'));

-- The way in which sessions are sealed; NULL where they are not.
CREATE FUNCTION tenancy.sealing() RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN NULL::text;

-- What the policies read from now on. A worker of a parallel query is another process than the one whose
-- row is read: such functions run in the leader.
CREATE FUNCTION tenancy.read_scope(way text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    parallel text := CASE WHEN way = 'row' THEN 'RESTRICTED' ELSE 'SAFE' END;
    part text;
BEGIN
    FOREACH part IN ARRAY ARRAY['tenant', 'project'] LOOP
        EXECUTE format('CREATE OR REPLACE FUNCTION tenancy.current_%s() RETURNS uuid '
            'LANGUAGE sql STABLE PARALLEL %s RETURN %s', part, parallel,
            CASE WHEN way IS NULL
                THEN format('NULLIF(current_setting(''tenancy.%s_id'', true), '''')::uuid', part)
            ELSE format('tenancy_seal.%s()', part) END);
        EXECUTE format('ALTER FUNCTION tenancy.first_%s() PARALLEL %s', part, parallel);
        EXECUTE format('ALTER FUNCTION tenancy.last_%s() PARALLEL %s', part, parallel);
    END LOOP;
    EXECUTE format('CREATE OR REPLACE FUNCTION tenancy.sealing() RETURNS text '
        'LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN %L::text', way);
END
$$;

-- Seals, in the way that the sealer has chosen; says which. Doing it again changes nothing.
CREATE FUNCTION tenancy.seal_sessions() RETURNS text
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    way text;
BEGIN
    IF to_regprocedure('tenancy_seal.way()') IS NOT NULL THEN
        way := tenancy_seal.way();
    END IF;
    IF way IS NULL THEN
        RAISE EXCEPTION 'no way to seal sessions was chosen'
            USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = format('As %I: SELECT tenancy_seal.add_key(…); SELECT tenancy_seal.keep_in(…).',
                tenancy.role_name('sealer'));
    END IF;
    PERFORM tenancy.read_scope(way);
    RETURN way;
END
$$;

-- The tenant is the setting `tenancy.tenant_id` again, which any SQL may set.
CREATE FUNCTION tenancy.unseal_sessions() RETURNS void
    LANGUAGE sql SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT tenancy.read_scope(NULL);
    END;

-- What would let a login past the seal, or keep the seal from working; and whether the functions that the
-- policies call are the ones that `sealing` says, in a database that is not sealed too.
CREATE FUNCTION tenancy.seal_findings(login name)
    RETURNS TABLE (of_login boolean, level text, code text, subject text, finding text, mend text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
WITH me AS MATERIALIZED (
    SELECT r.rolname, r.rolsuper, seal_findings.login = session_user AS present,
        tenancy.reach(r.rolname) AS reach, tenancy.sealing() AS way, s.nspowner AS sealer,
        tenancy.role_oid('owner') AS owner
    FROM pg_roles AS r LEFT JOIN pg_namespace AS s ON s.nspname = 'tenancy_seal'
    WHERE r.rolname = seal_findings.login
),
sealed AS MATERIALIZED (SELECT * FROM me WHERE me.way IS NOT NULL),
found (of_login, code, subject, finding, mend) AS (
    SELECT true, 'reaches-sealer', s.sealer::regrole::text,
        format('`%s` is the role that seals sessions or a member of it: %s', s.rolname, s.sealer::regrole),
        tenancy.leave_sql(s.sealer, s.reach)
    FROM sealed AS s WHERE NOT s.rolsuper AND s.sealer = ANY (s.reach)
    UNION ALL
    SELECT true, 'may-set-parameter', p.parname,
        format('`%s` may set %s, in which sessions keep their tenant', min(s.rolname), p.parname),
        format('REVOKE ALL ON PARAMETER %s FROM %s', p.parname,
            string_agg(DISTINCT tenancy.grantee(a.grantee), ', '))
    FROM sealed AS s, pg_parameter_acl AS p CROSS JOIN aclexplode(p.paracl) AS a
    WHERE s.way = 'parameter' AND p.parname = 'backtrace_functions'
        AND (a.grantee = 0 OR a.grantee = ANY (s.reach) AND a.grantee <> s.sealer)
    GROUP BY p.parname
    UNION ALL
    -- From a file, a default of a role or a database, or the connection's own options.
    SELECT true, 'session-setting', p.name,
        format('this session of `%s` starts with %s = %s, which takes the place of the tenant',
            s.rolname, p.name, p.reset_val),
        NULL
    FROM sealed AS s, pg_settings AS p
    WHERE s.present AND s.way = 'parameter' AND p.name = 'backtrace_functions' AND p.reset_val <> ''
    UNION ALL
    SELECT false, 'seal-unusable', s.sealer::regrole::text,
        format('%s may not set backtrace_functions any more, and no session can name a tenant', s.sealer::regrole),
        format('GRANT SET ON PARAMETER backtrace_functions TO %s', s.sealer::regrole)
    FROM sealed AS s WHERE s.way = 'parameter'
        AND NOT has_parameter_privilege(s.sealer, 'backtrace_functions', 'SET')
    UNION ALL
    SELECT false, 'seal-altered', p.oid::regprocedure::text, 'its text is another than was installed',
        CASE WHEN me.way IS NULL THEN 'SELECT tenancy.unseal_sessions()' ELSE 'SELECT tenancy.seal_sessions()' END
    FROM me, unnest(ARRAY['tenant', 'project']) AS part
        JOIN pg_proc AS p ON p.oid = to_regprocedure(format('tenancy.current_%s()', part))
    WHERE p.prosecdef OR p.proconfig IS NOT NULL OR p.provolatile <> 's'
        OR pg_get_function_sqlbody(p.oid) IS DISTINCT FROM CASE WHEN me.way IS NULL
            THEN format('RETURN (NULLIF(current_setting(''tenancy.%s_id''::text, true), ''''::text))::uuid', part)
            ELSE format('RETURN tenancy_seal.%s()', part) END
    UNION ALL
    -- What is the sealer's, and nobody else's to read or to change.
    SELECT false, 'seal-open', o.name, concat_ws('; ',
            CASE WHEN o.owner <> s.sealer THEN format('it belongs to `%s`', o.owner::regrole) END,
            (SELECT string_agg(DISTINCT format('%s has %s on it', tenancy.grantee(a.grantee), a.privilege_type), '; ')
             FROM aclexplode(o.acl) AS a WHERE a.grantee <> o.owner
                AND (NOT o.secured OR a.grantee <> s.owner OR a.privilege_type <> 'SELECT'))),
        NULL
    FROM sealed AS s, LATERAL (
        -- Dumps of the owner role ask for the tables, and see no row of them.
        SELECT c.oid::regclass::text, c.relowner, c.relacl, c.relrowsecurity AND NOT EXISTS (
            SELECT FROM pg_policy AS p WHERE p.polrelid = c.oid)
        FROM pg_class AS c WHERE c.relnamespace = to_regnamespace('tenancy_seal') AND c.relkind = 'r'
        UNION ALL
        SELECT p.oid::regprocedure::text, p.proowner, CASE WHEN p.proname IN ('add_key', 'retire_key',
            'keep_in', 'keep') THEN coalesce(p.proacl, acldefault('f', p.proowner)) END, false
        FROM pg_proc AS p WHERE p.pronamespace = to_regnamespace('tenancy_seal')
    ) AS o (name, owner, acl, secured)
    WHERE o.owner <> s.sealer OR EXISTS (SELECT FROM aclexplode(o.acl) AS a WHERE a.grantee <> o.owner
        AND (NOT o.secured OR a.grantee <> s.owner OR a.privilege_type <> 'SELECT'))
)
SELECT f.of_login, 'error', f.code, f.subject, f.finding, f.mend FROM found AS f ORDER BY f.code, f.subject
$$;

REVOKE ALL ON FUNCTION
    tenancy.sealing(), tenancy.read_scope(text), tenancy.seal_sessions(), tenancy.unseal_sessions(),
    tenancy.seal_findings(name)
FROM PUBLIC;

-- What programs need from here on: `sealing`, `seal_findings`.
CREATE OR REPLACE FUNCTION tenancy.schema_version() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 4;
