//! The format of keys that another system made.

use proptest::prelude::*;

use crate::{
    KeyId, TenantId, Timestamp, UserId,
    key::{
        ApiKey, Environment, ImportedFormat, InvalidKeyHandle, KeyDigest, KeyHandle, KeyName,
        KeyVerifier, LowEntropySecret, SecretHash,
    },
};

#[test]
fn a_prefix_that_other_credentials_could_begin_with_is_refused() {
    for (prefix, fits) in [
        ("sk", true),
        ("oldco_", true),
        ("ey_", true),
        ("", false),
        ("s", false),
        ("e", false),
        ("ey", false),
        ("eyJ", false),
        ("eyJhbGciOi", false),
        ("two words", false),
        ("a,b", false),
        ("schlüssel_", false),
        (&"x".repeat(32), true),
        (&"x".repeat(33), false),
    ] {
        assert_eq!(
            ImportedFormat::separated(prefix, '.').is_ok(),
            fits,
            "{prefix}"
        );
        assert_eq!(ImportedFormat::fixed(prefix, 8).is_ok(), fits, "{prefix}");
    }
    for (separator, fits) in [
        ('.', true),
        ('_', true),
        (',', false),
        (' ', false),
        ('é', false),
    ] {
        assert_eq!(ImportedFormat::separated("sk", separator).is_ok(), fits);
    }
    for (len, fits) in [(0, false), (1, true), (64, true), (65, false)] {
        assert_eq!(ImportedFormat::fixed("sk", len).is_ok(), fits, "{len}");
    }
}

#[test]
fn a_handle_is_short_and_can_be_seen() {
    for (text, fits) in [
        ("a", true),
        ("user@example.org", true),
        ("", false),
        ("a b", false),
        ("a,b", false),
        ("a\n", false),
        ("é", false),
        (&"x".repeat(64), true),
        (&"x".repeat(65), false),
    ] {
        assert_eq!(text.parse::<KeyHandle>().is_ok(), fits, "{text}");
    }
    let refused: Result<KeyHandle, InvalidKeyHandle> = "hunter2 hunter2".parse();
    assert!(!refused.unwrap_err().to_string().contains("hunter2"));
}

#[test]
fn the_length_of_what_is_hashed_is_capped() {
    let own = ImportedFormat::separated("sk", '.').unwrap();
    let whole = own.clone().hashed_whole();
    let text = |len: usize| format!("skh.{}", "x".repeat(len));
    for (format, most) in [
        (own, LowEntropySecret::MAX_LEN),
        (whole, LowEntropySecret::MAX_LEN - "skh.".len()),
    ] {
        assert!(format.read(&text(most)).is_ok());
        assert!(format.read(&text(most + 1)).is_err());
        assert!(format.read(&text(0)).is_err());
    }
}

/// A store that answers with another key than was asked for must not open anything.
#[test]
fn a_record_is_named_by_its_own_id_and_handle_alone() {
    let named = |handle: &str| KeyName::Handle(handle.parse().unwrap());
    let (id, now) = (KeyId::new(), Timestamp::EPOCH);
    let of = |verifier: KeyVerifier| {
        let (tenant, creator) = (TenantId::new(), UserId::new());
        ApiKey::new(id, tenant, creator, Environment::Live, verifier, now)
    };
    let issued = of(KeyDigest::new(1, [7; 32]).into());
    let imported = of(KeyVerifier::Argon2id {
        handle: "4711".parse().unwrap(),
        hash: SecretHash::from_stored("a hash"),
    });
    for (name, names_issued, names_imported) in [
        (KeyName::Id(id), true, true),
        (KeyName::Id(KeyId::new()), false, false),
        (named("4711"), false, true),
        (named("4712"), false, false),
    ] {
        assert_eq!(name.names(&issued), names_issued, "{name:?}");
        assert_eq!(name.names(&imported), names_imported, "{name:?}");
    }
}

proptest! {
    #[test]
    fn a_handle_that_fits_is_read_back(
        handle in "[!-+\\--~]{1,64}", secret in "[ -~]{1,100}", fixed: bool,
    ) {
        // A handle with the separator in it is one of a fixed length.
        let fixed = fixed || handle.contains('.');
        let format = if fixed {
            ImportedFormat::fixed("oldco_", handle.len()).unwrap()
        } else {
            ImportedFormat::separated("oldco_", '.').unwrap()
        };
        let handle: KeyHandle = handle.parse().unwrap();
        prop_assert!(format.fits(&handle));
        let separator = if fixed { "" } else { "." };
        let text = format!("oldco_{handle}{separator}{secret}");
        let read = format.read(&text).unwrap();
        prop_assert_eq!(read.handle, handle);
        prop_assert_eq!(read.secret, secret);
    }

    #[test]
    fn whatever_is_read_has_a_handle_that_fits(text in "oldco_\\PC{0,80}", len in 1_usize..=64) {
        for format in [
            ImportedFormat::fixed("oldco_", len).unwrap(),
            ImportedFormat::separated("oldco_", '.').unwrap(),
        ] {
            if let Ok(read) = format.read(&text) {
                prop_assert!(format.fits(&read.handle));
                prop_assert!(text.ends_with(read.secret));
            }
        }
    }
}
