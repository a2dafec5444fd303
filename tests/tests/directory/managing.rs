//! Listing, renaming and removing over the registry login, and what a project's removal waits for and ends.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use tenancy_core::{
    Capability, Clock as _, DirectoryStore, KeyId, MemberFilter, Membership,
    MembershipDirectory as _, Project, ProjectDirectory as _, ProjectMembership, RoleDefinition,
    RoleName, StoreErrorKind, SystemClock, SystemRole, TenantDirectory as _, TenantKey,
    TenantStatus, UserId,
    key::{ApiKey, Environment, KeyDigest, KeyDirectory as _},
    testing::{KeyStoreDirectly as _, StoreDirectly, service},
};
use tenancy_tests::notes::{Notes, builder, on_every_server};

use crate::registry::directory;

/// Only so that a test that fails does not hang.
const FAIL_SAFE: Duration = Duration::from_secs(60);

async fn project(notes: &Notes, slug: &str) -> anyhow::Result<Project> {
    let project = Project::new(notes.acme.id, slug.parse()?, slug);
    notes.directory.put_project(&project).await?;
    Ok(project)
}

/// A key of acme that is confined to a project.
fn key_in(notes: &Notes, project: &Project) -> ApiKey {
    let (id, now) = (KeyId::new(), SystemClock.now());
    let digest = KeyDigest::new(1, [7; 32]);
    let tenant = notes.acme.id;
    let mut key = ApiKey::new(id, tenant, notes.alice, Environment::Live, digest, now);
    key.project = Some(project.id);
    key
}

/// Which login is missing shows when the service starts, and in each change otherwise.
#[tokio::test]
async fn what_the_services_login_can_not_change_is_named_at_build() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let reading = notes.directory(notes.app_options(), 1).await?;
        let needed = [Capability::Members, Capability::TokenRevocations];
        let missing = builder(reading.clone())?.require(needed).build();
        let missing = missing.unwrap_err().to_string();
        for said in [
            "members",
            "token revocations",
            "with_registry",
            "with_system",
        ] {
            anyhow::ensure!(missing.contains(said), "{missing}");
        }
        let serving = builder(reading.clone())?.build()?;
        let renamed = serving.admin(service()).rename(notes.acme.id, "Acme").await;
        let missing = renamed.unwrap_err();
        assert_eq!(missing.kind(), StoreErrorKind::ReadOnly);
        anyhow::ensure!(missing.to_string().contains("with_registry"), "{missing}");

        let writing = directory(notes).await?;
        builder(writing.clone())?.require(needed).build()?;
        writing.close().await;
        reading.close().await;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_tenant_lists_renames_and_removes_what_it_has() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let directory = directory(notes).await?;
        let admin = builder(directory.clone())?.build()?.admin(service());
        let (acme, alice) = (notes.acme.id, notes.alice);
        admin.rename(acme, "Acme & Daughters").await?;
        let slug = "acme-2".parse()?;
        admin.set_slug(acme, &slug).await?;
        let record = directory.find_tenant(&slug.clone().into()).await?;
        let named = record.map(|acme| (acme.id, acme.name));
        assert_eq!(named, Some((acme, "Acme & Daughters".to_owned())));
        let taken = admin.set_slug(acme, &notes.globex.slug).await.unwrap_err();
        assert_eq!(taken.kind(), StoreErrorKind::Conflict);

        let domain = "acme.example".parse()?;
        admin.bind_domain(acme, &domain).await?;
        admin.bind_external(acme, "crm", "7").await?;
        let external = TenantKey::External {
            provider: "crm".into(),
            id: "7".into(),
        };
        let names = admin.list_names(acme, None, 10).await?;
        assert_eq!(names, [domain.clone().into(), external]);
        admin.unbind_domain(acme, &domain).await?;
        admin.unbind_external(acme, "crm", "7").await?;
        assert_eq!(admin.list_names(acme, None, 10).await?, []);

        let owners = MemberFilter::new().role(SystemRole::Owner);
        let members = admin.list_members(acme, &owners, None, 10).await?;
        assert_eq!(members.len(), 2);
        assert!(members.contains(&Membership::new(acme, alice, SystemRole::Owner.name())));

        let project = project(notes, "apollo").await?;
        let member = ProjectMembership::new(acme, project.id, alice, SystemRole::Member.name());
        admin.put_project_membership(&member).await?;
        let key = key_in(notes, &project);
        directory.insert_key(&key).await?;
        assert_eq!(
            admin.list_projects(acme, None, 10).await?,
            vec![project.clone()]
        );
        let in_it = admin
            .list_project_members(acme, project.id, None, 10)
            .await?;
        assert_eq!(in_it, vec![member.clone()]);
        admin
            .remove_project_membership(acme, project.id, alice)
            .await?;
        let in_it = admin
            .list_project_members(acme, project.id, None, 10)
            .await?;
        assert_eq!(in_it, []);
        admin.put_project_membership(&member).await?;
        admin.remove_project(acme, project.id).await?;
        assert_eq!(admin.list_projects(acme, None, 10).await?, []);
        let ended = directory.find_key(key.id).await?;
        assert!(ended.is_some_and(|key| key.revoked_at.is_some()));

        let role = RoleDefinition::new("editor".parse()?).allow("notes:read");
        admin.put_role(acme, &role).await?;
        assert_eq!(admin.list_roles(acme).await?, vec![role.clone()]);
        admin.remove_role(acme, &role.name).await?;
        assert_eq!(admin.list_roles(acme).await?, []);
        Ok(())
    })
    .await
}

