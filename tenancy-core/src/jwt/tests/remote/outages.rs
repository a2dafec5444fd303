//! Issuers that do not answer, answer late, or answer nonsense.

use super::*;

const ES: Algorithm = Algorithm::ES256;
const ED: Algorithm = Algorithm::EdDSA;

/// A token that outlives the outages of these tests.
fn lasting(algorithm: Algorithm, id: &str) -> String {
    let mut claims = claims();
    claims["exp"] = json!(NOW + 1_000_000);
    let header = json!({ "alg": algorithm.as_str(), "kid": id }).to_string();
    signed(algorithm, &header, claims.to_string())
}

#[tokio::test]
async fn keys_that_were_never_fetched_are_unavailable_and_not_unknown() {
    let issuer = Issuer::publishing(&[jwk(ES, "k")]);
    issuer.fails();
    let mut service = Service::of(&issuer);
    for _ in 0..3 {
        assert_eq!(service.says(&token(ES, "k")).await, "unavailable");
    }
    assert_eq!(issuer.asked(), 1, "the cool-down holds after a failure too");

    issuer.answers(set(&[jwk(ES, "k")]));
    service.after(30 * SECOND);
    assert_eq!(service.says(&token(ES, "k")).await, "accepted");
}

#[tokio::test]
async fn an_outage_does_not_refuse_known_keys_for_a_day() {
    let issuer = Issuer::publishing(&[jwk(ES, "k")]);
    let mut service = Service::of(&issuer);
    let token = lasting(ES, "k");
    assert_eq!(service.says(&token).await, "accepted");
    issuer.fails();
    for _ in 0..23 {
        service.after(60 * MINUTE);
        assert_eq!(service.says(&token).await, "accepted");
        service.settle().await;
    }
    assert!(service.keys.status().failing);
    service.after(60 * MINUTE);
    // A remembered token is refused like any other.
    assert_eq!(service.says(&token).await, "unavailable");
    issuer.answers(set(&[jwk(ES, "k")]));
    service.after(MINUTE);
    assert_eq!(service.says(&token).await, "accepted");
    assert!(!service.keys.status().failing);
}

#[tokio::test(start_paused = true)]
async fn an_outage_holds_up_one_round_of_requests_and_no_more() {
    let issuer = Issuer::publishing(&[jwk(ES, "k")]);
    let mut service = Service::of(&issuer);
    let token = lasting(ES, "k");
    assert_eq!(service.says(&token).await, "accepted");
    issuer.stalls(true);
    service.after(60 * MINUTE);
    let began = tokio::time::Instant::now();
    assert_eq!(service.says(&token).await, "accepted");
    assert_eq!(began.elapsed(), 5 * SECOND, "the fetch may take so long");
    for _ in 0..10 {
        service.after(MINUTE);
        assert_eq!(service.probe(&token), "accepted");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stalling_issuer_is_given_up_after_the_timeout() {
    let issuer = Issuer::publishing(&[jwk(ES, "k")]);
    issuer.stalls(true);
    let service = Service::of(&issuer);
    let began = tokio::time::Instant::now();
    assert_eq!(service.says(&token(ES, "k")).await, "unavailable");
    assert_eq!(began.elapsed(), 5 * SECOND);
}

#[tokio::test]
async fn a_lie_replaces_nothing() {
    let issuer = Issuer::publishing(&[jwk(ES, "k")]);
    let mut service = Service::of(&issuer);
    assert_eq!(service.says(&lasting(ES, "k")).await, "accepted");
    for lie in ["<html>", r#"{"keys":[]}"#, "{}", ""] {
        issuer.answers(lie);
        service.after(MINUTE);
        assert!(service.keys.refresh(service.now).await.is_err());
        assert_eq!(service.probe(&lasting(ES, "k")), "accepted", "{lie}");
    }
    assert_eq!(service.keys.status().failures, 4);
}

#[tokio::test]
async fn a_new_key_during_an_outage_is_unavailable_and_not_unknown() {
    let issuer = Issuer::publishing(&[jwk(ES, "old")]);
    let mut service = Service::of(&issuer);
    assert_eq!(service.says(&token(ES, "old")).await, "accepted");
    issuer.fails();
    service.after(MINUTE);
    for _ in 0..3 {
        assert_eq!(service.says(&token(ED, "new")).await, "unavailable");
    }
    assert_eq!(issuer.asked(), 2);
    assert_eq!(service.probe(&token(ES, "old")), "accepted");

    issuer.answers(set(&[jwk(ES, "old"), jwk(ED, "new")]));
    service.after(30 * SECOND);
    assert_eq!(service.says(&token(ED, "new")).await, "accepted");
}

#[tokio::test]
async fn many_callers_wait_for_one_fetch() {
    let issuer = Issuer::publishing(&[jwk(ES, "k")]);
    issuer.stalls(true);
    let service = Service::of(&issuer);
    let token = token(ES, "k");
    let callers = (0..50).map(|_| service.says(&token));
    let mut callers = Box::pin(futures_util::future::join_all(callers));
    for _ in 0..5 {
        assert!(futures_util::poll!(&mut callers).is_pending());
        service.settle().await;
    }
    issuer.stalls(false);
    assert!(callers.await.into_iter().all(|said| said == "accepted"));
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test]
async fn a_caller_that_gives_up_does_not_stop_the_fetch() {
    let issuer = Issuer::publishing(&[jwk(ES, "k")]);
    issuer.stalls(true);
    let service = Service::of(&issuer);
    let token = token(ES, "k");
    let mut first = Box::pin(service.says(&token));
    assert!(futures_util::poll!(&mut first).is_pending());
    drop(first);
    service.settle().await;
    issuer.stalls(false);
    service.settle().await;
    assert_eq!(service.probe(&token), "accepted");
    assert_eq!(issuer.asked(), 1);
}

#[test]
fn a_runtime_that_ends_takes_no_keys_along() {
    let issuer = Issuer::publishing(&[jwk(ES, "k")]);
    issuer.stalls(true);
    let mut service = Service::of(&issuer);
    let token = token(ES, "k");
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap()
    };
    let first = runtime();
    first.block_on(async {
        assert!(futures_util::poll!(&mut Box::pin(service.says(&token))).is_pending());
        service.settle().await;
    });
    drop(first);
    issuer.stalls(false);
    service.after(30 * SECOND);
    assert_eq!(runtime().block_on(service.says(&token)), "accepted");
    assert_eq!(issuer.asked(), 2);
}

/// M7. The issuer is away, and the clock is set back: its keys get no older by that, and no younger.
#[tokio::test]
async fn a_clock_that_is_set_back_keeps_no_key_in_use_past_its_bound() {
    for back in [60 * MINUTE, 10 * 24 * 60 * MINUTE] {
        let issuer = Issuer::publishing(&[jwk(ES, "k")]);
        let mut service = Service::of(&issuer);
        let token = lasting(ES, "k");
        assert_eq!(service.says(&token).await, "accepted");
        issuer.fails();
        service.after(23 * 60 * MINUTE);
        assert_eq!(service.says(&token).await, "accepted");
        service.now = service.now - back;
        assert_eq!(service.says(&token).await, "accepted");
        service.after(60 * MINUTE + SECOND);
        assert_eq!(service.says(&token).await, "unavailable", "{back:?}");
    }
}
