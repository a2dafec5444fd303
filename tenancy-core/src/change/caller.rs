//! As what a caller was permitted to make a change.

use crate::{Membership, MembershipStatus, RoleName, StoreError, StoreErrorKind, TenantId, UserId};

/// The member, and its role, on whose authority a change was permitted.
///
/// # Security
/// Whether a caller may make a change is decided before the store's transaction begins, in a process that may not have
/// heard yet that the caller's role was taken away. With this the store looks at the membership again in the
/// transaction, so that whoever has lost the role changes nothing more, in whichever process.
///
/// ```
/// use tenancy_core::{CallerSeen, Membership, StoreErrorKind, SystemRole, TenantId, UserId};
///
/// let mut carol = Membership::new(TenantId::new(), UserId::new(), SystemRole::Admin.name());
/// let seen = CallerSeen::new(carol.tenant, carol.user, carol.role.clone());
/// assert!(seen.check(Some(&carol)).is_ok());
/// carol.role = SystemRole::Viewer.name();
/// assert_eq!(seen.check(Some(&carol)).unwrap_err().kind(), StoreErrorKind::Forbidden);
/// assert_eq!(seen.check(None).unwrap_err().kind(), StoreErrorKind::Forbidden);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallerSeen {
    /// The tenant in which the change is made.
    pub tenant: TenantId,
    /// The user who makes it.
    pub user: UserId,
    /// The role in the tenant that the user was seen to have.
    pub role: RoleName,
}

impl CallerSeen {
    /// A member with this role.
    #[must_use]
    pub const fn new(tenant: TenantId, user: UserId, role: RoleName) -> Self {
        Self { tenant, user, role }
    }

    /// Whether the caller still is what was seen: for stores, inside the transaction, with the membership that they find
    /// there, if there is one.
    ///
    /// # Errors
    /// [`StoreErrorKind::Forbidden`] if not.
    pub fn check(&self, found: Option<&Membership>) -> Result<(), StoreError> {
        let holds = found.is_some_and(|found| {
            found.status == MembershipStatus::Active && found.role == self.role
        });
        if holds {
            return Ok(());
        }
        Err(StoreError::caller_changed())
    }
}

impl StoreError {
    /// A change was permitted on a role that the caller has no more.
    pub(crate) fn caller_changed() -> Self {
        let message = "the caller has another role by now, or is an active member no more; what it may do was decided \
                       on the former one";
        Self::new(StoreErrorKind::Forbidden, message)
    }
}
