//! The permission registry: what an application declares once, at start-up.

use std::{collections::BTreeMap, fmt, sync::Arc};

use crate::RoleName;

use super::{
    Grant, PermissionRegistryBuilder, PermissionSet, RoleProblem, SystemRole,
    catalog::{Catalog, MAX_PERMISSIONS},
    flatten::Role,
    grant::clip,
};

/// A declared permission: what code checks against a [`PermissionSet`].
///
/// Looked up once, at start-up, by [`PermissionRegistry::id`]. It carries a fingerprint of the
/// names in its registry: registries that declare the same permissions, in whatever order, share
/// their ids, and an id of any other registry fails every check. An id has no stored form; store
/// the name.
///
/// ```
/// use tenancy_core::{PermissionRegistry, Refusal, SystemRole, TenantContext};
///
/// let registry = PermissionRegistry::builder()
///     .permission("notes:read", SystemRole::Viewer)
///     .build()?;
/// // Once, at start.
/// let read = registry.id("notes:read").ok_or("`notes:read` is not declared")?;
///
/// let handler = move |context: &TenantContext| -> Result<(), Refusal> { context.require_id(read) };
/// # drop(handler);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PermissionId {
    pub(super) registry: u64,
    pub(super) index: u8,
}

impl fmt::Debug for PermissionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PermissionId({})", self.index)
    }
}

/// A text that is not a permission's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a permission name; use 1 to 4 segments joined by `:`, each of 1 to 64 lowercase \
     letters, digits, hyphens and underscores"
)]
pub struct InvalidPermission(String);

impl InvalidPermission {
    pub(super) fn new(text: &str) -> Self {
        Self(clip(text))
    }
}

/// A registry that cannot be built.
///
/// ```
/// use tenancy_core::{PermissionRegistry, RegistryError, SystemRole};
///
/// let twice = PermissionRegistry::builder()
///     .permission("notes:read", SystemRole::Viewer)
///     .permission("notes:read", SystemRole::Member)
///     .build();
/// assert!(matches!(twice, Err(RegistryError::DuplicatePermission { name }) if name == "notes:read"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// A permission's name is not one.
    #[error(transparent)]
    InvalidPermission(#[from] InvalidPermission),
    /// A permission is declared twice.
    #[error("permission `{name}` is declared more than once; keep one of the declarations")]
    DuplicatePermission {
        /// The permission's name.
        name: String,
    },
    /// A description names a permission that is not declared.
    #[error("`{name}` is described but not declared; declare it or remove the description")]
    UndeclaredPermission {
        /// The name in the description.
        name: String,
    },
    /// There are too many permissions.
    #[error(
        "{count} permissions are declared, and a registry holds {MAX_PERMISSIONS}; \
         merge those that are always granted together"
    )]
    TooManyPermissions {
        /// How many are declared.
        count: usize,
    },
    /// An application role has a problem. Every problem is an error here, also one that would
    /// leave a tenant's role with a grant of no effect.
    #[error(transparent)]
    Role(#[from] RoleProblem),
}

/// The permissions and roles that an application declares.
///
/// Cheap to clone. Every tenant's [`RoleTable`](super::RoleTable) starts from it.
///
/// # Example
/// ```
/// use tenancy_core::{PermissionRegistry, RoleDefinition, SystemRole};
///
/// let registry = PermissionRegistry::builder()
///     .permission("notes:read", SystemRole::Viewer)
///     .permission("notes:write", SystemRole::Member)
///     .permission("tenant:delete", SystemRole::Owner)
///     .permission("notes:export", None)
///     .describe("notes:export", "Download all notes as one file")
///     .role_def(RoleDefinition::new("auditor".parse()?).allow("notes:export"))
///     .build()?;
///
/// assert!(registry.id("notes:read").is_some());
/// assert!(registry.id("notes:*").is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct PermissionRegistry(Arc<Inner>);

struct Inner {
    catalog: Catalog,
    /// System and application roles.
    roles: BTreeMap<RoleName, Role>,
}

impl PermissionRegistry {
    pub(super) fn new(catalog: Catalog, roles: BTreeMap<RoleName, Role>) -> Self {
        Self(Arc::new(Inner { catalog, roles }))
    }

    /// Starts with no permission and the four system roles.
    pub fn builder() -> PermissionRegistryBuilder {
        PermissionRegistryBuilder::default()
    }

    /// The permission of this name. `None` for a pattern: a check asks about one permission.
    #[must_use]
    pub fn id(&self, name: &str) -> Option<PermissionId> {
        self.catalog().id(name)
    }

    /// The name of a permission; `None` if another registry declared it.
    #[must_use]
    pub fn name(&self, id: PermissionId) -> Option<&str> {
        self.catalog().get(id).map(|permission| &*permission.name)
    }

    /// The description of a permission, if it was given one.
    #[must_use]
    pub fn description(&self, id: PermissionId) -> Option<&str> {
        self.catalog().get(id)?.description.as_deref()
    }

    /// The lowest system role that holds a permission, if any does.
    #[must_use]
    pub fn lowest_role(&self, id: PermissionId) -> Option<SystemRole> {
        self.catalog().get(id)?.lowest
    }

    /// How many permissions are declared.
    #[must_use]
    pub fn len(&self) -> usize {
        self.catalog().len()
    }

    /// Whether no permission is declared.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The declared permissions, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (PermissionId, &str)> {
        self.catalog()
            .iter()
            .map(|(id, permission)| (id, &*permission.name))
    }

    /// The names of the permissions in a set; all names for [`PermissionSet::ALL`].
    pub fn names(&self, set: PermissionSet) -> impl Iterator<Item = &str> {
        self.iter()
            .filter(move |(id, _)| set.contains(*id))
            .map(|(_, name)| name)
    }

    /// Every declared permission.
    #[must_use]
    pub fn all(&self) -> PermissionSet {
        self.catalog().all()
    }

    /// What a grant covers. The bare `*` covers every declared permission.
    #[must_use]
    pub fn covered_by(&self, grant: &Grant) -> PermissionSet {
        self.catalog().covered_by(grant)
    }

    /// The scope of a credential that lists grants as text. A text that is not a grant or covers
    /// nothing adds nothing.
    ///
    /// ```
    /// # use tenancy_core::{PermissionRegistry, SystemRole};
    /// # let registry = PermissionRegistry::builder()
    /// #     .permission("notes:read", SystemRole::Viewer)
    /// #     .permission("users:read", SystemRole::Viewer)
    /// #     .build()?;
    /// let scope = registry.scope("notes:* openid".split(' '));
    /// assert_eq!(registry.names(scope).collect::<Vec<_>>(), ["notes:read"]);
    /// # Ok::<(), tenancy_core::RegistryError>(())
    /// ```
    #[must_use]
    pub fn scope<'a>(&self, grants: impl IntoIterator<Item = &'a str>) -> PermissionSet {
        let grants = grants.into_iter().filter_map(|text| text.parse().ok());
        grants.fold(PermissionSet::EMPTY, |set, grant| {
            set.union(self.covered_by(&grant))
        })
    }

    pub(super) fn catalog(&self) -> &Catalog {
        &self.0.catalog
    }

    pub(super) fn roles(&self) -> &BTreeMap<RoleName, Role> {
        &self.0.roles
    }
}

impl fmt::Debug for PermissionRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.iter().map(|(_, name)| name).collect::<Vec<_>>();
        f.debug_struct("PermissionRegistry")
            .field("permissions", &names)
            .field("roles", &self.roles().keys())
            .finish()
    }
}
