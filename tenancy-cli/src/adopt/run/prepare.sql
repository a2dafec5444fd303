-- What stands in the way of a plan, and what is made of one.

-- Each thing that is wrong, with the object and how to mend it. Nothing is changed.
CREATE OR REPLACE FUNCTION tenancy_adopt.problems(plan jsonb) RETURNS TABLE (object text, what text, mend text)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    t jsonb;
    r jsonb;
    target regclass;
    relation pg_class;
    other regclass;
    c record;
    column_name text;
    seen oid[] := '{}';
    tenants oid[] := ARRAY(SELECT tenancy_adopt.named(e -> 'table')::oid FROM jsonb_array_elements(plan -> 'tables') AS e
        WHERE e -> 'rows' ->> 'kind' = 'tenant' AND tenancy_adopt.named(e -> 'table') IS NOT NULL);
    planned oid[] := ARRAY(SELECT tenancy_adopt.named(e -> 'table')::oid FROM jsonb_array_elements(plan -> 'tables') AS e
        WHERE tenancy_adopt.named(e -> 'table') IS NOT NULL);
    fresh boolean := NOT EXISTS (SELECT FROM tenancy_adopt.adoption);
BEGIN
    IF jsonb_array_length(plan -> 'tables') = 0 THEN
        object := 'the plan'; what := 'it names no table'; mend := 'make one: tenancy adopt plan --out plan.json';
        RETURN NEXT;
    END IF;
    IF plan -> 'tenants' ->> 'kind' = 'root' THEN
        other := tenancy_adopt.named(plan -> 'tenants' -> 'table');
        object := format('%s.%s', plan -> 'tenants' -> 'table' ->> 'schema', plan -> 'tenants' -> 'table' ->> 'name');
        IF other IS NULL OR NOT other::oid = ANY (tenants) THEN
            what := 'it is the root, and no tenant''s table of the plan'; mend := 'make the plan anew'; RETURN NEXT;
        ELSE
            SELECT a.atttypid::regtype::text AS type, a.attnum INTO c FROM pg_attribute AS a
            WHERE a.attrelid = other AND a.attname = plan -> 'tenants' ->> 'key' AND NOT a.attisdropped AND a.attnum > 0;
            IF NOT FOUND OR c.type NOT IN ('uuid', 'smallint', 'integer', 'bigint', 'text', 'character varying') THEN
                what := format('its key %I is %s; a tenant is named by a uuid, an integer or a text',
                    plan -> 'tenants' ->> 'key', coalesce('of type ' || c.type, 'no column'));
                mend := 'name another root: tenancy adopt plan --root'; RETURN NEXT;
            ELSIF NOT EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = other AND i.indisunique AND i.indisvalid
                AND i.indnkeyatts = 1 AND i.indkey[0] = c.attnum AND i.indpred IS NULL)
            THEN
                what := format('its key %I is not unique', plan -> 'tenants' ->> 'key');
                mend := format('ALTER TABLE %s ADD UNIQUE (%I)', other, plan -> 'tenants' ->> 'key'); RETURN NEXT;
            END IF;
            IF NOT tenancy_adopt.has_column(other, coalesce(plan -> 'tenants' ->> 'label', plan -> 'tenants' ->> 'key')) THEN
                what := format('it has no column %I', plan -> 'tenants' ->> 'label');
                mend := 'make the plan anew'; RETURN NEXT;
            END IF;
        END IF;
    END IF;
    FOR t IN SELECT jsonb_array_elements(plan -> 'tables') LOOP
        target := tenancy_adopt.named(t -> 'table');
        object := format('%s.%s', t -> 'table' ->> 'schema', t -> 'table' ->> 'name');
        IF target IS NULL THEN
            what := 'there is no such table'; mend := 'make the plan anew'; RETURN NEXT;
            CONTINUE;
        END IF;
        object := target;
        IF target::oid = ANY (seen) THEN
            what := 'the plan names it twice'; mend := 'make the plan anew'; RETURN NEXT;
            CONTINUE;
        END IF;
        SELECT * INTO STRICT relation FROM pg_class WHERE oid = target;
        IF relation.relkind NOT IN ('r', 'p') THEN
            what := 'it is no table'; mend := 'leave it out of the plan'; RETURN NEXT;
            CONTINUE;
        END IF;
        IF relation.relispartition THEN
            what := 'it is a partition'; mend := 'plan the partitioned table instead: its partitions go along';
            RETURN NEXT;
        END IF;
        FOR c IN SELECT d.relation AS oid, pg_get_userbyid(k.relowner) AS owner
            FROM tenancy.descendants(target) AS d (relation) JOIN pg_class AS k ON k.oid = d.relation
            WHERE NOT pg_has_role(k.relowner, 'USAGE')
        LOOP
            what := format('%s belongs to %I, and %I may not act as that', c.oid::regclass, c.owner, current_user);
            mend := format('run it as a superuser, or: GRANT %I TO %I', c.owner, current_user); RETURN NEXT;
        END LOOP;
        FOR c IN SELECT k.conname FROM pg_constraint AS k
            WHERE k.conrelid = target AND k.contype = 'x' AND t -> 'rows' ->> 'kind' = 'tenant'
        LOOP
            what := format('its exclusion constraint %I compares rows of different tenants', c.conname);
            mend := format('ALTER TABLE %s DROP CONSTRAINT %I; create it anew afterwards, with tenant_id WITH = in front '
                '(it takes the extension btree_gist)', target, c.conname);
            RETURN NEXT;
        END LOOP;
        IF fresh AND t -> 'rows' ->> 'kind' = 'shared' AND relation.relrowsecurity THEN
            what := 'it has row security, and what is shared is the same for all';
            mend := format('let the plan close it, or: ALTER TABLE %s DISABLE ROW LEVEL SECURITY', target);
            RETURN NEXT;
        END IF;
        IF t -> 'rows' ->> 'kind' <> 'tenant' THEN
            seen := seen || target::oid;
            CONTINUE;
        END IF;
        IF fresh AND tenancy_adopt.has_column(target, 'tenant_id') THEN
            what := 'it has a column tenant_id already';
            mend := format('ALTER TABLE %s RENAME COLUMN tenant_id TO former_tenant_id', target); RETURN NEXT;
        END IF;
        IF relation.reloftype <> 0 THEN
            what := 'it is of a type, and takes no other column'; mend := format('ALTER TABLE %s NOT OF', target);
            RETURN NEXT;
        END IF;
        FOR c IN SELECT d.relation::regclass AS part FROM tenancy.descendants(target) AS d (relation)
                JOIN pg_class AS k ON k.oid = d.relation
            WHERE fresh AND (k.relrowsecurity OR k.relforcerowsecurity
                OR EXISTS (SELECT FROM pg_policy AS p WHERE p.polrelid = k.oid))
        LOOP
            what := format('%s has row security or policies already', CASE c.part WHEN target THEN 'it' ELSE c.part::text END);
            mend := format('protect it by hand, or: ALTER TABLE %s DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY, '
                'and drop its policies', c.part);
            RETURN NEXT;
        END LOOP;
        -- These run whatever `session_replication_role` says, and so for each row that gets its tenant.
        FOR c IN SELECT g.tgname, g.tgrelid::regclass AS part FROM tenancy.descendants(target) AS d (relation)
                JOIN pg_trigger AS g ON g.tgrelid = d.relation
            WHERE NOT g.tgisinternal AND g.tgenabled IN ('A', 'R') AND g.tgtype & 16 <> 0 AND cardinality(g.tgattr::int2[]) = 0
        LOOP
            what := format('the trigger %I of %s runs also for rows that get their tenant', c.tgname, c.part);
            mend := format('ALTER TABLE %s ENABLE TRIGGER %I, until the adoption is done; or let it run UPDATE OF its columns',
                c.part, c.tgname);
            RETURN NEXT;
        END LOOP;
        FOR c IN SELECT w.rulename, w.ev_class::regclass AS part FROM tenancy.descendants(target) AS d (relation)
                JOIN pg_rewrite AS w ON w.ev_class = d.relation
            WHERE w.ev_enabled IN ('A', 'R') AND w.ev_type = '2'
        LOOP
            what := format('the rule %I of %s rewrites also what gives rows their tenant', c.rulename, c.part);
            mend := format('ALTER TABLE %s ENABLE RULE %I, until the adoption is done', c.part, c.rulename);
            RETURN NEXT;
        END LOOP;
        -- Rows that nothing identifies can't be updated where updates are published.
        FOR c IN SELECT k.oid::regclass AS part, b.pubname FROM tenancy.descendants(target) AS d (relation)
                JOIN pg_class AS k ON k.oid = d.relation AND k.relkind = 'r' AND k.relpersistence = 'p'
                CROSS JOIN LATERAL (
                    SELECT p.pubname FROM pg_publication AS p
                    WHERE p.pubupdate AND (p.puballtables OR EXISTS (
                        SELECT FROM (SELECT k.oid AS relid UNION SELECT a.relid FROM pg_partition_ancestors(k.oid) AS a) AS a
                            JOIN pg_class AS l ON l.oid = a.relid
                        WHERE EXISTS (SELECT FROM pg_publication_rel AS r WHERE r.prpubid = p.oid AND r.prrelid = a.relid)
                            OR EXISTS (SELECT FROM pg_publication_namespace AS s
                                WHERE s.pnpubid = p.oid AND s.pnnspid = l.relnamespace)))
                    ORDER BY p.pubname LIMIT 1) AS b
            WHERE k.relreplident = 'n'
                OR k.relreplident = 'd' AND NOT EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = k.oid AND i.indisprimary)
                OR k.relreplident = 'i' AND NOT EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = k.oid AND i.indisreplident)
        LOOP
            what := format('the publication %I publishes updates of %s, and nothing identifies its rows, so none can get its '
                'tenant', c.pubname, c.part);
            mend := format('give it a primary key, or: ALTER TABLE %s REPLICA IDENTITY FULL', c.part);
            RETURN NEXT;
        END LOOP;
        -- As `adopt plan` finds them.
        FOR c IN SELECT p.oid::regprocedure AS function FROM pg_proc AS p JOIN pg_language AS l ON l.oid = p.prolang
                CROSS JOIN LATERAL (SELECT coalesce(pg_get_function_sqlbody(p.oid), p.prosrc) AS text) AS b
            WHERE p.prorettype = relation.reltype AND l.lanname IN ('sql', 'plpgsql')
                AND b.text ~* '\yselect\y' AND NOT b.text ~* '\yselect\s+(distinct\s+)?([\w"]+\.)?\*'
        LOOP
            what := format('the function %s returns its rows from a list of columns, which will lack tenant_id', c.function);
            mend := 'select *, which is right before and afterwards'; RETURN NEXT;
        END LOOP;
        FOR c IN SELECT k.conname, k.confmatchtype, k.confupdtype, k.conkey FROM pg_constraint AS k
            WHERE k.conrelid = target AND k.contype = 'f' AND k.conparentid = 0 AND k.confrelid = ANY (tenants)
        LOOP
            IF c.confmatchtype = 'f' AND cardinality(c.conkey) > 1 THEN
                what := format('its foreign key %I is MATCH FULL, which the tenant''s column would change', c.conname);
                mend := 'create it anew with MATCH SIMPLE and CHECK (num_nulls(…) IN (0, n))'; RETURN NEXT;
            ELSIF c.confupdtype IN ('n', 'd') THEN
                what := format('its foreign key %I would clear the tenant ON UPDATE', c.conname);
                mend := 'create it anew with another action ON UPDATE'; RETURN NEXT;
            END IF;
        END LOOP;
        FOR c IN SELECT k.conname, k.conrelid, k.confrelid FROM pg_constraint AS k
            WHERE k.contype = 'f' AND k.conparentid = 0 AND k.confrelid = target AND NOT k.conrelid = ANY (tenants)
        LOOP
            what := CASE WHEN c.conrelid = ANY (planned)
                THEN format('%s refers to it by %I, and is no tenant''s', c.conrelid::regclass, c.conname)
                ELSE format('%s refers to it by %I, and is not in the plan', c.conrelid::regclass, c.conname) END;
            mend := 'what refers to a tenant''s rows is a tenant''s: make the plan anew'; RETURN NEXT;
        END LOOP;
        FOR c IN SELECT k ->> 'index' AS name FROM jsonb_array_elements(coalesce(t -> 'keys', '[]')) AS k
            WHERE NOT EXISTS (SELECT FROM pg_index AS i JOIN pg_class AS x ON x.oid = i.indexrelid
                WHERE i.indrelid = target AND i.indisunique AND x.relname = k ->> 'index')
        LOOP
            what := format('it has no unique index %I', c.name); mend := 'make the plan anew'; RETURN NEXT;
        END LOOP;
        FOR r IN SELECT t -> 'rows' -> 'source' -> 'by' WHERE t -> 'rows' -> 'source' ->> 'kind' = 'reference'
            UNION ALL SELECT jsonb_array_elements(coalesce(t -> 'rows' -> 'source' -> 'also', '[]'))
        LOOP
            other := tenancy_adopt.named(r -> 'to');
            IF other IS NULL OR NOT other::oid = ANY (tenants) THEN
                what := format('it refers to %s.%s, which is no tenant''s table of the plan', r -> 'to' ->> 'schema',
                    r -> 'to' ->> 'name');
                mend := 'make the plan anew'; RETURN NEXT;
            ELSIF r = t -> 'rows' -> 'source' -> 'by' AND NOT other::oid = ANY (seen) THEN
                what := format('it gets its tenant from %s, which comes after it in the plan', other);
                mend := 'make the plan anew'; RETURN NEXT;
            END IF;
            FOR column_name IN SELECT n FROM jsonb_array_elements_text(r -> 'columns') AS n LOOP
                SELECT a.attgenerated INTO c FROM pg_attribute AS a
                WHERE a.attrelid = target AND a.attname = column_name AND NOT a.attisdropped AND a.attnum > 0;
                IF NOT FOUND THEN
                    what := format('it has no column %I', column_name); mend := 'make the plan anew'; RETURN NEXT;
                ELSIF c.attgenerated <> '' THEN
                    what := format('its tenant comes by the column %I, which is generated and not known before a row is '
                        'written', column_name);
                    mend := 'let the plan take another reference'; RETURN NEXT;
                END IF;
            END LOOP;
            IF other IS NOT NULL THEN
                FOR column_name IN SELECT n FROM jsonb_array_elements_text(r -> 'to-columns') AS n LOOP
                    IF NOT tenancy_adopt.has_column(other, column_name) THEN
                        what := format('%s has no column %I', other, column_name); mend := 'make the plan anew';
                        RETURN NEXT;
                    END IF;
                END LOOP;
            END IF;
        END LOOP;
        seen := seen || target::oid;
    END LOOP;
