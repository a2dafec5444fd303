//! The text of a token and of the JSON in it: one spelling, one reading.

use serde_json::json;

use super::*;
use crate::MAX_CREDENTIAL_LEN;

#[test]
fn repeated_claims_and_header_parameters_are_refused_on_every_level() {
    let good = claims().to_string();
    let more = |member: &str| good.replacen('{', &format!("{{{member},"), 1);
    for member in [
        format!(r#""sub":"{USER}""#),
        r#""tenant_id":"a","tenant_id":"b""#.into(),
        // The same name, spelt in two ways.
        r#""tenant_id":"a","tenant\u005fid":"b""#.into(),
        r#""deep":{"a":[{"b":1,"b":2}]}"#.into(),
    ] {
        assert_eq!(
            outcome(&hs256(HEADER, more(&member))),
            "token-payload",
            "{member}"
        );
    }
    for header in [
        r#"{"alg":"HS256","alg":"HS256"}"#,
        r#"{"alg":"HS256","kid":"a","kid":"a"}"#,
        r#"{"alg":"none","alg":"HS256"}"#,
    ] {
        assert_eq!(outcome(&hs256(header, &good)), "token-header", "{header}");
    }
}

#[test]
fn a_payload_is_one_json_object_in_utf_8() {
    let good = claims().to_string();
    let nested = |depth: usize| {
        let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        good.replacen('{', &format!(r#"{{"x":{deep},"#), 1)
    };
    for (payload, reason) in [
        (String::new(), "token-payload"),
        ("null".into(), "token-payload"),
        (format!("[{good}]"), "token-payload"),
        (format!("{good}{good}"), "token-payload"),
        (format!("{good} x"), "token-payload"),
        (format!("\u{feff}{good}"), "token-payload"),
        (format!("{good}\0"), "token-payload"),
        (good.replacen('{', r#"{"x":"\ud800","#, 1), "token-payload"),
        (good.replacen('{', r#"{"x":1e999,"#, 1), "token-payload"),
        (good.replacen('{', r#"{"x":NaN,"#, 1), "token-payload"),
        (nested(100), "accepted"),
        (nested(200), "token-payload"),
        (nested(2_500), "token-payload"),
        (format!(" {good}\n"), "accepted"),
    ] {
        assert_eq!(outcome(&hs256(HEADER, &payload)), reason, "{payload}");
    }
    let mut latin = good.replacen('{', r#"{"x":"?","#, 1).into_bytes();
    *latin.iter_mut().find(|byte| **byte == b'?').unwrap() = 0xe4;
    assert_eq!(outcome(&hs256(HEADER, latin)), "token-payload");
}

#[test]
fn padding_blanks_and_other_spellings_of_a_token_are_refused() {
    let token = hs256(HEADER, claims().to_string());
    let [header, payload, signature] = *token.split('.').collect::<Vec<_>>() else {
        panic!("a token has three parts");
    };
    // 32 bytes take 43 characters, of which the last has two unused bits.
    let (rest, last) = signature.split_at(42);
    let sibling = match last.as_bytes() {
        [b'z'] => '0',
        [b'8'] => '9',
        [letter] => char::from(letter + 1),
        _ => panic!("one character is left"),
    };
    for (text, reason) in [
        (format!("{token}="), "token-malformed"),
        (format!("{token}\n"), "token-malformed"),
        (format!("{token} "), "token-malformed"),
        (format!("{token}\0"), "token-malformed"),
        (format!("{token}."), "token-malformed"),
        (
            format!("{header}..{payload}.{signature}"),
            "token-malformed",
        ),
        (
            format!("{header}=.{payload}.{signature}"),
            "token-malformed",
        ),
        (
            format!("{header}.{payload}=.{signature}"),
            "token-malformed",
        ),
        (
            format!("{header}.{payload}+.{signature}"),
            "token-malformed",
        ),
        (format!("{header}.{payload}"), "token-malformed"),
        (
            format!("{header}.{payload}.{rest}{sibling}"),
            "token-malformed",
        ),
        (format!("{header}.{payload}.{rest}+"), "token-malformed"),
        (format!("{header}.{payload}.{rest}/"), "token-malformed"),
        (format!("{header}.{payload}.{rest}ä"), "token-malformed"),
        (
            format!("{header}.{payload}.{}", &signature[..41]),
            "token-malformed",
        ),
        (
            format!("{header}.{payload}.{}", &signature[..40]),
            "token-signature",
        ),
        (format!("{header}.{payload}."), "token-signature"),
        (
            format!("{header}.{payload}.{signature}AAAA"),
            "token-signature",
        ),
        (
            format!("{header}.{payload}.{signature}.a.b"),
            "token-encrypted",
        ),
        (
            format!("{header}.{payload}.{signature}.a"),
            "token-malformed",
        ),
        (format!("{header}.."), "token-signature"),
        (format!(" {token}"), "not-mine"),
        (format!(".{payload}.{signature}"), "not-mine"),
        ("..".into(), "not-mine"),
        (String::new(), "not-mine"),
        (header.into(), "not-mine"),
        ("acme_live_0123_4567".into(), "not-mine"),
        ("v4.public.eyJh".into(), "not-mine"),
    ] {
        assert_eq!(outcome(&text), reason, "{text:?}");
    }
}

#[test]
fn a_byte_outside_the_alphabet_is_refused_wherever_it_stands() {
    let token = hs256(HEADER, claims().to_string());
    let (first, second) = (token.find('.').unwrap(), token.rfind('.').unwrap());
    for byte in 0..=0x7f_u8 {
        let letter = char::from(byte);
        if letter.is_ascii_alphanumeric() || "-_.".contains(letter) {
            continue;
        }
        for at in [2, first, first + 1, second, second + 1, token.len()] {
            let mut changed = token.clone();
            changed.insert(at, letter);
            assert_eq!(outcome(&changed), "token-malformed", "{letter:?} at {at}");
        }
    }
}

#[test]
fn only_the_compact_serialization_is_read() {
    let token = hs256(HEADER, claims().to_string());
    let [header, payload, signature] = *token.split('.').collect::<Vec<_>>() else {
        panic!("a token has three parts");
    };
    let one = json!({ "protected": header, "signature": signature });
    for json in [
        json!({ "payload": payload, "protected": header, "signature": signature }),
        json!({ "payload": payload, "signatures": [one] }),
    ] {
        assert_eq!(outcome(&json.to_string()), "not-mine", "{json}");
        assert_eq!(outcome(&base64(json.to_string())), "not-mine", "{json}");
    }
}

/// Deriving the key of such a token would take as long as its sender likes (RFC 8725bis §3.13), and
/// so may unpacking its payload (§3.15).
#[test]
fn an_encrypted_token_is_refused_before_anything_is_derived_or_unpacked() {
    for header in [
        r#"{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2s":"AAAA","p2c":4294967295}"#,
        r#"{"alg":"dir","enc":"A256GCM","zip":"DEF"}"#,
        r#"{"alg":"RSA1_5","enc":"A128CBC-HS256"}"#,
    ] {
        let five = format!("{}.AAAA.AAAA.AAAA.AAAA", base64(header));
        assert_eq!(outcome(&five), "token-encrypted", "{header}");
        let three = hs256(header, claims().to_string());
        assert!(
            ["token-encrypted", "token-compressed"].contains(&outcome(&three)),
            "{header}"
        );
    }
}

#[test]
fn a_token_of_more_than_8_kib_is_refused_unread() {
    let pad = |len: usize| hs256(HEADER, claims_with("pad", json!("x".repeat(len))));
    let (mut fits, mut len) = (pad(1), 1);
    while pad(len + 1).len() <= MAX_CREDENTIAL_LEN {
        len += 1;
        fits = pad(len);
    }
    assert_eq!(outcome(&fits), "accepted");
    assert_eq!(outcome(&pad(len + 1)), "token-too-long");
    assert_eq!(
        outcome(&format!("eyJ.{}", "x".repeat(8 << 20))),
        "token-too-long"
    );
}

#[test]
fn an_object_that_poses_as_a_number_is_read_alike_in_every_build() {
    let posing = |member: &str| {
        claims()
            .to_string()
            .replacen('{', &format!("{{{member},"), 1)
    };
    let number = r#""x":{"$serde_json::private::Number":"1"}"#;
    assert_eq!(outcome(&hs256(HEADER, posing(number))), "accepted");
    for refused in [
        r#""x":{"$serde_json::private::Number":"1","y":2}"#,
        r#""x":{"y":2,"$serde_json::private::Number":"1"}"#,
        r#""x":{"$serde_json::private::Number":"one"}"#,
        r#""x":{"$serde_json::private::Number":1}"#,
        r#""$serde_json::private::Number":"1""#,
    ] {
        assert_eq!(
            outcome(&hs256(HEADER, posing(refused))),
            "token-payload",
            "{refused}"
        );
    }
}
