//! What this process has in hand of periods.

use std::collections::HashMap;

use tenancy_core::{
    Timestamp,
    quota::{
        Ceiling, CountersError, Denial, Holder, MAX_AMOUNT, OwnedTake, Standing, Wait, Window,
    },
};
use tokio::sync::watch;

use super::lease::OfPeriod;

/// For how long it is believed that a limit refuses. Others may have returned something meanwhile.
const BELIEVED: std::time::Duration = std::time::Duration::from_secs(1);

/// All cells, by whose they are.
#[derive(Debug)]
pub(super) struct Cells {
    of: HashMap<Holder, Vec<Cell>>,
    /// What of a holding was seen last, and when. Only to say what else refuses a request that is refused.
    seen: HashMap<Holder, Vec<(Box<str>, u64, Timestamp)>>,
    len: usize,
    capacity: usize,
    /// Whether a task looks after them.
    pub(super) is_tended: bool,
    /// Whether nothing more is leased.
    pub(super) is_closed: bool,
    next_waiter: u64,
}

impl Cells {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            of: HashMap::new(),
            seen: HashMap::new(),
            len: 0,
            capacity,
            is_tended: false,
            is_closed: false,
            next_waiter: 0,
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(
        &mut self,
        holder: &Holder,
        limit: &str,
        window: &Window,
    ) -> Option<&mut Cell> {
        let mut cells = self.of.get_mut(holder)?.iter_mut();
        cells.find(|cell| cell.window.start == window.start && &*cell.limit == limit)
    }

    /// The cell of a limit's period; a new one, if there is none.
    pub(super) fn get_or_make(
        &mut self,
        holder: &Holder,
        limit: &str,
        window: &Window,
    ) -> Result<&mut Cell, CountersError> {
        let is_full = self.len >= self.capacity;
        let cells = self.of.entry(*holder).or_default();
        let is_own = |cell: &Cell| cell.window.start == window.start && &*cell.limit == limit;
        let place = match cells.iter().position(is_own) {
            Some(place) => place,
            None if is_full => return Err(CountersError::Full),
            None => {
                cells.push(Cell::new(limit, *window));
                self.len += 1;
                cells.len() - 1
            }
        };
        let cell = cells.get_mut(place).ok_or(CountersError::Full)?;
        // A month and a year may begin at one moment.
        if cell.window.end < window.end {
            cell.window = *window;
        }
        Ok(cell)
    }

    /// Hands on each cell, and removes those of which `keeps` says so.
    pub(super) fn retain(&mut self, mut keeps: impl FnMut(&Holder, &mut Cell) -> bool) {
        let mut len = 0;
        self.of.retain(|holder, cells| {
            cells.retain_mut(|cell| keeps(holder, cell));
            len += cells.len();
            !cells.is_empty()
        });
        self.len = len;
    }

    fn of_takes<'a>(&'a self, takes: &'a [&OwnedTake]) -> impl Iterator<Item = Option<&'a Cell>> {
        takes.iter().map(|take| {
            let of = OfPeriod::of(take)?;
            let mut cells = self.of.get(of.holder)?.iter();
            cells.find(|cell| cell.window.start == of.window.start && &*cell.limit == of.limit)
        })
    }

    /// How many reports of these limits have ended; of one that is under way, `None`.
    pub(super) fn reports(&self, takes: &[&OwnedTake]) -> Vec<Option<u64>> {
        let reports = self.of_takes(takes).map(|cell| match cell {
            Some(cell) if cell.is_asking => None,
            Some(cell) => Some(*cell.done.borrow()),
            None => Some(0),
        });
        reports.collect()
    }

    /// A report of one of these limits that is under way.
    pub(super) fn under_way(&self, takes: &[&OwnedTake]) -> Option<watch::Receiver<u64>> {
        let mut cells = self.of_takes(takes).flatten();
        cells.find(|cell| cell.is_asking).map(Cell::changed)
    }

    pub(super) fn new_waiter(&mut self) -> u64 {
        self.next_waiter = self.next_waiter.wrapping_add(1);
        self.next_waiter
    }

    /// What was seen of a holding a moment ago.
    pub(super) fn seen(&self, holder: &Holder, limit: &str, now: Timestamp) -> Option<u64> {
        let mut seen = self.seen.get(holder)?.iter();
        let (_, used, at) = seen.find(|(of, ..)| **of == *limit)?;
        (*at <= now && now < *at + BELIEVED).then_some(*used)
    }

