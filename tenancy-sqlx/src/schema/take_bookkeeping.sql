-- Gives the owner role the table in which sqlx records the application's migrations, if it is the
-- installing login's: `run`, and migrations that begin with SET LOCAL ROLE, record as the owner.
DECLARE
    records regclass;
BEGIN
    FOR records IN
        SELECT c.oid FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND n.nspname <> 'tenancy'
            AND c.relowner = quote_ident(current_user)::regrole
            AND has_schema_privilege({owner_name}, n.oid, 'CREATE')
            AND (SELECT array_agg(a.attname::text ORDER BY a.attname) FROM pg_attribute AS a
                 WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
                = '{checksum,description,execution_time,installed_on,success,version}'
    LOOP
        EXECUTE format('ALTER TABLE %s OWNER TO %I', records, {owner_name});
    END LOOP;
END
