//! Which table could be the tenants: proposals, and what a root has to be.

use tenancy_core::ConfigError;
use tenancy_core::document::Placed;
use tenancy_sqlx::schema::{CatalogName, Table, TableGraph, TableKind};

use super::soft;
use crate::adopt::{answers, decision::Tenants};

/// What tables of tenants are called, the likeliest first.
const NAMES: [&str; 14] = [
    "tenant",
    "organization",
    "organisation",
    "workspace",
    "company",
    "account",
    "team",
    "customer",
    "client",
    "org",
    "network",
    "group",
    "project",
    "site",
];

/// What columns with a name for people are called, the best first.
const LABELS: [&str; 6] = [
    "name",
    "title",
    "display_name",
    "displayname",
    "label",
    "slug",
];

/// How many proposals are worth a look.
const MANY: usize = 5;

/// A table that could be the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Proposal {
    pub(super) table: CatalogName,
    /// How many tables lead to it without a null.
    pub(super) required: usize,
    /// How many lead to it at all.
    pub(super) reached: usize,
    /// Whether it is called like a table of tenants.
    pub(super) by_name: bool,
}

/// The likeliest first: by name, then by how many tables lead to it without a null.
pub(super) fn proposals(graph: &TableGraph) -> Vec<Proposal> {
    let fits = |table: &&Table| table.partition_of.is_none() && key(table).is_some();
    let mut all: Vec<_> = (graph.tables.iter())
        .filter(fits)
        .map(|table| {
            let ways = graph.ways_to(&table.name);
            let whole = |name: &CatalogName| {
                graph
                    .table(name)
                    .is_some_and(|table| table.partition_of.is_none())
            };
            let ways = || ways.iter().filter(|(name, _)| whole(name));
            let required =
                ways().filter(|(_, ways)| ways.iter().any(tenancy_sqlx::schema::Way::is_required));
            Proposal {
                table: table.name.clone(),
                required: required.count(),
                reached: ways().count(),
                by_name: rank(&table.name.name).is_some(),
            }
        })
        .filter(|proposal| proposal.reached > 0 || proposal.by_name)
        .collect();
    all.sort_by_key(|proposal| {
        let rank = rank(&proposal.table.name).filter(|_| proposal.reached > 0);
        (
            rank.is_none(),
            std::cmp::Reverse(proposal.required),
            rank,
            std::cmp::Reverse(proposal.reached),
        )
    });
    all.truncate(MANY);
    all
}

fn rank(name: &str) -> Option<usize> {
    let name = soft::singular(&soft::bare(name));
    NAMES.iter().position(|known| *known == name)
}

/// The one column of a table's primary key.
fn key(table: &Table) -> Option<&String> {
    match table.primary_key()?.columns.as_slice() {
        [Some(column)] if table.kind != TableKind::Foreign => Some(column),
        _ => None,
    }
}

/// The root of a name.
///
/// # Errors
/// That there is no such table, or that it can't be one; with the place of the name.
pub(super) fn root(graph: &TableGraph, name: &Placed<String>) -> Result<Tenants, ConfigError> {
    let table = answers::find(graph, name)?;
    let Some(key) = key(table) else {
        return Err(name.at.error(format_args!(
            "`{}` can't be the root: it has no primary key of one column, by which others refer to a tenant",
            name.value
        )));
    };
    let label = LABELS.iter().find_map(|label| {
        let named =
            |column: &&tenancy_sqlx::schema::Column| soft::bare(&column.name) == soft::bare(label);
        table.columns.iter().find(named)
    });
    Ok(Tenants::Root {
        table: (&table.name).into(),
        key: key.clone(),
        label: label.map(|column| column.name.clone()),
    })
}
