//! `tenancy plan`: the plans that are stored, and which tenant is on which.

mod assign;
mod list;
mod put;
mod show;

use clap::{Args, Subcommand};
use tenancy_core::Tenancy;

use crate::{
    arguments::{Format, Global},
    connect::Session,
    declared::Books,
    failure::{Failure, Verdict},
    managing::within,
    output::Output,
};

/// List, show and add versions of plans, and put tenants on them.
#[derive(Debug, Args)]
pub(crate) struct Plan {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::List),
    Show(show::Show),
    Put(put::Put),
    Assign(assign::Assign),
}

impl Plan {
    pub(crate) const fn format(&self) -> Format {
        match &self.command {
            Command::List(it) => it.how.form.format,
            Command::Show(it) => it.how.form.format,
            Command::Put(it) => it.how.form.format,
            Command::Assign(it) => it.how.form.format,
        }
    }

    pub(crate) async fn run(
        self,
        global: &Global,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        within(global, output, async |session, output| {
            match &self.command {
                Command::List(it) => it.run(session, output).await,
                Command::Show(it) => it.run(session, output).await,
                Command::Put(it) => it.run(session, output).await,
                Command::Assign(it) => it.run(session, output).await,
            }
        })
        .await
    }
}

/// An engine that knows which plans there are: those of the file by their names, and those that are stored.
///
/// # Errors
/// What is wrong with the file.
pub(crate) fn engine_that_names(session: &Session, books: &Books) -> Result<Tenancy, Failure> {
    let names = books.names()?;
    let stored = session.directory.clone();
    session.with(|builder| builder.plans(names).stored_plans(stored))
}
