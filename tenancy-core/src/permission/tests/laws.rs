//! Laws that hold for all permissions, grants and roles.

use std::collections::HashSet;

use proptest::{collection::vec, prelude::*, sample::select};

use super::*;

const NAMES: [&str; 10] = [
    "a", "a:b", "a:b:c", "a:b:c:d", "a:c", "b", "b:b", "b:c:d", "c:a:b", "c:a:b:a",
];

fn registry() -> PermissionRegistry {
    let builder = NAMES.into_iter().zip(SystemRole::EVERY.into_iter().cycle());
    let declare = |b: PermissionRegistryBuilder, (name, role)| b.permission(name, role);
    builder
        .fold(PermissionRegistry::builder(), declare)
        .build()
        .unwrap()
}

fn role_name(index: usize) -> RoleName {
    format!("r{index}").parse().unwrap()
}

fn grant() -> impl Strategy<Value = String> {
    vec(select(vec!["a", "b", "c", "d", "*"]), 1..=4).prop_map(|segments| segments.join(":"))
}

/// Mostly grants, some that cover nothing, a few that are malformed.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![20 => grant(), 1 => "[ab*:]{0,4}"]
}

/// One to 7 definitions of 6 names, so that some meet; includes may be unknown or form cycles.
fn definitions() -> impl Strategy<Value = Vec<RoleDefinition>> {
    let include = prop_oneof![
        8 => (0..6_usize).prop_map(role_name),
        3 => select(SystemRole::EVERY.to_vec()).prop_map(SystemRole::name),
        1 => Just(role_name(9)),
    ];
    let definition = (
        0..6_usize,
        vec(include, 0..=2),
        vec(text(), 0..4),
        vec(text(), 0..3),
    );
    vec(definition, 1..=7).prop_map(|rows| rows.into_iter().map(define).collect())
}

fn define(
    (name, includes, allow, deny): (usize, Vec<RoleName>, Vec<String>, Vec<String>),
) -> RoleDefinition {
    let mut role = RoleDefinition::new(role_name(name));
    (role.includes, role.allow, role.deny) = (includes, allow, deny);
    role
}

fn compile(definitions: &[RoleDefinition]) -> RoleTable {
    RoleTable::compile(&registry(), definitions).unwrap()
}

fn effective(table: &RoleTable, role: &RoleName) -> PermissionSet {
    table.mask(role).unwrap().effective()
}

/// Whether a grant covers a permission, said in the slowest and plainest way.
fn covers(grant: &[&str], name: &[&str]) -> bool {
    match (grant, name) {
        ([], []) => true,
        (["*"], [_, ..]) => true,
        (["*", grant @ ..], [_, name @ ..]) => covers(grant, name),
        ([first, grant @ ..], [same, name @ ..]) => first == same && covers(grant, name),
        _ => false,
    }
}

fn named(registry: &PermissionRegistry, grants: &[String]) -> PermissionSet {
    let covered = |name: &str| {
        let name: Vec<_> = name.split(':').collect();
        grants
            .iter()
            .any(|grant| covers(&grant.split(':').collect::<Vec<_>>(), &name))
    };
    registry
        .iter()
        .filter(|(_, name)| covered(name))
        .map(|(id, _)| id)
        .collect()
}

/// What a role comes to, by following every include; `None` where it cannot be understood.
fn expected(definitions: &[RoleDefinition], role: &RoleName, depth: usize) -> Option<RoleMask> {
    let registry = registry();
    if let Some(system) = SystemRole::from_name(role) {
        let held = registry
            .iter()
            .filter(|(id, _)| registry.lowest_role(*id) <= Some(system));
        let allow = held.map(|(id, _)| id).collect();
        return Some(RoleMask {
            allow,
            deny: PermissionSet::EMPTY,
        });
    }
    let mut matching = definitions
        .iter()
        .filter(|definition| definition.name == *role);
    let (Some(definition), None, true) = (matching.next(), matching.next(), depth <= 10) else {
        return None;
    };
    if definition
        .deny
        .iter()
        .any(|text| text.parse::<Grant>().is_err())
    {
        return None;
    }
    let mut allow = definition.allow.clone();
    allow.retain(|text| text != "*" && text.parse::<Grant>().is_ok());
    let own = RoleMask {
        allow: named(&registry, &allow),
        deny: named(&registry, &definition.deny),
    };
    let owner = SystemRole::Owner.name();
    definition
        .includes
        .iter()
        .filter(|include| **include != owner)
        .try_fold(own, |mask, include| {
            Some(mask.combine(expected(definitions, include, depth + 1)?))
        })
}

