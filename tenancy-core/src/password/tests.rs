use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use super::*;
use crate::{ManualClock, Refusal, quota::MemoryCounters, testing::BusyHasher};

/// As cheap as it may be.
fn hasher() -> SecretHasher {
    SecretHasher::with_parallelism(NonZeroUsize::MIN)
        .cost(7 * 1024, 5)
        .unwrap()
}

fn secret(text: &str) -> LowEntropySecret {
    LowEntropySecret::new(text).unwrap()
}

const RIGHT: &str = "correct horse battery staple";

struct World {
    passwords: Passwords,
    hasher: SecretHasher,
    clock: Arc<ManualClock>,
    stored: SecretHash,
}

async fn world(options: impl FnOnce(PasswordsBuilder) -> PasswordsBuilder) -> World {
    let (hasher, clock) = (hasher(), Arc::new(ManualClock::now_frozen()));
    let builder = Passwords::builder()
        .hasher(hasher.clone())
        .clock(clock.clone());
    let passwords = options(builder).build().unwrap();
    let stored = passwords.hash(secret(RIGHT)).await.unwrap();
    World {
        passwords,
        hasher,
        clock,
        stored,
    }
}

impl World {
    async fn verify(
        &self,
        account: &str,
        stored: Option<&SecretHash>,
        attempt: &str,
    ) -> Result<PasswordVerdict, PasswordError> {
        let ip = "192.0.2.7".parse().ok();
        self.passwords
            .verify(account, ip, stored, secret(attempt))
            .await
    }
}

fn is_right(verdict: &Result<PasswordVerdict, PasswordError>) -> bool {
    matches!(verdict, Ok(PasswordVerdict::Right { .. }))
}

#[tokio::test]
async fn an_account_that_there_is_not_costs_as_much_work_as_one_that_there_is() {
    let w = world(|builder| builder).await;
    let foreign =
        SecretHash::from_stored("$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW");
    let poisoned = SecretHash::from_stored(w.stored.as_str().replace("m=7168", "m=4194304"));
    let cases = [
        ("right", Some(&w.stored), RIGHT),
        ("wrong", Some(&w.stored), "Tr0ub4dor&3"),
        ("unknown", None, RIGHT),
        ("of another scheme", Some(&foreign), RIGHT),
        ("poisoned", Some(&poisoned), RIGHT),
    ];
    for (what, stored, attempt) in cases {
        let before = w.hasher.runs();
        let verdict = w.verify(what, stored, attempt).await;
        assert_eq!(w.hasher.runs() - before, 1, "{what}");
        assert_eq!(is_right(&verdict), what == "right", "{what}: {verdict:?}");
        let unusable = matches!(what, "of another scheme" | "poisoned");
        assert_eq!(
            matches!(verdict, Err(PasswordError::Stored)),
            unusable,
            "{what}: {verdict:?}"
        );
    }
}

#[tokio::test]
async fn a_hash_that_cost_less_is_renewed_when_it_was_right_and_no_other_is() {
    let w = world(|builder| builder).await;
    let dearer = hasher().cost(9 * 1024, 4).unwrap();
    let dear = Passwords::builder().hasher(dearer.clone()).build().unwrap();
    let verify = async |passwords: &Passwords, stored: &SecretHash, attempt: &str| {
        let verdict = passwords
            .verify("alice", None, Some(stored), secret(attempt))
            .await;
        match verdict.unwrap() {
            PasswordVerdict::Right { renewed } => Some(renewed),
            PasswordVerdict::Wrong => None,
        }
    };
    let renewed = verify(&dear, &w.stored, RIGHT).await.unwrap().unwrap();
    assert!(
        renewed
            .as_str()
            .starts_with("$argon2id$v=19$m=9216,t=4,p=1$")
    );
    assert!(verify(&dear, &renewed, RIGHT).await.unwrap().is_none());
    // Nor is one that costs more, which would get cheaper.
    assert!(
        verify(&w.passwords, &renewed, RIGHT)
            .await
            .unwrap()
            .is_none()
    );
    let before = dearer.runs();
    assert!(verify(&dear, &w.stored, "Tr0ub4dor&3").await.is_none());
    assert_eq!(dearer.runs() - before, 1, "a wrong one is hashed once");
}

#[tokio::test]
async fn attempts_that_fail_are_spent_by_account_whether_there_is_one_and_come_back() {
    let w = world(|builder| builder.attempts_per_account(2)).await;
    for (account, stored) in [("alice", Some(&w.stored)), ("nobody", None)] {
        for _ in 0..2 {
            let wrong = w.verify(account, stored, "Tr0ub4dor&3").await;
            assert!(matches!(wrong, Ok(PasswordVerdict::Wrong)), "{wrong:?}");
        }
        let before = w.hasher.runs();
        let spent = w.verify(account, stored, RIGHT).await.unwrap_err();
        assert_eq!(
            spent,
            PasswordError::Spent(Duration::from_secs(30)),
            "{account}"
        );
        assert_eq!(w.hasher.runs(), before, "nothing is hashed");
        let refusal = Refusal::from(spent);
        assert_eq!(
            (refusal.kind().status(), refusal.retry_after()),
            (429, Some(Duration::from_secs(30)))
        );
    }
    // Nobody else's are spent.
    assert!(is_right(&w.verify("bob", Some(&w.stored), RIGHT).await));
    w.clock.advance(Duration::from_secs(30));
    for _ in 0..5 {
        let right = w.verify("alice", Some(&w.stored), RIGHT).await;
        assert!(is_right(&right), "what is right spends nothing: {right:?}");
    }
}

