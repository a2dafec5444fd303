//! What the rows say: whether references lead to one tenant, and which rows lead to none.

use std::{collections::BTreeMap, time::Duration};

use sqlx::{AssertSqlSafe, PgConnection, Row as _};
use tenancy_sqlx::schema::{CatalogName, Table, TableKind};

use super::{
    keys::Key,
    lines::identifier,
    sketch::{Edge, Sketch, Verdict, Who},
};
use crate::failure::Failure;

/// Tables of more rows than this are not counted for the sake of a question.
const COUNTED: u64 = 1_000_000;

/// What the rows of a database say.
#[derive(Debug, Default)]
pub(super) struct Data {
    pub(super) faults: BTreeMap<CatalogName, Vec<Fault>>,
    /// How many rows and tenants a table has, where a question wants to know.
    pub(super) counts: BTreeMap<CatalogName, Count>,
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
    for (table, verdict) in sketch.in_order() {
        let mut looks = Vec::new();
        let others = match verdict {
            Verdict::By { edge, also, .. } => {
                if !edge.required {
                    looks.push((FaultKind::Null, nulls(table, edge)));
                }
                if !edge.holds {
                    looks.push((FaultKind::Orphan, orphans(table, edge)));
                }
                also.clone()
            }
            // A tenant's row refers to its own tenant's rows alone. What leads to another tenant is no matter of rows.
            Verdict::Root => sketch.edges(table),
            _ => continue,
        };
        for other in others {
            let sql = disagreements(sketch, table, &other);
            looks.push((FaultKind::Disagrees(other), sql));
        }
        for (kind, bad) in looks {
            let fault = find(connection, table, kind, bad, patience).await?;
            if let Some(fault) = fault {
                data.faults
                    .entry(table.name.clone())
                    .or_default()
                    .push(fault);
            }
        }
    }
    for key in keys.iter().filter(|key| key.kind.is_asked()) {
        let name = &key.table.name;
        let few = sketch
            .graph
            .estimated_rows(name)
            .is_none_or(|rows| rows <= COUNTED);
        if few && !data.counts.contains_key(name) {
            let count = count(connection, sketch, key.table, patience).await?;
            data.counts.insert(name.clone(), count);
        }
    }
    let nullable = sketch
        .in_order()
        .into_iter()
        .filter(|(_, verdict)| matches!(verdict, Verdict::By { edge, .. } if !edge.required));
    for (table, _) in nullable {
        let few = sketch
            .graph
            .estimated_rows(&table.name)
            .is_none_or(|rows| rows <= COUNTED);
        if few && !data.counts.contains_key(&table.name) {
            let count = count(connection, sketch, table, patience).await?;
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

/// The rows of a query, as the number of them and the keys of three.
async fn find(
    connection: &mut PgConnection,
    table: &Table,
    kind: FaultKind,
    bad: String,
    patience: Duration,
) -> Result<Option<Fault>, Failure> {
    let sql = format!(
        "WITH bad AS MATERIALIZED ({bad}) SELECT (SELECT count(*) FROM bad) AS rows, ARRAY(SELECT k FROM bad LIMIT 3) AS keys"
    );
    let row = sqlx::query(AssertSqlSafe(sql)).persistent(false);
    let row = row.fetch_one(connection).await;
    let row = row.map_err(|error| told(table, &error, patience))?;
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

async fn count(
    connection: &mut PgConnection,
    sketch: &Sketch<'_>,
    table: &Table,
    patience: Duration,
) -> Result<Count, Failure> {
    let mut joins = Joins::default();
    let tenant = joins.tenant(sketch, &table.name, "a");
    let sql = format!(
        "SELECT count(*) AS rows, count(DISTINCT {tenant}) AS tenants FROM {} AS a{}",
        alone(table),
        joins.sql
    );
    let row = sqlx::query(AssertSqlSafe(sql)).persistent(false);
    let row = row.fetch_one(connection).await;
    let row = row.map_err(|error| told(table, &error, patience))?;
    Ok(Count {
        rows: row.try_get("rows").map_err(Failure::told)?,
        tenants: row.try_get("tenants").map_err(Failure::told)?,
    })
}

fn told(table: &Table, error: &sqlx::Error, patience: Duration) -> Failure {
    let code = error.as_database_error().and_then(|said| said.code());
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

/// What tells a row of a table apart, as a text.
fn key_of(table: &Table) -> String {
    let columns = table.primary_key().map(|key| key.columns.iter().flatten());
    let columns: Vec<_> = columns
        .into_iter()
        .flatten()
        .map(|column| format!("a.{}::text", identifier(column)))
        .collect();
    if columns.is_empty() {
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

fn nulls(table: &Table, edge: &Edge) -> String {
    // Rows for which an answer names the tenant are not without one.
    let always = if edge.otherwise.is_some() {
        "false AND "
    } else {
        ""
    };
    let nulls: Vec<_> = (edge.columns.iter())
        .map(|column| format!("a.{} IS NULL", identifier(column)))
        .collect();
    format!(
        "SELECT {} AS k FROM {} AS a WHERE {always}({})",
        key_of(table),
        alone(table),
        nulls.join(" OR ")
    )
}

fn orphans(table: &Table, edge: &Edge) -> String {
    let there: Vec<_> = (edge.columns.iter())
        .map(|column| format!("a.{} IS NOT NULL", identifier(column)))
        .collect();
    format!(
        "SELECT {} AS k FROM {} AS a WHERE {} AND NOT EXISTS (SELECT FROM {} AS b WHERE {})",
        key_of(table),
        alone(table),
        there.join(" AND "),
        edge.to,
        pairs("a", "b", edge)
    )
}

fn disagreements(sketch: &Sketch<'_>, table: &Table, other: &Edge) -> String {
    let mut joins = Joins::default();
    let own = joins.tenant(sketch, &table.name, "a");
    let its = joins.tenant(sketch, &other.to, "b");
    format!(
        "SELECT {} AS k FROM {} AS a JOIN {} AS b ON {}{} WHERE {own} <> {its}",
        key_of(table),
        alone(table),
        other.to,
        pairs("a", "b", other),
        joins.sql
    )
}

fn pairs(from: &str, to: &str, edge: &Edge) -> String {
    let pairs = edge.columns.iter().zip(&edge.to_columns);
    let pairs: Vec<_> = pairs
        .map(|(own, other)| format!("{from}.{} = {to}.{}", identifier(own), identifier(other)))
        .collect();
    pairs.join(" AND ")
}

/// The tables on the way to the root, joined.
#[derive(Debug, Default)]
struct Joins {
    sql: String,
    number: usize,
}

impl Joins {
    /// The tenant of a row as a text: the root's key.
    fn tenant(&mut self, sketch: &Sketch<'_>, name: &CatalogName, alias: &str) -> String {
        let Who::Root { table: root, key } = &sketch.who else {
            return "''".to_owned();
        };
        let Some(Verdict::By { edge, .. }) = sketch.verdict(name) else {
            return format!("{alias}.{}::text", identifier(key));
        };
        let own = edge
            .columns
            .first()
            .filter(|_| edge.to == *root && edge.to_columns == [key.as_str()]);
        let tenant = if let Some(own) = own {
            format!("{alias}.{}::text", identifier(own))
        } else {
            self.number += 1;
            let next = format!("w{}", self.number);
            let pairs = pairs(alias, &next, edge);
            self.sql
                .push_str(&format!(" LEFT JOIN {} AS {next} ON {pairs}", edge.to));
            self.tenant(sketch, &edge.to, &next)
        };
        match edge.otherwise {
            Some(id) => format!("coalesce({tenant}, '{id}')"),
            None => tenant,
        }
    }
}
