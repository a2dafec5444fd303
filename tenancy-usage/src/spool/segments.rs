//! Which files there are, and how far the disk has them.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use super::lock;

/// A file of the spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    /// How many of its bytes the disk has for sure.
    pub(super) length: u64,
    /// Whether nothing is added to it any more.
    pub(super) is_sealed: bool,
    /// Whether a process that has ended has left it.
    pub(super) is_left: bool,
}

#[derive(Debug)]
pub(super) struct Segments {
    known: Mutex<BTreeMap<u64, Segment>>,
    /// What the next one is called.
    next: AtomicU64,
    /// How many bytes the directory has, with what is kept for people.
    bytes: AtomicU64,
}

impl Segments {
    /// Those that were left, by number and length, beside so many bytes that are kept for people.
    pub(super) fn new(left: BTreeMap<u64, u64>, next: u64, kept: u64) -> Self {
        let bytes = left.values().sum::<u64>() + kept;
        let segment = |(number, length)| {
            let segment = Segment {
                length,
                is_sealed: true,
                is_left: true,
            };
            (number, segment)
        };
        Self {
            known: Mutex::new(left.into_iter().map(segment).collect()),
            next: AtomicU64::new(next),
            bytes: AtomicU64::new(bytes),
        }
    }

    pub(super) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// So many bytes more are kept for people.
    pub(super) fn kept(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn begin(&self, number: u64) {
        let segment = Segment {
            length: 0,
            is_sealed: false,
            is_left: false,
        };
        self.known().insert(number, segment);
    }

    /// The disk has so many bytes of it.
    pub(super) fn has(&self, number: u64, length: u64) {
        if let Some(segment) = self.known().get_mut(&number) {
            let more = length.saturating_sub(segment.length);
            self.bytes.fetch_add(more, Ordering::Relaxed);
            segment.length = length;
        }
    }

    pub(super) fn seal(&self, number: u64) {
        if let Some(segment) = self.known().get_mut(&number) {
            segment.is_sealed = true;
        }
    }

    pub(super) fn oldest(&self) -> Option<(u64, Segment)> {
        let known = self.known();
        known
            .first_key_value()
            .map(|(number, segment)| (*number, *segment))
    }

    /// Up to where the disk has events: a file, and so many of its bytes.
    pub(super) fn end(&self) -> (u64, u64) {
        let known = self.known();
        let newest = known.last_key_value();
        newest.map_or((0, 0), |(number, segment)| (*number, segment.length))
    }

    /// It is not to be sent any more; whether its bytes are gone.
    pub(super) fn done(&self, number: u64, is_removed: bool) {
        let done = self.known().remove(&number);
        if let Some(segment) = done.filter(|_| is_removed) {
            self.bytes.fetch_sub(segment.length, Ordering::Relaxed);
        }
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<u64, Segment>> {
        lock(&self.known)
    }
}
