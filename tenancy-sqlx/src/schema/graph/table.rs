//! A table: its columns, keys, references and what else belongs to it.

use serde::{Deserialize, Serialize};

use super::CatalogName;

/// A table of the application; in [`TableGraph`](super::TableGraph).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Table {
    /// Its schema and name.
    pub name: CatalogName,
    /// What kind of table it is.
    #[serde(default)]
    pub kind: TableKind,
    /// Whether it is not logged, so that its rows are gone after a crash.
    #[serde(default)]
    pub unlogged: bool,
    /// The table of which it is a partition.
    #[serde(default)]
    pub partition_of: Option<CatalogName>,
    /// The tables from which it inherits; not those of which it is a partition.
    #[serde(default)]
    pub inherits: Vec<CatalogName>,
    /// Whether it is about to be no partition any more: `DETACH … CONCURRENTLY` has not finished.
    #[serde(default)]
    pub detaching: bool,
    /// The composite type of which it is a table.
    #[serde(default)]
    pub of_type: Option<String>,
    /// The role that owns it.
    #[serde(default)]
    pub owner: String,
    /// Whether the login may read its rows, as far as privileges say.
    #[serde(default)]
    pub may_read: bool,
    /// Whether the login may change its definition: it has the rights of the owner.
    #[serde(default)]
    pub may_alter: bool,
    /// Whether row security is on.
    #[serde(default)]
    pub row_security: bool,
    /// Whether row security is on for its owner too.
    #[serde(default)]
    pub forced_row_security: bool,
    /// Its comment.
    #[serde(default)]
    pub comment: Option<String>,
    /// About how many rows it has itself; see [`TableGraph::estimated_rows`](super::TableGraph::estimated_rows).
    #[serde(default)]
    pub estimated_rows: Option<u64>,
    /// Its columns in their order.
    #[serde(default)]
    pub columns: Vec<Column>,
    /// Its unique keys, the primary key first.
    #[serde(default)]
    pub keys: Vec<UniqueKey>,
    /// Its foreign keys by name; a partition has those alone that are not the partitioned table's.
    #[serde(default)]
    pub references: Vec<ForeignKey>,
    /// Its CHECK constraints.
    #[serde(default)]
    pub checks: Vec<ConstraintText>,
    /// Its exclusion constraints.
    #[serde(default)]
    pub exclusions: Vec<ConstraintText>,
    /// Its triggers, without those of foreign keys; a partition has those alone that are not the partitioned table's.
    #[serde(default)]
    pub triggers: Vec<Trigger>,
    /// The names of its rules.
    #[serde(default)]
    pub rules: Vec<String>,
    /// Its policies of row security.
    #[serde(default)]
    pub policies: Vec<Policy>,
}

impl Table {
    /// A column, by its name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The primary key.
    #[must_use]
    pub fn primary_key(&self) -> Option<&UniqueKey> {
        self.keys.iter().find(|key| key.primary)
    }

    /// Whether none of these columns can be null.
    #[must_use]
    pub fn requires(&self, columns: &[String]) -> bool {
        let is_required = |name: &String| self.column(name).is_some_and(|column| column.not_null);
        columns.iter().all(is_required)
    }
}

/// What kind of table a [`Table`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TableKind {
    /// One that has rows itself; a partition too.
    #[default]
    Plain,
    /// One whose rows are those of its partitions.
    Partitioned,
    /// One whose rows are elsewhere, behind a foreign data wrapper.
    Foreign,
}

/// A column of a [`Table`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type as SQL writes it, such as `numeric(10,2)`.
    pub type_name: String,
    /// The extension to which the type belongs.
    #[serde(default)]
    pub type_extension: Option<String>,
    /// The operator that says whether two values are the same, as SQL takes it whatever the path is: `OPERATOR(schema.=)`.
    /// `None` if it is one of PostgreSQL's.
    #[serde(default)]
    pub equality: Option<String>,
    /// Whether it can't be null.
    #[serde(default)]
    pub not_null: bool,
    /// The expression of its default.
    #[serde(default)]
    pub default: Option<String>,
    /// The expression by which it is generated.
    #[serde(default)]
    pub generated: Option<String>,
    /// Whether it is an identity column.
    #[serde(default)]
    pub identity: Option<Identity>,
    /// The sequence from which its default or its identity draws.
    #[serde(default)]
    pub sequence: Option<CatalogName>,
    /// Whether it comes from a table above alone.
    #[serde(default)]
    pub inherited: bool,
    /// Its comment.
    #[serde(default)]
    pub comment: Option<String>,
}

/// Which kind of identity column a [`Column`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Identity {
    /// `GENERATED ALWAYS AS IDENTITY`.
    Always,
    /// `GENERATED BY DEFAULT AS IDENTITY`.
    ByDefault,
}

