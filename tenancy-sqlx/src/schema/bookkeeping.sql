-- The table in which sqlx records the application's migrations, whatever its name: no login reads or
-- writes it, and what a migration makes as another login is handed over. Run as the owner role.
DO $bookkeeping$
DECLARE
    records regclass;
    role name;
BEGIN
    FOR records IN
        SELECT c.oid FROM pg_class AS c
        WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND c.relnamespace <> 'tenancy'::regnamespace
            AND c.relowner = quote_ident(current_user)::regrole
            AND (SELECT array_agg(a.attname::text ORDER BY a.attname) FROM pg_attribute AS a
                 WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
                = '{checksum,description,execution_time,installed_on,success,version}'
        ORDER BY c.oid
    LOOP
        FOR role IN SELECT r.name FROM tenancy.role_names AS r WHERE r.kind NOT IN ('owner', 'sealer') ORDER BY r.kind LOOP
            EXECUTE format('REVOKE ALL ON %s FROM %I', records, role);
        END LOOP;
        IF NOT EXISTS (SELECT FROM pg_trigger AS t
            WHERE t.tgrelid = records AND t.tgname = 'tenancy_hand_over')
        THEN
            EXECUTE format('CREATE TRIGGER tenancy_hand_over AFTER INSERT ON %s '
                'FOR EACH STATEMENT EXECUTE FUNCTION tenancy.hand_over()', records);
        END IF;
    END LOOP;
END
$bookkeeping$;
