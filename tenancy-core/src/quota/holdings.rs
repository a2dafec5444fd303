//! Holdings: what is kept until it is given back.

use std::time::Duration;

use super::{Ceiling, Denial, MAX_AMOUNT, OperationId, Standing, Wait};
use crate::Timestamp;

/// What is kept by one holder: projects, seats, bytes. What is to be kept is reserved, and then committed or released.
///
/// A reservation counts from the moment it is made, so that two that come at once do not both pass. If nobody commits
/// it, it ends by itself. A commit that comes after that still counts, whether there is room or not: what it tells of
/// has happened.
///
/// ```
/// use std::time::Duration;
///
/// use tenancy_core::{Timestamp, quota::{Ceiling, Holdings, OperationId, Overage}};
///
/// let three = Ceiling::new(3, Overage::Denied)?;
/// let now = Timestamp::from_unix_seconds(1_800_000_000);
/// let minute = Duration::from_secs(60);
/// let mut projects = Holdings::default();
/// let new = OperationId::unique();
/// assert_eq!(projects.reserve(&three, new, 1, minute, now).unwrap().used, 1);
/// assert!(projects.commit(new, 1, now));
/// projects.give_back(1);
/// assert_eq!(projects.peek(&three, now).used, 0);
/// # Ok::<(), tenancy_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Holdings {
    kept: u64,
    reserved: Vec<Reserved>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reserved {
    operation: OperationId,
    amount: u64,
    until: Timestamp,
    /// What it was to last at most, for a clock that is set back.
    lasts: Duration,
}

impl Reserved {
    fn is_live(&self, now: Timestamp) -> bool {
        self.until > now
    }
}

impl Holdings {
    /// What is kept and what is reserved.
    fn used(&self, now: Timestamp) -> u64 {
        let live = self.reserved.iter().filter(|one| one.is_live(now));
        live.fold(self.kept, |sum, one| sum.saturating_add(one.amount))
    }

    /// Where it stands; reservations count.
    #[must_use]
    pub fn peek(&self, ceiling: &Ceiling, now: Timestamp) -> Standing {
        Standing::new(ceiling.amount(), self.used(now), None)
    }

    /// Whether so much more can be reserved, and where it would stand then. Reserves nothing.
    ///
    /// A ceiling that was lowered below what is kept removes nothing, and admits nothing more.
    ///
    /// # Errors
    /// A [`Denial`]: nobody knows when something is given back; for ever, if it is more than the ceiling.
    pub fn check(
        &self,
        ceiling: &Ceiling,
        operation: OperationId,
        amount: u64,
        now: Timestamp,
    ) -> Result<Standing, Denial> {
        let standing = self.peek(ceiling, now);
        if amount == 0 || self.has_reserved(operation, now) {
            return Ok(standing);
        }
        if ceiling.is_below(amount) {
            return Err(Denial::new(standing, Wait::Forever));
        }
        if !ceiling.admits(standing.used, amount) {
            return Err(Denial::new(standing, Wait::Unknown));
        }
        let used = standing.used.saturating_add(amount);
        Ok(Standing::new(ceiling.amount(), used, None))
    }

    /// Reserves so much for this time, or nothing. An operation that has a reservation already keeps that one.
    ///
    /// # Errors
    /// As for [`check`](Self::check).
    pub fn reserve(
        &mut self,
        ceiling: &Ceiling,
        operation: OperationId,
        amount: u64,
        lasts: Duration,
        now: Timestamp,
    ) -> Result<Standing, Denial> {
        self.tidy(now);
        let standing = self.check(ceiling, operation, amount, now)?;
        if amount > 0 && !self.has_reserved(operation, now) {
            self.reserved.push(Reserved {
                operation,
                amount,
                until: now + lasts,
                lasts,
            });
        }
        Ok(standing)
    }

    /// Hears what the clock shows. If it was set back, no reservation holds for longer than its time from now on.
    pub fn note_clock(&mut self, now: Timestamp) {
        for one in &mut self.reserved {
            one.until = one.until.min(now + one.lasts);
        }
    }

    fn tidy(&mut self, now: Timestamp) {
        self.note_clock(now);
        self.reserved.retain(|one| one.until > now);
    }

    fn has_reserved(&self, operation: OperationId, now: Timestamp) -> bool {
        let mut live = self.reserved.iter().filter(|one| one.is_live(now));
        live.any(|one| one.operation == operation)
    }

    /// Gives a reservation its full time again; `false` if it has ended.
    pub fn renew(&mut self, operation: OperationId, now: Timestamp) -> bool {
        self.tidy(now);
        let own = (self.reserved.iter_mut()).find(|one| one.operation == operation);
        own.map(|one| one.until = now + one.lasts).is_some()
    }

    /// Keeps what was reserved, in the amount that it turned out to be. `false` if the reservation had ended: it is
    /// kept all the same.
    pub fn commit(&mut self, operation: OperationId, amount: u64, now: Timestamp) -> bool {
        let was_reserved = self.has_reserved(operation, now);
        self.release(operation);
        self.kept = self.kept.saturating_add(amount).min(MAX_AMOUNT);
        was_reserved
    }

    /// Ends a reservation; `false` if there is none.
    pub fn release(&mut self, operation: OperationId) -> bool {
        let before = self.reserved.len();
        self.reserved.retain(|one| one.operation != operation);
        self.reserved.len() < before
    }

    /// Gives back what was kept, at most all that is.
    pub fn give_back(&mut self, amount: u64) {
        self.kept = self.kept.saturating_sub(amount);
    }

    /// Whether anything is kept, reservations not counted.
    pub(super) const fn keeps_something(&self) -> bool {
        self.kept > 0
    }

    /// When the last reservation ends.
    pub(super) fn last_end(&self) -> Option<Timestamp> {
        self.reserved.iter().map(|one| one.until).max()
    }

    /// How many reservations there are.
    pub(super) fn len(&self) -> usize {
        self.reserved.len()
    }
}
