use std::time::Duration;

use anyhow::ensure;
use sqlx::Executor as _;
use tenancy_core::{Clock as _, TenantId};
use tenancy_sqlx::{ErrorKind, PgUsage, RegistryPool, TenantPoolOptions};
use tenancy_tests::notes::{PASSWORD, on_every_server, seal_key, sqlstate};
use tenancy_usage::{UsageEvent, UsageMeter, UsageMeters, UsageSink as _, conformance};

use super::{at_now, counting, total};

/// Counts what waits of a tenant, also what the task of the sink has just taken.
async fn count(usage: &PgUsage, tenant: TenantId) -> anyhow::Result<()> {
    let counted = async {
        loop {
            usage.count_pending().await?;
            if usage.status(tenant).await?.pending == 0 {
                return anyhow::Ok(());
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), counted).await??;
    Ok(())
}

/// Usage of a transaction is there exactly if its rows are, and is the tenant's of the transaction.
#[tokio::test]
async fn usage_of_a_transaction_commits_and_rolls_back_with_it() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let clock = at_now();
        let usage = counting(notes, clock.clone()).await?.build();
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        let (acme, globex) = (notes.context(&notes.acme), notes.context(&notes.globex));
        let mut left = pool.begin(&acme).await?;
        let event = UsageEvent::in_context(&acme, "tokens", "api", "rolled-back", clock.now());
        left.record_usage(&usage, event.quantity(7)).await?;
        left.rollback().await?;
        for (context, quantity) in [(&acme, 3), (&globex, 5)] {
            let mut tx = pool.begin(context).await?;
            // Whatever tenant the event says.
            let event = UsageEvent::in_context(&globex, "tokens", "api", "1", clock.now());
            tx.record_usage(&usage, event.quantity(quantity)).await?;
            tx.commit().await?;
        }
        for tenant in [notes.acme.id, notes.globex.id] {
            count(&usage, tenant).await?;
        }
        ensure!(usage.uncounted() == 0);
        ensure!(total(&usage, notes.globex.id, "tokens").await? == Some((5.into(), 1)));
        ensure!(total(&usage, notes.acme.id, "tokens").await? == Some((3.into(), 1)));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn usage_that_can_not_be_counted_is_refused_before_it_is_sent() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let clock = at_now();
        let usage = counting(notes, clock.clone()).await?.build();
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        let context = notes.context(&notes.acme);
        let mut tx = pool.begin(&context).await?;
        for event in [
            UsageEvent::in_context(&context, "undeclared", "api", "1", clock.now()),
            UsageEvent::in_context(&context, "tokens", "api", "1", clock.now()).quantity(-1),
        ] {
            let Err(refused) = tx.record_usage(&usage, event).await else {
                anyhow::bail!("it was taken");
            };
            ensure!(refused.kind() == ErrorKind::InvalidUsage, "{refused}");
        }
        // The transaction goes on.
        let event = UsageEvent::in_context(&context, "tokens", "api", "2", clock.now());
        tx.record_usage(&usage, event).await?;
        tx.commit().await?;
        count(&usage, notes.acme.id).await?;
        ensure!(total(&usage, notes.acme.id, "tokens").await? == Some((1.into(), 1)));
        Ok(())
    })
    .await
}

