use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use super::*;
use crate::{
    Clock as _, ManualClock, MemoryDirectory, Passwords, Refusal,
    jwt::{Algorithm, JwtAuthenticator, VerificationKey},
    key::{LowEntropySecret, Pepper, SecretHasher},
    one_time::OneTimeTokens,
    outbox::{Claim, ClaimRequest, Event, Outbox as _},
    testing::service,
};

const RIGHT: &str = "correct horse battery staple";
const NEW: &str = "another battery for a horse";

struct World {
    directory: MemoryDirectory,
    accounts: Accounts,
    passwords: Passwords,
    resets: PasswordResets,
    hasher: SecretHasher,
    clock: Arc<ManualClock>,
    claim: Claim,
    alice: Account,
}

fn secret(text: &str) -> LowEntropySecret {
    LowEntropySecret::new(text).unwrap()
}

fn email(text: &str) -> EmailAddress {
    text.parse().unwrap()
}

async fn world() -> World {
    let clock = Arc::new(ManualClock::now_frozen());
    let directory = MemoryDirectory::with_clock(clock.clone());
    let key = VerificationKey::hmac(Algorithm::HS256, [7; 32]).unwrap();
    let tokens = JwtAuthenticator::builder("https://login.example", "notes");
    let tenancy = Tenancy::builder(directory.clone())
        .authenticator(tokens.key(key).build().unwrap())
        .clock(clock.clone())
        .build()
        .unwrap();
    let hasher = SecretHasher::with_parallelism(NonZeroUsize::MIN)
        .cost(7 * 1024, 5)
        .unwrap();
    let passwords = Passwords::builder()
        .hasher(hasher.clone())
        .clock(clock.clone())
        .build()
        .unwrap();
    let accounts = tenancy.accounts(service());
    let hash = passwords.hash(secret(RIGHT)).await.unwrap();
    let alice = Account::with_password(email("alice@example.com"), hash);
    accounts.create(&alice).await.unwrap();
    let peppers = OneTimeTokens::new(Pepper::new(1, [9; 32]).unwrap());
    let request = ClaimRequest::new("mail".parse().unwrap());
    let claim = directory.outbox().claim(&request).await.unwrap().unwrap();
    World {
        resets: accounts.resets(passwords.clone(), peppers),
        directory,
        accounts,
        passwords,
        hasher,
        clock,
        claim,
        alice,
    }
}

impl World {
    async fn sign_in(&self, address: &str, password: &str) -> Result<Option<Account>, Refusal> {
        self.accounts
            .sign_in(&self.passwords, &email(address), secret(password), None)
            .await
    }

    async fn events(&self) -> Vec<Event> {
        let page = self.directory.outbox().next_page(&self.claim, 100).await;
        page.unwrap().new
    }

    /// Asks for a reset, and returns the token that is mailed, if one is.
    async fn mailed(&self, address: &str) -> Option<String> {
        self.resets.request(&email(address), None).await.unwrap();
        let event = self.events().await.pop().unwrap();
        let mail = self.resets.mail(&event).await.unwrap()?;
        assert_eq!(mail.email, email(address));
        Some(mail.token.expose().to_owned())
    }

    async fn reset(&self, token: &str, new: &str) -> Result<UserId, (u16, &'static str)> {
        let done = self.resets.reset(token, secret(new), None).await;
        done.map_err(|refusal| (refusal.kind().status(), refusal.reason()))
    }
}

#[tokio::test]
async fn whoever_is_not_let_in_gets_one_answer_for_the_same_work() {
    let w = world().await;
    let disabled = w.passwords.hash(secret(RIGHT)).await.unwrap();
    let disabled = Account::with_password(email("gone@example.com"), disabled);
    w.accounts.create(&disabled).await.unwrap();
    w.accounts.disable(disabled.user).await.unwrap();
    let elsewhere = ExternalSubject::new("https://sso.example", "carol").unwrap();
    let elsewhere = Account::external(elsewhere).email(email("carol@example.com"));
    w.accounts.create(&elsewhere).await.unwrap();
    let foreign =
        SecretHash::from_stored("$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW");
    let foreign = Account::with_password(email("dave@example.com"), foreign);
    w.accounts.create(&foreign).await.unwrap();
    for (address, password) in [
        ("alice@example.com", "Tr0ub4dor&3"),
        ("nobody@example.com", RIGHT),
        ("gone@example.com", RIGHT),
        ("carol@example.com", RIGHT),
        ("dave@example.com", RIGHT),
    ] {
        let before = w.hasher.runs();
        assert_eq!(
            w.sign_in(address, password).await.unwrap(),
            None,
            "{address}"
        );
        assert_eq!(w.hasher.runs() - before, 1, "{address}");
    }
    let alice = w.sign_in("Alice@Example.com", RIGHT).await.unwrap();
    assert_eq!(alice, Some(w.alice.clone()));
}

#[tokio::test]
async fn a_password_that_is_right_is_hashed_anew_where_its_cost_has_grown() {
    let w = world().await;
    let dearer = SecretHasher::new().cost(9 * 1024, 4).unwrap();
    let dearer = Passwords::builder().hasher(dearer).build().unwrap();
    let alice = email("alice@example.com");
    let signed_in = w
        .accounts
        .sign_in(&dearer, &alice, secret(RIGHT), None)
        .await;
    let renewed = signed_in.unwrap().unwrap().password;
    assert_ne!(renewed, w.alice.password);
    let stored = w
        .accounts
        .find(w.alice.user)
        .await
        .unwrap()
        .unwrap()
        .password;
    assert_eq!(stored, renewed);
}

