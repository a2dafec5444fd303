//! The room that counters have: a number that is never exceeded by what may be refused.

use std::{
    sync::atomic::{AtomicI64, AtomicUsize, Ordering},
    time::Duration,
};

use crate::{Timestamp, quota::CountersError};

/// How often all counters are looked through when there is no room.
const EACH: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Room {
    capacity: usize,
    used: AtomicUsize,
    /// How much of it remembered operations use, of which clients choose how many there are.
    operations: AtomicUsize,
    /// When all counters were looked through, in microseconds.
    swept: AtomicI64,
}

impl Room {
    pub(super) const fn new(capacity: usize) -> Self {
        Self {
            capacity,
            used: AtomicUsize::new(0),
            operations: AtomicUsize::new(0),
            swept: AtomicI64::new(i64::MIN),
        }
    }

    pub(super) const fn capacity(&self) -> usize {
        self.capacity
    }

    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    pub(super) fn is_short_of(&self, more: usize) -> bool {
        self.used().saturating_add(more) > self.capacity
    }

    /// Whether remembered operations use half of the room, which is all that they get.
    pub(super) fn is_full_of_operations(&self) -> bool {
        self.operations.load(Ordering::Relaxed) >= self.capacity / 2
    }

    /// Room for so many, or none.
    pub(super) fn reserve(&self, more: usize) -> Result<Reserved<'_>, CountersError> {
        if more > 0 {
            let fits = |used: usize| used.checked_add(more).filter(|sum| *sum <= self.capacity);
            self.used
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
                .map_err(|_| CountersError::Full)?;
        }
        Ok(Reserved {
            room: self,
            left: more,
        })
    }

    /// Room for so many, whether there is any or not: for what must be noted.
    pub(super) fn take(&self, more: usize) -> Reserved<'_> {
        self.used.fetch_add(more, Ordering::Relaxed);
        Reserved {
            room: self,
            left: more,
        }
    }

    /// Whether it is time to look through all counters. A clock that was set back says that it is.
    pub(super) fn may_sweep(&self, now: Timestamp) -> bool {
        let now = now.as_unix_micros();
        let each = i64::try_from(EACH.as_micros()).unwrap_or(i64::MAX);
        let due = |swept: i64| (now < swept || now.saturating_sub(swept) >= each).then_some(now);
        self.swept
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, due)
            .is_ok()
    }
}

/// Room that was reserved. What is not used is given back.
pub(super) struct Reserved<'a> {
    room: &'a Room,
    left: usize,
}

impl Reserved<'_> {
    /// What takes `before` takes `after` from now on.
    pub(super) fn changes(&mut self, before: usize, after: usize) {
        match after.checked_sub(before) {
            Some(more) => self.uses(more),
            None => self.give(before - after),
        }
    }

    /// One more operation is remembered.
    pub(super) fn remembers(&mut self) {
        self.room.operations.fetch_add(1, Ordering::Relaxed);
        self.uses(1);
    }

    /// So many operations are forgotten.
    pub(super) fn forgets(&mut self, operations: usize) {
        self.room
            .operations
            .fetch_sub(operations, Ordering::Relaxed);
        self.give(operations);
    }

    fn uses(&mut self, more: usize) {
        let own = self.left.min(more);
        self.left -= own;
        self.room.used.fetch_add(more - own, Ordering::Relaxed);
    }

    pub(super) fn give(&mut self, freed: usize) {
        if freed > 0 {
            self.room.used.fetch_sub(freed, Ordering::Relaxed);
        }
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.give(self.left);
    }
}
