//! Role masks: what a role comes to, and how two roles of one person combine.

use super::PermissionSet;

/// What a role allows and what it denies, with all that it includes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct RoleMask {
    /// What it allows.
    pub allow: PermissionSet,
    /// What it denies, whatever allows it.
    pub deny: PermissionSet,
}

impl RoleMask {
    /// Allows nothing and denies nothing: the mask of no role.
    pub const NONE: Self = Self {
        allow: PermissionSet::EMPTY,
        deny: PermissionSet::EMPTY,
    };

    /// Denies everything, also what another role allows.
    pub const SEALED: Self = Self {
        allow: PermissionSet::EMPTY,
        deny: PermissionSet::ALL,
    };

    /// The mask of someone who has both roles, such as one in a tenant and one in a project.
    ///
    /// What either role denies stays denied, whatever the other allows.
    ///
    /// # Example: a role in a tenant, a role in a project, the scope of a credential
    /// ```
    /// # use tenancy_core::{PermissionRegistry, RoleTable, SystemRole};
    /// # let registry = PermissionRegistry::builder()
    /// #     .permission("notes:read", SystemRole::Viewer)
    /// #     .permission("notes:write", SystemRole::Member)
    /// #     .build()?;
    /// # let table = RoleTable::base(&registry);
    /// let tenant = table.mask(&SystemRole::Viewer.name()).unwrap();
    /// let project = table.mask(&SystemRole::Member.name()).unwrap();
    /// let scope = registry.scope(["notes:write"]);
    ///
    /// let rights = tenant.combine(project).effective().intersection(scope);
    /// assert_eq!(registry.names(rights).collect::<Vec<_>>(), ["notes:write"]);
    /// # Ok::<(), tenancy_core::RegistryError>(())
    /// ```
    #[must_use]
    pub const fn combine(self, other: Self) -> Self {
        Self {
            allow: self.allow.union(other.allow),
            deny: self.deny.union(other.deny),
        }
    }

    /// What is left to do: what is allowed and not denied.
    #[inline]
    #[must_use]
    pub const fn effective(self) -> PermissionSet {
        self.allow.difference(self.deny)
    }
}
