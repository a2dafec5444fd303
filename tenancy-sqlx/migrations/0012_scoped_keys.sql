-- Keys and references of a protected table hold within one tenant: what stands in their way is
-- rebuilt with the tenant's column first, and stays what it was in every other respect.

-- Refuses, and says how to mend it. Nothing has changed: the statement is undone.
CREATE FUNCTION tenancy.refuse(message text, hint text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION USING MESSAGE = message, HINT = hint,
        ERRCODE = 'object_not_in_prerequisite_state';
END
$$;

-- A list of columns as SQL: `tenant_id, project_id`.
CREATE FUNCTION tenancy.column_list(columns name[]) RETURNS text
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT string_agg(quote_ident(c.name), ', ' ORDER BY c.position)
        FROM unnest(columns) WITH ORDINALITY AS c (name, position);
    END;

-- The columns that keep a referring table's rows apart, as far as it has them: those it is protected
-- by, or, before it is protected, columns with the names that the other table has.
CREATE FUNCTION tenancy.scope_to_be(relation oid, like_those name[]) RETURNS name[]
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT CASE WHEN tenancy.scope_columns(relation) <> '{}' THEN tenancy.scope_columns(relation)
            ELSE ARRAY(
                SELECT l.name FROM unnest(like_those) WITH ORDINALITY AS l (name, position)
                JOIN pg_attribute AS a ON a.attrelid = relation AND a.attname = l.name
                    AND NOT a.attisdropped AND a.atttypid = 'uuid'::regtype
                ORDER BY l.position)
            END;
    END;

-- The columns of a foreign key as PostgreSQL prints them; the last may be a PERIOD (18 and later).
CREATE FUNCTION tenancy.reference_columns(relation regclass, numbers int2[], period boolean)
    RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT string_agg(
            CASE WHEN period AND n.position = cardinality(numbers) THEN 'PERIOD ' ELSE '' END
                || quote_ident(a.attname), ', ' ORDER BY n.position)
        FROM unnest(numbers) WITH ORDINALITY AS n (number, position)
        JOIN pg_attribute AS a ON a.attrelid = relation AND a.attnum = n.number;
    END;

-- A foreign key as it reads once it pairs the scope of both sides; null if it does already.
-- MATCH, ON UPDATE, DEFERRABLE, NOT VALID, NOT ENFORCED and PERIOD stay: the text is PostgreSQL's own.
CREATE FUNCTION tenancy.scoped_reference(fk pg_constraint, own name[], other name[]) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    own_numbers int2[] := tenancy.column_numbers((fk).conrelid::regclass, own);
    other_numbers int2[] := tenancy.column_numbers((fk).confrelid::regclass, other);
    period boolean := coalesce((to_jsonb(fk) ->> 'conperiod')::boolean, false);
    referrer text := (fk).conrelid::regclass;
    target text := (fk).confrelid::regclass;
    referring text := tenancy.reference_columns((fk).conrelid::regclass, (fk).conkey, period);
    referred text := tenancy.reference_columns((fk).confrelid::regclass, (fk).confkey, period);
    head text := format('FOREIGN KEY (%s) REFERENCES %s(%s)', referring, target, referred);
    definition text := pg_get_constraintdef((fk).oid);
    tail text := substr(definition, length(head) + 1);
    cleared int2[] := coalesce((fk).confdelsetcols, (fk).conkey);
    kept int2[];
    added_own name[] := '{}';
    added_other name[] := '{}';
    clears_scope boolean := (fk).confdeltype IN ('n', 'd') AND cleared && own_numbers;
    action text;
BEGIN
    FOR k IN 1 .. cardinality(other) LOOP
        IF array_position((fk).conkey, own_numbers[k])
            IS DISTINCT FROM array_position((fk).confkey, other_numbers[k])
        THEN
            PERFORM tenancy.refuse(
                format('can''t protect %s: the foreign key %I of %s pairs %I with another column, so '
                    'that it refers to other tenants'' rows', target, (fk).conname, referrer,
                    CASE WHEN own_numbers[k] = ANY ((fk).conkey) THEN own[k] ELSE other[k] END),
                format('A row may refer to rows of its own tenant only. Refer by (%I, …) to (%I, …), or '
                    'to tenancy.tenants (id) where another tenant is to be named, and drop this key: '
                    'ALTER TABLE %s DROP CONSTRAINT %I', own[k], other[k], referrer, (fk).conname));
        END IF;
        IF NOT own_numbers[k] = ANY ((fk).conkey) THEN
            added_own := added_own || own[k];
            added_other := added_other || other[k];
        END IF;
    END LOOP;
    IF added_own = '{}' AND NOT clears_scope AND (fk).confupdtype NOT IN ('n', 'd') THEN
        RETURN NULL;
    END IF;
    IF (fk).confupdtype IN ('n', 'd') THEN
        PERFORM tenancy.refuse(
            format('can''t pair the foreign key %s of %s: ON UPDATE SET would clear the tenant',
                (fk).conname, referrer),
            'Create it anew with another action ON UPDATE.');
    END IF;
    IF NOT starts_with(definition, head) THEN
        PERFORM tenancy.refuse(format('can''t pair the foreign key %I of %s: its definition is not '
            'understood: %s', (fk).conname, referrer, definition),
            'Drop it, and create it anew with the tenant on both sides.');
    END IF;
    IF (fk).confmatchtype = 'f' AND added_own <> '{}' THEN
        -- The tenant is never null, so that MATCH FULL would forbid nulls: a check says what it said.
        tail := replace(tail, ' MATCH FULL', '');
    END IF;
    IF (fk).confdeltype IN ('n', 'd') THEN
        kept := ARRAY(SELECT n FROM unnest(cleared) AS n WHERE n <> ALL (own_numbers));
        IF kept = '{}' THEN
            PERFORM tenancy.refuse(
                format('can''t pair the foreign key %I of %s: ON DELETE SET would clear the tenant',
                    (fk).conname, referrer),
                'Create it anew with another action ON DELETE.');
        END IF;
        action := CASE (fk).confdeltype WHEN 'n' THEN ' ON DELETE SET NULL'
            ELSE ' ON DELETE SET DEFAULT' END;
        tail := replace(tail, action || coalesce(
                ' (' || tenancy.column_names((fk).conrelid::regclass, (fk).confdelsetcols) || ')', ''),
            format('%s (%s)', action, tenancy.column_names((fk).conrelid::regclass, kept)));
    END IF;
    RETURN format('FOREIGN KEY (%s) REFERENCES %s (%s)%s',
        concat_ws(', ', tenancy.column_list(added_own), referring), target,
        concat_ws(', ', tenancy.column_list(added_other), referred), tail);
END
$$;

-- Drops a foreign key that does not pair its scopes yet, and returns what to make instead; null if
-- it pairs them.
CREATE FUNCTION tenancy.drop_unscoped(fk pg_constraint, own name[], other name[]) RETURNS jsonb
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    ddl text := tenancy.scoped_reference(fk, own, other);
    referrer regclass := (fk).conrelid;
    saved jsonb;
BEGIN
    IF ddl IS NULL THEN
        RETURN NULL;
    END IF;
    IF NOT pg_has_role((SELECT c.relowner FROM pg_class AS c WHERE c.oid = referrer), 'USAGE') THEN
        PERFORM tenancy.refuse(
            format('can''t protect %s: %s refers to it and belongs to another role',
                (fk).confrelid::regclass, referrer),
            format('Let one role own both, as its owner or an administrator: ALTER TABLE %s OWNER TO %I',
                referrer, tenancy.role_name('owner')));
    END IF;
    saved := jsonb_build_object('referrer', referrer, 'target', (fk).confrelid::regclass,
        'name', (fk).conname, 'ddl', ddl, 'comment', obj_description((fk).oid, 'pg_constraint'),
        'whole', CASE WHEN (fk).confmatchtype = 'f' AND cardinality((fk).conkey) > 1
                AND strpos(ddl, ' MATCH FULL') = 0
            THEN format('CHECK (num_nulls(%s) IN (0, %s))%s',
                tenancy.column_names(referrer, (fk).conkey), cardinality((fk).conkey),
                CASE WHEN (fk).convalidated THEN '' ELSE ' NOT VALID' END) END);
    EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', referrer, (fk).conname);
    IF NOT (fk).convalidated THEN
        RAISE NOTICE 'tenancy: the foreign key % of % stays unvalidated', (fk).conname, referrer;
    END IF;
    RETURN saved;
END
$$;

-- Makes what `drop_unscoped` returned.
CREATE FUNCTION tenancy.add_scoped(saved jsonb) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM tenancy.add_foreign_key((saved ->> 'referrer')::regclass, (saved ->> 'target')::regclass,
        format('CONSTRAINT %I %s', saved ->> 'name', saved ->> 'ddl'));
    IF saved ->> 'whole' IS NOT NULL THEN
        EXECUTE format('ALTER TABLE %s ADD %s', saved ->> 'referrer', saved ->> 'whole');
    END IF;
    IF saved ->> 'comment' IS NOT NULL THEN
        EXECUTE format('COMMENT ON CONSTRAINT %I ON %s IS %L',
            saved ->> 'name', saved ->> 'referrer', saved ->> 'comment');
    END IF;
END
$$;

-- A publication with a column list must publish what identifies a row, which is the tenant's column
-- too from now on.
CREATE FUNCTION tenancy.publish_scope(target regclass, scope name[]) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    p record;
BEGIN
    FOR p IN
        SELECT b.pubname, b.pubowner, r.prrelid::regclass AS relation,
            ARRAY(SELECT a.attname FROM unnest(r.prattrs::int2[]) AS n
                JOIN pg_attribute AS a ON a.attrelid = r.prrelid AND a.attnum = n) AS columns,
            coalesce(' WHERE (' || pg_get_expr(r.prqual, r.prrelid) || ')', '') AS condition
        FROM pg_publication_rel AS r JOIN pg_publication AS b ON b.oid = r.prpubid
            JOIN pg_class AS c ON c.oid = r.prrelid
        WHERE r.prattrs IS NOT NULL AND (b.pubupdate OR b.pubdelete)
            AND r.prrelid IN (SELECT target UNION SELECT t.relid FROM pg_partition_tree(target) AS t)
            -- Rows of the others are identified by no column, and not published.
            AND (c.relreplident IN ('i', 'f') OR c.relreplident = 'd' AND EXISTS (
                SELECT FROM pg_index AS i WHERE i.indrelid = c.oid AND i.indisprimary))
            AND NOT tenancy.column_numbers(r.prrelid::regclass, scope) <@ r.prattrs::int2[]
    LOOP
        p.columns := p.columns || ARRAY(SELECT s FROM unnest(scope) AS s WHERE s <> ALL (p.columns));
        IF NOT pg_has_role(p.pubowner, 'USAGE') THEN
            PERFORM tenancy.refuse(
                format('can''t protect %s: the publication %I lists its columns without %s, and its '
                    'rows could no longer be updated', target, p.pubname, tenancy.column_list(scope)),
                format('ALTER TABLE %2$s ADD COLUMN IF NOT EXISTS %5$I uuid; then, as the owner of the '
                    'publication: ALTER PUBLICATION %1$I DROP TABLE %2$s; '
                    'ALTER PUBLICATION %1$I ADD TABLE %2$s (%3$s)%4$s',
                    p.pubname, p.relation, tenancy.column_list(p.columns), p.condition, scope[1]));
        END IF;
        EXECUTE format('ALTER PUBLICATION %I DROP TABLE %s', p.pubname, p.relation);
        EXECUTE format('ALTER PUBLICATION %I ADD TABLE %s (%s)%s',
            p.pubname, p.relation, tenancy.column_list(p.columns), p.condition);
        RAISE NOTICE 'tenancy: the publication % now publishes % of %',
            p.pubname, tenancy.column_list(scope), p.relation;
    END LOOP;
END
$$;

-- Indexes that belong together: the index of a partitioned table and those of its partitions.
CREATE FUNCTION tenancy.index_tree(root oid) RETURNS TABLE (index oid, relation oid)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT i.indexrelid, i.indrelid FROM pg_index AS i
        WHERE i.indexrelid = root
            OR i.indexrelid IN (SELECT t.relid FROM pg_partition_tree(root) AS t);
    END;

-- What is said about an index beside its definition, for each table of the tree.
CREATE FUNCTION tenancy.index_marks(root oid) RETURNS jsonb
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT jsonb_agg(jsonb_build_object(
            'relation', t.relation::regclass, 'name', c.relname, 'root', t.index = root,
            'comment', obj_description(t.index, 'pg_class'),
            'said', (SELECT obj_description(k.oid, 'pg_constraint') FROM pg_constraint AS k
                WHERE k.conindid = t.index AND k.conrelid = t.relation AND k.contype IN ('p', 'u', 'x')),
            'options', CASE c.relkind WHEN 'i' THEN array_to_string(c.reloptions, ', ') END,
            -- By expression, because an expression's place moves and columns have statistics of their own.
            'statistics', (SELECT jsonb_object_agg(pg_get_indexdef(t.index, a.attnum, false), a.attstattarget)
                FROM pg_attribute AS a WHERE a.attrelid = t.index AND a.attstattarget >= 0),
            'clustered', i.indisclustered, 'identity', i.indisreplident))
        FROM tenancy.index_tree(root) AS t JOIN pg_class AS c ON c.oid = t.index
            JOIN pg_index AS i ON i.indexrelid = t.index;
    END;

-- Says of a new index what `index_marks` said of the old one.
CREATE FUNCTION tenancy.set_index_marks(root oid, marks jsonb) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    m record;
    k record;
BEGIN
    FOR m IN
        SELECT t.index::regclass AS index, c.relname, c.reloptions AS present, o.*
        FROM tenancy.index_tree(root) AS t JOIN pg_class AS c ON c.oid = t.index
        JOIN jsonb_to_recordset(marks) AS o
            (relation text, name name, root boolean, comment text, said text, options text,
                statistics jsonb, clustered boolean, identity boolean)
            ON o.relation::regclass = t.relation
    LOOP
        IF m.relname <> m.name THEN
            EXECUTE format('ALTER INDEX %s RENAME TO %I', m.index, m.name);
        END IF;
        IF m.comment IS NOT NULL THEN
            EXECUTE format('COMMENT ON INDEX %s IS %L', m.index, m.comment);
        END IF;
        IF m.said IS NOT NULL AND NOT m.root THEN
            EXECUTE format('COMMENT ON CONSTRAINT %I ON %s IS %L', m.name, m.relation, m.said);
        END IF;
        IF m.options IS NOT NULL AND m.options IS DISTINCT FROM array_to_string(m.present, ', ') THEN
            EXECUTE format('ALTER INDEX %s SET (%s)', m.index, m.options);
        END IF;
        FOR k IN
            SELECT a.attnum, o.value FROM jsonb_each_text(m.statistics) AS o
            JOIN pg_attribute AS a ON a.attrelid = m.index
                AND pg_get_indexdef(m.index, a.attnum, false) = o.key
        LOOP
            EXECUTE format('ALTER INDEX %s ALTER COLUMN %s SET STATISTICS %s', m.index, k.attnum, k.value);
        END LOOP;
        IF m.clustered THEN
            EXECUTE format('ALTER TABLE %s CLUSTER ON %I', m.relation, m.name);
        END IF;
        IF m.identity THEN
            EXECUTE format('ALTER TABLE %s REPLICA IDENTITY USING INDEX %I', m.relation, m.name);
        END IF;
    END LOOP;
END
$$;

-- How a unique key, a unique index or an exclusion constraint reads with the scope's columns first.
-- For a partitioned table, PostgreSQL prints an index as `ON ONLY`, which would leave the partitions
-- out.
CREATE FUNCTION tenancy.scoped_key(index oid, con pg_constraint, scope name[]) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    i pg_index;
    c pg_class;
    method name;
    relation regclass;
    definition text;
    head text;
    deferral text;
    missing name[];
BEGIN
    SELECT * INTO STRICT i FROM pg_index WHERE indexrelid = index;
    SELECT * INTO STRICT c FROM pg_class WHERE oid = index;
    SELECT a.amname INTO STRICT method FROM pg_am AS a WHERE a.oid = c.relam;
    relation := i.indrelid;
    missing := ARRAY(
        SELECT s FROM unnest(scope) AS s WHERE NOT tenancy.column_numbers(relation, ARRAY[s])
            <@ (i.indkey::int2[])[0:i.indnkeyatts - 1]);
    IF tenancy.column_numbers(relation, missing) && (i.indkey::int2[])[i.indnkeyatts : i.indnatts - 1] THEN
        PERFORM tenancy.refuse(
            format('can''t protect %s: the unique index %s spans tenants, and carries %s along',
                relation, index::regclass, tenancy.column_list(missing)),
            format('Drop it and create it anew with %s as its first column.',
                tenancy.column_list(scope)));
    END IF;
    IF method = 'gist' AND NOT EXISTS (
        SELECT FROM pg_opclass AS o JOIN pg_am AS a ON a.oid = o.opcmethod
        WHERE a.amname = 'gist' AND o.opcintype = 'uuid'::regtype AND o.opcdefault)
    THEN
        PERFORM tenancy.refuse(
            format('can''t protect %s: the constraint %s spans tenants', relation, index::regclass),
            'With the extension it is rebuilt with the tenant. As an administrator: '
            'CREATE EXTENSION btree_gist');
    END IF;
    IF (con).oid IS NULL THEN
        definition := pg_get_indexdef(index);
        head := format('CREATE UNIQUE INDEX %I ON %s%s USING %s (', c.relname,
            CASE c.relkind WHEN 'I' THEN 'ONLY ' ELSE '' END, relation, method);
        IF NOT starts_with(definition, head) THEN
            PERFORM tenancy.refuse(
                format('can''t protect %s: the unique index %s spans tenants', relation, index::regclass),
                format('Drop it and create it anew with %s as its first column.',
                    tenancy.column_list(scope)));
        END IF;
        RETURN format('CREATE UNIQUE INDEX %I ON %s USING %s (%s, ', c.relname, relation, method,
            tenancy.column_list(missing)) || substr(definition, length(head) + 1);
    END IF;
    definition := pg_get_constraintdef((con).oid);
    IF (con).contype = 'x' AND method NOT IN ('gist', 'btree') THEN
        PERFORM tenancy.refuse(
            format('can''t protect %s: the exclusion constraint %I spans tenants', relation, (con).conname),
            'Create it anew USING gist, with the tenant WITH = first.');
    END IF;
    deferral := CASE WHEN (con).condeferrable THEN ' DEFERRABLE' ELSE '' END
        || CASE WHEN (con).condeferred THEN ' INITIALLY DEFERRED' ELSE '' END;
    definition := overlay(left(definition, length(definition) - length(deferral))
        PLACING '(' || (
            SELECT string_agg(quote_ident(m)
                || CASE (con).contype WHEN 'x' THEN ' WITH =' ELSE '' END || ', ', '')
            FROM unnest(missing) AS m)
        FROM strpos(definition, '(') FOR 1);
    -- PostgreSQL prints the storage parameters of exclusion constraints, and no others'.
    RETURN format('ALTER TABLE %s ADD CONSTRAINT %I %s%s%s', relation, (con).conname, definition,
        CASE (con).contype WHEN 'x' THEN '' ELSE
            coalesce(' WITH (' || array_to_string(c.reloptions, ', ') || ')', '') END, deferral);
END
$$;

-- Rebuilds one key with the scope's columns first, and all that hangs on it.
CREATE FUNCTION tenancy.rebuild_key(target regclass, index oid, scope name[]) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    con pg_constraint;
    fk pg_constraint;
    name text := index::regclass;
    ddl text;
    marks jsonb := tenancy.index_marks(index);
    comment text;
    views jsonb := '[]';
    references_of jsonb := '[]';
    one jsonb;
    own name[];
    tablespace text;
    before text := current_setting('default_tablespace');
BEGIN
    SELECT * INTO con FROM pg_constraint
    WHERE conindid = index AND conrelid = target AND contype IN ('p', 'u', 'x');
    ddl := tenancy.scoped_key(index, con, scope);
    comment := obj_description((con).oid, 'pg_constraint');
    tablespace := (SELECT t.spcname FROM pg_class AS c JOIN pg_tablespace AS t ON t.oid = c.reltablespace
        WHERE c.oid = index);

    FOR fk IN
        SELECT c.* FROM pg_constraint AS c JOIN tenancy.index_tree(rebuild_key.index) AS t
            ON t.index = c.conindid
        WHERE c.contype = 'f' AND c.conparentid = 0
    LOOP
        own := tenancy.scope_to_be((fk).conrelid, scope);
        IF (fk).conrelid = target OR (fk).conrelid IN (SELECT relid FROM pg_partition_tree(target)) THEN
            own := scope;
        END IF;
        IF cardinality(own) < cardinality(scope) THEN
            RAISE EXCEPTION 'can''t protect %: % refers to it and has no %', target,
                (fk).conrelid::regclass, CASE cardinality(own) WHEN 0 THEN 'tenant' ELSE 'project' END
                USING ERRCODE = 'dependent_objects_still_exist',
                HINT = format('Give the other table its %s first: ALTER TABLE %s '
                    'ADD COLUMN %I uuid; then protect both.',
                    CASE cardinality(own) WHEN 0 THEN 'tenant' ELSE 'project' END,
                    (fk).conrelid::regclass, scope[cardinality(own) + 1]);
        END IF;
        one := tenancy.drop_unscoped(fk, own[1:cardinality(scope)], scope);
        references_of := references_of || coalesce(one, '[]');
    END LOOP;

    views := tenancy.drop_views_on((con).oid);
    BEGIN
        IF (con).oid IS NULL THEN
            EXECUTE format('DROP INDEX %s', name);
        ELSE
            EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', target, (con).conname);
        END IF;
    EXCEPTION WHEN dependent_objects_still_exist THEN
        GET STACKED DIAGNOSTICS comment = PG_EXCEPTION_DETAIL;
        PERFORM tenancy.refuse(
            format('can''t protect %s: something depends on its key %s, which has to be rebuilt: %s',
                target, name, comment),
            format('Drop what depends on it, protect the table, and make it again; or keep the key unique '
                'across tenants: SELECT tenancy.protect(%L, global => ''{%s}'')', target,
                (SELECT c.relname FROM pg_class AS c WHERE c.oid = index)));
    END;
    PERFORM set_config('default_tablespace', coalesce(tablespace, before), true);
    EXECUTE ddl;
    PERFORM set_config('default_tablespace', before, true);
    IF comment IS NOT NULL THEN
        EXECUTE format('COMMENT ON CONSTRAINT %I ON %s IS %L', (con).conname, target, comment);
    END IF;
    PERFORM tenancy.set_index_marks(name::regclass, marks);
    FOR one IN SELECT jsonb_array_elements(references_of) LOOP
        PERFORM tenancy.add_scoped(one);
    END LOOP;
    PERFORM tenancy.add_views(views, target, scope);
    RAISE NOTICE 'tenancy: % of % is unique within one % from now on', name, target,
        CASE cardinality(scope) WHEN 1 THEN 'tenant' ELSE 'project' END;
END
$$;

-- Beside a key that stays unique across tenants, one with the tenant: what references are paired by.
CREATE FUNCTION tenancy.add_key_beside(target regclass, index oid, scope name[]) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    i pg_index;
    keys int2[];
    fk pg_constraint;
    own name[];
    one jsonb;
BEGIN
    SELECT * INTO STRICT i FROM pg_index WHERE indexrelid = index;
    keys := (i.indkey::int2[])[0:i.indnkeyatts - 1];
    IF NOT EXISTS (
        SELECT FROM pg_index AS o
        WHERE o.indrelid = target AND o.indisunique AND o.indpred IS NULL AND o.indimmediate
            AND (o.indkey::int2[])[0:o.indnkeyatts - 1] @> (tenancy.column_numbers(target, scope) || keys)
            AND o.indnkeyatts = cardinality(scope) + cardinality(keys))
    THEN
        EXECUTE format('ALTER TABLE %s ADD UNIQUE (%s, %s)', target, tenancy.column_list(scope),
            tenancy.column_names(target, keys));
    END IF;
    FOR fk IN
        SELECT c.* FROM pg_constraint AS c
        WHERE c.contype = 'f' AND c.conparentid = 0 AND c.conindid = add_key_beside.index
    LOOP
        own := CASE WHEN (fk).conrelid = target THEN scope
            ELSE tenancy.scope_to_be((fk).conrelid, scope) END;
        -- A table that has no tenant yet is paired when it is protected.
        CONTINUE WHEN cardinality(own) < cardinality(scope);
        one := tenancy.drop_unscoped(fk, own[1:cardinality(scope)], scope);
        IF one IS NOT NULL THEN
            PERFORM tenancy.add_scoped(one);
        END IF;
    END LOOP;
END
$$;

-- The mark of a key that stays unique across tenants because its owner said so. It is a part of the
-- index's comment: it is dumped, follows the index, and can be read in `\di+`.
CREATE FUNCTION tenancy.global_mark() RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN '[tenancy: unique across tenants]';

-- Lets every unique key and exclusion constraint of a table hold within one tenant.
CREATE FUNCTION tenancy.scope_keys(target regclass, scope name[]) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    numbers int2[] := tenancy.column_numbers(target, scope);
    item record;
BEGIN
    FOR item IN
        SELECT i.indexrelid AS index, i.indisunique, i.indisprimary,
            i.indpred IS NULL AND i.indexprs IS NULL AND i.indimmediate AS may_be_referred,
            numbers <@ (i.indkey::int2[])[0:i.indnkeyatts - 1] AS has_scope,
            coalesce(strpos(obj_description(i.indexrelid, 'pg_class'), tenancy.global_mark()) > 0, false)
                AS stays, c.conname,
            -- Whether an exclusion constraint compares the tenant with anything but equality.
            EXISTS (
                SELECT FROM generate_subscripts(c.conexclop, 1) AS s
                WHERE c.conkey[s] = ANY (numbers) AND NOT EXISTS (
                    SELECT FROM pg_operator AS o WHERE o.oid = c.conexclop[s] AND o.oprname = '='
                        AND o.oprnamespace = 'pg_catalog'::regnamespace)) AS tells
        FROM pg_index AS i
        LEFT JOIN pg_constraint AS c ON c.conindid = i.indexrelid AND c.contype = 'x'
        WHERE i.indrelid = target AND (i.indisunique OR i.indisexclusion)
            AND NOT EXISTS (SELECT FROM pg_inherits AS h WHERE h.inhrelid = i.indexrelid)
        ORDER BY i.indisprimary DESC, i.indexrelid
    LOOP
        IF item.tells THEN
            PERFORM tenancy.refuse(
                format('can''t protect %s: the exclusion constraint %I tells of other tenants'' rows',
                    target, item.conname),
                format('Compare the tenant by equality: create it anew with %I WITH =.', scope[1]));
        END IF;
        CONTINUE WHEN item.has_scope;
        IF NOT item.stays THEN
            PERFORM tenancy.rebuild_key(target, item.index, scope);
        ELSIF item.may_be_referred AND (item.indisprimary OR EXISTS (
            SELECT FROM pg_constraint AS f WHERE f.contype = 'f' AND f.conindid = item.index))
        THEN
            PERFORM tenancy.add_key_beside(target, item.index, scope);
        END IF;
    END LOOP;
END
$$;

-- Lets every reference of a table to a protected one stay within one tenant: PostgreSQL checks
-- foreign keys past row security.
CREATE FUNCTION tenancy.scope_references(target regclass, scope name[]) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    fk pg_constraint;
    other name[];
    one jsonb;
BEGIN
    FOR fk IN
        SELECT c.* FROM pg_constraint AS c
        WHERE c.contype = 'f' AND c.conparentid = 0 AND c.conrelid = target
            AND c.confrelid NOT IN ('tenancy.tenants'::regclass, 'tenancy.projects'::regclass)
    LOOP
        other := CASE WHEN (fk).confrelid = target THEN scope
            ELSE tenancy.scope_columns((fk).confrelid) END;
        -- A table that is not protected yet is paired with its referrers when it is.
        CONTINUE WHEN other = '{}';
        IF cardinality(scope) < cardinality(other) THEN
            PERFORM tenancy.refuse(
                format('can''t protect %s: it refers to %s, whose rows belong to projects',
                    target, (fk).confrelid::regclass),
                format('Protect it by project too: SELECT tenancy.protect(%L, project => true)', target));
        END IF;
        -- The other table may have been given a new key since it was protected.
        IF (fk).confrelid <> target
            AND NOT tenancy.column_numbers((fk).confrelid::regclass, other) <@ (fk).confkey
        THEN
            PERFORM tenancy.scope_keys((fk).confrelid::regclass, other);
            SELECT * INTO fk FROM pg_constraint WHERE oid = (fk).oid;
            CONTINUE WHEN NOT FOUND;
        END IF;
        one := tenancy.drop_unscoped(fk, scope[1:cardinality(other)], other);
        IF one IS NOT NULL THEN
            PERFORM tenancy.add_scoped(one);
        END IF;
    END LOOP;
END
$$;

-- The same for protected tables that refer to this one by a key that has the tenant already: it may
-- be paired with another column than theirs.
CREATE FUNCTION tenancy.scope_referrers(target regclass, scope name[]) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    referrer regclass;
BEGIN
    FOR referrer IN
        SELECT DISTINCT c.conrelid FROM pg_constraint AS c
        WHERE c.contype = 'f' AND c.conparentid = 0 AND c.confrelid = target AND c.conrelid <> target
            AND tenancy.scope_columns(c.conrelid) <> '{}'
    LOOP
        PERFORM tenancy.scope_references(referrer, tenancy.scope_columns(referrer));
    END LOOP;
END
$$;

DROP FUNCTION tenancy.protect(regclass, name);
DROP FUNCTION tenancy.pair_foreign_key(pg_constraint, name);
DROP FUNCTION tenancy.check_fk_actions(pg_constraint);
DROP FUNCTION tenancy.fk_actions(pg_constraint);
