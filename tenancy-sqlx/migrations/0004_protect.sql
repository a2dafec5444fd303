-- Protecting a table: one call gives it the tenant column, keys, indexes and policies.

-- What a policy does, as the server reads it back.
CREATE FUNCTION tenancy.policy_state(policy oid) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT md5(concat_ws('|', p.polpermissive, p.polcmd,
            (SELECT string_agg(r.rolname, ',' ORDER BY r.rolname)
             FROM pg_roles AS r WHERE r.oid = ANY (p.polroles)),
            pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)))
        FROM pg_policy AS p WHERE p.oid = policy;
    END;

-- Makes a policy unless it stands there already as described. The description, and what the server
-- made of it, are kept as the policy's comment: running this again takes no lock, and mends a
-- policy that was altered.
CREATE FUNCTION tenancy.ensure_policy(
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
        EXECUTE format('DROP POLICY %I ON %s', policy, target);
    END IF;
    EXECUTE format('CREATE POLICY %I ON %s %s', policy, target, body);
    SELECT p.oid INTO STRICT found FROM pg_policy AS p
    WHERE p.polrelid = target AND p.polname = policy;
    EXECUTE format('COMMENT ON POLICY %I ON %s IS %L',
        policy, target, note || tenancy.policy_state(found));
END
$$;

-- The three policies of a table. PERMISSIVE lets the app role at its own tenant's rows; RESTRICTIVE
-- makes a careless PERMISSIVE policy that somebody adds later harmless; the system role sees all.
CREATE FUNCTION tenancy.ensure_policies(target regclass, tenant_column name) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- The subselect is evaluated once per statement, not once per row.
    own text := format('%I = (SELECT tenancy.current_tenant())', tenant_column);
BEGIN
    PERFORM tenancy.ensure_policy(
        target, 'tenancy_allow', true, tenancy.role_name('app'), own);
    PERFORM tenancy.ensure_policy(
        target, 'tenancy_guard', false, tenancy.role_name('app'), own);
    PERFORM tenancy.ensure_policy(
        target, 'tenancy_system', true, tenancy.role_name('system'), 'true');
END
$$;

CREATE FUNCTION tenancy.column_numbers(target regclass, columns name[]) RETURNS int2[]
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT array_agg(a.attnum ORDER BY c.position)
        FROM unnest(columns) WITH ORDINALITY AS c (name, position)
        JOIN pg_attribute AS a ON a.attrelid = target AND a.attname = c.name AND NOT a.attisdropped;
    END;

CREATE FUNCTION tenancy.column_names(target regclass, numbers int2[]) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY n.position)
        FROM unnest(numbers) WITH ORDINALITY AS n (number, position)
        JOIN pg_attribute AS a ON a.attrelid = target AND a.attnum = n.number;
    END;

-- What a foreign key does when its target goes, without clearing the tenant column.
CREATE FUNCTION tenancy.fk_actions(fk pg_constraint) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    RETURN
        CASE (fk).confupdtype WHEN 'r' THEN ' ON UPDATE RESTRICT' WHEN 'c' THEN ' ON UPDATE CASCADE'
            ELSE '' END
        || CASE (fk).confdeltype WHEN 'r' THEN ' ON DELETE RESTRICT' WHEN 'c' THEN ' ON DELETE CASCADE'
            WHEN 'n' THEN format(' ON DELETE SET NULL (%s)', tenancy.column_names(
                (fk).conrelid::regclass, coalesce((fk).confdelsetcols, (fk).conkey)))
            WHEN 'd' THEN format(' ON DELETE SET DEFAULT (%s)', tenancy.column_names(
                (fk).conrelid::regclass, coalesce((fk).confdelsetcols, (fk).conkey)))
            ELSE '' END
        || CASE WHEN (fk).condeferrable THEN ' DEFERRABLE' ELSE '' END
        || CASE WHEN (fk).condeferred THEN ' INITIALLY DEFERRED' ELSE '' END;

