-- Since when tokens count: those that were issued before are taken back. One row, however many
-- tokens there are; rows that concern expired tokens only may be deleted.

CREATE TABLE tenancy.token_epochs (
    kind text NOT NULL CHECK (kind IN ('issuer', 'user', 'service', 'tenant')),
    -- The issuer's name, or an id.
    subject text NOT NULL,
    -- The first moment that counts.
    valid_after timestamptz NOT NULL CHECK (isfinite(valid_after)),
    -- The transaction that raised it.
    changed_xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    PRIMARY KEY (kind, subject),
    CHECK (CASE kind WHEN 'issuer' THEN subject <> '' ELSE subject = subject::uuid::text END)
);
CREATE INDEX token_epochs_changed ON tenancy.token_epochs (changed_xid);

CREATE TRIGGER tell_change AFTER INSERT OR UPDATE ON tenancy.token_epochs
    FOR EACH STATEMENT EXECUTE FUNCTION tenancy.tell_change();

-- The other half of the feed, by the cursor of `changes_since`: to be asked in one statement with
-- it. Without a cursor, every epoch.
CREATE FUNCTION tenancy.epochs_since(since bigint)
    RETURNS TABLE (kind text, subject text, valid_after timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT e.kind, e.subject, e.valid_after FROM tenancy.token_epochs AS e
        WHERE since IS NULL OR e.changed_xid >= since::text::xid8;
    END;

-- The newest epoch of any of these; null if nothing of theirs was taken back.
CREATE FUNCTION tenancy.find_epoch(kinds text[], subjects text[]) RETURNS timestamptz
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT max(e.valid_after)
        FROM unnest(find_epoch.kinds, find_epoch.subjects) AS asked (kind, subject)
        JOIN tenancy.token_epochs AS e ON e.kind = asked.kind AND e.subject = asked.subject;
    END;

-- Raises if a token that was issued then has been taken back: strict mode runs it in the BEGIN
-- batch. `holder` is `user` or `service`.
CREATE FUNCTION tenancy.require_token(
    tenant uuid, issuer text, holder text, id uuid, issued_at timestamptz
) RETURNS void
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    epoch timestamptz := tenancy.find_epoch(
        ARRAY['issuer', require_token.holder, 'tenant'],
        ARRAY[require_token.issuer, require_token.id::text, require_token.tenant::text]);
BEGIN
    IF epoch IS NOT NULL AND (issued_at IS NULL OR issued_at < epoch) THEN
        RAISE EXCEPTION 'the token was taken back' USING ERRCODE = 'TN001';
    END IF;
END
$$;

REVOKE ALL ON FUNCTION
    tenancy.epochs_since(bigint),
    tenancy.find_epoch(text[], text[]),
    tenancy.require_token(uuid, text, text, uuid, timestamptz)
FROM PUBLIC;
