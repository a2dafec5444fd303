-- The application's part of the catalog as one document, by one statement and so of one snapshot.
-- It is read with no schema but pg_catalog on the path, so that definitions name the schema of everything else.
WITH schemas AS MATERIALIZED (
    SELECT n.oid, n.nspname FROM pg_namespace AS n
    WHERE n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'tenancy', 'tenancy_adopt', 'tenancy_seal')
),
extension_owned AS MATERIALIZED (
    SELECT d.classid, d.objid FROM pg_depend AS d
    WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
),
names AS MATERIALIZED (
    SELECT c.oid, jsonb_build_object('schema', n.nspname, 'name', c.relname) AS named
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm', 'S')
),
relations AS MATERIALIZED (
    SELECT c.oid, c.relname, c.relkind, c.relpersistence, c.relowner, c.relispartition, c.reloftype, c.reltuples,
        c.relrowsecurity, c.relforcerowsecurity, c.reloptions, s.nspname, n.named
    FROM pg_class AS c JOIN schemas AS s ON s.oid = c.relnamespace JOIN names AS n ON n.oid = c.oid
    WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm', 'S') AND c.relpersistence <> 't' AND c.relname <> '_sqlx_migrations'
        AND NOT EXISTS (SELECT FROM extension_owned AS e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid)
),
tables AS MATERIALIZED (SELECT * FROM relations WHERE relkind IN ('r', 'p', 'f')),
-- The sequence from which a column's default draws, and that which it owns.
drawn AS MATERIALIZED (
    SELECT DISTINCT d.adrelid AS relation, d.adnum AS number, p.refobjid AS sequence
    FROM pg_attrdef AS d JOIN pg_depend AS p ON p.classid = 'pg_attrdef'::regclass AND p.objid = d.oid
        AND p.refclassid = 'pg_class'::regclass
        JOIN pg_class AS c ON c.oid = p.refobjid AND c.relkind = 'S'
    UNION
    SELECT p.refobjid, p.refobjsubid::int2, p.objid FROM pg_depend AS p JOIN pg_class AS c ON c.oid = p.objid AND c.relkind = 'S'
    WHERE p.classid = 'pg_class'::regclass AND p.refclassid = 'pg_class'::regclass AND p.deptype = 'i' AND p.refobjsubid > 0
),
columns AS MATERIALIZED (
    SELECT a.attrelid, jsonb_agg(jsonb_build_object(
        'name', a.attname, 'type_name', format_type(a.atttypid, a.atttypmod),
        'type_extension', (
            SELECT x.extname FROM pg_type AS t JOIN pg_depend AS d ON d.classid = 'pg_type'::regclass
                AND d.objid IN (t.oid, t.typelem, t.typbasetype) AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
                JOIN pg_extension AS x ON x.oid = d.refobjid
            WHERE t.oid = a.atttypid LIMIT 1),
        'equality', (
            -- A domain is compared as what it is of; a type without operators of its own as PostgreSQL's are.
            WITH RECURSIVE base AS (
                SELECT t.oid, t.typtype, t.typbasetype FROM pg_type AS t WHERE t.oid = a.atttypid
                UNION ALL
                SELECT t.oid, t.typtype, t.typbasetype FROM base AS b JOIN pg_type AS t ON t.oid = b.typbasetype
                WHERE b.typtype = 'd')
            SELECT format('OPERATOR(%I.%s)', n.nspname, o.oprname)
            FROM base AS b JOIN pg_opclass AS c ON c.opcintype = b.oid AND c.opcdefault
                JOIN pg_am AS m ON m.oid = c.opcmethod AND m.amname = 'btree'
                JOIN pg_amop AS p ON p.amopfamily = c.opcfamily AND p.amopstrategy = 3
                    AND p.amoplefttype = c.opcintype AND p.amoprighttype = c.opcintype
                JOIN pg_operator AS o ON o.oid = p.amopopr JOIN pg_namespace AS n ON n.oid = o.oprnamespace
            WHERE b.typtype <> 'd' LIMIT 1),
        'not_null', a.attnotnull,
        'default', CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END,
        'generated', CASE WHEN a.attgenerated <> '' THEN pg_get_expr(d.adbin, d.adrelid) END,
        'identity', CASE a.attidentity WHEN 'a' THEN 'always' WHEN 'd' THEN 'by_default' END,
        'sequence', (SELECT n.named FROM drawn AS s JOIN names AS n ON n.oid = s.sequence
            WHERE s.relation = a.attrelid AND s.number = a.attnum LIMIT 1),
        'inherited', NOT a.attislocal,
        'comment', col_description(a.attrelid, a.attnum)
        ) ORDER BY a.attnum) AS list
    FROM tables AS t JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
        LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    GROUP BY a.attrelid
),
keys AS MATERIALIZED (
    SELECT i.indrelid, jsonb_agg(jsonb_build_object(
        'index', c.relname, 'constraint', k.conname, 'primary', i.indisprimary,
        'columns', (SELECT jsonb_agg(a.attname ORDER BY n.place)
            FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS n (number, place)
            LEFT JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = n.number AND n.number > 0
            WHERE n.place <= i.indnkeyatts),
        'expressions', (SELECT coalesce(jsonb_agg(pg_get_indexdef(i.indexrelid, n.place::int, false) ORDER BY n.place), '[]')
            FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS n (number, place)
            WHERE n.place <= i.indnkeyatts AND n.number = 0),
        'includes', (SELECT coalesce(jsonb_agg(a.attname ORDER BY n.place), '[]')
            FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS n (number, place)
            JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = n.number
            WHERE n.place > i.indnkeyatts),
        'condition', pg_get_expr(i.indpred, i.indrelid), 'valid', i.indisvalid, 'deferrable', NOT i.indimmediate,
        'nulls_not_distinct', coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false),
        'replica_identity', i.indisreplident, 'clustered', i.indisclustered,
        'inherited', EXISTS (SELECT FROM pg_inherits AS h WHERE h.inhrelid = i.indexrelid),
        'definition', pg_get_indexdef(i.indexrelid),
        'comment', obj_description(i.indexrelid, 'pg_class')
        ) ORDER BY i.indisprimary DESC, c.relname) AS list
    FROM tables AS t JOIN pg_index AS i ON i.indrelid = t.oid JOIN pg_class AS c ON c.oid = i.indexrelid
        LEFT JOIN pg_constraint AS k ON k.conindid = i.indexrelid AND k.conrelid = i.indrelid AND k.contype IN ('p', 'u')
    WHERE i.indisunique
    GROUP BY i.indrelid
),
foreign_keys AS MATERIALIZED (
    SELECT k.conrelid, jsonb_agg(jsonb_build_object(
        'name', k.conname,
        'columns', (SELECT jsonb_agg(a.attname ORDER BY n.place) FROM unnest(k.conkey) WITH ORDINALITY AS n (number, place)
            JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = n.number),
        'to', n.named,
        'to_columns', (SELECT jsonb_agg(a.attname ORDER BY n.place) FROM unnest(k.confkey) WITH ORDINALITY AS n (number, place)
            JOIN pg_attribute AS a ON a.attrelid = k.confrelid AND a.attnum = n.number),
        'key', (SELECT c.relname FROM pg_class AS c WHERE c.oid = k.conindid),
        'equality', (SELECT jsonb_agg(format('OPERATOR(%I.%s)', s.nspname, o.oprname) ORDER BY n.place)
            FROM unnest(k.conpfeqop) WITH ORDINALITY AS n (operator, place)
            JOIN pg_operator AS o ON o.oid = n.operator JOIN pg_namespace AS s ON s.oid = o.oprnamespace),
        'matching', CASE k.confmatchtype WHEN 'f' THEN 'full' WHEN 'p' THEN 'partial' ELSE 'simple' END,
        'on_delete', k.confdeltype, 'on_update', k.confupdtype,
        'deferrable', k.condeferrable, 'deferred', k.condeferred, 'validated', k.convalidated,
        'enforced', coalesce((to_jsonb(k) ->> 'conenforced')::boolean, true),
        'definition', pg_get_constraintdef(k.oid),
        'comment', obj_description(k.oid, 'pg_constraint')
        ) ORDER BY k.conname) AS list
    FROM tables AS t JOIN pg_constraint AS k ON k.conrelid = t.oid AND k.contype = 'f' AND k.conparentid = 0
        JOIN names AS n ON n.oid = k.confrelid
    GROUP BY k.conrelid
),
constraints AS MATERIALIZED (
    SELECT k.conrelid, k.contype, jsonb_agg(jsonb_build_object(
        'name', k.conname, 'definition', pg_get_constraintdef(k.oid)) ORDER BY k.conname) AS list
    FROM tables AS t JOIN pg_constraint AS k ON k.conrelid = t.oid AND k.contype IN ('c', 'x')
        AND k.conparentid = 0
    GROUP BY k.conrelid, k.contype
),
triggers AS MATERIALIZED (
    SELECT g.tgrelid, jsonb_agg(jsonb_build_object(
        'name', g.tgname, 'function', g.tgfoid::regprocedure::text, 'enabled', g.tgenabled <> 'D',
        'replicated', g.tgenabled IN ('A', 'R'), 'before_update', g.tgtype::int & 2 = 2 AND g.tgtype::int & 16 = 16,
        'definition', pg_get_triggerdef(g.oid)) ORDER BY g.tgname) AS list
    FROM tables AS t JOIN pg_trigger AS g ON g.tgrelid = t.oid AND NOT g.tgisinternal AND g.tgparentid = 0
    GROUP BY g.tgrelid
),
rules AS MATERIALIZED (
    SELECT r.ev_class, jsonb_agg(r.rulename ORDER BY r.rulename) AS list
    FROM tables AS t JOIN pg_rewrite AS r ON r.ev_class = t.oid
    GROUP BY r.ev_class
),
policies AS MATERIALIZED (
    SELECT p.polrelid, jsonb_agg(jsonb_build_object(
        'name', p.polname, 'permissive', p.polpermissive, 'command', p.polcmd,
        'roles', (SELECT jsonb_agg(CASE r WHEN 0 THEN 'public' ELSE pg_get_userbyid(r)::text END ORDER BY r)
            FROM unnest(p.polroles) AS r),
        'using', pg_get_expr(p.polqual, p.polrelid), 'check', pg_get_expr(p.polwithcheck, p.polrelid)
        ) ORDER BY p.polname) AS list
    FROM tables AS t JOIN pg_policy AS p ON p.polrelid = t.oid
    GROUP BY p.polrelid
),
-- Comments go, lines stay.
bodies AS MATERIALIZED (
    SELECT p.oid, CASE WHEN l.lanname IN ('sql', 'plpgsql')
        THEN regexp_replace(coalesce(pg_get_function_sqlbody(p.oid), p.prosrc, ''), '--[^\n]*', '', 'g') ELSE '' END AS body
    FROM pg_proc AS p JOIN schemas AS s ON s.oid = p.pronamespace JOIN pg_language AS l ON l.oid = p.prolang
    WHERE p.prokind IN ('f', 'p') AND NOT EXISTS (
        SELECT FROM extension_owned AS e WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid)
)
SELECT jsonb_build_object(
    'server_version', current_setting('server_version_num')::int,
    'database', current_database(),
    'tables', (SELECT coalesce(jsonb_agg(jsonb_build_object(
        'name', t.named,
        'kind', CASE t.relkind WHEN 'p' THEN 'partitioned' WHEN 'f' THEN 'foreign' ELSE 'plain' END,
        'unlogged', t.relpersistence = 'u',
        'partition_of', CASE WHEN t.relispartition THEN (SELECT n.named FROM pg_inherits AS i JOIN names AS n ON n.oid = i.inhparent
            WHERE i.inhrelid = t.oid LIMIT 1) END,
        'inherits', CASE WHEN t.relispartition THEN '[]' ELSE (SELECT coalesce(jsonb_agg(n.named ORDER BY i.inhseqno), '[]')
            FROM pg_inherits AS i JOIN names AS n ON n.oid = i.inhparent WHERE i.inhrelid = t.oid) END,
        'detaching', EXISTS (SELECT FROM pg_inherits AS i WHERE i.inhrelid = t.oid AND i.inhdetachpending),
        'of_type', CASE WHEN t.reloftype <> 0 THEN t.reloftype::regtype::text END,
        'owner', pg_get_userbyid(t.relowner),
        'may_read', has_table_privilege(t.oid, 'SELECT') AND has_schema_privilege(t.nspname, 'USAGE'),
        'may_alter', pg_has_role(t.relowner, 'USAGE'),
        'row_security', t.relrowsecurity, 'forced_row_security', t.relforcerowsecurity,
        'comment', obj_description(t.oid, 'pg_class'),
        'estimated_rows', CASE WHEN t.reltuples >= 0 THEN t.reltuples::bigint END,
        'columns', coalesce(c.list, '[]'), 'keys', coalesce(k.list, '[]'), 'references', coalesce(f.list, '[]'),
        'checks', coalesce(h.list, '[]'), 'exclusions', coalesce(x.list, '[]'),
        'triggers', coalesce(g.list, '[]'), 'rules', coalesce(r.list, '[]'), 'policies', coalesce(p.list, '[]')
        ) ORDER BY t.nspname, t.relname), '[]')
        FROM tables AS t LEFT JOIN columns AS c ON c.attrelid = t.oid LEFT JOIN keys AS k ON k.indrelid = t.oid
            LEFT JOIN foreign_keys AS f ON f.conrelid = t.oid
            LEFT JOIN constraints AS h ON h.conrelid = t.oid AND h.contype = 'c'
            LEFT JOIN constraints AS x ON x.conrelid = t.oid AND x.contype = 'x'
            LEFT JOIN triggers AS g ON g.tgrelid = t.oid LEFT JOIN rules AS r ON r.ev_class = t.oid
            LEFT JOIN policies AS p ON p.polrelid = t.oid),
    'views', (SELECT coalesce(jsonb_agg(jsonb_build_object(
        'name', v.named, 'materialized', v.relkind = 'm', 'owner', pg_get_userbyid(v.relowner),
        'grantees', (SELECT coalesce(jsonb_agg(DISTINCT CASE x.grantee WHEN 0 THEN 'public'
                ELSE pg_get_userbyid(x.grantee)::text END), '[]')
            FROM pg_class AS c CROSS JOIN LATERAL aclexplode(c.relacl) AS x WHERE c.oid = v.oid AND x.grantee <> v.relowner),
        'security_invoker', coalesce((SELECT o.option_value::boolean FROM pg_options_to_table(v.reloptions) AS o
            WHERE o.option_name = 'security_invoker'), false),
        'reads', (SELECT coalesce(jsonb_agg(n.named ORDER BY n.named), '[]') FROM names AS n WHERE n.oid IN (
            SELECT d.refobjid FROM pg_rewrite AS w JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
                AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> v.oid WHERE w.ev_class = v.oid)),
        'keys', (SELECT coalesce(jsonb_agg(jsonb_build_object('table', n.named, 'constraint', k.conname) ORDER BY k.conname), '[]')
            FROM pg_constraint AS k JOIN names AS n ON n.oid = k.conrelid WHERE k.oid IN (
            SELECT d.refobjid FROM pg_rewrite AS w JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
                AND d.refclassid = 'pg_constraint'::regclass WHERE w.ev_class = v.oid))
        ) ORDER BY v.nspname, v.relname), '[]') FROM relations AS v WHERE v.relkind IN ('v', 'm')),
    'functions', (SELECT coalesce(jsonb_agg(jsonb_build_object(
        'name', jsonb_build_object('schema', n.nspname, 'name', p.proname),
        'signature', p.oid::regprocedure::text, 'owner', pg_get_userbyid(p.proowner), 'definer', p.prosecdef,
        'pins_search_path', EXISTS (SELECT FROM unnest(p.proconfig) AS s WHERE starts_with(s, 'search_path=')),
        'comment', obj_description(p.oid, 'pg_proc'),
        'returns_rows_of', (SELECT m.named FROM pg_type AS y JOIN names AS m ON m.oid = y.typrelid WHERE y.oid = p.prorettype),
        'lists_columns', b.body ~* '\yselect\y' AND NOT b.body ~* '\yselect\s+(distinct\s+)?([\w"]+\.)?\*',
        'conflict_targets', (SELECT coalesce(jsonb_agg(jsonb_build_object('table', m.hit[2], 'columns', m.hit[3],
            'line', 1 + length(regexp_replace(left(b.body, strpos(b.body, m.hit[1]) + length(m.hit[1]) - 1), '[^\n]', '', 'g')))), '[]')
            FROM regexp_matches(b.body,
                '(insert\s+into\s+([\w".]+)[^;]*?\yon\s+conflict)\s*\(([^;]*?)\)\s*(?:where|do)\y', 'gi') AS m (hit)),
        'positional_inserts', (SELECT coalesce(jsonb_agg(jsonb_build_object('table', m.hit[2],
            'line', 1 + length(regexp_replace(left(b.body, strpos(b.body, m.hit[1]) + length(m.hit[1]) - 1), '[^\n]', '', 'g')))), '[]')
            FROM regexp_matches(b.body,
                '(insert\s+into\s+([\w".]+)(?:\s+as\s+\w+)?\s+select)\s+(?:\w+\.)?\*', 'gi') AS m (hit))
        ) ORDER BY n.nspname, p.oid::regprocedure::text), '[]')
        FROM bodies AS b JOIN pg_proc AS p ON p.oid = b.oid JOIN pg_namespace AS n ON n.oid = p.pronamespace),
    'sequences', (SELECT coalesce(jsonb_agg(jsonb_build_object(
        'name', s.named, 'owner', pg_get_userbyid(s.relowner),
        'owned_by', (SELECT jsonb_build_object('table', n.named, 'column', a.attname) FROM pg_depend AS d
            JOIN names AS n ON n.oid = d.refobjid JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
            WHERE d.classid = 'pg_class'::regclass AND d.objid = s.oid AND d.refclassid = 'pg_class'::regclass
                AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i') LIMIT 1),
        'drawn_by', (SELECT coalesce(jsonb_agg(jsonb_build_object('table', n.named, 'column', a.attname)
                ORDER BY n.named, a.attname), '[]')
            FROM drawn AS d JOIN names AS n ON n.oid = d.relation
                JOIN pg_attribute AS a ON a.attrelid = d.relation AND a.attnum = d.number WHERE d.sequence = s.oid)
        ) ORDER BY s.nspname, s.relname), '[]') FROM relations AS s WHERE s.relkind = 'S'),
    'publications', (SELECT coalesce(jsonb_agg(jsonb_build_object(
        'name', b.pubname, 'owner', pg_get_userbyid(b.pubowner), 'all_tables', b.puballtables,
        'tables', (SELECT coalesce(jsonb_agg(jsonb_build_object('table', n.named,
            'columns', (SELECT jsonb_agg(a.attname ORDER BY a.attnum) FROM pg_attribute AS a
                WHERE a.attrelid = r.prrelid AND a.attnum = ANY (
                    string_to_array(translate(to_jsonb(r) ->> 'prattrs', '[],', ''), ' ')::int2[]))
            ) ORDER BY n.named), '[]') FROM pg_publication_rel AS r JOIN names AS n ON n.oid = r.prrelid
            WHERE r.prpubid = b.oid)
        ) ORDER BY b.pubname), '[]') FROM pg_publication AS b)
)::text
