-- As before, but for times that no clock says. The app role may call this, and a time goes forward
-- only: one that can't be read as a number of microseconds would close its key for ever.
CREATE OR REPLACE FUNCTION tenancy.note_key_uses(keys uuid[], at timestamptz[]) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        WITH used AS (
            SELECT u.key, max(u.at) AS at
            FROM unnest(note_key_uses.keys, note_key_uses.at) AS u (key, at)
            WHERE u.at >= timestamptz '1970-01-01 00:00:00+00'
                AND u.at < timestamptz '10000-01-01 00:00:00+00'
            GROUP BY u.key
        ), locked AS (
            SELECT k.id, used.at FROM tenancy.api_keys AS k JOIN used ON used.key = k.id
            WHERE k.last_used_at IS NULL OR k.last_used_at < used.at
            ORDER BY k.id FOR NO KEY UPDATE OF k
        )
        UPDATE tenancy.api_keys AS k SET last_used_at = locked.at
        FROM locked WHERE k.id = locked.id;
    END;
