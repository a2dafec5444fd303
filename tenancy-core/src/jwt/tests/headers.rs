//! Headers that other validators are known to let through, by name.

use serde_json::{Value, json};

use super::*;

#[test]
fn header_parameters_that_change_the_meaning_are_refused() {
    for (hazard, parameter, reason) in [
        (
            "an unknown critical parameter",
            r#""crit":["x"],"x":1"#,
            "token-critical",
        ),
        ("nothing that is critical", r#""crit":[]"#, "token-critical"),
        (
            "a claim called critical",
            r#""crit":["exp"]"#,
            "token-critical",
        ),
        (
            "a null that is critical",
            r#""crit":null"#,
            "token-critical",
        ),
        (
            "an unencoded payload",
            r#""crit":["b64"],"b64":false"#,
            "token-critical",
        ),
        (
            "an encoded payload that is critical",
            r#""crit":["b64"],"b64":true"#,
            "token-critical",
        ),
        (
            "an unencoded payload, unannounced",
            r#""b64":false"#,
            "token-critical",
        ),
        ("a compressed payload", r#""zip":"DEF""#, "token-compressed"),
        (
            "an encrypted payload in three parts",
            r#""enc":"A256GCM""#,
            "token-encrypted",
        ),
        ("a nested token", r#""cty":"JWT""#, "token-nested"),
        (
            "a nested token by its full type",
            r#""cty":"application/jwt""#,
            "token-nested",
        ),
        (
            "a content type that is a number",
            r#""cty":7"#,
            "token-nested",
        ),
        (
            "a content type that changes nothing",
            r#""cty":"json""#,
            "accepted",
        ),
        (
            "an address of keys",
            r#""jku":"https://evil.example.com/keys""#,
            "accepted",
        ),
        (
            "keys that the token brings along",
            r#""x5u":"file:///etc/passwd","x5c":["AA=="],"jwk":{"kty":"oct","k":""}"#,
            "accepted",
        ),
    ] {
        let header = format!(r#"{{"alg":"HS256",{parameter}}}"#);
        let said = outcome(&hs256(&header, claims().to_string()));
        assert_eq!(said, reason, "{hazard}: {parameter}");
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
