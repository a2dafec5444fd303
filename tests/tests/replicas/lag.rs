//! A standby that is behind.

use anyhow::ensure;
use sqlx::Row as _;
use tenancy_sqlx::{BulkInsert, ErrorKind, Isolation, TenantDb, TenantPoolOptions, TxOptions};
use tokio::task::JoinSet;

use crate::{
    COUNT, INSERT, eventually, is_settled, on_every_version, reads_replica, seen, stats, write,
};

#[tokio::test]
async fn a_tenant_sees_its_write_at_once_while_another_reads_on_the_standby() -> anyhow::Result<()>
{
    on_every_version(async |world| {
        for connections in [1, 10] {
            let options = TenantPoolOptions::new().max_connections(connections);
            let (acme, globex) = world.used_pool(options).await?;
            world.pause().await?;
            let (before, _) = seen(&acme).await?;
            write(&acme).await?;
            for _ in 0..10 {
                assert_eq!(seen(&acme).await?, (before + 1, false));
                assert_eq!(seen(&globex).await?, (5, true));
                for level in [Isolation::ReadCommitted, Isolation::RepeatableRead] {
                    let mut read = acme
                        .begin_with(TxOptions::new().read_only().isolation(level))
                        .await?;
                    let now: i64 = sqlx::query_scalar(COUNT).fetch_one(&mut *read).await?;
                    assert_eq!(now, before + 1);
                }
            }
            eventually(async || {
                let replica = stats(acme.pool())?;
                ensure!(replica.usable && replica.lag > Some(0), "{replica:?}");
                Ok(())
            })
            .await?;
            world.resume().await?;
            reads_replica(&acme).await?;
            assert_eq!(seen(&acme).await?, (before + 1, true));
        }
        Ok(())
    })
    .await
}

/// Every way to write; each adds one note.
async fn write_somehow(db: &TenantDb, way: usize) -> anyhow::Result<()> {
    match way {
        0 => write(db).await?,
        1 => {
            let mut tx = db.begin().await?;
            sqlx::query(INSERT).execute(&mut *tx).await?;
            tx.commit().await?;
        }
        2 => {
            let mut tx = db.begin().await?;
            let bodies = vec!["in bulk".to_owned()];
            let insert = BulkInsert::into_table("notes").column("body", bodies);
            insert.execute(&mut tx).await?;
            tx.commit().await?;
        }
        3 => {
            let serializable = TxOptions::new().isolation(Isolation::Serializable);
            let mut tx = db.begin_with(serializable).await?;
            let mut savepoint = tx.savepoint().await?;
            sqlx::query(INSERT).execute(&mut *savepoint).await?;
            savepoint.release().await?;
            tx.commit().await?;
        }
        4 => {
            let returned = sqlx::query("INSERT INTO notes (body) VALUES ('x') RETURNING id");
            returned.fetch_one(db).await?;
        }
        // A statement that commits and goes on, as the documentation advises against.
        _ => {
            let mut tx = db.begin().await?;
            sqlx::query(INSERT).execute(&mut *tx).await?;
            sqlx::query("COMMIT").execute(&mut *tx).await?;
            let ended = tx.commit().await.map_err(|error| error.kind());
            assert_eq!(ended, Err(ErrorKind::TenantLost));
        }
    }
    Ok(())
}

#[tokio::test]
async fn no_way_to_write_is_forgotten() -> anyhow::Result<()> {
    on_every_version(async |world| {
        let (acme, globex) = world.used_pool(TenantPoolOptions::new()).await?;
        for way in 0..=5 {
            world.pause().await?;
            let (before, _) = seen(&acme).await?;
            let mark = acme.pool().last_write(acme.context())?;
            write_somehow(&acme, way).await?;
            assert_eq!(seen(&acme).await?, (before + 1, false), "way {way}");
            // Also when what was not known is known.
            is_settled(&acme, mark).await?;
            for _ in 0..5 {
                assert_eq!(seen(&acme).await?, (before + 1, false), "way {way}");
            }
            assert!(seen(&globex).await?.1, "way {way}");
            world.resume().await?;
            reads_replica(&acme).await?;
            assert_eq!(seen(&acme).await?.0, before + 1);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn no_read_is_ever_stale_while_the_standby_runs_after_the_primary() -> anyhow::Result<()> {
    on_every_version(async |world| {
        let options = TenantPoolOptions::new().max_connections(4);
        let (acme, globex) = world.used_pool(options).await?;
        let mut tasks = JoinSet::new();
        for (db, own) in [(acme, 3), (globex, 5)] {
            tasks.spawn(async move {
                let mut replicas = 0;
                for round in 0..150_i64 {
                    write(&db).await?;
                    for _ in 0..4 {
                        let (count, is_on_replica) = seen(&db).await?;
                        ensure!(count == own + round + 1, "{count} after {round} writes");
                        let repeatable = TxOptions::new()
                            .read_only()
                            .isolation(Isolation::RepeatableRead);
                        let mut read = db.begin_with(repeatable).await?;
                        let row = sqlx::query(COUNT).fetch_one(&mut *read).await?;
                        ensure!(row.get::<i64, _>(0) == own + round + 1, "a stale snapshot");
                        replicas += i32::from(is_on_replica);
                    }
                    // Some rounds let the standby catch up.
                    if round % 10 == 0 {
                        reads_replica(&db).await?;
                        let (count, _) = seen(&db).await?;
                        ensure!(count == own + round + 1, "{count} on the standby");
                        replicas += 1;
                    }
                }
                ensure!(replicas >= 15, "{replicas} reads on the standby");
                anyhow::Ok(())
            });
        }
        while let Some(done) = tasks.join_next().await {
            done??;
        }
        Ok(())
    })
    .await
}
