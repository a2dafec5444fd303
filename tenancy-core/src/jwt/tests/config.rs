//! Keys and configurations that are refused before any token is seen.

use std::time::Duration;

use super::{
    super::{
        Algorithm::{ES256, EdDSA, HS256, HS384, HS512, PS256, RS256},
        JwtConfigErrorKind as Config, KeyErrorKind as Key, VerificationKey,
    },
    *,
};

#[test]
fn short_and_empty_secrets_and_passwords_are_refused() {
    for (algorithm, len) in [(HS256, 32), (HS384, 48), (HS512, 64)] {
        for short in [0, 1, len - 1] {
            let refused = VerificationKey::hmac(algorithm, vec![7; short]).unwrap_err();
            assert_eq!(refused.kind(), Key::SecretTooShort, "{algorithm} {short}");
        }
        assert!(
            VerificationKey::hmac(algorithm, vec![7; len]).is_ok(),
            "{algorithm}"
        );
    }
    let kind = |algorithm, secret| VerificationKey::hmac(algorithm, secret).unwrap_err().kind();
    assert_eq!(kind(HS256, keys::RSA), Key::SecretIsPem);
    assert_eq!(kind(RS256, keys::RSA), Key::WrongKind);
}

#[test]
fn nothing_shows_a_secret() {
    let secret = String::from_utf8(keys::SECRET.to_vec()).unwrap();
    let key = VerificationKey::hmac(HS256, &secret)
        .unwrap()
        .with_id("seen");
    let tokens = JwtAuthenticator::builder(ISSUER, AUDIENCE).key(key.clone());
    let bytes = format!("{:?}", secret.as_bytes());
    let bytes = bytes.trim_matches(['[', ']']);
    for shown in [
        format!("{key:?}"),
        format!("{tokens:?}"),
        format!("{:?}", tokens.build().unwrap()),
    ] {
        assert!(shown.contains("seen"), "{shown}");
        assert!(
            !shown.contains("secret to this test") && !shown.contains(bytes),
            "{shown}"
        );
    }
    let short = VerificationKey::hmac(HS256, "hush").unwrap_err();
    assert!(!format!("{short} {short:?}").contains("hush"));
}

#[test]
fn a_configuration_that_cannot_work_is_refused() {
    let start = || builder(HS256);
    let named = |algorithm, id: &str| keys::verifier(algorithm).with_id(id);
    let empty = || JwtAuthenticator::builder(ISSUER, AUDIENCE);
    for (configuration, kind) in [
        (empty(), Config::NoKey),
        (
            JwtAuthenticator::builder("", AUDIENCE).key(named(HS256, "a")),
            Config::EmptyName,
        ),
        (
            JwtAuthenticator::builder(ISSUER, "").key(named(HS256, "a")),
            Config::EmptyName,
        ),
        (start().key(named(HS384, "a")), Config::KeyIdMissing),
        (
            empty().key(named(HS384, "a")).key(keys::verifier(HS256)),
            Config::KeyIdMissing,
        ),
        (empty().key(named(HS256, "")), Config::KeyIdInvalid),
        (empty().key(named(HS256, "schlüssel")), Config::KeyIdInvalid),
        (
            empty().key(named(HS256, &"k".repeat(257))),
            Config::KeyIdInvalid,
        ),
        (start().max_lifetime(Duration::ZERO), Config::LifetimeZero),
        (start().token_type(""), Config::TokenType),
        (start().token_type("at jwt"), Config::TokenType),
        (start().tenant_claim(""), Config::ClaimName),
        (start().tenant_claim("sub"), Config::ClaimName),
        (start().default_tenant_claim("aud"), Config::ClaimName),
        (
            start().tenant_claim("a").tenant_set_claim("b"),
            Config::ClaimName,
        ),
        (
            start().tenant_claim("a").default_tenant_claim("b"),
            Config::ClaimName,
        ),
        (
            start().tenant_set_claim("a").default_tenant_claim("a"),
            Config::ClaimName,
        ),
    ] {
        let shown = format!("{configuration:?}");
        assert_eq!(configuration.build().unwrap_err().kind(), kind, "{shown}");
    }
}

