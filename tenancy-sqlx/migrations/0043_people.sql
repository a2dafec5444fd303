-- What is over by the clock of this server is over, and whose invitation it is that an operator has made.

-- A password reset that is over by the clock of this server is over, also for a process whose clock is slow.
CREATE OR REPLACE FUNCTION tenancy.use_password_reset(by_id uuid, by_digest bytea, of_user uuid, used_at bigint,
    new_password text, taken_back bigint) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    of_email text;
BEGIN
    DELETE FROM tenancy.password_resets AS r
    WHERE r.id = by_id AND r.digest = by_digest
        AND r.expires_at > timestamptz 'epoch' + used_at * interval '1 microsecond'
        AND r.expires_at > statement_timestamp()
    RETURNING r.email INTO of_email;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE tenancy.accounts AS a SET password = new_password
    WHERE a.user_id = of_user AND a.email = of_email AND NOT a.disabled;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM tenancy.take_tokens_back(of_user, taken_back);
    RETURN true;
END
$$;

-- The operator who has invited, where nobody of the tenant did: what one has made is taken back when the right is lost.
ALTER TABLE tenancy.invitations ADD COLUMN inviter_operator uuid;
CREATE INDEX invitations_operator ON tenancy.invitations (inviter_operator)
    WHERE inviter_operator IS NOT NULL AND state = 'pending';
-- Again as it was: `*` stands for the columns of the day the function was made.
CREATE OR REPLACE FUNCTION tenancy.find_invitation(invitation uuid) RETURNS SETOF tenancy.invitations
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 1 SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT i.* FROM tenancy.invitations AS i WHERE i.id = find_invitation.invitation;
    END;
REVOKE ALL ON FUNCTION tenancy.find_invitation(uuid) FROM PUBLIC;

-- What programs need from here on: `inviter_operator` of invitations.
CREATE OR REPLACE FUNCTION tenancy.schema_version() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 22;
