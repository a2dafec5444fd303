-- Protecting is told of, and taken back: `protect` runs each statement by one function, which keeps what it is about
-- to change, and `unprotect` makes that again.

-- What `protect` has found before it changed it, and what it has left, object by object. NULL: it was not there.
-- `named` is the table's name of then: definitions have it in their text.
CREATE TABLE tenancy.protections (
    relation regclass NOT NULL,
    named text NOT NULL,
    kind text NOT NULL,
    object text NOT NULL,
    before jsonb,
    after jsonb,
    -- Somebody changed it between two calls, and the second wrote over it.
    disturbed boolean NOT NULL DEFAULT false,
    PRIMARY KEY (relation, kind, object)
);

-- What is known while a call of `protect` runs, and empty otherwise: the objects of each table that it has touched, as
-- they were, and, for whoever asks by the setting `tenancy.tells_statements`, the statements (without a relation).
CREATE TABLE tenancy.protecting (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    relation regclass,
    kind text NOT NULL,
    object text NOT NULL,
    state jsonb NOT NULL
);
CREATE INDEX protecting_relation ON tenancy.protecting (relation);

-- What is granted on a relation and its columns to others than its owner; 0 is PUBLIC.
CREATE FUNCTION tenancy.grants_on(target oid)
    RETURNS TABLE (grantee oid, privilege text, column_name name, is_grantable boolean)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
    BEGIN ATOMIC
        SELECT x.grantee, x.privilege_type, g.column_name, bool_or(x.is_grantable)
        FROM pg_class AS c
            CROSS JOIN LATERAL (
                SELECT NULL::name, c.relacl
                UNION ALL
                SELECT a.attname, a.attacl FROM pg_attribute AS a
                WHERE a.attrelid = c.oid AND a.attacl IS NOT NULL AND NOT a.attisdropped
            ) AS g (column_name, acl)
            CROSS JOIN LATERAL aclexplode(g.acl) AS x
        WHERE c.oid = target AND x.grantee <> c.relowner
        GROUP BY 1, 2, 3;
    END;

-- The sequences that belong to a table's columns, or that its defaults draw from.
CREATE FUNCTION tenancy.sequences_of(target oid) RETURNS SETOF oid
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
    BEGIN ATOMIC
        SELECT s.sequence FROM tenancy.drawn_sequences(target) AS s
        UNION
        SELECT d.objid FROM pg_depend AS d JOIN pg_class AS c ON c.oid = d.objid AND c.relkind = 'S'
        WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
            AND d.refobjid = target AND d.deptype IN ('a', 'i');
    END;

-- All that `protect` may change of a table, or of a sequence: objects, each with what it takes to make it again.
-- Indexes and references of partitions are those of the table that they are partitions of.
CREATE FUNCTION tenancy.table_state(target oid) RETURNS TABLE (kind text, object text, state jsonb)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
    SELECT 'table', '', jsonb_build_object('protected', tenancy.scope_columns(target) <> '{}')
    UNION ALL
    SELECT 'owner', '', jsonb_build_object('is', pg_get_userbyid(c.relowner))
    FROM pg_class AS c WHERE c.oid = target AND c.relkind <> 'S'
    UNION ALL
    SELECT 'row security', '', jsonb_build_object('on', c.relrowsecurity, 'forced', c.relforcerowsecurity)
    FROM pg_class AS c WHERE c.oid = target AND c.relkind <> 'S'
    UNION ALL
    SELECT 'grant', format('%s TO %s', n.privilege, n.grantee), jsonb_build_object('privilege', n.privilege,
        'grantee', n.grantee, 'grantable', g.is_grantable)
    FROM tenancy.grants_on(target) AS g CROSS JOIN LATERAL (VALUES (
        g.privilege || coalesce(' (' || quote_ident(g.column_name) || ')', ''),
        CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END
    )) AS n (privilege, grantee)
    UNION ALL
    SELECT 'schema grant', format('USAGE TO %s', x.grantee::regrole), jsonb_build_object(
        'schema', quote_ident(n.nspname), 'grantee', x.grantee::regrole::text)
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        CROSS JOIN LATERAL aclexplode(n.nspacl) AS x
    WHERE c.oid = target AND c.relkind <> 'S' AND x.privilege_type = 'USAGE'
        AND x.grantee IN (tenancy.role_oid('app'), tenancy.role_oid('system'))
    UNION ALL
    SELECT 'column', a.attname, jsonb_build_object('type', format_type(a.atttypid, a.atttypmod),
        'not_null', a.attnotnull, 'default', pg_get_expr(d.adbin, d.adrelid))
    FROM pg_attribute AS a LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        JOIN pg_class AS c ON c.oid = a.attrelid AND c.relkind <> 'S'
    WHERE a.attrelid = target AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT 'key', i.relname, jsonb_build_object('ddl', tenancy.scoped_key(x.indexrelid, k, '{}'),
        'constraint', k.conname, 'comment', obj_description(k.oid, 'pg_constraint'), 'tablespace', t.spcname,
        'marks', tenancy.index_marks(x.indexrelid))
    FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid
        LEFT JOIN pg_constraint AS k ON k.conindid = x.indexrelid AND k.conrelid = target
            AND k.contype IN ('p', 'u', 'x')
        LEFT JOIN pg_tablespace AS t ON t.oid = i.reltablespace
    WHERE x.indrelid = target AND (x.indisunique OR x.indisexclusion)
        AND NOT EXISTS (SELECT FROM pg_inherits AS h WHERE h.inhrelid = x.indexrelid)
    UNION ALL
    SELECT 'index', i.relname, jsonb_build_object('ddl', pg_get_indexdef(x.indexrelid))
    FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid
    WHERE x.indrelid = target AND NOT x.indisunique AND NOT x.indisexclusion
        AND NOT EXISTS (SELECT FROM pg_inherits AS h WHERE h.inhrelid = x.indexrelid)
    UNION ALL
    SELECT CASE k.contype WHEN 'f' THEN 'reference' ELSE 'check' END, k.conname,
        jsonb_build_object('ddl', pg_get_constraintdef(k.oid), 'comment', obj_description(k.oid, 'pg_constraint'),
            'target', CASE k.contype WHEN 'f' THEN k.confrelid::regclass::text END)
    FROM pg_constraint AS k
    WHERE k.conrelid = target AND (k.contype = 'f' AND k.conparentid = 0 OR k.contype = 'c' AND k.conislocal)
    UNION ALL
    SELECT 'policy', p.polname, jsonb_build_object('is', tenancy.policy_state(p.oid))
    FROM pg_policy AS p WHERE p.polrelid = target
    UNION ALL
    SELECT 'publication', b.pubname, jsonb_build_object('columns', (
            SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM unnest(r.prattrs::int2[]) AS n
            JOIN pg_attribute AS a ON a.attrelid = r.prrelid AND a.attnum = n),
        'where', coalesce(' WHERE (' || pg_get_expr(r.prqual, r.prrelid) || ')', ''))
    FROM pg_publication_rel AS r JOIN pg_publication AS b ON b.oid = r.prpubid
    WHERE r.prrelid = target AND r.prattrs IS NOT NULL
$$;

-- Whether two states are the same, of a key but for the indexes of its partitions: those come and go with these.
CREATE FUNCTION tenancy.same_state(one jsonb, other jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
    RETURN jsonb_set(one, '{marks}', jsonb_path_query_array(one, '$.marks[*] ? (@.root == true)'), false)
        IS NOT DISTINCT FROM
        jsonb_set(other, '{marks}', jsonb_path_query_array(other, '$.marks[*] ? (@.root == true)'), false);

-- Keeps what is there of a table, of what inherits from it, and of their sequences, until the call ends.
CREATE FUNCTION tenancy.remember(target regclass) RETURNS void
    LANGUAGE sql SET search_path = pg_catalog, pg_temp SET jit = off
    BEGIN ATOMIC
        INSERT INTO tenancy.protecting (relation, kind, object, state)
        SELECT r.relation, s.kind, s.object, s.state
        FROM (
            SELECT d.relation FROM tenancy.descendants(target) AS d (relation)
            UNION
            SELECT q.sequence FROM tenancy.descendants(target) AS d (relation)
                CROSS JOIN LATERAL tenancy.sequences_of(d.relation) AS q (sequence)
        ) AS r CROSS JOIN LATERAL tenancy.table_state(r.relation) AS s
        WHERE NOT EXISTS (SELECT FROM tenancy.protecting AS p WHERE p.relation = r.relation);
    END;

-- The same of a view that groups by a key, for the table of that key.
CREATE FUNCTION tenancy.remember_view(target regclass, view regclass, before text) RETURNS void
    LANGUAGE sql SET search_path = pg_catalog, pg_temp SET jit = off
    BEGIN ATOMIC
        INSERT INTO tenancy.protections AS p (relation, named, kind, object, before, after)
        VALUES (target, target::text, 'view', view::text, jsonb_build_object('ddl', before),
            jsonb_build_object('ddl', pg_get_viewdef(view)))
        ON CONFLICT ON CONSTRAINT protections_pkey DO UPDATE SET after = excluded.after
            WHERE p.after ->> 'ddl' = excluded.before ->> 'ddl';
    END;

-- Writes down what has changed of all that was remembered. Where somebody has changed an object between two calls, its
-- record says so: `unprotect` then names the object, and leaves it alone.
CREATE FUNCTION tenancy.record_changes() RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
    -- A table that lost its protection by other means than `unprotect`, such as statements that somebody ran: what no
    -- longer stands as it was left is not what the record speaks of.
    DELETE FROM tenancy.protections AS p USING tenancy.protecting AS t
    WHERE t.relation = p.relation AND t.kind = 'table' AND NOT (t.state ->> 'protected')::boolean
        AND tenancy.scope_columns(p.relation) <> '{}' AND p.kind <> 'view' AND EXISTS (
            SELECT FROM tenancy.protections AS o WHERE o.relation = p.relation AND o.kind = 'table')
        AND (p.kind = 'column' AND p.before IS NULL OR NOT tenancy.same_state(p.after, (
            SELECT f.state FROM tenancy.protecting AS f
            WHERE (f.relation, f.kind, f.object) = (p.relation, p.kind, p.object))));
    WITH found AS (
        SELECT p.relation, p.kind, p.object, p.state FROM tenancy.protecting AS p WHERE p.relation IS NOT NULL
    ),
    left_behind AS (
        SELECT f.relation, s.kind, s.object, s.state
        FROM (SELECT DISTINCT f.relation FROM found AS f) AS f CROSS JOIN LATERAL tenancy.table_state(f.relation) AS s
    )
    INSERT INTO tenancy.protections AS p (relation, named, kind, object, before, after)
    SELECT relation, relation::text, kind, object, f.state, l.state
    FROM found AS f FULL JOIN left_behind AS l USING (relation, kind, object)
    WHERE NOT tenancy.same_state(f.state, l.state)
    ON CONFLICT ON CONSTRAINT protections_pkey DO UPDATE SET
        after = CASE WHEN tenancy.same_state(p.after, excluded.before) OR tenancy.same_state(p.before, excluded.before)
            THEN excluded.after ELSE p.after END,
        -- What `protect` has made itself, and mends, nobody loses.
        disturbed = p.disturbed OR p.before IS NOT NULL AND p.kind NOT IN ('table', 'row security')
            AND NOT tenancy.same_state(p.after, excluded.before)
            AND NOT tenancy.same_state(p.before, excluded.before);
    DELETE FROM tenancy.protecting AS p WHERE p.relation IS NOT NULL;
    DELETE FROM tenancy.protections AS p WHERE NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = p.relation);
END
$$;

-- Deletes the records of tables, others by relation, kind and object, and those of tables that are gone.
CREATE FUNCTION tenancy.forget(relations regclass[], others jsonb) RETURNS void
    LANGUAGE sql SET search_path = pg_catalog, pg_temp SET jit = off
    BEGIN ATOMIC
        DELETE FROM tenancy.protections AS p WHERE p.relation = ANY (relations) OR EXISTS (
            SELECT FROM jsonb_to_recordset(others) AS o (relation regclass, kind text, object text)
            WHERE (o.relation, o.kind, o.object) = (p.relation, p.kind, p.object))
            OR NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = p.relation);
    END;