#[tokio::test]
async fn attempts_from_one_address_are_spent_across_accounts() {
    let w = world(|builder| builder.attempts_per_address(3)).await;
    for account in ["a", "b", "c"] {
        assert!(!is_right(&w.verify(account, None, RIGHT).await));
    }
    let spent = w.verify("d", Some(&w.stored), RIGHT).await;
    assert!(matches!(spent, Err(PasswordError::Spent(_))), "{spent:?}");
    let elsewhere = w
        .passwords
        .verify(
            "d",
            "192.0.2.8".parse().ok(),
            Some(&w.stored),
            secret(RIGHT),
        )
        .await;
    assert!(is_right(&elsewhere));
}

#[tokio::test]
async fn processes_that_share_counters_allow_what_one_does() {
    let counters = Arc::new(MemoryCounters::with_capacity(100));
    let process = async || {
        let counters = Arc::clone(&counters);
        world(|builder| builder.attempts_per_account(2).counters(counters)).await
    };
    let (one, other) = (process().await, process().await);
    // The clocks of both stand at about the same moment.
    for w in [&one, &other] {
        assert!(!is_right(
            &w.verify("alice", Some(&w.stored), "wrong password").await
        ));
    }
    let spent = one.verify("alice", Some(&one.stored), RIGHT).await;
    assert!(matches!(spent, Err(PasswordError::Spent(_))), "{spent:?}");
    // What is right is given back everywhere.
    for _ in 0..3 {
        assert!(is_right(
            &other.verify("bob", Some(&other.stored), RIGHT).await
        ));
        assert!(is_right(&one.verify("bob", Some(&one.stored), RIGHT).await));
    }
}

#[tokio::test]
async fn of_64_at_once_as_many_are_hashed_as_have_a_place_and_the_others_come_again() {
    let w = world(|builder| builder.attempts_per_account(100).attempts_per_address(100)).await;
    let before = w.hasher.runs();
    let all = (0..64).map(|_| w.verify("alice", Some(&w.stored), RIGHT));
    let all = futures_util::future::join_all(all).await;
    let right = all.iter().filter(|verdict| is_right(verdict)).count();
    let busy = all
        .iter()
        .filter(|one| matches!(one, Err(PasswordError::Busy)))
        .count();
    assert_eq!((right, busy), (5, 59), "one runs, and four wait");
    assert_eq!(w.hasher.runs() - before, 5);
    let refusal = Refusal::from(PasswordError::Busy);
    assert_eq!(refusal.kind().status(), 503);
    assert!(refusal.retry_after().is_some());
    // Who was sent away has spent no attempt.
    for _ in 0..3 {
        assert!(is_right(&w.verify("alice", Some(&w.stored), RIGHT).await));
    }
}

#[tokio::test]
async fn who_is_sent_away_because_others_are_hashed_has_spent_no_attempt() {
    let w = world(|builder| builder.attempts_per_account(1)).await;
    let busy = BusyHasher::full(&w.hasher).await;
    for _ in 0..3 {
        let sent_away = w.verify("alice", Some(&w.stored), RIGHT).await;
        assert!(
            matches!(sent_away, Err(PasswordError::Busy)),
            "{sent_away:?}"
        );
    }
    drop(busy);
    assert!(is_right(&w.verify("alice", Some(&w.stored), RIGHT).await));
}

#[tokio::test]
async fn a_password_that_nobody_may_choose_is_not_hashed() {
    let w = world(|builder| builder.common(["Password1"])).await;
    let before = w.hasher.runs();
    for (chosen, expected) in [
        ("seven77", UnfitPassword::TooShort { min: 8 }),
        // Eight bytes, and four characters.
        ("éééé", UnfitPassword::TooShort { min: 8 }),
        ("pASSWORD1", UnfitPassword::Common),
    ] {
        let unfit = w.passwords.hash(secret(chosen)).await.unwrap_err();
        assert_eq!(unfit, PasswordError::Unfit(expected));
        assert_eq!(Refusal::from(unfit).kind().status(), 400);
    }
    assert_eq!(w.hasher.runs(), before);
    for chosen in ["eight888", "        ", "éééééééé", &"x".repeat(1_024)] {
        assert!(w.passwords.check(&secret(chosen)).is_ok(), "{chosen}");
    }
    assert!(LowEntropySecret::new("x".repeat(1_025)).is_err());
}

#[test]
fn what_could_never_work_is_refused_at_start() {
    for builder in [
        Passwords::builder().attempts_per_account(0),
        Passwords::builder().attempts_per_address(0),
        Passwords::builder().min_chars(65),
    ] {
        assert!(builder.build().is_err());
    }
    for (memory, passes) in [
        (7_167, 10),
        (7_168, 4),
        (65_537, 1),
        (19_456, 11),
        (19_456, 0),
    ] {
        assert!(
            SecretHasher::new().cost(memory, passes).is_err(),
            "{memory}, {passes}"
        );
    }
}

#[test]
fn no_password_and_no_hash_is_shown() {
    let shown = format!(
        "{:?} {:?} {:?}",
        secret(RIGHT),
        PasswordVerdict::Right {
            renewed: Some(SecretHash::from_stored("$argon2id$secret"))
        },
        Passwords::builder().build().unwrap(),
    );
    assert!(
        !shown.contains("horse") && !shown.contains("$argon2id"),
        "{shown}"
    );
}
