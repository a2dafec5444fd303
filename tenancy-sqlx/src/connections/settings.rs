//! How many connections a pool has, and for how long.

use std::time::Duration;

use crate::{StartError, StartErrorKind};

/// The slowest that taking a connection may be before the log says so.
const SLOW: Duration = Duration::from_secs(2);

/// Settings of a pool.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) most: u32,
    pub(crate) least: u32,
    /// How many are opened before anybody waits for them.
    pub(crate) ahead: u32,
    /// How long a caller waits at most.
    pub(crate) patience: Duration,
    pub(crate) max_lifetime: Option<Duration>,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) slow: Duration,
    /// One of how many statements in autocommit, and of how many transactions, proves its tenant; 0 for
    /// none.
    pub(crate) check_every: u32,
}

impl Settings {
    pub(crate) const fn new(most: u32) -> Self {
        Self {
            most,
            least: 0,
            ahead: 0,
            patience: Duration::from_secs(5),
            max_lifetime: Some(Duration::from_secs(30 * 60)),
            idle_timeout: Some(Duration::from_secs(10 * 60)),
            slow: SLOW,
            check_every: if cfg!(debug_assertions) { 1 } else { 1024 },
        }
    }

    /// Refuses what no pool can keep to.
    pub(crate) fn check(&self) -> Result<(), StartError> {
        let most = self.most;
        let message = match self.least {
            _ if most == 0 => {
                "a pool of 0 connections serves nobody; give `max_connections` at least 1"
                    .to_owned()
            }
            _ if self.patience.is_zero() => {
                "an `acquire_timeout` of 0 leaves no time to open a connection; give a second or more"
                    .to_owned()
            }
            least if least > most => format!(
                "`min_connections` is {least} and `max_connections` is {most}; raise the one or lower \
                 the other"
            ),
            _ => return Ok(()),
        };
        Err(StartError::new(StartErrorKind::BadOptions, message))
    }
}

pub(crate) fn count(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