    pub(super) fn note_seen(&mut self, holder: &Holder, limit: &str, used: u64, now: Timestamp) {
        if self.seen.len() >= self.capacity {
            self.seen.clear();
        }
        let seen = self.seen.entry(*holder).or_default();
        match seen.iter_mut().find(|(of, ..)| **of == *limit) {
            Some(one) => (one.1, one.2) = (used, now),
            None => seen.push((limit.into(), used, now)),
        }
    }

    pub(super) fn forget_seen(&mut self, holder: &Holder) {
        self.seen.remove(holder);
    }

    pub(super) fn forget_all_seen(&mut self) {
        self.seen.clear();
    }
}

/// What is in hand of one limit's period.
#[derive(Debug)]
pub(super) struct Cell {
    pub(super) limit: Box<str>,
    pub(super) window: Window,
    /// Units that may be used.
    pub(super) left: u64,
    /// Units that are on their way back.
    pub(super) returning: u64,
    /// What was used of this cell, less what was given back to it.
    pub(super) consumed: i64,
    /// What the database last said was debited, of all processes.
    debited: u64,
    known_at: Option<Timestamp>,
    /// What was in hand and consumed at the last report that was answered.
    reported: Option<(u64, i64)>,
    /// What was granted last, and how much more than is asked for is worth leasing next.
    pub(super) granted: u64,
    pub(super) batch: u64,
    waiting: Vec<(u64, u64)>,
    pub(super) is_asking: bool,
    /// A threshold that was reached and that nobody was told of in this process.
    pub(super) crossed: u8,
    /// Why the last report was not answered.
    pub(super) error: Option<Box<str>>,
    done: watch::Sender<u64>,
    /// Whether it was used since somebody looked after it.
    pub(super) is_used: bool,
}

/// Whether something can be used.
#[derive(Debug)]
pub(super) enum Verdict {
    Enough,
    Denied(Denial),
    /// The database has to be asked.
    Unknown,
}

impl Cell {
    fn new(limit: &str, window: Window) -> Self {
        Self {
            limit: limit.into(),
            window,
            left: 0,
            returning: 0,
            consumed: 0,
            debited: 0,
            known_at: None,
            reported: None,
            granted: 0,
            batch: 0,
            waiting: Vec::new(),
            is_asking: false,
            crossed: 0,
            error: None,
            done: watch::Sender::new(0),
            is_used: true,
        }
    }

    fn used(&self) -> u64 {
        let in_hand = self.left.saturating_add(self.returning);
        self.debited.saturating_sub(in_hand)
    }

    /// Whether the database has told what is used.
    pub(super) const fn is_known(&self) -> bool {
        self.known_at.is_some()
    }

    pub(super) fn standing(&self, ceiling: &Ceiling, now: Timestamp) -> Standing {
        Standing::new(ceiling.amount(), self.used(), Some(self.window.rest(now)))
    }

    pub(super) fn verdict(&self, ceiling: &Ceiling, amount: u64, now: Timestamp) -> Verdict {
        let Some(known_at) = self.known_at else {
            return Verdict::Unknown;
        };
        let most = ceiling.most().unwrap_or(MAX_AMOUNT);
        let is_within = self
            .used()
            .checked_add(amount)
            .is_some_and(|sum| sum <= most);
        if amount == 0 || is_within && self.left >= amount {
            return Verdict::Enough;
        }
        let is_believed = known_at <= now && now < known_at + BELIEVED;
        if is_within || !is_believed {
            return Verdict::Unknown;
        }
        let standing = self.standing(ceiling, now);
        Verdict::Denied(denial(standing, most, amount))
    }

    /// Uses something that is in hand.
    pub(super) fn consume(&mut self, amount: u64) {
        self.left = self.left.saturating_sub(amount);
        self.consumed = self.consumed.saturating_add(signed(amount));
        self.is_used = true;
    }

    /// Undoes a use that was none.
    pub(super) fn put_back(&mut self, amount: u64) {
        self.left = self.left.saturating_add(amount);
        self.consumed = self.consumed.saturating_sub(signed(amount));
    }

    /// Gives back what was used. What this process has used comes back into its hand; of the rest, the database is told.
    pub(super) fn give_back(&mut self, amount: u64) {
        let amount = amount.min(MAX_AMOUNT);
        let own = amount.min(u64::try_from(self.consumed).unwrap_or(0));
        self.put_back(own);
        self.consumed = self.consumed.saturating_sub(signed(amount - own));
        self.is_used = true;
    }

