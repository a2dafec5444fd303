//! A scraper of shops: who may start a job, look at what it found, and buy more of it.

use std::error::Error;

use tenancy::{PermissionRegistry, RoleDefinition, RoleTable, SystemRole};

/// What each role may do.
pub const TABLE: &str = "
                     owner admin member viewer buyer operator
billing:manage       yes   -     -      -      yes   -
billing:read         yes   yes   -      -      yes   -
keys:manage          yes   yes   -      -      -     -
members:manage       yes   yes   -      -      -     -
results:export       yes   yes   yes    -      yes   -
results:read         yes   yes   yes    yes    yes   yes
scraping:cancel      yes   yes   yes    -      -     yes
scraping:create      yes   yes   yes    -      -     yes
scraping:read        yes   yes   yes    yes    yes   yes
scraping:schedule    yes   yes   -      -      -     yes
";

/// What the application declares.
///
/// # Errors
/// If a declaration is wrong; a test shows that none is.
pub fn registry() -> Result<PermissionRegistry, Box<dyn Error>> {
    Ok(PermissionRegistry::builder()
        .permission("scraping:read", SystemRole::Viewer)
        .permission("scraping:create", SystemRole::Member)
        .permission("scraping:cancel", SystemRole::Member)
        .permission("scraping:schedule", SystemRole::Admin)
        .permission("results:read", SystemRole::Viewer)
        .permission("results:export", SystemRole::Member)
        .permission("members:manage", SystemRole::Admin)
        .permission("keys:manage", SystemRole::Admin)
        .permission("billing:read", SystemRole::Admin)
        .permission("billing:manage", SystemRole::Owner)
        .build()?)
}

/// The roles of a tenant that has defined two of its own.
///
/// # Errors
/// If a role is wrong; a test shows that none is.
pub fn roles() -> Result<RoleTable, Box<dyn Error>> {
    // Runs all jobs, and takes nothing out.
    let operator = RoleDefinition::new("operator".parse()?)
        .include(SystemRole::Viewer)
        .allow("scraping:*");
    // Looks at what was found and pays for it, and starts nothing.
    let buyer = RoleDefinition::new("buyer".parse()?)
        .include(SystemRole::Viewer)
        .allow("results:*")
        .allow("billing:*");
    Ok(RoleTable::compile(&registry()?, &[operator, buyer])?)
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
