//! What a billing system says of a subscription.

use tenancy_core::Timestamp;

/// Which of two states of an object at a billing system is the newer.
///
/// ```
/// use tenancy_core::Timestamp;
/// use tenancy_usage::subscription::ObjectVersion;
///
/// let noon = Timestamp::from_unix_seconds(1_800_000_000);
/// assert!(ObjectVersion::new(noon, 2) > ObjectVersion::at(noon));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectVersion {
    at: Timestamp,
    number: u64,
}

impl ObjectVersion {
    /// The state of a moment, for systems that number nothing.
    #[must_use]
    pub const fn at(at: Timestamp) -> Self {
        Self::new(at, 0)
    }

    /// The state of a moment, and its number among those of that moment.
    #[must_use]
    pub const fn new(at: Timestamp, number: u64) -> Self {
        Self { at, number }
    }

    /// The moment.
    #[must_use]
    pub const fn moment(self) -> Timestamp {
        self.at
    }

    /// The number among the states of that moment; 0 for systems that number nothing.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.number
    }
}

/// How a billing system calls the state of a subscription.
///
/// In the order in which, of two updates of one version, the later holds: for systems whose versions are seconds. A payment that
/// arrives within the second of a failure holds, so that nobody who has paid is refused.
///
/// ```
/// use tenancy_usage::subscription::SubscriptionStatus;
///
/// assert!(SubscriptionStatus::Cancelled > SubscriptionStatus::Active);
/// assert!(SubscriptionStatus::Active > SubscriptionStatus::Unpaid);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum SubscriptionStatus {
    /// Not paid yet, until then.
    Trialing {
        /// When the trial ends.
        until: Timestamp,
    },
    /// A payment has failed, and will be tried again.
    PastDue,
    /// Payments are no longer tried, or collection is paused.
    Unpaid,
    /// Paid.
    Active,
    /// Ended.
    Cancelled,
}

/// That a subscription at a billing system has changed.
///
/// ```
/// use tenancy_core::Timestamp;
/// use tenancy_usage::subscription::{ObjectVersion, SubscriptionStatus, SubscriptionUpdate};
///
/// let version = ObjectVersion::at(Timestamp::from_unix_seconds(1_800_000_000));
/// let update = SubscriptionUpdate::new("sub_1", "cus_1", version, SubscriptionStatus::Active).plan("pro");
/// # let _ = update;
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[must_use]
pub struct SubscriptionUpdate {
    /// Of which state.
    pub version: ObjectVersion,
    /// What the state is.
    pub status: SubscriptionStatus,
    /// The id of the subscription at the billing system.
    pub subscription: Box<str>,
    /// The id of its customer there.
    pub customer: Box<str>,
    /// The plan, if the billing system says it.
    pub plan: Option<Box<str>>,
}

impl SubscriptionUpdate {
    /// This subscription of this customer has this status in this version.
    pub fn new(
        subscription: impl Into<Box<str>>,
        customer: impl Into<Box<str>>,
        version: ObjectVersion,
        status: SubscriptionStatus,
    ) -> Self {
        Self {
            version,
            status,
            subscription: subscription.into(),
            customer: customer.into(),
            plan: None,
        }
    }

    /// The plan, by the name that the service has for it.
    pub fn plan(mut self, plan: impl Into<Box<str>>) -> Self {
        self.plan = Some(plan.into());
        self
    }
}
