//! Digests.

use super::*;

fn pepper(version: u32, byte: u8) -> Pepper {
    Pepper::new(version, [byte; 32]).unwrap()
}

/// `printf %s "$KEY" | openssl dgst -sha256 -hmac "$PEPPER"`.
#[test]
fn a_digest_is_the_hmac_of_the_whole_text() {
    let id = KeyId::from_uuid(uuid::Uuid::from_u128(1));
    let text = format().write(id, &[1; 32]);
    let secret = b"a pepper of 32 bytes for a test!";
    let hasher = HmacKeyHasher::new(Pepper::new(7, secret).unwrap());
    let digest = hasher.digest(&format().read(text.expose()).unwrap());
    let hex: String = digest
        .as_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(text.expose(), TEXT);
    assert_eq!((digest.version(), &*hex), (7, DIGEST));
}

/// Both computed with Python's `zlib`, `hmac` and integers.
const TEXT: &str =
    "acme_live_0000000000000000000001_0El6XFXwsUFD8J2vGxsaboW7rZYnQRBP5d9erwRwd293gQm7B";
const DIGEST: &str = "cd6d7c834827d14007af250b81865e64f0f2cc1fdccc0234a7ea2405fedc19d2";

#[test]
fn a_pepper_needs_32_bytes_and_versions_differ() {
    assert!(Pepper::new(1, [1; 31]).is_err());
    assert!(Pepper::new(1, [1; 32]).is_ok());
    assert!(Pepper::new(1, [1; 200]).is_ok());
    assert!(
        HmacKeyHasher::new(pepper(1, 1))
            .with_previous(pepper(1, 2))
            .is_err()
    );
}

#[test]
fn a_digest_counts_under_the_version_it_says() {
    let text = key_of([3; 32]);
    let key = format().read(text.expose()).unwrap();
    let old = HmacKeyHasher::new(pepper(1, 1));
    let new = HmacKeyHasher::new(pepper(2, 2));
    let both = HmacKeyHasher::new(pepper(2, 2))
        .with_previous(pepper(1, 1))
        .unwrap();
    let (was, is) = (old.digest(&key), new.digest(&key));
    assert_eq!(both.digest(&key), is);
    for (hasher, digest, expected) in [
        (&old, &was, KeyMatch::Current),
        (&both, &was, KeyMatch::Outdated),
        (&both, &is, KeyMatch::Current),
        (&new, &was, KeyMatch::UnknownVersion),
        (&old, &is, KeyMatch::UnknownVersion),
        (
            &both,
            &KeyDigest::new(1, *is.as_bytes()),
            KeyMatch::Mismatch,
        ),
        (
            &both,
            &KeyDigest::new(2, *was.as_bytes()),
            KeyMatch::Mismatch,
        ),
        (
            &both,
            &KeyDigest::new(3, *is.as_bytes()),
            KeyMatch::UnknownVersion,
        ),
        (&both, &KeyDigest::new(2, [0; 32]), KeyMatch::Mismatch),
    ] {
        assert_eq!(hasher.verify(&key, digest), expected);
    }
}

#[test]
fn every_bit_of_a_digest_counts() {
    let text = key_of([3; 32]);
    let key = format().read(text.expose()).unwrap();
    let hasher = HmacKeyHasher::new(pepper(1, 1));
    let digest = hasher.digest(&key);
    for bit in 0..256 {
        let mut bytes = *digest.as_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(
            hasher.verify(&key, &KeyDigest::new(1, bytes)),
            KeyMatch::Mismatch
        );
    }
}

#[test]
fn no_secret_is_in_debug_output() {
    let hasher = HmacKeyHasher::new(pepper(1, 0xa5))
        .with_previous(pepper(0, 0xa6))
        .unwrap();
    let text = key_of([3; 32]);
    let digest = hasher.digest(&format().read(text.expose()).unwrap());
    let shown = format!("{hasher:?} {digest:?}");
    assert_eq!(
        shown,
        "HmacKeyHasher { current: Pepper(version 1), previous: Some(Pepper(version 0)) } \
         KeyDigest(version 1)"
    );
}
