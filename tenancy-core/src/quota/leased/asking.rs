//! Asking the store: for a batch, once for all who wait; and for what does not go by lease.

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use tokio::runtime::Handle;

use super::{
    Inner,
    hand::{Answer, Asking, Hand, State},
};
use crate::{
    Timestamp,
    quota::{CountersError, Counting, Denied, Operation, OwnedTake, Take, Taken},
};

/// How often somebody waits for a batch that others use up, before it asks for itself.
const ROUNDS: u32 = 32;

/// At how many hands of one limit is looked, so that many callers of one tenant cost each other no time.
const LOOKED_AT: usize = 64;

/// One who waits for a batch. Waits no more when it is dropped.
struct Waiting<'a>(&'a Hand);

impl<'a> Waiting<'a> {
    fn begin(hand: &'a Hand, state: &mut State) -> Self {
        state.waiting += 1;
        Self(hand)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.waiting = state.waiting.saturating_sub(1);
    }
}

/// Begins at once, and goes on later if it has to wait.
pub(super) fn begun<T: Send + 'static>(
    work: impl Future<Output = Result<T, CountersError>> + Send + 'static,
) -> Counting<T> {
    let mut work = work.boxed();
    match (&mut work).now_or_never() {
        Some(answer) => Counting::Ready(answer),
        None => Counting::Pending(work),
    }
}

impl Inner {
    /// Takes of what is in hand, or asks for a batch.
    pub(super) fn take_leased(
        self: &Arc<Self>,
        operation: Operation,
        hand: Arc<Hand>,
        now: Timestamp,
    ) -> Counting<Taken> {
        {
            let mut state = hand.lock();
            let is_old = state
                .age(Some(now))
                .is_some_and(|age| age >= self.return_after);
            if !is_old && let Some(granted) = hand.use_one(&mut state, now) {
                return Counting::ready(Taken::Granted(granted));
            }
        }
        begun(Arc::clone(self).take_slowly(operation, hand, now))
    }

    async fn take_slowly(
        self: Arc<Self>,
        operation: Operation,
        hand: Arc<Hand>,
        now: Timestamp,
    ) -> Result<Taken, CountersError> {
        for round in 0..ROUNDS {
            let (asking, is_first, _waiting) = {
                let mut state = hand.lock();
                if state.is_gone || self.is_closed() {
                    break;
                }
                let is_old = state
                    .age(Some(now))
                    .is_some_and(|age| age >= self.return_after);
                if (round > 0 || !is_old)
                    && let Some(granted) = hand.use_one(&mut state, now)
                {
                    return Ok(Taken::Granted(granted));
                }
                let waiting = Waiting::begin(&hand, &mut state);
                match &state.asking {
                    Some(asking) => (asking.clone(), false, waiting),
                    None => {
                        let asking = self.ask(&hand, now);
                        state.asking = Some(asking.clone());
                        (asking, true, waiting)
                    }
                }
            };
            let answer = match asking.clone().now_or_never() {
                Some(answer) => answer,
                None => {
                    // Whoever leaves: the others wait for it, and what is granted is not lost.
                    if is_first && let Ok(runtime) = Handle::try_current() {
                        runtime.spawn(asking.clone());
                    }
                    asking.await
                }
            };
            match answer {
                Answer::Granted => {}
                Answer::Denied(denied) => return Ok(Taken::Denied(denied)),
                Answer::Failed(error) => return Err(again(&error)),
            }
        }
        let takes: Vec<_> = hand.takes.iter().map(OwnedTake::take).collect();
        let passed = self.pass(operation, &takes, now);
        passed.answer().await
    }

    /// Asks for a batch. Nothing is done before somebody waits for it.
    fn ask(self: &Arc<Self>, hand: &Arc<Hand>, now: Timestamp) -> Asking {
        let (inner, hand) = (Arc::clone(self), Arc::clone(hand));
        let asking = async move {
            let answer = inner.batch(&hand, now).await;
            hand.lock().asking = None;
            answer
        };
        asking.boxed().shared()
    }

    async fn batch(self: &Arc<Self>, hand: &Arc<Hand>, now: Timestamp) -> Answer {
        let elsewhere = self.in_hand_elsewhere(hand, now);
        let (old, mut permits) = {
            let mut state = hand.lock();
            let old = hand.take_out(&mut state, now);
            (
                old,
                hand.size(&state, self.lease_at_most.max(1), &elsewhere),
            )
        };
        if let Some(old) = old {
            self.give_back(old, now).await;
        }
        let mut has_recalled = false;
        loop {
            let operation = Operation::once();
            let asked = {
                let takes = hand.takes.iter().map(|take| {
                    let mut take = take.take();
                    take.amount = take.amount.saturating_mul(permits);
                    take
                });
                self.counters
                    .take(operation, &takes.collect::<Vec<_>>(), now)
            };
            match asked.answer().await {
                Ok(Taken::Granted(granted)) => {
                    hand.granted(&mut hand.lock(), (operation, permits), granted, now);
                    self.tend();
                    return Answer::Granted;
                }
                Ok(Taken::Denied(denied)) if permits > 1 => {
                    let room = denied.iter().filter_map(|one| {
                        let take = hand.takes.get(one.take)?.take();
                        Some(one.denial.standing.remaining / take.amount.max(1))
                    });
                    permits = room.min().unwrap_or(1).clamp(1, permits / 2);
                }
                Ok(Taken::Denied(denied)) => {
                    if !has_recalled && self.recall(&hand.takes, &denied, now).await {
                        has_recalled = true;
                        continue;
                    }
                    Hand::denied(&mut hand.lock());
                    return Answer::Denied(denied);
                }
                Err(error) => return Answer::Failed(Arc::new(error)),
            }
        }
    }

