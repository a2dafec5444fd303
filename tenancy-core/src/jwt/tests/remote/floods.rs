//! Callers who invent key ids.

use super::*;

const ES: Algorithm = Algorithm::ES256;
const ED: Algorithm = Algorithm::EdDSA;

/// A token with an invented id; its signature does not matter.
fn invented(id: usize) -> String {
    let header = json!({ "alg": "ES256", "kid": format!("invented-{id}") }).to_string();
    format!("{}.{}.AAAA", base64(header), base64(claims().to_string()))
}

#[tokio::test]
async fn invented_key_ids_cause_one_fetch_per_cool_down() {
    let issuer = Issuer::publishing(&[jwk(ES, "k")]);
    let mut service = Service::of(&issuer);
    assert_eq!(service.says(&token(ES, "k")).await, "accepted");
    // Five minutes, ten ids in each second.
    for second in 0..300 {
        service.after(SECOND);
        for id in 0..10 {
            let said = service.says(&invented(second * 10 + id)).await;
            // Those of the moment at which the issuer was asked are known to be nobody's.
            let is_known = second % 30 == 29;
            let expected = if is_known {
                "token-key-unknown"
            } else {
                "unavailable"
            };
            assert_eq!(said, expected, "after {second} s");
        }
    }
    assert_eq!(issuer.asked(), 11);
}

#[tokio::test]
async fn invented_key_ids_lock_nobody_out() {
    let issuer = Issuer::publishing(&[jwk(ES, "old")]);
    let mut service = Service::of(&issuer);
    assert_eq!(service.says(&token(ES, "old")).await, "accepted");
    for id in 0..1_000 {
        service.says(&invented(id)).await;
    }
    // Keys that are known are not asked for.
    let asked = issuer.asked();
    assert_eq!(service.probe(&token(ES, "old")), "accepted");
    assert_eq!(issuer.asked(), asked);

    // A new key is found by the fetch that the flood itself causes.
    issuer.answers(set(&[jwk(ES, "old"), jwk(ED, "new")]));
    service.after(30 * SECOND);
    assert_eq!(service.says(&invented(5_000)).await, "token-key-unknown");
    assert_eq!(service.probe(&token(ED, "new")), "accepted");
}

#[tokio::test]
async fn an_id_that_was_guessed_before_it_was_published_is_found_all_the_same() {
    let issuer = Issuer::publishing(&[jwk(ES, "old")]);
    let mut service = Service::of(&issuer);
    assert_eq!(service.says(&token(ES, "old")).await, "accepted");
    assert_eq!(service.says(&token(ED, "new")).await, "token-key-unknown");
    issuer.answers(set(&[jwk(ES, "old"), jwk(ED, "new")]));
    // Nobody asks again within the cool-down for an id that was just unknown …
    service.after(29 * SECOND);
    assert_eq!(service.says(&token(ED, "new")).await, "token-key-unknown");
    assert_eq!(issuer.asked(), 1);
    // … and then somebody does.
    service.after(SECOND);
    assert_eq!(service.says(&token(ED, "new")).await, "accepted");
}

/// M11.
#[tokio::test]
async fn a_key_that_is_published_after_a_fetch_counts_within_one_cool_down() {
    let issuer = Issuer::publishing(&[jwk(ES, "old")]);
    let mut service = Service::of(&issuer);
    assert_eq!(service.says(&token(ES, "old")).await, "accepted");
    issuer.answers(set(&[jwk(ES, "old"), jwk(ED, "new")]));
    for second in 2..30_u32 {
        let wait = SECOND * (30 - second);
        service.after(if second == 2 { 2 * SECOND } else { SECOND });
        let (token, now) = (token(ED, "new"), service.now);
        let verified = service.tokens.verify(Credential::new(&token), now).await;
        // Nobody knows yet whether the issuer has it.
        assert_eq!(verified.unwrap_err().retry_after(), Some(wait));
    }
    assert_eq!(issuer.asked(), 1);
    service.after(SECOND);
    assert_eq!(service.says(&token(ED, "new")).await, "accepted");
}

#[tokio::test]
async fn unknown_ids_are_remembered_up_to_a_bound() {
    let issuer = Issuer::publishing(&[jwk(ES, "k")]);
    let service = Service::of(&issuer);
    for id in 0..2_000 {
        service.says(&invented(id)).await;
    }
    let held = service.keys.remembered_unknown();
    assert!((1..=128).contains(&held), "{held}");
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test]
async fn an_expired_cool_down_is_shared_by_good_and_bad_ids() {
    let issuer = Issuer::publishing(&[jwk(ES, "old")]);
    let mut service = Service::of(&issuer);
    assert_eq!(service.says(&token(ES, "old")).await, "accepted");
    issuer.answers(set(&[jwk(ES, "old"), jwk(ED, "new")]));
    issuer.stalls(true);
    service.after(MINUTE);
    let (bad, good) = (invented(1), token(ED, "new"));
    let mut both = Box::pin(futures_util::future::join(
        service.says(&bad),
        service.says(&good),
    ));
    assert!(futures_util::poll!(&mut both).is_pending());
    service.settle().await;
    issuer.stalls(false);
    assert_eq!(both.await, ("token-key-unknown", "accepted"));
    assert_eq!(issuer.asked(), 2);
}
