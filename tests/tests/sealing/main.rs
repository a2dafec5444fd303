//! Sealed sessions: whatever SQL runs in a tenant's session, it is that tenant's until the service says
//! otherwise with its key. Both ways, on every server; each test knows that the other tenant's rows exist.

mod adversary;
mod forged;
mod injection;
mod keys;
mod parallel;
mod replays;
mod residue;
mod standby;
mod start;
mod talk;
mod tampering;
mod ways_across;

use tenancy_sqlx::schema::SealWay;
use tenancy_tests::notes::{Notes, on_every_server_sealed};

/// Runs a test in both ways.
async fn in_both_ways(test: impl AsyncFn(&Notes) -> anyhow::Result<()>) -> anyhow::Result<()> {
    for way in [SealWay::Parameter, SealWay::Row] {
        on_every_server_sealed(Some(way), &test).await?;
    }
    Ok(())
}
