//! Membership: which user belongs to which tenant, in which role.

mod change;
mod departure;

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

pub use change::{MembershipChange, RoleSeen};
pub use departure::{
    Departure, HandedKey, KeyFate, KeyHandover, KeysGo, MemberHoldings, MembershipRemoval,
};

use crate::{SystemRole, TenantId, TenantRecord, UserId};

/// The name of a role, such as `admin` or one that a tenant defined for itself.
///
/// 1 to 64 of `a-z`, `0-9`, `-` and `_`.
///
/// ```
/// use tenancy_core::{RoleName, SystemRole};
///
/// let admin: RoleName = "admin".parse()?;
/// assert_eq!(admin, SystemRole::Admin.name());
/// assert!("Head of Sales".parse::<RoleName>().is_err());
/// # Ok::<(), tenancy_core::InvalidRoleName>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RoleName(Arc<str>);

/// A text that is not a [`RoleName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a role name; use 1 to 64 lowercase letters, digits, hyphens and underscores")]
pub struct InvalidRoleName(String);

impl RoleName {
    /// A name that stands in this crate's own source; a test holds that it is valid.
    pub(crate) fn known(name: &'static str) -> Self {
        Self(name.into())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RoleName {
    type Err = InvalidRoleName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let valid = (1..=64).contains(&text.len())
            && text
                .bytes()
                .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'));
        if valid {
            Ok(Self(text.into()))
        } else {
            Err(InvalidRoleName(text.chars().take(64).collect()))
        }
    }
}

impl TryFrom<String> for RoleName {
    type Error = InvalidRoleName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<RoleName> for String {
    fn from(name: RoleName) -> Self {
        name.0.as_ref().into()
    }
}

impl fmt::Display for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a membership counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum MembershipStatus {
    /// Invited and not yet accepted; gives no access.
    Invited,
    /// Gives the access of its role.
    Active,
    /// Withdrawn for a while; gives no access.
    Suspended,
}

impl MembershipStatus {
    /// The name under which the state is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invited => "invited",
            Self::Active => "active",
            Self::Suspended => "suspended",
        }
    }

    /// Reads a stored name.
    #[must_use]
    pub fn from_stored(text: &str) -> Option<Self> {
        [Self::Invited, Self::Active, Self::Suspended]
            .into_iter()
            .find(|s| s.as_str() == text)
    }
}

/// A user's place in a tenant: one role, one state.
///
/// ```
/// use tenancy_core::{Membership, MembershipStatus, SystemRole, TenantId, UserId};
///
/// let (acme, alice) = (TenantId::new(), UserId::new());
/// let invited = Membership::new(acme, alice, SystemRole::Member.name())
///     .with_status(MembershipStatus::Invited);
/// assert_eq!(invited.status.as_str(), "invited");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Membership {
    /// The tenant.
    pub tenant: TenantId,
    /// The user.
    pub user: UserId,
    /// What the user may do there.
    pub role: RoleName,
    /// Whether it counts.
    pub status: MembershipStatus,
}

impl Membership {
    /// An active membership.
    #[must_use]
    pub fn new(tenant: TenantId, user: UserId, role: RoleName) -> Self {
        Self {
            tenant,
            user,
            role,
            status: MembershipStatus::Active,
        }
    }

    /// Whether it makes its user one who owns the tenant now: an owner, and active.
    #[must_use]
    pub fn is_active_owner(&self) -> bool {
        self.status == MembershipStatus::Active
            && SystemRole::from_name(&self.role) == Some(SystemRole::Owner)
    }

    /// The same membership in another state.
    #[must_use]
    pub fn with_status(mut self, status: MembershipStatus) -> Self {
        self.status = status;
        self
    }
}

/// A tenant, and the membership that a user has there: a row of the list from which a user chooses.
///
/// ```
/// use tenancy_core::{Membership, SystemRole, TenantMembership, TenantRecord, UserId};
///
/// let acme = TenantRecord::new("acme".parse()?, "Acme Ltd");
/// let owner = Membership::new(acme.id, UserId::new(), SystemRole::Owner.name());
/// let row = TenantMembership::new(acme, owner);
/// assert_eq!(format!("{} ({})", row.record.name, row.membership.role), "Acme Ltd (owner)");
/// # Ok::<(), tenancy_core::InvalidSlug>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TenantMembership {
    /// The tenant.
    pub record: TenantRecord,
    /// The user's membership of it.
    pub membership: Membership,
}

impl TenantMembership {
    /// A tenant with a membership of it.
    #[must_use]
    pub const fn new(record: TenantRecord, membership: Membership) -> Self {
        Self { record, membership }
    }
}
