//! Keys that change while the service runs.

use super::*;

const ES: Algorithm = Algorithm::ES256;
const ED: Algorithm = Algorithm::EdDSA;

#[tokio::test]
async fn keys_are_fetched_when_first_needed_and_then_answered_from_memory() {
    let issuer = Issuer::publishing(&[jwk(ES, "old")]);
    let service = Service::of(&issuer);
    assert_eq!(issuer.asked(), 0);
    assert_eq!(service.probe(&token(ES, "old")), "needs-lookup");
    assert_eq!(service.says(&token(ES, "old")).await, "accepted");
    assert_eq!(service.probe(&token(ES, "old")), "accepted");
    assert_eq!(issuer.asked(), 1);

    let status = service.keys.status();
    assert_eq!((status.keys, status.fetches, status.failures), (1, 1, 0));
    assert_eq!(status.fetched_at, Some(service.now));
}

#[tokio::test]
async fn an_unknown_key_id_has_the_keys_fetched_once_the_cool_down_is_over() {
    let issuer = Issuer::publishing(&[jwk(ES, "old")]);
    let mut service = Service::of(&issuer);
    assert_eq!(service.says(&token(ES, "old")).await, "accepted");

    issuer.answers(set(&[jwk(ES, "old"), jwk(ED, "new")]));
    service.after(30 * SECOND);
    assert_eq!(service.says(&token(ED, "new")).await, "accepted");
    assert_eq!(service.probe(&token(ES, "old")), "accepted");
    assert_eq!(issuer.asked(), 2);
}

#[tokio::test]
async fn keys_that_were_fetched_at_boot_do_not_stay_for_ever() {
    let issuer = Issuer::publishing(&[jwk(ES, "old")]);
    let mut service = Service::of(&issuer);
    service.keys.refresh(service.now).await.unwrap();
    issuer.answers(set(&[jwk(ED, "new")]));

    service.after(9 * MINUTE);
    assert_eq!(service.says(&token(ES, "old")).await, "accepted");
    service.settle().await;
    assert_eq!(issuer.asked(), 1);

    // Due: this request is not held up, the one after it sees the new keys.
    service.after(MINUTE);
    assert_eq!(service.probe(&token(ES, "old")), "accepted");
    service.settle().await;
    assert_eq!(issuer.asked(), 2);
    assert_eq!(service.probe(&token(ED, "new")), "accepted");
}

#[tokio::test]
async fn the_remembered_tokens_of_a_withdrawn_key_die_with_it() {
    let issuer = Issuer::publishing(&[jwk(ES, "stolen"), jwk(ED, "good")]);
    let mut service = Service::of(&issuer);
    // One text: an ES256 signature is another each time it is made.
    let stolen = token(ES, "stolen");
    for _ in 0..2 {
        assert_eq!(service.says(&stolen).await, "accepted");
    }
    issuer.answers(set(&[jwk(ED, "good")]));
    service.after(MINUTE);
    service.keys.refresh(service.now).await.unwrap();
    assert_eq!(service.says(&stolen).await, "token-key-unknown");
    assert_eq!(service.says(&token(ED, "good")).await, "accepted");
}

#[tokio::test]
async fn a_withdrawn_key_is_not_used_after_a_time_without_requests() {
    let issuer = Issuer::publishing(&[jwk(ES, "stolen")]);
    let mut service = Service::of(&issuer);
    let mut claims = claims();
    claims["exp"] = json!(NOW + 100_000);
    let token = signed(ES, r#"{"alg":"ES256","kid":"stolen"}"#, claims.to_string());
    assert_eq!(service.says(&token).await, "accepted");
    issuer.answers(set(&[jwk(ED, "good")]));
    service.after(20 * MINUTE);
    assert_eq!(service.says(&token).await, "token-key-unknown");
}

#[tokio::test]
async fn another_key_under_the_same_id_verifies_every_token_anew() {
    let issuer = Issuer::publishing(&[jwk(ES, "k")]);
    let mut service = Service::of(&issuer);
    let token = token(ES, "k");
    assert_eq!(service.says(&token).await, "accepted");
    let other = jwk_with(jwk(ES, "k"), &json!({ "y": jwk(ES, "k")["x"] }));
    issuer.answers(set(&[other]));
    service.after(MINUTE);
    service.keys.refresh(service.now).await.unwrap();
    assert_eq!(service.probe(&token), "token-signature");
}

#[tokio::test]
async fn an_older_answer_never_overwrites_a_newer_one() {
    let service = Service::of(&Issuer::publishing(&[]));
    let old = set(&[jwk(ES, "old")]);
    let new = set(&[jwk(ED, "new")]);
    service
        .keys
        .publish(2, new.as_bytes(), service.now)
        .unwrap();
    service
        .keys
        .publish(1, old.as_bytes(), service.now - MINUTE)
        .unwrap();
    assert_eq!(service.keys.status().fetched_at, Some(service.now));
    assert_eq!(service.probe(&token(ED, "new")), "accepted");
    assert_ne!(service.probe(&token(ES, "old")), "accepted");
}

#[tokio::test]
async fn a_set_that_did_not_change_keeps_what_was_verified() {
    let issuer = Issuer::publishing(&[jwk(ES, "k")]);
    let mut service = Service::of(&issuer);
    let token = token(ES, "k");
    let principal =
        |service: &Service| match service.tokens.probe(Credential::new(&token), service.now) {
            Verdict::Verified(principal) => principal,
            other => panic!("{other:?}"),
        };
    assert_eq!(service.says(&token).await, "accepted");
    let before = principal(&service);
    service.after(MINUTE);
    service.keys.refresh(service.now).await.unwrap();
    assert_eq!(issuer.asked(), 2);
    assert!(Arc::ptr_eq(&before, &principal(&service)));
}

#[tokio::test]
async fn a_clock_that_was_set_back_stops_no_fetch() {
    let issuer = Issuer::publishing(&[jwk(ES, "old")]);
    let mut service = Service::of(&issuer);
    assert_eq!(service.says(&token(ES, "old")).await, "accepted");
    issuer.answers(set(&[jwk(ED, "new")]));
    service.now = service.now - 2 * SECOND;
    assert_eq!(service.says(&token(ED, "new")).await, "accepted");
}
