//! Who signed a webhook, and when.

use std::time::Duration;

use tenancy_core::Timestamp;
use tenancy_usage::{
    billing::{WebhookErrorKind, WebhookSecret, stripe_update},
    subscription::{Applied, Subscription, SubscriptionState, SubscriptionStatus},
};

const SECRET: &str = "whsec_0123456789abcdef0123456789abcdef";
const BODY: &[u8] = br#"{"id":"evt_1"}"#;
const SIGNED_AT: i64 = 1_492_774_577;

/// Computed with Python's `hmac`.
const SIGNATURE: &str = "f21fcf24339bbc325023e83d25c5bc952603cbf360d9ebca7b380364111cb1a6";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(seconds)
}

fn secret() -> WebhookSecret {
    WebhookSecret::new(SECRET).unwrap()
}

fn verify(header: &str, body: &[u8], now: i64) -> Result<(), WebhookErrorKind> {
    let verified = secret().verify(header, body, at(now));
    verified.map_err(|error| error.kind())
}

#[test]
fn a_signature_of_another_program_is_believed() {
    let header = format!("t={SIGNED_AT},v1={SIGNATURE}");
    assert_eq!(verify(&header, BODY, SIGNED_AT), Ok(()));
    assert_eq!(secret().sign(BODY, at(SIGNED_AT)), header);
    // Beside others, of another scheme, and in another order.
    let zeros = "0".repeat(64);
    for header in [
        format!("t={SIGNED_AT},v1={zeros},v1={SIGNATURE},v0={zeros}"),
        format!("v1={SIGNATURE},t={SIGNED_AT}"),
        format!("t={SIGNED_AT}, v1={SIGNATURE}"),
    ] {
        assert_eq!(verify(&header, BODY, SIGNED_AT), Ok(()), "{header}");
    }
}

#[test]
fn what_was_not_signed_so_is_not_believed() {
    let zeros = "0".repeat(64);
    let wrong = Err(WebhookErrorKind::WrongSignature);
    let header = format!("t={SIGNED_AT},v1={SIGNATURE}");
    assert_eq!(verify(&header, br#"{"id":"evt_2"}"#, SIGNED_AT), wrong);
    assert_eq!(verify(&header, b"", SIGNED_AT), wrong);
    for header in [
        format!("t={SIGNED_AT},v1={zeros}"),
        format!("t={},v1={SIGNATURE}", SIGNED_AT + 1),
        // The same moment, written otherwise.
        format!("t=0{SIGNED_AT},v1={SIGNATURE}"),
        format!("t={SIGNED_AT},v1={}", &SIGNATURE[..62]),
        format!("t={SIGNED_AT},v1="),
    ] {
        assert_eq!(verify(&header, BODY, SIGNED_AT), wrong, "{header}");
    }
    let malformed = Err(WebhookErrorKind::Malformed);
    for header in [
        String::new(),
        "v1".to_owned(),
        format!("t={SIGNED_AT}"),
        format!("t={SIGNED_AT},v0={SIGNATURE}"),
        format!("v1={SIGNATURE}"),
        format!("t=,v1={SIGNATURE}"),
        format!("t=-1,v1={SIGNATURE}"),
        format!("t=+{SIGNED_AT},v1={SIGNATURE}"),
        format!("t={SIGNED_AT},t=1,v1={SIGNATURE}"),
        format!("t={}9999999999,v1={SIGNATURE}", i64::MAX),
        format!("t={SIGNED_AT}{}", format!(",v1={zeros}").repeat(9)),
    ] {
        assert_eq!(verify(&header, BODY, SIGNED_AT), malformed, "{header}");
    }
}

#[test]
fn a_signature_is_good_for_five_minutes_on_either_side() {
    let header = format!("t={SIGNED_AT},v1={SIGNATURE}");
    for (now, expected) in [
        (SIGNED_AT + 300, Ok(())),
        (SIGNED_AT + 301, Err(WebhookErrorKind::OutOfTime)),
        (SIGNED_AT - 300, Ok(())),
        (SIGNED_AT - 301, Err(WebhookErrorKind::OutOfTime)),
    ] {
        assert_eq!(verify(&header, BODY, now), expected, "{now}");
    }
    // A wrong signature that is also too old is a wrong one.
    let zeros = format!("t={SIGNED_AT},v1={}", "0".repeat(64));
    assert_eq!(
        verify(&zeros, BODY, SIGNED_AT + 900),
        Err(WebhookErrorKind::WrongSignature)
    );
    let hour = secret().tolerance(Duration::from_secs(3_600));
    assert!(hour.verify(&header, BODY, at(SIGNED_AT + 3_600)).is_ok());
}

#[test]
fn a_secret_is_replaced_without_a_gap() {
    let (old, new) = (
        secret(),
        WebhookSecret::new("whsec_another_0123456789").unwrap(),
    );
    let header = old.sign(BODY, at(SIGNED_AT));
    assert!(new.verify(&header, BODY, at(SIGNED_AT)).is_err());
    let both = new.clone().with_previous(SECRET).unwrap();
    assert!(both.verify(&header, BODY, at(SIGNED_AT)).is_ok());
    assert!(
        both.verify(&new.sign(BODY, at(SIGNED_AT)), BODY, at(SIGNED_AT))
            .is_ok()
    );
}

#[test]
fn a_secret_is_long_and_is_shown_nowhere() {
    assert!(WebhookSecret::new("short").is_err());
    assert!(secret().with_previous("").is_err());
    let shown = format!(
        "{:?}",
        secret().with_previous("whsec_another_0123456789").unwrap()
    );
    assert!(
        !shown.contains("whsec") && !shown.contains("0123456789"),
        "{shown}"
    );
}

fn event(kind: &str, created: i64, status: &str) -> String {
    format!(
        r#"{{"id":"evt_{created}","object":"event","type":"customer.subscription.{kind}","created":{created},
            "data":{{"object":{{"object":"subscription","id":"sub_1","customer":"cus_1","status":"{status}",
            "trial_end":1800000500,"metadata":{{"plan":"pro"}}}}}}}}"#
    )
}

