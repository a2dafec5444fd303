//! The backfill: rows get their tenant in batches that others hardly notice.

use std::time::{Duration, Instant};

use sqlx::PgConnection;
use tokio::time::sleep;

use super::{
    Course,
    steps::{retried, within},
};
use crate::{
    adopt::administrator::{execute, told},
    failure::Failure,
};

/// How long a batch may take before the next is made smaller.
const LONG: Duration = Duration::from_millis(150);

/// How many batches there are between two looks at replicas and queues.
const LOOKS: u64 = 8;

/// How often rows are looked for that others had locked: for half a minute.
const SWEEPS: u32 = 150;

/// How gently rows are filled.
#[derive(Debug, Clone, Copy)]
pub(in crate::adopt) struct Pace {
    /// About how many rows a batch has.
    pub(in crate::adopt) batch: u32,
    /// The pause between two.
    pub(in crate::adopt) pause: Duration,
    /// How far replicas may be behind.
    pub(in crate::adopt) max_lag: Duration,
}

/// Fills whatever is not filled yet, in the order of the plan.
///
/// # Errors
/// What the database says, with the table.
pub(super) async fn fill(course: &mut Course<'_>) -> Result<(), Failure> {
    // What has come to the root after `prepare` and before the triggers is registered too.
    execute(
        course.connection,
        "SELECT tenancy_adopt.register_all()".to_owned(),
    )
    .await
    .map_err(told)?;
    let parts: Vec<(String, i64)> = sqlx::query_as(
        "SELECT p.relation::text, greatest(c.reltuples / greatest(c.relpages, 1), 1)::bigint
         FROM tenancy_adopt.present_parts() AS p JOIN pg_class AS c ON c.oid = p.relation WHERE NOT p.done ORDER BY p.number",
    )
    .fetch_all(&mut *course.connection)
    .await
    .map_err(told)?;
    for (relation, per_page) in parts {
        let batch = i64::from(course.pace.batch);
        part(course, &relation, (batch / per_page).max(1)).await?;
    }
    sweep(course).await
}

/// Fills rows that were written by transactions which were older than the triggers.
///
/// # Errors
/// What the database says.
pub(super) async fn sweep(course: &mut Course<'_>) -> Result<(), Failure> {
    let parts: Vec<String> = sqlx::query_scalar(
        "SELECT p.relation::text FROM tenancy_adopt.present_parts() AS p ORDER BY p.number",
    )
    .fetch_all(&mut *course.connection)
    .await
    .map_err(told)?;
    let timeout = course.lock_timeout;
    for relation in parts {
        // Rows that others keep locked for longer are told as rows without a tenant.
        for _ in 0..SWEEPS {
            let left = retried(course, &relation, async |connection| {
                let mut left = 0_i64;
                within(connection, timeout, None, async |tx| {
                    left = sqlx::query_scalar("SELECT tenancy_adopt.sweep(to_regclass($1))")
                        .bind(&relation)
                        .fetch_one(tx)
                        .await?;
                    Ok(())
                })
                .await?;
                Ok(left)
            })
            .await?;
            if left == 0 {
                break;
            }
            course
                .output
                .progress(&format!("{relation}: {left} rows are locked by others"));
            sleep(Duration::from_millis(200)).await;
        }
    }
    Ok(())
}

async fn part(course: &mut Course<'_>, relation: &str, pages: i64) -> Result<(), Failure> {
    let mut pages = pages;
    let timeout = course.lock_timeout;
    for number in 0_u64.. {
        if number % LOOKS == 0 {
            be_patient(course, relation).await?;
        }
        let from = Instant::now();
        let (filled, ended) = retried(course, relation, async |connection| {
            let mut got = (0_i64, false);
            within(connection, timeout, None, async |tx| {
                got = batch(tx, relation, pages).await?;
                Ok(())
            })
            .await?;
            Ok(got)
        })
        .await?;
        if ended {
            break;
        }
        let wanted = i64::from(course.pace.batch);
        if from.elapsed() > LONG || filled > wanted * 2 {
            pages = (pages / 2).max(1);
        } else if filled < wanted / 2 {
            pages = pages.saturating_mul(2).min(i64::from(course.pace.batch));
        }
        tell(course, relation).await?;
        sleep(course.pace.pause).await;
    }
    Ok(())
}

async fn batch(
    tx: &mut PgConnection,
    relation: &str,
    pages: i64,
) -> Result<(i64, bool), sqlx::Error> {
    sqlx::query_as("SELECT filled, ended FROM tenancy_adopt.fill_batch(to_regclass($1), $2)")
        .bind(relation)
        .bind(pages)
        .fetch_one(tx)
        .await
}

/// Waits as long as a replica is behind, or somebody waits for the table.
async fn be_patient(course: &mut Course<'_>, relation: &str) -> Result<(), Failure> {
    loop {
        let (lag, queued): (f64, bool) = sqlx::query_as(
            "SELECT coalesce((SELECT extract(epoch FROM max(r.replay_lag)) FROM pg_stat_replication AS r), 0)::float8,
                 EXISTS (SELECT FROM pg_locks AS l WHERE NOT l.granted AND l.relation = to_regclass($1))",
        )
        .bind(relation)
        .fetch_one(&mut *course.connection)
        .await
        .map_err(told)?;
        let behind = lag > course.pace.max_lag.as_secs_f64();
        if !behind && !queued {
            return Ok(());
        }
        let why = if behind {
            "a replica is behind"
        } else {
            "others wait for the table"
        };
        course
            .output
            .progress(&format!("backfill: {relation}: {why}"));
        sleep(Duration::from_millis(if behind { 1_000 } else { 100 })).await;
        if queued && !behind {
            return Ok(());
        }
    }
}

async fn tell(course: &mut Course<'_>, relation: &str) -> Result<(), Failure> {
    if !course.output.has_progress() {
        return Ok(());
    }
    let (share, left): (f64, f64) = sqlx::query_as(
        "SELECT coalesce(p.block::float8 / nullif(p.blocks, 0), 1), (
             SELECT coalesce(sum(coalesce(o.blocks, c.relpages) - o.block)::float8
                 * (SELECT sum(ran_ms) FROM tenancy_adopt.parts)::float8
                 / nullif((SELECT sum(block) FROM tenancy_adopt.parts), 0)::float8, 0)
             FROM tenancy_adopt.parts AS o JOIN pg_class AS c ON c.oid = o.relation) / 1000
         FROM tenancy_adopt.parts AS p WHERE p.relation = to_regclass($1)",
    )
    .bind(relation)
    .fetch_optional(&mut *course.connection)
    .await
    .map_err(told)?
    .unwrap_or((1.0, 0.0));
    course.output.progress(&format!(
        "backfill: {relation}: {:.0} %, about {left:.0} s left for all tables",
        share * 100.0
    ));
    Ok(())
}
