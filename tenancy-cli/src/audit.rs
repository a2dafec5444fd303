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
        let session = tokio::select! {
            session = Session::open(global) => session?,
            () = interrupted() => return Err(Failure::told("interrupted")),
        };
        let done = tokio::select! {
            biased;
            done = self.run_in(&session, output) => done,
            () = interrupted() => match self.command {
                // There is no other way to end it.
                Command::Tail(_) => Ok(Verdict::Done),
                _ => Err(Failure::told("interrupted; what was done before stays done")),
            },
        };
        let stored = session.close(output).await;
        match (&done, stored) {
            (Ok(Verdict::Done) | Err(Failure::ClosedPipe), Err(failure)) => Err(failure),
            (_, Err(Failure::Told(message))) => {
                output.fail(&message);
                done
            }
            _ => done,
        }
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

/// Waits for Ctrl-C, or for a request to end. Where signals can't be heard of, they end the process themselves.
async fn interrupted() {
    let by_keyboard = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};

        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                () = by_keyboard => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    by_keyboard.await;
}
