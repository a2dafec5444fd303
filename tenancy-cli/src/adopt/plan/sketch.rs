//! Whose the rows of each table are, as far as references and answers say.

use std::collections::{BTreeMap, BTreeSet};

use tenancy_core::{ConfigError, TenantId, document::Placed};
use tenancy_sqlx::schema::{CatalogName, ForeignKey, Table, TableGraph, TableKind};

use super::soft;
use crate::adopt::answers::{Choice, Choices};

/// Tables in which tools keep which migrations have run.
const OF_MIGRATIONS: [&str; 13] = [
    "__diesel_schema_migrations",
    "_prisma_migrations",
    "__EFMigrationsHistory",
    "alembic_version",
    "ar_internal_metadata",
    "databasechangelog",
    "databasechangeloglock",
    "django_migrations",
    "flyway_schema_history",
    "goose_db_version",
    "knex_migrations",
    "schema_migration",
    "schema_migrations",
];

/// Who the tenants are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Who {
    One,
    Root { table: CatalogName, key: String },
}

/// Columns that lead to a row of another table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Edge {
    pub(super) columns: Vec<String>,
    pub(super) to: CatalogName,
    pub(super) to_columns: Vec<String>,
    /// The foreign key; `None` if names alone say it.
    pub(super) foreign_key: Option<String>,
    /// Whether no column of it can be null.
    pub(super) required: bool,
    /// Whether the row is sure to be there.
    pub(super) holds: bool,
    /// The tenant of rows in which it is null.
    pub(super) otherwise: Option<TenantId>,
}

impl Edge {
    fn of(table: &Table, reference: &ForeignKey) -> Self {
        Self {
            columns: reference.columns.clone(),
            to: reference.to.clone(),
            to_columns: reference.to_columns.clone(),
            foreign_key: Some(reference.name.clone()),
            required: table.requires(&reference.columns),
            holds: reference.holds(),
            otherwise: None,
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        self.columns == other.columns && self.to == other.to && self.to_columns == other.to_columns
    }
}

/// How it is known from which row a table gets its tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Known {
    /// By references without a null.
    Required,
    /// Somebody has said so.
    Answered,
    /// As the table from which it inherits.
    Inherited(CatalogName),
    /// By a reference that can be null: that is asked.
    Nullable,
    /// By a column that is called like one that refers to the root: that is asked.
    Soft,
}

/// Why nobody knows whose the rows are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unknown {
    /// Others refer to it, and it refers to none.
    ReferredTo,
    /// It refers to none, and none to it.
    Isolated,
    /// It refers to tables of which it is not known either, or that are no tenant's.
    Other,
}

/// Whose the rows of a table are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The one tenant's.
    One,
    /// Each row is a tenant.
    Root,
    /// The tenant's of the row to which they refer.
    By {
        edge: Edge,
        known: Known,
        /// The other references to tenants' rows.
        also: Vec<Edge>,
    },
    Shared,
    Closed {
        why: Option<&'static str>,
    },
    Open(Unknown),
}

impl Verdict {
    /// Whether the rows are tenants'.
    pub(super) const fn is_tenant(&self) -> bool {
        matches!(self, Self::One | Self::Root | Self::By { .. })
    }
}

/// The verdicts of all tables.
#[derive(Debug)]
pub(super) struct Sketch<'g> {
    pub(super) graph: &'g TableGraph,
    pub(super) who: Who,
    pub(super) tables: BTreeMap<&'g CatalogName, (&'g Table, Verdict)>,
    /// How many references lie between a table and the root.
    pub(super) levels: BTreeMap<&'g CatalogName, usize>,
    /// Tables that are protected already, which nothing is decided of.
    pub(super) protected: Vec<&'g CatalogName>,
}

