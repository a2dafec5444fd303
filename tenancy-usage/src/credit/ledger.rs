//! The ledger of one tenant.

use rust_decimal::Decimal;
use tenancy_core::Timestamp;

use super::{Grant, GrantUnit, LedgerError, LedgerErrorKind};

/// What was taken of a grant.
///
/// ```
/// use tenancy_core::Timestamp;
/// use tenancy_usage::{credit::{CreditLedger, Grant, GrantUnit}, price::Currency};
///
/// let euro = Currency::new("EUR")?;
/// let mut ledger = CreditLedger::new();
/// ledger.grant(Grant::money("welcome", euro, 20, Timestamp::EPOCH))?;
/// let draws = ledger.draw(&GrantUnit::Money(euro), 5.into(), Timestamp::EPOCH, "invoice-1")?;
/// assert_eq!((&*draws[0].grant, draws[0].amount), ("welcome", 5.into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Draw {
    /// The id of the grant.
    pub grant: Box<str>,
    /// How much.
    pub amount: Decimal,
}

impl Draw {
    /// So much of a grant: for a ledger that is [replayed](CreditLedger::replay) from a store.
    #[must_use]
    pub fn new(grant: impl Into<Box<str>>, amount: impl Into<Decimal>) -> Self {
        Self {
            grant: grant.into(),
            amount: amount.into(),
        }
    }
}

/// One entry of a ledger. Entries are added, and never changed.
///
/// ```
/// use tenancy_usage::credit::LedgerEntry;
///
/// fn shown(entry: &LedgerEntry) -> String {
///     match entry {
///         LedgerEntry::Granted(grant) => format!("+{} ({})", grant.amount, grant.id),
///         LedgerEntry::Drawn { purpose, draws, .. } => format!("{} draws for {purpose}", draws.len()),
///         _ => String::new(),
///     }
/// }
/// # let _ = shown;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LedgerEntry {
    /// Something was granted.
    Granted(Grant),
    /// Something was taken.
    Drawn {
        /// What for: the id of an invoice.
        purpose: Box<str>,
        /// In what it was counted.
        unit: GrantUnit,
        /// How much was wanted.
        wanted: Decimal,
        /// When.
        at: Timestamp,
        /// Of what how much was taken.
        draws: Vec<Draw>,
    },
}

/// What one tenant was granted and has taken of it.
///
/// What is drawn comes off the grant with the lowest priority first; of those with one priority, off the one that ends soonest;
/// then off the older one; then by id. A draw takes what there is, and no more than is wanted: a credit that is larger than an
/// invoice stays.
///
/// A [`CreditStore`](crate::billing::CreditStore) keeps it. Whoever else stores a ledger adds its new [entries](Self::entries), under a lock or a unique key for the tenant and the number of
/// the entry, and [replays](Self::replay) them.
///
/// ```
/// use std::time::Duration;
///
/// use tenancy_core::Timestamp;
/// use tenancy_usage::{credit::{CreditLedger, Grant, GrantUnit}, price::Currency};
///
/// let euro = Currency::new("EUR")?;
/// let (start, day) = (Timestamp::from_unix_seconds(1_800_000_000), Duration::from_secs(86_400));
/// let mut ledger = CreditLedger::new();
/// ledger.grant(Grant::money("paid-ahead", euro, 100, start))?;
/// ledger.grant(Grant::money("promotion", euro, 10, start).until(start + 30 * day))?;
///
/// let unit = GrantUnit::Money(euro);
/// let draws = ledger.draw(&unit, 25.into(), start + day, "invoice-1")?;
/// assert_eq!(draws.len(), 2); // 10 of the promotion, which ends, and 15 of what was paid ahead
/// assert_eq!(ledger.draw(&unit, 25.into(), start + day, "invoice-1")?, draws); // once
/// assert_eq!(ledger.balance(&unit, start + day), 85.into());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use]
pub struct CreditLedger {
    entries: Vec<LedgerEntry>,
    held: Vec<Held>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Held {
    grant: Grant,
    left: Decimal,
}

impl CreditLedger {
    /// Nothing granted yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The ledger that has these entries, in their order.
    ///
    /// # Errors
    /// A [`LedgerError`] if they are no history of a ledger: something was taken that there was not.
    pub fn replay(entries: impl IntoIterator<Item = LedgerEntry>) -> Result<Self, LedgerError> {
        let mut ledger = Self::new();
        for entry in entries {
            match entry {
                LedgerEntry::Granted(grant) => ledger.grant(grant)?,
                LedgerEntry::Drawn {
                    purpose,
                    unit,
                    wanted,
                    at,
                    draws,
                } => {
                    if ledger.draw(&unit, wanted, at, &purpose)? != draws {
                        return Err(LedgerError::new(
                            LedgerErrorKind::Conflict,
                            format!(
                                "the draw for `{purpose}` is not what its grants give; entries are missing, or were changed"
                            ),
                        ));
                    }
                }
            }
        }
        Ok(ledger)
    }

