//! A bad imported key: one answer outside, the reason in the audit trail, nothing of a secret in
//! either.

use std::time::Duration;

use tenancy_core::{
    Admission, Clock as _, KeyId, RefusalKind, RouteNeeds,
    key::{ApiKey, Environment, ImportedKeys, KeyVerifier, SecretHash},
    testing::{BusyHasher, KeyStoreDirectly as _},
};

use super::{
    super::{World, alices, ip, issue},
    RIGHT, format, import, imported, one_at_a_time, secret, with, world, world_of,
};

/// A key of Alice's with whatever hash, past everything that looks at it.
async fn stored(w: &World, handle: &str, hash: &str) -> ApiKey {
    let verifier = KeyVerifier::Argon2id {
        handle: handle.parse().unwrap(),
        hash: SecretHash::from_stored(hash),
    };
    let (id, live, now) = (KeyId::new(), Environment::Live, w.clock.now());
    let key = ApiKey::new(id, w.acme.id, w.alice, live, verifier, now);
    w.directory.insert_key(&key).await.unwrap();
    w.tenancy.invalidate(w.acme.id);
    key
}

#[tokio::test]
async fn every_bad_key_gets_the_same_answer_and_no_difference_is_visible_outside() {
    let w = world().await;
    let admin = w
        .tenancy
        .keys()
        .unwrap()
        .by(tenancy_core::testing::service());
    let key = async |new, handle| import(&w, new, handle, secret("correcthorse")).await.id;
    imported(&w).await;
    let revoked = key(alices(&w), "revoked").await;
    admin.revoke(w.acme.id, revoked).await.unwrap();
    let disabled = key(alices(&w), "disabled").await;
    admin.disable(w.acme.id, disabled).await.unwrap();
    let rotated = key(alices(&w), "rotated").await;
    let _new = admin
        .rotate(w.acme.id, rotated, Duration::ZERO)
        .await
        .unwrap();
    key(
        alices(&w).network("192.0.2.0/24".parse().unwrap()),
        "office",
    )
    .await;
    key(
        alices(&w).expires_at(w.clock.now() + Duration::from_secs(1)),
        "expired",
    )
    .await;
    w.clock.advance(Duration::from_secs(1));

    let mut answers = Vec::new();
    for (text, from, reason) in [
        ("oldco_", None, "key-malformed"),
        ("oldco_4711", None, "key-malformed"),
        ("oldco_4711.", None, "key-malformed"),
        ("oldco_.correcthorse", None, "key-malformed"),
        (
            &format!("oldco_{}.correcthorse", "x".repeat(65)),
            None,
            "key-malformed",
        ),
        (
            &format!("oldco_4711.{}", "x".repeat(1025)),
            None,
            "key-malformed",
        ),
        ("oldco_nobody.correcthorse", None, "key-unknown"),
        ("oldco_4711.correcthorsf", None, "key-secret"),
        ("oldco_revoked.correcthorse", None, "key-revoked"),
        ("oldco_disabled.correcthorse", None, "key-disabled"),
        ("oldco_rotated.correcthorse", None, "key-rotated"),
        ("oldco_expired.correcthorse", None, "key-expired"),
        (
            "oldco_office.correcthorse",
            Some(ip("198.51.100.1")),
            "key-network",
        ),
        ("oldco_office.correcthorse", None, "key-network-unknown"),
    ] {
        let mut request = with(text);
        if let Some(from) = from {
            request = request.peer(from);
        }
        let refusal = w.admit(&request).await.unwrap_err();
        assert_eq!(
            (refusal.reason(), refusal.kind()),
            (reason, RefusalKind::Unauthenticated)
        );
        assert_eq!(w.last_audit().reason.as_deref(), Some(reason));
        answers.push((
            refusal.problem().to_json(),
            refusal.problem().www_authenticate().map(str::to_owned),
        ));
    }
    assert!(
        answers.windows(2).all(|two| two[0] == two[1]),
        "{answers:?}"
    );
    assert!(w.admit(&with(RIGHT)).await.is_ok());
    let trail = format!("{:?}", w.audit.entries());
    for secret in ["correcthors", "nobody", "argon2id"] {
        assert!(!trail.contains(secret), "{secret}: {trail}");
    }
}

