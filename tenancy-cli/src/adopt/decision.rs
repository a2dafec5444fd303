//! What is decided of a schema: whose each table's rows are, and which unique keys hold within one tenant.
//!
//! `tenancy adopt plan` makes it from the table graph and the answers in `tenancy.toml`, and writes it as JSON.
//! `tenancy adopt run` carries it out, and refuses one whose tables have changed since.

use std::fmt;

use serde::{Deserialize, Serialize};
use tenancy_core::TenantId;
use tenancy_sqlx::schema::CatalogName;

/// The decisions of a whole schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Decisions {
    /// The form of this file.
    pub(crate) version: u32,
    /// Who the tenants are.
    pub(crate) tenants: Tenants,
    /// Each table of the application: after all from which it gets its tenant, so that a backfill in this order finds them.
    pub(crate) tables: Vec<TableDecision>,
    /// SHA-256 of the definitions of these tables, in hexadecimal: what was decided holds for them alone.
    /// [`TableGraph::digest`](tenancy_sqlx::schema::TableGraph::digest) computes it.
    pub(crate) schema: String,
}

/// Who the tenants are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    deny_unknown_fields,
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case"
)]
pub(crate) enum Tenants {
    /// The whole database is one customer's: each row gets this tenant.
    One { tenant: TenantId, name: String },
    /// Each row of a table is a tenant.
    Root {
        table: TableName,
        /// The column by which other tables refer to it: its primary key. A `uuid` is the tenant's id itself; for an id of
        /// another type the adoption keeps a mapping.
        key: String,
        /// The column that has a name for people, if there is one.
        label: Option<String>,
    },
}

/// What is decided of one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct TableDecision {
    pub(crate) table: TableName,
    pub(crate) rows: Rows,
    /// SHA-256 of its definition, in hexadecimal: [`Table::digest`](tenancy_sqlx::schema::Table::digest). By it the run names
    /// the tables that have changed since.
    pub(crate) definition: String,
    /// Each unique key of a tenant's table that has no tenant yet, with what becomes of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) keys: Vec<KeyDecision>,
}

/// Whose the rows of a table are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    deny_unknown_fields,
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case"
)]
pub(crate) enum Rows {
    /// A tenant's: the table gets a column `tenant_id`, and is protected.
    Tenant { source: Source },
    /// The same for all tenants, which may read them: `tenancy.share`.
    Shared,
    /// No tenant's, and closed to the service: `[tenancy: not for tenants]` in the table's comment.
    Closed,
}

/// From where a row gets its tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    deny_unknown_fields,
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case"
)]
pub(crate) enum Source {
    /// The one tenant of the database.
    One,
    /// It is the tenant: the table is the root.
    Root,
    /// Its tenant is that of the row to which it refers.
    Reference {
        by: Reference,
        /// Other references that lead to a tenant too. They have to lead to the same one, which the run checks on the data.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        also: Vec<Reference>,
        /// The tenant of rows in which the reference is null. Without it there may be no such row.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        otherwise: Option<TenantId>,
    },
}

/// Columns that refer to a row of another table, by a foreign key or by their names alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Reference {
    pub(crate) columns: Vec<String>,
    pub(crate) to: TableName,
    pub(crate) to_columns: Vec<String>,
}

/// What becomes of one unique key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct KeyDecision {
    /// The name of its index.
    pub(crate) index: String,
    pub(crate) holds: Holds,
}

/// Among which rows a unique key holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Holds {
    /// Those of one tenant: the index is made anew, with the tenant in front.
    Tenant,
    /// All: the index stays, and says `[tenancy: unique across tenants]` in its comment.
    Everywhere,
}

/// A table, by its schema and name as the catalog has them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TableName {
    pub(crate) schema: String,
    pub(crate) name: String,
}

impl fmt::Display for TableName {
    /// As SQL takes it, quoted in any case.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |name: &str| name.replace('"', "\"\"");
        write!(f, "\"{}\".\"{}\"", quoted(&self.schema), quoted(&self.name))
    }
}

impl From<&CatalogName> for TableName {
    fn from(name: &CatalogName) -> Self {
        Self {
            schema: name.schema.clone(),
            name: name.name.clone(),
        }
    }
}
