//! The states a tenant passes through, and which steps between them are legal.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Where a tenant stands in its life.
///
/// ```text
/// provisioning ─▶ active ⇄ past-due
///      │            │ ▲       │ ▲
///      │            ▼ │       ▼ │
///      │           suspended ◀──┘
///      │            │
///      │            ▼  (restorable)
///      └────▶ pending-deletion ─▶ deleted
/// ```
///
/// ```
/// use tenancy_core::TenantStatus::{Active, Deleted, Suspended};
///
/// assert!(Active.transition_to(Suspended).is_ok());
/// assert!(Deleted.transition_to(Active).is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum TenantStatus {
    /// Being set up; serves nobody yet.
    Provisioning,
    /// In use.
    Active,
    /// In use, with an unpaid bill: still served, so that paying stays possible.
    PastDue,
    /// Refused until somebody reactivates it.
    Suspended,
    /// Refused and waiting for its grace period to end; can still be restored.
    PendingDeletion,
    /// Gone. Nothing leads out of this state.
    Deleted,
}

impl TenantStatus {
    /// Every state.
    pub const ALL: [Self; 6] = [
        Self::Provisioning,
        Self::Active,
        Self::PastDue,
        Self::Suspended,
        Self::PendingDeletion,
        Self::Deleted,
    ];

    /// Whether requests of this tenant are served.
    #[must_use]
    pub const fn is_served(self) -> bool {
        matches!(self, Self::Active | Self::PastDue)
    }

    /// Whether a tenant in this state may go to `next`.
    ///
    /// # Errors
    /// [`IllegalTransition`] if no such step exists; staying in a state is not a step.
    pub const fn transition_to(self, next: Self) -> Result<Self, IllegalTransition> {
        use TenantStatus::{Active, Deleted, PastDue, PendingDeletion, Provisioning, Suspended};
        let legal = match self {
            Provisioning => matches!(next, Active | PendingDeletion | Deleted),
            Active => matches!(next, PastDue | Suspended | PendingDeletion),
            PastDue => matches!(next, Active | Suspended | PendingDeletion),
            Suspended => matches!(next, Active | PastDue | PendingDeletion),
            PendingDeletion => matches!(next, Active | Suspended | Deleted),
            Deleted => false,
        };
        if legal {
            Ok(next)
        } else {
            Err(IllegalTransition {
                from: self,
                to: next,
            })
        }
    }

    /// The name under which the state is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Provisioning => "provisioning",
            Self::Active => "active",
            Self::PastDue => "past-due",
            Self::Suspended => "suspended",
            Self::PendingDeletion => "pending-deletion",
            Self::Deleted => "deleted",
        }
    }
}

impl fmt::Display for TenantStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A stored status that this version does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a tenant status")]
pub struct UnknownStatus(String);

impl FromStr for TenantStatus {
    type Err = UnknownStatus;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| UnknownStatus(text.chars().take(64).collect()))
    }
}

/// A step between two states that does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a tenant can't go from `{from}` to `{to}`")]
pub struct IllegalTransition {
    from: TenantStatus,
    to: TenantStatus,
}

impl IllegalTransition {
    /// The state the tenant is in.
    #[must_use]
    pub const fn from(&self) -> TenantStatus {
        self.from
    }

    /// The state that was asked for.
    #[must_use]
    pub const fn to(&self) -> TenantStatus {
        self.to
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{prelude::*, sample::select};

    fn any_status() -> impl Strategy<Value = TenantStatus> {
        select(TenantStatus::ALL.to_vec())
    }

    proptest! {
        #[test]
        fn nothing_leaves_deleted_and_no_step_stays(from in any_status(), to in any_status()) {
            let step = from.transition_to(to);
            prop_assert!(from != TenantStatus::Deleted || step.is_err());
            prop_assert!(from != to || step.is_err());
        }

        #[test]
        fn a_walk_of_legal_steps_never_returns_to_provisioning(
            steps in prop::collection::vec(any_status(), 0..32),
        ) {
            let mut at = TenantStatus::Provisioning;
            for next in steps {
                if let Ok(reached) = at.transition_to(next) {
                    at = reached;
                    prop_assert_ne!(at, TenantStatus::Provisioning);
                }
            }
        }

        #[test]
        fn names_read_back(status in any_status()) {
            prop_assert_eq!(status.as_str().parse::<TenantStatus>(), Ok(status));
            let json = serde_json::to_value(status).unwrap();
            prop_assert_eq!(json, serde_json::Value::from(status.as_str()));
        }
    }

    #[test]
    fn every_state_but_deleted_can_reach_deleted() {
        for start in TenantStatus::ALL {
            let mut reached = vec![start];
            let mut next = 0;
            while let Some(&at) = reached.get(next) {
                next += 1;
                for to in TenantStatus::ALL {
                    if at.transition_to(to).is_ok() && !reached.contains(&to) {
                        reached.push(to);
                    }
                }
            }
            assert!(reached.contains(&TenantStatus::Deleted), "{start}");
        }
    }
}
