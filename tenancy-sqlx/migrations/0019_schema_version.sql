-- What programs need from here on: findings, `append_audit`, the feed's origin, the owner's guard.
CREATE OR REPLACE FUNCTION tenancy.schema_version() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 3;
