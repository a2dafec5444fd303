//! `MemoryCounters`: counters of one process, divided so that tenants do not wait for each other, and bounded.

mod cell;
mod key;
mod names;
mod room;
mod shard;

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    Counters, CountersError, Counting, Denial, Denied, Granted, MAX_TAKES, Operation, OperationId,
    Settle, Settled, Standings, Take, Taken,
};
use crate::Timestamp;
use key::Key;
use names::Names;
use room::Room;
use shard::{Applied, Shard, Told};

/// How many counters, leases and remembered operations are kept, unless one says otherwise.
const CAPACITY: usize = 1 << 20;

/// In how many parts the counters are divided.
const SHARDS: usize = 64;

/// How long an operation is remembered, unless one says otherwise.
const REMEMBERED: Duration = Duration::from_secs(24 * 3_600);

/// Counters in the memory of this process. They are gone when it ends, and other processes do not see them: for
/// limits of one process, for tests, and as the model of stores that keep them elsewhere.
///
/// Memory is bounded by [`with_capacity`](Self::with_capacity). A counter is forgotten only when that changes no answer:
/// a bucket that is full again; a period that is past, and the period after it too; leases that have ended; a holding
/// of nothing. Operations that are remembered get half of the room, so that clients who choose ids don't take the room of
/// counters. When there is no room and nothing to forget, an operation that needs a new counter gets
/// [`CountersError::Full`], which an engine answers with 503. Operations on counters that exist go on.
///
/// ```
/// use tenancy_core::quota::{MemoryCounters, Quotas, Meter};
///
/// let counters = MemoryCounters::with_capacity(10_000);
/// assert!(counters.is_empty());
/// let quotas = Quotas::new().meter(Meter::consumed("requests")).counters(counters);
/// # let _ = quotas;
/// ```
pub struct MemoryCounters {
    shards: Box<[Mutex<Shard>]>,
    names: Names,
    room: Room,
    remembered: Duration,
}

impl MemoryCounters {
    /// Counters with room for 1,048,576 of them.
    #[must_use]
    pub fn new() -> Self {
        Self::with_capacity(CAPACITY)
    }

