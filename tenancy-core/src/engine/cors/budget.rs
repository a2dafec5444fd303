//! How many look-ups callers without a credential may cause by names that they make up.

use std::{
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use quick_cache::sync::Cache;

use crate::{Timestamp, network::Source};

/// The time in which look-ups are counted.
pub(super) const WINDOW: Duration = Duration::from_secs(10);

/// Look-ups for one source in a window.
const OF_A_SOURCE: u32 = 64;

/// Look-ups for all sources in a window.
const OF_ALL: u32 = 512;

/// How many sources are told apart; all share [`OF_ALL`].
const SOURCES: usize = 4096;

/// Look-ups in the window that began last.
#[derive(Debug, Clone, Copy)]
struct Count {
    window: i64,
    used: u32,
}

/// Look-ups left, by source and over all.
#[derive(Debug)]
pub(in crate::engine) struct Budget {
    sources: Cache<Source, Count>,
    all: Mutex<Count>,
}

impl Budget {
    pub(in crate::engine) fn new() -> Self {
        Self {
            sources: Cache::new(SOURCES),
            all: Mutex::new(Count { window: 0, used: 0 }),
        }
    }

    /// Takes one look-up, if one is left.
    pub(super) fn take(&self, ip: Option<IpAddr>, now: Timestamp) -> bool {
        // Another number is another window, also where the clock was set back.
        let window = now
            .as_unix_seconds()
            .div_euclid(i64::try_from(WINDOW.as_secs()).unwrap_or(i64::MAX));
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let source = Source::from(ip);
        let used = |count: Count| {
            if count.window == window {
                count.used
            } else {
                0
            }
        };
        let (of_source, of_all) = (self.sources.get(&source).map_or(0, used), used(*all));
        if of_source >= OF_A_SOURCE || of_all >= OF_ALL {
            return false;
        }
        let count = |used| Count { window, used };
        self.sources.insert(source, count(of_source + 1));
        *all = count(of_all + 1);
        true
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
        let spent = |n, at| (0..1_000).filter(|_| budget.take(ip(n), at)).count();
        assert_eq!(spent(1, now), OF_A_SOURCE as usize);
        assert_eq!(spent(2, now), OF_A_SOURCE as usize);
        let others: usize = (3..200).map(|n| spent(n, now)).sum();
        assert_eq!(others, (OF_ALL - 2 * OF_A_SOURCE) as usize);
        for then in [now + WINDOW, now - Duration::from_secs(3_600)] {
            assert_eq!(spent(1, then), OF_A_SOURCE as usize);
        }
    }
}
