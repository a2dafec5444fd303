//! What is opened while the service runs.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use tenancy_core::{ManualClock, RefusalKind};
use tenancy_sqlx::{ErrorKind, TenantPoolOptions};
use tenancy_tests::{Server, notes::Notes};

use crate::as_owner;

const MINUTE: Duration = Duration::from_secs(60);

/// D16: readiness fails with its name within a minute, and not by looking at each call.
#[tokio::test]
async fn a_partition_that_maintenance_opens_later_makes_the_service_unready() -> anyhow::Result<()>
{
    for server in Server::all().await? {
        let clock = Arc::new(ManualClock::now_frozen());
        let notes = Notes::start_with(&server, clock.clone(), |builder| builder).await?;
        let make = "CREATE TABLE events (tenant_id uuid, at date) PARTITION BY RANGE (at);
            SELECT tenancy.protect('events')";
        as_owner(&notes, make).await?;
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        let axum = tenancy_axum::ready(&notes.tenancy).pool(&pool);
        axum.check().await.ok().context("not ready at first")?;

        notes
            .as_admin(
                "CREATE TABLE events_2 PARTITION OF events
                     FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
                 GRANT SELECT ON events_2 TO tenancy_app",
            )
            .await?;
        pool.ready().await?;
        clock.advance(MINUTE);
        let error = pool.ready().await.err().context("ready all the same")?;
        assert_eq!(error.kind(), ErrorKind::Unguarded);
        let mend = "SELECT tenancy.protect('public.events_2', 'tenant_id')";
        for part in ["public.events_2: ", "unguarded-child", mend] {
            assert!(error.to_string().contains(part), "no {part} in {error}");
        }
        assert_eq!(error.refusal().kind(), RefusalKind::Unavailable);
        assert!(axum.check().await.is_err());
        let found = pool.findings().await?;
        assert_eq!(found[0].subject(), "public.events_2");

        notes.as_admin(mend).await?;
        assert!(pool.findings().await?.is_empty());
        clock.advance(MINUTE);
        pool.ready().await?;
        pool.close().await;
        notes.database.close().await?;
    }
    Ok(())
}
