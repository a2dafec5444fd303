//! Rotation: a new id and secret, everything else as it was, and an overlap that ends.

use std::time::Duration;

use serde_json::json;
use tenancy_core::{
    Clock as _, StoreErrorKind, Tenancy,
    key::{ApiKeys, Environment, KeyFormat},
};

use super::{alices, hasher, issue, with, world};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn rotation_copies_everything_but_id_and_secret() {
    let w = world().await;
    let metadata = json!({ "team": "ops" }).as_object().cloned().unwrap();
    let new = alices(&w)
        .network("192.0.2.0/24".parse().unwrap())
        .metadata(metadata)
        .expires_at(w.clock.now() + 60 * MINUTE);
    let old = issue(&w, new).await;
    w.clock.advance(MINUTE);
    let keys = w
        .tenancy
        .keys()
        .unwrap()
        .by(tenancy_core::testing::service());
    let new = keys
        .rotate(w.acme.id, old.record().id, MINUTE)
        .await
        .unwrap();
    let mut expected = old.record().clone();
    assert_ne!(new.record().id, old.record().id);
    assert_ne!(new.record().verifier, old.record().verifier);
    assert_ne!(new.expose(), old.expose());
    expected.id = new.record().id;
    expected.verifier = new.record().verifier.clone();
    expected.created_at = w.clock.now();
    assert_eq!(*new.record(), expected);
    let from = |key| with(key).peer(super::ip("192.0.2.1"));
    assert!(w.admit(&from(&new)).await.is_ok() && w.admit(&from(&old)).await.is_ok());
}

#[tokio::test]
async fn the_overlap_ends_to_the_microsecond() {
    let w = world().await;
    let old = issue(&w, alices(&w)).await;
    let keys = w
        .tenancy
        .keys()
        .unwrap()
        .by(tenancy_core::testing::service());
    let new = keys
        .rotate(w.acme.id, old.record().id, MINUTE)
        .await
        .unwrap();
    w.clock.advance(MINUTE - Duration::from_micros(1));
    assert!(w.admit(&with(&old)).await.is_ok());
    w.clock.advance(Duration::from_micros(1));
    assert_eq!(w.refused(&with(&old)).await, (401, "key-rotated"));
    assert!(w.admit(&with(&new)).await.is_ok());
}

#[tokio::test]
async fn an_overlap_of_zero_ends_the_old_key_now() {
    let w = world().await;
    let old = issue(&w, alices(&w)).await;
    assert!(w.admit(&with(&old)).await.is_ok());
    let keys = w
        .tenancy
        .keys()
        .unwrap()
        .by(tenancy_core::testing::service());
    let new = keys
        .rotate(w.acme.id, old.record().id, Duration::ZERO)
        .await
        .unwrap();
    assert_eq!(w.refused(&with(&old)).await, (401, "key-rotated"));
    assert!(w.admit(&with(&new)).await.is_ok());
}

#[tokio::test]
async fn an_overlap_never_outlives_the_original_expiry() {
    let w = world().await;
    let end = w.clock.now() + MINUTE;
    let old = issue(&w, alices(&w).expires_at(end)).await;
    let keys = w
        .tenancy
        .keys()
        .unwrap()
        .by(tenancy_core::testing::service());
    let id = old.record().id;
    let new = keys.rotate(w.acme.id, id, Duration::MAX).await.unwrap();
    assert_eq!(
        new.record().expires_at,
        Some(end),
        "a rotation does not prolong"
    );
    let listed = keys.list(w.acme.id, None, 1).await.unwrap();
    assert_eq!((listed[0].id, listed[0].overlap_until), (id, Some(end)));
    w.clock.advance(MINUTE);
    assert_eq!(w.refused(&with(&old)).await, (401, "key-expired"));
}

#[tokio::test]
async fn what_does_not_hold_can_not_be_rotated() {
    let w = world().await;
    let keys = w
        .tenancy
        .keys()
        .unwrap()
        .by(tenancy_core::testing::service());
    let soon = w.clock.now() + MINUTE;
    let expired = issue(&w, alices(&w).expires_at(soon)).await;
    let [revoked, disabled, rotated] = [
        issue(&w, alices(&w)).await,
        issue(&w, alices(&w)).await,
        issue(&w, alices(&w)).await,
    ];
    w.clock.advance(MINUTE);
    keys.revoke(w.acme.id, revoked.record().id).await.unwrap();
    keys.disable(w.acme.id, disabled.record().id).await.unwrap();
    let _new = keys
        .rotate(w.acme.id, rotated.record().id, MINUTE)
        .await
        .unwrap();
    for key in [&expired, &revoked, &disabled, &rotated] {
        let refused = keys.rotate(w.acme.id, key.record().id, MINUTE).await;
        assert_eq!(
            refused.unwrap_err().kind(),
            StoreErrorKind::IllegalTransition
        );
    }
    let foreign = keys.rotate(w.globex.id, rotated.record().id, MINUTE).await;
    assert_eq!(foreign.unwrap_err().kind(), StoreErrorKind::NotFound);
}

/// Its text would say this deployment's environment and its record the other one: nobody's key.
#[tokio::test]
async fn a_key_of_another_environment_is_not_rotated_here() {
    let w = world().await;
    let testing = KeyFormat::new("acme", Environment::Test).unwrap();
    let elsewhere = Tenancy::builder(w.directory.clone())
        .keys(ApiKeys::new(testing, hasher(), w.directory.clone()))
        .permissions(w.tenancy.permissions().clone())
        .clock(w.clock.clone())
        .build()
        .unwrap();
    let elsewhere = elsewhere
        .keys()
        .unwrap()
        .by(tenancy_core::testing::service());
    let issued = elsewhere.issue(alices(&w)).await.unwrap();
    let keys = w
        .tenancy
        .keys()
        .unwrap()
        .by(tenancy_core::testing::service());
    let id = issued.record().id;
    let refused = keys.rotate(w.acme.id, id, MINUTE).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Invalid);
    let kept = keys.list(w.acme.id, None, 10).await.unwrap();
    assert_eq!(kept, [issued.record().clone()]);
    assert!(elsewhere.rotate(w.acme.id, id, MINUTE).await.is_ok());
}
