//! What has become of callers and statements: totals, and the waits since somebody last asked.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Counts callers and statements.
#[derive(Debug, Default)]
pub(super) struct Tally {
    acquired: AtomicU64,
    timed_out: AtomicU64,
    waits: AtomicU64,
    /// In microseconds.
    longest_wait: AtomicU64,
    /// Statements in autocommit whose session named their tenant already.
    pinned: AtomicU64,
    /// Those whose session had to be named.
    switched: AtomicU64,
    /// Explicit transactions of tenants.
    transactions: AtomicU64,
}

/// The waits of those who were served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Waits {
    pub(super) callers: u64,
    pub(super) longest: Duration,
}

impl Tally {
    pub(super) fn acquired(&self) {
        self.acquired.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn timed_out(&self) {
        self.timed_out.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a statement in autocommit, and says how many there have been.
    pub(super) fn statement(&self, was_pinned: bool) -> u64 {
        let (own, other) = if was_pinned {
            (&self.pinned, &self.switched)
        } else {
            (&self.switched, &self.pinned)
        };
        own.fetch_add(1, Ordering::Relaxed) + other.load(Ordering::Relaxed)
    }

    /// Counts a tenant's transaction, and says how many there have been before.
    pub(super) fn transaction(&self) -> u64 {
        self.transactions.fetch_add(1, Ordering::Relaxed)
    }

    /// How many statements in autocommit have found their session named, and how many have not.
    pub(super) fn statements(&self) -> (u64, u64) {
        let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
        (read(&self.pinned), read(&self.switched))
    }

    pub(super) fn waited(&self, wait: Duration) {
        let micros = u64::try_from(wait.as_micros()).unwrap_or(u64::MAX);
        self.waits.fetch_add(1, Ordering::Relaxed);
        self.longest_wait.fetch_max(micros, Ordering::Relaxed);
    }

    /// How many callers have been lent a connection, and how many have waited in vain.
    pub(super) fn totals(&self) -> (u64, u64) {
        let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
        (read(&self.acquired), read(&self.timed_out))
    }

    /// The waits since this was last asked.
    pub(super) fn take_waits(&self) -> Waits {
        Waits {
            callers: self.waits.swap(0, Ordering::Relaxed),
            longest: Duration::from_micros(self.longest_wait.swap(0, Ordering::Relaxed)),
        }
    }
}