/// What the service's login writes by its own SQL is its tenant's alone, whatever it says, and what is no event is told and
/// holds nothing up.
#[tokio::test]
async fn the_services_login_writes_usage_of_no_other_tenant_and_reads_none() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let usage = counting(notes, at_now()).await?.build();
        let (acme, globex) = (notes.acme.id, notes.globex.id);
        let other = UsageEvent::new(globex, "tokens", "suite", "1", conformance::NOW).quantity(9);
        ensure!(usage.record(&[other]).await?.len() == 1);
        ensure!(total(&usage, globex, "tokens").await? == Some((9.into(), 1)));

        let pool = notes.pool(TenantPoolOptions::new()).await?;
        let mut tx = pool.begin(&notes.context(&notes.acme)).await?;
        let forged =
            UsageEvent::new(globex, "tokens", "forged", "1", conformance::NOW).quantity(100);
        for event in [
            serde_json::to_value(&forged)?,
            serde_json::json!({ "no": "event" }),
        ] {
            sqlx::query("INSERT INTO tenancy.usage_pending (tenant_id, event) VALUES ($1, $2)")
                .bind(acme.as_uuid())
                .bind(event)
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        for (sql, state) in [
            (
                "INSERT INTO tenancy.usage_pending (tenant_id, event) VALUES ('$G', '{}')",
                "42501",
            ),
            ("SELECT count(*) FROM tenancy.usage_pending", "42501"),
            ("SELECT count(*) FROM tenancy.usage_rollups", "42501"),
            ("SELECT count(*) FROM tenancy.usage_events", "42501"),
            ("SELECT tenancy.take_pending_usage(1, '{}')", "42501"),
        ] {
            let mut tx = pool.begin(&notes.context(&notes.acme)).await?;
            let sql = sql.replace("$G", &globex.to_string());
            let refused = tx.execute(sqlx::AssertSqlSafe(sql.clone())).await;
            ensure!(sqlstate(refused) == state, "{sql}");
        }
        count(&usage, acme).await?;
        ensure!(usage.status(acme).await?.refused == 1);
        // Its task tells of it right after the commit.
        let told = async {
            while usage.uncounted() == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), told).await?;
        ensure!(usage.uncounted() == 1, "{}", usage.uncounted());
        let refused: (i64, bool) = sqlx::query_as(
            "SELECT count(*), bool_and(tenant_id = $1 AND event = '{\"no\": \"event\"}' AND why <> '')
             FROM tenancy.usage_refused",
        )
        .bind(acme.as_uuid())
        .fetch_one(&mut notes.database.admin().await?)
        .await?;
        ensure!(refused == (1, true), "{refused:?}");
        ensure!(usage.status(acme).await?.refused == 1);
        ensure!(total(&usage, globex, "tokens").await? == Some((9.into(), 1)));
        ensure!(total(&usage, acme, "tokens").await? == Some((100.into(), 1)));
        Ok(())
    })
    .await
}

/// During a deployment the release before leaves what it does not know to the one that knows it, and what can't be counted
/// is kept with the reason.
#[tokio::test]
async fn what_a_process_does_not_know_it_leaves_to_one_that_does() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let clock = at_now();
        let before = counting(notes, clock.clone()).await?.build();
        let meters = UsageMeters::new([UsageMeter::count("exports"), UsageMeter::sum("tokens")])?;
        let options = notes
            .database
            .options_as("tenancy_registry", Some(PASSWORD));
        let registry = match notes.seal {
            Some(_) => RegistryPool::connect_sealed(options, &seal_key()?).await?,
            None => RegistryPool::connect_with(options).await?,
        };
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        let context = notes.context(&notes.acme);
        let after = PgUsage::builder(&registry, meters.clone())
            .clock(clock.clone())
            .build();
        let mut tx = pool.begin(&context).await?;
        let export = UsageEvent::in_context(&context, "exports", "api", "1", clock.now());
        tx.record_usage(&after, export).await?;
        // The newer one ends, so that the release before is alone.
        after.close().await?;
        tx.commit().await?;
        before.count_pending().await?;
        ensure!(before.uncounted() == 0);
        ensure!(before.status(notes.acme.id).await?.unmatched == 0);
        let after = PgUsage::builder(&registry, meters).clock(clock).build();
        count(&after, notes.acme.id).await?;
        ensure!(total(&after, notes.acme.id, "exports").await? == Some((1.into(), 1)));
        Ok(())
    })
    .await
}