END
$$;

-- Remembers the plan, its tables and their parts.
CREATE OR REPLACE FUNCTION tenancy_adopt.take_plan(plan jsonb) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO tenancy_adopt.adoption (plan) VALUES (plan);
    INSERT INTO tenancy_adopt.tables (number, relation, kind, source, everywhere, shape, columns)
    SELECT e.number, tenancy_adopt.named(e.t -> 'table'), e.t -> 'rows' ->> 'kind', e.t -> 'rows' -> 'source',
        ARRAY(SELECT k ->> 'index' FROM jsonb_array_elements(coalesce(e.t -> 'keys', '[]')) AS k
            WHERE k ->> 'holds' = 'everywhere'),
        tenancy_adopt.shape_of(tenancy_adopt.named(e.t -> 'table')),
        ARRAY(SELECT a.attname FROM pg_attribute AS a
            WHERE a.attrelid = tenancy_adopt.named(e.t -> 'table') AND a.attnum > 0 AND NOT a.attisdropped
            ORDER BY a.attnum)
    FROM jsonb_array_elements(plan -> 'tables') WITH ORDINALITY AS e (t, number);
    INSERT INTO tenancy_adopt.parts (number, relation, belongs)
    SELECT row_number() OVER (ORDER BY t.number, d.relation), d.relation, t.relation
    FROM tenancy_adopt.tables AS t CROSS JOIN LATERAL tenancy.descendants(t.relation) AS d (relation)
    JOIN pg_class AS c ON c.oid = d.relation
    WHERE t.kind = 'tenant' AND c.relkind = 'r'
        AND (d.relation = t.relation OR d.relation NOT IN (SELECT o.relation FROM tenancy_adopt.tables AS o));
