//! The share of a limit that one process has while nobody counts for all.

use std::{fmt, time::Duration};

use crate::quota::{Algorithm, Ceiling, Concurrency, OnOutage, Overage, Rate, Take};

/// The take of one process's share; `None` if the limit is not one of shares, or the share is nothing.
pub(super) fn of_take<'a>(take: &Take<'a>) -> Option<Take<'a>> {
    let OnOutage::LocalShare { of } = take.on_outage else {
        return None;
    };
    let algorithm = of_algorithm(&take.algorithm, of.into())?;
    Some(Take::new(take.holder, take.limit, algorithm, take.amount))
}

/// One of so many equal parts of a limit, rounded down; `None` if that is nothing.
fn of_algorithm(whole: &Algorithm, of: u64) -> Option<Algorithm> {
    let part = |amount: u64| amount.checked_div(of);
    Some(match whole {
        Algorithm::Rate(rate) => {
            // The pace is divided exactly, by a longer time; a time that is too long, by a smaller amount.
            let longer = u32::try_from(of)
                .ok()
                .and_then(|of| rate.per().checked_mul(of));
            let exact =
                longer.and_then(|per: Duration| of_rate(rate.amount(), per, part(rate.burst())?));
            let share = match exact {
                Some(share) => share,
                None => of_rate(part(rate.amount())?, rate.per(), part(rate.burst())?)?,
            };
            Algorithm::Rate(share)
        }
        Algorithm::Period(ceiling, window) => {
            let overage = match ceiling.overage() {
                Overage::AllowedUpTo(beyond) => Overage::AllowedUpTo(part(beyond)?),
                overage => overage,
            };
            let share = Ceiling::new(part(ceiling.amount())?, overage).ok()?;
            (share.most() != Some(0)).then_some(Algorithm::Period(share, *window))?
        }
        Algorithm::Concurrent(limit) => {
            Algorithm::Concurrent(Concurrency::new(part(limit.amount())?, limit.lease()).ok()?)
        }
        Algorithm::Held(..) => return None,
    })
}

fn of_rate(amount: u64, per: Duration, burst: u64) -> Option<Rate> {
    Rate::new(amount, per, burst).ok()
}

/// That the shares of these limits have no more, which is behind
/// [`CountersError::Unavailable`](super::super::CountersError).
#[derive(Debug)]
pub(in crate::quota) struct ShareUsedUp {
    /// The names of the limits.
    pub(in crate::quota) limits: Vec<Box<str>>,
}

impl fmt::Display for ShareUsedUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limits = self.limits.join("`, `");
        write!(f, "this process has used up its share of `{limits}`")
    }
}

impl std::error::Error for ShareUsedUp {}
