//! Stripe's protocol: requests and answers, in their order. The answers have the shape of Stripe's documentation; the one to a second
//! event is what others have recorded of it.

use std::sync::{Arc, Mutex};

use tenancy_core::{TenantId, Timestamp};
use tenancy_usage::{
    Decimal,
    billing::{
        BillingError, BillingErrorKind, BillingProvider as _, BillingRequest, BillingResponse,
        BillingTransport, Customer, CustomerId, ReportOutcome, StripeMeters, UsageReport,
    },
};

/// Answers one after the other, and keeps what was asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recorded {
    answers: Arc<Mutex<Vec<(u16, String)>>>,
    asked: Arc<Mutex<Vec<BillingRequest>>>,
}

impl Recorded {
    pub(crate) fn of(answers: &[(u16, &str)]) -> Self {
        let answers = answers
            .iter()
            .rev()
            .map(|(status, body)| (*status, (*body).to_owned()));
        Self {
            answers: Arc::new(Mutex::new(answers.collect())),
            asked: Arc::default(),
        }
    }

    /// What was asked; all answers were needed.
    pub(crate) fn asked(&self) -> Vec<BillingRequest> {
        assert!(
            self.answers.lock().unwrap().is_empty(),
            "an answer was not asked for"
        );
        self.asked.lock().unwrap().clone()
    }
}

#[tenancy_core::async_trait]
impl BillingTransport for Recorded {
    async fn send(&self, request: BillingRequest) -> Result<BillingResponse, BillingError> {
        self.asked.lock().unwrap().push(request);
        match self.answers.lock().unwrap().pop() {
            Some((0, _)) => Err(BillingError::unavailable("connection reset")),
            Some((status, body)) => Ok(BillingResponse::new(status, body)),
            None => panic!("no answer is left"),
        }
    }
}

const TAKEN: &str = r#"{
  "object": "billing.meter_event", "created": 1704824589, "event_name": "llm-output-tokens", "identifier": "acme-1",
  "livemode": false, "payload": { "value": "4711", "stripe_customer_id": "cus_1" }, "timestamp": 1800000000
}"#;

const AGAIN: &str = r#"{
  "error": { "message": "An event already exists with identifier acme-1.", "type": "invalid_request_error" }
}"#;

const NO_METER: &str = r#"{ "error": { "message": "No active meter found for event name: tokns", "type": "invalid_request_error" } }"#;

fn report(id: &str, quantity: impl Into<Decimal>) -> UsageReport {
    let at = Timestamp::from_unix_seconds(1_800_000_000);
    UsageReport::new(
        CustomerId::new("cus_1"),
        "llm-output-tokens",
        quantity,
        at,
        id,
    )
}

async fn reported(
    answers: &[(u16, &str)],
    reports: &[UsageReport],
) -> Result<Vec<ReportOutcome>, BillingErrorKind> {
    let transport = Recorded::of(answers);
    let outcomes = StripeMeters::new(transport.clone())
        .report_usage(reports)
        .await;
    drop(transport.asked());
    outcomes.map_err(|error| error.kind())
}

#[tokio::test]
async fn an_event_is_sent_with_its_id_as_identifier_and_idempotency_key() {
    let transport = Recorded::of(&[(200, TAKEN)]);
    let stripe = StripeMeters::new(transport.clone());
    let outcomes = stripe
        .report_usage(&[report("acme-1", 4_711)])
        .await
        .unwrap();
    assert_eq!(outcomes, [ReportOutcome::Taken]);
    let asked = transport.asked().remove(0);
    assert_eq!(
        (asked.method, &*asked.path),
        ("POST", "/v1/billing/meter_events")
    );
    assert_eq!(asked.idempotency_key.as_deref(), Some("acme-1"));
    assert_eq!(
        asked.body,
        "event_name=llm-output-tokens&identifier=acme-1&timestamp=1800000000\
         &payload%5Bstripe_customer_id%5D=cus_1&payload%5Bvalue%5D=4711"
    );
}

#[tokio::test]
async fn an_event_that_is_there_was_taken_before() {
    let coded = r#"{ "error": { "code": "duplicate_meter_event", "message": "…", "type": "invalid_request_error" } }"#;
    for answer in [AGAIN, coded] {
        let outcomes = reported(&[(400, answer)], &[report("acme-1", 4_711)]).await;
        assert_eq!(outcomes, Ok(vec![ReportOutcome::AlreadyTaken]));
    }
}

