//! Whether a tenant is served, by its payments and by the operators.

use tenancy_core::TenantStatus;

use super::SubscriptionState;

/// Whether a tenant is served: by what operators say, and then by its payments. Each alone can refuse, and neither lifts what the
/// other says.
///
/// ```
/// use tenancy_core::TenantStatus;
/// use tenancy_usage::subscription::{ServiceAccess, SubscriptionState};
///
/// let paid = SubscriptionState::Active;
/// assert_eq!(ServiceAccess::of(paid, TenantStatus::Active), ServiceAccess::Served);
/// // Paying lifts no operator's suspension.
/// assert_eq!(ServiceAccess::of(paid, TenantStatus::Suspended), ServiceAccess::RefusedByOperator);
/// assert!(!ServiceAccess::of(SubscriptionState::SuspendedForBilling, TenantStatus::Active).is_served());
/// ```
///
/// # Security
/// Keep the state of payments apart from the tenant's record, or an event of the billing system would reactivate what an operator has
/// suspended. Of the two, a job may write `past-due` into the record, and `active` again, but never over another status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ServiceAccess {
    /// Nothing is due.
    Served,
    /// A payment is due, and the tenant should be told.
    ServedInGrace,
    /// Not until it has paid, or has subscribed again.
    RefusedForBilling,
    /// The tenant's status is not one that is served, whatever it pays.
    RefusedByOperator,
}

impl ServiceAccess {
    /// What follows from both.
    #[must_use]
    pub const fn of(subscription: SubscriptionState, status: TenantStatus) -> Self {
        if !status.is_served() {
            return Self::RefusedByOperator;
        }
        match subscription {
            SubscriptionState::Trial | SubscriptionState::Active => Self::Served,
            SubscriptionState::PastDue => Self::ServedInGrace,
            SubscriptionState::SuspendedForBilling | SubscriptionState::Cancelled => {
                Self::RefusedForBilling
            }
        }
    }

    /// Whether requests are served.
    #[must_use]
    pub const fn is_served(self) -> bool {
        matches!(self, Self::Served | Self::ServedInGrace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_payment_lifts_what_an_operator_says() {
        let states = [
            SubscriptionState::Trial,
            SubscriptionState::Active,
            SubscriptionState::PastDue,
            SubscriptionState::SuspendedForBilling,
            SubscriptionState::Cancelled,
        ];
        for status in TenantStatus::ALL {
            for state in states {
                let access = ServiceAccess::of(state, status);
                if status.is_served() {
                    assert_ne!(
                        access,
                        ServiceAccess::RefusedByOperator,
                        "{state:?} {status:?}"
                    );
                } else {
                    assert_eq!(
                        access,
                        ServiceAccess::RefusedByOperator,
                        "{state:?} {status:?}"
                    );
                }
            }
        }
    }
}