    /// Grants something. The same grant again changes nothing.
    ///
    /// # Errors
    /// A [`LedgerError`] for a grant that can't be meant, and for one with the id of another.
    pub fn grant(&mut self, grant: Grant) -> Result<(), LedgerError> {
        grant.check()?;
        if let Some(known) = self.held.iter().find(|held| held.grant.id == grant.id) {
            return if known.grant == grant {
                Ok(())
            } else {
                Err(LedgerError::new(
                    LedgerErrorKind::Conflict,
                    format!(
                        "there is another grant `{}`; give the new one an id of its own",
                        grant.id
                    ),
                ))
            };
        }
        self.entries.push(LedgerEntry::Granted(grant.clone()));
        let left = grant.amount;
        self.held.push(Held { grant, left });
        Ok(())
    }

    /// Takes up to so much. The same purpose again takes nothing more, and says what was taken at first.
    ///
    /// # Errors
    /// A [`LedgerError`] if less than 0 is wanted, or something was taken for this purpose when another amount was wanted.
    pub fn draw(
        &mut self,
        unit: &GrantUnit,
        wanted: Decimal,
        at: Timestamp,
        purpose: &str,
    ) -> Result<Vec<Draw>, LedgerError> {
        if wanted.is_sign_negative() && !wanted.is_zero() {
            return Err(LedgerError::new(
                LedgerErrorKind::Invalid,
                format!("`{purpose}` wants {wanted}; grant what is given back"),
            ));
        }
        if let Some((before, draws)) = self.drawn_for(unit, purpose) {
            return if before == wanted {
                Ok(draws)
            } else {
                Err(LedgerError::new(
                    LedgerErrorKind::Conflict,
                    format!(
                        "`{purpose}` wanted {before} before and wants {wanted} now; give what is new a purpose of its own"
                    ),
                ))
            };
        }
        let mut order: Vec<_> = self
            .held
            .iter_mut()
            .filter(|held| held.grant.unit == *unit)
            .collect();
        order.sort_by(|one, other| {
            let rank = |held: &Held| {
                let end = held.grant.end_at(at);
                (held.grant.priority, end.is_none(), end, held.grant.from)
            };
            let ranks = rank(one).cmp(&rank(other));
            ranks.then_with(|| one.grant.id.cmp(&other.grant.id))
        });
        let (mut rest, mut draws) = (wanted, Vec::new());
        for held in order {
            let available = held.grant.available(held.left, at);
            let amount = available.min(rest);
            if amount > Decimal::ZERO {
                // What did not roll over is gone.
                held.left = available - amount;
                rest -= amount;
                draws.push(Draw {
                    grant: held.grant.id.clone(),
                    amount,
                });
            }
        }
        self.entries.push(LedgerEntry::Drawn {
            purpose: purpose.into(),
            unit: unit.clone(),
            wanted,
            at,
            draws: draws.clone(),
        });
        Ok(draws)
    }

    /// What was wanted and taken for a purpose before.
    pub(crate) fn drawn_for(&self, of: &GrantUnit, what_for: &str) -> Option<(Decimal, Vec<Draw>)> {
        self.entries.iter().find_map(|entry| match entry {
            LedgerEntry::Drawn {
                purpose,
                unit,
                wanted,
                draws,
                ..
            } if &**purpose == what_for && unit == of => Some((*wanted, draws.clone())),
            _ => None,
        })
    }

    /// How much can be drawn at a moment.
    #[must_use]
    pub fn balance(&self, unit: &GrantUnit, at: Timestamp) -> Decimal {
        let held = self.held.iter().filter(|held| held.grant.unit == *unit);
        held.map(|held| held.grant.available(held.left, at)).sum()
    }

    /// All entries, the oldest first.
    #[must_use]
    pub const fn entries(&self) -> &[LedgerEntry] {
        self.entries.as_slice()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::price::Currency;

    const START: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);
    const DAY: Duration = Duration::from_secs(86_400);

    fn euro() -> Currency {
        Currency::new("EUR").unwrap()
    }

    fn money() -> GrantUnit {
        GrantUnit::Money(euro())
    }

    fn grant(id: &str, amount: i64) -> Grant {
        Grant::money(id, euro(), amount, START)
    }

