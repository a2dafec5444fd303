//! Waiting for what a pool says of itself.

use std::time::{Duration, Instant};

use tenancy_sqlx::{PoolStats, TenantPool};

/// Waits until a pool is in a state.
pub(crate) async fn until(
    pool: &TenantPool,
    is_so: impl Fn(&PoolStats) -> bool,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !is_so(&pool.stats()) {
        anyhow::ensure!(Instant::now() < deadline, "{:?}", pool.stats());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

/// Waits until so many callers wait.
pub(crate) async fn until_waiting(pool: &TenantPool, callers: usize) -> anyhow::Result<()> {
    until(pool, |stats| stats.waiting == callers).await
}
