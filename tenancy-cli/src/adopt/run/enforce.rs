//! The cut-over: one transaction that holds all tables, and reads none of them.

use serde_json::{Value, json};
use sqlx::PgConnection;

use super::{
    Course,
    phase::Phase,
    prepare::is_unchanged,
    steps::{retried, within},
};
use crate::{
    adopt::administrator::{execute, told},
    failure::{Failure, Verdict},
    output::Output,
};

/// All tables, and the registry to which they will refer.
const LOCKS: &str = "SELECT tenancy_adopt.lock(ARRAY(SELECT c.relation::regclass FROM tenancy_adopt.concerned() AS c
    LEFT JOIN tenancy_adopt.tables AS t ON t.relation = c.relation ORDER BY t.number, c.relation), 'ACCESS EXCLUSIVE');
    SELECT tenancy_adopt.lock(ARRAY['tenancy.tenants']::regclass[], 'SHARE ROW EXCLUSIVE')";

/// Cuts over, unless something could not have been written.
///
/// # Errors
/// What the database says, as `protect` does: nothing is changed then.
pub(super) async fn enforce(
    course: &mut Course<'_>,
    forget_denials: bool,
) -> Result<Verdict, Failure> {
    // Also of what has changed while this ran.
    is_unchanged(course.connection).await?;
    if forget_denials {
        execute(
            course.connection,
            "DELETE FROM tenancy_adopt.denials;
             SELECT pg_stat_reset_single_function_counters(s.funcid) FROM pg_stat_user_functions AS s
             WHERE s.schemaname = 'tenancy_adopt'"
                .to_owned(),
        )
        .await
        .map_err(told)?;
    } else if tell_denials(course.connection, course.output).await? > 0 {
        course.output.remark(
            "row security would deny this: mend the service, and run this again with --forget-denials",
        );
        return Ok(Verdict::Fault);
    }
    let tables: Vec<String> =
        sqlx::query_scalar("SELECT relation::text FROM tenancy_adopt.tables ORDER BY number")
            .fetch_all(&mut *course.connection)
            .await
            .map_err(told)?;
    let timeout = course.lock_timeout;
    let first = tables.first().map_or("tenancy.tenants", String::as_str);
    let held = retried(course, first, async |connection| {
        within(connection, timeout, Some(LOCKS), async |tx| {
            // Rows that were written before the one which says their tenant have it by now.
            execute(
                tx,
                "SELECT tenancy_adopt.sweep(p.relation) FROM tenancy_adopt.parts AS p
                     WHERE tenancy_adopt.is_late(p.belongs);
                 SELECT tenancy_adopt.enforce();
                 INSERT INTO tenancy_adopt.undo (phase, statement, apart)
                     VALUES ('enforce', 'SELECT tenancy_adopt.restore()', false);
                 UPDATE tenancy_adopt.phases SET done_at = clock_timestamp() WHERE phase = 'enforce'"
                    .to_owned(),
            )
            .await
        })
        .await
    })
    .await?;
    course.held(Phase::Enforce, held).await?;
    Ok(Verdict::Done)
}

/// Tells what would have been hidden, which is what row security is for, and what could not have been written. Returns for
/// how many tables there is something of the latter.
///
/// # Errors
/// What the database says.
pub(in crate::adopt) async fn tell_denials(
    connection: &mut PgConnection,
    output: &mut Output,
) -> Result<usize, Failure> {
    let denied: Vec<(String, bool, i64, Value)> =
        sqlx::query_as("SELECT relation, blocks, times, rows FROM tenancy_adopt.denied()")
            .fetch_all(connection)
            .await
            .map_err(told)?;
    for (relation, blocks, times, rows) in &denied {
        let mut text = if *blocks {
            format!(
                "{}: {relation}: {times} rows",
                output.bad("would be denied")
            )
        } else {
            format!("would be hidden: {relation}: {times} rows")
        };
        for row in rows.as_array().into_iter().flatten() {
            let said = |name: &str| {
                row.get(name)
                    .and_then(Value::as_str)
                    .unwrap_or("none")
                    .to_owned()
            };
            let times = row.get("times").and_then(Value::as_i64).unwrap_or_default();
            text.push_str(&format!(
                "\n  {} in sessions of the tenant {}: {times} transactions, from {} to {}",
                said("command"),
                said("tenant"),
                said("first"),
                said("last")
            ));
        }
        let kind = if *blocks { "denied" } else { "hidden" };
        let json = json!({ kind: relation, "times": times, "rows": rows });
        output.result(&text, &json).await?;
    }
    Ok(denied.iter().filter(|(_, blocks, ..)| *blocks).count())
}
