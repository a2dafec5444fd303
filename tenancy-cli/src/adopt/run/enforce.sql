-- The cut-over, and the way back from it.

-- All relations that an adoption changes: the tables, their partitions, what inherits.
CREATE OR REPLACE FUNCTION tenancy_adopt.concerned() RETURNS TABLE (relation oid)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT DISTINCT d.relation FROM tenancy_adopt.tables AS t
            CROSS JOIN LATERAL tenancy.descendants(t.relation) AS d (relation);
    END;

-- The keys and references of these relations, with what is said about them beside.
CREATE OR REPLACE FUNCTION tenancy_adopt.definitions() RETURNS TABLE (kind text, about text, name name, definition text, id oid)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT CASE k.contype WHEN 'f' THEN 'reference' ELSE 'key' END, k.conrelid::regclass::text, k.conname,
            pg_get_constraintdef(k.oid), k.oid
        FROM pg_constraint AS k
        WHERE k.conparentid = 0 AND NOT k.conname LIKE 'tenancy\_adopt\_%'
            AND (k.contype IN ('p', 'u') AND k.conrelid IN (SELECT c.relation FROM tenancy_adopt.concerned() AS c)
                OR k.contype = 'f' AND (k.conrelid IN (SELECT c.relation FROM tenancy_adopt.concerned() AS c)
                    OR k.confrelid IN (SELECT c.relation FROM tenancy_adopt.concerned() AS c)))
        UNION ALL
        SELECT 'index', i.indrelid::regclass::text, x.relname, replace(pg_get_indexdef(i.indexrelid),
            ' ON ONLY ', ' ON '), i.indexrelid
        FROM pg_index AS i JOIN pg_class AS x ON x.oid = i.indexrelid
        WHERE i.indrelid IN (SELECT c.relation FROM tenancy_adopt.concerned() AS c) AND i.indisvalid
            AND NOT x.relname LIKE 'tenancy\_adopt\_%'
            AND NOT EXISTS (SELECT FROM pg_inherits AS h WHERE h.inhrelid = i.indexrelid)
            AND NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'));
    END;

-- Remembers what enforcing changes.
CREATE OR REPLACE FUNCTION tenancy_adopt.keep() RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    d record;
    views jsonb;
BEGIN
    DELETE FROM tenancy_adopt.kept;
    INSERT INTO tenancy_adopt.kept (kind, about, state)
    SELECT 'relation', c.oid::regclass::text, jsonb_build_object('owner', pg_get_userbyid(c.relowner),
        'comment', obj_description(c.oid, 'pg_class'), 'grants', tenancy.grants_of(c.oid::regclass),
        'untouched', c.relacl IS NULL, 'nullable', EXISTS (SELECT FROM pg_attribute AS a
            WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attnotnull),
        -- The application's own: what observing has switched on is none of it.
        'security', c.relrowsecurity AND NOT EXISTS (SELECT FROM pg_policy AS p
            WHERE p.polrelid = c.oid AND p.polname = 'tenancy_adopt_others'),
        'forced', c.relforcerowsecurity,
        'policies', (SELECT coalesce(jsonb_agg(p.polname), '[]') FROM pg_policy AS p
            WHERE p.polrelid = c.oid AND NOT starts_with(p.polname, 'tenancy_adopt_')))
    FROM pg_class AS c WHERE c.oid IN (SELECT r.relation FROM tenancy_adopt.concerned() AS r);
    INSERT INTO tenancy_adopt.kept (kind, about, state)
    SELECT 'publication', c.relation::regclass::text, s.state || jsonb_build_object('name', s.object)
    FROM tenancy_adopt.concerned() AS c CROSS JOIN LATERAL tenancy.table_state(c.relation) AS s
    WHERE s.kind = 'publication';
    -- Which of these were protected before, by `protect`.
    INSERT INTO tenancy_adopt.kept (kind, about, state)
    SELECT 'protected', p.relation::text, '{}'::jsonb FROM tenancy.protections AS p GROUP BY p.relation;
    INSERT INTO tenancy_adopt.kept (kind, about, state)
    SELECT DISTINCT 'around', a.take, '{}'::jsonb FROM tenancy_adopt.concerned() AS c
        CROSS JOIN LATERAL tenancy_adopt.closed_around(c.relation::regclass) AS a;
    FOR d IN SELECT * FROM tenancy_adopt.definitions() LOOP
        INSERT INTO tenancy_adopt.kept (kind, about, state) VALUES (d.kind, d.about, jsonb_build_object(
            'name', d.name, 'definition', d.definition,
            'comment', obj_description(d.id, CASE d.kind WHEN 'index' THEN 'pg_class' ELSE 'pg_constraint' END),
            'marks', CASE d.kind WHEN 'index' THEN tenancy.index_marks(d.id)
                WHEN 'key' THEN tenancy.index_marks((SELECT k.conindid FROM pg_constraint AS k WHERE k.oid = d.id)) END));
        IF d.kind = 'key' THEN
            BEGIN
                views := tenancy.drop_views_on(d.id);
                RAISE EXCEPTION USING ERRCODE = 'TN000', MESSAGE = 'only looked at';
            EXCEPTION WHEN SQLSTATE 'TN000' THEN
                IF views <> '[]' THEN
                    INSERT INTO tenancy_adopt.kept (kind, about, state) VALUES ('views', d.about, views);
                END IF;
            END;
        END IF;
    END LOOP;
