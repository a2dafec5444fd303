//! Public keys that are refused, or verify nothing, whatever token comes.

use super::{
    super::{
        Algorithm::{ES256, ES384, EdDSA, HS256, PS256, RS256},
        KeyErrorKind as Key, VerificationKey,
    },
    *,
};

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

/// Such a key is not noticed when it is read; what matters is that no signature counts under it.
#[test]
fn a_point_off_its_curve_verifies_nothing() {
    let standard = base64::engine::general_purpose::STANDARD;
    let (pem, point) = (keys::P256, 27);
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let good = standard.decode(body).unwrap();
    let token = signed(ES256, r#"{"alg":"ES256"}"#, claims().to_string());
    let forged = |signature: &[u8]| {
        let message = format!(
            "{}.{}",
            base64(r#"{"alg":"ES256"}"#),
            base64(claims().to_string())
        );
        format!("{message}.{}", base64(signature))
    };
    let mut off = good.clone();
    *off.last_mut().unwrap() ^= 1;
    let mut zero = good.clone();
    zero[point..].fill(0);
    let mut beyond = good.clone();
    beyond[point..].fill(0xff);
    for (what, der) in [("off", off), ("zero", zero), ("beyond the field", beyond)] {
        let body = standard.encode(&der);
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----");
        let Ok(key) = VerificationKey::pem(ES256, pem) else {
            continue;
        };
        let tokens = JwtAuthenticator::builder(ISSUER, AUDIENCE)
            .key(key)
            .build()
            .unwrap();
        let mut ones = [0; 64];
        (ones[31], ones[63]) = (1, 1);
        for token in [token.clone(), forged(&[0; 64]), forged(&ones)] {
            assert_eq!(
                outcome_at(&tokens, &token, now()),
                "token-signature",
                "{what}"
            );
        }
    }
    let tokens = builder(ES256).build().unwrap();
    assert_eq!(outcome_at(&tokens, &token, now()), "accepted");
}

/// Under the neutral element, the signature of that point and the number 0 counts for any message.
#[test]
fn an_ed25519_key_under_which_anyone_can_sign_is_refused() {
    let standard = base64::engine::general_purpose::STANDARD;
    let read = |point: &[u8; 32]| {
        let head = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";
        let body = standard.encode([&head[..], point].concat());
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----");
        VerificationKey::pem(EdDSA, pem).map_err(|refused| refused.kind())
    };
    let flat = |first, between, last| {
        let mut point = [between; 32];
        (point[0], point[31]) = (first, last);
        point
    };
    // The eight points of small order, and spellings beyond the field's prime.
    for (what, point) in [
        ("zero", flat(0, 0, 0)),
        ("the neutral element", flat(1, 0, 0)),
        ("order two", flat(0xec, 0xff, 0x7f)),
        ("zero plus the prime", flat(0xed, 0xff, 0x7f)),
        ("one plus the prime", flat(0xee, 0xff, 0x7f)),
        (
            "order eight",
            bytes32("JuiVj8KyJ7BFw_SJ8u-Y8NXfrAXTxjM5sTgCiG1T_AU"),
        ),
        (
            "order eight, negated",
            bytes32("xxdqcD1N2E-6PAt2DRBnDyogU_osOczGTsf9d5KsA3o"),
        ),
    ] {
        for sign in [0, 0x80] {
            let mut point = point;
            point[31] |= sign;
            assert_eq!(read(&point).unwrap_err(), Key::SmallOrder, "{what}");
        }
    }
    for other in [
        flat(2, 0, 0),
        flat(1, 0, 1),
        flat(1, 1, 0),
        flat(0xeb, 0xff, 0x7f),
    ] {
        assert!(read(&other).is_ok(), "{other:?}");
    }
}

fn bytes32(text: &str) -> [u8; 32] {
    URL_SAFE_NO_PAD.decode(text).unwrap().try_into().unwrap()
}

/// An RSA key in the older form, from a modulus of 256 bytes whose first bit is set.
fn rsa_pem(modulus: &[u8], exponent: u8) -> String {
    let modulus = [b"\x02\x82\x01\x01\x00", modulus].concat();
    rsa_pem_of(&modulus, &[2, 1, exponent])
}

/// The same from two integers that are encoded already.
fn rsa_pem_of(modulus: &[u8], exponent: &[u8]) -> String {
    let len = u16::try_from(modulus.len() + exponent.len()).unwrap();
    let der = [b"\x30\x82", &len.to_be_bytes()[..], modulus, exponent].concat();
    rsa_pem_from(&der)
}

fn rsa_pem_from(der: &[u8]) -> String {
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
fn an_rsa_key_has_one_encoding() {
    let read = |pem: String| VerificationKey::pem(RS256, pem).map_err(|refused| refused.kind());
    let modulus = [&b"\x02\x82\x01\x01\x00"[..], &[0xc5; 256]].concat();
    let exponent = [2, 3, 1, 0, 1];
    assert!(read(rsa_pem_of(&modulus, &exponent)).is_ok());
    let negative = [&b"\x02\x82\x01\x00"[..], &[0xc5; 256]].concat();
    let padded = [&b"\x02\x82\x01\x02\x00\x00"[..], &[0xc5; 256]].concat();
    for (what, modulus, exponent) in [
        ("a negative modulus", &negative, &exponent[..]),
        ("a zero too many", &padded, &exponent),
        ("an exponent of no bytes", &modulus, &[2, 0]),
        ("a length of two bytes for one", &modulus, &[2, 0x81, 1, 3]),
        ("a third number", &modulus, &[2, 1, 3, 2, 1, 3]),
        ("another type", &modulus, &[4, 1, 3]),
        ("an exponent cut off", &modulus, &[2, 3, 1]),
        ("an exponent of 34 bits", &modulus, &[2, 5, 3, 0, 0, 0, 1]),
    ] {
        let refused = read(rsa_pem_of(modulus, exponent)).unwrap_err();
        assert_eq!(refused, Key::Malformed, "{what}");
    }
    let after = [&[0x30, 0x82, 1, 8][..], &modulus, &[2, 1, 3], &[0]].concat();
    assert_eq!(read(rsa_pem_from(&after)).unwrap_err(), Key::Malformed);
}

/// The first bit of each modulus is set.
#[test]
fn an_rsa_key_is_as_long_as_the_backend_takes() {
    let read = |bytes: usize| {
        let len = u16::try_from(bytes + 1).unwrap().to_be_bytes();
        let modulus = [&[2, 0x82], &len[..], &[0], &vec![0xc5; bytes]].concat();
        let read = VerificationKey::pem(RS256, rsa_pem_of(&modulus, &[2, 3, 1, 0, 1]));
        read.map(drop)
            .map_err(|refused| (refused.kind(), refused.to_string()))
    };
    assert!(read(256).is_ok());
    assert!(read(512).is_ok());
    for long in [513, 1024] {
        let read = read(long);
        if cfg!(feature = "aws-lc-rs") {
            assert!(read.is_ok(), "{read:?}");
        } else {
            let (kind, message) = read.unwrap_err();
            assert_eq!(kind, Key::RsaSize);
            assert!(message.contains("`aws-lc-rs`"), "{message}");
        }
    }
    for (bytes, found) in [(255, "2040 bits"), (1025, "8200 bits")] {
        let (kind, message) = read(bytes).unwrap_err();
        assert_eq!(kind, Key::RsaSize);
        assert!(
            message.contains(found) && !message.contains("aws-lc-rs"),
            "{message}"
        );
    }
}
