//! Changes of a membership that is there: what they do to it, and what they were decided on.

use super::{Membership, MembershipStatus, RoleName};
use crate::{StoreError, StoreErrorKind};

/// A change of a membership that is there. What it does not name stays as it is.
///
/// ```
/// use tenancy_core::{
///     Membership, MembershipChange, MembershipStatus, StoreErrorKind, SystemRole, TenantId, UserId,
/// };
///
/// let member = SystemRole::Member.name();
/// let mut carol = Membership::new(TenantId::new(), UserId::new(), member)
///     .with_status(MembershipStatus::Invited);
/// MembershipChange::Role(SystemRole::Admin.name()).apply(&mut carol)?;
/// assert_eq!(carol.status, MembershipStatus::Invited);
///
/// // Only its user accepts an invitation.
/// let refused = MembershipChange::Resume.apply(&mut carol).unwrap_err();
/// assert_eq!(refused.kind(), StoreErrorKind::IllegalTransition);
/// # Ok::<(), tenancy_core::StoreError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(
    clippy::exhaustive_enums,
    reason = "a store that ignores a change must not compile"
)]
pub enum MembershipChange {
    /// Another role; the status stays.
    Role(RoleName),
    /// From active to suspended. A suspended one stays so.
    Suspend,
    /// From suspended to active. An active one stays so.
    Resume,
}

impl MembershipChange {
    /// Makes the change in a record.
    ///
    /// # Errors
    /// [`StoreErrorKind::IllegalTransition`] if an invited member is to be suspended or resumed.
    pub fn apply(&self, membership: &mut Membership) -> Result<(), StoreError> {
        let to = match self {
            Self::Role(role) => {
                membership.role.clone_from(role);
                return Ok(());
            }
            Self::Suspend => MembershipStatus::Suspended,
            Self::Resume => MembershipStatus::Active,
        };
        if membership.status == MembershipStatus::Invited {
            let message = format!(
                "the user `{}` is invited and has not accepted; remove the membership to take the invitation back",
                membership.user
            );
            return Err(StoreError::new(StoreErrorKind::IllegalTransition, message));
        }
        membership.status = to;
        Ok(())
    }
}

/// The role that a user was seen to have, in the tenant or in a project, when a change of it was decided on.
///
/// # Security
/// Whether a caller may take a role away is decided before the store's transaction begins. With this the store
/// makes the change only if it is still that role: else somebody who may demote members could demote an owner who
/// has just become one.
///
/// ```
/// use tenancy_core::{RoleSeen, StoreErrorKind, SystemRole};
///
/// let seen = RoleSeen::Role(SystemRole::Member.name());
/// assert!(seen.check(Some(&SystemRole::Member.name())).is_ok());
/// let refused = seen.check(Some(&SystemRole::Owner.name())).unwrap_err();
/// assert_eq!(refused.kind(), StoreErrorKind::Conflict);
/// assert!(RoleSeen::Any.check(None).is_ok());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(
    clippy::exhaustive_enums,
    reason = "a store that ignores what was seen must not compile"
)]
pub enum RoleSeen {
    /// Nobody looked: whoever makes the change may take any role away.
    Any,
    /// There was none.
    None,
    /// This role.
    Role(RoleName),
}

impl RoleSeen {
    /// Whether the user still has what was seen: for stores, inside the transaction.
    ///
    /// # Errors
    /// [`StoreErrorKind::Conflict`] if not.
    pub fn check(&self, found: Option<&RoleName>) -> Result<(), StoreError> {
        let is_same = match self {
            Self::Any => true,
            Self::None => found.is_none(),
            Self::Role(role) => found == Some(role),
        };
        if is_same {
            return Ok(());
        }
        let message = "the membership has changed meanwhile; look at it again, and try again";
        Err(StoreError::new(StoreErrorKind::Conflict, message))
    }
}

impl From<Option<RoleName>> for RoleSeen {
    fn from(found: Option<RoleName>) -> Self {
        found.map_or(Self::None, Self::Role)
    }
}
