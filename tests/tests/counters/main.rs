//! Counters in PostgreSQL: what is used survives restarts, processes that are killed lose no more than what they have in
//! hand, several count together, and a row is counted with its insert.

use std::time::Duration;

use tenancy_core::quota::{CountersError, conformance};
use tenancy_sqlx::{PgCounters, PgCountersBuilder, RegistryPool};
use tenancy_tests::notes::{Notes, PASSWORD, on_every_server, seal_key};

/// How long a test waits for what has to come.
const LONG: Duration = Duration::from_secs(30);

/// The registry login.
async fn registry(notes: &Notes) -> anyhow::Result<RegistryPool> {
    let options = notes
        .database
        .options_as("tenancy_registry", Some(PASSWORD));
    Ok(match notes.seal {
        Some(_) => RegistryPool::connect_sealed(options, &seal_key()?).await?,
        None => RegistryPool::connect_with(options).await?,
    })
}

/// Counters that wait long for a slow machine.
async fn counting(notes: &Notes) -> anyhow::Result<PgCountersBuilder> {
    Ok(PgCounters::builder(&registry(notes).await?).answer_within(LONG))
}

#[tokio::test]
async fn postgres_conforms() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let counters = counting(notes).await?.build();
        conformance::counters(&counters).await;
        for seed in 1..=4 {
            conformance::histories(&counters, seed, 500).await;
        }
        counters.close().await;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_conforms_on_several_threads() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let counters = counting(notes)
            .await?
            .return_after(Duration::from_millis(5))
            .build();
        conformance::counters(&counters).await;
        conformance::histories(&counters, 5, 500).await;
        counters.close().await;
        let closed = counters.clean().await;
        assert!(matches!(closed, Err(CountersError::Unavailable(_))));
        Ok(())
    })
    .await
}
