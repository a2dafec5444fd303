-- A database that an earlier release installed through migrations of sqlx recorded nothing here: what
-- is there says which migrations have run. Finds the first that has not; later ones record themselves.
DO $adopt$
DECLARE
    newest bigint := 0;
BEGIN
    IF to_regclass('tenancy.role_names') IS NULL OR EXISTS (SELECT FROM tenancy.migrations) THEN
        RETURN;
    END IF;
    -- 9 and 10 replace functions by themselves: running them again is harmless.
    newest := CASE
        WHEN to_regprocedure('tenancy.acts_as_owner()') IS NOT NULL THEN 11
        WHEN tenancy.schema_version() >= 2 THEN 10
        WHEN to_regprocedure('tenancy.find_imported_key(text, text)') IS NOT NULL THEN 8
        WHEN to_regclass('tenancy.token_epochs') IS NOT NULL THEN 7
        WHEN to_regclass('tenancy.api_keys') IS NOT NULL THEN 6
        WHEN to_regprocedure('tenancy.tell_change()') IS NOT NULL THEN 5
        WHEN to_regprocedure('tenancy.protect(regclass, name)') IS NOT NULL THEN 4
        WHEN to_regclass('tenancy.generations') IS NOT NULL THEN 3
        WHEN to_regclass('tenancy.tenants') IS NOT NULL THEN 2
        ELSE 1
    END;
    INSERT INTO tenancy.migrations (version, description, success, checksum, execution_time)
    SELECT k.version, k.description, true, decode(k.checksum, 'hex'), -1
    FROM jsonb_to_recordset(current_setting('tenancy.known_migrations')::jsonb)
        AS k (version bigint, description text, checksum text)
    WHERE k.version <= newest;
END
$adopt$;
