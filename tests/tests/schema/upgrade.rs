//! Installing a newer schema over an older one that is in use.

use std::borrow::Cow;

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, migrate::Migrator};
use tenancy_core::testing::{KeyStoreDirectly as _, StoreDirectly as _};
use tenancy_core::{
    Actor, AuditDirectory as _, AuditEntry, AuditFilter, AuditSink as _, Clock as _, KeyId,
    Membership, Outcome, SystemClock, SystemRole, TenantRecord, TenantStatus, UserId,
    key::{ApiKey, Environment, KeyDigest, KeyDirectory as _, KeyVerifier, SecretHash},
    outbox::{ClaimRequest, NewEvent, Outbox as _},
};
use tenancy_sqlx::{PgAuditSink, PgDirectory, PgOutbox, danger::SystemPool};
use tenancy_tests::{Server, Template, notes::PASSWORD};

use crate::install::{installs, own_roles, quoted, remove};

pub(crate) static OURS: Migrator = sqlx::migrate!("../tenancy-sqlx/migrations");

/// Before there were imported keys.
const BEFORE_IMPORTS: i64 = 7;

#[tokio::test]
async fn keys_that_were_issued_before_imports_go_on_and_others_are_imported_beside()
-> anyhow::Result<()> {
    for server in Server::all().await? {
        let database = server.database(&Template::empty()).await?;
        let roles = own_roles("");
        let acme = TenantRecord::new("acme".parse()?, "Acme").with_status(TenantStatus::Active);
        let digest = KeyDigest::new(3, [7; 32]);
        let (old, creator, now) = (KeyId::new(), UserId::new(), SystemClock.now());

        let mut admin = database.admin().await?;
        let owner = quoted(&roles.owner);
        let prepare = format!(
            "CREATE ROLE {owner}; CREATE SCHEMA tenancy AUTHORIZATION {owner}; SET ROLE {owner}"
        );
        admin.execute(AssertSqlSafe(prepare)).await?;
        let older = OURS.iter().filter(|one| one.version <= BEFORE_IMPORTS);
        let mut older = Migrator {
            migrations: Cow::Owned(older.cloned().collect()),
            ..Migrator::DEFAULT
        };
        older.dangerous_set_table_name("tenancy.migrations");
        older.run_direct(None, &mut admin, false).await?;
        let fill = format!(
            "INSERT INTO tenancy.tenants (id, slug, name, status, settings)
                 VALUES ('{tenant}', 'acme', 'Acme', 'active', '{{}}');
             INSERT INTO tenancy.api_keys
                 VALUES ('{old}', '{tenant}', '{creator}', 'live', 'old', '{{*}}', NULL, '{{}}',
                     '{{}}', decode(repeat('07', 32), 'hex'), 3, now(), NULL, NULL, NULL, false,
                     NULL, NULL)",
            tenant = acme.id
        );
        admin.execute(AssertSqlSafe(fill)).await?;
        admin.execute("RESET ROLE").await?;

        installs(&database, &roles).await?;
        let system = database.options_as(&roles.system, Some(PASSWORD));
        let system = SystemPool::connect_with(system).await?;
        let app = database.options_as(&roles.app, Some(PASSWORD));
        let directory = PgDirectory::connect_with(app, 1)
            .await?
            .with_system(&system);
        let kept = directory.find_key(old).await?;
        let kept = kept.ok_or_else(|| anyhow::anyhow!("the key is gone"))?;
        assert_eq!((kept.tenant, kept.creator), (acme.id, creator));
        assert_eq!(kept.verifier, KeyVerifier::Digest(digest));
        let hash = SecretHash::from_stored("a hash");
        let handle: tenancy_core::key::KeyHandle = "4711".parse()?;
        let verifier = KeyVerifier::Argon2id {
            handle: handle.clone(),
            hash,
        };
        let id = KeyId::new();
        let new = ApiKey::new(id, acme.id, creator, Environment::Live, verifier, now);
        let member = Membership::new(acme.id, creator, SystemRole::Member.name());
        directory.put_membership(&member).await?;
        directory.insert_key(&new).await?;
        let found = directory
            .find_imported_key(Environment::Live, &handle)
            .await?;
        assert_eq!(found.map(|found| found.id), Some(id));
        let revoked = directory.revoke_creator_keys(creator, now).await?;
        assert_eq!(revoked, [(acme.id, 2)]);

        directory.close().await;
        system.close().await;
        sqlx::Connection::close(admin).await?;
        database.close().await?;
        remove(&server, &roles).await?;
    }
    Ok(())
}

