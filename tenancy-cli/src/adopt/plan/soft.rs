//! Columns that are called like those that refer to the root, and have no foreign key.

use std::collections::BTreeSet;

use tenancy_sqlx::schema::{CatalogName, Column, Table, TableGraph};

use super::sketch::{EQUALITY, Edge};

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

/// The columns of a table that have such a name and a type of the root's key's family, those without a null first.
pub(super) fn edges(
    graph: &TableGraph,
    table: &Table,
    root: &CatalogName,
    key: &str,
    names: &BTreeSet<String>,
) -> Vec<Edge> {
    let Some(wanted) = graph.table(root).and_then(|root| root.column(key)) else {
        return Vec::new();
    };
    // What is a foreign key to something else is no reference to the root.
    let refers = |name: &String| {
        let alone = |to: &&tenancy_sqlx::schema::ForeignKey| to.columns == [name.as_str()];
        table.references.iter().any(|to| alone(&to))
    };
    let mut columns: Vec<_> = (table.columns.iter())
        .filter(|column| names.contains(&bare(&column.name)) && !refers(&column.name))
        .filter(|column| is_alike(column, wanted))
        .collect();
    columns.sort_by_key(|column| !column.not_null);
    columns
        .into_iter()
        .map(|column| Edge {
            columns: vec![column.name.clone()],
            to: root.clone(),
            to_columns: vec![key.to_owned()],
            foreign_key: None,
            between: None,
            equality: vec![equality(column, wanted)],
            required: column.not_null,
            holds: false,
            otherwise: None,
        })
        .collect()
}

/// The operator by which two columns are compared.
pub(super) fn equality(one: &Column, other: &Column) -> String {
    let same = one.type_name == other.type_name;
    let own = other.equality.clone().filter(|_| same);
    own.unwrap_or_else(|| EQUALITY.to_owned())
}

/// Whether two columns can be compared: of one type, or of one of PostgreSQL's families.
fn is_alike(one: &Column, other: &Column) -> bool {
    let family = |column: &Column| {
        let name = column.type_name.split('(').next().unwrap_or_default();
        match name {
            "smallint" | "integer" | "bigint" => Some("whole numbers"),
            "text" | "character varying" => Some("texts"),
            _ => None,
        }
    };
    one.type_name == other.type_name || family(one).is_some() && family(one) == family(other)
}

/// Makes sure that columns can be compared, and says by which operators.
///
/// # Errors
/// Which can't, and why.
pub(super) fn same_types(
    graph: &TableGraph,
    table: &Table,
    columns: &[String],
    to: &CatalogName,
    to_columns: &[String],
) -> Result<Vec<String>, String> {
    let mut operators = Vec::new();
    for (own, other) in columns.iter().zip(to_columns) {
        let one = table.column(own);
        let two = graph.table(to).and_then(|to| to.column(other));
        let (Some(one), Some(two)) = (one, two) else {
            return Err(format!("there is no column `{own}` or `{other}`"));
        };
        if !is_alike(one, two) {
            return Err(format!(
                "`{own}` of `{}` is of type {}, and `{other}` of `{}` of type {}; name columns of one type",
                table.name.plain(),
                one.type_name,
                to.plain(),
                two.type_name
            ));
        }
        operators.push(equality(one, two));
    }
    Ok(operators)
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
