//! The format: one text, written in one way and read back from the right.

use super::*;
use crate::key::{checksum, reason};

#[test]
fn a_key_is_written_as_it_is_documented() {
    let id = KeyId::from_uuid(uuid::Uuid::from_u128(62 * 62 + 2 * 62 + 61));
    let mut secret = [0; 32];
    secret[31] = 10;
    let text = format().write(id, &secret);
    let mut expected = String::from("acme_live_");
    expected += "000000000000000000012z";
    expected += "_";
    expected += "000000000000000000000000000000000000000000A";
    checksum::push(&mut expected);
    assert_eq!(text.expose(), expected);
    let read = format().read(text.expose()).unwrap();
    assert_eq!((read.id(), read.environment()), (id, Environment::Live));
    assert_eq!(format().shown(id), expected[..32]);
}

#[test]
fn a_minted_key_is_read_back_in_every_environment_and_refused_in_the_others() {
    for environment in Environment::ALL {
        let format = KeyFormat::new("b2", environment).unwrap();
        let id = KeyId::new();
        let text = format.mint(id).unwrap();
        assert_eq!(format.read(text.expose()).unwrap().id(), id);
        for other in Environment::ALL {
            let elsewhere = KeyFormat::new("b2", other).unwrap();
            let read = elsewhere.read(text.expose());
            match read {
                Ok(_) => assert_eq!(other, environment),
                Err(rejection) => {
                    assert_ne!(other, environment);
                    assert_eq!(rejection, reason::ENVIRONMENT);
                }
            }
        }
    }
}

/// prefixed-api-key 0.3.0 clones its generator before each use, and so repeats a key for ever.
#[test]
fn no_two_keys_are_alike() {
    let id = KeyId::new();
    let mut keys = std::collections::HashSet::new();
    for _ in 0..1000 {
        assert!(keys.insert(format().mint(id).unwrap().expose().to_owned()));
    }
}

#[test]
fn every_digit_of_a_secret_is_spread_over_the_alphabet() {
    let id = KeyId::new();
    let mut seen = vec![std::collections::HashSet::new(); 43];
    for _ in 0..3000 {
        let text = format().mint(id).unwrap();
        let secret = &text.expose()[33..76];
        for (digit, seen) in secret.bytes().zip(&mut seen) {
            seen.insert(digit);
        }
    }
    assert!(seen.iter().all(|digits| digits.len() >= 60), "{seen:?}");
}

#[test]
fn brands_are_short_lower_case_words() {
    for brand in ["ab", "a1", "abcdefghijkl"] {
        assert!(KeyFormat::new(brand, Environment::Live).is_ok(), "{brand}");
    }
    for brand in [
        "",
        "a",
        "1a",
        "Ab",
        "a_b",
        "a-b",
        "abcdefghijklm",
        "äb",
        "a b",
    ] {
        assert!(KeyFormat::new(brand, Environment::Live).is_err(), "{brand}");
    }
}

#[test]
fn a_brand_with_underscores_does_not_shift_the_parts() {
    let text = key_of([7; 32]);
    for prefix in ["x_", "acme_", "acme_live_", "_"] {
        let shifted = format!("{prefix}{}", text.expose());
        assert_eq!(format().read(&shifted).unwrap_err(), reason::MALFORMED);
    }
}

#[test]
fn what_is_no_key_is_not_recognized() {
    for text in [
        "",
        "acme",
        "acmes_live_x",
        "ACME_live_x",
        " acme_live_x",
        "eyJ.e30.x",
        "Acme_",
    ] {
        assert!(!format().recognizes(text), "{text}");
    }
    assert!(format().recognizes("acme_") && format().recognizes("acme_live_x"));
}

#[test]
fn one_wrong_character_is_found_wherever_it_stands() {
    let text = key_of([0xa7; 32]);
    let text = text.expose();
    for at in 0..text.len() {
        for byte in b"0Az_-".iter().chain(b" \x00\x7f") {
            let mut bytes = text.as_bytes().to_vec();
            if bytes[at] == *byte {
                continue;
            }
            bytes[at] = *byte;
            let wrong = String::from_utf8(bytes).unwrap();
            assert!(format().read(&wrong).is_err(), "{at} {byte}");
        }
    }
}

#[test]
fn ids_beyond_128_bits_and_texts_beyond_the_limit_are_malformed() {
    let text = key_of([1; 32]);
    let mut beyond = format!("acme_live_{}", "z".repeat(22));
    beyond += &text.expose()[32..76];
    checksum::push(&mut beyond);
    assert_eq!(format().read(&beyond).unwrap_err(), reason::MALFORMED);
    let long = "x".repeat(MAX_KEY_LEN + 1);
    assert_eq!(format().read(&long).unwrap_err(), reason::MALFORMED);
}

#[test]
fn what_is_shown_has_no_digit_of_the_secret() {
    let id = KeyId::new();
    let text = format().mint(id).unwrap();
    let shown = format().shown(id);
    assert_eq!(text.expose().strip_prefix(&*shown).unwrap().len(), 50);
    let debug = format!("{text:?} {:?}", format().read(text.expose()).unwrap());
    assert!(!debug.contains(&text.expose()[33..]));
    assert!(!debug.contains(&text.expose()[33..50]));
}

#[test]
fn ranges_end_where_prefixes_do() {
    let format = format();
    let id = KeyId::new();
    let shown = format.shown(id);
    for len in 10..=shown.len() {
        let range = format.range(&shown[..len]).unwrap();
        assert!(range.contains(id), "{len}");
        let [before, after] = [range.first, range.last].map(|id| id.as_uuid().as_u128());
        let starts = |number: u128| {
            let id = KeyId::from_uuid(uuid::Uuid::from_u128(number));
            format.shown(id).starts_with(&shown[..len])
        };
        assert!(starts(before) && starts(after), "{len}");
        assert!(before == 0 || !starts(before - 1), "{len}");
        assert!(after == u128::MAX || !starts(after + 1), "{len}");
    }
    assert!(format.range(&format!("{shown}_")).is_err());
    assert!(
        format.range("acme_live_zzzzzzzzzzzzzzzzzzzzzz").is_err(),
        "beyond 128 bits"
    );
}
