//! A tenant that waits for its own connections.

use std::time::Duration;

use anyhow::ensure;
use tenancy_sqlx::TenantPoolOptions;
use tenancy_tests::{Framework, Server, Version};

use super::{ACME, GLOBEX, answer, problem};
use crate::{
    logs,
    scenario::{Shape, get},
    world::World,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_refused_because_the_pool_is_busy_is_told_when_to_come_again() -> anyhow::Result<()>
{
    let _playing = logs::playing().await;
    let server = Server::start(Version::Default).await?;
    for framework in Framework::ALL {
        let mut world = World::start(&server).await?;
        world.reset().await?;
        let options = TenantPoolOptions::new()
            .max_connections(2)
            .max_connections_per_tenant(1);
        let options = options.acquire_timeout(Duration::from_secs(1));
        let pool = world.notes.pool(options).await?;
        let holds_one = world.notes.context(&world.notes.acme);
        let service = world
            .serve_with(framework, Shape::Areas, pool.clone())
            .await?;

        let acme = get("/app/notes").at(ACME).by("alice");
        let held = pool.begin(&holds_one).await?;
        let refused = answer(&world, &service, &acme).await?;
        ensure!(refused.status == 503, "{framework:?}: {refused:?}");
        ensure!(problem(&refused) == "urn:tenancy:problem:unavailable");
        // Of this tenant's connections, none has come back yet.
        ensure!(
            refused.field("retry-after") == Some("10"),
            "{framework:?}: {refused:?}"
        );
        let other = answer(&world, &service, &get("/app/notes").at(GLOBEX).by("bob")).await?;
        ensure!(other.body == "5", "{framework:?}: {other:?}");

        held.commit().await?;
        let served = answer(&world, &service, &acme).await?;
        ensure!(served.body == "3", "{framework:?}: {served:?}");
        service.stop().await?;
        world.close().await?;
    }
    Ok(())
}
