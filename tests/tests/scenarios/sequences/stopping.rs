//! A service that stops: what its last requests have queued is stored, over either framework.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use futures_util::future::try_join_all;
use tenancy_core::{AuditFilter, Outcome, alert::AlertRules, testing};
use tenancy_sqlx::{PgAuditSink, PgOutbox, TenantPoolOptions};
use tenancy_tests::{
    DelayProxy, Framework, Server, Version,
    notes::{self, PASSWORD},
};

use super::{ACME, GLOBEX, answer};
use crate::{
    actix_service, axum_service,
    engines::Engines,
    logs,
    scenario::{Shape, get},
    world::World,
};

/// How many refusals of one caller for one reason are recorded at once.
const SAMPLED: usize = 16;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_last_requests_have_left_is_stored_when_the_service_has_stopped()
-> anyhow::Result<()> {
    let _playing = logs::playing().await;
    let server = Server::start(Version::Default).await?;
    for framework in Framework::ALL {
        let mut world = World::start(&server).await?;
        world.reset().await?;
        // So slow that entries are queued when the service has answered.
        let audit = (world.notes.database).options_as("tenancy_audit", Some(PASSWORD));
        let proxy = DelayProxy::for_options(&audit, Duration::from_millis(200))?;
        let sink = PgAuditSink::connect_with(proxy.reroute(audit)).await?;
        let rules = AlertRules::new().cross_tenant(2, Duration::from_secs(60));
        let tenancy = notes::builder(world.notes.directory.clone())?
            .shared_audit(Arc::new(sink))
            .alerts(rules, PgOutbox::new(&world.notes.system))
            .clock(world.clock.clone())
            .build()?;
        let pool = TenantPoolOptions::new().max_connections(4);
        let pool = world.notes.with_key(pool)?;
        let pool = pool
            .connect_with(world.notes.app_options(), &tenancy)
            .await?;
        let engines = Engines {
            tenancy: tenancy.clone(),
            other: world.engines.other.clone(),
        };
        let service = match framework {
            Framework::Axum => axum_service::serve(Shape::Areas, &engines, pool).await?,
            Framework::Actix => actix_service::serve(Shape::Areas, &engines, pool).await?,
        };
        let stranger = get("/app/notes").at(ACME).by("mallory");
        let asked = (0..SAMPLED + 4).map(|_| answer(&world, &service, &stranger));
        for refused in try_join_all(asked).await? {
            ensure!(refused.status == 404, "{framework:?}: {refused:?}");
        }
        let elsewhere = get("/app/notes").at(GLOBEX).by("mallory");
        let refused = answer(&world, &service, &elsewhere).await?;
        ensure!(refused.status == 404, "{framework:?}: {refused:?}");

        service.stop().await?;
        let report = tenancy.shutdown(Duration::from_secs(30)).await;
        ensure!(report.is_complete(), "{framework:?}: {report:?}");

        let admin = tenancy.admin(testing::service());
        let refusals = AuditFilter::new()
            .action("request.admit")
            .outcome(Outcome::Refused);
        let stored = admin.list_entries(None, &refusals, None, 100).await?;
        ensure!(
            stored.len() == SAMPLED,
            "{framework:?}: {} of {SAMPLED} entries are stored",
            stored.len()
        );
        let alerts: Vec<String> =
            sqlx::query_scalar("SELECT kind FROM tenancy.outbox_events WHERE kind LIKE 'alert.%'")
                .fetch_all(&mut world.notes.database.admin().await?)
                .await
                .context("the events")?;
        ensure!(
            alerts == ["alert.cross-tenant"],
            "{framework:?}: {alerts:?}"
        );
        world.close().await?;
    }
    Ok(())
}
