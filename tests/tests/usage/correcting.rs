//! Corrections and backfills in PostgreSQL: applied once, told in the trail, and of one tenant alone.

use std::{slice::from_ref, time::Duration};

use anyhow::{Context as _, ensure};
use futures_util::future::try_join_all;
use sqlx::Executor as _;
use tenancy_core::{
    Actor, OperatorId, TenantId, Timestamp,
    quota::{Calendar, Period, Window},
};
use tenancy_sqlx::{PgUsage, TenantPoolOptions};
use tenancy_tests::notes::{Notes, on_every_server, sqlstate};
use tenancy_usage::{
    BackfillOutcome, CorrectionOutcome, MemoryUsage, RevertOutcome, UsageBackfill,
    UsageBackfills as _, UsageCorrection, UsageEvent, UsageSink, conformance,
    invoice::{DraftInvoice, LineKind, Rating},
    price::{MeterPrice, PlanPrices, PriceBook, PriceVersion, Tier},
};

use tokio::task::JoinHandle;

use super::{at_now, counting, total};

#[tokio::test]
async fn postgres_takes_backfills() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let usage = counting(notes, at_now()).await?.build();
        let tenants = [(); conformance::FILLED_TENANTS].map(|()| TenantId::new());
        conformance::backfills(&usage, &tenants).await;
        Ok(())
    })
    .await
}

fn tokens(tenant: TenantId, id: &str, at: Timestamp, quantity: i64) -> UsageEvent {
    UsageEvent::new(tenant, "tokens", "suite", id, at).quantity(quantity)
}

/// Each correction and each backfill is one entry of the trail of its tenant, with who did it and why.
#[tokio::test]
async fn what_is_corrected_is_told_in_the_trail() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let usage = counting(notes, at_now()).await?.build();
        let (acme, globex) = (notes.acme.id, notes.globex.id);
        let operator = Actor::Operator(OperatorId::new());
        let event = tokens(acme, "1", conformance::NOW, 7);
        let other = tokens(globex, "1", conformance::NOW, 9);
        usage.record(&[event.clone(), other]).await?;
        let void = UsageCorrection::void(event.event_key(), "desk", "1");
        let void = void.by(operator.clone(), "counted twice");
        for expected in [CorrectionOutcome::Applied, CorrectionOutcome::AlreadyApplied] {
            ensure!(usage.correct(from_ref(&void)).await? == [expected]);
        }
        let long_ago = conformance::NOW - Duration::from_secs(60 * 86_400);
        let old = UsageBackfill::new(acme, "june", "tokens", [tokens(acme, "2", long_ago, 3)]);
        let old = old.by(operator.clone(), "an outage");
        let applied = BackfillOutcome::Applied { added: 1, voided: 0 };
        ensure!(usage.backfill(&old).await? == applied);
        ensure!(usage.backfill(&old).await? == BackfillOutcome::AlreadyApplied);
        let reverted = usage.revert_backfill(acme, "june", &operator, "it was globex");
        let told = RevertOutcome::Reverted { voided: 1, restored: 0 };
        ensure!(reverted.await? == told);

        let entries: Vec<(String, Option<sqlx::types::Uuid>, Option<String>)> = sqlx::query_as(
            "SELECT action, actor_id, reason FROM tenancy.audit_trail
             WHERE tenant_id = $1 AND action LIKE 'usage.%' AND actor_kind = 'operator' ORDER BY id",
        )
        .bind(acme.as_uuid())
        .fetch_all(&mut notes.database.admin().await?)
        .await?;
        let by = operator.id();
        let expected = [
            ("usage.correct", "counted twice"),
            ("usage.backfill", "an outage"),
            ("usage.revert", "it was globex"),
        ];
        let expected =
            expected.map(|(action, why)| (action.to_owned(), by, Some(why.to_owned())));
        ensure!(entries == expected, "{entries:?}");
        ensure!(total(&usage, globex, "tokens").await? == Some((9.into(), 1)));
        // Operators read the same through the system login.
        let read = PgUsage::of_operators(&notes.system, conformance::meters()).build();
        ensure!(total(&read, globex, "tokens").await? == Some((9.into(), 1)));
        let corrections = read.list_corrections(acme, 0, 10).await?;
        ensure!(corrections.len() == 2, "{corrections:?}");
        ensure!(corrections == usage.list_corrections(acme, 0, 10).await?);
        let backfills = read.list_backfills(acme, 0, 10).await?;
        ensure!(backfills.len() == 1, "{backfills:?}");
        ensure!(backfills == usage.list_backfills(acme, 0, 10).await?);
        Ok(())
    })
    .await
}

