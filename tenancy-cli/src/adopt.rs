//! `tenancy adopt`: a schema of one customer, with its data, becomes one of many, while the old application runs.

mod answers;
mod code;
mod decision;
mod plan;

use clap::{Args, Subcommand};

use crate::{
    arguments::Format,
    failure::{Failure, Verdict},
    output::Output,
};

/// Turn a database of one customer into one of many, while the old application runs.
#[derive(Debug, Args)]
pub(crate) struct Adopt {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Plan(plan::Plan),
    Code(code::Code),
}

impl Adopt {
    pub(crate) const fn format(&self) -> Format {
        match &self.command {
            Command::Plan(plan) => plan.form.format,
            Command::Code(code) => code.form.format,
        }
    }

    pub(crate) async fn run(self, output: &mut Output) -> Result<Verdict, Failure> {
        match self.command {
            Command::Plan(plan) => plan.run(output).await,
            Command::Code(code) => code.run(output).await,
        }
    }
}
