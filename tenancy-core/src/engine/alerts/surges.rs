//! How many refusals there are in a tenant, beside how many there were.

use std::sync::{Arc, Mutex, PoisonError};

use quick_cache::sync::Cache;

use crate::{TenantId, Timestamp, alert::Surge};

/// How many tenants are told apart.
const TENANTS: usize = 1 << 14;

/// How much the latest time weighs in the base.
const LATEST: f64 = 0.2;

/// More empty times than this make the base 0 anyway.
const LONGEST_PAUSE: u128 = 200;

pub(super) struct Surges {
    rule: Surge,
    tenants: Cache<Option<TenantId>, Arc<Mutex<Counted>>>,
}

#[derive(Debug)]
struct Counted {
    since: Timestamp,
    count: u64,
    base: f64,
}

/// So many refusals, where so many were to be expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Surged {
    pub(super) count: u64,
    pub(super) base: u64,
}

impl Surges {
    pub(super) fn new(rule: Surge) -> Self {
        Self {
            rule,
            tenants: Cache::new(TENANTS),
        }
    }

    /// Counts a refusal. Tells if there are so many that somebody should look.
    pub(super) fn count(&self, tenant: Option<TenantId>, now: Timestamp) -> Option<Surged> {
        let begun = || {
            Ok::<_, ()>(Arc::new(Mutex::new(Counted {
                since: now,
                count: 0,
                base: 0.0,
            })))
        };
        let counted = self.tenants.get_or_insert_with(&tenant, begun).ok()?;
        let mut counted = counted.lock().unwrap_or_else(PoisonError::into_inner);
        counted.roll(&self.rule, now);
        counted.count += 1;
        let (count, base) = (counted.count, counted.base);
        #[allow(
            clippy::cast_precision_loss,
            reason = "a base is a mean, and nobody counts on its last bits"
        )]
        let is_surge =
            count >= self.rule.at_least && count as f64 > base * f64::from(self.rule.times);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is a mean of counts, and `as` saturates"
        )]
        let base = base.round() as u64;
        is_surge.then_some(Surged { count, base })
    }
}

impl Counted {
    /// Goes on to the time that has begun.
    fn roll(&mut self, rule: &Surge, now: Timestamp) {
        if now < self.since {
            // The clock was set back: the time that was counted ends, and another begins.
            self.since = now;
            return;
        }
        let times = now.since(self.since).as_micros() / rule.each.as_micros().max(1);
        if times == 0 {
            return;
        }
        #[allow(clippy::cast_precision_loss, reason = "see above")]
        let latest = self.count as f64;
        self.base = self.base * (1.0 - LATEST) + latest * LATEST;
        for _ in 1..times.min(LONGEST_PAUSE) {
            self.base *= 1.0 - LATEST;
        }
        self.count = 0;
        let times = u32::try_from(times).unwrap_or(u32::MAX);
        self.since = self.since + rule.each.saturating_mul(times);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn surges() -> (Surges, Timestamp) {
        let rule = Surge {
            at_least: 100,
            times: 10,
            each: Duration::from_secs(60),
        };
        (
            Surges::new(rule),
            Timestamp::from_unix_seconds(1_800_000_000),
        )
    }

    /// How many of so many refusals are a surge.
    fn refuse(surges: &Surges, tenant: Option<TenantId>, count: u64, now: Timestamp) -> usize {
        (0..count)
            .filter(|_| surges.count(tenant, now).is_some())
            .count()
    }

    #[test]
    fn a_tenant_that_always_has_many_refusals_surges_at_many_times_its_base() {
        let (surges, mut now) = surges();
        let (busy, quiet) = (Some(TenantId::new()), Some(TenantId::new()));
        for _ in 0..30 {
            assert_eq!(refuse(&surges, busy, 90, now), 0);
            now = now + Duration::from_secs(60);
        }
        // The base is close to 90; ten times that is not reached.
        assert_eq!(refuse(&surges, busy, 800, now), 0);
        let told = refuse(&surges, busy, 200, now);
        assert!((90..=110).contains(&told), "{told}");
        // Another tenant has none, and the least decides.
        assert_eq!(refuse(&surges, quiet, 99, now), 0);
        assert_eq!(refuse(&surges, quiet, 1, now), 1);
        // What concerns no tenant is counted by itself.
        assert_eq!(refuse(&surges, None, 99, now), 0);
    }

    #[test]
    fn a_base_is_forgotten_in_quiet_times_and_a_clock_may_be_set_back() {
        let (surges, mut now) = surges();
        let tenant = Some(TenantId::new());
        for _ in 0..30 {
            refuse(&surges, tenant, 90, now);
            now = now + Duration::from_secs(60);
        }
        now = now + Duration::from_secs(1_000_000 * 60);
        assert_eq!(refuse(&surges, tenant, 100, now), 1);
        let back = now - Duration::from_secs(3_600);
        assert_eq!(refuse(&surges, tenant, 1, back), 1);
        let later = back + Duration::from_secs(60);
        assert_eq!(refuse(&surges, tenant, 100, later), 0, "its base is 20 now");
    }
}