/// Several processes correct the same events at once, while others record into the same windows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_correct_at_once_lose_no_update() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let acme = notes.acme.id;
        let usage = counting(notes, at_now()).await?.build();
        let at = conformance::NOW - Duration::from_secs(30);
        let event = move |meter: &str, id: String| UsageEvent::new(acme, meter, "suite", id, at);
        let begin: Vec<_> = (0..40_i64)
            .flat_map(|place| {
                [
                    event("tokens", format!("t-{place}")).quantity(1),
                    event("connections", format!("c-{place}")).quantity(1_000 + place),
                    event("visitors", format!("v-{place}")).unique_value(format!("{}", place % 3)),
                ]
            })
            .collect();
        usage.record(&begin).await?;
        let mut tasks = Vec::new();
        for process in 0..3_i64 {
            let usage = counting(notes, at_now()).await?.build();
            let begin = begin.clone();
            tasks.push(tokio::spawn(async move {
                let mut applied = 0;
                for (place, one) in begin.iter().enumerate() {
                    // All correct the same, in an order of their own.
                    let one = begin
                        .get((place * 7 + 40 * process.unsigned_abs() as usize) % begin.len())
                        .unwrap_or(one);
                    let void = UsageCorrection::void(one.event_key(), "suite", one.id.clone());
                    let void = void.by(Actor::System, "a test");
                    let outcomes = usage.correct(&[void]).await?;
                    applied += usize::from(outcomes == [CorrectionOutcome::Applied]);
                    let id = format!("{process}-{place}");
                    let (value, quantity) = (format!("{}", place % 3), i64::try_from(place)?);
                    usage
                        .record(&[
                            event("tokens", format!("u-{id}")).quantity(2),
                            event("connections", format!("d-{id}")).quantity(quantity),
                            event("visitors", format!("w-{id}")).unique_value(value),
                        ])
                        .await?;
                }
                anyhow::Ok(applied)
            }));
        }
        let mut applied = 0;
        for task in try_join_all(tasks).await? {
            applied += task?;
        }
        ensure!(applied == begin.len(), "{applied} of {}", begin.len());
        for (meter, quantity) in [("tokens", 720), ("connections", 119), ("visitors", 3)] {
            let told = total(&usage, acme, meter).await?;
            ensure!(told == Some((quantity.into(), 360)), "{meter}: {told:?}");
        }
        Ok(())
    })
    .await
}

/// Until a task waits for a lock of the database; an error if it ends before.
async fn waits<T>(notes: &Notes, task: &JoinHandle<T>) -> anyhow::Result<()> {
    let mut admin = notes.database.admin().await?;
    loop {
        let waits: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM pg_stat_activity
             WHERE datname = current_database() AND wait_event_type = 'Lock')",
        )
        .fetch_one(&mut admin)
        .await?;
        if waits {
            return Ok(());
        }
        ensure!(!task.is_finished(), "it did not wait");
        tokio::task::yield_now().await;
    }
}

/// Corrections of one tenant are numbered in the order in which they become visible, because they wait for each other. Those of
/// another tenant don't wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn corrections_of_one_tenant_wait_for_each_other() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let usage = counting(notes, at_now()).await?.build();
        let (acme, globex) = (notes.acme.id, notes.globex.id);
        let at = conformance::NOW;
        let (own, theirs) = (tokens(acme, "1", at, 7), tokens(globex, "1", at, 9));
        usage.record(&[own.clone(), theirs.clone()]).await?;
        let void = |event: &UsageEvent| {
            let void = UsageCorrection::void(event.event_key(), "desk", "1");
            void.by(Actor::System, "a test")
        };
        let mut admin = notes.database.admin().await?;
        let mut first = sqlx::Connection::begin(&mut admin).await?;
        // Of no event that anybody has.
        let sql =
            "SELECT tenancy.find_corrected_usage($1, gen_random_uuid(), 'none', 'none', '{}')";
        let begun = sqlx::query(sql).bind(acme.as_uuid());
        begun.execute(&mut *first).await?;
        let second = tokio::spawn({
            let (usage, void) = (usage.clone(), void(&own));
            async move { usage.correct(&[void]).await }
        });
        waits(notes, &second).await?;
        ensure!(usage.correct(&[void(&theirs)]).await? == [CorrectionOutcome::Applied]);
        first.rollback().await?;
        ensure!(second.await?? == [CorrectionOutcome::Applied]);
        Ok(())
    })
    .await
}

