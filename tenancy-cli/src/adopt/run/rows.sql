-- How a row gets its tenant: new ones by a trigger, those that are there by the backfill.

-- The operator by which a column is compared: its type may be an extension's, and the path is pinned.
CREATE OR REPLACE FUNCTION tenancy_adopt.equality(target regclass, column_name text) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT coalesce((
            SELECT format('OPERATOR(%I.%s)', n.nspname, o.oprname)
            FROM pg_attribute AS a JOIN pg_opclass AS c ON c.opcintype = a.atttypid AND c.opcdefault
                JOIN pg_am AS m ON m.oid = c.opcmethod AND m.amname = 'btree'
                JOIN pg_amop AS p ON p.amopfamily = c.opcfamily AND p.amopstrategy = 3
                    AND p.amoplefttype = c.opcintype AND p.amoprighttype = c.opcintype
                JOIN pg_operator AS o ON o.oid = p.amopopr JOIN pg_namespace AS n ON n.oid = o.oprnamespace
            WHERE a.attrelid = target AND a.attname = column_name AND n.nspname <> 'pg_catalog'), '=');
    END;

-- The SQL for the tenant of a row of a table.
CREATE OR REPLACE FUNCTION tenancy_adopt.tenant_of(target regclass, alias text) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    source jsonb := (SELECT t.source FROM tenancy_adopt.tables AS t WHERE t.relation = target);
    via jsonb := source -> 'by';
BEGIN
    IF source ->> 'kind' = 'one' THEN
        RETURN format('%L::uuid', (SELECT a.plan -> 'tenants' ->> 'tenant' FROM tenancy_adopt.adoption AS a));
    ELSIF source ->> 'kind' = 'root' THEN
        RETURN tenancy_adopt.root_tenant(alias);
    END IF;
    RETURN format('CASE WHEN %s THEN %s ELSE (SELECT p.tenant_id FROM %s AS p WHERE %s LIMIT 1) END',
        (SELECT string_agg(format('%s.%I IS NULL', alias, c), ' OR ') FROM jsonb_array_elements_text(via -> 'columns') AS c),
        coalesce(quote_literal(source ->> 'otherwise') || '::uuid', 'NULL::uuid'),
        tenancy_adopt.named(via -> 'to'),
        (SELECT string_agg(format('p.%I %s %s.%I', o.c,
                tenancy_adopt.equality(tenancy_adopt.named(via -> 'to'), o.c), alias, c.c), ' AND ')
            FROM jsonb_array_elements_text(via -> 'columns') WITH ORDINALITY AS c (c, n)
            JOIN jsonb_array_elements_text(via -> 'to-columns') WITH ORDINALITY AS o (c, n) USING (n)));
END
$$;

-- Whether a row of a table may be written before the row that says its tenant, and has none until then.
CREATE OR REPLACE FUNCTION tenancy_adopt.is_late(target regclass) RETURNS boolean
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT EXISTS (
            SELECT FROM tenancy_adopt.tables AS t
            WHERE t.relation = target AND t.source ->> 'kind' = 'reference' AND NOT EXISTS (
                SELECT FROM pg_constraint AS k
                WHERE k.contype = 'f' AND k.conrelid = target AND NOT k.condeferrable
                    AND k.confrelid = tenancy_adopt.named(t.source -> 'by' -> 'to')
                    AND ARRAY(SELECT a.attname::text FROM unnest(k.conkey) AS n JOIN pg_attribute AS a
                            ON a.attrelid = target AND a.attnum = n ORDER BY 1)
                        = ARRAY(SELECT c FROM jsonb_array_elements_text(t.source -> 'by' -> 'columns') AS c ORDER BY 1)));
    END;

-- Makes the function that fills in the tenant of a new row, for an application that knows of none.
CREATE OR REPLACE FUNCTION tenancy_adopt.make_fill(target regclass) RETURNS text
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known tenancy_adopt.tables := (SELECT t FROM tenancy_adopt.tables AS t WHERE t.relation = target);
    name text := format('tenancy_adopt.fill_%s', known.number);
    expression text := tenancy_adopt.tenant_of(target, 'NEW');
    body text;