    /// What other hands of this process have of each of a hand's limits.
    fn in_hand_elsewhere(&self, hand: &Arc<Hand>, now: Timestamp) -> Vec<u64> {
        let of_take = |take: &OwnedTake| {
            let (mut others, all) = self.hands.sharing(&take.take(), LOOKED_AT);
            let looked_at = others.len().max(1);
            others.retain(|(other, _)| !Arc::ptr_eq(other, hand));
            let in_hand = others.into_iter().fold(0_u64, |sum, (other, place)| {
                let units = other.units(&other.lock(), now);
                sum.saturating_add(units.get(place).copied().unwrap_or(0))
            });
            // The rest has as much each, about.
            let times = all.div_ceil(looked_at).try_into().unwrap_or(u64::MAX);
            in_hand.saturating_mul(times)
        };
        hand.takes.iter().map(of_take).collect()
    }

    /// Returns what this process has in hand of limits that refuse. Whether there was anything.
    async fn recall(
        self: &Arc<Self>,
        takes: &[OwnedTake],
        denied: &[Denied],
        now: Timestamp,
    ) -> bool {
        let refusing = denied.iter().filter_map(|one| takes.get(one.take));
        let mut recalled = Vec::new();
        for take in refusing {
            for (hand, _) in self.hands.sharing(&take.take(), LOOKED_AT).0 {
                let mut state = hand.lock();
                recalled.extend(hand.take_out(&mut state, now));
            }
        }
        let is_any = !recalled.is_empty();
        for leftover in recalled {
            self.give_back(leftover, now).await;
        }
        is_any
    }

    /// Whether this process has something in hand of limits that refuse.
    fn has_of(&self, takes: &[Take<'_>], denied: &[Denied]) -> bool {
        let mut refusing = denied.iter().filter_map(|one| takes.get(one.take));
        refusing.any(|take| {
            let (hands, _) = self.hands.sharing(take, LOOKED_AT);
            hands
                .into_iter()
                .any(|(hand, _)| hand.lock().age(None).is_some())
        })
    }

    /// Takes without a lease. Where a limit refuses of which this process has something in hand, that is returned
    /// first.
    pub(super) fn pass(
        self: &Arc<Self>,
        operation: Operation,
        takes: &[Take<'_>],
        now: Timestamp,
    ) -> Counting<Taken> {
        let asked = self.counters.take(operation, takes, now);
        match asked {
            Counting::Ready(Ok(Taken::Denied(denied))) if self.has_of(takes, &denied) => {
                let owned = OwnedTake::all_of(takes);
                let inner = Arc::clone(self);
                begun(async move { inner.again(operation, owned, denied, now).await })
            }
            Counting::Pending(answer) if self.hands.len() > 0 => {
                let owned = OwnedTake::all_of(takes);
                let inner = Arc::clone(self);
                Counting::Pending(Box::pin(async move {
                    match answer.await? {
                        Taken::Denied(denied) => inner.again(operation, owned, denied, now).await,
                        granted @ Taken::Granted(_) => Ok(granted),
                    }
                }))
            }
            asked => asked,
        }
    }

    async fn again(
        self: &Arc<Self>,
        operation: Operation,
        takes: Vec<OwnedTake>,
        denied: Vec<Denied>,
        now: Timestamp,
    ) -> Result<Taken, CountersError> {
        if !self.recall(&takes, &denied, now).await {
            return Ok(Taken::Denied(denied));
        }
        let asked = {
            let takes: Vec<_> = takes.iter().map(OwnedTake::take).collect();
            self.counters.take(operation, &takes, now)
        };
        asked.answer().await
    }
}

/// The same error for another one who waits.
fn again(error: &CountersError) -> CountersError {
    match error {
        CountersError::Full => CountersError::Full,
        CountersError::Malformed => CountersError::Malformed,
        CountersError::Unavailable(why) => CountersError::unavailable(why.to_string()),
    }
}

/// The time between two looks at what is in hand.
pub(super) fn pace(return_after: Duration) -> Duration {
    (return_after / 2).max(Duration::from_millis(1))
}
