//! Whose customers are, and what was heard of their subscriptions.

use std::{fmt::Debug, time::Duration};

use async_trait::async_trait;
use tenancy_core::TenantId;

use super::{BillingStoreError, check_text};
use crate::{
    billing::CustomerId,
    subscription::{Applied, Subscription, SubscriptionUpdate},
};

/// What became of binding a customer to a tenant.
///
/// ```
/// use tenancy_usage::billing::BindOutcome;
///
/// fn is_bound(outcome: BindOutcome) -> bool {
///     outcome != BindOutcome::OfAnotherTenant
/// }
/// assert!(is_bound(BindOutcome::AlreadyBound));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BindOutcome {
    /// It is bound now.
    Bound,
    /// It was bound to this tenant before.
    AlreadyBound,
    /// It is bound to another tenant, and stays so.
    OfAnotherTenant,
}

/// What became of an update.
///
/// ```
/// use tenancy_usage::billing::UpdateOutcome;
///
/// fn is_kept(outcome: UpdateOutcome) -> bool {
///     matches!(outcome, UpdateOutcome::Applied | UpdateOutcome::Outdated | UpdateOutcome::Replayed)
/// }
/// assert!(!is_kept(UpdateOutcome::UnknownCustomer));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UpdateOutcome {
    /// It is the newest, and holds.
    Applied,
    /// It is older than what holds. It may tell since when a payment is due; else it changes nothing.
    Outdated,
    /// It was heard before, and changes nothing.
    Replayed,
    /// Nobody has bound its customer to a tenant. Nothing is kept: have it sent again.
    UnknownCustomer,
    /// Its subscription is known, of a customer of another tenant. Nothing is changed.
    OfAnotherTenant,
}

impl UpdateOutcome {
    /// For stores: the subscription with an update, and what became of that. What is [`Replayed`](Self::Replayed) need not be kept
    /// again.
    pub fn of(
        known: Option<Subscription>,
        update: &SubscriptionUpdate,
        grace: Duration,
    ) -> (Subscription, Self) {
        let Some(mut subscription) = known else {
            return (Subscription::new(update.clone(), grace), Self::Applied);
        };
        let outcome = match subscription.apply(update.clone()) {
            Applied::Changed => Self::Applied,
            Applied::Outdated => Self::Outdated,
            Applied::Replayed => Self::Replayed,
            // Whoever looks it up by its id has no other.
            Applied::Foreign => Self::OfAnotherTenant,
        };
        (subscription, outcome)
    }
}

impl SubscriptionUpdate {
    /// Whether its ids and the name of the billing system can be kept; for stores.
    ///
    /// # Errors
    /// A [`BillingStoreError`] of the kind [`Refused`](super::BillingStoreErrorKind::Refused).
    pub fn check_stored(&self, provider: &str) -> Result<(), BillingStoreError> {
        check_text("the name of a billing system", provider)?;
        check_text("the id of a subscription", &self.subscription)?;
        check_text("the id of a customer", &self.customer)?;
        match &self.plan {
            Some(plan) => check_text("the plan of a subscription", plan),
            None => Ok(()),
        }
    }
}

/// A subscription of a tenant, as it is kept.
///
/// ```
/// use tenancy_core::{TenantId, Timestamp};
/// use tenancy_usage::{billing::{BillingStoreError, SubscriptionStore}, subscription::SubscriptionState};
///
/// /// The newest subscription counts for the tenant; one that never had any is not served by it.
/// async fn state(
///     billing: &dyn SubscriptionStore,
///     tenant: TenantId,
///     now: Timestamp,
/// ) -> Result<SubscriptionState, BillingStoreError> {
///     let stored = billing.subscriptions(tenant).await?;
///     let newest = stored.first().map(|stored| stored.subscription.state(now));
///     Ok(newest.unwrap_or(SubscriptionState::Cancelled))
/// }
/// # let _ = state;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredSubscription {
    /// The name of the billing system.
    pub provider: Box<str>,
    /// The subscription.
    pub subscription: Subscription,
}