END
$$;

-- A digest of what the application has defined of a table, whatever of the adoption is there by now: columns, keys,
-- references, triggers, row security, and what inherits. Partitions come and go.
CREATE OR REPLACE FUNCTION tenancy_adopt.shape_of(target regclass) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        WITH own AS (
            SELECT coalesce(min(a.attnum), -9999) AS tenant FROM pg_attribute AS a
            WHERE a.attrelid = target AND a.attname = 'tenant_id' AND NOT a.attisdropped
        )
        SELECT md5(string_agg(l.line, E'\n' ORDER BY l.line)) FROM own CROSS JOIN LATERAL (
            SELECT format('column %s %s %s %s', a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attgenerated) AS line
            FROM pg_attribute AS a WHERE a.attrelid = target AND a.attnum > 0 AND NOT a.attisdropped AND a.attnum <> own.tenant
            UNION ALL
            SELECT format('constraint %s %s', k.conname, pg_get_constraintdef(k.oid))
            FROM pg_constraint AS k
            WHERE k.conrelid = target AND k.conparentid = 0 AND k.contype IN ('p', 'u', 'x', 'f')
                AND NOT starts_with(k.conname, 'tenancy_adopt_') AND NOT own.tenant = ANY (k.conkey)
            UNION ALL
            SELECT format('key %s', pg_get_indexdef(i.indexrelid)) FROM pg_index AS i
            WHERE i.indrelid = target AND i.indisunique AND i.indisvalid AND NOT own.tenant = ANY (i.indkey::int2[])
            UNION ALL
            SELECT format('trigger %s %s', pg_get_triggerdef(g.oid), g.tgenabled) FROM pg_trigger AS g
            WHERE g.tgrelid = target AND NOT g.tgisinternal AND strpos(g.tgname, '_tenancy_adopt') = 0
            UNION ALL
            SELECT format('policy %s', p.polname) FROM pg_policy AS p
            WHERE p.polrelid = target AND NOT starts_with(p.polname, 'tenancy_adopt_')
            UNION ALL
            SELECT format('inherits %s', i.inhrelid::regclass) FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
            WHERE i.inhparent = target AND NOT c.relispartition) AS l;
    END;

