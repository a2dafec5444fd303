//! What one process has in hand: permits that the store has debited, and that nobody has used.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::{BoxFuture, Shared};
use tokio::time::Instant;

use crate::{
    Timestamp,
    quota::{
        Algorithm, CountersError, Crossed, Denied, Granted, Operation, OwnedTake, Rate, Settle,
        Standing, Standings, Take,
    },
};

/// The permits for operations that take the same amounts of the same limits of the same holders.
pub(super) struct Hand {
    pub(super) takes: Vec<OwnedTake>,
    state: Mutex<State>,
}

/// What a store has said to one who asked for a batch, for all who wait for it.
#[derive(Clone)]
pub(super) enum Answer {
    Granted,
    Denied(Vec<Denied>),
    Failed(std::sync::Arc<CountersError>),
}

/// One who asks. Whoever waits drives it, so that it goes on when one of them leaves.
pub(super) type Asking = Shared<BoxFuture<'static, Answer>>;

#[derive(Default)]
pub(super) struct State {
    batch: Option<Batch>,
    pub(super) asking: Option<Asking>,
    /// How many callers wait for a batch.
    pub(super) waiting: u64,
    /// How many permits the next batch has at most.
    next: u64,
    /// Where the limits stood when a batch was granted last.
    standings: Option<Standings>,
    crossed: Vec<Crossed>,
    /// Whether somebody has asked since it was looked after.
    pub(super) is_touched: bool,
    /// Whether it is forgotten, so that nobody may put anything into it.
    pub(super) is_gone: bool,
}

/// Permits that were debited together.
struct Batch {
    operation: Operation,
    permits: u64,
    used: u64,
    /// Leaked at most, of any of the limits.
    leaked: u64,
    at: Timestamp,
    since: Instant,
}

/// What is left of a batch, to be returned to the store.
pub(super) struct Leftover {
    operation: Operation,
    permits: u64,
    takes: Vec<OwnedTake>,
    /// Of each limit, how many permits are used, or have leaked.
    spent: Vec<u64>,
    /// When the store was told first.
    pub(super) tried: Option<Instant>,
}

