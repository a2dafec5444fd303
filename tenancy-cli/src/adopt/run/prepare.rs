//! The first phase: what stands in the way is told, and everything that is needed later is remembered.

use std::{fs, path::Path};

use serde_json::Value;
use sqlx::{Connection as _, PgConnection};
use tenancy_sqlx::schema::{CatalogName, TableGraph};

use super::{Course, install};
use crate::{
    adopt::{
        administrator::{is_under_way, told},
        decision::Decisions,
    },
    failure::Failure,
    output::plain,
};

/// The form of plans that this version knows.
const VERSION: u32 = 1;

/// Reads a plan.
///
/// # Errors
/// What is wrong with the file, with line and column.
pub(super) fn read(path: &Path) -> Result<Decisions, Failure> {
    let named = path.display();
    let text = fs::read_to_string(path)
        .map_err(|error| Failure::Told(format!("the plan `{named}` can't be read: {error}")))?;
    let plan: Decisions = serde_json::from_str(&text).map_err(|error| {
        Failure::Told(format!(
            "`{named}` is no plan of `tenancy adopt plan --out`: {error}"
        ))
    })?;
    if plan.version != VERSION {
        return Err(Failure::Told(format!(
            "the plan `{named}` is of version {}, and this program knows version {VERSION}: make it anew",
            plan.version
        )));
    }
    Ok(plan)
}

/// Begins an adoption by a plan, or goes on with the one that is under way.
///
/// # Errors
/// Everything that stands in the way, or that another plan is under way. Nothing is changed then.
pub(super) async fn begin(
    connection: &mut PgConnection,
    plan: Option<&Decisions>,
) -> Result<(), Failure> {
    may_begin(connection).await?;
    let decisions = plan;
    let plan = plan.map(serde_json::to_value).transpose();
    let plan = plan.map_err(|error| Failure::Told(format!("the plan: {error}")))?;
    if is_under_way(connection).await? {
        let known: Value = sqlx::query_scalar("SELECT plan FROM tenancy_adopt.adoption")
            .fetch_one(&mut *connection)
            .await
            .map_err(told)?;
        if plan.is_some_and(|plan| plan != known) {
            return Err(Failure::told(
                "an adoption by another plan is under way: go on without --plan, or take that back first: tenancy adopt rollback",
            ));
        }
        let mut tx = connection.begin().await.map_err(told)?;
        install(&mut tx).await.map_err(told)?;
        tx.commit().await.map_err(told)?;
        return is_unchanged(connection).await;
    }
    let (Some(decisions), Some(plan)) = (decisions, plan) else {
        return Err(Failure::told(
            "no adoption is under way: name a plan by --plan, which `tenancy adopt plan --out plan.json` makes",
        ));
    };
    is_of_this_schema(connection, decisions).await?;
    let mut tx = connection.begin().await.map_err(told)?;
    install(&mut tx).await.map_err(told)?;
    let problems: Vec<(String, String, String)> =
        sqlx::query_as("SELECT object, what, mend FROM tenancy_adopt.problems($1)")
            .bind(&plan)
            .fetch_all(&mut *tx)
            .await
            .map_err(told)?;
    if !problems.is_empty() {
        tx.rollback().await.map_err(told)?;
        let lines = problems.iter();
        let lines: Vec<_> = lines
            .map(|(object, what, mend)| format!("{object}: {what}\n  {mend}"))
            .collect();
        return Err(Failure::Told(format!(
            "the plan can't be carried out, and nothing was changed:\n{}",
            lines.join("\n")
        )));
    }
    sqlx::query("SELECT tenancy_adopt.take_plan($1), tenancy_adopt.register_all()")
        .bind(&plan)
        .execute(&mut *tx)
        .await
        .map_err(told)?;
    tx.commit().await.map_err(told)
}