-- The tables that have changed since the adoption was begun, and others that refer to tenants' rows by now, such as
-- partitions that were detached. After the cut-over nothing depends on that any more.
CREATE OR REPLACE FUNCTION tenancy_adopt.changed() RETURNS SETOF text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT c.told FROM (
        SELECT t.number, CASE WHEN c.oid IS NULL THEN format('%s is gone', coalesce(t.planned, t.relation::text))
            ELSE format('%s has changed', t.relation) END AS told
        FROM (
            SELECT t.*, (SELECT format('%s.%s', e -> 'table' ->> 'schema', e -> 'table' ->> 'name')
                FROM tenancy_adopt.adoption AS a CROSS JOIN LATERAL jsonb_array_elements(a.plan -> 'tables')
                    WITH ORDINALITY AS e (e, n) WHERE e.n = t.number) AS planned
            FROM tenancy_adopt.tables AS t) AS t LEFT JOIN pg_class AS c ON c.oid = t.relation
        WHERE c.oid IS NULL OR tenancy_adopt.shape_of(t.relation) IS DISTINCT FROM t.shape
        UNION ALL
        SELECT t.number, format('%s refers to %s and is not in the plan (ALTER TABLE %1$s DROP CONSTRAINT %3$I)',
            k.conrelid::regclass, t.relation, k.conname)
        FROM tenancy_adopt.tables AS t JOIN pg_constraint AS k ON k.contype = 'f' AND k.conparentid = 0
            AND k.confrelid = t.relation
        WHERE t.kind = 'tenant' AND k.conrelid NOT IN (
            SELECT d.relation FROM tenancy_adopt.tables AS o CROSS JOIN LATERAL tenancy.descendants(o.relation) AS d (relation)
        )) AS c
        WHERE NOT EXISTS (SELECT FROM tenancy_adopt.phases AS p WHERE p.phase = 'enforce' AND p.done_at IS NOT NULL)
        ORDER BY c.number, c.told;
    END;

