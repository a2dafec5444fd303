//! A memory of outages: a database that can't be reached is not waited for by every request.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::Place;

/// The shortest time between two attempts to reach a database that could not be reached.
const SPACING: Duration = Duration::from_millis(500);

/// Whether a database was out of reach, and when it was last asked.
///
/// While it is out of reach, one caller at a time tries again; the others are refused at once. No
/// task runs: callers come, or nobody needs to know.
#[derive(Debug)]
pub(super) struct Breaker {
    place: Place,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// When a connection was last begun with.
    answered: Instant,
    outage: Option<Outage>,
}

#[derive(Debug)]
struct Outage {
    asked: Instant,
    probing: bool,
}

/// What a caller may do who wants a connection.
pub(super) enum Pass {
    /// Take one.
    Closed,
    /// Find out first whether the database is back.
    Probe(Probe),
    /// Nothing: somebody has just found it out of reach, or is finding out.
    Refused,
}

impl Breaker {
    pub(super) fn new(place: Place) -> Self {
        let state = State {
            answered: Instant::now(),
            outage: None,
        };
        Self {
            place,
            state: Mutex::new(state),
        }
    }

    pub(super) fn ask(self: &Arc<Self>) -> Pass {
        let mut state = self.state();
        let Some(outage) = &mut state.outage else {
            return Pass::Closed;
        };
        if outage.probing || outage.asked.elapsed() < SPACING {
            return Pass::Refused;
        }
        outage.probing = true;
        Pass::Probe(Probe {
            breaker: Arc::clone(self),
        })
    }

    /// The database has answered.
    pub(super) fn answered(&self) {
        let mut state = self.state();
        state.answered = Instant::now();
        if state.outage.take().is_some() {
            drop(state);
            let Place { whose, address } = &self.place;
            tracing::info!(pool = %whose, address, "the database answers again");
        }
    }

    /// The database was asked at `since` and could not be reached, for this reason. Nothing follows from
    /// that if it has answered somebody else meanwhile.
    pub(super) fn failed(&self, since: Instant, reason: &dyn fmt::Display) {
        let mut state = self.state();
        if state.answered >= since {
            return;
        }
        let asked = Instant::now();
        if let Some(outage) = &mut state.outage {
            outage.asked = asked;
            return;
        }
        state.outage = Some(Outage {
            asked,
            probing: false,
        });
        drop(state);
        let Place { whose, address } = &self.place;
        tracing::warn!(
            pool = %whose,
            address,
            error = %reason,
            "the database is out of reach; requests are refused until it answers"
        );
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The turn of a caller who finds out whether the database is back. Dropped, by a caller who was
/// cancelled too, it is somebody else's turn after the spacing.
pub(super) struct Probe {
    breaker: Arc<Breaker>,
}

impl Drop for Probe {
    fn drop(&mut self) {
        if let Some(outage) = &mut self.breaker.state().outage {
            outage.asked = Instant::now();
            outage.probing = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connections::Whose;

    fn new() -> Arc<Breaker> {
        Arc::new(Breaker::new(Place {
            whose: Whose::Tenants,
            address: "db.example:5432/notes".to_owned(),
        }))
    }

    fn out_of_reach() -> Arc<Breaker> {
        let breaker = new();
        breaker.failed(Instant::now(), &"connection refused");
        breaker
    }

    /// As if the spacing had passed.
    fn later(breaker: &Breaker) {
        if let Some(outage) = &mut breaker.state().outage {
            outage.asked -= SPACING;
        }
    }

    #[test]
    fn who_comes_after_a_failure_is_refused_until_the_spacing_has_passed() {
        let breaker = out_of_reach();
        assert!(matches!(breaker.ask(), Pass::Refused));
        later(&breaker);
        assert!(matches!(breaker.ask(), Pass::Probe(_)));
        assert!(matches!(breaker.ask(), Pass::Refused));
    }

    #[test]
    fn one_at_a_time_probes() {
        let breaker = out_of_reach();
        later(&breaker);
        let Pass::Probe(probe) = breaker.ask() else {
            unreachable!("it was due");
        };
        later(&breaker);
        assert!(matches!(breaker.ask(), Pass::Refused));

        // Dropped without an outcome, as by a caller who was cancelled.
        drop(probe);
        assert!(matches!(breaker.ask(), Pass::Refused));
        later(&breaker);
        assert!(matches!(breaker.ask(), Pass::Probe(_)));
    }

    #[test]
    fn an_answer_ends_the_outage() {
        let breaker = out_of_reach();
        later(&breaker);
        let probe = breaker.ask();
        breaker.answered();
        drop(probe);
        assert!(matches!(breaker.ask(), Pass::Closed));
    }

    #[test]
    fn a_failure_that_began_before_the_last_answer_is_none() {
        let breaker = new();
        let began = Instant::now();
        breaker.answered();
        breaker.failed(began, &"connection refused");
        assert!(matches!(breaker.ask(), Pass::Closed));
    }
}
