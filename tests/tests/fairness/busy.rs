//! What a caller is told who waited in vain.

use std::time::Duration;

use tenancy_sqlx::{Error, ErrorKind, TenantPool, TenantPoolOptions};
use tenancy_tests::notes::{Notes, on_every_server};

use crate::wait::until_waiting;

async fn impatient_pool(notes: &Notes) -> anyhow::Result<TenantPool> {
    let options = TenantPoolOptions::new()
        .max_connections(2)
        .max_connections_per_tenant(1);
    let options = options.acquire_timeout(Duration::from_secs(2));
    notes.pool(options).await
}

fn seconds(error: &Error) -> Option<u64> {
    error.refusal().problem().retry_after_seconds()
}

#[tokio::test]
async fn who_waits_in_vain_for_its_own_tenant_is_told_for_how_long_another_would()
-> anyhow::Result<()> {
    on_every_server(async |notes| {
        let pool = impatient_pool(notes).await?;
        let acme = notes.context(&notes.acme);
        let _lent = pool.begin(&acme).await?;

        // Of this tenant, nothing has come back for ten seconds, as far as the pool can tell.
        let refused = pool.begin(&acme).await.map(drop).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Busy, "{refused}");
        assert_eq!(refused.refusal().reason(), "pool-busy");
        assert_eq!(seconds(&refused), Some(10));

        // With others ahead, it is a multiple, up to half a minute.
        let crowd: Vec<_> = (0..10)
            .map(|_| {
                let (pool, acme) = (pool.clone(), acme.clone());
                tokio::spawn(async move { pool.begin(&acme).await.map(drop) })
            })
            .collect();
        until_waiting(&pool, 10).await?;
        let mut told = Vec::new();
        for caller in crowd {
            told.extend(seconds(&caller.await?.unwrap_err()));
        }
        told.sort_unstable();
        assert_eq!(told.len(), 10);
        assert_eq!((told[0], told[9]), (10, 30), "{told:?}");

        let stats = pool.stats();
        assert_eq!(stats.timed_out, 11, "{stats:?}");
        assert!(stats.acquired >= 1, "{stats:?}");
        Ok(())
    })
    .await
}

/// As `&TenantDb`, whose errors are the driver's.
#[tokio::test]
async fn what_is_told_passes_through_the_drivers_error() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let pool = impatient_pool(notes).await?;
        let acme = notes.context(&notes.acme);
        let _lent = pool.begin(&acme).await?;
        let db = pool.tenant(&acme)?;
        let count = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM notes");
        let refused = Error::from(count.fetch_one(&db).await.unwrap_err());
        assert_eq!(refused.kind(), ErrorKind::Busy, "{refused}");
        assert_eq!(seconds(&refused), Some(10));
        let driver_error = refused.driver_error();
        assert!(matches!(driver_error, Some(sqlx::Error::PoolTimedOut)));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_longest_wait_is_that_of_who_came_first() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let pool = notes
            .pool(TenantPoolOptions::new().max_connections(1))
            .await?;
        let acme = notes.context(&notes.acme);
        let lent = pool.begin(&acme).await?;
        assert_eq!(pool.stats().longest_wait, Duration::ZERO);
        let waiting = {
            let (pool, acme) = (pool.clone(), acme.clone());
            tokio::spawn(async move { pool.begin(&acme).await?.commit().await })
        };
        until_waiting(&pool, 1).await?;
        let stats = pool.stats();
        assert!(stats.longest_wait > Duration::ZERO, "{stats:?}");
        assert_eq!(stats.busiest[0].longest_wait, stats.longest_wait);
        assert!(pool.stats().longest_wait > stats.longest_wait);

        lent.commit().await?;
        waiting.await??;
        assert_eq!(pool.stats().longest_wait, Duration::ZERO);
        Ok(())
    })
    .await
}