END
$$;

-- Puts the keys that were built beside in the place of the old ones. Nothing is read of the tables.
CREATE OR REPLACE FUNCTION tenancy_adopt.swap() RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    fk pg_constraint;
    con pg_constraint;
    k record;
    made regclass;
    marks jsonb;
    views jsonb;
    comment text;
    renamed jsonb := '[]';
    saved jsonb := '[]';
    one jsonb;
BEGIN
    -- Of a partitioned table there is none beside: it is made anew in the lock, once the key is there.
    FOR fk IN
        SELECT c.* FROM pg_constraint AS c JOIN tenancy_adopt.tables AS r ON r.relation = c.conrelid AND r.kind = 'tenant'
            JOIN tenancy_adopt.tables AS o ON o.relation = c.confrelid AND o.kind = 'tenant'
            JOIN pg_class AS l ON l.oid = c.conrelid AND l.relkind = 'p'
            JOIN pg_class AS d ON d.oid = c.confrelid AND d.relkind = 'r'
        WHERE c.contype = 'f' AND c.conparentid = 0
    LOOP
        saved := saved || coalesce(tenancy.drop_unscoped(fk, '{tenant_id}', '{tenant_id}'), '[]');
    END LOOP;
    FOR fk IN SELECT * FROM tenancy_adopt.old_references() LOOP
        CONTINUE WHEN NOT EXISTS (SELECT FROM pg_constraint AS c
            WHERE c.conrelid = (fk).conrelid AND c.conname = 'tenancy_adopt_f' || (fk).oid);
        renamed := renamed || jsonb_build_object('relation', (fk).conrelid::regclass, 'name', (fk).conname,
            'made', 'tenancy_adopt_f' || (fk).oid, 'comment', obj_description((fk).oid, 'pg_constraint'));
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', (fk).conrelid::regclass, (fk).conname);
    END LOOP;
    FOR k IN SELECT * FROM tenancy_adopt.old_keys() AS o ORDER BY o.number, o.index LOOP
        made := to_regclass(format('%I.%I', k.schema, 'tenancy_adopt_k' || k.index));
        CONTINUE WHEN made IS NULL OR NOT (SELECT i.indisvalid FROM pg_index AS i WHERE i.indexrelid = made);
        IF k.everywhere THEN
            -- The name that PostgreSQL would give it matters to nobody.
            EXECUTE format('ALTER INDEX %s RENAME TO %I', made, tenancy_adopt.cut('tenant_' || k.name, '_' || k.index));
            CONTINUE;
        END IF;
        SELECT * INTO con FROM pg_constraint AS c WHERE c.conindid = k.index AND c.contype IN ('p', 'u');
        -- What refers to it and was not made beside, `protect` makes: the key stays for that.
        CONTINUE WHEN EXISTS (SELECT FROM pg_constraint AS c WHERE c.contype = 'f' AND c.conindid = k.index);
        marks := tenancy.index_marks(k.index);
        comment := obj_description((con).oid, 'pg_constraint');
        views := tenancy.drop_views_on((con).oid);
        IF (con).oid IS NULL THEN
            EXECUTE format('DROP INDEX %I.%I', k.schema, k.name);
        ELSE
            EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', k.relation, (con).conname);
        END IF;
        EXECUTE format('ALTER INDEX %s RENAME TO %I', made, k.name);
        IF (con).oid IS NOT NULL THEN
            EXECUTE format('ALTER TABLE %s ADD CONSTRAINT %I %s USING INDEX %I%s', k.relation, (con).conname,
                CASE (con).contype WHEN 'p' THEN 'PRIMARY KEY' ELSE 'UNIQUE' END, k.name,
                CASE WHEN (con).condeferrable THEN ' DEFERRABLE' ELSE '' END
                    || CASE WHEN (con).condeferred THEN ' INITIALLY DEFERRED' ELSE '' END);
            IF comment IS NOT NULL THEN
                EXECUTE format('COMMENT ON CONSTRAINT %I ON %s IS %L', (con).conname, k.relation, comment);
            END IF;
        END IF;
        PERFORM tenancy.set_index_marks(made, marks);
        PERFORM tenancy.add_views(views, k.relation, '{tenant_id}');
    END LOOP;
    FOR one IN SELECT jsonb_array_elements(renamed) LOOP
        EXECUTE format('ALTER TABLE %s RENAME CONSTRAINT %I TO %I', one ->> 'relation', one ->> 'made', one ->> 'name');
        IF one ->> 'comment' IS NOT NULL THEN
            EXECUTE format('COMMENT ON CONSTRAINT %I ON %s IS %L', one ->> 'name', one ->> 'relation', one ->> 'comment');
        END IF;
    END LOOP;
    FOR one IN SELECT jsonb_array_elements(saved) LOOP
        PERFORM tenancy.add_scoped(one);
    END LOOP;
    FOR k IN
        SELECT c.oid::regclass AS index, tenancy_adopt.cut(t.relname, '_tenant_id_idx') AS wanted,
            tenancy_adopt.cut(t.relname, '_' || c.oid || '_tenant_id_idx') AS other, c.relnamespace FROM pg_class AS c JOIN pg_index AS i ON i.indexrelid = c.oid
        JOIN pg_class AS t ON t.oid = i.indrelid
        WHERE c.relname = 'tenancy_adopt_t' || i.indrelid AND i.indrelid IN (SELECT o.relation FROM tenancy_adopt.concerned() AS o)
    LOOP
        EXECUTE format('ALTER INDEX %s RENAME TO %I', k.index, CASE WHEN EXISTS (
            SELECT FROM pg_class AS c WHERE c.relnamespace = k.relnamespace AND c.relname = k.wanted)
            THEN k.other ELSE k.wanted END);
    END LOOP;