/// What an installation is without its migration 36, run before those below.
const WITHOUT_REACH_OF_KEYS: &str =
    "CREATE OR REPLACE FUNCTION tenancy.find_api_key(key uuid) RETURNS SETOF tenancy.api_keys
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
        AS 'SELECT k.* FROM tenancy.api_keys AS k WHERE k.id = find_api_key.key';
    CREATE OR REPLACE FUNCTION tenancy.find_imported_key(environment text, handle text)
        RETURNS SETOF tenancy.api_keys
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
        AS 'SELECT k.* FROM tenancy.api_keys AS k
            WHERE k.environment = find_imported_key.environment AND k.handle = find_imported_key.handle';
    CREATE OR REPLACE FUNCTION tenancy.find_invitation(invitation uuid) RETURNS SETOF tenancy.invitations
        LANGUAGE sql STABLE SECURITY DEFINER ROWS 1 SET search_path = pg_catalog, pg_temp
        AS 'SELECT i.* FROM tenancy.invitations AS i WHERE i.id = find_invitation.invitation';
    CREATE OR REPLACE TRIGGER advance_generation AFTER INSERT OR DELETE OR UPDATE OF
        tenant_id, creator, environment, name, scopes, project_id, networks, metadata, created_at,
        expires_at, overlap_until, successor, disabled, revoked_at, handle, secret_hash, limits
        ON tenancy.api_keys
        FOR EACH ROW EXECUTE FUNCTION tenancy.on_registry_change('tenant_id');
    ALTER TABLE tenancy.api_keys DROP COLUMN open_projects_only;
    DROP INDEX tenancy.invitations_end;
    ALTER TABLE tenancy.invitations DROP COLUMN inviter_key, DROP COLUMN inviter_account;
    CREATE UNIQUE INDEX domain_joins_automatic ON tenancy.domain_joins (domain) WHERE mode = 'automatic'";
/// What an installation is without its migration 43, run before those below.
const WITHOUT_INVITING_OPERATORS: &str =
    "CREATE OR REPLACE FUNCTION tenancy.find_invitation(invitation uuid) RETURNS SETOF tenancy.invitations
        LANGUAGE sql STABLE SECURITY DEFINER ROWS 1 SET search_path = pg_catalog, pg_temp
        AS 'SELECT i.* FROM tenancy.invitations AS i WHERE i.id = find_invitation.invitation';
    ALTER TABLE tenancy.invitations DROP COLUMN inviter_operator";
/// What an installation is without its migration 42, run before those below.
const WITHOUT_BILLING: &str =
    "DROP FUNCTION tenancy.lock_billing, tenancy.cross_thresholds, tenancy.list_invoices, tenancy.find_invoice,
        tenancy.close_period, tenancy.list_credits, tenancy.add_credit, tenancy.bind_customer, tenancy.find_customer_tenant,
        tenancy.find_customer, tenancy.find_subscription, tenancy.list_subscriptions, tenancy.list_changed_subscriptions,
        tenancy.keep_subscription, tenancy.queue_reports, tenancy.tell_stuck_report, tenancy.take_reports,
        tenancy.settle_reports, tenancy.list_stuck_reports, tenancy.requeue_report, tenancy.billing_moment;
    DROP TABLE tenancy.billing_thresholds, tenancy.billing_invoices, tenancy.billing_credits, tenancy.billing_customers,
        tenancy.billing_subscriptions, tenancy.billing_reports";
