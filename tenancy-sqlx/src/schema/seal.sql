-- What seals sessions: run as the sealer role, in a schema of its own. Running it again changes nothing.
--
-- A session keeps `challenge,counter,tenant,project`, in hexadecimal digits but for the counter. Where it is
-- kept is the way: see `keep_in`. Whoever knows a key names a tenant by a code (HMAC-SHA-256) over the
-- challenge that the server drew for this session, a counter that only grows, the tenant, the project
-- and a time.
--
-- The settings `tenancy.tenant_id` and `tenancy.project_id` go on saying whom a transaction is for, and the
-- seal says whether they may: where the two differ it is nobody. So a name ends with its transaction, as
-- it does without a seal, and whoever sets another is not shown another's rows.
--
-- Functions that act as the sealer qualify every name, or fix the search path.

CREATE TABLE IF NOT EXISTS tenancy_seal.keys (
    id integer PRIMARY KEY,
    -- The key as HMAC uses it: XORed with its two constants.
    inner_block bytea NOT NULL CHECK (octet_length(inner_block) = 64),
    outer_block bytea NOT NULL CHECK (octet_length(outer_block) = 64),
    created_at timestamptz NOT NULL DEFAULT now(),
    retired_at timestamptz
);

-- What sessions keep, in the way `row`. A process's number comes again; its mark does not, and a session
-- has it in `tenancy.session`. Many versions of a row find room beside it.
CREATE UNLOGGED TABLE IF NOT EXISTS tenancy_seal.sessions (
    process integer PRIMARY KEY,
    mark text NOT NULL,
    kept text NOT NULL
) WITH (fillfactor = 10);

-- No policy lets anybody but the sealer at a row. The owner role may select, and sees none: its dumps are
-- complete but for these.
ALTER TABLE tenancy_seal.keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenancy_seal.sessions ENABLE ROW LEVEL SECURITY;
REVOKE ALL ON tenancy_seal.keys, tenancy_seal.sessions FROM PUBLIC;

-- Takes a key of 32 bytes or more into use.
CREATE OR REPLACE FUNCTION tenancy_seal.add_key(id integer, secret bytea) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    key bytea := CASE WHEN octet_length(secret) > 64 THEN sha256(secret) ELSE secret END;
    inside bytea := decode(repeat('36', 64), 'hex');
    outside bytea := decode(repeat('5c', 64), 'hex');
