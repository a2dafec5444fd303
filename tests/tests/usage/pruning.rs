//! Retention of usage: what is old goes, what is still needed stays, and only the administrator removes.

use std::time::Duration;

use anyhow::ensure;
use tenancy_core::{Actor, Retention, TenantId, Timestamp, quota::Window};
use tenancy_sqlx::PgUsage;
use tenancy_tests::notes::{Notes, on_every_server, sqlstate};
use tenancy_usage::{
    BackfillOutcome, CorrectionOutcome, EventErrorKind, EventKey, EventTimes, Resolution,
    RevertOutcome, RollupQuery, UsageBackfill, UsageBackfills as _, UsageCalendar, UsageCorrection,
    UsageError, UsageErrorKind, UsageEvent, UsageRetention, UsageSink as _, conformance,
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
        let old = [(ago(310), 10), (ago(309), 10), (ago(150), 10)];
        let backfill = fill_up(*tenant, "old", "tokens", &old);
        ensure!(usage.backfill(&backfill).await? == applied(3));
        let now = UsageEvent::new(*tenant, "tokens", "suite", "now", conformance::NOW);
        usage.record(&[now]).await?;
    }
    Ok(())
}

/// How many windows there are of each resolution.
async fn windows(notes: &Notes, tenant: TenantId) -> anyhow::Result<Vec<i64>> {
    let counts = sqlx::query_scalar(
        "SELECT count(w.resolution) FROM generate_series(0, 3) AS n
             LEFT JOIN tenancy.usage_rollups AS w ON w.resolution = n AND w.tenant_id = $1
         GROUP BY n ORDER BY n",
    );
    let counts = counts.bind(tenant.as_uuid());
    Ok(counts.fetch_all(&mut notes.database.admin().await?).await?)
}

/// How many windows are read of a resolution since then.
async fn read(
    usage: &PgUsage,
    tenant: TenantId,
    resolution: Resolution,
    since: Timestamp,
) -> Result<usize, UsageError> {
    let range = Window::new(since, conformance::NOW + DAY);
    let query = RollupQuery::each(tenant, "tokens", resolution, range);
    Ok(usage.rollups(&query).await?.len())
}

fn is_too_late(outcome: &BackfillOutcome) -> bool {
    matches!(outcome, BackfillOutcome::Refused(error) if error.kind() == EventErrorKind::TooLate)
}

fn fill_up(
    tenant: TenantId,
    name: &str,
    meter: &str,
    events: &[(Timestamp, i64)],
) -> UsageBackfill {
    let events = events.iter().map(|(at, quantity)| {
        UsageEvent::new(tenant, meter, "", at.to_string(), *at).quantity(*quantity)
    });
    UsageBackfill::new(tenant, name, meter, events).by(Actor::System, "a test")
}

const fn applied(added: u64) -> BackfillOutcome {
    BackfillOutcome::Applied { added, voided: 0 }
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
            .events_of_each(move |tenant| (tenant == acme).then_some(Retention::Days(110)))
            .minutes(Retention::Days(110))
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
            let told = windows(notes, tenant).await?;
            ensure!(told == [1, 2, 4, 3], "{told:?}");
            // What was removed is not read as if nothing had been there, and what stays is read.
            for (resolution, removed, stays, count) in [
                (Resolution::Minute, 111, 110, 1),
                (Resolution::Hour, 201, 200, 2),
                (Resolution::Day, 2_000, 1_829, 4),
                (Resolution::Period, 2_000, 2_000, 3),
            ] {
                let told = read(&usage, tenant, resolution, ago(stays)).await?;
                ensure!(told == count, "{resolution:?}: {told}");
                if removed == stays {
                    continue;
                }
                let Err(error) = read(&usage, tenant, resolution, ago(removed)).await else {
                    anyhow::bail!("{resolution:?} since {} was told", ago(removed));
                };
                ensure!(error.kind() == UsageErrorKind::InvalidQuery, "{error:?}");
                ensure!(error.to_string().contains("was removed"), "{error}");
            }
            // A total of full hours is read by hours, which are kept longer than minutes.
            let range = Window::new(ago(160), conformance::NOW);
            let told = usage.rollups(&RollupQuery::total(tenant, "tokens", range)).await?;
            ensure!(told.iter().map(|it| it.quantity).collect::<Vec<_>>() == [10.into()], "{told:?}");
            let range = Window::new(ago(160), conformance::NOW - Duration::from_secs(60));
            let removed = usage.rollups(&RollupQuery::total(tenant, "tokens", range)).await;
            ensure!(removed.is_err_and(|error| error.kind() == UsageErrorKind::InvalidQuery));
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
        ensure!(is_too_late(&refused), "{refused:?}");
        Ok(())
    })
    .await
}

