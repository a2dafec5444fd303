//! Test runs of repositories: who may upload a run, put a flaky test aside, and connect a repository.

use std::error::Error;

use tenancy::{PermissionRegistry, RoleDefinition, RoleTable, SystemRole};

/// What each role may do. The roles of the tenant's own are for projects: give them there, beside `viewer` in the tenant.
pub const TABLE: &str = "
                     owner admin member viewer ci triage
members:manage       yes   yes   -      -      -  -
organization:delete  yes   -     -      -      -  -
organization:manage  yes   yes   -      -      -  -
policies:manage      yes   yes   -      -      -  -
quarantine:edit      yes   yes   yes    -      -  yes
quarantine:read      yes   yes   yes    yes    -  yes
repositories:connect yes   yes   -      -      -  -
repositories:read    yes   yes   yes    yes    -  yes
runs:delete          yes   yes   -      -      -  -
runs:read            yes   yes   yes    yes    -  yes
runs:upload          yes   yes   yes    -      yes -
";

/// What the application declares.
///
/// # Errors
/// If a declaration is wrong; a test shows that none is.
pub fn registry() -> Result<PermissionRegistry, Box<dyn Error>> {
    // Roles of the application's own are in every tenant.
    let ci = RoleDefinition::new("ci".parse()?).allow("runs:upload");
    Ok(PermissionRegistry::builder()
        .permission("repositories:read", SystemRole::Viewer)
        .permission("repositories:connect", SystemRole::Admin)
        .permission("runs:read", SystemRole::Viewer)
        .permission("runs:upload", SystemRole::Member)
        .permission("runs:delete", SystemRole::Admin)
        .permission("quarantine:read", SystemRole::Viewer)
        .permission("quarantine:edit", SystemRole::Member)
        .permission("policies:manage", SystemRole::Admin)
        .permission("members:manage", SystemRole::Admin)
        .permission("organization:manage", SystemRole::Admin)
        .permission("organization:delete", SystemRole::Owner)
        .role_def(ci)
        .build()?)
}

/// The roles of a tenant that has defined one of its own.
///
/// # Errors
/// If a role is wrong; a test shows that none is.
pub fn roles() -> Result<RoleTable, Box<dyn Error>> {
    // As a member, and a person does not upload.
    let triage = RoleDefinition::new("triage".parse()?)
        .include(SystemRole::Member)
        .deny("runs:upload");
    Ok(RoleTable::compile(&registry()?, &[triage])?)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_roles_come_to_the_table() -> Result<(), Box<dyn std::error::Error>> {
        let roles = super::roles()?;
        assert!(roles.problems().is_empty(), "{:?}", roles.problems());
        assert_eq!(
            crate::table::of(&roles),
            super::TABLE.trim_start_matches('\n')
        );
        Ok(())
    }
}
