//! How many look-ups callers without a credential may cause by names that they make up.

use std::{net::IpAddr, time::Duration};

use crate::{
    Timestamp,
    quota::{Holder, Rate, Throttle},
};

/// Look-ups for one source.
const OF_A_SOURCE: Rate = Rate::in_seconds(64, 10);

/// Look-ups for all sources.
const OF_ALL: Rate = Rate::in_seconds(512, 10);

/// How many sources are told apart. [`OF_ALL`] does not let more than 1,024 have something used at a time.
const SOURCES: usize = 4096;

/// Look-ups left, by source and over all.
#[derive(Debug)]
pub(in crate::engine) struct Budget(Throttle);

impl Budget {
    pub(in crate::engine) fn new() -> Self {
        Self(Throttle::with_capacity(SOURCES))
    }

    /// Takes one look-up, or says how long there is none left.
    pub(super) fn take(&self, ip: Option<IpAddr>, now: Timestamp) -> Result<(), Duration> {
        let of_source = OF_A_SOURCE.one(Holder::caller(None, None, ip), "origins");
        let of_all = OF_ALL.one(Holder::system(), "origins");
        match self.0.take(&[of_source, of_all], now) {
            Ok(_) => Ok(()),
            Err(throttled) => Err(throttled.wait()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_source_spends_its_own_and_all_together_no_more_than_there_is() {
        let budget = Budget::new();
        let now = Timestamp::from_unix_seconds(1_000_000);
        let ip = |n: u8| Some(IpAddr::from([192, 0, 2, n]));
        let spent = |n, at| {
            (0..1_000)
                .filter(|_| budget.take(ip(n), at).is_ok())
                .count() as u64
        };
        assert_eq!(spent(1, now), OF_A_SOURCE.burst());
        assert_eq!(spent(2, now), OF_A_SOURCE.burst());
        let others: u64 = (3..200).map(|n| spent(n, now)).sum();
        assert_eq!(others, OF_ALL.burst() - 2 * OF_A_SOURCE.burst());
        let later = now + OF_ALL.per();
        assert_eq!(spent(1, later), OF_A_SOURCE.burst());
        // A clock that is set back neither frees nor blocks anything.
        let back = later - Duration::from_secs(3_600);
        assert_eq!(spent(1, back), 0);
        assert_eq!(spent(1, back + OF_A_SOURCE.per()), OF_A_SOURCE.burst());
    }

    #[test]
    fn what_was_taken_comes_back_evenly() {
        let budget = Budget::new();
        let start = Timestamp::from_unix_seconds(1_000_000);
        let passed = (0..2_000_u32)
            .filter(|n| {
                budget
                    .take(None, start + Duration::from_millis(10) * *n)
                    .is_ok()
            })
            .count() as u64;
        // In 20 seconds: what there is at once, and what comes back.
        assert_eq!(passed, OF_A_SOURCE.burst() + 2 * OF_A_SOURCE.amount() - 1);
    }
}
