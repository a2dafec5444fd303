//! Roles: the four that every tenant has, and the stored form of all others.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::RoleName;

/// A role that every tenant has. Each holds what the one below it holds.
///
/// They are ordered: `Viewer < Member < Admin < Owner`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SystemRole {
    /// Reads.
    Viewer,
    /// Works.
    Member,
    /// Administers members and settings.
    Admin,
    /// Holds the tenant; the only role that can hand out ownership.
    Owner,
}

impl SystemRole {
    /// All of them, the lowest first.
    pub const EVERY: [Self; 4] = [Self::Viewer, Self::Member, Self::Admin, Self::Owner];

    /// The name as text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Member => "member",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }

    /// The name, as a membership carries it.
    ///
    /// ```
    /// use tenancy_core::SystemRole;
    ///
    /// assert_eq!(SystemRole::Admin.name().as_str(), "admin");
    /// ```
    #[must_use]
    pub fn name(self) -> RoleName {
        RoleName::known(self.as_str())
    }

    /// The system role of this name, if it is one.
    #[must_use]
    pub fn from_name(name: &RoleName) -> Option<Self> {
        Self::EVERY
            .into_iter()
            .find(|role| role.as_str() == name.as_str())
    }
}

impl fmt::Display for SystemRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<SystemRole> for RoleName {
    fn from(role: SystemRole) -> Self {
        role.name()
    }
}

/// A role as an application declares it or a tenant stores it: names and grants as text.
///
/// The text stays as it was written, also where it means nothing: a grant for a permission that
/// is not declared has no effect until it is. What a definition comes to is decided by
/// [`RoleTable::compile`](super::RoleTable::compile).
///
/// The serialized form is a map of `name`, `includes`, `allow` and `deny`; the lists may be left
/// out. An unknown field is refused, because it may be a restriction that this version would drop.
///
/// # Example
/// ```
/// use tenancy_core::{RoleDefinition, SystemRole};
///
/// let editor = RoleDefinition::new("editor".parse()?)
///     .include(SystemRole::Viewer)
///     .allow("notes:*")
///     .deny("notes:purge");
/// assert_eq!(editor.allow, ["notes:*"]);
/// # Ok::<(), tenancy_core::InvalidRoleName>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RoleDefinition {
    /// The role's name.
    pub name: RoleName,
    /// Roles whose grants and denials this one takes over.
    #[serde(default)]
    pub includes: Vec<RoleName>,
    /// What the role may do, as texts of [`Grant`](super::Grant)s.
    #[serde(default)]
    pub allow: Vec<String>,
    /// What the role may not do, whatever allows it, in the same form.
    #[serde(default)]
    pub deny: Vec<String>,
    /// Whether it stands for a stored definition that could not be read.
    #[serde(skip)]
    unreadable: bool,
}

impl RoleDefinition {
    /// A role that may do nothing yet.
    #[must_use]
    pub const fn new(name: RoleName) -> Self {
        Self {
            name,
            includes: Vec::new(),
            allow: Vec::new(),
            deny: Vec::new(),
            unreadable: false,
        }
    }

    /// A role whose stored definition can't be read, because it is broken or of a newer version: what a
    /// directory returns in its place. It denies everything, and so does whatever includes it.
    #[must_use]
    pub const fn unreadable(name: RoleName) -> Self {
        let mut role = Self::new(name);
        role.unreadable = true;
        role
    }

    pub(super) const fn is_unreadable(&self) -> bool {
        self.unreadable
    }

    /// Takes over the grants and denials of another role.
    #[must_use]
    pub fn include(mut self, role: impl Into<RoleName>) -> Self {
        self.includes.push(role.into());
        self
    }

    /// Allows what the grant covers.
    #[must_use]
    pub fn allow(mut self, grant: impl Into<String>) -> Self {
        self.allow.push(grant.into());
        self
    }

    /// Denies what the grant covers. A text that is not a grant denies everything.
    #[must_use]
    pub fn deny(mut self, grant: impl Into<String>) -> Self {
        self.deny.push(grant.into());
        self
    }
}
