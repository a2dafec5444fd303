//! Single flight: many callers that need the same wait for one who gets it.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    hash::Hash,
    pin::Pin,
    sync::{Mutex, MutexGuard, PoisonError},
};

use futures_util::{
    FutureExt as _,
    future::{Shared, WeakShared},
};

pub(crate) type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The work under way. It lives as long as somebody waits for it.
pub(crate) struct SingleFlight<K, T: Clone> {
    under_way: Mutex<HashMap<K, WeakShared<Work<T>>>>,
}

impl<K: Eq + Hash + Clone, T: Clone> SingleFlight<K, T> {
    pub(crate) fn new() -> Self {
        Self {
            under_way: Mutex::default(),
        }
    }

    /// Joins the work under way for `key`, or begins it, and waits for what comes of it.
    pub(crate) async fn join<F>(&self, key: &K, begin: F) -> T
    where
        F: FnOnce() -> Work<T>,
    {
        let done = self.joined(key, begin).await;
        let mut under_way = self.lock();
        // What somebody has begun anew stays.
        let landed = |work: &WeakShared<Work<T>>| work.upgrade().is_none_or(|w| w.peek().is_some());
        if under_way.get(key).is_some_and(landed) {
            under_way.remove(key);
        }
        drop(under_way);
        done
    }

    /// Whether anybody waits for work for `key`.
    pub(crate) fn is_under_way(&self, key: &K) -> bool {
        let under_way = self.lock();
        let work = under_way.get(key).and_then(WeakShared::upgrade);
        work.is_some_and(|work| work.peek().is_none())
    }

    fn joined<F>(&self, key: &K, begin: F) -> Shared<Work<T>>
    where
        F: FnOnce() -> Work<T>,
    {
        let mut under_way = self.lock();
        if let Some(work) = under_way.get(key)
            && let Some(work) = work.upgrade()
            && work.peek().is_none()
        {
            return work;
        }
        // Work that nobody waits for any more leaves its entry behind; sweep when it pays.
        if under_way.len() >= 64 && under_way.len() == under_way.capacity() {
            under_way.retain(|_, work| work.upgrade().is_some());
        }
        let work = begin().shared();
        if let Some(weak) = work.downgrade() {
            under_way.insert(key.clone(), weak);
        }
        work
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, WeakShared<Work<T>>>> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K, T: Clone> fmt::Debug for SingleFlight<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SingleFlight").finish_non_exhaustive()
    }
}
