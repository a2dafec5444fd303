//! Dates and the leeway, with and without the cache.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;

const LEEWAY: i64 = 30;

#[test]
fn dates_are_compared_with_a_leeway_of_thirty_seconds() {
    for (hazard, claim, value, reason) in [
        (
            "expired within the leeway",
            "exp",
            json!(NOW - LEEWAY + 1),
            "accepted",
        ),
        (
            "expired by the leeway",
            "exp",
            json!(NOW - LEEWAY),
            "token-expired",
        ),
        ("expired 59 s ago", "exp", json!(NOW - 59), "token-expired"),
        (
            "expired ten minutes ago",
            "exp",
            json!(NOW - 600),
            "token-expired",
        ),
        ("expired in 1970", "exp", json!(0), "token-expired"),
        (
            "half a second within",
            "exp",
            json!(NOW as f64 - 29.5),
            "accepted",
        ),
        (
            "half a second beyond",
            "exp",
            json!(NOW as f64 - 30.5),
            "token-expired",
        ),
        ("valid soon enough", "nbf", json!(NOW + LEEWAY), "accepted"),
        (
            "valid a second too late",
            "nbf",
            json!(NOW + LEEWAY + 1),
            "token-not-yet-valid",
        ),
        (
            "valid in an hour",
            "nbf",
            json!(NOW + 3_600),
            "token-not-yet-valid",
        ),
        (
            "issued within the leeway",
            "iat",
            json!(NOW + LEEWAY),
            "accepted",
        ),
        (
            "issued just in future",
            "iat",
            json!(NOW + LEEWAY + 1),
            "token-issued-in-future",
        ),
        (
            "issued in an hour",
            "iat",
            json!(NOW + 3_600),
            "token-issued-in-future",
        ),
        ("valid since 1970", "nbf", json!(0), "accepted"),
    ] {
        let token = hs256(HEADER, claims_with(claim, value.clone()));
        assert_eq!(outcome(&token), reason, "{hazard}: {claim} {value}");
    }
}

#[test]
fn a_token_without_an_expiry_is_refused() {
    assert_eq!(
        outcome(&hs256(HEADER, claims_with("exp", Value::Null))),
        "token-expiry"
    );
}

#[test]
fn a_date_of_another_type_or_out_of_range_is_refused_and_not_passed_over() {
    let malformed = [
        json!((NOW + 600).to_string()),
        json!(-1),
        json!(-0.5),
        json!(1e300),
        json!(u64::MAX),
        json!((NOW + 600) * 1_000),
        json!(true),
        json!([NOW + 600]),
        json!({}),
    ];
    for (claim, reason) in [
        ("exp", "token-expiry"),
        ("nbf", "token-not-before"),
        ("iat", "token-issued-at"),
    ] {
        for value in &malformed {
            let token = hs256(HEADER, claims_with(claim, value.clone()));
            assert_eq!(outcome(&token), reason, "{claim} {value}");
        }
    }
    assert_eq!(
        outcome(&hs256(
            HEADER,
            claims_with("exp", json!(253_402_300_799_u64))
        )),
        "accepted"
    );
}

#[test]
fn a_longest_lifetime_needs_a_beginning() {
    let hour = builder(Algorithm::HS256)
        .max_lifetime(Duration::from_secs(3_600))
        .build()
        .unwrap();
    for (issued, reason) in [
        (json!(NOW), "accepted"),
        (json!(NOW + 600 - 3_600), "accepted"),
        (json!(NOW + 600 - 3_601), "token-lifetime"),
        (Value::Null, "token-issued-at"),
    ] {
        let token = hs256(HEADER, claims_with("iat", issued.clone()));
        assert_eq!(outcome_at(&hour, &token, now()), reason, "{issued}");
    }
}

#[test]
fn a_remembered_token_expires_like_any_other() {
    let at = Timestamp::from_unix_seconds;
    let mut claims = claims();
    claims["nbf"] = json!(NOW - 100);
    claims["iat"] = json!(NOW - 50);
    let token = hs256(HEADER, claims.to_string());
    for capacity in [0, 1, 16 << 20] {
        let tokens = builder(Algorithm::HS256)
            .cache_bytes(capacity)
            .build()
            .unwrap();
        for (moment, outcome) in [
            (NOW, "accepted"),
            (NOW + 629, "accepted"),
            (NOW + 630, "token-expired"),
            (NOW, "accepted"),
            (NOW - 80, "accepted"),
            (NOW - 81, "token-issued-in-future"),
            (NOW - 131, "token-not-yet-valid"),
            (i64::MAX, "token-expired"),
            (i64::MIN, "token-not-yet-valid"),
        ] {
            assert_eq!(
                outcome_at(&tokens, &token, at(moment)),
                outcome,
                "{capacity} {moment}"
            );
        }
    }
}

#[test]
fn the_cache_is_bounded_and_holds_verified_tokens_only() {
    let small = builder(Algorithm::HS256).cache_bytes(64 << 10);
    let tokens = small.build().unwrap();
    let held = || tokens.cache.as_ref().unwrap().len();

    for refused in [
        hs256(HEADER, claims_with("exp", json!(1))),
        hs256(HEADER, claims_with("aud", json!("other"))),
        format!("{}A", hs256(HEADER, claims().to_string())),
    ] {
        assert_ne!(outcome_at(&tokens, &refused, now()), "accepted");
    }
    assert_eq!(held(), 0);

    for number in 0..1_000 {
        let token = hs256(HEADER, claims_with("jti", json!(number)));
        assert_eq!(outcome_at(&tokens, &token, now()), "accepted");
    }
    assert!((16..=128).contains(&held()), "{}", held());
}

#[test]
fn a_remembered_token_is_one_principal() {
    let tokens = authenticator();
    let token = hs256(HEADER, claims().to_string());
    let principal = || match tokens.probe(Credential::new(&token), now()) {
        Verdict::Verified(principal) => principal,
        other => panic!("{other:?}"),
    };
    assert!(std::sync::Arc::ptr_eq(&principal(), &principal()));
}

#[tokio::test]
async fn a_look_up_says_what_the_probe_said() {
    let tokens = authenticator();
    let token = hs256(HEADER, claims().to_string());
    let verdict = tokens.verify(Credential::new(&token), now()).await.unwrap();
    assert!(matches!(verdict, Verdict::Verified(_)));
}
