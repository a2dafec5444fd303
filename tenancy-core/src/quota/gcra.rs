//! Rates: the generic cell rate algorithm, exact in integers.

use std::time::Duration;

use super::{Denial, MAX_AMOUNT, Standing, Wait};
use crate::{ConfigError, Timestamp};

/// How far apart two readings of one clock may be, in microseconds, so that the later one is not taken for a clock that
/// was set back.
const JITTER: u64 = 1_000_000;

/// So many in a time, and so many at once.
///
/// ```
/// use std::time::Duration;
///
/// use tenancy_core::quota::Rate;
///
/// // 60 a minute, of which at most 10 come at once.
/// let rate = Rate::new(60, Duration::from_secs(60), 10)?;
/// assert_eq!(rate.burst(), 10);
/// // Never more than nothing: that is no rate.
/// assert!(Rate::new(0, Duration::from_secs(60), 10).is_err());
/// # Ok::<(), tenancy_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    amount: u64,
    /// In nanoseconds.
    per: u64,
    burst: u64,
}

impl Rate {
    /// So many in a time, of which this many may come at once.
    ///
    /// # Errors
    /// A [`ConfigError`] if one of the three is nothing, or is larger than can be counted exactly: 292 years, or
    /// [`MAX_AMOUNT`].
    pub fn new(amount: u64, per: Duration, burst: u64) -> Result<Self, ConfigError> {
        if amount == 0 || burst == 0 || per.is_zero() {
            return Err(ConfigError::new(format!(
                "a rate of {amount} in {per:?}, {burst} at once, admits nothing or has no end; \
                 give three numbers above 0"
            )));
        }
        let nanos = u64::try_from(per.as_nanos()).ok();
        match nanos.filter(|nanos| i64::try_from(*nanos).is_ok()) {
            Some(per) if amount <= MAX_AMOUNT && burst <= MAX_AMOUNT => {
                Ok(Self { amount, per, burst })
            }
            _ => Err(ConfigError::new(format!(
                "a rate of {amount} in {per:?}, {burst} at once, is too large to be counted; give at \
                 most {MAX_AMOUNT} in at most 292 years"
            ))),
        }
    }

    /// So many in so many seconds, and as many at once. Neither may be 0.
    pub(super) const fn whole(amount: u32, seconds: u32) -> Self {
        Self {
            amount: amount as u64,
            per: seconds as u64 * 1_000_000_000,
            burst: amount as u64,
        }
    }

    /// How many may come at once.
    #[must_use]
    pub const fn burst(&self) -> u64 {
        self.burst
    }

    /// How many come in the [time](Self::per).
    #[must_use]
    pub const fn amount(&self) -> u64 {
        self.amount
    }

    /// The time in which the [amount](Self::amount) comes.
    #[must_use]
    pub const fn per(&self) -> Duration {
        Duration::from_nanos(self.per)
    }

    /// How long an empty bucket takes to be full.
    #[must_use]
    pub fn refill(&self) -> Duration {
        self.drained_in(u128::from(self.burst) * u128::from(self.per))
    }

    /// How long so many units of `1 / per` take to drain: whole microseconds, as the clock has them, rounded up.
    fn drained_in(&self, scaled: u128) -> Duration {
        Duration::from_micros(self.micros_to_drain(scaled))
    }

    /// The same as a number.
    #[inline]
    fn micros_to_drain(&self, scaled: u128) -> u64 {
        match u64::try_from(scaled) {
            Ok(scaled) => scaled.div_ceil(self.amount).div_ceil(1_000),
            Err(_) => {
                let micros = scaled.div_ceil(u128::from(self.amount)).div_ceil(1_000);
                u64::try_from(micros).unwrap_or(u64::MAX)
            }
        }
    }

    /// How many units leak in a time, rounded up.
    pub(super) fn leaked_in(&self, time: Duration) -> u128 {
        let nanos = time.as_micros().saturating_mul(1_000);
        let leaked = nanos.saturating_mul(u128::from(self.amount));
        leaked.div_ceil(u128::from(self.per))
    }

    /// How long so many units take to leak, rounded down.
    pub(super) fn time_of(&self, units: u64) -> Duration {
        let nanos = u128::from(units) * u128::from(self.per) / u128::from(self.amount);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Whole units of so many `1 / per`, and what is left over.
    #[inline]
    fn units(&self, scaled: u128) -> (u64, u64) {
        match u64::try_from(scaled) {
            // Nearly always, and much faster.
            Ok(scaled) => (scaled / self.per, scaled % self.per),
            Err(_) => {
                let per = u128::from(self.per);
                let whole = u64::try_from(scaled / per).unwrap_or(u64::MAX);
                (whole, u64::try_from(scaled % per).unwrap_or(0))
            }
        }
    }
}

/// What is used of a [`Rate`], by one holder: GCRA in the form of a bucket that leaks continuously, which ITU-T I.371
/// shows to be the same as its form by arrival times.
///
/// It is kept in whole units and in fractions of one nanosecond's leak, so that nothing is rounded away. Because it
/// counts units and not time, a new limit holds at once: who has used 10 of 10 has 990 left of 1,000.
///
/// A clock that is set back frees nothing, and the bucket leaks on from the new time.
///
/// ```
/// use std::time::Duration;
///
/// use tenancy_core::{Timestamp, quota::{Bucket, Rate}};
///
/// let rate = Rate::new(10, Duration::from_secs(10), 10)?;
/// let now = Timestamp::from_unix_seconds(1_800_000_000);
/// let mut bucket = Bucket::full(now);
/// assert!(bucket.take(&rate, 8, now).is_ok());
/// // A denial takes nothing: one unit still passes.
/// assert!(bucket.take(&rate, 5, now).is_err());
/// assert_eq!(bucket.take(&rate, 1, now).unwrap().remaining, 1);
/// # Ok::<(), tenancy_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// When this was true.
    at: Timestamp,
    /// Whole units that are used.
    used: u64,
    /// And so many `1 / per` of one.
    part: u64,
}

