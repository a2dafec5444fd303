//! The application's tables and what hangs on them, as the catalog has them.

mod digest;
mod name;
mod object;
mod order;
mod table;
mod way;

use std::fmt;

use serde::{Deserialize, Serialize};
use sqlx::{Connection as _, Executor as _, PgConnection};

pub use name::{CatalogName, ColumnName, KeyName};
pub use object::{
    ConflictTarget, Function, PositionalInsert, Publication, PublishedTable, Sequence, View,
};
pub use order::TableOrder;
pub use table::{
    Column, ConstraintText, ForeignKey, Identity, Matching, Policy, Table, TableKind, Trigger,
    UniqueKey,
};
pub use way::{Step, Way};

/// The tables of an application: columns, keys, references, and the views, functions, sequences and publications around them.
///
/// It is one reading of the catalog in one snapshot, and no row of a table is read. What it leaves out: the schemas of
/// PostgreSQL, the schema `tenancy`, whatever belongs to an extension, temporary tables, and sqlx's table of migrations.
///
/// It says in which [order](Self::order) tables come if each follows those to which it refers, and by which
/// [ways](Self::ways_to) rows lead to those of another table. `tenancy adopt plan` decides by them from where each table gets
/// its tenant.
///
/// A graph can be written down with `serde`, for tests and reviews. Later versions may add fields.
///
/// ```no_run
/// use sqlx::{Connection as _, PgConnection};
/// use tenancy_sqlx::schema::{CatalogName, TableGraph};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut connection = PgConnection::connect(&std::env::var("DATABASE_URL")?).await?;
/// let graph = TableGraph::read(&mut connection).await?;
/// let root = CatalogName::new("public", "organizations");
/// for (table, ways) in graph.ways_to(&root) {
///     let required = ways.iter().filter(|way| way.is_required()).count();
///     println!("{table}: {} ways, {required} of them without a null", ways.len());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct TableGraph {
    /// The server's version as PostgreSQL numbers it: 150018 is 15.18.
    pub server_version: u32,
    /// The name of the database.
    pub database: String,
    /// Tables by schema and name, partitions and foreign tables among them.
    pub tables: Vec<Table>,
    /// Views and materialized views.
    pub views: Vec<View>,
    /// Functions and procedures.
    pub functions: Vec<Function>,
    /// Sequences.
    pub sequences: Vec<Sequence>,
    /// Publications of logical replication.
    pub publications: Vec<Publication>,
}

impl TableGraph {
    /// Reads the catalog. Any login may; [`Table::may_read`] and [`Table::may_alter`] are about the login that asks.
    ///
    /// It runs in a transaction, or a savepoint of the connection's transaction, that is rolled back.
    ///
    /// # Errors
    /// What the database says.
    pub async fn read(connection: &mut PgConnection) -> Result<Self, crate::Error> {
        Ok(Self::read_document(connection).await?)
    }

    async fn read_document(connection: &mut PgConnection) -> Result<Self, sqlx::Error> {
        let mut transaction = connection.begin().await?;
        // What is not in pg_catalog is printed with its schema, whatever the login's path is.
        transaction
            .execute("SET LOCAL search_path TO pg_catalog, pg_temp")
            .await?;
        let document: String = sqlx::query_scalar(include_str!("graph/read.sql"))
            .persistent(false)
            .fetch_one(&mut *transaction)
            .await?;
        transaction.rollback().await?;
        serde_json::from_str(&document).map_err(|error| sqlx::Error::Decode(error.into()))
    }

    /// A table, by its name.
    #[must_use]
    pub fn table(&self, name: &CatalogName) -> Option<&Table> {
        self.tables.iter().find(|table| table.name == *name)
    }

    /// The tables that inherit from a table or are its partitions, not those below them.
    pub fn children<'g>(&'g self, of: &'g CatalogName) -> impl Iterator<Item = &'g Table> {
        let is_child =
            |table: &&Table| table.partition_of.as_ref() == Some(of) || table.inherits.contains(of);
        self.tables.iter().filter(is_child)
    }

    /// The table of which one is a partition, at the end of all partitions of partitions; a name that is no partition's is
    /// given back.
    #[must_use]
    pub fn whole<'g>(&'g self, of: &'g CatalogName) -> &'g CatalogName {
        let above = |name| {
            self.table(name)
                .and_then(|table| table.partition_of.as_ref())
        };
        std::iter::successors(Some(of), |name| above(name))
            .take(self.tables.len() + 1)
            .last()
            .unwrap_or(of)
    }

    /// The partitions of a table, and those of its partitions.
    #[must_use]
    pub fn partitions(&self, of: &CatalogName) -> Vec<&Table> {
        let is_below =
            |table: &&Table| table.partition_of.is_some() && self.whole(&table.name) == of;
        self.tables.iter().filter(is_below).collect()
    }

    /// About how many rows a table has, with its partitions; `None` if nothing has counted them yet. It is what the planner
    /// believes, and may be far off.
    #[must_use]
    pub fn estimated_rows(&self, of: &CatalogName) -> Option<u64> {
        let own = self.table(of).and_then(|table| table.estimated_rows);
        let partitions = self
            .children(of)
            .filter(|child| child.partition_of.is_some());
        let below = partitions.filter_map(|child| self.estimated_rows(&child.name));
        own.into_iter().chain(below).reduce(u64::saturating_add)
    }
}

/// Tables and references, one in a line.
impl fmt::Display for TableGraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for table in &self.tables {
            writeln!(f, "{}", table.name)?;
            for reference in &table.references {
                let columns = reference.columns.join(", ");
                writeln!(f, "  {columns} -> {}", reference.to)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
