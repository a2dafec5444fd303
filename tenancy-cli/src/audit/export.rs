//! `tenancy audit export`: entries for an auditor, a spreadsheet or a system for security events.

use clap::{Args, ValueEnum};
use tenancy_core::{ExportFormat, OperatorRight};

use super::{filter::Filter, whose::Whose};
use crate::{
    connect::Session,
    failure::{Failure, Verdict},
    output::Output,
    who::Named,
};

/// Print entries of the trail, the newest first.
///
/// It takes an operator with the right `read-trail`, and is recorded.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tenancy audit export --all --from 2027-01-01 --until 2028-01-01 \\
      --operator $ME --reason 'audit of 2027' >trail-2027.jsonl
  tenancy audit export --tenant $ACME --format csv --outcome refused \\
      --operator $ME --reason 'ticket 4711' >refused.csv")]
pub(super) struct Export {
    #[command(flatten)]
    whose: Whose,
    /// What is written
    #[arg(long, value_enum, default_value_t)]
    format: Entries,
    #[command(flatten)]
    who: Named,
    #[command(flatten)]
    filter: Filter,
}

/// How entries are written.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Entries {
    /// A JSON object in a line for each entry; loses nothing
    #[default]
    JsonLines,
    /// A table for spreadsheets
    Csv,
    /// Events of the Open Cybersecurity Schema Framework
    Ocsf,
}

impl Entries {
    const fn format(self) -> ExportFormat {
        match self {
            Self::JsonLines => ExportFormat::JsonLines,
            Self::Csv => ExportFormat::Csv,
            Self::Ocsf => ExportFormat::Ocsf,
        }
    }
}

impl Export {
    pub(super) async fn run(
        &self,
        session: &Session,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        let right = OperatorRight::ReadTrail;
        let authority = self.who.authority(session, right).await?;
        let admin = session.tenancy.admin(authority);
        let filter = self.filter.filter();
        let (tenant, format) = (self.whose.tenant(), self.format.format());
        let mut export = admin.export_entries(tenant, &filter, format).await?;
        // What is recorded by now is stored before a row leaves.
        session.tenancy.audit().flush().await?;
        while let Some(rows) = export.next().await? {
            // Each page is told to whom may read it by now.
            self.who.operator(session, right).await?;
            output.write(&rows).await?;
        }
        Ok(Verdict::Done)
    }
}
