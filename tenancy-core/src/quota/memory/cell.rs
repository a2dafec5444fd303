//! One counter: what it holds.

use crate::{
    Timestamp,
    quota::{
        Algorithm, Bucket, Count, Denial, Holdings, Leases, OperationId, Settle, Settled, Standing,
        Take, ceiling::reached,
    },
};

/// What is used of one limit by one holder.
#[derive(Debug)]
pub(super) struct Cell {
    used: Used,
    /// From when on it can be forgotten without changing an answer.
    idle_from: Timestamp,
}

// With its key, a cell fits into one line of the processor's cache.
const _: () = assert!(size_of::<Cell>() <= 40);

/// What is used, and the highest threshold that was told.
#[derive(Debug)]
enum Used {
    Bucket { told: u8, bucket: Bucket },
    Count { told: u8, kept: Kept },
    Leases { told: u8, leases: Box<Leases> },
    Holdings { told: u8, holdings: Box<Holdings> },
}

/// A [`Count`] in 30 bytes.
#[derive(Debug, Clone, Copy)]
#[repr(Rust, packed)]
struct Kept {
    starts: [Timestamp; 2],
    /// One more than what was used, or 0 where nothing is known. Amounts have some 50 bits.
    amounts: [[u8; 7]; 2],
}

impl Kept {
    fn of(count: Count) -> Self {
        let parts = count.to_parts();
        Self {
            starts: parts.map(|(start, _)| start),
            amounts: parts.map(|(_, amount)| {
                let number = amount.map_or(0, |amount| amount + 1);
                let [low @ .., _] = number.to_le_bytes();
                low
            }),
        }
    }

    fn count(self) -> Count {
        let ([latest, before], starts) = (self.amounts, self.starts);
        let amounts = [latest, before].map(|[a, b, c, d, e, f, g]| {
            u64::from_le_bytes([a, b, c, d, e, f, g, 0]).checked_sub(1)
        });
        let ([first, second], [latest, before]) = (amounts, starts);
        Count::from_parts([(latest, first), (before, second)])
    }

    /// Changes the count.
    fn change<T>(&mut self, change: impl FnOnce(&mut Count) -> T) -> T {
        let mut count = self.count();
        let changed = change(&mut count);
        *self = Self::of(count);
        changed
    }
}

/// What was taken.
pub(super) struct Applied {
    pub(super) standing: Standing,
    /// The threshold that was reached by it, in percent.
    pub(super) reached: Option<u8>,
}

const NEVER: Timestamp = Timestamp::from_unix_micros(i64::MAX);

impl Cell {
    pub(super) fn new(algorithm: &Algorithm, now: Timestamp) -> Self {
        let used = match algorithm {
            Algorithm::Rate(_) => Used::Bucket {
                told: 0,
                bucket: Bucket::full(now),
            },
            Algorithm::Period(..) => Used::Count {
                told: 0,
                kept: Kept::of(Count::default()),
            },
            Algorithm::Concurrent(_) => Used::Leases {
                told: 0,
                leases: Box::default(),
            },
            Algorithm::Held(..) => Used::Holdings {
                told: 0,
                holdings: Box::default(),
            },
        };
        Self {
            used,
            idle_from: now,
        }
    }

    const fn told(&mut self) -> &mut u8 {
        match &mut self.used {
            Used::Bucket { told, .. }
            | Used::Count { told, .. }
            | Used::Leases { told, .. }
            | Used::Holdings { told, .. } => told,
        }
    }

    /// Whether forgetting it changes no answer.
    pub(super) fn is_idle(&self, now: Timestamp) -> bool {
        self.idle_from <= now
    }

    /// How much room it takes.
    pub(super) fn weight(&self) -> usize {
        match &self.used {
            Used::Bucket { .. } | Used::Count { .. } => 1,
            Used::Leases { leases, .. } => 1 + leases.len(),
            Used::Holdings { holdings, .. } => 1 + holdings.len(),
        }
    }