/// What the engine refuses is the same as over memory; here, that it reads what is stored.
#[tokio::test]
async fn a_role_that_could_not_be_compiled_is_refused_before_it_is_stored() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let directory = directory(notes).await?;
        let admin = builder(directory)?.build()?.admin(service());
        let acme = notes.acme.id;
        let insert = format!(
            "INSERT INTO tenancy.roles (tenant_id, name, definition) VALUES ('{acme}', 'newer', '[1]')"
        );
        notes.as_admin(&insert).await?;
        let heir = RoleDefinition::new("heir".parse()?).include("newer".parse::<RoleName>()?);
        let refused = admin.put_role(acme, &heir).await.unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::Invalid);
        assert!(refused.to_string().contains("mend `newer`"), "{refused}");
        assert_eq!(notes.count("tenancy.roles", &notes.acme).await?, 1);
        admin.remove_role(acme, &"newer".parse()?).await?;
        assert_eq!(notes.count("tenancy.roles", &notes.acme).await?, 0);
        Ok(())
    })
    .await
}

/// Through the registry login, and through the operators', who have named no tenant when the reference is
/// checked.
#[tokio::test]
async fn a_project_with_rows_of_the_application_is_not_removed() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let project = project(notes, "apollo").await?;
        let (acme, alice) = (notes.acme.id, notes.alice);
        let member = ProjectMembership::new(acme, project.id, alice, SystemRole::Member.name());
        notes.directory.put_project_membership(&member).await?;
        let key = key_in(notes, &project);
        notes.directory.insert_key(&key).await?;
        notes
            .as_admin(&format!(
                "SET ROLE tenancy_owner;
                 CREATE TABLE tasks (id int PRIMARY KEY);
                 SELECT tenancy.protect('tasks', project => true);
                 RESET ROLE;
                 INSERT INTO tasks (id, tenant_id, project_id) VALUES (1, '{acme}', '{}')",
                project.id
            ))
            .await?;
        assert_eq!(notes.count("tasks", &notes.acme).await?, 1);
        let registry = directory(notes).await?;
        for directory in [&registry, &notes.directory] {
            let kept = removed(directory, &project).await.unwrap_err();
            assert_eq!(kept.kind(), StoreErrorKind::Conflict, "{kept}");
            assert!(
                kept.to_string().contains("rows of the application"),
                "{kept}"
            );
            let found = directory.find_project(acme, project.id).await?;
            assert_eq!(found.as_ref(), Some(&project));
            let role = directory.find_project_role(acme, project.id, alice).await?;
            assert_eq!(role, Some(SystemRole::Member.name()));
            let found = directory.find_key(key.id).await?;
            assert_eq!(found.as_ref(), Some(&key), "nor did its keys end");
        }
        notes.as_admin("DELETE FROM tasks").await?;

        let mut admin = notes.database.admin().await?;
        let mut open = admin.begin().await?;
        sqlx::query("INSERT INTO tasks (id, tenant_id, project_id) VALUES (2, $1, $2)")
            .bind(acme.as_uuid())
            .bind(project.id.as_uuid())
            .execute(&mut *open)
            .await?;
        let in_use = removed(&registry, &project).await.unwrap_err();
        assert_eq!(in_use.kind(), StoreErrorKind::Conflict, "{in_use}");
        assert!(in_use.to_string().contains("being written to"), "{in_use}");
        open.rollback().await?;
        removed(&registry, &project).await?;
        assert_eq!(notes.count("tenancy.projects", &notes.acme).await?, 0);
        Ok(())
    })
    .await
}

