//! A crawler with statistics: who may start crawls, read what they come to, and change how a project is crawled.

use std::error::Error;

use tenancy::{PermissionRegistry, RoleDefinition, RoleTable, SystemRole};

/// What each role may do.
pub const TABLE: &str = "
                     owner admin member viewer analyst contractor engineer
analytics:export     yes   yes   yes    -      yes     -          yes
analytics:read       yes   yes   yes    yes    yes     -          yes
crawls:cancel        yes   yes   yes    -      -       yes        yes
crawls:purge         -     -     -      -      -       -          yes
crawls:read          yes   yes   yes    yes    yes     yes        yes
crawls:start         yes   yes   yes    -      -       yes        yes
projects:manage      yes   yes   -      -      -       -          yes
tenant:manage        yes   -     -      -      -       -          -
";

/// What the application declares.
///
/// # Errors
/// If a declaration is wrong; a test shows that none is.
pub fn registry() -> Result<PermissionRegistry, Box<dyn Error>> {
    Ok(PermissionRegistry::builder()
        .permission("crawls:read", SystemRole::Viewer)
        .permission("crawls:start", SystemRole::Member)
        .permission("crawls:cancel", SystemRole::Member)
        // Nobody purges by rank: a tenant names those who may, by a role of its own.
        .permission("crawls:purge", None)
        .permission("analytics:read", SystemRole::Viewer)
        .permission("analytics:export", SystemRole::Member)
        .permission("projects:manage", SystemRole::Admin)
        .permission("tenant:manage", SystemRole::Owner)
        .build()?)
}

/// The roles of a tenant that has defined three of its own, one on top of another.
///
/// # Errors
/// If a role is wrong; a test shows that none is.
pub fn roles() -> Result<RoleTable, Box<dyn Error>> {
    let analyst = RoleDefinition::new("analyst".parse()?)
        .include(SystemRole::Viewer)
        .allow("analytics:*");
    let engineer = RoleDefinition::new("engineer".parse()?)
        .include(analyst.name.clone())
        .allow("crawls:*")
        .allow("projects:manage");
    // Works like a member, and sees no figures: a denial holds whatever else allows them, also in a project.
    let contractor = RoleDefinition::new("contractor".parse()?)
        .include(SystemRole::Member)
        .deny("analytics:*");
    Ok(RoleTable::compile(
        &registry()?,
        &[analyst, engineer, contractor],
    )?)
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
