use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use futures_util::future::try_join_all;
use tenancy_core::{
    Project, TenantId,
    quota::{Calendar, Window},
    testing::StoreDirectly as _,
};
use tenancy_tests::{Random, long, notes::on_every_server, seed};
use tenancy_usage::{
    Aggregation, Decimal, EventErrorKind, EventOutcome, MemoryUsage, Resolution, RollupQuery,
    UsageCalendar, UsageEvent, UsageSink, conformance,
};

use super::{at_now, counting, total};

#[tokio::test]
async fn postgres_conforms() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let usage = counting(notes, at_now()).await?.build();
        let tenants = [(); conformance::TENANTS].map(|()| TenantId::new());
        conformance::sink(&usage, &tenants).await;
        usage.close().await?;
        Ok(())
    })
    .await
}

/// Four processes send the same events, each batch several times and by chance, as when answers get lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_several_processes_send_again_counts_once() -> anyhow::Result<()> {
    let seed = seed()?;
    let batches = if long() { 400 } else { 40 };
    on_every_server(async |notes| {
        let tenants = [notes.acme.id, notes.globex.id];
        let mut random = Random::new(seed);
        let events: Vec<Vec<UsageEvent>> = (0..batches)
            .map(|batch| {
                let event = |place: usize| {
                    let tenant = tenants[place % 2];
                    let at = conformance::NOW - Duration::from_secs(random.below(3_600));
                    UsageEvent::new(tenant, "tokens", "process", format!("{batch}-{place}"), at)
                        .quantity(i64::try_from(place).unwrap_or(0))
                };
                (0..50).map(event).collect()
            })
            .collect();
        let events = Arc::new(events);
        let mut tasks = Vec::new();
        for process in 0..4 {
            let usage = counting(notes, at_now()).await?.build();
            let (events, mut random) = (Arc::clone(&events), Random::new(seed + process));
            tasks.push(async move {
                let mut counted = 0;
                for _ in 0..2 {
                    for (place, batch) in events.iter().enumerate() {
                        // Each process leaves out what it likes but its own share, so that the whole is sent.
                        if place as u64 % 4 != process && random.below(2) == 0 {
                            continue;
                        }
                        let mut batch = batch.clone();
                        let turn = usize::try_from(random.below(50))?;
                        batch.rotate_left(turn);
                        let outcomes = usage.record(&batch).await?;
                        counted += outcomes
                            .iter()
                            .filter(|it| **it == EventOutcome::Counted)
                            .count();
                        ensure!(outcomes.iter().all(|it| matches!(
                            it,
                            EventOutcome::Counted | EventOutcome::AlreadyCounted
                        )));
                    }
                }
                usage.close().await?;
                anyhow::Ok(counted)
            });
        }
        let counted: usize = try_join_all(tasks).await?.into_iter().sum();
        ensure!(counted == batches * 50, "{counted} of {}", batches * 50);
        let usage = counting(notes, at_now()).await?.build();
        for (parity, tenant) in tenants.into_iter().enumerate() {
            let of_batch: usize = (0..50).filter(|place| place % 2 == parity).sum();
            let expected = (
                Decimal::from(of_batch * batches),
                u64::try_from(25 * batches)?,
            );
            let told = total(&usage, tenant, "tokens").await?;
            ensure!(told == Some(expected), "{told:?} and not {expected:?}");
        }
        Ok(())
    })
    .await
}

