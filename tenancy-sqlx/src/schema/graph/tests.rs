//! Laws of graphs, over values that are written down.

use serde_json::{Value, json};

use super::{CatalogName, TableGraph};

fn public(name: &str) -> CatalogName {
    CatalogName::new("public", name)
}

/// A graph of tables with the tables to which each refers; `?` before one stands for a column that can be null.
fn graph(tables: &[(&str, &[&str])]) -> TableGraph {
    let named = |name: &str| json!({ "schema": "public", "name": name });
    let tables: Vec<Value> = tables
        .iter()
        .map(|(name, to)| {
            let to: Vec<_> = to
                .iter()
                .map(|to| (to.trim_start_matches('?'), !to.starts_with('?')))
                .collect();
            let columns: Vec<_> = to
                .iter()
                .map(|(to, required)| json!({ "name": format!("{to}_id"), "type_name": "integer", "not_null": required }))
                .collect();
            let references: Vec<_> = to
                .iter()
                .map(|(to, _)| {
                    json!({
                        "name": format!("{name}_{to}_fkey"), "columns": [format!("{to}_id")], "to": named(to),
                        "to_columns": ["id"],
                    })
                })
                .collect();
            json!({ "name": named(name), "columns": columns, "references": references })
        })
        .collect();
    serde_json::from_value(json!({ "tables": tables })).unwrap()
}

fn names(tables: &[CatalogName]) -> Vec<&str> {
    tables.iter().map(|table| table.name.as_str()).collect()
}

#[test]
fn a_table_follows_those_to_which_it_refers() {
    let order = graph(&[
        ("comments", &["notes", "comments"]),
        ("notes", &["orgs", "?elsewhere"]),
        ("orgs", &[]),
    ])
    .order();
    assert_eq!(names(&order.tables), ["orgs", "notes", "comments"]);
    assert!(order.cycles.is_empty());
}

#[test]
fn a_cycle_is_named_and_stops_nothing() {
    let order = graph(&[
        ("a", &["b"]),
        ("b", &["c"]),
        ("c", &["?a", "orgs"]),
        ("after", &["a"]),
        ("orgs", &[]),
        ("x", &["y", "after"]),
        ("y", &["x"]),
    ])
    .order();
    assert_eq!(
        names(&order.tables),
        ["orgs", "a", "b", "c", "after", "x", "y"]
    );
    let cycles: Vec<_> = order.cycles.iter().map(|cycle| names(cycle)).collect();
    assert_eq!(cycles, [vec!["a", "b", "c"], vec!["x", "y"]]);
}

#[test]
fn there_is_a_way_for_each_reference_and_the_required_one_comes_first() {
    let graph = graph(&[
        ("orgs", &[]),
        ("users", &["orgs", "?users"]),
        ("notes", &["?orgs", "users", "countries"]),
        ("drafts", &["?notes"]),
        ("countries", &[]),
    ]);
    let root = public("orgs");
    let ways = graph.ways_to(&root);
    let told: Vec<_> = ways
        .iter()
        .map(|(table, ways)| {
            let ways: Vec<_> = ways
                .iter()
                .map(|way| (way.steps.len(), way.is_required()))
                .collect();
            (table.name.as_str(), ways)
        })
        .collect();
    assert_eq!(
        told,
        [
            ("drafts", vec![(3, false)]),
            ("notes", vec![(2, true), (1, false)]),
            ("users", vec![(1, true)]),
        ]
    );
    let first = &ways[&public("notes")][0].steps;
    assert_eq!(first[0].foreign_key, "notes_users_fkey");
    assert_eq!(first[1].to, root);
}

#[test]
fn a_way_never_comes_through_a_table_twice() {
    let graph = graph(&[
        ("orgs", &[]),
        ("customers", &["?addresses", "orgs"]),
        ("addresses", &["customers"]),
    ]);
    let root = public("orgs");
    let ways = graph.ways_to(&root);
    assert_eq!(ways[&public("customers")].len(), 1);
    assert_eq!(ways[&public("addresses")].len(), 1);
}

#[test]
fn a_digest_tells_definitions_apart_and_nothing_else() {
    let first = graph(&[("orgs", &[]), ("notes", &["orgs"])]);
    let (orgs, notes) = (public("orgs"), public("notes"));
    let digest = |graph: &TableGraph| graph.digest([&orgs, &notes]);
    assert_eq!(digest(&first), first.digest([&notes, &orgs, &notes]));
    let mut same = first.clone();
    for table in &mut same.tables {
        table.estimated_rows = Some(5);
        table.owner = "somebody".into();
        table.comment = Some("words".into());
    }
    assert_eq!(digest(&first), digest(&same));
    let mut other = first.clone();
    other.tables[1].columns[0].not_null = false;
    assert_ne!(digest(&first), digest(&other));
    assert_eq!(first.tables[0].digest(), other.tables[0].digest());
    assert_ne!(digest(&first), first.digest([&orgs, &public("gone")]));
}

#[test]
fn rows_of_partitions_are_the_table_s() {
    let mut graph = graph(&[("events", &[]), ("events_1", &[]), ("events_2", &[])]);
    assert_eq!(graph.estimated_rows(&public("events")), None);
    for (place, rows) in [(1, 5), (2, 7)] {
        graph.tables[place].partition_of = Some(public("events"));
        graph.tables[place].estimated_rows = Some(rows);
    }
    assert_eq!(graph.estimated_rows(&public("events")), Some(12));
    graph.tables[2].partition_of = Some(public("events_1"));
    for name in ["events", "events_1", "events_2"] {
        assert_eq!(graph.whole(&public(name)), &public("events"));
    }
    assert_eq!(graph.whole(&public("elsewhere")), &public("elsewhere"));
}
