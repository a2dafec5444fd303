//! Single flight: many callers that miss the same key wait for one load.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    hash::Hash,
    pin::Pin,
    sync::{Mutex, PoisonError},
};

use futures_util::{
    FutureExt as _,
    future::{Shared, WeakShared},
};

use super::Stamp;
use crate::DirectoryError;

type Loaded<V> = Result<Option<V>, DirectoryError>;
type Load<V> = Pin<Box<dyn Future<Output = Loaded<V>> + Send>>;

/// A load with the stamp under which it began.
type Flight<V> = (Stamp, WeakShared<Load<V>>);

/// The loads under way. A load lives as long as somebody waits for it.
pub(super) struct Flights<K, V: Clone> {
    under_way: Mutex<HashMap<K, Flight<V>>>,
}

impl<K: Eq + Hash + Clone, V: Clone> Flights<K, V> {
    pub(super) fn new() -> Self {
        Self {
            under_way: Mutex::default(),
        }
    }

    /// Joins the load of `key` that began under `stamp`, or begins one.
    ///
    /// A load that began under an older stamp is not joined: it may have read what has changed.
    pub(super) fn join<F>(&self, key: &K, stamp: Stamp, begin: F) -> Shared<Load<V>>
    where
        F: FnOnce() -> Load<V>,
    {
        let mut under_way = self
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some((began, load)) = under_way.get(key)
            && *began == stamp
            && let Some(load) = load.upgrade()
            && load.peek().is_none()
        {
            return load;
        }
        // Loads that nobody waits for any more leave their entry behind; sweep when it pays.
        if under_way.len() >= 64 && under_way.len() == under_way.capacity() {
            under_way.retain(|_, (_, load)| load.upgrade().is_some());
        }
        let load = begin().shared();
        if let Some(weak) = load.downgrade() {
            under_way.insert(key.clone(), (stamp, weak));
        }
        load
    }

    /// Forgets a finished load.
    pub(super) fn land(&self, key: &K, stamp: Stamp) {
        let mut under_way = self
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if under_way.get(key).is_some_and(|(began, _)| *began == stamp) {
            under_way.remove(key);
        }
    }
}

impl<K, V: Clone> fmt::Debug for Flights<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights").finish_non_exhaustive()
    }
}
