//! Row security on a standby.

use std::time::Duration;

use sqlx::{ConnectOptions as _, Executor as _};
use tenancy_sqlx::TenantPoolOptions;
use tenancy_tests::{DelayProxy, notes::sqlstate};

use crate::{on_every_version, reads_replica, seen};

#[tokio::test]
async fn each_tenant_sees_its_own_rows_on_the_standby() -> anyhow::Result<()> {
    on_every_version(async |world| {
        let admin = world.standby.admin_options();
        let mut admin = admin
            .database(world.notes.database.name())
            .connect()
            .await?;
        let there: i64 = sqlx::query_scalar("SELECT count(*) FROM notes WHERE tenant_id = $1")
            .bind(world.notes.globex.id.as_uuid())
            .fetch_one(&mut admin)
            .await?;
        assert_eq!(there, 5, "the other tenant's rows are on the standby");

        let options = TenantPoolOptions::new().max_connections(1);
        let (acme, globex) = world.used_pool(options).await?;
        for _ in 0..10 {
            assert_eq!(seen(&acme).await?, (3, true));
            assert_eq!(seen(&globex).await?, (5, true));
            let others = sqlx::query("SELECT FROM notes WHERE tenant_id = $1")
                .bind(world.notes.globex.id.as_uuid());
            assert_eq!(others.fetch_all(&acme.reader()).await?.len(), 0);
        }

        // Nothing of a session is left for the next.
        let mut read = acme.read().await?;
        assert_eq!(read.fetch_all("SELECT FROM notes").await?.len(), 3);
        read.execute(
            "SELECT set_config('tenancy.tenant_id', tenancy_id, false) FROM \
             (SELECT current_setting('tenancy.tenant_id') AS tenancy_id) AS own",
        )
        .await?;
        read.execute("COMMIT").await?;
        drop(read);
        assert_eq!(seen(&globex).await?, (5, true));
        let mut tenantless = world.replica().connect().await?;
        assert_eq!(tenantless.fetch_all("SELECT FROM notes").await?.len(), 0);

        // A read stays a read.
        let write = sqlx::query("DELETE FROM notes")
            .execute(&acme.reader())
            .await;
        assert_eq!(sqlstate(write), "25006");
        assert_eq!(world.notes.count("notes", &world.notes.acme).await?, 3);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_read_that_is_cancelled_on_the_standby_leaves_nothing_to_the_next() -> anyhow::Result<()>
{
    on_every_version(async |world| {
        let proxy = DelayProxy::for_options(&world.replica(), Duration::from_micros(300))?;
        let options = TenantPoolOptions::new()
            .max_connections(1)
            .replica_with(proxy.reroute(world.replica()));
        let pool = world.notes.pool(options).await?;
        let acme = world.db(&pool, &world.notes.acme)?;
        let globex = world.db(&pool, &world.notes.globex)?;
        reads_replica(&acme).await?;
        let mut cancelled = 0;
        for hundreds in 0..40 {
            let limit = Duration::from_micros(100 * hundreds);
            let is_late = tokio::time::timeout(limit, seen(&acme)).await.is_err();
            cancelled += i32::from(is_late);
            assert_eq!(seen(&globex).await?.0, 5);
            assert_eq!(seen(&acme).await?.0, 3);
        }
        assert!(cancelled > 0, "none was cancelled");
        reads_replica(&globex).await
    })
    .await
}
