//! Inputs that other validators are known to let through, by name.

use serde_json::{Value, json};

use super::*;

#[test]
fn a_good_token_of_every_algorithm_is_accepted() {
    for algorithm in keys::ALGORITHMS {
        let authenticator = builder(algorithm).build().unwrap();
        let token = signed(
            algorithm,
            &format!(r#"{{"alg":"{algorithm}"}}"#),
            claims().to_string(),
        );
        assert_eq!(
            outcome_at(&authenticator, &token, now()),
            "accepted",
            "{algorithm}"
        );
    }
}

#[test]
fn claims_of_the_wrong_presence_or_type_are_refused() {
    for (hazard, claim, value, reason) in [
        ("no issuer", "iss", Value::Null, "token-issuer"),
        (
            "an issuer that is a number",
            "iss",
            json!(123),
            "token-issuer",
        ),
        (
            "a list that holds the issuer",
            "iss",
            json!(["https://evil.example.com", ISSUER]),
            "token-issuer",
        ),
        (
            "a list of the issuer alone",
            "iss",
            json!([ISSUER]),
            "token-issuer",
        ),
        (
            "a longer issuer",
            "iss",
            json!(format!("{ISSUER}/")),
            "not-mine",
        ),
        (
            "the beginning of the issuer",
            "iss",
            json!(&ISSUER[..10]),
            "not-mine",
        ),
        ("no audience", "aud", Value::Null, "token-audience"),
        (
            "an audience that is a number",
            "aud",
            json!(123),
            "token-audience",
        ),
        (
            "an audience that is an object",
            "aud",
            json!({}),
            "token-audience",
        ),
        (
            "an object with the audience as a name",
            "aud",
            json!({ AUDIENCE: true }),
            "token-audience",
        ),
        (
            "an empty list of audiences",
            "aud",
            json!([]),
            "token-audience",
        ),
        ("another audience", "aud", json!("other"), "token-audience"),
        (
            "another audience beside a number",
            "aud",
            json!(["other", 5]),
            "token-audience",
        ),
        (
            "our audience beside a number",
            "aud",
            json!([AUDIENCE, 5]),
            "token-audience",
        ),
        (
            "our audience in a list in a list",
            "aud",
            json!([[AUDIENCE]]),
            "token-audience",
        ),
        (
            "our audience among others",
            "aud",
            json!(["other", AUDIENCE]),
            "accepted",
        ),
        ("no subject", "sub", Value::Null, "token-subject"),
        ("an empty subject", "sub", json!(""), "token-subject"),
        (
            "a subject that is a number",
            "sub",
            json!(7),
            "token-subject",
        ),
        ("a list of subjects", "sub", json!([USER]), "token-subject"),
        (
            "a subject without end",
            "sub",
            json!("a".repeat(256)),
            "token-subject",
        ),
    ] {
        let token = hs256(HEADER, claims_with(claim, value.clone()));
        assert_eq!(outcome(&token), reason, "{hazard}: {claim} {value}");
    }
}

#[test]
fn a_claim_that_is_null_is_not_absent() {
    for (claim, reason) in [
        ("iss", "token-issuer"),
        ("aud", "token-audience"),
        ("exp", "token-expiry"),
        ("nbf", "token-not-before"),
        ("iat", "token-issued-at"),
        ("sub", "token-subject"),
    ] {
        let mut claims = claims();
        claims[claim] = Value::Null;
        assert_eq!(outcome(&hs256(HEADER, claims.to_string())), reason);
    }
}

#[test]
fn an_algorithm_is_taken_from_the_key_never_from_the_token() {
    let payload = claims().to_string();
    for name in [
        "none",
        "None",
        "nOnE",
        "",
        "hs256",
        "HS256 ",
        "HS512",
        "RS256",
        "ES512",
        "Ed25519",
        "RSA1_5",
        "PBES2-HS256+A128KW",
    ] {
        let unsigned = format!(
            "{}.{}.",
            base64(format!(r#"{{"alg":"{name}"}}"#)),
            base64(&payload)
        );
        assert_eq!(outcome(&unsigned), "token-algorithm", "{name}");
    }
    for header in [
        "{}",
        r#"{"alg":null}"#,
        r#"{"alg":["HS256"]}"#,
        r#"{"typ":"JWT"}"#,
    ] {
        assert_eq!(
            outcome(&hs256(header, &payload)),
            "token-algorithm",
            "{header}"
        );
    }
    let null_signature = format!("{}.{}.", base64(HEADER), base64(&payload));
    assert_eq!(outcome(&null_signature), "token-signature");
}

#[test]
fn a_public_key_is_never_a_secret() {
    let payload = claims().to_string();
    let rs256 = builder(Algorithm::RS256).build().unwrap();
    let message = format!("{}.{}", base64(HEADER), base64(&payload));
    // What an attacker does who knows the public key and hopes that it is used as it is.
    let key = jsonwebtoken::EncodingKey::from_secret(keys::RSA.as_bytes());
    let factory = super::super::backend::PROVIDER.signer_factory;
    let signer = factory(&jsonwebtoken::Algorithm::HS256, &key).unwrap();
    let signature = signer.try_sign(message.as_bytes()).unwrap();
    let forged = format!("{message}.{}", base64(&signature));
    assert_eq!(outcome_at(&rs256, &forged, now()), "token-algorithm");
    let relabelled = format!(
        "{}.{}.{}",
        base64(r#"{"alg":"RS256"}"#),
        base64(payload),
        base64(signature)
    );
    assert_eq!(outcome_at(&rs256, &relabelled, now()), "token-signature");
}

#[test]
fn a_signature_counts_for_its_own_algorithm_only() {
    for made in keys::ALGORITHMS {
        for claimed in keys::ALGORITHMS.into_iter().filter(|other| *other != made) {
            let authenticator = builder(claimed).build().unwrap();
            let token = signed(
                made,
                &format!(r#"{{"alg":"{claimed}"}}"#),
                claims().to_string(),
            );
            let reason = outcome_at(&authenticator, &token, now());
            assert_eq!(reason, "token-signature", "{made} as {claimed}");
        }
    }
}
