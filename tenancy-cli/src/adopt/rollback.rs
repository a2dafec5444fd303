//! `tenancy adopt rollback`: takes phases back, the last first.

use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::{
    administrator::{Administrator, execute, is_under_way, told},
    run::{
        Course,
        backfill::Pace,
        install,
        phase::Phase,
        steps::{retried, within},
    },
};
use crate::{
    arguments::Form,
    failure::{Failure, Verdict},
    interrupted::until_interrupted,
    output::Output,
};

/// Take an adoption back, to a phase or to the beginning, while the old application runs.
///
/// Nothing of the application's own rows is changed. If it was ended, run it again: it goes on where it was.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes:
  0  it is taken back
  2  it could not be done; what stands in the way is said, such as two tenants' rows that an old key forbids

Examples:
  tenancy adopt rollback
  tenancy adopt rollback --to check")]
pub(crate) struct Rollback {
    #[command(flatten)]
    administrator: Administrator,
    /// The phase that stays done; without it everything is taken back
    #[arg(long, value_enum, value_name = "PHASE")]
    to: Option<Phase>,
    #[command(flatten)]
    pub(crate) form: Form,
}

impl Rollback {
    pub(crate) async fn run(self, output: &mut Output) -> Result<Verdict, Failure> {
        until_interrupted(self.take_back(output)).await
    }

    async fn take_back(&self, output: &mut Output) -> Result<Verdict, Failure> {
        let mut connection = self.administrator.connect_alone().await?;
        if !is_under_way(&mut connection).await? {
            return Err(Failure::told(
                "no adoption is under way, so nothing can be taken back; one that is finished can't be",
            ));
        }
        install(&mut connection).await.map_err(told)?;
        let mut course = Course {
            connection: &mut connection,
            output,
            lock_timeout: self.administrator.lock_timeout,
            pace: Pace {
                batch: 2_000,
                pause: Duration::from_millis(20),
                max_lag: Duration::from_secs(10),
            },
        };
        let last = self.to.map_or(-1, Phase::number);
        // First: what is taken back in part is not done.
        sqlx::query("UPDATE tenancy_adopt.phases SET done_at = NULL WHERE number > $1")
            .bind(last)
            .execute(&mut *course.connection)
            .await
            .map_err(told)?;
        if self.to < Some(Phase::Backfill) {
            let again =
                "UPDATE tenancy_adopt.parts SET block = 0, blocks = NULL, filled = 0, done = false";
            execute(course.connection, again.to_owned())
                .await
                .map_err(told)?;
        }
        while undo_last(&mut course, last).await? {}
        course.output.end_progress();
        let Some(to) = self.to else {
            return end(&mut course).await;
        };
        // What the cut-over has replaced is built again beside the old.
        for phase in [Phase::NewRows, Phase::Observe] {
            if phase <= to && to < Phase::Enforce {
                super::run::steps::carry_out(&mut course, phase).await?;
            }
        }
        let verdict = course.up_to(to, false).await?;
        let text = format!("the phases after {to} are taken back");
        let json = json!({ "rolled_back_to": to.as_str() });
        course.output.good(&text, &json).await?;
        Ok(verdict)
    }
}

/// Takes the last statement of a later phase back. Whether there was one.
async fn undo_last(course: &mut Course<'_>, last: i32) -> Result<bool, Failure> {
    let found: Option<(i64, String, String, bool)> = sqlx::query_as(
        "SELECT u.id, u.phase, u.statement, u.apart FROM tenancy_adopt.undo AS u
         JOIN tenancy_adopt.phases AS p ON p.phase = u.phase WHERE p.number > $1 ORDER BY p.number DESC, u.id DESC LIMIT 1",
    )
    .bind(last)
    .fetch_optional(&mut *course.connection)
    .await
    .map_err(told)?;
    let Some((id, phase, statement, apart)) = found else {
        return Ok(false);
    };
    course.output.progress(&format!("takes back {phase}"));
    if apart {
        execute(course.connection, statement).await.map_err(told)?;
        sqlx::query("DELETE FROM tenancy_adopt.undo WHERE id = $1")
            .bind(id)
            .execute(&mut *course.connection)
            .await
            .map_err(told)?;
        return Ok(true);
    }
    let timeout = course.lock_timeout;
    retried(course, &phase, async |connection| {
        within(connection, timeout, None, async |tx| {
            execute(tx, statement.clone()).await?;
            sqlx::query("DELETE FROM tenancy_adopt.undo WHERE id = $1")
                .bind(id)
                .execute(&mut *tx)
                .await?;
            Ok(())
        })
        .await
    })
    .await?;
    Ok(true)
}

/// Unregisters the tenants, and lets go of what was kept.
async fn end(course: &mut Course<'_>) -> Result<Verdict, Failure> {
    let used: i64 = sqlx::query_scalar("SELECT tenancy_adopt.unregister()")
        .fetch_one(&mut *course.connection)
        .await
        .map_err(told)?;
    execute(
        course.connection,
        "DROP SCHEMA tenancy_adopt CASCADE".to_owned(),
    )
    .await
    .map_err(told)?;
    if used > 0 {
        course.output.remark(&format!(
            "{used} tenants stay registered, because members or others refer to them by now"
        ));
    }
    let text = "the adoption is taken back";
    let json = json!({ "rolled_back": true, "tenants_left": used });
    course.output.good(text, &json).await?;
    Ok(Verdict::Done)
}