impl StoredSubscription {
    /// A subscription at a billing system.
    #[must_use]
    pub fn new(provider: impl Into<Box<str>>, subscription: Subscription) -> Self {
        Self {
            provider: provider.into(),
            subscription,
        }
    }

    /// In the order in which a store tells them: the newest first.
    #[must_use]
    pub fn newest_first(mut stored: Vec<Self>) -> Vec<Self> {
        stored.sort_by(|one, other| {
            let newest = |of: &Self| of.subscription.newest().clone();
            newest(other)
                .cmp(&newest(one))
                .then_with(|| one.provider.cmp(&other.provider))
        });
        stored
    }
}

/// Keeps whose customers are, and all from which the state of their subscriptions follows.
///
/// ```
/// use tenancy_core::{TenantId, Timestamp};
/// use tenancy_usage::{
///     billing::{BindOutcome, CustomerId, MemoryBilling, SubscriptionStore as _, UpdateOutcome},
///     subscription::{ObjectVersion, SubscriptionStatus, SubscriptionUpdate},
/// };
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (billing, acme) = (MemoryBilling::new(), TenantId::new());
/// let version = ObjectVersion::at(Timestamp::from_unix_seconds(1_800_000_000));
/// let update = SubscriptionUpdate::new("sub_1", "cus_1", version, SubscriptionStatus::Active);
/// assert_eq!(billing.apply("stripe", &update).await?, UpdateOutcome::UnknownCustomer);
/// assert_eq!(billing.bind_customer(acme, "stripe", &CustomerId::new("cus_1")).await?, BindOutcome::Bound);
/// assert_eq!(billing.apply("stripe", &update).await?, UpdateOutcome::Applied);
/// assert_eq!(billing.apply("stripe", &update).await?, UpdateOutcome::Replayed);
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait SubscriptionStore: Send + Sync + Debug {
    /// Says whose a customer at a billing system is. A customer has one tenant, for good; a tenant may have several, of which
    /// the last that was bound is [told](Self::customer_of).
    ///
    /// # Errors
    /// A [`BillingStoreError`].
    async fn bind_customer(
        &self,
        tenant: TenantId,
        provider: &str,
        customer: &CustomerId,
    ) -> Result<BindOutcome, BillingStoreError>;

    /// Whose a customer is.
    ///
    /// # Errors
    /// A [`BillingStoreError`].
    async fn tenant_of(
        &self,
        provider: &str,
        customer: &CustomerId,
    ) -> Result<Option<TenantId>, BillingStoreError>;

    /// The customer that a tenant is at a billing system.
    ///
    /// # Errors
    /// A [`BillingStoreError`].
    async fn customer_of(
        &self,
        tenant: TenantId,
        provider: &str,
    ) -> Result<Option<CustomerId>, BillingStoreError>;

    /// Takes note of an update, as [`Subscription::apply`] does, whatever the order in which updates come.
    ///
    /// A store with an outbox writes the event `billing.subscription-changed` in the same transaction if, and only if, the state or the
    /// plan is another than the one that was told last.
    ///
    /// # Errors
    /// A [`BillingStoreError`].
    async fn apply(
        &self,
        provider: &str,
        update: &SubscriptionUpdate,
    ) -> Result<UpdateOutcome, BillingStoreError>;

    /// The subscriptions of a tenant, the newest first, which is the one that counts.
    ///
    /// # Errors
    /// A [`BillingStoreError`].
    async fn subscriptions(
        &self,
        tenant: TenantId,
    ) -> Result<Vec<StoredSubscription>, BillingStoreError>;

    /// Takes note of what has changed by the time alone, such as the end of a trial or of grace, of so many subscriptions at most; a
    /// store with an outbox tells each change as it does in [`apply`](Self::apply). How many have changed. Have a job call it.
    ///
    /// # Errors
    /// A [`BillingStoreError`].
    async fn note_changes(&self, most: u32) -> Result<u32, BillingStoreError>;
}