proptest! {
    #[test]
    fn sets_are_sets(
        left in vec(any::<u8>(), 0..80),
        right in vec(any::<u8>(), 0..80),
    ) {
        let names: Vec<_> = (0..=u8::MAX).map(|i| format!("p{i:03}")).collect();
        let declare = |b: PermissionRegistryBuilder, name| b.permission(name, None);
        let registry = names.iter().fold(PermissionRegistry::builder(), declare).build().unwrap();
        let id = |i: &u8| registry.id(&names[usize::from(*i)]).unwrap();
        let [a, b] = [&left, &right].map(|list| list.iter().map(id).collect::<PermissionSet>());
        let [x, y] = [&left, &right].map(|list| list.iter().map(id).collect::<HashSet<_>>());
        let listed = |set: PermissionSet| set.iter().collect::<HashSet<_>>();

        prop_assert_eq!(listed(a), x.clone());
        prop_assert_eq!(listed(a.union(b)), &x | &y);
        prop_assert_eq!(listed(a.intersection(b)), &x & &y);
        prop_assert_eq!(listed(a.difference(b)), &x - &y);
        prop_assert_eq!(a.is_subset(b), x.is_subset(&y));
        prop_assert_eq!(a.is_empty(), x.is_empty());
        prop_assert_eq!(a == b, x == y);
        for (permission, _) in registry.iter() {
            prop_assert_eq!(a.contains(permission), x.contains(&permission));
        }

        let rest = PermissionSet::ALL.difference(a);
        prop_assert_eq!(a.union(PermissionSet::ALL), PermissionSet::ALL);
        prop_assert_eq!(a.intersection(PermissionSet::ALL), a);
        prop_assert_eq!(a.difference(PermissionSet::ALL), PermissionSet::EMPTY);
        prop_assert_eq!(a.union(PermissionSet::EMPTY), a);
        prop_assert_eq!(rest.intersection(a), PermissionSet::EMPTY);
        prop_assert_eq!(rest.intersection(b), b.difference(a));
    }

    #[test]
    fn a_grant_covers_what_the_plain_rule_says(
        grant in grant(),
        name in vec(select(vec!["a", "b", "c", "d"]), 1..=4),
    ) {
        let plain = covers(&grant.split(':').collect::<Vec<_>>(), &name);
        prop_assert_eq!(grant.parse::<Grant>().unwrap().covers(&name.join(":")), plain);
    }

    #[test]
    fn no_text_panics(text in prop_oneof![".{0,40}", "[a-c*:]{0,12}"]) {
        let registry = registry();
        let parsed = text.parse::<Grant>();
        prop_assert!(parsed.as_ref().is_ok_and(|g| g.as_str() == text) || parsed.is_err());
        let definition = RoleDefinition::new(role_name(0)).allow(&text).deny(&text);
        let table = RoleTable::compile(&registry, &[definition]).unwrap();
        prop_assert!(effective(&table, &role_name(0)).is_empty());
        prop_assert!(!table.explain(&role_name(0), &text).to_string().is_empty());
        prop_assert!(registry.id(&text).is_none_or(|id| registry.name(id) == Some(&*text)));
    }

    #[test]
    fn a_role_is_the_union_of_all_it_includes(definitions in definitions()) {
        let table = compile(&definitions);
        for role in table.roles() {
            let mask = expected(&definitions, role, 0).unwrap_or(RoleMask::SEALED);
            prop_assert_eq!(table.mask(role), Some(mask), "{}", role);
        }
    }

    #[test]
    fn the_order_of_definitions_does_not_matter(
        (one, other) in definitions().prop_flat_map(|d| (Just(d.clone()), Just(d).prop_shuffle())),
    ) {
        let [one, other] = [&one, &other].map(|definitions| compile(definitions));
        prop_assert_eq!(one.problems(), other.problems());
        prop_assert!(one.roles().eq(other.roles()));
        for role in one.roles() {
            prop_assert_eq!(one.mask(role), other.mask(role));
        }
    }

    #[test]
    fn a_denial_overrides_whatever_the_order(
        definitions in definitions(),
        denied in select(NAMES.to_vec()),
        at in any::<prop::sample::Index>(),
    ) {
        let mut definitions = definitions;
        let definition = at.get(&definitions).clone();
        let changed = at.index(definitions.len());
        let place = at.index(definition.deny.len() + 1);
        definitions[changed].deny.insert(place, denied.into());
        definitions[changed].allow.push(denied.into());
        let table = compile(&definitions);
        let id = table.registry().id(denied).unwrap();
        prop_assert!(!table.allows(&definition.name, id));
        // Nor does a second role bring it back.
        let mask = table.mask(&definition.name).unwrap();
        for other in table.roles().filter_map(|role| table.mask(role)) {
            prop_assert!(!mask.combine(other).effective().contains(id));
            prop_assert_eq!(mask.combine(other), other.combine(mask));
        }
    }

    #[test]
    fn one_more_grant_only_widens_and_one_more_denial_only_narrows(
        definitions in definitions(),
        added in text(),
        at in any::<prop::sample::Index>(),
    ) {
        let index = at.index(definitions.len());
        let [mut wider, mut narrower] = [definitions.clone(), definitions.clone()];
        wider[index].allow.push(added.clone());
        narrower[index].deny.push(added);
        let [wider, narrower] = [wider, narrower].map(|definitions| compile(&definitions));
        let table = compile(&definitions);
        for role in table.roles() {
            let rights = effective(&table, role);
            prop_assert!(rights.is_subset(effective(&wider, role)));
            prop_assert!(effective(&narrower, role).is_subset(rights));
        }
    }

    #[test]
    fn a_scope_only_narrows(definitions in definitions(), scope in vec(text(), 0..4)) {
        let table = compile(&definitions);
        let scope = table.registry().scope(scope.iter().map(String::as_str));
        for role in table.roles() {
            let rights = effective(&table, role);
            let narrowed = rights.intersection(scope);
            prop_assert!(narrowed.is_subset(rights) && narrowed.is_subset(scope));
        }
    }

    #[test]
    fn an_explanation_agrees_with_the_mask(definitions in definitions()) {
        let table = compile(&definitions);
        for role in table.roles() {
            let mask = table.mask(role).unwrap();
            for (id, name) in table.registry().iter() {
                let expected = match (mask.effective().contains(id), mask.deny.contains(id)) {
                    (true, _) => PermissionDecision::Allowed,
                    (false, true) => PermissionDecision::ExplicitDeny,
                    (false, false) => PermissionDecision::ImplicitDeny,
                };
                let why = table.explain(role, name);
                prop_assert_eq!(why.decision(), expected, "{}", why);
                if let (Some(grant), None) = (why.grant(), why.problem()) {
                    prop_assert!(grant.parse::<Grant>().unwrap().covers(name));
                }
            }
        }
    }

    #[test]
    fn what_may_be_granted_gives_nothing_new(definitions in definitions()) {
        let table = compile(&definitions);
        for grantor in table.roles() {
            let held = effective(&table, grantor);
            for role in table.roles().filter(|role| table.may_grant(Some(grantor), held, role)) {
                prop_assert!(effective(&table, role).is_subset(held));
            }
        }
    }
}