impl<'g> Sketch<'g> {
    /// Decides what references and answers decide.
    ///
    /// # Errors
    /// An answer that can't be meant, with its place.
    pub(super) fn new(
        graph: &'g TableGraph,
        who: Who,
        choices: &Choices,
    ) -> Result<Self, ConfigError> {
        let whole = (graph.tables.iter()).filter(|table| table.partition_of.is_none());
        let (protected, tables): (Vec<_>, Vec<_>) = whole.partition(|table| is_protected(table));
        let mut sketch = Self {
            graph,
            who,
            tables: BTreeMap::new(),
            levels: BTreeMap::new(),
            protected: protected.into_iter().map(|table| &table.name).collect(),
        };
        let mut open = BTreeMap::new();
        for table in tables {
            let choice = choices.tables.get(&table.name);
            match sketch.at_once(table, choice)? {
                Some(verdict) => sketch.settle(table, verdict, 0),
                None => drop(open.insert(&table.name, table)),
            }
        }
        while sketch.step(&mut open, choices)? {}
        sketch.close(open, choices)?;
        sketch.compare();
        Ok(sketch)
    }

    /// What needs no look at other tables.
    fn at_once(
        &self,
        table: &Table,
        choice: Option<&Placed<Choice>>,
    ) -> Result<Option<Verdict>, ConfigError> {
        let is_root = matches!(&self.who, Who::Root { table: root, .. } if *root == table.name);
        if is_root {
            return match choice {
                None => Ok(Some(Verdict::Root)),
                Some(choice) => Err(choice.at.error(format_args!(
                    "`{}` is the root: each of its rows is a tenant, and nothing else can be answered of it",
                    table.name.plain()
                ))),
            };
        }
        if let Some(choice) = choice {
            return match (&choice.value, &self.who) {
                (Choice::Shared, _) => Ok(Some(Verdict::Shared)),
                (Choice::Closed, _) => Ok(Some(Verdict::Closed { why: None })),
                (Choice::Tenant, Who::One) => Ok(Some(Verdict::One)),
                (Choice::From { .. }, Who::One) => Err(choice.at.error(
                    "`from` says to which row of which tenant a row belongs, and there is one tenant alone; remove it",
                )),
                _ => Ok(None),
            };
        }
        if OF_MIGRATIONS.contains(&table.name.name.as_str()) {
            let why = Some("a tool keeps in it which migrations have run");
            return Ok(Some(Verdict::Closed { why }));
        }
        if table.kind == TableKind::Foreign {
            let why = Some("it is a foreign table, whose rows can't be protected");
            return Ok(Some(Verdict::Closed { why }));
        }
        Ok((self.who == Who::One).then_some(Verdict::One))
    }

    fn settle(&mut self, table: &'g Table, verdict: Verdict, level: usize) {
        self.tables.insert(&table.name, (table, verdict));
        self.levels.insert(&table.name, level);
    }

    /// Settles the tables that are surest now; false if there is none.
    fn step(
        &mut self,
        open: &mut BTreeMap<&'g CatalogName, &'g Table>,
        choices: &Choices,
    ) -> Result<bool, ConfigError> {
        let Who::Root { table: root, key } = self.who.clone() else {
            return Ok(false);
        };
        let mut found = Vec::new();
        for table in open.values() {
            if let Some(choice) = choices.tables.get(&table.name)
                && let Some(edge) = self.answered(table, choice, &root, &key)?
                && self.is_tenant(&edge.to)
            {
                found.push((*table, edge, Known::Answered));
            }
        }
        let free = |table: &&&Table| {
            let choice = choices.tables.get(&table.name);
            !choice.is_some_and(|choice| matches!(choice.value, Choice::From { .. }))
        };
        let by_name = soft::names(self.graph, &root, &key);
        if found.is_empty() {
            for table in open.values().filter(free) {
                let edges = self.edges(table).into_iter().filter(|edge| edge.required);
                found.extend(
                    self.best(edges, &by_name)
                        .map(|edge| (*table, edge, Known::Required)),
                );
            }
            // Each layer before the next, so that the shortest way is found first.
            let nearest = found.iter().map(|(_, edge, _)| self.level(&edge.to)).min();
            found.retain(|(_, edge, _)| Some(self.level(&edge.to)) == nearest);
        }
        if found.is_empty() {
            for table in open.values().filter(free) {
                found.extend(self.inherited(table));
            }
        }
        if found.is_empty() {
            for table in open.values().filter(free) {
                let edges = self.edges(table).into_iter();
                found.extend(
                    self.best(edges, &by_name)
                        .map(|edge| (*table, edge, Known::Nullable)),
                );
            }
        }
        if found.is_empty() {
            for table in open.values().filter(free) {
                let edge = soft::edge(self.graph, table, &root, &key, &by_name);
                found.extend(edge.map(|edge| (*table, edge, Known::Soft)));
            }
        }
        let any = !found.is_empty();
        for (table, edge, known) in found {
            open.remove(&table.name);
            let level = self.level(&edge.to) + 1;
            let also = Vec::new();
            self.settle(table, Verdict::By { edge, known, also }, level);
        }
        Ok(any)
    }

