//! The cache: a hit asks nobody, and is looked at as closely as a miss.

use std::time::Duration;

use tenancy_core::{
    Admission, Clock as _, RouteNeeds, key::KeyChange, testing::KeyStoreDirectly as _,
};

use super::{alices, ip, issue, with, world};

#[tokio::test]
async fn the_second_request_with_a_key_is_decided_at_once_and_asks_nobody() {
    let w = world().await;
    let key = issue(&w, alices(&w)).await;
    w.admit(&with(&key)).await.unwrap();
    let asked = w.directory.questions();
    for _ in 0..3 {
        let again = w.tenancy.admit(&with(&key), RouteNeeds::tenant());
        assert!(matches!(again, Admission::Ready(Ok(_))));
    }
    assert_eq!(w.directory.questions(), asked);
}

#[tokio::test]
async fn many_first_requests_with_a_key_ask_for_it_once() {
    let w = world().await;
    let key = issue(&w, alices(&w)).await;
    let asked = w.directory.questions();
    let requests: Vec<_> = (0..100).map(|_| with(&key)).collect();
    let admitted = futures_util::future::join_all(requests.iter().map(|r| w.admit(r))).await;
    assert!(admitted.iter().all(Result::is_ok));
    // The key, the tenant, the membership, the roles: once each.
    assert_eq!(w.directory.questions() - asked, 4);
}

#[tokio::test]
async fn every_hit_is_checked_for_expiry() {
    let w = world().await;
    let end = w.clock.now() + Duration::from_secs(3);
    let key = issue(&w, alices(&w).expires_at(end)).await;
    for _ in 0..3 {
        assert!(w.admit(&with(&key)).await.is_ok());
    }
    w.clock
        .advance(Duration::from_secs(3) - Duration::from_micros(1));
    assert!(w.admit(&with(&key)).await.is_ok());
    w.clock.advance(Duration::from_micros(1));
    assert_eq!(w.refused(&with(&key)).await, (401, "key-expired"));
}

#[tokio::test]
async fn every_hit_is_checked_for_its_secret_and_its_network() {
    let w = world().await;
    let key = issue(&w, alices(&w).network("192.0.2.0/24".parse().unwrap())).await;
    let other = issue(&w, alices(&w)).await;
    let here = with(&key).peer(ip("192.0.2.1"));
    for _ in 0..3 {
        assert!(w.admit(&here).await.is_ok());
        let there = with(&key).peer(ip("198.51.100.1"));
        assert_eq!(w.refused(&there).await, (401, "key-network"));
        assert!(w.admit(&with(&other)).await.is_ok());
    }
}

#[tokio::test]
async fn a_revocation_in_this_process_holds_from_the_next_request_on() {
    let w = world().await;
    let admin = w
        .tenancy
        .keys()
        .unwrap()
        .by(tenancy_core::testing::service());
    let key = issue(&w, alices(&w)).await;
    let id = key.record().id;
    assert!(w.admit(&with(&key)).await.is_ok());
    admin.disable(w.acme.id, id).await.unwrap();
    assert_eq!(w.refused(&with(&key)).await, (401, "key-disabled"));
    admin.enable(w.acme.id, id).await.unwrap();
    assert!(w.admit(&with(&key)).await.is_ok());
    admin
        .set_networks(w.acme.id, id, ["192.0.2.1/32".parse().unwrap()])
        .await
        .unwrap();
    assert_eq!(w.refused(&with(&key)).await.1, "key-network-unknown");
    admin.set_networks(w.acme.id, id, []).await.unwrap();
    admin
        .set_scopes(w.acme.id, id, ["notes:read".parse().unwrap()])
        .await
        .unwrap();
    let context = w.admit(&with(&key)).await.unwrap();
    assert!(context.require("notes:write").is_err());
    admin.revoke(w.acme.id, id).await.unwrap();
    assert_eq!(w.refused(&with(&key)).await, (401, "key-revoked"));
    admin.enable(w.acme.id, id).await.unwrap();
    assert_eq!(
        w.refused(&with(&key)).await,
        (401, "key-revoked"),
        "for good"
    );
}

#[tokio::test]
async fn a_revocation_in_another_process_holds_within_the_bound() {
    let w = world().await;
    let key = issue(&w, alices(&w)).await;
    assert!(w.admit(&with(&key)).await.is_ok());
    let elsewhere = w.directory.directory();
    let revoked = KeyChange::Revoked(w.clock.now());
    elsewhere
        .change_key(w.acme.id, key.record().id, &revoked)
        .await
        .unwrap();
    w.clock
        .advance(w.tenancy.max_staleness() + Duration::from_micros(1));
    assert_eq!(w.refused(&with(&key)).await, (401, "key-revoked"));
}

#[tokio::test]
async fn a_silent_feed_makes_each_request_ask_for_its_key() {
    let w = world().await;
    let key = issue(&w, alices(&w)).await;
    assert!(w.admit(&with(&key)).await.is_ok());
    w.directory.silence_feed(true);
    let revoked = KeyChange::Revoked(w.clock.now());
    w.clock
        .advance(w.tenancy.max_staleness() + Duration::from_secs(1));
    assert!(w.admit(&with(&key)).await.is_ok());
    let elsewhere = w.directory.directory();
    elsewhere
        .change_key(w.acme.id, key.record().id, &revoked)
        .await
        .unwrap();
    assert_eq!(w.refused(&with(&key)).await, (401, "key-revoked"));
}

#[tokio::test]
async fn a_store_that_is_down_is_503_and_never_an_unknown_key() {
    let w = world().await;
    let key = issue(&w, alices(&w)).await;
    w.directory.fail(true);
    assert_eq!(w.refused(&with(&key)).await.0, 503);
    w.directory.fail(false);
    w.clock.advance(Duration::from_secs(3));
    assert!(
        w.admit(&with(&key)).await.is_ok(),
        "the failure was not kept"
    );
}

#[tokio::test]
async fn a_new_key_is_found_at_once_although_its_absence_was_cached() {
    let w = world().await;
    let text = issue(&w, alices(&w)).await;
    let elsewhere = world().await;
    // What is unknown is kept apart and asked for once.
    assert_eq!(elsewhere.refused(&with(&text)).await, (401, "key-unknown"));
    let asked = elsewhere.directory.questions();
    assert_eq!(elsewhere.refused(&with(&text)).await, (401, "key-unknown"));
    assert_eq!(elsewhere.directory.questions(), asked);
    let mut record = text.record().clone();
    (record.tenant, record.creator) = (elsewhere.acme.id, elsewhere.alice);
    elsewhere.directory.insert_key(&record).await.unwrap();
    elsewhere.tenancy.invalidate(elsewhere.acme.id);
    assert!(elsewhere.admit(&with(&text)).await.is_ok());
}

#[tokio::test]
async fn random_keys_do_not_push_out_those_that_exist() {
    let w = super::World::over(|directory, builder| {
        super::with_keys(directory, builder).directory_cache_bytes(64 * 1024)
    })
    .await;
    let key = issue(&w, alices(&w)).await;
    assert!(w.admit(&with(&key)).await.is_ok());
    let strangers = world().await;
    for _ in 0..500 {
        let unknown = issue(&strangers, alices(&strangers)).await;
        assert_eq!(w.refused(&with(&unknown)).await, (401, "key-unknown"));
    }
    let again = w.tenancy.admit(&with(&key), RouteNeeds::tenant());
    assert!(matches!(again, Admission::Ready(Ok(_))));
}