-- Lets another table of the schema have the record of a grant on the schema, unless it has its own.
CREATE FUNCTION tenancy.pass_record_on(former regclass, heir regclass, object text) RETURNS void
    LANGUAGE sql SET search_path = pg_catalog, pg_temp SET jit = off
    BEGIN ATOMIC
        UPDATE tenancy.protections AS p SET relation = heir, named = heir::text
        WHERE (p.relation, p.kind, p.object) = (former, 'schema grant', pass_record_on.object) AND NOT EXISTS (
            SELECT FROM tenancy.protections AS o
            WHERE (o.relation, o.kind, o.object) = (heir, 'schema grant', pass_record_on.object));
    END;

-- Whether this call is the one that began: calls inside of another belong to that.
CREATE FUNCTION tenancy.begin_record() RETURNS boolean
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF current_setting('tenancy.records_changes', true) = 'yes' THEN
        RETURN false;
    END IF;
    PERFORM set_config('tenancy.records_changes', 'yes', true);
    RETURN true;
END
$$;

CREATE FUNCTION tenancy.end_record(begins boolean) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT begins THEN
        RETURN;
    END IF;
    PERFORM set_config('tenancy.records_changes', 'no', true);
    IF EXISTS (SELECT FROM tenancy.protecting AS p WHERE p.relation IS NOT NULL) THEN
        PERFORM tenancy.run(NULL, 'SELECT tenancy.record_changes()');
    END IF;
END
$$;

