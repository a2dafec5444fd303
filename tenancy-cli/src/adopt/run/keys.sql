-- Keys and references with the tenant, made beside the old ones while the application runs.
--
-- What is not made here, `tenancy.protect_tables` makes by itself later, under its lock: keys and references of
-- partitioned tables.

-- The unique indexes of tables that are not partitioned, which hold across tenants by now.
CREATE OR REPLACE FUNCTION tenancy_adopt.old_keys() RETURNS TABLE (
        number integer, relation regclass, index oid, name name, schema name, everywhere boolean, refers boolean)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT t.number, r.relation, i.indexrelid, x.relname, n.nspname, x.relname = ANY (t.everywhere),
            i.indpred IS NULL AND i.indexprs IS NULL AND i.indimmediate AND (i.indisprimary OR EXISTS (
                SELECT FROM pg_constraint AS f WHERE f.contype = 'f' AND f.conindid = i.indexrelid))
        FROM tenancy_adopt.triggered() AS r JOIN tenancy_adopt.tables AS t ON t.number = r.number
            JOIN pg_class AS c ON c.oid = r.relation AND c.relkind = 'r'
            JOIN pg_index AS i ON i.indrelid = r.relation AND i.indisunique AND NOT i.indisexclusion AND i.indisvalid
            JOIN pg_class AS x ON x.oid = i.indexrelid JOIN pg_namespace AS n ON n.oid = x.relnamespace
            JOIN pg_attribute AS a ON a.attrelid = r.relation AND a.attname = 'tenant_id'
        WHERE NOT a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]) AND NOT x.relname LIKE 'tenancy\_adopt\_%';
    END;

CREATE OR REPLACE FUNCTION tenancy_adopt.indexes_steps() RETURNS TABLE (
        about text, locks text, forward text, undo text, apart boolean)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    k record;
    made record;
    head text;
    definition text;
    wanted name;
BEGIN
    apart := true;
    FOR k IN
        SELECT o.*, NULL::boolean AS plain FROM tenancy_adopt.old_keys() AS o WHERE NOT o.everywhere OR o.refers
        UNION ALL
        -- A table that no key will serve by its tenant gets an index for that.
        SELECT r.number, r.relation, NULL, NULL, n.nspname, NULL, NULL, true
        FROM tenancy_adopt.triggered() AS r JOIN pg_class AS c ON c.oid = r.relation AND c.relkind = 'r'
            JOIN pg_namespace AS n ON n.oid = c.relnamespace
            JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
        WHERE NOT EXISTS (SELECT FROM tenancy_adopt.old_keys() AS o JOIN pg_index AS i ON i.indexrelid = o.index
                WHERE o.relation = r.relation AND i.indpred IS NULL AND (NOT o.everywhere OR o.refers))
            AND NOT EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = r.relation AND i.indisvalid
                AND i.indpred IS NULL AND i.indkey[0] = a.attnum)
        ORDER BY 1, 2, 3
    LOOP
        about := k.relation;
        wanted := 'tenancy_adopt_' || coalesce('k' || k.index, 't' || k.relation::oid);
        SELECT i.indisvalid INTO made FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
        WHERE i.indrelid = k.relation AND c.relname = wanted;
        IF FOUND THEN
            CONTINUE WHEN made.indisvalid;
            -- What a build has left that was killed.
            forward := format('DROP INDEX CONCURRENTLY IF EXISTS %I.%I', k.schema, wanted);
            undo := NULL;
            RETURN NEXT;
        END IF;
        undo := format('DROP INDEX CONCURRENTLY IF EXISTS %I.%I', k.schema, wanted);
        IF k.plain THEN
            forward := format('CREATE INDEX CONCURRENTLY %I ON %s (tenant_id)', wanted, k.relation);
        ELSIF k.everywhere THEN
            -- Beside it, what references are paired by.
            forward := format('CREATE UNIQUE INDEX CONCURRENTLY %I ON %s (tenant_id, %s)', wanted, k.relation, (
                SELECT tenancy.column_names(k.relation, (i.indkey::int2[])[0:i.indnkeyatts - 1])
                FROM pg_index AS i WHERE i.indexrelid = k.index));
        ELSE
            definition := pg_get_indexdef(k.index);
            head := format('CREATE UNIQUE INDEX %I ON %s USING %s (', k.name, k.relation, (
                SELECT m.amname FROM pg_class AS c JOIN pg_am AS m ON m.oid = c.relam WHERE c.oid = k.index));
            IF NOT starts_with(definition, head) THEN
                RAISE EXCEPTION 'the definition of the index % is not understood: %', k.name, definition;
            END IF;
            forward := overlay(head PLACING format('CREATE UNIQUE INDEX CONCURRENTLY %I', wanted)
                    FROM 1 FOR length(format('CREATE UNIQUE INDEX %I', k.name)))
                || 'tenant_id, ' || substr(definition, length(head) + 1);
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;

