//! One published key: a JSON Web Key that can verify signatures, or why it is passed over.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use super::super::{
    algorithm::{Algorithm, KeyKind},
    header::is_key_id,
    key::VerificationKey,
    spki::PublicKey,
};

/// Members that only a private or symmetric key has (RFC 7518 §6.2.2, §6.3.2, §6.4).
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// Which keys of a set may be used.
#[derive(Debug, Default)]
pub(super) struct KeyRule {
    /// The algorithm of keys that name none.
    pub(super) assumed: Option<Algorithm>,
    /// The algorithms that keys may have; empty for every one with a public key.
    pub(super) allowed: Vec<Algorithm>,
}

/// Why a key is passed over, for the log.
pub(super) type Skipped = &'static str;

impl KeyRule {
    pub(super) fn read(&self, key: &Value) -> Result<VerificationKey, Skipped> {
        let key = key.as_object().ok_or("not an object")?;
        if key.get("use").is_some_and(|purpose| purpose != "sig") {
            return Err("not for signatures");
        }
        if key.get("key_ops").is_some_and(|ops| !may_verify(ops)) {
            return Err("not for verification");
        }
        if key.get("kty").is_some_and(|kind| kind == "oct") {
            return Err("symmetric");
        }
        if PRIVATE.iter().any(|name| key.contains_key(*name)) {
            return Err("private");
        }
        let algorithm = self.algorithm(key)?;
        let public = public_key(key).ok_or("malformed or of an unsupported kind")?;
        let verifier = VerificationKey::from_public(algorithm, &public)
            .map_err(|_| "weak, or not of its algorithm's kind")?;
        match key.get("kid") {
            None => Ok(verifier),
            Some(Value::String(id)) if is_key_id(id) => Ok(verifier.with_id(id)),
            Some(_) => Err("without a usable id"),
        }
    }

    fn algorithm(&self, key: &Map<String, Value>) -> Result<Algorithm, Skipped> {
        let algorithm = match key.get("alg") {
            None => self.assumed.ok_or("without an algorithm")?,
            Some(name) => name
                .as_str()
                .and_then(Algorithm::from_name)
                .ok_or("of an unknown algorithm")?,
        };
        if algorithm.is_symmetric() {
            return Err("symmetric");
        }
        if self.allowed.is_empty() || self.allowed.contains(&algorithm) {
            Ok(algorithm)
        } else {
            Err("of an algorithm that is not allowed")
        }
    }
}

fn may_verify(operations: &Value) -> bool {
    operations.as_array().is_some_and(|operations| {
        operations.iter().all(Value::is_string)
            && operations.iter().any(|operation| operation == "verify")
    })
}

fn public_key(key: &Map<String, Value>) -> Option<PublicKey> {
    let text = |name| key.get(name).and_then(Value::as_str);
    let bytes = |name| URL_SAFE_NO_PAD.decode(text(name)?).ok();
    let point = |kind, len| {
        let (x, y) = (bytes("x")?, bytes("y")?);
        // A coordinate has the full length, leading zeros included (RFC 7518 §6.2.1.2).
        let whole = x.len() == len && y.len() == len;
        whole.then(|| PublicKey {
            kind,
            bytes: [&[4][..], &x, &y].concat(),
        })
    };
    match (text("kty")?, text("crv")) {
        ("RSA", _) => Some(PublicKey {
            kind: KeyKind::Rsa,
            bytes: rsa_der(&bytes("n")?, &bytes("e")?)?,
        }),
        ("EC", Some("P-256")) => point(KeyKind::P256, 32),
        ("EC", Some("P-384")) => point(KeyKind::P384, 48),
        ("OKP", Some("Ed25519")) => {
            let bytes = bytes("x").filter(|x| x.len() == 32)?;
            let kind = KeyKind::Ed25519;
            Some(PublicKey { kind, bytes })
        }
        _ => None,
    }
}

/// `RSAPublicKey` (RFC 8017 §A.1.1).
fn rsa_der(modulus: &[u8], exponent: &[u8]) -> Option<Vec<u8>> {
    let integers = [integer(modulus)?, integer(exponent)?].concat();
    tagged(0x30, &integers)
}

fn integer(bytes: &[u8]) -> Option<Vec<u8>> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let mut number = bytes.get(zeros..)?.to_vec();
    // The first bit is the sign.
    if number.first().is_none_or(|first| *first >= 0x80) {
        number.insert(0, 0);
    }
    tagged(2, &number)
}

fn tagged(tag: u8, body: &[u8]) -> Option<Vec<u8>> {
    let [high, low] = u16::try_from(body.len()).ok()?.to_be_bytes();
    let length = match (high, low) {
        (0, short @ 0..=0x7f) => vec![short],
        (0, long) => vec![0x81, long],
        _ => vec![0x82, high, low],
    };
    Some([&[tag][..], &length, body].concat())
}
