//! `tenancy unprotect`: takes back what `tenancy protect` did.

use clap::Args;
use serde_json::json;

use crate::{
    arguments::Form,
    failure::{Failure, Verdict},
    output::{Output, plain},
    protect::{self, Careful},
};

/// Take protection back: keys, references, columns, policies, owner and grants become what they were. All or none.
///
/// `protect` has kept what it found. What was changed by hand since is not overwritten: it is named, and nothing is
/// changed. A table that refers to a protected one, or to which one refers, is unprotected together with it. A column that
/// `protect` has added goes, unless it says whose rows are whose.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes:
  0  the tables are not protected; with --dry-run, they could be unprotected
  2  they still are, and nothing was changed: each refusal names what stands in the way, and how to mend it

Examples:
  tenancy unprotect notes notebooks --dry-run
  tenancy unprotect notes notebooks --keep-column")]
pub(crate) struct Unprotect {
    /// The tables, with their schema unless it is on the search path
    #[arg(required = true)]
    tables: Vec<String>,
    /// A tenant column that `protect` has added stays, without its default and its NOT NULL
    #[arg(long)]
    keep_column: bool,
    /// Take away policies and row security, close the table to the service, and leave all else: for tables that were
    /// protected by a release that kept no record
    #[arg(long, conflicts_with = "keep_column")]
    guard_only: bool,
    #[command(flatten)]
    careful: Careful,
    #[command(flatten)]
    pub(crate) form: Form,
}

impl Unprotect {
    pub(crate) async fn run(self, output: &mut Output) -> Result<Verdict, Failure> {
        let mut database = self.careful.connect().await?;
        let tables = database.find(&self.tables).await?;
        let mut options = Vec::new();
        if self.keep_column {
            options.push(("keep_column", None));
        }
        if self.guard_only {
            options.push(("guard_only", None));
        }
        let call = database.render(protect::BACK, &tables, &options).await?;
        let mut done = self.careful.call(&mut database, &tables, &call).await?;
        if self.careful.dry_run {
            done.check = Some(call);
            return done.print(output).await;
        }
        let names = tables.names();
        let text = if done.statements.is_empty() {
            format!(
                "nothing to do: {}",
                protect::counted(names.len(), "not protected")
            )
        } else {
            format!("unprotected: {}", plain(&names.join(", ")))
        };
        let json = json!({ "tables": names, "statements": done.statements.len() });
        output.good(&text, &json).await?;
        Ok(Verdict::Done)
    }
}
