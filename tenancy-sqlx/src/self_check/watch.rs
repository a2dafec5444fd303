//! The check again, while the service runs: maintenance may open a table later.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use sqlx::PgConnection;
use tenancy_core::Timestamp;

use super::verdict;
use crate::{
    Error, ErrorKind,
    schema::{self, Finding},
};

/// How long a verdict is good for.
const GOOD_FOR: Duration = Duration::from_secs(60);

/// Whom a pool is checked for, and what the last check said.
#[derive(Debug)]
pub(crate) struct Watch {
    login: String,
    with_login: bool,
    last: Mutex<Last>,
}

#[derive(Debug, Default)]
struct Last {
    at: Option<Timestamp>,
    errors: Option<String>,
}

impl Watch {
    /// The login itself, and the database for it.
    pub(super) fn of(login: &str) -> Self {
        Self {
            login: login.to_owned(),
            with_login: true,
            last: Mutex::default(),
        }
    }

    /// The database for a role that somebody else takes on.
    pub(super) fn of_assumed(role: &str) -> Self {
        Self {
            with_login: false,
            ..Self::of(role)
        }
    }

    pub(super) fn login(&self) -> &str {
        &self.login
    }

    /// Asks the database.
    pub(crate) async fn read(
        &self,
        connection: &mut PgConnection,
    ) -> Result<Vec<Finding>, sqlx::Error> {
        schema::read_findings(connection, &self.login, self.with_login).await
    }

    /// A pool was checked at this time, and nothing was found.
    pub(crate) fn passed(&self, now: Timestamp) {
        self.note(now, None);
    }

    /// Checks again if that is due.
    pub(crate) async fn check(
        &self,
        connection: &mut PgConnection,
        now: Timestamp,
    ) -> Result<(), Error> {
        if self.is_due(now) {
            let findings = self.read(connection).await?;
            self.note(now, verdict::errors(&findings));
        }
        match &self.last().errors {
            None => Ok(()),
            Some(errors) => Err(Error::with_detail(ErrorKind::Unguarded, errors.clone())),
        }
    }

    fn is_due(&self, now: Timestamp) -> bool {
        // A clock that was set back makes it due.
        self.last()
            .at
            .is_none_or(|at| now < at || now.since(at) >= GOOD_FOR)
    }

    fn note(&self, now: Timestamp, errors: Option<String>) {
        *self.last() = Last {
            at: Some(now),
            errors,
        };
    }

    fn last(&self) -> std::sync::MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
