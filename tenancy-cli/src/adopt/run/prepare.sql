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
        IF fresh AND (relation.relrowsecurity OR EXISTS (SELECT FROM pg_policy AS p WHERE p.polrelid = target)) THEN
            what := 'it has row security or policies already';
            mend := format('protect it by hand, or: ALTER TABLE %s DISABLE ROW LEVEL SECURITY, and drop its policies', target);
            RETURN NEXT;
        END IF;
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
    INSERT INTO tenancy_adopt.tables (number, relation, kind, source, everywhere, columns)
    SELECT e.number, tenancy_adopt.named(e.t -> 'table'), e.t -> 'rows' ->> 'kind', e.t -> 'rows' -> 'source',
        ARRAY(SELECT k ->> 'index' FROM jsonb_array_elements(coalesce(e.t -> 'keys', '[]')) AS k
            WHERE k ->> 'holds' = 'everywhere'),
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

-- The id of the tenant behind an id of the application's that is no uuid: the same for the same id in this adoption.
CREATE OR REPLACE FUNCTION tenancy_adopt.tenant_for(key text) RETURNS uuid
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    RETURN md5((SELECT a.begun_at::text FROM tenancy_adopt.adoption AS a) || ':' || key)::uuid;

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
