-- How a row gets its tenant: new ones by a trigger, those that are there by the backfill.

-- The operator by which a column is compared: its type may be an extension's, and the path is pinned.
CREATE OR REPLACE FUNCTION tenancy_adopt.equality(target regclass, column_name text) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT coalesce((
            SELECT format('OPERATOR(%I.%s)', n.nspname, o.oprname)
            FROM pg_attribute AS a JOIN pg_type AS y ON y.oid = a.atttypid
                JOIN pg_opclass AS c ON c.opcintype = coalesce(nullif(y.typbasetype, 0), y.oid) AND c.opcdefault
                JOIN pg_am AS m ON m.oid = c.opcmethod AND m.amname = 'btree'
                JOIN pg_amop AS p ON p.amopfamily = c.opcfamily AND p.amopstrategy = 3
                    AND p.amoplefttype = c.opcintype AND p.amoprighttype = c.opcintype
                JOIN pg_operator AS o ON o.oid = p.amopopr JOIN pg_namespace AS n ON n.oid = o.oprnamespace
            WHERE a.attrelid = target AND a.attname = column_name AND n.nspname <> 'pg_catalog'), 'OPERATOR(pg_catalog.=)');
    END;

-- The SQL for a tenant that the plan names by the root's key; with one tenant, and for a root whose key is a uuid, that is the id.
CREATE OR REPLACE FUNCTION tenancy_adopt.tenant_named(key text) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT CASE
            WHEN tenant_named.key IS NULL THEN NULL
            WHEN a.plan -> 'tenants' ->> 'kind' = 'root' AND (
                SELECT c.atttypid <> 'uuid'::regtype FROM pg_attribute AS c
                WHERE c.attrelid = tenancy_adopt.named(a.plan -> 'tenants' -> 'table')
                    AND c.attname = a.plan -> 'tenants' ->> 'key')
            THEN format('tenancy_adopt.tenant_for(%L)', tenant_named.key)
            ELSE format('%L::uuid', tenant_named.key)
        END FROM tenancy_adopt.adoption AS a;
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
        coalesce(tenancy_adopt.tenant_named(source ->> 'otherwise'), 'NULL::uuid'),
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
        WHEN 'root' THEN format('NEW.tenant_id := coalesce(CASE WHEN TG_OP = ''UPDATE'' THEN OLD.tenant_id END, %s);',
            expression)
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

-- Makes the function that registers the tenant that a new row of the root is. After the row: one that ON CONFLICT does
-- not insert is no tenant.
CREATE OR REPLACE FUNCTION tenancy_adopt.make_enter() RETURNS text
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format('CREATE OR REPLACE FUNCTION tenancy_adopt.enter() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
        SET search_path = pg_catalog, pg_temp AS %L', format('BEGIN
            IF TG_OP = ''INSERT'' OR OLD.tenant_id IS DISTINCT FROM NEW.tenant_id THEN
                PERFORM tenancy_adopt.register(NEW.tenant_id, %s);
            END IF;
            RETURN NULL; END', tenancy_adopt.root_label('NEW')));
    RETURN 'tenancy_adopt.enter';
END
$$;

-- The tables whose rows get their tenant from a row of a table.
CREATE OR REPLACE FUNCTION tenancy_adopt.followers(target regclass) RETURNS SETOF tenancy_adopt.tables
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT t.* FROM tenancy_adopt.tables AS t
        WHERE t.source ->> 'kind' = 'reference' AND tenancy_adopt.named(t.source -> 'by' -> 'to') = target
        ORDER BY t.number;
    END;

-- Makes the function that gives the rows of a table that refer to a row its tenant, when that has changed or has come
-- later. It acts as the owner of that table, as PostgreSQL does ON UPDATE CASCADE: whoever writes need not have the right,
-- and the application's triggers run as nobody else than then. Its path is the writer's, for their sake; the function
-- itself names everything with its schema.
CREATE OR REPLACE FUNCTION tenancy_adopt.make_move(target regclass, follower tenancy_adopt.tables) RETURNS text
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    name text := format('tenancy_adopt.move_%s_%s',
        (SELECT t.number FROM tenancy_adopt.tables AS t WHERE t.relation = target), (follower).number);
    owner name := (SELECT pg_get_userbyid(c.relowner) FROM pg_class AS c WHERE c.oid = (follower).relation);
    lacks boolean := NOT has_schema_privilege(owner, 'tenancy_adopt', 'CREATE');
BEGIN
    EXECUTE format('CREATE OR REPLACE FUNCTION %s() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS %L', name, format(
        'BEGIN
            IF NEW.tenant_id IS NOT NULL THEN
                UPDATE %s AS c SET tenant_id = NEW.tenant_id
                WHERE (c.tenant_id IS NULL OR c.tenant_id OPERATOR(pg_catalog.<>) NEW.tenant_id) AND %s;
            END IF;
            RETURN NULL; END', (follower).relation, (
            SELECT string_agg(format('c.%I %s NEW.%I', c.c, tenancy_adopt.equality(target, o.c), o.c), ' AND ')
            FROM jsonb_array_elements_text((follower).source -> 'by' -> 'columns') WITH ORDINALITY AS c (c, n)
            JOIN jsonb_array_elements_text((follower).source -> 'by' -> 'to-columns') WITH ORDINALITY AS o (c, n) USING (n))));
    IF lacks THEN
        EXECUTE format('GRANT CREATE ON SCHEMA tenancy_adopt TO %I', owner);
    END IF;
    EXECUTE format('ALTER FUNCTION %s() OWNER TO %I', name, owner);
    IF lacks THEN
        EXECUTE format('REVOKE CREATE ON SCHEMA tenancy_adopt FROM %I', owner);
    END IF;
    RETURN name;
