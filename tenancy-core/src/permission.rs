//! Permissions: what an application lets roles do, compiled to bit sets.

mod builder;
mod catalog;
mod explain;
mod flatten;
mod grant;
mod mask;
mod problem;
mod registry;
mod role;
mod set;
mod table;
#[cfg(test)]
mod tests;

pub use builder::PermissionRegistryBuilder;
pub use explain::Explanation;
pub use grant::{Grant, InvalidGrant};
pub use mask::RoleMask;
pub use problem::{RoleProblem, RoleProblemKind};
pub use registry::{InvalidPermission, PermissionId, PermissionRegistry, RegistryError};
pub use role::{RoleDefinition, SystemRole};
pub use set::PermissionSet;
pub use table::{PermissionDecision, RoleTable, RoleTableError};
