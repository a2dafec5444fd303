//! What the tests of this module share.

use super::*;
use crate::RoleName;

mod laws;
mod registry;
mod roles;
mod scenarios;

fn role(name: &str) -> RoleDefinition {
    RoleDefinition::new(name.parse().unwrap())
}

fn name(text: &str) -> RoleName {
    text.parse().unwrap()
}

fn notes() -> PermissionRegistryBuilder {
    PermissionRegistry::builder()
        .permission("notes:read", SystemRole::Viewer)
        .permission("notes:write", SystemRole::Member)
        .permission("users:invite", SystemRole::Admin)
        .permission("tenant:delete", SystemRole::Owner)
        .permission("notes:export", None)
}
