//! `tenancy adopt rollback`: takes phases back, the last first.

use std::time::Duration;

use clap::Args;
use serde_json::json;
use sqlx::PgConnection;

use super::{
    administrator::{Adopter, execute, is_under_way, told},
    run::{
        Course,
        backfill::Pace,
        forget_the_way, install,
        phase::Phase,
        steps::{apart, retried, within},
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
    administrator: Adopter,
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
            administrator: &self.administrator,
            connection: &mut connection,
            output,
            lock_timeout: self.administrator.lock_timeout,
            pace: Pace {
                batch: 2_000,
                pause: Duration::from_millis(20),
                max_lag: Duration::from_secs(10),
            },
        };
        if let Some(to) = self.to {
            is_behind(course.connection, to).await?;
        }
        let last = self.to.map_or(-1, Phase::number);
        // First: what is taken back in part is not done, and where it was to end is known to whoever goes on.
        sqlx::query(
            "WITH begun AS (UPDATE tenancy_adopt.adoption SET back_to = $1)
             UPDATE tenancy_adopt.phases SET done_at = NULL WHERE number > $1",
        )
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
        let mut longest = Duration::ZERO;
        while let Some(held) = undo_last(&mut course, last).await? {
            longest = longest.max(held);
        }
        let longest = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX);
        course.output.end_progress();
        let Some(to) = self.to else {
            return end(&mut course, longest).await;
        };
        // What the cut-over has replaced is built again beside the old. All of it was done before.
        let verdict = course.up_to(to, false).await?;
        forget_the_way(course.connection).await?;
        let text = format!(
            "the phases after {to} are taken back, longest lock {} ms",
            longest / 1_000
        );
        let json = json!({ "rolled_back_to": to.as_str(), "longest_lock_us": longest });
        course.output.good(&text, &json).await?;
        Ok(verdict)
    }
}

/// Whether a phase was done, or was the goal of a rollback that was ended: from there nothing runs forward that has not
/// run before.
///
/// # Errors
/// That it was not done, or can't be gone back to.
async fn is_behind(connection: &mut PgConnection, to: Phase) -> Result<(), Failure> {
    if to == Phase::Finish {
        return Err(Failure::told(
            "`finish` can't be gone back to: it lets go of what that takes; name an earlier phase by --to",
        ));
    }
    let behind: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM tenancy_adopt.phases AS p WHERE p.phase = $1 AND p.done_at IS NOT NULL)
             OR EXISTS (SELECT FROM tenancy_adopt.adoption AS a WHERE a.back_to = $2)",
    )
    .bind(to.as_str())
    .bind(to.number())
    .fetch_one(connection)
    .await
    .map_err(told)?;
    if behind {
        return Ok(());
    }
    Err(Failure::Told(format!(
        "the phase {to} is not done, so it can't be gone back to: `tenancy adopt status` has the phases that are done; \
         `tenancy adopt run --until {to}` goes forward"
    )))
}

/// Takes the last statement of a later phase back. Returns how long it had its locks, if there was one.
async fn undo_last(course: &mut Course<'_>, last: i32) -> Result<Option<Duration>, Failure> {
    let found: Option<(i64, String, String, bool)> = sqlx::query_as(
        "SELECT u.id, u.phase, u.statement, u.apart FROM tenancy_adopt.undo AS u
         JOIN tenancy_adopt.phases AS p ON p.phase = u.phase WHERE p.number > $1 ORDER BY p.number DESC, u.id DESC LIMIT 1",
    )
    .bind(last)
    .fetch_optional(&mut *course.connection)
    .await
    .map_err(told)?;
    let Some((id, phase, statement, outside)) = found else {
        return Ok(None);
    };
    course.output.progress(&format!("takes back {phase}"));
    if outside {
        while !apart(course, &phase, &statement).await? {}
        sqlx::query("DELETE FROM tenancy_adopt.undo WHERE id = $1")
            .bind(id)
            .execute(&mut *course.connection)
            .await
            .map_err(told)?;
        return Ok(Some(Duration::ZERO));
    }
    let timeout = course.lock_timeout;
    let held = retried(course, &phase, async |connection| {
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
    Ok(Some(held))
}

/// Unregisters the tenants, and lets go of what was kept.
async fn end(course: &mut Course<'_>, longest: u64) -> Result<Verdict, Failure> {
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
    let text = format!(
        "the adoption is taken back, longest lock {} ms",
        longest / 1_000
    );
    let json = json!({ "rolled_back": true, "tenants_left": used, "longest_lock_us": longest });
    course.output.good(&text, &json).await?;
    Ok(Verdict::Done)
}
