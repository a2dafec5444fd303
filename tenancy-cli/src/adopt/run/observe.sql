-- Row security that lets everything through, and records what it would have denied to the service.

-- What would have been denied: rows that would be hidden, and rows that could not be written, which blocks the cut-over.
-- The numbers are of functions that are called for nothing else: their statistics count also what is read only, or
-- rolled back. Rows say whose session it was, once for each transaction, and are written where that can be without waiting.
CREATE OR REPLACE FUNCTION tenancy_adopt.make_denied(target regclass) RETURNS text
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $make$
DECLARE
    number integer := (SELECT t.number FROM tenancy_adopt.tables AS t WHERE t.relation = target);
    counts text;
BEGIN
    FOREACH counts IN ARRAY ARRAY['hidden', 'refused'] LOOP
        EXECUTE format('CREATE OR REPLACE FUNCTION tenancy_adopt.%s_%s() RETURNS void LANGUAGE plpgsql
            SET search_path = pg_catalog, pg_temp AS ''BEGIN END''', counts, number);
    END LOOP;
    EXECUTE format($f$
        CREATE OR REPLACE FUNCTION tenancy_adopt.denied_%1$s(command text, blocks boolean) RETURNS boolean
            LANGUAGE plpgsql SECURITY DEFINER COST 10000 SET search_path = pg_catalog, pg_temp %2$s
        AS $b$
        #variable_conflict use_column
        DECLARE
            tenant uuid := tenancy.current_tenant();
            about text := format('/%%s:%%s:%%s/', %1$L, denied_%1$s.command, tenant);
            -- What this transaction has recorded: the rows after the first cost nothing more.
            known text := coalesce(current_setting('tenancy_adopt.told', true), '');
        BEGIN
            IF denied_%1$s.blocks THEN
                PERFORM tenancy_adopt.refused_%1$s();
            ELSE
                PERFORM tenancy_adopt.hidden_%1$s();
            END IF;
            IF strpos(known, about) > 0 OR length(known) > 8000 THEN
                RETURN true;
            END IF;
            PERFORM set_config('tenancy_adopt.told', known || about, true);
            IF current_setting('transaction_read_only') = 'on' THEN
                RAISE LOG 'tenancy adopt: %% of %% by a session of the tenant %% would be denied', denied_%1$s.command,
                    %3$L, coalesce(tenant::text, 'none');
                RETURN true;
            END IF;
            -- Who else writes this row writes the same.
            IF NOT pg_try_advisory_xact_lock(hashtextextended(%3$L || about, 7))
                OR (SELECT count(*) FROM (SELECT FROM tenancy_adopt.denials LIMIT 10000) AS d) = 10000
            THEN
                RETURN true;
            END IF;
            INSERT INTO tenancy_adopt.denials AS d (relation, command, blocks, tenant)
            VALUES (%4$s, denied_%1$s.command, denied_%1$s.blocks, tenant)
            ON CONFLICT (relation, command, tenant)
                DO UPDATE SET times = d.times + 1, last_at = clock_timestamp();
            RETURN true;
        END
        $b$ $f$, number,
        CASE WHEN (SELECT r.rolsuper FROM pg_roles AS r WHERE r.rolname = current_user)
            THEN 'SET track_functions = ''pl''' ELSE '' END, target::text, target::oid);
    EXECUTE format('REVOKE ALL ON FUNCTION tenancy_adopt.denied_%s(text, boolean) FROM PUBLIC', number);
    EXECUTE format('GRANT EXECUTE ON FUNCTION tenancy_adopt.denied_%s(text, boolean) TO %I', number, tenancy.role_name('app'));
    -- Only a trigger sees the row before and after: whether one of the session's tenant goes to another.
    EXECUTE format('CREATE OR REPLACE FUNCTION tenancy_adopt.watch_%1$s() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
        SET search_path = pg_catalog, pg_temp AS %2$L', number, format('BEGIN
            IF OLD.tenant_id = tenancy.current_tenant() THEN
                PERFORM tenancy_adopt.denied_%s(''UPDATE to another tenant'', true);
            END IF;
            RETURN NULL; END', number));
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
    columns text;
    watched text;
    unwatched text;
BEGIN
    apart := false;
    FOR t IN
        SELECT r.* FROM tenancy_adopt.tables AS r WHERE r.kind = 'tenant' AND NOT EXISTS (
            SELECT FROM pg_policy AS p WHERE p.polrelid = r.relation AND p.polname = 'tenancy_adopt_others')
        ORDER BY r.number
    LOOP
        about := t.relation;
        locks := format('SELECT tenancy_adopt.lock(ARRAY[%L]::regclass[], ''ACCESS EXCLUSIVE'')', t.relation);
        denied := tenancy_adopt.make_denied(t.relation);
        granted := (SELECT string_agg(p, ', ') FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS p
            WHERE NOT has_table_privilege(app, t.relation, p));
        -- Taking back a right on a table takes those on its columns along.
        columns := (SELECT string_agg(format('; GRANT %s (%I) ON %s TO %I%s', g.privilege, g.column_name, t.relation, app,
                CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END), '')
            FROM tenancy.grants_on(t.relation) AS g
            WHERE g.grantee = tenancy.role_oid('app') AND g.column_name IS NOT NULL);
        SELECT string_agg(format('; CREATE TRIGGER zz_tenancy_adopt_watch AFTER UPDATE ON %s FOR EACH ROW
                WHEN (current_user = %L AND OLD.tenant_id IS DISTINCT FROM NEW.tenant_id)
                EXECUTE FUNCTION tenancy_adopt.watch_%s()', r.relation, app, r.number), ''),
            string_agg(format('; DROP TRIGGER IF EXISTS zz_tenancy_adopt_watch ON %s', r.relation), '')
        INTO watched, unwatched FROM tenancy_adopt.triggered() AS r WHERE r.belongs = t.relation;
        forward := format('CREATE POLICY tenancy_adopt_others ON %1$s USING (current_user <> %2$L) WITH CHECK (current_user <> %2$L);
            CREATE POLICY tenancy_adopt_select ON %1$s FOR SELECT TO %2$I
                USING (tenant_id = (SELECT tenancy.current_tenant()) OR %3$s(''SELECT'', false));
            CREATE POLICY tenancy_adopt_insert ON %1$s FOR INSERT TO %2$I
                WITH CHECK (tenant_id = (SELECT tenancy.current_tenant()) OR %3$s(''INSERT'', true));
            CREATE POLICY tenancy_adopt_update ON %1$s FOR UPDATE TO %2$I
                USING (tenant_id = (SELECT tenancy.current_tenant()) OR %3$s(''UPDATE'', false)) WITH CHECK (true);
            CREATE POLICY tenancy_adopt_delete ON %1$s FOR DELETE TO %2$I
                USING (tenant_id = (SELECT tenancy.current_tenant()) OR %3$s(''DELETE'', false));
            ALTER TABLE %1$s ENABLE ROW LEVEL SECURITY', t.relation, app, denied) || watched
            || CASE WHEN granted IS NULL THEN '' ELSE format('; GRANT %s ON %s TO %I', granted, t.relation, app) END
            || coalesce((SELECT string_agg('; ' || c.give, '') FROM tenancy_adopt.closed_around(t.relation) AS c), '');
        undo := format('DROP POLICY IF EXISTS tenancy_adopt_others ON %1$s; DROP POLICY IF EXISTS tenancy_adopt_select ON %1$s;
            DROP POLICY IF EXISTS tenancy_adopt_insert ON %1$s; DROP POLICY IF EXISTS tenancy_adopt_update ON %1$s;
            DROP POLICY IF EXISTS tenancy_adopt_delete ON %1$s; ALTER TABLE %1$s DISABLE ROW LEVEL SECURITY', t.relation) || unwatched
            || CASE WHEN granted IS NULL THEN '' ELSE format('; REVOKE %s ON %s FROM %I', granted, t.relation, app)
                || coalesce(columns, '') END
            || coalesce((SELECT string_agg('; ' || c.take, '') FROM tenancy_adopt.closed_around(t.relation) AS c), '');
        RETURN NEXT;
    END LOOP;
END
$$;

-- How often rows of each table would have been hidden or refused, by the statistics or the rows, whichever have more.
CREATE OR REPLACE FUNCTION tenancy_adopt.denied() RETURNS TABLE (
        relation text, blocks boolean, times bigint, rows jsonb)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT t.relation::text, k.blocks, greatest(coalesce(s.calls, 0), coalesce(d.times, 0)), coalesce(d.rows, '[]')
        FROM tenancy_adopt.tables AS t CROSS JOIN (VALUES (true, 'refused'), (false, 'hidden')) AS k (blocks, counts)
        LEFT JOIN pg_stat_user_functions AS s ON s.schemaname = 'tenancy_adopt'
            AND s.funcname = format('%s_%s', k.counts, t.number)
        LEFT JOIN (
            SELECT d.relation, d.blocks, sum(d.times)::bigint AS times, jsonb_agg(jsonb_build_object('command', d.command,
                'tenant', d.tenant, 'times', d.times, 'first', d.first_at, 'last', d.last_at)
                ORDER BY d.command, d.tenant) AS rows
            FROM tenancy_adopt.denials AS d GROUP BY d.relation, d.blocks
        ) AS d ON d.relation = t.relation AND d.blocks = k.blocks
        WHERE coalesce(s.calls, 0) > 0 OR d.times > 0 ORDER BY t.number, k.blocks DESC;
    END;
