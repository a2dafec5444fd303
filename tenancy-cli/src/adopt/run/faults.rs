//! What the data has against the plan.

use serde_json::json;
use sqlx::FromRow;

use super::Course;
use crate::{
    adopt::administrator::told,
    failure::{Failure, Verdict},
    output::plain,
};

#[derive(Debug, FromRow)]
struct Fault {
    relation: String,
    fault: String,
    number: i64,
    rows: Vec<String>,
    mend: String,
}

/// Tells each fault with its table, how many rows it has, and three of them.
///
/// # Errors
/// What the database says.
pub(super) async fn tell(course: &mut Course<'_>) -> Result<Verdict, Failure> {
    let faults: Vec<Fault> =
        sqlx::query_as("SELECT relation, fault, number, rows, mend FROM tenancy_adopt.faults()")
            .fetch_all(&mut *course.connection)
            .await
            .map_err(told)?;
    course.output.end_progress();
    for fault in &faults {
        let text = format!(
            "{}: {} {}; for example {}; {}",
            fault.relation,
            fault.number,
            fault.fault,
            fault.rows.join("; "),
            fault.mend
        );
        let text = format!("{}: {}", course.output.bad("fault"), plain(&text));
        let json = json!({
            "fault": fault.fault,
            "table": fault.relation,
            "number": fault.number,
            "rows": fault.rows,
            "mend": fault.mend,
        });
        course.output.result(&text, &json).await?;
    }
    Ok(if faults.is_empty() {
        Verdict::Done
    } else {
        Verdict::Fault
    })
}
