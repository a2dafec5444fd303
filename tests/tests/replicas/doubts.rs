//! Commits of which nobody knows what has become.

use std::time::Duration;

use futures_util::future::poll_immediate;
use tenancy_sqlx::{SessionMode, TenantPoolOptions};
use tenancy_tests::DelayProxy;

use crate::{INSERT, eventually, is_settled, on_every_version, reads_replica, seen};

#[tokio::test]
async fn a_commit_that_is_cancelled_or_cut_off_is_never_missed() -> anyhow::Result<()> {
    on_every_version(async |world| {
        for is_cut in [false, true] {
            // No answer is there before it is waited for.
            let one_way = Duration::from_millis(5);
            let proxy = DelayProxy::for_options(&world.notes.app_options(), one_way)?;
            // A pinned session that was cut off is not noticed before the statement.
            let options = TenantPoolOptions::new()
                .max_connections(2)
                .sessions(SessionMode::Switched)
                // The commit is the first message of `commit()`.
                .check_session_every(0)
                .replica_with(world.replica());
            let pool = world.notes.pool_through(&proxy, options).await?;
            let acme = world.db(&pool, &world.notes.acme)?;
            let globex = world.db(&pool, &world.notes.globex)?;
            reads_replica(&acme).await?;
            world.pause().await?;

            let (before, _) = seen(&acme).await?;
            let mark = pool.last_write(acme.context())?;
            let mut tx = acme.begin().await?;
            sqlx::query(INSERT).execute(&mut *tx).await?;
            {
                let mut commit = Box::pin(tx.commit());
                assert!(poll_immediate(&mut commit).await.is_none());
                // It is on its way, and at the server soon.
                eventually(async || {
                    let stored = world.notes.count("notes", &world.notes.acme).await?;
                    anyhow::ensure!(stored == before + 1, "{stored} notes");
                    Ok(())
                })
                .await?;
                if is_cut {
                    // The answer is lost with the connection, or was in time.
                    proxy.cut();
                    let _ = commit.await;
                }
            }
            assert_eq!(seen(&acme).await?, (before + 1, false), "cut: {is_cut}");
            is_settled(&acme, mark).await?;
            for _ in 0..5 {
                assert_eq!(seen(&acme).await?, (before + 1, false), "cut: {is_cut}");
                assert!(seen(&globex).await?.1);
            }
            world.resume().await?;
            reads_replica(&acme).await?;
            assert_eq!(seen(&acme).await?, (before + 1, true));
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_commit_that_arrives_late_is_never_missed() -> anyhow::Result<()> {
    on_every_version(async |world| {
        let proxy = DelayProxy::for_options(&world.notes.app_options(), Duration::ZERO)?;
        let options = TenantPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(Duration::from_secs(2))
            // The commit is the first message of `commit()`.
            .check_session_every(0)
            .replica_with(world.replica());
        let pool = world.notes.pool_through(&proxy, options).await?;
        let acme = world.db(&pool, &world.notes.acme)?;
        reads_replica(&acme).await?;
        let (before, _) = seen(&acme).await?;
        let mark = pool.last_write(acme.context())?;
        let mut tx = acme.begin().await?;
        sqlx::query(INSERT).execute(&mut *tx).await?;
        world.pause().await?;
        proxy.pause();
        {
            let mut commit = Box::pin(tx.commit());
            assert!(poll_immediate(&mut commit).await.is_none());
        }
        // The primary is out of reach and the standby does not count: no answer, and no wrong one.
        for _ in 0..3 {
            assert!(seen(&acme).await.is_err());
        }
        proxy.resume();
        eventually(async || {
            let (count, is_on_replica) = seen(&acme).await?;
            assert!(!is_on_replica);
            anyhow::ensure!(count > before, "not yet");
            Ok(())
        })
        .await?;
        is_settled(&acme, mark).await?;
        for _ in 0..5 {
            assert_eq!(seen(&acme).await?, (before + 1, false));
        }
        world.resume().await?;
        reads_replica(&acme).await
    })
    .await
}

#[tokio::test]
async fn after_a_rollback_the_standby_is_read_again_soon() -> anyhow::Result<()> {
    on_every_version(async |world| {
        let (acme, globex) = world.used_pool(TenantPoolOptions::new()).await?;
        let mut tx = acme.begin().await?;
        sqlx::query(INSERT).execute(&mut *tx).await?;
        drop(tx);
        assert_eq!(seen(&acme).await?, (3, false));
        assert_eq!(seen(&globex).await?, (5, true));
        reads_replica(&acme).await?;
        assert_eq!(seen(&acme).await?, (3, true));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_doubt_lasts_as_long_as_a_transaction_that_was_under_way() -> anyhow::Result<()> {
    on_every_version(async |world| {
        let (acme, globex) = world.used_pool(TenantPoolOptions::new()).await?;
        let mut other = globex.begin().await?;
        sqlx::query(INSERT).execute(&mut *other).await?;
        acme.begin().await?.rollback().await?;
        // For as long as it would be settled otherwise, and longer; the standby keeps up.
        for _ in 0..30 {
            world
                .notes
                .as_admin("CREATE TABLE more (); DROP TABLE more")
                .await?;
            assert_eq!(seen(&acme).await?, (3, false));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        other.commit().await?;
        reads_replica(&acme).await
    })
    .await
}
