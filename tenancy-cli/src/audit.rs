//! `tenancy audit`: the audit trail, as an auditor and an operator need it.

mod anchor;
mod erase;
mod export;
mod filter;
mod keep;
mod keys;
mod prune;
mod seal;
mod tail;
mod verify;
mod whose;

use clap::{Args, Subcommand};

use crate::{
    arguments::{Format, Global},
    connect::Session,
    failure::{Failure, Verdict},
    interrupted::{interrupted, until_interrupted},
    output::Output,
};

/// Verify, anchor, export, follow and keep the audit trail.
#[derive(Debug, Args)]
pub(crate) struct Audit {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Verify(verify::Verify),
    Anchor(anchor::Anchor),
    Export(export::Export),
    Tail(tail::Tail),
    Seal(seal::Seal),
    Prune(prune::Prune),
    Erase(erase::Erase),
}

impl Audit {
    pub(crate) const fn format(&self) -> Format {
        match &self.command {
            Command::Verify(verify) => verify.form.format,
            Command::Anchor(anchor) => anchor.form.format,
            // What it prints has a format of its own.
            Command::Export(_) => Format::Text,
            Command::Tail(tail) => tail.form.format,
            Command::Seal(seal) => seal.form.format,
            Command::Prune(prune) => prune.form.format,
            Command::Erase(erase) => erase.form.format,
        }
    }

    /// Connects, runs the command until it ends or is interrupted, and has the trail stored, whatever came of it.
    pub(crate) async fn run(
        self,
        global: &Global,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        let session = until_interrupted(Session::open(global)).await?;
        let done = tokio::select! {
            biased;
            done = self.run_in(&session, output) => done,
            () = interrupted() => match self.command {
                // There is no other way to end it.
                Command::Tail(_) => Ok(Verdict::Done),
                _ => Err(Failure::told("interrupted; what was done before stays done")),
            },
        };
        session.end(done, output).await
    }

    async fn run_in(&self, session: &Session, output: &mut Output) -> Result<Verdict, Failure> {
        match &self.command {
            Command::Verify(verify) => verify.run(session, output).await,
            Command::Anchor(anchor) => anchor.run(session, output).await,
            Command::Export(export) => export.run(session, output).await,
            Command::Tail(tail) => tail.run(session, output).await,
            Command::Seal(seal) => seal.run(session, output).await,
            Command::Prune(prune) => prune.run(session, output).await,
            Command::Erase(erase) => erase.run(session, output).await,
        }
    }
}