END
$$;

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
    known name[];
    named name;
    follower tenancy_adopt.tables;
BEGIN
    apart := false;
    FOR t IN SELECT r.*, o.source FROM tenancy_adopt.triggered() AS r
        JOIN tenancy_adopt.tables AS o ON o.relation = r.belongs ORDER BY r.number, r.relation
    LOOP
        about := t.relation;
        locks := format('SELECT tenancy_adopt.lock(ARRAY[%L]::regclass[], ''SHARE ROW EXCLUSIVE'')', t.relation);
        known := ARRAY(SELECT g.tgname FROM pg_trigger AS g WHERE g.tgrelid = t.relation AND NOT g.tgisinternal);
        named := 'zz_tenancy_adopt_fill';
        IF named <> ALL (known) THEN
            forward := format('CREATE TRIGGER %I BEFORE INSERT OR UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION %s()',
                named, t.relation, tenancy_adopt.make_fill(t.belongs));
            undo := format('DROP TRIGGER IF EXISTS %I ON %s', named, t.relation);
            RETURN NEXT;
        END IF;
        -- Triggers run in the order of their names: these before those that check foreign keys (RI_…).
        named := 'ENTER_tenancy_adopt';
        IF t.source ->> 'kind' = 'root' AND named <> ALL (known) THEN
            forward := format('CREATE TRIGGER %I AFTER INSERT OR UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION %s()',
                named, t.relation, tenancy_adopt.make_enter());
            undo := format('DROP TRIGGER IF EXISTS %I ON %s', named, t.relation);
            RETURN NEXT;
        END IF;
        FOR follower IN SELECT * FROM tenancy_adopt.followers(t.belongs) LOOP
            named := 'MOVE_tenancy_adopt_' || (follower).number;
            IF named <> ALL (known) THEN
                forward := format('CREATE TRIGGER %I AFTER UPDATE ON %s FOR EACH ROW
                    WHEN (OLD.tenant_id IS NOT NULL AND OLD.tenant_id IS DISTINCT FROM NEW.tenant_id)
                    EXECUTE FUNCTION %s()', named, t.relation, tenancy_adopt.make_move(t.belongs, follower));
                undo := format('DROP TRIGGER IF EXISTS %I ON %s', named, t.relation);
                RETURN NEXT;
            END IF;
            named := 'LATE_tenancy_adopt_' || (follower).number;
            IF named <> ALL (known) AND tenancy_adopt.is_late((follower).relation) THEN
                forward := format('CREATE TRIGGER %I AFTER INSERT ON %s FOR EACH ROW EXECUTE FUNCTION %s()',
                    named, t.relation, tenancy_adopt.make_move(t.belongs, follower));
                undo := format('DROP TRIGGER IF EXISTS %I ON %s', named, t.relation);
                RETURN NEXT;
            END IF;
        END LOOP;
    END LOOP;
END
$$;

CREATE OR REPLACE FUNCTION tenancy_adopt.columns_steps() RETURNS TABLE (
        about text, locks text, forward text, undo text, apart boolean)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT t.relation::text,
            format('SELECT tenancy_adopt.lock(ARRAY[%L]::regclass[], ''ACCESS EXCLUSIVE'')', t.relation),
            -- A parent in the plan may have given it the column by then.
            format('ALTER TABLE %s ADD COLUMN IF NOT EXISTS tenant_id uuid', t.relation),
            format('ALTER TABLE IF EXISTS %s DROP COLUMN IF EXISTS tenant_id', t.relation), false
        FROM tenancy_adopt.tables AS t
        WHERE t.kind = 'tenant' AND NOT tenancy_adopt.has_column(t.relation, 'tenant_id')
        ORDER BY (SELECT count(*) FROM pg_inherits AS i WHERE i.inhrelid = t.relation), t.number;
    END;

-- Lets go of parts that were dropped or detached meanwhile, and takes those that were attached. Returns all that are left.
CREATE OR REPLACE FUNCTION tenancy_adopt.present_parts() RETURNS SETOF tenancy_adopt.parts
    LANGUAGE sql SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        DELETE FROM tenancy_adopt.parts AS p
        WHERE p.relation NOT IN (SELECT d.relation FROM tenancy.descendants(p.belongs) AS d (relation)
            JOIN pg_class AS c ON c.oid = d.relation);
        INSERT INTO tenancy_adopt.parts (number, relation, belongs)
        SELECT row_number() OVER (ORDER BY t.number, c.oid) + (SELECT coalesce(max(p.number), 0) FROM tenancy_adopt.parts AS p),
            c.oid, t.relation
        FROM tenancy_adopt.tables AS t CROSS JOIN LATERAL tenancy.descendants(t.relation) AS d (relation)
            JOIN pg_class AS c ON c.oid = d.relation AND c.relkind = 'r' AND c.relispartition
        WHERE t.kind = 'tenant' AND c.oid NOT IN (SELECT p.relation FROM tenancy_adopt.parts AS p);
        SELECT * FROM tenancy_adopt.parts AS p ORDER BY p.number;
    END;

-- Gives the rows in some pages their tenant. The application's triggers do not run: nothing else of a row changes.
CREATE OR REPLACE FUNCTION tenancy_adopt.fill_batch(target regclass, pages bigint, OUT filled bigint, OUT ended boolean)
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET session_replication_role = replica
AS $$
DECLARE
    part tenancy_adopt.parts;
    begun timestamptz := clock_timestamp();
BEGIN
    filled := 0;
    ended := true;
    SELECT * INTO part FROM tenancy_adopt.parts AS p WHERE p.relation = target;
    IF NOT FOUND THEN
        -- It was dropped meanwhile.
        RETURN;
    END IF;
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
EXCEPTION WHEN undefined_table THEN
    -- So was this, while it was waited for.
    IF EXISTS (SELECT FROM pg_class AS c WHERE c.oid = target) THEN
        RAISE;
    END IF;
    filled := 0;
    ended := true;
END
$$;

-- The same for the few rows of a table that have none afterwards, wherever they are. Returns how many of them were
-- locked by others and are left.
CREATE OR REPLACE FUNCTION tenancy_adopt.sweep(target regclass) RETURNS bigint
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET session_replication_role = replica
AS $$
DECLARE
    belongs regclass := (SELECT p.belongs FROM tenancy_adopt.parts AS p WHERE p.relation = target);
    expression text;
    left_over bigint;
BEGIN
    IF belongs IS NULL THEN
        RETURN 0;
    END IF;
    expression := tenancy_adopt.tenant_of(belongs, 'c');
    EXECUTE format('UPDATE ONLY %1$s AS c SET tenant_id = %2$s WHERE c.ctid = ANY (ARRAY(
            SELECT c.ctid FROM ONLY %1$s AS c WHERE c.tenant_id IS NULL AND %2$s IS NOT NULL
            FOR NO KEY UPDATE SKIP LOCKED))', target, expression);
    EXECUTE format('SELECT count(*) FROM ONLY %s AS c WHERE c.tenant_id IS NULL AND %s IS NOT NULL', target, expression)
        INTO left_over;
    RETURN left_over;
EXCEPTION WHEN undefined_table THEN
    IF EXISTS (SELECT FROM pg_class AS c WHERE c.oid = target) THEN
        RAISE;
    END IF;
    RETURN 0;
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
