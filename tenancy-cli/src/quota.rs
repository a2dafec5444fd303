//! `tenancy quota`: limits of single tenants.

mod give;
mod show;

use clap::{Args, Subcommand};

use crate::{
    arguments::{Format, Global},
    failure::{Failure, Verdict},
    managing::within,
    output::Output,
};

/// Show what a tenant has in the place of limits of its plan, and give and take it.
#[derive(Debug, Args)]
pub(crate) struct Quota {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Show(show::Show),
    Override(give::Override),
    Clear(give::Clear),
}

impl Quota {
    pub(crate) const fn format(&self) -> Format {
        match &self.command {
            Command::Show(it) => it.how.form.format,
            Command::Override(it) => it.how.form.format,
            Command::Clear(it) => it.how.form.format,
        }
    }

    pub(crate) async fn run(
        self,
        global: &Global,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        within(global, output, async |session, output| {
            match &self.command {
                Command::Show(it) => it.run(session, output).await,
                Command::Override(it) => it.run(session, output).await,
                Command::Clear(it) => it.run(session, output).await,
            }
        })
        .await
    }
}
