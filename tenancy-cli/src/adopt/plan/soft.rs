//! Columns that are called like those that refer to the root, and have no foreign key.

use std::collections::BTreeSet;

use tenancy_sqlx::schema::{CatalogName, Table, TableGraph};

use super::sketch::Edge;

/// How often a name has to refer to the root to be taken for one that does.
const OFTEN: usize = 3;

/// A name without what styles differ in: `organizationId` and `organization_id` are the same.
pub(super) fn bare(name: &str) -> String {
    name.chars()
        .filter(|c| *c != '_')
        .flat_map(char::to_lowercase)
        .collect()
}

/// The bare names of columns that refer to the root, by its name or because others do.
pub(super) fn names(graph: &TableGraph, root: &CatalogName, key: &str) -> BTreeSet<String> {
    let singular = singular(&bare(&root.name));
    let mut names = BTreeSet::from([
        format!("{singular}{}", bare(key)),
        format!("{}{}", bare(&root.name), bare(key)),
    ]);
    let referring: Vec<_> = (graph.tables.iter())
        .flat_map(|table| &table.references)
        .filter(|reference| reference.to == *root)
        .filter_map(|reference| {
            reference
                .columns
                .first()
                .filter(|_| reference.columns.len() == 1)
        })
        .map(|name| bare(name))
        .collect();
    for name in &referring {
        let often = referring.iter().filter(|other| *other == name).count() >= OFTEN;
        if often || name.contains(&singular) {
            names.insert(name.clone());
        }
    }
    names
}

/// The column of a table that has such a name and the type of the root's key.
pub(super) fn edge(
    graph: &TableGraph,
    table: &Table,
    root: &CatalogName,
    key: &str,
    names: &BTreeSet<String>,
) -> Option<Edge> {
    let wanted = &graph.table(root)?.column(key)?.type_name;
    let fits = |name: &str, type_name: &String| names.contains(&bare(name)) && type_name == wanted;
    let column = (table.columns.iter())
        .filter(|column| fits(&column.name, &column.type_name))
        .min_by_key(|column| !column.not_null)?;
    Some(Edge {
        columns: vec![column.name.clone()],
        to: root.clone(),
        to_columns: vec![key.to_owned()],
        foreign_key: None,
        required: column.not_null,
        holds: false,
        otherwise: None,
    })
}

/// Makes sure that columns can be compared.
///
/// # Errors
/// Which can't, and why.
pub(super) fn same_types(
    graph: &TableGraph,
    table: &Table,
    columns: &[String],
    to: &CatalogName,
    to_columns: &[String],
) -> Result<(), String> {
    for (own, other) in columns.iter().zip(to_columns) {
        let of = |table: Option<&Table>, name: &str| {
            let column = table.and_then(|table| table.column(name));
            column.map_or_else(String::new, |column| column.type_name.clone())
        };
        let (one, two) = (of(Some(table), own), of(graph.table(to), other));
        if one != two {
            return Err(format!(
                "`{own}` of `{}` is of type {one}, and `{other}` of `{}` of type {two}; name columns of one type",
                table.name.plain(),
                to.plain()
            ));
        }
    }
    Ok(())
}

/// The name of one of them: `organizations` to `organization`, `companies` to `company`.
pub(super) fn singular(name: &str) -> String {
    if let Some(stem) = name.strip_suffix("ies") {
        return format!("{stem}y");
    }
    for (ending, rest) in [("sses", "ss"), ("xes", "x"), ("ss", "ss"), ("s", "")] {
        if let Some(stem) = name.strip_suffix(ending) {
            return format!("{stem}{rest}");
        }
    }
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_by_what_they_mean() {
        for (name, wanted) in [
            ("organizations", "organization"),
            ("companies", "company"),
            ("addresses", "address"),
            ("boxes", "box"),
            ("access", "access"),
            ("tenant", "tenant"),
        ] {
            assert_eq!(singular(name), wanted);
        }
        assert_eq!(bare("organizationId"), bare("organization__id"));
    }
}
