//! Events of Stripe about subscriptions.

use serde_json::Value;
use tenancy_core::Timestamp;

use super::{WebhookError, WebhookErrorKind};
use crate::subscription::{ObjectVersion, SubscriptionStatus, SubscriptionUpdate};

/// What an event of Stripe says of a subscription; `None` if it is about something else.
///
/// The version is the time at which the event was created, in seconds, because Stripe's subscriptions have no number. The plan is what
/// the subscription's metadata has as `plan`. The states `incomplete`, `unpaid` and `paused` are
/// [`Unpaid`](SubscriptionStatus::Unpaid), `incomplete_expired` is [`Cancelled`](SubscriptionStatus::Cancelled). Source:
/// <https://docs.stripe.com/api/subscriptions/object>.
///
/// ```
/// use tenancy_usage::{billing::stripe_update, subscription::SubscriptionStatus};
///
/// let body = br#"{
///     "id": "evt_1", "type": "customer.subscription.updated", "created": 1800000000,
///     "data": { "object": { "object": "subscription", "id": "sub_1", "customer": "cus_1", "status": "past_due" } }
/// }"#;
/// let update = stripe_update(body)?.ok_or("about something else")?;
/// assert_eq!(update.status, SubscriptionStatus::PastDue);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// A [`WebhookError`] of the kind [`Unreadable`](WebhookErrorKind::Unreadable) if it is no event, or a subscription has a state that
/// this version does not know: answer 400, so that it comes again.
///
/// # Security
/// Reads whatever it is given: [verify](super::WebhookSecret::verify) the body first. And see that the customer is the one that you
/// have for the tenant.
pub fn stripe_update(body: &[u8]) -> Result<Option<SubscriptionUpdate>, WebhookError> {
    let unreadable = WebhookError::new(
        WebhookErrorKind::Unreadable,
        "it is no event of Stripe, or a state of a subscription that is not known",
    );
    let event: Value = serde_json::from_slice(body).map_err(|_| unreadable.clone())?;
    let text = |of: &Value, pointer: &str| {
        of.pointer(pointer)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let kind = text(&event, "/type").ok_or_else(|| unreadable.clone())?;
    if !kind.starts_with("customer.subscription.") || kind.ends_with(".trial_will_end") {
        return Ok(None);
    }
    let object = event
        .pointer("/data/object")
        .ok_or_else(|| unreadable.clone())?;
    let parts = || {
        let created = event.get("created")?.as_i64()?;
        let status = match object.get("status")?.as_str()? {
            "trialing" => SubscriptionStatus::Trialing {
                until: Timestamp::from_unix_seconds(object.get("trial_end")?.as_i64()?),
            },
            "active" => SubscriptionStatus::Active,
            "past_due" => SubscriptionStatus::PastDue,
            "incomplete" | "unpaid" | "paused" => SubscriptionStatus::Unpaid,
            "canceled" | "incomplete_expired" => SubscriptionStatus::Cancelled,
            _ => return None,
        };
        let customer = text(object, "/customer").or_else(|| text(object, "/customer/id"))?;
        let version = ObjectVersion::at(Timestamp::from_unix_seconds(created));
        Some(SubscriptionUpdate::new(
            text(object, "/id")?,
            customer,
            version,
            status,
        ))
    };
    let update = parts().ok_or(unreadable)?;
    Ok(Some(match text(object, "/metadata/plan") {
        Some(plan) => update.plan(plan),
        None => update,
    }))
}