/// What an installation is without its migration 41, run before those below.
fn without_metrics() -> String {
    let of_38 = include_str!("../../../tenancy-sqlx/migrations/0038_usage.sql");
    let (_, read) = of_38
        .split_once("CREATE FUNCTION tenancy.read_usage")
        .unwrap_or_default();
    let (read, _) = read
        .split_once("CREATE FUNCTION tenancy.find_usage_status")
        .unwrap_or_default();
    format!(
        "DROP FUNCTION tenancy.define_metric, tenancy.remove_metric, tenancy.list_metrics;
        DROP FUNCTION tenancy.read_usage(uuid, text, smallint, timestamptz, timestamptz, uuid, uuid, boolean, boolean,
            text[], boolean, boolean);
        DROP FUNCTION tenancy.read_usage;
        CREATE FUNCTION tenancy.read_usage{read};
        DROP TABLE tenancy.usage_metrics"
    )
}
/// What an installation is without its migration 40, run before those below. What calls it is not called until it is back.
const WITHOUT_RECORDS: &str =
    "DROP FUNCTION tenancy.grants_on, tenancy.sequences_of, tenancy.table_state, tenancy.same_state, tenancy.remember,
        tenancy.remember_view, tenancy.record_changes, tenancy.begin_record, tenancy.end_record, tenancy.run,
        tenancy.run_in, tenancy.undecided_tables, tenancy.changes_of, tenancy.unprotect_problems,
        tenancy.drop_scope_column, tenancy.restore_column, tenancy.restore_key, tenancy.drop_guard,
        tenancy.unprotect, tenancy.grant_sql, tenancy.restore_around, tenancy.forget, tenancy.pass_record_on,
        tenancy.state_sql, tenancy.view_before, tenancy.unpaired_references;
    DROP TABLE tenancy.protections, tenancy.protecting";
/// What an installation is without its migration 39, run before those below.
const WITHOUT_USAGE_CORRECTIONS: &str =
    "DROP FUNCTION tenancy.find_corrected_usage, tenancy.correct_usage, tenancy.restate_usage, tenancy.corrected_windows,
        tenancy.standing_usage, tenancy.usage_key, tenancy.usage_pruned_before, tenancy.is_usage_pruned,
        tenancy.lock_corrections, tenancy.begin_backfill,
        tenancy.replace_usage, tenancy.tell_backfill, tenancy.tell_usage, tenancy.revert_usage,
        tenancy.list_usage_corrections, tenancy.list_usage_backfills, tenancy.find_usage_lag, tenancy.prune_usage,
        tenancy.drop_usage_month, tenancy.list_used_tenants;
    DROP TABLE tenancy.usage_corrections, tenancy.usage_backfills, tenancy.usage_pruned";
/// What an installation is without its migration 38, run before those below.
const WITHOUT_USAGE: &str =
    "DROP FUNCTION tenancy.prepare_usage, tenancy.record_usage, tenancy.read_usage, tenancy.find_usage_status,
        tenancy.take_pending_usage, tenancy.refuse_usage;
    DROP TABLE tenancy.usage_keys, tenancy.usage_events, tenancy.usage_rollups, tenancy.usage_values,
        tenancy.usage_status, tenancy.usage_pending, tenancy.usage_refused";
