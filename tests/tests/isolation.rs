//! PostgreSQL shows one tenant's rows and no others, whatever the query says. Every test first
//! makes sure that the other tenant's rows exist.

use sqlx::Row as _;
use tenancy_sqlx::TenantPoolOptions;
use tenancy_tests::{Server, notes::Notes};

#[tokio::test]
async fn a_query_that_forgot_its_where_returns_own_rows_only() -> anyhow::Result<()> {
    for server in Server::all().await? {
        let notes = Notes::start(&server).await?;
        notes.seed(&notes.acme, 3).await?;
        notes.seed(&notes.globex, 5).await?;
        let pool = notes.pool(TenantPoolOptions::new()).await?;

        for (tenant, own) in [(&notes.acme, 3), (&notes.globex, 5)] {
            let db = pool.tenant(&notes.context(tenant))?;
            let rows = sqlx::query("SELECT tenant_id FROM notes").fetch_all(&db).await?;
            assert_eq!(rows.len(), own);
            for row in rows {
                assert_eq!(row.get::<sqlx::types::Uuid, _>(0), tenant.id.as_uuid());
            }
        }
        notes.database.close().await?;
    }
    Ok(())
}
