//! What is accepted, what is refused, and for which reason.

mod config;
mod cookbook;
mod corpora;
mod headers;
mod issuers;
mod keys;
mod laws;
mod mapping;
mod material;
mod minting;
mod mutations;
mod probes;
mod remote;
mod rights;
mod shape;
mod time;
mod wycheproof;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{Algorithm, JwtAuthenticator, JwtAuthenticatorBuilder};
use crate::{Authenticator, Credential, Timestamp, Verdict};

const ISSUER: &str = "https://login.example.com";
const AUDIENCE: &str = "https://api.example.com";
const USER: &str = "0192d3a4-7b00-7c3d-8e4f-5a6b7c8d9e0f";
const NOW: i64 = 1_800_000_000;
const HEADER: &str = r#"{"alg":"HS256"}"#;

fn now() -> Timestamp {
    Timestamp::from_unix_seconds(NOW)
}

fn base64(part: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(part)
}

/// A token over any header and payload, well signed.
fn signed(algorithm: Algorithm, header: &str, payload: impl AsRef<[u8]>) -> String {
    let message = format!("{}.{}", base64(header), base64(payload));
    let signature = keys::sign(algorithm, &message);
    format!("{message}.{}", base64(signature))
}

fn hs256(header: &str, payload: impl AsRef<[u8]>) -> String {
    signed(Algorithm::HS256, header, payload)
}

/// Claims that every authenticator of these tests accepts at [`now`].
fn claims() -> Value {
    json!({ "iss": ISSUER, "aud": AUDIENCE, "sub": USER, "exp": NOW + 600 })
}

/// The good claims with one replaced, or taken away by `null`.
fn claims_with(name: &str, value: Value) -> String {
    let mut claims = claims();
    let members = claims.as_object_mut().unwrap();
    members.remove(name);
    if !value.is_null() {
        members.insert(name.to_owned(), value);
    }
    claims.to_string()
}

fn builder(algorithm: Algorithm) -> JwtAuthenticatorBuilder {
    JwtAuthenticator::builder(ISSUER, AUDIENCE).key(keys::verifier(algorithm))
}

fn authenticator() -> JwtAuthenticator {
    builder(Algorithm::HS256).build().unwrap()
}

/// What an authenticator says about a token: `accepted`, `not-mine` or the reason against it.
fn outcome_at(authenticator: &JwtAuthenticator, token: &str, at: Timestamp) -> &'static str {
    match authenticator.probe(Credential::new(token), at) {
        Verdict::Verified(principal) => {
            assert!(
                principal.holds_at(at),
                "the engine will ask the principal again"
            );
            "accepted"
        }
        Verdict::Rejected(rejection) => rejection.reason(),
        Verdict::NotMine => "not-mine",
        Verdict::NeedsLookup => "needs-lookup",
    }
}

fn outcome(token: &str) -> &'static str {
    outcome_at(&authenticator(), token, now())
}
