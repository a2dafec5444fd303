//! Steps: one change of the schema each, in a transaction that waits for no lock for long.
//!
//! What is still to be done is read from the catalog each time. So a run that was killed goes on with what it has not
//! done, and a step that was done by hand is not done again.

use std::{
    pin::pin,
    time::{Duration, Instant},
};

use sqlx::{Connection as _, FromRow, PgConnection};
use tokio::time::{sleep, timeout};

use super::{Course, phase::Phase};
use crate::{
    adopt::administrator::{execute, told},
    failure::{Failure, code},
};

/// How often a step is tried that waits for a lock.
const TRIES: u32 = 40;

/// How often what is to be done is looked up again: an index whose build a deadlock has ended is dropped in one round, and
/// built in the next.
const ROUNDS: u32 = 40;

/// How long a statement outside of a transaction runs before it is looked at for whom it waits, and then again.
const LOOK: Duration = Duration::from_secs(1);

/// One change.
#[derive(Debug, Clone, FromRow)]
pub(super) struct Step {
    about: String,
    /// The statement that takes its locks before it.
    locks: Option<String>,
    forward: String,
    undo: Option<String>,
    /// It can't be done in a transaction.
    apart: bool,
}

/// Does all steps of a phase that are not done yet.
///
/// # Errors
/// What the database says, with the table.
pub(in crate::adopt) async fn carry_out(
    course: &mut Course<'_>,
    phase: Phase,
) -> Result<(), Failure> {
    for _ in 0..ROUNDS {
        let steps = to_do(course.connection, phase).await?;
        if steps.is_empty() {
            return Ok(());
        }
        let all = steps.len();
        for (number, step) in steps.into_iter().enumerate() {
            let progress = format!("{phase}: {} of {all}: {}", number + 1, step.about);
            course.output.progress(&progress);
            if !one(course, phase, &step).await? {
                break;
            }
        }
    }
    let left = to_do(course.connection, phase).await?;
    let Some(left) = left.first() else {
        return Ok(());
    };
    Err(Failure::Told(format!(
        "{phase}: {} is not done after several attempts: {}",
        left.about, left.forward
    )))
}

async fn to_do(connection: &mut PgConnection, phase: Phase) -> Result<Vec<Step>, Failure> {
    let steps = match phase {
        Phase::Columns => {
            "SELECT about, locks, forward, undo, apart FROM tenancy_adopt.columns_steps()"
        }
        Phase::NewRows => {
            "SELECT about, locks, forward, undo, apart FROM tenancy_adopt.new_rows_steps()"
        }
        Phase::Indexes => {
            "SELECT about, locks, forward, undo, apart FROM tenancy_adopt.indexes_steps()"
        }
        Phase::Constraints => {
            "SELECT about, locks, forward, undo, apart FROM tenancy_adopt.constraints_steps()"
        }
        Phase::Validate => {
            "SELECT about, locks, forward, undo, apart FROM tenancy_adopt.validate_steps()"
        }
        Phase::Observe => {
            "SELECT about, locks, forward, undo, apart FROM tenancy_adopt.observe_steps()"
        }
        _ => return Ok(Vec::new()),
    };
    sqlx::query_as(steps)
        .fetch_all(connection)
        .await
        .map_err(told)
}

/// Does a step. Whether it is done: one outside of a transaction may have been ended by a deadlock.
async fn one(course: &mut Course<'_>, phase: Phase, step: &Step) -> Result<bool, Failure> {
    if step.apart {
        // Told before: it can't be in one transaction with it.
        if let Some(undo) = &step.undo {
            remember(course.connection, phase, undo, true)
                .await
                .map_err(told)?;
        }
        return apart(course, &step.about, &step.forward)
            .await
            .map_err(|failure| about(&step.about, failure));
    }
    let lock_timeout = course.lock_timeout;
    let held = retried(course, &step.about, async |connection| {
        within(
            connection,
            lock_timeout,
            step.locks.as_deref(),
            async |tx| {
                execute(tx, step.forward.clone()).await?;
                if let Some(undo) = &step.undo {
                    remember(tx, phase, undo, false).await?;
                }
                Ok(())
            },
        )
        .await
    })
    .await
    .map_err(|failure| about(&step.about, failure))?;
    if step.locks.is_some() {
        course.held(phase, held).await?;
    }
    Ok(true)
}

