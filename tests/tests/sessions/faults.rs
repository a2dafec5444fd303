//! The database goes away, for a moment or for longer.

use std::time::{Duration, Instant};

use sqlx::Executor as _;
use tenancy_core::RefusalKind;
use tenancy_sqlx::{ErrorKind, TenantPool, TenantPoolOptions, TxOptions};
use tenancy_tests::{
    DelayProxy,
    notes::{Notes, at_rest, comes_back, on_every_server, sqlstate},
};

const PATIENCE: Duration = Duration::from_millis(400);

/// A pool of four behind a proxy, all of whose connections are open and idle.
async fn four_idle(notes: &Notes) -> anyhow::Result<(DelayProxy, TenantPool)> {
    let proxy = DelayProxy::for_options(&notes.app_options(), Duration::ZERO)?;
    let options = TenantPoolOptions::new()
        .max_connections(4)
        .max_connections_per_tenant(4)
        .acquire_timeout(PATIENCE);
    let pool = notes.pool_through(&proxy, options).await?;
    open_all(notes, &pool).await?;
    at_rest(&pool, 4).await?;
    Ok((proxy, pool))
}

/// Four transactions at a time, each seeing its own rows.
async fn open_all(notes: &Notes, pool: &TenantPool) -> anyhow::Result<()> {
    let context = notes.context(&notes.acme);
    let mut open = Vec::new();
    for _ in 0..4 {
        let mut tx = pool.begin(&context).await?;
        assert_eq!(tx.fetch_all("SELECT FROM notes").await?.len(), 3);
        open.push(tx);
    }
    for tx in open {
        tx.commit().await?;
    }
    Ok(())
}

/// The same, whose connections are gone and whose server has none to spare.
async fn four_of_a_full_server(notes: &Notes) -> anyhow::Result<(DelayProxy, TenantPool)> {
    let (proxy, pool) = four_idle(notes).await?;
    admits(notes, 0).await?;
    proxy.cut();
    fails(notes, &pool, ErrorKind::Busy).await?;
    Ok((proxy, pool))
}

/// Limits the connections of logins that are no superusers; -1 for no limit.
async fn admits(notes: &Notes, most: i32) -> anyhow::Result<()> {
    let name = notes.database.name();
    let limit = format!("ALTER DATABASE {name} CONNECTION LIMIT {most}");
    notes.as_admin(&limit).await
}

/// Beginning says that the database is out of reach, in time.
async fn is_unavailable(notes: &Notes, pool: &TenantPool) -> anyhow::Result<()> {
    fails(notes, pool, ErrorKind::Unavailable).await
}

async fn fails(notes: &Notes, pool: &TenantPool, kind: ErrorKind) -> anyhow::Result<()> {
    let began = Instant::now();
    let Err(error) = pool.begin(&notes.context(&notes.acme)).await else {
        anyhow::bail!("it began");
    };
    assert_eq!(error.kind(), kind, "{error}");
    assert_eq!(error.refusal().kind(), RefusalKind::Unavailable);
    assert!(began.elapsed() < PATIENCE + Duration::from_secs(20));
    Ok(())
}

#[tokio::test]
async fn killed_connections_are_replaced_without_an_error() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let (_proxy, pool) = four_idle(notes).await?;
        let killed: i64 = sqlx::query_scalar(
            "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid, 5000)) FROM pg_stat_activity
             WHERE datname = current_database() AND usename = 'tenancy_app'",
        )
        .fetch_one(&mut notes.database.admin().await?)
        .await?;
        assert!(killed >= 4);

        open_all(notes, &pool).await
    })
    .await
}

#[tokio::test]
async fn cut_connections_are_replaced_without_an_error() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let (proxy, pool) = four_idle(notes).await?;
        proxy.cut();
        assert_eq!(proxy.connections(), 0);

        open_all(notes, &pool).await
    })
    .await
}

#[tokio::test]
async fn a_server_that_refuses_is_unavailable_and_comes_back() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let (proxy, pool) = four_idle(notes).await?;
        proxy.refuse(true);
        proxy.cut();
        is_unavailable(notes, &pool).await?;
        assert!(pool.ready().await.is_err());

        proxy.refuse(false);
        comes_back(async || pool.ready().await).await?;
        open_all(notes, &pool).await
    })
    .await
}

/// What is known of a full server ends with the next answer.
#[tokio::test]
async fn a_server_that_was_full_and_then_refuses_is_unavailable() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let (proxy, pool) = four_of_a_full_server(notes).await?;
        proxy.refuse(true);
        fails(notes, &pool, ErrorKind::Unavailable).await?;
        admits(notes, -1).await
    })
    .await
}

#[tokio::test]
async fn a_network_that_swallows_packets_is_unavailable_and_comes_back() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let (proxy, pool) = four_idle(notes).await?;
        proxy.pause();
        is_unavailable(notes, &pool).await?;

        proxy.resume();
        comes_back(async || pool.ready().await).await?;
        open_all(notes, &pool).await
    })
    .await
}

#[tokio::test]
async fn a_server_without_connections_to_spare_is_busy() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let (_proxy, pool) = four_of_a_full_server(notes).await?;
        admits(notes, -1).await?;
        comes_back(async || pool.ready().await).await?;
        open_all(notes, &pool).await
    })
    .await
}

#[tokio::test]
async fn a_connection_lost_inside_a_transaction_is_unavailable() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let (proxy, pool) = four_idle(notes).await?;
        let mut tx = pool.begin(&notes.context(&notes.acme)).await?;
        tx.execute("DELETE FROM notes").await?;
        proxy.cut();

        let lost = tx.commit().await.unwrap_err();
        assert_eq!(lost.kind(), ErrorKind::Unavailable, "{lost}");
        assert_eq!(notes.count("notes", &notes.acme).await?, 3);
        open_all(notes, &pool).await
    })
    .await
}

#[tokio::test]
async fn a_pool_whose_connections_are_all_lent_is_busy() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let options = TenantPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(PATIENCE);
        let pool = notes.pool(options).await?;
        let lent = pool.begin(&notes.context(&notes.globex)).await?;
        fails(notes, &pool, ErrorKind::Busy).await?;

        drop(lent);
        pool.begin(&notes.context(&notes.acme))
            .await?
            .commit()
            .await?;
        Ok(())
    })
    .await
}

/// The server has executed BEGIN when a later statement of the batch fails.
#[tokio::test]
async fn a_begin_that_fails_half_way_leaves_a_usable_connection() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let (proxy, pool) = four_idle(notes).await?;
        notes
            .as_admin("ALTER FUNCTION tenancy.require_generation RENAME TO gone")
            .await?;
        let accepted = proxy.accepted();
        for _ in 0..8 {
            let strict = TxOptions::new().strict(true);
            let failed = pool.begin_with(&notes.context(&notes.acme), strict).await;
            assert_eq!(sqlstate(failed.map(drop)), "42883");
        }
        open_all(notes, &pool).await?;
        assert_eq!(proxy.accepted(), accepted);
        Ok(())
    })
    .await
}
