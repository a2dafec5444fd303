//! What the rows say: whether references lead to one tenant, and which rows lead to none.

use std::{collections::BTreeMap, time::Duration};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _, postgres::PgRow};
use tenancy_sqlx::schema::{CatalogName, Table, TableKind};

use super::{
    keys::{Key, may_show},
    lines::identifier,
    sketch::{EQUALITY, Edge, Sketch, Verdict, Who},
};
use crate::failure::{Failure, code};

/// Tables of more rows than this are not counted for the sake of a question.
const COUNTED: u64 = 1_000_000;

/// What the rows of a database say.
#[derive(Debug, Default)]
pub(super) struct Data {
    pub(super) faults: BTreeMap<CatalogName, Vec<Fault>>,
    /// How many rows and tenants a table has, where a question wants to know.
    pub(super) counts: BTreeMap<CatalogName, Count>,
    /// The tables whose `otherwise` names a key that no row of the root has.
    pub(super) no_tenants: Vec<(CatalogName, String)>,
}

/// Rows that have no tenant, or two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) kind: FaultKind,
    pub(super) rows: i64,
    /// The keys of three of them.
    pub(super) keys: Vec<String>,
}

/// What is wrong with rows.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "there are few, and none lives long"
)]
pub(super) enum FaultKind {
    /// Their reference is null.
    Null,
    /// Their reference leads to no row.
    Orphan,
    /// Another reference leads to another tenant's row.
    Disagrees(Edge),
}

/// How many rows a table has, and of how many tenants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) rows: i64,
    pub(super) tenants: i64,
}

