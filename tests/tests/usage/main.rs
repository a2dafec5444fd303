//! Usage in PostgreSQL: each event counts once, whoever sends it and however often, and no tenant's is another's.

mod billing;
mod correcting;
mod counting;
mod killed;
mod metering;
mod metrics;
mod partitions;
mod pending;
mod pruning;
mod recording;
mod report;

use std::sync::Arc;

use tenancy_core::{Clock, ManualClock, TenantId};
use tenancy_sqlx::{PgUsage, PgUsageBuilder, RegistryPool};
use tenancy_tests::notes::{Notes, PASSWORD, seal_key};
use tenancy_usage::{Decimal, RollupQuery, UsageSink, conformance};

/// Counts the meters of the conformance suite.
async fn counting(notes: &Notes, clock: Arc<dyn Clock>) -> anyhow::Result<PgUsageBuilder> {
    let options = notes
        .database
        .options_as("tenancy_registry", Some(PASSWORD));
    let registry = match notes.seal {
        Some(_) => RegistryPool::connect_sealed(options, &seal_key()?).await?,
        None => RegistryPool::connect_with(options).await?,
    };
    Ok(PgUsage::builder(&registry, conformance::meters()).clock(clock))
}

fn at_now() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(conformance::NOW))
}

/// Quantity and number of events of a meter in the month of the suite's clock.
async fn total(
    usage: &dyn UsageSink,
    tenant: TenantId,
    meter: &str,
) -> anyhow::Result<Option<(Decimal, u64)>> {
    let month = tenancy_usage::UsageCalendar::monthly().window(
        tenant,
        tenancy_usage::Resolution::Period,
        conformance::NOW,
    );
    let rollups = usage
        .rollups(&RollupQuery::total(tenant, meter, month))
        .await?;
    anyhow::ensure!(rollups.len() <= 1, "{rollups:?}");
    Ok(rollups.first().map(|one| (one.quantity, one.events)))
}
