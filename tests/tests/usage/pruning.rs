//! Retention of usage: what is old goes, what is still needed stays, and only the administrator removes.

use std::time::Duration;

use anyhow::ensure;
use tenancy_core::{Actor, Retention, TenantId, Timestamp, quota::Window};
use tenancy_sqlx::PgUsage;
use tenancy_tests::notes::{Notes, on_every_server, sqlstate};
use tenancy_usage::{
    BackfillOutcome, CorrectionOutcome, EventTimes, Resolution, RollupQuery, UsageBackfill,
    UsageBackfills as _, UsageCalendar, UsageCorrection, UsageErrorKind, UsageEvent,
    UsageRetention, UsageSink as _, conformance,
};

use super::{at_now, counting, total};

const DAY: Duration = Duration::from_secs(86_400);

fn ago(days: u32) -> Timestamp {
    conformance::NOW - DAY * days
}

/// Usage of this day and of long ago, in months that have a partition.
async fn fill(notes: &Notes, usage: &PgUsage, tenants: &[TenantId]) -> anyhow::Result<()> {
    let mut admin = notes.database.admin().await?;
    for parent in ["usage_events", "usage_rollups", "usage_values"] {
        // 2026-03 and 2026-08.
        for month in [3, 8] {
            let since = format!("2026-{month:02}-01T00:00:00Z");
            let until = format!("2026-{:02}-01T00:00:00Z", month + 1);
            let made: bool =
                sqlx::query_scalar("SELECT tenancy.make_month($1, $2::text::timestamptz, $2, $3)")
                    .bind(parent)
                    .bind(&since)
                    .bind(&until)
                    .fetch_one(&mut admin)
                    .await?;
            ensure!(made, "{parent} {since}");
        }
    }
    for tenant in tenants {
        let old = [ago(310), ago(309), ago(150)]
            .map(|at| UsageEvent::new(*tenant, "tokens", "suite", at.to_string(), at).quantity(10));
        let backfill = UsageBackfill::new(*tenant, "old", "tokens", old);
        let backfill = backfill.by(Actor::System, "a test");
        let applied = BackfillOutcome::Applied {
            added: 3,
            voided: 0,
        };
        ensure!(usage.backfill(&backfill).await? == applied);
        let now = UsageEvent::new(*tenant, "tokens", "suite", "now", conformance::NOW);
        usage.record(&[now]).await?;
    }
    Ok(())
}

/// How many windows there are of each resolution, since long before.
async fn windows(usage: &PgUsage, tenant: TenantId) -> anyhow::Result<[usize; 4]> {
    let range = Window::new(ago(400), conformance::NOW + DAY);
    let mut counts = [0; 4];
    for (count, resolution) in counts.iter_mut().zip(Resolution::ALL) {
        let query = RollupQuery::each(tenant, "tokens", resolution, range);
        *count = usage.rollups(&query).await?.len();
    }
    Ok(counts)
}

async fn events(notes: &Notes, tenant: TenantId) -> anyhow::Result<i64> {
    let mut admin = notes.database.admin().await?;
    let count =
        sqlx::query_scalar("SELECT count(*) FROM tenancy.usage_events WHERE tenant_id = $1");
    Ok(count.bind(tenant.as_uuid()).fetch_one(&mut admin).await?)
}

