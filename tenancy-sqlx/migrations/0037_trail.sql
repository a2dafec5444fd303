-- The audit trail as a chain that nobody alters unseen.
--
-- Five kinds of rows, to all of which nobody does anything but add:
--
-- * `audit_records`: who did what, when, in which tenant. It names people by their ids and never by what they are called.
-- * `audit_particulars`: what may be about a person: reason, targets, details, changes, address, user agent. It is a
--   table of its own so that it can be erased. The chain has its salted digest only.
-- * `audit_links`: the chain of each tenant, and one of what concerns no tenant (the nil UUID). A link has the number
--   of an entry and the hash over the entry and over the hash before it. Entries are written without one, so that
--   writers wait for nobody, and are linked afterwards in the order in which they became visible (`seal_trail`).
-- * `audit_checkpoints`: where a chain stood, or up to which number it was pruned.
-- * `audit_erasures`: which particulars were erased, and which entry says so.
--
-- `audit_heads` has the end of each chain, which moves, and `audit_unsealed` the entries that have no link yet.
--
-- What was recorded before stays where it is, as `audit_history`, and is no part of a chain. Nothing is copied: a trail
-- may be large, and an installation must not stop its writers for long. Programs of the release before write into
-- `audit_entries`, which is now a view that adds to the tables above.

ALTER TABLE tenancy.audit_entries RENAME TO audit_history;

CREATE TABLE tenancy.audit_records (
    -- A UUID of version 7: its time decides about the partition.
    id uuid PRIMARY KEY,
    -- What the hashes can hold, so that no entry keeps others from being linked.
    at timestamptz NOT NULL CHECK (at >= '0001-01-01 UTC' AND at < '9999-01-01 UTC'),
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    version integer NOT NULL DEFAULT 1,
    tenant_id uuid,
    project_id uuid,
    actor_kind text NOT NULL CHECK (actor_kind ~ '^[a-z][a-z-]{0,31}$'),
    actor_id uuid,
    on_behalf_of uuid,
    -- Which credential it was, such as its issuer. Never the credential.
    credential text CHECK (octet_length(credential) <= 512),
    action text NOT NULL CHECK (octet_length(action) BETWEEN 1 AND 400),
    outcome text NOT NULL CHECK (outcome IN ('allowed', 'refused', 'failed')),
    request_id text CHECK (octet_length(request_id) <= 512),
    trace_id text CHECK (octet_length(trace_id) <= 64),
    -- How many like it were counted and not recorded one by one.
    suppressed bigint NOT NULL DEFAULT 0
) PARTITION BY RANGE (id);
CREATE INDEX audit_records_tenant ON tenancy.audit_records (tenant_id, id);
CREATE INDEX audit_records_actor ON tenancy.audit_records (actor_id, id) WHERE actor_id IS NOT NULL;
CREATE INDEX audit_records_behalf ON tenancy.audit_records (on_behalf_of, id) WHERE on_behalf_of IS NOT NULL;
CREATE INDEX audit_records_action ON tenancy.audit_records (tenant_id, action, id);

CREATE TABLE tenancy.audit_particulars (
    entry uuid PRIMARY KEY,
    tenant_id uuid,
    -- So that a digest can't be tried with guesses.
    salt bytea NOT NULL DEFAULT uuid_send(gen_random_uuid()),
    reason text CHECK (octet_length(reason) <= 4096),
    -- What it was done to, each as its kind, a colon and its id.
    targets text[] NOT NULL DEFAULT '{}' CHECK (octet_length(targets::text) <= 131072
        AND (targets = '{}' OR array_ndims(targets) = 1 AND array_lower(targets, 1) = 1
            AND array_position(targets, NULL) IS NULL)),
    -- Kept as they were written, byte for byte: the chain is over these bytes.
    -- Each can also be read as `jsonb`, which refuses a NUL within a text.
    details json CHECK (octet_length(details::text) <= 131072 AND (details IS NULL OR details::jsonb IS NOT NULL)),
    changes json CHECK (octet_length(changes::text) <= 131072 AND (changes IS NULL OR changes::jsonb IS NOT NULL)),
    ip inet,
    user_agent text CHECK (octet_length(user_agent) <= 1024),
    -- By what entries are found by their target. It says nothing that the targets do not say.
    target_keys bigint[] NOT NULL DEFAULT '{}'
) PARTITION BY RANGE (entry);
CREATE INDEX audit_particulars_targets ON tenancy.audit_particulars USING gin (target_keys);

-- By what an entry of this tenant is found by its target; with NULL, an entry of any tenant. A tenant has keys of its own,
-- so that how long a search takes tells nothing of what others have done to the same target.
CREATE FUNCTION tenancy.target_key(of_tenant uuid, target text) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN hashtextextended(target, CASE WHEN of_tenant IS NULL THEN 0 ELSE uuid_hash_extended(of_tenant, 1) END);

CREATE FUNCTION tenancy.index_targets() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target text;
BEGIN
    NEW.target_keys := '{}';
    FOREACH target IN ARRAY NEW.targets LOOP
        NEW.target_keys := NEW.target_keys || tenancy.target_key(NULL, target)
            || tenancy.target_key(NEW.tenant_id, target);
    END LOOP;
    RETURN NEW;
END
$$;
CREATE TRIGGER index_targets BEFORE INSERT ON tenancy.audit_particulars
    FOR EACH ROW EXECUTE FUNCTION tenancy.index_targets();

-- What has an id that no month's partition is for: of a clock that is far off, or when a partition is missing.
CREATE TABLE tenancy.audit_records_other PARTITION OF tenancy.audit_records DEFAULT;
CREATE TABLE tenancy.audit_particulars_other PARTITION OF tenancy.audit_particulars DEFAULT;