/// What an installation is without its migration 37, run before those below: the trail as migration 23 has left it.
fn without_chain() -> String {
    let of_23 = include_str!("../../../tenancy-sqlx/migrations/0023_trail_and_issuers.sql");
    let (_, append) = of_23
        .split_once("CREATE FUNCTION tenancy.append_entry")
        .unwrap_or_default();
    let (append, _) = append
        .split_once("-- Issuers of tokens")
        .unwrap_or_default();
    let of_24 = include_str!("../../../tenancy-sqlx/migrations/0024_help.sql");
    let (_, check) = of_24
        .split_once("CREATE OR REPLACE FUNCTION tenancy.check()")
        .unwrap_or_default();
    let (check, _) = check.split_once("REVOKE ALL").unwrap_or_default();
    format!(
        "CREATE OR REPLACE FUNCTION tenancy.check(){check}
        DROP FUNCTION tenancy.trail_findings, tenancy.trail_tables, tenancy.has_trail_trigger, tenancy.trail_triggers;
        DROP VIEW tenancy.audit_trail, tenancy.audit_before, tenancy.audit_entries;
        DROP FUNCTION tenancy.append_entry, tenancy.append_records, tenancy.seal_trail, tenancy.prepare_trail, tenancy.make_month,
            tenancy.prune_trail, tenancy.drop_pruned_partitions, tenancy.erase_particulars, tenancy.erase_history,
            tenancy.record_digest, tenancy.particulars_digest, tenancy.link_hash, tenancy.targets_as_json,
            tenancy.targets_as_kept, tenancy.find_entries_of, tenancy.add_entry, tenancy.guard_trail, tenancy.first_uuid;
        DROP FUNCTION tenancy.hashed(bytea), tenancy.hashed(text), tenancy.hashed(timestamptz);
        DROP TABLE tenancy.audit_records, tenancy.audit_particulars, tenancy.audit_links, tenancy.audit_checkpoints,
            tenancy.audit_erasures, tenancy.audit_heads, tenancy.audit_unsealed;
        DROP FUNCTION tenancy.await_link, tenancy.match_entry, tenancy.keep_trail, tenancy.index_targets,
            tenancy.target_key;
        ALTER TABLE tenancy.audit_history RENAME TO audit_entries;
        CREATE FUNCTION tenancy.append_entry{append};
        DO $$
        BEGIN
            EXECUTE format('GRANT INSERT ON tenancy.audit_entries TO %I, %I, %I', tenancy.role_name('app'),
                tenancy.role_name('registry'), tenancy.role_name('system'));
        END
        $$"
    )
}
/// What an installation is without its migration 35, run before those below.
const WITHOUT_PROJECT_ACCESS: &str = "ALTER TABLE tenancy.projects DROP COLUMN access";
/// What an installation is without its migration 34, run before those below.
const WITHOUT_OPERATORS: &str =
    "DROP FUNCTION tenancy.find_impersonation, tenancy.find_support_access;
    DROP TABLE tenancy.support_access, tenancy.impersonations, tenancy.operators;
    DROP FUNCTION tenancy.keep_impersonations";
/// What an installation is without its migration 31, run before those below.
const WITHOUT_OFFERS: &str =
    "DROP FUNCTION tenancy.keep_owner; DROP TABLE tenancy.ownership_offers";
/// What an installation is without its migration 33, run before those below.
const WITHOUT_ACCOUNTS: &str = "DROP FUNCTION tenancy.note_provisioning, tenancy.find_provisioning, tenancy.find_account,
        tenancy.create_account, tenancy.take_tokens_back, tenancy.change_account, tenancy.link_account,
        tenancy.renew_account_hash, tenancy.request_password_reset, tenancy.find_password_reset,
        tenancy.use_password_reset, tenancy.record_account_change;
    DROP TABLE tenancy.provisionings, tenancy.account_subjects, tenancy.accounts, tenancy.password_resets";
/// What an installation is without its migration 32, run before those below.
const WITHOUT_INVITATIONS: &str =
    "DROP FUNCTION tenancy.find_invitation, tenancy.seats_taken, tenancy.find_domain_joins;
    DROP TABLE tenancy.invitations, tenancy.domain_joins";

/// What an installation is without its migration 29, run before those below.
const WITHOUT_KEY_LIMITS: &str =
    "CREATE OR REPLACE FUNCTION tenancy.find_api_key(key uuid) RETURNS SETOF tenancy.api_keys
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
        AS 'SELECT k.* FROM tenancy.api_keys AS k WHERE k.id = find_api_key.key';
    CREATE OR REPLACE FUNCTION tenancy.find_imported_key(environment text, handle text)
        RETURNS SETOF tenancy.api_keys
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
        AS 'SELECT k.* FROM tenancy.api_keys AS k
            WHERE k.environment = find_imported_key.environment AND k.handle = find_imported_key.handle';
    CREATE OR REPLACE TRIGGER advance_generation AFTER INSERT OR DELETE OR UPDATE OF
        tenant_id, creator, environment, name, scopes, project_id, networks, metadata, created_at,
        expires_at, overlap_until, successor, disabled, revoked_at, handle, secret_hash
        ON tenancy.api_keys
        FOR EACH ROW EXECUTE FUNCTION tenancy.on_registry_change('tenant_id');
    ALTER TABLE tenancy.api_keys DROP COLUMN limits";

