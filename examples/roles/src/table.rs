//! What roles come to, as a table for people to read.

use std::fmt::Write as _;

use tenancy::{RoleName, RoleTable, SystemRole};

/// A line for each permission and a column for each role: the system roles, the highest first, and then all others.
#[must_use]
pub fn of(roles: &RoleTable) -> String {
    let system = SystemRole::EVERY.map(SystemRole::name);
    let others = roles.roles().filter(|role| !system.contains(role));
    let columns: Vec<&RoleName> = system.iter().rev().chain(others).collect();
    let mut table = format!("{:20}", "");
    for role in &columns {
        let _ = write!(table, " {role}");
    }
    for (permission, name) in roles.registry().iter() {
        let _ = write!(table, "\n{name:20}");
        for role in &columns {
            let held = if roles.allows(role, permission) {
                "yes"
            } else {
                "-"
            };
            let _ = write!(table, " {held:width$}", width = role.as_str().len());
        }
        table.truncate(table.trim_end().len());
    }
    table.push('\n');
    table
}
