//! What was recorded and not sent yet.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use rust_decimal::Decimal;
use tenancy_core::{Actor, KeyId, ProjectId, TenantContext, TenantId, Timestamp, UserId};

/// How many locks there are, so that recordings rarely wait for each other.
const SHARDS: usize = 64;

/// What is added up to one sum: who used it, what, and in which minute.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Slot {
    pub(super) tenant: TenantId,
    pub(super) project: Option<ProjectId>,
    pub(super) key: Option<KeyId>,
    pub(super) user: Option<UserId>,
    pub(super) job: Option<Box<str>>,
    pub(super) series: u32,
    pub(super) value: Option<Box<str>>,
    /// Since the epoch.
    minute: i64,
}

impl Slot {
    pub(super) fn of(
        context: &TenantContext,
        series: u32,
        value: Option<&str>,
        at: Timestamp,
    ) -> Self {
        let mut slot = Self {
            tenant: context.tenant_id(),
            project: context.project_id(),
            key: None,
            user: context.user_id(),
            job: None,
            series,
            value: value.map(Into::into),
            minute: at.as_unix_seconds().div_euclid(60),
        };
        match &context.principal().actor {
            Actor::Key(key) => slot.key = Some(*key),
            Actor::Job(job) => slot.job = Some(job.to_string().into()),
            _ => {}
        }
        slot
    }
}

/// A sum of recordings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sum {
    pub(super) events: u64,
    pub(super) sum: Decimal,
    pub(super) max: Decimal,
    pub(super) min: Decimal,
    pub(super) latest: Decimal,
    /// The newest time, which is the sum's.
    pub(super) at: Timestamp,
}

/// All sums, and no more than there is room for.
pub(super) struct Held {
    most: usize,
    count: AtomicUsize,
    /// Whether nothing is added any more.
    is_closed: AtomicBool,
    hasher: RandomState,
    shards: [Mutex<HashMap<Slot, Sum>>; SHARDS],
}

impl Held {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most: most.max(1),
            count: AtomicUsize::new(0),
            is_closed: AtomicBool::new(false),
            hasher: RandomState::new(),
            shards: std::array::from_fn(|_| Mutex::default()),
        }
    }

    /// Adds a recording; whether there was room for it, and its sum can be sent where `is_sum` says that the meter tells it.
    pub(super) fn add(&self, slot: Slot, quantity: Decimal, at: Timestamp, is_sum: bool) -> bool {
        let place = usize::try_from(self.hasher.hash_one(&slot) % SHARDS as u64).unwrap_or(0);
        let Some(shard) = self.shards.get(place) else {
            return false;
        };
        let mut sums = lock(shard);
        if self.is_closed.load(Ordering::Acquire) {
            return false;
        }
        if let Some(held) = sums.get_mut(&slot) {
            let sum = held.sum.checked_add(quantity);
            match sum.filter(|sum| *sum <= crate::UsageEvent::MAX_QUANTITY) {
                Some(sum) => held.sum = sum,
                None if is_sum => return false,
                None => {}
            }
            held.events = held.events.saturating_add(1);
            held.max = held.max.max(quantity);
            held.min = held.min.min(quantity);
            if at >= held.at {
                (held.latest, held.at) = (quantity, at);
            }
            return true;
        }
        if self.count.fetch_add(1, Ordering::Relaxed) >= self.most {
            self.count.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        let sum = Sum {
            events: 1,
            sum: quantity,
            max: quantity,
            min: quantity,
            latest: quantity,
            at,
        };
        sums.insert(slot, sum);
        true
    }

    /// Takes all of it away. Room for it is there again when it was [sent](Self::freed).
    pub(super) fn take(&self) -> Vec<(Slot, Sum)> {
        let mut taken = Vec::new();
        for shard in &self.shards {
            taken.extend(lock(shard).drain());
        }
        taken
    }

    /// Adds nothing from now on.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        // Whoever is adding and has not seen it ends before its lock is free.
        for shard in &self.shards {
            drop(lock(shard));
        }
    }

    /// How many there are that were not sent.
    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// So many that were taken away need no room any more.
    pub(super) fn freed(&self, count: usize) {
        self.count.fetch_sub(count, Ordering::Relaxed);
    }
}

fn lock<T>(shard: &Mutex<T>) -> MutexGuard<'_, T> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
