//! The registry's builder: collects declarations and checks them together.

use std::collections::BTreeMap;

use super::{
    PermissionRegistry, RegistryError, RoleDefinition, SystemRole,
    catalog::{Catalog, Permission},
    flatten::{Role, flatten},
    grant::clip,
};

/// Collects what [`PermissionRegistry::builder`] starts; mistakes come to light in
/// [`build`](Self::build).
#[derive(Debug, Clone, Default)]
#[must_use = "a registry is made by `build`"]
pub struct PermissionRegistryBuilder {
    permissions: Vec<(String, Option<SystemRole>)>,
    descriptions: Vec<(String, String)>,
    roles: Vec<RoleDefinition>,
}

impl PermissionRegistryBuilder {
    /// Declares a permission, held by a system role and those above it.
    ///
    /// With [`SystemRole::Owner`] only the owner holds it; with `None` no system role does, not
    /// even the owner, until a role definition allows it.
    pub fn permission(
        mut self,
        name: impl Into<String>,
        lowest: impl Into<Option<SystemRole>>,
    ) -> Self {
        self.permissions.push((name.into(), lowest.into()));
        self
    }

    /// Says for people to read what a permission is for. The last description counts.
    pub fn describe(mut self, permission: impl Into<String>, text: impl Into<String>) -> Self {
        self.descriptions.push((permission.into(), text.into()));
        self
    }

    /// Declares an application role, which every tenant has beside the system roles.
    ///
    /// The name is then taken: a role that a tenant has stored under it is ignored, and its
    /// members hold the application role.
    pub fn role_def(mut self, role: RoleDefinition) -> Self {
        self.roles.push(role);
        self
    }

    /// Checks the declarations.
    ///
    /// # Errors
    /// [`RegistryError`] names the first declaration that is wrong and how to mend it.
    pub fn build(self) -> Result<PermissionRegistry, RegistryError> {
        let mut descriptions: BTreeMap<String, String> = self.descriptions.into_iter().collect();
        let declared = self
            .permissions
            .into_iter()
            .map(|(name, lowest)| Permission {
                description: descriptions.remove(&name).map(Into::into),
                name: name.into(),
                lowest,
            });
        let catalog = Catalog::new(declared.collect())?;
        if let Some((name, _)) = descriptions.pop_first() {
            return Err(RegistryError::UndeclaredPermission { name: clip(&name) });
        }
        let mut roles: BTreeMap<_, _> = SystemRole::EVERY
            .into_iter()
            .map(|role| (role.name(), Role::system(role, catalog.held_by(role))))
            .collect();
        let mut compiled = flatten(&catalog, &roles, &self.roles);
        if !compiled.problems.is_empty() {
            return Err(compiled.problems.swap_remove(0).into());
        }
        roles.append(&mut compiled.roles);
        Ok(PermissionRegistry::new(catalog, roles))
    }
}
