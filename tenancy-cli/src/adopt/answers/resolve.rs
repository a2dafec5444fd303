//! What the answers are about: tables, columns and keys that are there.

use std::collections::BTreeMap;

use tenancy_core::{ConfigError, TenantId, document::Placed};
use tenancy_sqlx::schema::{CatalogName, Table, TableGraph, TableKind};

use super::{Answers, Named, RowsAnswer, TableAnswer, not_found};
use crate::adopt::decision::Holds;

/// The answers by what they are about.
#[derive(Debug, Default)]
pub(in crate::adopt) struct Choices {
    pub(in crate::adopt) tables: BTreeMap<CatalogName, Placed<Choice>>,
    /// By schema and index.
    pub(in crate::adopt) keys: BTreeMap<CatalogName, Placed<Holds>>,
}

/// What was answered of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::adopt) enum Choice {
    Shared,
    Closed,
    /// A tenant's, and the command finds out which.
    Tenant,
    /// By columns that refer.
    From {
        columns: Vec<String>,
        /// To what, where no foreign key says it.
        to: Option<CatalogName>,
        to_columns: Option<Vec<String>>,
        otherwise: Option<TenantId>,
    },
}

impl Answers {
    /// Finds what the answers are about.
    ///
    /// # Errors
    /// An answer about something that there is not, or two about the same table; with its place.
    pub(in crate::adopt) fn resolve(&self, graph: &TableGraph) -> Result<Choices, ConfigError> {
        let mut choices = Choices::default();
        let bulk = (self.shared.iter().map(|name| (name, Choice::Shared)))
            .chain(self.closed.iter().map(|name| (name, Choice::Closed)));
        for (name, choice) in bulk {
            let table = find(graph, name)?;
            choices.add(table, name, choice)?;
        }
        for (name, answer) in &self.tables {
            let table = find(graph, name)?;
            let choice = answer.resolve(graph, table)?;
            choices.add(table, name, choice)?;
        }
        for (name, holds) in &self.keys {
            let key = find_key(graph, name)?;
            let placed = Placed {
                value: *holds,
                at: name.at,
            };
            choices.keys.insert(key, placed);
        }
        Ok(choices)
    }
}

impl Choices {
    fn add(
        &mut self,
        table: &Table,
        name: &Placed<String>,
        choice: Choice,
    ) -> Result<(), ConfigError> {
        let placed = Placed {
            value: choice,
            at: name.at,
        };
        if self.tables.insert(table.name.clone(), placed).is_some() {
            let told = format!(
                "`{}` is answered a second time; keep one of the answers",
                name.value
            );
            return Err(name.at.error(told));
        }
        Ok(())
    }
}

impl TableAnswer {
    fn resolve(&self, graph: &TableGraph, table: &Table) -> Result<Choice, ConfigError> {
        let Some(from) = &self.from else {
            return Ok(match self.rows.as_ref().map(|rows| rows.value) {
                Some(RowsAnswer::Shared) => Choice::Shared,
                Some(RowsAnswer::Closed) => Choice::Closed,
                _ => Choice::Tenant,
            });
        };
        let to = self.to.as_ref().map(|to| find(graph, to)).transpose()?;
        let columns = from.value.iter().map(|column| find_column(table, column));
        let to_columns = match (&self.to_columns, to) {
            (Some(columns), Some(to)) => {
                let found = columns.iter().map(|column| find_column(to, column));
                Some(found.collect::<Result<Vec<_>, _>>()?)
            }
            (Some(_), None) => {
                return Err(from.at.error(
                    "`to-columns` stands without `to`, which names the table that has them",
                ));
            }
            (None, _) => None,
        };
        let columns: Vec<_> = columns.collect::<Result<_, _>>()?;
        if to_columns
            .as_ref()
            .is_some_and(|to| to.len() != columns.len())
        {
            return Err(from
                .at
                .error("`from` and `to-columns` have different numbers of columns"));
        }
        Ok(Choice::From {
            columns,
            to: to.map(|to| to.name.clone()),
            to_columns,
            otherwise: self.otherwise.as_ref().map(|id| id.value),
        })
    }
}

/// The table of a name.
///
/// # Errors
/// That there is none, or that something else has the name, and what to name instead.
pub(in crate::adopt) fn find<'g>(
    graph: &'g TableGraph,
    name: &Placed<String>,
) -> Result<&'g Table, ConfigError> {
    let mut of_that_name = (graph.tables.iter()).filter(|table| table.name.plain() == name.value);
    let found = of_that_name.next();
    if of_that_name.next().is_some() {
        let told = format!(
            "`{}` is the name of two tables; rename one of them",
            name.value
        );
        return Err(name.at.error(told));
    }
    let Some(table) = found else {
        if let Some(view) = graph
            .views
            .iter()
            .find(|view| view.name.plain() == name.value)
        {
            let reads: Vec<_> = view.reads.iter().map(CatalogName::plain).collect();
            let told = format!(
                "`{}` is a view, and has no rows of its own; name the tables that it reads: {}",
                name.value,
                reads.join(", ")
            );
            return Err(name.at.error(told));
        }
        let known: Vec<_> = graph
            .tables
            .iter()
            .map(|table| table.name.plain())
            .collect();
        let known = known.iter().map(|known| Named(known));
        return Err(name.at.error(not_found("table", &name.value, known)));
    };
    if let Some(whole) = &table.partition_of {
        let told = format!(
            "`{}` is a partition, and goes with its table; name `{}`",
            name.value,
            whole.plain()
        );
        return Err(name.at.error(told));
    }
    if table.kind == TableKind::Foreign {
        let told = format!(
            "`{}` is a foreign table, whose rows can't be protected; it stays closed to the service. Move what tenants \
             need into a table",
            name.value
        );
        return Err(name.at.error(told));
    }
    Ok(table)
}

fn find_column(table: &Table, name: &Placed<String>) -> Result<String, ConfigError> {
    if table.column(&name.value).is_some() {
        return Ok(name.value.clone());
    }
    let what = format!("column of `{}`", table.name.plain());
    let known = table.columns.iter().map(|column| Named(&column.name));
    Err(name.at.error(not_found(&what, &name.value, known)))
}

fn find_key(graph: &TableGraph, name: &Placed<String>) -> Result<CatalogName, ConfigError> {
    let mut known = Vec::new();
    for table in graph
        .tables
        .iter()
        .filter(|table| table.partition_of.is_none())
    {
        for key in &table.keys {
            let key = CatalogName::new(&table.name.schema, &key.index);
            if key.plain() == name.value {
                return Ok(key);
            }
            known.push(key.plain());
        }
    }
    let known = known.iter().map(|known| Named(known));
    Err(name.at.error(not_found("unique key", &name.value, known)))
}