/// What comes while a backfill locks what it replaces counts beside it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backfill_voids_what_it_has_locked_and_nothing_else() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let usage = counting(notes, at_now()).await?.build();
        let acme = notes.acme.id;
        let at = conformance::NOW - Duration::from_secs(90);
        usage.record(&[tokens(acme, "1", at, 7)]).await?;
        let mut admin = notes.database.admin().await?;
        let mut holding = sqlx::Connection::begin(&mut admin).await?;
        let locked = sqlx::query("SELECT FROM tenancy.usage_keys WHERE tenant_id = $1 FOR UPDATE")
            .bind(acme.as_uuid())
            .execute(&mut *holding)
            .await?;
        ensure!(locked.rows_affected() == 1);
        let range = Window::new(
            conformance::NOW - Duration::from_secs(120),
            conformance::NOW,
        );
        let replacing = UsageBackfill::new(acme, "day", "tokens", [tokens(acme, "2", at, 100)])
            .replacing(range)
            .by(Actor::System, "a test");
        let filling = tokio::spawn({
            let usage = usage.clone();
            async move { usage.backfill(&replacing).await }
        });
        waits(notes, &filling).await?;
        usage.record(&[tokens(acme, "3", at, 1)]).await?;
        holding.rollback().await?;
        let told = BackfillOutcome::Applied {
            added: 1,
            voided: 1,
        };
        ensure!(filling.await?? == told);
        ensure!(total(&usage, acme, "tokens").await? == Some((101.into(), 2)));
        Ok(())
    })
    .await
}

/// The login of the service corrects nothing, and a correction of another tenant's event changes nothing of either.
#[tokio::test]
async fn nobody_corrects_across_tenants_or_by_the_services_login() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let usage = counting(notes, at_now()).await?.build();
        let (acme, globex) = (notes.acme.id, notes.globex.id);
        let (own, theirs) = (
            tokens(acme, "own", conformance::NOW, 7),
            tokens(globex, "theirs", conformance::NOW, 9),
        );
        usage.record(&[own, theirs.clone()]).await?;
        ensure!(total(&usage, globex, "tokens").await? == Some((9.into(), 1)));
        let mut key = theirs.event_key();
        key.tenant = acme;
        let void = UsageCorrection::void(key, "desk", "1").by(Actor::System, "a test");
        ensure!(usage.correct(&[void]).await? == [CorrectionOutcome::UnknownEvent]);
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        for sql in [
            "SELECT tenancy.find_corrected_usage(gen_random_uuid(), gen_random_uuid(), '', '', '{}')",
            "SELECT tenancy.revert_usage(gen_random_uuid(), '', '{}', '', '', '{}')",
            "SELECT tenancy.tell_usage(gen_random_uuid(), '', '{}', '{}')",
            "SELECT tenancy.prune_usage('events', now(), NULL, '{}', 1, '{}')",
            "SELECT count(*) FROM tenancy.usage_corrections",
            "SELECT count(*) FROM tenancy.usage_backfills",
            "UPDATE tenancy.usage_rollups SET sum = 0",
        ] {
            let mut tx = pool.begin(&notes.context(&notes.acme)).await?;
            ensure!(sqlstate(tx.execute(sql).await) == "42501", "{sql}");
        }
        ensure!(total(&usage, globex, "tokens").await? == Some((9.into(), 1)));
        ensure!(total(&usage, acme, "tokens").await? == Some((7.into(), 1)));
        Ok(())
    })
    .await
}