/// What an installation is without its migration 27, run before those below.
const WITHOUT_STORED_PLANS: &str =
    "DROP FUNCTION tenancy.find_plan_version, tenancy.find_limit_overrides;
    DROP TABLE tenancy.limit_overrides;
    DROP TABLE tenancy.plan_versions;
    DROP FUNCTION tenancy.keep_plan_versions";

/// What an installation is without its migration 25, run before those below.
const WITHOUT_RESTS: &str =
    "CREATE OR REPLACE FUNCTION tenancy.on_registry_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
    DECLARE
        before uuid := CASE WHEN TG_OP <> 'INSERT' THEN (to_jsonb(OLD) ->> TG_ARGV[0])::uuid END;
        after uuid := CASE WHEN TG_OP <> 'DELETE' THEN (to_jsonb(NEW) ->> TG_ARGV[0])::uuid END;
    BEGIN
        IF before IS NOT NULL AND after IS NOT NULL AND before <> after THEN
            RAISE EXCEPTION 'a row of tenancy.% can''t move to another tenant', TG_TABLE_NAME
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        PERFORM tenancy.advance_generation(coalesce(after, before));
        RETURN NULL;
    END
    $$;
    DROP FUNCTION tenancy.rest_slug, tenancy.tenants_of;
    DROP TABLE tenancy.resting_slugs";

/// What an installation is without its migration 26, run before those above and below.
const WITHOUT_COUNTERS: &str = "DO $$
    BEGIN
        EXECUTE (SELECT 'DROP FUNCTION ' || string_agg(p.oid::regprocedure::text, ', ') FROM pg_proc AS p
            WHERE p.pronamespace = 'tenancy'::regnamespace AND p.proname LIKE 'quota%');
        DROP TABLE tenancy.quota_leases, tenancy.quota_counts, tenancy.quota_holdings,
            tenancy.quota_reservations, tenancy.quota_operations;
    END
    $$";

/// What an installation is without its migration 22: that of the release before, with its policies and grants.
const WITHOUT_OUTBOX: &str = "DO $$
    BEGIN
        EXECUTE (SELECT 'DROP FUNCTION ' || string_agg(p.oid::regprocedure::text, ', ') FROM pg_proc AS p
            WHERE p.pronamespace = 'tenancy'::regnamespace AND p.proname LIKE 'outbox%');
        DROP VIEW tenancy.audit_trail;
        DROP FUNCTION tenancy.append_entry, tenancy.find_issuer;
        DROP TABLE tenancy.issuers;
        DROP TABLE tenancy.outbox_parked, tenancy.outbox_consumers, tenancy.outbox_events,
            tenancy.outbox_head, tenancy.audit_entries;
        DELETE FROM tenancy.migrations WHERE version >= 22;
        CREATE OR REPLACE FUNCTION tenancy.schema_version() RETURNS integer
            LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN 5;
        CREATE OR REPLACE FUNCTION tenancy.app_privileges()
            RETURNS TABLE (relation name, privilege text)
            LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
            BEGIN ATOMIC
                SELECT r::name, 'SELECT' FROM unnest(ARRAY['tenants', 'domains', 'external_ids',
                    'memberships', 'roles', 'projects', 'project_memberships', 'generations',
                    'role_names']) AS r;
            END;
    END
    $$";

