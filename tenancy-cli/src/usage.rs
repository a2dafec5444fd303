//! `tenancy usage`: what a tenant used, and what it costs.

mod invoice;
mod status;
mod whose;

use clap::{Args, Subcommand};

use crate::{
    arguments::{Format, Global},
    connect::Session,
    failure::{Failure, Verdict},
    interrupted::until_interrupted,
    output::Output,
};

/// See what a tenant used, and compute what it costs, again and again the same.
#[derive(Debug, Args)]
pub(crate) struct Usage {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Invoice(invoice::Invoice),
    Status(status::Status),
}

impl Usage {
    pub(crate) const fn format(&self) -> Format {
        match &self.command {
            // What it prints has a format of its own.
            Command::Invoice(_) => Format::Text,
            Command::Status(status) => status.form.format,
        }
    }

    pub(crate) async fn run(
        self,
        global: &Global,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        let session = until_interrupted(Session::open(global)).await?;
        let done = until_interrupted(async {
            match &self.command {
                Command::Invoice(invoice) => invoice.run(&session, output).await,
                Command::Status(status) => status.run(&session, output).await,
            }
        })
        .await;
        session.end(done, output).await
    }
}