/// Random events of every aggregation by projects, keys and dimensions tell the same as in memory.
#[tokio::test]
async fn postgres_and_memory_tell_the_same() -> anyhow::Result<()> {
    let seed = seed()?;
    let rounds = if long() { 40 } else { 4 };
    on_every_server(async |notes| {
        let usage = counting(notes, at_now()).await?.build();
        for round in 0..rounds {
            let mut random = Random::new(seed.wrapping_add(round));
            let memory = MemoryUsage::new(conformance::meters()).clock(at_now());
            let tenant = TenantId::new();
            let projects = [None, Some(tenancy_core::ProjectId::new())];
            let keys = [None, Some(tenancy_core::KeyId::new())];
            for batch in 0..10 {
                let events: Vec<_> = (0..20)
                    .map(|place| {
                        some_event(
                            &mut random,
                            tenant,
                            projects,
                            keys,
                            format!("{batch}-{place}"),
                        )
                    })
                    .collect::<anyhow::Result<_>>()?;
                let (there, here) = (usage.record(&events).await?, memory.record(&events).await?);
                ensure!(there == here, "round {round}: {there:?} and not {here:?}");
            }
            let day = Duration::from_secs(86_400);
            let all = tenancy_core::quota::Window::new(
                conformance::NOW - 60 * day,
                conformance::NOW + day,
            );
            for meter in conformance::meters().iter() {
                let mut queries = vec![RollupQuery::total(tenant, meter.name(), all)];
                for resolution in Resolution::ALL {
                    let each = RollupQuery::each(tenant, meter.name(), resolution, all);
                    let mut by = each.clone().by_project().by_key();
                    for name in meter.dimensions() {
                        by = by.by_dimension(name);
                    }
                    queries.extend([each, by]);
                }
                for query in queries {
                    let (there, here) =
                        (usage.rollups(&query).await?, memory.rollups(&query).await?);
                    ensure!(
                        there == here,
                        "round {round}, {query:?}: {there:?} and not {here:?}"
                    );
                }
            }
            ensure!(usage.status(tenant).await? == memory.status(tenant).await?);
        }
        Ok(())
    })
    .await
}

fn some_event(
    random: &mut Random,
    tenant: TenantId,
    projects: [Option<tenancy_core::ProjectId>; 2],
    keys: [Option<tenancy_core::KeyId>; 2],
    id: String,
) -> anyhow::Result<UsageEvent> {
    let meters = conformance::meters();
    let meters: Vec<_> = meters.iter().collect();
    let meter = random.one_of(&meters).context("there are meters")?;
    let at = conformance::NOW - Duration::from_secs(random.below(35 * 86_400));
    let mut event = UsageEvent::new(tenant, meter.name(), "suite", id, at);
    match meter.aggregation() {
        Aggregation::Count => {}
        Aggregation::Unique => event = event.unique_value(format!("v{}", random.below(5))),
        _ => {
            let quantity = i64::try_from(random.below(1_000_000)).unwrap_or(0);
            event = event.quantity(Decimal::new(quantity, 3));
        }
    }
    event.project = random.one_of(&projects).copied().flatten();
    event.key = random.one_of(&keys).copied().flatten();
    for name in meter.dimensions() {
        if random.below(2) == 0 {
            event = event.dimension(name, format!("d{}", random.below(3)));
        }
    }
    Ok(event)
}

/// A project of another tenant is refused, and that tenant's usage does not change.
#[tokio::test]
async fn an_event_names_no_project_of_another_tenant() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let project = Project::new(notes.globex.id, "secret".parse()?, "Secret");
        notes.directory.put_project(&project).await?;
        let usage = counting(notes, at_now()).await?.build();
        let event = |tenant, id: &str| {
            UsageEvent::new(tenant, "tokens", "suite", id, conformance::NOW)
                .quantity(5)
                .project(project.id)
        };
        // It is there, and its own tenant may.
        let own = usage.record(&[event(notes.globex.id, "1")]).await?;
        ensure!(own == [EventOutcome::Counted], "{own:?}");
        let outcomes = usage
            .record(&[
                event(notes.acme.id, "1"),
                UsageEvent {
                    project: None,
                    ..event(notes.acme.id, "2")
                },
            ])
            .await?;
        let [EventOutcome::Refused(error), EventOutcome::Counted] = &*outcomes else {
            anyhow::bail!("{outcomes:?}");
        };
        ensure!(error.kind() == EventErrorKind::OfAnotherTenant, "{error}");
        ensure!(total(&usage, notes.globex.id, "tokens").await? == Some((5.into(), 1)));
        ensure!(total(&usage, notes.acme.id, "tokens").await? == Some((5.into(), 1)));
        let status = usage.status(notes.acme.id).await?;
        ensure!((status.counted, status.refused) == (1, 1), "{status:?}");
        Ok(())
    })
    .await
}