    /// The foreign keys of a table to tenants' rows of other tables.
    pub(super) fn edges(&self, table: &Table) -> Vec<Edge> {
        let leads =
            |reference: &&ForeignKey| reference.to != table.name && self.is_tenant(&reference.to);
        let references = table.references.iter().filter(leads);
        references
            .map(|reference| Edge::of(table, reference))
            .collect()
    }

    /// The nearest to the root; of several, the one that is named like it.
    fn best(&self, edges: impl Iterator<Item = Edge>, by_name: &BTreeSet<String>) -> Option<Edge> {
        edges.min_by_key(|edge| {
            let named = edge
                .columns
                .iter()
                .any(|name| by_name.contains(&soft::bare(name)));
            (
                self.level(&edge.to),
                !edge.holds,
                !named,
                edge.foreign_key.clone(),
            )
        })
    }

    fn inherited(&self, table: &'g Table) -> Option<(&'g Table, Edge, Known)> {
        table.inherits.iter().find_map(|above| {
            let (_, verdict) = self.tables.get(above)?;
            let Verdict::By { edge, .. } = verdict else {
                return None;
            };
            let has_all = edge.columns.iter().all(|name| table.column(name).is_some());
            // The foreign key is not handed down.
            let own = Edge {
                foreign_key: None,
                required: table.requires(&edge.columns),
                holds: false,
                ..edge.clone()
            };
            has_all.then(|| (table, own, Known::Inherited(above.clone())))
        })
    }

    /// The reference that an answer names; `None` if it names none.
    fn answered(
        &self,
        table: &Table,
        choice: &Placed<Choice>,
        root: &CatalogName,
        key: &String,
    ) -> Result<Option<Edge>, ConfigError> {
        let Choice::From {
            columns,
            to,
            to_columns,
            otherwise,
        } = &choice.value
        else {
            return Ok(None);
        };
        let matches = |reference: &&ForeignKey| {
            reference.columns == *columns && to.as_ref().is_none_or(|to| *to == reference.to)
        };
        let edge = if let Some(reference) = table.references.iter().find(matches) {
            Edge::of(table, reference)
        } else {
            let to = to.as_ref().unwrap_or(root);
            let primary = self.graph.table(to).and_then(Table::primary_key);
            let its_key = || primary.map(|key| key.columns.iter().flatten().cloned().collect());
            let to_columns = to_columns.clone().or_else(|| {
                if to == root {
                    Some(vec![key.clone()])
                } else {
                    its_key()
                }
            });
            let to_columns = to_columns.filter(|to| to.len() == columns.len());
            let Some(to_columns) = to_columns else {
                return Err(choice.at.error(format_args!(
                    "`{}` has no foreign key of ({}); say to which columns they refer by `to` and `to-columns`",
                    table.name.plain(),
                    columns.join(", ")
                )));
            };
            soft::same_types(self.graph, table, columns, to, &to_columns)
                .map_err(|told| choice.at.error(told))?;
            Edge {
                columns: columns.clone(),
                to: to.clone(),
                to_columns,
                foreign_key: None,
                required: table.requires(columns),
                holds: false,
                otherwise: None,
            }
        };
        if edge.to == table.name {
            return Err(choice.at.error(format_args!(
                "`{}` can't get its tenant from itself; name a reference to another table",
                table.name.plain()
            )));
        }
        let no_tenant =
            (self.tables.get(&edge.to)).is_some_and(|(_, verdict)| !verdict.is_tenant());
        if no_tenant {
            return Err(choice.at.error(format_args!(
                "`{}` refers to `{}`, whose rows are no tenant's",
                table.name.plain(),
                edge.to.plain()
            )));
        }
        let otherwise = *otherwise;
        Ok(Some(Edge { otherwise, ..edge }))
    }

