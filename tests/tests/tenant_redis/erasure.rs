//! A tenant is erased with a proof, and what crosses tenants is recorded.

use tenancy_core::{Outcome, UserId};
use tenancy_redis::{
    OperatorRedis,
    danger::{self, DangerError},
};

use super::{LONG, World};

#[tokio::test]
async fn a_purge_removes_all_of_a_tenant_and_proves_it() -> anyhow::Result<()> {
    let world = World::new().await?;
    let (acme, globex) = (world.acme(), world.globex());
    globex.set("name", "Globex").await?;
    acme.set("flushed", "x").await?;
    acme.flush().await?;
    for number in 0..1_500 {
        acme.set(number.to_string(), "x").await?;
    }
    acme.hash("hash").set("a", "b").await?;
    acme.list("list").push_back(&["a"]).await?;
    acme.stream("stream").append(&[("a", "b")], 10).await?;
    let _held = acme.try_lock("lock", LONG).await?;
    let operators = OperatorRedis::new(&world.client);
    let (operator, tenant) = (UserId::new(), world.acme.tenant_id());
    let report = danger::purge(&world.engine, &operators, operator, tenant, "request 17").await?;
    assert!(report.is_complete());
    let removed: Vec<_> = report
        .removed
        .iter()
        .map(|(kind, n)| (&**kind, *n))
        .collect();
    // The epoch is a string too, and the lock a hash.
    assert_eq!(
        removed,
        [("hash", 2), ("list", 1), ("stream", 1), ("string", 1_502)]
    );
    let json = serde_json::to_value(&report)?;
    assert_eq!(json["left"], 0);
    let left = world.dump().await?;
    assert_eq!(left.len(), 2);
    let own = format!("tn:{{{}}}:", world.globex.tenant_id());
    assert!(left.iter().all(|(name, ..)| name.starts_with(&own)));

    let entries = world.audit.entries();
    let told: Vec<_> = (entries.iter())
        .filter(|entry| entry.action == "danger.purge-redis")
        .collect();
    assert_eq!(told.len(), 2);
    for entry in &told {
        assert_eq!(entry.tenant, Some(tenant));
        assert_eq!(entry.reason.as_deref(), Some("request 17"));
        assert_eq!(entry.outcome, Outcome::Allowed);
    }
    let details = told[1].details.clone().expect("the report");
    assert_eq!(details["removed"]["string"], 1_502);
    Ok(())
}

#[tokio::test]
async fn nothing_crosses_tenants_without_a_reason_and_an_entry() -> anyhow::Result<()> {
    let world = World::new().await?;
    let operators = OperatorRedis::new(&world.client);
    world.acme().set("name", "x").await?;
    let (operator, tenant) = (UserId::new(), world.acme.tenant_id());
    let before = world.audit.entries().len();
    for reason in ["", " \n"] {
        let purged = danger::purge(&world.engine, &operators, operator, tenant, reason).await;
        assert!(matches!(purged, Err(DangerError::NoReason)));
        let raw = danger::raw(&world.engine, &world.client, operator, reason).await;
        assert!(matches!(raw, Err(DangerError::NoReason)));
    }
    assert_eq!(world.audit.entries().len(), before);
    assert_eq!(world.acme().get("name").await?, Some("x".into()));

    let raw = danger::raw(&world.engine, &world.client, operator, "a look").await?;
    raw.ask(&["PING"]).await?;
    let entries = world.audit.entries();
    let entry = entries.last().expect("an entry");
    assert_eq!(entry.action, "danger.raw-redis");
    assert_eq!(entry.reason.as_deref(), Some("a look"));
    Ok(())
}
