//! Counters that are full, that do not answer, and that answer later.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tenancy_core::{
    Timestamp,
    quota::{
        Counters, CountersError, Counting, MemoryCounters, Operation, OperationId, Settle, Settled,
        Standings, Take, Taken,
    },
};

use super::{alice, ask, book, charge, charge_for, costs, meters, told, used, world};

/// Counters that answer after a turn of the runtime, as long as they are up.
#[derive(Debug, Default, Clone)]
pub(super) struct Remote {
    pub(super) counters: Arc<MemoryCounters>,
    pub(super) is_down: Arc<AtomicBool>,
}

impl Remote {
    fn later<T: Send + 'static>(&self, asked: impl FnOnce() -> Counting<T>) -> Counting<T> {
        let is_down = self.is_down.load(Ordering::SeqCst);
        let answer = (!is_down).then(asked);
        Counting::Pending(Box::pin(async move {
            tokio::task::yield_now().await;
            match answer {
                Some(answer) => answer.answer().await,
                None => Err(CountersError::unavailable("the connection was refused")),
            }
        }))
    }
}

impl Counters for Remote {
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

#[tokio::test]
async fn counters_that_do_not_answer_admit_nobody() {
    let remote = Remote::default();
    let w = world(book(), meters().counters(remote.clone())).await;
    let context = alice(&w).await;
    ask(&w, &context, &[("requests", 1)]).await.unwrap();
    remote.is_down.store(true, Ordering::SeqCst);
    let (status, reason, wait, body) =
        told(ask(&w, &context, &[("requests", 1)]).await.unwrap_err());
    assert_eq!(
        (status, reason, wait),
        (503, "counters-unavailable", Some(1))
    );
    assert!(!body.to_string().contains("refused"), "{body}");
    let quotas = w.tenancy.quotas().unwrap();
    assert!(quotas.usage(&context).await.is_err());
    assert!(
        quotas
            .reserve(&context, &costs(&[("jobs", 1)]))
            .await
            .is_err()
    );
    remote.is_down.store(false, Ordering::SeqCst);
    ask(&w, &context, &[("requests", 1)]).await.unwrap();
}

#[tokio::test]
async fn counters_that_answer_later_decide_the_same() {
    let w = world(book(), meters().counters(Remote::default())).await;
    let context = alice(&w).await;
    let running = charge(&w, &context, &[("jobs", 1), ("exports", 3)])
        .await
        .unwrap();
    assert_eq!(
        told(ask(&w, &context, &[("jobs", 1)]).await.unwrap_err()).0,
        429
    );
    assert_eq!(
        told(ask(&w, &context, &[("exports", 1)]).await.unwrap_err()).0,
        402
    );
    drop(running);
    // Settled by a task.
    tokio::task::yield_now().await;
    tokio::task::yield_now().await;
    assert_eq!(used(&w, &context, "jobs-at-once").await, 0);
    assert_eq!(used(&w, &context, "exports-monthly").await, 3);
}

#[tokio::test]
async fn where_there_is_no_room_for_a_counter_callers_are_told_to_come_back() {
    let counters = MemoryCounters::with_capacity(1);
    let w = world(book(), meters().counters(counters)).await;
    let context = alice(&w).await;
    ask(&w, &context, &[("exports", 1)]).await.unwrap();
    let (status, reason, wait, _) = told(ask(&w, &context, &[("requests", 1)]).await.unwrap_err());
    assert_eq!((status, reason, wait), (503, "counters-full", Some(1)));
    ask(&w, &context, &[("exports", 1)]).await.unwrap();
}

#[tokio::test]
async fn two_engines_that_share_counters_share_limits() {
    let counters: Arc<dyn Counters> = Arc::new(MemoryCounters::new());
    let w = world(book(), meters().shared_counters(Arc::clone(&counters))).await;
    let context = alice(&w).await;
    ask(&w, &context, &[("exports", 3)]).await.unwrap();
    let second = tenancy_core::Tenancy::builder(w.directory.clone())
        .authenticator(
            tenancy_core::jwt::JwtAuthenticator::builder(crate::support::ISSUER, "notes")
                .key(crate::support::key())
                .build()
                .unwrap(),
        )
        .identification(tenancy_core::Identification::new().subdomains_of("notes.example"))
        .plans(book())
        .quotas(meters().shared_counters(counters))
        .build()
        .unwrap();
    let entered = second.enter(w.acme.id, "a test").await.unwrap();
    let refused = second
        .quotas()
        .unwrap()
        .reserve(&entered, &costs(&[("exports", 1)]))
        .await;
    assert_eq!(told(refused.unwrap_err()).0, 402);
}

/// One for what is due, one for what is asked of the counters, one for the settlement.
#[tokio::test]
async fn a_charge_of_known_counters_takes_three_allocations() {
    let w = world(book(), meters()).await;
    let admitted = tenancy_core::Admitted::Tenant(alice(&w).await);
    let request = tenancy_core::testing::FakeRequest::new("/notes");
    let costs = costs(&[("requests", 1)]);
    for round in 0..3 {
        let mut charging = None;
        let counted = allocation_counter::measure(|| {
            charging = Some(w.tenancy.charge(&admitted, &costs, &request));
        });
        assert!(matches!(
            charging,
            Some(tenancy_core::Charging::Ready(Ok(_)))
        ));
        assert!(round == 0 || counted.count_total <= 3, "{counted:?}");
    }
}

/// Lets a future begin, and drops it before it has ended.
async fn give_up<T>(doing: impl Future<Output = T>) {
    tokio::select! {
        biased;
        _ = doing => panic!("the store answers later"),
        () = std::future::ready(()) => {}
    }
}

#[tokio::test]
async fn what_a_store_takes_for_somebody_who_has_gone_is_given_back() {
    let with_ids = || meters().idempotency_key_header("idempotency-key");
    let remote = Remote::default();
    let w = world(book(), with_ids().counters(remote.clone())).await;
    let context = alice(&w).await;
    let quotas = w.tenancy.quotas().unwrap();
    give_up(quotas.reserve(&context, &costs(&[("projects", 2)]))).await;
    give_up(ask(&w, &context, &[("exports", 3)])).await;
    assert!(remote.counters.len() >= 2, "both were taken");
    // By a task, which asks and then settles.
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert_eq!(used(&w, &context, "projects-held").await, 0);
    assert_eq!(used(&w, &context, "exports-monthly").await, 0);
    // What the client has an id for is paid once, and its repetition goes on with it.
    let admitted = tenancy_core::Admitted::Tenant(context.clone());
    let request = tenancy_core::testing::FakeRequest::new("/a").header("idempotency-key", "1");
    give_up(charge_for(&w, &admitted, &request, &[("exports", 3)])).await;
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    let again = charge_for(&w, &admitted, &request, &[("exports", 3)]).await;
    assert!(again.unwrap().into_parts().1.is_none());
    assert_eq!(used(&w, &context, "exports-monthly").await, 3);
}