/// Of a billing period of which events were removed nothing is filled up or reverted: what is left does not add up to it.
#[tokio::test]
async fn what_is_left_of_a_period_is_neither_filled_up_nor_reverted() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let usage = counting(notes, at_now()).await?.build();
        let acme = notes.acme.id;
        let by = Actor::System;
        // Both in September, and between them the cut.
        let removed = fill_up(acme, "removed", "connections", &[(ago(125), 100)]);
        let stays = fill_up(acme, "stays", "connections", &[(ago(118), 200)]);
        for backfill in [&removed, &stays] {
            ensure!(usage.backfill(backfill).await? == applied(1));
        }
        let retention = UsageRetention::default().events(Retention::Days(120));
        usage
            .prune(&notes.system, &retention, &by, "a rule")
            .await?;
        ensure!(events(notes, acme).await? == 1);
        for name in ["removed", "stays"] {
            let reverted = usage.revert_backfill(acme, name, &by, "a test").await?;
            let RevertOutcome::Refused(error) = reverted else {
                anyhow::bail!("{name}: {reverted:?}");
            };
            ensure!(error.kind() == EventErrorKind::TooLate, "{error:?}");
            ensure!(
                error.to_string().contains("2026-09-17T08:00:00Z"),
                "{error}"
            );
        }
        let late = fill_up(acme, "late", "connections", &[(ago(117), 1)]);
        let refused = usage.backfill(&late).await?;
        ensure!(is_too_late(&refused), "{refused:?}");
        // A range counts as its events do.
        let range = Window::new(ago(119), ago(90));
        let replacing = fill_up(acme, "range", "connections", &[(ago(100), 1)]).replacing(range);
        let refused = usage.backfill(&replacing).await?;
        ensure!(is_too_late(&refused), "{refused:?}");
        let october = fill_up(acme, "october", "connections", &[(ago(100), 1)]);
        ensure!(usage.backfill(&october).await? == applied(1));

        let periods = async || {
            let range = Window::new(ago(150), conformance::NOW);
            let query = RollupQuery::each(acme, "connections", Resolution::Period, range);
            let rollups = usage.rollups(&query).await?;
            anyhow::Ok(rollups.iter().map(|it| it.quantity).collect::<Vec<_>>())
        };
        ensure!(periods().await? == [200.into(), 1.into()]);
        // What nobody knows any more keeps the rest from being read no more.
        let sql =
            "UPDATE tenancy.usage_rollups SET max = NULL, min = NULL WHERE since < '2026-10-01'";
        sqlx::query(sql)
            .execute(&mut notes.database.admin().await?)
            .await?;
        ensure!(periods().await? == [0.into(), 1.into()]);
        Ok(())
    })
    .await
}

