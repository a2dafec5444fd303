//! `tenancy invite`: invitations to a tenant.

mod list;
mod open;
mod pepper;
mod send;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tenancy_core::{Tenancy, Timestamp, invitation::Invitation};

use crate::{
    arguments::{Format, Global},
    failure::{Failure, Verdict},
    managing::within,
    output::{Output, plain},
};

/// Invite people by their addresses, and see what became of that.
#[derive(Debug, Args)]
pub(crate) struct Invite {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Send(send::Send),
    List(list::List),
    Resend(open::Resend),
    Withdraw(open::Withdraw),
}

impl Invite {
    pub(crate) const fn format(&self) -> Format {
        match &self.command {
            Command::Send(it) => it.how.form.format,
            Command::List(it) => it.how.form.format,
            Command::Resend(it) => it.how.form.format,
            Command::Withdraw(it) => it.how.form.format,
        }
    }

    pub(crate) async fn run(
        self,
        global: &Global,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        if let Command::Withdraw(it) = &self.command {
            it.confirm()?;
        }
        within(global, output, async |session, output| {
            match &self.command {
                Command::Send(it) => it.run(session, output).await,
                Command::List(it) => it.run(session, output).await,
                Command::Resend(it) => it.run(session, output).await,
                Command::Withdraw(it) => it.run(session, output).await,
            }
        })
        .await
    }
}

/// An invitation as JSON, without its link.
fn object(one: &Invitation, now: Timestamp) -> Value {
    json!({
        "id": one.id,
        "tenant": one.tenant,
        "email": one.email.to_string(),
        "role": one.role,
        "state": one.state_at(now).as_str(),
        "created_at": one.created_at.to_string(),
        "sent_at": one.sent_at.to_string(),
        "expires_at": one.expires_at.to_string(),
        "accepted_by": one.accepted_by,
    })
}

async fn made(
    one: &Invitation,
    tenancy: &Tenancy,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    let text = format!(
        "{}: {} is invited as {}, until {}; the service sends the mail",
        one.id,
        plain(&one.email.to_string()),
        one.role,
        one.expires_at
    );
    let json = object(one, tenancy.clock().now());
    output.made(&one.id.to_string(), &text, &json).await?;
    Ok(Verdict::Done)
}