/// The release before goes on while the outbox is installed, and afterwards: it holds rows of the registry
/// in a transaction, and writes in its own statements.
#[tokio::test]
async fn the_outbox_comes_to_a_schema_in_use_and_its_programs_go_on() -> anyhow::Result<()> {
    for server in Server::all().await? {
        let database = server.database(&Template::empty()).await?;
        let roles = own_roles("");
        let mut admin = database.admin().await?;
        installs(&database, &roles).await?;
        admin.execute(WITHOUT_INVITING_OPERATORS).await?;
        admin.execute(WITHOUT_BILLING).await?;
        admin.execute(AssertSqlSafe(without_metrics())).await?;
        admin.execute(WITHOUT_RECORDS).await?;
        admin.execute(WITHOUT_USAGE_CORRECTIONS).await?;
        admin.execute(WITHOUT_USAGE).await?;
        admin.execute(AssertSqlSafe(without_chain())).await?;
        admin.execute(WITHOUT_REACH_OF_KEYS).await?;
        admin.execute(WITHOUT_PROJECT_ACCESS).await?;
        admin.execute(WITHOUT_OPERATORS).await?;
        admin.execute(WITHOUT_OFFERS).await?;
        admin.execute(WITHOUT_ACCOUNTS).await?;
        admin.execute(WITHOUT_INVITATIONS).await?;
        admin.execute(WITHOUT_KEY_LIMITS).await?;
        admin.execute(WITHOUT_STORED_PLANS).await?;
        admin.execute(WITHOUT_COUNTERS).await?;
        admin.execute(WITHOUT_RESTS).await?;
        admin.execute(WITHOUT_OUTBOX).await?;

        let acme = TenantRecord::new("acme".parse()?, "Acme").with_status(TenantStatus::Active);
        let connect = |role: &str| {
            let options = database.options_as(role, Some(PASSWORD));
            async move { PgConnection::connect_with(&options).await }
        };
        let mut operators = connect(&roles.system).await?;
        let mut service = connect(&roles.app).await?;
        let make = format!(
            "BEGIN; INSERT INTO tenancy.tenants (id, slug, name, status)
                 VALUES ('{}', 'acme', 'Acme', 'active')",
            acme.id
        );
        operators.execute(AssertSqlSafe(make)).await?;
        service
            .execute("BEGIN; SELECT FROM tenancy.tenants")
            .await?;

        // Waits for neither.
        installs(&database, &roles).await?;
        let rename = "UPDATE tenancy.tenants SET name = 'Acme Ltd' WHERE slug = 'acme'; COMMIT";
        operators.execute(rename).await?;
        service.execute("COMMIT").await?;
        for statement in [
            "SELECT tenancy.schema_version()",
            "SELECT * FROM tenancy.feed_page(NULL, 100)",
        ] {
            service.execute(statement).await?;
        }
        let entry = "INSERT INTO tenancy.audit_log (id, at, action, outcome)
            VALUES (gen_random_uuid(), now(), 'tenant.rename', 'allowed')";
        operators.execute(entry).await?;

        // The program of this release beside it.
        let options = database.options_as(&roles.system, Some(PASSWORD));
        let system = SystemPool::connect_with(options).await?;
        let outbox = PgOutbox::new(&system);
        let event = NewEvent::new("tenant.renamed", ())?.of_tenant(acme.id);
        outbox.emit(std::slice::from_ref(&event)).await?;
        let claim = outbox.claim(&ClaimRequest::new("reader".parse()?)).await?;
        let claim = claim.ok_or_else(|| anyhow::anyhow!("somebody has the lease"))?;
        let page = outbox.next_page(&claim, 10).await?;
        assert_eq!(page.new.len(), 1);
        assert_eq!(page.new[0].id, event.id());

        system.close().await;
        for connection in [operators, service, admin] {
            connection.close().await?;
        }
        database.close().await?;
        remove(&server, &roles).await?;
    }
    Ok(())
}

/// What an installation is without its migration 23.
const WITHOUT_TRAIL: &str = "DO $$
    BEGIN
        DROP VIEW tenancy.audit_trail;
        DROP FUNCTION tenancy.append_entry, tenancy.find_issuer;
        DROP TABLE tenancy.issuers;
        ALTER TABLE tenancy.audit_entries DROP COLUMN suppressed, DROP CONSTRAINT audit_entries_action_check,
            ADD CONSTRAINT audit_entries_action_check CHECK (length(action) <= 100
                AND action ~ '^[a-z][a-z0-9_-]*(\\.[a-z][a-z0-9_-]*)+$');
        DELETE FROM tenancy.migrations WHERE version >= 23;
        CREATE OR REPLACE FUNCTION tenancy.schema_version() RETURNS integer
            LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN 6;
    END
    $$";

