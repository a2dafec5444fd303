-- Views that depend on a key (`GROUP BY` its columns) are made anew when the key is rebuilt.

-- What is granted on a relation and its columns, as statements.
CREATE FUNCTION tenancy.grants_of(relation regclass) RETURNS text[]
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT ARRAY(
            SELECT format('GRANT %s%s ON %s TO %s%s', g.privilege_type, g.columns, relation,
                CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END,
                CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
            FROM (
                SELECT x.grantee, x.privilege_type, x.is_grantable, '' AS columns
                FROM pg_class AS c, aclexplode(c.relacl) AS x
                WHERE c.oid = relation
                UNION ALL
                SELECT x.grantee, x.privilege_type, x.is_grantable, format(' (%I)', a.attname)
                FROM pg_attribute AS a, aclexplode(a.attacl) AS x
                WHERE a.attrelid = relation AND NOT a.attisdropped
            ) AS g);
    END;

-- Everything that makes a view what it is, as statements that follow its CREATE.
CREATE FUNCTION tenancy.view_extras(view regclass) RETURNS text[]
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT ARRAY(
            SELECT format('ALTER VIEW %s OWNER TO %I', view, pg_get_userbyid(c.relowner))
            FROM pg_class AS c WHERE c.oid = view
            UNION ALL
            SELECT format('COMMENT ON VIEW %s IS %L', view, d.description)
            FROM pg_description AS d
            WHERE d.classoid = 'pg_class'::regclass AND d.objoid = view AND d.objsubid = 0
            UNION ALL
            SELECT format('COMMENT ON COLUMN %s.%I IS %L', view, a.attname, d.description)
            FROM pg_description AS d JOIN pg_attribute AS a
                ON a.attrelid = d.objoid AND a.attnum = d.objsubid
            WHERE d.classoid = 'pg_class'::regclass AND d.objoid = view
            UNION ALL
            SELECT format('ALTER VIEW %s ALTER COLUMN %I SET DEFAULT %s', view, a.attname,
                pg_get_expr(f.adbin, f.adrelid))
            FROM pg_attrdef AS f JOIN pg_attribute AS a ON a.attrelid = f.adrelid AND a.attnum = f.adnum
            WHERE f.adrelid = view
            UNION ALL
            SELECT pg_get_triggerdef(t.oid) FROM pg_trigger AS t
            WHERE t.tgrelid = view AND NOT t.tgisinternal
            UNION ALL
            SELECT pg_get_ruledef(r.oid) FROM pg_rewrite AS r
            WHERE r.ev_class = view AND r.rulename <> '_RETURN'
            UNION ALL
            SELECT format('COMMENT ON TRIGGER %I ON %s IS %L', t.tgname, view, d.description)
            FROM pg_trigger AS t JOIN pg_description AS d
                ON d.classoid = 'pg_trigger'::regclass AND d.objoid = t.oid
            WHERE t.tgrelid = view AND NOT t.tgisinternal
            UNION ALL
            SELECT format('COMMENT ON RULE %I ON %s IS %L', r.rulename, view, d.description)
            FROM pg_rewrite AS r JOIN pg_description AS d
                ON d.classoid = 'pg_rewrite'::regclass AND d.objoid = r.oid
            WHERE r.ev_class = view AND r.rulename <> '_RETURN'
            UNION ALL
            SELECT format('REVOKE ALL ON %s FROM %I', view, pg_get_userbyid(c.relowner))
            FROM pg_class AS c WHERE c.oid = view AND c.relacl IS NOT NULL
        ) || tenancy.grants_of(view);
    END;

-- Drops the views that depend on a constraint, and those that depend on them. Returns what to make
-- again, in this order.
CREATE FUNCTION tenancy.drop_views_on(con oid) RETURNS jsonb
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
        EXECUTE format('DROP VIEW %s',
            (SELECT string_agg(v ->> 'name', ', ') FROM jsonb_array_elements(views) AS v));
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
CREATE FUNCTION tenancy.add_views(views jsonb, target regclass, scope name[]) RETURNS void
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
            EXECUTE format('CREATE VIEW %s%s AS %s', view ->> 'name', view ->> 'options', definition);
        EXCEPTION WHEN grouping_error THEN
            BEGIN
                -- Only where there is one place that can be meant. A text may hold the words, too.
                IF regexp_count(definition, 'GROUP BY') <> 1
                    OR definition ~ '\m(UNION|INTERSECT|EXCEPT)\M'
                THEN
                    RAISE EXCEPTION 'more than one' USING ERRCODE = 'grouping_error';
                END IF;
                definition := regexp_replace(definition,
                    '(GROUP BY (?:[^();'']*, )??)((?:[[:alnum:]_"]+\.)?)('
                        || (SELECT string_agg(regexp_replace(quote_ident(c), '([^[:alnum:]_])', '\\\1', 'g'), '|')
                            FROM jsonb_array_elements_text(view -> 'columns') AS c)
                        || ')(?=[,;)[:space:]]|$)',
                    format('\1%s, \2\3', (
                        SELECT string_agg('\2' || replace(quote_ident(s), '\', '\\'), ', ')
                        FROM unnest(scope) AS s)));
                EXECUTE format('CREATE VIEW %s%s AS %s', view ->> 'name', view ->> 'options', definition);
            EXCEPTION WHEN OTHERS THEN
                PERFORM tenancy.refuse(
                    format('can''t protect %s: the view %s groups by its key alone', target, view ->> 'name'),
                    format('Let it group by %s as well, or keep the key unique across tenants: '
                        'SELECT tenancy.protect(%L, global => ''{…}'')',
                        tenancy.column_list(scope), target));
            END;
        END;
        made := (view ->> 'name')::regclass;
        FOR grantee IN
            SELECT DISTINCT x.grantee FROM pg_class AS c, aclexplode(c.relacl) AS x
            WHERE c.oid = made AND x.grantee <> c.relowner
        LOOP
            EXECUTE format('REVOKE ALL ON %s FROM %s', made,
                CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END);
        END LOOP;
        FOR extra IN SELECT jsonb_array_elements_text(view -> 'extras') LOOP
            EXECUTE extra;
        END LOOP;
        RAISE NOTICE 'tenancy: the view % was made anew', made;
    END LOOP;
END
$$;
