//! Returning what nobody uses.

use std::{
    sync::{Arc, PoisonError, Weak, atomic::Ordering},
    time::Duration,
};

use futures_util::{StreamExt as _, future::join_all, stream};
use tokio::{
    runtime::Handle,
    time::{Instant, sleep},
};

use super::{Inner, asking::pace, hand::Leftover};
use crate::{Timestamp, quota::CountersError};

/// How many batches are kept that could not be returned. What is beyond stays debited until it leaks, or its period
/// ends.
const UNRETURNED: usize = 10_000;

/// For how long a batch that could not be returned is tried again: as long as a store remembers at least that it has heard
/// of it, and its answer got lost. Later, the store might give it back twice.
const TRIED: Duration = Duration::from_secs(3);

/// How many are returned at once.
const AT_ONCE: usize = 16;

impl Inner {
    /// Returns a batch. What the store does not hear now is told soon, under the same id; of periods alone, because what is
    /// in hand of a rate leaks meanwhile.
    pub(super) async fn give_back(&self, mut leftover: Leftover, now: Timestamp) {
        let tried = *leftover.tried.get_or_insert_with(Instant::now);
        if tried.elapsed() >= TRIED {
            tracing::debug!("what was in hand of a limit was not returned, and counts as used");
            return;
        }
        let told =
            leftover.with(|operation, settles| self.counters.settle(operation, settles, now));
        if let Err(error) = told.answer().await {
            tracing::debug!(%error, "what is in hand of a limit could not be returned yet");
            let may_be_heard = matches!(error, CountersError::Unavailable(_));
            let mut unreturned = self
                .unreturned
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let is_any = leftover.only_of_periods();
            if may_be_heard && is_any && unreturned.len() < UNRETURNED {
                unreturned.push((leftover, now));
            }
        }
    }

    /// Sees to it that a task looks after what is in hand, where there is a runtime.
    pub(super) fn tend(self: &Arc<Self>) {
        if self.is_tended.load(Ordering::Acquire) {
            return;
        }
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        if self.is_tended.swap(true, Ordering::AcqRel) {
            return;
        }
        let (inner, each) = (Arc::downgrade(self), pace(self.return_after));
        runtime.spawn(async move {
            loop {
                sleep(each).await;
                match Weak::upgrade(&inner) {
                    Some(inner) if inner.look_after().await => {}
                    _ => break,
                }
            }
        });
    }

    /// Returns what is old, and forgets what is nothing. Whether anything is left to look after.
    async fn look_after(&self) -> bool {
        self.return_older(self.return_after, None).await;
        self.hands.forget_idle();
        // Before it is looked once more, so that whoever comes in between has a task.
        self.is_tended.store(false, Ordering::Release);
        let is_any = self.hands.len() > 0 || self.has_unreturned();
        is_any && !self.is_tended.swap(true, Ordering::AcqRel)
    }

    fn has_unreturned(&self) -> bool {
        let unreturned = self
            .unreturned
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        !unreturned.is_empty()
    }

    /// Returns what was granted so long ago, by this clock or by the machine's.
    pub(super) async fn return_older(&self, age: Duration, now: Option<Timestamp>) {
        let mut old = Vec::new();
        for hand in self.hands.each() {
            let mut state = hand.lock();
            if state.age(now).is_some_and(|own| own >= age)
                && let Some(now) = now.or_else(|| state.now())
            {
                let leftover = hand.take_out(&mut state, now);
                old.extend(leftover.map(|leftover| (leftover, now)));
            }
        }
        {
            let mut unreturned = self
                .unreturned
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            old.append(&mut unreturned);
        }
        let each = stream::iter(old);
        each.for_each_concurrent(AT_ONCE, |(leftover, at)| {
            self.give_back(leftover, now.unwrap_or(at))
        })
        .await;
    }

    /// Returns everything, and leases no more.
    pub(super) async fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        loop {
            let hands = self.hands.each();
            let asking = hands.iter().filter_map(|hand| hand.lock().asking.clone());
            let asking: Vec<_> = asking.collect();
            if asking.is_empty() {
                break;
            }
            join_all(asking).await;
        }
        self.return_older(Duration::ZERO, None).await;
        if self.has_unreturned() {
            tracing::warn!(
                "some of what is in hand of limits could not be returned; it counts as used until it leaks or its \
                 period ends"
            );
        }
    }
}
