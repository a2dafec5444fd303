//! What the events of one window add up to, by every aggregation.

use std::collections::BTreeSet;

use rust_decimal::Decimal;
use tenancy_core::Timestamp;

use crate::{Aggregation, EventError, EventErrorKind, UsageEvent, exact};

/// Two of them can be merged into that of both.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    events: u64,
    sum: Decimal,
    max: Option<Decimal>,
    min: Option<Decimal>,
    latest: Option<(Timestamp, Box<str>, Box<str>, Decimal)>,
    values: BTreeSet<Box<str>>,
}

impl Tally {
    /// Adds an event, unless the sum would be too large; then nothing is added.
    pub(super) fn add(&mut self, event: &UsageEvent) -> Result<(), EventError> {
        let overflow = || {
            let (meter, most) = (&event.meter, UsageEvent::MAX_TOTAL);
            EventError::new(
                EventErrorKind::Overflow,
                format!(
                    "with this event `{meter}` would add up to more than {most}; count in a larger unit"
                ),
            )
        };
        if exact::sum(self.sum, event.quantity).is_none_or(|sum| sum > UsageEvent::MAX_TOTAL) {
            return Err(overflow());
        }
        let one = Self {
            events: event.events,
            sum: event.quantity,
            max: Some(event.quantity),
            min: Some(event.quantity),
            latest: Some((
                event.at,
                event.source.clone(),
                event.id.clone(),
                event.quantity,
            )),
            values: event.unique_value.iter().cloned().collect(),
        };
        self.merge(&one).ok_or_else(overflow)
    }

    /// `None`, and nothing is added, if the sum can't be told without rounding.
    pub(super) fn merge(&mut self, other: &Self) -> Option<()> {
        self.sum = exact::sum(self.sum, other.sum)?;
        self.events = self.events.saturating_add(other.events);
        self.max = self.max.max(other.max);
        self.min = match (self.min, other.min) {
            (Some(one), Some(another)) => Some(one.min(another)),
            (one, another) => one.or(another),
        };
        if other.latest > self.latest {
            self.latest.clone_from(&other.latest);
        }
        self.values.extend(other.values.iter().cloned());
        Some(())
    }

    pub(super) const fn events(&self) -> u64 {
        self.events
    }

    pub(super) fn quantity(&self, aggregation: Aggregation) -> Decimal {
        match aggregation {
            Aggregation::Count => self.events.into(),
            Aggregation::Sum => self.sum,
            Aggregation::Max => self.max.unwrap_or_default(),
            Aggregation::Min => self.min.unwrap_or_default(),
            Aggregation::Latest => self.latest.as_ref().map(|it| it.3).unwrap_or_default(),
            Aggregation::Unique => self.values.len().into(),
        }
    }
}
