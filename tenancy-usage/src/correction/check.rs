//! Whether a correction or a backfill can be applied.

use std::collections::BTreeSet;

use rust_decimal::{Decimal, prelude::ToPrimitive as _};
use tenancy_core::{Timestamp, quota::Window};

use super::{UsageBackfill, UsageChange, UsageCorrection};
use crate::{
    Aggregation, EventError, EventErrorKind, EventTimes, UsageEvent, UsageMeter, UsageMeters,
    event::check::{amount, text},
};

impl UsageCorrection {
    /// Whether it says something that can be applied, whatever the event. A sink asks this before it looks for the event.
    ///
    /// # Errors
    /// An [`EventError`] that names what is wrong.
    pub fn check(&self) -> Result<(), EventError> {
        text("source of the correction", &self.source)?;
        if self.source.starts_with(UsageBackfill::SOURCE) {
            return Err(EventError::new(
                EventErrorKind::InvalidText,
                format!(
                    "the source of the correction begins with `{}`, which is for what backfills do; give another one",
                    UsageBackfill::SOURCE
                ),
            ));
        }
        text("id of the correction", &self.id)?;
        text("source of the event", &self.event.source)?;
        text("id of the event", &self.event.id)?;
        check_reason(&self.reason)?;
        match self.change {
            UsageChange::Void => Ok(()),
            UsageChange::Amend(quantity) => amount("the correction", quantity),
        }
    }

    /// The quantity of the event and the number of events that it stands for, when the correction is applied; `None` if it
    /// counts no more. The meter is that of the event, and the number is what it stands for until now.
    ///
    /// # Errors
    /// An [`EventError`] of the kind [`Misfit`](EventErrorKind::Misfit) if the meter's events can't have this quantity.
    pub fn apply_to(
        &self,
        meter: &UsageMeter,
        events: u64,
    ) -> Result<Option<(Decimal, u64)>, EventError> {
        let UsageChange::Amend(quantity) = self.change else {
            return Ok(None);
        };
        let name = meter.name();
        match meter.aggregation() {
            Aggregation::Count => {
                let whole = quantity.is_integer().then(|| quantity.to_u64()).flatten();
                match whole.filter(|count| *count > 0) {
                    Some(count) => Ok(Some((quantity, count))),
                    None => Err(EventError::new(
                        EventErrorKind::Misfit,
                        format!(
                            "`{name}` counts events, and {quantity} is no number of events; give a whole number above 0, or \
                             void the event"
                        ),
                    )),
                }
            }
            Aggregation::Unique => Err(EventError::new(
                EventErrorKind::Misfit,
                format!(
                    "`{name}` counts different values, which have no quantity; void the event, and send another one"
                ),
            )),
            _ => Ok(Some((quantity, events))),
        }
    }
}

impl UsageBackfill {
    /// Whether it can be applied: name, reason, range, and each of its events. The time of an event may be as long ago as it
    /// likes.
    ///
    /// # Errors
    /// An [`EventError`] that names what is wrong.
    pub fn check(
        &self,
        meters: &UsageMeters,
        now: Timestamp,
        times: &EventTimes,
    ) -> Result<(), EventError> {
        let refuse = |kind, text: String| Err(EventError::new(kind, text));
        check_name(&self.name)?;
        check_reason(&self.reason)?;
        if meters.get(&self.meter).is_none() {
            return refuse(
                EventErrorKind::UndeclaredMeter,
                format!(
                    "there is no usage meter `{}`; fill up one that is declared",
                    self.meter
                ),
            );
        }
        if self.events.len() > Self::MAX_EVENTS {
            return refuse(
                EventErrorKind::NoRoom,
                format!(
                    "the backfill has {} events; give at most {}, and the rest to another one",
                    self.events.len(),
                    Self::MAX_EVENTS
                ),
            );
        }
        if self.events.is_empty() && self.replaces.is_none() {
            return refuse(
                EventErrorKind::Misfit,
                "the backfill has no event and replaces nothing; give it one of them".to_owned(),
            );
        }
        if let Some(range) = self.replaces
            && range.start >= range.end
        {
            return refuse(
                EventErrorKind::Misfit,
                format!(
                    "the backfill replaces what is from {} to {}; give an end after the beginning",
                    range.start, range.end
                ),
            );
        }
        let mut ids = BTreeSet::new();
        for event in &self.events {
            meters.check_parts(event)?;
            self.check_event(event, now, times)?;
            if !ids.insert(&*event.id) {
                return refuse(
                    EventErrorKind::Misfit,
                    format!(
                        "the backfill has two events `{}`; give each an id of its own",
                        event.id
                    ),
                );
            }
        }
        Ok(())
    }

