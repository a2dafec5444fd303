//! `tenancy role`: roles of a tenant's own.

mod define;
mod explain;
mod list;
mod remove;

use clap::{Args, Subcommand};

use crate::{
    arguments::{Format, Global},
    failure::{Failure, Verdict},
    managing::within,
    output::Output,
};

/// List, define, remove and explain the roles of a tenant.
#[derive(Debug, Args)]
pub(crate) struct Role {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::List),
    Define(define::Define),
    Remove(remove::Remove),
    Explain(explain::Explain),
}

impl Role {
    pub(crate) const fn format(&self) -> Format {
        match &self.command {
            Command::List(it) => it.how.form.format,
            Command::Define(it) => it.how.form.format,
            Command::Remove(it) => it.how.form.format,
            Command::Explain(it) => it.how.form.format,
        }
    }

    pub(crate) async fn run(
        self,
        global: &Global,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        if let Command::Remove(it) = &self.command {
            it.confirm()?;
        }
        within(global, output, async |session, output| {
            match &self.command {
                Command::List(it) => it.run(session, output).await,
                Command::Define(it) => it.run(session, output).await,
                Command::Remove(it) => it.run(session, output).await,
                Command::Explain(it) => it.run(session, output).await,
            }
        })
        .await
    }
}
