//! Last use and peppers: written together, later, and never back.

use std::time::Duration;

use tenancy_core::{
    Clock as _, RouteNeeds, Timestamp,
    key::{ApiKeys, HmacKeyHasher, IssuedKey, KeyDigest, KeyDirectory as _, Pepper},
    testing::SwitchedDirectory,
};

use super::{PEPPER, alices, format, issue, with, world};
use crate::support::World;

async fn last_used(directory: &SwitchedDirectory, key: &IssuedKey) -> Option<Timestamp> {
    let found = directory
        .directory()
        .find_key(key.record().id)
        .await
        .unwrap();
    found.unwrap().last_used_at
}

async fn let_it_run() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_thousand_requests_are_one_write_of_last_use() {
    let w = world().await;
    let key = issue(&w, alices(&w)).await;
    let other = issue(&w, alices(&w)).await;
    for _ in 0..1000 {
        w.admit(&with(&key)).await.unwrap();
        w.clock.advance(Duration::from_millis(10));
    }
    w.admit(&with(&other)).await.unwrap();
    let used = w.clock.now();
    assert_eq!(last_used(&w.directory, &key).await, None);
    w.tenancy.keys().unwrap().flush_last_used().await.unwrap();
    assert_eq!(w.directory.uses_written(), 1);
    let written = last_used(&w.directory, &key).await.unwrap();
    assert!(
        used.since(written) <= Duration::from_secs(1),
        "{written} {used}"
    );
    assert_eq!(last_used(&w.directory, &other).await, Some(used));
    w.tenancy.keys().unwrap().flush_last_used().await.unwrap();
    assert_eq!(
        w.directory.uses_written(),
        1,
        "nothing new, nothing written"
    );
}

#[tokio::test]
async fn under_traffic_uses_are_written_once_a_minute() {
    let w = world().await;
    let key = issue(&w, alices(&w)).await;
    for _ in 0..600 {
        let _ = w.admit(&with(&key)).await;
        let_it_run().await;
        w.clock.advance(Duration::from_secs(1));
    }
    let written = w.directory.uses_written();
    assert!(
        (9..=10).contains(&written),
        "{written} writes in ten minutes"
    );
}

#[tokio::test]
async fn a_write_of_last_use_that_failed_is_made_good_and_no_request_notices() {
    let w = world().await;
    let key = issue(&w, alices(&w)).await;
    w.admit(&with(&key)).await.unwrap();
    let used = w.clock.now();
    w.directory.fail(true);
    assert!(w.tenancy.keys().unwrap().flush_last_used().await.is_err());
    assert!(w.admit(&with(&key)).await.is_ok());
    w.directory.fail(false);
    w.tenancy.keys().unwrap().flush_last_used().await.unwrap();
    assert_eq!(last_used(&w.directory, &key).await, Some(used));
}

#[tokio::test]
async fn last_use_never_goes_back() {
    let w = world().await;
    let key = issue(&w, alices(&w)).await;
    w.admit(&with(&key)).await.unwrap();
    let used = w.clock.now();
    w.tenancy.keys().unwrap().flush_last_used().await.unwrap();
    w.clock.set_back(Duration::from_secs(600));
    w.admit(&with(&key)).await.unwrap();
    w.tenancy.keys().unwrap().flush_last_used().await.unwrap();
    assert_eq!(last_used(&w.directory, &key).await, Some(used));
}

#[tokio::test]
async fn a_refused_key_was_not_used() {
    let w = world().await;
    let key = issue(&w, alices(&w).network("192.0.2.0/24".parse().unwrap())).await;
    assert_eq!(w.refused(&with(&key)).await.0, 401);
    w.tenancy.keys().unwrap().flush_last_used().await.unwrap();
    assert_eq!(last_used(&w.directory, &key).await, None);
}

/// An engine over the same directory with another hasher, as after a restart.
async fn restarted(w: &World, hasher: HmacKeyHasher) -> tenancy_core::Tenancy {
    tenancy_core::Tenancy::builder(w.directory.clone())
        .clock(w.clock.clone())
        .keys(ApiKeys::new(format(), hasher, w.directory.clone()))
        .build()
        .unwrap()
}

#[tokio::test]
async fn a_pepper_is_replaced_lazily_while_two_are_live() {
    let w = world().await;
    let (used, unused) = (issue(&w, alices(&w)).await, issue(&w, alices(&w)).await);
    let old = || Pepper::new(1, PEPPER).unwrap();
    let new = || Pepper::new(2, [0x36; 32]).unwrap();
    let both = HmacKeyHasher::new(new()).with_previous(old()).unwrap();
    let engine = restarted(&w, both).await;
    let admit = async |engine: &tenancy_core::Tenancy, key: &IssuedKey| match engine
        .admit(&with(key), RouteNeeds::tenant())
    {
        tenancy_core::Admission::Ready(answer) => answer,
        tenancy_core::Admission::Pending(pending) => pending.resolve().await,
    };
    for _ in 0..3 {
        assert!(admit(&engine, &used).await.is_ok());
    }
    w.directory.fail(true);
    assert!(engine.keys().unwrap().flush_last_used().await.is_err());
    w.directory.fail(false);
    engine.keys().unwrap().flush_last_used().await.unwrap();
    let stored = w
        .directory
        .directory()
        .find_key(used.record().id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(stored.verifier.digest().map(KeyDigest::version), Some(2));
    assert!(admit(&engine, &used).await.is_ok(), "also what is cached");
    let written = w.directory.uses_written();
    engine.keys().unwrap().flush_last_used().await.unwrap();
    assert_eq!(
        w.directory.uses_written(),
        written,
        "and is not stored again"
    );

    let engine = restarted(&w, HmacKeyHasher::new(new())).await;
    assert!(admit(&engine, &used).await.is_ok());
    let refused = admit(&engine, &unused).await.unwrap_err();
    assert_eq!(
        (refused.kind().status(), refused.reason()),
        (401, "key-pepper-unknown")
    );
}