-- Refuses a key whose action would clear the tenant column: PostgreSQL takes a list of columns for
-- ON DELETE only.
CREATE FUNCTION tenancy.check_fk_actions(fk pg_constraint) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF (fk).confupdtype IN ('n', 'd') THEN
        RAISE EXCEPTION 'can''t pair the foreign key % of %: ON UPDATE SET would clear the tenant',
            (fk).conname, (fk).conrelid::regclass
            USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Create it anew with another action ON UPDATE.';
    END IF;
END
$$;

-- Adds a foreign key between two tables of which either may be protected already. PostgreSQL
-- checks the rows that are there with a query of the owner's: forced row security would hide them,
-- and rows that refer to another tenant's would pass.
CREATE FUNCTION tenancy.add_foreign_key(referrer regclass, target regclass, ddl text) RETURNS void
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
        EXECUTE format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY', relation);
    END LOOP;
    EXECUTE format('ALTER TABLE %s ADD %s', referrer, ddl);
    FOREACH relation IN ARRAY forced LOOP
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', relation);
    END LOOP;
END
$$;

-- Rebuilds a foreign key so that it pairs the tenant of both sides.
CREATE FUNCTION tenancy.pair_foreign_key(fk pg_constraint, tenant_column name) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM tenancy.check_fk_actions(fk);
    EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', (fk).conrelid::regclass, (fk).conname);
    PERFORM tenancy.add_foreign_key((fk).conrelid, (fk).confrelid, format(
        'CONSTRAINT %I FOREIGN KEY (%I, %s) REFERENCES %s (%I, %s)%s', (fk).conname,
        tenant_column, tenancy.column_names((fk).conrelid::regclass, (fk).conkey),
        (fk).confrelid::regclass, tenant_column,
        tenancy.column_names((fk).confrelid::regclass, (fk).confkey), tenancy.fk_actions(fk)));
END
$$;

-- Protects a table. Idempotent. To be called by the table's owner, also in a migration:
--
--     CREATE TABLE notes (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), body text NOT NULL);
--     SELECT tenancy.protect('notes');
CREATE FUNCTION tenancy.protect(target regclass, tenant_column name DEFAULT 'tenant_id')
    RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant int2;
    has_rows boolean;
    relation pg_class;
    item pg_constraint;
    referrer pg_constraint;
    referrers pg_constraint[];
    index_name text;
    child regclass;
