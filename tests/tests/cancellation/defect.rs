//! Why a guard is needed: what plain sqlx 0.9.0 does when `begin_with` is cancelled.

use std::time::Duration;

use sqlx::{AssertSqlSafe, postgres::PgPoolOptions};
use tenancy_sqlx::TenantPoolOptions;
use tenancy_tests::{
    DelayProxy,
    notes::{at_rest, on_every_server, on_every_server_sealed},
};

use crate::{dropped_after, probe};

const ONE_WAY: Duration = Duration::from_micros(200);

/// Asserts that the defect is there. When a fixed sqlx makes this fail, turn the last assertion
/// around (to 0) and keep the guard for the versions that need it.
#[tokio::test]
async fn plain_sqlx_lends_a_connection_inside_the_transaction_of_a_cancelled_begin()
-> anyhow::Result<()> {
    on_every_server_sealed(None, async |notes| {
        let proxy = DelayProxy::for_options(&notes.app_options(), ONE_WAY)?;
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .test_before_acquire(false)
            .connect_with(proxy.reroute(notes.app_options()))
            .await?;
        let tenantless = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM notes");
        assert_eq!(tenantless.fetch_one(&pool).await?, 0);

        at_rest(&pool, 1).await?;
        proxy.pause();
        let batch = format!(
            "BEGIN; SELECT set_config('tenancy.tenant_id', '{}', true)",
            notes.acme.id
        );
        let begun = dropped_after(0, pool.begin_with(AssertSqlSafe(batch))).await;
        assert!(begun.is_none(), "BEGIN was on the wire");
        proxy.resume();

        let tenantless = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM notes");
        assert_eq!(tenantless.fetch_one(&pool).await?, 3);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_tenant_pool_closes_the_connection_of_a_cancelled_begin() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let proxy = DelayProxy::for_options(&notes.app_options(), ONE_WAY)?;
        let options = TenantPoolOptions::new().max_connections(1);
        let pool = notes.pool_through(&proxy, options).await?;
        let before = proxy.accepted();
        assert_eq!(probe::tenantless(notes, &pool).await?, 0);

        at_rest(&pool, 1).await?;
        proxy.pause();
        let begun = dropped_after(0, pool.begin(&notes.context(&notes.acme))).await;
        assert!(begun.is_none(), "BEGIN was on the wire");
        proxy.resume();

        assert_eq!(probe::tenantless(notes, &pool).await?, 0);
        assert_eq!(proxy.accepted(), before + 1);
        Ok(())
    })
    .await
}