/// As long as it takes: nothing about time is measured, and so a shortcut must not be there.
#[tokio::test]
async fn an_unknown_handle_a_poisoned_row_and_a_key_that_is_off_cost_what_a_wrong_secret_costs() {
    let hasher = one_at_a_time();
    let w = world_of(ImportedKeys::new(format()).hasher(hasher.clone())).await;
    let admin = w
        .tenancy
        .keys()
        .unwrap()
        .by(tenancy_core::testing::service());
    let off = import(&w, alices(&w), "off", secret("correcthorse")).await;
    // It was right, and is remembered.
    w.admit(&with("oldco_off.correcthorse")).await.unwrap();
    admin.disable(w.acme.id, off.id).await.unwrap();
    stored(&w, "poisoned", "$argon2id$v=19$m=4194304,t=2,p=1").await;
    let texts = [
        "oldco_nobody.correcthorse",
        "oldco_poisoned.correcthorse",
        "oldco_off.correcthorse",
        "oldco_off.wrong",
    ];
    for text in texts.iter().chain(&texts) {
        assert_eq!(w.refused(&with(text)).await.0, 401, "{text}");
    }
    let _held = BusyHasher::full(&hasher).await;
    for text in texts {
        assert_eq!(
            w.refused(&with(text)).await,
            (503, "secret-hasher-busy"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_text_that_is_no_key_is_refused_at_once() {
    let w = world().await;
    imported(&w).await;
    for text in ["oldco_4711", &format!("{RIGHT}{}", "x".repeat(1013))] {
        let answer = w.tenancy.admit(&with(text), RouteNeeds::tenant());
        let Admission::Ready(Err(refusal)) = answer else {
            panic!("{answer:?}");
        };
        assert_eq!(refusal.reason(), "key-malformed");
    }
}

#[tokio::test]
async fn a_poisoned_row_is_refused_and_hurts_nobody_else() {
    let w = world().await;
    imported(&w).await;
    let good = w.admit(&with(RIGHT)).await.unwrap();
    for (handle, hash) in [
        (
            "dear",
            "$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHQ$MDEyMzQ1Njc4OWFiY2RlZg",
        ),
        ("short", "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$MDEy"),
        (
            "weak",
            "$argon2d$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$MDEyMzQ1Njc4OWFiY2RlZg",
        ),
        ("empty", ""),
    ] {
        let key = stored(&w, handle, hash).await;
        let text = format!("oldco_{handle}.correcthorse");
        assert_eq!(w.refused(&with(&text)).await, (401, "key-hash-unusable"));
        let shown = format!("{key:?}");
        assert!(hash.is_empty() || !shown.contains(hash), "{shown}");
        assert!(w.admit(&with(RIGHT)).await.is_ok());
        assert!(w.tenancy.revalidate(&good).await.is_ok());
    }
}

#[tokio::test]
async fn an_imported_keys_id_is_no_way_around_its_secret() {
    let w = world().await;
    let issued = issue(&w, alices(&w)).await;
    // The record of an imported key, with the id of a text that is well formed.
    let elsewhere = world().await;
    let mut record = issued.record().clone();
    (record.tenant, record.creator) = (elsewhere.acme.id, elsewhere.alice);
    record.verifier = imported(&elsewhere).await.verifier;
    if let KeyVerifier::Argon2id { handle, .. } = &mut record.verifier {
        *handle = "another".parse().unwrap();
    }
    elsewhere.directory.insert_key(&record).await.unwrap();
    elsewhere.tenancy.invalidate(elsewhere.acme.id);
    let text = issued.expose();
    assert_eq!(elsewhere.refused(&with(text)).await, (401, "key-secret"));
    assert!(
        elsewhere
            .admit(&with("oldco_another.correcthorse"))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_store_that_is_down_is_503_and_never_an_unknown_key() {
    let w = world().await;
    imported(&w).await;
    w.directory.fail(true);
    assert_eq!(
        w.refused(&with(RIGHT)).await,
        (503, "directory-unavailable")
    );
    w.directory.fail(false);
    w.clock.advance(Duration::from_secs(3));
    assert!(w.admit(&with(RIGHT)).await.is_ok());
}

#[tokio::test]
async fn without_a_format_an_imported_key_is_a_credential_of_no_known_kind() {
    let w = super::super::world().await;
    assert_eq!(
        w.refused(&with(RIGHT)).await,
        (401, "credential-unknown-kind")
    );
}