async fn removed<S: DirectoryStore>(
    store: &S,
    of: &Project,
) -> Result<(), tenancy_core::StoreError> {
    StoreDirectly::remove_project(store, of.tenant, of.id, SystemClock.now()).await
}

/// No key that is confined to the project is left over, whichever of the two comes first.
#[tokio::test]
async fn a_key_that_is_issued_while_its_project_goes_ends_with_it() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let project = project(notes, "apollo").await?;
        let key = key_in(notes, &project);
        let mut admin = notes.database.admin().await?;
        let mut open = admin.begin().await?;
        let issue = format!(
            "INSERT INTO tenancy.api_keys (id, tenant_id, creator, environment, name, scopes,
                 project_id, networks, metadata, digest, digest_version, created_at, disabled)
             VALUES ('{}', '{}', '{}', 'live', 'a key', '{{*}}', '{}', '{{}}', '{{}}',
                 decode(repeat('07', 32), 'hex'), 1, now(), false)",
            key.id, key.tenant, key.creator, project.id
        );
        open.execute(AssertSqlSafe(issue)).await?;
        let in_use = removed(&notes.directory, &project).await.unwrap_err();
        assert_eq!(in_use.kind(), StoreErrorKind::Conflict, "{in_use}");
        assert!(in_use.to_string().contains("being written to"), "{in_use}");
        open.commit().await?;

        removed(&notes.directory, &project).await?;
        let ended = notes.directory.find_key(key.id).await?;
        let ended = ended.map(|key| (key.project, key.revoked_at.is_some()));
        assert_eq!(ended, Some((None, true)));
        let late = notes.directory.insert_key(&key_in(notes, &project)).await;
        assert_eq!(late.unwrap_err().kind(), StoreErrorKind::NotFound);
        Ok(())
    })
    .await
}

/// A slug is a key that rows could refer to: it waits for open writes. What stops the tenant does not.
#[tokio::test]
async fn a_tenant_is_suspended_while_its_slug_waits() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let mut admin = notes.database.admin().await?;
        let mut open = admin.begin().await?;
        sqlx::query("INSERT INTO notes (tenant_id, body) VALUES ($1, 'open')")
            .bind(notes.acme.id.as_uuid())
            .execute(&mut *open)
            .await?;
        let (acme, slug) = (notes.acme.id, "acme-2".parse()?);
        let rename = notes.directory.set_slug(acme, &slug);
        let suspend = async {
            let mut other = notes.database.admin().await?;
            loop {
                let waits: bool = sqlx::query_scalar(
                    "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database()
                         AND wait_event_type = 'Lock' AND query LIKE '%SET slug%'",
                )
                .fetch_one(&mut other)
                .await?;
                if waits {
                    break;
                }
                tokio::task::yield_now().await;
            }
            let suspended = notes
                .directory
                .set_status(acme, TenantStatus::Suspended)
                .await?;
            assert_eq!(suspended.slug, notes.acme.slug, "the other one still waits");
            open.commit().await?;
            anyhow::Ok(())
        };
        let both = async { tokio::join!(rename, suspend) };
        let (renamed, suspended) = tokio::time::timeout(FAIL_SAFE, both).await?;
        suspended?;
        renamed?;
        let found = notes.directory.find_tenant(&slug.clone().into()).await?;
        let found = found.map(|tenant| (tenant.id, tenant.status));
        assert_eq!(found, Some((acme, TenantStatus::Suspended)));
        Ok(())
    })
    .await
}

/// A membership that comes back has not, by its removal, lost anybody else's.
#[tokio::test]
async fn a_removal_of_nothing_changes_nothing() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let directory = directory(notes).await?;
        let (acme, globex, nobody) = (notes.acme.id, notes.globex.id, UserId::new());
        let before = directory.find_tenant(&acme.into()).await?;
        directory.remove_membership(acme, nobody).await?;
        directory.remove_membership(acme, notes.bob).await?;
        directory.remove_role(acme, &"nobody".parse()?).await?;
        assert_eq!(directory.find_tenant(&acme.into()).await?, before);
        assert!(
            directory
                .find_membership(globex, notes.bob)
                .await?
                .is_some()
        );
        Ok(())
    })
    .await
}
