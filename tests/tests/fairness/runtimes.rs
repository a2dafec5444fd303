//! Runtimes that end before the pool does.

use sqlx::Executor as _;
use tenancy_sqlx::{TenantPool, TenantPoolOptions};
use tenancy_tests::notes::{Notes, on_every_server};
use tokio::runtime::Builder;

use crate::wait::{until, until_waiting};

async fn serves(notes: &Notes, pool: &TenantPool) -> anyhow::Result<()> {
    let mut tx = pool.begin(&notes.context(&notes.acme)).await?;
    assert_eq!(tx.fetch_all("SELECT FROM notes").await?.len(), 3);
    Ok(tx.commit().await?)
}

/// Runs something in a runtime of its own, which has ended afterwards.
fn elsewhere<T: Send>(work: impl AsyncFnOnce() -> anyhow::Result<T> + Send) -> anyhow::Result<T> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let mut runtime = Builder::new_multi_thread();
            let runtime = runtime.worker_threads(1).enable_all().build()?;
            runtime.block_on(work())
        });
        match thread.join() {
            Ok(done) => done,
            Err(_) => anyhow::bail!("the runtime's thread panicked"),
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_outlives_the_runtime_that_made_it() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        // Whether a socket takes one more message depends on when the server answers.
        for _ in 0..20 {
            let options = TenantPoolOptions::new().max_connections(2);
            let pool = elsewhere(async || notes.pool(options).await)?;
            for _ in 0..3 {
                serves(notes, &pool).await?;
            }
            // Also with more connections than that runtime had opened.
            let (acme, globex) = (notes.context(&notes.acme), notes.context(&notes.globex));
            let (one, other) = tokio::join!(pool.begin(&acme), pool.begin(&globex));
            one?.commit().await?;
            other?.commit().await?;
            pool.close().await;
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_ends_breaks_no_connection_that_others_use() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let pool = notes
            .pool(TenantPoolOptions::new().max_connections(1))
            .await?;
        for _ in 0..3 {
            elsewhere(async || serves(notes, &pool).await)?;
            serves(notes, &pool).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_worker_held_or_waited_for_comes_back_when_it_ends() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let pool = notes
            .pool(TenantPoolOptions::new().max_connections(1))
            .await?;
        let context = notes.context(&notes.acme);
        elsewhere(async || {
            let (first, second) = (pool.clone(), pool.clone());
            let (held, waits) = (context.clone(), context.clone());
            tokio::spawn(async move {
                let _held = first.begin(&held).await;
                std::future::pending::<()>().await;
            });
            until(&pool, |stats| stats.in_use == 1 && stats.busiest.len() == 1).await?;
            tokio::spawn(async move {
                let _held = second.begin(&waits).await;
                std::future::pending::<()>().await;
            });
            until_waiting(&pool, 1).await
        })?;
        serves(notes, &pool).await?;
        until(&pool, |stats| stats.in_use == 0 && stats.waiting == 0).await
    })
    .await
}
