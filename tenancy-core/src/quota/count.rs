//! Counts of calendar periods.

use super::{Ceiling, Denial, MAX_AMOUNT, Standing, Wait, Window};
use crate::Timestamp;

/// What is used in a period by one holder. It starts again with each period, and nobody has to reset it.
///
/// Where a period begins and ends is computed outside, by a [`Calendar`](super::Calendar), and given in.
///
/// A clock that is set back frees nothing: the count also remembers the period before. Whatever the clock showed,
/// the count starts again with the next period.
///
/// ```
/// use tenancy_core::{Timestamp, quota::{Calendar, Ceiling, Count, Overage, Period}};
///
/// let five = Ceiling::new(5, Overage::Denied)?;
/// let now = Timestamp::from_unix_seconds(1_800_000_000);
/// let month = Calendar::utc().window(Period::Month, now);
/// let mut count = Count::default();
/// assert_eq!(count.take(&five, &month, 5, now).unwrap().remaining, 0);
/// assert!(count.take(&five, &month, 1, now).is_err());
/// let next = Calendar::utc().window(Period::Month, month.end);
/// assert!(count.take(&five, &next, 1, month.end).is_ok());
/// # Ok::<(), tenancy_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// The latest period that anything was used in, by its start, and the one before.
    latest: Option<Used>,
    before: Option<Used>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Used {
    start: Timestamp,
    amount: u64,
}

impl Count {
    /// The two periods by their starts, and what was used in each, if it is known.
    #[inline]
    pub(super) fn to_parts(self) -> [(Timestamp, Option<u64>); 2] {
        [self.latest, self.before].map(|slot| match slot {
            Some(used) => (used.start, Some(used.amount)),
            None => (Timestamp::EPOCH, None),
        })
    }

    #[inline]
    pub(super) fn from_parts(parts: [(Timestamp, Option<u64>); 2]) -> Self {
        let [latest, before] = parts.map(|(start, amount)| {
            let amount = amount?;
            Some(Used { start, amount })
        });
        Self { latest, before }
    }

    fn used(&self, window: &Window) -> u64 {
        let slots = [self.latest, self.before];
        if let Some(slot) = slots
            .iter()
            .flatten()
            .find(|slot| slot.start == window.start)
        {
            return slot.amount;
        }
        if self.has_forgotten(window) {
            let used = slots.iter().flatten().map(|slot| slot.amount);
            return used.max().unwrap_or(0);
        }
        0
    }

    /// Whether something may have been used in this period that is not known any more.
    fn has_forgotten(&self, window: &Window) -> bool {
        self.before
            .is_some_and(|before| before.start > window.start)
    }

    /// Hears what the clock shows. If it was set back beyond the periods that are known, the count goes on from there,
    /// with the most that was used in one of them.
    pub fn note_clock(&mut self, window: &Window) {
        if self.has_forgotten(window) {
            let amount = self.used(window);
            let start = window.start;
            self.latest = Some(Used { start, amount });
            self.before = None;
        }
    }

    /// Whether nothing was used in this period or in a later one.
    pub(super) fn is_before(&self, window: &Window) -> bool {
        self.latest.is_none_or(|latest| latest.start < window.start)
    }

    fn set(&mut self, window: &Window, amount: u64) {
        let now = Used {
            start: window.start,
            amount: amount.min(MAX_AMOUNT),
        };
        for slot in [&mut self.latest, &mut self.before].into_iter().flatten() {
            if slot.start == window.start {
                *slot = now;
                return;
            }
        }
        match self.latest {
            Some(latest) if latest.start < window.start => {
                (self.latest, self.before) = (Some(now), Some(latest));
            }
            // Between the two, or older than the only one.
            Some(_) => self.before = Some(now),
            None => self.latest = Some(now),
        }
    }

    /// Where it stands.
    #[must_use]
    pub fn peek(&self, ceiling: &Ceiling, window: &Window, now: Timestamp) -> Standing {
        Standing::new(ceiling.amount(), self.used(window), Some(window.rest(now)))
    }

    /// Whether so much can be used in this period, and where it would stand then. Uses nothing.
    ///
    /// # Errors
    /// A [`Denial`] that says when the period ends; for ever, if it is more than the ceiling.
    pub fn check(
        &self,
        ceiling: &Ceiling,
        window: &Window,
        amount: u64,
        now: Timestamp,
    ) -> Result<Standing, Denial> {
        let standing = self.peek(ceiling, window, now);
        if amount == 0 {
            return Ok(standing);
        }
        if ceiling.is_below(amount) {
            return Err(Denial::new(standing, Wait::Forever));
        }
        if !ceiling.admits(standing.used, amount) {
            return Err(Denial::new(standing, Wait::For(window.rest(now))));
        }
        let used = standing.used.saturating_add(amount);
        Ok(Standing::new(ceiling.amount(), used, standing.reset_after))
    }

    /// Uses so much, or nothing.
    ///
    /// # Errors
    /// As for [`check`](Self::check).
    pub fn take(
        &mut self,
        ceiling: &Ceiling,
        window: &Window,
        amount: u64,
        now: Timestamp,
    ) -> Result<Standing, Denial> {
        self.note_clock(window);
        let standing = self.check(ceiling, window, amount, now)?;
        self.add(window, amount);
        Ok(standing)
    }

    /// Uses so much whether there is room or not: what turned out to be more than its estimate.
    pub fn add(&mut self, window: &Window, amount: u64) {
        self.note_clock(window);
        self.set(window, self.used(window).saturating_add(amount));
    }

    /// Gives back what was used in this period, at most all that is. A period that is forgotten stays so.
    pub fn give_back(&mut self, window: &Window, amount: u64) {
        for slot in [&mut self.latest, &mut self.before].into_iter().flatten() {
            if slot.start == window.start {
                slot.amount = slot.amount.saturating_sub(amount);
            }
        }
    }
}