#[tokio::test]
async fn each_thing_is_kept_for_its_own_time() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let usage = counting(notes, at_now()).await?.build();
        let (acme, globex) = (notes.acme.id, notes.globex.id);
        fill(notes, &usage, &[acme, globex]).await?;
                let retention = UsageRetention::default()
            .events(Retention::Days(200))
            .events_of_each(move |tenant| (tenant == acme).then_some(Retention::Days(100)))
            .minutes(Retention::Days(100))
            .hours(Retention::Days(200));
        let by = Actor::System;
        let pruned = usage.prune(&notes.system, &retention, &by, "a rule").await?;
        // The month that no tenant needs is dropped, with the events of both.
        let dropped = ("usage_events_2026_03".to_owned(), 4);
        ensure!(pruned.months.contains(&dropped), "{pruned:?}");
        // The month that globex needs stays, and has nothing of acme any more.
        ensure!(events(notes, acme).await? == 1, "{pruned:?}");
        ensure!(events(notes, globex).await? == 2, "{pruned:?}");
        for tenant in [acme, globex] {
            let told = windows(&usage, tenant).await?;
            ensure!(told == [1, 2, 4, 3], "{told:?}");
            ensure!(total(&usage, tenant, "tokens").await? == Some((1.into(), 1)));
        }
        // Again there is nothing to do, and nothing to tell.
        let again = usage.prune(&notes.system, &retention, &by, "a rule").await?;
        ensure!(again == tenancy_sqlx::PrunedUsage::default(), "{again:?}");
        let told: (i64, bool) = sqlx::query_as(
            "SELECT sum(coalesce((details ->> 'rows')::bigint, 0))::bigint, bool_and(reason = 'a rule')
             FROM tenancy.audit_trail WHERE action = 'usage.prune'",
        )
        .fetch_one(&mut notes.database.admin().await?)
        .await?;
        let all: u64 = pruned.rows + pruned.months.iter().map(|(_, rows)| rows).sum::<u64>();
        ensure!(told == (i64::try_from(all)?, true), "{told:?} and {pruned:?}");

        // What is gone is neither corrected nor filled up.
        let key = UsageBackfill::new(globex, "old", "tokens", [UsageEvent::new(
            globex, "tokens", "", ago(310).to_string(), ago(310),
        )]);
        let key = key.events.first().map(UsageEvent::event_key);
        let gone = UsageCorrection::void(key.ok_or_else(|| anyhow::anyhow!("no key"))?, "desk", "1");
        let gone = gone.by(by.clone(), "a test");
        ensure!(usage.correct(&[gone]).await? == [CorrectionOutcome::UnknownEvent]);
        let event = UsageEvent::new(acme, "tokens", "", "1", ago(300));
        let late = UsageBackfill::new(acme, "late", "tokens", [event]).by(by, "a test");
        let refused = usage.backfill(&late).await?;
        ensure!(matches!(refused, BackfillOutcome::Refused(_)), "{refused:?}");
        Ok(())
    })
    .await
}

/// A retention below the floor removes nothing, whether it is of all or of one tenant, and the error names the floor.
#[tokio::test]
async fn what_is_still_needed_is_never_removed() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let usage = counting(notes, at_now()).await?.build();
        let acme = notes.acme.id;
        fill(notes, &usage, &[acme]).await?;
        let floor = UsageRetention::floor(&EventTimes::default(), &UsageCalendar::monthly());
        ensure!(floor == 65 * DAY, "{floor:?}");
        for (retention, names) in [
            (
                UsageRetention::default().events(Retention::Days(64)),
                "events".to_owned(),
            ),
            (
                UsageRetention::default().minutes(Retention::Days(1)),
                "minutes".to_owned(),
            ),
            (
                UsageRetention::default().events_of_each(|_| Some(Retention::Days(30))),
                acme.to_string(),
            ),
        ] {
            let Err(error) = usage
                .prune(&notes.system, &retention, &Actor::System, "a rule")
                .await
            else {
                anyhow::bail!("{retention:?} was taken");
            };
            ensure!(error.kind() == UsageErrorKind::Refused, "{error}");
            let told = error.to_string();
            ensure!(told.contains(&names) && told.contains("65 days"), "{told}");
        }
        let retention = UsageRetention::default();
        let unreasoned = usage.prune(&notes.system, &retention, &Actor::System, " ");
        ensure!(unreasoned.await.is_err());
        // Not even by SQL of the administrator's own.
        let sql = "SELECT tenancy.prune_usage('events', now(), NULL, '{}', 1, '{}')";
        let refused = sqlx::query(sql)
            .execute(&mut notes.database.admin().await?)
            .await;
        ensure!(sqlstate(refused) == "22023");
        ensure!(events(notes, acme).await? == 4);
        ensure!(windows(&usage, acme).await? == [4, 4, 4, 3]);
        Ok(())
    })
    .await
}