CREATE TABLE tenancy.audit_links (
    chain uuid NOT NULL,
    seq bigint NOT NULL CHECK (seq > 0),
    entry uuid NOT NULL,
    -- The digest of the particulars; NULL if there were none.
    particulars bytea,
    hash bytea NOT NULL,
    sealed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (chain, seq)
);
CREATE UNIQUE INDEX audit_links_entry ON tenancy.audit_links (entry);

CREATE TABLE tenancy.audit_checkpoints (
    chain uuid NOT NULL,
    seq bigint NOT NULL,
    -- `head`: the chain stood here. `pruned`: what is up to here was removed.
    kind text NOT NULL CHECK (kind IN ('head', 'pruned')),
    hash bytea NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- The entry that says who pruned, and why.
    cause uuid,
    PRIMARY KEY (chain, kind, seq)
);

CREATE TABLE tenancy.audit_erasures (
    entry uuid PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- The entry that says who erased, and why.
    cause uuid NOT NULL
);

CREATE TABLE tenancy.audit_heads (
    chain uuid PRIMARY KEY,
    seq bigint NOT NULL DEFAULT 0,
    hash bytea NOT NULL DEFAULT decode(repeat('00', 32), 'hex'),
    -- Of the newest checkpoint.
    checked_seq bigint NOT NULL DEFAULT 0,
    -- Up to which number the outbox has told of links, if it is to tell.
    told_seq bigint NOT NULL DEFAULT 0
);
CREATE INDEX audit_heads_untold ON tenancy.audit_heads (chain) WHERE told_seq < seq;

CREATE TABLE tenancy.audit_unsealed (
    entry uuid PRIMARY KEY,
    chain uuid NOT NULL,
    since timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
CREATE INDEX audit_unsealed_chain ON tenancy.audit_unsealed (chain, entry);

-- Each entry waits for its link from the moment in which it is visible.
CREATE FUNCTION tenancy.await_link() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO tenancy.audit_unsealed (entry, chain)
    VALUES (NEW.id, coalesce(NEW.tenant_id, '00000000-0000-0000-0000-000000000000'));
    RETURN NULL;
END
$$;
CREATE TRIGGER await_link AFTER INSERT ON tenancy.audit_records
    FOR EACH ROW EXECUTE FUNCTION tenancy.await_link();

-- Particulars come with their entry, of the same tenant, and never again: not after it was linked, nor after they were
-- erased.
CREATE FUNCTION tenancy.match_entry() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM tenancy.audit_links AS l WHERE l.entry = NEW.entry)
        OR NOT EXISTS (SELECT FROM tenancy.audit_records AS r
            WHERE r.id = NEW.entry AND r.tenant_id IS NOT DISTINCT FROM NEW.tenant_id)
    THEN
        RAISE EXCEPTION 'particulars are added with their entry, and not later' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER match_entry AFTER INSERT ON tenancy.audit_particulars
    FOR EACH ROW EXECUTE FUNCTION tenancy.match_entry();

-- Nothing in the trail is changed, and nothing is removed but what a checkpoint or an erasure says is gone. The triggers
-- are the same for the owner and for a superuser. Both can take them away, and the chain shows what was done then.
CREATE FUNCTION tenancy.keep_trail() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    of_entry uuid;
    is_gone boolean := false;
BEGIN
    IF TG_OP = 'DELETE' AND TG_ARGV[0] = 'link' THEN
        is_gone := EXISTS (SELECT FROM tenancy.audit_checkpoints AS c
            WHERE c.chain = OLD.chain AND c.kind = 'pruned' AND c.seq >= OLD.seq);
    ELSIF TG_OP = 'DELETE' AND TG_ARGV[0] IN ('record', 'particulars', 'erasure') THEN
        IF TG_ARGV[0] = 'record' THEN
            of_entry := OLD.id;
        ELSE
            of_entry := OLD.entry;
        END IF;
        is_gone := EXISTS (SELECT FROM tenancy.audit_links AS l JOIN tenancy.audit_checkpoints AS c
                ON c.chain = l.chain AND c.kind = 'pruned' AND c.seq >= l.seq
                WHERE l.entry = of_entry)
            OR TG_ARGV[0] = 'particulars'
                AND EXISTS (SELECT FROM tenancy.audit_erasures AS e WHERE e.entry = of_entry);
    END IF;
    IF is_gone THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'the audit trail is only added to: % of % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege',
            HINT = 'Entries are removed by retention (`tenancy.prune_trail`), and what is about a person by '
                '`tenancy.erase_particulars`.';
END
$$;

