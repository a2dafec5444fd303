//! Rates in other counters than the database, for all processes together: both stores count, or none.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use sqlx::Executor as _;
use tenancy_core::{
    Cost, MemoryDirectory, Tenancy, Timestamp,
    quota::{
        Algorithm, Concurrency, Counters, CountersError, Counting, LeasedCounters, Limit,
        MemoryCounters, Meter, Operation, OperationId, Period, Quotas, Rate, Settle, Settled,
        Standings, Take, Taken, conformance,
    },
    testing::TestTenant,
};
use tenancy_sqlx::PgCounters;
use tenancy_tests::notes::{Notes, on_every_server};
use tokio::sync::watch;

use crate::{LONG, START, a_tenant, counting, held, month, passes, take, used};

/// Counters of all processes that answer later: when the gate is open, or that they are down.
#[derive(Debug, Clone)]
struct Elsewhere {
    counters: Arc<MemoryCounters>,
    gate: Arc<watch::Sender<bool>>,
    is_down: Arc<AtomicBool>,
}

impl Elsewhere {
    fn new() -> Self {
        Self {
            counters: Arc::new(MemoryCounters::new()),
            gate: Arc::new(watch::channel(true).0),
            is_down: Arc::default(),
        }
    }

    /// What is asked is done at once, and told when the gate is open.
    fn later<T: Send + 'static>(&self, asked: impl FnOnce() -> Counting<T>) -> Counting<T> {
        let answer = (!self.is_down.load(Ordering::SeqCst)).then(asked);
        let mut is_open = self.gate.subscribe();
        Counting::Pending(Box::pin(async move {
            tokio::task::yield_now().await;
            let opened = is_open.wait_for(|is_open| *is_open).await.map(drop);
            opened.map_err(CountersError::unavailable)?;
            match answer {
                Some(answer) => answer.answer().await,
                None => Err(CountersError::unavailable("they are down")),
            }
        }))
    }

    fn open(&self, is_open: bool) {
        self.gate.send_replace(is_open);
    }

    /// How much is used by their own account, once nothing is under way any more.
    async fn comes_to(&self, one: Take<'_>, expected: u64) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let used = used(&*self.counters, one).await?;
            if used == expected {
                return Ok(());
            }
            ensure!(
                began.elapsed() < LONG,
                "{used} of {}, and not {expected}",
                one.limit
            );
            tokio::task::yield_now().await;
        }
    }
}