/// A unique key of a [`Table`]: a primary key, a UNIQUE constraint, or a bare unique index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UniqueKey {
    /// The name of its index.
    pub index: String,
    /// The name of its constraint; a bare index has none.
    #[serde(default)]
    pub constraint: Option<String>,
    /// Whether it is the primary key.
    #[serde(default)]
    pub primary: bool,
    /// Its columns; `None` in the place of an expression.
    pub columns: Vec<Option<String>>,
    /// Its expressions in their order.
    #[serde(default)]
    pub expressions: Vec<String>,
    /// The columns that it carries along (INCLUDE).
    #[serde(default)]
    pub includes: Vec<String>,
    /// The condition of a partial index.
    #[serde(default)]
    pub condition: Option<String>,
    /// Whether it is whole: a build CONCURRENTLY that failed leaves one that is not.
    #[serde(default)]
    pub valid: bool,
    /// Whether it can be checked at the end of a transaction.
    #[serde(default)]
    pub deferrable: bool,
    /// Whether two nulls are the same.
    #[serde(default)]
    pub nulls_not_distinct: bool,
    /// Whether logical replication tells rows apart by it.
    #[serde(default)]
    pub replica_identity: bool,
    /// Whether the table is clustered by it.
    #[serde(default)]
    pub clustered: bool,
    /// Whether it is a partition's part of the partitioned table's key.
    #[serde(default)]
    pub inherited: bool,
    /// The statement that makes the index.
    #[serde(default)]
    pub definition: String,
    /// The index's comment.
    #[serde(default)]
    pub comment: Option<String>,
}

impl UniqueKey {
    /// Whether it holds for all rows, and no column of it is computed.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.condition.is_none() && self.columns.iter().all(Option::is_some)
    }

    /// Whether a column is one of its own.
    #[must_use]
    pub fn has(&self, column: &str) -> bool {
        self.columns
            .iter()
            .any(|own| own.as_deref() == Some(column))
    }
}

/// A foreign key of a [`Table`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ForeignKey {
    /// The name of its constraint.
    pub name: String,
    /// The columns that refer.
    pub columns: Vec<String>,
    /// The table to which they refer. It may be one that the graph leaves out.
    pub to: CatalogName,
    /// The columns to which they refer, pairwise.
    pub to_columns: Vec<String>,
    /// The index of the key to which it refers.
    #[serde(default)]
    pub key: Option<String>,
    /// The operators by which the columns are compared, pairwise: what is referred to stands left of them. As
    /// [`Column::equality`].
    #[serde(default)]
    pub equality: Vec<String>,
    /// What it makes of nulls.
    #[serde(default)]
    pub matching: Matching,
    /// What a deletion does, as the catalog has it: `a` no action, `r` restrict, `c` cascade, `n` set null, `d` set default.
    #[serde(default = "no_action")]
    pub on_delete: String,
    /// What a change of the key does, in the same way.
    #[serde(default = "no_action")]
    pub on_update: String,
    /// Whether it can be checked at the end of a transaction.
    #[serde(default)]
    pub deferrable: bool,
    /// Whether it is checked there unless told otherwise.
    #[serde(default)]
    pub deferred: bool,
    /// Whether the rows that are there were checked.
    #[serde(default = "yes")]
    pub validated: bool,
    /// Whether it is enforced at all (PostgreSQL 18).
    #[serde(default = "yes")]
    pub enforced: bool,
    /// The constraint as SQL.
    #[serde(default)]
    pub definition: String,
    /// Its comment.
    #[serde(default)]
    pub comment: Option<String>,
}

impl ForeignKey {
    /// Whether each row is sure to refer to one that is there, if its columns have values.
    #[must_use]
    pub const fn holds(&self) -> bool {
        self.validated && self.enforced
    }
}

fn no_action() -> String {
    "a".to_owned()
}

const fn yes() -> bool {
    true
}

/// What a [`ForeignKey`] of several columns makes of nulls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Matching {
    /// A row with one null refers to nothing.
    #[default]
    Simple,
    /// All columns are null, or none.
    Full,
    /// The standard's third, which PostgreSQL does not have.
    Partial,
}

/// A constraint that is kept as text: a CHECK, or an exclusion constraint; in [`Table`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ConstraintText {
    /// Its name.
    pub name: String,
    /// As SQL.
    pub definition: String,
}

/// A trigger of a [`Table`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Trigger {
    /// Its name.
    pub name: String,
    /// The function that it calls, with its arguments' types.
    pub function: String,
    /// Whether it fires.
    pub enabled: bool,
    /// Whether it fires in sessions that replicate too, as a backfill is one (ENABLE ALWAYS or REPLICA).
    #[serde(default)]
    pub replicated: bool,
    /// Whether it fires before a row is updated.
    #[serde(default)]
    pub before_update: bool,
    /// The statement that makes it.
    #[serde(default)]
    pub definition: String,
}

/// A policy of row security of a [`Table`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Policy {
    /// Its name.
    pub name: String,
    /// Whether it adds rows; otherwise it takes some away.
    pub permissive: bool,
    /// The command, as the catalog has it: `r` SELECT, `a` INSERT, `w` UPDATE, `d` DELETE, `*` all.
    pub command: String,
    /// The roles for which it is.
    pub roles: Vec<String>,
    /// The condition of rows that are seen.
    #[serde(default)]
    pub using: Option<String>,
    /// The condition of rows that are written.
    #[serde(default)]
    pub check: Option<String>,
}
