//! `tenancy adopt`: a schema of one customer, with its data, becomes one of many, while the old application runs.

mod administrator;
mod answers;
mod decision;
mod plan;
mod rollback;
mod run;
mod status;

use clap::{Args, Subcommand};

use crate::{
    arguments::Format,
    failure::{Failure, Verdict},
    output::Output,
};

/// Turn a database of one customer into one of many, in phases, while the old application runs.
#[derive(Debug, Args)]
pub(crate) struct Adopt {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Plan(plan::Plan),
    Run(run::Run),
    Status(status::Status),
    Rollback(rollback::Rollback),
}

impl Adopt {
    /// In which form results and errors are printed.
    pub(crate) const fn format(&self) -> Format {
        match &self.command {
            Command::Plan(plan) => plan.form.format,
            Command::Run(run) => run.form.format,
            Command::Status(status) => status.form.format,
            Command::Rollback(rollback) => rollback.form.format,
        }
    }

    pub(crate) async fn run(self, output: &mut Output) -> Result<Verdict, Failure> {
        match self.command {
            Command::Plan(plan) => plan.run(output).await,
            Command::Run(run) => run.run(output).await,
            Command::Status(status) => status.run(output).await,
            Command::Rollback(rollback) => rollback.run(output).await,
        }
    }
}
