-- `tenancy.protect` and `tenancy.share`.

-- One at a time: two that rebuild what refers to each other would wait for each other.
CREATE FUNCTION tenancy.one_at_a_time() RETURNS void
    LANGUAGE sql SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT pg_advisory_xact_lock(7236830212054017382);
    END;

-- The relations that share rows with a table by inheritance: its descendants, and itself.
CREATE FUNCTION tenancy.descendants(target oid) RETURNS SETOF oid
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        WITH RECURSIVE d AS (
            SELECT target AS relation
            UNION
            SELECT i.inhrelid FROM d JOIN pg_inherits AS i ON i.inhparent = d.relation
        )
        SELECT d.relation FROM d;
    END;

CREATE FUNCTION tenancy.check_protectable(target regclass) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    relation pg_class;
    extension name;
BEGIN
    IF target IS NULL THEN
        PERFORM tenancy.refuse('can''t protect: no table was named', 'SELECT tenancy.protect(''notes'')');
    END IF;
    SELECT * INTO STRICT relation FROM pg_class WHERE oid = target;
    IF relation.relkind NOT IN ('r', 'p') THEN
        RAISE EXCEPTION 'can''t protect %: row security exists for tables only', target
            USING ERRCODE = 'wrong_object_type',
            HINT = 'Protect the tables behind a view, and create the view WITH (security_invoker). '
                'Move the data of a materialized view or foreign table into a table.';
    END IF;
    IF relation.relnamespace IN ('tenancy'::regnamespace, 'pg_catalog'::regnamespace,
        'information_schema'::regnamespace) OR relation.relpersistence = 't'
    THEN
        RAISE EXCEPTION 'can''t protect %: it is not a table of the application', target
            USING ERRCODE = 'wrong_object_type';
    END IF;
    SELECT e.extname INTO extension FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid
    WHERE d.classid = 'pg_class'::regclass AND d.objid = target
        AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e';
    IF extension IS NOT NULL THEN
        RAISE EXCEPTION 'can''t protect %: it belongs to the extension %', target, extension
            USING ERRCODE = 'wrong_object_type',
            HINT = 'If every tenant may read it, share it; else keep what is a tenant''s in a table of '
                'your own.';
    END IF;
    IF relation.reloftype <> 0 THEN
        PERFORM tenancy.refuse(format('can''t protect %s: it is of a type, and takes no other column', target),
            format('ALTER TABLE %s NOT OF', target));
    END IF;
    IF relation.relispartition AND tenancy.scope_columns((
        SELECT i.inhparent FROM pg_inherits AS i WHERE i.inhrelid = target)) = '{}'
    THEN
        RAISE EXCEPTION 'can''t protect %: it is a partition of a table that is not protected', target
            USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Protect the partitioned table: that protects its partitions too.';
    END IF;
    IF tenancy.role_name('app') IS NULL THEN
        RAISE EXCEPTION 'can''t protect %: the roles are not installed', target
            USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Run the installation of tenancy first; it records the names of the roles.';
    END IF;
END
$$;

-- The columns that a table is to be kept apart by. What a protected table has is remembered: its
-- tenant does not become another column's, and its projects are not laid open.
CREATE FUNCTION tenancy.wanted_scope(target regclass, tenant_column name, project boolean)
    RETURNS name[]
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known name[] := tenancy.scope_columns(target);
    parents name[] := (
        SELECT tenancy.scope_columns(i.inhparent) FROM pg_inherits AS i
        WHERE i.inhrelid = target AND tenancy.scope_columns(i.inhparent) <> '{}'
        ORDER BY i.inhseqno LIMIT 1);
