-- What each role may do in the schema `tenancy`. Run after the migrations, and again at will.
DO $grants$
DECLARE
    registry text;
    app name := tenancy.role_name('app');
    system name := tenancy.role_name('system');
    own text;
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA tenancy TO %I, %I', app, system);

    -- The app role reads its own tenant's part of the registry, and finds ids by name.
    FOREACH registry IN ARRAY ARRAY['tenants', 'domains', 'external_ids', 'memberships', 'roles',
                                    'projects', 'project_memberships', 'generations',
                                    'api_keys', 'audit_log']
    LOOP
        own := format('%I = (SELECT tenancy.current_tenant())',
            CASE registry WHEN 'tenants' THEN 'id' ELSE 'tenant_id' END);
        PERFORM tenancy.ensure_policy(format('tenancy.%I', registry)::regclass,
            'tenancy_allow', true, app, own);
        PERFORM tenancy.ensure_policy(format('tenancy.%I', registry)::regclass,
            'tenancy_guard', false, app, own);
        PERFORM tenancy.ensure_policy(format('tenancy.%I', registry)::regclass,
            'tenancy_system', true, system, 'true');
        IF NOT (SELECT c.relrowsecurity FROM pg_class AS c
                WHERE c.oid = format('tenancy.%I', registry)::regclass)
        THEN
            EXECUTE format('ALTER TABLE tenancy.%I ENABLE ROW LEVEL SECURITY', registry);
        END IF;
        CONTINUE WHEN registry = 'audit_log';
        -- The app role finds a key by its id or handle, through functions, and lists none.
        IF registry = 'api_keys' THEN
            EXECUTE format('GRANT SELECT, INSERT, UPDATE ON tenancy.api_keys TO %I', system);
            CONTINUE;
        END IF;
        EXECUTE format('GRANT SELECT ON tenancy.%I TO %I, %I', registry, app, system);
        -- Only triggers move generations on.
        CONTINUE WHEN registry = 'generations';
        EXECUTE format('GRANT INSERT, UPDATE, DELETE ON tenancy.%I TO %I', registry, system);
    END LOOP;
    -- The trail is added to, and read by those who may; nobody rewrites it.
    EXECUTE format('GRANT SELECT, INSERT ON tenancy.audit_log TO %I', system);
    EXECUTE format('GRANT SELECT ON tenancy.role_names TO %I', system);
    -- The app role asks for epochs through functions.
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON tenancy.token_epochs TO %I', system);

    -- What a check compares the policies of protected tables with.
    PERFORM tenancy.ensure_policies('tenancy.protected_example', 'tenant_id', 'project_id');
    -- Tables that were protected by an earlier version get the policies of this one.
    PERFORM tenancy.ensure_policies(c.oid, s.columns[1], s.columns[2])
    FROM pg_class AS c, tenancy.scope_columns(c.oid) AS s (columns)
    WHERE c.relkind IN ('r', 'p') AND c.relnamespace <> 'tenancy'::regnamespace
        AND EXISTS (SELECT FROM pg_policy AS p WHERE p.polrelid = c.oid AND p.polname = 'tenancy_guard')
        AND s.columns[1] IS NOT NULL;

    EXECUTE format(
        'GRANT EXECUTE ON FUNCTION tenancy.current_tenant(), tenancy.current_project(), '
        'tenancy.acts_as_owner(), tenancy.first_tenant(), tenancy.last_tenant(), '
        'tenancy.first_project(), tenancy.last_project(), '
        'tenancy.policy_column(oid, name[]), tenancy.scope_columns(oid), '
        'tenancy.schema_version(), tenancy.changes_since(bigint), tenancy.feed_origin(), '
        'tenancy.require_generation(uuid, bigint), tenancy.resolve_tenant(text, text, text), '
        'tenancy.find_api_key(uuid), tenancy.note_key_uses(uuid[], timestamptz[]), '
        'tenancy.epochs_since(bigint), tenancy.find_epoch(text[], text[]), '
        'tenancy.require_token(uuid, text, text, uuid, timestamptz), '
        'tenancy.find_imported_key(text, text) '
        'TO %I, %I', app, system);

    -- A table that the application creates later is closed to the service's login until it is
    -- protected or shared: a forgotten call is an error, and no leak. That holds for a partition
    -- too, which is reached through its parent and needs no grant of its own.
    EXECUTE format('ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM %I', app);
    EXECUTE format('ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO %I',
        system);
    EXECUTE format('ALTER DEFAULT PRIVILEGES GRANT USAGE ON SEQUENCES TO %I, %I', app, system);
    EXECUTE format('GRANT USAGE ON SCHEMA public TO %I, %I', app, system);
END
$grants$;
-- Triggers that were replaced or switched off, and a database that was restored.
SELECT tenancy.arm_triggers(), tenancy.rebase_feed();
