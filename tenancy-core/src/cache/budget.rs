//! A cache that is bounded by the bytes it keeps, and lets go of what has ended.

use std::{
    collections::VecDeque,
    fmt,
    mem::size_of,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use quick_cache::{Weighter, sync::Cache};

use crate::{Timestamp, digest::Digest};

/// What an entry costs beside itself: its place in a table, and among those that are swept. Tables
/// grow by doubling, so that twice the room is counted.
const OVERHEAD: usize = 96;

/// The largest part of the budget that one entry may take.
const SHARE: u64 = 32;

/// What an entry is taken to weigh when the cache is laid out.
const TYPICAL: usize = 512;

/// How often entries are looked through for what has ended, under traffic.
const SWEEP_EVERY: Duration = Duration::from_millis(100);

/// How many are looked at each time: a pass over 16 MiB takes seconds, and a step microseconds.
const SWEPT_AT_ONCE: usize = 256;

/// How many are looked at for each new entry. More than one, so that the list of what is to be swept
/// grows no longer than the cache is.
const SWEPT_PER_INSERT: usize = 4;

#[derive(Clone)]
struct Entry<V> {
    value: V,
    weight: u32,
    /// In seconds since the epoch, rounded up.
    ends_at: i64,
    /// Tells this entry from an earlier one under the same digest.
    number: u32,
}

#[derive(Clone)]
struct ByWeight;

impl<V> Weighter<Digest, Entry<V>> for ByWeight {
    fn weight(&self, _: &Digest, entry: &Entry<V>) -> u64 {
        u64::from(entry.weight)
    }
}

/// Values by digest, within a budget of bytes.
///
/// There is no task that sweeps. Whoever finds a sweep due looks at some entries and goes on, and
/// each new entry pays for a few; so what has ended is freed for as long as there is traffic.
pub(crate) struct Budgeted<V: Clone> {
    entries: Cache<Digest, Entry<V>, ByWeight>,
    largest: u64,
    swept: Mutex<Swept>,
    /// When the next sweep is due (microseconds).
    due_at: AtomicI64,
}

/// The entries in the order in which they are swept. One that has gone stands here until it is
/// looked at.
#[derive(Default)]
struct Swept {
    order: VecDeque<(Digest, u32)>,
    number: u32,
}

impl<V: Clone> Budgeted<V> {
    /// A cache that keeps so many bytes; none for 0.
    pub(crate) fn new(bytes: usize) -> Option<Self> {
        if bytes == 0 {
            return None;
        }
        let budget = bytes as u64;
        let entries = Cache::with_weighter((bytes / TYPICAL).max(1), budget, ByWeight);
        // Of a small budget, a part of the cache may hold less than a share.
        let largest = (budget / SHARE).min(entries.shard_capacity() / 4);
        Some(Self {
            entries,
            largest,
            swept: Mutex::default(),
            due_at: AtomicI64::new(i64::MIN),
        })
    }

    #[inline]
    pub(crate) fn get(&self, digest: &Digest, now: Timestamp) -> Option<V> {
        let due_at = self.due_at.load(Ordering::Relaxed);
        // At once if the clock was set back.
        if now.as_unix_micros() >= due_at || due_at > (now + SWEEP_EVERY).as_unix_micros() {
            self.sweep(due_at, now);
        }
        self.entries.get(digest).map(|entry| entry.value)
    }

    /// Keeps a value that owns so many bytes on the heap until it ends; not if it is too large.
    pub(crate) fn insert(
        &self,
        digest: Digest,
        value: V,
        heap: usize,
        ends_at: Timestamp,
        now: Timestamp,
    ) {
        let own = size_of::<(Digest, Entry<V>)>() * 2 + OVERHEAD;
        let Some(weight) = u32::try_from(heap.saturating_add(own))
            .ok()
            .filter(|weight| u64::from(*weight) <= self.largest)
        else {
            return;
        };
        let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        swept.number = swept.number.wrapping_add(1);
        let number = swept.number;
        let entry = Entry {
            value,
            weight,
            ends_at: ends_at.as_unix_seconds().saturating_add(1),
            number,
        };
        self.entries.insert(digest, entry);
        swept.order.push_back((digest, number));
        self.look_at(&mut swept, SWEPT_PER_INSERT, now);
    }

    #[cold]
    fn sweep(&self, due_at: i64, now: Timestamp) {
        let next = (now + SWEEP_EVERY).as_unix_micros();
        let order = Ordering::Relaxed;
        let claimed = self.due_at.compare_exchange(due_at, next, order, order);
        if let (Ok(_), Ok(mut swept)) = (claimed, self.swept.try_lock()) {
            self.look_at(&mut swept, SWEPT_AT_ONCE, now);
        }
    }

    fn look_at(&self, swept: &mut Swept, count: usize, now: Timestamp) {
        for _ in 0..count.min(swept.order.len()) {
            let Some((digest, number)) = swept.order.pop_front() else {
                return;
            };
            match self.entries.peek(&digest) {
                Some(entry) if entry.number != number => {}
                Some(entry) if entry.ends_at > now.as_unix_seconds() => {
                    swept.order.push_back((digest, number));
                }
                Some(_) => {
                    self.entries
                        .remove_if(&digest, |entry| entry.number == number);
                }
                None => {}
            }
        }
        let room = swept.order.capacity();
        if room > SWEPT_AT_ONCE && swept.order.len() < room / 4 {
            swept.order.shrink_to(room / 2);
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

impl<V: Clone> fmt::Debug for Budgeted<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budgeted")
            .field("budget", &self.entries.capacity())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_000);
    const LATER: Timestamp = Timestamp::from_unix_seconds(2_000);

    fn digest(number: u64) -> Digest {
        Digest::of_text(&number.to_string()).unwrap()
    }

    #[test]
    fn no_more_is_kept_than_the_budget_allows() {
        let cache = Budgeted::new(1 << 20).unwrap();
        for number in 0..10_000 {
            cache.insert(digest(number), number, 4_000, LATER, NOW);
        }
        assert!(cache.entries.weight() <= 1 << 20);
        assert!((150..=256).contains(&cache.len()), "{}", cache.len());
        let listed = cache.swept.lock().unwrap().order.len();
        assert!(listed <= 2 * cache.len(), "{listed}");
    }

    #[test]
    fn what_takes_too_large_a_share_is_not_kept() {
        let cache = Budgeted::new(1 << 20).unwrap();
        cache.insert(digest(1), 1, 1 << 15, LATER, NOW);
        cache.insert(digest(2), 2, usize::MAX, LATER, NOW);
        assert_eq!(cache.len(), 0);
        cache.insert(digest(3), 3, 1 << 14, LATER, NOW);
        assert_eq!(cache.get(&digest(3), NOW), Some(3));
        assert!(Budgeted::<u8>::new(0).is_none());
    }

    #[test]
    fn what_has_ended_is_let_go_of_by_whoever_comes_later() {
        let cache = Budgeted::new(1 << 20).unwrap();
        for number in 0..1_000 {
            let ends_at = if number == 7 {
                LATER + SWEEP_EVERY * 1_000
            } else {
                LATER
            };
            cache.insert(digest(number), number, 100, ends_at, NOW);
        }
        assert_eq!(cache.len(), 1_000);
        let mut now = LATER + Duration::from_secs(1);
        for _ in 0..4 {
            assert_eq!(cache.get(&digest(7), now), Some(7));
            now = now + SWEEP_EVERY;
        }
        assert_eq!(cache.len(), 1);
    }

    #[test]
    fn a_value_that_is_kept_again_is_swept_once() {
        let cache = Budgeted::new(1 << 20).unwrap();
        for round in 0..1_000 {
            cache.insert(digest(1), round, 100, LATER, NOW);
        }
        assert_eq!(cache.get(&digest(1), NOW), Some(999));
        assert!(cache.swept.lock().unwrap().order.len() <= 2);
    }
}
