//! In what parts a rate is counted, so that doubles, which Lua has, count it exactly.

use std::time::Duration;

use tenancy_core::quota::{Denial, Rate, Standing, Wait};

/// Up to this number doubles count each.
pub(super) const EXACT: u64 = 1 << 53;

/// How many parts of a rate may be used at once. As much again is left for what turned out to be more.
const MOST: u64 = EXACT / 2;

/// A rate in parts of a unit.
///
/// A rate leaks `amount` units in `per`: as a fraction in lowest terms, `a / b` units in a microsecond. Counted in `b`ths of a
/// unit, whole numbers leak in each microsecond, and nothing is rounded, if a burst is at most 2^52 of them.
///
/// Other rates are counted in so many parts that a burst is 2^52 of them at most, and leak slower by one part in 10^14 at
/// most: more than the limit never passes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    rate: Rate,
    /// How many parts make a unit.
    pub(super) unit: u64,
    /// How many parts leak in a microsecond.
    pub(super) leak: f64,
    /// The same, where it is a whole number and nothing is rounded.
    exactly: Option<u64>,
}

impl Scale {
    pub(super) fn of(rate: Rate) -> Self {
        let amount = rate.amount().saturating_mul(1_000);
        let per = nanoseconds(rate.per()).max(1);
        let divisor = greatest_common_divisor(amount, per);
        let (a, b) = (amount / divisor, per / divisor);
        if u128::from(rate.burst()) * u128::from(b) <= u128::from(MOST) {
            return Self {
                rate,
                unit: b,
                leak: a as f64,
                exactly: Some(a),
            };
        }
        let unit = (MOST / rate.burst().max(1)).max(1);
        // Each of three steps rounds by 2^-53 at most.
        let slower = 1.0 - 1.0 / (1_u64 << 50) as f64;
        Self {
            rate,
            unit,
            leak: amount as f64 * unit as f64 / per as f64 * slower,
            exactly: None,
        }
    }

    /// So many units, in parts; not more than can be counted.
    pub(super) fn parts(&self, units: u64) -> u64 {
        units.saturating_mul(self.unit).min(EXACT)
    }

    /// How many parts may be used before so many units are taken; `None` if that never passes.
    pub(super) fn room(&self, cost: u64) -> Option<u64> {
        let room = self.rate.burst().checked_sub(cost)?;
        Some(room.saturating_mul(self.unit))
    }

    /// How long so many parts take to leak: whole microseconds, rounded up.
    fn drained_in(&self, parts: u64) -> Duration {
        let micros = match self.exactly {
            Some(leak) => parts.div_ceil(leak.max(1)),
            None => {
                let per = u128::from(nanoseconds(self.rate.per()));
                let amount = u128::from(self.rate.amount()) * 1_000 * u128::from(self.unit);
                let micros = (u128::from(parts) * per).div_ceil(amount.max(1));
                let micros = u64::try_from(micros).unwrap_or(u64::MAX);
                // As it leaks slower.
                micros.saturating_add(micros >> 49).saturating_add(1)
            }
        };
        Duration::from_micros(micros)
    }

    /// Where it stands with so many parts used.
    pub(super) fn standing(&self, used: u64, behind: Duration) -> Standing {
        let reset = self.drained_in(used);
        let behind = if used == 0 { Duration::ZERO } else { behind };
        let reset = reset.saturating_add(behind);
        Standing::new(self.rate.burst(), used.div_ceil(self.unit), Some(reset))
    }

    /// Why so many units are refused.
    pub(super) fn denial(&self, cost: u64, used: u64, behind: Duration) -> Denial {
        let wait = match self.room(cost) {
            Some(room) => {
                let wait = self.drained_in(used.saturating_sub(room));
                Wait::For(wait.saturating_add(behind))
            }
            None => Wait::Forever,
        };
        Denial::new(self.standing(used, behind), wait)
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

const fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    if a == 0 { 1 } else { a }
}
