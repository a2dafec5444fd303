//! Queries that several processes answer together.

use sqlx::Executor as _;
use tenancy_sqlx::TenantPoolOptions;

use crate::in_both_ways;

#[tokio::test]
async fn a_parallel_query_sees_the_own_rows_and_no_others() -> anyhow::Result<()> {
    in_both_ways(async |notes| {
        for tenant in [&notes.acme, &notes.globex] {
            notes.seed(tenant, 3_000).await?;
        }
        notes.as_admin("ANALYZE notes").await?;
        let mut admin = notes.database.admin().await?;
        let version: i32 = sqlx::query_scalar("SELECT current_setting('server_version_num')::int")
            .fetch_one(&mut admin)
            .await?;
        let forced = match version {
            ..160_000 => "SET LOCAL force_parallel_mode = on",
            _ => "SET LOCAL debug_parallel_query = on",
        };
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        let mut tx = pool.begin(&notes.context(&notes.acme)).await?;
        for setting in [
            forced,
            "SET LOCAL parallel_setup_cost = 0",
            "SET LOCAL parallel_tuple_cost = 0",
            "SET LOCAL min_parallel_table_scan_size = 0",
        ] {
            tx.execute(setting).await?;
        }
        let plan: Vec<String> = sqlx::query_scalar("EXPLAIN SELECT count(*) FROM notes")
            .fetch_all(&mut *tx)
            .await?;
        assert!(plan.join("\n").contains("Workers Planned"), "{plan:#?}");
        for query in [
            "SELECT count(*) FROM notes",
            "SELECT count(*) FROM notes WHERE tenant_id = tenancy.current_tenant()",
            "SELECT count(*) FROM notes WHERE tenancy.current_tenant() IS NOT NULL",
        ] {
            let seen: i64 = sqlx::query_scalar(query).fetch_one(&mut *tx).await?;
            assert_eq!(seen, 3_003, "{query}");
        }
        Ok(())
    })
    .await
}