    /// What is left is not known.
    fn close(
        &mut self,
        open: BTreeMap<&'g CatalogName, &'g Table>,
        choices: &Choices,
    ) -> Result<(), ConfigError> {
        let referred: BTreeSet<_> = (self.graph.tables.iter())
            .flat_map(|table| table.references.iter().map(move |to| (&table.name, &to.to)))
            .filter(|(from, to)| from != to)
            .map(|(_, to)| to)
            .collect();
        for table in open.into_values() {
            if let Some(choice) = choices.tables.get(&table.name)
                && choice.value == Choice::Tenant
            {
                return Err(choice.at.error(format_args!(
                    "nothing leads from `{}` to a tenant; say by which columns it refers to one: from = [\"…\"]",
                    table.name.plain()
                )));
            }
            let refers = table.references.iter().any(|to| to.to != table.name);
            let unknown = match (refers, referred.contains(&table.name)) {
                (true, _) => Unknown::Other,
                (false, true) => Unknown::ReferredTo,
                (false, false) => Unknown::Isolated,
            };
            self.settle(table, Verdict::Open(unknown), 0);
        }
        Ok(())
    }

    /// Notes which other references of a table lead to tenants' rows: they have to lead to the same tenant's.
    fn compare(&mut self) {
        let tenants: BTreeSet<_> = (self.tables.iter())
            .filter(|(_, (_, verdict))| verdict.is_tenant())
            .map(|(name, _)| (*name).clone())
            .collect();
        for (table, verdict) in self.tables.values_mut() {
            if let Verdict::By { edge, also, .. } = verdict {
                let others = table.references.iter().map(|to| Edge::of(table, to));
                *also = others
                    .filter(|other| tenants.contains(&other.to) && !other.is_same(edge))
                    .collect();
            }
        }
    }

    pub(super) fn verdict(&self, name: &CatalogName) -> Option<&Verdict> {
        self.tables.get(name).map(|(_, verdict)| verdict)
    }

    pub(super) fn is_tenant(&self, name: &CatalogName) -> bool {
        self.verdict(name).is_some_and(Verdict::is_tenant)
    }

    fn level(&self, name: &CatalogName) -> usize {
        self.levels.get(name).copied().unwrap_or_default()
    }

    /// The tables in an order in which each follows the one from which it gets its tenant.
    pub(super) fn in_order(&self) -> Vec<(&'g Table, &Verdict)> {
        let mut all: Vec<_> = self
            .tables
            .values()
            .map(|(table, verdict)| (*table, verdict))
            .collect();
        all.sort_by_key(|(table, verdict)| {
            (!verdict.is_tenant(), self.level(&table.name), &table.name)
        });
        all
    }
}

/// Whether `tenancy.protect` has been here.
fn is_protected(table: &Table) -> bool {
    let fills = |default: &str| default.contains("tenancy.current_tenant()");
    table.row_security
        && (table.columns.iter()).any(|column| column.default.as_deref().is_some_and(fills))
}

#[cfg(test)]
mod tests;