-- The triggers that guard a table of the trail, by its kind.
CREATE FUNCTION tenancy.trail_triggers(kind text) RETURNS name[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ARRAY['keep_trail', 'keep_whole']::name[] || CASE kind
        WHEN 'record' THEN ARRAY['await_link']::name[]
        WHEN 'particulars' THEN ARRAY['match_entry', 'index_targets']::name[]
        ELSE '{}'::name[] END;

-- Whether a table of the trail has a trigger that does what it is to do: the name alone says nothing.
CREATE FUNCTION tenancy.has_trail_trigger(of regclass, kind text, guard name) RETURNS boolean
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT EXISTS (SELECT FROM pg_trigger AS t
            WHERE t.tgrelid = has_trail_trigger.of AND t.tgname = has_trail_trigger.guard
                AND t.tgfoid = format('tenancy.%I',
                    CASE guard WHEN 'keep_whole' THEN 'keep_trail' ELSE guard END)::regproc
                AND t.tgqual IS NULL
                AND t.tgargs = CASE WHEN guard IN ('keep_trail', 'keep_whole')
                    THEN convert_to(kind, 'UTF8') || '\x00'::bytea ELSE ''::bytea END);
    END;

-- Guards a table of the trail, or a partition of one: makes the triggers that are missing, and switches all of them on.
CREATE FUNCTION tenancy.guard_trail(of regclass, kind text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    guard name;
BEGIN
    FOREACH guard IN ARRAY tenancy.trail_triggers(kind) LOOP
        IF NOT tenancy.has_trail_trigger(of, kind, guard) THEN
            IF EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgrelid = of AND t.tgname = guard) THEN
                EXECUTE format('DROP TRIGGER %I ON %s', guard, of);
            END IF;
            EXECUTE format('CREATE TRIGGER %I %s ON %s FOR EACH %s EXECUTE FUNCTION tenancy.%I(%s)', guard,
                CASE guard WHEN 'keep_trail' THEN 'BEFORE UPDATE OR DELETE' WHEN 'keep_whole' THEN 'BEFORE TRUNCATE'
                    WHEN 'index_targets' THEN 'BEFORE INSERT' ELSE 'AFTER INSERT' END, of,
                CASE guard WHEN 'keep_whole' THEN 'STATEMENT' ELSE 'ROW' END,
                CASE guard WHEN 'keep_whole' THEN 'keep_trail' ELSE guard END,
                CASE WHEN guard IN ('keep_trail', 'keep_whole') THEN quote_literal(kind) END);
        END IF;
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', of, guard);
    END LOOP;
END
$$;

-- The tables of the trail, each before its partitions, which have its triggers for rows from it.
CREATE FUNCTION tenancy.trail_tables() RETURNS TABLE (relation regclass, kind text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT p.relid, t.kind
    FROM (VALUES ('tenancy.audit_records', 'record'), ('tenancy.audit_particulars', 'particulars'),
            ('tenancy.audit_links', 'link'), ('tenancy.audit_checkpoints', 'checkpoint'),
            ('tenancy.audit_erasures', 'erasure')) AS t (name, kind),
        LATERAL (SELECT t.name::regclass AS relid, 0 AS level
            UNION SELECT x.relid, x.level FROM pg_partition_tree(t.name::regclass) AS x) AS p
    ORDER BY p.level, p.relid
$$;

-- What somebody with the owner's rights has taken from the guard of the trail.
CREATE FUNCTION tenancy.trail_findings() RETURNS TABLE (
        level text, code text, subject text, subject_oid oid, about oid[], finding text, mend text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
    SELECT 'warning', 'trail-unguarded', t.relation::text, t.relation::oid, ARRAY[t.relation::oid],
        format('entries of the audit trail can be changed or removed here, or added without their place in the chain: the '
            'trigger %s is missing, another or switched off. Verify the chains (`tenancy audit verify`)',
            string_agg(quote_ident(g.name), ', ' ORDER BY g.name)),
        format('SELECT tenancy.guard_trail(%L, %L)', t.relation, t.kind)
    FROM tenancy.trail_tables() AS t, LATERAL unnest(tenancy.trail_triggers(t.kind)) AS g (name)
    WHERE NOT tenancy.has_trail_trigger(t.relation, t.kind, g.name) OR NOT EXISTS (SELECT FROM pg_trigger AS x
        WHERE x.tgrelid = t.relation AND x.tgname = g.name AND x.tgenabled = 'A')
    GROUP BY t.relation, t.kind ORDER BY 3
$$;

SELECT tenancy.guard_trail(t.relation, t.kind) FROM tenancy.trail_tables() AS t;

-- The least UUID of version 7 of a moment.
CREATE FUNCTION tenancy.first_uuid(of timestamptz) RETURNS uuid
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (lpad(to_hex((extract(epoch FROM of) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid;

-- Makes the partition of a month of one of our tables, with the bounds that it has there; whether it did. Where the month has
-- rows in the partition of all others, they stay there, and so does the month. It waits for nobody longer than 300
-- milliseconds.
CREATE FUNCTION tenancy.make_month(parent name, since timestamptz, low text, high text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '300ms'
AS $$
DECLARE
    part name := parent || to_char(since AT TIME ZONE 'UTC', '"_"YYYY"_"MM');
BEGIN
    IF to_regclass(format('tenancy.%I', part)) IS NOT NULL THEN
        RETURN false;
    END IF;
    -- Whoever adds a row of a month that is begun has chosen the partition of all others, which then refuses it. Nobody
    -- adds one of a month to come.
    IF since <= clock_timestamp() THEN
        EXECUTE format('LOCK TABLE ONLY tenancy.%I IN SHARE ROW EXCLUSIVE MODE', parent);
    END IF;
    EXECUTE format('CREATE TABLE tenancy.%I (LIKE tenancy.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', part, parent);
    EXECUTE format('ALTER TABLE tenancy.%I ATTACH PARTITION tenancy.%I FOR VALUES FROM (%L) TO (%L)',
        parent, part, low, high);
    RETURN true;
EXCEPTION
    WHEN check_violation THEN
        RAISE WARNING 'rows of % are in the partition of all other months, and stay there', part;
        RETURN false;
    -- Another process makes it at the same time.
    WHEN duplicate_table OR unique_violation THEN
        RETURN false;
    WHEN lock_not_available OR deadlock_detected THEN
        RAISE WARNING 'the partition % was not made: the table is in use; it is tried again', part;
        RETURN false;
END
$$;

-- Makes the partitions of this month and of so many to come; how many it made.
CREATE FUNCTION tenancy.prepare_trail(ahead integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    month timestamptz := date_trunc('month', clock_timestamp(), 'UTC');
    made integer := 0;
    parent text;
    since timestamptz;
BEGIN
    FOR n IN 0 .. least(ahead, 24) LOOP
        since := month + make_interval(months => n);
        FOREACH parent IN ARRAY ARRAY['audit_records', 'audit_particulars'] LOOP
            IF tenancy.make_month(parent, since, tenancy.first_uuid(since)::text,
                tenancy.first_uuid(since + interval '1 month')::text)
            THEN
                PERFORM tenancy.guard_trail(
                    format('tenancy.%I', parent || to_char(since AT TIME ZONE 'UTC', '"_"YYYY"_"MM'))::regclass,
                    CASE parent WHEN 'audit_records' THEN 'record' ELSE 'particulars' END);
                made := made + 1;
            END IF;
        END LOOP;
    END LOOP;
    RETURN made;
END
$$;
SELECT tenancy.prepare_trail(3);

-- A field of what is hashed: its length and its bytes, so that no two lists of fields have the same bytes. Version 1 of
-- the hashes is made of these, and nothing else; docs/audit.md has all of it.
CREATE FUNCTION tenancy.hashed(value bytea) RETURNS bytea
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN value IS NULL THEN '\xffffffff'::bytea ELSE int4send(octet_length(value)) || value END;
-- `STABLE` as `convert_to` is: only then PostgreSQL puts it in the place of its call.
CREATE FUNCTION tenancy.hashed(value text) RETURNS bytea
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN tenancy.hashed(convert_to(value, 'UTF8'));
CREATE FUNCTION tenancy.hashed(value timestamptz) RETURNS bytea
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN tenancy.hashed(int8send((extract(epoch FROM value) * 1000000)::bigint));

-- In PL/pgSQL, which keeps what it has planned.
CREATE FUNCTION tenancy.particulars_digest(p tenancy.audit_particulars) RETURNS bytea
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    targets bytea := '';
    target text;
BEGIN
    FOREACH target IN ARRAY p.targets LOOP
        targets := targets || tenancy.hashed(target);
    END LOOP;
    RETURN sha256('tenancy.audit.particulars.1'::bytea || tenancy.hashed(p.salt) || tenancy.hashed(p.reason)
        || int4send(cardinality(p.targets)) || targets || tenancy.hashed(p.details::text)
        || tenancy.hashed(p.changes::text) || tenancy.hashed(p.ip::text) || tenancy.hashed(p.user_agent));
END
$$;

CREATE FUNCTION tenancy.record_digest(r tenancy.audit_records, particulars bytea) RETURNS bytea
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN sha256('tenancy.audit.entry.1'::bytea || tenancy.hashed(uuid_send(r.id))
        || tenancy.hashed(r.at) || tenancy.hashed(r.recorded_at) || int4send(r.version)
        || tenancy.hashed(uuid_send(r.tenant_id)) || tenancy.hashed(uuid_send(r.project_id))
        || tenancy.hashed(r.actor_kind) || tenancy.hashed(uuid_send(r.actor_id))
        || tenancy.hashed(uuid_send(r.on_behalf_of)) || tenancy.hashed(r.credential) || tenancy.hashed(r.action)
        || tenancy.hashed(r.outcome) || tenancy.hashed(r.request_id) || tenancy.hashed(r.trace_id)
        || int8send(r.suppressed) || tenancy.hashed(particulars));
END
$$;

-- Links entries that have none, the oldest first; how many. A chain that another process is linking is left to it, or waited
-- for. If it `tells`, an event `trail.sealed` in the outbox has the numbers of the new links, also of those that were made
-- without telling.
CREATE FUNCTION tenancy.seal_trail(most integer, waits boolean, tells boolean) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    of_chain uuid;
    head record;
    one record;
    entries uuid[];
    particulars bytea[];
    hashes bytea[];
    last bytea;
    sealed integer := 0;
BEGIN
    FOR of_chain IN
        SELECT DISTINCT u.chain
        FROM (SELECT q.chain FROM tenancy.audit_unsealed AS q ORDER BY q.entry LIMIT most) AS u
        -- One order for all, so that none of two waits for the other.
        ORDER BY 1
    LOOP
        EXIT WHEN sealed >= most;
        INSERT INTO tenancy.audit_heads (chain) VALUES (of_chain) ON CONFLICT DO NOTHING;
        IF waits THEN
            SELECT * INTO head FROM tenancy.audit_heads AS h WHERE h.chain = of_chain FOR UPDATE;
        ELSE
            SELECT * INTO head FROM tenancy.audit_heads AS h WHERE h.chain = of_chain FOR UPDATE SKIP LOCKED;
            CONTINUE WHEN NOT FOUND;
        END IF;
        entries := '{}';
        particulars := '{}';
        hashes := '{}';
        last := head.hash;
        FOR one IN
            SELECT d.id, d.particulars, tenancy.record_digest(d.r, d.particulars) AS digest
            FROM (SELECT u.entry AS id, r.whole AS r,
                    CASE WHEN p.entry IS NOT NULL THEN tenancy.particulars_digest(p.whole) END AS particulars
                FROM tenancy.audit_unsealed AS u
                    -- Each by its id: without `OFFSET 0` all entries that there are would be read for a few.
                    CROSS JOIN LATERAL (SELECT x AS whole, x.tenant_id
                        FROM tenancy.audit_records AS x WHERE x.id = u.entry OFFSET 0) AS r
                    LEFT JOIN LATERAL (SELECT y AS whole, y.entry
                        FROM tenancy.audit_particulars AS y
                        WHERE y.entry = u.entry AND y.tenant_id IS NOT DISTINCT FROM r.tenant_id OFFSET 0) AS p ON true
                WHERE u.chain = of_chain ORDER BY u.entry LIMIT most - sealed OFFSET 0) AS d
            ORDER BY d.id
        LOOP
            last := tenancy.link_hash(of_chain, head.seq + 1 + cardinality(entries), last, one.digest);
            entries := entries || one.id;
            particulars := particulars || one.particulars;
            hashes := hashes || last;
        END LOOP;
        CONTINUE WHEN cardinality(entries) = 0;
        INSERT INTO tenancy.audit_links (chain, seq, entry, particulars, hash)
            SELECT of_chain, head.seq + l.n, l.entry, l.particulars, l.hash
            FROM unnest(entries, particulars, hashes) WITH ORDINALITY AS l (entry, particulars, hash, n);
        DELETE FROM tenancy.audit_unsealed AS u WHERE u.entry = ANY (entries);
        head.seq := head.seq + cardinality(entries);
        IF head.seq >= head.checked_seq + 1000 THEN
            INSERT INTO tenancy.audit_checkpoints (chain, seq, kind, hash) VALUES (of_chain, head.seq, 'head', last);
            head.checked_seq := head.seq;
        END IF;
        UPDATE tenancy.audit_heads AS h SET seq = head.seq, hash = last, checked_seq = head.checked_seq
            WHERE h.chain = of_chain;
        sealed := sealed + cardinality(entries);
    END LOOP;
    IF tells THEN
        FOR head IN
            SELECT h.chain, h.told_seq, least(h.seq, h.told_seq + 10000) AS upto FROM tenancy.audit_heads AS h
            WHERE h.told_seq < h.seq ORDER BY h.chain LIMIT most FOR UPDATE SKIP LOCKED
        LOOP
            INSERT INTO tenancy.outbox_events (event, tenant_id, kind, payload)
            VALUES (gen_random_uuid(), nullif(head.chain, '00000000-0000-0000-0000-000000000000'), 'trail.sealed',
                jsonb_build_object('from', head.told_seq + 1, 'to', head.upto));
            UPDATE tenancy.audit_heads AS h SET told_seq = head.upto WHERE h.chain = head.chain;
        END LOOP;
    END IF;
    RETURN sealed;
END
$$;

CREATE FUNCTION tenancy.link_hash(chain uuid, seq bigint, before bytea, entry bytea) RETURNS bytea
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN sha256('tenancy.audit.link.1'::bytea || uuid_send(chain) || int8send(seq)
        || tenancy.hashed(before) || tenancy.hashed(entry));

-- The entries of the tenant that the session names with this target, the newest first; before one of them, and so many at
-- most. Under row security PostgreSQL uses no index for what an array contains.
CREATE FUNCTION tenancy.find_entries_of(of_target text, before uuid, most bigint) RETURNS SETOF uuid
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 20 SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT p.entry FROM tenancy.audit_particulars AS p
        WHERE p.target_keys @> ARRAY[tenancy.target_key(tenancy.current_tenant(), find_entries_of.of_target)]
            AND p.tenant_id = tenancy.current_tenant() AND p.targets @> ARRAY[find_entries_of.of_target]
            AND (find_entries_of.before IS NULL OR p.entry < find_entries_of.before)
        ORDER BY p.entry DESC LIMIT find_entries_of.most;
    END;

-- The targets of an entry, as programs read them, and as they are kept.
CREATE FUNCTION tenancy.targets_as_json(targets text[]) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (SELECT coalesce(jsonb_agg(jsonb_build_object('type', split_part(t.one, ':', 1),
            'id', substr(t.one, strpos(t.one, ':') + 1)) ORDER BY t.n), '[]')
        FROM unnest(targets) WITH ORDINALITY AS t (one, n));
-- In PL/pgSQL, which keeps what it has planned.
CREATE FUNCTION tenancy.targets_as_kept(targets jsonb) RETURNS text[]
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    kept text[] := '{}';
    target jsonb;
BEGIN
    FOR target IN SELECT t.one FROM jsonb_array_elements(targets) AS t (one) LOOP
        kept := kept || CASE WHEN jsonb_typeof(target) = 'object' AND target ? 'type' AND target ? 'id'
            THEN left(replace(target ->> 'type', ':', '_') || ':' || (target ->> 'id'), 512)
            ELSE left('text:' || target::text, 512) END;
    END LOOP;
    RETURN kept;
END
$$;

-- Adds entries that a sink was told of: an array of objects, whose fields are the columns of both tables, with `at` in
-- microseconds. One that is there already stays: a store has written it with the change, or an answer got lost and this
-- is another try. A text that is too long is cut, and not lost.
-- In PL/pgSQL, which keeps the plan: to plan it takes longer than to run it.
CREATE FUNCTION tenancy.append_records(entries jsonb) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
        WITH e AS MATERIALIZED (
            SELECT * FROM jsonb_to_recordset(append_records.entries) AS e (id uuid, at bigint, version integer,
                tenant_id uuid, project_id uuid, actor_kind text, actor_id uuid, on_behalf_of uuid, credential text,
                action text, outcome text, request_id text, trace_id text, suppressed bigint, reason text,
                targets jsonb, details jsonb, changes jsonb, ip inet, user_agent text)
        ), r AS (
            INSERT INTO tenancy.audit_records (id, at, version, tenant_id, project_id, actor_kind, actor_id,
                on_behalf_of, credential, action, outcome, request_id, trace_id, suppressed)
            SELECT e.id, timestamptz 'epoch' + e.at * interval '1 microsecond', coalesce(e.version, 1), e.tenant_id,
                e.project_id, e.actor_kind, e.actor_id, e.on_behalf_of,
                CASE WHEN octet_length(e.credential) > 512 THEN left(e.credential, 128) ELSE e.credential END,
                left(e.action, 100), e.outcome,
                CASE WHEN octet_length(e.request_id) > 512 THEN left(e.request_id, 128) ELSE e.request_id END,
                left(e.trace_id, 64), coalesce(e.suppressed, 0)
            FROM e
            ON CONFLICT (id) DO NOTHING
            RETURNING id
        )
        INSERT INTO tenancy.audit_particulars (entry, tenant_id, reason, targets, details, changes, ip, user_agent)
        SELECT e.id, e.tenant_id,
            CASE WHEN octet_length(e.reason) > 4096 THEN left(e.reason, 1024) ELSE e.reason END,
            CASE WHEN octet_length(e.targets::text) > 100000 THEN '{text:cut}'
                ELSE coalesce(tenancy.targets_as_kept(e.targets), '{}') END,
            CASE WHEN octet_length(e.details::text) > 131072 THEN '{"cut":true}' ELSE e.details::json END,
            CASE WHEN octet_length(e.changes::text) > 131072 THEN '[{"cut":true}]' ELSE e.changes::json END,
            e.ip,
            CASE WHEN octet_length(e.user_agent) > 1024 THEN left(e.user_agent, 256) ELSE e.user_agent END
        FROM e JOIN r ON r.id = e.id
        ON CONFLICT (entry) DO NOTHING;
END
$$;

-- The same for programs of the release before.
CREATE OR REPLACE FUNCTION tenancy.append_entry(
    id uuid, at timestamptz, tenant_id uuid, actor_kind text, actor_id uuid, on_behalf_of uuid,
    credential text, action text, outcome text, reason text, targets jsonb, details jsonb, ip inet,
    user_agent text, request_id text, suppressed bigint
) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT tenancy.append_records(jsonb_build_array(jsonb_build_object('id', append_entry.id,
            'at', (extract(epoch FROM append_entry.at) * 1000000)::bigint, 'tenant_id', append_entry.tenant_id,
            'actor_kind', append_entry.actor_kind, 'actor_id', append_entry.actor_id,
            'on_behalf_of', append_entry.on_behalf_of, 'credential', append_entry.credential,
            'action', append_entry.action, 'outcome', append_entry.outcome, 'reason', append_entry.reason,
            'targets', append_entry.targets, 'details', append_entry.details, 'ip', append_entry.ip,
            'user_agent', append_entry.user_agent, 'request_id', append_entry.request_id,
            'suppressed', append_entry.suppressed)));
    END;

-- Entries as programs of the release before add them, and as anybody may read them.
CREATE VIEW tenancy.audit_entries WITH (security_invoker = true) AS
    SELECT r.id, r.at, r.tenant_id, r.actor_kind, r.actor_id, r.on_behalf_of, r.credential, r.action, r.outcome,
        p.reason, tenancy.targets_as_json(p.targets) AS targets, p.details::jsonb AS details, p.ip, p.user_agent,
        r.request_id, r.suppressed, r.project_id, r.trace_id, p.changes::jsonb AS changes, r.recorded_at, r.version
    FROM tenancy.audit_records AS r LEFT JOIN tenancy.audit_particulars AS p
                 ON p.entry = r.id AND p.tenant_id IS NOT DISTINCT FROM r.tenant_id
    UNION ALL
    SELECT h.id, h.at, h.tenant_id, h.actor_kind, h.actor_id, h.on_behalf_of, h.credential, h.action, h.outcome,
        h.reason, h.targets, h.details, h.ip, h.user_agent, h.request_id, h.suppressed, NULL, NULL, NULL, h.at, 0
    FROM tenancy.audit_history AS h;

-- With the rights of who adds: row security decides about the tenant.
CREATE FUNCTION tenancy.add_entry() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO tenancy.audit_records (id, at, tenant_id, project_id, actor_kind, actor_id, on_behalf_of, credential,
        action, outcome, request_id, trace_id, suppressed)
    VALUES (NEW.id, NEW.at, NEW.tenant_id, NEW.project_id, NEW.actor_kind, NEW.actor_id, NEW.on_behalf_of,
        NEW.credential, NEW.action, NEW.outcome, NEW.request_id, NEW.trace_id, coalesce(NEW.suppressed, 0));
    INSERT INTO tenancy.audit_particulars (entry, tenant_id, reason, targets, details, changes, ip, user_agent)
    VALUES (NEW.id, NEW.tenant_id, NEW.reason, coalesce(tenancy.targets_as_kept(NEW.targets), '{}'),
        NEW.details::json, NEW.changes::json, NEW.ip, NEW.user_agent);
    RETURN NEW;
END
$$;
CREATE TRIGGER add_entry INSTEAD OF INSERT ON tenancy.audit_entries
    FOR EACH ROW EXECUTE FUNCTION tenancy.add_entry();

-- What was recorded before there was a chain, with the rights of who reads it. An entry of `audit_log` says its actor and
-- its target as texts, such as `user:…` and `host:acme`.
CREATE VIEW tenancy.audit_before WITH (security_invoker = true) AS
    SELECT h.id, h.at, h.tenant_id, h.actor_kind, h.actor_id, h.on_behalf_of, h.credential, h.action, h.outcome,
        h.reason, h.targets, h.details, h.ip, h.user_agent, h.request_id, h.suppressed
    FROM tenancy.audit_history AS h
    UNION ALL
    SELECT l.id, l.at, l.tenant_id,
        CASE WHEN l.actor ~ '^[a-z][a-z-]{0,31}(:|$)' THEN split_part(l.actor, ':', 1)
            ELSE 'unknown' END,
        CASE WHEN l.actor ~ '^[a-z-]+:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
            THEN split_part(l.actor, ':', 2)::uuid END,
        NULL::uuid, NULL::text, l.action, l.outcome, l.reason,
        CASE WHEN l.target IS NULL THEN '[]'::jsonb
            WHEN strpos(l.target, ':') = 0
            THEN jsonb_build_array(jsonb_build_object('type', 'text', 'id', l.target))
            ELSE jsonb_build_array(jsonb_build_object('type', split_part(l.target, ':', 1),
                'id', substr(l.target, strpos(l.target, ':') + 1))) END,
        NULL::jsonb, l.ip, l.user_agent, NULL::text, l.suppressed
    FROM tenancy.audit_log AS l
    -- An entry that is in both is told once, as the store has it. One of another tenant or action, which merely has
    -- the same id, hides nothing.
    WHERE NOT EXISTS (SELECT FROM tenancy.audit_history AS e
        WHERE e.id = l.id AND e.tenant_id IS NOT DISTINCT FROM l.tenant_id AND e.action = l.action)
        AND NOT EXISTS (SELECT FROM tenancy.audit_records AS e
        WHERE e.id = l.id AND e.tenant_id IS NOT DISTINCT FROM l.tenant_id AND e.action = l.action);

-- The whole trail.
CREATE OR REPLACE VIEW tenancy.audit_trail WITH (security_invoker = true) AS
    SELECT r.id, r.at, r.tenant_id, r.actor_kind, r.actor_id, r.on_behalf_of, r.credential, r.action, r.outcome,
        p.reason, tenancy.targets_as_json(p.targets) AS targets, p.details::jsonb AS details, p.ip, p.user_agent,
        r.request_id, r.suppressed, r.project_id, r.trace_id, p.changes::jsonb AS changes
    FROM tenancy.audit_records AS r LEFT JOIN tenancy.audit_particulars AS p
                 ON p.entry = r.id AND p.tenant_id IS NOT DISTINCT FROM r.tenant_id
    UNION ALL
    SELECT b.*, NULL, NULL, NULL FROM tenancy.audit_before AS b;

-- Removes the oldest entries of a chain that were recorded before a moment, so many at most; how many. `cause` is the entry
-- that says so, which is written in the same transaction.
CREATE FUNCTION tenancy.prune_trail(of_chain uuid, before timestamptz, most integer, of_cause uuid)
    RETURNS TABLE (removed bigint, upto bigint)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    entries uuid[];
    end_hash bytea;
BEGIN
    PERFORM FROM tenancy.audit_heads AS h WHERE h.chain = of_chain FOR UPDATE;
    IF EXISTS (SELECT FROM tenancy.audit_links AS l WHERE l.entry = of_cause) THEN
        RAISE EXCEPTION 'an entry tells of one change, and this one is linked already'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    SELECT array_agg(k.entry), max(k.seq), (array_agg(k.hash ORDER BY k.seq DESC))[1] INTO entries, upto, end_hash
    FROM (SELECT l.seq, l.entry, l.hash,
            bool_and(coalesce(r.recorded_at, l.sealed_at) < before) OVER (ORDER BY l.seq) AS is_old
        FROM (SELECT * FROM tenancy.audit_links AS x WHERE x.chain = of_chain ORDER BY x.seq LIMIT most) AS l
            LEFT JOIN tenancy.audit_records AS r ON r.id = l.entry) AS k
    WHERE k.is_old;
    IF entries IS NULL THEN
        RETURN QUERY SELECT 0::bigint, 0::bigint;
        RETURN;
    END IF;
    INSERT INTO tenancy.audit_checkpoints (chain, seq, kind, hash, cause)
        VALUES (of_chain, upto, 'pruned', end_hash, of_cause);
    DELETE FROM tenancy.audit_particulars AS p WHERE p.entry = ANY (entries);
    DELETE FROM tenancy.audit_records AS r WHERE r.id = ANY (entries);
    DELETE FROM tenancy.audit_erasures AS e WHERE e.entry = ANY (entries);
    DELETE FROM tenancy.audit_links AS l WHERE l.chain = of_chain AND l.seq <= upto;
    removed := cardinality(entries);
    RETURN NEXT;
END
$$;

-- Drops one partition of a month that is over and has no entry any more; how many. To drop one locks the whole table: it
-- waits for nobody longer than a tenth of a second, and is one at a time.
CREATE FUNCTION tenancy.drop_pruned_partitions() RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '100ms'
AS $$
DECLARE
    part record;
    is_empty boolean;
BEGIN
    FOR part IN
        SELECT c.oid::regclass AS name, p.oid::regclass AS parent
        FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid JOIN pg_class AS p ON p.oid = i.inhparent
        WHERE p.oid IN ('tenancy.audit_records'::regclass, 'tenancy.audit_particulars'::regclass)
            AND c.relname ~ '_[0-9]{4}_[0-9]{2}$'
            AND right(c.relname, 7) < to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY"_"MM')
    LOOP
        EXECUTE format('SELECT NOT EXISTS (SELECT FROM %s)', part.name) INTO is_empty;
        CONTINUE WHEN NOT is_empty;
        BEGIN
            -- In the order in which whoever reads locks them.
            EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', part.parent);
            EXECUTE format('SELECT NOT EXISTS (SELECT FROM %s)', part.name) INTO is_empty;
            IF is_empty THEN
                EXECUTE format('DROP TABLE %s', part.name);
                RETURN 1;
            END IF;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            RAISE WARNING 'the partition % was not dropped: the trail is in use; it is tried again', part.name;
        END;
    END LOOP;
    RETURN 0;
END
$$;

-- Erases the particulars of entries that are linked; how many. `cause` is the entry that says so.
CREATE FUNCTION tenancy.erase_particulars(entries uuid[], of_cause uuid) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    erased bigint;
BEGIN
    PERFORM FROM tenancy.audit_heads AS h
        WHERE h.chain IN (SELECT l.chain FROM tenancy.audit_links AS l WHERE l.entry = ANY (entries))
        ORDER BY h.chain FOR UPDATE;
    IF EXISTS (SELECT FROM tenancy.audit_links AS l WHERE l.entry = of_cause) THEN
        RAISE EXCEPTION 'an entry tells of one change, and this one is linked already'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    INSERT INTO tenancy.audit_erasures (entry, cause)
        SELECT l.entry, of_cause FROM tenancy.audit_links AS l WHERE l.entry = ANY (entries)
        ON CONFLICT (entry) DO NOTHING;
    DELETE FROM tenancy.audit_particulars AS p USING tenancy.audit_links AS l
        WHERE p.entry = l.entry AND l.entry = ANY (entries);
    GET DIAGNOSTICS erased = ROW_COUNT;
    RETURN erased;
END
$$;

-- The same of what was recorded before there was a chain: it loses the fields.
CREATE FUNCTION tenancy.erase_history(entries uuid[]) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    of_entries bigint;
    of_log bigint;
BEGIN
    UPDATE tenancy.audit_history AS h SET reason = NULL, targets = '[]', details = NULL, ip = NULL, user_agent = NULL
        WHERE h.id = ANY (entries) AND (h.reason IS NOT NULL OR h.targets <> '[]' OR h.details IS NOT NULL
            OR h.ip IS NOT NULL OR h.user_agent IS NOT NULL);
    GET DIAGNOSTICS of_entries = ROW_COUNT;
    UPDATE tenancy.audit_log AS l SET reason = NULL, target = NULL, ip = NULL, user_agent = NULL
        WHERE l.id = ANY (entries)
            AND (l.reason IS NOT NULL OR l.target IS NOT NULL OR l.ip IS NOT NULL OR l.user_agent IS NOT NULL);
    GET DIAGNOSTICS of_log = ROW_COUNT;
    RETURN of_entries + of_log;
END
$$;

-- As before, and the trail.
CREATE OR REPLACE FUNCTION tenancy.check() RETURNS TABLE (severity text, code text, object text, what text, mend text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
    BEGIN ATOMIC
        SELECT f.level, f.code, f.subject, f.finding, f.mend
        FROM (
            SELECT l.level, l.code, l.subject, l.finding, l.mend
            FROM tenancy.login_findings(tenancy.role_name('app')) AS l
            UNION ALL
            SELECT r.level, r.code, r.subject, r.finding, r.mend
            FROM tenancy.relation_findings(tenancy.role_name('app')) AS r
            UNION ALL
            SELECT d.level, d.code, d.subject, d.finding, d.mend
            FROM tenancy.definer_findings(tenancy.role_name('app')) AS d
            UNION ALL
            SELECT a.level, a.code, a.subject, a.finding, a.mend
            FROM tenancy.account_findings(tenancy.role_name('app')) AS a
            UNION ALL
            SELECT s.level, s.code, s.subject, s.finding, s.mend
            FROM tenancy.seal_findings(tenancy.role_name('app')) AS s
            UNION ALL
            SELECT h.level, h.code, h.subject, h.finding, h.mend FROM tenancy.schema_findings() AS h
            UNION ALL
            SELECT t.level, t.code, t.subject, t.finding, t.mend FROM tenancy.trail_findings() AS t
            UNION ALL
            SELECT c.level, c.code, c.subject, c.finding, c.mend FROM tenancy.code_warnings() AS c
            WHERE NOT EXISTS (SELECT FROM pg_description AS n WHERE n.objoid = c.subject_oid
                AND n.classoid = 'pg_proc'::regclass AND n.description LIKE '%[tenancy: checked]%')
        ) AS f
        -- `protect` refuses while something around the table is open: its mend comes last.
        ORDER BY f.level, coalesce(f.mend LIKE 'SELECT tenancy.protect%', false), f.code, f.subject;
    END;

REVOKE ALL ON FUNCTION
    tenancy.await_link(), tenancy.match_entry(), tenancy.target_key(uuid, text), tenancy.index_targets(),
    tenancy.find_entries_of(text, uuid, bigint), tenancy.keep_trail(), tenancy.guard_trail(regclass, text),
    tenancy.trail_triggers(text), tenancy.has_trail_trigger(regclass, text, name), tenancy.trail_tables(),
    tenancy.trail_findings(), tenancy.check(),
    tenancy.first_uuid(timestamptz), tenancy.make_month(name, timestamptz, text, text),
    tenancy.prepare_trail(integer), tenancy.hashed(bytea), tenancy.hashed(text),
    tenancy.hashed(timestamptz), tenancy.particulars_digest(tenancy.audit_particulars),
    tenancy.record_digest(tenancy.audit_records, bytea), tenancy.link_hash(uuid, bigint, bytea, bytea),
    tenancy.seal_trail(integer, boolean, boolean), tenancy.targets_as_json(text[]), tenancy.targets_as_kept(jsonb),
    tenancy.append_records(jsonb), tenancy.add_entry(), tenancy.prune_trail(uuid, timestamptz, integer, uuid),
    tenancy.drop_pruned_partitions(), tenancy.erase_particulars(uuid[], uuid), tenancy.erase_history(uuid[])
FROM PUBLIC;

-- As before, and the tables behind the view.
CREATE OR REPLACE FUNCTION tenancy.app_privileges() RETURNS TABLE (relation name, privilege text)
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT r::name, 'SELECT' FROM unnest(ARRAY['tenants', 'domains', 'external_ids', 'memberships',
            'roles', 'projects', 'project_memberships', 'generations', 'role_names',
            'audit_before', 'audit_entries', 'audit_history', 'audit_log', 'audit_particulars', 'audit_records',
            'audit_trail']) AS r
        UNION ALL
        SELECT r::name, 'INSERT' FROM unnest(ARRAY['outbox_events', 'audit_entries', 'audit_particulars',
            'audit_records']) AS r;
    END;

-- What programs need from here on: a trail with a chain.
CREATE OR REPLACE FUNCTION tenancy.schema_version() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 16;
