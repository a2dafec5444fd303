//! Sampling of refusals: whoever causes them chooses how many there are. They are counted always, and
//! recorded a few times per source and reason.

use std::{
    net::IpAddr,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::{
    Actor, Timestamp,
    quota::{Holder, Rate, Throttle, Throttled},
};

/// How often refusals of one source for one reason are recorded.
const OF_A_SOURCE: Rate = Rate::in_seconds(1, 10);

/// How often those about callers who are not authenticated are, over all sources.
const OF_ALL_SOURCES: Rate = Rate::in_seconds(256, 10);

/// How often those about one caller who is authenticated are, for one reason. It can be held to account, so that more
/// is told of it.
const OF_ACTOR: Rate = Rate::in_seconds(16, 10);

/// How many callers and reasons are told apart.
const CALLERS: usize = 1 << 16;

/// Decides which refusals are recorded one by one.
///
/// The record rate is bounded as well for callers who are not authenticated: by [`OF_ALL_SOURCES`], so that a caller
/// with many addresses can't flood the trail.
#[derive(Debug)]
pub(crate) struct Sampler {
    throttle: Throttle,
    suppressed: AtomicU64,
}

impl Sampler {
    pub(crate) fn new() -> Self {
        Self {
            throttle: Throttle::with_capacity(CALLERS),
            suppressed: AtomicU64::new(0),
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
        let taken = match actor {
            // Nobody is held to account for what a visitor does.
            None | Some(Actor::Anonymous) => {
                let source = OF_A_SOURCE.one(Holder::caller(None, None, ip), reason);
                let all = OF_ALL_SOURCES.one(Holder::system(), "refusals");
                self.throttle.take(&[source, all], now)
            }
            Some(actor) => {
                let caller = Holder::caller(None, Some(actor), ip);
                self.throttle.take(&[OF_ACTOR.one(caller, reason)], now)
            }
        };
        match taken {
            // Whom there is no room to count is recorded each time: nothing of it may get lost.
            Ok(_) | Err(Throttled::Full) => Some(self.suppressed.swap(0, Ordering::Relaxed)),
            Err(Throttled::For(_)) => {
                self.suppressed.fetch_add(1, Ordering::Relaxed);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::UserId;

    fn start() -> (Sampler, Timestamp) {
        (Sampler::new(), Timestamp::from_unix_seconds(1_000_000))
    }

    #[test]
    fn a_source_is_recorded_once_in_a_time_and_the_rest_counted() {
        let (sampler, now) = start();
        let ip = Some(IpAddr::from([192, 0, 2, 1]));
        assert_eq!(sampler.admit(None, ip, "no-credential", now), Some(0));
        for _ in 0..9 {
            assert_eq!(sampler.admit(None, ip, "no-credential", now), None);
        }
        assert_eq!(sampler.admit(None, ip, "token-expired", now), Some(9));
        let later = now + OF_A_SOURCE.per();
        assert_eq!(sampler.admit(None, ip, "no-credential", later), Some(0));
    }

    /// M7. A clock that was set back, by little or by much, leaves no refusal out for longer than before.
    #[test]
    fn after_the_clock_was_set_back_a_source_is_recorded_again_as_soon_as_before() {
        for back in [1, 3_600, 10 * 86_400] {
            let sampler = Sampler::new();
            let now = Timestamp::from_unix_seconds(2_000_000_000);
            assert_eq!(sampler.admit(None, None, "x", now), Some(0));
            assert_eq!(sampler.admit(None, None, "x", now), None);
            let now = now - Duration::from_secs(back);
            assert_eq!(sampler.admit(None, None, "x", now), None, "{back} s");
            let later = now + OF_A_SOURCE.per() + Duration::from_secs(1);
            assert_eq!(sampler.admit(None, None, "x", later), Some(2), "{back} s");
            assert_eq!(sampler.admit(None, None, "x", later), None, "{back} s");
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
        assert_eq!(recorded as u64, OF_ACTOR.burst());
        // Another one at the same address, the same one for another reason, and a stranger.
        let told = sampler.admit(Some(&other), ip, "not-a-member", now);
        assert_eq!(told, Some(20_000 - OF_ACTOR.burst()));
        assert!(
            sampler
                .admit(Some(&one), ip, "tenant-unknown", now)
                .is_some()
        );
        assert!(sampler.admit(None, ip, "not-a-member", now).is_some());
        let later = now + OF_A_SOURCE.per();
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
        assert_eq!(recorded as u64, OF_ALL_SOURCES.burst());
        let later = sampler.admit(None, None, "x", now + OF_A_SOURCE.per());
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
