//! Rates by which the library protects itself: what callers may cause before they have shown who they are, or by names
//! that they make up.

use std::time::Duration;

use super::{
    Algorithm, Counters as _, Counting, Denied, MemoryCounters, Operation, Rate, Take, Taken, Wait,
};
use crate::Timestamp;

/// How long a caller waits where nobody knows for how long.
const A_SECOND: Duration = Duration::from_secs(1);

/// Counters of this process for rates of the library's own.
#[derive(Debug)]
pub(crate) struct Throttle(MemoryCounters);

/// Why nothing was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Throttled {
    /// Too many have come; one passes after this time.
    For(Duration),
    /// There is no room to count one more caller.
    Full,
}

impl Throttled {
    /// The longest wait of those for whom there was none left.
    pub(crate) fn of(denied: &[Denied]) -> Self {
        let waits = denied.iter().map(|denied| match denied.denial.wait {
            Wait::For(wait) => wait,
            Wait::Unknown | Wait::Forever => A_SECOND,
        });
        Self::For(waits.max().unwrap_or(A_SECOND))
    }

    /// How long to wait.
    pub(crate) const fn wait(self) -> Duration {
        match self {
            Self::For(wait) => wait,
            Self::Full => A_SECOND,
        }
    }
}

impl Throttle {
    /// Tells so many callers apart at a time. Who has been quiet for long enough to have all again is forgotten.
    pub(crate) fn with_capacity(callers: usize) -> Self {
        Self(MemoryCounters::with_capacity(callers))
    }

    /// Takes one of each limit, or of none.
    pub(crate) fn take(&self, takes: &[Take<'_>], now: Timestamp) -> Result<Operation, Throttled> {
        let operation = Operation::once();
        match self.0.take(operation, takes, now) {
            Counting::Ready(Ok(Taken::Granted(_))) => Ok(operation),
            Counting::Ready(Ok(Taken::Denied(denied))) => Err(Throttled::of(&denied)),
            Counting::Ready(Err(_)) | Counting::Pending(_) => Err(Throttled::Full),
        }
    }

    /// Gives back what an operation has taken.
    pub(crate) fn give_back(&self, operation: Operation, takes: &[Take<'_>], now: Timestamp) {
        let all: Vec<_> = takes
            .iter()
            .map(|take| super::Settle::new(*take, 0))
            .collect();
        drop(self.0.settle(operation, &all, now));
    }

    /// Whether one is left of a limit.
    pub(crate) fn has_one(&self, take: &Take<'_>, now: Timestamp) -> bool {
        match self.0.standings(std::slice::from_ref(take), now) {
            Counting::Ready(Ok(standings)) => standings.iter().all(|one| one.remaining > 0),
            _ => true,
        }
    }
}

impl Rate {
    /// So many in so many seconds, and as many at once; at least one of both.
    pub(crate) const fn in_seconds(amount: u32, seconds: u32) -> Self {
        Self::whole(
            if amount == 0 { 1 } else { amount },
            if seconds == 0 { 1 } else { seconds },
        )
    }

    /// How long one takes to come back.
    pub(crate) fn of_one(&self) -> Duration {
        let nanos = self.per().as_nanos().div_ceil(u128::from(self.amount()));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// One of it, for [`Throttle`].
    pub(crate) const fn one<'a>(self, holder: super::Holder, limit: &'a str) -> Take<'a> {
        Take::new(holder, limit, Algorithm::Rate(self), 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quota::Holder;

    #[test]
    fn one_of_each_is_taken_or_of_none_and_what_is_given_back_is_there_again() {
        let throttle = Throttle::with_capacity(100);
        let (two, three) = (Rate::in_seconds(2, 10), Rate::in_seconds(3, 10));
        let now = Timestamp::from_unix_seconds(1_800_000_000);
        let caller = |name| two.one(Holder::named("caller", name), "looks");
        let all = three.one(Holder::system(), "looks");
        let ada = [caller("ada"), all];
        assert!(throttle.take(&ada, now).is_ok());
        let second = throttle.take(&ada, now).unwrap();
        let denied = throttle.take(&ada, now).unwrap_err();
        assert_eq!(denied, Throttled::For(two.of_one()));
        // Her denial has taken nothing of all.
        assert!(throttle.take(&[caller("bob"), all], now).is_ok());
        assert!(throttle.take(&[caller("bob"), all], now).is_err());
        assert!(throttle.has_one(&caller("bob"), now) && !throttle.has_one(&caller("ada"), now));

        throttle.give_back(second, &ada, now);
        assert!(throttle.take(&ada, now).is_ok());
    }

    #[test]
    fn a_caller_for_whom_there_is_no_room_is_told_so() {
        let throttle = Throttle::with_capacity(2);
        let now = Timestamp::from_unix_seconds(1_800_000_000);
        let rate = Rate::in_seconds(1, 10);
        let told: Vec<_> = ["ada", "bob", "eve"]
            .into_iter()
            .map(|name| throttle.take(&[rate.one(Holder::named("caller", name), "looks")], now))
            .collect();
        assert!(told[0].is_ok() && told[1].is_ok());
        assert_eq!(told[2], Err(Throttled::Full));
    }
}
