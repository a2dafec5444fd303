//! A good imported key is a key like any other.

use std::time::Duration;

use tenancy_core::{
    Admission, Clock as _, RouteNeeds,
    key::{
        ApiKey, ImportedFormat, ImportedKeys, KeyDirectory as _, KeyState, SecretHash, SecretHasher,
    },
    testing::{BusyHasher, FakeRequest},
};

use super::{
    super::{World, alices, api_keys, ip},
    RIGHT, format, import, imported, one_at_a_time, secret, with, world, world_of,
};

fn is_decided_at_once(w: &World, request: &FakeRequest) -> bool {
    let answer = w.tenancy.admit(request, RouteNeeds::tenant());
    matches!(answer, Admission::Ready(Ok(_)))
}

#[tokio::test]
async fn an_imported_key_does_what_its_creator_may_within_its_scopes() {
    let w = world().await;
    let mut new = alices(&w).network("192.0.2.0/24".parse().unwrap());
    new = new.metadata(serde_json::Map::from_iter([(
        "from".into(),
        "oldco".into(),
    )]));
    let key = import(&w, new, "4711", secret("correcthorse")).await;
    let entry = w.last_audit();
    assert_eq!(
        (&*entry.action, entry.target),
        ("key.import", Some(format!("key:{}", key.id)))
    );
    let here = with(RIGHT).peer(ip("192.0.2.1"));
    let context = w.admit(&here).await.unwrap();
    assert_eq!(context.tenant_id(), w.acme.id);
    assert_eq!(
        context.principal().actor.to_string(),
        format!("key:{}", key.id)
    );
    assert_eq!((context.user_id(), context.role()), (None, None));
    assert!(context.require("notes:write").is_ok());
    let narrowed = w
        .tenancy
        .keys()
        .unwrap()
        .by(tenancy_core::testing::service());
    narrowed
        .set_scopes(w.acme.id, key.id, ["notes:read".parse().unwrap()])
        .await
        .unwrap();
    let context = w.admit(&here).await.unwrap();
    assert!(context.require("notes:read").is_ok() && context.require("notes:write").is_err());
    let elsewhere = here.header("host", "globex.notes.example");
    assert_eq!(
        w.refused(&elsewhere).await,
        (404, "credential-of-another-tenant")
    );
}

/// What the reference implementation's tool (the Debian package `argon2`) prints for
/// `echo -n password | argon2 somesalt -id -t 2 -m 16 -p 4 -e`.
const THEIRS: &str = "$argon2id$v=19$m=65536,t=2,p=4$c29tZXNhbHQ\
                      $GpZ3sK/oH9p7VIiV56G/64Zo/8GaUw434IimaPqxwCo";

#[tokio::test]
async fn a_hash_of_another_implementation_is_taken_as_it_is() {
    let w = world().await;
    let theirs = SecretHash::argon2id(THEIRS).unwrap();
    let key = import(&w, alices(&w), "9", theirs).await;
    assert_eq!(key.verifier.hash().map(SecretHash::as_str), Some(THEIRS));
    assert!(w.admit(&with("oldco_9.password")).await.is_ok());
    assert_eq!(
        w.refused(&with("oldco_9.passwore")).await,
        (401, "key-secret")
    );
}

