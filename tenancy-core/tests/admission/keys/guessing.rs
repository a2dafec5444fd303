//! What strangers and slow news can do to the cache of keys: nothing that outlasts its time.

use std::time::Duration;

use tenancy_core::{
    Admission, Clock as _, RouteNeeds, key::KeyChange, testing::FakeRequest,
    testing::KeyStoreDirectly as _,
};

use super::{alices, issue, with, with_keys, world};
use crate::support::World;

/// The id of one key with the secret of another, whose checksum fits.
fn forged(id: &str, secret: &str) -> FakeRequest {
    let mut text = format!("{}{}", &id[..33], &secret[33..76]);
    text += &super::presenting::checksum(&text);
    FakeRequest::new("/notes").bearer(&text)
}

/// A cache that is keyed by secrets would have an entry, and ask a question, for each.
#[tokio::test]
async fn a_thousand_wrong_secrets_for_one_key_ask_nobody_and_push_nothing_out() {
    let w = World::over(|directory, builder| {
        with_keys(directory, builder).directory_cache_bytes(64 * 1024)
    })
    .await;
    let strangers = world().await;
    let (key, neighbour) = (issue(&w, alices(&w)).await, issue(&w, alices(&w)).await);
    for known in [&key, &neighbour] {
        assert!(w.admit(&with(known)).await.is_ok());
    }
    let asked = w.directory.questions();
    for _ in 0..1000 {
        let other = issue(&strangers, alices(&strangers)).await;
        let guess = forged(key.expose(), other.expose());
        assert_eq!(w.refused(&guess).await, (401, "key-secret"));
    }
    for known in [&key, &neighbour] {
        let again = w.tenancy.admit(&with(known), RouteNeeds::tenant());
        assert!(matches!(again, Admission::Ready(Ok(_))));
    }
    assert_eq!(w.directory.questions(), asked);
}

#[tokio::test]
async fn the_absence_of_a_key_is_believed_for_five_seconds_only() {
    let (here, w) = (world().await, world().await);
    let key = issue(&here, alices(&here)).await;
    assert_eq!(w.refused(&with(&key)).await, (401, "key-unknown"));
    let mut record = key.record().clone();
    (record.tenant, record.creator) = (w.acme.id, w.alice);
    // Past the engine, and without news of it.
    w.directory.directory().insert_key(&record).await.unwrap();
    w.directory.silence_feed(true);
    let (asked, tick) = (w.directory.questions(), Duration::from_micros(1));
    w.clock.advance(Duration::from_secs(5) - tick);
    assert_eq!(w.refused(&with(&key)).await, (401, "key-unknown"));
    assert_eq!(w.directory.questions(), asked);
    w.clock.advance(tick);
    assert!(w.admit(&with(&key)).await.is_ok());
}

/// A cache that serves the old value while it fetches the new one would admit the first request.
#[tokio::test]
async fn the_first_use_after_a_quiet_time_is_not_served_the_stale_key() {
    for quiet in [6, 60, 600, 86_400] {
        let w = world().await;
        let key = issue(&w, alices(&w)).await;
        assert!(w.admit(&with(&key)).await.is_ok());
        let revoked = KeyChange::Revoked(w.clock.now());
        let elsewhere = w.directory.directory();
        elsewhere
            .change_key(w.acme.id, key.record().id, &revoked)
            .await
            .unwrap();
        w.clock.advance(Duration::from_secs(quiet));
        let first = w.refused(&with(&key)).await;
        assert_eq!(first, (401, "key-revoked"), "after {quiet} s");
    }
}