/// The release before goes on recording, in its own statements, and one listing tells what it has recorded
/// before, what it records now, and what this release does.
#[tokio::test]
async fn entries_of_the_release_before_are_in_the_trail_with_those_of_this_one()
-> anyhow::Result<()> {
    for server in Server::all().await? {
        let database = server.database(&Template::empty()).await?;
        let roles = own_roles("");
        let mut admin = database.admin().await?;
        installs(&database, &roles).await?;
        admin.execute(WITHOUT_BILLING).await?;
        admin.execute(AssertSqlSafe(without_metrics())).await?;
        admin.execute(WITHOUT_RECORDS).await?;
        admin.execute(WITHOUT_USAGE_CORRECTIONS).await?;
        admin.execute(WITHOUT_USAGE).await?;
        admin.execute(AssertSqlSafe(without_chain())).await?;
        admin.execute(WITHOUT_REACH_OF_KEYS).await?;
        admin.execute(WITHOUT_PROJECT_ACCESS).await?;
        admin.execute(WITHOUT_OPERATORS).await?;
        admin.execute(WITHOUT_OFFERS).await?;
        admin.execute(WITHOUT_ACCOUNTS).await?;
        admin.execute(WITHOUT_INVITATIONS).await?;
        admin.execute(WITHOUT_KEY_LIMITS).await?;
        admin.execute(WITHOUT_STORED_PLANS).await?;
        admin.execute(WITHOUT_COUNTERS).await?;
        admin.execute(WITHOUT_RESTS).await?;
        admin.execute(WITHOUT_TRAIL).await?;
        let options = |role: &str| database.options_as(role, Some(PASSWORD));
        let mut auditor = PgConnection::connect_with(&options(&roles.audit)).await?;
        let mut operators = PgConnection::connect_with(&options(&roles.system)).await?;

        let acme = TenantRecord::new("acme".parse()?, "Acme").with_status(TenantStatus::Active);
        let alice = Actor::User(UserId::new());
        let told = |action: &'static str| {
            let entry = AuditEntry::new(SystemClock.now(), action, Outcome::Refused);
            entry
                .tenant(acme.id)
                .actor(alice.clone())
                .about("host", "acme:8080")
        };
        let by_the_release_before = |entry: &AuditEntry| {
            AssertSqlSafe(format!(
                "SELECT tenancy.append_audit('{}', to_timestamp({} / 1000000.0), '{}', '{alice}', '{}', 'refused',
                     NULL, 'host:acme:8080', NULL, NULL, 0)",
                entry.id,
                entry.at.as_unix_micros(),
                acme.id,
                entry.action
            ))
        };
        let changed = told("tenant.rename");
        let with_the_change = format!(
            "INSERT INTO tenancy.tenants (id, slug, name, status) VALUES ('{tenant}', 'acme', 'Acme', 'active');
             INSERT INTO tenancy.audit_entries (id, at, tenant_id, actor_kind, action, outcome)
                 VALUES ('{}', now(), '{tenant}', 'system', 'tenant.rename', 'allowed')",
            changed.id,
            tenant = acme.id,
        );
        operators.execute(AssertSqlSafe(with_the_change)).await?;
        let (before, meanwhile, now) = (told("test.before"), told("meanwhile"), told("now"));
        // A sink is told of a change too, and has it under the same id.
        for entry in [&before, &changed] {
            auditor.execute(by_the_release_before(entry)).await?;
        }
        auditor.execute("BEGIN").await?;
        auditor.execute(by_the_release_before(&meanwhile)).await?;
        // Does not wait for that.
        installs(&database, &roles).await?;
        auditor.execute("COMMIT").await?;

        let system = SystemPool::connect_with(options(&roles.system)).await?;
        PgAuditSink::new(&system)
            .record_durably(now.clone())
            .await?;
        let directory = PgDirectory::connect_with(options(&roles.app), 1).await?;
        let all = AuditFilter::new();
        let of_service = directory
            .list_entries(Some(acme.id), &all, None, 10)
            .await?;
        let ids: Vec<_> = of_service.iter().map(|entry| entry.id).collect();
        assert_eq!(ids, [now.id, meanwhile.id, before.id, changed.id]);
        assert_eq!(of_service[1], meanwhile);
        assert_eq!(
            of_service[3].actor,
            Some(Actor::System),
            "the store's own entry counts"
        );
        let operating = directory.clone().with_system(&system);
        assert_eq!(
            operating.list_entries(None, &all, None, 10).await?,
            of_service
        );

        directory.close().await;
        system.close().await;
        for connection in [auditor, operators, admin] {
            connection.close().await?;
        }
        database.close().await?;
        remove(&server, &roles).await?;
    }
    Ok(())
}