impl Bucket {
    /// A bucket of which nothing is used.
    #[must_use]
    pub const fn full(now: Timestamp) -> Self {
        Self {
            at: now,
            used: 0,
            part: 0,
        }
    }

    /// What is used now, in units of `1 / per`, and how many microseconds the clock is behind the last reading.
    #[inline]
    fn used_at(&self, rate: &Rate, now: Timestamp) -> (u128, u64) {
        // Of another limit, whose time was longer, the fraction may be more than a unit.
        let part = self.part.min(rate.per);
        let used = u128::from(self.used) * u128::from(rate.per) + u128::from(part);
        let leaked = u128::from(now.micros_since(self.at)) * 1_000 * u128::from(rate.amount);
        let behind = self.at.micros_since(now);
        let behind = if behind <= JITTER { behind } else { 0 };
        (used.saturating_sub(leaked), behind)
    }

    fn standing(rate: &Rate, used: u128, behind: u64) -> Standing {
        Self::standing_of(rate, used, rate.units(used), behind)
    }

    /// The same, where the whole units are known.
    #[inline]
    fn standing_of(rate: &Rate, used: u128, (whole, part): (u64, u64), behind: u64) -> Standing {
        let whole = whole.saturating_add(u64::from(part > 0));
        let reset = rate.micros_to_drain(used);
        let behind = if reset == 0 { 0 } else { behind };
        let reset = Duration::from_micros(reset.saturating_add(behind));
        Standing::new(rate.burst, whole, Some(reset))
    }

    /// Hears what the clock shows. If it was set back, the bucket leaks on from there.
    #[inline]
    pub fn note_clock(&mut self, now: Timestamp) {
        if self.at.micros_since(now) > JITTER {
            self.at = now;
        }
    }

    /// Where it stands.
    #[must_use]
    pub fn peek(&self, rate: &Rate, now: Timestamp) -> Standing {
        let (used, behind) = self.used_at(rate, now);
        Self::standing(rate, used, behind)
    }

    /// Whether a cost can be taken, and where it would stand then. Takes nothing.
    ///
    /// # Errors
    /// A [`Denial`] that says how long to wait; for ever, if the cost is more than the burst.
    pub fn check(&self, rate: &Rate, cost: u64, now: Timestamp) -> Result<Standing, Denial> {
        let (after, behind) = self.after(rate, cost, now)?;
        Ok(Self::standing(rate, after, behind))
    }

    /// What would be used after a cost, in units of `1 / per`, and how many microseconds the clock is behind the last
    /// reading.
    #[inline]
    fn after(&self, rate: &Rate, cost: u64, now: Timestamp) -> Result<(u128, u64), Denial> {
        let (used, behind) = self.used_at(rate, now);
        let denied = |wait| Denial::new(Self::standing(rate, used, behind), wait);
        if cost == 0 {
            return Ok((used, behind));
        }
        if cost > rate.burst {
            return Err(denied(Wait::Forever));
        }
        let room = u128::from(rate.burst - cost) * u128::from(rate.per);
        if used > room {
            let wait = rate.micros_to_drain(used - room).saturating_add(behind);
            let wait = Duration::from_micros(wait);
            return Err(denied(Wait::For(wait)));
        }
        Ok((used + u128::from(cost) * u128::from(rate.per), behind))
    }

    /// Takes a cost, or nothing.
    ///
    /// # Errors
    /// As for [`check`](Self::check).
    #[inline]
    pub fn take(&mut self, rate: &Rate, cost: u64, now: Timestamp) -> Result<Standing, Denial> {
        self.note_clock(now);
        let (after, behind) = self.after(rate, cost, now)?;
        let units = rate.units(after);
        if cost > 0 {
            self.set_units(units, now);
        }
        Ok(Self::standing_of(rate, after, units, behind))
    }

    /// Takes a cost whether there is room or not: what turned out to be more than its estimate.
    pub fn add(&mut self, rate: &Rate, cost: u64, now: Timestamp) {
        let (used, _) = self.used_at(rate, now);
        let cost = u128::from(cost.min(MAX_AMOUNT)) * u128::from(rate.per);
        self.set(rate, used + cost, now);
    }

    /// Gives back what was taken, at most all that is used.
    pub fn give_back(&mut self, rate: &Rate, cost: u64, now: Timestamp) {
        let (used, _) = self.used_at(rate, now);
        let cost = u128::from(cost) * u128::from(rate.per);
        self.set(rate, used.saturating_sub(cost), now);
    }

    fn set(&mut self, rate: &Rate, used: u128, now: Timestamp) {
        self.set_units(rate.units(used), now);
    }

    #[inline]
    fn set_units(&mut self, (whole, part): (u64, u64), now: Timestamp) {
        *self = Self {
            at: if self.at.micros_since(now) <= JITTER {
                self.at.max(now)
            } else {
                now
            },
            // More can't be used than is ever taken, and a bucket that is never full again would be stuck.
            used: whole.min(MAX_AMOUNT),
            part,
        };
    }

    /// Whether nothing is used, so that forgetting it changes no answer.
    #[must_use]
    pub fn is_full(&self, rate: &Rate, now: Timestamp) -> bool {
        self.used_at(rate, now).0 == 0
    }
}
