//! All that one process has in hand, found by what an operation takes, and by limit.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::hand::Hand;
use crate::{
    digest::Digest,
    quota::{Algorithm, OwnedTake, Take},
};

const SHARDS: usize = 64;

type Shard<T> = Mutex<HashMap<u64, Vec<T>>>;

pub(super) struct Hands {
    of_takes: Box<[Shard<Arc<Hand>>]>,
    /// The hands that have something of a limit, to be found where that limit refuses.
    of_limits: Box<[Shard<Weak<Hand>>]>,
    len: AtomicUsize,
    capacity: usize,
}

fn lock<T>(shard: &Shard<T>) -> MutexGuard<'_, HashMap<u64, Vec<T>>> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

fn shard<T>(shards: &[Shard<T>], key: u64) -> Option<&Shard<T>> {
    shards.get(usize::try_from(key % SHARDS as u64).unwrap_or(0))
}

/// A digest of holder, name and kind of a limit. Whoever finds something by it compares.
fn of_limit(take: &Take<'_>) -> Option<u64> {
    let (kind, tenant, id) = take.holder.parts();
    let kinds = [take.is_by_period().into(), take.holder.scope() as u8, kind];
    let kinds = kinds
        .into_iter()
        .rev()
        .fold(0, |all, one| all << 8 | u128::from(one));
    let ids = [tenant.unwrap_or(0), id.unwrap_or(0) ^ kinds];
    Digest::quick(ids, take.limit).map(|digest| digest as u64)
}

/// A digest of all takes, with their amounts; `None` without random bytes.
fn of_takes(takes: &[Take<'_>]) -> Option<u64> {
    takes.iter().try_fold(0_u64, |key, take| {
        let own = of_limit(take)?.wrapping_add(take.amount);
        Some((key.rotate_left(29) ^ own).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    })
}

impl Hands {
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self {
            of_takes: (0..SHARDS).map(|_| Shard::default()).collect(),
            of_limits: (0..SHARDS).map(|_| Shard::default()).collect(),
            len: AtomicUsize::new(0),
            capacity,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    /// The hand for these takes, if there is one.
    pub(super) fn get(&self, takes: &[Take<'_>]) -> Option<Arc<Hand>> {
        let key = of_takes(takes)?;
        let hands = lock(shard(&self.of_takes, key)?);
        let mut each = hands.get(&key)?.iter();
        each.find(|hand| hand.is_of(takes)).cloned()
    }

    /// The hand for these takes; `None` if there is none, and no room for another one.
    pub(super) fn get_or_make(&self, takes: &[Take<'_>]) -> Option<Arc<Hand>> {
        let key = of_takes(takes)?;
        let mut hands = lock(shard(&self.of_takes, key)?);
        let known = hands.get(&key).into_iter().flatten();
        if let Some(hand) = known.into_iter().find(|hand| hand.is_of(takes)) {
            return Some(Arc::clone(hand));
        }
        if self.len() >= self.capacity {
            self.forget(&mut hands, false);
        }
        if self.len() >= self.capacity {
            return None;
        }
        let hand = Arc::new(Hand::new(OwnedTake::all_of(takes)));
        hands.entry(key).or_default().push(Arc::clone(&hand));
        self.len.fetch_add(1, Ordering::AcqRel);
        drop(hands);
        for take in takes {
            let Some(key) = of_limit(take) else { continue };
            if let Some(shard) = shard(&self.of_limits, key) {
                let mut limits = lock(shard);
                let hands = limits.entry(key).or_default();
                // Not each time, so that many of one limit cost no more than few.
                if hands.len().is_power_of_two() {
                    hands.retain(|hand| hand.strong_count() > 0);
                }
                hands.push(Arc::downgrade(&hand));
            }
        }
        Some(hand)
    }

    /// The hands that take of the same limit of the same holder, so many at most, each with the place that it has
    /// among their takes; and how many there are, about.
    pub(super) fn sharing(&self, take: &Take<'_>, most: usize) -> (Vec<(Arc<Hand>, usize)>, usize) {
        if self.len() == 0 {
            return (Vec::new(), 0);
        }
        let Some(key) = of_limit(take) else {
            return (Vec::new(), 0);
        };
        let Some(shard) = shard(&self.of_limits, key) else {
            return (Vec::new(), 0);
        };
        let limits = lock(shard);
        let all = limits.get(&key).map_or(0, Vec::len);
        let hands = limits.get(&key).into_iter().flatten();
        let shares = hands.filter_map(Weak::upgrade).filter_map(|hand| {
            let place = hand.takes.iter().map(OwnedTake::take).position(|own| {
                own.holder == take.holder
                    && own.limit == take.limit
                    && is_counted_with(&own.algorithm, &take.algorithm)
            })?;
            Some((hand, place))
        });
        (shares.take(most).collect(), all)
    }

    /// All of them.
    pub(super) fn each(&self) -> Vec<Arc<Hand>> {
        let mut each = Vec::new();
        for shard in &self.of_takes {
            each.extend(lock(shard).values().flatten().cloned());
        }
        each
    }

    /// Forgets those that have nothing in hand, and that nobody has asked for since the last time.
    pub(super) fn forget_idle(&self) {
        for shard in &self.of_takes {
            self.forget(&mut lock(shard), true);
        }
        for shard in &self.of_limits {
            lock(shard).retain(|_, hands| {
                hands.retain(|hand| hand.strong_count() > 0);
                !hands.is_empty()
            });
        }
    }

    fn forget(&self, hands: &mut HashMap<u64, Vec<Arc<Hand>>>, keeps_touched: bool) {
        let mut forgotten = 0;
        hands.retain(|_, each| {
            each.retain(|hand| {
                let mut state = hand.lock();
                let is_kept = !state.is_idle() || (keeps_touched && state.is_touched);
                state.is_touched = false;
                state.is_gone = !is_kept;
                forgotten += usize::from(!is_kept);
                is_kept
            });
            !each.is_empty()
        });
        self.len.fetch_sub(forgotten, Ordering::AcqRel);
    }
}

/// Whether two are counted by one counter: of periods, those of the same one.
fn is_counted_with(one: &Algorithm, other: &Algorithm) -> bool {
    match (one, other) {
        (Algorithm::Rate(_), Algorithm::Rate(_)) => true,
        (Algorithm::Period(_, one), Algorithm::Period(_, other)) => one.start == other.start,
        _ => false,
    }
}
