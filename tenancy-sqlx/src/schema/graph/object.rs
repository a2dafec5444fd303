//! What stands around tables: views, functions, sequences, publications.

use serde::{Deserialize, Serialize};

use super::{CatalogName, ColumnName, KeyName};

/// A view or a materialized view; in [`TableGraph`](super::TableGraph).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct View {
    /// Its schema and name.
    pub name: CatalogName,
    /// Whether it is a materialized one, which has rows of its own.
    #[serde(default)]
    pub materialized: bool,
    /// The role that owns it.
    #[serde(default)]
    pub owner: String,
    /// The roles that have a right on it beside its owner; `public` stands for everybody.
    #[serde(default)]
    pub grantees: Vec<String>,
    /// Whether it reads as whoever asks.
    #[serde(default)]
    pub security_invoker: bool,
    /// The relations that it reads.
    #[serde(default)]
    pub reads: Vec<CatalogName>,
    /// The keys without which it does not hold, because it groups by them.
    #[serde(default)]
    pub keys: Vec<KeyName>,
}

/// A function or procedure; in [`TableGraph`](super::TableGraph).
///
/// What is said about the text of one in `sql` or `plpgsql` is found by the usual ways to write it, and so neither complete
/// nor free of mistakes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Function {
    /// Its schema and name.
    pub name: CatalogName,
    /// Its name with the types of its arguments, as `regprocedure` prints it.
    pub signature: String,
    /// The role that owns it.
    #[serde(default)]
    pub owner: String,
    /// Whether it acts as its owner (SECURITY DEFINER).
    #[serde(default)]
    pub definer: bool,
    /// Whether it sets its own `search_path`.
    #[serde(default)]
    pub pins_search_path: bool,
    /// Its comment.
    #[serde(default)]
    pub comment: Option<String>,
    /// The relation whose rows it returns.
    #[serde(default)]
    pub returns_rows_of: Option<CatalogName>,
    /// Whether its text selects columns by name and never `*`.
    #[serde(default)]
    pub lists_columns: bool,
    /// The `ON CONFLICT (…)` in its text.
    #[serde(default)]
    pub conflict_targets: Vec<ConflictTarget>,
    /// The `INSERT INTO … SELECT *` in its text.
    #[serde(default)]
    pub positional_inserts: Vec<PositionalInsert>,
}

/// An `ON CONFLICT (…)` that names columns, in the text of a [`Function`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ConflictTarget {
    /// The table as the text names it.
    pub table: String,
    /// What stands in the parentheses.
    pub columns: String,
    /// The line of the function's text, from 1.
    pub line: u32,
}

/// An `INSERT INTO … SELECT *`, which goes by the position of columns, in the text of a [`Function`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PositionalInsert {
    /// The table as the text names it.
    pub table: String,
    /// The line of the function's text, from 1.
    pub line: u32,
}

/// A sequence; in [`TableGraph`](super::TableGraph).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Sequence {
    /// Its schema and name.
    pub name: CatalogName,
    /// The role that owns it.
    #[serde(default)]
    pub owner: String,
    /// The column with which it is dropped.
    #[serde(default)]
    pub owned_by: Option<ColumnName>,
    /// The columns whose defaults draw from it.
    #[serde(default)]
    pub drawn_by: Vec<ColumnName>,
}

/// A publication of logical replication; in [`TableGraph`](super::TableGraph).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Publication {
    /// Its name.
    pub name: String,
    /// The role that owns it.
    #[serde(default)]
    pub owner: String,
    /// Whether it publishes each table.
    #[serde(default)]
    pub all_tables: bool,
    /// The tables that it names.
    #[serde(default)]
    pub tables: Vec<PublishedTable>,
}

/// A table that a [`Publication`] names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PublishedTable {
    /// The table.
    pub table: CatalogName,
    /// The columns that are published, if they are listed.
    #[serde(default)]
    pub columns: Option<Vec<String>>,
}
