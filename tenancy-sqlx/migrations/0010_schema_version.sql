-- What programs need from here on: API keys, epochs, imported keys (0006 to 0009).
CREATE OR REPLACE FUNCTION tenancy.schema_version() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 2;
