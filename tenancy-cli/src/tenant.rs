//! `tenancy tenant`: the tenants of a service.

mod change;
mod create;
mod list;
mod show;

use clap::{Args, Subcommand};

use crate::{
    arguments::{Format, Global},
    failure::{Failure, Verdict},
    managing::within,
    output::Output,
};

/// List, make, change and close tenants.
#[derive(Debug, Args)]
pub(crate) struct Tenant {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::List),
    Show(show::Show),
    Create(create::Create),
    Rename(change::Rename),
    SetSlug(change::SetSlug),
    Suspend(change::Suspend),
    Resume(change::Resume),
    PastDue(change::PastDue),
    Close(change::Close),
    Bind(change::Bind),
    Unbind(change::Unbind),
}

impl Tenant {
    pub(crate) const fn format(&self) -> Format {
        match &self.command {
            Command::List(it) => it.how.form.format,
            Command::Show(it) => it.how.form.format,
            Command::Create(it) => it.how.form.format,
            Command::Rename(it) => it.how.form.format,
            Command::SetSlug(it) => it.how.form.format,
            Command::Suspend(it) => it.how.form.format,
            Command::Resume(it) => it.how.form.format,
            Command::PastDue(it) => it.how.form.format,
            Command::Close(it) => it.how.form.format,
            Command::Bind(it) => it.how.form.format,
            Command::Unbind(it) => it.how.form.format,
        }
    }

    pub(crate) async fn run(
        self,
        global: &Global,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        if let Command::Close(it) = &self.command {
            it.confirm()?;
        }
        within(global, output, async |session, output| {
            match &self.command {
                Command::List(it) => it.run(session, output).await,
                Command::Show(it) => it.run(session, output).await,
                Command::Create(it) => it.run(session, output).await,
                Command::Rename(it) => it.run(session, output).await,
                Command::SetSlug(it) => it.run(session, output).await,
                Command::Suspend(it) => it.run(session, output).await,
                Command::Resume(it) => it.run(session, output).await,
                Command::PastDue(it) => it.run(session, output).await,
                Command::Close(it) => it.run(session, output).await,
                Command::Bind(it) => it.run(session, output).await,
                Command::Unbind(it) => it.run(session, output).await,
            }
        })
        .await
    }
}
