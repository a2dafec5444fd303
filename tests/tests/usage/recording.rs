//! Usage that a process adds up: nothing is lost or counted twice while answers get lost, and all is its tenant's.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::ensure;
use async_trait::async_trait;
use tenancy_core::{ConfigError, TenantId};
use tenancy_sqlx::PgUsage;
use tenancy_tests::{
    Server, Version,
    notes::{Notes, on_every_server, seal_of_the_run},
};
use tenancy_usage::{
    EventErrorKind, EventOutcome, Rollup, RollupQuery, UsageError, UsageEvent, UsageRecorder,
    UsageSink, UsageStatus, conformance,
};

use super::{at_now, counting, total};

/// Loses every fifth answer after the database has committed, and every seventh batch before it is sent.
#[derive(Debug)]
struct Losing {
    sink: PgUsage,
    calls: AtomicU64,
    lost: AtomicU64,
}

#[async_trait]
impl UsageSink for Losing {
    async fn record(&self, events: &[UsageEvent]) -> Result<Vec<EventOutcome>, UsageError> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        if call % 7 == 6 {
            return Err(UsageError::unavailable("the batch got lost"));
        }
        let outcomes = self.sink.record(events).await?;
        if call % 5 == 4 {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return Err(UsageError::unavailable("the answer got lost"));
        }
        Ok(outcomes)
    }

    async fn rollups(&self, query: &RollupQuery) -> Result<Vec<Rollup>, UsageError> {
        self.sink.rollups(query).await
    }

    async fn status(&self, tenant: TenantId) -> Result<UsageStatus, UsageError> {
        self.sink.status(tenant).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_recorded_is_what_is_counted_while_answers_get_lost() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let clock = at_now();
        let sink = Arc::new(Losing {
            sink: counting(notes, clock.clone()).await?.build(),
            calls: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        });
        let recorder = UsageRecorder::builder(sink.clone(), conformance::meters())
            .clock(clock.clone())
            .flush_each(Duration::from_millis(2))
            .build();
        let requests = recorder.series("requests", [("route", "/notes")])?;
        let tokens = recorder.series("tokens", [])?;
        let mut tasks = Vec::new();
        for (tenant, amount) in [(&notes.acme, 3_u64), (&notes.globex, 5)] {
            let context = notes.context(tenant);
            for _ in 0..2 {
                let (recorder, requests, tokens) =
                    (recorder.clone(), requests.clone(), tokens.clone());
                let (context, clock) = (context.clone(), clock.clone());
                tasks.push(tokio::spawn(async move {
                    for turn in 0..5_000 {
                        requests.record(&context, 1)?;
                        tokens.record(&context, amount)?;
                        if turn % 50 == 0 {
                            clock.advance(Duration::from_millis(1));
                            tokio::task::yield_now().await;
                        }
                        // However fast this is, there are answers to lose; what a lost one was about is sent again.
                        if turn % 500 == 0 {
                            drop(recorder.flush().await);
                        }
                    }
                    Ok::<_, tenancy_usage::EventError>(())
                }));
            }
        }
        for task in tasks {
            task.await??;
        }
        recorder.close(Duration::from_secs(60)).await?;
        ensure!(sink.lost.load(Ordering::Relaxed) > 0, "no answer got lost");
        ensure!((recorder.dropped(), recorder.uncounted()) == (0, 0));
        for (tenant, amount) in [(&notes.acme, 30_000), (&notes.globex, 50_000)] {
            let told = total(&*sink, tenant.id, "requests").await?;
            ensure!(told == Some((10_000.into(), 10_000)), "{told:?}");
            let told = total(&*sink, tenant.id, "tokens").await?;
            ensure!(told == Some((amount.into(), 10_000)), "{told:?}");
        }
        Ok(())
    })
    .await
}

