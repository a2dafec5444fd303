//! A tenant uses so many connections and no more.

use std::time::Duration;

use futures_util::future::poll_immediate;
use sqlx::Executor as _;
use tenancy_sqlx::TenantPoolOptions;
use tenancy_tests::notes::on_every_server;

use crate::wait::{until, until_waiting};

#[tokio::test]
async fn a_tenant_at_its_cap_waits_and_others_do_not() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let options = TenantPoolOptions::new()
            .max_connections(3)
            .max_connections_per_tenant(2);
        let pool = notes.pool(options).await?;
        let acme = notes.context(&notes.acme);
        let one = pool.begin(&acme).await?;
        let _two = pool.begin(&acme).await?;
        let mut three = Box::pin(pool.begin(&acme));
        assert!(poll_immediate(&mut three).await.is_none());
        until_waiting(&pool, 1).await?;

        let mut other = pool.begin(&notes.context(&notes.globex)).await?;
        assert_eq!(other.fetch_all("SELECT FROM notes").await?.len(), 5);
        other.commit().await?;
        until(&pool, |stats| stats.idle == 1).await?;
        assert!(poll_immediate(&mut three).await.is_none());

        one.commit().await?;
        let mut three = three.await?;
        assert_eq!(three.fetch_all("SELECT FROM notes").await?.len(), 3);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_tenant_that_waits_in_vain_for_itself_is_no_outage() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let options = TenantPoolOptions::new()
            .max_connections(3)
            .max_connections_per_tenant(1)
            .acquire_timeout(Duration::from_secs(1));
        let pool = notes.pool(options).await?;
        let acme = notes.context(&notes.acme);
        let lent = pool.begin(&acme).await?;
        let refused = pool.begin(&acme).await.map(drop).unwrap_err();
        assert!(
            matches!(refused.driver_error(), Some(sqlx::Error::PoolTimedOut)),
            "{refused}"
        );
        assert!(refused.refusal().retry_after().is_some());

        let other = pool.begin(&notes.context(&notes.globex)).await?;
        other.commit().await?;
        lent.commit().await?;
        pool.begin(&acme).await?.commit().await?;
        Ok(())
    })
    .await
}
