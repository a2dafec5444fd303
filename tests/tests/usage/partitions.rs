//! Partitions of months: made ahead, made again where they are missing, and each event in its own.

use std::{sync::Arc, time::Duration};

use anyhow::ensure;
use sqlx::{AssertSqlSafe, Executor as _, PgConnection};
use tenancy_core::{Clock as _, SystemClock};
use tenancy_tests::notes::on_every_server;
use tenancy_usage::{EventOutcome, UsageEvent, UsageSink as _};

use super::counting;

const PARENTS: [&str; 3] = ["usage_events", "usage_rollups", "usage_values"];

/// The partitions of months to come.
async fn ahead(admin: &mut PgConnection) -> anyhow::Result<Vec<String>> {
    let names = sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_class AS c
             JOIN pg_inherits AS i ON i.inhrelid = c.oid JOIN pg_class AS p ON p.oid = i.inhparent
         WHERE p.relnamespace = 'tenancy'::regnamespace AND p.relname::text = ANY ($1)
             AND c.relname ~ '_[0-9]{4}_[0-9]{2}$'
             AND right(c.relname, 7) > to_char(now() AT TIME ZONE 'UTC', 'YYYY\"_\"MM')
         ORDER BY 1",
    );
    Ok(names
        .bind(PARENTS.map(str::to_owned).to_vec())
        .fetch_all(admin)
        .await?)
}

#[tokio::test]
async fn months_are_made_ahead_and_events_are_in_their_own() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let mut admin = notes.database.admin().await?;
        let installed = ahead(&mut admin).await?;
        ensure!(installed.len() == 9, "three months of each: {installed:?}");
        for name in &installed {
            admin.execute(AssertSqlSafe(format!("DROP TABLE tenancy.{name}"))).await?;
        }
        ensure!(ahead(&mut admin).await?.is_empty());

        let usage = counting(notes, Arc::new(SystemClock)).await?.build();
        let made = async {
            while ahead(&mut admin).await? != installed {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(Duration::from_secs(60), made).await??;

        let event = UsageEvent::new(notes.acme.id, "tokens", "suite", "1", SystemClock.now());
        ensure!(usage.record(&[event]).await? == [EventOutcome::Counted]);
        let (own, month): (String, String) = sqlx::query_as(
            "SELECT e.tableoid::regclass::text, to_char(e.at AT TIME ZONE 'UTC', 'YYYY\"_\"MM') FROM tenancy.usage_events AS e",
        )
        .fetch_one(&mut admin)
        .await?;
        ensure!(own == format!("tenancy.usage_events_{month}"), "{own}");
        usage.close().await?;
        Ok(())
    })
    .await
}
