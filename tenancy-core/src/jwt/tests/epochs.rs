//! Tokens that were taken back before they expire.

use std::sync::{
    Arc,
    atomic::{AtomicU8, AtomicUsize, Ordering},
};

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{
    super::{Epoch, EpochOf, MemoryEpochs, TokenEpochs},
    *,
};
use crate::{LookupError, Tenant};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(seconds)
}

fn issued(iat: Value, more: &Value) -> String {
    let mut claims = claims();
    let members = claims.as_object_mut().unwrap();
    members.extend(more.as_object().unwrap().clone());
    if !iat.is_null() {
        members.insert("iat".into(), iat);
    }
    hs256(HEADER, claims.to_string())
}

fn service() -> (JwtAuthenticator, MemoryEpochs) {
    let epochs = MemoryEpochs::new();
    let tokens = builder(Algorithm::HS256)
        .tenant_set_claim("orgs")
        .default_tenant_claim("org")
        .epochs(epochs.clone())
        .build()
        .unwrap();
    (tokens, epochs)
}

#[test]
fn a_token_issued_in_the_second_of_the_revocation_dies() {
    for (revoked, iat, said) in [
        (NOW * 1_000_000, json!(NOW - 1), "token-revoked"),
        (NOW * 1_000_000, json!(NOW), "token-revoked"),
        (NOW * 1_000_000 + 999_999, json!(NOW), "token-revoked"),
        (
            NOW * 1_000_000 + 999_999,
            json!(NOW as f64 + 0.9),
            "token-revoked",
        ),
        (NOW * 1_000_000, json!(NOW + 1), "accepted"),
    ] {
        let (tokens, epochs) = service();
        epochs.revoke_user(USER.parse().unwrap(), Timestamp::from_unix_micros(revoked));
        let token = issued(iat.clone(), &json!({ "org": "acme" }));
        assert_eq!(outcome_at(&tokens, &token, now()), said, "{revoked} {iat}");
    }
}

#[test]
fn a_remembered_token_is_taken_back_like_any_other() {
    let acme = Tenant::new("acme".parse().unwrap(), "Acme");
    let id = acme.id.to_string();
    let revocations: [&dyn Fn(&MemoryEpochs); 4] = [
        &|epochs| epochs.revoke_user(USER.parse().unwrap(), now()),
        &|epochs| epochs.revoke_issuer(ISSUER, now()),
        &|epochs| epochs.revoke_tenant(&acme, now()),
        &|epochs| {
            epochs.revoke_issuer(ISSUER, now());
            // An epoch never moves back.
            epochs.revoke_issuer(ISSUER, now() - std::time::Duration::from_secs(900));
        },
    ];
    for revoke in revocations {
        for more in [
            json!({ "org": "acme" }),
            json!({ "org": id }),
            json!({ "orgs": ["b", id] }),
        ] {
            let (tokens, epochs) = service();
            let token = issued(json!(NOW - 10), &more);
            assert_eq!(outcome_at(&tokens, &token, now()), "accepted");
            assert_eq!(outcome_at(&tokens, &token, now()), "accepted");
            revoke(&epochs);
            assert_eq!(
                outcome_at(&tokens, &token, now()),
                "token-revoked",
                "{more}"
            );
            let fresh = issued(json!(NOW + 1), &more);
            assert_eq!(outcome_at(&tokens, &fresh, now()), "accepted");
        }
    }
}

#[test]
fn nobody_elses_token_is_taken_back() {
    let (tokens, epochs) = service();
    epochs.revoke_user(crate::UserId::new(), now());
    epochs.revoke_issuer("https://other.example", now());
    epochs.revoke_tenant(&Tenant::new("globex".parse().unwrap(), "Globex"), now());
    let token = issued(json!(NOW - 10), &json!({ "org": "acme" }));
    assert_eq!(outcome_at(&tokens, &token, now()), "accepted");
}

#[test]
fn a_token_that_does_not_say_when_it_was_issued_is_refused() {
    let (tokens, _) = service();
    let token = issued(Value::Null, &json!({ "org": "acme" }));
    assert_eq!(outcome_at(&tokens, &token, now()), "token-issued-at");
}

#[test]
fn what_concerns_expired_tokens_only_is_forgotten() {
    let epochs = MemoryEpochs::new();
    epochs.revoke_issuer("old", at(NOW - 100));
    epochs.revoke_issuer("new", at(NOW));
    epochs.forget_before(at(NOW - 50));
    let of = |issuer| epochs.probe(EpochOf::Issuer(issuer), now());
    assert_eq!(of("old"), Some(Epoch::NONE));
    assert_eq!(of("new"), Some(Epoch::revoking_at(at(NOW))));
}

/// A store that has to be asked first, and may not answer.
#[derive(Debug, Clone, Default)]
struct Store(Arc<(AtomicU8, AtomicUsize)>);

const DOWN: u8 = 1;
const LOADED: u8 = 2;

#[async_trait]
impl TokenEpochs for Store {
    fn probe(&self, of: EpochOf<'_>, _now: Timestamp) -> Option<Epoch> {
        match of {
            EpochOf::Issuer(_) => Some(Epoch::NONE),
            _ if self.0.0.load(Ordering::SeqCst) == LOADED => Some(Epoch::revoking_at(now())),
            _ => None,
        }
    }

    async fn load(&self, of: &[EpochOf<'_>], _now: Timestamp) -> Result<(), LookupError> {
        self.0.1.fetch_add(of.len(), Ordering::SeqCst);
        match self.0.0.load(Ordering::SeqCst) {
            DOWN => Err(LookupError::new("down")),
            _ => {
                self.0.0.store(LOADED, Ordering::SeqCst);
                Ok(())
            }
        }
    }
}

#[tokio::test]
async fn a_store_that_does_not_answer_admits_nobody() {
    let store = Store::default();
    let tokens = builder(Algorithm::HS256)
        .epochs(store.clone())
        .build()
        .unwrap();
    let token = issued(json!(NOW - 10), &json!({}));
    assert_eq!(outcome_at(&tokens, &token, now()), "needs-lookup");
    store.0.0.store(DOWN, Ordering::SeqCst);
    assert!(tokens.verify(Credential::new(&token), now()).await.is_err());
    assert_eq!(outcome_at(&tokens, &token, now()), "needs-lookup");

    store.0.0.store(0, Ordering::SeqCst);
    let verdict = tokens.verify(Credential::new(&token), now()).await.unwrap();
    assert!(matches!(verdict, Verdict::Rejected(why) if why.reason() == "token-revoked"));
    assert_eq!(
        store.0.1.load(Ordering::SeqCst),
        4,
        "issuer and user, twice"
    );
    // A forged token is no reason to ask a store.
    let forged = format!("{}A", issued(json!(NOW), &json!({})));
    assert_ne!(outcome_at(&tokens, &forged, now()), "needs-lookup");
}