END
$$;

-- What an index that was built and not used is called: nobody's.
CREATE OR REPLACE FUNCTION tenancy_adopt.drop_unused() RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    k record;
BEGIN
    FOR k IN SELECT c.conrelid::regclass AS relation, c.conname FROM pg_constraint AS c
        WHERE c.conrelid IN (SELECT o.relation FROM tenancy_adopt.concerned() AS o) AND c.conparentid = 0
            AND c.conname LIKE 'tenancy\_adopt\_%'
    LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT IF EXISTS %I', k.relation, k.conname);
    END LOOP;
    FOR k IN SELECT i.indexrelid::regclass AS index FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
        WHERE i.indrelid IN (SELECT o.relation FROM tenancy_adopt.concerned() AS o)
            AND c.relname LIKE 'tenancy\_adopt\_%'
    LOOP
        EXECUTE format('DROP INDEX IF EXISTS %s', k.index);
    END LOOP;
END
$$;

CREATE OR REPLACE FUNCTION tenancy_adopt.drop_triggers() RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    g record;
BEGIN
    FOR g IN SELECT t.tgname, t.tgrelid::regclass AS relation FROM pg_trigger AS t
        WHERE t.tgname LIKE '%\_tenancy\_adopt%' AND t.tgparentid = 0
            AND t.tgrelid IN (SELECT r.relation FROM tenancy_adopt.triggered() AS r)
    LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', g.tgname, g.relation);
    END LOOP;
    FOR g IN SELECT p.oid::regprocedure AS function FROM pg_proc AS p
        WHERE p.pronamespace = 'tenancy_adopt'::regnamespace AND p.prorettype = 'trigger'::regtype
    LOOP
        EXECUTE format('DROP FUNCTION %s', g.function);
    END LOOP;
END
$$;

-- Drops the policies that observe, and switches row security off where they were: there it was off.
CREATE OR REPLACE FUNCTION tenancy_adopt.drop_observing() RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    p record;
    policy name;
