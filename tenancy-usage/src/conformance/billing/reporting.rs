//! Reports: none is lost, and none is sent under two ids.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use futures_util::future::join_all;
use tenancy_core::{ManualClock, TenantId};

use super::{super::NOW, refused};
use crate::billing::{
    BillingError, BillingProvider, BillingStore, BillingStoreErrorKind, Customer, CustomerId,
    QueueOutcome, ReportOutcome, ReportStore, StuckReport, UsageReport, report_due,
};

/// A billing system that counts how often it was sent each id, and whose answers get lost.
#[derive(Debug, Default)]
struct Counting {
    sent: Mutex<BTreeMap<Box<str>, u32>>,
    loses_answers: bool,
}

impl Counting {
    fn sent(&self) -> BTreeMap<Box<str>, u32> {
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.clone()
    }
}

#[async_trait]
impl BillingProvider for Counting {
    async fn upsert_customer(&self, customer: &Customer) -> Result<CustomerId, BillingError> {
        Ok(CustomerId::new(customer.tenant.to_string()))
    }

    async fn report_usage(
        &self,
        reports: &[UsageReport],
    ) -> Result<Vec<ReportOutcome>, BillingError> {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let outcomes = reports.iter().map(|report| {
            let times = sent.entry(report.id.clone()).or_default();
            *times += 1;
            match *times {
                _ if *report.meter == *"refused" => ReportOutcome::Refused("whole numbers".into()),
                1 => ReportOutcome::Taken,
                _ => ReportOutcome::AlreadyTaken,
            }
        });
        let outcomes = outcomes.collect();
        if self.loses_answers {
            return Err(BillingError::unavailable("the answer got lost"));
        }
        Ok(outcomes)
    }
}

/// A report is queued once, sent until there is an answer, and then no more; what is refused or in doubt waits for somebody.
pub async fn a_report_is_sent_until_it_is_answered(
    store: &dyn BillingStore,
    clock: &ManualClock,
    [acme, globex]: [TenantId; 2],
) {
    let name = format!("reports-{acme}");
    let [of_acme, of_globex] = [acme, globex].map(|it| CustomerId::new(it.to_string()));
    for (tenant, customer) in [(acme, &of_acme), (globex, &of_globex)] {
        store.bind_customer(tenant, &name, customer).await.unwrap();
    }
    let report = |customer: &CustomerId, meter: &str, id: &str| {
        UsageReport::new(customer.clone(), meter, 7, NOW, id)
    };
    let queue = async |tenant, reports: &[UsageReport]| {
        store.queue_reports(tenant, &name, reports).await.unwrap()
    };
    let first = report(&of_acme, "tokens", "1");
    let other = UsageReport {
        quantity: 8.into(),
        ..first.clone()
    };
    let (queued, known) = (QueueOutcome::Queued, QueueOutcome::AlreadyQueued);
    assert_eq!(
        queue(acme, &[first.clone(), first.clone(), other]).await,
        [queued, known, QueueOutcome::Conflict]
    );
    // No tenant's usage is billed to another, and no id is two tenants'.
    assert_eq!(
        queue(
            globex,
            &[
                report(&of_acme, "tokens", "2"),
                report(&of_globex, "tokens", "1")
            ]
        )
        .await,
        [QueueOutcome::UnknownCustomer, QueueOutcome::Conflict]
    );
    let bad = report(&of_acme, "tokens", "a\0b");
    let bad = store.queue_reports(acme, &name, &[bad]).await;
    refused(bad, BillingStoreErrorKind::Refused, "a report");

    // The answer gets lost: the report is held for a while, and then sent again under its id.
    let lossy = Counting {
        loses_answers: true,
        ..Counting::default()
    };
    let run = report_due(store, &name, &lossy, 10).await.unwrap();
    assert!(run.unknown.is_some(), "{run:?}");
    let system = Counting::default();
    let run = report_due(store, &name, &system, 10).await.unwrap();
    assert_eq!((run.settled, run.refused), (0, 0), "it is held");
    clock.advance(StuckReport::HELD);
    let run = report_due(store, &name, &system, 10).await.unwrap();
    assert_eq!((run.settled, run.refused), (1, 0));
    clock.advance(StuckReport::HELD);
    let run = report_due(store, &name, &system, 10).await.unwrap();
    assert_eq!((run.settled, run.refused), (0, 0));
    assert_eq!(queue(acme, &[first]).await, [known]);
    assert_eq!(lossy.sent().len() + system.sent().len(), 2);

    // Many at once: each is sent by one of them.
    let many: Vec<_> = (100..140)
        .map(|n| report(&of_acme, "tokens", &n.to_string()))
        .collect();
    queue(acme, &many).await;
    let system = Counting::default();
    let runs = join_all((0..5).map(|_| report_due(store, &name, &system, 8))).await;
    let settled: usize = runs.into_iter().map(|run| run.unwrap().settled).sum();
    assert_eq!(settled, many.len());
    assert!(system.sent().values().all(|times| *times == 1));

    // What is refused waits until somebody has looked.
    queue(globex, &[report(&of_globex, "refused", "r")]).await;
    let run = report_due(store, &name, &system, 10).await.unwrap();
    assert_eq!((run.settled, run.refused), (0, 1));
    let stuck = async || ReportStore::stuck_reports(store, &name, 10).await.unwrap();
    let listed = stuck().await;
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (listed[0].tenant, &*listed[0].why),
        (globex, "whole numbers")
    );
    assert_eq!(listed[0].report, report(&of_globex, "refused", "r"));
    clock.advance(StuckReport::HELD);
    assert!(store.take_reports(&name, 10).await.unwrap().is_empty());
    assert!(store.requeue_report(&name, "r").await.unwrap());
    assert!(!store.requeue_report(&name, "r").await.unwrap());
    let taken = [("r".into(), ReportOutcome::Taken)];
    assert_eq!(store.take_reports(&name, 10).await.unwrap().len(), 1);
    store.settle_reports(&name, &taken).await.unwrap();
    // A late answer of another process takes nothing back.
    let late = [("r".into(), ReportOutcome::Refused("late".into()))];
    store.settle_reports(&name, &late).await.unwrap();
    assert!(stuck().await.is_empty());
    assert!(!store.requeue_report(&name, "r").await.unwrap());

    // The billing system may have forgotten the id: it is not sent again by itself.
    queue(acme, &[report(&of_acme, "tokens", "f")]).await;
    assert_eq!(store.take_reports(&name, 10).await.unwrap().len(), 1);
    clock.advance(StuckReport::REMEMBERED - Duration::from_micros(1));
    assert_eq!(store.take_reports(&name, 10).await.unwrap().len(), 1);
    clock.advance(StuckReport::HELD);
    assert!(store.take_reports(&name, 10).await.unwrap().is_empty());
    let listed = stuck().await;
    assert_eq!(listed.len(), 1);
    assert_eq!(&*listed[0].why, StuckReport::FORGOTTEN);
}
