use std::collections::HashSet;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::{
    ConfigError,
    key::{Pepper, checksum},
};

const KINDS: [OneTimeKind; 3] = [
    OneTimeKind::Invitation,
    OneTimeKind::PasswordReset,
    OneTimeKind::EmailVerification,
];

fn tokens(version: u32, byte: u8) -> OneTimeTokens {
    OneTimeTokens::new(Pepper::new(version, [byte; 32]).unwrap())
}

fn row() -> OneTimeId {
    OneTimeId::new(OneTimeKind::Invitation, Uuid::from_u128(4711))
}

#[test]
fn each_row_rotation_kind_and_pepper_has_a_text_of_its_own() {
    let mut seen = HashSet::new();
    for pepper in [1, 2] {
        for kind in KINDS {
            for id in [1, 2] {
                for rotation in [0, 1, u32::MAX] {
                    let of = OneTimeId::new(kind, Uuid::from_u128(id)).at(rotation);
                    let text = tokens(1, pepper).text(of, 1).unwrap();
                    let secret = text.expose().rsplit_once('_').unwrap().1.to_owned();
                    assert!(seen.insert(secret), "{of:?}");
                }
            }
        }
    }
}

#[test]
fn a_text_is_derived_again_alike_and_shown_by_nothing() {
    let tokens = tokens(1, 7);
    let (one, two) = (
        tokens.text(row(), 1).unwrap(),
        tokens.text(row(), 1).unwrap(),
    );
    assert_eq!(one.expose(), two.expose());
    let secret = one.expose().rsplit_once('_').unwrap().1;
    let presented = OneTimeKind::Invitation.read(one.expose()).unwrap();
    let shown = format!(
        "{one:?} {presented:?} {:?} {tokens:?}",
        tokens.digest(row())
    );
    assert!(
        !shown.contains(secret) && shown.contains("redacted"),
        "{shown}"
    );
}

#[test]
fn what_was_sent_before_a_rotation_is_wrong_after_it() {
    let tokens = tokens(1, 7);
    let before = tokens.text(row(), 1).unwrap();
    let presented = OneTimeKind::Invitation.read(before.expose()).unwrap();
    assert!(tokens.verify(&presented, &tokens.digest(row())));
    assert!(!tokens.verify(&presented, &tokens.digest(row().rotated())));
    let other = OneTimeId::new(OneTimeKind::Invitation, Uuid::from_u128(4712));
    assert!(!tokens.verify(&presented, &tokens.digest(other)));
}

#[test]
fn a_replaced_pepper_is_good_for_what_was_sent_with_it() -> Result<(), ConfigError> {
    let old = tokens(1, 1);
    let stored = old.digest(row());
    let text = old.text(row(), 1).unwrap();
    let both = tokens(2, 2).with_previous(Pepper::new(1, [1; 32])?)?;
    let presented = OneTimeKind::Invitation.read(text.expose()).unwrap();
    assert!(both.verify(&presented, &stored));
    assert_eq!(
        both.text(row(), stored.version()).unwrap().expose(),
        text.expose()
    );
    assert_eq!(both.digest(row()).version(), 2);
    let without = tokens(2, 2);
    assert!(!without.verify(&presented, &stored));
    assert!(without.text(row(), stored.version()).is_none());
    assert!(
        tokens(1, 2)
            .with_previous(Pepper::new(1, [1; 32])?)
            .is_err()
    );
    Ok(())
}

#[test]
fn a_digest_stored_for_one_row_is_no_secret_of_another() {
    // Both are MACs under one pepper: what is stored must not be what is mailed.
    let tokens = tokens(1, 7);
    let text = tokens.text(row(), 1).unwrap();
    let mut stored = String::new();
    crate::key::base62::push_bytes(&mut stored, tokens.digest(row()).as_bytes());
    assert!(!text.expose().contains(&stored));
}

#[test]
fn what_was_cut_changed_or_is_of_another_kind_is_no_token() {
    let text = tokens(1, 7).text(row(), 1).unwrap();
    let text = text.expose();
    for at in 0..text.len() {
        assert!(
            OneTimeKind::Invitation.read(&text[..at]).is_none(),
            "cut at {at}"
        );
        let other = if &text[at..=at] == "7" { "8" } else { "7" };
        let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);
        assert!(
            OneTimeKind::Invitation.read(&changed).is_none(),
            "changed at {at}"
        );
    }
    for other in [OneTimeKind::PasswordReset, OneTimeKind::EmailVerification] {
        assert!(other.read(text).is_none(), "{other:?}");
    }
    let mut renamed = text.replace("invite", "reset");
    renamed.truncate(renamed.len() - checksum::LEN);
    checksum::push(&mut renamed);
    let presented = OneTimeKind::PasswordReset.read(&renamed).unwrap();
    assert!(
        !tokens(1, 7).verify(&presented, &tokens(1, 7).digest(row())),
        "the MAC covers the kind"
    );
    for bad in [format!("{text} "), format!(" {text}"), "x".repeat(1 << 20)] {
        assert!(OneTimeKind::Invitation.read(&bad).is_none());
    }
}

proptest! {
    #[test]
    fn any_text_is_read_without_panicking(text in "\\PC{0,120}") {
        for kind in KINDS {
            prop_assert!(kind.read(&text).is_none());
        }
    }

    #[test]
    fn ids_come_back(id: u128, rotation: u32) {
        for kind in KINDS {
            let of = OneTimeId::new(kind, Uuid::from_u128(id)).at(rotation);
            let text = tokens(1, 7).text(of, 1).unwrap();
            prop_assert!(text.expose().len() <= kind::MAX_LEN);
            prop_assert_eq!(kind.read(text.expose()).unwrap().id(), of.id());
        }
    }
}
