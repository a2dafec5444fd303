//! Settling a charge: once, and however the request ended.

use std::{fmt, sync::Arc};

use crate::quota::RouteCharge;

/// How a request that was charged has ended.
///
/// ```
/// use tenancy_core::Ending;
///
/// /// Only a complete answer costs.
/// fn is_due(ending: Ending) -> bool {
///     matches!(ending, Ending::Answered { status: 200..=299, .. })
/// }
///
/// assert!(is_due(Ending::Answered { status: 200, bytes: 120 }));
/// assert!(!is_due(Ending::CutOff { status: 200, bytes: 60 }));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ending {
    /// The handler answered, and all of the answer was handed to the server.
    Answered {
        /// The HTTP status.
        status: u16,
        /// The length of the body, in bytes as the handler gave them.
        bytes: u64,
    },
    /// The handler answered, and the body was dropped before its end: the client has gone, or the body
    /// has failed.
    CutOff {
        /// The HTTP status.
        status: u16,
        /// How much of the body had been handed to the server, in bytes.
        bytes: u64,
    },
    /// The handler was dropped before it answered: the client has gone, or a time limit has passed.
    Cancelled,
    /// The handler panicked.
    Panicked,
}

/// What settles.
enum Settle {
    Once(Box<dyn FnOnce(Ending) + Send>),
    OfLimits(Arc<RouteCharge>),
}

/// What is left to do for a charge. Dropped, it settles as cancelled, or as panicked on a thread that
/// panics.
///
/// ```
/// use std::sync::mpsc;
///
/// use tenancy_core::{Charge, Ending};
///
/// let (told, endings) = mpsc::channel();
/// let charge = Charge::new().settled_by(move |ending| drop(told.send(ending)));
/// let (_, settlement) = charge.into_parts();
/// drop(settlement);
/// assert_eq!(endings.recv(), Ok(Ending::Cancelled));
/// ```
#[derive(Default)]
#[must_use = "a settlement that is dropped settles as cancelled"]
pub struct Settlement(Option<Settle>);

impl Settlement {
    pub(super) fn new(settle: impl FnOnce(Ending) + Send + 'static) -> Self {
        Self(Some(Settle::Once(Box::new(settle))))
    }

    pub(super) const fn of_limits(charge: Arc<RouteCharge>) -> Self {
        Self(Some(Settle::OfLimits(charge)))
    }

    /// The limits that were charged, if it settles any.
    pub(super) const fn limits(&self) -> Option<&Arc<RouteCharge>> {
        match &self.0 {
            Some(Settle::OfLimits(charge)) => Some(charge),
            _ => None,
        }
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// Settles.
    pub fn settle(mut self, ending: Ending) {
        self.run(ending);
    }

    fn run(&mut self, ending: Ending) {
        match self.0.take() {
            Some(Settle::Once(settle)) => settle(ending),
            Some(Settle::OfLimits(charge)) => charge.settle(ending),
            None => {}
        }
    }
}

impl Drop for Settlement {
    fn drop(&mut self) {
        self.run(if std::thread::panicking() {
            Ending::Panicked
        } else {
            Ending::Cancelled
        });
    }
}

impl fmt::Debug for Settlement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settlement")
            .field("is_none", &self.is_none())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    fn settled(end: impl FnOnce(Settlement)) -> Vec<Ending> {
        let endings = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&endings);
        end(Settlement::new(move |ending| {
            told.lock().unwrap().push(ending);
        }));
        let endings = endings.lock().unwrap();
        endings.clone()
    }

    #[test]
    fn it_settles_once_however_it_ends() {
        let answered = Ending::Answered {
            status: 200,
            bytes: 2,
        };
        assert_eq!(settled(|one| one.settle(answered)), [answered]);
        assert_eq!(settled(drop), [Ending::Cancelled]);
        let panicked = settled(|one| {
            let panicking = std::panic::AssertUnwindSafe(move || {
                let _held = one;
                panic!("as this test wants");
            });
            assert!(std::panic::catch_unwind(panicking).is_err());
        });
        assert_eq!(panicked, [Ending::Panicked]);
        assert!(Settlement::default().is_none());
    }
}
