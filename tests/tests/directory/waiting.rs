//! What stops a tenant does not wait for that tenant, and nothing waits for ever.

use std::{
    fmt::Debug,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use sqlx::{Connection as _, Executor as _};
use tenancy_core::testing::KeyStoreDirectly as _;
use tenancy_core::{
    AuditEntry, AuditSink as _, Clock as _, DomainName, GenerationFeed as _, KeyId, MemberFilter,
    Membership, MembershipDirectory as _, Project, ProjectDirectory as _, ProjectFilter, ProjectId,
    ProjectMembership, RevokedBefore, RoleDefinition, RoleDirectory as _, Settings, Slug,
    SystemClock, SystemRole, TenantDirectory as _, TenantFilter, TenantKey, TenantRecord,
    TenantStatus, TokenRevocationDirectory as _, TokenSubject, UserId,
    key::{ApiKey, Environment, KeyChange, KeyDigest, KeyDirectory as _, KeyFormat, KeyRotation},
    testing::StoreDirectly,
};
use tenancy_sqlx::{PgAuditSink, PgDirectory, TenantPoolOptions, danger, danger::SystemPool};
use tenancy_tests::notes::{self, Notes, PASSWORD, on_every_server};

/// Only so that a test that fails does not hang.
const FAIL_SAFE: Duration = Duration::from_secs(60);

const WRITERS: u32 = 32;

/// D18: the foreign key of each row that is written holds its tenant's record until the end of the
/// transaction.
#[tokio::test]
async fn a_tenant_is_suspended_while_its_writes_are_open() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let pool = notes
            .pool(
                TenantPoolOptions::new()
                    .max_connections(WRITERS)
                    .max_connections_per_tenant(WRITERS),
            )
            .await?;
        let context = notes.context(&notes.acme);
        let mut open = Vec::new();
        for _ in 0..WRITERS {
            let mut tx = pool.begin(&context).await?;
            tx.execute("INSERT INTO notes (body) VALUES ('open')")
                .await?;
            open.push(tx);
        }
        let held: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND state = 'idle in transaction'",
        )
        .fetch_one(&mut notes.database.admin().await?)
        .await?;
        assert_eq!(held, i64::from(WRITERS));

        let admin = notes.tenancy.admin(tenancy_core::testing::service());
        let key = stored_key(notes).await?;
        let began = Instant::now();
        tokio::time::timeout(FAIL_SAFE, admin.suspend(notes.acme.id)).await??;
        println!(
            "suspended beside {WRITERS} open writes in {:?}",
            began.elapsed()
        );
        let stored = notes.directory.find_tenant(&notes.acme.id.into()).await?;
        assert_eq!(
            stored.map(|acme| acme.status),
            Some(TenantStatus::Suspended)
        );

        let at = SystemClock.now();
        let rest = async {
            let directory = &notes.directory;
            directory
                .remove_membership(notes.acme.id, notes.alice)
                .await?;
            directory
                .change_key(notes.acme.id, key, &KeyChange::Disabled(true))
                .await?;
            directory.revoke_tenant_keys(notes.acme.id, at).await?;
            directory
                .set_settings(notes.acme.id, &Settings::default())
                .await?;
            let tokens = TokenSubject::Tenant(notes.acme.id);
            directory
                .revoke_before(&tokens, RevokedBefore::from_timestamp(at))
                .await
        };
        tokio::time::timeout(FAIL_SAFE, rest).await??;

        // They really were open all the time.
        for tx in open {
            tx.commit().await?;
        }
        assert_eq!(
            notes.count("notes", &notes.acme).await?,
            3 + i64::from(WRITERS)
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_project_is_archived_while_writes_that_refer_to_it_are_open() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let mut project = Project::new(notes.acme.id, "apollo".parse()?, "Apollo");
        notes.directory.put_project(&project).await?;
        notes
            .as_admin(
                "CREATE TABLE of_projects (tenant_id uuid, project_id uuid,
                     FOREIGN KEY (tenant_id, project_id) REFERENCES tenancy.projects (tenant_id, id))",
            )
            .await?;
        let mut admin = notes.database.admin().await?;
        let mut open = admin.begin().await?;
        sqlx::query("INSERT INTO of_projects VALUES ($1, $2)")
            .bind(notes.acme.id.as_uuid())
            .bind(project.id.as_uuid())
            .execute(&mut *open)
            .await?;

        project.archived = true;
        project.name = "Apollo, done".into();
        let archive = notes.directory.put_project(&project);
        tokio::time::timeout(FAIL_SAFE, archive).await??;
        let stored = notes.directory.find_project(notes.acme.id, project.id).await?;
        assert_eq!(stored.as_ref(), Some(&project));
        open.rollback().await?;

        project.slug = "artemis".parse()?;
        notes.directory.put_project(&project).await?;
        let stored = notes.directory.find_project(notes.acme.id, project.id).await?;
        assert_eq!(stored, Some(project));
        Ok(())
    })
    .await
}

