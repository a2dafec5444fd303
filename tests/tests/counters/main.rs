//! Counters in PostgreSQL: what is used survives restarts, processes that are killed lose no more than what they have in
//! hand, several count together, and a row is counted with its insert.

mod leased;
mod others;
mod outages;
mod rows;
mod several;
mod surviving;

use std::time::Duration;

use tenancy_core::{
    TenantId, Timestamp,
    quota::{
        Algorithm, Calendar, Ceiling, Counters, CountersError, Granted, Holder, Operation, Overage,
        Period, Take, Taken, conformance,
    },
};
use tenancy_sqlx::{PgCounters, PgCountersBuilder, RegistryPool};
use tenancy_tests::notes::{Notes, PASSWORD, on_every_server, seal_key};

/// How long a test waits for what has to come.
const LONG: Duration = Duration::from_secs(120);

/// 2027-01-15T08:00:00Z.
const START: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

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

/// So many in the month of [`START`].
fn month(amount: u64) -> anyhow::Result<Algorithm> {
    let ceiling = Ceiling::new(amount, Overage::Denied)?;
    Ok(Algorithm::Period(
        ceiling,
        Calendar::utc().window(Period::Month, START),
    ))
}

/// So many kept, with reservations of a minute.
fn held(amount: u64) -> anyhow::Result<Algorithm> {
    let ceiling = Ceiling::new(amount, Overage::Denied)?;
    Ok(Algorithm::Held(ceiling, Duration::from_secs(60)))
}

fn a_tenant() -> Holder {
    Holder::tenant(TenantId::new())
}

/// Takes, and says whether it was granted.
async fn take(
    counters: &dyn Counters,
    operation: Operation,
    one: Take<'_>,
) -> Result<Option<Granted>, CountersError> {
    let taken = counters.take(operation, &[one], START).answer().await?;
    Ok(match taken {
        Taken::Granted(granted) => Some(granted),
        Taken::Denied(_) => None,
    })
}

async fn passes(counters: &dyn Counters, one: Take<'_>) -> Result<bool, CountersError> {
    Ok(take(counters, Operation::once(), one).await?.is_some())
}

async fn used(counters: &dyn Counters, one: Take<'_>) -> Result<u64, CountersError> {
    let standings = counters.standings(&[one], START).answer().await?;
    Ok(standings.iter().next().map_or(0, |one| one.used))
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
async fn postgres_conforms_while_leases_are_returned() -> anyhow::Result<()> {
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
