//! What names the tenant: contexts, engines, and the settings that travel with BEGIN.

use sqlx::Executor as _;
use tenancy_core::{ProjectId, TenantRecord, testing::ContextBuilder};
use tenancy_sqlx::{ErrorKind, TenantPoolOptions};
use tenancy_tests::notes::{self, on_every_server};

const SETTINGS: &str = "SELECT current_setting('tenancy.tenant_id', true),
    current_setting('tenancy.project_id', true)";

#[tokio::test]
async fn the_project_travels_and_is_gone_for_the_next_borrower() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let pool = notes
            .pool(TenantPoolOptions::new().max_connections(1))
            .await?;
        let project = ProjectId::new();
        let within = ContextBuilder::new(&notes.tenancy, notes.acme.clone())
            .project(project)
            .build();

        for (context, tenant, project) in [
            (&within, &notes.acme, project.to_string()),
            (&notes.context(&notes.globex), &notes.globex, String::new()),
            (&notes.context(&notes.acme), &notes.acme, String::new()),
        ] {
            let carried: (String, String) = sqlx::query_as(SETTINGS)
                .fetch_one(&pool.tenant(context)?)
                .await?;
            assert_eq!(carried, (tenant.id.to_string(), project));
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_context_of_another_engine_is_refused() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        let other = notes::builder(notes.directory.clone())?.build()?;
        let foreign = ContextBuilder::new(&other, notes.acme.clone()).build();

        let refused = pool.tenant(&foreign).map(drop).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::WrongEngine);
        let refused = pool.begin(&foreign).await.map(drop).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::WrongEngine);
        assert!(refused.to_string().contains("build one engine at start"));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_tenant_that_does_not_exist_has_nothing() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        let nobody = TenantRecord::new("nobody".parse()?, "Nobody");
        let mut tx = pool.begin(&notes.context(&nobody)).await?;

        assert_eq!(tx.fetch_all("SELECT FROM notes").await?.len(), 0);
        let orphan = tx.execute("INSERT INTO notes (body) VALUES ('x')").await;
        assert_eq!(notes::sqlstate(orphan), "23503");
        Ok(())
    })
    .await
}
