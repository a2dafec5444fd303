//! Stripe's billing meters.

use async_trait::async_trait;
use serde_json::Value;

use super::{
    BillingError, BillingErrorKind, BillingProvider, BillingRequest, BillingResponse,
    BillingTransport, Customer, CustomerId, ReportOutcome, UsageReport,
};

/// Stripe's billing meters, in the first version of its API: customers with the tenant's id in their metadata, and one meter event for
/// each report.
///
/// A meter of the same name (`event_name`) has to exist at Stripe, with its default keys `stripe_customer_id` and `value`, and the
/// aggregation `sum`.
///
/// | Stripe | here |
/// |---|---|
/// | takes whole numbers alone | a quantity with a fraction is refused before it is sent: report a smaller unit |
/// | remembers `identifier` for 24 hours or more, and refuses it a second time with a 400 | that answer is [`AlreadyTaken`](ReportOutcome::AlreadyTaken); report again within a day |
/// | takes events of the last 35 days | the late window of events is 34 days by default |
/// | takes one event at a time for a customer and meter | reports are sent one after the other |
///
/// Source: <https://docs.stripe.com/api/billing/meter-event/create>. That a second event is refused, and how, is not documented there;
/// it is known by `code` `duplicate_meter_event` or by the beginning of its message.
///
/// ```
/// use tenancy_usage::billing::{BillingTransport, StripeMeters};
///
/// fn provider(client: impl BillingTransport + 'static) -> StripeMeters {
///     StripeMeters::new(client)
/// }
/// ```
#[derive(Debug)]
pub struct StripeMeters {
    transport: Box<dyn BillingTransport>,
}

impl StripeMeters {
    /// Speaks with Stripe through this.
    #[must_use]
    pub fn new(transport: impl BillingTransport + 'static) -> Self {
        Self {
            transport: Box::new(transport),
        }
    }

    async fn ask(&self, request: BillingRequest) -> Result<(u16, Value), BillingError> {
        let BillingResponse { status, body } = self.transport.send(request).await?;
        // Conflicts of idempotency, too many requests, and its own failures pass.
        if status == 409 || status == 429 || status >= 500 {
            let text = format!("the billing system answered {status}; send the same again later");
            return Err(BillingError::new(BillingErrorKind::Unavailable, text));
        }
        let json = serde_json::from_slice(&body).map_err(|_| {
            let text = format!("the billing system answered {status} with what is no JSON");
            BillingError::new(BillingErrorKind::Unreadable, text)
        })?;
        Ok((status, json))
    }

    async fn find(&self, customer: &Customer) -> Result<Option<String>, BillingError> {
        let query = format!("metadata['tenant']:'{}'", customer.tenant);
        let request = BillingRequest {
            method: "GET",
            path: format!(
                "/v1/customers/search?{}",
                form(&[("query", &query), ("limit", "1")])
            ),
            idempotency_key: None,
            body: String::new(),
        };
        let (status, found) = self.ask(request).await?;
        if status != 200 {
            return Err(refused(status, &found));
        }
        let first = found.pointer("/data/0/id").and_then(Value::as_str);
        Ok(first.map(str::to_owned))
    }

    async fn report(&self, report: &UsageReport) -> Result<ReportOutcome, BillingError> {
        let quantity = report.quantity.normalize();
        if quantity.scale() > 0 || quantity.is_sign_negative() {
            let reason = format!(
                "the quantity is {quantity}, and Stripe takes whole numbers from 0 on; report a smaller unit"
            );
            return Ok(ReportOutcome::Refused(reason.into()));
        }
        let (value, seconds) = (
            quantity.to_string(),
            report.at.as_unix_seconds().to_string(),
        );
        let body = form(&[
            ("event_name", &report.meter),
            ("identifier", &report.id),
            ("timestamp", &seconds),
            ("payload[stripe_customer_id]", report.customer.as_str()),
            ("payload[value]", &value),
        ]);
        let (status, answer) = self
            .ask(BillingRequest {
                method: "POST",
                path: "/v1/billing/meter_events".to_owned(),
                idempotency_key: Some(report.id.to_string()),
                body,
            })
            .await?;
        if status == 200 {
            return Ok(ReportOutcome::Taken);
        }
        if matches!(status, 401 | 403) {
            return Err(refused(status, &answer));
        }
        let says = |pointer: &str| {
            answer
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let is_again = says("/error/code") == "duplicate_meter_event"
            || says("/error/message").starts_with("An event already exists with identifier");
        if is_again {
            return Ok(ReportOutcome::AlreadyTaken);
        }
        Ok(ReportOutcome::Refused(reason(status, &answer).into()))
    }
}

#[async_trait]
impl BillingProvider for StripeMeters {
    async fn upsert_customer(&self, customer: &Customer) -> Result<CustomerId, BillingError> {
        let known = self.find(customer).await?;
        let tenant = customer.tenant.to_string();
        let mut fields = vec![("name", &*customer.name), ("metadata[tenant]", &*tenant)];
        if let Some(email) = &customer.email {
            fields.push(("email", email));
        }
        let (path, idempotency_key) = match &known {
            Some(id) => (format!("/v1/customers/{id}"), None),
            // What was just made is not found yet.
            None => (
                "/v1/customers".to_owned(),
                Some(format!("customer-{tenant}")),
            ),
        };
        let (status, answer) = self
            .ask(BillingRequest {
                method: "POST",
                path,
                idempotency_key,
                body: form(&fields),
            })
            .await?;
        match answer.get("id").and_then(Value::as_str) {
            Some(id) if status == 200 => Ok(CustomerId::new(id)),
            _ => Err(refused(status, &answer)),
        }
    }

    async fn report_usage(
        &self,
        reports: &[UsageReport],
    ) -> Result<Vec<ReportOutcome>, BillingError> {
        let mut outcomes = Vec::with_capacity(reports.len());
        for report in reports {
            outcomes.push(self.report(report).await?);
        }
        Ok(outcomes)
    }
}

fn form(fields: &[(&str, &str)]) -> String {
    let mut text = form_urlencoded::Serializer::new(String::new());
    text.extend_pairs(fields);
    text.finish()
}

/// What it says itself, which is for logs.
fn reason(status: u16, answer: &Value) -> String {
    let message = answer.pointer("/error/message").and_then(Value::as_str);
    format!("{status}: {}", message.unwrap_or("no reason given"))
}

fn refused(status: u16, answer: &Value) -> BillingError {
    let text = format!(
        "the billing system has refused, with {}",
        reason(status, answer)
    );
    BillingError::new(BillingErrorKind::Refused, text)
}
