//! One part of the counters, behind one lock.

use std::collections::HashMap;

use hashbrown::{HashTable, hash_table::Entry};

use super::{cell::Cell, key::Key, room::Reserved};
use crate::{
    Timestamp,
    quota::{Algorithm, Crossed, Denial, OperationId, Settle, Settled, Standing, Take},
};

/// How many entries a part has at least before it is looked through.
const FEW: usize = 64;

/// One line of the processor's cache: a counter among very many is fetched at once.
#[repr(align(64))]
struct Counter {
    key: Key,
    cell: Cell,
}

const _: () = assert!(size_of::<Counter>() == 64);

impl Counter {
    fn new(key: Key, take: &Take<'_>, now: Timestamp) -> Self {
        let cell = Cell::new(&take.algorithm, now);
        Self { key, cell }
    }
}

#[derive(Default)]
pub(super) struct Shard {
    counters: HashTable<Counter>,
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
    fn find(&self, key: Key) -> Option<&Cell> {
        let counter = self.counters.find(key.place(), |one| one.key == key)?;
        Some(&counter.cell)
    }

    #[inline]
    fn find_mut(&mut self, key: Key) -> Option<&mut Cell> {
        let counter = self.counters.find_mut(key.place(), |one| one.key == key)?;
        Some(&mut counter.cell)
    }

    fn entry(&mut self, key: Key) -> Entry<'_, Counter> {
        let place = |one: &Counter| one.key.place();
        (self.counters).entry(key.place(), |one| one.key == key, place)
    }

    pub(super) fn peek(&self, key: Key, take: &Take<'_>, now: Timestamp) -> Standing {
        match self.find(key) {
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
        match self.find_mut(key) {
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
    #[inline]
    pub(super) fn take_of_known(
        &mut self,
        key: Key,
        operation: OperationId,
        take: &Take<'_>,
        now: Timestamp,
    ) -> Option<Result<Applied, Denial>> {
        let cell = self.find_mut(key)?;
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
        let cell = match self.entry(key) {
            Entry::Occupied(entry) => {
                let cell = &mut entry.into_mut().cell;
                before = cell.weight();
                cell
            }
            Entry::Vacant(entry) => {
                let new = entry.insert(Counter::new(key, take, now));
                &mut new.into_mut().cell
            }
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
        let found = self.counters.find_entry(key.place(), |one| one.key == key);
        let mut found = found.ok()?;
        let cell = &mut found.get_mut().cell;
        let before = cell.weight();
        let changed = change(cell);
        if cell.is_idle(now) {
            found.remove();
            room.changes(before, 0);
        } else {
            room.changes(before, cell.weight());
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
            && let Entry::Vacant(entry) = self.entry(key)
        {
            // What was kept, or cost more than it had seemed, counts also where the counter was forgotten meanwhile.
            entry.insert(Counter::new(key, &settle.take, now));
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
        match (self.find_mut(key), &take.algorithm) {
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
        self.counters.len() + self.operations.len()
    }

    /// Whether it has grown so much that it should be looked through.
    pub(super) fn is_due(&self) -> bool {
        self.len() >= self.sweep_at.max(FEW)
    }

    /// Forgets what changes no answer.
    pub(super) fn sweep(&mut self, now: Timestamp, room: &mut Reserved<'_>) {
        let mut freed = 0;
        self.counters.retain(|Counter { cell, .. }| {
            let keeps = !cell.is_idle(now);
            freed += if keeps { 0 } else { cell.weight() };
            keeps
        });
        let operations = self.operations.len();
        self.operations.retain(|_, (_, until)| *until > now);
        room.give(freed);
        room.forgets(operations - self.operations.len());
        let left = self.counters.len();
        if self.counters.capacity() > 4 * left.max(FEW) {
            self.counters.shrink_to(2 * left, |one| one.key.place());
        }
        self.sweep_at = 2 * self.len();
    }
}