/// Runs a statement that can't be in a transaction. It may wait for transactions of others, and says for whose. Returns
/// whether it is done: a deadlock may have ended it, which may go well the next time.
///
/// # Errors
/// What the database says.
pub(in crate::adopt) async fn apart(
    course: &mut Course<'_>,
    about: &str,
    statement: &str,
) -> Result<bool, Failure> {
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
        .fetch_one(&mut *course.connection)
        .await
        .map_err(told)?;
    let mut watch = course.administrator.connect().await?;
    let mut known = Vec::new();
    let mut work = pin!(execute(&mut *course.connection, statement.to_owned()));
    loop {
        match timeout(LOOK, &mut work).await {
            Ok(Ok(())) => break,
            Ok(Err(error)) if passes(&error) => {
                sleep(LOOK).await;
                return Ok(false);
            }
            Ok(Err(error)) => return Err(told(error)),
            Err(_) => {}
        }
        let waits = waits_for(&mut watch, pid).await?;
        if !waits.is_empty() && waits != known {
            course.output.remark(&format!(
                "{about}: waits for the transaction of {}; it goes on when that ends",
                waits.join(", ")
            ));
            known = waits;
        }
    }
    watch.close().await.map_err(told)?;
    Ok(true)
}

/// Whose transactions a process of the server waits for.
async fn waits_for(watch: &mut PgConnection, pid: i32) -> Result<Vec<String>, Failure> {
    sqlx::query_scalar(
        "SELECT format('the server''s process %s (%s)', a.pid, concat_ws(', ', a.usename, nullif(a.application_name, ''), a.state))
         FROM pg_stat_activity AS a WHERE a.pid = ANY (pg_blocking_pids($1)) ORDER BY a.pid",
    )
    .bind(pid)
    .fetch_all(watch)
    .await
    .map_err(told)
}

fn about(table: &str, failure: Failure) -> Failure {
    match failure {
        Failure::Told(message) => Failure::Told(format!("{table}: {message}")),
        closed @ Failure::ClosedPipe => closed,
    }
}

async fn remember(
    connection: &mut PgConnection,
    phase: Phase,
    undo: &str,
    apart: bool,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO tenancy_adopt.undo (phase, statement, apart) VALUES ($1, $2, $3)")
        .bind(phase.as_str())
        .bind(undo)
        .bind(apart)
        .execute(connection)
        .await?;
    Ok(())
}

/// Does something in a transaction that waits for each lock so long and no longer. Returns how long it had its locks, or waited for
/// them.
///
/// # Errors
/// What the database says; nothing is done then.
pub(in crate::adopt) async fn within(
    connection: &mut PgConnection,
    lock_timeout: u32,
    locks: Option<&str>,
    work: impl AsyncFnOnce(&mut PgConnection) -> Result<(), sqlx::Error>,
) -> Result<Duration, sqlx::Error> {
    let mut tx = connection.begin().await?;
    let done = async {
        // Whoever waits for less than it takes to find a deadlock is the one that gives in, and not the application.
        let patience = format!(
            "SELECT set_config('lock_timeout', least({lock_timeout}, greatest(1,
                 (extract(epoch FROM current_setting('deadlock_timeout')::interval) * 500)::int))::text, true)"
        );
        execute(&mut tx, patience).await?;
        // Others wait from the first of several locks on.
        let from = Instant::now();
        if let Some(locks) = locks {
            execute(&mut tx, locks.to_owned()).await?;
        }
        work(&mut tx).await?;
        Ok(from)
    }
    .await;
    match done {
        Ok(from) => {
            tx.commit().await?;
            Ok(from.elapsed())
        }
        Err(error) => {
            tx.rollback().await?;
            Err(error)
        }
    }
}

/// Tries something again as long as a lock is what is missing, after ever longer pauses.
///
/// # Errors
/// What the database says otherwise, and at last that the lock could not be had, with who has it.
pub(in crate::adopt) async fn retried<T>(
    course: &mut Course<'_>,
    table: &str,
    mut work: impl AsyncFnMut(&mut PgConnection) -> Result<T, sqlx::Error>,
) -> Result<T, Failure> {
    let mut pause = Duration::from_millis(100);
    for _ in 0..TRIES {
        match work(course.connection).await {
            Ok(done) => return Ok(done),
            Err(error) if passes(&error) => {
                course
                    .output
                    .progress(&format!("{table}: waits for a lock"));
                sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(5));
            }
            Err(error) => return Err(told(error)),
        }
    }
    let holders: Vec<i32> = sqlx::query_scalar(
        "SELECT DISTINCT l.pid FROM pg_locks AS l
         WHERE l.granted AND l.relation = to_regclass($1) AND l.pid <> pg_backend_pid() ORDER BY 1 LIMIT 5",
    )
    .bind(table)
    .fetch_all(&mut *course.connection)
    .await
    .map_err(told)?;
    let holders: Vec<_> = holders.iter().map(ToString::to_string).collect();
    Err(Failure::Told(format!(
        "the lock could not be had in {TRIES} attempts of {} ms; these processes of the server have it now: {}. Look at \
         them in pg_stat_activity, and run this again: it goes on where it was",
        course.lock_timeout,
        if holders.is_empty() {
            "none".to_owned()
        } else {
            holders.join(", ")
        }
    )))
}

/// A lock that was not to be had, a deadlock, a conflict: it may go well the next time.
fn passes(error: &sqlx::Error) -> bool {
    matches!(code(error).as_deref(), Some("55P03" | "40P01" | "40001"))
}
