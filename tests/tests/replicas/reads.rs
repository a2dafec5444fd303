//! What is read where, and what it costs.

use std::time::Duration;

use futures_util::TryStreamExt as _;
use sqlx::{PgExecutor, Row as _};
use tenancy_sqlx::{Isolation, RetryPolicy, SessionMode, TenantPoolOptions, TxOptions};
use tenancy_tests::{
    DelayProxy,
    notes::{at_rest, sqlstate},
};

use crate::{COUNT, INSERT, World, eventually, on_every_version, reads_replica, seen, write};

const WHERE: &str = "SELECT pg_is_in_recovery(), inet_server_port()";

/// Whether a standby answers, and at which port.
async fn place<'e>(executor: impl PgExecutor<'e>) -> Result<(bool, i32), sqlx::Error> {
    sqlx::query_as(WHERE).fetch_one(executor).await
}

#[tokio::test]
async fn reads_go_to_the_standby_and_writes_to_the_primary() -> anyhow::Result<()> {
    on_every_version(async |world| {
        let (acme, _) = world.used_pool(TenantPoolOptions::new()).await?;
        let standby = (true, i32::from(world.replica().get_port()));
        let primary = (false, i32::from(world.notes.app_options().get_port()));

        assert_eq!(place(&acme.reader()).await?, standby);
        let reader = acme.reader();
        let mut rows = sqlx::query_as(WHERE).fetch(&reader);
        assert_eq!(rows.try_next().await?, Some(standby));
        drop(rows);
        let mut read = acme.read().await?;
        assert_eq!(place(&mut *read).await?, standby);
        let repeatable = TxOptions::new()
            .read_only()
            .isolation(Isolation::RepeatableRead);
        let mut read = acme.begin_with(repeatable).await?;
        assert_eq!(place(&mut *read).await?, standby);
        read.commit().await?;

        assert_eq!(place(&acme).await?, primary);
        reads_replica(&acme).await?;
        assert_eq!(place(&acme.reader().primary()).await?, primary);
        let read_only = TxOptions::new().read_only();
        for options in [
            read_only.clone().primary(),
            read_only.clone().strict(true),
            read_only.isolation(Isolation::Serializable),
            TxOptions::new(),
        ] {
            let mut tx = acme.begin_with(options).await?;
            assert_eq!(place(&mut *tx).await?, primary);
            tx.commit().await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_strict_pool_reads_the_primary() -> anyhow::Result<()> {
    on_every_version(async |world| {
        let strict = world
            .pool_with(TenantPoolOptions::new().strict(true))
            .await?;
        let acme = world.db(&strict, &world.notes.acme)?;
        for _ in 0..20 {
            assert_eq!(seen(&acme).await?, (3, false));
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_read_takes_two_round_trips_and_a_commit_none_more_than_without() -> anyhow::Result<()> {
    on_every_version(async |world| {
        let at_standby = DelayProxy::for_options(&world.replica(), Duration::ZERO)?;
        let at_primary = DelayProxy::for_options(&world.notes.app_options(), Duration::ZERO)?;
        let options = TenantPoolOptions::new().max_connections(1);
        let without = world.notes.pool_through(&at_primary, options).await?;
        let options = TenantPoolOptions::new()
            .max_connections(1)
            .replica_with(at_standby.reroute(world.replica()));
        let with = world.notes.pool(options).await?;
        let acme = world.db(&with, &world.notes.acme)?;
        reads_replica(&acme).await?;

        // The pool asks, too, once in a second: one of these is undisturbed.
        eventually(async || {
            at_rest_at(&with).await?;
            let before = at_standby.round_trips();
            sqlx::query(COUNT).fetch_one(&acme.reader()).await?;
            at_rest_at(&with).await?;
            // The third frees the session, after the caller has its answer.
            let took = at_standby.round_trips() - before;
            anyhow::ensure!(took == 3, "{took} round trips");
            Ok(())
        })
        .await?;

        let plain = world.db(&without, &world.notes.acme)?;
        write(&plain).await?;
        at_rest(&without, 1).await?;
        let before = at_primary.round_trips();
        write(&plain).await?;
        at_rest(&without, 1).await?;
        let expected = at_primary.round_trips() - before;

        let options = TenantPoolOptions::new()
            .max_connections(1)
            .replica_with(world.replica());
        let with = world.notes.pool_through(&at_primary, options).await?;
        let acme = world.db(&with, &world.notes.acme)?;
        write(&acme).await?;
        eventually(async || {
            at_rest(&with, 1).await?;
            let before = at_primary.round_trips();
            write(&acme).await?;
            at_rest(&with, 1).await?;
            let took = at_primary.round_trips() - before;
            anyhow::ensure!(
                took == expected,
                "{took} round trips, and without {expected}"
            );
            Ok(())
        })
        .await
    })
    .await
}

/// Until the only connection to the replica is idle.
async fn at_rest_at(pool: &tenancy_sqlx::TenantPool) -> anyhow::Result<()> {
    eventually(async || {
        anyhow::ensure!(crate::stats(pool)?.idle == 1, "in use");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_pool_of_one_in_each_mode_sees_its_writes() -> anyhow::Result<()> {
    on_every_version(async |world| {
        for mode in [SessionMode::Transaction, SessionMode::Switched] {
            for check in [false, true] {
                let options = TenantPoolOptions::new()
                    .max_connections(1)
                    .reset_session(
                        mode == SessionMode::Switched || check || world.notes.seal.is_some(),
                    )
                    .check_tenant_at_commit(check)
                    .sessions(mode);
                let (acme, globex) = world.used_pool(options).await?;
                let (mut count, _) = seen(&acme).await?;
                for _ in 0..20 {
                    write(&acme).await?;
                    count += 1;
                    assert_eq!(seen(&acme).await?.0, count);
                    acme.with(async |tx| {
                        sqlx::query(INSERT).execute(&mut **tx).await?;
                        Ok::<_, tenancy_sqlx::Error>(())
                    })
                    .await?;
                    count += 1;
                    let mut read = acme.read().await?;
                    let now: i64 = sqlx::query_scalar(COUNT).fetch_one(&mut *read).await?;
                    assert_eq!(now, count);
                }
                assert_eq!(seen(&globex).await?.0, 5);
                reads_replica(&acme).await?;
                assert_eq!(seen(&acme).await?, (count, true));
            }
        }
        Ok(())
    })
    .await
}

/// Changes a table while a statement on the standby sleeps.
async fn interrupts(world: &World, change: &str) -> anyhow::Result<()> {
    eventually(async || {
        let sql = "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_stat_activity \
             WHERE wait_event = 'PgSleep') THEN RAISE 'not yet'; END IF; END $$";
        world.at_standby(sql).await
    })
    .await?;
    world.notes.as_admin(change).await
}

#[tokio::test]
async fn a_read_that_replay_interrupts_is_answered_by_the_primary() -> anyhow::Result<()> {
    on_every_version(async |world| {
        world
            .at_standby("ALTER SYSTEM SET max_standby_streaming_delay = 0")
            .await?;
        world.at_standby("SELECT pg_reload_conf()").await?;
        let (acme, _) = world.used_pool(TenantPoolOptions::new()).await?;
        let slow = "SELECT count(*), pg_is_in_recovery() FROM notes \
                    WHERE CASE WHEN pg_is_in_recovery() THEN pg_sleep(600) IS NOT NULL ELSE true END";
        let interrupt = interrupts(world, "ALTER TABLE notes ADD COLUMN later int");
        let rows = acme.reader();
        let read = sqlx::query_as::<_, (i64, bool)>(slow).fetch_one(&rows);
        let (found, interrupted) = tokio::join!(read, interrupt);
        interrupted?;
        assert_eq!(found?, (3, false));

        // In a transaction the caller is told, and another try goes to the primary.
        reads_replica(&acme).await?;
        let interrupt = interrupts(world, "ALTER TABLE notes DROP COLUMN later");
        let policy = RetryPolicy::new().options(TxOptions::new().read_only());
        let read = acme.with_retry(policy, async |tx| {
            Ok::<(i64, bool), tenancy_sqlx::Error>(sqlx::query_as(slow).fetch_one(&mut **tx).await?)
        });
        let (found, interrupted) = tokio::join!(read, interrupt);
        interrupted?;
        assert_eq!(found?, (3, false));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_table_that_the_standby_has_not_heard_of_is_read_on_the_primary() -> anyhow::Result<()> {
    on_every_version(async |world| {
        let (acme, _) = world.used_pool(TenantPoolOptions::new()).await?;
        world.pause().await?;
        world
            .notes
            .as_admin("ALTER TABLE notes ADD COLUMN colour text DEFAULT 'red'")
            .await?;
        assert!(crate::is_on_replica(&acme).await?);
        let colours: Vec<String> = sqlx::query_scalar("SELECT colour FROM notes")
            .fetch_all(&acme.reader())
            .await?;
        assert_eq!(colours, ["red"; 3]);
        let no_table = sqlx::query("SELECT FROM nowhere")
            .fetch_all(&acme.reader())
            .await;
        assert_eq!(sqlstate(no_table), "42P01");
        assert!(crate::is_on_replica(&acme).await?);
        world.resume().await
    })
    .await
}

#[tokio::test]
async fn a_star_that_no_longer_fits_is_read_all_the_same() -> anyhow::Result<()> {
    on_every_version(async |world| {
        let options = TenantPoolOptions::new().max_connections(1);
        let (acme, _) = world.used_pool(options).await?;
        let all = || async {
            sqlx::query("SELECT * FROM notes")
                .fetch_all(&acme.reader())
                .await
        };
        let before = all().await?[0].len();
        world
            .notes
            .as_admin("ALTER TABLE notes ADD COLUMN later int")
            .await?;
        eventually(async || {
            let rows = all().await?;
            assert_eq!(rows.len(), 3);
            anyhow::ensure!(rows[0].len() == before + 1, "not replayed");
            Ok(())
        })
        .await?;
        for _ in 0..3 {
            assert_eq!(all().await?[0].len(), before + 1);
            assert!(crate::is_on_replica(&acme).await?);
        }
        Ok(())
    })
    .await
}