BEGIN
    FOR p IN SELECT o.polrelid::regclass AS relation, array_agg(o.polname) AS policies FROM pg_policy AS o
        WHERE o.polrelid IN (SELECT c.relation FROM tenancy_adopt.concerned() AS c)
            AND starts_with(o.polname, 'tenancy_adopt_') GROUP BY 1
    LOOP
        FOREACH policy IN ARRAY p.policies LOOP
            EXECUTE format('DROP POLICY %I ON %s', policy, p.relation);
        END LOOP;
        EXECUTE format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY', p.relation);
    END LOOP;
END
$$;

-- Drops the policies that have come since `keep`, and switches row security as it was.
CREATE OR REPLACE FUNCTION tenancy_adopt.restore_security() RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    k record;
    policy name;
BEGIN
    FOR k IN SELECT c.oid::regclass AS relation, c.oid AS id, c.relrowsecurity, c.relforcerowsecurity, o.state
        FROM tenancy_adopt.kept AS o JOIN pg_class AS c ON c.oid = to_regclass(o.about) WHERE o.kind = 'relation'
    LOOP
        FOR policy IN SELECT p.polname FROM pg_policy AS p WHERE p.polrelid = k.id
            AND starts_with(p.polname, 'tenancy_') AND NOT k.state -> 'policies' ? p.polname::text
        LOOP
            EXECUTE format('DROP POLICY %I ON %s', policy, k.relation);
        END LOOP;
        IF k.relrowsecurity <> (k.state ->> 'security')::boolean THEN
            EXECUTE format('ALTER TABLE %s %s ROW LEVEL SECURITY', k.relation,
                CASE WHEN k.relrowsecurity THEN 'DISABLE' ELSE 'ENABLE' END);
        END IF;
        IF k.relforcerowsecurity <> (k.state ->> 'forced')::boolean THEN
            EXECUTE format('ALTER TABLE %s %s ROW LEVEL SECURITY', k.relation,
                CASE WHEN k.relforcerowsecurity THEN 'NO FORCE' ELSE 'FORCE' END);
        END IF;
    END LOOP;
END
$$;

-- Gives publications the lists of columns that they had, where they still publish the table.
CREATE OR REPLACE FUNCTION tenancy_adopt.restore_publications() RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    k record;
BEGIN
    FOR k IN SELECT o.about, o.state FROM tenancy_adopt.kept AS o
            JOIN pg_publication AS b ON b.pubname = o.state ->> 'name'
            JOIN pg_publication_rel AS r ON r.prpubid = b.oid AND r.prrelid = to_regclass(o.about)
        WHERE o.kind = 'publication' AND NOT EXISTS (
            SELECT FROM tenancy.table_state(r.prrelid) AS s WHERE s.kind = 'publication'
                AND s.object = o.state ->> 'name' AND s.state = o.state - 'name')
    LOOP
        EXECUTE format('ALTER PUBLICATION %I DROP TABLE %s', k.state ->> 'name', k.about);
        EXECUTE format('ALTER PUBLICATION %I ADD TABLE %s (%s)%s', k.state ->> 'name', k.about, k.state ->> 'columns',
            k.state ->> 'where');
    END LOOP;
END
$$;

CREATE OR REPLACE FUNCTION tenancy_adopt.enforce() RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    t record;
    give text;
BEGIN
    PERFORM tenancy_adopt.keep();
    PERFORM tenancy_adopt.drop_observing();
    PERFORM tenancy_adopt.drop_triggers();
    PERFORM tenancy_adopt.swap();
    PERFORM tenancy_adopt.drop_unused();
    FOR give IN SELECT DISTINCT a.give FROM tenancy_adopt.concerned() AS c
        CROSS JOIN LATERAL tenancy_adopt.closed_around(c.relation::regclass) AS a
    LOOP
        EXECUTE give;
    END LOOP;
    PERFORM tenancy.protect_tables(array_agg(o.relation ORDER BY o.number), NULL, NULL,
        (SELECT coalesce(array_agg(e), '{}') FROM tenancy_adopt.tables AS g, unnest(g.everywhere) AS e
            WHERE g.kind = 'tenant'))
    FROM tenancy_adopt.tables AS o WHERE o.kind = 'tenant' HAVING count(*) > 0;
    FOR t IN SELECT o.relation, o.kind FROM tenancy_adopt.tables AS o WHERE o.kind <> 'tenant' ORDER BY o.number LOOP
        IF t.kind = 'shared' THEN
            PERFORM tenancy.share(t.relation);
        ELSIF strpos(coalesce(obj_description(t.relation, 'pg_class'), ''), '[tenancy: not for tenants]') = 0 THEN
            EXECUTE format('COMMENT ON TABLE %s IS %L', t.relation,
                concat_ws(' ', obj_description(t.relation, 'pg_class'), '[tenancy: not for tenants]'));
        END IF;
    END LOOP;
