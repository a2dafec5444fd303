//! Callers who give up waiting.

use std::time::Duration;

use futures_util::future::poll_immediate;
use sqlx::Executor as _;
use tenancy_sqlx::TenantPoolOptions;
use tenancy_tests::{
    DelayProxy,
    notes::{at_rest, on_every_server},
};
use tokio::{task::JoinSet, time::timeout};

use crate::wait::until;

#[tokio::test]
async fn who_gives_up_leaves_nothing_behind() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let pool = notes
            .pool(TenantPoolOptions::new().max_connections(1))
            .await?;
        let tenants = [&notes.acme, &notes.globex].map(|tenant| notes.context(tenant));
        let lent = pool.begin(&tenants[0]).await?;
        let mut waiting = Vec::new();
        for number in 0..50 {
            let mut call = Box::pin(pool.begin(&tenants[number % 2]));
            assert!(poll_immediate(&mut call).await.is_none());
            waiting.push(call);
        }
        assert_eq!(pool.stats().waiting, 50);
        drop(waiting);
        assert_eq!(pool.stats().waiting, 0);

        // One has just been served, and does not look any more.
        let mut call = Box::pin(pool.begin(&tenants[1]));
        assert!(poll_immediate(&mut call).await.is_none());
        lent.commit().await?;
        until(&pool, |stats| stats.waiting == 0).await?;
        drop(call);
        at_rest(&pool, 1).await?;
        assert_eq!(pool.stats().busiest, []);
        pool.begin(&tenants[1]).await?.commit().await?;
        Ok(())
    })
    .await
}

/// What was opened for somebody who has left is there for the next one.
#[tokio::test]
async fn a_connection_that_was_opened_for_a_leaver_is_used() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let proxy = DelayProxy::for_options(&notes.app_options(), Duration::from_millis(20))?;
        let options = TenantPoolOptions::new().max_connections(4);
        let pool = notes.pool_through(&proxy, options).await?;
        let context = notes.context(&notes.acme);
        until(&pool, |stats| stats.idle == stats.size).await?;
        let mut lent = Vec::new();
        for _ in 0..pool.stats().size {
            lent.push(pool.begin(&context).await?);
        }
        let accepted = proxy.accepted();
        let mut leaver = Box::pin(pool.begin(&context));
        assert!(poll_immediate(&mut leaver).await.is_none());
        drop(leaver);

        at_rest(&pool, 1).await?;
        let mut tx = pool.begin(&context).await?;
        assert_eq!(tx.fetch_all("SELECT FROM notes").await?.len(), 3);
        assert_eq!(proxy.accepted(), accepted + 1);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_impatient_callers_lose_no_connection() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let pool = notes
            .pool(TenantPoolOptions::new().max_connections(3))
            .await?;
        let mut callers = JoinSet::new();
        for number in 0..1_000_u64 {
            let tenant = [&notes.acme, &notes.globex][usize::from(number % 2 == 0)];
            let db = pool.tenant(&notes.context(tenant))?;
            let own = if number % 2 == 0 { 5 } else { 3 };
            callers.spawn(async move {
                let count = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM notes");
                let patience = Duration::from_micros(number * 97 % 20_000);
                match timeout(patience, count.fetch_one(&db)).await {
                    Ok(count) => Ok(count? == own),
                    Err(_) => Ok::<_, sqlx::Error>(true),
                }
            });
        }
        while let Some(ended) = callers.join_next().await {
            assert!(ended??, "another tenant's rows");
        }
        until(&pool, |stats| stats.size == stats.idle).await?;
        let stats = pool.stats();
        assert_eq!((stats.waiting, stats.busiest.len()), (0, 0), "{stats:?}");

        let mut lent = Vec::new();
        for tenant in [&notes.acme, &notes.globex, &notes.acme] {
            lent.push(pool.begin(&notes.context(tenant)).await?);
        }
        Ok(())
    })
    .await
}
