//! Attempts at secrets, counted before they cost anything.

use std::{
    fmt,
    hash::{BuildHasher as _, Hash, RandomState},
    net::IpAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use crate::{Timestamp, key::KeyHandle, network::Source};

/// For how long attempts are counted together.
const WINDOW: Duration = Duration::from_secs(60);

/// How many counters there are for handles, and for addresses: 1 MiB for both.
const COUNTERS: usize = 1 << 16;

/// Failed attempts of this minute, by handle and by address.
///
/// A fixed number of counters, among which handles and addresses are spread by a secret hash: no
/// flood takes more memory or has a counter forgotten. More attempts than there are counters can't be
/// hashed in a minute, so that sharing one does no harm.
#[derive(Debug)]
pub(super) struct Attempts {
    by_handle: Counters,
    by_address: Counters,
}

/// An attempt that counts as failed until it is taken back.
pub(super) struct Begun {
    window: u64,
    handle: usize,
    address: Option<usize>,
}

impl Attempts {
    pub(super) fn new(per_handle: u16, per_address: u16) -> Self {
        Self {
            by_handle: Counters::new(per_handle),
            by_address: Counters::new(per_address),
        }
    }

    /// Counts an attempt, or tells how long there is none left.
    pub(super) fn begin(
        &self,
        handle: &KeyHandle,
        ip: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Begun, Duration> {
        let micros = now.as_unix_micros().unsigned_abs();
        let length = u64::try_from(WINDOW.as_micros()).unwrap_or(u64::MAX);
        let window = micros / length;
        let begun = Begun {
            window,
            handle: self.by_handle.place(handle),
            address: ip.map(|_| self.by_address.place(&Source::from(ip))),
        };
        let rest = || Duration::from_micros(length - micros % length);
        if !self.by_handle.take(begun.handle, window) {
            return Err(rest());
        }
        match begun.address {
            Some(address) if !self.by_address.take(address, window) => {
                self.by_handle.give(begun.handle, window);
                Err(rest())
            }
            _ => Ok(begun),
        }
    }

    /// Takes an attempt back that did not fail.
    pub(super) fn take_back(&self, begun: &Begun) {
        self.by_handle.give(begun.handle, begun.window);
        if let Some(address) = begun.address {
            self.by_address.give(address, begun.window);
        }
    }
}

struct Counters {
    /// The number of a window, and in the low 16 bits how often it was counted in it.
    counters: Box<[AtomicU64]>,
    limit: u64,
    spread: RandomState,
}

impl Counters {
    fn new(limit: u16) -> Self {
        Self {
            counters: (0..COUNTERS).map(|_| AtomicU64::new(0)).collect(),
            limit: u64::from(limit),
            spread: RandomState::new(),
        }
    }

    fn place(&self, key: &impl Hash) -> usize {
        let hash = self.spread.hash_one(key);
        usize::try_from(hash % COUNTERS as u64).unwrap_or(0)
    }

    /// Counts one more, unless the limit is reached.
    fn take(&self, place: usize, window: u64) -> bool {
        self.step(place, |state| {
            let count = if state >> 16 == window {
                state & 0xffff
            } else {
                0
            };
            (count < self.limit).then_some((window << 16) | (count + 1))
        })
    }

    /// Counts one less, if it is the same window still.
    fn give(&self, place: usize, window: u64) {
        self.step(place, |state| {
            (state >> 16 == window && state & 0xffff > 0).then(|| state - 1)
        });
    }

    fn step(&self, place: usize, step: impl Fn(u64) -> Option<u64>) -> bool {
        let counter = self.counters.get(place);
        counter.is_some_and(|counter| {
            counter
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, step)
                .is_ok()
        })
    }
}

impl fmt::Debug for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counters")
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
