//! Stripe's protocol as Stripe publishes it: the answers of its fixtures for OpenAPI (version of 2026-08), and the parameters that
//! its client for Python takes (16.1.0). Fields that nobody here reads are left out.

use tenancy_core::{TenantId, Timestamp};
use tenancy_usage::{
    billing::{
        BillingProvider as _, BillingRequest, Customer, CustomerId, ReportOutcome, StripeMeters,
        UsageReport, stripe_update,
    },
    subscription::SubscriptionStatus,
};

use crate::stripe::Recorded;

const METER_EVENT: &str = r#"{
  "created": 1234567890, "event_name": "api_request", "identifier": "1234-1234", "livemode": false,
  "object": "billing.meter_event", "payload": { "stripe_customer_id": "cus_123", "value": "25" }, "timestamp": 1234567890
}"#;

const CUSTOMER: &str = r#"{
  "balance": 0, "created": 1234567890, "currency": "usd", "delinquent": false, "description": null, "email": null,
  "id": "cus_QXg1o8vcGmoR32", "invoice_prefix": "7FE1103", "livemode": false, "metadata": {}, "name": null,
  "object": "customer", "phone": null, "preferred_locales": [], "tax_exempt": "none", "test_clock": null
}"#;

/// The parameters that a request may have, and those that it has to have.
const PARAMETERS: [(&str, &[&str], &[&str]); 3] = [
    (
        "POST /v1/billing/meter_events",
        &["event_name", "expand", "identifier", "payload", "timestamp"],
        &["event_name", "payload"],
    ),
    (
        "POST /v1/customers",
        &[
            "address",
            "balance",
            "description",
            "email",
            "expand",
            "metadata",
            "name",
            "phone",
        ],
        &[],
    ),
    (
        "GET /v1/customers/search",
        &["expand", "limit", "page", "query"],
        &["query"],
    ),
];

/// Each request has parameters that Stripe knows, and those that it wants.
fn check(request: &BillingRequest) {
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let call = format!("{} {path}", request.method);
    let (_, known, wanted) = PARAMETERS
        .iter()
        .find(|(of, ..)| *of == call)
        .unwrap_or_else(|| panic!("{call}"));
    let form = if query.is_empty() {
        &*request.body
    } else {
        query
    };
    let sent: Vec<_> = form
        .split('&')
        .map(|field| field.split(['=', '%']).next().unwrap_or_default())
        .collect();
    for name in &sent {
        assert!(known.contains(name), "{call} takes no `{name}`");
    }
    for name in *wanted {
        assert!(sent.contains(name), "{call} lacks `{name}`: {sent:?}");
    }
}

#[tokio::test]
async fn the_published_answer_to_a_meter_event_is_understood() {
    let transport = Recorded::of(&[(200, METER_EVENT)]);
    let at = Timestamp::from_unix_seconds(1_234_567_890);
    let report = UsageReport::new(
        CustomerId::new("cus_123"),
        "api_request",
        25,
        at,
        "1234-1234",
    );
    let stripe = StripeMeters::new(transport.clone());
    assert_eq!(
        stripe.report_usage(&[report]).await.unwrap(),
        [ReportOutcome::Taken]
    );
    // What was asked is what the answer repeats.
    let asked = transport.asked().remove(0);
    check(&asked);
    for field in [
        "event_name=api_request",
        "identifier=1234-1234",
        "timestamp=1234567890",
        "payload%5Bstripe_customer_id%5D=cus_123",
        "payload%5Bvalue%5D=25",
    ] {
        assert!(
            asked.body.split('&').any(|sent| sent == field),
            "{}",
            asked.body
        );
    }
}

#[tokio::test]
async fn the_published_customer_is_understood() {
    let found = format!(
        r#"{{ "object": "search_result", "data": [{CUSTOMER}], "has_more": false, "next_page": null }}"#
    );
    let none = r#"{ "object": "search_result", "data": [], "has_more": false, "next_page": null }"#;
    for search in [found.as_str(), none] {
        let transport = Recorded::of(&[(200, search), (200, CUSTOMER)]);
        let customer = Customer::new(TenantId::new(), "Acme").email("billing@acme.example");
        let id = StripeMeters::new(transport.clone())
            .upsert_customer(&customer)
            .await
            .unwrap();
        assert_eq!(id, CustomerId::new("cus_QXg1o8vcGmoR32"));
        for mut request in transport.asked() {
            // An update takes what a creation takes.
            request.path = request
                .path
                .replace("/v1/customers/cus_QXg1o8vcGmoR32", "/v1/customers");
            check(&request);
        }
    }
}

#[test]
fn each_state_of_the_published_subscription_is_understood() {
    for (status, known) in [
        ("active", SubscriptionStatus::Active),
        ("canceled", SubscriptionStatus::Cancelled),
        ("incomplete", SubscriptionStatus::Unpaid),
        ("incomplete_expired", SubscriptionStatus::Cancelled),
        ("past_due", SubscriptionStatus::PastDue),
        ("paused", SubscriptionStatus::Unpaid),
        (
            "trialing",
            SubscriptionStatus::Trialing {
                until: Timestamp::from_unix_seconds(1_234_567_890),
            },
        ),
        ("unpaid", SubscriptionStatus::Unpaid),
    ] {
        let event = format!(
            r#"{{
              "api_version": null, "created": 1234567890, "id": "evt_1Pgc76B7WZ01zgkWwyRHS12y", "livemode": false,
              "object": "event", "pending_webhooks": 0, "request": {{ "id": null, "idempotency_key": null }},
              "type": "customer.subscription.updated",
              "data": {{ "object": {{
                "id": "sub_1Pgc6rB7WZ01zgkWNy0Cn5nw", "object": "subscription", "customer": "cus_QXg1o8vcGmoR32",
                "created": 1234567890, "status": "{status}", "trial_end": 1234567890, "metadata": {{}}
              }} }}
            }}"#
        );
        let update = stripe_update(event.as_bytes()).unwrap().unwrap();
        assert_eq!(update.status, known, "{status}");
        assert_eq!(&*update.customer, "cus_QXg1o8vcGmoR32");
    }
    // What it publishes as an example of an event is about something else.
    let plan = r#"{ "id": "evt_1", "object": "event", "created": 1234567890, "type": "plan.created", "data": { "object": {} } }"#;
    assert_eq!(stripe_update(plan.as_bytes()).unwrap(), None);
}