BEGIN
    IF known = '{}' AND parents IS NOT NULL THEN
        known := parents;
    END IF;
    -- Where the policies of a project were dropped, its column's default says what the table was.
    IF cardinality(known) = 1 THEN
        known := known || ARRAY(
            SELECT a.attname FROM pg_attribute AS a JOIN pg_attrdef AS d
                ON d.adrelid = a.attrelid AND d.adnum = a.attnum
            WHERE a.attrelid = target AND pg_get_expr(d.adbin, d.adrelid) = 'tenancy.current_project()');
    END IF;
    IF known <> '{}' AND tenant_column <> known[1] THEN
        PERFORM tenancy.refuse(
            format('can''t protect %s by %I: it is protected by %I', target, tenant_column, known[1]),
            format('A protected table keeps its tenant column: SELECT tenancy.protect(%L)', target));
    END IF;
    IF project AND coalesce(known[1], tenant_column) = 'project_id' THEN
        PERFORM tenancy.refuse(
            format('can''t protect %s by project: the column project_id names its tenant', target),
            format('Rename it: ALTER TABLE %s RENAME COLUMN project_id TO tenant_id', target));
    END IF;
    IF cardinality(known) = 2 AND NOT project THEN
        PERFORM tenancy.refuse(
            format('can''t protect %s by tenant alone: its rows belong to projects', target),
            format('A protected table keeps its projects apart: SELECT tenancy.protect(%L)', target));
    END IF;
    IF cardinality(known) = 2 THEN
        RETURN known;
    END IF;
    RETURN ARRAY[coalesce(known[1], tenant_column, 'tenant_id')]
        || CASE WHEN project THEN ARRAY['project_id'::name] ELSE '{}' END;
END
$$;

-- Gives the table, and whatever inherits from it, to the owner role: a superuser's table would lend
-- its views and functions a way past row security.
CREATE FUNCTION tenancy.take_over(target regclass) RETURNS void
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
        EXECUTE format('ALTER TABLE %s OWNER TO %I', relation.name, owner);
    END LOOP;
END
$$;

-- Makes the column of a scope what it has to be: there, of type uuid, never null, filled in by
-- default. `current` is the function that says the tenant or the project of the transaction.
CREATE FUNCTION tenancy.ensure_scope_column(
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
        EXECUTE format('ALTER TABLE %s ADD COLUMN %I uuid', target, scope_column);
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
            EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET NOT NULL', target, scope_column);
        END IF;
        -- PostgreSQL 18 has NOT NULL constraints that have not been checked.
        FOR unchecked IN
            SELECT c.conname FROM pg_constraint AS c
            WHERE c.conrelid = target AND c.contype = 'n' AND c.conkey = ARRAY[number]
                AND NOT c.convalidated
        LOOP
            EXECUTE format('ALTER TABLE %s VALIDATE CONSTRAINT %I', target, unchecked);
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
        EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET DEFAULT %s', target, scope_column, current);
    END IF;
END
$$;

-- The tenant, and the project, of each row exist. PostgreSQL checks the rows that are there.
CREATE FUNCTION tenancy.refer_to_registry(target regclass, scope name[]) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    numbers int2[] := tenancy.column_numbers(target, scope);
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_constraint AS c
        WHERE c.conrelid = target AND c.contype = 'f' AND c.confrelid = 'tenancy.tenants'::regclass
            AND c.conkey = numbers[1:1])
    THEN
        PERFORM tenancy.add_foreign_key(target, 'tenancy.tenants', format(
            'FOREIGN KEY (%I) REFERENCES tenancy.tenants (id)', scope[1]));
    END IF;
    IF cardinality(scope) = 2 AND NOT EXISTS (
        SELECT FROM pg_constraint AS c
        WHERE c.conrelid = target AND c.contype = 'f' AND c.confrelid = 'tenancy.projects'::regclass
            AND c.conkey = numbers)
    THEN
        PERFORM tenancy.add_foreign_key(target, 'tenancy.projects', format(
            'FOREIGN KEY (%s) REFERENCES tenancy.projects (tenant_id, id)', tenancy.column_list(scope)));
    END IF;
EXCEPTION WHEN foreign_key_violation THEN
    RAISE EXCEPTION 'can''t protect %: it has rows of a tenant or project that does not exist', target
        USING ERRCODE = 'foreign_key_violation', DETAIL = SQLERRM,
        HINT = format('Find them as a superuser: SELECT * FROM %s WHERE %I NOT IN '
            '(SELECT id FROM tenancy.tenants)', target, scope[1]);
END
$$;

-- Marks the keys that stay unique across tenants, by the names of their indexes.
CREATE FUNCTION tenancy.mark_global(target regclass, keys name[], scope name[]) RETURNS void
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
            EXECUTE format('COMMENT ON INDEX %s IS %L', index,
                concat_ws(' ', obj_description(index, 'pg_class'), tenancy.global_mark()));
        END IF;
    END LOOP;