async fn stored_key(notes: &Notes) -> anyhow::Result<KeyId> {
    let (digest, now) = (KeyDigest::new(1, [7; 32]), SystemClock.now());
    let id = KeyId::new();
    let key = ApiKey::new(
        id,
        notes.acme.id,
        notes.alice,
        Environment::Live,
        digest,
        now,
    );
    notes.directory.insert_key(&key).await?;
    Ok(id)
}

/// What an attempt says that had to wait for a lock for too long.
type Attempt<'a> = (&'static str, Pin<Box<dyn Future<Output = String> + 'a>>);

fn attempt<'a, T: Debug, E: Debug>(
    name: &'static str,
    call: impl Future<Output = Result<T, E>> + 'a,
) -> Attempt<'a> {
    (name, Box::pin(async { format!("{:?}", call.await) }))
}

/// Asserts that each attempt ends, by the lock's limit and not for want of a connection.
async fn all_end(attempts: Vec<Attempt<'_>>) -> anyhow::Result<()> {
    let each = attempts
        .into_iter()
        .map(async |(name, call)| (name, call.await));
    for (name, said) in tokio::time::timeout(FAIL_SAFE, join_all(each)).await? {
        anyhow::ensure!(said.contains("due to lock timeout"), "{name}: {said}");
    }
    Ok(())
}

