//! How many connections a pool has, for how long, and who gets one.

use std::time::Duration;

use super::queue::Bounds;
use crate::{StartError, StartErrorKind};

/// The slowest that taking a connection may be before the log says so.
const SLOW: Duration = Duration::from_secs(2);

/// Settings of a pool.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) most: u32,
    pub(crate) least: u32,
    /// How long a caller waits at most.
    pub(crate) patience: Duration,
    pub(crate) max_lifetime: Option<Duration>,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) slow: Duration,
    /// The most connections that one tenant holds.
    pub(crate) per_tenant: Option<u32>,
    /// How many waiters of one tenant are served in a row while others wait.
    pub(crate) quantum: u32,
    /// After how many statements in autocommit the session is looked at; 0 for never.
    pub(crate) check_every: u32,
}

impl Settings {
    pub(crate) const fn new(most: u32) -> Self {
        Self {
            most,
            least: 0,
            patience: Duration::from_secs(5),
            max_lifetime: Some(Duration::from_secs(30 * 60)),
            idle_timeout: Some(Duration::from_secs(10 * 60)),
            slow: SLOW,
            per_tenant: None,
            quantum: 4,
            check_every: if cfg!(debug_assertions) { 1 } else { 1024 },
        }
    }

    /// Refuses what no pool can keep to.
    pub(crate) fn check(&self) -> Result<(), StartError> {
        let most = self.most;
        let message = match self.per_tenant {
            _ if most == 0 => {
                "a pool of 0 connections serves nobody; give `max_connections` at least 1"
                    .to_owned()
            }
            _ if self.least > most => format!(
                "`min_connections` is {} and `max_connections` is {most}; raise the one or lower the \
                 other",
                self.least
            ),
            _ if self.quantum == 0 => {
                "a turn of 0 callers never ends; give `turn_length` at least 1".to_owned()
            }
            Some(0) => "0 connections for each tenant serve no tenant; give \
                 `max_connections_per_tenant` at least 1, or leave it out"
                .to_owned(),
            Some(each) if each > most => format!(
                "a tenant can't use {each} of {most} connections; lower `max_connections_per_tenant` \
                 or raise `max_connections`"
            ),
            _ => return Ok(()),
        };
        Err(StartError::new(StartErrorKind::BadOptions, message))
    }

    pub(super) fn bounds(&self) -> Bounds {
        Bounds {
            most: count(self.most),
            per_tenant: self.per_tenant.map_or(usize::MAX, count),
            quantum: self.quantum,
        }
    }
}

pub(super) fn count(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
