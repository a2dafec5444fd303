//! A physical standby that a service reads from.

use sqlx::ConnectOptions as _;

use crate::{Service, aged, ask, eventually};

#[tokio::test]
async fn a_standbys_service_hears_what_happens_at_the_primary() -> anyhow::Result<()> {
    let Some(notes) = aged("").await? else {
        return Ok(());
    };
    let standby = notes.database.server().standby().await?;
    let target = standby.admin_options().database(notes.database.name());
    let service = Service::over(target.clone()).await?;
    let (alice, bob) = (notes.alice, notes.bob);
    service.keeps_apart(target.clone(), (alice, bob)).await?;
    for (user, slug) in [(alice, "acme"), (bob, "globex")] {
        service.will_answer(user, slug, (200, "")).await?;
    }
    notes
        .tenancy
        .admin(tenancy_core::testing::service())
        .suspend(notes.acme.id)
        .await?;
    let suspended = (403, "tenant-suspended");
    service.will_answer(alice, "acme", suspended).await?;
    assert_eq!(service.answer(bob, "globex").await, (200, ""));

    // It takes over: from here on its transactions are other ones than the primary's.
    let mut admin = target.clone().connect().await?;
    let before: String = ask(&mut admin, "SELECT tenancy.feed_origin()").await?;
    assert!(ask::<bool>(&mut admin, "SELECT pg_promote()").await?);
    eventually(async || {
        let mut admin = target.clone().connect().await?;
        let now: String = ask(&mut admin, "SELECT tenancy.feed_origin()").await?;
        anyhow::ensure!(now != before, "still {now}");
        Ok(())
    })
    .await?;
    crate::run(&target, "UPDATE tenancy.tenants SET status = 'active'").await?;
    service.will_answer(alice, "acme", (200, "")).await
}