#[tokio::test]
async fn every_statement_of_the_library_waits_for_a_lock_for_seconds_only() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let key = stored_key(notes).await?;
        let reads = PgDirectory::connect_with(notes.app_options(), 16).await?;
        let mut writes = Vec::new();
        for _ in 0..8 {
            let login = notes.database.options_as("tenancy_system", Some(PASSWORD));
            writes.push(SystemPool::connect_with(login).await?);
        }
        let engine = notes::builder(notes.directory.clone())?
            .shared_audit(Arc::new(tenancy_core::MemoryAuditSink::new(10)))
            .build()?;

        let mut admin = notes.database.admin().await?;
        admin
            .execute(
                "BEGIN;
                 DO $$ BEGIN EXECUTE (
                     SELECT 'LOCK TABLE notes, ' || string_agg(oid::regclass::text, ', ')
                         || ' IN ACCESS EXCLUSIVE MODE'
                     FROM pg_class WHERE relkind = 'r' AND relnamespace = 'tenancy'::regnamespace
                         AND relname NOT LIKE '%migrations%'); END $$",
            )
            .await?;

        // It begins to link by itself, and here all at once is locked in no order.
        let sink = PgAuditSink::new(&writes[4]);
        let (acme, alice, now) = (notes.acme.id, notes.alice, SystemClock.now());
        let slug = TenantKey::Slug("acme".parse::<Slug>()?);
        let handle = "a-handle".parse()?;
        let tokens = [TokenSubject::Tenant(acme)];
        let uses = [(key, now)];
        all_end(vec![
            attempt("find_tenant", reads.find_tenant(&acme.into())),
            attempt("find_tenant by slug", reads.find_tenant(&slug)),
            attempt("find_membership", reads.find_membership(acme, alice)),
            attempt("find_project", reads.find_project(acme, ProjectId::new())),
            attempt(
                "find_project_role",
                reads.find_project_role(acme, ProjectId::new(), alice),
            ),
            attempt("find_roles", reads.find_roles(acme)),
            attempt("changes_since", reads.changes_since(None)),
            attempt("find_epoch", reads.find_token_revocation(&tokens)),
            attempt("find_key", reads.find_key(key)),
            attempt(
                "find_imported_key",
                reads.find_imported_key(Environment::Live, &handle),
            ),
            attempt("record_last_used", reads.record_last_used(&uses)),
        ])
        .await?;

        let of: Vec<_> = writes
            .iter()
            .map(|pool| reads.clone().with_system(pool))
            .collect();
        let tenant = TenantRecord::new("initech".parse()?, "Initech");
        let domain: DomainName = "notes.acme.example".parse()?;
        let another = "acme-2".parse()?;
        let (tenants, members) = (TenantFilter::new(), MemberFilter::new());
        let settings = Settings::default();
        let membership = Membership::new(acme, alice, SystemRole::Member.name());
        let project = Project::new(acme, "apollo".parse()?, "Apollo");
        let in_project = ProjectMembership::new(acme, project.id, alice, SystemRole::Member.name());
        let role = RoleDefinition::new("editor".parse()?);
        let revoked_before = RevokedBefore::from_timestamp(now);
        let digest = KeyDigest::new(1, [8; 32]);
        let new_key = ApiKey::new(
            KeyId::new(),
            acme,
            alice,
            Environment::Live,
            digest.clone(),
            now,
        );
        let off = KeyChange::Disabled(true);
        let rotation = KeyRotation::new(key, KeyId::new(), digest.clone(), now, now);
        let format = KeyFormat::new("acme", Environment::Live)?;
        let range = format.range("acme_live_")?;
        let entry = AuditEntry::new(now, "test", tenancy_core::Outcome::Allowed);
        let across = async {
            let mut all =
                danger::across_tenants(&engine, &writes[4], UserId::new(), "test").await?;
            all.execute("SELECT FROM notes").await?;
            anyhow::Ok(())
        };
        all_end(vec![
            attempt("create_tenant", of[0].create_tenant(&tenant)),
            attempt(
                "set_status",
                of[0].set_status(acme, TenantStatus::Suspended),
            ),
            attempt("set_settings", of[0].set_settings(acme, &settings)),
            attempt("set_plan", of[0].set_plan(acme, None)),
            attempt("bind_domain", of[0].bind_domain(acme, &domain)),
            attempt("bind_external", of[1].bind_external(acme, "idp", "acme")),
            attempt("put_membership", of[1].put_membership(&membership)),
            attempt("remove_membership", of[1].remove_membership(acme, alice)),
            attempt("put_project", of[1].put_project(&project)),
            attempt(
                "put_project_membership",
                of[1].put_project_membership(&in_project),
            ),
            attempt("put_role", of[2].put_role(acme, &role)),
            attempt(
                "revoke_before",
                of[2].revoke_before(&tokens[0], revoked_before),
            ),
            attempt(
                "forget_token_revocations",
                of[2].forget_token_revocations(revoked_before),
            ),
            attempt("insert_key", of[2].insert_key(&new_key)),
            attempt("list_keys", of[2].list_keys(acme, None, 10)),
            attempt("change_key", of[3].change_key(acme, key, &off)),
            attempt("rotate_key", of[3].rotate_key(acme, &rotation)),
            attempt("revoke_tenant_keys", of[3].revoke_tenant_keys(acme, now)),
            attempt("revoke_key_range", of[3].revoke_key_range(&range, now)),
            attempt("revoke_creator_keys", of[3].revoke_creator_keys(alice, now)),
            attempt(
                "replace_digest",
                of[4].replace_digest(key, &digest, &digest),
            ),
            attempt("rename", of[5].rename(acme, "Acme")),
            attempt("set_slug", of[5].set_slug(acme, &another)),
            attempt("list_tenants", of[5].list_tenants(&tenants, None, 10)),
            attempt("unbind_domain", of[5].unbind_domain(acme, &domain)),
            attempt(
                "unbind_external",
                of[5].unbind_external(acme, "idp", "acme"),
            ),
            attempt("list_names", of[6].list_names(acme, None, 10)),
            attempt("list_members", of[6].list_members(acme, &members, None, 10)),
            attempt(
                "list_projects",
                of[6].list_projects(acme, &ProjectFilter::new(), None, 10),
            ),
            attempt(
                "list_project_members",
                of[6].list_project_members(acme, project.id, None, 10),
            ),
            attempt(
                "remove_project",
                of[6].remove_project(acme, project.id, now),
            ),
            attempt(
                "remove_project_membership",
                of[7].remove_project_membership(acme, project.id, alice),
            ),
            attempt("remove_role", of[7].remove_role(acme, &role.name)),
            attempt("list_roles", of[7].list_roles(acme)),
            attempt("record_durably", sink.record_durably(entry)),
            attempt("across_tenants", across),
        ])
        .await?;
        admin.execute("ROLLBACK").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_report_across_tenants_may_take_as_long_as_its_caller_says() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let sink = Arc::new(PgAuditSink::new(&notes.system));
        let engine = notes::builder(notes.directory.clone())?
            .shared_audit(sink)
            .build()?;
        let mut all =
            danger::across_tenants(&engine, &notes.system, UserId::new(), "a report").await?;
        let limits = "SELECT current_setting('statement_timeout'), current_setting('lock_timeout')";
        let of = async |all: &mut danger::AcrossTenants| {
            sqlx::query_as::<_, (String, String)>(limits)
                .fetch_one(&mut **all)
                .await
        };
        assert_eq!(of(&mut all).await?, ("5min".into(), "5s".into()));

        all.statement_timeout(Duration::from_secs(7_200)).await?;
        assert_eq!(of(&mut all).await?, ("2h".into(), "5s".into()));
        all.commit().await?;
        Ok(())
    })
    .await
}
