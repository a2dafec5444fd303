//! When to fetch: not before the cool-down is over, and one fetch at a time.

use std::{fmt, time::Duration};

use futures_util::future::{BoxFuture, Shared};
use tokio::task::AbortHandle;

use crate::{LookupError, Timestamp};

/// A fetch under way, which many may wait for.
pub(super) type Fetching = Shared<BoxFuture<'static, Result<(), LookupError>>>;

/// What was tried, and how it ended.
#[derive(Default)]
pub(super) struct Pace {
    /// When the last fetch began.
    pub(super) attempted: Option<Timestamp>,
    /// Why the last fetch that ended failed; `None` if it did not.
    pub(super) failure: Option<LookupError>,
    /// How many fetches have begun, which numbers them.
    pub(super) begun: u64,
    pub(super) failed: u64,
    under_way: Option<(AbortHandle, Fetching)>,
}

impl Pace {
    /// Whether a fetch may begin. A clock that was set back ends the cool-down.
    pub(super) fn may_fetch(&self, now: Timestamp, cool_down: Duration) -> bool {
        self.under_way().is_none()
            && self
                .attempted
                .is_none_or(|last| now < last || now.since(last) >= cool_down)
    }

    pub(super) fn under_way(&self) -> Option<&Fetching> {
        // A task that was aborted with its runtime has ended too.
        match &self.under_way {
            Some((task, fetching)) if !task.is_finished() => Some(fetching),
            _ => None,
        }
    }

    /// Takes note of a fetch that begins, and gives it a number.
    pub(super) fn begin(&mut self, now: Timestamp) -> u64 {
        self.attempted = Some(now);
        self.begun += 1;
        self.begun
    }

    pub(super) fn is_under_way(&mut self, task: AbortHandle, fetching: Fetching) {
        self.under_way = Some((task, fetching));
    }

    pub(super) fn ended(&mut self, result: &Result<(), LookupError>) {
        self.failure = result.as_ref().err().cloned();
        self.failed += u64::from(result.is_err());
    }
}

impl fmt::Debug for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pace")
            .field("attempted", &self.attempted)
            .field("failure", &self.failure)
            .finish_non_exhaustive()
    }
}
