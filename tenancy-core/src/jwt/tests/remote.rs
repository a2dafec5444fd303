//! Keys that an issuer publishes, rotates, withholds and lies about.

#[cfg(feature = "jwks-http")]
mod authority;
mod documents;
mod floods;
#[cfg(feature = "jwks-http")]
mod http;
#[cfg(feature = "jwks-http")]
mod https;
mod outages;
mod rotation;
#[cfg(feature = "jwks-http")]
mod server;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{
    super::{FetchError, JwksFetcher, RemoteKeys, spki},
    *,
};

const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

/// A published key that verifies what [`signed`] signs.
fn jwk(algorithm: Algorithm, id: &str) -> Value {
    let part = |bytes: &[u8]| Value::from(base64(bytes));
    let mut jwk = match algorithm.as_str().as_bytes() {
        [b'R' | b'P', ..] => {
            let pem = spki::from_pem(keys::RSA_PKCS1.as_bytes()).unwrap();
            // SEQUENCE { INTEGER 00 n (256 bytes), INTEGER e (3 bytes) }
            json!({ "kty": "RSA", "n": part(&pem.bytes[9..265]), "e": part(&pem.bytes[267..]) })
        }
        [b'E', b'S', ..] => {
            let (pem, crv) = match algorithm {
                Algorithm::ES256 => (keys::P256, "P-256"),
                _ => (keys::P384, "P-384"),
            };
            let point = spki::from_pem(pem.as_bytes()).unwrap().bytes;
            let (x, y) = point[1..].split_at(point.len() / 2);
            json!({ "kty": "EC", "crv": crv, "x": part(x), "y": part(y) })
        }
        _ => {
            let x = spki::from_pem(keys::ED25519.as_bytes()).unwrap().bytes;
            json!({ "kty": "OKP", "crv": "Ed25519", "x": part(&x) })
        }
    };
    jwk["alg"] = json!(algorithm.as_str());
    jwk["kid"] = json!(id);
    jwk
}

/// One with members replaced, or taken away by `null`.
fn jwk_with(mut jwk: Value, changes: &Value) -> Value {
    let members = jwk.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        members.remove(name);
        if !value.is_null() {
            members.insert(name.clone(), value.clone());
        }
    }
    jwk
}

fn set(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

fn token(algorithm: Algorithm, id: &str) -> String {
    let header = json!({ "alg": algorithm.as_str(), "kid": id }).to_string();
    signed(algorithm, &header, claims().to_string())
}

/// An issuer whose answers the test decides; clones are the same one.
#[derive(Debug, Clone)]
struct Issuer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    answer: Mutex<Result<Vec<u8>, &'static str>>,
    asked: AtomicUsize,
    open: watch::Sender<bool>,
}

impl Issuer {
    fn publishing(keys: &[Value]) -> Self {
        Self(Arc::new(Inner {
            answer: Mutex::new(Ok(set(keys).into_bytes())),
            asked: AtomicUsize::new(0),
            open: watch::Sender::new(true),
        }))
    }

    fn answers(&self, body: impl Into<Vec<u8>>) {
        *self.0.answer.lock().unwrap() = Ok(body.into());
    }

    fn fails(&self) {
        *self.0.answer.lock().unwrap() = Err("connection refused");
    }

    /// Whether questions wait for an answer.
    fn stalls(&self, stall: bool) {
        self.0.open.send_replace(!stall);
    }

    fn asked(&self) -> usize {
        self.0.asked.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl JwksFetcher for Issuer {
    async fn fetch(&self, _limit: usize) -> Result<Vec<u8>, FetchError> {
        self.0.asked.fetch_add(1, Ordering::SeqCst);
        let mut open = self.0.open.subscribe();
        let _ = open.wait_for(|open| *open).await;
        self.0
            .answer
            .lock()
            .unwrap()
            .clone()
            .map_err(FetchError::new)
    }
}

/// An authenticator over an issuer's keys, with a time that the test moves.
struct Service {
    tokens: JwtAuthenticator,
    keys: RemoteKeys,
    now: Timestamp,
}

impl Service {
    fn of(issuer: &Issuer) -> Self {
        Self::with(RemoteKeys::new(issuer.clone()))
    }

    fn with(keys: RemoteKeys) -> Self {
        let tokens = JwtAuthenticator::builder(ISSUER, AUDIENCE)
            .remote_keys(keys.clone())
            .build()
            .unwrap();
        let now = now();
        Self { tokens, keys, now }
    }

    fn after(&mut self, span: Duration) {
        self.now = self.now + span;
    }

    /// What is said at once.
    fn probe(&self, token: &str) -> &'static str {
        outcome_at(&self.tokens, token, self.now)
    }

    /// What is said in the end, as the engine asks: `unavailable` for an error.
    async fn says(&self, token: &str) -> &'static str {
        let credential = Credential::new(token);
        let mut verdict = self.tokens.probe(credential, self.now);
        if matches!(verdict, Verdict::NeedsLookup) {
            match self.tokens.verify(credential, self.now).await {
                Ok(answer) => verdict = answer,
                Err(_) => return "unavailable",
            }
        }
        match verdict {
            Verdict::Verified(_) => "accepted",
            Verdict::Rejected(rejection) => rejection.reason(),
            other => panic!("{other:?}"),
        }
    }

    /// Lets what was begun in the background end.
    async fn settle(&self) {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }
}
