//! The present moment, as the engine's clock shows it, and what follows if the clock was set back.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::{Clock, Timestamp, cache::CacheVersions};

/// How far apart two readings of the clock may be on two processors, in microseconds.
const JITTER: i64 = 100_000;

/// How much later than the moment on record a reading must be to take its place, in microseconds: so
/// that threads write to the same memory ten times a second, and not at each request.
const STEP: i64 = 100_000;

/// The latest moment that the clock has shown, in microseconds; at most [`STEP`] too early.
#[derive(Debug)]
pub(super) struct Latest(AtomicI64);

impl Latest {
    pub(super) const fn new() -> Self {
        Self(AtomicI64::new(i64::MIN))
    }

    /// What the clock shows now. If it was set back, nobody knows how old what is cached is, and
    /// everything is dropped.
    pub(super) fn now(&self, clock: &dyn Clock, versions: &CacheVersions) -> Timestamp {
        let Self(record) = self;
        // Read before the clock is: a moment that is on record by then was shown earlier.
        let latest = record.load(Ordering::Acquire);
        let now = clock.now();
        let micros = now.as_unix_micros();
        if micros < latest.saturating_sub(JITTER) {
            tracing::warn!("the clock was set back; everything that is cached is read again");
            versions.drop_all();
        } else if micros <= latest.saturating_add(STEP) {
            return now;
        }
        // Whoever was first has put as good a moment on record.
        let _ = record.compare_exchange(latest, micros, Ordering::AcqRel, Ordering::Relaxed);
        now
    }
}
