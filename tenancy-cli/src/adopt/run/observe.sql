-- Row security that lets everything through, and records what it would have denied to the service.

-- What would have been denied. The number is of a function that is called for nothing else: its statistics count also
-- what is read only, or rolled back. Rows say whose session it was, and are written where that can be without waiting.
CREATE OR REPLACE FUNCTION tenancy_adopt.make_denied(target regclass) RETURNS text
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $make$
DECLARE
    number integer := (SELECT t.number FROM tenancy_adopt.tables AS t WHERE t.relation = target);
BEGIN
    EXECUTE format('CREATE OR REPLACE FUNCTION tenancy_adopt.counted_%s() RETURNS void LANGUAGE plpgsql
        SET search_path = pg_catalog, pg_temp AS ''BEGIN END''', number);
    EXECUTE format($f$
        CREATE OR REPLACE FUNCTION tenancy_adopt.denied_%1$s(command text) RETURNS boolean
            LANGUAGE plpgsql SECURITY DEFINER COST 10000 SET search_path = pg_catalog, pg_temp %2$s
        AS $b$
        #variable_conflict use_column
        DECLARE
            tenant uuid := tenancy.current_tenant();
        BEGIN
            PERFORM tenancy_adopt.counted_%1$s();
            IF current_setting('transaction_read_only') = 'on' THEN
                IF current_setting('tenancy_adopt.told', true) IS DISTINCT FROM %1$L THEN
                    RAISE LOG 'tenancy adopt: %% of %% by a session of the tenant %% would be denied', command,
                        %3$L, coalesce(tenant::text, 'none');
                    PERFORM set_config('tenancy_adopt.told', %1$L, true);
                END IF;
                RETURN true;
            END IF;
            -- Who else writes this row writes the same.
            IF NOT pg_try_advisory_xact_lock(hashtextextended(%3$L || command || coalesce(tenant::text, ''), 7))
                OR (SELECT count(*) FROM (SELECT FROM tenancy_adopt.denials LIMIT 10000) AS d) = 10000
            THEN
                RETURN true;
            END IF;
            INSERT INTO tenancy_adopt.denials AS d (relation, command, tenant) VALUES (%4$s, command, tenant)
            ON CONFLICT (relation, command, tenant)
                DO UPDATE SET times = d.times + 1, last_at = clock_timestamp();
            RETURN true;
        END
        $b$ $f$, number,
        CASE WHEN (SELECT r.rolsuper FROM pg_roles AS r WHERE r.rolname = current_user)
            THEN 'SET track_functions = ''pl''' ELSE '' END, target::text, target::oid);
    EXECUTE format('REVOKE ALL ON FUNCTION tenancy_adopt.denied_%s(text) FROM PUBLIC', number);
    EXECUTE format('GRANT EXECUTE ON FUNCTION tenancy_adopt.denied_%s(text) TO %I', number, tenancy.role_name('app'));
    RETURN format('tenancy_adopt.denied_%s', number);
END
$make$;