    /// Uses more than is in hand, if need be.
    pub(super) fn add(&mut self, amount: u64) {
        let amount = amount.min(MAX_AMOUNT);
        self.left -= amount.min(self.left);
        self.consumed = self.consumed.saturating_add(signed(amount));
        self.is_used = true;
    }

    /// Whether what is in hand and what was used is not what the database has debited, or more is in hand than a lease.
    pub(super) fn is_dirty(&self) -> bool {
        let (in_hand, consumed) = self.reported.unwrap_or_default();
        let was = signed(in_hand).saturating_add(consumed);
        let is = signed(self.left).saturating_add(self.consumed);
        was != is || self.left > self.granted
    }

    /// Whether the database knows that nothing is in hand, and all that was used.
    pub(super) fn is_clean(&self) -> bool {
        let consumed = self.reported.map_or(0, |(_, consumed)| consumed);
        let in_hand = self.reported.map_or(0, |(in_hand, _)| in_hand);
        !self.is_asking
            && self.waiting.is_empty()
            && self.left == 0
            && in_hand == 0
            && self.consumed == consumed
    }

    /// Whether it has never been answered.
    pub(super) const fn is_fresh(&self) -> bool {
        self.reported.is_none()
    }

    pub(super) fn wait(&mut self, waiter: u64, amount: u64) {
        if !self.waiting.iter().any(|(other, _)| *other == waiter) {
            self.waiting.push((waiter, amount));
        }
    }

    pub(super) fn wait_no_more(&mut self, waiter: u64) {
        self.waiting.retain(|(other, _)| *other != waiter);
    }

    pub(super) fn has_waiters(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// What those who wait need beyond what is in hand, all together and the smallest of them.
    pub(super) fn wanted(&self) -> (u64, u64) {
        let all = self.waiting.iter().map(|(_, amount)| *amount);
        let wanted = all.clone().fold(0, u64::saturating_add);
        let smallest = all.min().unwrap_or(0);
        let beyond = |amount: u64| amount.saturating_sub(self.left).min(MAX_AMOUNT);
        (beyond(wanted), beyond(smallest).max(1))
    }

    /// Hears of the end of the report that is under way.
    pub(super) fn changed(&self) -> watch::Receiver<u64> {
        self.done.subscribe()
    }

    /// A report was answered.
    pub(super) fn answered(
        &mut self,
        in_hand: u64,
        consumed: i64,
        granted: u64,
        debited: u64,
        now: Timestamp,
    ) {
        self.left = self.left.saturating_add(granted);
        self.reported = Some((in_hand.saturating_add(granted), consumed));
        self.debited = debited;
        self.known_at = Some(now);
        self.granted = granted.max(if in_hand == 0 { 0 } else { self.granted });
        self.error = None;
        self.returning = 0;
        self.end_report();
    }

    /// A report was not answered. What was on its way back may have arrived, and others may have it: the next report says
    /// that it is not in hand any more.
    pub(super) fn unanswered(&mut self, why: Box<str>) {
        self.returning = 0;
        self.error = Some(why);
        self.end_report();
    }

    fn end_report(&mut self) {
        self.is_asking = false;
        self.done
            .send_modify(|number| *number = number.wrapping_add(1));
    }
}

/// What a limit per period, or of what is held, says to a request beyond it.
pub(super) fn denial(standing: Standing, most: u64, amount: u64) -> Denial {
    let wait = match standing.reset_after {
        _ if amount > most => Wait::Forever,
        Some(rest) => Wait::For(rest),
        None => Wait::Unknown,
    };
    Denial::new(standing, wait)
}

/// Amounts are at most [`MAX_AMOUNT`].
fn signed(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tenancy_core::quota::{Calendar, Overage, Period};

    use super::{Ceiling, Cell, Timestamp, Verdict};

    #[test]
    fn what_may_have_been_returned_is_not_used_any_more() {
        let now = Timestamp::from_unix_seconds(1_800_000_000);
        let window = Calendar::utc().window(Period::Month, now);
        let ceiling = Ceiling::new(1_000, Overage::Denied).unwrap();
        let mut cell = Cell::new("exports", window);
        cell.answered(0, 0, 15, 15, now);
        assert!(matches!(cell.verdict(&ceiling, 1, now), Verdict::Enough));
        // It is returned, and the answer is lost.
        (cell.returning, cell.left) = (cell.left, 0);
        cell.unanswered("no answer".into());
        assert!(matches!(cell.verdict(&ceiling, 1, now), Verdict::Unknown));
        assert_eq!((cell.left, cell.returning), (0, 0));
        // It is told once more.
        assert!(cell.is_dirty() && !cell.is_clean());
    }
}
