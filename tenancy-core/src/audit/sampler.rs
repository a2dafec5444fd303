//! Sampling of refusals: whoever causes them chooses how many there are. They are counted always, and
//! recorded a few times per source, reason and window.

use std::{
    net::IpAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use quick_cache::sync::Cache;

use crate::{Actor, Timestamp, network::Source};

/// The time in which a source's refusals for one reason are counted together.
const WINDOW: Duration = Duration::from_secs(10);

/// How far apart two threads' readings of the clock may be.
const JITTER: Duration = Duration::from_millis(100);

/// How many sources are told apart. Beyond it the oldest are forgotten, and recorded anew.
const SOURCES: usize = 4096;

/// How many entries about callers who are not authenticated are recorded in one window, over all sources.
const BURST: u64 = 256;

/// How many are recorded about one caller who is authenticated, in one window and for one reason. It can be
/// held to account, so that more is told of it.
const OF_ACTOR: u64 = 16;

/// Who caused a refusal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Cause {
    /// Somebody without a valid credential.
    Source(Source),
    Actor(Actor),
}

/// What has become of the refusals of a cause.
#[derive(Debug, Clone, Copy)]
struct Seen {
    since: Timestamp,
    recorded: u64,
}

/// Decides which refusals are recorded one by one.
///
/// The record rate is bounded as well for callers who are not authenticated: at most [`BURST`] entries in a
/// window over all sources, so that a caller with many addresses can't flood the trail.
#[derive(Debug)]
pub(crate) struct Sampler {
    seen: Cache<(Cause, &'static str), Seen>,
    suppressed: AtomicU64,
    window: AtomicU64,
}

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
        actor: Option<&Actor>,
        ip: Option<IpAddr>,
        reason: &'static str,
        now: Timestamp,
    ) -> Option<u64> {
        let (cause, most) = match actor {
            // Nobody is held to account for what a visitor does.
            None | Some(Actor::Anonymous) => (Cause::Source(Source::from(ip)), 1),
            Some(actor) => (Cause::Actor(actor.clone()), OF_ACTOR),
        };
        let is_bounded = matches!(cause, Cause::Source(_));
        let key = (cause, reason);
        let seen = match self.seen.get(&key) {
            // A clock that was set back says nothing about when that was.
            Some(seen) if seen.since <= now + JITTER && now.since(seen.since) < WINDOW => seen,
            _ => Seen {
                since: now,
                recorded: 0,
            },
        };
        if seen.recorded < most && (!is_bounded || self.within_burst(now)) {
            let recorded = seen.recorded + 1;
            self.seen.insert(key, Seen { recorded, ..seen });
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
    use crate::UserId;

    fn start() -> (Sampler, Timestamp) {
        (Sampler::new(), Timestamp::from_unix_seconds(1_000_000))
    }

    #[test]
    fn a_source_is_recorded_once_in_a_window_and_the_rest_counted() {
        let (sampler, now) = start();
        let ip = Some(IpAddr::from([192, 0, 2, 1]));
        assert_eq!(sampler.admit(None, ip, "no-credential", now), Some(0));
        for _ in 0..9 {
            assert_eq!(sampler.admit(None, ip, "no-credential", now), None);
        }
        assert_eq!(sampler.admit(None, ip, "token-expired", now), Some(9));
        let later = now + WINDOW;
        assert_eq!(sampler.admit(None, ip, "no-credential", later), Some(0));
    }

    /// M7. A clock that was set back, by little or by much, leaves no refusal out for longer than before.
    #[test]
    fn after_the_clock_was_set_back_a_source_is_recorded_again() {
        for back in [1, 3_600, 10 * 86_400] {
            let sampler = Sampler::new();
            let now = Timestamp::from_unix_seconds(2_000_000_000);
            assert_eq!(sampler.admit(None, None, "x", now), Some(0));
            assert_eq!(sampler.admit(None, None, "x", now), None);
            let now = now - Duration::from_secs(back);
            assert_eq!(sampler.admit(None, None, "x", now), Some(1), "{back} s");
            assert_eq!(sampler.admit(None, None, "x", now), None, "{back} s");
            let later = now + WINDOW;
            assert_eq!(sampler.admit(None, None, "x", later), Some(1), "{back} s");
        }
    }

    /// M16.
    #[test]
    fn a_member_who_floods_is_recorded_a_few_times_and_others_all_the_same() {
        let (sampler, now) = start();
        let (one, other) = (Actor::User(UserId::new()), Actor::User(UserId::new()));
        let ip = Some(IpAddr::from([192, 0, 2, 1]));
        let recorded = (0..20_000)
            .filter(|_| sampler.admit(Some(&one), ip, "not-a-member", now).is_some())
            .count();
        assert_eq!(recorded as u64, OF_ACTOR);
        // Another one at the same address, the same one for another reason, and a stranger.
        let told = sampler.admit(Some(&other), ip, "not-a-member", now);
        assert_eq!(told, Some(20_000 - OF_ACTOR));
        assert!(
            sampler
                .admit(Some(&one), ip, "tenant-unknown", now)
                .is_some()
        );
        assert!(sampler.admit(None, ip, "not-a-member", now).is_some());
        let later = now + WINDOW;
        assert!(
            sampler
                .admit(Some(&one), ip, "not-a-member", later)
                .is_some()
        );
    }

    #[test]
    fn many_sources_can_not_flood_the_trail() {
        let (sampler, now) = start();
        let recorded = (0..10_000_u32)
            .filter(|n| {
                let ip = Some(IpAddr::from(n.to_be_bytes()));
                sampler.admit(None, ip, "x", now).is_some()
            })
            .count();
        assert_eq!(recorded as u64, BURST);
        let later = sampler.admit(None, None, "x", now + WINDOW);
        assert!(later.is_some_and(|left_out| left_out > 9_000));
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_source() {
        let (sampler, now) = start();
        let one = "2001:db8:1:2::1".parse().ok();
        let other = "2001:db8:1:2:ffff::9".parse().ok();
        assert!(sampler.admit(None, one, "x", now).is_some());
        assert!(sampler.admit(None, other, "x", now).is_none());
    }
}
