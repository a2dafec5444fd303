//! `tenancy adopt run`: carries out a plan, phase after phase.
//!
//! What is done is recorded in the schema `tenancy_adopt`, in the transaction that does it. So a run that was ended at
//! any point goes on where it was.

pub(super) mod backfill;
mod enforce;
mod faults;
pub(super) mod phase;
mod prepare;
mod report;
pub(super) mod steps;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::Args;
use sqlx::PgConnection;

pub(super) use self::enforce::tell_denials;
use self::{backfill::Pace, phase::Phase};
use super::administrator::{Adopter, execute, told};
use crate::{
    arguments::Form,
    failure::{Failure, Verdict},
    interrupted::until_interrupted,
    output::Output,
};

/// Carry out a plan, phase after phase, while the old application runs; run it again to go on.
///
/// It ends before the cut-over, unless told to go further: `--until report`. Each phase can be taken back by `tenancy adopt
/// rollback`, until `--until finish` lets go of what that takes.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes:
  0  all phases up to that one are done
  1  the data, or what was observed, stands against the plan: nothing later was begun
  2  it could not be done; run it again to go on where it was

Examples:
  tenancy adopt run --plan plan.json
  tenancy adopt run --until report
  tenancy adopt run --until finish")]
pub(crate) struct Run {
    #[command(flatten)]
    administrator: Adopter,
    /// What `tenancy adopt plan --out` has written; not needed to go on
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// The last phase that is done
    #[arg(long, value_enum, value_name = "PHASE", default_value_t = Phase::Observe)]
    until: Phase,
    /// About how many rows the backfill changes in a transaction
    #[arg(long, value_name = "ROWS", default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    /// How long the backfill pauses between two batches, in milliseconds
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 20)]
    pause: u64,
    /// How far a replica may be behind before the backfill waits for it, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    max_lag: u64,
    /// Enforce although denials were recorded; they are forgotten
    #[arg(long)]
    forget_denials: bool,
    #[command(flatten)]
    pub(crate) form: Form,
}

/// What a phase is done with.
#[derive(Debug)]
pub(super) struct Course<'c> {
    pub(super) administrator: &'c Adopter,
    pub(super) connection: &'c mut PgConnection,
    pub(super) output: &'c mut Output,
    pub(super) lock_timeout: u32,
    pub(super) pace: Pace,
}

impl Run {
    pub(crate) async fn run(self, output: &mut Output) -> Result<Verdict, Failure> {
        until_interrupted(self.carry_out(output)).await
    }

    async fn carry_out(&self, output: &mut Output) -> Result<Verdict, Failure> {
        let mut connection = self.administrator.connect_alone().await?;
        let plan = self.plan.as_deref().map(prepare::read).transpose()?;
        prepare::begin(&mut connection, plan.as_ref()).await?;
        forget_the_way(&mut connection).await?;
        let mut course = Course {
            administrator: &self.administrator,
            connection: &mut connection,
            output,
            lock_timeout: self.administrator.lock_timeout,
            pace: Pace {
                batch: self.batch,
                pause: Duration::from_millis(self.pause),
                max_lag: Duration::from_secs(self.max_lag),
            },
        };
        course.up_to(self.until, self.forget_denials).await
    }
}

