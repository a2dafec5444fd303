//! The end of a service: what is queued is stored within the limit, or the report says what is not.

use std::{future::pending, time::Duration};

use tenancy_core::{
    AuditEntry, AuditError, AuditSink, KeyId,
    alert::{Alert, AlertRules, AlertSink, MemoryAlertSink},
    async_trait,
    key::KeyDirectory as _,
    outbox::{NewEvent, OutboxError},
};

use crate::{
    keys::{alices, issue, with, with_keys},
    support::World,
};

const LIMIT: Duration = Duration::from_secs(10);

/// A sink whose database does not answer, and that had no room for seven.
#[derive(Debug)]
struct Dead;

#[async_trait]
impl AuditSink for Dead {
    fn record(&self, _: AuditEntry) {}

    async fn record_durably(&self, _: AuditEntry) -> Result<(), AuditError> {
        pending().await
    }

    async fn flush(&self) -> Result<(), AuditError> {
        pending().await
    }

    fn dropped(&self) -> u64 {
        7
    }
}

/// A sink of alerts that never takes one.
#[derive(Debug)]
struct Deaf;

#[async_trait]
impl AlertSink for Deaf {
    async fn deliver(&self, _: &NewEvent) -> Result<(), OutboxError> {
        Err(OutboxError::unavailable("nobody listens"))
    }
}

#[tokio::test]
async fn what_is_queued_is_stored_and_the_report_says_so() {
    let alerts = MemoryAlertSink::new();
    let kept = alerts.clone();
    let w = World::over(|directory, builder| {
        with_keys(directory, builder).alerts(AlertRules::new(), kept)
    })
    .await;
    let key = issue(&w, alices(&w)).await;
    w.admit(&with(&key)).await.unwrap();
    w.tenancy.alert(Alert::chain_broken(Some(w.acme.id), 1));
    let stored = async |id: KeyId| {
        let found = w.directory.directory().find_key(id).await.unwrap();
        found.unwrap().last_used_at
    };
    assert_eq!(stored(key.record().id).await, None);

    let report = w.tenancy.shutdown(LIMIT).await;
    assert!(report.is_complete(), "{report:?}");
    assert!(stored(key.record().id).await.is_some());
    assert_eq!(alerts.events().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_does_not_answer_costs_the_limit_and_is_told() {
    let w = World::over(|directory, builder| {
        with_keys(directory, builder)
            .audit(Dead)
            .alerts(AlertRules::new(), Deaf)
    })
    .await;
    w.tenancy.alert(Alert::chain_broken(Some(w.acme.id), 1));
    let before = tokio::time::Instant::now();
    let report = w.tenancy.shutdown(LIMIT).await;
    assert!(before.elapsed() < LIMIT + Duration::from_secs(1));
    assert!(!report.is_complete());
    assert_eq!((report.audit_is_stored, report.audit_dropped), (false, 7));
    assert_eq!((report.alerts_waiting, report.alerts_dropped), (1, 0));
    assert!(report.key_uses_are_written);
}
