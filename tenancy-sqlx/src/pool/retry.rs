//! Trying again after a serialization failure.

use std::time::Duration;

use crate::options::{Isolation, TxOptions};

/// How often, and after which pauses, a transaction that lost against another is run again.
///
/// The default is [serializable](Isolation::Serializable) isolation, 5 tries, and pauses of at most 10, 20, 40 and 80 ms, each
/// cut by a random part so that two losers do not meet again.
///
/// Serializable transactions are opt-in: whoever hands over this policy chooses them, and no other
/// transaction is one. They may lose against another tenant's; see
/// [there](Isolation::Serializable). Where running again after a deadlock is all that is wanted:
///
/// ```
/// use tenancy_sqlx::{RetryPolicy, TxOptions};
///
/// let after_deadlocks = RetryPolicy::new().options(TxOptions::new());
/// # let _ = after_deadlocks;
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct RetryPolicy {
    tries: u32,
    first_pause: Duration,
    pub(crate) options: TxOptions,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            tries: 5,
            first_pause: Duration::from_millis(10),
            options: TxOptions::new().isolation(Isolation::Serializable),
        }
    }
}

impl RetryPolicy {
    /// The default policy.
    pub fn new() -> Self {
        Self::default()
    }

    /// How often the transaction is run at most, the first time included.
    pub fn tries(mut self, tries: u32) -> Self {
        self.tries = tries.max(1);
        self
    }

    /// The longest pause before the second try; it doubles with each further one.
    pub fn first_pause(mut self, pause: Duration) -> Self {
        self.first_pause = pause;
        self
    }

    /// How each try is begun.
    pub fn options(mut self, options: TxOptions) -> Self {
        self.options = options;
        self
    }

    pub(super) fn start(&self) -> Retries {
        Retries {
            left: self.tries.saturating_sub(1),
            pause: self.first_pause,
        }
    }
}

pub(super) struct Retries {
    left: u32,
    pause: Duration,
}

impl Retries {
    /// Whether there is another try, which then counts as begun.
    pub(super) fn next(&mut self) -> bool {
        let left = self.left > 0;
        self.left = self.left.saturating_sub(1);
        left
    }

    /// Waits before the next try; `false` if there is none.
    pub(super) async fn wait(&mut self) -> bool {
        if !self.next() {
            return false;
        }
        // The low bits of a UUIDv7 are random enough to keep two losers apart.
        let random = u32::try_from(uuid::Uuid::now_v7().as_u128() & 0xffff).unwrap_or(0);
        tokio::time::sleep(self.pause * random / 0x1_0000).await;
        self.pause *= 2;
        true
    }
}
