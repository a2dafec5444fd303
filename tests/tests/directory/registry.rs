//! Self-service over the registry login: a tenant manages itself, and nobody else.

use std::time::Duration;

use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _, PgConnection, types::Uuid};
use tenancy_core::testing::KeyStoreDirectly as _;
use tenancy_core::{
    Clock as _, Membership, MembershipStatus, Project, ProjectMembership, RoleDefinition, Settings,
    StoreErrorKind, SystemClock, SystemRole, Tenancy, TenantFilter, TenantRecord, TenantStatus,
    TokenSubject, UserId,
    key::{ApiKeys, Environment, HmacKeyHasher, KeyDigest, KeyFormat, NewKey, Pepper},
    testing::StoreDirectly as _,
};
use tenancy_sqlx::{PgDirectory, RegistryPool, StartErrorKind};
use tenancy_tests::notes::{Notes, PASSWORD, PEPPER, builder, on_every_server, sqlstate};

/// A directory that has the registry login, and no other that writes.
pub(crate) async fn directory(notes: &Notes) -> anyhow::Result<PgDirectory> {
    let options = notes
        .database
        .options_as("tenancy_registry", Some(PASSWORD));
    let registry = RegistryPool::connect_with(options).await?;
    let directory = PgDirectory::connect_with(notes.app_options(), 2).await?;
    Ok(directory.with_registry(&registry))
}

pub(crate) fn engine(directory: &PgDirectory) -> anyhow::Result<Tenancy> {
    let format = KeyFormat::new("notes", Environment::Live)?;
    let hasher = HmacKeyHasher::new(Pepper::new(1, PEPPER)?);
    let keys = ApiKeys::new(format, hasher, directory.clone());
    Ok(builder(directory.clone())?.keys(keys).build()?)
}

/// A connection of the registry login that has named a tenant.
async fn login(notes: &Notes, tenant: &TenantRecord) -> anyhow::Result<PgConnection> {
    let options = notes
        .database
        .options_as("tenancy_registry", Some(PASSWORD));
    let mut login: PgConnection = options.connect().await?;
    sqlx::query("SELECT set_config('tenancy.tenant_id', $1, false)")
        .bind(tenant.id.to_string())
        .execute(&mut login)
        .await?;
    Ok(login)
}

