//! Keys that sign tokens, made anew by each run, and the tokens they sign.

use std::sync::LazyLock;

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
        RSA_PKCS1_SHA256, RsaKeyPair,
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tenancy_tests::logwatch;

/// A key pair under the id that its issuer publishes it by.
pub(crate) struct Signer {
    id: &'static str,
    pair: Pair,
}

enum Pair {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// Every key pair of the suite; the program makes them once.
pub(crate) struct Signers {
    pub(crate) rsa: Signer,
    pub(crate) ec: Signer,
    pub(crate) ed: Signer,
    /// What the issuer rotates to.
    pub(crate) next: Signer,
    /// Another issuer's key, by coincidence under an id that `ed` has too.
    pub(crate) sso: Signer,
    pub(crate) new_sso: Signer,
    pub(crate) cloud: Signer,
    pub(crate) machines: Signer,
    /// A key pair that no issuer of the service has.
    pub(crate) stranger: Signer,
}

pub(crate) static SIGNERS: LazyLock<Signers> = LazyLock::new(|| Signers {
    rsa: Signer::rsa("rsa"),
    ec: Signer::p256("ec"),
    ed: Signer::ed25519("ed"),
    next: Signer::p256("next"),
    sso: Signer::ed25519("ed"),
    new_sso: Signer::p256("new"),
    cloud: Signer::ed25519("cloud"),
    machines: Signer::ed25519("machines"),
    stranger: Signer::rsa("stranger"),
});

impl Signer {
    fn rsa(id: &'static str) -> Self {
        let pair = Pair::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap());
        Self { id, pair }
    }

    fn p256(id: &'static str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let pair = Pair::P256(pair);
        Self { id, pair }
    }

    fn ed25519(id: &'static str) -> Self {
        let pair = Pair::Ed25519(Ed25519KeyPair::generate().unwrap());
        Self { id, pair }
    }

    const fn algorithm(&self) -> &'static str {
        match self.pair {
            Pair::Rsa(_) => "RS256",
            Pair::P256(_) => "ES256",
            Pair::Ed25519(_) => "EdDSA",
        }
    }

    /// The public key as its issuer publishes it (RFC 7517).
    pub(crate) fn jwk(&self) -> Value {
        let mut key = match &self.pair {
            Pair::Rsa(pair) => {
                let key = pair.public_key();
                let number = |positive: aws_lc_rs::io::Positive<'_>| {
                    text(positive.big_endian_without_leading_zero())
                };
                json!({ "kty": "RSA", "n": number(key.modulus()), "e": number(key.exponent()) })
            }
            Pair::P256(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({ "kty": "EC", "crv": "P-256", "x": text(x), "y": text(y) })
            }
            Pair::Ed25519(pair) => {
                let x = text(pair.public_key().as_ref());
                json!({ "kty": "OKP", "crv": "Ed25519", "x": x })
            }
        };
        key["use"] = json!("sig");
        key["alg"] = json!(self.algorithm());
        key["kid"] = json!(self.id);
        key
    }

    /// What everybody may know of the key, in the bytes that careless libraries take for a secret.
    pub(crate) fn public_bytes(&self) -> Vec<u8> {
        match &self.pair {
            Pair::Rsa(pair) => pair.public_key().as_ref().to_vec(),
            Pair::P256(pair) => pair.public_key().as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.public_key().as_ref().to_vec(),
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .unwrap();
                signature
            }
            Pair::P256(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }
}

/// A token that has yet to be signed.
#[derive(Clone)]
pub(crate) struct Draft {
    signer: &'static Signer,
    header: Value,
    claims: Value,
}

impl Draft {
    /// A token that its issuer signs with this key.
    pub(crate) fn new(signer: &'static Signer, claims: Value) -> Self {
        let header = json!({ "alg": signer.algorithm(), "kid": signer.id, "typ": "at+jwt" });
        Self {
            signer,
            header,
            claims,
        }
    }

    /// Signed by another, whatever the header says.
    pub(crate) fn signed_by(mut self, signer: &'static Signer) -> Self {
        self.signer = signer;
        self
    }

    /// With this in the header, or without it if it is `null`.
    pub(crate) fn header(mut self, name: &str, value: Value) -> Self {
        put(&mut self.header, name, value);
        self
    }

    /// With this claim, or without it if it is `null`.
    pub(crate) fn claim(mut self, name: &str, value: Value) -> Self {
        put(&mut self.claims, name, value);
        self
    }

    fn message(&self) -> String {
        let part = |value: &Value| text(value.to_string().as_bytes());
        format!("{}.{}", part(&self.header), part(&self.claims))
    }

    pub(crate) fn text(&self) -> String {
        let message = self.message();
        let signature = text(&self.signer.sign(message.as_bytes()));
        logwatch::issued(&signature);
        format!("{message}.{signature}")
    }

    /// Under a shared secret instead.
    pub(crate) fn text_under(&self, secret: &[u8]) -> String {
        let draft = self.clone().header("alg", json!("HS256"));
        let message = draft.message();
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let signature = text(hmac::sign(&key, message.as_bytes()).as_ref());
        logwatch::issued(&signature);
        format!("{message}.{signature}")
    }

    /// Without a signature.
    pub(crate) fn text_unsigned(&self) -> String {
        let draft = self.clone().header("alg", json!("none"));
        format!("{}.", draft.message())
    }
}

fn put(members: &mut Value, name: &str, value: Value) {
    let members = members.as_object_mut().unwrap();
    match value {
        Value::Null => drop(members.remove(name)),
        value => drop(members.insert(name.to_owned(), value)),
    }
}

fn text(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
