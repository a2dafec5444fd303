//! Connections that are opened before anybody waits for them.

use std::time::Duration;

use tenancy_sqlx::TenantPoolOptions;
use tenancy_tests::{
    DelayProxy,
    notes::{at_rest, on_every_server},
};

use crate::wait::until;

#[tokio::test]
async fn so_many_are_idle_beside_those_in_use_and_no_more_than_the_pool_has() -> anyhow::Result<()>
{
    on_every_server(async |notes| {
        let options = TenantPoolOptions::new().max_connections(6).open_ahead(2);
        let pool = notes.pool(options).await?;
        let acme = notes.context(&notes.acme);
        let mut lent = Vec::new();
        // The start has opened up to four.
        for _ in 0..3 {
            lent.push(pool.begin(&acme).await?);
            until(&pool, |stats| stats.idle >= 2).await?;
        }
        for idle in [2, 1] {
            lent.push(pool.begin(&acme).await?);
            at_rest(&pool, idle).await?;
            assert_eq!(pool.stats().size, lent.len() + idle);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_was_opened_ahead_is_closed_when_nobody_comes() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let options = TenantPoolOptions::new()
            .open_ahead(3)
            .idle_timeout(Some(Duration::from_millis(50)));
        let proxy = DelayProxy::for_options(&notes.app_options(), Duration::ZERO)?;
        let pool = notes.pool_through(&proxy, options).await?;
        until(&pool, |stats| stats.size == 0 && proxy.connections() == 0).await
    })
    .await
}
