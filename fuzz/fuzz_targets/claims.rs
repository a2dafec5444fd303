//! Any header and payload, well signed: nothing panics, and what is accepted holds.
#![no_main]

use std::sync::LazyLock;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{EncodingKey, crypto::aws_lc};
use libfuzzer_sys::fuzz_target;
use tenancy_core::{
    Authenticator, Credential, Timestamp, Verdict,
    jwt::{Algorithm, JwtAuthenticator, VerificationKey},
};

const SECRET: [u8; 32] = [0x5c; 32];

static TOKENS: LazyLock<JwtAuthenticator> = LazyLock::new(|| {
    let key = VerificationKey::hmac(Algorithm::HS256, SECRET).expect("the key is long enough");
    JwtAuthenticator::builder("https://login.example.com", "https://api.example.com")
        .key(key)
        .tenant_set_claim("orgs")
        .default_tenant_claim("org")
        .build()
        .expect("the configuration is complete")
});

fuzz_target!(|parts: (&[u8], &[u8], bool)| {
    let (header, payload, plain) = parts;
    let header = if plain { br#"{"alg":"HS256"}"# } else { header };
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let message = format!("{}.{}", encode(header), encode(payload));
    let factory = aws_lc::DEFAULT_PROVIDER.signer_factory;
    let key = EncodingKey::from_secret(&SECRET);
    let signer = factory(&jsonwebtoken::Algorithm::HS256, &key).expect("the key signs");
    let signature = signer.try_sign(message.as_bytes()).expect("the key signs");
    let token = format!("{message}.{}", encode(&signature));

    let now = Timestamp::from_unix_seconds(1_800_000_000);
    if let Verdict::Verified(principal) = TOKENS.probe(Credential::new(&token), now) {
        assert!(principal.holds_at(now));
        assert_eq!(&*principal.issuer, "https://login.example.com");
    }
});