BEGIN
    body := CASE known.source ->> 'kind'
        WHEN 'one' THEN format('NEW.tenant_id := coalesce(NEW.tenant_id, tenancy.current_tenant(), %s);', expression)
        WHEN 'root' THEN format('NEW.tenant_id := coalesce(CASE WHEN TG_OP = ''UPDATE'' THEN OLD.tenant_id END, %s);
            PERFORM tenancy_adopt.register(NEW.tenant_id, %s);', expression, tenancy_adopt.root_label('NEW'))
        ELSE format('IF TG_OP = ''UPDATE'' AND NEW.tenant_id IS NOT NULL AND %s THEN RETURN NEW; END IF;
            NEW.tenant_id := coalesce(%s, NEW.tenant_id);', (
                SELECT string_agg(format('NEW.%I IS NOT DISTINCT FROM OLD.%1$I', c), ' AND ')
                FROM jsonb_array_elements_text(known.source -> 'by' -> 'columns') AS c), expression)
        END;
    -- As its maker: the application may have no right to read where the tenant is said.
    EXECUTE format('CREATE OR REPLACE FUNCTION %s() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
        SET search_path = pg_catalog, pg_temp AS %L', name, 'BEGIN ' || body || ' RETURN NEW; END');
    RETURN name;
END
$$;

-- Makes the function that gives the rows that refer to a row its tenant, when that has changed or has come later.
CREATE OR REPLACE FUNCTION tenancy_adopt.make_move(target regclass) RETURNS text
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    name text := format('tenancy_adopt.move_%s',
        (SELECT t.number FROM tenancy_adopt.tables AS t WHERE t.relation = target));
    body text;
BEGIN
    SELECT string_agg(format('UPDATE %s AS c SET tenant_id = NEW.tenant_id
            WHERE c.tenant_id IS DISTINCT FROM NEW.tenant_id AND %s;', t.relation, (
        SELECT string_agg(format('c.%I %s NEW.%I', c.c, tenancy_adopt.equality(target, o.c), o.c), ' AND ')
        FROM jsonb_array_elements_text(t.source -> 'by' -> 'columns') WITH ORDINALITY AS c (c, n)
        JOIN jsonb_array_elements_text(t.source -> 'by' -> 'to-columns') WITH ORDINALITY AS o (c, n) USING (n))), E'\n')
    INTO body
    FROM tenancy_adopt.tables AS t
    WHERE t.source ->> 'kind' = 'reference' AND tenancy_adopt.named(t.source -> 'by' -> 'to') = target;
    IF body IS NULL THEN
        RETURN NULL;
    END IF;
    -- As whoever writes, with its path: the triggers of the application's that this sets off must not run as another.
    EXECUTE format('CREATE OR REPLACE FUNCTION %s() RETURNS trigger LANGUAGE plpgsql AS %L', name,
        'BEGIN ' || body || ' RETURN NULL; END');
    RETURN name;
END
$$;

