//! Sampling of what anybody can cause: refusals before authentication are counted, and recorded
//! once per source and window.

use std::{
    net::IpAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use quick_cache::sync::Cache;

use crate::{Timestamp, source::Source};

/// One recorded refusal per source and reason in this time.
const WINDOW: Duration = Duration::from_secs(10);

/// How far apart two threads' readings of the clock may be.
const JITTER: Duration = Duration::from_millis(100);

/// How many sources are told apart. Beyond it the oldest are forgotten, and recorded anew.
const SOURCES: usize = 4096;

/// Decides which refusals of unauthenticated callers are recorded one by one.
///
/// The record rate is bounded as well: at most [`BURST`] entries in a window over all sources, so
/// that a caller with many addresses can't flood the trail.
#[derive(Debug)]
pub(crate) struct Sampler {
    seen: Cache<(Source, &'static str), Timestamp>,
    suppressed: AtomicU64,
    window: AtomicU64,
}

/// How many entries are recorded in one window over all sources.
const BURST: u64 = 256;

impl Sampler {
    pub(crate) fn new() -> Self {
        Self {
            seen: Cache::new(SOURCES),
            suppressed: AtomicU64::new(0),
            window: AtomicU64::new(0),
        }
    }

    /// Whether to record this refusal, and then how many were left out since the last recorded one.
    pub(crate) fn admit(
        &self,
        ip: Option<IpAddr>,
        reason: &'static str,
        now: Timestamp,
    ) -> Option<u64> {
        let key = (Source::from(ip), reason);
        let fresh = self
            .seen
            .get(&key)
            // A clock that was set back says nothing about when that was.
            .is_none_or(|last| last > now + JITTER || now.since(last) >= WINDOW);
        if fresh && self.within_burst(now) {
            self.seen.insert(key, now);
            return Some(self.suppressed.swap(0, Ordering::Relaxed));
        }
        self.suppressed.fetch_add(1, Ordering::Relaxed);
        None
    }

    /// Counts the recorded entries of the current window in the low 16 bits, its number above.
    fn within_burst(&self, now: Timestamp) -> bool {
        let number = now.as_unix_micros().unsigned_abs() / WINDOW.as_micros() as u64;
        let step = |state: u64| {
            let (at, used) = (state >> 16, state & 0xffff);
            let used = if at == number { used } else { 0 };
            (used < BURST).then_some((number << 16) | (used + 1))
        };
        self.window
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, step)
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_recorded_once_in_a_window_and_the_rest_counted() {
        let sampler = Sampler::new();
        let now = Timestamp::from_unix_seconds(1_000_000);
        let ip = Some(IpAddr::from([192, 0, 2, 1]));
        assert_eq!(sampler.admit(ip, "no-credential", now), Some(0));
        for _ in 0..9 {
            assert_eq!(sampler.admit(ip, "no-credential", now), None);
        }
        assert_eq!(sampler.admit(ip, "token-expired", now), Some(9));
        assert_eq!(sampler.admit(ip, "no-credential", now + WINDOW), Some(0));
    }

    /// M7. A clock that was set back, by little or by much, leaves no refusal out for longer than before.
    #[test]
    fn after_the_clock_was_set_back_a_source_is_recorded_again() {
        let ip = Some(IpAddr::from([192, 0, 2, 1]));
        for back in [1, 3_600, 10 * 86_400] {
            let sampler = Sampler::new();
            let now = Timestamp::from_unix_seconds(2_000_000_000);
            assert_eq!(sampler.admit(ip, "x", now), Some(0));
            assert_eq!(sampler.admit(ip, "x", now), None);
            let now = now - Duration::from_secs(back);
            assert_eq!(sampler.admit(ip, "x", now), Some(1), "{back} s");
            assert_eq!(sampler.admit(ip, "x", now), None, "{back} s");
            assert_eq!(sampler.admit(ip, "x", now + WINDOW), Some(1), "{back} s");
        }
    }

    #[test]
    fn many_sources_can_not_flood_the_trail() {
        let sampler = Sampler::new();
        let now = Timestamp::from_unix_seconds(1_000_000);
        let recorded = (0..10_000_u32)
            .filter(|n| {
                sampler
                    .admit(Some(IpAddr::from(n.to_be_bytes())), "x", now)
                    .is_some()
            })
            .count();
        assert_eq!(recorded as u64, BURST);
        assert!(
            sampler
                .admit(None, "x", now + WINDOW)
                .is_some_and(|left_out| left_out > 9_000)
        );
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_source() {
        let sampler = Sampler::new();
        let now = Timestamp::from_unix_seconds(1_000_000);
        let one = "2001:db8:1:2::1".parse().ok();
        let other = "2001:db8:1:2:ffff::9".parse().ok();
        assert!(sampler.admit(one, "x", now).is_some());
        assert!(sampler.admit(other, "x", now).is_none());
    }
}