BEGIN
    SELECT * INTO STRICT relation FROM pg_class WHERE oid = target;
    IF relation.relkind NOT IN ('r', 'p') THEN
        RAISE EXCEPTION 'can''t protect %: row security exists for tables only', target
            USING ERRCODE = 'wrong_object_type',
            HINT = 'Protect the tables behind a view, and create the view WITH (security_invoker). '
                'Move the data of a materialized view or foreign table into a table.';
    END IF;
    IF relation.relnamespace = 'tenancy'::regnamespace OR relation.relpersistence = 't' THEN
        RAISE EXCEPTION 'can''t protect %: it is not a table of the application', target
            USING ERRCODE = 'wrong_object_type';
    END IF;
    IF relation.relispartition AND NOT (
        SELECT p.relrowsecurity FROM pg_inherits AS i JOIN pg_class AS p ON p.oid = i.inhparent
        WHERE i.inhrelid = target)
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

    -- A table that belongs to a superuser lends its views and functions a way past row security.
    IF relation.relowner <> quote_ident(tenancy.role_name('owner'))::regrole THEN
        EXECUTE format('ALTER TABLE %s OWNER TO %I', target, tenancy.role_name('owner'));
    END IF;

    -- The column.
    tenant := (tenancy.column_numbers(target, ARRAY[tenant_column]))[1];
    IF tenant IS NULL THEN
        EXECUTE format('SELECT EXISTS (SELECT FROM %s)', target) INTO has_rows;
        IF has_rows THEN
            RAISE EXCEPTION 'can''t protect %: it has rows that belong to no tenant', target
                USING ERRCODE = 'object_not_in_prerequisite_state',
                HINT = format('Say whose they are first: ALTER TABLE %s ADD COLUMN %I uuid; '
                    'then UPDATE every row.', target, tenant_column);
        END IF;
        EXECUTE format('ALTER TABLE %s ADD COLUMN %I uuid', target, tenant_column);
        tenant := (tenancy.column_numbers(target, ARRAY[tenant_column]))[1];
    END IF;
    IF (SELECT a.atttypid <> 'uuid'::regtype FROM pg_attribute AS a
        WHERE a.attrelid = target AND a.attnum = tenant)
    THEN
        RAISE EXCEPTION 'can''t protect %: the column % is not of type uuid', target, tenant_column
            USING ERRCODE = 'datatype_mismatch';
    END IF;
    -- Only where it is missing: each takes a lock that waits for every reader.
    IF NOT (SELECT a.attnotnull FROM pg_attribute AS a
            WHERE a.attrelid = target AND a.attnum = tenant)
    THEN
        EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET NOT NULL', target, tenant_column);
    END IF;
    IF NOT EXISTS (
        SELECT FROM pg_attrdef AS d WHERE d.adrelid = target AND d.adnum = tenant
            AND pg_get_expr(d.adbin, d.adrelid) = 'tenancy.current_tenant()')
    THEN
        EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET DEFAULT tenancy.current_tenant()',
            target, tenant_column);
    END IF;

    -- The tenant exists.
    IF NOT EXISTS (
        SELECT FROM pg_constraint AS c
        WHERE c.conrelid = target AND c.contype = 'f' AND c.confrelid = 'tenancy.tenants'::regclass
            AND c.conkey = ARRAY[tenant])
    THEN
        EXECUTE format('ALTER TABLE %s ADD FOREIGN KEY (%I) REFERENCES tenancy.tenants (id)',
            target, tenant_column);
    END IF;

    -- Keys hold within one tenant: a duplicate must not tell that another tenant has the value.
    FOR item IN
        SELECT c.* FROM pg_constraint AS c
        WHERE c.conrelid = target AND c.contype IN ('p', 'u') AND NOT tenant = ANY (c.conkey)
    LOOP
        referrers := ARRAY(
            SELECT c FROM pg_constraint AS c
            WHERE c.contype = 'f' AND c.conindid = item.conindid AND c.conparentid = 0);
        FOREACH referrer IN ARRAY referrers LOOP
            IF tenancy.column_numbers(referrer.conrelid::regclass, ARRAY[tenant_column]) IS NULL THEN
                RAISE EXCEPTION 'can''t protect %: % refers to it and has no tenant',
                    target, referrer.conrelid::regclass
                    USING ERRCODE = 'dependent_objects_still_exist',
                    HINT = format('Give the other table its tenant first: ALTER TABLE %s '
                        'ADD COLUMN %I uuid; then protect both.',
                        referrer.conrelid::regclass, tenant_column);
            END IF;
            PERFORM tenancy.check_fk_actions(referrer);
            EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I',
                referrer.conrelid::regclass, referrer.conname);
        END LOOP;
        -- Its own text, with the tenant before the first column: whatever else it says stays.
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I, ADD CONSTRAINT %2$I %s',
            target, item.conname, overlay(pg_get_constraintdef(item.oid)
                PLACING format('(%I, ', tenant_column)
                FROM position('(' IN pg_get_constraintdef(item.oid)) FOR 1));
        FOREACH referrer IN ARRAY referrers LOOP
            PERFORM tenancy.add_foreign_key(referrer.conrelid, target, format(
                'CONSTRAINT %I FOREIGN KEY (%I, %s) REFERENCES %s (%I, %s)%s', referrer.conname,
                tenant_column, tenancy.column_names(referrer.conrelid::regclass, referrer.conkey),
                target, tenant_column, tenancy.column_names(target, referrer.confkey),
                tenancy.fk_actions(referrer)));
        END LOOP;
    END LOOP;
    SELECT i.indexrelid::regclass::text INTO index_name
    FROM pg_index AS i
    WHERE i.indrelid = target AND (i.indisunique OR i.indisexclusion)
        -- Not the columns that an index merely carries along (INCLUDE).
        AND NOT tenant = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
    LIMIT 1;
    IF index_name IS NOT NULL THEN
        RAISE EXCEPTION 'can''t protect %: the unique index % spans tenants', target, index_name
            USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = format('Drop it and create it anew with %I as its first column.', tenant_column);
    END IF;

    -- References stay within one tenant: PostgreSQL checks foreign keys past row security.
    FOR item IN
        SELECT c.* FROM pg_constraint AS c
        WHERE c.conrelid = target AND c.contype = 'f' AND c.conparentid = 0
            AND c.confrelid <> 'tenancy.tenants'::regclass AND NOT tenant = ANY (c.conkey)
            AND tenancy.column_numbers(c.confrelid::regclass, ARRAY[tenant_column]) IS NOT NULL
            -- A target whose key is not paired yet is paired with its referrers when it is protected.
            AND EXISTS (
                SELECT FROM pg_constraint AS k
                WHERE k.conrelid = c.confrelid AND k.contype IN ('p', 'u')
                    AND k.conkey @> c.confkey
                    AND k.conkey @> tenancy.column_numbers(
                        c.confrelid::regclass, ARRAY[tenant_column])
                    AND cardinality(k.conkey) = cardinality(c.confkey) + 1)
    LOOP
        PERFORM tenancy.pair_foreign_key(item, tenant_column);
    END LOOP;

    -- Every query filters by tenant.
    IF NOT EXISTS (
        SELECT FROM pg_index AS i
        WHERE i.indrelid = target AND i.indisvalid AND i.indpred IS NULL AND i.indkey[0] = tenant)
    THEN
        EXECUTE format('CREATE INDEX ON %s (%I)', target, tenant_column);
    END IF;

    PERFORM tenancy.ensure_policies(target, tenant_column);
    IF NOT relation.relrowsecurity OR NOT relation.relforcerowsecurity THEN
        EXECUTE format(
            'ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', target);
    END IF;

    -- Row security does not cover TRUNCATE, nor what a trigger or a foreign key can read.
    EXECUTE format('REVOKE ALL ON %s FROM PUBLIC', target);
    EXECUTE format('REVOKE TRUNCATE, REFERENCES, TRIGGER ON %s FROM %I',
        target, tenancy.role_name('app'));
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO %I, %I',
        target, tenancy.role_name('app'), tenancy.role_name('system'));

    -- A table that was there before the installation has sequences of its own.
    FOR child IN
        SELECT d.objid::regclass FROM pg_depend AS d JOIN pg_class AS s ON s.oid = d.objid
        WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
            AND d.refobjid = target AND d.deptype = 'a' AND s.relkind = 'S'
    LOOP
        EXECUTE format('GRANT USAGE ON SEQUENCE %s TO %I, %I',
            child, tenancy.role_name('app'), tenancy.role_name('system'));
    END LOOP;

    -- Row security is not inherited: a partition can be read by its own name.
    FOR child IN SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = target LOOP
        PERFORM tenancy.protect(child, tenant_column);
    END LOOP;
END
$$;

-- Lets every tenant read a table that is no tenant's, such as a list of countries.
CREATE FUNCTION tenancy.share(target regclass) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF (SELECT c.relrowsecurity FROM pg_class AS c WHERE c.oid = target) THEN
        RAISE EXCEPTION 'can''t share %: it is protected', target
            USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'A table belongs to tenants or to all; keep what is common in a table of its own.';
    END IF;
    EXECUTE format('GRANT SELECT ON %s TO %I', target, tenancy.role_name('app'));
END
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA tenancy FROM PUBLIC;