impl Hand {
    pub(super) fn new(takes: Vec<OwnedTake>) -> Self {
        Self {
            takes,
            state: Mutex::default(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is the one for these takes.
    pub(super) fn is_of(&self, takes: &[Take<'_>]) -> bool {
        let is_same = |(own, take): (&OwnedTake, &Take<'_>)| {
            let own = own.take();
            own.holder == take.holder
                && own.limit == take.limit
                && own.algorithm == take.algorithm
                && own.amount == take.amount
                && own.warn_at == take.warn_at
        };
        self.takes.len() == takes.len() && self.takes.iter().zip(takes).all(is_same)
    }

    /// Uses a permit, if there is one that has not leaked.
    pub(super) fn use_one(&self, state: &mut State, now: Timestamp) -> Option<Granted> {
        state.is_touched = true;
        let batch = state.batch.as_mut()?;
        batch.leak(&self.takes, now);
        if batch.used.saturating_add(batch.leaked) >= batch.permits {
            return None;
        }
        batch.used += 1;
        let told = state.standings.clone().unwrap_or_default();
        let standings = self.less_in_hand(batch, &told, now);
        Some(Granted::new(
            standings,
            std::mem::take(&mut state.crossed),
            false,
        ))
    }

    /// Puts a used permit back; `false` if there is no batch of which one is used.
    pub(super) fn put_back(&self) -> bool {
        let mut state = self.lock();
        match &mut state.batch {
            Some(batch) if batch.used > 0 => {
                batch.used -= 1;
                true
            }
            _ => false,
        }
    }

    /// Where the limits stand without what is in hand, from what the store has told.
    fn less_in_hand(&self, batch: &Batch, told: &Standings, now: Timestamp) -> Standings {
        let passed = now.since(batch.at);
        let each = self.takes.iter().zip(told.iter()).map(|(take, told)| {
            let take = take.take();
            let left = batch.left(&take, now).saturating_mul(take.amount);
            less(&take, *told, left, passed, now)
        });
        each.collect()
    }

    /// How many units of each limit are in hand.
    pub(super) fn units(&self, state: &State, now: Timestamp) -> Vec<u64> {
        let units = |take: &OwnedTake| {
            let (take, batch) = (take.take(), state.batch.as_ref());
            batch.map_or(0, |batch| {
                batch.left(&take, now).saturating_mul(take.amount)
            })
        };
        self.takes.iter().map(units).collect()
    }

    /// How many permits to ask for. `elsewhere` is what else this process has in hand of each limit.
    pub(super) fn size(&self, state: &State, at_most: u64, elsewhere: &[u64]) -> u64 {
        let mut ahead = state.next.min(at_most);
        let mut most = u64::MAX;
        let told = state.standings.as_ref();
        for (place, take) in self.takes.iter().map(OwnedTake::take).enumerate() {
            most = most.min(take.algorithm.capacity().unwrap_or(u64::MAX) / take.amount.max(1));
            let standing = told.and_then(|told| told.iter().nth(place));
            ahead = ahead.min(standing.map_or(1, |standing| {
                let others = elsewhere.get(place).copied().unwrap_or(0);
                let share = (standing.remaining / 64).saturating_sub(others);
                let quiet = below_threshold(&take, standing);
                share.min(quiet) / take.amount.max(1)
            }));
        }
        ahead.max(state.waiting.min(at_most)).min(most).max(1)
    }

    /// Notes a batch that was granted.
    pub(super) fn granted(
        &self,
        state: &mut State,
        (operation, permits): (Operation, u64),
        granted: Granted,
        now: Timestamp,
    ) {
        state.standings = Some(granted.standings);
        state.crossed.extend(granted.crossed);
        state.batch = Some(Batch {
            operation,
            permits,
            used: 0,
            leaked: 0,
            at: now,
            since: Instant::now(),
        });
    }

    /// Notes that there is not even one.
    pub(super) const fn denied(state: &mut State) {
        state.next = 1;
    }

    /// Takes what is left out of the hand. Nothing may have been used up wholly: then there is nothing to return.
    pub(super) fn take_out(&self, state: &mut State, now: Timestamp) -> Option<Leftover> {
        let mut batch = state.batch.take()?;
        batch.leak(&self.takes, now);
        // Twice as many where they were used up; as many as were used, where they were not.
        state.next = match batch.used.saturating_add(batch.permits / 4) >= batch.permits {
            true => batch.permits.saturating_mul(2),
            false => batch.used,
        };
        if batch.used >= batch.permits {
            return None;
        }
        let spent = |take: &OwnedTake| batch.permits - batch.left(&take.take(), now);
        Some(Leftover {
            operation: batch.operation,
            permits: batch.permits,
            spent: self.takes.iter().map(spent).collect(),
            takes: self.takes.clone(),
            tried: None,
        })
    }
}

impl State {
    /// How long ago the batch was granted that something is left of, by the clock of the machine and by a caller's.
    pub(super) fn age(&self, now: Option<Timestamp>) -> Option<Duration> {
        let batch = self.batch.as_ref()?;
        let is_used_up = batch.used >= batch.permits;
        (!is_used_up).then(|| match now {
            Some(now) => now.since(batch.at),
            None => batch.since.elapsed(),
        })
    }

    /// What a caller's clock shows now, if it goes on as the machine's.
    pub(super) fn now(&self) -> Option<Timestamp> {
        let batch = self.batch.as_ref()?;
        Some(batch.at + batch.since.elapsed())
    }

    /// Whether nothing would be lost if it was forgotten.
    pub(super) const fn is_idle(&self) -> bool {
        let has_some = match &self.batch {
            Some(batch) => batch.used < batch.permits,
            None => false,
        };
        !has_some && self.asking.is_none() && self.waiting == 0
    }
}

impl Batch {
    /// Notes what has leaked of rates. It never comes back, whatever the clock shows later.
    fn leak(&mut self, takes: &[OwnedTake], now: Timestamp) {
        if now == self.at {
            return;
        }
        for take in takes {
            let take = take.take();
            if let Algorithm::Rate(rate) = &take.algorithm {
                self.leaked = self.leaked.max(self.leaked_of(rate, take.amount, now));
            }
        }
    }

    /// How many permits have leaked of one rate, rounded up. All of them, if the clock was set back: nobody knows
    /// since when.
    fn leaked_of(&self, rate: &Rate, amount: u64, now: Timestamp) -> u64 {
        let passed = now.since(self.at);
        if passed.is_zero() {
            let behind = self.at.since(now);
            return if behind > JITTER { self.permits } else { 0 };
        }
        let units = rate.leaked_in(passed);
        units
            .div_ceil(u128::from(amount.max(1)))
            .try_into()
            .unwrap_or(u64::MAX)
    }

    /// How many permits there are of one limit: used neither, nor leaked.
    fn left(&self, take: &Take<'_>, now: Timestamp) -> u64 {
        let leaked = match &take.algorithm {
            Algorithm::Rate(rate) => self.leaked_of(rate, take.amount, now),
            _ => 0,
        };
        self.permits
            .saturating_sub(self.used)
            .saturating_sub(leaked)
    }
}

/// How far one clock is behind another of the same process.
const JITTER: Duration = Duration::from_millis(100);

/// Where a limit stands without so many units, from what was told a while ago.
pub(super) fn less(
    take: &Take<'_>,
    told: Standing,
    units: u64,
    passed: Duration,
    now: Timestamp,
) -> Standing {
    if units == 0 && passed.is_zero() {
        return told;
    }
    let used = told.used.saturating_sub(units);
    match &take.algorithm {
        Algorithm::Rate(rate) => {
            let leaked = u64::try_from(rate.leaked_in(passed)).unwrap_or(u64::MAX);
            // Rounded up when it was told, and what has leaked is rounded up too.
            let used = used.saturating_sub(leaked.saturating_sub(1));
            let reset = told.reset_after.unwrap_or_default().saturating_sub(passed);
            let reset = reset.saturating_sub(rate.time_of(units));
            let used = if reset.is_zero() { 0 } else { used };
            Standing::new(told.limit, used, Some(reset))
        }
        Algorithm::Period(_, window) => Standing::new(told.limit, used, Some(window.rest(now))),
        _ => told,
    }
}

/// How many units there are below the next threshold, so that a batch does not reach it before its callers do.
fn below_threshold(take: &Take<'_>, standing: &Standing) -> u64 {
    let of = |percent: &u8| {
        let at = u128::from(standing.limit) * u128::from(*percent);
        u64::try_from(at.div_ceil(100)).unwrap_or(u64::MAX)
    };
    let ahead = take.warn_at.iter().map(of).filter(|at| *at > standing.used);
    ahead.min().map_or(u64::MAX, |at| at - standing.used - 1)
}

impl Leftover {
    /// Returns nothing of rates any more. Whether anything else is left.
    pub(super) fn only_of_periods(&mut self) -> bool {
        for (take, spent) in self.takes.iter().zip(&mut self.spent) {
            if matches!(take.take().algorithm, Algorithm::Rate(_)) {
                *spent = self.permits;
            }
        }
        self.spent.iter().any(|spent| *spent < self.permits)
    }

    /// What to tell the store. The takes are those of the whole batch.
    pub(super) fn with<T>(&self, tell: impl FnOnce(Operation, &[Settle<'_>]) -> T) -> T {
        let each = self.takes.iter().zip(&self.spent).map(|(take, spent)| {
            let mut take = take.take();
            let amount = take.amount;
            take.amount = amount.saturating_mul(self.permits);
            Settle::new(take, amount.saturating_mul(*spent))
        });
        tell(self.operation, &each.collect::<Vec<_>>())
    }
}