    /// Counters with room for so many: each limit of each holder in use, each lease, each reservation, and each
    /// operation that is remembered counts one. One takes some 100 bytes.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            names: Names::new(),
            room: Room::new(capacity),
            remembered: REMEMBERED,
        }
    }

    /// How long an operation is remembered that a client may repeat, its settlement, and what was given back. Default:
    /// 24 hours.
    #[must_use]
    pub const fn remembering_operations_for(mut self, span: Duration) -> Self {
        self.remembered = span;
        self
    }

    /// How many counters, leases, reservations and operations are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.room.used()
    }

    /// Whether nothing is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn take_now(
        &self,
        operation: Operation,
        takes: &[Take<'_>],
        now: Timestamp,
    ) -> Result<Taken, CountersError> {
        let places = Places::of(takes, &self.names)?;
        // Two for each take: a counter, and a lease in it.
        let remembers = operation.is_repeatable().then(|| operation.id());
        let must_forget = remembers.is_some() && self.room.is_full_of_operations();
        if must_forget || self.room.is_short_of(2 * takes.len() + 1) {
            self.sweep(now);
        }
        let mut locked = self.lock(&places, remembers);
        if let Some(operation) = remembers
            && locked.told(operation, now).is_some_and(|told| told.taken)
        {
            locked.note(operation, |told| told.shared = true);
            let standings = locked.standings(&places, takes, now);
            return Ok(Taken::Granted(Granted::new(standings, Vec::new(), true)));
        }
        let (mut denied, mut needed) = (Vec::new(), usize::from(remembers.is_some()));
        for (index, (place, take)) in places.iter().zip(takes).enumerate() {
            match locked
                .shard(place.shard)
                .check(place.key, operation.id(), take, now)
            {
                Ok(more) => needed += more,
                Err(denial) => denied.push(Denied::new(index, denial)),
            }
        }
        if !denied.is_empty() {
            return Ok(Taken::Denied(denied));
        }
        if remembers.is_some() && self.room.is_full_of_operations() {
            return Err(CountersError::Full);
        }
        let mut room = self.room.reserve(needed)?;
        let mut granted = Granted::default();
        for (index, (place, take)) in places.iter().zip(takes).enumerate() {
            let shard = locked.shard(place.shard);
            let taken = shard.apply(place.key, operation.id(), take, index, now, &mut room);
            // The locks are held, so that what was checked still holds.
            granted.standings.push(taken.standing);
            granted.crossed.extend(taken.crossed);
        }
        if let Some(operation) = remembers {
            let until = now + self.remembered;
            let taken = Told {
                taken: true,
                settled: false,
                shared: false,
            };
            locked.tell(operation, taken, until, &mut room);
        }
        locked.tidy(now, &mut room);
        Ok(Taken::Granted(granted))
    }

    /// Takes of one limit whose counter is there already, which is what most requests do; `None` if it is not.
    #[inline]
    fn take_of_known(
        &self,
        operation: OperationId,
        take: &Take<'_>,
        now: Timestamp,
    ) -> Result<Option<Result<Applied, Denial>>, CountersError> {
        let key = Key::of(take, &self.names)?;
        let Some(shard) = self.shards.get(of_holder(take)) else {
            return Ok(None);
        };
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(shard.take_of_known(key, operation, take, now))
    }

    /// Changes what an operation has taken, once if it is to be remembered.
    fn change(
        &self,
        operation: OperationId,
        takes: &[Take<'_>],
        now: Timestamp,
        once: Once,
        mut change: impl FnMut(&mut Shard, Key, usize, &mut room::Reserved<'_>) -> Settled,
    ) -> Result<Settled, CountersError> {
        let places = Places::of(takes, &self.names)?;
        let is_once = once != Once::No;
        let mut locked = self.lock(&places, is_once.then_some(operation));
        let told = is_once.then(|| locked.told(operation, now)).flatten();
        let is_done = match once {
            Once::No => false,
            // What nobody knows to be taken was given back, or is forgotten.
            Once::Settled | Once::GivenBack => told.is_none_or(|told| !told.taken || told.settled),
            Once::Freed => told.is_some_and(|told| told.settled),
        };
        if is_done {
            return Ok(Settled::Repeated);
        }
        if once == Once::GivenBack
            && told.is_some_and(|told| told.shared)
            && takes.iter().all(Take::is_by_period)
        {
            // A repetition was admitted with it.
            locked.note(operation, |told| told.settled = true);
            return Ok(Settled::Repeated);
        }
        // What was taken is settled also where there is no room: otherwise it would stay taken.
        let mut room = self.room.take(0);
        let mut settled = Settled::Done;
        for (index, place) in places.iter().enumerate() {
            let one = change(locked.shard(place.shard), place.key, index, &mut room);
            if one != Settled::Done {
                settled = one;
            }
        }
        let done = Told {
            taken: once == Once::Settled,
            settled: true,
            shared: false,
        };
        match once {
            Once::No => {}
            // A repetition takes again, so that there is nothing to remember.
            Once::GivenBack => locked.forget(operation, &mut room),
            Once::Settled | Once::Freed => {
                locked.tell(operation, done, now + self.remembered, &mut room);
            }
        }
        locked.tidy(now, &mut room);
        Ok(settled)
    }

    /// Forgets everywhere what changes no answer, at most once a second.
    fn sweep(&self, now: Timestamp) {
        if !self.room.may_sweep(now) {
            return;
        }
        let mut room = self.room.take(0);
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.sweep(now, &mut room);
        }
    }

    fn lock(&self, places: &Places, operation: Option<OperationId>) -> Locked<'_> {
        let mut wanted = [usize::MAX; MAX_TAKES + 1];
        let operation = operation.map(of_operation);
        let each = places.iter().map(|place| place.shard).chain(operation);
        for (slot, shard) in wanted.iter_mut().zip(each) {
            *slot = shard;
        }
        // In one order, so that two who lock several never wait for each other.
        wanted.sort_unstable();
        let mut locked = Locked {
            guards: [const { None }; MAX_TAKES + 1],
            spare: Shard::default(),
        };
        let mut before = usize::MAX;
        let mut guards = locked.guards.iter_mut();
        for index in wanted {
            if index == before {
                continue;
            }
            before = index;
            let (Some(shard), Some(guard)) = (self.shards.get(index), guards.next()) else {
                break;
            };
            *guard = Some((index, shard.lock().unwrap_or_else(PoisonError::into_inner)));
        }
        locked
    }
}

/// What is remembered of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Once {
    /// Nothing: it may be made again.
    No,
    /// That it was made.
    Settled,
    /// Nothing, once it is made: nothing is taken any more.
    GivenBack,
    /// That what was kept is free again. Nobody need have taken it by this operation.
    Freed,
}

/// The part that remembers an operation.
fn of_operation(operation: OperationId) -> usize {
    usize::try_from(operation.as_u128() % SHARDS as u128).unwrap_or(0)
}

/// The part that has the counters of a holder.
fn of_holder(take: &Take<'_>) -> usize {
    usize::try_from(take.holder.spread() % SHARDS as u64).unwrap_or(0)
}

/// Where the counters of some takes are.
struct Places {
    each: [Place; MAX_TAKES],
    len: usize,
}

#[derive(Clone, Copy, Default)]
struct Place {
    key: Key,
    shard: usize,
}