/// A round reads what it takes, and nothing of what no process here knows, however much of that waits.
#[tokio::test]
async fn what_nobody_here_knows_is_not_read_each_round() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let (acme, globex) = (notes.acme.id, notes.globex.id);
        let mut admin = notes.database.admin().await?;
        let mut round = sqlx::Connection::begin(&mut admin).await?;
        for (tenant, meter, count) in [
            (acme, "of-another-service", 20_000),
            (acme, "tokens", 5),
            (acme, "requests", 700),
            (globex, "of-another-service", 10),
            (globex, "requests", 900),
        ] {
            let event = UsageEvent::new(tenant, meter, "suite", "", conformance::NOW);
            sqlx::query(
                "INSERT INTO tenancy.usage_pending (tenant_id, event)
                 SELECT $1, $2 || jsonb_build_object('id', n::text) FROM generate_series(1, $3) AS n",
            )
            .bind(tenant.as_uuid())
            .bind(serde_json::to_value(&event)?)
            .bind(count)
            .execute(&mut *round)
            .await?;
        }
        // What is no event, and a name for which an index has no room.
        let long = serde_json::json!({ "meter": "m".repeat(9_000) });
        for event in [serde_json::json!({ "no": "event" }), long] {
            sqlx::query("INSERT INTO tenancy.usage_pending (tenant_id, event) VALUES ($1, $2)")
                .bind(globex.as_uuid())
                .bind(event)
                .execute(&mut *round)
                .await?;
        }
        let read = "SELECT seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_all_tables
             WHERE relid = 'tenancy.usage_pending'::regclass";
        let before: i64 = sqlx::query_scalar(read).fetch_one(&mut *round).await?;
        let taken = "SELECT tenant_id, event ->> 'meter', count(*)
             FROM tenancy.take_pending_usage(1000, '{requests, tokens}') GROUP BY 1, 2";
        let first: Vec<(sqlx::types::Uuid, Option<String>, i64)> =
            sqlx::query_as(taken).fetch_all(&mut *round).await?;
        let after: i64 = sqlx::query_scalar(read).fetch_one(&mut *round).await?;
        let of = |tenant: TenantId, meter: Option<&str>| {
            let mut told = first.iter();
            let told = told.find(|it| it.0 == tenant.as_uuid() && it.1.as_deref() == meter);
            told.map(|(.., count)| *count)
        };
        // Each tenant gets the same, and what one of its meters does not need the others have.
        ensure!(of(globex, None) == Some(1), "{first:?}");
        ensure!(of(acme, Some("tokens")) == Some(5), "{first:?}");
        for tenant in [acme, globex] {
            ensure!(of(tenant, Some("requests")) == Some(497), "{first:?}");
        }
        // Each row is read to find it, to lock it and to delete it.
        ensure!(after - before < 5_000, "{}", after - before);
        let second: Vec<(sqlx::types::Uuid, Option<String>, i64)> =
            sqlx::query_as(taken).fetch_all(&mut *round).await?;
        let rest: i64 = second.iter().map(|(.., count)| count).sum();
        ensure!(rest == 5 + 700 + 900 + 1 - 1_000, "{second:?}");
        let third: Vec<(sqlx::types::Uuid, Option<String>, i64)> =
            sqlx::query_as(taken).fetch_all(&mut *round).await?;
        ensure!(third.is_empty(), "{third:?}");
        round.rollback().await?;
        Ok(())
    })
    .await
}

/// Tenants are counted in turn: behind 20,000 events of one tenant, the only event of another is in the next batch.
#[tokio::test]
async fn a_backlog_of_one_tenant_delays_no_other() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let (acme, globex) = (notes.acme.id, notes.globex.id);
        let mut admin = notes.database.admin().await?;
        for (tenant, count) in [(acme, 20_000), (globex, 1)] {
            let event = UsageEvent::new(tenant, "tokens", "suite", "", conformance::NOW);
            sqlx::query(
                "INSERT INTO tenancy.usage_pending (tenant_id, event)
                 SELECT $1, $2 || jsonb_build_object('id', n::text) FROM generate_series(1, $3) AS n",
            )
            .bind(tenant.as_uuid())
            .bind(serde_json::to_value(&event)?)
            .bind(count)
            .execute(&mut admin)
            .await?;
        }
        // One that counts other meters leaves them, and tells what waits.
        let options = notes
            .database
            .options_as("tenancy_registry", Some(PASSWORD));
        let registry = match notes.seal {
            Some(_) => RegistryPool::connect_sealed(options, &seal_key()?).await?,
            None => RegistryPool::connect_with(options).await?,
        };
        let others = UsageMeters::new([UsageMeter::count("exports")])?;
        let waiting = PgUsage::builder(&registry, others).build();
        for (tenant, count) in [(acme, 20_000), (globex, 1)] {
            let status = waiting.status(tenant).await?;
            ensure!(status.pending == count, "{status:?}");
            ensure!(status.pending_since.is_some(), "{status:?}");
        }
        let mut round = sqlx::Connection::begin(&mut admin).await?;
        let batch: Vec<(sqlx::types::Uuid, i64)> = sqlx::query_as(
            "SELECT t.tenant_id, count(*) FROM tenancy.take_pending_usage(1000, '{tokens}') AS t GROUP BY 1 ORDER BY 2",
        )
        .fetch_all(&mut *round)
        .await?;
        round.rollback().await?;
        ensure!(
            batch == [(globex.as_uuid(), 1), (acme.as_uuid(), 999)],
            "{batch:?}"
        );
        let usage = counting(notes, at_now()).await?.build();
        usage.count_pending().await?;
        // Its task may hold the last batch yet; to close waits for it.
        usage.close().await?;
        let usage = counting(notes, at_now()).await?.build();
        ensure!(total(&usage, acme, "tokens").await? == Some((20_000.into(), 20_000)));
        ensure!(total(&usage, globex, "tokens").await? == Some((1.into(), 1)));
        let status = usage.status(acme).await?;
        ensure!((status.pending, status.pending_since) == (0, None), "{status:?}");
        Ok(())
    })
    .await
}
