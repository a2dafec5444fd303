//! One call for the route to which a billing system sends its webhooks.

use tenancy_core::Timestamp;

use super::{BillingStoreError, SubscriptionStore, UpdateOutcome};
use crate::billing::{WebhookError, WebhookSecret, stripe_update};

/// What became of a webhook.
///
/// ```
/// use tenancy_usage::billing::WebhookOutcome;
///
/// assert_eq!(WebhookOutcome::Applied.status(), 200);
/// assert_eq!(WebhookOutcome::UnknownCustomer.status(), 404);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WebhookOutcome {
    /// It is the newest that was heard of its subscription, and holds.
    Applied,
    /// It is older than what holds.
    Outdated,
    /// It was heard before.
    Replayed,
    /// Nobody has [bound](SubscriptionStore::bind_customer) its customer to a tenant.
    UnknownCustomer,
    /// Its subscription is known, of a customer of another tenant. Somebody has to look.
    OfAnotherTenant,
    /// It is about something else than a subscription.
    Unrelated,
    /// It is not believed, or not understood. Nothing is changed.
    Refused(WebhookError),
}

impl WebhookOutcome {
    /// The status of the answer: 200 for what is settled; 400, 404 and 409 for what the billing system should send again, because
    /// somebody may mend it meanwhile. The body of the answer is empty.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::Applied | Self::Outdated | Self::Replayed | Self::Unrelated => 200,
            Self::UnknownCustomer => 404,
            Self::OfAnotherTenant => 409,
            Self::Refused(_) => 400,
        }
    }
}

impl From<UpdateOutcome> for WebhookOutcome {
    fn from(outcome: UpdateOutcome) -> Self {
        match outcome {
            UpdateOutcome::Applied => Self::Applied,
            UpdateOutcome::Outdated => Self::Outdated,
            UpdateOutcome::Replayed => Self::Replayed,
            UpdateOutcome::UnknownCustomer => Self::UnknownCustomer,
            UpdateOutcome::OfAnotherTenant => Self::OfAnotherTenant,
        }
    }
}

/// Verifies a webhook of Stripe, reads it, and takes note of what it says of a subscription. `provider` is the name under which
/// customers were bound; `header` is the field `Stripe-Signature`, and `body` the body as it came.
///
/// ```
/// use tenancy_core::{TenantId, Timestamp};
/// use tenancy_usage::billing::{CustomerId, MemoryBilling, SubscriptionStore as _, WebhookOutcome, WebhookSecret, receive};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let secret = WebhookSecret::new("whsec_0123456789abcdef0123456789abcdef")?;
/// let (billing, now) = (MemoryBilling::new(), Timestamp::from_unix_seconds(1_800_000_000));
/// billing.bind_customer(TenantId::new(), "stripe", &CustomerId::new("cus_1")).await?;
///
/// let body = br#"{
///     "id": "evt_1", "type": "customer.subscription.updated", "created": 1800000000,
///     "data": { "object": { "object": "subscription", "id": "sub_1", "customer": "cus_1", "status": "active" } }
/// }"#;
/// let header = secret.sign(body, now); // as Stripe does
/// assert_eq!(receive(&billing, "stripe", &secret, &header, body, now).await?, WebhookOutcome::Applied);
/// let forged = receive(&billing, "stripe", &secret, "t=1800000000,v1=00", body, now).await?;
/// assert_eq!(forged.status(), 400);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// A [`BillingStoreError`]: answer 503, so that it comes again.
pub async fn receive(
    store: &dyn SubscriptionStore,
    provider: &str,
    secret: &WebhookSecret,
    header: &str,
    body: &[u8],
    now: Timestamp,
) -> Result<WebhookOutcome, BillingStoreError> {
    let read = secret
        .verify(header, body, now)
        .and_then(|()| stripe_update(body));
    match read {
        Ok(Some(update)) => Ok(store.apply(provider, &update).await?.into()),
        Ok(None) => Ok(WebhookOutcome::Unrelated),
        Err(error) => Ok(WebhookOutcome::Refused(error)),
    }
}