/// The server is killed while usage is sent, several times, and comes back: each recording counts once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_recorded_is_what_is_counted_though_the_server_is_killed() -> anyhow::Result<()> {
    for version in [Version::Default, Version::V18] {
        let Some(server) = Server::fresh_or_skip(version, "synchronous_commit = on").await? else {
            continue;
        };
        let clock = at_now();
        let seal = seal_of_the_run()?;
        let notes = Notes::start_sealed(&server, seal, clock.clone(), |builder| builder).await?;
        let usage = Arc::new(counting(&notes, clock.clone()).await?.build());
        let recorder = UsageRecorder::builder(usage.clone(), conformance::meters())
            .clock(clock.clone())
            .flush_each(Duration::from_millis(2))
            .build();
        let tokens = recorder.series("tokens", [])?;
        let (acme, globex) = (notes.context(&notes.acme), notes.context(&notes.globex));
        let record = async |times: u32| {
            for _ in 0..times {
                tokens.record(&acme, 3_u64)?;
                tokens.record(&globex, 5_u64)?;
                // Another minute is another event.
                clock.advance(Duration::from_secs(1));
                tokio::task::yield_now().await;
            }
            Ok::<_, tenancy_usage::EventError>(())
        };
        for _ in 0..3 {
            record(200).await?;
            let (crashed, _) = tokio::join!(server.crash(), recorder.flush());
            crashed?;
            record(200).await?;
            ensure!(recorder.flush().await.is_err(), "there is no server");
            server.start_again().await?;
        }
        recorder.close(Duration::from_secs(60)).await?;
        ensure!((recorder.dropped(), recorder.uncounted()) == (0, 0));
        for (tenant, amount) in [(&notes.acme, 3_600), (&notes.globex, 6_000)] {
            let told = total(&*usage, tenant.id, "tokens").await?;
            ensure!(told == Some((amount.into(), 1_200)), "{told:?}");
        }
        usage.close().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_mistake_shows_at_the_start_or_at_the_recording() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let sink = Arc::new(counting(notes, at_now()).await?.build());
        let recorder = UsageRecorder::builder(sink, conformance::meters())
            .flush_each(Duration::from_secs(3_600))
            .clock(at_now())
            .capacity(4)
            .build();
        let refused = |told: Result<_, ConfigError>| told.err().map(|error| error.to_string());
        for (told, names) in [
            (
                refused(recorder.series("undeclared", []).map(drop)),
                "`undeclared`",
            ),
            (
                refused(recorder.series("tokens", [("route", "/")]).map(drop)),
                "`route`",
            ),
            (
                refused(recorder.series("tokens", [("model", "")]).map(drop)),
                "`model`",
            ),
        ] {
            ensure!(
                told.as_deref().is_some_and(|told| told.contains(names)),
                "{told:?}"
            );
        }
        let context = notes.context(&notes.acme);
        let (tokens, visitors) = (
            recorder.series("tokens", [])?,
            recorder.series("visitors", [])?,
        );
        let requests = recorder.series("requests", []);
        ensure!(requests.is_err(), "there is room for two series");
        let kind =
            |told: Result<(), tenancy_usage::EventError>| told.err().map(|error| error.kind());
        ensure!(kind(tokens.record(&context, -1)) == Some(EventErrorKind::NegativeQuantity));
        ensure!(kind(tokens.record(&context, i64::MAX)) == Some(EventErrorKind::Overflow));
        ensure!(kind(visitors.record(&context, 1)) == Some(EventErrorKind::Misfit));
        ensure!(kind(tokens.record_value(&context, "v")) == Some(EventErrorKind::Misfit));
        for value in ["a", "b", "a", "c", "d"] {
            visitors.record_value(&context, value)?;
        }
        ensure!(kind(visitors.record_value(&context, "e")) == Some(EventErrorKind::NoRoom));
        ensure!(recorder.dropped() == 1);
        // What there is goes on, and there is room again after it was sent.
        visitors.record_value(&context, "a")?;
        recorder.flush().await?;
        visitors.record_value(&context, "e")?;
        recorder.close(Duration::from_secs(60)).await?;
        drop(recorder);
        ensure!(kind(tokens.record(&context, 1)) == Some(EventErrorKind::NoRoom));
        Ok(())
    })
    .await
}
