//! Counters in Redis: exact over many processes, whatever is lost on the way, and with an expiry for each key.

mod conforming;
mod hostile;
mod keyspace;
mod lossy;
mod lost;
mod numbers;
mod several;

use std::time::Duration;

use tenancy_core::{
    TenantId, Timestamp,
    quota::{
        Algorithm, Calendar, Ceiling, Concurrency, Counters, CountersError, Granted, Holder,
        Operation, Overage, Period, Rate, Take, Taken,
    },
};
use tenancy_redis::{RedisCounters, RedisCountersBuilder};
use tenancy_tests::patient_client as patient;

/// How long a test waits for what has to come.
const LONG: Duration = Duration::from_secs(60);

/// 2027-01-15T08:00:00Z.
const START: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

/// Counters by the clock of this test, which waits long.
fn counting(url: &str) -> anyhow::Result<RedisCountersBuilder> {
    Ok(RedisCounters::builder(&patient(url).build()?).clock_of_callers())
}

/// So many in a minute, and all of them at once.
fn rate(amount: u64) -> anyhow::Result<Algorithm> {
    Ok(Algorithm::Rate(Rate::new(
        amount,
        Duration::from_secs(60),
        amount,
    )?))
}

/// So many in the month of [`START`].
fn month(amount: u64) -> anyhow::Result<Algorithm> {
    let ceiling = Ceiling::new(amount, Overage::Denied)?;
    let window = Calendar::utc().window(Period::Month, START);
    Ok(Algorithm::Period(ceiling, window))
}

/// So many at once, for leases of a minute.
fn at_once(amount: u64) -> anyhow::Result<Algorithm> {
    let minute = Duration::from_secs(60);
    Ok(Algorithm::Concurrent(Concurrency::new(amount, minute)?))
}

/// So many kept, with reservations of a minute.
fn held(amount: u64) -> anyhow::Result<Algorithm> {
    let ceiling = Ceiling::new(amount, Overage::Denied)?;
    Ok(Algorithm::Held(ceiling, Duration::from_secs(60)))
}

/// One of each kind, by its name.
fn each_kind(amount: u64) -> anyhow::Result<[(&'static str, Algorithm); 4]> {
    Ok([
        ("rate", rate(amount)?),
        ("month", month(amount)?),
        ("at-once", at_once(amount)?),
        ("held", held(amount)?),
    ])
}

fn a_tenant() -> Holder {
    Holder::tenant(TenantId::new())
}

/// Takes, and says whether it was granted.
async fn take(
    counters: &dyn Counters,
    operation: Operation,
    takes: &[Take<'_>],
) -> Result<Option<Granted>, CountersError> {
    let taken = counters.take(operation, takes, START).answer().await?;
    Ok(match taken {
        Taken::Granted(granted) => Some(granted),
        Taken::Denied(_) => None,
    })
}

async fn passes(counters: &dyn Counters, one: Take<'_>) -> Result<bool, CountersError> {
    let taken = take(counters, Operation::once(), &[one]).await?;
    Ok(taken.is_some())
}

async fn used(counters: &dyn Counters, one: Take<'_>) -> Result<u64, CountersError> {
    let standings = counters.standings(&[one], START).answer().await?;
    Ok(standings.iter().next().map_or(0, |one| one.used))
}
