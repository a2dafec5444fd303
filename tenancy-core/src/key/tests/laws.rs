//! What holds of every text.

use proptest::{prelude::*, test_runner::FileFailurePersistence};

use super::*;

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..ProptestConfig::with_cases(cases)
    }
}

fn verifies(text: &str, digest: &KeyDigest) -> bool {
    let hasher = HmacKeyHasher::new(Pepper::new(1, [0x5c; 32]).unwrap());
    format()
        .read(text)
        .is_ok_and(|read| hasher.verify(&read, digest) == KeyMatch::Current)
}

fn digest(text: &str) -> KeyDigest {
    let hasher = HmacKeyHasher::new(Pepper::new(1, [0x5c; 32]).unwrap());
    hasher.digest(&format().read(text).unwrap())
}

/// Digits enough, from a generator of a few lines (SplitMix64, Steele et al. 2014).
fn next(state: &mut u64) -> usize {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    usize::try_from((z ^ (z >> 31)) >> 1).unwrap()
}

#[test]
fn a_hundred_thousand_random_and_mutated_keys_neither_panic_nor_verify() {
    let key = key_of([0x42; 32]);
    let (text, stored) = (key.expose(), digest(key.expose()));
    let alphabet: Vec<char> = "0123456789AZaz_-. \u{e9}\u{1f511}\0acmelivetstdg"
        .chars()
        .collect();
    let mut state = 42;
    for round in 0..100_000 {
        let mut mutated: Vec<char> = match round % 4 {
            0 => (0..next(&mut state) % 300)
                .map(|_| alphabet[next(&mut state) % alphabet.len()])
                .collect(),
            _ => text.chars().collect(),
        };
        for _ in 0..=next(&mut state) % 3 {
            let at = next(&mut state) % (mutated.len() + 1);
            let with = alphabet[next(&mut state) % alphabet.len()];
            match next(&mut state) % 4 {
                0 => mutated.insert(at, with),
                1 => mutated.truncate(at),
                2 if at < mutated.len() => drop(mutated.remove(at)),
                _ if at < mutated.len() => mutated[at] = with,
                _ => {}
            }
        }
        // Half of them with a checksum that fits, so that more than the checksum is tried.
        let mut mutated: String = mutated.into_iter().collect();
        if round % 2 == 0 && mutated.is_ascii() && mutated.len() > 6 {
            mutated.truncate(mutated.len() - 6);
            crate::key::checksum::push(&mut mutated);
        }
        let _ = format().recognizes(&mutated);
        let _ = format().range(&mutated);
        assert_eq!(verifies(&mutated, &stored), mutated == text, "{mutated:?}");
    }
}

proptest! {
    #![proptest_config(config(2_000))]

    #[test]
    fn any_text_is_read_without_panic(text in "\\PC*") {
        prop_assert!(format().read(&text).is_err());
        let _ = format().range(&format!("acme_live_{text}"));
    }

    #[test]
    fn every_key_is_read_back_and_verifies(secret: [u8; 32], id: u128) {
        let id = KeyId::from_uuid(uuid::Uuid::from_u128(id));
        let text = format().write(id, &secret);
        prop_assert_eq!(format().read(text.expose()).unwrap().id(), id);
        prop_assert!(verifies(text.expose(), &digest(text.expose())));
        let other = format().write(id, &secret.map(|byte| byte ^ 1));
        prop_assert!(!verifies(text.expose(), &digest(other.expose())));
    }

    #[test]
    fn what_the_scanners_expression_describes_has_the_shape_of_a_key(
        text in proptest::string::string_regex(&format().scanner_regex()).unwrap()
    ) {
        let rejection = KeyFormat::new("acme", Environment::Live).unwrap().read(&text).unwrap_err();
        let id_fits = crate::key::base62::number(text.split('_').nth(2).unwrap()).is_some();
        let expected = if id_fits { "key-checksum" } else { "key-malformed" };
        prop_assert_eq!(rejection.reason(), expected);
    }

    #[test]
    fn the_scanners_expression_finds_every_key(secret: [u8; 32], id: u128) {
        let text = format().write(KeyId::from_uuid(uuid::Uuid::from_u128(id)), &secret);
        let parts: Vec<_> = text.expose().split('_').collect();
        let [brand, environment, id, rest] = parts[..] else { panic!("{parts:?}") };
        prop_assert_eq!((brand, environment, id.len(), rest.len()), ("acme", "live", 22, 49));
        prop_assert!(id.bytes().chain(rest.bytes()).all(|byte| byte.is_ascii_alphanumeric()));
    }
}