    fn draw(
        ledger: &mut CreditLedger,
        wanted: i64,
        days: u32,
        purpose: &str,
    ) -> Vec<(String, i64)> {
        let draws = ledger
            .draw(&money(), wanted.into(), START + DAY * days, purpose)
            .unwrap();
        let shown = |draw: &Draw| (draw.grant.to_string(), i64::try_from(draw.amount).unwrap());
        draws.iter().map(shown).collect()
    }

    fn taken(of: &[(&str, i64)]) -> Vec<(String, i64)> {
        of.iter()
            .map(|(id, amount)| ((*id).to_owned(), *amount))
            .collect()
    }

    #[test]
    fn priority_counts_before_the_end_and_the_end_before_the_age() {
        let mut ledger = CreditLedger::new();
        let grants = [
            grant("endless", 1),
            grant("late", 1).until(START + DAY * 20),
            grant("soon", 1).until(START + DAY * 10),
            grant("first", 1).priority(1),
            Grant {
                from: START - DAY,
                ..grant("older", 1)
            },
            Grant::money("dollars", Currency::new("USD").unwrap(), 9, START),
            Grant::meter("tokens", "tokens", 9, START),
        ];
        for one in grants {
            ledger.grant(one).unwrap();
        }
        let draws = draw(&mut ledger, 100, 1, "a");
        assert_eq!(
            draws,
            taken(&[
                ("first", 1),
                ("soon", 1),
                ("late", 1),
                ("older", 1),
                ("endless", 1)
            ])
        );
    }

    #[test]
    fn a_grant_begins_ends_and_rolls_over_once() {
        let mut ledger = CreditLedger::new();
        ledger
            .grant(grant("g", 100).until(START + DAY * 10).rolls_over(30))
            .unwrap();
        let balance = |ledger: &CreditLedger, at| ledger.balance(&money(), at);
        assert_eq!(balance(&ledger, START - Duration::from_micros(1)), 0.into());
        assert_eq!(balance(&ledger, START), 100.into());
        assert_eq!(
            balance(&ledger, START + DAY * 10 - Duration::from_micros(1)),
            100.into()
        );
        assert_eq!(balance(&ledger, START + DAY * 10), 30.into());
        assert_eq!(draw(&mut ledger, 10, 11, "a"), taken(&[("g", 10)]));
        assert_eq!(balance(&ledger, START + DAY * 11), 20.into());
        assert_eq!(draw(&mut ledger, 50, 12, "b"), taken(&[("g", 20)]));
        ledger.grant(grant("h", 5).until(START + DAY * 10)).unwrap();
        assert_eq!(balance(&ledger, START + DAY * 10), 0.into());
        ledger
            .grant(grant("i", 5).until(START + DAY * 10).rolls_over(5))
            .unwrap();
        assert_eq!(balance(&ledger, START + DAY * 20), 0.into());
    }

    #[test]
    fn one_purpose_takes_once_and_entries_make_the_ledger_again() {
        let mut ledger = CreditLedger::new();
        ledger.grant(grant("g", 100)).unwrap();
        ledger.grant(grant("g", 100)).unwrap();
        assert_eq!(draw(&mut ledger, 60, 1, "a"), taken(&[("g", 60)]));
        assert_eq!(draw(&mut ledger, 60, 2, "a"), taken(&[("g", 60)]));
        let other = ledger.draw(&money(), 61.into(), START, "a").unwrap_err();
        assert_eq!(other.kind(), LedgerErrorKind::Conflict);
        assert_eq!(draw(&mut ledger, 60, 2, "b"), taken(&[("g", 40)]));
        assert_eq!(ledger.entries().len(), 3);
        assert_eq!(
            CreditLedger::replay(ledger.entries().to_vec()).unwrap(),
            ledger
        );
        let without_the_grant = ledger.entries().iter().skip(1).cloned();
        assert!(CreditLedger::replay(without_the_grant).is_err());
    }

    #[test]
    fn what_can_not_be_meant_is_refused() {
        let mut ledger = CreditLedger::new();
        for (bad, says) in [
            (grant("", 1), "no id"),
            (grant("a", 0), "above 0"),
            (
                Grant {
                    amount: Decimal::new(1_005, 3),
                    ..grant("a", 1)
                },
                "digits after the point",
            ),
            (grant("a", 1).until(START), "before it begins"),
            (grant("a", 1).rolls_over(1), "no end"),
            (grant("a", 1).until(START + DAY).rolls_over(-1), "0 or more"),
        ] {
            let error = ledger.grant(bad).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
        assert!(ledger.draw(&money(), (-1).into(), START, "a").is_err());
        assert_eq!(ledger, CreditLedger::new());
    }
}
