//! Work that a tenant may do so often.

use std::time::Duration;

use tenancy_core::quota::Rate;
use tenancy_redis::{RedisErrorKind, TenantRedis};

use super::{World, patient};

#[tokio::test]
async fn a_rate_is_one_tenants_and_all_processes_share_it() -> anyhow::Result<()> {
    let world = World::new().await?;
    let hour = Duration::from_secs(3_600);
    let three = Rate::new(3, hour, 3)?;
    let (acme, globex) = (world.acme(), world.globex());
    // As in a process of its own.
    let other = TenantRedis::new(&patient(&world.server.url()).build()?, &world.engine);
    let other = other.tenant(&world.acme)?;
    for data in [&acme, &other, &acme] {
        assert_eq!(data.throttle("mails", three).await?, None);
    }
    for data in [&acme, &other] {
        let wait = data.throttle("mails", three).await?;
        assert!(
            wait.is_some_and(|wait| !wait.is_zero() && wait <= hour / 3),
            "{wait:?}"
        );
    }
    // Neither another name, nor another tenant, nor a flush has to do with it.
    assert_eq!(globex.throttle("mails", three).await?, None);
    for name in ["", "mails ", "mails:}*\n\0"] {
        assert_eq!(acme.throttle(name, three).await?, None);
    }
    acme.flush().await?;
    assert!(acme.throttle("mails", three).await?.is_some());
    // All of it is the tenants' own, and ends.
    let own =
        [&world.acme, &world.globex].map(|context| format!("tn:{{{}}}:", context.tenant_id()));
    let counted = world.dump().await?;
    let counted = counted.iter().filter(|(name, ..)| name.contains(":q:"));
    let mut count = 0;
    for (name, _, ends) in counted {
        assert!(
            *ends && own.iter().any(|own| name.starts_with(own)),
            "{name}"
        );
        count += 1;
    }
    assert_eq!(count, 5);
    Ok(())
}

#[tokio::test]
async fn without_a_redis_nobody_is_told_to_go_on() -> anyhow::Result<()> {
    let world = World::new().await?;
    let rate = Rate::new(3, Duration::from_secs(60), 3)?;
    let prompt = tenancy_redis::RedisClient::new(&world.server.url())?;
    let acme = TenantRedis::new(&prompt, &world.engine).tenant(&world.acme)?;
    world.server.stop();
    let error = acme.throttle("mails", rate).await.unwrap_err();
    assert_eq!(error.kind(), RedisErrorKind::Unavailable, "{error}");
    let error = acme.throttle("m".repeat(4_097), rate).await.unwrap_err();
    assert_eq!(error.kind(), RedisErrorKind::Invalid, "{error}");
    Ok(())
}