BEGIN
    IF octet_length(secret) IS NULL OR octet_length(secret) < 32 THEN
        RAISE EXCEPTION 'a seal key has 32 bytes or more' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOR at IN 0..octet_length(key) - 1 LOOP
        inside := set_byte(inside, at, get_byte(key, at) # 54);
        outside := set_byte(outside, at, get_byte(key, at) # 92);
    END LOOP;
    INSERT INTO tenancy_seal.keys AS k (id, inner_block, outer_block)
    VALUES (add_key.id, inside, outside)
    ON CONFLICT ON CONSTRAINT keys_pkey DO NOTHING;
    -- The same one again is no error; another one would be another service's.
    IF NOT EXISTS (SELECT FROM tenancy_seal.keys AS k
        WHERE k.id = add_key.id AND k.retired_at IS NULL AND k.outer_block = outside)
    THEN
        RAISE EXCEPTION 'the seal key % is another one, or was retired', id
            USING ERRCODE = 'unique_violation', HINT = 'Give the new key a number of its own.';
    END IF;
END
$$;

-- Takes a key out of use. Its number is not given again. Sessions that name a tenant by it go on
-- until they name another.
CREATE OR REPLACE FUNCTION tenancy_seal.retire_key(id integer) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE tenancy_seal.keys AS k SET retired_at = coalesce(k.retired_at, now()) WHERE k.id = retire_key.id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no seal key %', id USING ERRCODE = 'no_data_found';
    END IF;
END
$$;

-- In the way `row` a session on a standby, which writes no row, keeps in the setting `tenancy.sealed` what a row
-- would have, with a code of the server's own: `code,key,until,challenge,counter,tenant,project`. It is good in
-- one process of one server and for one client's connection, and what it names until a time.
--
-- The code. A login can't see when its process began where the sealer asks, and so the client's port tells two
-- processes of one number apart. The key's blocks stay in columns, as in `enter`.
CREATE OR REPLACE FUNCTION tenancy_seal.code(inner_block bytea, outer_block bytea, signed text) RETURNS text
    LANGUAGE sql STABLE PARALLEL RESTRICTED
    RETURN encode(sha256(outer_block || sha256(inner_block || convert_to(concat_ws(',', 'tenancy standby 1',
        pg_backend_pid(), coalesce(host(inet_client_addr()), ''), coalesce(inet_client_port(), 0), signed), 'UTF8')
        || timestamptz_send(pg_postmaster_start_time()))), 'hex');

-- What a session is to keep on a standby. What it names holds for a minute: later transactions need another seal.
CREATE OR REPLACE FUNCTION tenancy_seal.signed(said text) RETURNS text
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    until bigint := extract(epoch FROM clock_timestamp()) * 1000000 + 60000000;
    kept text;
BEGIN
    SELECT concat_ws(',', tenancy_seal.code(k.inner_block, k.outer_block, s.signed), s.signed) INTO kept
    FROM tenancy_seal.keys AS k, concat_ws(',', k.id, until, said) AS s (signed)
    WHERE k.retired_at IS NULL ORDER BY k.id DESC LIMIT 1;
    IF kept IS NULL THEN
        RAISE EXCEPTION 'there is no seal key in use' USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    RETURN kept;
END
$$;

-- What a session keeps on a standby, or NULL. Where it is to be in time, an error if its key was retired or the name
-- has ended. A transaction that began in time stays in time, however long it lasts.
CREATE OR REPLACE FUNCTION tenancy_seal.recalled(in_time boolean) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
AS $$
DECLARE
    kept pg_catalog.text := pg_catalog.current_setting('tenancy.sealed', true);
    signed pg_catalog.text := pg_catalog.substr(kept, 66);
    said pg_catalog.text[];
    is_true pg_catalog.bool;
    is_retired pg_catalog.bool;
BEGIN
    SELECT pg_catalog.sha256(k.outer_block OPERATOR(pg_catalog.||)
            pg_catalog.convert_to(pg_catalog.left(kept, 65), 'UTF8'))
        OPERATOR(pg_catalog.=) pg_catalog.sha256(k.outer_block OPERATOR(pg_catalog.||) pg_catalog.convert_to(
            tenancy_seal.code(k.inner_block, k.outer_block, signed) OPERATOR(pg_catalog.||) ',', 'UTF8')), k.retired_at IS NOT NULL
    INTO is_true, is_retired FROM tenancy_seal.keys AS k
    WHERE k.id::pg_catalog.text OPERATOR(pg_catalog.=) pg_catalog.split_part(signed, ',', 1);
    IF is_true IS NOT TRUE OR is_retired AND NOT in_time THEN
        RETURN NULL;
    END IF;
    said := pg_catalog.string_to_array(signed, ',');
    IF said[5] OPERATOR(pg_catalog.=) '' THEN
        NULL;
    ELSIF is_retired THEN
        RAISE EXCEPTION 'the session was named by a key that is not in use'
            USING ERRCODE = 'insufficient_privilege';
    ELSIF in_time AND said[2]::pg_catalog.float8 OPERATOR(pg_catalog.<)
            (pg_catalog.date_part('epoch', pg_catalog.transaction_timestamp()) OPERATOR(pg_catalog.*) 1000000)
    THEN
        RAISE EXCEPTION 'the session was named too long ago'
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'On a standby a name lasts for a minute.';
    END IF;
    RETURN pg_catalog.array_to_string(said[3:6], ',');
END
$$;

-- Makes the functions that read tenant and project anew: the setting, where it agrees with what the session
-- keeps.
CREATE OR REPLACE FUNCTION tenancy_seal.read_from(kept text, parallel text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    part record;
BEGIN
    FOR part IN SELECT * FROM (VALUES ('tenant', 3), ('project', 4)) AS v (name, at) LOOP
        EXECUTE format('CREATE OR REPLACE FUNCTION tenancy_seal.%1$s() RETURNS uuid '
            'LANGUAGE sql STABLE PARALLEL %2$s RETURN '
            'CASE WHEN replace(current_setting(''tenancy.%1$s_id'', true), ''-'', '''') = split_part(%3$s, '','', %4$s) '
            'THEN NULLIF(current_setting(''tenancy.%1$s_id'', true), '''')::uuid END',
            part.name, parallel, kept, part.at);
    END LOOP;
END
$$;

-- Chooses where sessions keep what they name. `parameter`: in `backtrace_functions`, a parameter of the
-- server that developers use and that only superusers set, and whoever was granted that. It takes
-- hexadecimal digits and commas, and names no function by them. `row`: in a table.
--
-- The functions that read and write it are made anew, because a statement's price is theirs.
CREATE OR REPLACE FUNCTION tenancy_seal.keep_in(way text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $keep_in$
BEGIN
    IF way IS NULL OR way NOT IN ('parameter', 'row') THEN
        RAISE EXCEPTION 'sessions are sealed by `parameter` or by `row`, and not by `%`', way
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF way = 'parameter' AND NOT has_parameter_privilege(current_user, 'backtrace_functions', 'SET') THEN
        RAISE EXCEPTION '% may not set the parameter backtrace_functions', current_user
            USING ERRCODE = 'insufficient_privilege',
            HINT = format('As a superuser: GRANT SET ON PARAMETER backtrace_functions TO %I; or seal by `row`.',
                current_user);
    END IF;
    IF NOT EXISTS (SELECT FROM tenancy_seal.keys AS k WHERE k.retired_at IS NULL) THEN
        RAISE EXCEPTION 'there is no seal key, and no session could name a tenant'
            USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Add one: tenancy_seal.add_key.';
    END IF;
    EXECUTE format('CREATE OR REPLACE FUNCTION tenancy_seal.way() RETURNS text '
        'LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN %L::text', way);
    IF way = 'parameter' THEN
        CREATE OR REPLACE FUNCTION tenancy_seal.kept() RETURNS text
            LANGUAGE sql STABLE PARALLEL SAFE
            RETURN pg_catalog.current_setting('backtrace_functions');
        CREATE OR REPLACE FUNCTION tenancy_seal.keep(said text) RETURNS void
            LANGUAGE plpgsql
        AS $$
        BEGIN
            PERFORM pg_catalog.set_config('backtrace_functions', said, false);
        END
        $$;
        PERFORM tenancy_seal.read_from('pg_catalog.current_setting(''backtrace_functions'')', 'SAFE');
        RETURN;
    END IF;
    -- A worker of a parallel query is another process.
    CREATE OR REPLACE FUNCTION tenancy_seal.kept() RETURNS text
        LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    AS $$
    BEGIN
        IF pg_catalog.pg_is_in_recovery() THEN
            RETURN tenancy_seal.recalled(in_time => true);
        END IF;
        RETURN (SELECT s.kept FROM tenancy_seal.sessions AS s
            WHERE s.process OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()
                AND s.mark OPERATOR(pg_catalog.=) pg_catalog.current_setting('tenancy.session', true));
    END
    $$;
    CREATE OR REPLACE FUNCTION tenancy_seal.keep(said text) RETURNS void
        LANGUAGE plpgsql
    AS $$
    DECLARE
        mark pg_catalog.text := pg_catalog.gen_random_uuid();
    BEGIN
        IF pg_catalog.pg_is_in_recovery() THEN
            PERFORM pg_catalog.set_config('tenancy.sealed', tenancy_seal.signed(said), false);
            RETURN;
        END IF;
        INSERT INTO tenancy_seal.sessions AS s (process, mark, kept)
        VALUES (pg_catalog.pg_backend_pid(), mark, said)
        ON CONFLICT ON CONSTRAINT sessions_pkey DO UPDATE SET mark = excluded.mark, kept = excluded.kept;
        PERFORM pg_catalog.set_config('tenancy.session', mark, false);
    END
    $$;
    PERFORM tenancy_seal.read_from('tenancy_seal.kept()', 'RESTRICTED');
END
$keep_in$;

-- Until a way is chosen. An installation that runs again leaves what was chosen.
DO $$
BEGIN
    IF to_regprocedure('tenancy_seal.way()') IS NULL THEN
        CREATE FUNCTION tenancy_seal.way() RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN NULL::text;
        CREATE FUNCTION tenancy_seal.kept() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE RETURN NULL::text;
        CREATE FUNCTION tenancy_seal.keep(said text) RETURNS void LANGUAGE plpgsql AS 'BEGIN END';
        CREATE FUNCTION tenancy_seal.tenant() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE RETURN NULL::uuid;
        CREATE FUNCTION tenancy_seal.project() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE RETURN NULL::uuid;
    END IF;
END
$$;

-- Draws a challenge for this session, which names nobody then. Says the server's time too, in
-- microseconds since 1970. Whoever may call it can only take a name away.
CREATE OR REPLACE FUNCTION tenancy_seal.open(OUT challenge text, OUT at bigint)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF tenancy_seal.way() IS NULL THEN
        RAISE EXCEPTION 'sessions are not sealed here' USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    IF tenancy_seal.way() = 'row' AND NOT pg_is_in_recovery() THEN
        -- What ended sessions have left, a few at a time.
        DELETE FROM tenancy_seal.sessions AS s WHERE s.process IN (
            SELECT o.process FROM tenancy_seal.sessions AS o
            WHERE NOT EXISTS (SELECT FROM pg_stat_get_activity(NULL) AS a WHERE a.pid = o.process)
            LIMIT 8 FOR UPDATE SKIP LOCKED);
    END IF;
    challenge := replace(gen_random_uuid()::text, '-', '');
    at := (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;
    PERFORM tenancy_seal.keep(challenge || ',0,,');
END
$$;

-- Names a tenant, or nobody, in this session: by a seal that is good once, here, and for a while.
--
-- What refuses with 42501 is an attempt to get past the seal, or a key that is not in use. What refuses
-- with 55000 is mended by another session.
CREATE OR REPLACE FUNCTION tenancy_seal.enter(
    challenge text, counter bigint, tenant uuid, project uuid, expires bigint, key integer, seal bytea
) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    kept text := CASE WHEN tenancy_seal.way() = 'row' AND pg_is_in_recovery()
        THEN tenancy_seal.recalled(in_time => false) ELSE tenancy_seal.kept() END;
    named text := replace(concat_ws(',', coalesce(tenant::text, ''), coalesce(project::text, '')), '-', '');
    sealed bytea := convert_to(
        concat_ws(',', 'tenancy seal 1', challenge, counter, named, expires), 'UTF8');
    is_true boolean;
BEGIN
    -- Digests of both are compared, so that the time it takes tells nothing. The key stays in columns:
    -- no plan that a session may print has it as a constant.
    SELECT sha256(k.outer_block || sha256(seal)) = sha256(k.outer_block || sha256(
        sha256(k.outer_block || sha256(k.inner_block || sealed))))
    INTO is_true FROM tenancy_seal.keys AS k WHERE k.id = key AND k.retired_at IS NULL;
    IF is_true IS NULL THEN
        RAISE EXCEPTION 'the seal''s key is not in use' USING ERRCODE = 'insufficient_privilege';
    ELSIF NOT is_true THEN
        RAISE EXCEPTION 'the seal is forged' USING ERRCODE = 'insufficient_privilege';
    ELSIF split_part(kept, ',', 1) IS DISTINCT FROM challenge THEN
        RAISE EXCEPTION 'the session was not opened for this seal'
            USING ERRCODE = 'object_not_in_prerequisite_state';
    ELSIF counter <= split_part(kept, ',', 2)::bigint THEN
        RAISE EXCEPTION 'the seal has been used' USING ERRCODE = 'insufficient_privilege';
    ELSIF expires < extract(epoch FROM clock_timestamp()) * 1000000 THEN
        RAISE EXCEPTION 'the seal has expired' USING ERRCODE = 'object_not_in_prerequisite_state';
    -- In a transaction that was open before, what it has deferred would run under the new name.
    ELSIF transaction_timestamp() <> statement_timestamp() THEN
        RAISE EXCEPTION 'a transaction was open when a tenant was to be named'
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    PERFORM tenancy_seal.keep(concat_ws(',', challenge, counter, named));
END
$$;

-- Un-names, and does for the session what RESET ALL does. A bare RESET ALL would take the challenge too.
--
-- Nothing after RESET ALL may go by the search path, which is the login's then.
CREATE OR REPLACE FUNCTION tenancy_seal.leave() RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    kept text := CASE WHEN tenancy_seal.way() = 'row' AND pg_is_in_recovery()
        THEN tenancy_seal.recalled(in_time => false) ELSE tenancy_seal.kept() END;
    said text := concat_ws(',', split_part(kept, ',', 1), split_part(kept, ',', 2), '', '');
BEGIN
    IF kept IS NULL OR kept !~ '^[0-9a-f]{32},' THEN
        RAISE EXCEPTION 'the session was not opened' USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    -- The next tenant's statements go by names that could be guessed. What the driver prepares is
    -- not prepared by SQL.
    IF EXISTS (SELECT FROM pg_prepared_statements AS p WHERE p.from_sql) THEN
        RAISE EXCEPTION 'the session was left with a prepared statement'
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    RESET ALL;
    PERFORM tenancy_seal.keep(said);
END
$$;
