//! Secrets of low entropy, and what they may cost.

use std::num::NonZeroUsize;

use futures_util::{StreamExt as _, stream::FuturesUnordered};

use crate::{
    Refusal,
    key::{LowEntropySecret, SecretErrorKind, SecretHasher},
    testing::BusyHasher,
};

fn secret(text: &str) -> LowEntropySecret {
    LowEntropySecret::new(text).unwrap()
}

fn one_at_a_time() -> SecretHasher {
    SecretHasher::with_parallelism(NonZeroUsize::MIN)
}

#[tokio::test]
async fn a_flood_of_secrets_waits_in_a_bounded_queue_and_then_gets_503() {
    let hasher = one_at_a_time();
    let stopped = BusyHasher::stopped(&hasher).await;
    let mut flood: FuturesUnordered<_> = (0..40)
        .map(|_| hasher.verify(secret("guess"), None))
        .collect();
    let refused = flood.next().await.unwrap().unwrap_err();
    for _ in 1..35 {
        let refused = flood.next().await.unwrap().unwrap_err();
        assert_eq!(refused.kind(), SecretErrorKind::Busy);
    }
    drop(stopped);
    let waited: Vec<_> = flood.collect().await;
    assert_eq!(waited, vec![Ok(false); 5]);
    let refusal = Refusal::from(refused);
    assert_eq!(refusal.kind().status(), 503);
    assert!(refusal.retry_after().is_some());
    assert_eq!(
        hasher.verify(secret("guess"), None).await,
        Ok(false),
        "and it recovers"
    );
}

#[tokio::test]
async fn a_caller_that_gives_up_keeps_its_place_until_the_work_is_done() {
    let hasher = one_at_a_time();
    for _ in 0..5 {
        let mut gone = Box::pin(hasher.verify(secret("guess"), None));
        assert!(futures_util::poll!(&mut gone).is_pending());
        drop(gone);
    }
    // One runs on; those that only waited have left.
    assert!(hasher.running.available_permits() == 0);
    assert!(hasher.verify(secret("guess"), None).await.is_ok());
}

#[test]
fn a_secrets_length_is_capped() {
    for (len, fits) in [(0, false), (1, true), (1024, true), (1025, false)] {
        assert_eq!(
            LowEntropySecret::new("x".repeat(len)).is_ok(),
            fits,
            "{len}"
        );
    }
    assert_eq!(
        format!("{:?}", secret("hunter2")),
        "LowEntropySecret(redacted)"
    );
}

#[tokio::test]
async fn parameters_from_a_poisoned_row_are_clamped() {
    let hasher = one_at_a_time();
    let good = hasher.hash(secret("hunter2")).await.unwrap();
    let tail = good.strip_prefix("$argon2id$v=19$m=19456,t=2,p=1").unwrap();
    assert_eq!(
        hasher.verify(secret("hunter2"), Some(&good)).await,
        Ok(true)
    );
    assert_eq!(
        hasher.verify(secret("hunter3"), Some(&good)).await,
        Ok(false)
    );
    for poisoned in [
        format!("$argon2id$v=19$m=4194304,t=2,p=1{tail}"),
        format!("$argon2id$v=19$m=65537,t=2,p=1{tail}"),
        format!("$argon2id$v=19$m=19456,t=11,p=1{tail}"),
        format!("$argon2id$v=19$m=19456,t=4294967295,p=1{tail}"),
        format!("$argon2id$v=19$m=19456,t=2,p=5{tail}"),
        format!("$argon2i$v=19$m=19456,t=2,p=1{tail}"),
        format!("$argon2d$v=19$m=19456,t=2,p=1{tail}"),
        format!("$argon2id$v=16$m=19456,t=2,p=1{tail}"),
        format!("$argon2id$m=19456,t=2,p=1{tail}"),
        "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0".into(),
        "$argon2id$v=19$m=19456,t=2,p=1".into(),
        "plain".into(),
        String::new(),
        "x".repeat(10_000),
    ] {
        let refused = hasher.verify(secret("hunter2"), Some(&poisoned)).await;
        assert_eq!(
            refused.unwrap_err().kind(),
            SecretErrorKind::Stored,
            "{poisoned}"
        );
    }
}