END
$$;

-- Lets the logins into the schema of a table, and at the sequences that its defaults draw from.
CREATE FUNCTION tenancy.open_schema(target regclass) RETURNS void
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
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I, %I', schema.nspname, app, system);
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
        EXECUTE format('GRANT USAGE ON SEQUENCE %s TO %I, %I', item, app, system);
    END LOOP;
END
$$;

-- What app and system may do. Granted when a table is protected for the first time, and never again:
-- what was revoked since stays revoked. A partition, or a child, gets what its parent has left.
CREATE FUNCTION tenancy.set_privileges(target regclass, first boolean, parent regclass) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    login name;
    privilege text;
BEGIN
    EXECUTE format('REVOKE ALL ON %s FROM PUBLIC', target);
    -- Row security does not cover TRUNCATE, nor what a trigger or a foreign key can read.
    EXECUTE format('REVOKE TRUNCATE, REFERENCES, TRIGGER%s ON %s FROM %I',
        CASE WHEN current_setting('server_version_num')::int >= 170000 THEN ', MAINTAIN' ELSE '' END,
        target, tenancy.role_name('app'));
    IF NOT first THEN
        RETURN;
    END IF;
    FOREACH login IN ARRAY ARRAY[tenancy.role_name('app'), tenancy.role_name('system')] LOOP
        FOREACH privilege IN ARRAY ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE'] LOOP
            IF parent IS NULL OR has_table_privilege(login, parent, privilege) THEN
                EXECUTE format('GRANT %s ON %s TO %I', privilege, target, login);
            ELSE
                -- It may have been given by default.
                EXECUTE format('REVOKE %s ON %s FROM %I', privilege, target, login);
            END IF;
        END LOOP;
    END LOOP;
END
$$;

