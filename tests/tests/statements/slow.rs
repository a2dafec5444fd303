//! Statements that are slow: always told of, and added up for each tenant.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Executor as _};
use tenancy_sqlx::TenantPoolOptions;
use tenancy_tests::notes::on_every_server;

use crate::world::Logged;

/// What is slow is a limit, and not a time to wait for: at zero, each statement is.
#[tokio::test]
async fn slow_statements_are_told_of_without_a_sample_and_kept_for_each_tenant()
-> anyhow::Result<()> {
    on_every_server(async |notes| {
        let logged = Logged::start(notes, TenantPoolOptions::new(), |log| {
            log.slower_than(Duration::ZERO).slowest(10, 5)
        })
        .await?;
        let acme = logged.pool.tenant(&notes.context(&notes.acme))?;
        let globex = logged.pool.tenant(&notes.context(&notes.globex))?;
        assert_eq!(
            globex
                .fetch_all("SELECT body FROM notes WHERE stars = 0")
                .await?
                .len(),
            5
        );
        for number in 0..4 {
            let sql = format!("SELECT body FROM notes WHERE stars <> {}", number + 1);
            assert_eq!(acme.fetch_all(AssertSqlSafe(sql)).await?.len(), 3);
        }
        // A tenant that makes many shapes.
        for number in 0..50 {
            let sql = format!("SELECT body AS body_{number} FROM notes");
            acme.reader().fetch_all(AssertSqlSafe(sql)).await?;
        }

        let records = logged.records().await;
        assert_eq!(records.len(), 55);
        assert!(records.iter().all(|record| record.slow && !record.sampled));
        let of_acme = logged.log.slowest(notes.acme.id);
        assert_eq!(of_acme.len(), 5);
        let of_globex = logged.log.slowest(notes.globex.id);
        assert_eq!(of_globex.len(), 1);
        assert_eq!(
            &*of_globex[0].shape,
            "select body from notes where stars = ?"
        );
        assert_eq!(of_globex[0].count, 1);
        assert_eq!(of_globex[0].total, records[0].duration);
        assert!(logged.log.slowest_outside().is_empty());
        let tenants: Vec<_> = logged.log.slowest_tenants();
        assert_eq!(tenants.len(), 2);
        Ok(())
    })
    .await
}

/// It took as long as the server slept, and what was not slow is not told of.
#[tokio::test]
async fn a_statement_is_slow_from_the_limit_on() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let limit = Duration::from_secs(2);
        let logged = Logged::start(notes, TenantPoolOptions::new(), |log| {
            log.slower_than(limit)
        })
        .await?;
        let db = logged.pool.tenant(&notes.context(&notes.acme))?;
        db.fetch_all("SELECT body FROM notes").await?;
        db.reader().fetch_all("SELECT pg_sleep(2)").await?;
        let slow = logged.log.slowest(notes.acme.id);
        assert!(
            slow.iter()
                .any(|slow| &*slow.shape == "select pg_sleep(?)" && slow.longest >= limit)
        );
        assert_eq!(logged.log.stats().seen, 2);
        Ok(())
    })
    .await
}
