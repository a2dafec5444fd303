//! Since when an answer must have begun to be read, so that it is no older than what this process knows of.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tenancy_core::{FeedCursor, FeedPage, TenantId};
use tokio::time::Instant;

/// How many tenants' changes are remembered; beyond, all of them count as changed.
const REMEMBERED: usize = 100_000;

/// How much older than it seems an answer may be: clocks of machines do not run alike.
const MARGIN: Duration = Duration::from_millis(50);

/// What this process has heard of changes, and when.
#[derive(Debug)]
pub(super) struct Freshness {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The last change that concerns all tenants.
    all: Instant,
    of: HashMap<TenantId, Instant>,
    /// Where the feed stands, and who tells it.
    seen: Option<(FeedCursor, String)>,
    /// When the first page of those was asked for that are being told.
    began: Option<Instant>,
    /// Until when everything is known.
    heard: Option<Instant>,
}

impl Freshness {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                all: Instant::now(),
                of: HashMap::new(),
                seen: None,
                began: None,
                heard: None,
            }),
        }
    }

    /// Something has changed until now.
    pub(super) fn changed(&self, tenant: Option<TenantId>) {
        self.state().changed(tenant);
    }

    /// Whether the feed has told until so short a time ago what has changed.
    pub(super) fn is_heard(&self, now: Instant, bound: Duration) -> bool {
        let heard = self.state().heard;
        heard.is_some_and(|heard| now.saturating_duration_since(heard) <= bound)
    }

    /// Whether an answer that was this old, and was asked for after `asked`, began to be read after everything that
    /// is known to have changed of a tenant.
    pub(super) fn is_fresh(&self, tenant: TenantId, asked: Instant, age: Duration) -> bool {
        let state = self.state();
        let changed = state
            .of
            .get(&tenant)
            .map_or(state.all, |of| state.all.max(*of));
        let margin = if age.is_zero() {
            Duration::ZERO
        } else {
            MARGIN
        };
        asked
            .checked_duration_since(changed)
            .is_some_and(|since| since >= age + margin)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn changed(&mut self, tenant: Option<TenantId>) {
        let now = Instant::now();
        match tenant {
            Some(tenant) if self.of.len() < REMEMBERED || self.of.contains_key(&tenant) => {
                self.of.insert(tenant, now);
            }
            _ => {
                self.all = now;
                self.of.clear();
            }
        }
    }
}

/// A page of the feed that is asked for. One that is never told is as one that failed: nothing is known any more.
pub(super) struct Asking<'a> {
    freshness: &'a Freshness,
    cursor: Option<FeedCursor>,
    /// Whether it goes on from where the feed stands. Otherwise somebody reads token revocations.
    goes_on: bool,
    is_told: bool,
}

impl<'a> Asking<'a> {
    pub(super) fn begin(freshness: &'a Freshness, cursor: Option<FeedCursor>) -> Self {
        let mut state = freshness.state();
        let stands = state.seen.as_ref().map(|(cursor, _)| cursor);
        let goes_on = stands == cursor.as_ref();
        if goes_on && state.began.is_none() {
            state.began = Some(Instant::now());
        }
        drop(state);
        Self {
            freshness,
            cursor,
            goes_on,
            is_told: false,
        }
    }

    pub(super) fn told(mut self, page: &FeedPage) {
        self.is_told = true;
        let mut state = self.freshness.state();
        for (tenant, _) in &page.changed {
            state.changed(Some(*tenant));
        }
        if !self.goes_on {
            return;
        }
        let is_first = self.cursor.is_none();
        let counts_anew = state.seen.as_ref().is_some_and(|(cursor, origin)| {
            page.cursor.number < cursor.number || page.origin != *origin
        });
        if is_first || counts_anew {
            state.changed(None);
        }
        if counts_anew {
            // The engine asks again from the beginning.
            (state.seen, state.began, state.heard) = (None, None, None);
            return;
        }
        state.seen = Some((page.cursor.clone(), page.origin.clone()));
        if !page.more {
            state.heard = state.began.take();
        }
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if !self.is_told && self.goes_on {
            self.freshness.state().heard = None;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn page(number: u64, changed: &[TenantId]) -> FeedPage {
        let changed = changed
            .iter()
            .map(|id| (*id, tenancy_core::Generation::FIRST));
        FeedPage::new(FeedCursor::at(number), changed.collect(), Vec::new())
    }

    fn poll(freshness: &Freshness, from: Option<u64>, page: &FeedPage) {
        Asking::begin(freshness, from.map(FeedCursor::at)).told(page);
    }

    const SECOND: Duration = Duration::from_secs(1);

    const BOUND: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn an_answer_from_before_a_change_is_not_fresh() {
        let freshness = Freshness::new();
        let (acme, globex) = (TenantId::new(), TenantId::new());
        assert!(!freshness.is_heard(Instant::now(), BOUND));
        poll(&freshness, None, &page(1, &[]));
        assert!(freshness.is_heard(Instant::now(), BOUND));
        tokio::time::advance(10 * SECOND).await;
        let now = Instant::now();
        assert!(!freshness.is_heard(now, BOUND));
        // Nothing from before the first page, whose changes were never told.
        assert!(!freshness.is_fresh(acme, now, 11 * SECOND));
        assert!(freshness.is_fresh(acme, now, 9 * SECOND));
        poll(&freshness, Some(1), &page(2, &[acme]));
        tokio::time::advance(SECOND).await;
        let now = Instant::now();
        assert!(freshness.is_heard(now, BOUND));
        assert!(!freshness.is_fresh(acme, now, 2 * SECOND));
        assert!(freshness.is_fresh(acme, now, SECOND / 2));
        assert!(freshness.is_fresh(globex, now, 2 * SECOND));
        freshness.changed(None);
        assert!(!freshness.is_fresh(globex, Instant::now(), SECOND / 2));
        // What was asked for before a change is refused, however young it is.
        tokio::time::advance(SECOND).await;
        freshness.changed(Some(globex));
        assert!(!freshness.is_fresh(globex, now, Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn a_feed_that_fails_or_counts_anew_is_not_believed() {
        let freshness = Freshness::new();
        let heard = || freshness.is_heard(Instant::now(), BOUND);
        poll(&freshness, None, &page(5, &[]));
        drop(Asking::begin(&freshness, Some(FeedCursor::at(5))));
        assert!(!heard());
        poll(&freshness, Some(5), &page(6, &[]));
        assert!(heard());
        // Whoever reads token revocations from the beginning vouches for nothing, and ends nothing.
        tokio::time::advance(10 * SECOND).await;
        poll(&freshness, None, &page(7, &[]));
        assert!(!heard());
        poll(&freshness, Some(6), &page(7, &[]));
        assert!(heard());
        poll(&freshness, Some(7), &page(2, &[]));
        assert!(!heard());
        poll(&freshness, None, &page(2, &[]));
        assert!(heard());
        assert!(!freshness.is_fresh(TenantId::new(), Instant::now(), SECOND));
        // Not before the last page.
        tokio::time::advance(10 * SECOND).await;
        poll(&freshness, Some(2), &page(3, &[]).with_more());
        assert!(!heard());
        poll(&freshness, Some(3), &page(4, &[]));
        assert!(heard());
    }
}