    /// Hears what the clock shows, also where nothing is taken then.
    pub(super) fn note_clock(&mut self, take: &Take<'_>, now: Timestamp) {
        match (&mut self.used, &take.algorithm) {
            (Used::Bucket { bucket, .. }, _) => bucket.note_clock(now),
            (Used::Count { kept, .. }, Algorithm::Period(_, window)) => {
                kept.change(|count| count.note_clock(window))
            }
            (Used::Leases { leases, .. }, Algorithm::Concurrent(limit)) => {
                leases.note_clock(limit, now)
            }
            (Used::Holdings { holdings, .. }, _) => holdings.note_clock(now),
            _ => {}
        }
    }

    /// Whether it takes the same room whatever is taken.
    pub(super) const fn has_fixed_weight(&self) -> bool {
        matches!(self.used, Used::Bucket { .. } | Used::Count { .. })
    }

    pub(super) fn peek(&self, take: &Take<'_>, now: Timestamp) -> Standing {
        match (&self.used, &take.algorithm) {
            (Used::Bucket { bucket, .. }, Algorithm::Rate(rate)) => bucket.peek(rate, now),
            (Used::Count { kept, .. }, Algorithm::Period(ceiling, window)) => {
                kept.count().peek(ceiling, window, now)
            }
            (Used::Leases { leases, .. }, Algorithm::Concurrent(limit)) => leases.peek(limit, now),
            (Used::Holdings { holdings, .. }, Algorithm::Held(ceiling, _)) => {
                holdings.peek(ceiling, now)
            }
            // The kind is a part of the key.
            _ => Standing::default(),
        }
    }

    /// Whether it can be taken, and how much more room that needs.
    pub(super) fn check(
        &self,
        operation: OperationId,
        take: &Take<'_>,
        now: Timestamp,
    ) -> Result<usize, Denial> {
        let amount = take.amount;
        match (&self.used, &take.algorithm) {
            (Used::Bucket { bucket, .. }, Algorithm::Rate(rate)) => {
                bucket.check(rate, amount, now).map(|_| 0)
            }
            (Used::Count { kept, .. }, Algorithm::Period(ceiling, window)) => {
                let checked = kept.count().check(ceiling, window, amount, now);
                checked.map(|_| 0)
            }
            (Used::Leases { leases, .. }, Algorithm::Concurrent(limit)) => {
                leases.check(limit, operation, amount, now).map(|_| 1)
            }
            (Used::Holdings { holdings, .. }, Algorithm::Held(ceiling, _)) => {
                holdings.check(ceiling, operation, amount, now).map(|_| 1)
            }
            _ => Ok(0),
        }
    }

    /// Takes what was checked.
    pub(super) fn apply(
        &mut self,
        operation: OperationId,
        take: &Take<'_>,
        now: Timestamp,
    ) -> Result<Applied, Denial> {
        let amount = take.amount;
        let standing = match (&mut self.used, &take.algorithm) {
            (Used::Bucket { bucket, .. }, Algorithm::Rate(rate)) => {
                bucket.take(rate, amount, now)?
            }
            (Used::Count { kept, told }, Algorithm::Period(ceiling, window)) => {
                kept.change(|count| {
                    if count.is_before(window) {
                        *told = 0;
                    }
                    count.take(ceiling, window, amount, now)
                })?
            }
            (Used::Leases { leases, .. }, Algorithm::Concurrent(limit)) => {
                leases.take(limit, operation, amount, now)?
            }
            (Used::Holdings { holdings, .. }, Algorithm::Held(ceiling, lasts)) => {
                holdings.reserve(ceiling, operation, amount, *lasts, now)?
            }
            _ => Standing::default(),
        };
        match (standing.reset_after, &self.used) {
            (Some(reset), Used::Bucket { .. }) => self.idle_from = now + reset,
            _ => self.note_idle(take, now),
        }
        let reached = reached(take.warn_at, standing.limit, standing.used);
        let told = self.told();
        let is_new = reached > *told;
        *told = reached.max(*told);
        Ok(Applied {
            standing,
            reached: is_new.then_some(reached),
        })
    }

