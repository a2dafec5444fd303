//! The pepper from which the links of invitations are derived.

use std::{fs, path::PathBuf};

use clap::Args;
use tenancy_core::{Tenancy, key::Pepper, one_time::OneTimeTokens};
use zeroize::Zeroizing;

use crate::{
    connect::Session,
    declared::{Books, MayDeclare},
    failure::Failure,
};

/// What it takes to make the link of an invitation.
#[derive(Debug, Args)]
pub(super) struct Peppered {
    /// The file with the pepper of the service's invitations: its bytes, and no line break after them
    ///
    /// Of another pepper the service can't make the link, and the mail is not sent.
    #[arg(long, value_name = "FILE")]
    pepper: PathBuf,
    /// The version under which the service has the pepper
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pepper_version: u32,
    #[command(flatten)]
    service: MayDeclare,
    #[command(flatten)]
    books: Books,
}

impl Peppered {
    /// An engine that makes invitations.
    ///
    /// # Errors
    /// What is wrong with the file, never with what it has.
    pub(super) fn engine(&self, session: &Session) -> Result<Tenancy, Failure> {
        let file = self.pepper.display();
        let secret = fs::read(&self.pepper).map(Zeroizing::new);
        let secret =
            secret.map_err(|error| Failure::Told(format!("the pepper `{file}`: {error}")))?;
        if secret.ends_with(b"\n") {
            return Err(Failure::Told(format!(
                "the pepper `{file}` ends with a line break, which would be a part of it; remove that"
            )));
        }
        let pepper = Pepper::new(self.pepper_version, &*secret)
            .map_err(|_| Failure::Told(format!("the pepper `{file}` has fewer than 32 bytes")))?;
        let tokens = OneTimeTokens::new(pepper);
        self.service
            .engine_with(session, &self.books, |builder| builder.invitations(tokens))
    }
}