/// Whether the tables are still those about which the plan decides.
async fn is_of_this_schema(connection: &mut PgConnection, plan: &Decisions) -> Result<(), Failure> {
    let graph = TableGraph::read(connection).await.map_err(Failure::told)?;
    let mut names = Vec::new();
    let mut changed = Vec::new();
    for decision in &plan.tables {
        let name = CatalogName::new(&decision.table.schema, &decision.table.name);
        match graph.table(&name) {
            None => changed.push(format!("{} is gone", plain(&name.plain()))),
            Some(table) if table.digest() != decision.definition => {
                changed.push(format!("{} has changed", plain(&name.plain())));
            }
            Some(_) => {}
        }
        names.push(name);
    }
    if changed.is_empty() && graph.digest(&names) != plan.schema {
        changed.push("the plan is not the one that was written".to_owned());
    }
    if changed.is_empty() {
        return Ok(());
    }
    Err(Failure::Told(format!(
        "the plan is of another schema than the database has now: {}; make it anew: tenancy adopt plan --out plan.json",
        changed.join(", ")
    )))
}

/// Whether the application's own definitions are still those with which the adoption was begun.
///
/// # Errors
/// The tables that have changed.
pub(super) async fn is_unchanged(connection: &mut PgConnection) -> Result<(), Failure> {
    let changed: Vec<String> =
        sqlx::query_scalar("SELECT changed FROM tenancy_adopt.changed() AS changed")
            .fetch_all(connection)
            .await
            .map_err(told)?;
    if changed.is_empty() {
        return Ok(());
    }
    Err(Failure::Told(format!(
        "the schema was changed while the adoption was under way: {}; undo the change and run this again, or take the adoption \
         back (tenancy adopt rollback) and plan anew",
        plain(&changed.join(", "))
    )))
}

/// Whether this server and this login are fit for it at all.
async fn may_begin(connection: &mut PgConnection) -> Result<(), Failure> {
    let version: i32 = sqlx::query_scalar("SELECT current_setting('server_version_num')::int")
        .fetch_one(&mut *connection)
        .await
        .map_err(told)?;
    if version < 150_000 {
        return Err(Failure::Told(format!(
            "the server is PostgreSQL {}, and it takes 15 or later: upgrade it first",
            version / 10_000
        )));
    }
    let (installed, creates, replicates, login): (bool, bool, bool, String) = sqlx::query_as(
        "SELECT EXISTS (SELECT FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
                 WHERE n.nspname = 'tenancy' AND p.proname = 'table_state'),
             has_database_privilege(current_database(), 'CREATE'),
             has_parameter_privilege('session_replication_role', 'SET'), current_user::text",
    )
    .fetch_one(connection)
    .await
    .map_err(told)?;
    if !creates {
        return Err(Failure::Told(format!(
            "the login `{login}` may not make a schema in this database: give the URL of its administrator"
        )));
    }
    if !installed {
        return Err(Failure::told(
            "the schema `tenancy` is not installed, or is too old: run `tenancy install` first",
        ));
    }
    if !replicates {
        return Err(Failure::Told(format!(
            "the login `{login}` may not switch off triggers, which must not run when rows get their tenant: give the URL of a \
             superuser, or as one: GRANT SET ON PARAMETER session_replication_role TO \"{login}\""
        )));
    }
    Ok(())
}

/// Counts each table, and adds its rows up.
///
/// # Errors
/// What the database says.
pub(super) async fn count(course: &mut Course<'_>) -> Result<(), Failure> {
    let fresh = "SELECT t.number, t.relation::text FROM tenancy_adopt.tables AS t WHERE t.sum_before IS NULL ORDER BY t.number";
    let sum = "UPDATE tenancy_adopt.tables AS t SET (rows_before, sum_before)
             = (SELECT c.rows, c.sum FROM tenancy_adopt.checksum(t.relation, t.columns) AS c)
         WHERE t.number = $1";
    add_up(course, "prepare", fresh, sum).await
}

/// Adds up the tables that a query lists, each by a statement of its own.
///
/// # Errors
/// What the database says.
pub(super) async fn add_up(
    course: &mut Course<'_>,
    phase: &str,
    tables: &'static str,
    sum: &'static str,
) -> Result<(), Failure> {
    let tables: Vec<(i32, String)> = sqlx::query_as(tables)
        .fetch_all(&mut *course.connection)
        .await
        .map_err(told)?;
    for (number, relation) in tables {
        course.output.progress(&format!("{phase}: {relation}"));
        sqlx::query(sum)
            .bind(number)
            .execute(&mut *course.connection)
            .await
            .map_err(told)?;
    }
    Ok(())
}
