//! `tenancy usage status`: what became of a tenant's events.

use clap::Args;
use serde_json::json;
use tenancy_core::Timestamp;
use tenancy_usage::{UsageMeters, UsageSink as _, UsageStatus};

use super::whose::Whose;
use crate::{
    arguments::Form,
    connect::Session,
    failure::{Failure, Verdict},
    output::Output,
};

/// Tell how many events of a tenant were counted, how many were not and why, how many wait, and how fresh its usage is.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes:
  0  no event was left out; events may wait to be counted
  1  there are events that were not counted: another's id, no meter, too late, refused
  2  it is not known: no connection, no such operator

Examples:
  tenancy usage status --tenant 0199c0de-0000-7000-8000-000000000001 --operator $ME --reason 'ticket 4711'")]
pub(super) struct Status {
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    pub(super) form: Form,
}

impl Status {
    pub(super) async fn run(
        &self,
        session: &Session,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        let (tenant, _) = self.whose.read(session, "status").await?;
        let usage = session.usage(UsageMeters::default());
        let status = usage.status(tenant).await.map_err(Failure::told)?;
        let uncounted = status.conflicts + status.unmatched + status.too_late + status.refused;
        let json = json!({
            "tenant": tenant,
            "counted": status.counted,
            "already_counted": status.already_counted,
            "conflicts": status.conflicts,
            "unmatched": status.unmatched,
            "too_late": status.too_late,
            "refused": status.refused,
            "pending": status.pending,
            "pending_since": status.pending_since.map(|at| at.to_string()),
            "newest_event": status.newest_event.map(|at| at.to_string()),
            "rolled_up_until": status.rolled_up_until.map(|at| at.to_string()),
        });
        output
            .result(&told(&status, uncounted, output), &json)
            .await?;
        Ok(match uncounted {
            0 => Verdict::Done,
            _ => Verdict::Fault,
        })
    }
}

fn told(status: &UsageStatus, uncounted: u64, output: &Output) -> String {
    let moment = |at: Option<Timestamp>| at.map_or_else(|| "none".to_owned(), |at| at.to_string());
    let verdict = match uncounted {
        0 => output.well("nothing was left out"),
        count => output.bad(&format!("{count} were not counted")),
    };
    format!(
        "{} events counted; {verdict}\n  sent again        {}\n  another's id      {}\n  no such meter     {}\n  too late          \
         {}\n  refused           {}\n  waits             {}, since {}\n  newest event      {}\n  counted up to     {}",
        status.counted,
        status.already_counted,
        status.conflicts,
        status.unmatched,
        status.too_late,
        status.refused,
        status.pending,
        moment(status.pending_since),
        moment(status.newest_event),
        moment(status.rolled_up_until),
    )
}
