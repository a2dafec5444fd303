//! A standby that dies, comes back, falls silent, takes over.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::ensure;
use tenancy_sqlx::TenantPoolOptions;
use tenancy_tests::DelayProxy;
use tokio::task::JoinSet;

use crate::{eventually, is_on_replica, on_every_version, reads_replica, seen, stats, write};

#[tokio::test]
async fn reads_go_on_without_an_error_while_a_standby_dies_and_comes_back() -> anyhow::Result<()> {
    on_every_version(async |world| {
        for connections in [1, 10] {
            let options = TenantPoolOptions::new().max_connections(connections);
            let (acme, globex) = world.used_pool(options).await?;
            let stop = Arc::new(AtomicBool::new(false));
            let mut readers = JoinSet::new();
            for (db, own) in [(acme.clone(), seen(&acme).await?.0), (globex.clone(), 5)] {
                let stop = Arc::clone(&stop);
                readers.spawn(async move {
                    while !stop.load(Ordering::Relaxed) {
                        let (count, _) = seen(&db).await?;
                        ensure!(count == own, "{count} rows");
                    }
                    anyhow::Ok(())
                });
            }
            for is_crash in [false, true] {
                if is_crash {
                    world.standby.crash().await?;
                } else {
                    world.standby.stop().await?;
                }
                eventually(async || {
                    let replica = stats(acme.pool())?;
                    ensure!(!replica.usable && replica.lag.is_none(), "{replica:?}");
                    Ok(())
                })
                .await?;
                assert!(!is_on_replica(&acme).await?);
                acme.pool().ready().await?;
                world.standby.start_again().await?;
                reads_replica(&acme).await?;
                assert!(stats(acme.pool())?.usable);
            }
            stop.store(true, Ordering::Relaxed);
            while let Some(done) = readers.join_next().await {
                done??;
            }
            // What was written meanwhile is there when it is read again.
            world.standby.crash().await?;
            write(&acme).await?;
            let (count, _) = seen(&acme).await?;
            world.standby.start_again().await?;
            reads_replica(&acme).await?;
            assert_eq!(seen(&acme).await?, (count, true));
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_standby_that_falls_silent_is_left() -> anyhow::Result<()> {
    on_every_version(async |world| {
        let proxy = DelayProxy::for_options(&world.replica(), Duration::ZERO)?;
        let options = TenantPoolOptions::new().replica_with(proxy.reroute(world.replica()));
        let pool = world.notes.pool(options).await?;
        let acme = world.db(&pool, &world.notes.acme)?;
        reads_replica(&acme).await?;
        proxy.pause();
        for _ in 0..20 {
            assert_eq!(seen(&acme).await?, (3, false));
        }
        assert!(!stats(&pool)?.usable);
        pool.ready().await?;
        proxy.resume();
        reads_replica(&acme).await
    })
    .await
}

#[tokio::test]
async fn a_standby_that_takes_over_is_not_read() -> anyhow::Result<()> {
    on_every_version(async |world| {
        let (acme, _) = world.used_pool(TenantPoolOptions::new()).await?;
        let port = i32::from(world.replica().get_port());
        world.at_standby("SELECT pg_promote()").await?;
        // From here on it has a life of its own.
        world.at_standby("DELETE FROM notes").await?;
        for _ in 0..50 {
            let (count, from): (i64, i32) =
                sqlx::query_as("SELECT count(*), inet_server_port() FROM notes")
                    .fetch_one(&acme.reader())
                    .await?;
            assert_eq!(count, 3);
            assert_ne!(from, port);
        }
        assert!(!stats(acme.pool())?.usable);
        acme.pool().ready().await?;

        // Nor when the service starts anew.
        let pool = world.pool().await?;
        let acme = world.db(&pool, &world.notes.acme)?;
        assert_eq!(seen(&acme).await?, (3, false));
        assert!(!stats(&pool)?.usable);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_standby_of_the_former_primary_is_not_read() -> anyhow::Result<()> {
    on_every_version(async |world| {
        // The service moves, with its address, from the primary to a second standby that takes over.
        // The first standby still follows the primary, and replays on.
        let second = world.notes.database.server().standby().await?;
        let proxy = DelayProxy::for_options(&world.notes.app_options(), Duration::ZERO)?;
        let options = TenantPoolOptions::new().replica_with(world.replica());
        let pool = world.notes.pool_through(&proxy, options).await?;
        let acme = world.db(&pool, &world.notes.acme)?;
        let globex = world.db(&pool, &world.notes.globex)?;
        reads_replica(&acme).await?;

        let admin = second.admin_options().database(world.notes.database.name());
        let mut admin = sqlx::ConnectOptions::connect(&admin).await?;
        eventually(async || {
            let mut admin = sqlx::ConnectOptions::connect(
                &second.admin_options().database(world.notes.database.name()),
            )
            .await?;
            let count: i64 = sqlx::query_scalar("SELECT count(*) FROM notes")
                .fetch_one(&mut admin)
                .await?;
            ensure!(count == 8, "{count} notes");
            Ok(())
        })
        .await?;
        sqlx::query("SELECT pg_promote()")
            .execute(&mut admin)
            .await?;
        proxy.redirect((
            second.admin_options().get_host(),
            second.admin_options().get_port(),
        ))?;
        proxy.cut();
        // The former primary's log outruns the new one's.
        for _ in 0..20 {
            world
                .notes
                .as_admin("SELECT pg_switch_wal(); CREATE TABLE more (); DROP TABLE more")
                .await?;
        }
        eventually(async || write(&acme).await).await?;
        for _ in 0..50 {
            assert_eq!(seen(&acme).await?, (4, false));
            assert_eq!(seen(&globex).await?, (5, false));
        }
        eventually(async || {
            ensure!(!stats(&pool)?.usable, "it is read from");
            Ok(())
        })
        .await
    })
    .await
}
