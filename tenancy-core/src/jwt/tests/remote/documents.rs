//! Which keys of a set are used, and which sets are refused whole.

use super::*;
use crate::jwt::JwtConfigErrorKind;

const ES: Algorithm = Algorithm::ES256;
const ED: Algorithm = Algorithm::EdDSA;
const RS: Algorithm = Algorithm::RS256;

/// What is said of a good token of the key `k` when this is published.
async fn says_with(algorithm: Algorithm, body: impl Into<Vec<u8>>) -> &'static str {
    let issuer = Issuer::publishing(&[]);
    issuer.answers(body);
    Service::of(&issuer).says(&token(algorithm, "k")).await
}

/// The same with a second, good key beside, so that the set itself is usable.
async fn says_of(algorithm: Algorithm, key: Value) -> &'static str {
    says_with(algorithm, set(&[key, jwk(Algorithm::ES384, "other")])).await
}

#[tokio::test]
async fn a_published_key_of_every_kind_verifies() {
    for algorithm in keys::ALGORITHMS {
        if algorithm.as_str().starts_with('H') {
            continue;
        }
        let said = says_with(algorithm, set(&[jwk(algorithm, "k")])).await;
        assert_eq!(said, "accepted", "{algorithm}");
    }
}

#[tokio::test]
async fn a_key_for_another_use_is_passed_over() {
    for (changes, said) in [
        (json!({ "use": "sig" }), "accepted"),
        (json!({ "use": "enc" }), "token-key-unknown"),
        (json!({ "use": "SIG" }), "token-key-unknown"),
        (json!({ "use": ["sig"] }), "token-key-unknown"),
        (json!({ "key_ops": ["verify"] }), "accepted"),
        (json!({ "key_ops": ["verify", "sign"] }), "accepted"),
        (json!({ "key_ops": ["sign"] }), "token-key-unknown"),
        (json!({ "key_ops": [] }), "token-key-unknown"),
        (json!({ "key_ops": "verify" }), "token-key-unknown"),
        (json!({ "key_ops": ["verify", 7] }), "token-key-unknown"),
        (
            json!({ "use": "enc", "key_ops": ["verify"] }),
            "token-key-unknown",
        ),
    ] {
        let key = jwk_with(jwk(ES, "k"), &changes);
        assert_eq!(says_of(ES, key).await, said, "{changes}");
    }
}

#[tokio::test]
async fn a_key_has_the_one_algorithm_that_it_names() {
    for (algorithm, changes, said) in [
        (ES, json!({ "alg": null }), "token-key-unknown"),
        (ES, json!({ "alg": 7 }), "token-key-unknown"),
        (ES, json!({ "alg": "es256" }), "token-key-unknown"),
        (ES, json!({ "alg": "none" }), "token-key-unknown"),
        (ES, json!({ "alg": "HS256" }), "token-key-unknown"),
        (ES, json!({ "alg": "RS256" }), "token-key-unknown"),
        (ES, json!({ "alg": "ES384" }), "token-key-unknown"),
        (RS, json!({ "alg": "PS256" }), "token-algorithm"),
        (RS, json!({ "alg": "RSA-OAEP" }), "token-key-unknown"),
    ] {
        let key = jwk_with(jwk(algorithm, "k"), &changes);
        assert_eq!(says_of(algorithm, key).await, said, "{changes}");
    }
}

#[tokio::test]
async fn an_algorithm_is_assumed_only_where_the_service_says_so() {
    let issuer = Issuer::publishing(&[
        jwk_with(jwk(RS, "k"), &json!({ "alg": null })),
        jwk_with(jwk(ES, "ec"), &json!({ "alg": null })),
    ]);
    let assuming = RemoteKeys::builder(issuer).assume_algorithm(RS).build();
    let service = Service::with(assuming.unwrap());
    assert_eq!(service.says(&token(RS, "k")).await, "accepted");
    assert_eq!(
        service.says(&token(Algorithm::PS256, "k")).await,
        "token-algorithm"
    );
    // A key of another kind does not become an RSA key.
    assert_eq!(service.says(&token(ES, "ec")).await, "token-key-unknown");
}

#[tokio::test]
async fn an_algorithm_that_the_service_does_not_allow_is_not_used() {
    let issuer = Issuer::publishing(&[jwk(RS, "rs"), jwk(ES, "es"), jwk(ED, "ed")]);
    let narrow = RemoteKeys::builder(issuer).algorithm(ES).algorithm(ED);
    let service = Service::with(narrow.build().unwrap());
    assert_eq!(service.says(&token(ES, "es")).await, "accepted");
    assert_eq!(service.says(&token(ED, "ed")).await, "accepted");
    assert_eq!(service.says(&token(RS, "rs")).await, "token-key-unknown");
}