#[tokio::test]
async fn a_tenant_signs_up_and_manages_itself() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let directory = directory(notes).await?;
        let tenancy = engine(&directory)?;
        let admin = tenancy.admin(tenancy_core::testing::service());
        let (owner, invited) = (UserId::new(), UserId::new());
        let initech =
            TenantRecord::new("initech".parse()?, "Initech").with_status(TenantStatus::Active);
        admin.create_tenant(&initech).await?;
        let of = |user, role| Membership::new(initech.id, user, role);
        admin
            .put_membership(&of(owner, SystemRole::Owner.name()))
            .await?;
        let invitation = of(invited, SystemRole::Viewer.name());
        let invitation = invitation.with_status(MembershipStatus::Invited);
        admin.put_membership(&invitation).await?;
        admin
            .put_membership(&of(invited, SystemRole::Member.name()))
            .await?;
        assert_eq!(notes.count("tenancy.memberships", &initech).await?, 2);
        admin.remove_membership(initech.id, invited).await?;
        assert_eq!(notes.count("tenancy.memberships", &initech).await?, 1);

        let mut project = Project::new(initech.id, "one".parse()?, "One");
        admin.put_project(&project).await?;
        project.archived = true;
        admin.put_project(&project).await?;
        let membership =
            ProjectMembership::new(initech.id, project.id, owner, SystemRole::Owner.name());
        admin.put_project_membership(&membership).await?;
        let role: RoleDefinition = serde_json::from_value(
            serde_json::json!({ "name": "editor", "allow": ["notes:read"] }),
        )?;
        admin.put_role(initech.id, &role).await?;
        let settings = Settings::new(serde_json::json!({ "colour": "red" }));
        admin.set_settings(initech.id, &settings).await?;
        for _ in 0..2 {
            admin
                .bind_domain(initech.id, &"initech.example".parse()?)
                .await?;
            admin.bind_external(initech.id, "crm", "initech").await?;
        }
        let tokens = TokenSubject::Tenant(initech.id);
        admin.revoke_tokens(&tokens).await?;
        for table in [
            "projects",
            "project_memberships",
            "roles",
            "domains",
            "external_ids",
        ] {
            let rows = notes.count(&format!("tenancy.{table}"), &initech).await?;
            assert_eq!(rows, 1, "{table}");
        }

        let keys = tenancy.keys()?.by(tenancy_core::testing::service());
        let new = NewKey::new(initech.id, owner, "a key", ["*".parse()?]);
        let key = keys.issue(new).await?.record().id;
        keys.rename(initech.id, key, "another name").await?;
        let rotated = keys
            .rotate(initech.id, key, Duration::from_secs(60))
            .await?
            .record()
            .id;
        keys.revoke(initech.id, rotated).await?;
        let listed = keys.list(initech.id, None, 10).await?;
        let listed: Vec<_> = listed
            .iter()
            .map(|key| (key.id, key.revoked_at.is_some()))
            .collect();
        let mut wanted = vec![(key, false), (rotated, true)];
        wanted.sort_unstable();
        assert_eq!(listed, wanted);
        assert_eq!(keys.revoke_tenant(initech.id).await?, 1);
        let found = keys
            .find(initech.id, key)
            .await?
            .map(|found| found.verifier);
        let Some(old) = found.as_ref().and_then(|verifier| verifier.digest()) else {
            anyhow::bail!("the key is gone");
        };
        let better = KeyDigest::new(2, [7; 32]);
        assert!(directory.replace_digest(key, old, &better).await?);
        assert!(!directory.replace_digest(key, old, &better).await?);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_is_the_operators_is_refused_and_says_so() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let directory = directory(notes).await?;
        let (tenant, now) = (notes.acme.id, SystemClock.now());
        let user = TokenSubject::User(notes.alice);
        let revoked_before = tenancy_core::RevokedBefore::revoking_at(now);
        let refusals = [
            directory
                .set_status(tenant, TenantStatus::Suspended)
                .await
                .err(),
            directory.set_plan(tenant, Some("gold")).await.err(),
            directory.revoke_creator_keys(notes.alice, now).await.err(),
            directory.revoke_before(&user, revoked_before).await.err(),
            directory
                .forget_token_revocations(revoked_before)
                .await
                .err(),
            directory
                .list_tenants(&TenantFilter::new(), None, 10)
                .await
                .err(),
        ];
        for refused in refusals {
            let Some(refused) = refused else {
                anyhow::bail!("it was done");
            };
            assert_eq!(refused.kind(), StoreErrorKind::ReadOnly);
            assert!(
                refused.to_string().contains("PgDirectory::with_system"),
                "{refused}"
            );
        }
        // With both logins, each does what is its own.
        let both = directory.with_system(&notes.system);
        both.set_status(tenant, TenantStatus::Suspended).await?;
        let suspended = TenantFilter::new().status(TenantStatus::Suspended);
        let listed = both.list_tenants(&suspended, None, 10).await?;
        assert_eq!(listed.iter().map(|t| t.id).collect::<Vec<_>>(), [tenant]);
        both.revoke_before(&user, revoked_before).await?;
        both.put_membership(&Membership::new(
            tenant,
            UserId::new(),
            SystemRole::Viewer.name(),
        ))
        .await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_name_that_another_tenant_has_is_taken() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let directory = directory(notes).await?;
        let domain = "globex.example".parse()?;
        directory.bind_domain(notes.globex.id, &domain).await?;
        directory.bind_external(notes.globex.id, "crm", "7").await?;
        let taken = [
            directory.bind_domain(notes.acme.id, &domain).await,
            directory.bind_external(notes.acme.id, "crm", "7").await,
            directory
                .create_tenant(&TenantRecord::new("globex".parse()?, "Globex"))
                .await,
        ];
        for outcome in taken {
            assert_eq!(outcome.unwrap_err().kind(), StoreErrorKind::Conflict);
        }
        assert_eq!(notes.count("tenancy.domains", &notes.globex).await?, 1);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn another_tenants_rows_are_out_of_reach() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let globex = notes.globex.id;
        let directory = directory(notes).await?;
        let project = Project::new(globex, "one".parse()?, "One");
        directory.put_project(&project).await?;
        let tables = [("tenancy.memberships", 2), ("tenancy.projects", 1)];
        for (table, rows) in tables {
            assert_eq!(notes.count(table, &notes.globex).await?, rows, "{table}");
        }
        let mut acme = login(notes, &notes.acme).await?;
        for statement in [
            format!("UPDATE tenancy.memberships SET role = 'viewer' WHERE tenant_id = '{globex}'"),
            format!("DELETE FROM tenancy.memberships WHERE tenant_id = '{globex}'"),
            format!("DELETE FROM tenancy.projects WHERE tenant_id = '{globex}'"),
            format!("UPDATE tenancy.tenants SET name = 'x' WHERE id = '{globex}'"),
            format!("SELECT FROM tenancy.tenants WHERE id = '{globex}'"),
        ] {
            let done = acme.execute(AssertSqlSafe(statement.clone())).await?;
            assert_eq!(done.rows_affected(), 0, "{statement}");
        }
        for statement in [
            format!(
                "INSERT INTO tenancy.memberships (tenant_id, user_id, role, status)
                     VALUES ('{globex}', gen_random_uuid(), 'owner', 'active')"
            ),
            format!(
                "INSERT INTO tenancy.memberships (tenant_id, user_id, role, status)
                     VALUES ('{globex}', '{}', 'viewer', 'active')
                     ON CONFLICT (tenant_id, user_id) DO UPDATE SET role = EXCLUDED.role",
                notes.bob
            ),
            "INSERT INTO tenancy.tenants (id, slug, name, status)
                 VALUES (gen_random_uuid(), 'other', 'Other', 'active')"
                .to_owned(),
            format!("UPDATE tenancy.memberships SET tenant_id = '{globex}'"),
            "INSERT INTO tenancy.token_epochs (kind, subject, valid_after)
                 VALUES ('issuer', 'x', now())"
                .to_owned(),
            format!(
                "INSERT INTO tenancy.token_epochs (kind, subject, valid_after)
                     VALUES ('tenant', '{globex}', now())"
            ),
            "UPDATE tenancy.tenants SET status = 'active'".to_owned(),
            "UPDATE tenancy.tenants SET plan = 'gold'".to_owned(),
            "DELETE FROM tenancy.tenants".to_owned(),
            "UPDATE tenancy.generations SET generation = 1".to_owned(),
            "UPDATE tenancy.api_keys SET created_at = now()".to_owned(),
            "DELETE FROM tenancy.token_epochs".to_owned(),
            "SELECT FROM tenancy.audit_log".to_owned(),
            "INSERT INTO tenancy.audit_log (id, at, action, outcome)
                 VALUES (gen_random_uuid(), now(), 'x', 'allowed')"
                .to_owned(),
            "SELECT FROM notes".to_owned(),
            "INSERT INTO notes (body) VALUES ('x')".to_owned(),
            "SET ROLE tenancy_system".to_owned(),
        ] {
            let refused = acme.execute(AssertSqlSafe(statement.clone())).await;
            assert_eq!(sqlstate(refused), "42501", "{statement}");
        }
        let role: String = sqlx::query_scalar(
            "SELECT role FROM tenancy.memberships WHERE tenant_id = $1 AND user_id = $2",
        )
        .bind(globex.as_uuid())
        .bind::<Uuid>(notes.bob.as_uuid())
        .fetch_one(&mut notes.database.admin().await?)
        .await?;
        assert_eq!(role, "owner");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn another_login_or_one_that_may_do_more_is_refused() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let refused = async |options| match RegistryPool::connect_with(options).await {
            Ok(pool) => anyhow::bail!("{pool:?} was accepted"),
            Err(error) => anyhow::Ok((error.kind(), error.to_string())),
        };
        for login in ["tenancy_app", "tenancy_audit", "tenancy_system"] {
            let options = notes.database.options_as(login, Some(PASSWORD));
            let (kind, told) = refused(options).await?;
            assert_eq!(kind, StartErrorKind::WrongLogin, "{told}");
            assert!(told.contains("neither the registry login"), "{told}");
        }
        let (kind, told) = refused(notes.database.admin_options()).await?;
        assert_eq!(kind, StartErrorKind::LoginBypasses, "{told}");

        let options = notes
            .database
            .options_as("tenancy_registry", Some(PASSWORD));
        for (grant, object) in [
            ("GRANT INSERT ON notes TO", "notes"),
            ("GRANT SELECT (title) ON notebooks TO", "notebooks"),
            (
                "CREATE VIEW every AS SELECT * FROM notes; GRANT SELECT ON every TO",
                "every",
            ),
            ("GRANT CREATE ON SCHEMA public TO", "the schema public"),
        ] {
            notes
                .as_admin(&format!("{grant} tenancy_registry, tenancy_audit"))
                .await?;
            let (kind, told) = refused(options.clone()).await?;
            assert_eq!(kind, StartErrorKind::WrongLogin, "{told}");
            assert!(told.contains(object), "{grant}: {told}");
            let audit = notes.database.url_as("tenancy_audit", Some(PASSWORD));
            let error = tenancy_sqlx::PgAuditSink::connect(&audit).await.err();
            let told = error.map(|error| error.to_string()).unwrap_or_default();
            assert!(told.contains(object), "{grant}: {told}");
            notes
                .as_admin(&format!(
                    "{} tenancy_registry, tenancy_audit",
                    grant
                        .rsplit("; ")
                        .next()
                        .unwrap_or_default()
                        .replace("GRANT", "REVOKE")
                        .replace(" TO", " FROM")
                ))
                .await?;
        }
        let member = format!("member_{}", Uuid::now_v7().simple());
        notes
            .as_admin(&format!(
                "CREATE ROLE {member} LOGIN PASSWORD '{PASSWORD}' IN ROLE tenancy_registry, pg_read_all_data"
            ))
            .await?;
        let refusal = refused(notes.database.options_as(&member, Some(PASSWORD))).await;
        notes.as_admin(&format!("DROP ROLE {member}")).await?;
        assert_eq!(refusal?.0, StartErrorKind::LoginBypasses);
        Ok(())
    })
    .await
}
