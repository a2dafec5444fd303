//! Whose the rows of each table are, as far as references and answers say.

use std::collections::{BTreeMap, BTreeSet};

use tenancy_core::{ConfigError, document::Placed};
use tenancy_sqlx::schema::{CatalogName, ForeignKey, Table, TableGraph, TableKind, UniqueKey};

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

/// What the comment of a table contains that is closed to the service.
const NOT_FOR_TENANTS: &str = "[tenancy: not for tenants]";

/// The operator by which values of PostgreSQL's own types are compared, whatever the path is.
pub(super) const EQUALITY: &str = "OPERATOR(pg_catalog.=)";

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
    /// The partitions between which the foreign key is, where it is not one of the whole tables: it is compared, and says of no
    /// other row whose it is.
    pub(super) between: Option<(CatalogName, CatalogName)>,
    /// The operators by which the columns are compared, pairwise.
    pub(super) equality: Vec<String>,
    /// Whether no column of it can be null.
    pub(super) required: bool,
    /// Whether the row is sure to be there.
    pub(super) holds: bool,
    /// The tenant of rows in which it is null, by the root's key.
    pub(super) otherwise: Option<String>,
}

impl Edge {
    /// Of a table or a partition of it.
    fn of(graph: &TableGraph, table: &Table, reference: &ForeignKey) -> Self {
        let to = graph.whole(&reference.to);
        // What is unique in a partition may be there several times in the whole table.
        let is_one = *to == reference.to || is_unique_in(graph.table(to), &reference.to_columns);
        let between = (table.partition_of.is_some() || !is_one)
            .then(|| (table.name.clone(), reference.to.clone()));
        Self {
            columns: reference.columns.clone(),
            to: to.clone(),
            to_columns: reference.to_columns.clone(),
            foreign_key: Some(reference.name.clone()),
            between,
            equality: reference.equality.clone(),
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
#[expect(
    clippy::large_enum_variant,
    reason = "there is one for each table, and most are the large one"
)]
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
    /// Tenants' already, by a column `tenant_id` of its own: nothing is decided of it.
    Protected {
        /// Whether these ids are the root's keys, so that other tables can get their tenants from it.
        comparable: bool,
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
        matches!(
            self,
            Self::One | Self::Root | Self::By { .. } | Self::Protected { comparable: true }
        )
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
    /// The partitions of each table, of all levels.
    pub(super) partitions: BTreeMap<&'g CatalogName, Vec<&'g Table>>,
    /// The foreign keys of each table and of its partitions.
    references: BTreeMap<&'g CatalogName, Vec<Edge>>,
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
        let mut partitions = BTreeMap::<_, Vec<&Table>>::new();
        let mut references = BTreeMap::<_, Vec<Edge>>::new();
        for table in &graph.tables {
            let whole = graph.whole(&table.name);
            if *whole != table.name {
                partitions.entry(whole).or_default().push(table);
            }
            let edges = table.references.iter();
            let edges = edges.map(|reference| Edge::of(graph, table, reference));
            references.entry(whole).or_default().extend(edges);
        }
        let whole = (graph.tables.iter()).filter(|table| table.partition_of.is_none());
        let (protected, tables): (Vec<_>, Vec<_>) = whole.partition(|table| is_protected(table));
        let mut sketch = Self {
            graph,
            who,
            tables: BTreeMap::new(),
            levels: BTreeMap::new(),
            protected: protected.iter().map(|table| &table.name).collect(),
            partitions,
            references,
        };
        sketch.keep(protected, choices)?;
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
        sketch.compare(choices);
        Ok(sketch)
    }