#[tokio::test]
async fn a_reset_sets_the_password_once_and_takes_the_tokens_back() {
    let w = world().await;
    let token = w.mailed("alice@example.com").await.unwrap();
    let unfit = w.reset(&token, "short").await;
    assert_eq!(unfit, Err((400, "password-too-short")), "the token stays");
    assert_eq!(w.reset(&token, NEW).await, Ok(w.alice.user));
    assert_eq!(w.sign_in("alice@example.com", RIGHT).await.unwrap(), None);
    assert!(w.sign_in("alice@example.com", NEW).await.unwrap().is_some());
    let of = || [TokenSubject::User(w.alice.user)];
    let now = w.clock.now();
    let known = &w.accounts.inner().token_revocations;
    let revoked = known.concerning(of, Some(now));
    assert!(!revoked.admits(Some(now)), "in this process, too");
    assert_eq!(
        w.reset(&token, RIGHT).await,
        Err((404, "password-reset-unknown"))
    );
}

#[tokio::test]
async fn a_request_does_the_same_whether_there_is_such_an_account_and_mails_to_accounts_alone() {
    let w = world().await;
    let mut told = Vec::new();
    for address in ["alice@example.com", "nobody@example.com"] {
        let before = (w.directory.outbox().trail().len(), w.hasher.runs());
        let token = w.mailed(address).await;
        assert_eq!(token.is_some(), address.starts_with("alice"));
        assert_eq!(w.directory.outbox().trail().len() - before.0, 1);
        assert_eq!(w.hasher.runs(), before.1);
        let entry = w.directory.outbox().trail().pop().unwrap();
        let shown = format!("{entry:?}");
        assert!(!shown.contains("example.com"), "{shown}");
        told.push((entry.action, entry.outcome, entry.targets.len()));
    }
    assert_eq!(told[0], told[1]);
}

#[tokio::test]
async fn a_token_that_is_old_replaced_forged_or_of_a_disabled_account_is_one_answer() {
    let w = world().await;
    let unknown = Err((404, "password-reset-unknown"));
    let replaced = w.mailed("alice@example.com").await.unwrap();
    let token = w.mailed("alice@example.com").await.unwrap();
    let foreign = OneTimeTokens::new(Pepper::new(1, [8; 32]).unwrap());
    let foreign = w.accounts.resets(w.passwords.clone(), foreign);
    foreign
        .request(&email("bob@example.com"), None)
        .await
        .unwrap();
    let before = w.hasher.runs();
    for wrong in [
        replaced.as_str(),
        &token[..token.len() - 1],
        "",
        "reset_x",
        &"x".repeat(1 << 16),
    ] {
        assert_eq!(w.reset(wrong, NEW).await, unknown);
    }
    w.accounts.disable(w.alice.user).await.unwrap();
    assert_eq!(w.reset(&token, NEW).await, unknown);
    w.accounts.enable(w.alice.user).await.unwrap();
    w.clock.advance(Duration::from_secs(3_600));
    assert_eq!(w.reset(&token, NEW).await, unknown, "it is an hour old");
    assert_eq!(
        w.hasher.runs(),
        before,
        "nothing is hashed for what is wrong"
    );
    assert!(
        w.sign_in("alice@example.com", RIGHT)
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn of_two_that_use_a_token_at_once_one_does() {
    let w = world().await;
    let token = w.mailed("alice@example.com").await.unwrap();
    let (one, other) =
        futures_util::future::join(w.reset(&token, NEW), w.reset(&token, RIGHT)).await;
    assert_eq!([one, other].iter().filter(|done| done.is_ok()).count(), 1);
}

#[tokio::test]
async fn requests_are_limited_by_address_whether_there_is_such_an_account() {
    let w = world().await;
    for address in ["alice@example.com", "nobody@example.com"] {
        for _ in 0..5 {
            w.resets.request(&email(address), None).await.unwrap();
        }
        let before = w.directory.outbox().trail().len();
        let refused = w.resets.request(&email(address), None).await.unwrap_err();
        assert_eq!(refused.kind().status(), 429, "{address}");
        assert_eq!(w.directory.outbox().trail().len(), before);
    }
    w.clock.advance(Duration::from_secs(720));
    assert!(
        w.resets
            .request(&email("alice@example.com"), None)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn an_account_that_is_linked_is_found_by_who_they_are_elsewhere() {
    let w = world().await;
    let sso = ExternalSubject::new("https://sso.example", "alice").unwrap();
    assert_eq!(w.accounts.find_by_subject(&sso).await.unwrap(), None);
    w.accounts.link(w.alice.user, sso.clone()).await.unwrap();
    let found = w.accounts.find_by_subject(&sso).await.unwrap();
    assert_eq!(found.map(|found| found.user), Some(w.alice.user));
    w.accounts.unlink(w.alice.user, sso.clone()).await.unwrap();
    assert_eq!(w.accounts.find_by_subject(&sso).await.unwrap(), None);
    let too_short = w.resets.clone().lasting(Duration::ZERO);
    assert!(
        too_short.is_err()
            && w.resets
                .clone()
                .lasting(Duration::from_secs(86_401))
                .is_err()
    );
}
