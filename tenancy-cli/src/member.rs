//! `tenancy member`: who belongs to a tenant, and as what.

mod add;
mod change;
mod list;
mod remove;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tenancy_core::Membership;

use crate::{
    arguments::{Format, Global},
    failure::{Failure, Verdict},
    managing::within,
    output::Output,
};

/// List, add, change and remove the members of a tenant.
#[derive(Debug, Args)]
pub(crate) struct Member {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::List),
    Add(add::Add),
    ChangeRole(change::ChangeRole),
    Suspend(change::Suspend),
    Resume(change::Resume),
    Remove(remove::Remove),
}

impl Member {
    pub(crate) const fn format(&self) -> Format {
        match &self.command {
            Command::List(it) => it.how.form.format,
            Command::Add(it) => it.how.form.format,
            Command::ChangeRole(it) => it.how.form.format,
            Command::Suspend(it) => it.how.form.format,
            Command::Resume(it) => it.how.form.format,
            Command::Remove(it) => it.how.form.format,
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
                Command::Add(it) => it.run(session, output).await,
                Command::ChangeRole(it) => it.run(session, output).await,
                Command::Suspend(it) => it.run(session, output).await,
                Command::Resume(it) => it.run(session, output).await,
                Command::Remove(it) => it.run(session, output).await,
            }
        })
        .await
    }
}

/// A membership as JSON.
fn object(member: &Membership) -> Value {
    json!({
        "tenant": member.tenant,
        "user": member.user,
        "role": member.role,
        "status": member.status.as_str(),
    })
}