    /// Settles the tables that are protected already.
    fn keep(&mut self, protected: Vec<&'g Table>, choices: &Choices) -> Result<(), ConfigError> {
        let comparable = match &self.who {
            Who::One => true,
            Who::Root { table, key } => {
                let key = self.graph.table(table).and_then(|root| root.column(key));
                key.is_some_and(|key| key.type_name == "uuid")
            }
        };
        for table in protected {
            if let Some(choice) = choices.tables.get(&table.name) {
                return Err(choice.at.error(format_args!(
                    "`{}` is protected already, and stays as it is; remove the answer",
                    table.name.plain()
                )));
            }
            // After the root, so that a reference to that is taken first.
            self.settle(table, Verdict::Protected { comparable }, 1);
        }
        Ok(())
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
        let says = |comment: &String| comment.contains(NOT_FOR_TENANTS);
        if table.comment.as_ref().is_some_and(says) {
            let why = Some("its comment says so");
            return Ok(Some(Verdict::Closed { why }));
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
                && let Some(edge) = self.answered(table, choice, choices, &root, &key)?
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
                let edges = self.sources(table).filter(|edge| edge.required);
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
                found.extend(
                    self.best(self.sources(table), &by_name)
                        .map(|edge| (*table, edge, Known::Nullable)),
                );
            }
        }
        if found.is_empty() {
            for table in open.values().filter(free) {
                let mut edges = soft::edges(self.graph, table, &root, &key, &by_name).into_iter();
                let edge = edges.find(|edge| !choices.ignores(&table.name, &edge.columns));
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

    /// The foreign keys of a table and of its partitions to tenants' rows of other tables.
    pub(super) fn edges(&self, table: &Table) -> Vec<Edge> {
        let leads = |edge: &&Edge| edge.to != table.name && self.is_tenant(&edge.to);
        self.references(table)
            .iter()
            .filter(leads)
            .cloned()
            .collect()
    }

    /// Those of them by which each row can get its tenant.
    fn sources(&self, table: &Table) -> impl Iterator<Item = Edge> {
        let edges = self.edges(table).into_iter();
        edges.filter(|edge| edge.between.is_none())
    }

    /// The foreign keys of a table and of its partitions.
    pub(super) fn references(&self, table: &Table) -> &[Edge] {
        self.references.get(&table.name).map_or(&[], Vec::as_slice)
    }

    /// The operator by which two tenants are compared.
    pub(super) fn equality(&self) -> &str {
        let Who::Root { table, key } = &self.who else {
            return EQUALITY;
        };
        let key = self.graph.table(table).and_then(|root| root.column(key));
        key.and_then(|key| key.equality.as_deref())
            .unwrap_or(EQUALITY)
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
                between: None,
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
        choices: &Choices,
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
            reference.columns == *columns
                && (to.as_ref()).is_none_or(|to| to == self.graph.whole(&reference.to))
        };
        let known = table.references.iter().filter(matches);
        let mut known = known.map(|reference| Edge::of(self.graph, table, reference));
        let edge = if let Some(edge) = known.find(|edge| edge.between.is_none()) {
            edge
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
            let equality = soft::same_types(self.graph, table, columns, to, &to_columns)
                .map_err(|told| choice.at.error(told))?;
            if !is_unique_in(self.graph.table(to), &to_columns) {
                return Err(choice.at.error(format_args!(
                    "no unique key of `{}` is one of ({}): several rows may be meant, of different tenants; name columns of a \
                     key by `to-columns`",
                    to.plain(),
                    to_columns.join(", ")
                )));
            }
            Edge {
                columns: columns.clone(),
                to: to.clone(),
                to_columns,
                foreign_key: None,
                between: None,
                equality,
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
        if let Some(otherwise) = otherwise {
            let column = self.graph.table(root).and_then(|root| root.column(key));
            let of = column.map_or("", |column| column.type_name.as_str());
            if !is_value_of(of, otherwise) {
                let at = choices.otherwise(&table.name);
                return Err(at.error(format_args!(
                    "`otherwise` has to be a value of `{key}` of `{}`, of type {of}; `{}` is none",
                    root.plain(),
                    otherwise
                )));
            }
        }
        let otherwise = otherwise.clone();
        Ok(Some(Edge { otherwise, ..edge }))
    }

    /// What is left is not known.
    fn close(
        &mut self,
        open: BTreeMap<&'g CatalogName, &'g Table>,
        choices: &Choices,
    ) -> Result<(), ConfigError> {
        let referred: BTreeSet<_> = (self.references.iter())
            .flat_map(|(from, edges)| edges.iter().map(move |edge| (*from, &edge.to)))
            .filter(|(from, to)| from != to)
            .map(|(_, to)| to.clone())
            .collect();
        self.leads_nowhere(&open, choices)?;
        for table in open.into_values() {
            if let Some(choice) = choices.tables.get(&table.name)
                && choice.value == Choice::Tenant
            {
                return Err(choice.at.error(format_args!(
                    "nothing leads from `{}` to a tenant; say by which columns it refers to one: from = [\"…\"]",
                    table.name.plain()
                )));
            }
            let refers = (self.references(table).iter()).any(|edge| edge.to != table.name);
            let unknown = match (refers, referred.contains(&table.name)) {
                (true, _) => Unknown::Other,
                (false, true) => Unknown::ReferredTo,
                (false, false) => Unknown::Isolated,
            };
            self.settle(table, Verdict::Open(unknown), 0);
        }
        Ok(())
    }

    /// Refuses answers that name a row of which it is not known whose it is.
    fn leads_nowhere(
        &self,
        open: &BTreeMap<&'g CatalogName, &'g Table>,
        choices: &Choices,
    ) -> Result<(), ConfigError> {
        let Who::Root { table: root, key } = &self.who else {
            return Ok(());
        };
        let next = |table: &Table| -> Result<Option<CatalogName>, ConfigError> {
            let Some(choice) = choices.tables.get(&table.name) else {
                return Ok(None);
            };
            let edge = self.answered(table, choice, choices, root, key)?;
            Ok(edge.map(|edge| edge.to))
        };
        for table in open.values() {
            let Some(choice) = choices.tables.get(&table.name) else {
                continue;
            };
            let mut way = vec![table.name.plain()];
            let mut at = *table;
            while let Some(to) = next(at)? {
                let returns = way.contains(&to.plain());
                way.push(to.plain());
                if returns {
                    return Err(choice.at.error(format_args!(
                        "these answers lead in a circle and to no tenant: {}; let one of them refer to another table",
                        way.join(" from ")
                    )));
                }
                let Some(further) = open.get(&to) else {
                    break;
                };
                at = further;
            }
            if way.len() > 1 {
                let last = at.name.plain();
                return Err(choice.at.error(format_args!(
                    "`{}` gets its tenant from `{last}`, of which it is not known whose its rows are; say that first, by \
                     [adopt.tables.{}]",
                    table.name.plain(),
                    super::lines::toml(&last)
                )));
            }
        }
        Ok(())
    }

    /// Notes which other references of a table lead to tenants' rows: they have to lead to the same tenant's. Those by name
    /// alone are among them.
    fn compare(&mut self, choices: &Choices) {
        let tenants: BTreeSet<_> = (self.tables.iter())
            .filter(|(_, (_, verdict))| verdict.is_tenant())
            .map(|(name, _)| (*name).clone())
            .collect();
        let root = match &self.who {
            Who::Root { table, key } => Some((table, key, soft::names(self.graph, table, key))),
            Who::One => None,
        };
        for (table, verdict) in self.tables.values_mut() {
            if let Verdict::By { edge, also, .. } = verdict {
                let references = self.references.get(&table.name).into_iter().flatten();
                let mut others: Vec<_> = references
                    .filter(|other| tenants.contains(&other.to))
                    .cloned()
                    .collect();
                if let Some((root, key, names)) = &root {
                    let soft = soft::edges(self.graph, table, root, key, names).into_iter();
                    others.extend(soft.filter(|soft| !choices.ignores(&table.name, &soft.columns)));
                }
                others.retain(|other| !other.is_same(edge));
                *also = others;
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

/// Whether no two rows of a table have the same values in these columns.
fn is_unique_in(table: Option<&Table>, columns: &[String]) -> bool {
    let within = |key: &UniqueKey| {
        let own = |name: &Option<String>| name.as_ref().is_some_and(|name| columns.contains(name));
        key.valid && key.is_plain() && key.columns.iter().all(own)
    };
    table.is_some_and(|table| table.keys.iter().any(within))
}

/// Whether a text can be a value of a type by which tenants are named.
fn is_value_of(type_name: &str, text: &str) -> bool {
    match type_name {
        "uuid" => text.len() == 36 && uuid::Uuid::parse_str(text).is_ok(),
        "smallint" => text.parse::<i16>().is_ok(),
        "integer" => text.parse::<i32>().is_ok(),
        "bigint" => text.parse::<i64>().is_ok(),
        _ => !text.is_empty(),
    }
}

#[cfg(test)]
mod tests;