    /// Whether a backfill of this name can be reverted for this reason, as far as the two go.
    ///
    /// # Errors
    /// An [`EventError`] of the kind [`InvalidText`](EventErrorKind::InvalidText).
    pub fn check_revert(name: &str, reason: &str) -> Result<(), EventError> {
        check_name(name)?;
        check_reason(reason)
    }

    /// Whether it may replace so many events.
    ///
    /// # Errors
    /// An [`EventError`] of the kind [`NoRoom`](EventErrorKind::NoRoom) if there are more than
    /// [`MAX_REPLACED`](Self::MAX_REPLACED).
    pub fn check_replaced(&self, count: u64) -> Result<(), EventError> {
        if count <= u64::from(Self::MAX_REPLACED) {
            return Ok(());
        }
        Err(EventError::new(
            EventErrorKind::NoRoom,
            format!(
                "the backfill replaces {count} events; replace at most {}, and the rest of the range with another one",
                Self::MAX_REPLACED
            ),
        ))
    }

    /// Whether it and a later one of the same meter replace some of the same time. Then the earlier one is reverted after the
    /// later one: what it had replaced would count beside what the later one has put there.
    #[must_use]
    pub fn overlaps(earlier: Option<Window>, later: Option<Window>) -> bool {
        let both = earlier.zip(later);
        both.is_some_and(|(one, other)| one.start < other.end && other.start < one.end)
    }

    /// Why the backfill of this name can't be reverted: a later one, whose events have this source, has replaced some of its own, or
    /// [overlaps](Self::overlaps) with it.
    #[must_use]
    pub fn replaced_by(name: &str, source: &str) -> EventError {
        let other = source.strip_prefix(Self::SOURCE).unwrap_or(source);
        EventError::new(
            EventErrorKind::Misfit,
            format!(
                "the later backfill `{other}` replaces what `{name}` has added, or a part of what it has replaced; revert \
                 `{other}` first"
            ),
        )
    }

    /// Why the backfill of this name can't be reverted: events of its billing periods were removed.
    #[must_use]
    pub fn removed(name: &str, before: &str) -> EventError {
        EventError::new(
            EventErrorKind::TooLate,
            format!(
                "usage before {before} was removed, and with it events of the billing periods of the backfill `{name}`; it \
                 can't be reverted any more"
            ),
        )
    }

    fn check_event(
        &self,
        event: &UsageEvent,
        now: Timestamp,
        times: &EventTimes,
    ) -> Result<(), EventError> {
        if event.meter != self.meter {
            return Err(EventError::new(
                EventErrorKind::Misfit,
                format!(
                    "the event `{}` is of `{}`, and the backfill of `{}`; give each meter a backfill of its own",
                    event.id, event.meter, self.meter
                ),
            ));
        }
        if self.replaces.is_some_and(|range| !range.contains(event.at)) {
            return Err(EventError::new(
                EventErrorKind::Misfit,
                format!(
                    "the event `{}` is of {}, which is outside of what the backfill replaces; leave it out, or replace more",
                    event.id, event.at
                ),
            ));
        }
        match times.check(event.at, now) {
            // That is what a backfill is for.
            Err(error) if error.kind() == EventErrorKind::TooLate => Ok(()),
            other => other,
        }
    }
}

fn check_name(name: &str) -> Result<(), EventError> {
    let most = UsageBackfill::MAX_NAME;
    if name.is_empty() || name.len() > most || name.contains('\0') {
        return Err(EventError::new(
            EventErrorKind::InvalidText,
            format!(
                "the name of the backfill has {} bytes; give 1 to {most}, and no NUL",
                name.len()
            ),
        ));
    }
    Ok(())
}

/// Whether a reason says something.
pub(crate) fn check_reason(reason: &str) -> Result<(), EventError> {
    let most = UsageCorrection::MAX_REASON;
    if reason.trim().is_empty() || reason.len() > most || reason.contains('\0') {
        return Err(EventError::new(
            EventErrorKind::InvalidText,
            format!(
                "the reason has {} bytes; say why, in 1 to {most} bytes without a NUL",
                reason.len()
            ),
        ));
    }
    Ok(())
}
