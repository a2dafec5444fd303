//! `tenancy audit tail`: entries as they come.

use std::time::Duration;

use clap::Args;
use tenancy_core::{AuditEntry, ExportFormat, OperatorRight, StoreErrorKind, TailOptions};

use super::{
    filter::Filter,
    whose::{Chain, Whose},
};
use crate::{
    arguments::{Form, Format},
    connect::Session,
    failure::{Failure, Verdict},
    output::{Output, plain},
    who::Named,
};

/// Print entries as they come, until Ctrl-C.
///
/// It takes an operator with the right `read-trail`, and is recorded.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tenancy audit tail --all --outcome refused --operator $ME --reason 'incident 12'
  tenancy audit tail --tenant $ACME --format json --operator $ME --reason 'ticket 4711' | jq .action")]
pub(super) struct Tail {
    #[command(flatten)]
    whose: Whose,
    /// How often the database is asked, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    interval: u64,
    #[command(flatten)]
    who: Named,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    pub(super) form: Form,
}

impl Tail {
    pub(super) async fn run(
        &self,
        session: &Session,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        let right = OperatorRight::ReadTrail;
        let authority = self.who.authority(session, right).await?;
        let admin = session.tenancy.admin(authority);
        let options = TailOptions::new().poll_interval(Duration::from_secs(self.interval));
        let filter = self.filter.filter();
        let mut tail = admin
            .tail_entries(self.whose.tenant(), &filter, options)
            .await?;
        session.tenancy.audit().flush().await?;
        output.remark("following the trail; Ctrl-C ends it");
        loop {
            let entries = match tail.next().await {
                Err(error) if error.kind() == StoreErrorKind::Unavailable => {
                    // It goes on where it was when the database is back.
                    output.remark(&format!("warning: {error}"));
                    continue;
                }
                entries => entries?,
            };
            // Whoever was disabled meanwhile is told no more.
            self.who.operator(session, right).await?;
            let rows: String = entries.iter().map(|entry| self.row(entry)).collect();
            output.write(&rows).await?;
        }
    }

    fn row(&self, entry: &AuditEntry) -> String {
        match self.form.format {
            Format::Json => ExportFormat::JsonLines.row(entry),
            Format::Text => line(entry),
        }
    }
}

/// An entry as a line for people.
fn line(entry: &AuditEntry) -> String {
    let actor = entry.actor.as_ref();
    let actor = actor.map_or_else(|| "unknown".to_owned(), ToString::to_string);
    let mut line = format!(
        "{} {} {actor} {} {}",
        entry.at,
        Chain(entry.tenant),
        entry.action,
        entry.outcome.as_str()
    );
    for target in entry.typed_targets().iter() {
        line.push_str(&format!(" {}:{}", target.kind, target.id));
    }
    if let Some(reason) = &entry.reason {
        line.push_str(&format!(" ({reason})"));
    }
    // Targets and reasons may be what a caller has sent.
    let mut line = plain(&line);
    line.push('\n');
    line
}