/// What a tenant keeps longer than others is corrected and filled up longer, and once it has no retention of its own, it goes as
/// that of all others.
#[tokio::test]
async fn a_longer_retention_of_one_tenant_holds_for_what_is_corrected() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let usage = counting(notes, at_now()).await?.build();
        let (acme, globex, other) = (notes.acme.id, notes.globex.id, TenantId::new());
        fill(notes, &usage, &[acme, globex, other]).await?;
        let by = Actor::System;
        let others = UsageRetention::default().events(Retention::Days(200));
        let retention = others.clone().events_of_each(move |tenant| match tenant {
            it if it == acme => Some(Retention::Days(350)),
            it if it == globex => Some(Retention::ForGood),
            _ => None,
        });
        // The second time the cut of all others is known before.
        for round in ["1", "2"] {
            usage
                .prune(&notes.system, &retention, &by, "a rule")
                .await?;
            for (tenant, is_kept) in [(acme, true), (globex, true), (other, false)] {
                let days = if round == "1" { 310 } else { 309 };
                let source = UsageBackfill::source_of("old");
                let key = EventKey::new(tenant, source, ago(days).to_string());
                let void = UsageCorrection::void(key, "desk", round).by(by.clone(), "a test");
                let outcome = usage.correct(&[void]).await?;
                let expected = if is_kept {
                    CorrectionOutcome::Applied
                } else {
                    CorrectionOutcome::UnknownEvent
                };
                ensure!(outcome == [expected], "{round}: {outcome:?}");
                let late = fill_up(tenant, round, "tokens", &[(ago(300), 1)]);
                let outcome = usage.backfill(&late).await?;
                if is_kept {
                    ensure!(outcome == applied(1), "{round}: {outcome:?}");
                } else {
                    ensure!(is_too_late(&outcome), "{round}: {outcome:?}");
                }
            }
        }
        ensure!(events(notes, other).await? == 2);
        for tenant in [acme, globex] {
            ensure!(events(notes, tenant).await? == 6);
        }
        usage.prune(&notes.system, &others, &by, "a rule").await?;
        for tenant in [acme, globex] {
            ensure!(events(notes, tenant).await? == 2);
            let late = fill_up(tenant, "3", "tokens", &[(ago(300), 1)]);
            let outcome = usage.backfill(&late).await?;
            ensure!(is_too_late(&outcome), "{outcome:?}");
        }
        // To keep more from now on brings nothing back.
        usage
            .prune(&notes.system, &retention, &by, "a rule")
            .await?;
        for tenant in [acme, globex] {
            let late = fill_up(tenant, "4", "tokens", &[(ago(300), 1)]);
            let outcome = usage.backfill(&late).await?;
            ensure!(is_too_late(&outcome), "{outcome:?}");
        }
        Ok(())
    })
    .await
}

/// A window that ends after the cut stays, and tells the values of its beginning too.
#[tokio::test]
async fn a_window_that_stays_keeps_its_different_values() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let usage = counting(notes, at_now()).await?.build();
        let acme = notes.acme.id;
        // 2026-06-09 and 2026-03-11; the cut is in June.
        let visits = [(ago(220), "ann"), (ago(310), "bob")].map(|(at, who)| {
            UsageEvent::new(acme, "visitors", "", at.to_string(), at).unique_value(who)
        });
        let visits = UsageBackfill::new(acme, "old", "visitors", visits);
        let visits = visits.by(Actor::System, "a test");
        ensure!(usage.backfill(&visits).await? == applied(2));
        let days = Retention::Days(200);
        let retention = UsageRetention::default()
            .events(days)
            .minutes(days)
            .hours(days)
            .days(days)
            .periods(days);
        usage
            .prune(&notes.system, &retention, &Actor::System, "a rule")
            .await?;
        // The June that it is in begins before the cut, and stays.
        let range = Window::new(ago(229), conformance::NOW);
        let june = RollupQuery::each(acme, "visitors", Resolution::Period, range);
        let rollups = usage.rollups(&june).await?;
        let told: Vec<_> = rollups.iter().map(|it| (it.quantity, it.events)).collect();
        ensure!(told == [(1.into(), 1)], "{told:?}");
        let values = sqlx::query_scalar("SELECT value FROM tenancy.usage_values");
        let values: Vec<String> = values.fetch_all(&mut notes.database.admin().await?).await?;
        ensure!(values == ["ann"], "{values:?}");
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
        ensure!(floor == 103 * DAY, "{floor:?}");
        for (retention, names) in [
            (
                UsageRetention::default().events(Retention::Days(102)),
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
            ensure!(told.contains(&names) && told.contains("103 days"), "{told}");
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
        ensure!(windows(notes, acme).await? == [4, 4, 4, 3]);
        // By years it is longer, and so is what is kept by default.
        let yearly = counting(notes, at_now()).await?;
        let yearly = yearly.calendar(UsageCalendar::yearly()).build();
        let (retention, by) = (UsageRetention::default(), Actor::System);
        let year = yearly
            .prune(&notes.system, &retention, &by, "a rule")
            .await?;
        ensure!(year.rows == 0, "{year:?}");
        ensure!(events(notes, acme).await? == 4);
        let short = retention.minutes(Retention::Days(400));
        let refused = yearly.prune(&notes.system, &short, &by, "a rule").await;
        ensure!(refused.is_err_and(|error| error.to_string().contains("773 days")));
        Ok(())
    })
    .await
}
