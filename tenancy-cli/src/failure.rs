//! How a command ends: its exit code, and what it says.

use std::{borrow::Cow, fmt, io};

use sqlx::postgres::PgDatabaseError;
use tenancy_core::{AuditError, ConfigError, StoreError};
use tenancy_sqlx::StartError;

/// The exit code of a command that is done and has found nothing wrong.
pub(crate) const DONE: u8 = 0;

/// The exit code of a command that has found a fault.
pub(crate) const FAULT: u8 = 1;

/// The exit code of a command that could not be done.
pub(crate) const FAILED: u8 = 2;

/// What a command that was done has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing is wrong.
    Done,
    /// A fault.
    Fault,
}

/// Why a command was not done.
#[derive(Debug)]
pub(crate) enum Failure {
    /// For the reason that this says.
    Told(String),
    /// Whoever reads the output has gone. That is no error: `tenancy audit export … | head`.
    ClosedPipe,
}

/// What the database has refused, with its detail and its hint; `None` if it did not say it.
pub(crate) fn refused(error: &sqlx::Error) -> Option<String> {
    let said = error.as_database_error()?;
    let mut text = said.message().to_owned();
    if let Some(said) = said.try_downcast_ref::<PgDatabaseError>() {
        for more in [said.detail(), said.hint()].into_iter().flatten() {
            text.push('\n');
            text.push_str(more);
        }
    }
    Some(text)
}

/// The code of what the database has refused.
pub(crate) fn code(error: &sqlx::Error) -> Option<Cow<'_, str>> {
    error.as_database_error().and_then(|said| said.code())
}

impl Failure {
    pub(crate) fn told(message: impl fmt::Display) -> Self {
        Self::Told(message.to_string())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::ClosedPipe;
        }
        Self::Told(format!("the output could not be written: {error}"))
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::told(error)
    }
}

impl From<AuditError> for Failure {
    fn from(error: AuditError) -> Self {
        Self::told(error)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::told(error)
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        Self::told(error)
    }
}
