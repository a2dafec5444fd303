//! The report: what each phase took, and each table before and after.

use serde_json::json;
use sqlx::FromRow;

use super::{Course, phase::Phase, prepare::add_up};
use crate::{
    adopt::administrator::{execute, told},
    failure::Failure,
};

#[derive(Debug, FromRow)]
struct Took {
    phase: String,
    ran_ms: i64,
    longest_lock_us: i64,
}

#[derive(Debug, FromRow)]
struct Table {
    relation: String,
    kind: String,
    rows_before: Option<i64>,
    sum_before: Option<String>,
    rows_after: Option<i64>,
    sum_after: Option<String>,
}

/// Says that a phase is done.
///
/// # Errors
/// What the database or the output says.
pub(super) async fn phase(course: &mut Course<'_>, phase: Phase) -> Result<(), Failure> {
    if phase == Phase::Report {
        return Ok(());
    }
    let took: Option<Took> = sqlx::query_as(
        "SELECT phase, ran_ms, longest_lock_us FROM tenancy_adopt.phases WHERE phase = $1",
    )
    .bind(phase.as_str())
    .fetch_optional(&mut *course.connection)
    .await
    .map_err(told)?;
    if let Some(took) = took {
        let (text, json) = took.told();
        course.output.good(&text, &json).await?;
    }
    Ok(())
}

impl Took {
    fn told(&self) -> (String, serde_json::Value) {
        let text = format!(
            "{} is done: {} ms, longest lock {}.{:03} ms",
            self.phase,
            self.ran_ms,
            self.longest_lock_us / 1_000,
            self.longest_lock_us % 1_000
        );
        let json = json!({ "phase": self.phase, "ran_ms": self.ran_ms, "longest_lock_us": self.longest_lock_us });
        (text, json)
    }
}

/// Computes the checksums again, and tells everything.
///
/// # Errors
/// What the database or the output says.
pub(super) async fn report(course: &mut Course<'_>) -> Result<(), Failure> {
    let all = "SELECT t.number, t.relation::text FROM tenancy_adopt.tables AS t ORDER BY t.number";
    let sum = "UPDATE tenancy_adopt.tables AS t SET (rows_after, sum_after)
             = (SELECT c.rows, c.sum FROM tenancy_adopt.checksum(t.relation, t.columns) AS c)
         WHERE t.number = $1";
    add_up(course, "report", all, sum).await?;
    course.output.end_progress();
    let phases: Vec<Took> = sqlx::query_as(
        "SELECT phase, ran_ms, longest_lock_us FROM tenancy_adopt.phases
         WHERE phase <> 'report' ORDER BY number",
    )
    .fetch_all(&mut *course.connection)
    .await
    .map_err(told)?;
    for took in phases {
        let (text, json) = took.told();
        course.output.good(&text, &json).await?;
    }
    let tables: Vec<Table> = sqlx::query_as(
        "SELECT t.relation::text, t.kind, t.rows_before, t.sum_before::text, t.rows_after, t.sum_after::text
         FROM tenancy_adopt.tables AS t ORDER BY t.number",
    )
    .fetch_all(&mut *course.connection)
    .await
    .map_err(told)?;
    for table in tables {
        let same = table.rows_before == table.rows_after && table.sum_before == table.sum_after;
        let said = |rows: Option<i64>, sum: &Option<String>| {
            format!(
                "{} rows, sum {}",
                rows.unwrap_or_default(),
                sum.as_deref().unwrap_or("?")
            )
        };
        let text = format!(
            "{} ({}): before {}; after {}: {}",
            table.relation,
            table.kind,
            said(table.rows_before, &table.sum_before),
            said(table.rows_after, &table.sum_after),
            if same {
                course.output.well("the same")
            } else {
                "not the same: the application wrote meanwhile".to_owned()
            }
        );
        let json = json!({
            "table": table.relation,
            "rows": table.kind,
            "before": { "rows": table.rows_before, "sum": table.sum_before },
            "after": { "rows": table.rows_after, "sum": table.sum_after },
            "same": same,
        });
        course.output.good(&text, &json).await?;
    }
    Ok(())
}

/// Lets go of what the adoption has kept.
///
/// # Errors
/// What the database or the output says.
pub(super) async fn finish(course: &mut Course<'_>) -> Result<(), Failure> {
    execute(
        course.connection,
        "DROP SCHEMA IF EXISTS tenancy_adopt CASCADE".to_owned(),
    )
    .await
    .map_err(told)?;
    let text = "the adoption is finished";
    course
        .output
        .good(text, &json!({ "finished": true }))
        .await?;
    Ok(())
}
