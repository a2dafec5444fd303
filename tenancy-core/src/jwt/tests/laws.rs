//! What holds for every text.

use proptest::{prelude::*, sample::Index};

use super::*;

const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ \n";

fn any_algorithm() -> impl Strategy<Value = Algorithm> {
    proptest::sample::select(keys::ALGORITHMS.to_vec())
}

#[derive(Debug, Clone, Copy)]
enum Edit {
    Replace,
    Insert,
    Delete,
}

proptest! {
    #[test]
    fn no_text_is_accepted_or_panics(text in ".{0,200}") {
        prop_assert_ne!(outcome(&text), "accepted");
        prop_assert_ne!(outcome(&format!("eyJ{text}")), "accepted");
    }

    #[test]
    fn no_three_parts_panic(
        header in any::<Vec<u8>>(), payload in any::<Vec<u8>>(), signature in any::<Vec<u8>>(),
    ) {
        let token = format!("{}.{}.{}", base64(header), base64(payload), base64(&signature));
        prop_assert_ne!(outcome(&token), "accepted");
        let message = format!("{}.{}", base64(HEADER), base64(claims().to_string()));
        let token = format!("{message}.{}", base64(signature));
        prop_assert_ne!(outcome(&token), "accepted");
    }

    #[test]
    fn no_signed_payload_panics(
        payload in any::<Vec<u8>>(), text in "[\\[\\]{}:,\"a0-9.e-]{0,40}",
    ) {
        prop_assert_ne!(outcome(&hs256(HEADER, payload)), "accepted");
        prop_assert_ne!(outcome(&hs256(HEADER, text)), "accepted");
    }

    #[test]
    fn a_token_with_one_character_changed_is_never_accepted(
        algorithm in any_algorithm(),
        edit in proptest::sample::select(vec![Edit::Replace, Edit::Insert, Edit::Delete]),
        place in any::<Index>(),
        letter in proptest::sample::select(ALPHABET),
    ) {
        let tokens = builder(algorithm).build().unwrap();
        let good = signed(algorithm, &format!(r#"{{"alg":"{algorithm}"}}"#), claims().to_string());
        prop_assert_eq!(outcome_at(&tokens, &good, now()), "accepted");

        let mut changed = good.clone().into_bytes();
        match edit {
            Edit::Replace => changed[place.index(good.len())] = letter,
            Edit::Insert => changed.insert(place.index(good.len() + 1), letter),
            Edit::Delete => {
                changed.remove(place.index(good.len()));
            }
        }
        let changed = String::from_utf8(changed).unwrap();
        prop_assume!(changed != good);
        prop_assert_ne!(outcome_at(&tokens, &changed, now()), "accepted");
    }

    #[test]
    fn a_signature_with_one_bit_changed_is_never_accepted(
        algorithm in any_algorithm(), place in any::<Index>(), bit in 0..8_u8,
    ) {
        let header = format!(r#"{{"alg":"{algorithm}"}}"#);
        let message = format!("{}.{}", base64(header), base64(claims().to_string()));
        let mut signature = keys::sign(algorithm, &message);
        *place.get_mut(&mut signature) ^= 1 << bit;
        let tokens = builder(algorithm).build().unwrap();
        let token = format!("{message}.{}", base64(signature));
        prop_assert_eq!(outcome_at(&tokens, &token, now()), "token-signature");
    }

    #[test]
    fn no_text_is_read_as_a_key(bytes in any::<Vec<u8>>()) {
        let body = base64::engine::general_purpose::STANDARD.encode(&bytes);
        for label in ["PUBLIC KEY", "RSA PUBLIC KEY"] {
            let pem = format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----");
            for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
                prop_assert!(super::super::VerificationKey::pem(algorithm, &pem).is_err());
            }
        }
    }
}
