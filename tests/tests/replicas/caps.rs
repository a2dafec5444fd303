//! A tenant that holds as many connections as it may.

use anyhow::ensure;
use sqlx::{Executor as _, Row as _};
use tenancy_sqlx::TenantPoolOptions;
use tenancy_tests::Version;

use crate::{World, eventually, is_on_replica, stats};

#[tokio::test]
async fn a_tenant_at_its_cap_keeps_no_other_from_the_standby() -> anyhow::Result<()> {
    let Some(world) = World::start(Version::Default).await? else {
        return Ok(());
    };
    let options = TenantPoolOptions::new()
        .max_connections(4)
        .max_connections_per_tenant(2);
    let (acme, globex) = world.used_pool(options).await?;
    eventually(async || {
        let stats = stats(acme.pool())?;
        ensure!(stats.idle == stats.size, "{stats:?}");
        Ok(())
    })
    .await?;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut tx = acme.pool().read(acme.context()).await?;
        let there = tx.fetch_one("SELECT pg_is_in_recovery()").await?;
        ensure!(there.get::<bool, _>(0), "it is held at the primary");
        held.push(tx);
    }
    for _ in 0..3 {
        ensure!(!is_on_replica(&acme).await?, "more than its cap");
        ensure!(is_on_replica(&globex).await?, "{:?}", stats(acme.pool())?);
    }
    drop(held);
    Ok(())
}
