//! `tenancy key`: the API keys of tenants.

mod change;
mod list;
mod revoke;

use clap::{Args, Subcommand};
use tenancy_core::{
    KeyAdmin, OperatorRight,
    key::{ApiKeys, Environment, HmacKeyHasher, KeyFormat, Pepper},
};

use crate::{
    arguments::{Format, Global},
    connect::Session,
    failure::{Failure, Verdict},
    managing::{How, within},
    output::Output,
};

/// List, switch off and revoke API keys.
///
/// No operator issues or rotates a key: whoever has its text acts as the user who made it. The service does that, for its
/// own users.
#[derive(Debug, Args)]
pub(crate) struct Key {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::List),
    Rename(change::Rename),
    Disable(change::Disable),
    Enable(change::Enable),
    Revoke(revoke::Revoke),
    RevokeAll(revoke::RevokeAll),
}

impl Key {
    pub(crate) const fn format(&self) -> Format {
        match &self.command {
            Command::List(it) => it.how.form.format,
            Command::Rename(it) => it.how.form.format,
            Command::Disable(it) => it.how.form.format,
            Command::Enable(it) => it.how.form.format,
            Command::Revoke(it) => it.how.form.format,
            Command::RevokeAll(it) => it.how.form.format,
        }
    }

    pub(crate) async fn run(
        self,
        global: &Global,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        match &self.command {
            Command::Revoke(it) => it.confirm()?,
            Command::RevokeAll(it) => it.confirm()?,
            _ => {}
        }
        within(global, output, async |session, output| {
            match &self.command {
                Command::List(it) => it.run(session, output).await,
                Command::Rename(it) => it.run(session, output).await,
                Command::Disable(it) => it.run(session, output).await,
                Command::Enable(it) => it.run(session, output).await,
                Command::Revoke(it) => it.run(session, output).await,
                Command::RevokeAll(it) => it.run(session, output).await,
            }
        })
        .await
    }
}

/// The keys, on the operator's authority. No text of a key is read or made here, so neither the format nor the pepper of
/// the service is asked for: those given to the engine are nobody's.
async fn keys(session: &Session, how: &How, right: OperatorRight) -> Result<KeyAdmin, Failure> {
    let authority = how.authority(session, right).await?;
    let format = KeyFormat::new("unused", Environment::Live)?;
    let hasher = HmacKeyHasher::new(Pepper::new(1, [0; 32])?);
    let keys = ApiKeys::new(format, hasher, session.directory.clone());
    let tenancy = session.with(|builder| builder.keys(keys))?;
    Ok(tenancy.keys()?.by(authority))
}
