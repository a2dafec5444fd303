//! The role table: what each role of one tenant comes to.

use std::{fmt, sync::Arc};

use crate::RoleName;

use super::{
    Explanation, PermissionId, PermissionRegistry, PermissionSet, RoleDefinition, RoleMask,
    RoleProblem, SystemRole,
    explain::explain,
    flatten::{Compiled, Role, Source, flatten},
};

/// What a role table says about a permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PermissionDecision {
    /// A grant allows it and none denies it.
    Allowed,
    /// A grant denies it, or the role denies everything because its definition has a problem.
    ExplicitDeny,
    /// Nothing allows it.
    ImplicitDeny,
}

/// More roles than a table holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the tenant defines {count} roles, and a table holds {}; remove some",
    RoleTable::MAX_ROLES
)]
pub struct RoleTableError {
    count: usize,
}

/// The roles of one tenant: system roles, application roles and those it defined for itself.
///
/// Cheap to clone. Compile it again when the tenant's roles change; a table belongs to the
/// registry it was compiled with, so a wildcard covers a new permission from the next start on.
///
/// # Security
/// One bad definition neither takes a tenant down nor opens anything: a role that cannot be
/// understood denies everything, and so do those that include it; all others work. What only
/// could have widened a role – an allowed text that is no grant, the bare `*`, an include of
/// `owner` – has no effect. [`problems`](Self::problems) lists both.
///
/// # Example
/// ```
/// use tenancy_core::{PermissionDecision, PermissionRegistry, RoleDefinition, RoleTable, SystemRole};
///
/// let registry = PermissionRegistry::builder()
///     .permission("notes:read", SystemRole::Viewer)
///     .permission("notes:write", SystemRole::Member)
///     .permission("notes:purge", SystemRole::Owner)
///     .build()?;
/// let editor = RoleDefinition::new("editor".parse()?).allow("notes:*").deny("notes:purge");
/// let table = RoleTable::compile(&registry, &[editor])?;
///
/// let rights = table.mask(&"editor".parse()?).unwrap().effective();
/// assert!(rights.contains(registry.id("notes:write").unwrap()));
///
/// let why = table.explain(&"editor".parse()?, "notes:purge");
/// assert_eq!(why.decision(), PermissionDecision::ExplicitDeny);
/// assert_eq!(why.grant(), Some("notes:purge"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct RoleTable {
    registry: PermissionRegistry,
    /// `None` for a tenant without roles of its own, so that such a table costs nothing.
    own: Option<Arc<Compiled>>,
}

impl RoleTable {
    /// How many roles a tenant may define.
    pub const MAX_ROLES: usize = 128;

    /// The bytes that it owns on the heap and shares with no other tenant's, about.
    pub(crate) fn heap(&self) -> usize {
        let Some(own) = &self.own else { return 0 };
        let roles = own.roles.keys().map(|name| {
            // A node of a tree has room for more than it holds.
            name.as_str().len() + 2 * size_of::<(RoleName, Role)>()
        });
        roles.sum::<usize>() + own.problems.len() * size_of::<RoleProblem>()
    }

    /// The table of a tenant that defines no roles. Does not allocate.
    #[must_use]
    pub fn base(registry: &PermissionRegistry) -> Self {
        Self {
            registry: registry.clone(),
            own: None,
        }
    }

    /// Compiles the roles that a tenant defined for itself. Their order does not matter.
    ///
    /// # Errors
    /// [`RoleTableError`] if there are more than [`MAX_ROLES`](Self::MAX_ROLES). What is wrong with
    /// a single definition is no error; see [`problems`](Self::problems).
    pub fn compile(
        registry: &PermissionRegistry,
        tenant_roles: &[RoleDefinition],
    ) -> Result<Self, RoleTableError> {
        if tenant_roles.len() > Self::MAX_ROLES {
            return Err(RoleTableError {
                count: tenant_roles.len(),
            });
        }
        let mut table = Self::base(registry);
        if !tenant_roles.is_empty() {
            let own = flatten(registry.catalog(), registry.roles(), tenant_roles);
            table.own = Some(Arc::new(own));
        }
        Ok(table)
    }

    /// The mask of a role; `None` for a role that the tenant does not have.
    #[must_use]
    pub fn mask(&self, role: &RoleName) -> Option<RoleMask> {
        self.role(role).map(|role| role.mask)
    }

    /// Whether a role allows a permission, with no project role and no credential to narrow it.
    #[must_use]
    pub fn allows(&self, role: &RoleName, permission: PermissionId) -> bool {
        self.mask(role)
            .is_some_and(|mask| mask.effective().contains(permission))
    }

    /// The names of all roles, system roles included.
    pub fn roles(&self) -> impl Iterator<Item = &RoleName> {
        let own = self.own.iter().flat_map(|own| own.roles.keys());
        self.registry.roles().keys().chain(own)
    }

    /// What is wrong with the tenant's definitions, sorted by role.
    ///
    /// A service that lets a tenant edit its roles compiles them before it stores them, and shows and refuses
    /// the problems of the role at hand.
    #[must_use]
    pub fn problems(&self) -> &[RoleProblem] {
        self.own.as_ref().map_or(&[], |own| &own.problems)
    }

    /// The registry that the table was compiled with.
    #[must_use]
    pub const fn registry(&self) -> &PermissionRegistry {
        &self.registry
    }

    /// Says whether a role allows a permission, and which grant of which role decides it.
    ///
    /// Agrees with [`mask`](Self::mask), and costs far more: for people, not for every request.
    #[must_use]
    pub fn explain(&self, role: &RoleName, permission: &str) -> Explanation {
        explain(self, role, permission)
    }

    /// Whether someone may hand out a role: nobody hands out more than they hold.
    ///
    /// `grantor` is the role of the user who hands it out, if the user has one, and `held` what the user holds
    /// where the role will count: for a role in the tenant, without what a project adds. Ask also
    /// before storing a definition, of a table compiled with it.
    ///
    /// # Security
    /// `owner` is handed out by an owner only, also where an admin holds the same permissions. A
    /// role that denies everything because of a problem is not handed out, because nobody knows
    /// what it will allow once it is mended. Whether someone may hand out roles at all is a
    /// permission of its own, for the application to declare.
    #[must_use]
    pub fn may_grant(
        &self,
        grantor: Option<&RoleName>,
        held: PermissionSet,
        role: &RoleName,
    ) -> bool {
        let is_owner = |name: &RoleName| SystemRole::from_name(name) == Some(SystemRole::Owner);
        match self.role(role) {
            None
            | Some(Role {
                source: Source::Sealed(_),
                ..
            }) => false,
            Some(_) if is_owner(role) && !grantor.is_some_and(is_owner) => false,
            Some(Role { mask, .. }) => mask.effective().is_subset(held),
        }
    }

    pub(super) fn role(&self, name: &RoleName) -> Option<&Role> {
        self.registry
            .roles()
            .get(name)
            .or_else(|| self.own.as_ref()?.roles.get(name))
    }
}

impl fmt::Debug for RoleTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoleTable")
            .field(
                "roles",
                &self.roles().map(RoleName::as_str).collect::<Vec<_>>(),
            )
            .field("problems", &self.problems())
            .finish_non_exhaustive()
    }
}
