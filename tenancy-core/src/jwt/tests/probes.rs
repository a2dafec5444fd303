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
    let list = |items: &[Value]| Value::from(items);
    for (claim, value, reason) in [
        ("iss", Value::Null, "token-issuer"),
        ("iss", json!(123), "token-issuer"),
        (
            "iss",
            json!(["https://evil.example.com", ISSUER]),
            "token-issuer",
        ),
        ("iss", json!([ISSUER]), "token-issuer"),
        ("iss", json!(format!("{ISSUER}/")), "not-mine"),
        ("iss", json!(&ISSUER[..10]), "not-mine"),
        ("aud", Value::Null, "token-audience"),
        ("aud", json!(123), "token-audience"),
        ("aud", json!({}), "token-audience"),
        ("aud", json!({ AUDIENCE: true }), "token-audience"),
        ("aud", json!([]), "token-audience"),
        ("aud", json!("other"), "token-audience"),
        ("aud", json!(["other", 5]), "token-audience"),
        ("aud", json!([AUDIENCE, 5]), "token-audience"),
        ("aud", json!([[AUDIENCE]]), "token-audience"),
        ("aud", json!(["other", AUDIENCE]), "accepted"),
        ("sub", Value::Null, "token-subject"),
        ("sub", json!(""), "token-subject"),
        ("sub", json!(7), "token-subject"),
        ("sub", list(&[json!(USER)]), "token-subject"),
        ("sub", json!("a".repeat(256)), "token-subject"),
    ] {
        assert_eq!(
            outcome(&hs256(HEADER, claims_with(claim, value.clone()))),
            reason,
            "{claim} {value}"
        );
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
fn header_parameters_that_change_the_meaning_are_refused() {
    for (parameter, reason) in [
        (r#""crit":["x"],"x":1"#, "token-critical"),
        (r#""crit":[]"#, "token-critical"),
        (r#""crit":["exp"]"#, "token-critical"),
        (r#""crit":null"#, "token-critical"),
        (r#""crit":["b64"],"b64":false"#, "token-critical"),
        (r#""crit":["b64"],"b64":true"#, "token-critical"),
        (r#""b64":false"#, "token-critical"),
        (r#""zip":"DEF""#, "token-compressed"),
        (r#""enc":"A256GCM""#, "token-encrypted"),
        (r#""cty":"JWT""#, "token-nested"),
        (r#""cty":"application/jwt""#, "token-nested"),
        (r#""cty":7"#, "token-nested"),
        (r#""cty":"json""#, "accepted"),
        (r#""jku":"https://evil.example.com/keys""#, "accepted"),
        (
            r#""x5u":"file:///etc/passwd","x5c":["AA=="],"jwk":{"kty":"oct","k":""}"#,
            "accepted",
        ),
    ] {
        let header = format!(r#"{{"alg":"HS256",{parameter}}}"#);
        assert_eq!(
            outcome(&hs256(&header, claims().to_string())),
            reason,
            "{parameter}"
        );
    }
}

#[test]
fn only_access_tokens_and_plain_tokens_have_an_accepted_type() {
    let explicit = builder(Algorithm::HS256)
        .token_type("Application/AT+jwt")
        .build()
        .unwrap();
    for (kind, by_default, when_set) in [
        (r#""JWT""#, "accepted", "token-type"),
        (r#""jwt""#, "accepted", "token-type"),
        (r#""application/jwt""#, "accepted", "token-type"),
        (r#""at+jwt""#, "accepted", "accepted"),
        (r#""AT+JWT""#, "accepted", "accepted"),
        (r#""application/at+jwt""#, "accepted", "accepted"),
        (r#""logout+jwt""#, "token-type", "token-type"),
        (r#""secevent+jwt""#, "token-type", "token-type"),
        (r#""dpop+jwt""#, "token-type", "token-type"),
        (r#""text/at+jwt""#, "token-type", "token-type"),
        (
            r#""application/application/at+jwt""#,
            "token-type",
            "token-type",
        ),
        (r#""""#, "token-type", "token-type"),
        (r#"" JWT""#, "token-type", "token-type"),
        (r#"["JWT"]"#, "token-type", "token-type"),
        ("null", "token-type", "token-type"),
    ] {
        let token = hs256(
            &format!(r#"{{"alg":"HS256","typ":{kind}}}"#),
            claims().to_string(),
        );
        assert_eq!(outcome(&token), by_default, "{kind}");
        assert_eq!(outcome_at(&explicit, &token, now()), when_set, "{kind}");
    }
    let untyped = hs256(HEADER, claims().to_string());
    assert_eq!(outcome_at(&explicit, &untyped, now()), "token-type");

    // `application/` may be left out of `application/x` only (RFC 7515 §4.1.9).
    let foreign = builder(Algorithm::HS256)
        .token_type("text/jwt")
        .build()
        .unwrap();
    let token = hs256(
        r#"{"alg":"HS256","typ":"application/text/jwt"}"#,
        claims().to_string(),
    );
    assert_eq!(outcome_at(&foreign, &token, now()), "token-type");
}

#[test]
fn an_algorithm_is_taken_from_the_key_never_from_the_token() {
    let payload = claims().to_string();
    for name in [
        "none", "None", "nOnE", "", "hs256", "HS256 ", "HS512", "RS256", "ES512", "Ed25519",
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
    let factory = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.signer_factory;
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

#[test]
fn a_key_id_is_short_printable_text() {
    for (id, reason) in [
        (json!(""), "token-key-id"),
        (json!(7), "token-key-id"),
        (Value::Null, "token-key-id"),
        (json!("k".repeat(257)), "token-key-id"),
        (json!("a\nb"), "token-key-id"),
        (json!("ä"), "token-key-id"),
        (json!("a\0"), "token-key-id"),
        // The one key has no id, so it is meant whatever the token calls it.
        (json!("' OR 1=1 --"), "accepted"),
        (json!("../../dev/null"), "accepted"),
    ] {
        let header = json!({ "alg": "HS256", "kid": id }).to_string();
        assert_eq!(
            outcome(&hs256(&header, claims().to_string())),
            reason,
            "{id}"
        );
    }
}
