//! Without the feature `argon2`, an imported key that is stored opens nothing, and can be managed.

use tenancy_core::{
    key::{KeyVerifier, SecretHash},
    testing::KeyStoreDirectly as _,
};

use super::{alices, issue, with, world};

#[tokio::test]
async fn a_row_of_an_imported_key_is_refused_and_can_be_revoked() {
    let w = world().await;
    let strangers = world().await;
    let text = issue(&strangers, alices(&strangers)).await;
    let mut record = text.record().clone();
    (record.tenant, record.creator) = (w.acme.id, w.alice);
    record.verifier = KeyVerifier::Argon2id {
        handle: "4711".parse().unwrap(),
        hash: SecretHash::from_stored("$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA"),
    };
    w.directory.insert_key(&record).await.unwrap();
    assert_eq!(w.refused(&with(&text)).await, (401, "key-secret"));
    let keys = w
        .tenancy
        .keys()
        .unwrap()
        .by(tenancy_core::testing::service());
    let revoked = keys.revoke(w.acme.id, record.id).await.unwrap();
    assert!(revoked.revoked_at.is_some());
    assert_eq!(w.refused(&with(&text)).await, (401, "key-secret"));
}