impl Places {
    fn of(takes: &[Take<'_>], names: &Names) -> Result<Self, CountersError> {
        if takes.len() > MAX_TAKES {
            return Err(CountersError::Malformed);
        }
        let mut places = Self {
            each: [Place::default(); MAX_TAKES],
            len: takes.len(),
        };
        for (index, take) in takes.iter().enumerate() {
            let key = Key::of(take, names)?;
            if places.each.iter().take(index).any(|place| place.key == key) {
                return Err(CountersError::Malformed);
            }
            if let Some(place) = places.each.get_mut(index) {
                place.key = key;
                place.shard = of_holder(take);
            }
        }
        Ok(places)
    }

    fn iter(&self) -> impl Iterator<Item = &Place> {
        self.each.iter().take(self.len)
    }
}

/// The parts that one operation needs, all at once.
struct Locked<'a> {
    guards: [Option<(usize, MutexGuard<'a, Shard>)>; MAX_TAKES + 1],
    /// In the place of a part that is not locked, which does not happen.
    spare: Shard,
}

impl Locked<'_> {
    fn shard(&mut self, index: usize) -> &mut Shard {
        let guards = self.guards.iter_mut().flatten();
        match guards.into_iter().find(|(of, _)| *of == index) {
            Some((_, shard)) => shard,
            None => &mut self.spare,
        }
    }

    fn told(&mut self, operation: OperationId, now: Timestamp) -> Option<Told> {
        self.shard(of_operation(operation)).told(operation, now)
    }

    fn tell(
        &mut self,
        operation: OperationId,
        what: Told,
        until: Timestamp,
        room: &mut room::Reserved<'_>,
    ) {
        let shard = self.shard(of_operation(operation));
        shard.tell(operation, what, until, room);
    }

    fn note(&mut self, operation: OperationId, change: impl FnOnce(&mut Told)) {
        self.shard(of_operation(operation)).note(operation, change);
    }

    fn forget(&mut self, operation: OperationId, room: &mut room::Reserved<'_>) {
        self.shard(of_operation(operation)).forget(operation, room);
    }

    fn standings(&mut self, places: &Places, takes: &[Take<'_>], now: Timestamp) -> Standings {
        let each = places.iter().zip(takes);
        each.map(|(place, take)| self.shard(place.shard).peek(place.key, take, now))
            .collect()
    }

    fn tidy(&mut self, now: Timestamp, room: &mut room::Reserved<'_>) {
        for (_, shard) in self.guards.iter_mut().flatten() {
            if shard.is_due() {
                shard.sweep(now, room);
            }
        }
    }
}

impl Counters for MemoryCounters {
    fn take(&self, operation: Operation, takes: &[Take<'_>], now: Timestamp) -> Counting<Taken> {
        if let ([take], false) = (takes, operation.is_repeatable()) {
            match self.take_of_known(operation.id(), take, now) {
                Ok(Some(Ok(applied))) => {
                    return Counting::Ready(Ok(Taken::Granted(Granted {
                        standings: applied.standing.into(),
                        crossed: applied.crossed.into_iter().collect(),
                        repeated: false,
                        by_share: false,
                    })));
                }
                Ok(Some(Err(denial))) => {
                    return Counting::Ready(Ok(Taken::Denied(vec![Denied::new(0, denial)])));
                }
                Ok(None) => {}
                Err(error) => return Counting::Ready(Err(error)),
            }
        }
        Counting::Ready(self.take_now(operation, takes, now))
    }

    fn settle(
        &self,
        operation: Operation,
        settles: &[Settle<'_>],
        now: Timestamp,
    ) -> Counting<Settled> {
        let takes: Vec<_> = settles.iter().map(|settle| settle.take).collect();
        let gives_all_back = settles.iter().all(|settle| settle.actual == 0);
        let once = match (operation.is_repeatable(), gives_all_back) {
            (false, _) => Once::No,
            (true, true) => Once::GivenBack,
            (true, false) => Once::Settled,
        };
        let operation = operation.id();
        Counting::Ready(
            self.change(
                operation,
                &takes,
                now,
                once,
                |shard, key, index, room| match settles.get(index) {
                    Some(settle) => shard.settle(key, operation, settle, now, room),
                    None => Settled::Done,
                },
            ),
        )
    }

    fn renew(
        &self,
        operation: OperationId,
        takes: &[Take<'_>],
        now: Timestamp,
    ) -> Counting<Settled> {
        Counting::Ready(
            self.change(
                operation,
                takes,
                now,
                Once::No,
                |shard, key, index, _| match takes.get(index) {
                    Some(take) => shard.renew(key, operation, take, now),
                    None => Settled::Done,
                },
            ),
        )
    }

    fn give_back(
        &self,
        operation: OperationId,
        takes: &[Take<'_>],
        now: Timestamp,
    ) -> Counting<Settled> {
        Counting::Ready(self.change(
            operation,
            takes,
            now,
            Once::Freed,
            |shard, key, index, room| {
                if let Some(take) = takes.get(index) {
                    shard.give_back(key, take, now, room);
                }
                Settled::Done
            },
        ))
    }

    fn standings(&self, takes: &[Take<'_>], now: Timestamp) -> Counting<Standings> {
        let standings = Places::of(takes, &self.names).map(|places| {
            let mut locked = self.lock(&places, None);
            locked.standings(&places, takes, now)
        });
        Counting::Ready(standings)
    }
}

impl Default for MemoryCounters {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryCounters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryCounters")
            .field("len", &self.len())
            .field("capacity", &self.room.capacity())
            .finish_non_exhaustive()
    }
}