-- What the roles that may change a row lack for changing the tenant of rows that refer to it.
CREATE OR REPLACE FUNCTION tenancy_adopt.move_grants(target regclass) RETURNS TABLE (give text, take text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT format('GRANT %s (%I) ON %s TO %I', w.privilege, w.name, t.relation, pg_get_userbyid(x.grantee)),
            format('REVOKE %s (%I) ON %s FROM %I', w.privilege, w.name, t.relation, pg_get_userbyid(x.grantee))
        FROM pg_class AS c CROSS JOIN LATERAL aclexplode(c.relacl) AS x
            JOIN tenancy_adopt.tables AS t ON t.source ->> 'kind' = 'reference'
                AND tenancy_adopt.named(t.source -> 'by' -> 'to') = target
            CROSS JOIN LATERAL (
                SELECT 'UPDATE' AS privilege, 'tenant_id' AS name UNION ALL SELECT 'SELECT', 'tenant_id'
                UNION ALL SELECT 'SELECT', jsonb_array_elements_text(t.source -> 'by' -> 'columns')) AS w
        WHERE c.oid = target AND x.privilege_type = 'UPDATE' AND x.grantee <> 0
            AND NOT has_column_privilege(x.grantee, t.relation, w.name, w.privilege);
    END;

-- The relations that need a trigger of their own: partitions get their parent's.
CREATE OR REPLACE FUNCTION tenancy_adopt.triggered() RETURNS TABLE (number integer, belongs regclass, relation regclass)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT t.number, t.relation, t.relation FROM tenancy_adopt.tables AS t WHERE t.kind = 'tenant'
        UNION
        SELECT t.number, t.relation, p.relation FROM tenancy_adopt.tables AS t
        JOIN tenancy_adopt.parts AS p ON p.belongs = t.relation JOIN pg_class AS c ON c.oid = p.relation
        WHERE NOT c.relispartition AND p.relation <> t.relation;
    END;

-- Whether a relation gets columns and checks from another of these by inheritance.
CREATE OR REPLACE FUNCTION tenancy_adopt.is_below(relation regclass) RETURNS boolean
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT EXISTS (SELECT FROM pg_inherits AS i
            WHERE i.inhrelid = is_below.relation AND i.inhparent IN (SELECT t.relation FROM tenancy_adopt.triggered() AS t));
    END;

CREATE OR REPLACE FUNCTION tenancy_adopt.new_rows_steps() RETURNS TABLE (
        about text, locks text, forward text, undo text, apart boolean)
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    t record;
    move text;
BEGIN
    FOR t IN SELECT * FROM tenancy_adopt.triggered() AS r ORDER BY r.number, r.relation LOOP
        about := t.relation;
        locks := format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', t.relation);
        apart := false;
        IF NOT EXISTS (SELECT FROM pg_trigger AS g WHERE g.tgrelid = t.relation AND g.tgname = 'zz_tenancy_adopt_fill') THEN
            forward := format('CREATE TRIGGER zz_tenancy_adopt_fill BEFORE INSERT OR UPDATE ON %s FOR EACH ROW
                EXECUTE FUNCTION %s()', t.relation, tenancy_adopt.make_fill(t.belongs));
            undo := format('DROP TRIGGER IF EXISTS zz_tenancy_adopt_fill ON %s', t.relation);
            RETURN NEXT;
        END IF;
        -- Triggers run in the order of their names: this one before those that check foreign keys (RI_…).
        IF NOT EXISTS (SELECT FROM pg_trigger AS g WHERE g.tgrelid = t.relation AND g.tgname = 'MOVE_tenancy_adopt') THEN
            move := tenancy_adopt.make_move(t.belongs);
            CONTINUE WHEN move IS NULL;
            forward := format('CREATE TRIGGER "MOVE_tenancy_adopt" AFTER UPDATE ON %s FOR EACH ROW
                WHEN (OLD.tenant_id IS NOT NULL AND OLD.tenant_id IS DISTINCT FROM NEW.tenant_id)
                EXECUTE FUNCTION %s()', t.relation, move)
                || coalesce((SELECT string_agg('; ' || g.give, '') FROM tenancy_adopt.move_grants(t.belongs) AS g), '');
            undo := format('DROP TRIGGER IF EXISTS "MOVE_tenancy_adopt" ON %s', t.relation)
                || coalesce((SELECT string_agg('; ' || g.take, '') FROM tenancy_adopt.move_grants(t.belongs) AS g), '');
            RETURN NEXT;
            CONTINUE WHEN NOT EXISTS (
                SELECT FROM tenancy_adopt.tables AS o WHERE o.source ->> 'kind' = 'reference'
                    AND tenancy_adopt.named(o.source -> 'by' -> 'to') = t.belongs AND tenancy_adopt.is_late(o.relation));
            forward := format('CREATE TRIGGER "LATE_tenancy_adopt" AFTER INSERT ON %s FOR EACH ROW
                EXECUTE FUNCTION %s()', t.relation, move);
            undo := format('DROP TRIGGER IF EXISTS "LATE_tenancy_adopt" ON %s', t.relation);
            RETURN NEXT;
        END IF;
    END LOOP;
END
$$;

CREATE OR REPLACE FUNCTION tenancy_adopt.columns_steps() RETURNS TABLE (
        about text, locks text, forward text, undo text, apart boolean)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT t.relation::text, format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', t.relation),
            -- A parent in the plan may have given it the column by then.
            format('ALTER TABLE %s ADD COLUMN IF NOT EXISTS tenant_id uuid', t.relation),
            format('ALTER TABLE IF EXISTS %s DROP COLUMN IF EXISTS tenant_id', t.relation), false
        FROM tenancy_adopt.tables AS t
        WHERE t.kind = 'tenant' AND NOT tenancy_adopt.has_column(t.relation, 'tenant_id')
        ORDER BY (SELECT count(*) FROM pg_inherits AS i WHERE i.inhrelid = t.relation), t.number;
    END;

-- Gives the rows in some pages their tenant. The application's triggers do not run: nothing else of a row changes.
CREATE OR REPLACE FUNCTION tenancy_adopt.fill_batch(target regclass, pages bigint, OUT filled bigint, OUT ended boolean)
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET session_replication_role = replica
AS $$
DECLARE
    part tenancy_adopt.parts;
    begun timestamptz := clock_timestamp();
BEGIN
    SELECT * INTO STRICT part FROM tenancy_adopt.parts AS p WHERE p.relation = target;
    IF part.blocks IS NULL THEN
        -- What is written from here on has its tenant by the trigger.
        part.blocks := pg_relation_size(target) / current_setting('block_size')::bigint;
    END IF;
    -- A row that somebody else has locked is left to the sweep: whoever waits for no row has no part in a deadlock.
    EXECUTE format('UPDATE ONLY %1$s AS c SET tenant_id = %2$s WHERE c.ctid = ANY (ARRAY(
            SELECT r.ctid FROM ONLY %1$s AS r
            WHERE r.ctid >= %3$L::tid AND r.ctid < %4$L::tid AND r.tenant_id IS NULL FOR NO KEY UPDATE SKIP LOCKED))',
        target, tenancy_adopt.tenant_of(part.belongs, 'c'), format('(%s,0)', part.block),
        format('(%s,0)', part.block + pages));
    GET DIAGNOSTICS filled = ROW_COUNT;
    ended := part.block + pages >= part.blocks;
    UPDATE tenancy_adopt.parts AS p SET block = least(part.block + pages, part.blocks), blocks = part.blocks,
        filled = p.filled + fill_batch.filled, done = ended,
        ran_ms = p.ran_ms + (extract(epoch FROM clock_timestamp() - begun) * 1000)::bigint
    WHERE p.relation = target;
END
$$;

-- The same for the few rows of a table that have none afterwards, wherever they are. Returns how many of them were
-- locked by others and are left.
CREATE OR REPLACE FUNCTION tenancy_adopt.sweep(target regclass) RETURNS bigint
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET session_replication_role = replica
AS $$
DECLARE
    expression text := tenancy_adopt.tenant_of(
        (SELECT p.belongs FROM tenancy_adopt.parts AS p WHERE p.relation = target), 'c');
    left_over bigint;
BEGIN
    EXECUTE format('UPDATE ONLY %1$s AS c SET tenant_id = %2$s WHERE c.ctid = ANY (ARRAY(
            SELECT c.ctid FROM ONLY %1$s AS c WHERE c.tenant_id IS NULL AND %2$s IS NOT NULL
            FOR NO KEY UPDATE SKIP LOCKED))', target, expression);
    EXECUTE format('SELECT count(*) FROM ONLY %s AS c WHERE c.tenant_id IS NULL AND %s IS NOT NULL', target, expression)
        INTO left_over;
    RETURN left_over;
END
$$;

-- How a person finds a row: its primary key, or where it lies.
CREATE OR REPLACE FUNCTION tenancy_adopt.row_name(target regclass, alias text) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT coalesce((
            SELECT string_agg(format('%L || coalesce(%s.%I::text, ''null'')',
                    CASE WHEN n.o = 1 THEN '' ELSE ', ' END || a.attname || ' = ', alias, a.attname), ' || ' ORDER BY n.o)
            FROM pg_index AS i CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS n (number, o)
            JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = n.number
            WHERE i.indrelid = target AND i.indisprimary AND n.o <= i.indnkeyatts
                AND a.attname <> 'tenant_id'), format('''ctid '' || %s.ctid::text', alias));
    END;

-- The references that have to stay within one tenant: foreign keys, and those that the plan names.
CREATE OR REPLACE FUNCTION tenancy_adopt.ways() RETURNS TABLE (
        number integer, relation regclass, name text, columns text[], other regclass, to_columns text[])
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT t.number, t.relation, k.conname::text, ARRAY(SELECT a.attname::text
                FROM unnest(k.conkey) WITH ORDINALITY AS n (n, o) JOIN pg_attribute AS a
                    ON a.attrelid = k.conrelid AND a.attnum = n.n ORDER BY n.o),
            o.relation, ARRAY(SELECT a.attname::text
                FROM unnest(k.confkey) WITH ORDINALITY AS n (n, o) JOIN pg_attribute AS a
                    ON a.attrelid = k.confrelid AND a.attnum = n.n ORDER BY n.o)
        FROM tenancy_adopt.tables AS t JOIN pg_constraint AS k ON k.conrelid = t.relation AND k.contype = 'f'
                AND k.conparentid = 0
            JOIN tenancy_adopt.tables AS o ON o.relation = k.confrelid AND o.kind = 'tenant'
        WHERE t.kind = 'tenant' AND NOT k.conname LIKE 'tenancy\_adopt\_%'
        UNION ALL
        SELECT t.number, t.relation, 'the plan', ARRAY(SELECT jsonb_array_elements_text(r.r -> 'columns')),
            tenancy_adopt.named(r.r -> 'to'), ARRAY(SELECT jsonb_array_elements_text(r.r -> 'to-columns'))
        FROM tenancy_adopt.tables AS t CROSS JOIN LATERAL (
            SELECT jsonb_array_elements(coalesce(t.source -> 'also', '[]')) AS r
            UNION ALL SELECT t.source -> 'by' WHERE t.source ? 'by') AS r;
    END;

-- What the data has against the plan.
CREATE OR REPLACE FUNCTION tenancy_adopt.faults() RETURNS TABLE (
        relation text, fault text, number bigint, rows text[], mend text)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    t record;
    w record;
    via jsonb;
    told text;
BEGIN
    FOR t IN SELECT * FROM tenancy_adopt.tables AS o WHERE o.kind = 'tenant' ORDER BY o.number LOOP
        relation := t.relation;
        told := tenancy_adopt.row_name(t.relation, 'c');
        EXECUTE format('SELECT count(*), (array_agg(n ORDER BY n))[1:3] FROM (
            SELECT %s AS n FROM %s AS c WHERE c.tenant_id IS NULL AND %s) AS c', told, t.relation,
            CASE WHEN t.source ->> 'kind' = 'reference' AND t.source ->> 'otherwise' IS NULL THEN (
                SELECT string_agg(format('c.%I IS NULL', c), ' OR ')
                FROM jsonb_array_elements_text(t.source -> 'by' -> 'columns') AS c) ELSE 'false' END) INTO number, rows;
        IF number > 0 THEN
            fault := format('rows without a tenant: %s is null', (SELECT string_agg(quote_ident(c), ', ')
                FROM jsonb_array_elements_text(t.source -> 'by' -> 'columns') AS c));
            mend := 'say whose they are: fill it in, delete them, or answer `otherwise` in the plan';
            RETURN NEXT;
        END IF;
        EXECUTE format('SELECT count(*), (array_agg(n ORDER BY n))[1:3] FROM (
            SELECT %s AS n FROM %s AS c WHERE c.tenant_id IS NULL AND NOT coalesce(%s, false)) AS c', told, t.relation,
            coalesce((SELECT string_agg(format('c.%I IS NULL', c), ' OR ')
                FROM jsonb_array_elements_text(t.source -> 'by' -> 'columns') AS c), 'false')) INTO number, rows;
        IF number > 0 THEN
            via := t.source -> 'by';
            fault := CASE WHEN via IS NULL THEN 'rows without a tenant' ELSE format('orphans: %s refers to no row of %s',
                (SELECT string_agg(quote_ident(c), ', ') FROM jsonb_array_elements_text(via -> 'columns') AS c),
                tenancy_adopt.named(via -> 'to')) END;
            mend := 'delete them, or correct what they refer to';
            RETURN NEXT;
        END IF;
        EXECUTE format('SELECT count(*), (array_agg(n ORDER BY n))[1:3] FROM (
            SELECT %s AS n FROM %s AS c
            WHERE c.tenant_id IS NOT NULL AND NOT EXISTS (SELECT FROM tenancy.tenants AS t WHERE t.id = c.tenant_id)) AS c',
            told, t.relation) INTO number, rows;
        IF number > 0 THEN
            fault := 'rows of a tenant that is not registered';
            mend := 'register it, or correct `otherwise` in the plan';
            RETURN NEXT;
        END IF;
        FOR w IN SELECT DISTINCT ON (o.columns, o.other, o.to_columns) * FROM tenancy_adopt.ways() AS o
            WHERE o.relation = t.relation ORDER BY o.columns, o.other, o.to_columns, o.name
        LOOP
            EXECUTE format('SELECT count(*), (array_agg(n ORDER BY n))[1:3] FROM (
                SELECT %s AS n FROM %s AS c JOIN %s AS p ON %s WHERE c.tenant_id <> p.tenant_id) AS c', told,
                t.relation, w.other, (SELECT string_agg(format('p.%I %s c.%I', x.o,
                    tenancy_adopt.equality(w.other, x.o), x.c), ' AND ')
                    FROM unnest(w.columns, w.to_columns) AS x (c, o))) INTO number, rows;
            IF number > 0 THEN
                fault := format('rows whose %s leads to another tenant than their own, by %s',
                    array_to_string(w.columns, ', '), w.other);
                mend := 'correct what they refer to, or plan the table by another reference';
                RETURN NEXT;
            END IF;
        END LOOP;
    END LOOP;
END
$$;
