-- What each role may do in the schema `tenancy`. Run after the migrations, and again at will: first
-- everything is taken away, so that an upgraded database ends up as a new one.
DO $grants$
DECLARE
    registry_table text;
    owner name := tenancy.role_name('owner');
    app name := tenancy.role_name('app');
    registry name := tenancy.role_name('registry');
    audit name := tenancy.role_name('audit');
    system name := tenancy.role_name('system');
    logins text := format('%I, %I, %I, %I', app, registry, audit, system);
    own text;
    defaults record;
BEGIN
    -- A newer release has been here, and what it needs stays.
    IF EXISTS (SELECT FROM tenancy.migrations AS m WHERE m.version > (
        SELECT max(k.version) FROM jsonb_to_recordset(
            current_setting('tenancy.known_migrations')::jsonb) AS k (version bigint)))
    THEN
        RETURN;
    END IF;

    EXECUTE format('REVOKE ALL ON SCHEMA tenancy FROM PUBLIC, %s CASCADE', logins);
    EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA tenancy FROM PUBLIC, %s CASCADE', logins);
    EXECUTE format('REVOKE ALL ON ALL SEQUENCES IN SCHEMA tenancy FROM PUBLIC, %s CASCADE', logins);
    EXECUTE format('REVOKE ALL ON ALL ROUTINES IN SCHEMA tenancy FROM PUBLIC, %s CASCADE', logins);
    -- Earlier releases gave default privileges everywhere, the schema `tenancy` included.
    FOR defaults IN
        SELECT DISTINCT CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES'
                WHEN 'f' THEN 'ROUTINES' WHEN 'T' THEN 'TYPES' ELSE 'SCHEMAS' END AS kind,
            CASE WHEN d.defaclnamespace <> 0 THEN 'IN SCHEMA tenancy ' ELSE '' END AS place,
            CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END AS grantee
        FROM pg_default_acl AS d, aclexplode(d.defaclacl) AS a
        WHERE d.defaclrole = quote_ident(owner)::regrole
            AND d.defaclnamespace IN (0, 'tenancy'::regnamespace)
            AND d.defaclobjtype IN ('r', 'S', 'f', 'T', 'n')
            AND (a.grantee IN (quote_ident(app)::regrole, quote_ident(registry)::regrole,
                    quote_ident(audit)::regrole, quote_ident(system)::regrole)
                -- What everybody may do with functions and types unless told otherwise.
                OR a.grantee = 0 AND (d.defaclobjtype IN ('r', 'S', 'n') OR d.defaclnamespace <> 0))
    LOOP
        EXECUTE format('ALTER DEFAULT PRIVILEGES %sREVOKE ALL ON %s FROM %s',
            defaults.place, defaults.kind, defaults.grantee);
    END LOOP;

    EXECUTE format('GRANT USAGE ON SCHEMA tenancy TO %s', logins);

    -- The app role reads its own tenant's part of the registry, and finds ids by name. The registry
    -- role writes that part, and only that.
    FOREACH registry_table IN ARRAY ARRAY['tenants', 'domains', 'external_ids', 'memberships', 'roles',
                                    'projects', 'project_memberships', 'generations',
                                    'api_keys', 'audit_log', 'token_epochs', 'issuers', 'ownership_offers',
                                    'invitations', 'domain_joins']
    LOOP
        own := CASE registry_table
            WHEN 'tenants' THEN 'id = (SELECT tenancy.current_tenant())'
            WHEN 'token_epochs' THEN
                'kind = ''tenant'' AND subject = (SELECT tenancy.current_tenant())::text'
            ELSE 'tenant_id = (SELECT tenancy.current_tenant())' END;
        PERFORM tenancy.ensure_policy(format('tenancy.%I', registry_table)::regclass,
            'tenancy_allow', true, app, own);
        PERFORM tenancy.ensure_policy(format('tenancy.%I', registry_table)::regclass,
            'tenancy_guard', false, app, own);
        IF registry_table <> 'audit_log' THEN
            PERFORM tenancy.ensure_policy(format('tenancy.%I', registry_table)::regclass,
                'tenancy_registry', true, registry, own);
            PERFORM tenancy.ensure_policy(format('tenancy.%I', registry_table)::regclass,
                'tenancy_registry_guard', false, registry, own);
        END IF;
        PERFORM tenancy.ensure_policy(format('tenancy.%I', registry_table)::regclass,
            'tenancy_system', true, system, 'true');
        IF NOT (SELECT c.relrowsecurity FROM pg_class AS c
                WHERE c.oid = format('tenancy.%I', registry_table)::regclass)
        THEN
            EXECUTE format('ALTER TABLE tenancy.%I ENABLE ROW LEVEL SECURITY', registry_table);
        END IF;
        CONTINUE WHEN registry_table = 'audit_log';
        -- The app role asks for epochs through functions.
        IF registry_table = 'token_epochs' THEN
            EXECUTE format('GRANT SELECT, INSERT, UPDATE (valid_after, changed_xid) '
                'ON tenancy.token_epochs TO %I', registry);
            EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON tenancy.token_epochs TO %I', system);
            CONTINUE;
        END IF;
        -- The app role finds a key by its id or handle, through functions, and lists none.
        IF registry_table = 'api_keys' THEN
            -- A key lets go of its project when that is removed, and is revoked then. It has another creator when the
            -- one before leaves the tenant and hands it over.
            EXECUTE format('GRANT SELECT, INSERT, UPDATE (creator, name, scopes, project_id, networks, metadata, '
                'digest, digest_version, overlap_until, successor, disabled, revoked_at, limits, open_projects_only) '
                'ON tenancy.api_keys TO %I', registry);
            EXECUTE format('GRANT SELECT, INSERT, UPDATE ON tenancy.api_keys TO %I', system);
            CONTINUE;
        END IF;
        -- The app role finds an issuer by its name, through a function, and lists none.
        IF registry_table = 'issuers' THEN
            EXECUTE format('GRANT SELECT, INSERT, UPDATE (config), DELETE ON tenancy.issuers TO %I',
                registry);
            EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON tenancy.issuers TO %I', system);
            CONTINUE;
        END IF;
        IF registry_table = 'domain_joins' THEN
            EXECUTE format('GRANT SELECT, INSERT, UPDATE (mode, role, created_at), DELETE ON tenancy.domain_joins TO %I',
                registry);
            EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON tenancy.domain_joins TO %I', system);
            CONTINUE;
        END IF;
        -- Invitations have addresses of people who are no members: the app role reads none.
        IF registry_table = 'invitations' THEN
            -- What has been over for long is removed where others are added.
            EXECUTE format('GRANT SELECT, INSERT, UPDATE (role, projects, inviter, permission, inviter_key, '
                'inviter_account, inviter_operator, state, sent_at, expires_at, rotation, digest, digest_version, accepted_by), DELETE '
                'ON tenancy.invitations TO %I', registry);
            EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON tenancy.invitations TO %I', system);
            CONTINUE;
        END IF;
        -- Members and operators make offers and accept them. The app role has nothing to ask there.
        IF registry_table = 'ownership_offers' THEN
            EXECUTE format('GRANT SELECT, INSERT, DELETE ON tenancy.ownership_offers TO %I, %I',
                registry, system);
            CONTINUE;
        END IF;
        EXECUTE format('GRANT SELECT ON tenancy.%I TO %I, %I, %I', registry_table, app, registry, system);
        -- Only triggers move generations on.
        CONTINUE WHEN registry_table = 'generations';
        -- A tenant signs itself up and never goes; its status and its plan are the operators'.
        EXECUTE format('GRANT INSERT%s ON tenancy.%I TO %I',
            CASE registry_table WHEN 'tenants' THEN '' ELSE ', DELETE' END
            || CASE registry_table WHEN 'tenants' THEN ', UPDATE (slug, name, settings)'
                WHEN 'memberships' THEN ', UPDATE (role, status)'
                WHEN 'roles' THEN ', UPDATE (definition)'
                WHEN 'projects' THEN ', UPDATE (slug, name, archived, access)'
                WHEN 'project_memberships' THEN ', UPDATE (role)'
                ELSE '' END,
            registry_table, registry);
        EXECUTE format('GRANT INSERT, UPDATE, DELETE ON tenancy.%I TO %I', registry_table, system);
    END LOOP;
    -- The trail is added to, and read by those who may; nobody rewrites it.
    EXECUTE format('GRANT SELECT, INSERT ON tenancy.audit_log TO %I', system);
    EXECUTE format('GRANT SELECT ON tenancy.audit_log TO %I', app);
    EXECUTE format('GRANT SELECT ON tenancy.audit_trail, tenancy.audit_before TO %I, %I', app, system);
    EXECUTE format('GRANT SELECT ON tenancy.role_names TO %I, %I', app, system);
    -- Slugs rest by a function, and operators may end that.
    PERFORM tenancy.ensure_policy('tenancy.resting_slugs', 'tenancy_system', true, system, 'true');
    IF NOT (SELECT c.relrowsecurity FROM pg_class AS c WHERE c.oid = 'tenancy.resting_slugs'::regclass) THEN
        ALTER TABLE tenancy.resting_slugs ENABLE ROW LEVEL SECURITY;
    END IF;
    EXECUTE format('GRANT SELECT, DELETE ON tenancy.resting_slugs TO %I', system);
    -- Versions of plans are added and listed by operators. The others find one by its name, through a function.
    PERFORM tenancy.ensure_policy('tenancy.plan_versions', 'tenancy_system', true, system, 'true');
    IF NOT (SELECT c.relrowsecurity FROM pg_class AS c WHERE c.oid = 'tenancy.plan_versions'::regclass) THEN
        ALTER TABLE tenancy.plan_versions ENABLE ROW LEVEL SECURITY;
    END IF;
    EXECUTE format('GRANT SELECT, INSERT ON tenancy.plan_versions TO %I', system);
    IF EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgrelid = 'tenancy.plan_versions'::regclass
        AND t.tgname = 'keep_plan_versions' AND t.tgenabled <> 'A')
    THEN
        ALTER TABLE tenancy.plan_versions ENABLE ALWAYS TRIGGER keep_plan_versions;
    END IF;
    EXECUTE format('GRANT EXECUTE ON FUNCTION tenancy.find_plan_version(text, integer) TO %I, %I, %I',
        app, registry, system);
    -- So are limits of single tenants. The others find their own tenant's, through a function.
    PERFORM tenancy.ensure_policy('tenancy.limit_overrides', 'tenancy_system', true, system, 'true');
    IF NOT (SELECT c.relrowsecurity FROM pg_class AS c WHERE c.oid = 'tenancy.limit_overrides'::regclass) THEN
        ALTER TABLE tenancy.limit_overrides ENABLE ROW LEVEL SECURITY;
    END IF;
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON tenancy.limit_overrides TO %I', system);
    EXECUTE format('GRANT EXECUTE ON FUNCTION tenancy.find_limit_overrides() TO %I, %I, %I',
        app, registry, system);

    -- The system login reaches all rows of these.
    FOREACH registry_table IN ARRAY ARRAY['operators', 'impersonations', 'support_access', 'provisionings',
                                    'accounts', 'account_subjects', 'password_resets']
    LOOP
        PERFORM tenancy.ensure_policy(format('tenancy.%I', registry_table)::regclass,
            'tenancy_system', true, system, 'true');
        IF NOT (SELECT c.relrowsecurity FROM pg_class AS c
                WHERE c.oid = format('tenancy.%I', registry_table)::regclass)
        THEN
            EXECUTE format('ALTER TABLE tenancy.%I ENABLE ROW LEVEL SECURITY', registry_table);
        END IF;
    END LOOP;

    -- Operators are the system login's. Impersonations begin there, and a tenant ends and lists its own; nobody else reads
    -- what a token is compared with. The service finds one by its token, through a function, and lists none.
    EXECUTE format('GRANT SELECT, INSERT, UPDATE ON tenancy.operators TO %I', system);
    own := 'tenant_id = (SELECT tenancy.current_tenant())';
    FOREACH registry_table IN ARRAY ARRAY['impersonations', 'support_access'] LOOP
        PERFORM tenancy.ensure_policy(format('tenancy.%I', registry_table)::regclass,
            'tenancy_registry', true, registry, own);
        PERFORM tenancy.ensure_policy(format('tenancy.%I', registry_table)::regclass,
            'tenancy_registry_guard', false, registry, own);
    END LOOP;
    EXECUTE format('GRANT SELECT (tenant_id, id, operator_id, user_id, reason, ticket, started_at, until, ends_at, '
        'needs_approval, approved_by, ended_at), UPDATE (ended_at) ON tenancy.impersonations TO %I', registry);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE (approved_by, ended_at) ON tenancy.impersonations TO %I',
        system);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE (until), DELETE ON tenancy.support_access TO %I, %I',
        registry, system);
    IF EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgrelid = 'tenancy.impersonations'::regclass
        AND t.tgname = 'keep_impersonations' AND t.tgenabled <> 'A')
    THEN
        ALTER TABLE tenancy.impersonations ENABLE ALWAYS TRIGGER keep_impersonations;
    END IF;
    EXECUTE format('GRANT EXECUTE ON FUNCTION tenancy.find_impersonation(bytea, uuid), '
        'tenancy.find_support_access() TO %I, %I', app, system);
    -- Accounts, their resets, and what callers' keys have made, are no tenant's. The registry login serves sign-up and
    -- sign-in by functions that find one by its whole name. The system login lists rows without their passwords.
    EXECUTE format('GRANT SELECT (user_id, email, disabled, created_at), DELETE ON tenancy.accounts TO %I', system);
    EXECUTE format('GRANT SELECT ON tenancy.account_subjects TO %I', system);
    EXECUTE format('GRANT EXECUTE ON FUNCTION '
        'tenancy.note_provisioning(bytea, bytea, uuid, uuid, uuid, uuid), tenancy.find_provisioning(bytea), '
        'tenancy.find_account(uuid, text, text, text), '
        'tenancy.create_account(uuid, text, text, boolean, bigint, text[], text[]), '
        'tenancy.change_account(uuid, text, boolean, bigint), '
        'tenancy.link_account(uuid, text, text, boolean), '
        'tenancy.renew_account_hash(uuid, text, text), '
        'tenancy.request_password_reset(text, uuid, bytea, bigint, bigint, bigint), '
        'tenancy.find_password_reset(uuid), '
        'tenancy.use_password_reset(uuid, bytea, uuid, bigint, text, bigint), '
        'tenancy.record_account_change(uuid, timestamptz, text, uuid, uuid, text, text, text, text, jsonb, jsonb, '
        'inet, text, text, uuid[], text[], jsonb[]) TO %I, %I', registry, system);
    -- An invitation is found by its id for whoever accepts it, which those do that write memberships.
    EXECUTE format('GRANT EXECUTE ON FUNCTION tenancy.find_invitation(uuid), '
        'tenancy.find_domain_joins(text) TO %I, %I', registry, system);
    EXECUTE format('GRANT EXECUTE ON FUNCTION tenancy.seats_taken(timestamptz) TO %I, %I, %I',
        app, registry, system);

    -- Events, and entries of the trail, are added with the change that they tell of: by each login for the
    -- tenant that it names, and by the system login for any or for none. Nobody changes what is there.
    FOREACH registry_table IN ARRAY ARRAY['outbox_events', 'audit_history', 'audit_records', 'audit_particulars'] LOOP
        own := 'tenant_id = (SELECT tenancy.current_tenant())';
        PERFORM tenancy.ensure_policy(format('tenancy.%I', registry_table)::regclass,
            'tenancy_allow', true, app, own);
        PERFORM tenancy.ensure_policy(format('tenancy.%I', registry_table)::regclass,
            'tenancy_guard', false, app, own);
        PERFORM tenancy.ensure_policy(format('tenancy.%I', registry_table)::regclass,
            'tenancy_registry', true, registry, own);
        PERFORM tenancy.ensure_policy(format('tenancy.%I', registry_table)::regclass,
            'tenancy_registry_guard', false, registry, own);
    END LOOP;
    EXECUTE format('GRANT INSERT (event, tenant_id, kind, payload, caused_by) ON tenancy.outbox_events '
        'TO %I, %I, %I', app, registry, system);
    EXECUTE format('GRANT INSERT ON tenancy.audit_entries TO %I, %I, %I', app, registry, system);
    -- When it was recorded, and the salt, nobody chooses.
    EXECUTE format('GRANT INSERT (id, at, version, tenant_id, project_id, actor_kind, actor_id, on_behalf_of, '
        'credential, action, outcome, request_id, trace_id, suppressed) ON tenancy.audit_records TO %I, %I, %I',
        app, registry, system);
    EXECUTE format('GRANT INSERT (entry, tenant_id, reason, targets, details, changes, ip, user_agent) '
        'ON tenancy.audit_particulars TO %I, %I, %I', app, registry, system);
    EXECUTE format('GRANT SELECT ON tenancy.audit_entries, tenancy.audit_history, tenancy.audit_records, '
        'tenancy.audit_particulars TO %I', app);
    EXECUTE format('GRANT EXECUTE ON FUNCTION tenancy.targets_as_json(text[]) TO %I, %I', app, system);
    EXECUTE format('GRANT EXECUTE ON FUNCTION tenancy.find_entries_of(text, uuid, bigint) TO %I, %I', app, system);
    EXECUTE format('GRANT EXECUTE ON FUNCTION tenancy.target_key(uuid, text) TO %I', system);
    EXECUTE format('GRANT EXECUTE ON FUNCTION tenancy.targets_as_kept(jsonb), tenancy.add_entry() TO %I, %I, %I',
        app, registry, system);
    EXECUTE format('GRANT SELECT ON tenancy.audit_entries TO %I', system);
    EXECUTE format('GRANT EXECUTE ON FUNCTION tenancy.append_records(jsonb), tenancy.prepare_trail(integer), '
        'tenancy.seal_trail(integer, boolean, boolean) '
        'TO %I, %I', audit, system);
    EXECUTE format('GRANT EXECUTE ON FUNCTION '
        'tenancy.prune_trail(uuid, timestamptz, integer, uuid), tenancy.drop_pruned_partitions(), '
        'tenancy.erase_particulars(uuid[], uuid), tenancy.erase_history(uuid[]) TO %I', system);
    -- Consumers read across tenants, and move by functions.
    FOREACH registry_table IN ARRAY ARRAY['outbox_events', 'audit_history', 'audit_records', 'audit_particulars',
                                    'audit_links', 'audit_checkpoints', 'audit_erasures', 'audit_heads',
                                    'audit_unsealed', 'outbox_head', 'outbox_consumers', 'outbox_parked']
    LOOP
        PERFORM tenancy.ensure_policy(format('tenancy.%I', registry_table)::regclass,
            'tenancy_system', true, system, 'true');
        IF NOT (SELECT c.relrowsecurity FROM pg_class AS c
                WHERE c.oid = format('tenancy.%I', registry_table)::regclass)
        THEN
            EXECUTE format('ALTER TABLE tenancy.%I ENABLE ROW LEVEL SECURITY', registry_table);
        END IF;
        EXECUTE format('GRANT SELECT ON tenancy.%I TO %I', registry_table, system);
    END LOOP;
    EXECUTE format(
        'GRANT EXECUTE ON FUNCTION '
        'tenancy.outbox_claim(text, uuid, bigint, boolean, integer, bigint), '
        'tenancy.outbox_page(text, bigint, bigint, integer), tenancy.outbox_renew(text, bigint, bigint), '
        'tenancy.outbox_succeed(text, bigint, bigint, bigint, bigint), '
        'tenancy.outbox_park(text, bigint, bigint, bigint, text, bigint, bigint), '
        'tenancy.outbox_release(text, bigint), tenancy.outbox_retry(text, bigint), '
        'tenancy.outbox_drop(text, bigint), tenancy.outbox_remove_consumer(text), '
        'tenancy.outbox_prune(bigint, integer) '
        'TO %I', system);

    -- Counters are moved by functions: never by the service's login, whose SQL a caller may reach, and which would
    -- give itself more. It confirms in its own transaction what was reserved for its tenant.
    FOREACH registry_table IN ARRAY ARRAY['quota_counts', 'quota_leases', 'quota_holdings',
                                    'quota_reservations', 'quota_operations']
    LOOP
        PERFORM tenancy.ensure_policy(format('tenancy.%I', registry_table)::regclass,
            'tenancy_system', true, system, 'true');
        IF NOT (SELECT c.relrowsecurity FROM pg_class AS c
                WHERE c.oid = format('tenancy.%I', registry_table)::regclass)
        THEN
            EXECUTE format('ALTER TABLE tenancy.%I ENABLE ROW LEVEL SECURITY', registry_table);
        END IF;
        EXECUTE format('GRANT SELECT ON tenancy.%I TO %I', registry_table, system);
    END LOOP;
    EXECUTE format('GRANT EXECUTE ON FUNCTION tenancy.quota_lease(jsonb), tenancy.quota_reserve(jsonb), '
        'tenancy.quota_settle(jsonb), tenancy.quota_renew(jsonb), tenancy.quota_offer(jsonb), '
        'tenancy.quota_standings(jsonb), tenancy.quota_clean(integer) TO %I', registry);
    EXECUTE format('GRANT EXECUTE ON FUNCTION tenancy.quota_confirm(uuid) TO %I', app);

    -- Usage is counted by functions, as counters are. The service's login adds events of the tenant that it names, within a
    -- transaction, and reads none.
    FOREACH registry_table IN ARRAY ARRAY['usage_keys', 'usage_events', 'usage_rollups', 'usage_values', 'usage_status',
                                    'usage_pending', 'usage_refused', 'usage_corrections', 'usage_backfills',
                                    'usage_pruned', 'usage_metrics']
    LOOP
        PERFORM tenancy.ensure_policy(format('tenancy.%I', registry_table)::regclass,
            'tenancy_system', true, system, 'true');
        IF NOT (SELECT c.relrowsecurity FROM pg_class AS c
                WHERE c.oid = format('tenancy.%I', registry_table)::regclass)
        THEN
            EXECUTE format('ALTER TABLE tenancy.%I ENABLE ROW LEVEL SECURITY', registry_table);
        END IF;
        EXECUTE format('GRANT SELECT ON tenancy.%I TO %I', registry_table, system);
    END LOOP;
    own := 'tenant_id = (SELECT tenancy.current_tenant())';
    PERFORM tenancy.ensure_policy('tenancy.usage_pending', 'tenancy_allow', true, app, own);
    PERFORM tenancy.ensure_policy('tenancy.usage_pending', 'tenancy_guard', false, app, own);
    EXECUTE format('GRANT INSERT (tenant_id, event) ON tenancy.usage_pending TO %I', app);
    EXECUTE format('GRANT EXECUTE ON FUNCTION tenancy.prepare_usage(integer), '
        'tenancy.record_usage(uuid[], uuid[], bytea[], text[], timestamptz[], text[], text[], numeric[], bigint[], text[], '
        'uuid[], uuid[], uuid[], text[], jsonb[], uuid[], boolean[], smallint[], timestamptz[], timestamptz[], '
        'timestamptz[], timestamptz[], timestamptz[], timestamptz[], uuid[], bigint[], bigint[], timestamptz), '
        'tenancy.read_usage(uuid, text, smallint, timestamptz, timestamptz, uuid, uuid, boolean, boolean, text[], '
        'boolean, boolean), tenancy.find_usage_status(uuid), tenancy.take_pending_usage(integer, text[]), '
        'tenancy.refuse_usage(bigint[], uuid[], jsonb[], text[], timestamptz[]) TO %I', registry);
    EXECUTE format('GRANT EXECUTE ON FUNCTION tenancy.read_usage(uuid, text, smallint, timestamptz, timestamptz, uuid, '
        'uuid, boolean, boolean, text[], boolean, boolean), tenancy.find_usage_status(uuid), tenancy.find_usage_lag(uuid) '
        'TO %I', system);
    EXECUTE format('GRANT EXECUTE ON FUNCTION tenancy.find_corrected_usage(uuid, uuid, text, text, text[]), '
        'tenancy.correct_usage(uuid, uuid, bytea, text, text, text, text, text, boolean, timestamptz, numeric, bigint, '
        'numeric, bigint, text, text, jsonb), '
        'tenancy.begin_backfill(uuid, text, bytea, text, timestamptz, timestamptz, timestamptz, timestamptz, bigint, text, '
        'text), tenancy.replace_usage(uuid, text, boolean, jsonb), tenancy.tell_backfill(uuid, text, jsonb), '
        'tenancy.revert_usage(uuid, text, text[], text, text, jsonb), '
        'tenancy.find_usage_lag(uuid) TO %I', registry);
    -- Up to when usage was removed whoever reads is told, and operators read what was corrected.
    EXECUTE format('GRANT EXECUTE ON FUNCTION tenancy.usage_pruned_before(uuid, text), '
        'tenancy.list_usage_corrections(uuid, bigint, integer), tenancy.list_usage_backfills(uuid, bigint, integer) '
        'TO %I, %I', registry, system);
    -- Custom metrics are defined by tenants through the service, and by operators.
    EXECUTE format('GRANT EXECUTE ON FUNCTION tenancy.define_metric(uuid, text, text, text, jsonb, integer, text, '
        'timestamptz, jsonb), tenancy.remove_metric(uuid, text, jsonb), tenancy.list_metrics(uuid), '
        'tenancy.read_usage(uuid, text, smallint, timestamptz, timestamptz, uuid, uuid, boolean, boolean, text[], '
        'boolean, boolean, jsonb) TO %I, %I', registry, system);
    -- Old usage is removed by the system login alone.
    EXECUTE format('GRANT EXECUTE ON FUNCTION tenancy.prune_usage(text, timestamptz, uuid, uuid[], integer, jsonb), '
        'tenancy.drop_usage_month(timestamptz, jsonb), tenancy.list_used_tenants(uuid, integer) TO %I', system);
    -- What was refused is mended by operators.
    EXECUTE format('GRANT DELETE ON tenancy.usage_refused TO %I', system);

    -- Billing is kept by functions of the registry's login. The service's has nothing of it, and operators read.
    FOREACH registry_table IN ARRAY ARRAY['billing_thresholds', 'billing_invoices', 'billing_credits', 'billing_customers',
                                    'billing_subscriptions', 'billing_reports']
    LOOP
        PERFORM tenancy.ensure_policy(format('tenancy.%I', registry_table)::regclass,
            'tenancy_system', true, system, 'true');
        IF NOT (SELECT c.relrowsecurity FROM pg_class AS c
                WHERE c.oid = format('tenancy.%I', registry_table)::regclass)
        THEN
            EXECUTE format('ALTER TABLE tenancy.%I ENABLE ROW LEVEL SECURITY', registry_table);
        END IF;
        EXECUTE format('GRANT SELECT ON tenancy.%I TO %I', registry_table, system);
    END LOOP;
    EXECUTE format('GRANT EXECUTE ON FUNCTION tenancy.lock_billing(uuid), '
        'tenancy.cross_thresholds(uuid[], text[], timestamptz[], smallint[]), '
        'tenancy.close_period(uuid, timestamptz, timestamptz, text, jsonb, timestamptz), '
        'tenancy.add_credit(uuid, bigint, jsonb, jsonb), tenancy.bind_customer(uuid, text, text), '
        'tenancy.list_changed_subscriptions(timestamptz, integer), '
        'tenancy.keep_subscription(uuid, text, text, text, jsonb, text, text, timestamptz), '
        'tenancy.queue_reports(uuid, text, text[], text[], text[], numeric[], timestamptz[]), '
        'tenancy.take_reports(text, integer, timestamptz, timestamptz, timestamptz, text), '
        'tenancy.settle_reports(text, text[], text[]), tenancy.requeue_report(text, text) TO %I', registry);
    EXECUTE format('GRANT EXECUTE ON FUNCTION '
        'tenancy.list_invoices(uuid, timestamptz, timestamptz, timestamptz, integer), '
        'tenancy.find_invoice(uuid, timestamptz), tenancy.list_credits(uuid), tenancy.find_customer_tenant(text, text), '
        'tenancy.find_customer(uuid, text), tenancy.find_subscription(text, text), tenancy.list_subscriptions(uuid), '
        'tenancy.list_stuck_reports(text, integer) TO %I, %I', registry, system);

    -- What a check compares the policies of protected tables with.
    PERFORM tenancy.ensure_policies('tenancy.protected_example', 'tenant_id', 'project_id');
    PERFORM tenancy.ensure_member_policies('tenancy.accounts_example', 'id');
    -- Tables that were protected by an earlier version get the policies of this one.
    PERFORM tenancy.ensure_policies(c.oid, s.columns[1], s.columns[2])
    FROM pg_class AS c, tenancy.scope_columns(c.oid) AS s (columns)
    WHERE c.relkind IN ('r', 'p') AND c.relnamespace <> 'tenancy'::regnamespace
        AND EXISTS (SELECT FROM pg_policy AS p WHERE p.polrelid = c.oid AND p.polname = 'tenancy_guard')
        AND s.columns[1] IS NOT NULL;
    PERFORM tenancy.ensure_member_policies(a.relation, a.user_column)
    FROM tenancy.account_tables() AS a WHERE a.user_column IS NOT NULL;

    EXECUTE format(
        'GRANT EXECUTE ON FUNCTION tenancy.current_tenant(), tenancy.current_project(), '
        'tenancy.acts_as_owner(), tenancy.first_tenant(), tenancy.last_tenant(), '
        'tenancy.first_project(), tenancy.last_project(), '
        'tenancy.policy_column(oid, name[]), tenancy.scope_columns(oid), '
        'tenancy.schema_version(), tenancy.changes_since(bigint), tenancy.feed_origin(), '
        'tenancy.feed_page(text, integer), '
        'tenancy.require_generation(uuid, bigint), tenancy.resolve_tenant(text, text, text), '
        'tenancy.find_api_key(uuid), tenancy.note_key_uses(uuid[], timestamptz[]), '
        'tenancy.epochs_since(bigint), tenancy.find_epoch(text[], text[]), '
        'tenancy.require_token(uuid, text, text, uuid, timestamptz), '
        'tenancy.find_imported_key(text, text), tenancy.find_issuer(text) '
        'TO %I, %I', app, system);
    EXECUTE format(
        'GRANT EXECUTE ON FUNCTION tenancy.app_privileges(), tenancy.role_oid(text), tenancy.reach(name), '
        'tenancy.grantee(oid), tenancy.leave_sql(oid, oid[]), tenancy.login_findings(name), '
        'tenancy.guards(), tenancy.grants_to(oid[]), tenancy.unguarded(oid[], name[]), '
        'tenancy.relation_findings(name), tenancy.definer_findings(name), tenancy.seal_findings(name), '
        'tenancy.code_warnings(), tenancy.account_tables(), tenancy.account_findings(name), '
        'tenancy.drawn_sequences(oid), tenancy.secret_columns(oid), tenancy.schema_findings(), '
        'tenancy.trail_triggers(text), tenancy.has_trail_trigger(regclass, text, name), tenancy.trail_tables(), '
        'tenancy.trail_findings(), '
        'tenancy.check(), tenancy.role_name(text) TO %I, %I', app, system);
    -- A program asks before it has a tenant.
    EXECUTE format('GRANT EXECUTE ON FUNCTION tenancy.sealing() TO %s', logins);

    EXECUTE format(
        'GRANT EXECUTE ON FUNCTION tenancy.schema_version(), tenancy.current_tenant() TO %I',
        registry);
    -- A user's tenants, for whoever changes them: never for the service's login, whose SQL a caller may reach.
    EXECUTE format(
        'GRANT EXECUTE ON FUNCTION tenancy.tenants_of(uuid, text, text, uuid, integer) TO %I, %I',
        registry, system);
    EXECUTE format('GRANT EXECUTE ON FUNCTION tenancy.schema_version() TO %I', audit);
    EXECUTE format(
        'GRANT EXECUTE ON FUNCTION tenancy.append_audit(uuid, timestamptz, uuid, text, text, text, '
        'text, text, inet, text, bigint), '
        'tenancy.append_entry(uuid, timestamptz, uuid, text, uuid, uuid, text, text, text, text, jsonb, '
        'jsonb, inet, text, text, bigint) TO %I, %I', audit, system);

    -- A table that the application creates later is closed to the service's login until it is
    -- protected or shared: a forgotten call is an error, and no leak. That holds for a partition
    -- too, which is reached through its parent and needs no grant of its own.
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE ALL ON TABLES FROM %s', logins);
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE '
        'ON TABLES TO %I', system);
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE ALL ON SEQUENCES FROM %s', logins);
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE ON SEQUENCES TO %I, %I',
        app, system);
END
$grants$;
-- Triggers that were replaced or switched off, and a database that was restored.
SELECT tenancy.arm_triggers(), tenancy.rebase_feed();
