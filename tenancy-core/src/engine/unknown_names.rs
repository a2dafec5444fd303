//! How many names that lead nowhere one caller may have looked up.

use std::time::Duration;

use crate::{
    Actor, Timestamp,
    quota::{Holder, Rate, Throttle},
};

/// How many callers are told apart.
const CALLERS: usize = 1 << 16;

/// The look-ups that came to nothing, by caller.
///
/// A caller with a valid credential may name any tenant, and each name that is not remembered costs a look-up. It
/// counts when it has led nowhere: nobody's name and another tenant's count alike.
#[derive(Debug)]
pub(super) struct UnknownNames {
    throttle: Throttle,
    rate: Rate,
}

impl UnknownNames {
    /// The default: 64 at once, and as many in 10 seconds.
    pub(super) const RATE: Rate = Rate::in_seconds(64, 10);

    pub(super) fn new(rate: Rate) -> Self {
        Self {
            throttle: Throttle::with_capacity(CALLERS),
            rate,
        }
    }

    /// How long nothing is looked up for this caller; `None` if something is.
    pub(super) fn wait(&self, caller: &Actor, now: Timestamp) -> Option<Duration> {
        let one = self.rate.one(holder(caller)?, LIMIT);
        (!self.throttle.has_one(&one, now)).then(|| self.rate.of_one())
    }

    /// Counts a look-up that came to nothing.
    pub(super) fn add(&self, caller: &Actor, now: Timestamp) {
        if let Some(holder) = holder(caller) {
            // More that were under way are not counted.
            let _ = self.throttle.take(&[self.rate.one(holder, LIMIT)], now);
        }
    }
}

const LIMIT: &str = "unknown-names";

/// Visitors have no id, and the service itself names what it likes.
fn holder(caller: &Actor) -> Option<Holder> {
    caller
        .id()
        .map(|_| Holder::caller(None, Some(caller), None))
}
