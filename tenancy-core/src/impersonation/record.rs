//! The record of an impersonation.

use crate::{ImpersonationId, OperatorId, TenantId, Timestamp, UserId};

/// An operator who acts as a user of one tenant: who, as whom, where, why, and until when.
///
/// The record is written before the operator gets the token, and is never removed. A request that is made so has it in
/// [`TenantContext::impersonation`](crate::TenantContext::impersonation).
///
/// ```
/// use tenancy_core::TenantContext;
///
/// /// A line above each page, while somebody acts as the user who is shown.
/// fn banner(context: &TenantContext) -> Option<String> {
///     let seen = context.impersonation()?;
///     Some(format!("an operator acts as this user until {}: {}", seen.until, seen.reason))
/// }
/// # let _ = banner;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Impersonation {
    /// The id, which stands in the audit trail as the credential `impersonation:…` of all that is done.
    pub id: ImpersonationId,
    /// The operator who acts.
    pub operator: OperatorId,
    /// The one tenant.
    pub tenant: TenantId,
    /// The user with whose rights the operator acts.
    pub user: UserId,
    /// Why.
    pub reason: String,
    /// The number of a ticket.
    pub ticket: Option<String>,
    /// When it began, by the clock of the engine that began it.
    pub started_at: Timestamp,
    /// The moment from which it counts no more.
    pub until: Timestamp,
    /// Whether a second operator has to approve it before it counts.
    pub needs_approval: bool,
    /// The operator who has approved it.
    pub approved_by: Option<OperatorId>,
    /// When it was ended before its time.
    pub ended_at: Option<Timestamp>,
}

/// Where an impersonation stands at a moment.
///
/// ```
/// use tenancy_core::ImpersonationState;
///
/// assert_ne!(ImpersonationState::Waiting, ImpersonationState::Live);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ImpersonationState {
    /// A second operator has yet to approve it.
    Waiting,
    /// The operator may act.
    Live,
    /// It was ended, or its time is over.
    Ended,
}

impl Impersonation {
    /// An impersonation as it begins, or as a store has it.
    #[must_use]
    pub fn new(
        operator: OperatorId,
        (tenant, user): (TenantId, UserId),
        reason: impl Into<String>,
        (started_at, until): (Timestamp, Timestamp),
    ) -> Self {
        Self {
            id: ImpersonationId::new(),
            operator,
            tenant,
            user,
            reason: reason.into(),
            ticket: None,
            started_at,
            until,
            needs_approval: false,
            approved_by: None,
            ended_at: None,
        }
    }

    /// Where it stands at this moment.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> ImpersonationState {
        if self.ended_at.is_some() || now >= self.until {
            ImpersonationState::Ended
        } else if self.needs_approval && self.approved_by.is_none() {
            ImpersonationState::Waiting
        } else {
            ImpersonationState::Live
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_is_live_from_its_approval_to_its_end() {
        let start = Timestamp::from_unix_seconds(1_800_000_000);
        let until = start + Duration::from_secs(60);
        let whose = (TenantId::new(), UserId::new());
        let mut one = Impersonation::new(OperatorId::new(), whose, "a test", (start, until));
        assert_eq!(one.state(start), ImpersonationState::Live);
        assert_eq!(one.state(until), ImpersonationState::Ended);
        one.needs_approval = true;
        assert_eq!(one.state(start), ImpersonationState::Waiting);
        assert_eq!(one.state(until), ImpersonationState::Ended);
        one.approved_by = Some(OperatorId::new());
        assert_eq!(one.state(start), ImpersonationState::Live);
        one.ended_at = Some(start);
        assert_eq!(one.state(start), ImpersonationState::Ended);
    }
}
