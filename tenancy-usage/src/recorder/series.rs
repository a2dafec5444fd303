//! Series: meters with values of their dimensions, known by a number.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{PoisonError, RwLock, Weak},
};

use rust_decimal::Decimal;
use tenancy_core::{ConfigError, TenantContext};

use super::Inner;
use crate::{Aggregation, EventError, EventErrorKind, UsageEvent, UsageMeter};

/// A meter with values of its dimensions, of a [`UsageRecorder`](crate::UsageRecorder). Cheap to clone.
///
/// ```
/// use tenancy_core::TenantContext;
/// use tenancy_usage::{EventError, UsageSeries};
///
/// struct Meters {
///     requests: UsageSeries,
///     egress: UsageSeries,
/// }
///
/// fn served(meters: &Meters, context: &TenantContext, bytes: u64) -> Result<(), EventError> {
///     meters.requests.record(context, 1)?;
///     meters.egress.record(context, bytes)
/// }
/// # let _ = served;
/// ```
#[derive(Clone)]
pub struct UsageSeries {
    pub(super) recorder: Weak<Inner>,
    pub(super) position: u32,
    pub(super) aggregation: Aggregation,
}

impl UsageSeries {
    /// Records so much. A meter that counts events is given 1.
    ///
    /// # Errors
    /// An [`EventError`]: the quantity is negative, too large, or none that the meter takes; there is no room; or the
    /// recorder has ended.
    pub fn record(
        &self,
        context: &TenantContext,
        quantity: impl Into<Decimal>,
    ) -> Result<(), EventError> {
        let quantity = quantity.into();
        self.check(quantity)?;
        if self.aggregation == Aggregation::Unique {
            return Err(misfit(
                "a meter of different values is recorded with `record_value`",
            ));
        }
        if self.aggregation == Aggregation::Count && quantity != Decimal::ONE {
            return Err(misfit(
                "a meter that counts events is given 1; declare it with `UsageMeter::sum`",
            ));
        }
        self.send(context, quantity, None)
    }

    /// Records a value of a meter that [counts different ones](Aggregation::Unique). Each value needs room of its own.
    ///
    /// # Errors
    /// As [`record`](Self::record).
    pub fn record_value(&self, context: &TenantContext, value: &str) -> Result<(), EventError> {
        if self.aggregation != Aggregation::Unique {
            return Err(misfit(
                "the meter does not count different values; use `record`",
            ));
        }
        if value.is_empty() || value.len() > UsageEvent::MAX_TEXT || value.contains('\0') {
            return Err(EventError::new(
                EventErrorKind::InvalidText,
                format!(
                    "a unique value has 1 to {} bytes, and no NUL",
                    UsageEvent::MAX_TEXT
                ),
            ));
        }
        self.send(context, Decimal::ONE, Some(value))
    }

    pub(crate) const fn aggregation(&self) -> Aggregation {
        self.aggregation
    }

    /// Whether both are the same series of the same recorder.
    #[cfg(test)]
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.recorder.ptr_eq(&other.recorder) && self.position == other.position
    }

    fn check(&self, quantity: Decimal) -> Result<(), EventError> {
        if quantity.is_sign_negative() && !quantity.is_zero() {
            return Err(EventError::new(
                EventErrorKind::NegativeQuantity,
                format!("the quantity is {quantity}; give 0 or more"),
            ));
        }
        if quantity > UsageEvent::MAX_QUANTITY || quantity.scale() > UsageEvent::MAX_DECIMALS {
            return Err(EventError::new(
                EventErrorKind::Overflow,
                format!(
                    "the quantity is {quantity}; give at most {}, with at most {} digits after the point",
                    UsageEvent::MAX_QUANTITY,
                    UsageEvent::MAX_DECIMALS
                ),
            ));
        }
        Ok(())
    }

    fn send(
        &self,
        context: &TenantContext,
        quantity: Decimal,
        value: Option<&str>,
    ) -> Result<(), EventError> {
        let Some(recorder) = self.recorder.upgrade() else {
            return Err(EventError::new(
                EventErrorKind::NoRoom,
                "the recorder of this series has ended; keep the `UsageRecorder` as long as the service runs",
            ));
        };
        recorder.record(context, (self.position, self.aggregation), quantity, value)
    }
}

fn misfit(text: &str) -> EventError {
    EventError::new(EventErrorKind::Misfit, text)
}

impl fmt::Debug for UsageSeries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UsageSeries")
            .field("position", &self.position)
            .field("aggregation", &self.aggregation)
            .finish_non_exhaustive()
    }
}

/// What a series is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Meaning {
    pub(super) meter: Box<str>,
    pub(super) aggregation: Aggregation,
    pub(super) dimensions: BTreeMap<Box<str>, Box<str>>,
}

/// Every series that was asked for.
pub(super) struct AllSeries {
    most: usize,
    known: RwLock<(Vec<Meaning>, HashMap<Meaning, u32>)>,
}

impl AllSeries {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most: most.max(1),
            known: RwLock::default(),
        }
    }

    pub(super) fn position<'v>(
        &self,
        meter: &UsageMeter,
        dimensions: impl IntoIterator<Item = (&'v str, &'v str)>,
    ) -> Result<u32, ConfigError> {
        let mut meaning = Meaning {
            meter: meter.name().into(),
            aggregation: meter.aggregation(),
            dimensions: BTreeMap::new(),
        };
        for (name, value) in dimensions {
            if !meter.has_dimension(name) {
                return Err(ConfigError::new(format!(
                    "the usage meter `{}` has no dimension `{name}`; declare it with `UsageMeter::dimension`, or leave it out",
                    meter.name()
                )));
            }
            if value.is_empty() || value.len() > UsageEvent::MAX_TEXT || value.contains('\0') {
                return Err(ConfigError::new(format!(
                    "the value of the dimension `{name}` has {} bytes; give 1 to {}, and no NUL",
                    value.len(),
                    UsageEvent::MAX_TEXT
                )));
            }
            meaning.dimensions.insert(name.into(), value.into());
        }
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(position) = known.1.get(&meaning) {
            return Ok(*position);
        }
        drop(known);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let (meanings, positions) = &mut *known;
        if let Some(position) = positions.get(&meaning) {
            return Ok(*position);
        }
        let position = u32::try_from(meanings.len()).unwrap_or(u32::MAX);
        if meanings.len() >= self.most || position == u32::MAX {
            return Err(ConfigError::new(format!(
                "there are {} series already, and no room for more; leave dimensions with very many values out, or give the \
                 recorder a larger capacity",
                meanings.len()
            )));
        }
        meanings.push(meaning.clone());
        positions.insert(meaning, position);
        Ok(position)
    }

    pub(super) fn meaning(&self, position: u32) -> Option<Meaning> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.0.get(usize::try_from(position).ok()?).cloned()
    }
}