/// Deliveries as they come: late, twice, out of order; each is verified, read and applied.
#[test]
fn deliveries_out_of_order_and_repeated_end_in_the_newest_state() {
    let now = at(1_800_000_100);
    let receive = |subscription: &mut Option<Subscription>, body: &str| {
        let header = secret().sign(body.as_bytes(), now);
        secret().verify(&header, body.as_bytes(), now).unwrap();
        let update = stripe_update(body.as_bytes()).unwrap().unwrap();
        match subscription {
            Some(known) => known.apply(update),
            None => {
                *subscription = Some(Subscription::new(update, Duration::from_secs(60)));
                Applied::Changed
            }
        }
    };
    let mut subscription = None;
    let deliveries = [
        (
            event("created", 1_800_000_000, "trialing"),
            Applied::Changed,
        ),
        (
            event("updated", 1_800_000_030, "past_due"),
            Applied::Changed,
        ),
        (event("updated", 1_800_000_010, "active"), Applied::Outdated),
        (
            event("deleted", 1_800_000_040, "canceled"),
            Applied::Changed,
        ),
        (event("updated", 1_800_000_039, "active"), Applied::Outdated),
        (
            event("deleted", 1_800_000_040, "canceled"),
            Applied::Replayed,
        ),
        (event("updated", 1_800_000_040, "active"), Applied::Outdated),
    ];
    for (body, expected) in deliveries {
        assert_eq!(receive(&mut subscription, &body), expected, "{body}");
    }
    let subscription = subscription.unwrap();
    assert_eq!(subscription.state(now), SubscriptionState::Cancelled);
    assert_eq!(subscription.newest().plan.as_deref(), Some("pro"));
}

#[test]
fn states_of_stripe_are_read_and_unknown_ones_are_told() {
    let until = at(1_800_000_500);
    for (status, expected) in [
        ("trialing", SubscriptionStatus::Trialing { until }),
        ("active", SubscriptionStatus::Active),
        ("past_due", SubscriptionStatus::PastDue),
        ("unpaid", SubscriptionStatus::Unpaid),
        ("paused", SubscriptionStatus::Unpaid),
        ("incomplete", SubscriptionStatus::Unpaid),
        ("incomplete_expired", SubscriptionStatus::Cancelled),
        ("canceled", SubscriptionStatus::Cancelled),
    ] {
        let update = stripe_update(event("updated", 1, status).as_bytes())
            .unwrap()
            .unwrap();
        assert_eq!((update.status, &*update.customer), (expected, "cus_1"));
    }
    for body in [
        "",
        "[]",
        "{}",
        r#"{"type":"customer.subscription.updated"}"#,
        r#"{"type":"customer.subscription.updated","created":1,"data":{"object":{"id":"sub_1","status":"active"}}}"#,
        &event("updated", 1, "of-tomorrow"),
    ] {
        let error = stripe_update(body.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), WebhookErrorKind::Unreadable, "{body}");
    }
    for kind in [
        "invoice.paid",
        "customer.created",
        "customer.subscription.trial_will_end",
    ] {
        let body = format!(r#"{{"type":"{kind}","created":1,"data":{{"object":{{}}}}}}"#);
        assert_eq!(stripe_update(body.as_bytes()).unwrap(), None);
    }
}
