//! `tenancy adopt status`: how far an adoption is.

use clap::Args;
use serde_json::json;
use sqlx::{FromRow, PgConnection};

use super::{
    administrator::{Adopter, is_under_way, told},
    run::tell_denials,
};
use crate::{
    arguments::Form,
    failure::{Failure, Verdict},
    interrupted::until_interrupted,
    output::Output,
};

/// See how far an adoption is: phases, tables, what is left over, and what would have been denied.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes:
  0  it is done and reported, or none is under way
  1  it is not done yet, or something would have been denied
  2  it is not known

Examples:
  tenancy adopt status
  tenancy adopt status --format json")]
pub(crate) struct Status {
    #[command(flatten)]
    administrator: Adopter,
    #[command(flatten)]
    pub(crate) form: Form,
}

#[derive(Debug, FromRow)]
struct Phase {
    phase: String,
    done: bool,
    ran_ms: i64,
    longest_lock_us: i64,
}

#[derive(Debug, FromRow)]
struct Part {
    relation: String,
    filled: i64,
    share: f64,
    seconds_left: Option<f64>,
    done: bool,
}

impl Status {
    pub(crate) async fn run(self, output: &mut Output) -> Result<Verdict, Failure> {
        until_interrupted(async {
            let mut connection = self.administrator.connect().await?;
            if !is_under_way(&mut connection).await? {
                let text = "no adoption is under way";
                output.good(text, &json!({ "under_way": false })).await?;
                return Ok(Verdict::Done);
            }
            let done = phases(&mut connection, output).await?;
            parts(&mut connection, output).await?;
            invalid(&mut connection, output).await?;
            let denied = tell_denials(&mut connection, output).await?;
            Ok(if done && denied == 0 {
                Verdict::Done
            } else {
                Verdict::Fault
            })
        })
        .await
    }
}

/// Whether the last phase before the end is done.
async fn phases(connection: &mut PgConnection, output: &mut Output) -> Result<bool, Failure> {
    let phases: Vec<Phase> = sqlx::query_as(
        "SELECT phase, done_at IS NOT NULL AS done, ran_ms, longest_lock_us FROM tenancy_adopt.phases ORDER BY number",
    )
    .fetch_all(connection)
    .await
    .map_err(told)?;
    for phase in &phases {
        let lock = phase.longest_lock_us;
        let text = format!(
            "{}: {}, {} ms, longest lock {}.{:03} ms",
            phase.phase,
            if phase.done { "done" } else { "not done" },
            phase.ran_ms,
            lock / 1_000,
            lock % 1_000
        );
        let json = json!({
            "phase": phase.phase,
            "done": phase.done,
            "ran_ms": phase.ran_ms,
            "longest_lock_us": lock,
        });
        output.result(&text, &json).await?;
    }
    Ok(phases
        .iter()
        .any(|phase| phase.done && phase.phase == "report"))
}

async fn parts(connection: &mut PgConnection, output: &mut Output) -> Result<(), Failure> {
    let parts: Vec<Part> = sqlx::query_as(
        "SELECT p.relation::text, p.filled, p.done,
             CASE WHEN p.done THEN 1 ELSE p.block::float8 / greatest(coalesce(p.blocks, c.relpages), 1) END AS share,
             CASE WHEN p.done THEN 0 WHEN p.block > 0
                 THEN (p.blocks - p.block) * p.ran_ms::float8 / p.block / 1000 END::float8 AS seconds_left
         FROM tenancy_adopt.parts AS p JOIN pg_class AS c ON c.oid = p.relation ORDER BY p.number",
    )
    .fetch_all(connection)
    .await
    .map_err(told)?;
    for part in parts {
        let left = part.seconds_left;
        let left = left.map_or_else(|| "?".to_owned(), |left| format!("{left:.0}"));
        let text = if part.done {
            format!("{}: filled, {} rows", part.relation, part.filled)
        } else {
            format!(
                "{}: {:.0} % filled, {} rows, about {left} s left",
                part.relation,
                part.share * 100.0,
                part.filled
            )
        };
        let json = json!({
            "table": part.relation,
            "filled": part.filled,
            "share": part.share,
            "seconds_left": part.seconds_left,
            "done": part.done,
        });
        output.result(&text, &json).await?;
    }
    Ok(())
}

async fn invalid(connection: &mut PgConnection, output: &mut Output) -> Result<(), Failure> {
    let invalid: Vec<String> = sqlx::query_scalar(
        "SELECT i.indexrelid::regclass::text FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
         WHERE NOT i.indisvalid AND c.relname LIKE 'tenancy\\_adopt\\_%' ORDER BY 1",
    )
    .fetch_all(connection)
    .await
    .map_err(told)?;
    for index in invalid {
        let text = format!(
            "the index {index} is being built, or its build has ended early: the next run builds it anew"
        );
        output
            .result(&text, &json!({ "invalid_index": index }))
            .await?;
    }
    Ok(())
}
