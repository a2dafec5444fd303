-- What the catalog says of the application's relations, a line for each object. Names of references that PostgreSQL makes
-- for partitions are its own, and left out.
WITH ours AS MATERIALIZED (
    SELECT n.oid, n.nspname, n.nspacl, n.nspowner FROM pg_namespace AS n
    WHERE n.nspname !~ '^(pg_|information_schema$|tenancy)'
),
relations AS MATERIALIZED (SELECT c.* FROM pg_class AS c JOIN ours AS n ON n.oid = c.relnamespace),
acls (kind, object, part, owner, acl) AS (
    SELECT 'schema', n.oid, 0, n.nspowner, coalesce(n.nspacl, acldefault('n', n.nspowner)) FROM ours AS n
    UNION ALL
    SELECT 'relation', c.oid, 0, c.relowner,
        coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's'::"char" ELSE 'r' END, c.relowner))
    FROM relations AS c
    UNION ALL
    SELECT 'relation', a.attrelid, a.attnum, c.relowner, a.attacl FROM pg_attribute AS a JOIN relations AS c ON c.oid = a.attrelid
    WHERE NOT a.attisdropped
),
-- An owner may grant what is its own, whether a right says so or not.
rights AS MATERIALIZED (
    SELECT a.kind, a.object, a.part, string_agg(format('%s=%s%s', x.grantee::regrole, x.privilege_type,
        CASE WHEN x.is_grantable AND x.grantee <> a.owner THEN '*' ELSE '' END), ',' ORDER BY x.grantee::regrole::text, x.privilege_type) AS list
    FROM acls AS a CROSS JOIN LATERAL aclexplode(a.acl) AS x GROUP BY 1, 2, 3
)
SELECT o.line FROM (
    SELECT format('schema %s owner %s rights %s', n.nspname, n.nspowner::regrole, r.list)
    FROM ours AS n LEFT JOIN rights AS r ON (r.kind, r.object) = ('schema', n.oid)
    UNION ALL
    SELECT format('relation %s %s owner %s row security %s %s identity %s options %s tablespace %s comment %s rights %s',
        c.oid::regclass, c.relkind, c.relowner::regrole, c.relrowsecurity, c.relforcerowsecurity, c.relreplident,
        c.reloptions, c.reltablespace, obj_description(c.oid, 'pg_class'), r.list)
    FROM relations AS c LEFT JOIN rights AS r ON (r.kind, r.object, r.part) = ('relation', c.oid, 0)
    WHERE c.relkind NOT IN ('i', 'I', 't')
    UNION ALL
    SELECT format('column %s.%s %s not null %s default %s identity %s generated %s local %s inherited %s comment %s '
        'statistics %s rights %s', c.oid::regclass, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
        pg_get_expr(d.adbin, d.adrelid), a.attidentity, a.attgenerated, a.attislocal, a.attinhcount,
        col_description(c.oid, a.attnum), a.attstattarget, r.list)
    FROM relations AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        LEFT JOIN pg_attrdef AS d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum)
        LEFT JOIN rights AS r ON (r.kind, r.object, r.part) = ('relation', c.oid, a.attnum)
    WHERE c.relkind NOT IN ('i', 'I', 't')
    UNION ALL
    SELECT format('constraint %s %s %s of a parent %s local %s inherited %s comment %s', c.oid::regclass,
        CASE WHEN k.conparentid = 0 THEN k.conname END, pg_get_constraintdef(k.oid), k.conparentid <> 0, k.conislocal,
        k.coninhcount, obj_description(k.oid, 'pg_constraint'))
    FROM relations AS c JOIN pg_constraint AS k ON k.conrelid = c.oid WHERE k.contype <> 'n'
    UNION ALL
    SELECT format('index %s %s valid %s clustered %s identity %s options %s tablespace %s comment %s statistics %s of %s',
        c.oid::regclass, pg_get_indexdef(c.oid), i.indisvalid, i.indisclustered, i.indisreplident, c.reloptions,
        c.reltablespace, obj_description(c.oid, 'pg_class'), (SELECT string_agg(format('%s:%s', a.attnum,
            a.attstattarget), ',' ORDER BY a.attnum) FROM pg_attribute AS a
            WHERE a.attrelid = c.oid AND a.attstattarget >= 0),
        (SELECT h.inhparent::regclass FROM pg_inherits AS h WHERE h.inhrelid = c.oid))
    FROM relations AS c JOIN pg_index AS i ON i.indexrelid = c.oid
    UNION ALL
    SELECT format('view %s %s', c.oid::regclass, pg_get_viewdef(c.oid)) FROM relations AS c WHERE c.relkind IN ('v', 'm')
    UNION ALL
    SELECT format('rule %s', pg_get_ruledef(r.oid)) FROM relations AS c JOIN pg_rewrite AS r ON r.ev_class = c.oid
    WHERE r.rulename <> '_RETURN'
    UNION ALL
    SELECT format('trigger %s %s %s', pg_get_triggerdef(t.oid), t.tgenabled, obj_description(t.oid, 'pg_trigger'))
    FROM relations AS c JOIN pg_trigger AS t ON t.tgrelid = c.oid AND NOT t.tgisinternal
    UNION ALL
    SELECT format('policy %s %s permissive %s for %s to %s using %s check %s comment %s', c.oid::regclass, p.polname,
        p.polpermissive, p.polcmd, p.polroles::regrole[], pg_get_expr(p.polqual, c.oid), pg_get_expr(p.polwithcheck, c.oid),
        obj_description(p.oid, 'pg_policy'))
    FROM relations AS c JOIN pg_policy AS p ON p.polrelid = c.oid
    UNION ALL
    SELECT format('publication %s %s columns %s where %s', b.pubname, c.oid::regclass, (
        SELECT string_agg(a.attname, ',' ORDER BY a.attname) FROM unnest(r.prattrs::int2[]) AS n
        JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = n), pg_get_expr(r.prqual, c.oid))
    FROM relations AS c JOIN pg_publication_rel AS r ON r.prrelid = c.oid JOIN pg_publication AS b ON b.oid = r.prpubid
) AS o (line) ORDER BY 1
