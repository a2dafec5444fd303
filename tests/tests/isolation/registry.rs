//! The registry in the schema `tenancy`: the service's login reads its own tenant's part of it.

use sqlx::{AssertSqlSafe, Executor as _, types::Uuid};
use tenancy_core::{
    Membership, Project, ProjectMembership, RoleDefinition, TenantRecord,
    testing::StoreDirectly as _,
};
use tenancy_sqlx::TenantPoolOptions;
use tenancy_tests::notes::{Notes, on_every_server, sqlstate};

const REGISTRY: [&str; 7] = [
    "domains",
    "external_ids",
    "memberships",
    "roles",
    "projects",
    "project_memberships",
    "generations",
];

/// Gives a tenant a row in every table of the registry.
pub(crate) async fn fill(notes: &Notes, tenant: &TenantRecord) -> anyhow::Result<()> {
    let directory = &notes.directory;
    let domain = format!("{}.example", tenant.slug).parse()?;
    directory.bind_domain(tenant.id, &domain).await?;
    directory
        .bind_external(tenant.id, "clerk", tenant.slug.as_str())
        .await?;
    let project = Project::new(tenant.id, "one".parse()?, "One");
    directory.put_project(&project).await?;
    let role: RoleDefinition =
        serde_json::from_value(serde_json::json!({ "name": "editor", "allow": [] }))?;
    directory.put_role(tenant.id, &role).await?;
    let user = tenancy_core::UserId::new();
    let member = Membership::new(tenant.id, user, "viewer".parse()?);
    directory.put_membership(&member).await?;
    let membership = ProjectMembership::new(tenant.id, project.id, user, "editor".parse()?);
    directory.put_project_membership(&membership).await?;
    notes
        .as_admin(&format!(
            "INSERT INTO tenancy.audit_log (id, at, tenant_id, action, outcome)
             VALUES (gen_random_uuid(), now(), '{}', 'test', 'allowed')",
            tenant.id
        ))
        .await
}

#[tokio::test]
async fn each_table_shows_the_own_tenants_part() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        for tenant in [&notes.acme, &notes.globex] {
            fill(notes, tenant).await?;
            for table in REGISTRY {
                let rows = notes.count(&format!("tenancy.{table}"), tenant).await?;
                assert!(rows >= 1, "{table}");
            }
        }
        let pool = notes.pool(TenantPoolOptions::new()).await?;

        for tenant in [&notes.acme, &notes.globex] {
            let db = pool.tenant(&notes.context(tenant))?;
            for table in REGISTRY {
                let sql = format!("SELECT DISTINCT tenant_id FROM tenancy.{table}");
                let seen: Vec<Uuid> = sqlx::query_scalar(AssertSqlSafe(sql))
                    .fetch_all(&db)
                    .await?;
                assert_eq!(seen, [tenant.id.as_uuid()], "{table}");
            }
            let seen: Vec<Uuid> = sqlx::query_scalar("SELECT id FROM tenancy.tenants")
                .fetch_all(&db)
                .await?;
            assert_eq!(seen, [tenant.id.as_uuid()]);
        }

        let mut nobody = notes.app().await?;
        for table in REGISTRY.into_iter().chain(["tenants"]) {
            let sql = AssertSqlSafe(format!("SELECT FROM tenancy.{table}"));
            assert_eq!(nobody.fetch_all(sql).await?.len(), 0, "{table}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_service_can_not_write_the_registry() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        let db = pool.tenant(&notes.context(&notes.acme))?;
        for table in REGISTRY.into_iter().chain(["tenants", "audit_log"]) {
            let column = if table == "tenants" || table == "audit_log" {
                "id"
            } else {
                "tenant_id"
            };
            let delete = AssertSqlSafe(format!("DELETE FROM tenancy.{table}"));
            assert_eq!(
                sqlstate(sqlx::query(delete).execute(&db).await),
                "42501",
                "{table}"
            );
            let update = AssertSqlSafe(format!("UPDATE tenancy.{table} SET {column} = {column}"));
            assert_eq!(
                sqlstate(sqlx::query(update).execute(&db).await),
                "42501",
                "{table}"
            );
            let insert = AssertSqlSafe(format!("INSERT INTO tenancy.{table} DEFAULT VALUES"));
            assert_eq!(
                sqlstate(sqlx::query(insert).execute(&db).await),
                "42501",
                "{table}"
            );
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_service_reads_its_own_tenants_audit_trail_and_does_not_write_into_the_log()
-> anyhow::Result<()> {
    on_every_server(async |notes| {
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        let db = pool.tenant(&notes.context(&notes.acme))?;
        let insert = "INSERT INTO tenancy.audit_log (id, at, tenant_id, action, outcome)
             VALUES (gen_random_uuid(), now(), $1, 'note.delete', 'allowed')";

        for tenant in [&notes.acme, &notes.globex] {
            let added = sqlx::query(insert)
                .bind(tenant.id.as_uuid())
                .execute(&db)
                .await;
            assert_eq!(sqlstate(added), "42501");
            fill(notes, tenant).await?;
        }
        for table in ["audit_log", "audit_trail"] {
            let sql = format!("SELECT DISTINCT tenant_id FROM tenancy.{table}");
            let seen: Vec<Option<Uuid>> = sqlx::query_scalar(AssertSqlSafe(sql))
                .fetch_all(&db)
                .await?;
            assert_eq!(seen, [Some(notes.acme.id.as_uuid())], "{table}");
        }
        let mut nobody = notes.app().await?;
        for table in ["audit_log", "audit_entries", "audit_trail"] {
            let sql = AssertSqlSafe(format!("SELECT FROM tenancy.{table}"));
            assert_eq!(nobody.fetch_all(sql).await?.len(), 0, "{table}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_system_login_writes_the_registry_but_no_generation() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let options = notes
            .database
            .options_as("tenancy_system", Some(tenancy_tests::notes::PASSWORD));
        let mut system: sqlx::PgConnection = sqlx::ConnectOptions::connect(&options).await?;
        let tenants: i64 = sqlx::query_scalar("SELECT count(*) FROM tenancy.tenants")
            .fetch_one(&mut system)
            .await?;
        assert_eq!(tenants, 2);
        for (attempt, code) in [
            ("UPDATE tenancy.tenants SET name = 'renamed'", "00000"),
            ("UPDATE tenancy.generations SET generation = 1", "42501"),
            ("DELETE FROM tenancy.generations", "42501"),
            ("UPDATE tenancy.audit_log SET actor = 'nobody'", "42501"),
            ("DELETE FROM tenancy.audit_log", "42501"),
            ("TRUNCATE tenancy.audit_log", "42501"),
        ] {
            assert_eq!(sqlstate(system.execute(attempt).await), code, "{attempt}");
        }
        Ok(())
    })
    .await
}
