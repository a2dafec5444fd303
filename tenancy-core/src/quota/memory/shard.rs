//! One part of the counters, behind one lock.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasherDefault, Hasher},
};

use super::{
    cell::{Cell, Key},
    room::Reserved,
};
use crate::{
    Timestamp,
    quota::{Algorithm, Crossed, Denial, OperationId, Settle, Settled, Standing, Take},
};

/// How many entries a part has at least before it is looked through.
const FEW: usize = 64;

#[derive(Default)]
pub(super) struct Shard {
    cells: HashMap<Key, Cell, BuildHasherDefault<OfKey>>,
    operations: HashMap<OperationId, (Told, Timestamp)>,
    /// With how many entries it is looked through: twice as many as it had after the last time.
    sweep_at: usize,
}

/// What is known of an operation.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Told {
    pub(super) taken: bool,
    pub(super) settled: bool,
    /// Whether a repetition was granted.
    pub(super) shared: bool,
}

/// What was taken of one limit.
pub(super) struct Applied {
    pub(super) standing: Standing,
    pub(super) crossed: Option<Crossed>,
}

impl Shard {
    pub(super) fn peek(&self, key: Key, take: &Take<'_>, now: Timestamp) -> Standing {
        match self.cells.get(&key) {
            Some(cell) => cell.peek(take, now),
            None => Cell::new(&take.algorithm, now).peek(take, now),
        }
    }

    /// Whether it can be taken, and how much more room that needs.
    pub(super) fn check(
        &mut self,
        key: Key,
        operation: OperationId,
        take: &Take<'_>,
        now: Timestamp,
    ) -> Result<usize, Denial> {
        match self.cells.get_mut(&key) {
            Some(cell) => {
                cell.note_clock(take, now);
                cell.check(operation, take, now)
            }
            None => {
                let more = Cell::new(&take.algorithm, now).check(operation, take, now)?;
                Ok(more + 1)
            }
        }
    }

    /// Takes of a counter that is there, or nothing; `None` if it is not there.
    pub(super) fn take_of_known(
        &mut self,
        key: Key,
        operation: OperationId,
        take: &Take<'_>,
        now: Timestamp,
    ) -> Option<Result<Applied, Denial>> {
        let cell = self.cells.get_mut(&key)?;
        if !cell.has_fixed_weight() {
            return None;
        }
        cell.note_clock(take, now);
        Some(cell.apply(operation, take, now).map(|applied| Applied {
            standing: applied.standing,
            crossed: applied.reached.map(|percent| Crossed::new(0, percent)),
        }))
    }

    /// Takes what was checked under the same lock.
    pub(super) fn apply(
        &mut self,
        key: Key,
        operation: OperationId,
        take: &Take<'_>,
        index: usize,
        now: Timestamp,
        room: &mut Reserved<'_>,
    ) -> Applied {
        if take.amount == 0 {
            return Applied {
                standing: self.peek(key, take, now),
                crossed: None,
            };
        }
        let mut before = 0;
        let cell = match self.cells.entry(key) {
            Entry::Occupied(entry) => {
                let cell = entry.into_mut();
                before = cell.weight();
                cell
            }
            Entry::Vacant(entry) => entry.insert(Cell::new(&take.algorithm, now)),
        };
        let applied = cell.apply(operation, take, now);
        room.changes(before, cell.weight());
        match applied {
            Ok(applied) => Applied {
                standing: applied.standing,
                crossed: applied.reached.map(|percent| Crossed::new(index, percent)),
            },
            Err(denial) => Applied {
                standing: denial.standing,
                crossed: None,
            },
        }
    }

    /// Changes a counter, and forgets it if nothing is left in it.
    fn change<T>(
        &mut self,
        key: Key,
        now: Timestamp,
        room: &mut Reserved<'_>,
        change: impl FnOnce(&mut Cell) -> T,
    ) -> Option<T> {
        let Entry::Occupied(mut entry) = self.cells.entry(key) else {
            return None;
        };
        let before = entry.get().weight();
        let changed = change(entry.get_mut());
        if entry.get().is_idle(now) {
            entry.remove();
            room.changes(before, 0);
        } else {
            room.changes(before, entry.get().weight());
        }
        Some(changed)
    }

    pub(super) fn settle(
        &mut self,
        key: Key,
        operation: OperationId,
        settle: &Settle<'_>,
        now: Timestamp,
        room: &mut Reserved<'_>,
    ) -> Settled {
        if settle.actual > 0
            && let Entry::Vacant(entry) = self.cells.entry(key)
        {
            // What was kept, or cost more than it had seemed, counts also where the counter was forgotten meanwhile.
            entry.insert(Cell::new(&settle.take.algorithm, now));
            room.changes(0, 1);
        }
        let settled = self.change(key, now, room, |cell| cell.settle(operation, settle, now));
        settled.unwrap_or(Settled::Done)
    }

    pub(super) fn renew(
        &mut self,
        key: Key,
        operation: OperationId,
        take: &Take<'_>,
        now: Timestamp,
    ) -> Settled {
        match (self.cells.get_mut(&key), &take.algorithm) {
            (Some(cell), _) => cell.renew(operation, take, now),
            (None, Algorithm::Rate(_) | Algorithm::Period(..)) => Settled::Done,
            (None, _) => Settled::Late,
        }
    }

    pub(super) fn give_back(
        &mut self,
        key: Key,
        take: &Take<'_>,
        now: Timestamp,
        room: &mut Reserved<'_>,
    ) {
        self.change(key, now, room, |cell| cell.give_back(take, now));
    }

    pub(super) fn told(&self, operation: OperationId, now: Timestamp) -> Option<Told> {
        let (told, until) = self.operations.get(&operation)?;
        (*until > now).then_some(*told)
    }

    pub(super) fn tell(
        &mut self,
        operation: OperationId,
        what: Told,
        until: Timestamp,
        room: &mut Reserved<'_>,
    ) {
        if self.operations.insert(operation, (what, until)).is_none() {
            room.remembers();
        }
    }

    /// Changes what is known of it, if anything is.
    pub(super) fn note(&mut self, operation: OperationId, change: impl FnOnce(&mut Told)) {
        if let Some((told, _)) = self.operations.get_mut(&operation) {
            change(told);
        }
    }

    /// Forgets it, so that it is as if it had never been.
    pub(super) fn forget(&mut self, operation: OperationId, room: &mut Reserved<'_>) {
        if self.operations.remove(&operation).is_some() {
            room.forgets(1);
        }
    }

    fn len(&self) -> usize {
        self.cells.len() + self.operations.len()
    }

    /// Whether it has grown so much that it should be looked through.
    pub(super) fn is_due(&self) -> bool {
        self.len() >= self.sweep_at.max(FEW)
    }

    /// Forgets what changes no answer.
    pub(super) fn sweep(&mut self, now: Timestamp, room: &mut Reserved<'_>) {
        let mut freed = 0;
        self.cells.retain(|_, cell| {
            let keeps = !cell.is_idle(now);
            freed += if keeps { 0 } else { cell.weight() };
            keeps
        });
        let operations = self.operations.len();
        self.operations.retain(|_, (_, until)| *until > now);
        room.give(freed);
        room.forgets(operations - self.operations.len());
        if self.cells.capacity() > 4 * self.cells.len().max(FEW) {
            self.cells.shrink_to(2 * self.cells.len());
        }
        self.sweep_at = 2 * self.len();
    }
}

/// The hash of a key, which is a keyed digest already: one half of it.
#[derive(Default)]
pub(super) struct OfKey(u64);

impl Hasher for OfKey {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, half: u64) {
        self.0 = half;
    }
}
