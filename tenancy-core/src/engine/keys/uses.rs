//! When keys were last used: gathered in memory, written together.

use std::{
    fmt, mem,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use super::Keys;
use crate::{StoreError, Timestamp, engine::Tenancy, engine::keys::CachedKey, key::KeyStore};

/// How often uses are written, under traffic.
const INTERVAL: Duration = Duration::from_secs(60);

/// How long a write may take, in real time.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How many keys can wait; beyond it uses are not noted until the next write.
const MOST: usize = 100_000;

/// The keys that were used since the last write, each once.
pub(super) struct Uses {
    waiting: Mutex<Vec<Arc<CachedKey>>>,
    /// When the next write is due (microseconds).
    due_at: AtomicI64,
}

impl Default for Uses {
    fn default() -> Self {
        Self {
            waiting: Mutex::default(),
            due_at: AtomicI64::new(i64::MIN),
        }
    }
}

impl Uses {
    pub(super) fn push(&self, known: Arc<CachedKey>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < MOST {
            waiting.push(known);
        } else {
            // Not in the queue after all, so that a later use is.
            known.dequeue();
        }
    }

    fn take(&self) -> Taken<'_> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        Taken {
            uses: self,
            keys: mem::take(&mut *waiting),
        }
    }

    /// Claims a write that is due; only one caller gets it.
    fn claim(&self, now: Timestamp) -> bool {
        let due_at = self.due_at.load(Ordering::Relaxed);
        let due = Timestamp::from_unix_micros(due_at);
        let next = now + INTERVAL;
        // A clock that was set back does not put the next write off.
        (now >= due || due > next)
            && self
                .due_at
                .compare_exchange(
                    due_at,
                    next.as_unix_micros(),
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                )
                .is_ok()
    }
}

/// Keys on their way into the store; those that did not get there wait again.
struct Taken<'a> {
    uses: &'a Uses,
    keys: Vec<Arc<CachedKey>>,
}

impl Taken<'_> {
    async fn write(mut self, store: &dyn KeyStore) -> Result<(), StoreError> {
        if self.keys.is_empty() {
            return Ok(());
        }
        let uses: Vec<_> = self
            .keys
            .iter()
            .map(|known| (known.record.id, known.dequeue()))
            .collect();
        store.record_last_used(&uses).await?;
        self.keys.retain(|known| known.renewal().is_some());
        while let Some(known) = self.keys.last() {
            let record = &known.record;
            if let (Some(renewed), Some(digest)) = (known.renewal(), record.verifier.digest()) {
                store.replace_digest(record.id, digest, renewed).await?;
                known.renewal_is_stored();
            }
            self.keys.pop();
        }
        Ok(())
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        for known in self.keys.drain(..) {
            if known.queue() {
                self.uses.push(known);
            }
        }
    }
}

impl Keys {
    /// Spawns a write of last uses if one is due. Costs one load of an atomic otherwise.
    pub(in crate::engine) fn write_uses_if_due(&self, engine: &Tenancy, now: Timestamp) {
        if !self.uses.claim(now) {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let engine = engine.clone();
            runtime.spawn(async move {
                if let Some(keys) = &engine.inner().keys
                    && let Err(error) = keys.write_uses().await
                {
                    tracing::warn!(%error, "could not write when API keys were last used");
                }
            });
        }
    }

    pub(in crate::engine) async fn write_uses(&self) -> Result<(), StoreError> {
        let Ok(store) = self.config.store() else {
            return Ok(());
        };
        let written = self.uses.take().write(store);
        match tokio::time::timeout(TIMEOUT, written).await {
            Ok(written) => written,
            Err(_) => Err(StoreError::unavailable("it did not answer in time")),
        }
    }
}

impl fmt::Debug for Uses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Uses").finish_non_exhaustive()
    }
}