impl Counters for Elsewhere {
    fn take(&self, operation: Operation, takes: &[Take<'_>], now: Timestamp) -> Counting<Taken> {
        self.later(|| self.counters.take(operation, takes, now))
    }

    fn settle(
        &self,
        operation: Operation,
        settles: &[Settle<'_>],
        now: Timestamp,
    ) -> Counting<Settled> {
        self.later(|| self.counters.settle(operation, settles, now))
    }

    fn renew(
        &self,
        operation: OperationId,
        takes: &[Take<'_>],
        now: Timestamp,
    ) -> Counting<Settled> {
        self.later(|| self.counters.renew(operation, takes, now))
    }

    fn give_back(
        &self,
        operation: OperationId,
        takes: &[Take<'_>],
        now: Timestamp,
    ) -> Counting<Settled> {
        self.later(|| self.counters.give_back(operation, takes, now))
    }

    fn standings(&self, takes: &[Take<'_>], now: Timestamp) -> Counting<Standings> {
        self.later(|| self.counters.standings(takes, now))
    }
}

async fn beside(notes: &Notes, others: &Elsewhere) -> anyhow::Result<PgCounters> {
    Ok(counting(notes).await?.others(others.clone()).build())
}

fn rate(amount: u64) -> anyhow::Result<Algorithm> {
    let rate = Rate::new(amount, Duration::from_secs(3_600), amount)?;
    Ok(Algorithm::Rate(rate))
}

/// Whether a future has no answer yet, once it was asked.
async fn is_pending<F: Future>(mut asked: std::pin::Pin<&mut F>) -> bool {
    std::future::poll_fn(|cx| std::task::Poll::Ready(asked.as_mut().poll(cx).is_pending())).await
}

async fn taken(counters: &PgCounters, takes: &[Take<'_>]) -> Result<Taken, CountersError> {
    counters
        .take(Operation::once(), takes, START)
        .answer()
        .await
}

#[tokio::test]
async fn postgres_beside_others_conforms() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let counters = beside(notes, &Elsewhere::new()).await?;
        conformance::counters(&counters).await;
        conformance::histories(&counters, 6, 300).await;
        counters.close().await;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn rates_hold_for_all_processes_and_periods_survive_others_that_come_back_empty()
-> anyhow::Result<()> {
    on_every_server(async |notes| {
        let others = Elsewhere::new();
        let (first, second) = (beside(notes, &others).await?, beside(notes, &others).await?);
        let acme = a_tenant();
        let requests = Take::new(acme, "requests", rate(10)?, 1);
        let jobs = Concurrency::new(2, Duration::from_secs(60))?;
        let jobs = Take::new(acme, "jobs", Algorithm::Concurrent(jobs), 1);
        let exports = Take::new(acme, "exports", month(10_000)?, 1);
        let projects = Take::new(acme, "projects", held(10)?, 3);
        let mut passed = 0;
        for counters in [&first, &second] {
            for _ in 0..10 {
                let taken = taken(counters, &[requests, exports]).await?;
                passed += u64::from(matches!(taken, Taken::Granted(_)));
            }
        }
        ensure!(passed == 10, "{passed} of a rate of 10 in two processes");
        ensure!(passes(&first, jobs).await? && passes(&second, jobs).await?);
        ensure!(!passes(&first, jobs).await?);
        let project = Operation::once();
        ensure!(take(&first, project, projects).await?.is_some());
        let kept = [Settle::new(projects, 3)];
        first.settle(project, &kept, START).answer().await?;
        first.close().await;
        second.close().await;

        let empty = Elsewhere::new();
        let after = beside(notes, &empty).await?;
        ensure!(used(&after, requests).await? == 0);
        ensure!(used(&after, exports).await? == 10);
        ensure!(used(&after, projects).await? == 3);
        after.close().await;
        Ok(())
    })
    .await
}

/// Of an estimate nobody leases ahead, because its settlement may say another amount.
#[tokio::test]
async fn an_estimate_stays_one_in_others_that_lease() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let store = Arc::new(MemoryCounters::new());
        let leased = LeasedCounters::builder(store.clone()).build();
        let counters = counting(notes).await?.others(leased).build();
        let acme = a_tenant();
        let calls = Take::new(acme, "calls", month(1_000)?, 1);
        for (limit, ahead) in [("requests", true), ("tokens", false)] {
            let one = Take::new(acme, limit, rate(1_000)?, 1);
            let one = if ahead { one } else { one.estimated() };
            for _ in 0..5 {
                let taken = taken(&counters, &[one, calls]).await?;
                ensure!(matches!(taken, Taken::Granted(_)), "{taken:?}");
            }
            let used = used(&*store, one).await?;
            ensure!((used > 5) == ahead, "{used} of `{limit}` were taken for 5");
        }
        counters.close().await;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn where_one_store_refuses_the_other_has_taken_nothing() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let others = Elsewhere::new();
        let counters = beside(notes, &others).await?;
        let acme = a_tenant();
        let requests = Take::new(acme, "requests", rate(5)?, 1);
        let exports = Take::new(acme, "exports", month(3)?, 1);
        let projects = Take::new(acme, "projects", held(8)?, 1);
        let all = [requests, exports, projects];
        for _ in 0..3 {
            ensure!(matches!(taken(&counters, &all).await?, Taken::Granted(_)));
        }
        for _ in 0..5 {
            let Taken::Denied(denied) = taken(&counters, &all).await? else {
                anyhow::bail!("the month is used up");
            };
            ensure!(denied.iter().map(|one| one.take).eq([1]), "{denied:?}");
            // Whoever is told of it finds it given back.
            ensure!(used(&counters, requests).await? == 3);
        }
        let without = [requests, projects];
        for _ in 0..2 {
            ensure!(matches!(
                taken(&counters, &without).await?,
                Taken::Granted(_)
            ));
        }
        let Taken::Denied(denied) = taken(&counters, &all).await? else {
            anyhow::bail!("the rate is used up too");
        };
        ensure!(denied.iter().map(|one| one.take).eq([0, 1]), "{denied:?}");
        ensure!(used(&counters, requests).await? == 5);
        ensure!(used(&counters, exports).await? == 3);
        ensure!(used(&counters, projects).await? == 5);
        counters.close().await;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn where_one_store_does_not_answer_the_other_keeps_nothing() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let others = Elsewhere::new();
        let builder = counting(notes).await?.others(others.clone());
        let counters = builder.answer_within(Duration::from_millis(500)).build();
        let acme = a_tenant();
        let requests = Take::new(acme, "requests", rate(50)?, 1);
        let exports = Take::new(acme, "exports", month(10_000)?, 1);
        let projects = Take::new(acme, "projects", held(8)?, 1);
        // Rows to be locked.
        let patient = counting(notes).await?.build();
        ensure!(passes(&patient, exports).await?);
        let project = Operation::once();
        ensure!(take(&patient, project, projects).await?.is_some());
        let kept = [Settle::new(projects, 1)];
        patient.settle(project, &kept, START).answer().await?;

        others.is_down.store(true, Ordering::SeqCst);
        for takes in [&[requests][..], &[requests, exports], &[requests, projects]] {
            let refused = taken(&counters, takes).await;
            ensure!(
                matches!(refused, Err(CountersError::Unavailable(_))),
                "{refused:?}"
            );
        }
        others.is_down.store(false, Ordering::SeqCst);
        // They do what they are asked, and say so too late.
        others.open(false);
        for takes in [&[requests, exports][..], &[requests, projects]] {
            let refused = taken(&counters, takes).await;
            ensure!(
                matches!(refused, Err(CountersError::Unavailable(_))),
                "{refused:?}"
            );
        }
        ensure!(used(&*others.counters, requests).await? == 2);
        others.open(true);
        others.comes_to(requests, 0).await?;
        // And now the database says nothing.
        let mut admin = notes.database.admin().await?;
        admin
            .execute(
                "BEGIN; SELECT FROM tenancy.quota_counts FOR UPDATE;
                 SELECT FROM tenancy.quota_holdings FOR UPDATE",
            )
            .await?;
        for one in [exports, projects] {
            let refused = taken(&counters, &[requests, one]).await;
            ensure!(
                matches!(refused, Err(CountersError::Unavailable(_))),
                "{refused:?}"
            );
        }
        admin.execute("COMMIT").await?;
        others.comes_to(requests, 0).await?;
        ensure!(used(&patient, exports).await? == 1);
        let later = START + Duration::from_secs(120);
        let left = patient.standings(&[projects], later).answer().await?;
        ensure!(left.iter().all(|one| one.used == 1), "{left:?}");
        counters.close().await;
        patient.close().await;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_is_taken_for_somebody_who_has_gone_is_given_back_by_both() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let others = Elsewhere::new();
        let counters = beside(notes, &others).await?;
        let acme = a_tenant();
        let requests = Take::new(acme, "requests", rate(50)?, 1);
        let exports = Take::new(acme, "exports", month(10_000)?, 1);
        ensure!(matches!(
            taken(&counters, &[requests, exports]).await?,
            Taken::Granted(_)
        ));
        others.open(false);
        {
            let both = [requests, exports];
            let leaving = taken(&counters, &both);
            let mut leaving = std::pin::pin!(leaving);
            for _ in 0..5 {
                ensure!(is_pending(leaving.as_mut()).await);
                tokio::task::yield_now().await;
            }
            ensure!(used(&*others.counters, requests).await? == 2);
        }
        others.open(true);
        others.comes_to(requests, 1).await?;
        ensure!(used(&counters, exports).await? == 1);
        counters.close().await;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_a_client_repeats_counts_once_in_both() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let others = Elsewhere::new();
        let (first, second) = (beside(notes, &others).await?, beside(notes, &others).await?);
        let acme = a_tenant();
        let requests = Take::new(acme, "requests", rate(50)?, 1);
        let exports = Take::new(acme, "exports", month(10_000)?, 1);
        let all = [requests, exports];
        let by_the_client = Operation::repeatable(OperationId::unique());
        for (repetition, counters) in [&first, &second, &first].into_iter().enumerate() {
            let taken = counters.take(by_the_client, &all, START).answer().await?;
            let Taken::Granted(granted) = taken else {
                anyhow::bail!("it is granted again");
            };
            ensure!(granted.repeated == (repetition > 0));
        }
        ensure!(used(&second, requests).await? == 1);
        // What the second has in hand comes back.
        second.close().await;
        ensure!(used(&first, exports).await? == 1);
        // The others come back empty: a repetition is one all the same, and charges nothing.
        let empty = Elsewhere::new();
        let third = beside(notes, &empty).await?;
        let taken = third.take(by_the_client, &all, START).answer().await?;
        ensure!(matches!(taken, Taken::Granted(granted) if granted.repeated));
        ensure!(used(&third, requests).await? == 0);
        third.close().await;
        let back = all.map(|one| Settle::new(one, 0));
        for expected in [Settled::Done, Settled::Repeated] {
            let settled = first.settle(by_the_client, &back, START).answer().await?;
            ensure!(settled == expected, "{settled:?}");
            ensure!(used(&first, requests).await? == 0);
            ensure!(used(&first, exports).await? == 0);
        }
        first.close().await;
        Ok(())
    })
    .await
}

/// A store that does what it is asked before anybody waits for its answer, as `PgCounters` do with periods.
#[tokio::test]
async fn a_commit_that_nobody_waits_for_any_more_counts_once() -> anyhow::Result<()> {
    let others = Elsewhere::new();
    let quotas = Quotas::new()
        .meter(Meter::consumed("tokens"))
        .limit(Limit::per_period("tokens", 100, Period::Month))
        .counters(others.clone());
    let tenancy = Tenancy::builder(MemoryDirectory::new())
        .established_principals()
        .quotas(quotas)
        .build()?;
    let acme = TestTenant::create(&tenancy, "acme").await?;
    let context = tenancy.enter(acme.record().id, "a test").await?;
    let quotas = tenancy.quotas().context("there are quotas")?;
    let costs = [Cost::new("tokens", 10)];
    for (actual, expected) in [(3, 3), (12, 15), (0, 15)] {
        let reserved = quotas.reserve(&context, &costs).await?;
        others.open(false);
        {
            let mut committing = std::pin::pin!(reserved.commit_as(actual));
            ensure!(is_pending(committing.as_mut()).await);
        }
        others.open(true);
        let usage = quotas.usage(&context).await?;
        let used: Vec<_> = usage.iter().map(|limit| limit.standing.used).collect();
        ensure!(used == [expected], "{used:?}, and not {expected}");
    }
    Ok(())
}
