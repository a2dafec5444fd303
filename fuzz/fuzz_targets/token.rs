//! Any text as a token: nothing panics, and nothing unsigned is accepted.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tenancy_core::{
    Authenticator, Credential, Timestamp, Verdict,
    jwt::{Algorithm, JwtAuthenticator, VerificationKey},
};

static TOKENS: LazyLock<JwtAuthenticator> = LazyLock::new(|| {
    let key = VerificationKey::hmac(Algorithm::HS256, [0x5c; 32]).expect("the key is long enough");
    JwtAuthenticator::builder("https://login.example.com", "https://api.example.com")
        .key(key)
        .build()
        .expect("the configuration is complete")
});

fuzz_target!(|text: &str| {
    let now = Timestamp::from_unix_seconds(1_800_000_000);
    let verdict = TOKENS.probe(Credential::new(text), now);
    assert!(!matches!(verdict, Verdict::Verified(_)), "{text:?}");
});
