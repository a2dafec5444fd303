//! How long it takes to read 1,000 roles that tenants have made.

use std::{error::Error, fmt::Write as _, hint::black_box};

use cedar_policy::PolicySet;
use tenancy_core::{RoleDefinition, RoleName, RoleTable};
use tokio::runtime::Runtime;

use crate::{
    others::Casbin,
    ours::registry,
    rules::{PERMISSIONS, ROLES, grants_of, permission},
    turns::{print, time},
};

const ROUNDS: usize = 15;

/// A tenant has 128 roles of its own at most.
const TABLES: usize = 8;
const PER_TABLE: usize = 125;

/// Each role includes the one before it, but for the first of five.
const CHAIN: usize = 5;

/// A tenant's roles: 25 grants, a denial and, for four of five, another role that they include.
fn roles_of_a_tenant() -> Result<Vec<RoleDefinition>, Box<dyn Error>> {
    let mut roles = Vec::new();
    for number in 0..PER_TABLE {
        let role = RoleDefinition::new(format!("role{number}").parse()?);
        let mut role = grants_of(number % ROLES).fold(role, RoleDefinition::allow);
        role = role.deny(permission(number % PERMISSIONS));
        if number % CHAIN != 0 {
            let below: RoleName = format!("role{}", number - 1).parse()?;
            role = role.include(below);
        }
        roles.push(role);
    }
    Ok(roles)
}

pub(crate) fn compare(runtime: &Runtime) -> Result<(), Box<dyn Error>> {
    let registry = registry()?;
    let roles = roles_of_a_tenant()?;
    let table = RoleTable::compile(&registry, &roles)?;
    assert!(table.problems().is_empty(), "{:?}", table.problems());
    // The end of the first chain has the grants of all four kinds, without the five that its chain denies.
    let end = table
        .mask(&format!("role{}", CHAIN - 1).parse()?)
        .ok_or("it is defined")?;
    assert_eq!(end.effective().iter().count(), PERMISSIONS - CHAIN);

    let mut text = String::new();
    let mut rules = Vec::new();
    for number in 0..TABLES * PER_TABLE {
        let (tenant, act) = (number / PER_TABLE, permission(number % PERMISSIONS));
        writeln!(
            text,
            "permit(principal in Role::\"{number}\", action == Action::\"{act}\", resource == Tenant::\"{tenant}\");"
        )?;
        rules.push(vec![
            format!("role{number}"),
            format!("tenant{tenant}"),
            act,
        ]);
    }
    assert_eq!(
        text.parse::<PolicySet>()?.policies().count(),
        TABLES * PER_TABLE
    );
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        times[0].push(time(1, || {
            for _ in 0..TABLES {
                black_box(RoleTable::compile(&registry, black_box(&roles)).is_ok());
            }
        }));
        let mut rules = Some(rules.clone());
        times[1].push(time(1, || {
            let rules = rules.take().unwrap_or_default();
            let read = runtime.block_on(Casbin::with(rules, Vec::new()));
            assert!(read.is_ok(), "casbin takes the rules");
        }));
        times[2].push(time(1, || {
            black_box(text.parse::<PolicySet>().is_ok());
        }));
    }
    let sides = [
        "tenancy, 8 tenants' tables of 125 roles with 25 grants and a denial, in chains of five",
        "casbin, 1,000 rules of one permission",
        "cedar-policy, 1,000 policies of one permission, parsed",
    ];
    print("1,000 roles are compiled", &sides, times);
    Ok(())
}