-- The foreign keys between tenants' tables that do not pair the tenant yet, and that can be made anew without a lock
-- for the length of a scan.
CREATE OR REPLACE FUNCTION tenancy_adopt.old_references() RETURNS SETOF pg_constraint
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT k.* FROM pg_constraint AS k JOIN tenancy_adopt.triggered() AS r ON r.relation = k.conrelid
            JOIN tenancy_adopt.triggered() AS o ON o.relation = k.confrelid
            JOIN pg_class AS c ON c.oid = k.conrelid AND c.relkind = 'r'
            JOIN pg_class AS d ON d.oid = k.confrelid AND d.relkind = 'r'
            JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attname = 'tenant_id'
        WHERE k.contype = 'f' AND k.conparentid = 0 AND NOT a.attnum = ANY (k.conkey)
            AND NOT k.conname LIKE 'tenancy\_adopt\_%'
        ORDER BY k.oid;
    END;

CREATE OR REPLACE FUNCTION tenancy_adopt.constraints_steps() RETURNS TABLE (
        about text, locks text, forward text, undo text, apart boolean)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    t record;
    fk pg_constraint;
    wanted name;
    definition text;
BEGIN
    apart := false;
    FOR t IN
        SELECT r.number, r.relation, r.belongs, c.relname, c.relkind, a.attnum, a.attnotnull
        FROM tenancy_adopt.triggered() AS r JOIN pg_class AS c ON c.oid = r.relation
        JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'tenant_id' ORDER BY r.number, r.relation
    LOOP
        about := t.relation;
        IF NOT t.attnotnull AND NOT tenancy_adopt.is_late(t.belongs)
            AND NOT tenancy_adopt.is_below(t.relation) AND NOT EXISTS (
            SELECT FROM pg_constraint AS k WHERE k.conrelid = t.relation AND k.conname = 'tenancy_adopt_not_null')
        THEN
            locks := format('SELECT tenancy_adopt.lock(ARRAY[%L]::regclass[], ''ACCESS EXCLUSIVE'')', t.relation);
            forward := format('ALTER TABLE %s ADD CONSTRAINT tenancy_adopt_not_null CHECK (tenant_id IS NOT NULL) NOT VALID',
                t.relation);
            undo := format('ALTER TABLE IF EXISTS %s DROP CONSTRAINT IF EXISTS tenancy_adopt_not_null', t.relation);
            RETURN NEXT;
        END IF;
        -- Without a scan for a table that is partitioned there is none: that is left to `protect`.
        IF t.relkind = 'r' AND NOT EXISTS (
            SELECT FROM pg_constraint AS k WHERE k.conrelid = t.relation AND k.contype = 'f'
                AND k.confrelid = 'tenancy.tenants'::regclass AND k.conkey = ARRAY[t.attnum])
        THEN
            wanted := tenancy_adopt.cut(t.relname, '_tenant_id_fkey');
            IF EXISTS (SELECT FROM pg_constraint AS k WHERE k.conrelid = t.relation AND k.conname = wanted) THEN
                wanted := tenancy_adopt.cut(t.relname, '_' || t.relation::oid || '_tenant_id_fkey');
            END IF;
            locks := format('SELECT tenancy_adopt.lock(ARRAY[%L, ''tenancy.tenants'']::regclass[], ''SHARE ROW EXCLUSIVE'')',
                t.relation);
            forward := format('ALTER TABLE %s ADD CONSTRAINT %I FOREIGN KEY (tenant_id) REFERENCES tenancy.tenants (id) NOT VALID',
                t.relation, wanted);
            undo := format('ALTER TABLE IF EXISTS %s DROP CONSTRAINT IF EXISTS %I', t.relation, wanted);
            RETURN NEXT;
        END IF;
    END LOOP;
    FOR fk IN SELECT * FROM tenancy_adopt.old_references() LOOP
        wanted := 'tenancy_adopt_f' || (fk).oid;
        CONTINUE WHEN EXISTS (SELECT FROM pg_constraint AS k WHERE k.conrelid = (fk).conrelid AND k.conname = wanted);
        definition := tenancy.scoped_reference(fk, '{tenant_id}', '{tenant_id}');
        CONTINUE WHEN definition IS NULL;
        about := (fk).conrelid::regclass;
        locks := format('SELECT tenancy_adopt.lock(ARRAY[%L, %L]::regclass[], ''SHARE ROW EXCLUSIVE'')',
            (fk).conrelid::regclass, (fk).confrelid::regclass);
        forward := format('ALTER TABLE %s ADD CONSTRAINT %I %s%s', about, wanted, definition,
            CASE WHEN (fk).convalidated THEN ' NOT VALID' ELSE '' END);
        undo := format('ALTER TABLE IF EXISTS %s DROP CONSTRAINT IF EXISTS %I', about, wanted);
        RETURN NEXT;
    END LOOP;