-- Runs a statement that changes a table; NULL where the change is for a moment, or of nothing that is kept. In a call
-- of `protect`, what is there of the table is kept first. Whoever has set `tenancy.tells_statements` reads afterwards
-- what was run, in `tenancy.protecting`.
CREATE FUNCTION tenancy.run(touched regclass, statement text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF touched IS NOT NULL AND current_setting('tenancy.records_changes', true) = 'yes'
        AND NOT EXISTS (SELECT FROM tenancy.protecting AS p WHERE p.relation = touched)
    THEN
        PERFORM tenancy.run(NULL, format('SELECT tenancy.remember(%L)', touched));
    END IF;
    EXECUTE statement;
    IF current_setting('tenancy.tells_statements', true) = 'yes' THEN
        INSERT INTO tenancy.protecting (kind, object, state) VALUES ('statement', '', to_jsonb(statement));
    END IF;
END
$$;

-- The same with what it makes in a tablespace; NULL is the database's.
CREATE FUNCTION tenancy.run_in(touched regclass, statement text, tablespace name) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    before text := current_setting('default_tablespace');
    wanted text := coalesce(tablespace, '');
BEGIN
    IF wanted <> before THEN
        PERFORM tenancy.run(NULL, format('SET LOCAL default_tablespace TO %L', wanted));
    END IF;
    PERFORM tenancy.run(touched, statement);
    IF wanted <> before THEN
        PERFORM tenancy.run(NULL, format('SET LOCAL default_tablespace TO %L', before));
    END IF;
END
$$;

-- Tables of the application about which nobody has said whose rows they hold: neither protected nor shared, and not
-- marked `[tenancy: not for tenants]`. Partitions are protected with their table.
CREATE FUNCTION tenancy.undecided_tables() RETURNS SETOF regclass
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
    SELECT c.oid FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND NOT c.relispartition
        AND n.nspname NOT IN ('information_schema', 'tenancy', 'tenancy_seal') AND NOT n.nspname LIKE 'pg\_%'
        AND tenancy.scope_columns(c.oid) = '{}'
        AND NOT EXISTS (SELECT FROM tenancy.account_tables() AS a WHERE a.relation = c.oid)
        -- Shared: the service was given it to read, and does not write. What everybody may read nobody has decided.
        AND NOT (EXISTS (SELECT FROM tenancy.grants_on(c.oid) AS g
                WHERE g.grantee = tenancy.role_oid('app') AND g.privilege = 'SELECT')
            AND NOT has_any_column_privilege(tenancy.role_oid('app'), c.oid, 'INSERT, UPDATE')
            AND NOT has_table_privilege(tenancy.role_oid('app'), c.oid, 'DELETE'))
        AND coalesce(obj_description(c.oid, 'pg_class'), '') NOT LIKE '%[tenancy: not for tenants]%'
        AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass
            AND d.objid = c.oid AND d.deptype = 'e')
        -- sqlx's own, whatever its name.
        AND (SELECT array_agg(a.attname::text ORDER BY a.attname) FROM pg_attribute AS a
            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
            IS DISTINCT FROM '{checksum,description,execution_time,installed_on,success,version}'
    ORDER BY c.oid::regclass::text
$$;

-- What follows is as before, and runs its statements by `run`.

-- Makes a policy unless it stands there already as described. The description, and what the server
-- made of it, are kept as the policy's comment: running this again takes no lock, and mends a
-- policy that was altered.
CREATE OR REPLACE FUNCTION tenancy.ensure_policy(
    target regclass, policy name, permissive boolean, grantee name, qual text
) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    body text := format('AS %s FOR ALL TO %I USING (%s) WITH CHECK (%s)',
        CASE WHEN permissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END, grantee, qual, qual);
    note text := 'tenancy:1:' || md5(body) || ':';
    found oid;
BEGIN
    SELECT p.oid INTO found FROM pg_policy AS p
    WHERE p.polrelid = target AND p.polname = policy;
    IF found IS NOT NULL THEN
        IF obj_description(found, 'pg_policy') = note || tenancy.policy_state(found) THEN
            RETURN;
        END IF;
        PERFORM tenancy.run(target, format('DROP POLICY %I ON %s', policy, target));
    END IF;
    PERFORM tenancy.run(target, format('CREATE POLICY %I ON %s %s', policy, target, body));
    SELECT p.oid INTO STRICT found FROM pg_policy AS p
    WHERE p.polrelid = target AND p.polname = policy;
    PERFORM tenancy.run(target, format('COMMENT ON POLICY %I ON %s IS %L',
        policy, target, note || tenancy.policy_state(found)));
END
$$;

-- Adds a foreign key between two tables of which either may be protected already. PostgreSQL
-- checks the rows that are there with a query of the owner's: forced row security would hide them,
-- and rows that refer to another tenant's would pass.
CREATE OR REPLACE FUNCTION tenancy.add_foreign_key(referrer regclass, target regclass, ddl text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    forced regclass[] := ARRAY(
        SELECT c.oid::regclass FROM pg_class AS c
        WHERE c.relforcerowsecurity AND (c.oid IN (referrer, target)
            OR c.oid IN (SELECT t.relid FROM pg_partition_tree(referrer) AS t)
            OR c.oid IN (SELECT t.relid FROM pg_partition_tree(target) AS t)));
    relation regclass;
BEGIN
    FOREACH relation IN ARRAY forced LOOP
        PERFORM tenancy.run(NULL, format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY', relation));
    END LOOP;
    PERFORM tenancy.run(referrer, format('ALTER TABLE %s ADD %s', referrer, ddl));
    FOREACH relation IN ARRAY forced LOOP
        PERFORM tenancy.run(NULL, format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', relation));
    END LOOP;
END
$$;

-- Drops a foreign key that does not pair its scopes yet, and returns what to make instead; null if
-- it pairs them.
CREATE OR REPLACE FUNCTION tenancy.drop_unscoped(fk pg_constraint, own name[], other name[]) RETURNS jsonb
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
    PERFORM tenancy.run(referrer, format('ALTER TABLE %s DROP CONSTRAINT %I', referrer, (fk).conname));
    IF NOT (fk).convalidated THEN
        RAISE NOTICE 'tenancy: the foreign key % of % stays unvalidated', (fk).conname, referrer;
    END IF;
    RETURN saved;
END
$$;

-- Makes what `drop_unscoped` returned.
CREATE OR REPLACE FUNCTION tenancy.add_scoped(saved jsonb) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM tenancy.add_foreign_key((saved ->> 'referrer')::regclass, (saved ->> 'target')::regclass,
        format('CONSTRAINT %I %s', saved ->> 'name', saved ->> 'ddl'));
    IF saved ->> 'whole' IS NOT NULL THEN
        PERFORM tenancy.run((saved ->> 'referrer')::regclass,
            format('ALTER TABLE %s ADD %s', saved ->> 'referrer', saved ->> 'whole'));
    END IF;
    IF saved ->> 'comment' IS NOT NULL THEN
        PERFORM tenancy.run((saved ->> 'referrer')::regclass, format('COMMENT ON CONSTRAINT %I ON %s IS %L',
            saved ->> 'name', saved ->> 'referrer', saved ->> 'comment'));
    END IF;
END
$$;

-- A publication with a column list must publish what identifies a row, which is the tenant's column
-- too from now on.
CREATE OR REPLACE FUNCTION tenancy.publish_scope(target regclass, scope name[]) RETURNS void
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
        PERFORM tenancy.run(p.relation, format('ALTER PUBLICATION %I DROP TABLE %s', p.pubname, p.relation));
        PERFORM tenancy.run(p.relation, format('ALTER PUBLICATION %I ADD TABLE %s (%s)%s',
            p.pubname, p.relation, tenancy.column_list(p.columns), p.condition));
        RAISE NOTICE 'tenancy: the publication % now publishes % of %',
            p.pubname, tenancy.column_list(scope), p.relation;
    END LOOP;
END
$$;

-- Says of a new index what `index_marks` said of the old one.
CREATE OR REPLACE FUNCTION tenancy.set_index_marks(root oid, marks jsonb) RETURNS void
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
            ON to_regclass(o.relation) = t.relation
    LOOP
        IF m.relname <> m.name THEN
            PERFORM tenancy.run(NULL, format('ALTER INDEX %s RENAME TO %I', m.index, m.name));
        END IF;
        IF m.comment IS NOT NULL THEN
            PERFORM tenancy.run(NULL, format('COMMENT ON INDEX %s IS %L', m.index, m.comment));
        END IF;
        IF m.said IS NOT NULL AND NOT m.root THEN
            PERFORM tenancy.run(NULL, format('COMMENT ON CONSTRAINT %I ON %s IS %L', m.name, m.relation, m.said));
        END IF;
        IF m.options IS NOT NULL AND m.options IS DISTINCT FROM array_to_string(m.present, ', ') THEN
            PERFORM tenancy.run(NULL, format('ALTER INDEX %s SET (%s)', m.index, m.options));
        END IF;
        FOR k IN
            SELECT a.attnum, o.value FROM jsonb_each_text(m.statistics) AS o
            JOIN pg_attribute AS a ON a.attrelid = m.index
                AND pg_get_indexdef(m.index, a.attnum, false) = o.key
        LOOP
            PERFORM tenancy.run(NULL, format('ALTER INDEX %s ALTER COLUMN %s SET STATISTICS %s', m.index, k.attnum,
                k.value));
        END LOOP;
        IF m.clustered THEN
            PERFORM tenancy.run(NULL, format('ALTER TABLE %s CLUSTER ON %I', m.relation, m.name));
        END IF;
        IF m.identity THEN
            PERFORM tenancy.run(NULL, format('ALTER TABLE %s REPLICA IDENTITY USING INDEX %I', m.relation, m.name));
        END IF;
    END LOOP;
END
$$;

-- How a unique key, a unique index or an exclusion constraint reads with the scope's columns first; as it stands
-- if the scope is empty.
-- For a partitioned table, PostgreSQL prints an index as `ON ONLY`, which would leave the partitions
-- out.
CREATE OR REPLACE FUNCTION tenancy.scoped_key(index oid, con pg_constraint, scope name[]) RETURNS text
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
    IF method = 'gist' AND missing <> '{}' AND NOT EXISTS (
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
        RETURN format('CREATE UNIQUE INDEX %I ON %s USING %s (%s', c.relname, relation, method,
            coalesce(tenancy.column_list(missing) || ', ', '')) || substr(definition, length(head) + 1);
    END IF;
    definition := pg_get_constraintdef((con).oid);
    IF (con).contype = 'x' AND missing <> '{}' AND method NOT IN ('gist', 'btree') THEN
        PERFORM tenancy.refuse(
            format('can''t protect %s: the exclusion constraint %I spans tenants', relation, (con).conname),
            'Create it anew USING gist, with the tenant WITH = first.');
    END IF;
    deferral := CASE WHEN (con).condeferrable THEN ' DEFERRABLE' ELSE '' END
        || CASE WHEN (con).condeferred THEN ' INITIALLY DEFERRED' ELSE '' END;
    definition := overlay(left(definition, length(definition) - length(deferral))
        PLACING '(' || coalesce((
            SELECT string_agg(quote_ident(m)
                || CASE (con).contype WHEN 'x' THEN ' WITH =' ELSE '' END || ', ', '')
            FROM unnest(missing) AS m), '')
        FROM strpos(definition, '(') FOR 1);
    -- PostgreSQL prints the storage parameters of exclusion constraints, and no others'.
    RETURN format('ALTER TABLE %s ADD CONSTRAINT %I %s%s%s', relation, (con).conname, definition,
        CASE (con).contype WHEN 'x' THEN '' ELSE
            coalesce(' WITH (' || array_to_string(c.reloptions, ', ') || ')', '') END, deferral);
END
$$;

-- Rebuilds one key with the scope's columns first, and all that hangs on it.
CREATE OR REPLACE FUNCTION tenancy.rebuild_key(target regclass, index oid, scope name[]) RETURNS void
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
                HINT = CASE cardinality(own) WHEN 0 THEN format('Protect both in one call: '
                    'SELECT tenancy.protect_all(%L, %L). Or step by step. ', (fk).conrelid::regclass, target)
                ELSE '' END || format('Give the other table its %s first: ALTER TABLE %s '
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
            PERFORM tenancy.run(target, format('DROP INDEX %s', name));
        ELSE
            PERFORM tenancy.run(target, format('ALTER TABLE %s DROP CONSTRAINT %I', target, (con).conname));
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
    PERFORM tenancy.run_in(target, ddl, tablespace);
    IF comment IS NOT NULL THEN
        PERFORM tenancy.run(target, format('COMMENT ON CONSTRAINT %I ON %s IS %L', (con).conname, target, comment));
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
CREATE OR REPLACE FUNCTION tenancy.add_key_beside(target regclass, index oid, scope name[]) RETURNS void
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
        PERFORM tenancy.run(target, format('ALTER TABLE %s ADD UNIQUE (%s, %s)', target, tenancy.column_list(scope),
            tenancy.column_names(target, keys)));
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

-- Drops the views that depend on a constraint, and those that depend on them. Returns what to make
-- again, in this order.
CREATE OR REPLACE FUNCTION tenancy.drop_views_on(con oid) RETURNS jsonb
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    views jsonb;
    other text;
    detail text;
BEGIN
    WITH RECURSIVE found AS (
        SELECT r.ev_class AS view, 1 AS depth
        FROM pg_depend AS d JOIN pg_rewrite AS r ON r.oid = d.objid
        WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_constraint'::regclass
            AND d.refobjid = con
        UNION
        SELECT r.ev_class, f.depth + 1
        FROM found AS f JOIN pg_depend AS d ON d.refclassid = 'pg_class'::regclass
            AND d.refobjid = f.view AND d.classid = 'pg_rewrite'::regclass
        JOIN pg_rewrite AS r ON r.oid = d.objid AND r.ev_class <> f.view
    )
    SELECT jsonb_agg(jsonb_build_object('name', c.oid::regclass, 'kind', c.relkind,
            'columns', (SELECT jsonb_agg(a.attname) FROM pg_constraint AS k
                JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)
                WHERE k.oid = con),
            'options', coalesce(' WITH (' || array_to_string(c.reloptions, ', ') || ')', ''),
            'definition', pg_get_viewdef(c.oid), 'extras', tenancy.view_extras(c.oid))
        ORDER BY f.depth)
    INTO views
    FROM (SELECT view, max(depth) AS depth FROM found GROUP BY view) AS f
    JOIN pg_class AS c ON c.oid = f.view;
    IF views IS NULL THEN
        RETURN '[]';
    END IF;

    SELECT v ->> 'name' INTO other FROM jsonb_array_elements(views) AS v
    WHERE v ->> 'kind' <> 'v' LIMIT 1;
    IF other IS NOT NULL THEN
        PERFORM tenancy.refuse(
            format('a key can''t be rebuilt: the materialized view %s depends on it', other),
            format('Drop it, protect the table, and make it again: DROP MATERIALIZED VIEW %s', other));
    END IF;
    BEGIN
        PERFORM tenancy.run(NULL, format('DROP VIEW %s',
            (SELECT string_agg(v ->> 'name', ', ') FROM jsonb_array_elements(views) AS v)));
    EXCEPTION WHEN dependent_objects_still_exist OR insufficient_privilege THEN
        GET STACKED DIAGNOSTICS detail = MESSAGE_TEXT;
        PERFORM tenancy.refuse(
            format('a key can''t be rebuilt: the view %s depends on it, and can''t be made anew: %s',
                views -> 0 ->> 'name', detail),
            format('Drop what depends on it and then the view, protect the table, and make them again: '
                'DROP VIEW %s', views -> 0 ->> 'name'));
    END;
    RETURN views;
END
$$;

-- Makes the views again that `drop_views_on` dropped. One that groups by the key alone groups by the
-- scope's columns too from now on: the rows are the same, since each belongs to one tenant.
CREATE OR REPLACE FUNCTION tenancy.add_views(views jsonb, target regclass, scope name[]) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    view jsonb;
    definition text;
    extra text;
    grantee oid;
    made regclass;
BEGIN
    FOR view IN SELECT jsonb_array_elements(views) LOOP
        definition := view ->> 'definition';
        BEGIN
            PERFORM tenancy.run(NULL, format('CREATE VIEW %s%s AS %s', view ->> 'name', view ->> 'options', definition));
        EXCEPTION WHEN grouping_error THEN
            BEGIN
                -- Only where there is one place that can be meant. A text may hold the words, too.
                IF regexp_count(definition, 'GROUP BY') <> 1
                    OR definition ~ '\m(UNION|INTERSECT|EXCEPT)\M'
                THEN
                    RAISE EXCEPTION 'more than one' USING ERRCODE = 'grouping_error';
                END IF;
                definition := regexp_replace(definition,
                    '(GROUP BY (?:[^();'']*, )??)((?:(?:[[:alnum:]_]+|"[^"]+")\.)?)('
                        || (SELECT string_agg(regexp_replace(quote_ident(c), '([^[:alnum:]_])', '\\\1', 'g'), '|')
                            FROM jsonb_array_elements_text(view -> 'columns') AS c)
                        || ')(?=[,;)[:space:]]|$)',
                    format('\1%s, \2\3', (
                        SELECT string_agg('\2' || replace(quote_ident(s), '\', '\\'), ', ')
                        FROM unnest(scope) AS s)));
                PERFORM tenancy.run(NULL, format('CREATE VIEW %s%s AS %s', view ->> 'name', view ->> 'options',
                    definition));
            EXCEPTION WHEN OTHERS THEN
                PERFORM tenancy.refuse(
                    format('can''t protect %s: the view %s groups by its key alone', target, view ->> 'name'),
                    format('Let it group by %s as well, or keep the key unique across tenants: '
                        'SELECT tenancy.protect(%L, global => ''{…}'')',
                        tenancy.column_list(scope), target));
            END;
        WHEN undefined_column THEN
            PERFORM tenancy.refuse(
                format('can''t unprotect %s: the view %s needs a column that goes: %s', target, view ->> 'name', SQLERRM),
                'Drop the view, unprotect the table, and make the view again; or keep the column: keep_column => true. '
                'A view that groups by keys of several tables is made what it was where all are unprotected together.');
        END;
        made := (view ->> 'name')::regclass;
        FOR grantee IN
            SELECT DISTINCT x.grantee FROM pg_class AS c, aclexplode(c.relacl) AS x
            WHERE c.oid = made AND x.grantee <> c.relowner
        LOOP
            PERFORM tenancy.run(NULL, format('REVOKE ALL ON %s FROM %s', made,
                CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END));
        END LOOP;
        FOR extra IN SELECT jsonb_array_elements_text(view -> 'extras') LOOP
            PERFORM tenancy.run(NULL, extra);
        END LOOP;
        IF definition <> view ->> 'definition' THEN
            PERFORM tenancy.run(NULL, format('SELECT tenancy.remember_view(%L, %L, %L)', target, made,
                view ->> 'definition'));
        END IF;
        RAISE NOTICE 'tenancy: the view % was made anew', made;
    END LOOP;
END
$$;

-- Gives the table, and whatever inherits from it, to the owner role: a superuser's table would lend
-- its views and functions a way past row security.
CREATE OR REPLACE FUNCTION tenancy.take_over(target regclass) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    owner name := tenancy.role_name('owner');
    relation record;
    place name := (SELECT n.nspname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE c.oid = target);
BEGIN
    IF NOT has_schema_privilege(owner, place, 'USAGE, CREATE')
        AND NOT (SELECT r.rolsuper FROM pg_roles AS r WHERE r.rolname = current_user)
    THEN
        PERFORM tenancy.refuse(
            format('can''t protect %s: the owner role may not make anything in its schema', target),
            format('As an administrator: GRANT USAGE, CREATE ON SCHEMA %I TO %I', place, owner));
    END IF;
    FOR relation IN
        SELECT c.oid::regclass AS name, c.relowner, n.nspname FROM pg_class AS c
        JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE c.oid IN (SELECT tenancy.descendants(target))
            AND c.relowner <> quote_ident(owner)::regrole
    LOOP
        IF NOT pg_has_role(relation.relowner, 'USAGE') THEN
            PERFORM tenancy.refuse(
                format('can''t protect %s: %s belongs to %I', target, relation.name,
                    pg_get_userbyid(relation.relowner)),
                format('As its owner or an administrator: ALTER TABLE %s OWNER TO %I',
                    relation.name, owner));
        END IF;
        IF NOT has_schema_privilege(owner, relation.nspname, 'USAGE, CREATE') THEN
            PERFORM tenancy.refuse(
                format('can''t protect %s: the owner role may not make anything in its schema', target),
                format('As an administrator: GRANT USAGE, CREATE ON SCHEMA %I TO %I',
                    relation.nspname, owner));
        END IF;
        PERFORM tenancy.run(relation.name, format('ALTER TABLE %s OWNER TO %I', relation.name, owner));
    END LOOP;
END
$$;

-- Makes the column of a scope what it has to be: there, of type uuid, never null, filled in by
-- default. `current` is the function that says the tenant or the project of the transaction.
CREATE OR REPLACE FUNCTION tenancy.ensure_scope_column(
    target regclass, scope_column name, current text, what text
) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number int2 := (tenancy.column_numbers(target, ARRAY[scope_column]))[1];
    has_rows boolean;
    known pg_attribute;
    unchecked name;
BEGIN
    IF number IS NULL THEN
        EXECUTE format('SELECT EXISTS (SELECT FROM %s)', target) INTO has_rows;
        IF has_rows THEN
            RAISE EXCEPTION 'can''t protect %: it has rows that belong to no %', target, what
                USING ERRCODE = 'object_not_in_prerequisite_state',
                HINT = format('Say whose they are first: ALTER TABLE %s ADD COLUMN %I uuid; '
                    'then UPDATE every row.', target, scope_column);
        END IF;
        PERFORM tenancy.run(target, format('ALTER TABLE %s ADD COLUMN %I uuid', target, scope_column));
        number := (tenancy.column_numbers(target, ARRAY[scope_column]))[1];
    END IF;
    SELECT * INTO STRICT known FROM pg_attribute WHERE attrelid = target AND attnum = number;
    IF known.atttypid <> 'uuid'::regtype THEN
        RAISE EXCEPTION 'can''t protect %: the column % is not of type uuid', target, scope_column
            USING ERRCODE = 'datatype_mismatch',
            HINT = format('If it names the %s, make it a uuid; else give the %1$s a column of another '
                'name, or rename this one: ALTER TABLE %s RENAME COLUMN %I TO %I', what, target,
                scope_column, 'former_' || scope_column);
    END IF;
    IF known.attgenerated <> '' OR known.attidentity <> '' THEN
        PERFORM tenancy.refuse(
            format('can''t protect %s: the column %I is generated', target, scope_column),
            'The service fills it in by default, which a generated column can''t have.');
    END IF;
    -- Only where it is missing: each takes a lock that waits for every reader.
    BEGIN
        IF NOT known.attnotnull THEN
            PERFORM tenancy.run(target, format('ALTER TABLE %s ALTER COLUMN %I SET NOT NULL', target, scope_column));
        END IF;
        -- PostgreSQL 18 has NOT NULL constraints that have not been checked.
        FOR unchecked IN
            SELECT c.conname FROM pg_constraint AS c
            WHERE c.conrelid = target AND c.contype = 'n' AND c.conkey = ARRAY[number]
                AND NOT c.convalidated
        LOOP
            PERFORM tenancy.run(target, format('ALTER TABLE %s VALIDATE CONSTRAINT %I', target, unchecked));
        END LOOP;
    EXCEPTION WHEN not_null_violation THEN
        RAISE EXCEPTION USING MESSAGE = SQLERRM, ERRCODE = 'not_null_violation',
            HINT = format('Say whose these rows are first: UPDATE %s SET %I = … WHERE %2$I IS NULL',
                target, scope_column);
    END;
    IF NOT EXISTS (
        SELECT FROM pg_attrdef AS d WHERE d.adrelid = target AND d.adnum = number
            AND (pg_get_expr(d.adbin, d.adrelid) = current
                -- The application's own list of tenants makes its ids itself.
                OR EXISTS (
                    SELECT FROM pg_index AS i WHERE i.indrelid = target AND i.indisunique
                        AND i.indnkeyatts = 1 AND i.indkey[0] = number)
                    AND pg_get_expr(d.adbin, d.adrelid) ~ '\('))
    THEN
        PERFORM tenancy.run(target, format('ALTER TABLE %s ALTER COLUMN %I SET DEFAULT %s', target, scope_column,
            current));
    END IF;
END
$$;

-- Marks the keys that stay unique across tenants, by the names of their indexes.
CREATE OR REPLACE FUNCTION tenancy.mark_global(target regclass, keys name[], scope name[]) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    key name;
    index regclass;
BEGIN
    FOREACH key IN ARRAY array_remove(coalesce(keys, '{}'), NULL) LOOP
        SELECT i.indexrelid INTO index FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
        WHERE i.indrelid = target AND i.indisunique AND c.relname = key;
        IF index IS NULL THEN
            PERFORM tenancy.refuse(
                format('can''t protect %s: it has no unique key %I that could stay unique across tenants',
                    target, key),
                format('It has: %s', coalesce((
                    SELECT string_agg(quote_ident(c.relname), ', ' ORDER BY c.relname)
                    FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
                    WHERE i.indrelid = target AND i.indisunique), 'none')));
        END IF;
        IF EXISTS (
            SELECT FROM pg_index AS i WHERE i.indexrelid = index
                AND tenancy.column_numbers(target, scope[1:1]) <@ (i.indkey::int2[])[0:i.indnkeyatts - 1]
                AND i.indnkeyatts > 1)
        THEN
            PERFORM tenancy.refuse(
                format('can''t protect %s: the key %I has %I in it already, and holds within one tenant',
                    target, key, scope[1]),
                'Drop it, create it anew without that column, and say this again.');
        END IF;
        IF strpos(coalesce(obj_description(index, 'pg_class'), ''), tenancy.global_mark()) = 0 THEN
            PERFORM tenancy.run(target, format('COMMENT ON INDEX %s IS %L', index,
                concat_ws(' ', obj_description(index, 'pg_class'), tenancy.global_mark())));
        END IF;
    END LOOP;
END
$$;

-- Lets the logins into the schema of a table, and at the sequences that its defaults draw from.
CREATE OR REPLACE FUNCTION tenancy.open_schema(target regclass) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    app name := tenancy.role_name('app');
    system name := tenancy.role_name('system');
    schema record;
    item regclass;
BEGIN
    SELECT n.oid, n.nspname, n.nspowner INTO STRICT schema
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.oid = target;
    IF NOT (has_schema_privilege(app, schema.oid, 'USAGE')
        AND has_schema_privilege(system, schema.oid, 'USAGE'))
    THEN
        IF NOT (pg_has_role(schema.nspowner, 'USAGE')
            OR has_schema_privilege(schema.oid, 'USAGE WITH GRANT OPTION'))
        THEN
            PERFORM tenancy.refuse(
                format('can''t open %s: the service may not use the schema %I', target, schema.nspname),
                format('As its owner or an administrator: GRANT USAGE ON SCHEMA %I TO %I, %I',
                    schema.nspname, app, system));
        END IF;
        PERFORM tenancy.run(target, format('GRANT USAGE ON SCHEMA %I TO %I, %I', schema.nspname, app, system));
    END IF;
    FOR item IN
        SELECT s.oid FROM pg_class AS s
        WHERE s.relkind = 'S' AND NOT (has_sequence_privilege(app, s.oid, 'USAGE')
                AND has_sequence_privilege(system, s.oid, 'USAGE'))
            AND (EXISTS (
                -- Those that a column owns: serial columns.
                SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.objid = s.oid
                    AND d.refclassid = 'pg_class'::regclass AND d.refobjid = target AND d.deptype = 'a')
            OR EXISTS (
                SELECT FROM pg_attrdef AS f JOIN pg_depend AS d
                    ON d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid
                        AND d.refclassid = 'pg_class'::regclass AND d.refobjid = s.oid
                WHERE f.adrelid = target))
    LOOP
        IF NOT (pg_has_role((SELECT c.relowner FROM pg_class AS c WHERE c.oid = item), 'USAGE')
            OR has_sequence_privilege(item, 'USAGE WITH GRANT OPTION'))
        THEN
            PERFORM tenancy.refuse(
                format('can''t open %s: a default draws from the sequence %s, which the service may not use',
                    target, item),
                format('As its owner or an administrator: GRANT USAGE ON SEQUENCE %s TO %I, %I',
                    item, app, system));
        END IF;
        PERFORM tenancy.run(item, format('GRANT USAGE ON SEQUENCE %s TO %I, %I', item, app, system));
    END LOOP;
END
$$;

-- What app and system may do. Granted when a table is protected for the first time, and never again:
-- what was revoked since stays revoked. A partition, or a child, gets what its parent has left.
CREATE OR REPLACE FUNCTION tenancy.set_privileges(target regclass, first boolean, parent regclass) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    login name;
    privilege text;
BEGIN
    IF EXISTS (SELECT FROM tenancy.grants_on(target) AS g WHERE g.grantee = 0) THEN
        PERFORM tenancy.run(target, format('REVOKE ALL ON %s FROM PUBLIC', target));
    END IF;
    -- Row security does not cover TRUNCATE, nor what a trigger or a foreign key can read.
    IF EXISTS (SELECT FROM tenancy.grants_on(target) AS g WHERE g.grantee = tenancy.role_oid('app')
        AND g.privilege IN ('TRUNCATE', 'REFERENCES', 'TRIGGER', 'MAINTAIN'))
    THEN
        PERFORM tenancy.run(target, format('REVOKE TRUNCATE, REFERENCES, TRIGGER%s ON %s FROM %I',
            CASE WHEN current_setting('server_version_num')::int >= 170000 THEN ', MAINTAIN' ELSE '' END,
            target, tenancy.role_name('app')));
    END IF;
    IF NOT first THEN
        RETURN;
    END IF;
    FOREACH login IN ARRAY ARRAY[tenancy.role_name('app'), tenancy.role_name('system')] LOOP
        FOREACH privilege IN ARRAY ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE'] LOOP
            IF parent IS NULL OR has_table_privilege(login, parent, privilege) THEN
                PERFORM tenancy.run(target, format('GRANT %s ON %s TO %I', privilege, target, login));
            ELSE
                -- It may have been given by default.
                PERFORM tenancy.run(target, format('REVOKE %s ON %s FROM %I', privilege, target, login));
            END IF;
        END LOOP;
    END LOOP;
END
$$;

-- Protects a table. Idempotent. To be called by the table's owner, also in a migration:
--
--     CREATE TABLE notes (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), body text NOT NULL);
--     SELECT tenancy.protect('notes');
--
-- tenant_column: the column that names the tenant, `tenant_id` unless said. Remembered.
-- project: whether a row belongs to a project, named by the column `project_id`, and is seen in that
--     project's context only. Without a project in the context no row is seen. Remembered.
-- global: names of unique keys that stay unique across tenants, such as one of invitation tokens that
--     are looked up before the tenant is known. An error over a duplicate then tells that another tenant
--     has the value. Remembered in the comment of the index.
CREATE OR REPLACE FUNCTION tenancy.protect(
    target regclass, tenant_column name DEFAULT NULL, project boolean DEFAULT NULL,
    global name[] DEFAULT '{}'
) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    scope name[];
    first boolean;
    parent regclass;
    relation pg_class;
    child regclass;
    begins boolean;
BEGIN
    PERFORM tenancy.one_at_a_time();
    begins := tenancy.begin_record();
    PERFORM tenancy.check_protectable(target);
    scope := tenancy.wanted_scope(target, tenant_column, project);
    first := NOT EXISTS (
        SELECT FROM pg_policy AS p
        WHERE p.polrelid = target AND p.polname LIKE 'tenancy\_%');
    parent := (
        SELECT i.inhparent FROM pg_inherits AS i
        WHERE i.inhrelid = target AND tenancy.scope_columns(i.inhparent) <> '{}'
        ORDER BY i.inhseqno LIMIT 1);
    PERFORM tenancy.take_over(target);

    -- Policies of the application's own would hide rows from what follows.
    SELECT * INTO STRICT relation FROM pg_class WHERE oid = target;
    IF relation.relforcerowsecurity AND first THEN
        PERFORM tenancy.run(target, format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY', target));
        relation.relforcerowsecurity := false;
    END IF;

    PERFORM tenancy.ensure_scope_column(target, scope[1], 'tenancy.current_tenant()', 'tenant');
    IF cardinality(scope) = 2 THEN
        PERFORM tenancy.ensure_scope_column(target, scope[2], 'tenancy.current_project()', 'project');
    END IF;
    PERFORM tenancy.refer_to_registry(target, scope);

    -- A duplicate must not tell that another tenant has the value.
    PERFORM tenancy.mark_global(target, global, scope);
    PERFORM tenancy.publish_scope(target, scope);
    PERFORM tenancy.scope_keys(target, scope);
    PERFORM tenancy.scope_references(target, scope);

    -- Every query filters by tenant.
    IF NOT EXISTS (
        SELECT FROM pg_index AS i
        WHERE i.indrelid = target AND i.indisvalid AND i.indpred IS NULL
            AND (i.indkey::int2[])[0:cardinality(scope) - 1] = tenancy.column_numbers(target, scope))
    THEN
        PERFORM tenancy.run(target, format('CREATE INDEX ON %s (%s)', target, tenancy.column_list(scope)));
    END IF;

    PERFORM tenancy.ensure_policies(target, scope[1], scope[2]);
    IF NOT relation.relrowsecurity OR NOT relation.relforcerowsecurity THEN
        PERFORM tenancy.run(target, format(
            'ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', target));
    END IF;
    PERFORM tenancy.scope_referrers(target, scope);
    PERFORM tenancy.open_schema(target);
    PERFORM tenancy.set_privileges(target, first, parent);

    -- Row security is not inherited: a partition can be read by its own name.
    FOR child IN SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = target LOOP
        PERFORM tenancy.protect(child, scope[1], cardinality(scope) = 2);
    END LOOP;
    IF parent IS NULL THEN
        PERFORM tenancy.refuse_leaks(target, 'protect', NULL);
    END IF;
    IF first THEN
        PERFORM tenancy.say_around(target);
    END IF;
    PERFORM tenancy.end_record(begins);
END
$$;

-- Protects several tables, in any order of their names: what refers to what does not matter, in circles
-- too. All of them or none; what stands in the way is named for each table. The options are those of `protect`,
-- and hold for all: a name in `global` is that of a key of any of them.
CREATE OR REPLACE FUNCTION tenancy.protect_tables(
    targets regclass[], tenant_column name DEFAULT NULL, project boolean DEFAULT NULL,
    global name[] DEFAULT '{}'
) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    all_of oid[] := ARRAY(SELECT DISTINCT t.oid::oid FROM unnest(targets) AS t (oid) WHERE t.oid IS NOT NULL);
    -- Those that come before what inherits from them, then those that refer before those that are referred to.
    ordered regclass[];
    failed oid[] := '{}';
    -- Of each table that can't be protected: which, what was said, and the hint.
    refused regclass[] := '{}';
    problems text[] := '{}';
    hints text[] := '{}';
    target regclass;
    scope name[];
    said text;
    hint text;
    unknown text;
    begins boolean;
BEGIN
    PERFORM tenancy.one_at_a_time();
    begins := tenancy.begin_record();
    IF all_of = '{}' OR array_position(targets, NULL) IS NOT NULL THEN
        PERFORM tenancy.refuse('can''t protect: no table was named', 'SELECT tenancy.protect_all(''notes'', ''notebooks'')');
    END IF;
    unknown := (SELECT string_agg(quote_ident(k), ', ') FROM unnest(global) AS k WHERE NOT EXISTS (
        SELECT FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
        WHERE i.indrelid = ANY (all_of) AND i.indisunique AND c.relname = k));
    IF unknown IS NOT NULL THEN
        PERFORM tenancy.refuse(
            format('can''t protect: none of the tables has a unique key %s that could stay unique across tenants',
                unknown),
            'Look at the spelling: it is the name of the index.');
    END IF;
    WITH RECURSIVE above (oid, ancestor) AS (
        SELECT i.inhrelid, i.inhparent FROM pg_inherits AS i WHERE i.inhrelid = ANY (all_of)
        UNION
        SELECT a.oid, i.inhparent FROM above AS a JOIN pg_inherits AS i ON i.inhrelid = a.ancestor
    ),
    -- In a circle this ends too: what is there already comes no second time.
    leads (oid, other) AS (
        SELECT c.conrelid, c.confrelid FROM pg_constraint AS c
        WHERE c.contype = 'f' AND c.conrelid <> c.confrelid
            AND c.conrelid = ANY (all_of) AND c.confrelid = ANY (all_of)
        UNION
        SELECT l.oid, c.confrelid FROM leads AS l JOIN pg_constraint AS c ON c.conrelid = l.other
        WHERE c.contype = 'f' AND c.confrelid = ANY (all_of)
    )
    SELECT array_agg(t.oid::regclass ORDER BY
        (SELECT count(*) FROM above AS a WHERE a.oid = t.oid),
        (SELECT count(DISTINCT l.other) FROM leads AS l WHERE l.oid = t.oid) DESC, t.oid::regclass::text)
    INTO ordered FROM unnest(all_of) AS t (oid);

    -- First the columns, so that each table has one when another is protected that it refers to.
    FOREACH target IN ARRAY ordered LOOP
        CONTINUE WHEN EXISTS (SELECT FROM pg_inherits AS i WHERE i.inhrelid = target AND i.inhparent = ANY (all_of));
        BEGIN
            PERFORM tenancy.check_protectable(target);
            scope := tenancy.wanted_scope(target, tenant_column, project);
            PERFORM tenancy.take_over(target);
            -- Policies of the application's own would hide rows.
            IF (SELECT c.relforcerowsecurity FROM pg_class AS c WHERE c.oid = target) AND NOT EXISTS (
                SELECT FROM pg_policy AS p WHERE p.polrelid = target AND p.polname LIKE 'tenancy\_%')
            THEN
                PERFORM tenancy.run(target, format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY', target));
            END IF;
            PERFORM tenancy.ensure_scope_column(target, scope[1], 'tenancy.current_tenant()', 'tenant');
            IF cardinality(scope) = 2 THEN
                PERFORM tenancy.ensure_scope_column(target, scope[2], 'tenancy.current_project()', 'project');
            END IF;
        EXCEPTION WHEN OTHERS THEN
            -- What passes is not the table's.
            IF SQLSTATE ~ '^(40|53|57|58|XX)' OR SQLSTATE = '55P03' THEN
                RAISE;
            END IF;
            GET STACKED DIAGNOSTICS said = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
            failed := failed || target::oid;
            refused := refused || target;
            problems := problems || tenancy.about_table(target, said);
            hints := hints || hint;
        END;
    END LOOP;
    PERFORM set_config('tenancy.protects_several', 'yes', true);
    FOREACH target IN ARRAY ordered LOOP
        -- What failed above fails again, and what it refers to fails for its sake.
        CONTINUE WHEN target::oid = ANY (failed) OR EXISTS (
            SELECT FROM pg_constraint AS c WHERE c.contype = 'f' AND c.confrelid = target
                AND c.conrelid = ANY (failed))
            OR EXISTS (SELECT FROM pg_inherits AS i WHERE i.inhrelid = target AND i.inhparent = ANY (failed));
        BEGIN
            PERFORM tenancy.protect(target, tenant_column, project, ARRAY(
                SELECT k FROM unnest(global) AS k WHERE EXISTS (
                    SELECT FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
                    WHERE i.indrelid = target AND i.indisunique AND c.relname = k)));
        EXCEPTION WHEN OTHERS THEN
            IF SQLSTATE ~ '^(40|53|57|58|XX)' OR SQLSTATE = '55P03' THEN
                RAISE;
            END IF;
            GET STACKED DIAGNOSTICS said = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
            refused := refused || target;
            problems := problems || tenancy.about_table(target, said);
            hints := hints || hint;
        END;
    END LOOP;
    PERFORM set_config('tenancy.protects_several', 'no', true);
    -- Where a table failed, others are told of what it lacks.
    IF problems = '{}' THEN
        FOREACH target IN ARRAY ordered LOOP
            BEGIN
                PERFORM tenancy.refuse_leaks(target, 'protect', NULL);
            EXCEPTION WHEN object_not_in_prerequisite_state THEN
                GET STACKED DIAGNOSTICS said = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
                refused := refused || target;
                problems := problems || tenancy.about_table(target, said);
                hints := hints || hint;
            END;
        END LOOP;
    END IF;
    IF problems <> '{}' THEN
        PERFORM tenancy.refuse(
            format('can''t protect %s of %s tables, and so none: %s', cardinality(problems), cardinality(ordered),
                (SELECT string_agg(g.tables || ': ' || g.problem, '; ' ORDER BY g.tables) FROM (
                    SELECT string_agg(r.target::text, ', ' ORDER BY r.target::text) AS tables, r.problem
                    FROM unnest(refused, problems) AS r (target, problem) GROUP BY r.problem) AS g)),
            -- What is the same but for the table's name is said once.
            coalesce((SELECT string_agg(g.tables[1] || ': ' || g.hint
                || CASE WHEN cardinality(g.tables) > 1
                    THEN format(' (the same for %s)', array_to_string(g.tables[2:], ', ')) ELSE '' END, E'\n'
                ORDER BY g.tables[1])
            FROM (
                SELECT array_agg(r.target::text ORDER BY r.target::text) AS tables,
                    (array_agg(r.hint ORDER BY r.target::text))[1] AS hint
                FROM unnest(refused, hints) AS r (target, hint)
                WHERE r.hint <> '' GROUP BY replace(r.hint, r.target::text, '')) AS g),
                'Mend what is named, and protect them again.'));
    END IF;
    PERFORM tenancy.end_record(begins);
END
$$;

-- What stands differently from before these tables were protected: objects of theirs, references of other tables to
-- them, and their sequences. `now` is how it stands.
CREATE FUNCTION tenancy.changes_of(all_of oid[])
    RETURNS TABLE (relation regclass, named text, kind text, object text, before jsonb, after jsonb, now jsonb)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
    WITH RECURSIVE referring AS MATERIALIZED (
        SELECT p.relation, p.object FROM tenancy.protections AS p
        WHERE p.kind = 'reference' AND coalesce(p.before, p.after) ->> 'target' IN (
            SELECT o.oid::regclass::text FROM unnest(all_of) AS o (oid))
    ),
    sequences AS MATERIALIZED (
        SELECT q.sequence FROM unnest(all_of) AS o (oid) CROSS JOIN LATERAL tenancy.sequences_of(o.oid) AS q (sequence)
        -- What another protected table draws from stays open.
        WHERE NOT EXISTS (
            SELECT FROM pg_depend AS d JOIN pg_attrdef AS f ON f.oid = d.objid
            WHERE d.classid = 'pg_attrdef'::regclass AND d.refclassid = 'pg_class'::regclass
                AND d.refobjid = q.sequence AND f.adrelid <> ALL (all_of)
                AND tenancy.scope_columns(f.adrelid) <> '{}')
    ),
    recorded AS MATERIALIZED (
        SELECT p.* FROM tenancy.protections AS p JOIN pg_class AS c ON c.oid = p.relation
        WHERE p.kind NOT IN ('table', 'view') AND (p.relation = ANY (all_of)
            OR p.kind = 'reference' AND (p.relation, p.object) IN (SELECT r.relation, r.object FROM referring AS r)
            OR p.kind = 'check' AND p.relation IN (SELECT r.relation FROM referring AS r)
            OR p.kind = 'grant' AND p.relation IN (SELECT s.sequence FROM sequences AS s))
    ),
    -- Partitions and children that came later have the columns of what they inherit from.
    below AS (
        SELECT i.inhrelid AS relation, r.object, r.before, r.after, 1 AS depth
        FROM recorded AS r JOIN pg_inherits AS i ON i.inhparent = r.relation WHERE r.kind = 'column'
        UNION ALL
        SELECT i.inhrelid, b.object, b.before, b.after, b.depth + 1
        FROM below AS b JOIN pg_inherits AS i ON i.inhparent = b.relation
    ),
    inherited AS MATERIALIZED (
        SELECT DISTINCT ON (b.relation, b.object) b.relation, b.object, b.before, b.after FROM below AS b
        WHERE NOT EXISTS (SELECT FROM tenancy.protections AS p
            WHERE (p.relation, p.kind, p.object) = (b.relation, 'column', b.object))
        ORDER BY b.relation, b.object, b.depth
    ),
    known AS MATERIALIZED (
        SELECT r.relation, r.named, r.kind, r.object, r.before, r.after, false AS inherited FROM recorded AS r
        UNION ALL
        SELECT i.relation, i.relation::regclass::text, 'column', i.object, i.before, i.after, true FROM inherited AS i
    ),
    standing AS MATERIALIZED (
        SELECT k.relation, s.kind, s.object, s.state
        FROM (SELECT DISTINCT k.relation FROM known AS k) AS k CROSS JOIN LATERAL tenancy.table_state(k.relation) AS s
    )
    SELECT k.relation, k.named, k.kind, k.object, k.before, k.after, s.state
    FROM known AS k LEFT JOIN standing AS s
        ON (s.relation, s.kind, s.object) = (k.relation, k.kind, k.object)
    WHERE NOT tenancy.same_state(k.before, s.state)
        -- One that was attached may have a default of its own.
        AND (NOT k.inherited OR tenancy.same_state(k.after, s.state))
    ORDER BY k.relation::text, k.kind, k.object
$$;

-- The statement that grants what a state says.
CREATE FUNCTION tenancy.grant_sql(named text, state jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
    RETURN format('GRANT %s ON %s TO %s%s', state ->> 'privilege', named, state ->> 'grantee',
        CASE WHEN (state ->> 'grantable')::boolean THEN ' WITH GRANT OPTION' ELSE '' END);

-- What makes an object as a state says, for people who mend it.
CREATE FUNCTION tenancy.state_sql(relation regclass, kind text, object text, state jsonb) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
    SELECT CASE
        WHEN state IS NULL THEN 'nothing'
        WHEN kind IN ('key', 'index') THEN concat_ws('; ', state ->> 'ddl',
            'COMMENT ON CONSTRAINT ' || quote_ident(state ->> 'constraint') || ' ON ' || relation || ' IS '
                || quote_literal(state ->> 'comment'),
            'COMMENT ON INDEX ' || (SELECT c.relnamespace::regnamespace || '.' FROM pg_class AS c WHERE c.oid = relation)
                || quote_ident(object) || ' IS '
                || quote_literal(jsonb_path_query_first(state, '$.marks[*] ? (@.root == true)') ->> 'comment'))
        WHEN kind IN ('reference', 'check') THEN concat_ws('; ',
            format('ALTER TABLE %s ADD CONSTRAINT %I %s', relation, object, state ->> 'ddl'),
            format('COMMENT ON CONSTRAINT %I ON %s IS ', object, relation) || quote_literal(state ->> 'comment'))
        WHEN kind = 'column' THEN format('ALTER TABLE %s ALTER COLUMN %I %s NOT NULL, ALTER COLUMN %2$I %4$s DEFAULT%5$s',
            relation, object, CASE WHEN (state ->> 'not_null')::boolean THEN 'SET' ELSE 'DROP' END,
            CASE WHEN state ->> 'default' IS NULL THEN 'DROP' ELSE 'SET' END, ' ' || (state ->> 'default'))
        WHEN kind = 'owner' THEN format('ALTER TABLE %s OWNER TO %I', relation, state ->> 'is')
        WHEN kind = 'grant' THEN tenancy.grant_sql((SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE ' ELSE '' END
            FROM pg_class AS c WHERE c.oid = relation) || relation, state)
        WHEN kind = 'schema grant' THEN format('GRANT USAGE ON SCHEMA %s TO %s', state ->> 'schema', state ->> 'grantee')
        WHEN kind = 'publication' THEN format('ALTER PUBLICATION %I ADD TABLE %s (%s)%s', object, relation,
            state ->> 'columns', state ->> 'where')
    END
$$;

-- Why tables can't be unprotected.
CREATE FUNCTION tenancy.unprotect_problems(all_of oid[]) RETURNS TABLE (target regclass, problem text, hint text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
    WITH RECURSIVE pairs AS MATERIALIZED (
        SELECT c.conrelid AS referrer, c.confrelid AS target FROM pg_constraint AS c
            JOIN pg_class AS t ON t.oid = c.confrelid
        WHERE c.contype = 'f' AND c.conparentid = 0 AND c.conrelid <> c.confrelid
            AND t.relnamespace <> 'tenancy'::regnamespace
            AND tenancy.scope_columns(c.conrelid) <> '{}' AND tenancy.scope_columns(c.confrelid) <> '{}'
    ),
    together (oid) AS (
        SELECT o.oid FROM unnest(all_of) AS o (oid)
        UNION
        SELECT n.oid FROM together AS t JOIN pairs AS p ON t.oid IN (p.referrer, p.target)
            CROSS JOIN LATERAL (VALUES (p.referrer), (p.target)) AS n (oid)
    ),
    advice AS MATERIALIZED (
        SELECT format('Unprotect those that refer to each other together: SELECT tenancy.unprotect(%L)',
            array_agg(t.oid::regclass::text ORDER BY t.oid::regclass::text)) AS text
        FROM together AS t WHERE NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = t.oid AND c.relispartition)
    )
    SELECT o.oid::regclass, 'it was protected by a release that kept no record of what it was before',
        'Its keys, references and column have to be changed back by hand. To take its guard away, and close it to the '
        'service: SELECT tenancy.unprotect(…, guard_only => true)'
    FROM unnest(all_of) AS o (oid)
    WHERE NOT EXISTS (SELECT FROM tenancy.protections AS p WHERE p.relation = o.oid AND p.kind = 'table'
        AND NOT (p.before ->> 'protected')::boolean)
        -- A partition that came later has nothing of its own.
        AND NOT EXISTS (SELECT FROM pg_inherits AS i JOIN tenancy.protections AS p ON p.relation = i.inhparent
            WHERE i.inhrelid = o.oid AND p.kind = 'table' AND i.inhparent = ANY (all_of))
    UNION ALL
    SELECT o.oid::regclass, format('it inherits from %s, which stays protected', i.inhparent::regclass),
        format('Unprotect that: SELECT tenancy.unprotect(''{%s}'')', i.inhparent::regclass)
    FROM unnest(all_of) AS o (oid) JOIN pg_inherits AS i ON i.inhrelid = o.oid
    WHERE i.inhparent <> ALL (all_of) AND tenancy.scope_columns(i.inhparent) <> '{}'
    UNION ALL
    SELECT DISTINCT p.target::regclass, format('%s refers to it, and stays protected', p.referrer::regclass), a.text
    FROM pairs AS p, advice AS a WHERE p.target = ANY (all_of) AND p.referrer <> ALL (all_of)
    UNION ALL
    SELECT DISTINCT c.relation, format('it refers to %s, which stays protected', p.target::regclass), a.text
    FROM tenancy.changes_of(all_of) AS c JOIN pairs AS p ON p.referrer = c.relation
            AND p.target::regclass::text = c.before ->> 'target', advice AS a
    WHERE c.kind = 'reference' AND p.target <> ALL (all_of) AND c.relation = ANY (all_of)
    UNION ALL
    SELECT DISTINCT p.relation, format('its name was %s when it was protected', p.named),
        format('Rename it, unprotect it, and rename it again: its definitions of before have that name')
    FROM tenancy.protections AS p WHERE p.relation = ANY (all_of) AND p.named <> p.relation::text
        -- The others' definitions have it not.
        AND p.kind IN ('key', 'index', 'reference', 'check')
    UNION ALL
    SELECT c.relation, format('the %s was changed since it was protected', rtrim(c.kind || ' ' || c.object)),
        CASE WHEN c.kind IN ('policy', 'row security')
                THEN format('Protecting it again mends it: SELECT tenancy.protect(%L)', c.relation)
            WHEN c.before IS NULL THEN format('Make it as protecting left it: %s; or drop it', m.left_behind)
            WHEN c.after IS NULL THEN format('Drop it, or make it as it was before: %s', m.found)
            ELSE format('Make it as protecting left it: %s; or as it was before: %s', m.left_behind, m.found) END
    FROM tenancy.changes_of(all_of) AS c CROSS JOIN LATERAL (VALUES (
        tenancy.state_sql(c.relation, c.kind, c.object, c.after),
        tenancy.state_sql(c.relation, c.kind, c.object, c.before)
    )) AS m (left_behind, found) WHERE NOT tenancy.same_state(c.after, c.now)
    UNION ALL
    SELECT c.relation, format('the %s was changed between two calls of protect, and the second wrote over it',
            rtrim(c.kind || ' ' || c.object)),
        format('What it was in between is lost. If it may be what it was before the first call, say so as an '
            'administrator: UPDATE tenancy.protections SET disturbed = false WHERE relation = %L::regclass; before it '
            'was: %s', c.relation, tenancy.state_sql(c.relation, c.kind, c.object, c.before))
    FROM tenancy.changes_of(all_of) AS c JOIN tenancy.protections AS p
        ON (p.relation, p.kind, p.object) = (c.relation, c.kind, c.object)
    WHERE p.disturbed
    UNION ALL
    SELECT c.relation, format('its policy %s was there before, and was replaced', c.object),
        format('Drop it, and make it again afterwards: DROP POLICY %I ON %s', c.object, c.relation)
    FROM tenancy.changes_of(all_of) AS c WHERE c.kind = 'policy' AND c.before IS NOT NULL
    UNION ALL
    SELECT c.relation, format('it belonged to %I, whom this role can''t give it to', c.before ->> 'is'),
        'Unprotect it as an administrator.'
    FROM tenancy.changes_of(all_of) AS c WHERE c.kind = 'owner' AND NOT EXISTS (
        SELECT FROM pg_roles AS r WHERE r.rolname = c.before ->> 'is' AND pg_has_role(r.oid, 'MEMBER'))
$$;

-- Drops the column that `protect` has added, where nothing is lost and nothing else needs it.
CREATE FUNCTION tenancy.drop_scope_column(target regclass, scope_column name) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
    number int2 := (tenancy.column_numbers(target, ARRAY[scope_column]))[1];
    inherited boolean := (SELECT a.attinhcount > 0 FROM pg_attribute AS a
        WHERE a.attrelid = target AND a.attnum = number);
    users text;
    several boolean;
    filled boolean;
BEGIN
    -- It went with that of the table it inherits from.
    IF number IS NULL OR inherited THEN
        RETURN;
    END IF;
    SELECT string_agg(DISTINCT pg_describe_object(d.classid, d.objid, d.objsubid), ', ') INTO users
    FROM tenancy.descendants(target) AS r (oid)
        JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attname = scope_column AND NOT a.attisdropped
        JOIN pg_depend AS d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = r.oid AND d.refobjsubid = a.attnum
        LEFT JOIN pg_constraint AS k ON d.classid = 'pg_constraint'::regclass AND k.oid = d.objid
    WHERE d.classid <> 'pg_attrdef'::regclass AND k.contype IS DISTINCT FROM 'n';
    IF users IS NOT NULL THEN
        PERFORM tenancy.refuse(
            format('can''t unprotect %s: what was made since needs its column %I: %s', target, scope_column, users),
            format('Drop it, or keep the column: SELECT tenancy.unprotect(%L, keep_column => true)',
                ARRAY[target::text]));
    END IF;
    EXECUTE format('SELECT (SELECT %1$I FROM %2$s ORDER BY %1$I LIMIT 1) IS DISTINCT FROM '
        '(SELECT %1$I FROM %2$s ORDER BY %1$I DESC LIMIT 1)', scope_column, target) INTO several;
    IF several THEN
        PERFORM tenancy.refuse(
            format('can''t unprotect %s: its column %I says whose rows are whose, and they are not all of one', target,
                scope_column),
            format('Keep the column, and drop it yourself once nobody needs it: '
                'SELECT tenancy.unprotect(%L, keep_column => true)', ARRAY[target::text]));
    END IF;
    EXECUTE format('SELECT EXISTS (SELECT FROM %s)', target) INTO filled;
    IF filled AND (SELECT count(*) FROM tenancy.tenants) > 1 THEN
        PERFORM tenancy.refuse(
            format('can''t unprotect %s: its column %I says that its rows are of one tenant, and there are others', target,
                scope_column),
            format('Keep the column, and drop it yourself once nobody needs it: '
                'SELECT tenancy.unprotect(%L, keep_column => true)', ARRAY[target::text]));
    END IF;
    PERFORM tenancy.run(NULL, format('ALTER TABLE %s DROP COLUMN %I', target, scope_column));
END
$$;

-- Gives a column back what it was, or leaves one that `protect` has added without default and NOT NULL.
CREATE FUNCTION tenancy.restore_column(target regclass, name name, before jsonb, others oid[]) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    kept regclass[];
    one regclass;
BEGIN
    IF before ->> 'default' IS NULL THEN
        PERFORM tenancy.run(NULL, format('ALTER TABLE ONLY %s ALTER COLUMN %I DROP DEFAULT', target, name));
    ELSE
        PERFORM tenancy.run(NULL, format('ALTER TABLE ONLY %s ALTER COLUMN %I SET DEFAULT %s', target, name,
            before ->> 'default'));
    END IF;
    IF coalesce((before ->> 'not_null')::boolean, false) THEN
        -- It may have gone with that of the table it is a partition of.
        IF NOT (SELECT a.attnotnull FROM pg_attribute AS a WHERE a.attrelid = target AND a.attname = name) THEN
            PERFORM tenancy.run(NULL, format('ALTER TABLE %s ALTER COLUMN %I SET NOT NULL', target, name));
        END IF;
        RETURN;
    END IF;
    IF NOT (SELECT a.attnotnull FROM pg_attribute AS a WHERE a.attrelid = target AND a.attname = name) THEN
        RETURN;
    END IF;
    -- It reaches the partitions, of which some may have had it by themselves.
    kept := ARRAY(SELECT a.attrelid::regclass FROM tenancy.descendants(target) AS d (oid)
        JOIN pg_attribute AS a ON a.attrelid = d.oid AND a.attname = name AND a.attnotnull
        WHERE d.oid <> target AND d.oid <> ALL (others));
    PERFORM tenancy.run(NULL, format('ALTER TABLE %s ALTER COLUMN %I DROP NOT NULL', target, name));
    FOREACH one IN ARRAY kept LOOP
        PERFORM tenancy.run(NULL, format('ALTER TABLE %s ALTER COLUMN %I SET NOT NULL', one, name));
    END LOOP;
END
$$;

-- Makes a key again as it was.
CREATE FUNCTION tenancy.restore_key(target regclass, name name, before jsonb) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    said text;
BEGIN
    BEGIN
        PERFORM tenancy.run_in(NULL, before ->> 'ddl', (before ->> 'tablespace')::name);
    EXCEPTION WHEN unique_violation OR exclusion_violation THEN
        GET STACKED DIAGNOSTICS said = PG_EXCEPTION_DETAIL;
        PERFORM tenancy.refuse(
            format('can''t unprotect %s: its key %I was unique across tenants, and their rows no longer are%s', target,
                name, coalesce(': ' || said, '')),
            'Change the rows first. Several tenants may have had the same value since the table was protected.');
    END;
    IF before ->> 'comment' IS NOT NULL THEN
        PERFORM tenancy.run(NULL, format('COMMENT ON CONSTRAINT %I ON %s IS %L', before ->> 'constraint', target,
            before ->> 'comment'));
    END IF;
    PERFORM tenancy.set_index_marks((
        SELECT i.oid FROM pg_class AS c JOIN pg_class AS i ON i.relnamespace = c.relnamespace AND i.relname = name
        WHERE c.oid = target), before -> 'marks');
END
$$;

-- Takes the guard away and closes the table to the service. Nobody knows what the logins might do before.
CREATE FUNCTION tenancy.drop_guard(target regclass) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    policy name;
    held record;
BEGIN
    PERFORM tenancy.run(NULL, format('REVOKE ALL ON %s FROM %I, %I', target, tenancy.role_name('app'),
        tenancy.role_name('system')));
    -- Without row security the service would see all tenants' rows by what others have granted it.
    SELECT x.privilege_type || coalesce(' (' || quote_ident(g.column_name) || ')', '') AS privilege,
        CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END AS grantee,
        quote_ident(pg_get_userbyid(x.grantor)) AS grantor INTO held
    FROM pg_class AS c CROSS JOIN LATERAL (
            SELECT NULL::name, c.relacl
            UNION ALL
            SELECT a.attname, a.attacl FROM pg_attribute AS a WHERE a.attrelid = c.oid AND NOT a.attisdropped
        ) AS g (column_name, acl) CROSS JOIN LATERAL aclexplode(g.acl) AS x
    WHERE c.oid = target AND x.grantee <> c.relowner
        AND (x.grantee = 0 OR pg_has_role(tenancy.role_oid('app'), x.grantee, 'MEMBER'))
    ORDER BY 2, 1 LIMIT 1;
    IF FOUND THEN
        PERFORM tenancy.refuse(
            format('can''t take the guard off %s: the service has %s on it as %s, by a grant of %s', target,
                held.privilege, held.grantee, held.grantor),
            format('REVOKE %s ON %s FROM %s GRANTED BY %s', held.privilege, target, held.grantee, held.grantor));
    END IF;
    FOR policy IN SELECT p.polname FROM pg_policy AS p
        WHERE p.polrelid = target AND p.polname LIKE 'tenancy\_%' ORDER BY p.polname
    LOOP
        PERFORM tenancy.run(NULL, format('DROP POLICY %I ON %s', policy, target));
    END LOOP;
    IF NOT EXISTS (SELECT FROM pg_policy AS p WHERE p.polrelid = target) THEN
        PERFORM tenancy.run(NULL, format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY',
            target));
    END IF;
END
$$;

-- A view's text from before these tables were protected: each of them may have changed what another had left.
CREATE FUNCTION tenancy.view_before(view text, definition text, all_of oid[]) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
    BEGIN ATOMIC
        WITH RECURSIVE chain (definition, used) AS (
            SELECT view_before.definition, '{}'::oid[]
            UNION ALL
            SELECT p.before ->> 'ddl', c.used || p.relation::oid
            FROM chain AS c JOIN tenancy.protections AS p ON p.kind = 'view' AND p.object = view
                AND p.after ->> 'ddl' = c.definition AND p.relation = ANY (all_of) AND p.relation <> ALL (c.used)
        )
        SELECT c.definition FROM chain AS c ORDER BY cardinality(c.used) DESC LIMIT 1;
    END;

-- Foreign keys that came after these tables were protected, and refer by tenant to a key that will be without it: how they
-- read without it, too.
CREATE FUNCTION tenancy.unpaired_references(changes jsonb)
    RETURNS TABLE (relation regclass, target regclass, object name, ddl text, comment text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
    WITH keys AS MATERIALIZED (
        SELECT t.index FROM jsonb_to_recordset(changes) AS o (relation regclass, kind text, object name, before jsonb, now jsonb)
            JOIN pg_class AS k ON k.oid = o.relation
            JOIN pg_class AS i ON i.relnamespace = k.relnamespace AND i.relname = o.object
            CROSS JOIN LATERAL tenancy.index_tree(i.oid) AS t
        WHERE o.kind = 'key' AND o.now IS NOT NULL AND o.before ->> 'ddl' IS DISTINCT FROM o.now ->> 'ddl'
    ),
    found AS (
        SELECT c.oid, c.conrelid::regclass AS relation, c.confrelid::regclass AS target, c.conname, c.conkey, c.confkey,
            n.own, n.other, coalesce((to_jsonb(c) ->> 'conperiod')::boolean, false) AS period,
            pg_get_constraintdef(c.oid) AS definition
        FROM pg_constraint AS c JOIN keys AS y ON y.index = c.conindid CROSS JOIN LATERAL (
            SELECT array_agg(u.own ORDER BY u.position) AS own, array_agg(u.other ORDER BY u.position) AS other
            FROM unnest(c.conkey, c.confkey) WITH ORDINALITY AS u (own, other, position)
            WHERE u.other <> ALL (tenancy.column_numbers(c.confrelid::regclass, tenancy.scope_columns(c.confrelid)))
        ) AS n
        WHERE c.contype = 'f' AND c.conparentid = 0 AND cardinality(n.own) < cardinality(c.conkey)
            AND (c.confdelsetcols IS NULL OR c.confdelsetcols <@ n.own) AND NOT EXISTS (
                SELECT FROM jsonb_to_recordset(changes) AS o (relation regclass, kind text, object name)
                WHERE (o.relation::oid, o.kind, o.object) = (c.conrelid, 'reference', c.conname))
    )
    SELECT f.relation, f.target, f.conname, format('FOREIGN KEY (%s) REFERENCES %s (%s)%s',
            tenancy.reference_columns(f.relation, f.own, f.period), f.target,
            tenancy.reference_columns(f.target, f.other, f.period), substr(f.definition, length(h.head) + 1)),
        obj_description(f.oid, 'pg_constraint')
    FROM found AS f CROSS JOIN LATERAL (VALUES (format('FOREIGN KEY (%s) REFERENCES %s(%s)',
        tenancy.reference_columns(f.relation, f.conkey, f.period), f.target,
        tenancy.reference_columns(f.target, f.confkey, f.period)))) AS h (head)
    WHERE starts_with(f.definition, h.head)
    ORDER BY f.relation::text, f.conname
$$;

-- Takes back what `protect` did to tables, and to what inherits from them: keys, references, columns, policies, owner
-- and grants become what they were. All of them or none. To be called as `protect` is; nothing happens where none of
-- the tables is protected.
--
--     SELECT tenancy.unprotect('{notes,notebooks}');
--
-- keep_column: whether a tenant column that `protect` has added stays, without its default and its NOT NULL. One that
--     was there before always stays.
-- guard_only: policies and row security go, the service loses its rights on the table, and all else stays. For
--     tables that an earlier release has protected, of which nobody knows what they were before.
CREATE FUNCTION tenancy.unprotect(
    targets regclass[], keep_column boolean DEFAULT false, guard_only boolean DEFAULT false
) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
    -- Those that come before what inherits from them.
    all_of oid[];
    forced regclass[];
    target regclass;
    changes jsonb;
    c record;
    con pg_constraint;
    views jsonb := '[]';
    unpaired jsonb;
    recorded text[];
    said text;
    message text;
    hint text;
BEGIN
    PERFORM tenancy.one_at_a_time();
    IF coalesce(cardinality(targets), 0) = 0 OR array_position(targets, NULL) IS NOT NULL THEN
        PERFORM tenancy.refuse('can''t unprotect: no table was named', 'SELECT tenancy.unprotect(''{notes}'')');
    END IF;
    SELECT string_agg(format('%s is a %s', k.oid::regclass, CASE k.relkind WHEN 'v' THEN 'view'
        WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence' WHEN 'f' THEN 'foreign table' ELSE 'relation without rows'
        END), ', ' ORDER BY k.oid::regclass::text) INTO message
    FROM pg_class AS k WHERE k.oid = ANY (targets) AND k.relkind NOT IN ('r', 'p');
    IF message IS NOT NULL THEN
        PERFORM tenancy.refuse(format('can''t unprotect: %s, and only tables are protected', message),
            'Name the tables that it reads.');
    END IF;
    WITH RECURSIVE above (oid, ancestor) AS (
        SELECT d.oid, d.oid FROM unnest(targets) AS t (oid) CROSS JOIN LATERAL tenancy.descendants(t.oid) AS d (oid)
        UNION
        SELECT a.oid, i.inhparent FROM above AS a JOIN pg_inherits AS i ON i.inhrelid = a.ancestor
    )
    SELECT array_agg(g.oid ORDER BY g.depth, g.oid::regclass::text) INTO all_of
    FROM (SELECT a.oid, count(*) AS depth FROM above AS a GROUP BY a.oid) AS g
    WHERE tenancy.scope_columns(g.oid) <> '{}' OR EXISTS (
        SELECT FROM tenancy.protections AS p WHERE p.relation = g.oid AND p.kind = 'table');
    IF all_of IS NULL THEN
        RETURN;
    END IF;
    IF guard_only THEN
        SELECT string_agg(p.relation::text, ', ' ORDER BY p.relation::text),
            array_agg(p.relation::text ORDER BY p.relation::text) INTO message, recorded
        FROM tenancy.protections AS p
        WHERE p.relation = ANY (all_of) AND p.kind = 'table' AND NOT (p.before ->> 'protected')::boolean;
        IF message IS NOT NULL THEN
            PERFORM tenancy.refuse(
                format('can''t take the guard alone off %s: there is a record of what was before, which would be lost',
                    message),
                format('Take all of it back: SELECT tenancy.unprotect(%L)', recorded));
        END IF;
        FOREACH target IN ARRAY all_of LOOP
            PERFORM tenancy.drop_guard(target);
        END LOOP;
        PERFORM tenancy.run(NULL, format('SELECT tenancy.forget(%L::regclass[], ''[]'')', all_of::regclass[]));
        RETURN;
    END IF;
    SELECT string_agg(p.text, '; ' ORDER BY p.text), string_agg(DISTINCT p.hint, E'\n') INTO message, hint
    FROM (SELECT DISTINCT format('%s: %s', o.target, o.problem) AS text, o.hint
        FROM tenancy.unprotect_problems(all_of) AS o) AS p;
    IF message IS NOT NULL THEN
        PERFORM tenancy.refuse('can''t unprotect ' || message, hint);
    END IF;
    changes := (SELECT coalesce(jsonb_agg(to_jsonb(o) ORDER BY array_position(all_of, o.relation::oid), o.kind, o.object),
        '[]') FROM tenancy.changes_of(all_of) AS o);
    unpaired := (SELECT coalesce(jsonb_agg(to_jsonb(o)), '[]') FROM tenancy.unpaired_references(changes) AS o);
    forced := ARRAY(SELECT k.oid::regclass FROM pg_class AS k
        WHERE k.oid = ANY (all_of) AND k.relforcerowsecurity ORDER BY array_position(all_of, k.oid));

    -- Whoever makes keys and references sees all rows.
    FOREACH target IN ARRAY forced LOOP
        PERFORM tenancy.run(NULL, format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY', target));
    END LOOP;
    FOR c IN SELECT * FROM jsonb_to_recordset(changes) AS o
        (relation regclass, kind text, object text, before jsonb, now jsonb)
        WHERE o.kind IN ('policy', 'reference', 'check', 'index') AND o.now IS NOT NULL
        ORDER BY array_position(ARRAY['policy', 'reference', 'check', 'index'], o.kind)
    LOOP
        PERFORM tenancy.run(NULL, CASE c.kind
            WHEN 'policy' THEN format('DROP POLICY %I ON %s', c.object, c.relation)
            WHEN 'index' THEN format('DROP INDEX %s.%I', (SELECT k.relnamespace::regnamespace FROM pg_class AS k
                WHERE k.oid = c.relation), c.object)
            ELSE format('ALTER TABLE %s DROP CONSTRAINT %I', c.relation, c.object) END);
    END LOOP;
    FOR c IN SELECT o.*, k.relowner FROM jsonb_to_recordset(unpaired) AS o (relation regclass, target regclass, object text)
        JOIN pg_class AS k ON k.oid = o.relation
    LOOP
        IF NOT pg_has_role(c.relowner, 'USAGE') THEN
            PERFORM tenancy.refuse(
                format('can''t unprotect %s: %s refers to it and belongs to another role', c.target, c.relation),
                format('Let one role own both, as its owner or an administrator: ALTER TABLE %s OWNER TO %I',
                    c.relation, tenancy.role_name('owner')));
        END IF;
        PERFORM tenancy.run(NULL, format('ALTER TABLE %s DROP CONSTRAINT %I', c.relation, c.object));
    END LOOP;
    FOR c IN SELECT o.*, i.oid AS index FROM jsonb_to_recordset(changes) AS o
        (relation regclass, kind text, object text, before jsonb, now jsonb)
        JOIN pg_class AS k ON k.oid = o.relation
        JOIN pg_class AS i ON i.relnamespace = k.relnamespace AND i.relname = o.object
        WHERE o.kind = 'key' AND o.now IS NOT NULL
    LOOP
        IF c.before ->> 'ddl' = c.now ->> 'ddl' THEN
            PERFORM tenancy.run(NULL, format('COMMENT ON INDEX %s IS %L', c.index::regclass,
                jsonb_path_query_first(c.before, '$.marks[*] ? (@.root == true)') ->> 'comment'));
            CONTINUE;
        END IF;
        SELECT * INTO con FROM pg_constraint AS k WHERE k.conindid = c.index AND k.conrelid = c.relation
            AND k.contype IN ('p', 'u', 'x');
        views := tenancy.drop_views_on(con.oid) || views;
        BEGIN
            PERFORM tenancy.run(NULL, CASE WHEN con.oid IS NULL THEN format('DROP INDEX %s', c.index::regclass)
                ELSE format('ALTER TABLE %s DROP CONSTRAINT %I', c.relation, con.conname) END);
        EXCEPTION WHEN dependent_objects_still_exist THEN
            GET STACKED DIAGNOSTICS said = PG_EXCEPTION_DETAIL;
            PERFORM tenancy.refuse(
                format('can''t unprotect %s: something depends on its key %I: %s', c.relation, c.object, said),
                'Drop what depends on it, unprotect the table, and make it again.');
        END;
    END LOOP;
    FOR c IN SELECT * FROM jsonb_to_recordset(changes) AS o
        (relation regclass, kind text, object text, before jsonb) WHERE o.kind = 'publication'
    LOOP
        PERFORM tenancy.run(NULL, format('ALTER PUBLICATION %I DROP TABLE %s', c.object, c.relation));
        PERFORM tenancy.run(NULL, format('ALTER PUBLICATION %I ADD TABLE %s (%s)%s', c.object, c.relation,
            c.before ->> 'columns', c.before ->> 'where'));
    END LOOP;
    FOR c IN SELECT * FROM jsonb_to_recordset(changes) AS o
        (relation regclass, kind text, object text, before jsonb, now jsonb) WHERE o.kind = 'column'
    LOOP
        IF c.before IS NULL THEN
            IF NOT keep_column THEN
                PERFORM tenancy.drop_scope_column(c.relation, c.object);
                CONTINUE;
            END IF;
        END IF;
        PERFORM tenancy.restore_column(c.relation, c.object, c.before, ARRAY(
            SELECT (o ->> 'relation')::regclass::oid FROM jsonb_array_elements(changes) AS o
            WHERE o ->> 'kind' = 'column' AND o ->> 'object' = c.object));
    END LOOP;
    FOR c IN SELECT * FROM jsonb_to_recordset(changes) AS o
        (relation regclass, kind text, object text, before jsonb, now jsonb)
        WHERE o.kind = 'key' AND o.before IS NOT NULL AND o.before ->> 'ddl' IS DISTINCT FROM o.now ->> 'ddl'
    LOOP
        PERFORM tenancy.restore_key(c.relation, c.object, c.before);
    END LOOP;
    FOR c IN SELECT * FROM jsonb_to_recordset(changes) AS o
        (relation regclass, kind text, object text, before jsonb)
        WHERE o.kind IN ('reference', 'check', 'index') AND o.before IS NOT NULL
        ORDER BY array_position(ARRAY['index', 'check', 'reference'], o.kind)
    LOOP
        CASE c.kind
            WHEN 'index' THEN PERFORM tenancy.run(NULL, c.before ->> 'ddl');
            WHEN 'check' THEN PERFORM tenancy.run(NULL, format('ALTER TABLE %s ADD CONSTRAINT %I %s', c.relation,
                c.object, c.before ->> 'ddl'));
            ELSE PERFORM tenancy.add_foreign_key(c.relation, (c.before ->> 'target')::regclass,
                format('CONSTRAINT %I %s', c.object, c.before ->> 'ddl'));
        END CASE;
        IF c.before ->> 'comment' IS NOT NULL THEN
            PERFORM tenancy.run(NULL, format('COMMENT ON CONSTRAINT %I ON %s IS %L', c.object, c.relation,
                c.before ->> 'comment'));
        END IF;
    END LOOP;
    FOR c IN SELECT * FROM jsonb_to_recordset(unpaired) AS o
        (relation regclass, target regclass, object text, ddl text, comment text)
    LOOP
        BEGIN
            PERFORM tenancy.add_foreign_key(c.relation, c.target, format('CONSTRAINT %I %s', c.object, c.ddl));
        EXCEPTION WHEN invalid_foreign_key THEN
            PERFORM tenancy.refuse(
                format('can''t unprotect %s: the foreign key %I of %s came since, and refers to what will not be unique',
                    c.target, c.object, c.relation),
                format('Drop it: ALTER TABLE %s DROP CONSTRAINT %I', c.relation, c.object));
        END;
        IF c.comment IS NOT NULL THEN
            PERFORM tenancy.run(NULL, format('COMMENT ON CONSTRAINT %I ON %s IS %L', c.object, c.relation, c.comment));
        END IF;
        RAISE NOTICE 'tenancy: the foreign key % of % came after protecting, and refers to % without the tenant from now on',
            c.object, c.relation, c.target;
    END LOOP;
    -- Those whose text `protect` has changed get theirs back.
    PERFORM tenancy.add_views((
        SELECT coalesce(jsonb_agg(v.view || jsonb_build_object('definition',
            tenancy.view_before(v.view ->> 'name', v.view ->> 'definition', all_of)) ORDER BY v.position), '[]')
        FROM jsonb_array_elements(views) WITH ORDINALITY AS v (view, position)), all_of[1]::regclass, '{}');
    PERFORM tenancy.restore_around(changes, all_of);

    said := (SELECT string_agg(format('the %s of %s', rtrim(o.kind || ' ' || o.object), o.relation), ', ')
        FROM tenancy.changes_of(all_of) AS o WHERE NOT (keep_column AND o.kind = 'column' AND o.before IS NULL)
            AND o.kind <> 'schema grant');
    IF said IS NOT NULL THEN
        PERFORM tenancy.refuse('can''t unprotect: this could not be made what it was: ' || said,
            'Nothing was changed. Please report it with the definition of the table.');
    END IF;
    PERFORM tenancy.run(NULL, format('SELECT tenancy.forget(%L::regclass[], %L::jsonb)', all_of::regclass[], (
        SELECT coalesce(jsonb_agg(to_jsonb(o)), '[]')
        FROM jsonb_to_recordset(changes) AS o (relation regclass, kind text, object text)
        WHERE o.relation <> ALL (all_of))));
END
$$;

-- What is said about tables beside their own definitions: owner, grants, row security.
CREATE FUNCTION tenancy.restore_around(changes jsonb, all_of oid[]) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
    c record;
    heir regclass;
    guarded boolean;
    columns jsonb[];
    one jsonb;
BEGIN
    FOR c IN SELECT o.*, CASE k.relkind WHEN 'S' THEN 'SEQUENCE ' ELSE '' END || o.relation AS named
        FROM jsonb_to_recordset(changes) AS o (relation regclass, kind text, object text, before jsonb, now jsonb)
        JOIN pg_class AS k ON k.oid = o.relation
        WHERE o.kind IN ('owner', 'grant', 'schema grant')
        ORDER BY array_position(ARRAY['owner', 'grant', 'schema grant'], o.kind)
    LOOP
        CASE c.kind
            WHEN 'owner' THEN
                PERFORM tenancy.run(NULL, format('ALTER TABLE %s OWNER TO %I', c.relation, c.before ->> 'is'));
            WHEN 'grant' THEN
                IF c.now IS NOT NULL THEN
                    -- It takes the same right on columns along, which is another grant.
                    columns := ARRAY(SELECT o.state FROM tenancy.table_state(c.relation) AS o
                        WHERE o.kind = 'grant' AND o.state ->> 'grantee' = c.now ->> 'grantee'
                            AND starts_with(o.state ->> 'privilege', c.now ->> 'privilege' || ' ('));
                    PERFORM tenancy.run(NULL, format('REVOKE %s ON %s FROM %s', c.now ->> 'privilege', c.named,
                        c.now ->> 'grantee'));
                    FOREACH one IN ARRAY columns LOOP
                        PERFORM tenancy.run(NULL, tenancy.grant_sql(c.named, one));
                    END LOOP;
                END IF;
                IF c.before IS NOT NULL THEN
                    PERFORM tenancy.run(NULL, tenancy.grant_sql(c.named, c.before));
                END IF;
            ELSE
                CONTINUE WHEN c.now IS NULL;
                -- Others of the schema go on needing it.
                SELECT k.oid, tenancy.scope_columns(k.oid) <> '{}' INTO heir, guarded
                FROM pg_class AS k JOIN pg_class AS t ON t.relnamespace = k.relnamespace
                WHERE t.oid = c.relation AND k.oid <> ALL (all_of) AND EXISTS (
                    SELECT FROM tenancy.grants_on(k.oid) AS g WHERE g.grantee = (c.now ->> 'grantee')::regrole)
                ORDER BY tenancy.scope_columns(k.oid) = '{}', k.oid LIMIT 1;
                IF heir IS NULL THEN
                    PERFORM tenancy.run(NULL, format('REVOKE USAGE ON SCHEMA %s FROM %s', c.now ->> 'schema',
                        c.now ->> 'grantee'));
                ELSIF guarded THEN
                    PERFORM tenancy.run(NULL, format('SELECT tenancy.pass_record_on(%L, %L, %L)', c.relation, heir,
                        c.object));
                END IF;
        END CASE;
    END LOOP;
    FOR c IN SELECT k.oid::regclass AS relation, coalesce(o.before ->> 'on' = 'true', k.relrowsecurity) AS secured,
            coalesce(o.before ->> 'forced' = 'true', true) AS forced, k.relrowsecurity, k.relforcerowsecurity
        FROM pg_class AS k LEFT JOIN jsonb_to_recordset(changes) AS o (relation regclass, kind text, before jsonb)
            ON o.relation = k.oid AND o.kind = 'row security'
        WHERE k.oid = ANY (all_of)
    LOOP
        IF c.secured <> c.relrowsecurity THEN
            PERFORM tenancy.run(NULL, format('ALTER TABLE %s %s ROW LEVEL SECURITY', c.relation,
                CASE WHEN c.secured THEN 'ENABLE' ELSE 'DISABLE' END));
        END IF;
        IF c.forced <> c.relforcerowsecurity THEN
            PERFORM tenancy.run(NULL, format('ALTER TABLE %s %s ROW LEVEL SECURITY', c.relation,
                CASE WHEN c.forced THEN 'FORCE' ELSE 'NO FORCE' END));
        END IF;
    END LOOP;
END
$$;

REVOKE ALL ON FUNCTION
    tenancy.grants_on(oid), tenancy.sequences_of(oid), tenancy.table_state(oid), tenancy.same_state(jsonb, jsonb),
    tenancy.remember(regclass), tenancy.remember_view(regclass, regclass, text), tenancy.record_changes(),
    tenancy.forget(regclass[], jsonb), tenancy.pass_record_on(regclass, regclass, text),
    tenancy.begin_record(), tenancy.end_record(boolean), tenancy.run(regclass, text),
    tenancy.run_in(regclass, text, name), tenancy.undecided_tables(), tenancy.changes_of(oid[]),
    tenancy.unprotect_problems(oid[]), tenancy.drop_scope_column(regclass, name),
    tenancy.restore_column(regclass, name, jsonb, oid[]), tenancy.restore_key(regclass, name, jsonb),
    tenancy.drop_guard(regclass), tenancy.unprotect(regclass[], boolean, boolean),
    tenancy.state_sql(regclass, text, text, jsonb), tenancy.view_before(text, text, oid[]),
    tenancy.unpaired_references(jsonb), tenancy.grant_sql(text, jsonb), tenancy.restore_around(jsonb, oid[])
FROM PUBLIC;

-- What programs need from here on: `unprotect`.
CREATE OR REPLACE FUNCTION tenancy.schema_version() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 19;