impl Course<'_> {
    /// Does all phases up to one that are not done yet.
    ///
    /// # Errors
    /// What the database says.
    pub(super) async fn up_to(
        &mut self,
        until: Phase,
        forget_denials: bool,
    ) -> Result<Verdict, Failure> {
        let mut told_last = None;
        for phase in Phase::ALL.into_iter().filter(|phase| *phase <= until) {
            if phase == Phase::Finish {
                report::finish(self).await?;
                return Ok(Verdict::Done);
            }
            if self.is_done(phase).await? {
                continue;
            }
            self.begin(phase).await?;
            let from = Instant::now();
            let verdict = self.one(phase, forget_denials).await;
            self.ran(phase, from.elapsed(), matches!(verdict, Ok(Verdict::Done)))
                .await?;
            self.output.end_progress();
            if verdict? == Verdict::Fault {
                return Ok(Verdict::Fault);
            }
            report::phase(self, phase).await?;
            told_last = Some(phase);
        }
        if until < Phase::Enforce && told_last.is_some() {
            self.output.remark(
                "the old application goes on as before; `tenancy adopt status` tells what is recorded, `tenancy adopt run \
                 --until report` cuts over, `tenancy adopt rollback` takes everything back",
            );
        }
        Ok(Verdict::Done)
    }

    async fn one(&mut self, phase: Phase, forget_denials: bool) -> Result<Verdict, Failure> {
        match phase {
            Phase::Prepare => prepare::count(self).await?,
            Phase::Backfill => backfill::fill(self).await?,
            Phase::Check => {
                backfill::sweep(self).await?;
                return faults::tell(self).await;
            }
            Phase::Validate => {
                // Whatever was written before the constraints were made has been committed by now.
                backfill::sweep(self).await?;
                if faults::tell(self).await? == Verdict::Fault {
                    return Ok(Verdict::Fault);
                }
                steps::carry_out(self, phase).await?;
            }
            Phase::Enforce => return enforce::enforce(self, forget_denials).await,
            Phase::Report => report::report(self).await?,
            _ => steps::carry_out(self, phase).await?,
        }
        Ok(Verdict::Done)
    }

    async fn is_done(&mut self, phase: Phase) -> Result<bool, Failure> {
        sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM tenancy_adopt.phases WHERE phase = $1 AND done_at IS NOT NULL)",
        )
        .bind(phase.as_str())
        .fetch_one(&mut *self.connection)
        .await
        .map_err(told)
    }

    async fn begin(&mut self, phase: Phase) -> Result<(), Failure> {
        sqlx::query(
            "INSERT INTO tenancy_adopt.phases (phase, number) VALUES ($1, $2) ON CONFLICT (phase) DO NOTHING",
        )
        .bind(phase.as_str())
        .bind(phase.number())
        .execute(&mut *self.connection)
        .await
        .map_err(told)?;
        Ok(())
    }

    async fn ran(&mut self, phase: Phase, took: Duration, done: bool) -> Result<(), Failure> {
        let ran = sqlx::query(
            "UPDATE tenancy_adopt.phases SET ran_ms = ran_ms + $2, done_at = CASE WHEN $3 THEN clock_timestamp() END
             WHERE phase = $1",
        )
        .bind(phase.as_str())
        .bind(i64::try_from(took.as_millis()).unwrap_or(i64::MAX))
        .bind(done)
        .execute(&mut *self.connection)
        .await;
        match ran {
            Ok(_) => Ok(()),
            Err(error) if done => Err(told(error)),
            // Why the phase failed says more than that this could not be written either.
            Err(_) => Ok(()),
        }
    }

    /// Remembers how long a lock was held.
    ///
    /// # Errors
    /// What the database says.
    pub(super) async fn held(&mut self, phase: Phase, held: Duration) -> Result<(), Failure> {
        sqlx::query(
            "UPDATE tenancy_adopt.phases SET longest_lock_us = greatest(longest_lock_us, $2) WHERE phase = $1",
        )
        .bind(phase.as_str())
        .bind(i64::try_from(held.as_micros()).unwrap_or(i64::MAX))
        .execute(&mut *self.connection)
        .await
        .map_err(told)?;
        Ok(())
    }
}

/// From here on the adoption goes forward: no rollback is under way.
///
/// # Errors
/// What the database says.
pub(super) async fn forget_the_way(connection: &mut PgConnection) -> Result<(), Failure> {
    execute(
        connection,
        "UPDATE tenancy_adopt.adoption SET back_to = NULL".to_owned(),
    )
    .await
    .map_err(told)
}

/// The schema `tenancy_adopt`, with the functions of this version.
///
/// # Errors
/// What the database says.
pub(super) async fn install(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    for sql in [
        include_str!("run/state.sql"),
        include_str!("run/prepare.sql"),
        include_str!("run/rows.sql"),
        include_str!("run/keys.sql"),
        include_str!("run/observe.sql"),
        include_str!("run/enforce.sql"),
    ] {
        execute(connection, sql.to_owned()).await?;
    }
    Ok(())
}