END
$$;

-- Makes everything what `keep` remembers. What duplicates forbid by now, PostgreSQL refuses, and nothing is changed.
CREATE OR REPLACE FUNCTION tenancy_adopt.restore() RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    d record;
    k record;
    grantee record;
    statement text;
    made oid;
BEGIN
    IF NOT EXISTS (SELECT FROM tenancy_adopt.kept) THEN
        RAISE EXCEPTION 'there is nothing to go back to: the tables were not enforced';
    END IF;
    PERFORM tenancy_adopt.lock(ARRAY(SELECT c.relation::regclass FROM tenancy_adopt.concerned() AS c), 'ACCESS EXCLUSIVE');
    PERFORM tenancy_adopt.restore_security();
    FOR d IN SELECT x.* FROM tenancy_adopt.definitions() AS x
        WHERE NOT EXISTS (SELECT FROM tenancy_adopt.kept AS o WHERE o.kind = x.kind AND o.about = x.about
            AND o.state ->> 'name' = x.name AND o.state ->> 'definition' = x.definition)
        -- References before the keys that they need.
        ORDER BY x.kind <> 'reference'
    LOOP
        IF d.kind = 'index' THEN
            EXECUTE format('DROP INDEX %s', d.id::regclass);
        ELSE
            IF d.kind = 'key' THEN
                PERFORM tenancy.drop_views_on(d.id);
            END IF;
            EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', d.about, d.name);
        END IF;
    END LOOP;
    FOR k IN SELECT o.* FROM tenancy_adopt.kept AS o WHERE o.kind IN ('key', 'index', 'reference')
        AND to_regclass(o.about) IS NOT NULL
        AND NOT EXISTS (SELECT FROM tenancy_adopt.definitions() AS x WHERE o.kind = x.kind AND o.about = x.about
            AND o.state ->> 'name' = x.name AND o.state ->> 'definition' = x.definition)
        ORDER BY o.kind = 'reference', o.kind = 'index', o.id
    LOOP
        IF k.kind = 'index' THEN
            EXECUTE k.state ->> 'definition';
        ELSE
            EXECUTE format('ALTER TABLE %s ADD CONSTRAINT %I %s', k.about, k.state ->> 'name', k.state ->> 'definition');
            IF k.state ->> 'comment' IS NOT NULL THEN
                EXECUTE format('COMMENT ON CONSTRAINT %I ON %s IS %L', k.state ->> 'name', k.about, k.state ->> 'comment');
            END IF;
        END IF;
        CONTINUE WHEN k.kind = 'reference';
        made := (SELECT c.oid FROM pg_class AS c JOIN pg_index AS i ON i.indexrelid = c.oid
            WHERE i.indrelid = k.about::regclass AND c.relname = k.state ->> 'name');
        PERFORM tenancy.set_index_marks(made, k.state -> 'marks');
    END LOOP;
    FOR k IN SELECT o.about, m.* FROM tenancy_adopt.kept AS o CROSS JOIN LATERAL jsonb_to_recordset(o.state -> 'marks')
            AS m (relation text, name name, comment text)
        WHERE o.kind IN ('key', 'index') AND to_regclass(m.relation) IS NOT NULL
    LOOP
        made := (SELECT c.oid FROM pg_class AS c JOIN pg_index AS i ON i.indexrelid = c.oid
            WHERE i.indrelid = k.relation::regclass AND c.relname = k.name);
        IF made IS NOT NULL AND obj_description(made, 'pg_class') IS DISTINCT FROM k.comment THEN
            EXECUTE format('COMMENT ON INDEX %s IS %L', made::regclass, k.comment);
        END IF;
    END LOOP;
    FOR k IN SELECT v.view, o.about FROM tenancy_adopt.kept AS o
            CROSS JOIN LATERAL jsonb_array_elements(o.state) WITH ORDINALITY AS v (view, n)
        WHERE o.kind = 'views' ORDER BY o.id, v.n
    LOOP
        CONTINUE WHEN to_regclass(k.view ->> 'name') IS NOT NULL
            AND pg_get_viewdef((k.view ->> 'name')::regclass) = k.view ->> 'definition';
        EXECUTE format('DROP VIEW IF EXISTS %s', k.view ->> 'name');
        PERFORM tenancy.add_views(jsonb_build_array(k.view), k.about::regclass, '{}');
    END LOOP;
    FOR k IN SELECT o.* FROM tenancy_adopt.kept AS o
        WHERE o.kind = 'relation' AND to_regclass(o.about) IS NOT NULL
    LOOP
        IF EXISTS (SELECT FROM pg_attrdef AS f JOIN pg_attribute AS a ON a.attrelid = f.adrelid AND a.attnum = f.adnum
            WHERE f.adrelid = k.about::regclass AND a.attname = 'tenant_id')
        THEN
            EXECUTE format('ALTER TABLE %s ALTER COLUMN tenant_id DROP DEFAULT', k.about);
        END IF;
        IF (k.state ->> 'nullable')::boolean AND NOT tenancy_adopt.is_below(k.about::regclass) THEN
            EXECUTE format('ALTER TABLE %s ALTER COLUMN tenant_id DROP NOT NULL', k.about);
        END IF;
        IF obj_description(k.about::regclass, 'pg_class') IS DISTINCT FROM k.state ->> 'comment' THEN
            EXECUTE format('COMMENT ON TABLE %s IS %L', k.about, k.state ->> 'comment');
        END IF;
        EXECUTE format('ALTER TABLE %s OWNER TO %I', k.about, k.state ->> 'owner');
        CONTINUE WHEN to_jsonb(tenancy.grants_of(k.about::regclass)) = k.state -> 'grants';
        FOR grantee IN
            SELECT DISTINCT CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END AS name
            FROM pg_class AS c CROSS JOIN LATERAL (
                SELECT c.relacl AS acl UNION ALL SELECT a.attacl FROM pg_attribute AS a WHERE a.attrelid = c.oid) AS g
                CROSS JOIN LATERAL aclexplode(g.acl) AS x
            WHERE c.oid = k.about::regclass AND NOT (x.grantee = c.relowner AND (k.state ->> 'untouched')::boolean)
        LOOP
            EXECUTE format('REVOKE ALL ON %s FROM %s', k.about, grantee.name);
        END LOOP;
        FOR statement IN SELECT jsonb_array_elements_text(k.state -> 'grants') LOOP
            EXECUTE statement;
        END LOOP;
    END LOOP;
    FOR statement IN SELECT o.about FROM tenancy_adopt.kept AS o WHERE o.kind = 'around' LOOP
        EXECUTE statement;
    END LOOP;
    PERFORM tenancy_adopt.restore_publications();
    -- What `protect` has written down of these is taken back with it.
    DELETE FROM tenancy.protections AS p
    WHERE NOT EXISTS (SELECT FROM tenancy_adopt.kept AS o WHERE o.kind = 'protected' AND o.about = p.relation::text)
        AND p.relation IN (SELECT c.relation FROM tenancy_adopt.concerned() AS c
            UNION ALL SELECT q.sequence FROM tenancy_adopt.concerned() AS c
                CROSS JOIN LATERAL tenancy.sequences_of(c.relation) AS q (sequence));
    DELETE FROM tenancy_adopt.kept;
    -- The old application writes again from here on, and the column is still NOT NULL.
    FOR statement IN SELECT s.forward FROM tenancy_adopt.new_rows_steps() AS s LOOP
        EXECUTE statement;
    END LOOP;
    -- The keys, references and policies beside went with the cut-over, and are made again.
    UPDATE tenancy_adopt.phases SET done_at = NULL
    WHERE phase IN ('new-rows', 'indexes', 'constraints', 'validate', 'observe');
END
$$;

-- Unregisters what the adoption has registered and nobody uses. Returns how many are left.
CREATE OR REPLACE FUNCTION tenancy_adopt.unregister() RETURNS bigint
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    one uuid;
    used bigint := 0;
BEGIN
    FOR one IN SELECT r.tenant FROM tenancy_adopt.registered AS r LOOP
        BEGIN
            DELETE FROM tenancy.tenants AS t WHERE t.id = one;
        EXCEPTION WHEN foreign_key_violation THEN
            used := used + 1;
        END;
    END LOOP;
    RETURN used;
END
$$;
