//! The server allows fewer connections than the pool.

use std::time::Duration;

use sqlx::Connection as _;
use tenancy_sqlx::TenantPoolOptions;
use tenancy_tests::{
    DelayProxy,
    notes::{Notes, on_every_server},
};
use tokio::task::JoinSet;

use crate::wait::until;

/// Allows the database so many connections more than it has.
async fn allow(notes: &Notes, more: i64) -> anyhow::Result<()> {
    let mut admin = notes.database.admin().await?;
    let others: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    .fetch_one(&mut admin)
    .await?;
    admin.close().await?;
    let name = notes.database.name();
    let limit = others + more;
    notes
        .as_admin(&format!("ALTER DATABASE {name} CONNECTION LIMIT {limit}"))
        .await
}

/// D30.
#[tokio::test]
async fn what_is_idle_is_used_while_a_full_server_opens_no_more() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let proxy = DelayProxy::for_options(&notes.app_options(), Duration::ZERO)?;
        let options = TenantPoolOptions::new().max_connections(10);
        let pool = notes.pool_through(&proxy, options).await?;
        // It has one connection or two.
        until(&pool, |stats| stats.idle == stats.size).await?;
        allow(notes, 3 - i64::try_from(pool.stats().size)?).await?;
        let accepted = proxy.accepted();

        let mut callers = JoinSet::new();
        for number in 0..40 {
            let tenant = [&notes.acme, &notes.globex][number % 2];
            let db = pool.tenant(&notes.context(tenant))?;
            callers.spawn(async move {
                let count = "SELECT count(*) FROM notes, pg_sleep(0.02)";
                sqlx::query_scalar::<_, i64>(count).fetch_one(&db).await
            });
        }
        let mut seen = Vec::new();
        while let Some(count) = callers.join_next().await {
            seen.push(count??);
        }
        assert_eq!(seen.iter().filter(|count| **count == 3).count(), 20);
        assert_eq!(seen.iter().filter(|count| **count == 5).count(), 20);

        assert!(proxy.accepted() > accepted + 2, "the server refused nobody");
        until(&pool, |stats| stats.idle == stats.size).await?;
        assert!(pool.stats().idle <= 3, "{:?}", pool.stats());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_full_server_is_not_taken_for_an_outage() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let options = TenantPoolOptions::new()
            .max_connections(4)
            .acquire_timeout(Duration::from_secs(1));
        let pool = notes.pool(options).await?;
        let context = notes.context(&notes.acme);
        until(&pool, |stats| stats.idle == stats.size).await?;
        let mut lent = Vec::new();
        for _ in 0..pool.stats().size {
            lent.push(pool.begin(&context).await?);
        }
        allow(notes, 0).await?;
        for _ in 0..2 {
            let refused = pool.begin(&context).await.map(drop).unwrap_err();
            assert!(
                matches!(refused.driver_error(), Some(sqlx::Error::PoolTimedOut)),
                "{refused}"
            );
        }

        drop(lent);
        pool.begin(&context).await?.commit().await?;
        Ok(())
    })
    .await
}
