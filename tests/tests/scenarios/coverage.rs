//! Every row of the table has its scenarios.

use std::collections::BTreeSet;

use crate::{
    cases,
    routes::{AREAS, COVERED, Layer, name},
    scenario::Scenario,
};

/// The routes of the scenarios that hold this.
fn routes(holds: impl Fn(&Scenario) -> bool) -> BTreeSet<String> {
    let scenarios = cases::all().into_iter();
    scenarios
        .filter(|scenario| holds(scenario))
        .map(|scenario| scenario.route())
        .collect()
}

#[test]
fn every_row_has_a_scenario_and_every_guard_one_that_it_refuses() {
    let any = routes(|_| true);
    let at_guards = routes(|scenario| {
        let audit = &scenario.wanted.audit;
        audit
            .iter()
            .any(|entry| entry.starts_with("permission.check"))
    });
    for area in AREAS.iter().chain(COVERED) {
        let guarded = matches!(
            area.layers.first(),
            Some(Layer::Guard(permission)) if *permission != "notes:read"
        );
        for row in area.rows {
            let name = name(area, row);
            assert!(any.contains(&name), "no scenario is about `{name}`");
            // What a viewer may do, no member of these tenants may not.
            let refuses = row
                .permission
                .is_some_and(|permission| permission != "notes:read");
            assert!(
                at_guards.contains(&name) || !(guarded || refuses),
                "no scenario is refused by the guard of `{name}`"
            );
        }
    }
}

/// Every route that needs a credential has a scenario in which somebody without one is refused.
#[test]
fn every_covered_prefix_has_a_scenario_that_is_refused() {
    let refused = routes(|scenario| {
        scenario
            .wanted
            .status
            .iter()
            .all(|status| (400..500).contains(status))
    });
    for area in AREAS.iter().filter(|area| !area.layers.is_empty()) {
        let inside = |route: &String| route.contains(&format!(" {}/", area.prefix));
        let wrong_order = area.prefix.starts_with("/guard-o");
        assert!(
            wrong_order || refused.iter().any(inside),
            "nobody is refused below `{}`",
            area.prefix
        );
    }
}

#[test]
fn every_scenario_has_a_name_of_its_own() {
    let mut names = BTreeSet::new();
    for scenario in cases::all() {
        assert!(!scenario.name.is_empty(), "{scenario:?}");
        assert!(
            names.insert(scenario.name.clone()),
            "two are called `{}`",
            scenario.name
        );
    }
}