-- The id of the tenant behind an id of the application's that is no uuid: the same for the same id in this adoption.
CREATE OR REPLACE FUNCTION tenancy_adopt.tenant_for(key text) RETURNS uuid
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    -- As a number: a date reads as the session wants it.
    RETURN md5((SELECT extract(epoch FROM a.begun_at)::text FROM tenancy_adopt.adoption AS a) || ':' || key)::uuid;

-- Registers a tenant, active, with a slug of its name that nobody has.
CREATE OR REPLACE FUNCTION tenancy_adopt.register(tenant uuid, label text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    base text := btrim(left(btrim(regexp_replace(lower(coalesce(label, '')), '[^a-z0-9]+', '-', 'g'), '-'), 40), '-');
    hex text := replace(tenant::text, '-', '');
    candidate text;
BEGIN
    IF tenant IS NULL OR EXISTS (SELECT FROM tenancy.tenants AS t WHERE t.id = tenant) THEN
        RETURN;
    END IF;
    FOREACH candidate IN ARRAY ARRAY[base, ltrim(base || '-' || right(hex, 8), '-'), 't-' || hex] LOOP
        CONTINUE WHEN candidate = '' OR EXISTS (SELECT FROM tenancy.resting_slugs AS r WHERE r.slug = candidate);
        INSERT INTO tenancy.tenants (id, slug, name, status)
        VALUES (tenant, candidate, coalesce(nullif(btrim(label), ''), candidate), 'active')
        ON CONFLICT (slug) DO NOTHING;
        IF FOUND THEN
            INSERT INTO tenancy_adopt.registered VALUES (tenant) ON CONFLICT DO NOTHING;
            RETURN;
        END IF;
    END LOOP;
    RAISE EXCEPTION 'the tenant % can''t be registered: no slug is free', tenant;
END
$$;

-- The SQL for the tenant of a row of the root, without the mapping for a uuid.
CREATE OR REPLACE FUNCTION tenancy_adopt.root_tenant(alias text) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT CASE WHEN k.atttypid = 'uuid'::regtype THEN format('%s.%I', alias, k.attname)
            ELSE format('tenancy_adopt.tenant_for(%s.%I::text)', alias, k.attname) END
        FROM tenancy_adopt.adoption AS a JOIN pg_attribute AS k
            ON k.attrelid = tenancy_adopt.named(a.plan -> 'tenants' -> 'table')
                AND k.attname = a.plan -> 'tenants' ->> 'key';
    END;

CREATE OR REPLACE FUNCTION tenancy_adopt.root_label(alias text) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT format('%s.%I::text', alias, coalesce(a.plan -> 'tenants' ->> 'label', a.plan -> 'tenants' ->> 'key'))
        FROM tenancy_adopt.adoption AS a;
    END;

-- Registers the tenants that the data has. Returns how many it has registered.
CREATE OR REPLACE FUNCTION tenancy_adopt.register_all() RETURNS bigint
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenants jsonb := (SELECT a.plan -> 'tenants' FROM tenancy_adopt.adoption AS a);
BEGIN
    IF tenants ->> 'kind' = 'one' THEN
        PERFORM tenancy_adopt.register((tenants ->> 'tenant')::uuid, tenants ->> 'name');
    ELSE
        EXECUTE format('SELECT count(tenancy_adopt.register(%s, %s)) FROM %s AS r
            WHERE NOT EXISTS (SELECT FROM tenancy.tenants AS t WHERE t.id = %1$s)',
            tenancy_adopt.root_tenant('r'), tenancy_adopt.root_label('r'), tenancy_adopt.named(tenants -> 'table'));
    END IF;
    RETURN (SELECT count(*) FROM tenancy_adopt.registered);
END
$$;