/// A sum that a correction would make too large is refused, and nothing of it stays.
#[tokio::test]
async fn a_correction_that_makes_a_sum_too_large_is_refused() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let usage = counting(notes, at_now()).await?.build();
        let memory = MemoryUsage::new(conformance::meters()).clock(at_now());
        let acme = notes.acme.id;
        let mut events: Vec<_> = (0..70)
            .map(|id| {
                let event = tokens(acme, &id.to_string(), conformance::NOW, 0);
                event.quantity(UsageEvent::MAX_QUANTITY)
            })
            .collect();
        events.push(tokens(acme, "small", conformance::NOW, 0));
        let small = events.last().context("there is one")?.event_key();
        let amend = UsageCorrection::amend(small, 1, "desk", "1").by(Actor::System, "a test");
        for sink in [&usage as &dyn UsageSink, &memory] {
            sink.record(&events).await?;
            let outcomes = sink.correct(from_ref(&amend)).await?;
            ensure!(
                matches!(&*outcomes, [CorrectionOutcome::Refused(_)]),
                "{outcomes:?}"
            );
            ensure!(total(sink, acme, "tokens").await? == Some((UsageEvent::MAX_TOTAL, 71)));
        }
        ensure!(usage.list_corrections(acme, 0, 10).await?.is_empty());
        Ok(())
    })
    .await
}

/// A correction of a period that is closed comes out as an adjustment of the next one, through the tiers.
#[tokio::test]
async fn a_correction_of_a_closed_period_is_an_adjustment_of_the_next() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let usage = counting(notes, at_now()).await?.build();
        let acme = notes.acme.id;
        let tiers = [Tier::up_to(100, 1), Tier::rest(2)];
        let plan = PlanPrices::new("pro").price(MeterPrice::graduated("tokens", tiers));
        let version = PriceVersion::new("first", Timestamp::EPOCH).plan(plan);
        let book = PriceBook::builder("EUR")
            .version(version)
            .build(&conformance::meters())?;
        let month = Calendar::utc().window(Period::Month, conformance::NOW);
        let in_before = month.start - Duration::from_secs(86_400);
        let before = Calendar::utc().window(Period::Month, in_before);
        let first = tokens(acme, "1", in_before, 90);
        let second = tokens(acme, "2", in_before, 60);
        let current = tokens(acme, "3", conformance::NOW, 10);
        usage
            .record(&[first.clone(), second.clone(), current])
            .await?;

        let billed = rated(notes, &usage, &book, before, None).await?;
        ensure!(billed.total().to_string() == "200.00", "{}", billed.total());
        let corrections = [
            UsageCorrection::amend(first.event_key(), 30, "desk", "1"),
            UsageCorrection::void(second.event_key(), "desk", "2"),
        ];
        let corrections = corrections.map(|it| it.by(Actor::System, "counted twice"));
        let outcomes = usage.correct(&corrections).await?;
        ensure!(
            outcomes == [const { CorrectionOutcome::Applied }; 2],
            "{outcomes:?}"
        );
        let again = rated(notes, &usage, &book, before, None).await?;
        ensure!(again.total().to_string() == "30.00", "{}", again.total());
        let next = rated(notes, &usage, &book, month, Some((&billed, &again))).await?;
        let told: Vec<_> = next
            .lines
            .iter()
            .map(|line| (line.kind, line.amount.to_string()))
            .collect();
        let expected = [
            (LineKind::Usage, "10.00".to_owned()),
            (LineKind::Adjustment, "-170.00".to_owned()),
        ];
        ensure!(told == expected, "{told:?}");
        Ok(())
    })
    .await
}

async fn rated(
    notes: &Notes,
    usage: &PgUsage,
    book: &PriceBook,
    period: Window,
    adjusted: Option<(&DraftInvoice, &DraftInvoice)>,
) -> anyhow::Result<DraftInvoice> {
    let acme = notes.acme.id;
    let mut rating = Rating::new(book, acme, period);
    for segment in book.segments(period, "pro", &[]) {
        let mut rollups = Vec::new();
        for query in book.queries(acme, period, &segment) {
            rollups.extend(usage.rollups(&query).await?);
        }
        rating = rating.segment(segment, rollups);
    }
    if let Some((before, after)) = adjusted {
        rating = rating.adjust(before, after);
    }
    Ok(rating.rate()?)
}