#[tokio::test]
async fn weak_rsa_keys_are_passed_over() {
    let pem = spki::from_pem(keys::RSA_1024.as_bytes()).unwrap();
    let at = pem
        .bytes
        .windows(2)
        .position(|w| w == [0x81, 0x81])
        .unwrap();
    let small = base64(&pem.bytes[at + 3..at + 131]);
    for changes in [
        json!({ "n": small }),
        json!({ "e": base64([1]) }),
        json!({ "e": base64([2]) }),
        json!({ "e": base64([0]) }),
        json!({ "e": "" }),
        json!({ "n": "" }),
        json!({ "n": "A".repeat(2_000) }),
        json!({ "n": base64([0xc5; 2_048]) }),
    ] {
        let key = jwk_with(jwk(RS, "k"), &changes);
        assert_eq!(says_of(RS, key).await, "token-key-unknown", "{changes}");
    }
}

#[tokio::test]
async fn a_shared_secret_or_a_private_key_in_a_published_set_is_never_used() {
    let secret = json!({ "kty": "oct", "k": base64(keys::SECRET), "alg": "HS256", "kid": "k" });
    assert_eq!(says_of(Algorithm::HS256, secret).await, "token-key-unknown");
    for private in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
        let key = jwk_with(jwk(ES, "k"), &json!({ private: "AAAA" }));
        assert_eq!(says_of(ES, key).await, "token-key-unknown", "{private}");
    }
}

#[tokio::test]
async fn two_keys_with_one_id_are_both_passed_over() {
    for second in [jwk(ES, "k"), jwk(ED, "k")] {
        let body = set(&[jwk(ES, "k"), second, jwk(Algorithm::ES384, "other")]);
        assert_eq!(says_with(ES, body).await, "token-key-unknown");
    }
    // One that is for something else does not take the other's id away.
    let unused = jwk_with(jwk(RS, "k"), &json!({ "use": "enc" }));
    assert_eq!(
        says_with(ES, set(&[jwk(ES, "k"), unused])).await,
        "accepted"
    );
}

#[tokio::test]
async fn a_point_has_its_curve_and_its_length() {
    let whole = jwk(ES, "k");
    let x = whole["x"].as_str().unwrap();
    for changes in [
        json!({ "crv": "P-384" }),
        json!({ "crv": "P-521" }),
        json!({ "crv": "secp256k1" }),
        json!({ "crv": null }),
        json!({ "kty": "RSA" }),
        json!({ "kty": "EC2" }),
        json!({ "kty": null }),
        json!({ "x": &x[..40] }),
        json!({ "x": format!("{x}AA") }),
        json!({ "x": format!("{x}=") }),
        json!({ "y": null }),
        json!({ "kid": "" }),
        json!({ "kid": 7 }),
        json!({ "kid": "k".repeat(257) }),
    ] {
        let key = jwk_with(whole.clone(), &changes);
        assert_eq!(says_of(ES, key).await, "token-key-unknown", "{changes}");
    }
    // A point off its curve is a key that verifies nothing.
    let off = jwk_with(whole.clone(), &json!({ "y": x }));
    assert_eq!(says_of(ES, off).await, "token-signature");
}

