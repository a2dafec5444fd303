//! Keys that sign tokens, made anew by each run.

use aws_lc_rs::{
    encoding::{AsDer as _, PublicKeyX509Der},
    hmac,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
        EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
        RsaEncoding, RsaKeyPair,
    },
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jsonwebtoken::DecodingKey;
use serde_json::{Value, json};
use tenancy_core::jwt::{Algorithm, VerificationKey};

const SECRET: [u8; 32] = [0x5c; 32];

/// One of each algorithm that is measured.
pub(crate) struct Signer {
    pub(crate) algorithm: Algorithm,
    pair: Pair,
}

enum Pair {
    Secret(Box<hmac::Key>),
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl Signer {
    pub(crate) fn all() -> [Self; 6] {
        let rsa = || RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let ec = |curve: &'static EcdsaSigningAlgorithm| EcdsaKeyPair::generate(curve).unwrap();
        let of = |algorithm, pair| Self { algorithm, pair };
        [
            of(
                Algorithm::HS256,
                Pair::Secret(Box::new(hmac::Key::new(hmac::HMAC_SHA256, &SECRET))),
            ),
            of(Algorithm::RS256, Pair::Rsa(rsa(), &RSA_PKCS1_SHA256)),
            of(Algorithm::PS256, Pair::Rsa(rsa(), &RSA_PSS_SHA256)),
            of(
                Algorithm::ES256,
                Pair::Ec(ec(&ECDSA_P256_SHA256_FIXED_SIGNING)),
            ),
            of(
                Algorithm::ES384,
                Pair::Ec(ec(&ECDSA_P384_SHA384_FIXED_SIGNING)),
            ),
            of(
                Algorithm::EdDSA,
                Pair::Ed(Ed25519KeyPair::generate().unwrap()),
            ),
        ]
    }

    pub(crate) fn token(&self, claims: &Value) -> String {
        let header = json!({ "alg": self.algorithm.to_string(), "typ": "at+jwt" });
        let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let message = format!("{}.{}", part(&header), part(claims));
        let signature = self.sign(message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Secret(key) => hmac::sign(key, message).as_ref().to_vec(),
            Pair::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &random, message, &mut signature)
                    .unwrap();
                signature
            }
            Pair::Ec(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Pair::Ed(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    pub(crate) fn ours(&self) -> VerificationKey {
        let der: PublicKeyX509Der<'_> = match &self.pair {
            Pair::Secret(_) => return VerificationKey::hmac(self.algorithm, SECRET).unwrap(),
            Pair::Rsa(pair, _) => pair.public_key().as_der().unwrap(),
            Pair::Ec(pair) => pair.public_key().as_der().unwrap(),
            Pair::Ed(pair) => pair.public_key().as_der().unwrap(),
        };
        let body = STANDARD.encode(der.as_ref());
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n");
        VerificationKey::pem(self.algorithm, pem).unwrap()
    }

    pub(crate) fn theirs(&self) -> DecodingKey {
        match &self.pair {
            Pair::Secret(_) => DecodingKey::from_secret(&SECRET),
            Pair::Rsa(pair, _) => DecodingKey::from_rsa_der(pair.public_key().as_ref()),
            Pair::Ec(pair) => DecodingKey::from_ec_der(pair.public_key().as_ref()),
            Pair::Ed(pair) => DecodingKey::from_ed_der(pair.public_key().as_ref()),
        }
    }
}