#[tokio::test]
async fn one_refused_report_keeps_no_other_back() {
    let reports = [report("a", 1), report("b", 2), report("c", 3)];
    let outcomes = reported(&[(200, TAKEN), (400, NO_METER), (200, TAKEN)], &reports)
        .await
        .unwrap();
    assert_eq!(outcomes[0], ReportOutcome::Taken);
    let ReportOutcome::Refused(reason) = &outcomes[1] else {
        panic!("{outcomes:?}");
    };
    assert!(reason.contains("No active meter found"), "{reason}");
    assert_eq!(outcomes[2], ReportOutcome::Taken);
}

#[tokio::test]
async fn a_batch_that_was_cut_off_is_sent_again_and_counts_once() {
    let reports = [report("a", 1), report("b", 2)];
    for failure in [(0, ""), (429, "{}"), (409, "{}"), (500, "oops"), (503, "")] {
        let first = reported(&[(200, TAKEN), failure], &reports).await;
        assert_eq!(first, Err(BillingErrorKind::Unavailable), "{failure:?}");
    }
    let second = reported(&[(400, AGAIN), (200, TAKEN)], &reports).await;
    assert_eq!(
        second,
        Ok(vec![ReportOutcome::AlreadyTaken, ReportOutcome::Taken])
    );
}

#[tokio::test]
async fn a_wrong_key_and_an_answer_that_is_none_stop_the_batch() {
    let denied = r#"{ "error": { "message": "Invalid API Key provided", "type": "invalid_request_error" } }"#;
    for (answer, kind) in [
        ((401, denied), BillingErrorKind::Refused),
        ((403, denied), BillingErrorKind::Refused),
        ((200, "<html>"), BillingErrorKind::Unreadable),
    ] {
        let outcome = reported(&[answer], &[report("a", 1), report("b", 2)]).await;
        assert_eq!(outcome, Err(kind));
    }
}

#[tokio::test]
async fn a_fraction_is_not_sent() {
    let outcomes = reported(&[], &[report("a", Decimal::new(15, 1))])
        .await
        .unwrap();
    assert!(
        matches!(&outcomes[..], [ReportOutcome::Refused(reason)] if reason.contains("1.5")),
        "{outcomes:?}"
    );
    let whole = reported(&[(200, TAKEN)], &[report("a", Decimal::new(150, 1))]).await;
    assert_eq!(whole, Ok(vec![ReportOutcome::Taken]));
}

#[tokio::test]
async fn there_is_one_customer_for_each_tenant() {
    let tenant: TenantId = "0190a6e4-2b3c-7d4e-8f50-617283940516".parse().unwrap();
    let customer = Customer::new(tenant, "Acme & Söhne").email("billing@acme.example");
    let made = r#"{ "id": "cus_1", "object": "customer" }"#;
    let transport = Recorded::of(&[
        (200, r#"{ "object": "search_result", "data": [] }"#),
        (200, made),
    ]);
    let id = StripeMeters::new(transport.clone())
        .upsert_customer(&customer)
        .await
        .unwrap();
    assert_eq!(id, CustomerId::new("cus_1"));
    let asked = transport.asked();
    assert_eq!(asked[0].method, "GET");
    assert_eq!(
        asked[0].path,
        format!("/v1/customers/search?query=metadata%5B%27tenant%27%5D%3A%27{tenant}%27&limit=1")
    );
    assert_eq!(
        (asked[1].method, &*asked[1].path),
        ("POST", "/v1/customers")
    );
    assert_eq!(asked[1].idempotency_key, Some(format!("customer-{tenant}")));
    let body = format!(
        "name=Acme+%26+S%C3%B6hne&metadata%5Btenant%5D={tenant}&email=billing%40acme.example"
    );
    assert_eq!(asked[1].body, body);

    let found =
        r#"{ "object": "search_result", "data": [{ "id": "cus_1", "object": "customer" }] }"#;
    let transport = Recorded::of(&[(200, found), (200, made)]);
    let id = StripeMeters::new(transport.clone())
        .upsert_customer(&customer)
        .await
        .unwrap();
    assert_eq!(id, CustomerId::new("cus_1"));
    let asked = transport.asked();
    assert_eq!(
        (&*asked[1].path, &asked[1].idempotency_key),
        ("/v1/customers/cus_1", &None)
    );
}
