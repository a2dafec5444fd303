//! What somebody gets who floods the service with secrets.

use std::{num::NonZeroUsize, time::Duration};

use futures_util::{StreamExt as _, future::join_all, stream::FuturesUnordered};
use tenancy_core::{
    Admission, Clock as _, RouteNeeds,
    key::{ImportedKeys, SecretHasher},
    testing::BusyHasher,
};

use super::{
    super::{World, alices, ip},
    RIGHT, format, import, imported, one_at_a_time, secret, with, world_of,
};

const MINUTE: Duration = Duration::from_secs(60);

/// A world at the beginning of a minute.
async fn world_at_a_minute(config: ImportedKeys) -> World {
    let w = world_of(config).await;
    let into = w
        .clock
        .now()
        .since(tenancy_core::Timestamp::EPOCH)
        .as_micros()
        % MINUTE.as_micros();
    let into = Duration::from_micros(u64::try_from(into).unwrap());
    w.clock.advance(MINUTE - into);
    w
}

/// How many of these texts at once got which answer.
async fn answers(w: &World, texts: &[String]) -> Vec<(u16, &'static str)> {
    let requests: Vec<_> = texts.iter().map(|text| with(text)).collect();
    join_all(requests.iter().map(|request| w.refused(request))).await
}

fn count(answers: &[(u16, &'static str)], wanted: (u16, &'static str)) -> usize {
    answers.iter().filter(|answer| **answer == wanted).count()
}

fn wrong(n: usize) -> String {
    format!("oldco_4711.wrong{n}")
}

#[tokio::test]
async fn a_flood_of_secrets_waits_in_a_bounded_queue_and_then_gets_503() {
    let hasher = one_at_a_time();
    let w = world_of(ImportedKeys::new(format()).hasher(hasher.clone())).await;
    let stopped = BusyHasher::stopped(&hasher).await;
    let flood: Vec<_> = (0..40).map(|n| with(&format!("oldco_{n}.guess"))).collect();
    let mut answers: FuturesUnordered<_> = flood.iter().map(|guess| w.refused(guess)).collect();
    for _ in 0..35 {
        let answer = answers.next().await;
        assert_eq!(answer, Some((503, "secret-hasher-busy")));
    }
    drop(stopped);
    for _ in 0..5 {
        assert_eq!(answers.next().await, Some((401, "key-unknown")));
    }
    let recorded = w.last_audit();
    assert_eq!(recorded.reason.as_deref(), Some("key-unknown"));
    // It recovers, and who was told to come again was not counted.
    imported(&w).await;
    assert!(w.admit(&with(RIGHT)).await.is_ok());
}

#[tokio::test]
async fn who_is_told_that_the_hasher_is_busy_is_told_when_to_come_again() {
    let hasher = one_at_a_time();
    let config = ImportedKeys::new(format()).hasher(hasher.clone());
    let w = world_of(config.attempts_per_handle(1)).await;
    let held = BusyHasher::full(&hasher).await;
    for _ in 0..3 {
        let refusal = w.admit(&with("oldco_1.guess")).await.unwrap_err();
        assert_eq!(refusal.reason(), "secret-hasher-busy");
        assert_eq!(refusal.problem().retry_after_seconds(), Some(1));
    }
    drop(held);
    assert_eq!(
        w.refused(&with("oldco_1.guess")).await,
        (401, "key-unknown")
    );
}

#[tokio::test]
async fn failed_attempts_at_a_key_are_counted_before_anything_is_hashed() {
    let hasher = one_at_a_time();
    let config = ImportedKeys::new(format()).hasher(hasher.clone());
    let w = world_at_a_minute(config).await;
    imported(&w).await;
    import(&w, alices(&w), "other", secret("correcthorse")).await;
    for handle in ["4711", "nobody"] {
        for n in 0..10 {
            let text = format!("oldco_{handle}.wrong{n}");
            assert_eq!(w.refused(&with(&text)).await.0, 401, "{text}");
        }
    }
    // One comes back in 6 seconds.
    w.clock.advance(Duration::from_secs(2));
    let held = BusyHasher::full(&hasher).await;
    // The same for a key that there is and one that there is not, for right and for wrong.
    for text in [
        RIGHT,
        "oldco_4711.wrong",
        "oldco_4711.wrong0",
        "oldco_nobody.wrong",
    ] {
        let refusal = w.admit(&with(text)).await.unwrap_err();
        assert_eq!(refusal.reason(), "key-attempts-spent", "{text}");
        assert_eq!(refusal.kind().status(), 503);
        assert_eq!(refusal.retry_after(), Some(Duration::from_secs(4)));
    }
    drop(held);
    assert!(w.admit(&with("oldco_other.correcthorse")).await.is_ok());
    w.clock
        .advance(Duration::from_secs(4) - Duration::from_micros(1));
    assert_eq!(w.refused(&with(RIGHT)).await, (503, "key-attempts-spent"));
    w.clock.advance(Duration::from_micros(1));
    assert!(w.admit(&with(RIGHT)).await.is_ok());
}

#[tokio::test]
async fn failed_attempts_from_an_address_are_counted_before_anything_is_hashed() {
    let config = ImportedKeys::new(format()).attempts_per_address(3);
    let w = world_at_a_minute(config).await;
    imported(&w).await;
    let (attacker, neighbour, owner) =
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", "2001:db8:0:2::1");
    for n in 0..3 {
        let guess = with(&format!("oldco_{n}.guess")).peer(ip(attacker));
        assert_eq!(w.refused(&guess).await, (401, "key-unknown"));
    }
    for from in [attacker, neighbour] {
        let request = with(RIGHT).peer(ip(from));
        assert_eq!(w.refused(&request).await, (503, "key-attempts-spent"));
    }
    // What the attacker was refused is not counted against the key.
    for n in 0..20 {
        let guess = with(&wrong(n)).peer(ip(attacker));
        assert_eq!(w.refused(&guess).await, (503, "key-attempts-spent"));
    }
    assert!(w.admit(&with(RIGHT).peer(ip(owner))).await.is_ok());
    // It is remembered now, for whoever shows it.
    assert!(w.admit(&with(RIGHT).peer(ip(attacker))).await.is_ok());
}

#[tokio::test]
async fn many_wrong_secrets_at_once_are_no_more_than_few() {
    let eight = SecretHasher::with_parallelism(NonZeroUsize::new(8).unwrap());
    let config = ImportedKeys::new(format())
        .hasher(eight)
        .attempts_per_handle(3);
    let w = world_at_a_minute(config).await;
    imported(&w).await;
    let flood: Vec<_> = (0..30).map(wrong).collect();
    let answers = answers(&w, &flood).await;
    assert_eq!(count(&answers, (401, "key-secret")), 3);
    assert_eq!(count(&answers, (503, "key-attempts-spent")), 27);
}

#[tokio::test]
async fn a_guesser_does_not_lock_the_owner_out_of_a_process_that_has_seen_the_owner() {
    let hasher = one_at_a_time();
    let config = ImportedKeys::new(format()).hasher(hasher.clone());
    let w = world_at_a_minute(config).await;
    imported(&w).await;
    w.admit(&with(RIGHT)).await.unwrap();
    for n in 0..10 {
        assert_eq!(w.refused(&with(&wrong(n))).await, (401, "key-secret"));
    }
    assert_eq!(
        w.refused(&with(&wrong(10))).await,
        (503, "key-attempts-spent")
    );
    let _held = BusyHasher::full(&hasher).await;
    assert!(w.admit(&with(RIGHT)).await.is_ok());
    // Also after the caches were dropped, by a change or by a feed that fell silent.
    w.tenancy.invalidate(w.acme.id);
    assert!(w.admit(&with(RIGHT)).await.is_ok());
    w.directory.silence_feed(true);
    w.clock
        .advance(w.tenancy.max_staleness() + Duration::from_secs(1));
    assert!(w.admit(&with(RIGHT)).await.is_ok());
}

#[tokio::test]
async fn attempts_that_succeed_are_not_counted() {
    let config = ImportedKeys::new(format()).attempts_per_handle(1);
    let w = world_at_a_minute(config.attempts_per_address(1)).await;
    imported(&w).await;
    import(&w, alices(&w), "other", secret("correcthorse")).await;
    let from = |text: &str| with(text).peer(ip("192.0.2.1"));
    assert!(w.admit(&from(RIGHT)).await.is_ok());
    assert!(w.admit(&from("oldco_other.correcthorse")).await.is_ok());
    assert_eq!(w.refused(&from(&wrong(0))).await, (401, "key-secret"));
    assert_eq!(
        w.refused(&from(&wrong(1))).await,
        (503, "key-attempts-spent")
    );
}

/// Otherwise the one who holds a key that was taken back could tell by it that the secret is right.
#[tokio::test]
async fn the_right_secret_of_a_key_that_is_off_is_counted_as_a_failure() {
    let w = world_at_a_minute(ImportedKeys::new(format()).attempts_per_handle(2)).await;
    let id = imported(&w).await.id;
    let admin = w
        .tenancy
        .keys()
        .unwrap()
        .by(tenancy_core::testing::service());
    admin.disable(w.acme.id, id).await.unwrap();
    for _ in 0..2 {
        assert_eq!(w.refused(&with(RIGHT)).await, (401, "key-disabled"));
    }
    assert_eq!(w.refused(&with(RIGHT)).await, (503, "key-attempts-spent"));
    assert_eq!(w.last_audit().target, Some(format!("key:{id}")));
    admin.enable(w.acme.id, id).await.unwrap();
    w.clock.advance(MINUTE);
    assert!(w.admit(&with(RIGHT)).await.is_ok());
}

#[tokio::test]
async fn wrong_secrets_are_not_remembered_and_do_not_push_out_right_ones() {
    let w = World::over(|directory, builder| {
        let imported = ImportedKeys::new(format()).attempts_per_handle(u16::MAX);
        let keys = super::super::api_keys(directory).imported(imported);
        builder.keys(keys).directory_cache_bytes(8 * 1024)
    })
    .await;
    imported(&w).await;
    assert!(w.admit(&with(RIGHT)).await.is_ok());
    for n in 0..60 {
        assert_eq!(w.refused(&with(&wrong(n % 30))).await, (401, "key-secret"));
    }
    let again = w.tenancy.admit(&with(RIGHT), RouteNeeds::tenant());
    assert!(matches!(again, Admission::Ready(Ok(_))));
}

#[tokio::test]
async fn a_caller_that_gives_up_counts_as_one_that_failed_and_holds_nobody_up() {
    let hasher = one_at_a_time();
    let config = ImportedKeys::new(format()).hasher(hasher.clone());
    let w = world_at_a_minute(config.attempts_per_handle(2)).await;
    imported(&w).await;
    let held = BusyHasher::stopped(&hasher).await;
    let request = with(&wrong(0));
    let mut gone = Box::pin(w.admit(&request));
    assert!(futures_util::poll!(&mut gone).is_pending());
    drop(gone);
    drop(held);
    assert!(w.admit(&with(RIGHT)).await.is_ok());
    assert_eq!(w.refused(&with(&wrong(1))).await, (401, "key-secret"));
    assert_eq!(
        w.refused(&with(&wrong(2))).await,
        (503, "key-attempts-spent")
    );
}

#[tokio::test]
async fn callers_without_a_known_address_do_not_spend_each_others_attempts() {
    let w = world_at_a_minute(ImportedKeys::new(format()).attempts_per_address(1)).await;
    imported(&w).await;
    for n in 0..3 {
        assert_eq!(w.refused(&with(&format!("oldco_{n}.x"))).await.0, 401);
    }
    assert!(w.admit(&with(RIGHT)).await.is_ok());
}
