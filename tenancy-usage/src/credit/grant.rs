//! Grants: so much of something, from when to when.

use std::time::Duration;

use rust_decimal::Decimal;
use tenancy_core::Timestamp;

use super::{LedgerError, LedgerErrorKind};
use crate::price::Currency;

/// In what a grant is counted.
///
/// ```
/// use tenancy_usage::{credit::GrantUnit, price::Currency};
///
/// let money = GrantUnit::Money(Currency::new("EUR")?);
/// let tokens = GrantUnit::Meter("llm-output-tokens".into());
/// assert_ne!(money, tokens);
/// # Ok::<(), tenancy_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GrantUnit {
    /// Money of a currency: it pays invoices.
    Money(Currency),
    /// Units of a meter.
    Meter(Box<str>),
}

/// So much that a tenant need not pay, or may use: a credit, a promotion, a package that was paid ahead.
///
/// ```
/// use std::time::Duration;
///
/// use tenancy_core::Timestamp;
/// use tenancy_usage::{credit::Grant, price::Currency};
///
/// let start = Timestamp::from_unix_seconds(1_800_000_000);
/// let grant = Grant::money("spring-2027", Currency::new("EUR")?, 50, start)
///     .until(start + Duration::from_secs(30 * 86_400))
///     .priority(1)
///     .rolls_over(10); // of what is left, 10 euros are good for another 30 days
/// # let _ = grant;
/// # Ok::<(), tenancy_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub struct Grant {
    /// Its id: granted twice, it counts once.
    pub id: Box<str>,
    /// In what it is counted.
    pub unit: GrantUnit,
    /// How much.
    pub amount: Decimal,
    /// Grants with a lower number are drawn from first. Default: 100.
    pub priority: u8,
    /// From when on.
    pub from: Timestamp,
    /// Until when; `None` for no end.
    pub until: Option<Timestamp>,
    /// How much of what is left at its end is good for as long again.
    pub rollover: Decimal,
}

impl Grant {
    fn new(
        id: impl Into<Box<str>>,
        unit: GrantUnit,
        amount: impl Into<Decimal>,
        from: Timestamp,
    ) -> Self {
        Self {
            id: id.into(),
            unit,
            amount: amount.into(),
            priority: 100,
            from,
            until: None,
            rollover: Decimal::ZERO,
        }
    }

    /// Money, from a moment on.
    pub fn money(
        id: impl Into<Box<str>>,
        currency: Currency,
        amount: impl Into<Decimal>,
        from: Timestamp,
    ) -> Self {
        Self::new(id, GrantUnit::Money(currency), amount, from)
    }

    /// Units of a meter, from a moment on.
    pub fn meter(
        id: impl Into<Box<str>>,
        meter: impl Into<Box<str>>,
        amount: impl Into<Decimal>,
        from: Timestamp,
    ) -> Self {
        Self::new(id, GrantUnit::Meter(meter.into()), amount, from)
    }

    /// Until when it is good. Default: without an end.
    pub fn until(mut self, end: Timestamp) -> Self {
        self.until = Some(end);
        self
    }

    /// Grants with a lower number are drawn from first. Default: 100.
    pub fn priority(mut self, priority: u8) -> Self {
        self.priority = priority;
        self
    }

    /// How much of what is left at its end is good for as long again, once. Default: nothing.
    pub fn rolls_over(mut self, at_most: impl Into<Decimal>) -> Self {
        self.rollover = at_most.into();
        self
    }

    pub(super) fn check(&self) -> Result<(), LedgerError> {
        let id = &self.id;
        let error = |text: String| Err(LedgerError::new(LedgerErrorKind::Invalid, text));
        if id.trim().is_empty() {
            return error(
                "a grant has no id; give one by which it is known when it is granted again"
                    .to_owned(),
            );
        }
        if self.amount <= Decimal::ZERO {
            return error(format!(
                "grant `{id}` is of {}; give an amount above 0",
                self.amount
            ));
        }
        if let GrantUnit::Money(currency) = self.unit
            && currency.round(self.amount) != self.amount
        {
            return error(format!(
                "grant `{id}` is of {} {currency}, which has more than {} digits after the point; round it",
                self.amount,
                currency.minor_digits()
            ));
        }
        if self.until.is_some_and(|end| end <= self.from) {
            return error(format!(
                "grant `{id}` ends before it begins; give an `until` after {}",
                self.from
            ));
        }
        if self.rollover.is_sign_negative() && !self.rollover.is_zero() {
            return error(format!(
                "grant `{id}` rolls over {}; give 0 or more",
                self.rollover
            ));
        }
        if self.rollover > Decimal::ZERO && self.until.is_none() {
            return error(format!(
                "grant `{id}` has no end and can't roll over; give it one with `until`, or leave `rolls_over` out"
            ));
        }
        Ok(())
    }

    /// How much of what is left can be drawn at a moment.
    pub(super) fn available(&self, left: Decimal, at: Timestamp) -> Decimal {
        let Some(end) = self.until else {
            return if at < self.from { Decimal::ZERO } else { left };
        };
        let length: Duration = end.since(self.from);
        if at < self.from || at >= end + length {
            Decimal::ZERO
        } else if at < end {
            left
        } else {
            left.min(self.rollover)
        }
    }

    /// When it is good no longer, at a moment in which it is.
    pub(super) fn end_at(&self, at: Timestamp) -> Option<Timestamp> {
        let end = self.until?;
        Some(if at < end {
            end
        } else {
            end + end.since(self.from)
        })
    }
}