-- What the service lacks beside the tables: rights on their schemas, and on the sequences that defaults draw from.
CREATE OR REPLACE FUNCTION tenancy_adopt.closed_around(target regclass) RETURNS TABLE (give text, take text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT format('GRANT %s ON SCHEMA %I TO %I', p.privilege, n.nspname, tenancy.role_name(p.kind)),
            format('REVOKE %s ON SCHEMA %I FROM %I', p.privilege, n.nspname, tenancy.role_name(p.kind))
        FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
            CROSS JOIN (VALUES ('app', 'USAGE'), ('system', 'USAGE'), ('owner', 'USAGE'), ('owner', 'CREATE'))
                AS p (kind, privilege)
        WHERE c.oid = target AND NOT has_schema_privilege(tenancy.role_name(p.kind), n.oid, p.privilege)
        UNION ALL
        SELECT format('GRANT USAGE ON SEQUENCE %s TO %I', s.oid::regclass, tenancy.role_name(k.kind)),
            format('REVOKE USAGE ON SEQUENCE %s FROM %I', s.oid::regclass, tenancy.role_name(k.kind))
        FROM (VALUES ('app'), ('system')) AS k (kind), pg_class AS s
        WHERE s.relkind = 'S' AND NOT has_sequence_privilege(tenancy.role_name(k.kind), s.oid, 'USAGE')
            AND (s.oid IN (SELECT d.sequence FROM tenancy.drawn_sequences(target) AS d) OR EXISTS (
                SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.objid = s.oid
                    AND d.refclassid = 'pg_class'::regclass AND d.refobjid = target AND d.deptype = 'a'));
    END;

CREATE OR REPLACE FUNCTION tenancy_adopt.observe_steps() RETURNS TABLE (
        about text, locks text, forward text, undo text, apart boolean)
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    t record;
    denied text;
    app name := tenancy.role_name('app');
    granted text;
BEGIN
    apart := false;
    FOR t IN
        SELECT r.* FROM tenancy_adopt.tables AS r WHERE r.kind = 'tenant' AND NOT EXISTS (
            SELECT FROM pg_policy AS p WHERE p.polrelid = r.relation AND p.polname = 'tenancy_adopt_others')
        ORDER BY r.number
    LOOP
        about := t.relation;
        locks := format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', t.relation);
        denied := tenancy_adopt.make_denied(t.relation);
        granted := (SELECT string_agg(p, ', ') FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS p
            WHERE NOT has_table_privilege(app, t.relation, p));
        forward := format('CREATE POLICY tenancy_adopt_others ON %1$s USING (current_user <> %2$L) WITH CHECK (current_user <> %2$L);
            CREATE POLICY tenancy_adopt_select ON %1$s FOR SELECT TO %2$I
                USING (tenant_id = (SELECT tenancy.current_tenant()) OR %3$s(''SELECT''));
            CREATE POLICY tenancy_adopt_insert ON %1$s FOR INSERT TO %2$I
                WITH CHECK (tenant_id = (SELECT tenancy.current_tenant()) OR %3$s(''INSERT''));
            CREATE POLICY tenancy_adopt_update ON %1$s FOR UPDATE TO %2$I
                USING (tenant_id = (SELECT tenancy.current_tenant()) OR %3$s(''UPDATE''));
            CREATE POLICY tenancy_adopt_delete ON %1$s FOR DELETE TO %2$I
                USING (tenant_id = (SELECT tenancy.current_tenant()) OR %3$s(''DELETE''));
            ALTER TABLE %1$s ENABLE ROW LEVEL SECURITY', t.relation, app, denied)
            || CASE WHEN granted IS NULL THEN '' ELSE format('; GRANT %s ON %s TO %I', granted, t.relation, app) END
            || coalesce((SELECT string_agg('; ' || c.give, '') FROM tenancy_adopt.closed_around(t.relation) AS c), '');
        undo := format('DROP POLICY IF EXISTS tenancy_adopt_others ON %1$s; DROP POLICY IF EXISTS tenancy_adopt_select ON %1$s;
            DROP POLICY IF EXISTS tenancy_adopt_insert ON %1$s; DROP POLICY IF EXISTS tenancy_adopt_update ON %1$s;
            DROP POLICY IF EXISTS tenancy_adopt_delete ON %1$s; ALTER TABLE %1$s DISABLE ROW LEVEL SECURITY', t.relation)
            || CASE WHEN granted IS NULL THEN '' ELSE format('; REVOKE %s ON %s FROM %I', granted, t.relation, app) END
            || coalesce((SELECT string_agg('; ' || c.take, '') FROM tenancy_adopt.closed_around(t.relation) AS c), '');
        RETURN NEXT;
    END LOOP;
END
$$;

-- How often each table would have been denied, by the statistics or the rows, whichever have more.
CREATE OR REPLACE FUNCTION tenancy_adopt.denied() RETURNS TABLE (
        relation text, times bigint, rows jsonb)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT t.relation::text, greatest(coalesce(s.calls, 0), coalesce(d.times, 0)), coalesce(d.rows, '[]')
        FROM tenancy_adopt.tables AS t
        LEFT JOIN pg_stat_user_functions AS s ON s.schemaname = 'tenancy_adopt'
            AND s.funcname = format('counted_%s', t.number)
        LEFT JOIN (
            SELECT d.relation, sum(d.times)::bigint AS times, jsonb_agg(jsonb_build_object('command', d.command,
                'tenant', d.tenant, 'times', d.times, 'first', d.first_at, 'last', d.last_at)
                ORDER BY d.command, d.tenant) AS rows
            FROM tenancy_adopt.denials AS d GROUP BY d.relation
        ) AS d ON d.relation = t.relation
        WHERE coalesce(s.calls, 0) > 0 OR d.times > 0 ORDER BY t.number;
    END;
