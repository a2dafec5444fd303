-- One migration, unless it is recorded.
DECLARE
    known jsonb := (SELECT k FROM jsonb_array_elements(
        current_setting('tenancy.known_migrations')::jsonb) AS k WHERE k ->> 'version' = '{version}');
    recorded bytea;
BEGIN
    SELECT m.checksum INTO recorded FROM tenancy.migrations AS m WHERE m.version = {version};
    IF NOT FOUND THEN
        EXECUTE {text};
        INSERT INTO tenancy.migrations (version, description, success, checksum, execution_time)
        VALUES ({version}, known ->> 'description', true, decode(known ->> 'checksum', 'hex'), -1);
    ELSIF recorded <> decode(known ->> 'checksum', 'hex') THEN
        RAISE EXCEPTION 'migration {version} of the schema "tenancy" was previously applied but has been modified'
            USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Install with an unmodified release of tenancy-sqlx.';
    END IF;
END
