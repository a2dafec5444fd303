//! `tenancy check`: whether the schema keeps tenants apart.

use clap::Args;
use serde_json::json;
use tenancy_sqlx::schema::{self, CheckError, CheckMode, Finding, FindingLevel};

use crate::{
    arguments::{Form, Global},
    connect,
    failure::{Failure, Verdict},
    output::{Output, plain},
};

/// Check that tables, views, functions and logins keep tenants apart, and name what was forgotten.
///
/// Any login of the service may ask: the system login, that of the service, the owner, an administrator.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes:
  0  nothing was found
  1  something was found: each finding says how to mend it
  2  it is not known: no connection, no schema `tenancy`

Examples:
  tenancy check
  tenancy check --lenient --format json")]
pub(crate) struct Check {
    /// Warnings are told, and are no fault: only what a pool of the service would refuse to start for is
    #[arg(long)]
    lenient: bool,
    #[command(flatten)]
    pub(crate) form: Form,
}

impl Check {
    pub(crate) async fn run(
        self,
        global: &Global,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        let mode = if self.lenient {
            CheckMode::Lenient
        } else {
            CheckMode::Strict
        };
        let mut connection = connect::plainly(global).await?;
        let (findings, verdict) = match schema::check(&mut connection, mode).await {
            Ok(findings) => (findings, Verdict::Done),
            Err(CheckError::Found(findings)) => (findings, Verdict::Fault),
            Err(error) => return Err(Failure::told(error)),
        };
        for finding in &findings {
            match tell(finding, output).await {
                // The exit code is of all findings, also where nobody reads each.
                Err(Failure::ClosedPipe) => break,
                told => told?,
            }
        }
        output.remark(&format!("{} findings", findings.len()));
        Ok(verdict)
    }
}

async fn tell(finding: &Finding, output: &mut Output) -> Result<(), Failure> {
    let level = finding.level();
    let json = json!({
        "level": level.to_string(),
        "code": finding.code(),
        "subject": finding.subject(),
        "text": finding.text(),
        "mend": finding.mend(),
    });
    let named = level.to_string();
    let named = if level == FindingLevel::Error {
        output.bad(&named)
    } else {
        named
    };
    // The names of tables are somebody's text.
    let told = plain(&finding.to_string());
    output.result(&format!("{named}: {told}"), &json).await?;
    Ok(())
}
