//! What else there is in a service, in a sealed database.

use sqlx::Executor as _;
use tenancy_core::{
    Membership, MembershipDirectory as _, Project, SystemRole, TenantDirectory as _, TenantKey,
    TenantRecord, TenantStatus, UserId, testing::StoreDirectly as _,
};
use tenancy_sqlx::{RegistryPool, TenantPoolOptions, danger, schema::Installer};
use tenancy_tests::notes::{MIGRATIONS, PASSWORD, seal_key, sqlstate};

use crate::in_both_ways;

#[tokio::test]
async fn the_registry_login_signs_a_tenant_up_and_writes_its_part() -> anyhow::Result<()> {
    in_both_ways(async |notes| {
        let login = notes
            .database
            .options_as("tenancy_registry", Some(PASSWORD));
        let registry = RegistryPool::connect_sealed(login, &seal_key()?).await?;
        let directory = notes
            .directory(notes.app_options(), 2)
            .await?
            .with_registry(&registry);
        let tenant =
            TenantRecord::new("initech".parse()?, "Initech").with_status(TenantStatus::Active);
        directory.create_tenant(&tenant).await?;
        let owner = UserId::new();
        let membership = Membership::new(tenant.id, owner, SystemRole::Owner.name());
        directory.put_membership(&membership).await?;
        assert!(directory.find_membership(tenant.id, owner).await?.is_some());
        let found = directory
            .find_tenant(&TenantKey::Slug(tenant.slug.clone()))
            .await?;
        assert_eq!(found.map(|found| found.id), Some(tenant.id));
        let project = Project::new(tenant.id, "p".parse()?, "P");
        directory.put_project(&project).await?;
        // Nor does it see another's.
        assert!(
            directory
                .find_membership(notes.acme.id, owner)
                .await?
                .is_none()
        );
        directory.close().await;
        registry.close().await;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn operators_see_all_without_a_key() -> anyhow::Result<()> {
    in_both_ways(async |notes| {
        let mut all =
            danger::across_tenants(&notes.tenancy, &notes.system, notes.alice, "a test").await?;
        let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM notes")
            .fetch_one(&mut *all)
            .await?;
        assert_eq!(seen, 8);
        Ok(())
    })
    .await
}

/// A function of the owner's may be made to read what the owner reads.
#[tokio::test]
async fn the_owner_sees_no_key() -> anyhow::Result<()> {
    in_both_ways(async |notes| {
        let mut admin = notes.database.admin().await?;
        let keys = "SELECT count(*) FROM tenancy_seal.keys";
        let there: i64 = sqlx::query_scalar(keys).fetch_one(&mut admin).await?;
        assert_eq!(there, 1);
        admin.execute("SET ROLE tenancy_owner").await?;
        let seen: i64 = sqlx::query_scalar(keys).fetch_one(&mut admin).await?;
        assert_eq!(seen, 0);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn migrations_and_installing_again_leave_the_seal() -> anyhow::Result<()> {
    in_both_ways(async |notes| {
        let mut admin = notes.database.admin().await?;
        Installer::new().run_on(&mut admin, &MIGRATIONS).await?;
        let way: Option<String> = sqlx::query_scalar("SELECT tenancy.sealing()").fetch_one(&mut admin).await?;
        assert_eq!(way.as_deref(), notes.seal.map(|way| way.as_str()));
        notes
            .as_admin(
                "SET ROLE tenancy_owner; CREATE TABLE pages (id int); SELECT tenancy.protect('pages');
                 CREATE VIEW bodies AS SELECT body FROM notes; GRANT SELECT ON bodies TO tenancy_app;
                 UPDATE notes SET stars = 1",
            )
            .await?;
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        let mut tx = pool.begin(&notes.context(&notes.acme)).await?;
        // The default of the tenant's column.
        tx.execute("INSERT INTO pages (id) VALUES (1)").await?;
        let own: uuid::Uuid = sqlx::query_scalar("SELECT tenant_id FROM pages").fetch_one(&mut *tx).await?;
        assert_eq!(own, notes.acme.id.as_uuid());
        // A view that reads as the owner.
        assert_eq!(tx.fetch_all("SELECT FROM bodies").await?.len(), 3);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_transaction_knows_its_tenant_through_savepoints_and_finds_a_stray_commit()
-> anyhow::Result<()> {
    in_both_ways(async |notes| {
        let pool = notes
            .pool(TenantPoolOptions::new().check_tenant_at_commit(true))
            .await?;
        let context = notes.context(&notes.acme);
        let mut tx = pool.begin(&context).await?;
        let mut inner = tx.savepoint().await?;
        inner
            .execute("INSERT INTO notes (body) VALUES ('in a savepoint')")
            .await?;
        inner.release().await?;
        tx.check_tenant().await?;
        tx.commit().await?;
        assert_eq!(notes.count("notes", &notes.acme).await?, 4);

        let mut tx = pool.begin(&context).await?;
        tx.execute("COMMIT").await?;
        assert!(tx.check_tenant().await.is_err());
        let mut tx = pool.begin(&context).await?;
        tx.execute("RESET ALL").await?;
        assert!(tx.check_tenant().await.is_err());
        let denied = tx
            .execute("INSERT INTO notes (body) VALUES ('of nobody')")
            .await;
        assert_eq!(sqlstate(denied), "42501");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn projects_are_sealed_too() -> anyhow::Result<()> {
    in_both_ways(async |notes| {
        notes
            .as_admin(
                "SET ROLE tenancy_owner; CREATE TABLE tasks (id int, project_id uuid NOT NULL);
                 SELECT tenancy.protect('tasks', project => true)",
            )
            .await?;
        let (one, other) = (
            Project::new(notes.acme.id, "one".parse()?, "One"),
            Project::new(notes.acme.id, "other".parse()?, "Other"),
        );
        // The setting is changed below, and changes nothing.
        let options = TenantPoolOptions::new().check_session_every(0);
        let pool = notes.pool(options).await?;
        for project in [&one, &other] {
            notes.directory.put_project(project).await?;
            let context =
                tenancy_core::testing::ContextBuilder::new(&notes.tenancy, notes.acme.clone())
                    .project(project.id)
                    .build();
            let mut tx = pool.begin(&context).await?;
            tx.execute("INSERT INTO tasks (id) VALUES (1)").await?;
            assert_eq!(tx.fetch_all("SELECT FROM tasks").await?.len(), 1);
            let named = format!(
                "SELECT set_config('tenancy.project_id', '{}', true)",
                one.id
            );
            tx.execute(sqlx::AssertSqlSafe(named)).await?;
            let seen: Vec<uuid::Uuid> = sqlx::query_scalar("SELECT project_id FROM tasks")
                .fetch_all(&mut *tx)
                .await?;
            let own = (project.id == one.id).then_some(project.id.as_uuid());
            assert_eq!(seen, own.into_iter().collect::<Vec<_>>());
            tx.commit().await?;
        }
        assert_eq!(notes.count("tasks", &notes.acme).await?, 2);
        Ok(())
    })
    .await
}
