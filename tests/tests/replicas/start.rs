//! What is refused at start, and what is not.

use tenancy_sqlx::{StartErrorKind, TenantPool, TenantPoolOptions};
use tenancy_tests::{DelayProxy, notes::Notes};

use crate::{World, on_every_version, reads_replica, seen, stats};

async fn refused(
    world: &World,
    options: TenantPoolOptions,
) -> anyhow::Result<(StartErrorKind, String)> {
    let app = world.notes.app_options();
    let options = world.notes.with_key(options)?;
    match options.connect_with(app, &world.notes.tenancy).await {
        Ok(_) => anyhow::bail!("it was not refused"),
        Err(error) => Ok((error.kind(), error.to_string())),
    }
}

#[tokio::test]
async fn a_server_that_can_not_be_right_is_refused() -> anyhow::Result<()> {
    on_every_version(async |world| {
        let (kind, _) = refused(world, TenantPoolOptions::new().replica("not a url")).await?;
        assert_eq!(kind, StartErrorKind::BadUrl);

        // Another cluster, which has the schema.
        let server = tenancy_tests::Server::start(world.standby.version()).await?;
        let other = Notes::start(&server).await?;
        let options = TenantPoolOptions::new().replica_with(other.app_options());
        let (kind, text) = refused(world, options).await?;
        assert_eq!(kind, StartErrorKind::WrongReplica, "{text}");
        assert!(text.contains("another database cluster"), "{text}");
        assert!(
            text.contains(&other.app_options().get_port().to_string()),
            "{text}"
        );

        let nobody = world.replica().username("nobody_at_all");
        let (_, text) = refused(world, TenantPoolOptions::new().replica_with(nobody)).await?;
        assert!(text.contains("nobody_at_all"), "{text}");

        let superuser = world.replica().username("postgres");
        let (kind, text) = refused(world, TenantPoolOptions::new().replica_with(superuser)).await?;
        assert_eq!(kind, StartErrorKind::LoginBypasses, "{text}");

        // A setting of this one server.
        world
            .at_standby("ALTER SYSTEM SET row_security = off")
            .await?;
        world.at_standby("SELECT pg_reload_conf()").await?;
        crate::eventually(async || {
            let options = TenantPoolOptions::new().replica_with(world.replica());
            let app = world.notes.app_options();
            let options = world.notes.with_key(options)?;
            let outcome = options.connect_with(app, &world.notes.tenancy).await;
            let kind = outcome.map(drop).map_err(|error| error.kind());
            anyhow::ensure!(kind == Err(StartErrorKind::BadDefaults), "{kind:?}");
            Ok(())
        })
        .await
    })
    .await
}

#[tokio::test]
async fn a_dead_standby_joins_when_it_is_back() -> anyhow::Result<()> {
    on_every_version(async |world| {
        world.standby.stop().await?;
        let pool = world.pool().await?;
        let acme = world.db(&pool, &world.notes.acme)?;
        assert_eq!(seen(&acme).await?, (3, false));
        assert!(!stats(&pool)?.usable);
        pool.ready().await?;
        world.standby.start_again().await?;
        reads_replica(&acme).await?;
        assert!(stats(&pool)?.usable);
        pool.close().await;
        assert!(!stats(&pool)?.usable);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_primary_itself_serves_as_no_replica() -> anyhow::Result<()> {
    on_every_version(async |world| {
        let options = TenantPoolOptions::new().replica_with(world.notes.app_options());
        let pool = world.notes.pool(options).await?;
        let acme = world.db(&pool, &world.notes.acme)?;
        assert_eq!(seen(&acme).await?, (3, false));
        assert!(!stats(&pool)?.usable);

        // With a standby in its place, nothing that is written would be known.
        let options = TenantPoolOptions::new().replica_with(world.replica());
        let error = world
            .notes
            .with_key(options)?
            .connect_with(world.replica(), &world.notes.tenancy)
            .await;
        assert_eq!(
            error.map(drop).unwrap_err().kind(),
            StartErrorKind::WrongReplica
        );
        Ok(())
    })
    .await
}

/// Waits until so many standbys are read from.
async fn until_usable(pool: &TenantPool, standbys: usize) -> anyhow::Result<()> {
    crate::eventually(async || {
        let stats = pool.stats().replicas;
        let usable = stats.iter().filter(|one| one.usable).count();
        anyhow::ensure!(usable == standbys, "{usable} usable");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn one_of_two_standbys_is_enough() -> anyhow::Result<()> {
    on_every_version(async |world| {
        let proxy = DelayProxy::for_options(&world.replica(), std::time::Duration::ZERO)?;
        let options = TenantPoolOptions::new()
            .replica_with(proxy.reroute(world.replica()))
            .replica_with(world.replica());
        let pool = world.notes.pool(options).await?;
        let acme = world.db(&pool, &world.notes.acme)?;
        until_usable(&pool, 2).await?;
        reads_replica(&acme).await?;
        proxy.refuse(true);
        proxy.cut();
        until_usable(&pool, 1).await?;
        for _ in 0..20 {
            assert_eq!(seen(&acme).await?, (3, true));
        }
        Ok(())
    })
    .await
}
