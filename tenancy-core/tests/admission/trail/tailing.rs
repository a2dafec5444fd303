//! Tails: each new entry once, also one that commits late, of one tenant, for as long as the caller may read.

use std::time::Duration;

use tenancy_core::{
    AuditEntry, AuditFilter, AuditSink as _, AuditTail, Clock as _, Outcome, StoreErrorKind,
    TailOptions, testing::StoreDirectly as _,
};
use tokio::time::timeout;
use uuid::Uuid;

use super::{alices, readings, recorded, told};
use crate::support::World;

async fn tail(w: &World) -> AuditTail {
    let admin = alices(w).await;
    let shares = AuditFilter::new().action("note.share");
    let tail = admin.tail_entries(Some(w.acme.id), &shares, TailOptions::new());
    tail.await.unwrap()
}

async fn tells_nothing(tail: &mut AuditTail) {
    // Time passes by itself, so that many polls find nothing.
    let next = timeout(Duration::from_secs(60), tail.next()).await;
    assert!(next.is_err(), "{next:?}");
}

fn ids(entries: &[AuditEntry]) -> Vec<Uuid> {
    entries.iter().map(|entry| entry.id).collect()
}

#[tokio::test(start_paused = true)]
async fn a_tail_tells_each_new_entry_once_and_no_other_tenants() {
    let w = World::new().await;
    recorded(&w, w.acme.id, 3);
    let mut tail = tail(&w).await;
    let entry = readings(&w).pop().unwrap();
    assert_eq!(
        (told(&entry, "how"), entry.tenant),
        ("tail".into(), Some(w.acme.id))
    );
    tells_nothing(&mut tail).await;
    recorded(&w, w.globex.id, 3);
    let new = recorded(&w, w.acme.id, 2);
    assert_eq!(ids(&tail.next().await.unwrap()), ids(&new));
    tells_nothing(&mut tail).await;
    let new = recorded(&w, w.acme.id, 1);
    assert_eq!(ids(&tail.next().await.unwrap()), ids(&new));
    tells_nothing(&mut tail).await;
    assert_eq!(readings(&w).len(), 1, "a tail is one reading");
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_commits_after_a_later_one_is_told_all_the_same() {
    let w = World::new().await;
    let mut tail = tail(&w).await;
    let made = || AuditEntry::new(w.clock.now(), "note.share", Outcome::Allowed).tenant(w.acme.id);
    let late = made();
    let later = recorded(&w, w.acme.id, 1);
    assert!(late.id < later[0].id);
    assert_eq!(ids(&tail.next().await.unwrap()), ids(&later));
    w.directory.directory().record(late.clone());
    assert_eq!(ids(&tail.next().await.unwrap()), [late.id]);
    tells_nothing(&mut tail).await;
    // One that was made longer ago than the tail looks back, is not.
    let mut old = made();
    let hour_ago = u64::try_from(w.clock_now().as_unix_seconds()).unwrap() - 3_600;
    old.id = uuid::Builder::from_unix_timestamp_millis(hour_ago * 1_000, &[7; 10]).into_uuid();
    w.directory.directory().record(old);
    tells_nothing(&mut tail).await;
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_many_pages_is_told_whole_and_once() {
    let w = World::new().await;
    let mut tail = tail(&w).await;
    let new = recorded(&w, w.acme.id, 3_500);
    let mut told = Vec::new();
    while told.len() < new.len() {
        let batch = tail.next().await.unwrap();
        assert!(batch.len() <= 1_000);
        assert!(batch.is_sorted_by_key(|entry| entry.id));
        told.extend(ids(&batch));
    }
    tells_nothing(&mut tail).await;
    told.sort();
    let mut wanted = ids(&new);
    wanted.sort();
    assert_eq!(told, wanted);
}

/// A store that is out of reach for a while makes no entry go missing; a call that was dropped neither.
#[tokio::test(start_paused = true)]
async fn after_an_outage_nothing_is_skipped() {
    let w = World::new().await;
    let mut tail = tail(&w).await;
    w.directory.fail(true);
    w.clock.advance(Duration::from_secs(120));
    let new = recorded(&w, w.acme.id, 2);
    let failed = tail.next().await.unwrap_err();
    assert_eq!(failed.kind(), StoreErrorKind::Unavailable, "{failed}");
    // Asked again at once, it waits for the next poll.
    let before = tokio::time::Instant::now();
    assert!(tail.next().await.is_err());
    assert!(before.elapsed() >= Duration::from_secs(2));
    let dropped = timeout(Duration::from_millis(1), tail.next()).await;
    assert!(!matches!(dropped, Ok(Ok(_))));
    w.directory.fail(false);
    w.tenancy.catch_up().await.unwrap();
    assert_eq!(ids(&tail.next().await.unwrap()), ids(&new));
}

#[tokio::test(start_paused = true)]
async fn a_tail_ends_when_the_caller_may_read_no_more() {
    use futures_util::StreamExt as _;

    let w = World::new().await;
    let tail = tail(&w).await;
    w.directory
        .remove_membership(w.acme.id, w.alice)
        .await
        .unwrap();
    w.tenancy.catch_up().await.unwrap();
    recorded(&w, w.acme.id, 2);
    let told: Vec<_> = tail.into_stream().collect().await;
    assert_eq!(told.len(), 1);
    let refused = told[0].as_ref().unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Forbidden);
}
