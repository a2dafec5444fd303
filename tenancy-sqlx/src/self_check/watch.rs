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
    fault: Option<(ErrorKind, String)>,
}

impl Last {
    fn outcome(&self) -> Result<(), Error> {
        match &self.fault {
            None => Ok(()),
            Some((kind, text)) => Err(Error::with_detail(*kind, text.clone())),
        }
    }
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

    /// What the last check has found, if it is not due again.
    pub(crate) fn verdict(&self, now: Timestamp) -> Option<Result<(), Error>> {
        // A clock that was set back makes it due.
        let last = self.last();
        let is_good = |at: Timestamp| now >= at && now.since(at) < GOOD_FOR;
        last.at.is_some_and(is_good).then(|| last.outcome())
    }

    /// Notes what a check has found, with the fault of the seal, and says so once in the log.
    pub(crate) fn found(
        &self,
        now: Timestamp,
        seal: Option<String>,
        findings: &[Finding],
    ) -> Result<(), Error> {
        let unguarded = || Some((ErrorKind::Unguarded, verdict::errors(findings)?));
        let fault = seal.map(|fault| (ErrorKind::Seal, fault));
        self.note(now, fault.or_else(unguarded));
        self.last().outcome()
    }

    fn note(&self, now: Timestamp, fault: Option<(ErrorKind, String)>) {
        let mut last = self.last();
        last.at = Some(now);
        if last.fault == fault {
            return;
        }
        match &fault {
            Some((kind, text)) => {
                let error = Error::with_detail(*kind, text.clone());
                tracing::error!(%error, "the service is not ready");
            }
            None => tracing::info!("what kept the service from being ready is mended"),
        }
        last.fault = fault;
    }

    fn last(&self) -> std::sync::MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
