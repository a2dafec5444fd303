//! `tenancy adopt`: a schema of one customer, with its data, becomes one of many, while the old application runs.

mod administrator;
mod decision;
mod rollback;
mod run;
mod status;

use clap::{Args, Subcommand};

use crate::{
    arguments::Format,
    failure::{Failure, Verdict},
    output::Output,
};

/// Make a schema of one customer one of many, in phases, while the old application runs
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct Adopt {
    #[command(subcommand)]
    step: Step,
}

#[derive(Debug, Subcommand)]
enum Step {
    Run(run::Run),
    Status(status::Status),
    Rollback(rollback::Rollback),
}

impl Adopt {
    /// In which form results and errors are printed.
    pub(crate) const fn format(&self) -> Format {
        match &self.step {
            Step::Run(run) => run.form.format,
            Step::Status(status) => status.form.format,
            Step::Rollback(rollback) => rollback.form.format,
        }
    }

    pub(crate) async fn run(self, output: &mut Output) -> Result<Verdict, Failure> {
        match self.step {
            Step::Run(run) => run.run(output).await,
            Step::Status(status) => status.run(output).await,
            Step::Rollback(rollback) => rollback.run(output).await,
        }
    }
}