-- What the app role could get past the guard by.
CREATE FUNCTION tenancy.app_leaks() RETURNS TABLE (
        code text, subject text, subject_oid oid, about oid[], finding text, mend text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT f.code, f.subject, f.subject_oid, f.about, f.finding, f.mend
        FROM (
            SELECT * FROM tenancy.relation_findings(tenancy.role_name('app'))
            UNION ALL
            SELECT * FROM tenancy.definer_findings(tenancy.role_name('app'))
        ) AS f WHERE f.level = 'error';
    END;

-- Refuses to go on if the service could see other tenants' rows by something around this table, or by
-- something that was not there before. `known` are those that were, as code and subject.
CREATE FUNCTION tenancy.refuse_leaks(target regclass, verb text, known text[]) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    concerned oid[] := ARRAY(SELECT tenancy.descendants(target));
    leak record;
BEGIN
    SELECT l.*, (SELECT string_agg(a::regclass::text, ', ') FROM unnest(l.about) AS a) AS names INTO leak
    FROM tenancy.app_leaks() AS l
    WHERE l.subject_oid = ANY (concerned) OR l.about && concerned
        OR l.code || ' ' || l.subject <> ALL (known)
    LIMIT 1;
    IF FOUND THEN
        PERFORM tenancy.refuse(
            format('can''t %s %s: %s: %s%s', verb, target, leak.subject, leak.finding,
                coalesce(' (' || leak.names || ')', '')),
            CASE verb WHEN 'share'
                THEN 'What every tenant may read must lead to no tenant''s rows: protect it, or keep what is '
                    'common in a table of its own.'
                ELSE leak.mend END);
    END IF;
END
$$;

-- Says what will behave differently in the application's own code and policies.
CREATE FUNCTION tenancy.say_around(target regclass) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    policies text;
    code record;
BEGIN
    FOR code IN SELECT w.subject, w.finding FROM tenancy.code_warnings() AS w WHERE target = ANY (w.about) LOOP
        RAISE WARNING 'tenancy: %: %', code.subject, code.finding;
    END LOOP;
    SELECT string_agg(quote_ident(p.polname), ', ') INTO policies FROM pg_policy AS p
    WHERE p.polrelid = target AND p.polname NOT LIKE 'tenancy\_%';
    IF policies IS NOT NULL THEN
        RAISE NOTICE 'tenancy: % has policies of its own, which stay in force: %', target, policies;
    END IF;
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
CREATE FUNCTION tenancy.protect(
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
BEGIN
    PERFORM tenancy.one_at_a_time();
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
        EXECUTE format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY', target);
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
        EXECUTE format('CREATE INDEX ON %s (%s)', target, tenancy.column_list(scope));
    END IF;

    PERFORM tenancy.ensure_policies(target, scope[1], scope[2]);
    IF NOT relation.relrowsecurity OR NOT relation.relforcerowsecurity THEN
        EXECUTE format(
            'ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', target);
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
END
$$;

-- Lets every tenant read a table that is no tenant's, such as a list of countries, or a view.
CREATE OR REPLACE FUNCTION tenancy.share(target regclass) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    relation pg_class;
    app name := tenancy.role_name('app');
    holder record;
    known text[];
BEGIN
    PERFORM tenancy.one_at_a_time();
    known := ARRAY(SELECT l.code || ' ' || l.subject FROM tenancy.app_leaks() AS l);
    SELECT * INTO STRICT relation FROM pg_class WHERE oid = target;
    IF relation.relkind NOT IN ('r', 'p', 'v', 'm', 'f') OR relation.relnamespace IN (
        'tenancy'::regnamespace, 'pg_catalog'::regnamespace, 'information_schema'::regnamespace)
    THEN
        RAISE EXCEPTION 'can''t share %: it is no table or view of the application', target
            USING ERRCODE = 'wrong_object_type';
    END IF;
    IF relation.relrowsecurity THEN
        RAISE EXCEPTION 'can''t share %: it is protected', target
            USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'A table belongs to tenants or to all; keep what is common in a table of its own.';
    END IF;
    IF NOT pg_has_role(relation.relowner, 'USAGE') THEN
        PERFORM tenancy.refuse(format('can''t share %s: it belongs to %I', target,
                pg_get_userbyid(relation.relowner)),
            format('As its owner or an administrator: ALTER TABLE %s OWNER TO %I', target,
                tenancy.role_name('owner')));
    END IF;
    -- What a view reads as a superuser, row security does not cover.
    IF relation.relkind IN ('v', 'm') AND relation.relowner <> quote_ident(tenancy.role_name('owner'))::regrole
        AND pg_has_role(relation.relowner, 'USAGE')
    THEN
        EXECUTE format('ALTER %s %s OWNER TO %I',
            CASE relation.relkind WHEN 'v' THEN 'VIEW' ELSE 'MATERIALIZED VIEW' END, target,
            tenancy.role_name('owner'));
        SELECT * INTO STRICT relation FROM pg_class WHERE oid = target;
    END IF;
    -- Sharing is reading.
    EXECUTE format('REVOKE INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER%s ON %s FROM PUBLIC, %I',
        CASE WHEN current_setting('server_version_num')::int >= 170000 THEN ', MAINTAIN' ELSE '' END,
        target, app);
    SELECT CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(r.rolname) END AS grantee,
        x.privilege_type, quote_ident(pg_get_userbyid(x.grantor)) AS grantor INTO holder
    FROM (SELECT c.relacl AS acl FROM pg_class AS c WHERE c.oid = target
        UNION ALL SELECT a.attacl FROM pg_attribute AS a WHERE a.attrelid = target) AS g,
        aclexplode(g.acl) AS x LEFT JOIN pg_roles AS r ON r.oid = x.grantee
    WHERE x.privilege_type <> 'SELECT'
        AND (x.grantee = 0 OR r.oid <> relation.relowner AND pg_has_role(app, r.oid, 'MEMBER'))
    LIMIT 1;
    IF FOUND THEN
        PERFORM tenancy.refuse(
            format('can''t share %s: the service may %s it as %s, by a grant of %s', target,
                holder.privilege_type, holder.grantee, holder.grantor),
            format('REVOKE %s ON %s FROM %s GRANTED BY %s', holder.privilege_type, target, holder.grantee,
                holder.grantor));
    END IF;
    EXECUTE format('GRANT SELECT ON %s TO %I', target, app);
    PERFORM tenancy.open_schema(target);
    PERFORM tenancy.refuse_leaks(target, 'share', known);
END
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA tenancy FROM PUBLIC;