#[test]
fn a_leeway_beyond_five_minutes_is_refused() {
    let with = |leeway| builder(HS256).leeway(leeway).build();
    assert!(with(Duration::from_secs(300)).is_ok());
    let refused = with(Duration::from_millis(300_001)).unwrap_err();
    assert_eq!(refused.kind(), Config::LeewayTooLong);
}

#[test]
fn secrets_and_public_keys_are_not_mixed() {
    let named = |algorithm, id: &str| keys::verifier(algorithm).with_id(id);
    let tokens = JwtAuthenticator::builder(ISSUER, AUDIENCE);
    let refused = tokens.key(named(HS256, "a")).key(named(RS256, "b")).build();
    assert_eq!(refused.unwrap_err().kind(), Config::MixedKeys);
}

#[test]
fn two_keys_with_one_id_are_refused() {
    let named = |algorithm| keys::verifier(algorithm).with_id("a");
    let tokens = JwtAuthenticator::builder(ISSUER, AUDIENCE);
    let refused = tokens.key(named(RS256)).key(named(ES256)).build();
    assert_eq!(refused.unwrap_err().kind(), Config::KeyIdDuplicate);
}

#[test]
fn the_key_id_chooses_and_its_absence_leaves_no_choice() {
    let key = |algorithm, id: &str| keys::verifier(algorithm).with_id(id);
    let tokens = JwtAuthenticator::builder(ISSUER, AUDIENCE)
        .key(key(RS256, "old"))
        .key(key(RS256, "new"))
        .key(key(ES256, "ec"))
        .build()
        .unwrap();
    for (algorithm, header, reason) in [
        (RS256, r#"{"alg":"RS256","kid":"old"}"#, "accepted"),
        (RS256, r#"{"alg":"RS256","kid":"new"}"#, "accepted"),
        (RS256, r#"{"alg":"RS256"}"#, "token-key-ambiguous"),
        (ES256, r#"{"alg":"ES256"}"#, "accepted"),
        (RS256, r#"{"alg":"RS256","kid":"ec"}"#, "token-algorithm"),
        (PS256, r#"{"alg":"PS256","kid":"old"}"#, "token-algorithm"),
        (RS256, r#"{"alg":"RS256","kid":"OLD"}"#, "token-key-unknown"),
        (RS256, r#"{"alg":"RS256","kid":"ol"}"#, "token-key-unknown"),
        (EdDSA, r#"{"alg":"EdDSA"}"#, "token-algorithm"),
    ] {
        let token = signed(algorithm, header, claims().to_string());
        assert_eq!(outcome_at(&tokens, &token, now()), reason, "{header}");
    }

    let single = JwtAuthenticator::builder(ISSUER, AUDIENCE)
        .key(key(HS256, "a"))
        .build()
        .unwrap();
    let token = hs256(r#"{"alg":"HS256","kid":"b"}"#, claims().to_string());
    assert_eq!(outcome_at(&single, &token, now()), "token-key-unknown");
}

#[test]
fn a_backend_of_the_process_that_panics_does_not_matter() {
    use jsonwebtoken::crypto::{CryptoProvider, KeyUtils};

    // What a program gets that compiles both backends of `jsonwebtoken` and chooses none. It
    // stays installed for every other test of this process, and none of them minds.
    static HOSTILE: CryptoProvider = CryptoProvider {
        signer_factory: |_, _| panic!("no backend"),
        verifier_factory: |_, _| panic!("no backend"),
        key_utils: KeyUtils::new_unimplemented(),
    };
    HOSTILE.install_default().unwrap();
    for algorithm in keys::ALGORITHMS {
        let tokens = builder(algorithm).build().unwrap();
        let token = signed(
            algorithm,
            &format!(r#"{{"alg":"{algorithm}"}}"#),
            claims().to_string(),
        );
        assert_eq!(
            outcome_at(&tokens, &token, now()),
            "accepted",
            "{algorithm}"
        );
    }
}
