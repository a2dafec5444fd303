//! Lets nobody wait for a server that is known not to answer, and lets few ask twice.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// After how many failures in a row nobody asks any more.
const FAILURES: u32 = 5;

/// How many may be asked again at once, in tenths.
const BUDGET: u32 = 100;

/// A circuit breaker, and a budget of retries in the way of gRPC's throttling (gRFC A6): a tenth of a retry for each
/// answer.
#[derive(Debug)]
pub(crate) struct Breaker {
    pause: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    failures: u32,
    /// From when on somebody may try again.
    open_until: Option<Instant>,
    /// In tenths of a retry.
    budget: u32,
}

impl Breaker {
    /// One that stays open for this time.
    pub(crate) fn new(pause: Duration) -> Self {
        Self {
            pause,
            state: Mutex::new(State {
                failures: 0,
                open_until: None,
                budget: BUDGET,
            }),
        }
    }

    /// Whether somebody may ask. While it is open, one caller after each pause may.
    pub(crate) fn admits(&self, now: Instant) -> bool {
        let mut state = self.state();
        match state.open_until {
            Some(until) if now < until => false,
            Some(_) => {
                state.open_until = Some(now + self.pause);
                true
            }
            None => true,
        }
    }

    /// Whether it is open.
    pub(crate) fn is_open(&self) -> bool {
        self.state().open_until.is_some()
    }

    /// An answer has come. Returns whether it was open until now.
    pub(crate) fn answered(&self) -> bool {
        let mut state = self.state();
        state.failures = 0;
        state.budget = (state.budget + 1).min(BUDGET);
        state.open_until.take().is_some()
    }

    /// No answer has come. Returns whether it opens now.
    pub(crate) fn failed(&self, now: Instant) -> bool {
        let mut state = self.state();
        state.failures = state.failures.saturating_add(1);
        if state.failures < FAILURES {
            return false;
        }
        let was_closed = state.open_until.is_none();
        state.open_until = Some(now + self.pause);
        was_closed
    }

    /// Whether a question may be asked again.
    pub(crate) fn may_retry(&self) -> bool {
        let mut state = self.state();
        let left = state.budget.checked_sub(10);
        state.budget = left.unwrap_or(state.budget);
        left.is_some()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{BUDGET, Breaker, Duration, FAILURES, Instant};

    #[tokio::test(start_paused = true)]
    async fn opens_after_failures_in_a_row_and_lets_one_try_after_each_pause() {
        let breaker = Breaker::new(Duration::from_secs(1));
        let start = Instant::now();
        for _ in 1..FAILURES {
            assert!(!breaker.failed(start));
        }
        assert!(!breaker.answered() && breaker.admits(start));
        for _ in 1..FAILURES {
            assert!(!breaker.failed(start));
        }
        assert!(breaker.failed(start));
        assert!(!breaker.failed(start) && breaker.is_open());
        assert!(!breaker.admits(start));
        let later = start + Duration::from_secs(1);
        assert!(breaker.admits(later));
        assert!(!breaker.admits(later));
        assert!(breaker.answered());
        assert!(breaker.admits(later) && !breaker.is_open());
    }

    #[test]
    fn ten_answers_pay_for_one_retry() {
        let breaker = Breaker::new(Duration::from_secs(1));
        for _ in 0..BUDGET / 10 {
            assert!(breaker.may_retry());
        }
        assert!(!breaker.may_retry());
        for _ in 0..10 {
            breaker.answered();
        }
        assert!(breaker.may_retry() && !breaker.may_retry());
    }
}
