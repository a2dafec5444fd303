//! Project Wycheproof's cases of signed tokens and their keys, as they are printed: which of them
//! verify.
//!
//! No payload in them is a set of claims, so that a token whose signature counts is refused for
//! its payload, and any other for something that is looked at before.

use std::{fs, path::Path};

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{
    super::{FetchError, JwksFetcher, RemoteKeys, VerificationKey},
    *,
};

/// Cases whose answer is not that of the text in them.
const MISPRINTED: [(u64, &str); 6] = [
    (347, "the key's algorithm is spelt `ES521`"),
    (351, "the key's algorithm is spelt `ES521`"),
    (
        367,
        "the padding is gone: the text is that of the valid case 357",
    ),
    (
        370,
        "the padding is gone: the text is that of the valid case 357",
    ),
    (372, "a `?` stands in the header, and it is called valid"),
    (373, "a `?` stands in the payload, and it is called valid"),
];

/// Cases whose key says PS256, though figure 20 of RFC 7520 is signed with PS384.
const FIGURE_20: [u64; 2] = [346, 350];

/// What a token is refused for whose signature counts.
const VERIFIED: &str = "token-payload";

#[derive(Debug)]
struct Published(String);

#[async_trait]
impl JwksFetcher for Published {
    async fn fetch(&self, _limit: usize) -> Result<Vec<u8>, FetchError> {
        Ok(self.0.clone().into_bytes())
    }
}

struct Case {
    id: u64,
    comment: String,
    keys: Vec<Value>,
    token: String,
    valid: bool,
}

fn cases(file: &str) -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/jwt/tests/vectors");
    let text = fs::read(path.join(file)).unwrap();
    let groups: Value = serde_json::from_slice(&text).unwrap();
    let mut cases = Vec::new();
    for group in groups["testGroups"].as_array().unwrap() {
        let key = group.get("public").unwrap_or(&group["private"]);
        let keys = match key.get("keys") {
            Some(set) => set.as_array().unwrap().clone(),
            None => vec![key.clone()],
        };
        for test in group["tests"].as_array().unwrap() {
            let Some(token) = test.get("jws") else {
                continue;
            };
            cases.push(Case {
                id: test["tcId"].as_u64().unwrap(),
                comment: format!("{} {}", group["comment"], test["comment"]),
                keys: keys.clone(),
                // A token in the JSON serialization is an object.
                token: token
                    .as_str()
                    .map_or_else(|| token.to_string(), str::to_owned),
                valid: test["result"] == "valid",
            });
        }
    }
    cases
}

fn is_secret(key: &Value) -> bool {
    key["kty"] == "oct"
}

fn secret(key: &Value) -> Result<VerificationKey, String> {
    let algorithm = key["alg"].as_str().and_then(Algorithm::from_name);
    let algorithm = algorithm.ok_or("no algorithm of signatures")?;
    let bytes = URL_SAFE_NO_PAD.decode(key["k"].as_str().unwrap_or_default());
    let bytes = bytes.map_err(|_| "no base64url")?;
    let made = VerificationKey::hmac(algorithm, bytes);
    let key_id = key["kid"].as_str().unwrap_or_default();
    made.map(|made| made.with_id(key_id))
        .map_err(|refused| format!("{:?}", refused.kind()))
}

/// Who trusts these keys: secrets are configured, a set without one is published by the issuer.
fn trusting(keys: &[Value]) -> Result<JwtAuthenticator, String> {
    let mut tokens = JwtAuthenticator::builder(ISSUER, AUDIENCE);
    if keys.iter().any(is_secret) {
        for key in keys {
            tokens = tokens.key(if is_secret(key) {
                secret(key)?
            } else {
                // Any public key will do: what is asked is whether it may stand beside a secret.
                keys::verifier(Algorithm::ES256).with_id("public")
            });
        }
    } else {
        let set = json!({ "keys": keys }).to_string();
        tokens = tokens.remote_keys(RemoteKeys::new(Published(set)));
    }
    tokens
        .build()
        .map_err(|refused| format!("{:?}", refused.kind()))
}

/// What is said of a token, or of the keys that are to verify it.
async fn said(keys: &[Value], token: &str) -> String {
    let tokens = match trusting(keys) {
        Ok(tokens) => tokens,
        Err(refused) => return refused,
    };
    let credential = Credential::new(token);
    let verdict = match tokens.probe(credential, now()) {
        Verdict::NeedsLookup => tokens.verify(credential, now()).await,
        verdict => Ok(verdict),
    };
    match verdict {
        Ok(Verdict::Rejected(rejection)) => rejection.reason().to_owned(),
        other => format!("{other:?}"),
    }
}

/// Replays a file; returns how many cases are valid and how many are not.
async fn replayed(file: &str, skipped: &[u64]) -> (usize, usize) {
    let (mut valid, mut invalid) = (0, 0);
    for case in cases(file) {
        if skipped.contains(&case.id) {
            continue;
        }
        let said = said(&case.keys, &case.token).await;
        let Case { id, comment, .. } = case;
        assert_eq!(
            said == VERIFIED,
            case.valid,
            "{file} {id} {comment}: {said}"
        );
        *(if case.valid { &mut valid } else { &mut invalid }) += 1;
    }
    (valid, invalid)
}

#[tokio::test]
async fn every_signature_of_wycheproof_is_judged_as_it_is_printed() {
    let skipped: Vec<u64> = MISPRINTED
        .iter()
        .map(|(id, _)| *id)
        .chain(FIGURE_20)
        .collect();
    let counted = replayed("json_web_signature_test.json", &skipped).await;
    assert_eq!(counted, (40, 353));
}

#[tokio::test]
async fn figure_20_verifies_under_the_algorithm_that_it_was_signed_with() {
    for mut case in cases("json_web_signature_test.json") {
        if FIGURE_20.contains(&case.id) {
            assert_eq!(said(&case.keys, &case.token).await, "token-algorithm");
            case.keys[0]["alg"] = "PS384".into();
            assert_eq!(said(&case.keys, &case.token).await, VERIFIED);
        }
    }
}

/// Sets of secret and public keys, two keys with one id, ROCA, 1024 bits, exponent 1, short and
/// empty secrets, keys for encryption, points off their curve, a curve of another name.
#[tokio::test]
async fn no_bad_key_of_wycheproof_is_used() {
    assert_eq!(replayed("json_web_key_test.json", &[]).await, (5, 21));
}

#[tokio::test]
async fn neither_mixed_keys_nor_json_serializations_of_wycheproof_are_taken() {
    assert_eq!(replayed("json_web_crypto_test.json", &[]).await, (4, 45));
}

#[tokio::test]
async fn the_misprinted_cases_are_misprinted() {
    let all = cases("json_web_signature_test.json");
    let token = |id| &all.iter().find(|case| case.id == id).unwrap().token;
    for (id, why) in MISPRINTED {
        let case = all.iter().find(|case| case.id == id).unwrap();
        let as_printed = match id {
            367 | 370 => case.token == *token(357) && !case.valid,
            372 | 373 => case.token.contains('?') && case.valid,
            _ => case.keys[0]["alg"] == "ES521" && case.valid,
        };
        assert!(as_printed, "{id}: {why}");
    }
}