    pub(super) fn settle(
        &mut self,
        operation: OperationId,
        settle: &Settle<'_>,
        now: Timestamp,
    ) -> Settled {
        let (take, actual) = (&settle.take, settle.actual);
        let (more, less) = (
            actual.saturating_sub(take.amount),
            take.amount.saturating_sub(actual),
        );
        let mut settled = Settled::Done;
        match (&mut self.used, &take.algorithm) {
            (Used::Bucket { bucket, .. }, Algorithm::Rate(rate)) if more > 0 => {
                bucket.add(rate, more, now)
            }
            (Used::Bucket { bucket, .. }, Algorithm::Rate(rate)) => {
                bucket.give_back(rate, less, now)
            }
            (Used::Count { kept, .. }, Algorithm::Period(_, window)) if more > 0 => {
                kept.change(|count| count.add(window, more));
            }
            (Used::Count { kept, .. }, Algorithm::Period(_, window)) => {
                kept.change(|count| count.give_back(window, less));
            }
            (Used::Leases { leases, .. }, _) => {
                leases.end(operation);
            }
            (Used::Holdings { holdings, .. }, _) if actual == 0 => {
                holdings.release(operation);
            }
            (Used::Holdings { holdings, .. }, _) => {
                let was_reserved = holdings.commit(operation, actual, now);
                settled = if was_reserved {
                    Settled::Done
                } else {
                    Settled::Late
                };
            }
            _ => {}
        }
        self.lower_told(take, now);
        self.note_idle(take, now);
        settled
    }

    pub(super) fn renew(
        &mut self,
        operation: OperationId,
        take: &Take<'_>,
        now: Timestamp,
    ) -> Settled {
        let renewed = match (&mut self.used, &take.algorithm) {
            (Used::Leases { leases, .. }, Algorithm::Concurrent(limit)) => {
                leases.renew(limit, operation, now)
            }
            (Used::Holdings { holdings, .. }, _) => holdings.renew(operation, now),
            _ => true,
        };
        self.note_idle(take, now);
        if renewed {
            Settled::Done
        } else {
            Settled::Late
        }
    }

    pub(super) fn give_back(&mut self, take: &Take<'_>, now: Timestamp) {
        match (&mut self.used, &take.algorithm) {
            (Used::Bucket { bucket, .. }, Algorithm::Rate(rate)) => {
                bucket.give_back(rate, take.amount, now);
            }
            (Used::Count { kept, .. }, Algorithm::Period(_, window)) => {
                kept.change(|count| count.give_back(window, take.amount));
            }
            (Used::Holdings { holdings, .. }, _) => holdings.give_back(take.amount),
            _ => {}
        }
        self.lower_told(take, now);
        self.note_idle(take, now);
    }

    /// A threshold below which a holding has fallen is told again. In a period, each is told once.
    fn lower_told(&mut self, take: &Take<'_>, now: Timestamp) {
        if let Used::Holdings { .. } = self.used {
            let standing = self.peek(take, now);
            let reached = reached(take.warn_at, standing.limit, standing.used);
            let told = self.told();
            *told = reached.min(*told);
        }
    }

    fn note_idle(&mut self, take: &Take<'_>, now: Timestamp) {
        self.idle_from = match (&self.used, &take.algorithm) {
            (Used::Bucket { bucket, .. }, Algorithm::Rate(rate)) => {
                now + bucket.peek(rate, now).reset_after.unwrap_or_default()
            }
            // One period more, for a clock that is set back.
            (Used::Count { .. }, Algorithm::Period(_, window)) => {
                let once_more = window.end + window.end.since(window.start);
                self.idle_from.max(once_more)
            }
            (Used::Leases { leases, .. }, _) => leases.last_end().unwrap_or(now),
            (Used::Holdings { holdings, .. }, _) if holdings.keeps_something() => NEVER,
            (Used::Holdings { holdings, .. }, _) => holdings.last_end().unwrap_or(now),
            _ => now,
        };
    }
}
