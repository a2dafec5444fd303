//! Keys and configurations that are refused before any token is seen.

use std::time::Duration;

use super::{
    super::{
        Algorithm::{ES256, ES384, EdDSA, HS256, HS384, HS512, PS256, RS256},
        JwtConfigErrorKind as Config, KeyErrorKind as Key, VerificationKey,
    },
    *,
};

#[test]
fn weak_and_misfit_secrets_are_refused() {
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
fn a_pem_text_holds_one_public_key_of_the_right_kind() {
    let private = |label: &str| format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----");
    let cut = keys::RSA.replacen('M', "", 1);
    let twice = format!("{}{}", keys::P256, keys::P256);
    let before = format!("key:\n{}", keys::P256);
    let relabelled = keys::P256.replace("PUBLIC", "RSA PUBLIC");
    for (algorithm, pem, kind) in [
        (ES384, keys::P256, Key::WrongKind),
        (ES256, keys::P384, Key::WrongKind),
        (ES256, keys::SECP256K1, Key::WrongKind),
        (ES256, keys::P521, Key::WrongKind),
        (ES256, keys::RSA, Key::WrongKind),
        (ES256, keys::ED25519, Key::WrongKind),
        (EdDSA, keys::P256, Key::WrongKind),
        (RS256, keys::ED25519, Key::WrongKind),
        (HS256, keys::RSA, Key::WrongKind),
        (RS256, keys::RSA_1024, Key::RsaSize),
        (RS256, &private("PRIVATE KEY"), Key::PrivateKey),
        (RS256, &private("RSA PRIVATE KEY"), Key::PrivateKey),
        (ES256, &private("EC PRIVATE KEY"), Key::PrivateKey),
        (EdDSA, &private("ENCRYPTED PRIVATE KEY"), Key::PrivateKey),
        (ES256, keys::CERTIFICATE, Key::NotPublicKey),
        (RS256, "", Key::Malformed),
        (RS256, "MIIB", Key::Malformed),
        (RS256, "-----BEGIN PUBLIC KEY-----", Key::Malformed),
        (RS256, &cut, Key::Malformed),
        (ES256, &twice, Key::Malformed),
        (ES256, &before, Key::Malformed),
        (RS256, &relabelled, Key::Malformed),
    ] {
        let refused = VerificationKey::pem(algorithm, pem).unwrap_err();
        assert_eq!(refused.kind(), kind, "{algorithm} {pem}");
    }
    for pem in [keys::RSA, keys::RSA_PKCS1, &keys::RSA.replace('\n', "\r\n")] {
        assert!(VerificationKey::pem(PS256, pem).is_ok(), "{pem}");
    }
}

#[test]
fn a_point_is_whole_and_uncompressed() {
    let standard = base64::engine::general_purpose::STANDARD;
    let body: String = keys::P256
        .lines()
        .filter(|line| !line.starts_with('-'))
        .collect();
    let der = standard.decode(body).unwrap();
    let read = |der: &[u8]| {
        let body = standard.encode(der);
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----");
        VerificationKey::pem(ES256, pem).map_err(|refused| refused.kind())
    };
    let mut compressed = der.clone();
    compressed[26] = 2;
    assert!(read(&der).is_ok());
    assert_eq!(read(&compressed).unwrap_err(), Key::Malformed);
    assert_eq!(read(&der[..der.len() - 1]).unwrap_err(), Key::Malformed);
    assert_eq!(
        read(&[&der[..], &[0]].concat()).unwrap_err(),
        Key::Malformed
    );
}

/// An RSA key in the older form, from a modulus of 256 bytes whose first bit is set.
fn rsa_pem(modulus: &[u8], exponent: u8) -> String {
    let mut der = b"\x30\x82\x01\x08\x02\x82\x01\x01\x00".to_vec();
    der.extend(modulus);
    der.extend([2, 1, exponent]);
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN RSA PUBLIC KEY-----\n{body}\n-----END RSA PUBLIC KEY-----\n")
}

#[test]
fn rsa_keys_that_sign_nothing_are_refused() {
    let modulus = [0xc5; 256];
    assert!(VerificationKey::pem(RS256, rsa_pem(&modulus, 3)).is_ok());
    for exponent in [0, 1, 2] {
        let refused = VerificationKey::pem(RS256, rsa_pem(&modulus, exponent)).unwrap_err();
        assert_eq!(refused.kind(), Key::Malformed, "{exponent}");
    }
    let refused = VerificationKey::pem(RS256, rsa_pem(&[0xc4; 256], 3)).unwrap_err();
    assert_eq!(refused.kind(), Key::Malformed);
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
        (
            empty().key(named(HS256, "a")).key(named(HS384, "a")),
            Config::KeyIdDuplicate,
        ),
        (start().key(named(HS384, "a")), Config::KeyIdMissing),
        (
            empty().key(named(HS384, "a")).key(keys::verifier(HS256)),
            Config::KeyIdMissing,
        ),
        (
            empty().key(named(HS256, "a")).key(named(RS256, "b")),
            Config::MixedKeys,
        ),
        (empty().key(named(HS256, "")), Config::KeyIdInvalid),
        (empty().key(named(HS256, "schlüssel")), Config::KeyIdInvalid),
        (
            empty().key(named(HS256, &"k".repeat(257))),
            Config::KeyIdInvalid,
        ),
        (
            start().leeway(Duration::from_millis(300_001)),
            Config::LeewayTooLong,
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
    assert!(start().leeway(Duration::from_secs(300)).build().is_ok());
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
fn the_backend_that_the_process_prefers_does_not_matter() {
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