/// Looks at the rows of tenants' tables. The transaction is read-only, and waits for nothing for long.
///
/// # Errors
/// A table that the login may not read, or a look that takes longer than the time that it has.
pub(super) async fn look(
    connection: &mut PgConnection,
    sketch: &Sketch<'_>,
    keys: &[Key<'_>],
    patience: Duration,
) -> Result<Data, Failure> {
    let mut data = Data::default();
    if sketch.who == Who::One {
        return Ok(data);
    }
    readable(sketch)?;
    let mut eyes = Eyes {
        connection,
        sketch,
        patience,
    };
    for (table, verdict) in sketch.in_order() {
        if let Verdict::By { edge, .. } = verdict
            && let Some(key) = &edge.otherwise
            && !eyes.has_tenant(table, key).await?
        {
            data.no_tenants.push((table.name.clone(), key.clone()));
        }
        for fault in eyes.faults(table, verdict).await? {
            let of = data.faults.entry(table.name.clone());
            of.or_default().push(fault);
        }
    }
    let asked = keys.iter().filter(|key| key.kind.is_asked());
    let nullable = (sketch.in_order().into_iter())
        .filter(|(_, verdict)| matches!(verdict, Verdict::By { edge, .. } if !edge.required));
    let wanted = asked.map(|key| key.table);
    for table in wanted.chain(nullable.map(|(table, _)| table)) {
        let estimated = sketch.graph.estimated_rows(&table.name);
        let few = estimated.is_none_or(|rows| rows <= COUNTED);
        if few && !data.counts.contains_key(&table.name) {
            let count = eyes.count(table).await?;
            data.counts.insert(table.name.clone(), count);
        }
    }
    Ok(data)
}

fn readable(sketch: &Sketch<'_>) -> Result<(), Failure> {
    let closed: Vec<_> = (sketch.in_order().into_iter())
        .filter(|(table, verdict)| verdict.is_tenant() && !table.may_read)
        .map(|(table, _)| table.name.to_string())
        .collect();
    if closed.is_empty() {
        return Ok(());
    }
    Err(Failure::Told(format!(
        "this login may not read {}, and so can't compare whose the rows are; connect as the administrator, or GRANT SELECT ON \
         {} and USAGE on its schema to the login",
        closed.join(", "),
        closed.join(", ")
    )))
}

/// Looks at rows, one statement after another.
struct Eyes<'e, 'g> {
    connection: &'e mut PgConnection,
    sketch: &'e Sketch<'g>,
    patience: Duration,
}

impl Eyes<'_, '_> {
    /// Which rows of a table have no tenant, or two.
    async fn faults(&mut self, table: &Table, verdict: &Verdict) -> Result<Vec<Fault>, Failure> {
        let mut looks = Vec::new();
        let others = match verdict {
            Verdict::By { edge, also, .. } => {
                if !edge.required && edge.otherwise.is_none() {
                    looks.push((FaultKind::Null, nulls(table, edge)));
                }
                if !edge.holds {
                    looks.push((FaultKind::Orphan, orphans(self.sketch, table, edge)));
                }
                also.clone()
            }
            // A tenant's row refers to its own tenant's rows alone. What leads to another tenant is no matter of rows.
            Verdict::Root => self.sketch.edges(table),
            _ => Vec::new(),
        };
        for other in others {
            let sql = disagreements(self.sketch, table, &other);
            looks.push((FaultKind::Disagrees(other), sql));
        }
        let mut faults = Vec::new();
        for (kind, bad) in looks {
            faults.extend(self.find(table, kind, bad).await?);
        }
        Ok(faults)
    }

    /// The rows of a query, as the number of them and the keys of three.
    async fn find(
        &mut self,
        table: &Table,
        kind: FaultKind,
        bad: String,
    ) -> Result<Option<Fault>, Failure> {
        let sql = format!(
            "WITH bad AS MATERIALIZED ({bad}) SELECT (SELECT count(*) FROM bad) AS rows, ARRAY(SELECT k FROM bad LIMIT 3) AS keys"
        );
        let row = self.row(table, sql).await?;
        let rows: i64 = row.try_get("rows").map_err(Failure::told)?;
        let keys: Vec<Option<String>> = row.try_get("keys").map_err(Failure::told)?;
        let keys = keys
            .into_iter()
            .map(|key| key.unwrap_or_else(|| "null".to_owned()));
        Ok((rows > 0).then(|| Fault {
            kind,
            rows,
            keys: keys.collect(),
        }))
    }

    async fn count(&mut self, table: &Table) -> Result<Count, Failure> {
        let mut joins = Joins::default();
        let tenant = joins.tenant(self.sketch, &table.name, "a");
        let sql = format!(
            "SELECT count(*) AS rows, count(DISTINCT {tenant}) AS tenants FROM {} AS a{}",
            alone(table),
            joins.sql
        );
        let row = self.row(table, sql).await?;
        Ok(Count {
            rows: row.try_get("rows").map_err(Failure::told)?,
            tenants: row.try_get("tenants").map_err(Failure::told)?,
        })
    }

    /// Whether the root has a row of a key.
    async fn has_tenant(&mut self, table: &Table, key: &str) -> Result<bool, Failure> {
        let Who::Root {
            table: root,
            key: column,
        } = &self.sketch.who
        else {
            return Ok(true);
        };
        let sql = format!(
            "SELECT EXISTS (SELECT FROM {} AS r WHERE r.{} {} {}) AS there",
            only(self.sketch, root),
            identifier(column),
            self.sketch.equality(),
            literal(key)
        );
        let row = self.row(table, sql).await?;
        row.try_get("there").map_err(Failure::told)
    }

    /// The one row of a query. Its locks are given back with it.
    async fn row(&mut self, table: &Table, sql: String) -> Result<PgRow, Failure> {
        let patience = self.patience;
        let failed = |error: sqlx::Error| told(table, &error, patience);
        let mut savepoint = self.connection.begin().await.map_err(failed)?;
        let query = sqlx::query(AssertSqlSafe(sql)).persistent(false);
        let row = query.fetch_one(&mut *savepoint).await.map_err(failed)?;
        savepoint.rollback().await.map_err(failed)?;
        Ok(row)
    }
}

fn told(table: &Table, error: &sqlx::Error, patience: Duration) -> Failure {
    let code = code(error);
    let name = &table.name;
    let message = match code.as_deref() {
        Some("57014") => format!(
            "comparing the rows of {name} takes longer than {} s; give more time by --timeout",
            patience.as_secs()
        ),
        Some("55P03") => {
            format!("{name} is locked by somebody else; run this again when they are done")
        }
        Some("42501") => format!(
            "the rows of {name} can't be compared: {error}; connect as the administrator, whom row security does not bind"
        ),
        _ => format!("the rows of {name} can't be compared: {error}"),
    };
    Failure::Told(message)
}

/// What tells a row of a table apart, as a text: its key, or its place if the key is nothing to show.
fn key_of(table: &Table) -> String {
    let columns = table.primary_key().map(|key| key.columns.iter().flatten());
    // By the type's own output: a cast may be somebody else's function.
    let columns: Vec<_> = columns
        .into_iter()
        .flatten()
        .map(|column| format!("a.{}", identifier(column)))
        .collect();
    if columns.is_empty() || !may_show(table) {
        return "concat_ws(' ', a.tableoid::regclass, a.ctid)".to_owned();
    }
    format!("concat_ws(', ', {})", columns.join(", "))
}

/// A table without those that inherit from it, which are decided for themselves.
fn alone(table: &Table) -> String {
    match table.kind {
        TableKind::Partitioned => table.name.to_string(),
        _ => format!("ONLY {}", table.name),
    }
}

/// The same of a name.
fn only(sketch: &Sketch<'_>, name: &CatalogName) -> String {
    let table = sketch.graph.table(name);
    table.map_or_else(|| format!("ONLY {name}"), alone)
}

fn nulls(table: &Table, edge: &Edge) -> String {
    format!(
        "SELECT {} AS k FROM {} AS a WHERE {}",
        key_of(table),
        alone(table),
        is_null("a", edge)
    )
}

fn is_null(alias: &str, edge: &Edge) -> String {
    let nulls: Vec<_> = (edge.columns.iter())
        .map(|column| format!("{alias}.{} IS NULL", identifier(column)))
        .collect();
    format!("({})", nulls.join(" OR "))
}

fn orphans(sketch: &Sketch<'_>, table: &Table, edge: &Edge) -> String {
    format!(
        "SELECT {} AS k FROM {} AS a WHERE NOT {} AND NOT EXISTS (SELECT FROM {} AS b WHERE {})",
        key_of(table),
        alone(table),
        is_null("a", edge),
        only(sketch, &edge.to),
        pairs("a", "b", edge)
    )
}

fn disagreements(sketch: &Sketch<'_>, table: &Table, other: &Edge) -> String {
    let mut joins = Joins::default();
    let own = joins.tenant(sketch, &table.name, "a");
    let its = joins.tenant(sketch, &other.to, "b");
    let (from, to) = match &other.between {
        Some((from, to)) => (sketch.graph.table(from).unwrap_or(table), to),
        None => (table, &other.to),
    };
    format!(
        "SELECT {} AS k FROM {} AS a JOIN {} AS b ON {}{} WHERE NOT ({own} {} {its})",
        key_of(from),
        alone(from),
        only(sketch, to),
        pairs("a", "b", other),
        joins.sql,
        sketch.equality()
    )
}

fn pairs(from: &str, to: &str, edge: &Edge) -> String {
    let pairs = edge.columns.iter().zip(&edge.to_columns).enumerate();
    let pairs: Vec<_> = pairs
        .map(|(place, (own, other))| {
            let equality = edge.equality.get(place).map_or(EQUALITY, String::as_str);
            format!(
                "{to}.{} {equality} {from}.{}",
                identifier(other),
                identifier(own)
            )
        })
        .collect();
    pairs.join(" AND ")
}

/// A text as SQL has it.
fn literal(text: &str) -> String {
    // Without backslashes that a setting could give a meaning.
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// The tables on the way to the root, joined.
#[derive(Debug, Default)]
struct Joins {
    sql: String,
    number: usize,
}

impl Joins {
    /// The tenant of a row, as the root's key has it and in its type.
    fn tenant(&mut self, sketch: &Sketch<'_>, name: &CatalogName, alias: &str) -> String {
        let Who::Root { table: root, key } = &sketch.who else {
            return "''".to_owned();
        };
        let edge = match sketch.verdict(name) {
            Some(Verdict::By { edge, .. }) => edge,
            Some(Verdict::Protected { .. }) => return format!("{alias}.tenant_id"),
            _ => return format!("{alias}.{}", identifier(key)),
        };
        let type_of = |name: &CatalogName, column: &str| {
            let column = sketch.graph.table(name)?.column(column)?;
            Some(column.type_name.as_str())
        };
        let own = edge.columns.first().filter(|own| {
            edge.to == *root
                && edge.to_columns == [key.as_str()]
                && type_of(name, own) == type_of(root, key)
        });
        let tenant = if let Some(own) = own {
            format!("{alias}.{}", identifier(own))
        } else {
            self.number += 1;
            let next = format!("w{}", self.number);
            let (to, pairs) = (only(sketch, &edge.to), pairs(alias, &next, edge));
            self.sql
                .push_str(&format!(" LEFT JOIN {to} AS {next} ON {pairs}"));
            self.tenant(sketch, &edge.to, &next)
        };
        match &edge.otherwise {
            Some(key) => format!(
                "CASE WHEN {} THEN {} ELSE {tenant} END",
                is_null(alias, edge),
                literal(key)
            ),
            None => tenant,
        }
    }
}