END
$$;

CREATE OR REPLACE FUNCTION tenancy_adopt.validate_steps() RETURNS TABLE (
        about text, locks text, forward text, undo text, apart boolean)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    k record;
BEGIN
    apart := false;
    FOR k IN
        SELECT r.number, r.relation, c.conname FROM tenancy_adopt.triggered() AS r
        JOIN pg_constraint AS c ON c.conrelid = r.relation AND NOT c.convalidated
        WHERE c.conname = 'tenancy_adopt_not_null'
            OR c.contype = 'f' AND c.confrelid = 'tenancy.tenants'::regclass
            -- One that was not valid stays so.
            OR c.conname LIKE 'tenancy\_adopt\_f%' AND (
                SELECT o.convalidated FROM pg_constraint AS o
                WHERE o.oid::text = substr(c.conname, length('tenancy_adopt_f') + 1))
        ORDER BY r.number, c.contype, c.oid
    LOOP
        about := k.relation;
        -- Writers go on.
        locks := NULL;
        forward := format('ALTER TABLE %s VALIDATE CONSTRAINT %I', k.relation, k.conname);
        undo := NULL;
        RETURN NEXT;
    END LOOP;
    FOR k IN
        SELECT r.number, r.relation FROM tenancy_adopt.triggered() AS r
        JOIN pg_constraint AS c ON c.conrelid = r.relation AND c.conname = 'tenancy_adopt_not_null'
        WHERE NOT tenancy_adopt.is_below(r.relation) ORDER BY r.number, r.relation
    LOOP
        about := k.relation;
        locks := format('SELECT tenancy_adopt.lock(ARRAY[%L]::regclass[], ''ACCESS EXCLUSIVE'')', k.relation);
        -- The valid CHECK spares the scan, and has to be there meanwhile.
        forward := format('ALTER TABLE %s ALTER COLUMN tenant_id SET NOT NULL;
            ALTER TABLE %1$s DROP CONSTRAINT IF EXISTS tenancy_adopt_not_null', k.relation);
        undo := format('ALTER TABLE %s ALTER COLUMN tenant_id DROP NOT NULL;
            ALTER TABLE %1$s DROP CONSTRAINT IF EXISTS tenancy_adopt_not_null;
            ALTER TABLE %1$s ADD CONSTRAINT tenancy_adopt_not_null CHECK (tenant_id IS NOT NULL) NOT VALID', k.relation);
        RETURN NEXT;
    END LOOP;
END
$$;
