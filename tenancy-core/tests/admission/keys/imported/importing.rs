//! What can be imported, by whom, and what is said where it can't.

use tenancy_core::{
    ConfigError, StoreErrorKind, UserId,
    key::{
        ImportedFormat, ImportedKeys, ImportedSecret, KeyHandle, LowEntropySecret, NewKey,
        SecretHash,
    },
    testing::BusyHasher,
};

use super::{
    super::{World, alices, api_keys},
    RIGHT, format, imported, one_at_a_time, secret, with, world, world_of,
};

fn handle(text: &str) -> KeyHandle {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_key_that_can_not_be_is_not_imported() {
    let w = world().await;
    imported(&w).await;
    let keys = w
        .tenancy
        .keys()
        .unwrap()
        .by(tenancy_core::testing::service());
    let poisoned = SecretHash::from_stored("$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHQ$MDEy");
    let stranger = NewKey::new(w.acme.id, UserId::new(), "a key", ["*".parse().unwrap()]);
    let nothing = NewKey::new(w.acme.id, w.alice, "a key", ["nothing:*".parse().unwrap()]);
    let other = NewKey::new(w.globex.id, w.bob, "a key", ["*".parse().unwrap()]);
    let any = || ImportedSecret::from(secret("correcthorse"));
    for (new, at, secret, kind) in [
        (alices(&w), "4711", any(), StoreErrorKind::Conflict),
        (other, "4711", any(), StoreErrorKind::Conflict),
        (alices(&w), "47.11", any(), StoreErrorKind::Invalid),
        (alices(&w), "4712", poisoned.into(), StoreErrorKind::Invalid),
        (stranger, "4712", any(), StoreErrorKind::Invalid),
        (nothing, "4712", any(), StoreErrorKind::Invalid),
    ] {
        let refused = keys.import(new, handle(at), secret).await.unwrap_err();
        assert_eq!(refused.kind(), kind, "{refused}");
        let said = refused.to_string();
        assert!(!said.contains(&w.acme.id.to_string()), "{said}");
        assert!(
            !said.contains("argon2id$") && !said.contains("horse"),
            "{said}"
        );
    }
    // The key that was there is the one that is.
    assert_eq!(w.admit(&with(RIGHT)).await.unwrap().tenant_id(), w.acme.id);
    assert_eq!(keys.list(w.acme.id, None, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_new_key_is_found_at_once_although_its_absence_was_cached() {
    let w = world().await;
    assert_eq!(w.refused(&with(RIGHT)).await, (401, "key-unknown"));
    imported(&w).await;
    assert!(w.admit(&with(RIGHT)).await.is_ok());
}

#[tokio::test]
async fn nothing_is_imported_where_it_could_not_be_used_or_hashed() {
    let w = super::super::world().await;
    let keys = w
        .tenancy
        .keys()
        .unwrap()
        .by(tenancy_core::testing::service());
    let refused = keys
        .import(alices(&w), handle("4711"), secret("correcthorse"))
        .await;
    assert_eq!(refused.unwrap_err().kind(), StoreErrorKind::ReadOnly);

    let hasher = one_at_a_time();
    let w = world_of(ImportedKeys::new(format()).hasher(hasher.clone())).await;
    let keys = w
        .tenancy
        .keys()
        .unwrap()
        .by(tenancy_core::testing::service());
    let _held = BusyHasher::full(&hasher).await;
    let refused = keys
        .import(alices(&w), handle("4711"), secret("correcthorse"))
        .await;
    assert_eq!(refused.unwrap_err().kind(), StoreErrorKind::Unavailable);
}

#[tokio::test]
async fn a_leaked_text_revokes_its_key_and_no_other_text_does() {
    let w = world().await;
    let id = imported(&w).await.id;
    let keys = w
        .tenancy
        .keys()
        .unwrap()
        .by(tenancy_core::testing::service());
    for text in [
        "oldco_4711.wrong",
        "oldco_4712.correcthorse",
        "oldco_4711",
        "4711",
    ] {
        let revoked = keys.revoke_leaked(text).await;
        assert_eq!(revoked.unwrap(), None, "{text}");
    }
    assert!(w.admit(&with(RIGHT)).await.is_ok());
    let revoked = keys.revoke_leaked(RIGHT).await;
    assert_eq!(revoked.unwrap().map(|key| key.id), Some(id));
    assert_eq!(w.refused(&with(RIGHT)).await, (401, "key-revoked"));
}

#[tokio::test]
async fn a_configuration_that_could_be_mistaken_does_not_build() {
    let named = |prefix| ImportedFormat::separated(prefix, '.').unwrap();
    let of = ImportedKeys::new;
    for (config, said) in [
        (of(named("acme_")), "can't be told apart"),
        (of(named("acme_old_")), "can't be told apart"),
        (of(named("ac")), "can't be told apart"),
        (of(format()).attempts_per_handle(0), "at least 1"),
        (of(format()).attempts_per_address(0), "at least 1"),
    ] {
        assert!(refused(config).await.to_string().contains(said), "{said}");
    }
    // Alike, and yet apart.
    world_of(of(named("acmeold_"))).await;
}

async fn refused(config: ImportedKeys) -> ConfigError {
    let w = World::new().await;
    let keys = api_keys(w.directory.clone()).imported(config);
    tenancy_core::Tenancy::builder(w.directory.clone())
        .keys(keys)
        .build()
        .unwrap_err()
}

#[test]
fn nothing_shows_a_secret_when_it_is_printed() {
    let text = LowEntropySecret::new("correcthorse").unwrap();
    let secret = ImportedSecret::from(text);
    let hash = SecretHash::from_stored("$argon2id$a hash");
    let shown = format!("{secret:?} {hash:?} {:?}", ImportedKeys::new(format()));
    assert!(
        !shown.contains("horse") && !shown.contains("a hash"),
        "{shown}"
    );
}
