//! The cut-over: one transaction that holds all tables, and reads none of them.

use serde_json::{Value, json};
use sqlx::PgConnection;

use super::{
    Course,
    phase::Phase,
    steps::{retried, within},
};
use crate::{
    adopt::administrator::{execute, told},
    failure::{Failure, Verdict},
    output::Output,
};

/// Cuts over, unless something would have been denied.
///
/// # Errors
/// What the database says, as `protect` does: nothing is changed then.
pub(super) async fn enforce(
    course: &mut Course<'_>,
    forget_denials: bool,
) -> Result<Verdict, Failure> {
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
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT c.relation::regclass::text FROM tenancy_adopt.concerned() AS c
             LEFT JOIN tenancy_adopt.tables AS t ON t.relation = c.relation ORDER BY t.number, c.relation",
    )
    .fetch_all(&mut *course.connection)
    .await
    .map_err(told)?;
    let locks = format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", tables.join(", "));
    let timeout = course.lock_timeout;
    let first = tables.first().map_or("tenancy.tenants", String::as_str);
    let held = retried(course, first, async |connection| {
        within(connection, timeout, Some(&locks), async |tx| {
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

/// Tells what would have been denied. Returns for how many tables.
///
/// # Errors
/// What the database says.
pub(in crate::adopt) async fn tell_denials(
    connection: &mut PgConnection,
    output: &mut Output,
) -> Result<usize, Failure> {
    let denied: Vec<(String, i64, Value)> =
        sqlx::query_as("SELECT relation, times, rows FROM tenancy_adopt.denied()")
            .fetch_all(connection)
            .await
            .map_err(told)?;
    for (relation, times, rows) in &denied {
        let mut text = format!(
            "{}: {relation}: {times} rows",
            output.bad("would be denied")
        );
        for row in rows.as_array().into_iter().flatten() {
            let said = |name: &str| {
                row.get(name)
                    .and_then(Value::as_str)
                    .unwrap_or("none")
                    .to_owned()
            };
            let times = row.get("times").and_then(Value::as_i64).unwrap_or_default();
            text.push_str(&format!(
                "\n  {} in sessions of the tenant {}: {times}, from {} to {}",
                said("command"),
                said("tenant"),
                said("first"),
                said("last")
            ));
        }
        let json = json!({ "denied": relation, "times": times, "rows": rows });
        output.result(&text, &json).await?;
    }
    Ok(denied.len())
}