#[tokio::test]
async fn each_form_of_another_systems_keys_is_read_as_it_says() {
    let separated = ImportedFormat::separated("sk-", ':').unwrap();
    let fixed = ImportedFormat::fixed("sk-", 4).unwrap();
    for (format, handle, hashed, text) in [
        (separated.clone(), "a.b", "c:d", "sk-a.b:c:d"),
        (separated.hashed_whole(), "ab", "sk-ab:cd", "sk-ab:cd"),
        (fixed.clone(), "ab:c", "d", "sk-ab:cd"),
        (fixed.hashed_whole(), "abcd", "sk-abcdefg", "sk-abcdefg"),
    ] {
        let w = world_of(ImportedKeys::new(format)).await;
        import(&w, alices(&w), handle, secret(hashed)).await;
        assert!(w.admit(&with(text)).await.is_ok(), "{text}");
        let other = format!("{text}x");
        assert_eq!(
            w.refused(&with(&other)).await,
            (401, "key-secret"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_key_in_a_header_field_of_its_own_may_have_spaces() {
    let w = World::over(|directory, builder| {
        let keys = api_keys(directory).header("x-api-key");
        builder.keys(keys.imported(ImportedKeys::new(format())))
    })
    .await;
    import(&w, alices(&w), "4711", secret("correct horse, battery")).await;
    let request = FakeRequest::new("/").header("x-api-key", "oldco_4711.correct horse, battery");
    assert!(w.admit(&request).await.is_ok());
}

#[tokio::test]
async fn a_secret_is_hashed_for_the_first_request_and_never_in_the_synchronous_decision() {
    let hasher = one_at_a_time();
    let w = world_of(ImportedKeys::new(format()).hasher(hasher.clone())).await;
    let key = imported(&w).await;
    let first = w.tenancy.admit(&with(RIGHT), RouteNeeds::tenant());
    let Admission::Pending(first) = first else {
        panic!("{first:?}");
    };
    first.resolve().await.unwrap();
    assert!(!is_decided_at_once(&w, &with("oldco_4711.wrong")));
    // Nothing can be hashed any more, and nothing has to be.
    let _held = BusyHasher::full(&hasher).await;
    let asked = w.directory.questions();
    for _ in 0..3 {
        assert!(is_decided_at_once(&w, &with(RIGHT)));
    }
    assert_eq!(w.directory.questions(), asked);
    // Also where something about the tenant has changed, so that its records are loaded anew.
    w.tenancy
        .keys()
        .unwrap()
        .by(tenancy_core::testing::service())
        .rename(w.acme.id, key.id, "renamed")
        .await
        .unwrap();
    assert!(w.admit(&with(RIGHT)).await.is_ok());
    assert_eq!(
        w.refused(&with("oldco_4711.wrong")).await,
        (503, "secret-hasher-busy")
    );
}

#[tokio::test]
async fn many_first_requests_with_a_key_hash_its_secret_once() {
    let hasher = one_at_a_time();
    let config = ImportedKeys::new(format()).hasher(hasher);
    let w = world_of(config.attempts_per_handle(1)).await;
    imported(&w).await;
    let asked = w.directory.questions();
    let requests: Vec<_> = (0..100).map(|_| with(RIGHT)).collect();
    let admitted = futures_util::future::join_all(requests.iter().map(|r| w.admit(r))).await;
    assert!(admitted.iter().all(Result::is_ok));
    // The key, the tenant, the membership, the roles: once each.
    assert_eq!(w.directory.questions() - asked, 4);
}

#[tokio::test]
async fn every_hit_is_checked_for_expiry_and_network() {
    let w = world().await;
    let end = w.clock.now() + Duration::from_secs(3);
    let new = alices(&w)
        .expires_at(end)
        .network("192.0.2.0/24".parse().unwrap());
    import(&w, new, "4711", secret("correcthorse")).await;
    let here = with(RIGHT).peer(ip("192.0.2.1"));
    for _ in 0..2 {
        assert!(w.admit(&here).await.is_ok());
        let there = with(RIGHT).peer(ip("198.51.100.1"));
        assert_eq!(w.refused(&there).await, (401, "key-network"));
        assert_eq!(w.refused(&with(RIGHT)).await, (401, "key-network-unknown"));
    }
    w.clock
        .advance(Duration::from_secs(3) - Duration::from_micros(1));
    assert!(is_decided_at_once(&w, &here));
    w.clock.advance(Duration::from_micros(1));
    assert_eq!(w.refused(&here).await, (401, "key-expired"));
}

#[tokio::test]
async fn a_change_holds_from_the_next_request_on() {
    let w = world().await;
    let admin = w
        .tenancy
        .keys()
        .unwrap()
        .by(tenancy_core::testing::service());
    let id = imported(&w).await.id;
    let context = w.admit(&with(RIGHT)).await.unwrap();
    admin.disable(w.acme.id, id).await.unwrap();
    assert_eq!(w.refused(&with(RIGHT)).await, (401, "key-disabled"));
    assert!(w.tenancy.revalidate(&context).await.is_err());
    admin.enable(w.acme.id, id).await.unwrap();
    assert!(w.admit(&with(RIGHT)).await.is_ok());
    assert!(w.tenancy.revalidate(&context).await.is_ok());
    admin.revoke(w.acme.id, id).await.unwrap();
    assert_eq!(w.refused(&with(RIGHT)).await, (401, "key-revoked"));
    assert!(w.tenancy.revalidate(&context).await.is_err());
}

#[tokio::test]
async fn a_revocation_in_another_process_holds_within_the_bound() {
    let w = world().await;
    let id = imported(&w).await.id;
    assert!(w.admit(&with(RIGHT)).await.is_ok());
    let revoked = tenancy_core::key::KeyChange::Revoked(w.clock.now());
    let elsewhere = w.directory.directory();
    tenancy_core::testing::KeyStoreDirectly::change_key(elsewhere, w.acme.id, id, &revoked)
        .await
        .unwrap();
    w.clock
        .advance(w.tenancy.max_staleness() + Duration::from_micros(1));
    assert_eq!(w.refused(&with(RIGHT)).await, (401, "key-revoked"));
}

#[tokio::test]
async fn a_rotation_gives_a_key_of_the_services_own_format_and_an_overlap() {
    let w = world().await;
    let old = imported(&w).await;
    let admin = w
        .tenancy
        .keys()
        .unwrap()
        .by(tenancy_core::testing::service());
    let overlap = Duration::from_secs(60);
    let new = admin.rotate(w.acme.id, old.id, overlap).await.unwrap();
    assert!(new.expose().starts_with("acme_live_"));
    assert!(new.record().verifier.digest().is_some());
    assert_eq!(new.record().scopes, old.scopes);
    assert!(w.admit(&with(RIGHT)).await.is_ok());
    assert!(w.admit(&with(new.expose())).await.is_ok());
    w.clock.advance(overlap);
    assert_eq!(w.refused(&with(RIGHT)).await, (401, "key-rotated"));
    assert!(w.admit(&with(new.expose())).await.is_ok());
}

#[tokio::test]
async fn uses_are_noted_as_those_of_other_keys_are() {
    let w = world().await;
    let id = imported(&w).await.id;
    w.admit(&with(RIGHT)).await.unwrap();
    w.tenancy.keys().unwrap().flush_last_used().await.unwrap();
    let used: ApiKey = w.directory.find_key(id).await.unwrap().unwrap();
    assert_eq!(used.last_used_at, Some(w.clock.now()));
    assert_eq!(used.state_at(w.clock.now()), KeyState::Active);
}

#[tokio::test]
async fn a_hasher_is_shared_with_whatever_else_hashes() {
    let hasher: SecretHasher = one_at_a_time();
    let w = world_of(ImportedKeys::new(format()).hasher(hasher.clone())).await;
    imported(&w).await;
    let held = BusyHasher::full(&hasher).await;
    assert_eq!(w.refused(&with(RIGHT)).await, (503, "secret-hasher-busy"));
    drop(held);
    assert!(w.admit(&with(RIGHT)).await.is_ok());
}
