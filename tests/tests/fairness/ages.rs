//! Connections that are kept open, and that are closed when they are old or idle.

use std::time::Duration;

use sqlx::Executor as _;
use tenancy_sqlx::TenantPoolOptions;
use tenancy_tests::{
    DelayProxy,
    notes::{at_rest, on_every_server},
};

use crate::wait::until;

#[tokio::test]
async fn the_least_is_open_without_a_caller_and_again_after_a_loss() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let options = TenantPoolOptions::new()
            .max_connections(4)
            .min_connections(3)
            .idle_timeout(Some(Duration::from_millis(200)));
        let proxy = DelayProxy::for_options(&notes.app_options(), Duration::ZERO)?;
        let pool = notes.pool_through(&proxy, options).await?;
        at_rest(&pool, 3).await?;
        let accepted = proxy.accepted();
        until(&pool, |stats| {
            proxy.accepted() > accepted && stats.idle == 3
        })
        .await
    })
    .await
}

#[tokio::test]
async fn what_nobody_uses_is_closed() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let options = TenantPoolOptions::new().idle_timeout(Some(Duration::from_millis(20)));
        let proxy = DelayProxy::for_options(&notes.app_options(), Duration::ZERO)?;
        let pool = notes.pool_through(&proxy, options).await?;
        until(&pool, |stats| stats.size == 0 && proxy.connections() == 0).await?;

        let mut tx = pool.begin(&notes.context(&notes.acme)).await?;
        assert_eq!(tx.fetch_all("SELECT FROM notes").await?.len(), 3);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_is_too_old_is_not_used_again() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let options = TenantPoolOptions::new()
            .max_connections(1)
            .max_lifetime(Some(Duration::ZERO));
        let pool = notes.pool(options).await?;
        let db = pool.tenant(&notes.context(&notes.acme))?;
        let mut processes = Vec::new();
        for _ in 0..3 {
            let own = sqlx::query_scalar::<_, i32>("SELECT pg_backend_pid()");
            processes.push(own.fetch_one(&db).await?);
        }
        processes.dedup();
        assert_eq!(processes.len(), 3);
        Ok(())
    })
    .await
}