/// An event that makes a sum too large is refused, those beside it count, and what there was stays.
#[tokio::test]
async fn a_sum_that_would_be_too_large_keeps_no_other_event_out() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let usage = counting(notes, at_now()).await?.build();
        let acme = notes.acme.id;
        let largest = |id: usize| {
            UsageEvent::new(acme, "tokens", "suite", id.to_string(), conformance::NOW)
                .quantity(UsageEvent::MAX_QUANTITY)
        };
        let mut batch: Vec<_> = (0..72).map(largest).collect();
        batch.push(UsageEvent::new(acme, "requests", "suite", "r", conformance::NOW));
        let outcomes = usage.record(&batch).await?;
        let counted = outcomes.iter().filter(|it| **it == EventOutcome::Counted).count();
        ensure!(counted == 71, "{outcomes:?}");
        let too_large = |it: &EventOutcome| {
            matches!(it, EventOutcome::Refused(error) if error.kind() == EventErrorKind::Overflow)
        };
        ensure!(outcomes.iter().filter(|it| too_large(it)).count() == 2, "{outcomes:?}");
        ensure!(total(&usage, acme, "tokens").await? == Some((UsageEvent::MAX_TOTAL, 70)));
        ensure!(usage.status(acme).await?.refused == 2);
        // What was refused may come again in another period, and is not known.
        let again = usage.record(&[largest(71)]).await?;
        ensure!(again.iter().all(too_large), "{again:?}");
        Ok(())
    })
    .await
}

/// What makes a batch fail in the database keeps no other event out, and what looks alike is told apart.
#[tokio::test]
async fn events_at_the_edge_of_what_the_database_takes_are_counted_or_refused_alone()
-> anyhow::Result<()> {
    on_every_server(async |notes| {
        let usage = counting(notes, at_now()).await?.build();
        let memory = MemoryUsage::new(conformance::meters()).clock(at_now());
        let acme = notes.acme.id;
        let event = |id: &str| UsageEvent::new(acme, "tokens", "suite", id, conformance::NOW);
        let nobodys = tenancy_core::ProjectId::from_uuid(sqlx::types::Uuid::nil());
        let batch = [
            event("1").quantity(1),
            event("2").quantity(2).project(nobodys),
            UsageEvent {
                at: tenancy_core::Timestamp::from_unix_micros(i64::MIN),
                ..event("3")
            },
            UsageEvent {
                at: tenancy_core::Timestamp::from_unix_micros(i64::MAX),
                ..event("4")
            },
            event("5").quantity(4),
        ];
        let (there, here) = (usage.record(&batch).await?, memory.record(&batch).await?);
        ensure!(there == here, "{there:?} and not {here:?}");
        let counted = there.iter().filter(|it| **it == EventOutcome::Counted);
        ensure!(counted.count() == 3, "{there:?}");
        let month = UsageCalendar::monthly().window(acme, Resolution::Period, conformance::NOW);
        let query = RollupQuery::total(acme, "tokens", month).by_project();
        let (there, here) = (usage.rollups(&query).await?, memory.rollups(&query).await?);
        ensure!(
            there == here && there.len() == 2,
            "{there:?} and not {here:?}"
        );
        Ok(())
    })
    .await
}

/// A billing period that begins within a minute has the values of its own events, and no others.
#[tokio::test]
async fn different_values_are_counted_in_the_period_in_which_they_were_seen() -> anyhow::Result<()>
{
    on_every_server(async |notes| {
        let second = Duration::from_secs(1);
        // 4 seconds before the end of a minute.
        let anchor = conformance::NOW - 4 * second;
        let calendar =
            move || UsageCalendar::monthly().of_each(move |_| Calendar::utc().billed_from(anchor));
        let usage = counting(notes, at_now())
            .await?
            .calendar(calendar())
            .build();
        let memory = MemoryUsage::new(conformance::meters())
            .clock(at_now())
            .calendar(calendar());
        let acme = notes.acme.id;
        let seen =
            |id: &str, at| UsageEvent::new(acme, "visitors", "suite", id, at).unique_value("ann");
        let batch = [seen("1", anchor - second), seen("2", anchor + second)];
        ensure!(usage.record(&batch).await? == memory.record(&batch).await?);
        let day = 86_400 * second;
        let all = Window::new(conformance::NOW - 60 * day, conformance::NOW + day);
        let query = RollupQuery::each(acme, "visitors", Resolution::Period, all);
        let (there, here) = (usage.rollups(&query).await?, memory.rollups(&query).await?);
        ensure!(there == here, "{there:?} and not {here:?}");
        let told: Vec<_> = there.iter().map(|one| one.quantity).collect();
        ensure!(told == [Decimal::ONE, Decimal::ONE], "{there:?}");
        Ok(())
    })
    .await
}
