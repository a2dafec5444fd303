//! The signatures of RFC 7520, "Examples of Protecting Content Using JOSE", §4, as far as their
//! algorithms are supported. The payload is a sentence, so that no validator takes it for claims.

use super::{
    super::{VerificationKey, compact},
    corpora::{bytes, rsa_key},
    *,
};

/// Figure 7.
const PAYLOAD: &str = "SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAg\
    b250byB0aGUgcm9hZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dp\
    bmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4";

/// Figure 4: the RSA key of `bilbo.baggins@hobbiton.example`.
const MODULUS: &str = "n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_\
    AJmSCpMaJMRBSFKrKb2wqVwGU_NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpP\
    e7Tpe-OfVfHd1E6cS6M1FZcD1NNLYD5lFHpPI9bTwJlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg\
    _3L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5iaiQkqgc5gHdrNP5zw";

/// Figure 5: the symmetric key.
const SECRET: &str = "hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg";

struct Example {
    name: &'static str,
    key: VerificationKey,
    header: &'static str,
    signature: &'static str,
}

impl Example {
    fn token(&self) -> String {
        format!("{}.{PAYLOAD}.{}", self.header, self.signature)
    }
}

fn examples() -> [Example; 3] {
    [
        Example {
            name: "§4.1, figure 13",
            key: rsa_key(Algorithm::RS256, MODULUS),
            header: "eyJhbGciOiJSUzI1NiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9",
            signature: "MRjdkly7_-oTPTS3AXP41iQIGKa80A0ZmTuV5MEaHoxnW2e5CZ5NlKtainoFmKZopdHM1O2U4mwzJdQx\
                996ivp83xuglII7PNDi84wnB-BDkoBwA78185hX-Es4JIwmDLJK3lfWRa-XtL0RnltuYv746iYTh_qHR\
                D68BNt1uSNCrUCTJDt5aAE6x8wW1Kt9eRo4QPocSadnHXFxnt8Is9UzpERV0ePPQdLuW3IS_de3xyIrD\
                aLGdjluPxUAhb6L2aXic1U12podGU0KLUQSE_oI-ZnmKJ3F4uOZDnd6QZWJushZ41Axf_fcIe8u9ipH8\
                4ogoree7vjbU5y18kDquDg",
        },
        Example {
            name: "§4.2, figure 20",
            key: rsa_key(Algorithm::PS384, MODULUS),
            header: "eyJhbGciOiJQUzM4NCIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9",
            signature: "cu22eBqkYDKgIlTpzDXGvaFfz6WGoz7fUDcfT0kkOy42miAh2qyBzk1xEsnk2IpN6-tPid6VrklHkqsG\
                qDqHCdP6O8TTB5dDDItllVo6_1OLPpcbUrhiUSMxbbXUvdvWXzg-UD8biiReQFlfz28zGWVsdiNAUf8Z\
                nyPEgVFn442ZdNqiVJRmBqrYRXe8P_ijQ7p8Vdz0TTrxUeT3lm8d9shnr2lfJT8ImUjvAA2Xez2Mlp8c\
                BE5awDzT0qI0n6uiP1aCN_2_jLAeQTlqRHtfa64QQSUmFAAjVKPbByi7xho0uTOcbH510a6GYmJUAfmW\
                jwZ6oD4ifKo8DYM-X72Eaw",
        },
        Example {
            name: "§4.4, figure 35",
            key: VerificationKey::hmac(Algorithm::HS256, bytes(SECRET)).unwrap(),
            header: "eyJhbGciOiJIUzI1NiIsImtpZCI6IjAxOGMwYWU1LTRkOWItNDcxYi1iZmQ2LWVlZjMxNGJjNzAzNyJ9",
            signature: "s0h6KThzkfBBBkLspW1h84VsJZFTsPPqMDA7g1Md7p0",
        },
    ]
}

#[test]
fn the_cookbooks_signatures_verify_under_their_own_algorithm_only() {
    for example in examples() {
        let token = example.token();
        let parts = compact::split(&token).unwrap();
        let signature = compact::decode(parts.signature).unwrap();
        let verified = example.key.verifies(parts.signing_input, signature.clone());
        assert!(verified, "{}", example.name);
        for other in examples() {
            if other.name != example.name {
                let crossed = other.key.verifies(parts.signing_input, signature.clone());
                assert!(!crossed, "{} under the key of {}", example.name, other.name);
            }
        }
    }
}

#[test]
fn a_signed_sentence_is_no_token_to_a_validator() {
    for example in examples() {
        let token = example.token();
        let tokens = JwtAuthenticator::builder(ISSUER, AUDIENCE)
            .key(example.key)
            .build()
            .unwrap();
        let outcome = outcome_at(&tokens, &token, Timestamp::from_unix_seconds(1_431_000_000));
        assert_eq!(outcome, "token-payload", "{}", example.name);
    }
}
