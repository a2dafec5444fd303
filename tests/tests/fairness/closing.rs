//! Closing a pool that is in use.

use std::time::Duration;

use futures_util::future::poll_immediate;
use tenancy_sqlx::{ErrorKind, TenantPoolOptions};
use tenancy_tests::{DelayProxy, notes::on_every_server};

use crate::wait::until;

#[tokio::test]
async fn closing_refuses_who_waits_and_waits_for_who_works() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let proxy = DelayProxy::for_options(&notes.app_options(), Duration::ZERO)?;
        let options = TenantPoolOptions::new().max_connections(1);
        let pool = notes.pool_through(&proxy, options).await?;
        let context = notes.context(&notes.acme);
        let lent = pool.begin(&context).await?;
        let mut waiting = Box::pin(pool.begin(&context));
        assert!(poll_immediate(&mut waiting).await.is_none());

        let mut closing = Box::pin(pool.close());
        assert!(poll_immediate(&mut closing).await.is_none());
        for refused in [waiting.await, pool.begin(&context).await] {
            let error = refused.map(drop).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        }
        assert!(poll_immediate(&mut closing).await.is_none());

        // Its work is stored all the same.
        lent.commit().await?;
        closing.await;
        let stats = pool.stats();
        assert_eq!((stats.size, stats.idle, stats.waiting), (0, 0, 0));
        until(&pool, |_| proxy.connections() == 0).await?;
        pool.close().await;
        Ok(())
    })
    .await
}