#[tokio::test]
async fn a_token_without_key_id_needs_exactly_one_key_that_fits() {
    let unnamed = signed(ES, r#"{"alg":"ES256"}"#, claims().to_string());
    let nameless = jwk_with(jwk(ES, ""), &json!({ "kid": null }));
    for (published, said) in [
        (set(&[jwk(ES, "a"), jwk(ED, "b")]), "accepted"),
        (set(&[nameless.clone(), jwk(ED, "b")]), "accepted"),
        (set(&[jwk(ES, "a"), jwk(ES, "b")]), "token-key-ambiguous"),
        (
            set(&[jwk(ES, "a"), nameless.clone()]),
            "token-key-ambiguous",
        ),
        (set(&[jwk(ED, "a")]), "token-algorithm"),
    ] {
        let issuer = Issuer::publishing(&[]);
        issuer.answers(published.clone());
        assert_eq!(
            Service::of(&issuer).says(&unnamed).await,
            said,
            "{published}"
        );
    }
    // An id that a token names is never taken for that of a key without one.
    let said = says_with(ES, set(&[nameless, jwk(ED, "other")])).await;
    assert_eq!(said, "token-key-unknown");
}

#[tokio::test]
async fn an_answer_that_is_no_key_set_is_a_failed_fetch() {
    let good = set(&[jwk(ES, "k")]);
    let many: Vec<_> = (0..101).map(|n| jwk(ES, &n.to_string())).collect();
    let large = good.replacen('{', &format!("{{\"x\":\"{}\",", "x".repeat(256 << 10)), 1);
    let deep = format!("{{\"keys\":{}{}}}", "[".repeat(300), "]".repeat(300));
    for lie in [
        String::new(),
        "<!doctype html><title>Sign in</title>".into(),
        "null".into(),
        "[]".into(),
        "{}".into(),
        r#"{"keys":{}}"#.into(),
        r#"{"keys":null}"#.into(),
        r#"{"keys":[null,7,"k",[]]}"#.into(),
        format!("{good}{good}"),
        good.replacen('{', r#"{"keys":[],"#, 1),
        good.replace(r#""kid":"k""#, r#""kid":"k","kid":"k""#),
        jwk(ES, "k").to_string(),
        set(&many),
        large,
        deep,
    ] {
        assert_eq!(says_with(ES, lie.clone()).await, "unavailable", "{lie:.80}");
    }
    assert_eq!(says_with(ES, &b"\xff\xfe{}"[..]).await, "unavailable");
    let hundred = [&many[..99], &[jwk(ES, "k")]].concat();
    assert_eq!(says_with(ES, set(&hundred)).await, "accepted");
}

#[tokio::test]
async fn an_empty_set_is_an_error_and_not_an_unknown_key() {
    assert_eq!(says_with(ES, set(&[])).await, "unavailable");
    let unusable = jwk_with(jwk(ES, "k"), &json!({ "use": "enc" }));
    assert_eq!(says_with(ES, set(&[unusable])).await, "unavailable");
}

#[tokio::test]
async fn keys_that_a_token_brings_along_are_never_looked_at() {
    let issuer = Issuer::publishing(&[jwk(Algorithm::ES384, "other")]);
    let service = Service::of(&issuer);
    for parameter in ["jku", "x5u", "jwk", "x5c"] {
        let mut header = json!({ "alg": "ES256", "kid": "k" });
        header[parameter] = match parameter {
            "jwk" => jwk(ES, "k"),
            "x5c" => json!(["AAAA"]),
            _ => json!("https://evil.example/keys"),
        };
        let token = signed(ES, &header.to_string(), claims().to_string());
        assert_eq!(
            service.says(&token).await,
            "token-key-unknown",
            "{parameter}"
        );
    }
    assert_eq!(issuer.asked(), 1);
}

#[test]
fn a_configuration_that_cannot_work_is_refused() {
    let start = || RemoteKeys::builder(Issuer::publishing(&[]));
    let hour = 60 * MINUTE;
    for (configuration, kind) in [
        (
            start().max_age(9 * SECOND),
            JwtConfigErrorKind::RemoteTiming,
        ),
        (start().max_age(2 * hour), JwtConfigErrorKind::RemoteTiming),
        (
            start().max_age(Duration::MAX),
            JwtConfigErrorKind::RemoteTiming,
        ),
        (
            start().cool_down(Duration::ZERO),
            JwtConfigErrorKind::RemoteTiming,
        ),
        (start().cool_down(hour), JwtConfigErrorKind::RemoteTiming),
        (
            start().stale_for(25 * hour),
            JwtConfigErrorKind::RemoteTiming,
        ),
        (
            start().stale_for(10 * MINUTE),
            JwtConfigErrorKind::RemoteTiming,
        ),
        (
            start().timeout(Duration::ZERO),
            JwtConfigErrorKind::RemoteTiming,
        ),
        (start().timeout(MINUTE), JwtConfigErrorKind::RemoteTiming),
        (
            start().algorithm(Algorithm::HS256),
            JwtConfigErrorKind::MixedKeys,
        ),
        (
            start().assume_algorithm(Algorithm::HS256),
            JwtConfigErrorKind::MixedKeys,
        ),
    ] {
        let shown = format!("{configuration:?}");
        assert_eq!(configuration.build().unwrap_err().kind(), kind, "{shown}");
    }
    let both = builder(Algorithm::HS256).remote_keys(start().build().unwrap());
    assert_eq!(
        both.build().unwrap_err().kind(),
        JwtConfigErrorKind::MixedKeys
    );
}
