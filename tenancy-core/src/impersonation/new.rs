//! What an operator asks for who wants to act as a user.

use std::time::Duration;

use crate::{StoreError, StoreErrorKind, TenantId, UserId, cut::cut};

/// An impersonation that is to begin: see [`OperatorContext::impersonate`](crate::OperatorContext::impersonate).
///
/// ```
/// use std::time::Duration;
/// use tenancy_core::{NewImpersonation, TenantId, UserId};
///
/// let (acme, ann) = (TenantId::new(), UserId::new());
/// let asked = NewImpersonation::new(acme, ann, "ann can't see her invoice")
///     .ticket("4711")
///     .ttl(Duration::from_secs(15 * 60));
/// # let _ = asked;
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct NewImpersonation {
    pub(crate) tenant: TenantId,
    pub(crate) user: UserId,
    pub(crate) reason: String,
    pub(crate) ticket: Option<String>,
    pub(crate) ttl: Option<Duration>,
}

impl NewImpersonation {
    /// Acting as this user in this tenant. The reason stands in the audit trail, and may be shown to the tenant.
    pub fn new(tenant: TenantId, user: UserId, reason: impl Into<String>) -> Self {
        Self {
            tenant,
            user,
            reason: cut(reason.into(), 1_024),
            ticket: None,
            ttl: None,
        }
    }

    /// The same, with the number of a ticket; 128 bytes at most are kept.
    pub fn ticket(mut self, ticket: impl Into<String>) -> Self {
        self.ticket = Some(cut(ticket.into(), 128));
        self
    }

    /// The same, for so long. Default: the policy's, 30 minutes unless it says otherwise.
    pub const fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// How long it is to go on.
    pub(crate) fn checked_ttl(
        &self,
        default: Duration,
        longest: Duration,
    ) -> Result<Duration, StoreError> {
        let invalid = |message: String| Err(StoreError::new(StoreErrorKind::Invalid, message));
        if self.reason.trim().is_empty() {
            return invalid("an impersonation needs a reason that is not blank".into());
        }
        let ttl = self.ttl.unwrap_or(default);
        if ttl < Duration::from_secs(1) || ttl > longest {
            return invalid(format!(
                "an impersonation goes on for 1 second to {} minutes; ask for less than {} seconds",
                longest.as_secs() / 60,
                ttl.as_secs()
            ));
        }
        Ok(ttl)
    }
}
