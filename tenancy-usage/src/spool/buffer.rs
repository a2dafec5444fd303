//! What waits for the disk, and no more than there is room for.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use crate::EventError;

/// Who waits until the disk has what was recorded.
pub(super) type Waiter = oneshot::Sender<Result<(), EventError>>;

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Added {
    Yes,
    NoRoom,
    Ended,
}

/// What is written at once.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) bytes: Vec<u8>,
    pub(super) events: u64,
    waiters: Vec<Waiter>,
}

impl Group {
    /// Tells those who wait.
    pub(super) fn tell(&mut self, told: &Result<(), EventError>) {
        for waiter in self.waiters.drain(..) {
            // Whoever has gone need not be told.
            drop(waiter.send(told.clone()));
        }
    }
}

pub(super) struct Buffer {
    most: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    group: Group,
    /// When the oldest record of the group came.
    since: Option<Instant>,
    /// How many bytes were taken and are not written yet.
    taken: usize,
    /// Until when the disk may take its time at the end.
    end: Option<Instant>,
}

impl State {
    fn take(&mut self) -> Group {
        self.since = None;
        self.taken += self.group.bytes.len();
        std::mem::take(&mut self.group)
    }
}

impl Buffer {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Adds a record, if the disk has so many bytes free for all that waits.
    pub(super) fn add(&self, record: &[u8], waiter: Option<Waiter>, free: u64) -> Added {
        let mut state = self.state();
        if state.end.is_some() {
            return Added::Ended;
        }
        let after = state.group.bytes.len() + state.taken + record.len();
        if after > self.most || u64::try_from(after).unwrap_or(u64::MAX) > free {
            return Added::NoRoom;
        }
        let is_first = state.since.is_none();
        state.group.bytes.extend_from_slice(record);
        state.group.events += 1;
        state.since.get_or_insert_with(Instant::now);
        let is_urgent = waiter.is_some();
        state.group.waiters.extend(waiter);
        drop(state);
        if is_first || is_urgent {
            self.changed.notify_all();
        }
        Added::Yes
    }

    /// Has somebody told when the disk has what was added until now; not if nothing is written any more.
    pub(super) fn watch(&self, waiter: Waiter) -> bool {
        let mut state = self.state();
        if state.end.is_some() {
            return false;
        }
        state.since.get_or_insert_with(Instant::now);
        state.group.waiters.push(waiter);
        drop(state);
        self.changed.notify_all();
        true
    }

    /// Waits for what is to be written: so long that others may join, and not if somebody waits. `None` at the end.
    pub(super) fn next(&self, patience: Duration) -> Option<Group> {
        let mut state = self.state();
        loop {
            if state.end.is_some() {
                return state.since.is_some().then(|| state.take());
            }
            let Some(since) = state.since else {
                state = self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = patience.saturating_sub(since.elapsed());
            if left.is_zero() || !state.group.waiters.is_empty() {
                return Some(state.take());
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Adds to a group what has come since, after a pause that ends when somebody waits. Whether there is time to try again.
    pub(super) fn join(&self, group: &mut Group, pause: Duration) -> bool {
        let state = self.state();
        let end = state.end;
        let waited = self.changed.wait_timeout_while(state, pause, |state| {
            state.group.waiters.is_empty() && state.end == end
        });
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        let joined = state.take();
        group.bytes.extend(joined.bytes);
        group.events += joined.events;
        group.waiters.extend(joined.waiters);
        state.end.is_none_or(|end| Instant::now() < end)
    }

    /// What was taken needs no room here any more.
    pub(super) fn freed(&self) {
        self.state().taken = 0;
    }

    /// How many bytes wait for the disk.
    pub(super) fn bytes(&self) -> u64 {
        let state = self.state();
        u64::try_from(state.group.bytes.len() + state.taken).unwrap_or(u64::MAX)
    }

    /// Takes nothing from now on, and gives the disk time until then.
    pub(super) fn close(&self, end: Instant) {
        let mut state = self.state();
        state.end.get_or_insert(end);
        drop(state);
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
