//! Leases: what is in use at the same time.

use std::time::Duration;

use super::{Denial, MAX_AMOUNT, OperationId, Standing, Wait};
use crate::{ConfigError, Timestamp};

/// How many may be in use at once, and how long each holder keeps its part without renewing it.
///
/// ```
/// use std::time::Duration;
///
/// use tenancy_core::quota::Concurrency;
///
/// let jobs = Concurrency::new(2, Duration::from_secs(600))?;
/// assert_eq!(jobs.amount(), 2);
/// assert!(Concurrency::new(2, Duration::ZERO).is_err());
/// # Ok::<(), tenancy_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Concurrency {
    amount: u64,
    lease: Duration,
}

impl Concurrency {
    /// So many at once, for leases of this length.
    ///
    /// # Errors
    /// A [`ConfigError`] if one of the two is nothing, or the amount is more than [`MAX_AMOUNT`].
    pub fn new(amount: u64, lease: Duration) -> Result<Self, ConfigError> {
        if amount == 0 || amount > MAX_AMOUNT || lease.is_zero() {
            return Err(ConfigError::new(format!(
                "{amount} at once with leases of {lease:?} can't be; give an amount from 1 to \
                 {MAX_AMOUNT}, and a time above 0"
            )));
        }
        Ok(Self { amount, lease })
    }

    /// How many at once.
    #[must_use]
    pub const fn amount(&self) -> u64 {
        self.amount
    }

    /// How long a lease holds.
    #[must_use]
    pub const fn lease(&self) -> Duration {
        self.lease
    }
}

/// What is in use now, by whom: a lease for each holder. Each ends by itself, so that a holder that is gone keeps its
/// place no longer than its lease, and nobody else's lease moves with it.
///
/// A clock that is set back ends no lease, and prolongs none beyond its full length.
///
/// ```
/// use std::time::Duration;
///
/// use tenancy_core::{Timestamp, quota::{Concurrency, Leases, OperationId}};
///
/// let one = Concurrency::new(1, Duration::from_secs(60))?;
/// let now = Timestamp::from_unix_seconds(1_800_000_000);
/// let (job, other) = (OperationId::unique(), OperationId::unique());
/// let mut leases = Leases::default();
/// assert!(leases.take(&one, job, 1, now).is_ok());
/// // The same operation again takes nothing more.
/// assert!(leases.take(&one, job, 1, now).is_ok());
/// assert!(leases.take(&one, other, 1, now).is_err());
/// assert!(leases.end(job));
/// assert!(leases.take(&one, other, 1, now).is_ok());
/// # Ok::<(), tenancy_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Leases(Vec<Lease>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Lease {
    holder: OperationId,
    amount: u64,
    until: Timestamp,
}

impl Leases {
    /// Hears what the clock shows. If it was set back, no lease holds for longer than its length from now on.
    pub fn note_clock(&mut self, limit: &Concurrency, now: Timestamp) {
        let latest = now + limit.lease;
        for lease in &mut self.0 {
            lease.until = lease.until.min(latest);
        }
    }

    /// Forgets the leases that have ended.
    fn tidy(&mut self, limit: &Concurrency, now: Timestamp) {
        self.note_clock(limit, now);
        self.0.retain(|lease| lease.until > now);
    }

    fn standing(limit: &Concurrency, used: u64) -> Standing {
        Standing::new(limit.amount, used, None)
    }

    /// Where it stands.
    #[must_use]
    pub fn peek(&self, limit: &Concurrency, now: Timestamp) -> Standing {
        let live = self.0.iter().filter(|lease| lease.until > now);
        let used = live.fold(0, |sum: u64, lease| sum.saturating_add(lease.amount));
        Self::standing(limit, used)
    }

    /// Whether so many more can be in use, and where it would stand then. Uses nothing.
    ///
    /// # Errors
    /// A [`Denial`]: nobody knows when the others end; for ever, if it is more than the limit.
    pub fn check(
        &self,
        limit: &Concurrency,
        holder: OperationId,
        amount: u64,
        now: Timestamp,
    ) -> Result<Standing, Denial> {
        let standing = self.peek(limit, now);
        if amount == 0 || self.holds(holder, now) {
            return Ok(standing);
        }
        if amount > limit.amount {
            return Err(Denial::new(standing, Wait::Forever));
        }
        if amount > standing.remaining {
            return Err(Denial::new(standing, Wait::Unknown));
        }
        Ok(Self::standing(limit, standing.used.saturating_add(amount)))
    }

    /// Begins a lease, or nothing. A holder that has one already keeps that one.
    ///
    /// # Errors
    /// As for [`check`](Self::check).
    pub fn take(
        &mut self,
        limit: &Concurrency,
        holder: OperationId,
        amount: u64,
        now: Timestamp,
    ) -> Result<Standing, Denial> {
        self.tidy(limit, now);
        let standing = self.check(limit, holder, amount, now)?;
        if amount > 0 && !self.holds(holder, now) {
            let until = now + limit.lease;
            self.0.push(Lease {
                holder,
                amount,
                until,
            });
        }
        Ok(standing)
    }

    /// Whether a holder has a lease.
    #[must_use]
    pub fn holds(&self, holder: OperationId, now: Timestamp) -> bool {
        let mut live = self.0.iter().filter(|lease| lease.until > now);
        live.any(|lease| lease.holder == holder)
    }

    /// Gives a holder's lease its full length again; `false` if it has ended.
    pub fn renew(&mut self, limit: &Concurrency, holder: OperationId, now: Timestamp) -> bool {
        self.tidy(limit, now);
        let until = now + limit.lease;
        let own = self.0.iter_mut().find(|lease| lease.holder == holder);
        own.map(|lease| lease.until = until).is_some()
    }

    /// Ends a holder's lease; `false` if there is none.
    pub fn end(&mut self, holder: OperationId) -> bool {
        let before = self.0.len();
        self.0.retain(|lease| lease.holder != holder);
        self.0.len() < before
    }

    /// How many leases are kept.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// When the last one ends.
    pub(super) fn last_end(&self) -> Option<Timestamp> {
        self.0.iter().map(|lease| lease.until).max()
    }
}
