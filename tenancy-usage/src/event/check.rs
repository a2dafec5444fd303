//! Whether an event can be counted.

use std::time::Duration;

use rust_decimal::Decimal;
use tenancy_core::{ConfigError, Timestamp};

use super::{EventError, EventErrorKind, UsageEvent};
use crate::{Aggregation, UsageBackfill, UsageMeter, UsageMeters};

/// How far from the clock the time of an event may be.
///
/// ```
/// use std::time::Duration;
///
/// use tenancy_usage::EventTimes;
///
/// let times = EventTimes::default();
/// assert_eq!(times.late_window(), Duration::from_secs(34 * 86_400));
/// assert_eq!(times.ahead(), Duration::from_secs(300));
/// let week = EventTimes::new(Duration::from_secs(7 * 86_400), Duration::from_secs(60))?;
/// # let _ = week;
/// # Ok::<(), tenancy_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventTimes {
    late_window: Duration,
    ahead: Duration,
}

impl EventTimes {
    /// Takes events that happened at most `late_window` ago, or at most `ahead` of the clock.
    ///
    /// # Errors
    /// A [`ConfigError`] if the late window is 0, because then no event would be in time.
    pub fn new(late_window: Duration, ahead: Duration) -> Result<Self, ConfigError> {
        if late_window.is_zero() {
            return Err(ConfigError::new(
                "a late window of 0 takes no event; give the time for which a source may be behind, such as 34 days",
            ));
        }
        Ok(Self { late_window, ahead })
    }

    /// How long ago an event may have happened. Default: 34 days, a day less than Stripe takes.
    #[must_use]
    pub const fn late_window(&self) -> Duration {
        self.late_window
    }

    /// How far ahead of the clock an event may be, because clocks differ. Default: 5 minutes.
    #[must_use]
    pub const fn ahead(&self) -> Duration {
        self.ahead
    }

    /// Whether a time is within both.
    ///
    /// # Errors
    /// An [`EventError`] of the kind [`InFuture`](EventErrorKind::InFuture) or [`TooLate`](EventErrorKind::TooLate).
    pub fn check(&self, at: Timestamp, now: Timestamp) -> Result<(), EventError> {
        if at > now + self.ahead {
            return Err(EventError::new(
                EventErrorKind::InFuture,
                format!(
                    "the event is of {at}, and it is {now}; give the time at which it was used, in UTC, and set the clock \
                     of its source"
                ),
            ));
        }
        if at < now - self.late_window {
            return Err(EventError::new(
                EventErrorKind::TooLate,
                format!(
                    "the event is of {at}, which is more than {} hours ago; it is not counted; bring it in with a backfill",
                    self.late_window.as_secs() / 3_600
                ),
            ));
        }
        Ok(())
    }
}

impl Default for EventTimes {
    fn default() -> Self {
        Self {
            late_window: Duration::from_secs(34 * 86_400),
            ahead: Duration::from_secs(300),
        }
    }
}

impl UsageMeters {
    /// Whether an event can be counted: its content, and then its time.
    ///
    /// # Errors
    /// What [`check_content`](Self::check_content) and [`EventTimes::check`] say.
    pub fn check(
        &self,
        event: &UsageEvent,
        now: Timestamp,
        times: &EventTimes,
    ) -> Result<&UsageMeter, EventError> {
        let meter = self.check_content(event)?;
        times.check(event.at, now)?;
        Ok(meter)
    }

    /// Whether an event says something that can be counted, whatever its time. A sink asks this first, then whether it
    /// has the event, and only of what is new the time: what was sent in time may be sent again later.
    ///
    /// # Errors
    /// An [`EventError`] that names what is wrong.
    pub fn check_content(&self, event: &UsageEvent) -> Result<&UsageMeter, EventError> {
        if event.source.starts_with(UsageBackfill::SOURCE) {
            return Err(EventError::new(
                EventErrorKind::InvalidText,
                format!(
                    "the source begins with `{}`, which is for the events of backfills; give another one",
                    UsageBackfill::SOURCE
                ),
            ));
        }
        self.check_parts(event)
    }

    /// The same, also for an event of a backfill.
    pub(crate) fn check_parts(&self, event: &UsageEvent) -> Result<&UsageMeter, EventError> {
        let Some(meter) = self.get(&event.meter) else {
            return Err(EventError::new(
                EventErrorKind::UndeclaredMeter,
                format!(
                    "there is no usage meter `{}`; declare it with `UsageMeters::new`, or correct the name",
                    shown(&event.meter)
                ),
            ));
        };
        for (what, of) in texts(event) {
            text(what, of)?;
        }
        if let Some(name) = event.dimensions.keys().find(|it| !meter.has_dimension(it)) {
            let known: Vec<_> = meter.dimensions().collect();
            let known = match known.as_slice() {
                [] => "none".to_owned(),
                known => format!("`{}`", known.join("`, `")),
            };
            return Err(EventError::new(
                EventErrorKind::UndeclaredDimension,
                format!(
                    "the usage meter `{}` has no dimension `{}`; it has {known}; declare it with `UsageMeter::dimension`, or \
                     leave it out",
                    meter.name(),
                    shown(name)
                ),
            ));
        }
        check_quantity(event, meter)?;
        Ok(meter)
    }
}

/// Whether an event can have a quantity, whatever its meter.
pub(crate) fn amount(whose: &str, quantity: Decimal) -> Result<(), EventError> {
    let error = |kind, text: String| Err(EventError::new(kind, text));
    if quantity.is_sign_negative() && !quantity.is_zero() {
        return error(
            EventErrorKind::NegativeQuantity,
            format!(
                "{whose} has the quantity {quantity}; give 0 or more, and take back what was counted with a correction"
            ),
        );
    }
    if quantity > UsageEvent::MAX_QUANTITY {
        return error(
            EventErrorKind::Overflow,
            format!(
                "{whose} has the quantity {quantity}; give at most {}, or count in a larger unit",
                UsageEvent::MAX_QUANTITY
            ),
        );
    }
    if quantity.normalize().scale() > UsageEvent::MAX_DECIMALS {
        return error(
            EventErrorKind::Overflow,
            format!(
                "{whose} has the quantity {quantity}; give at most {} digits after the point, or count in a smaller unit",
                UsageEvent::MAX_DECIMALS
            ),
        );
    }
    Ok(())
}

/// Whether a text can be kept: 1 to 128 bytes, and no NUL.
pub(crate) fn text(what: &str, text: &str) -> Result<(), EventError> {
    let refuse = |told: String| Err(EventError::new(EventErrorKind::InvalidText, told));
    if text.is_empty() || text.len() > UsageEvent::MAX_TEXT {
        return refuse(format!(
            "the {what} has {} bytes; give 1 to {}",
            text.len(),
            UsageEvent::MAX_TEXT
        ));
    }
    // PostgreSQL can't store it.
    if text.contains('\0') {
        return refuse(format!("the {what} has a NUL; remove it"));
    }
    Ok(())
}

fn check_quantity(event: &UsageEvent, meter: &UsageMeter) -> Result<(), EventError> {
    let (name, quantity) = (meter.name(), event.quantity);
    let error = |kind, text: String| Err(EventError::new(kind, text));
    amount(&format!("`{name}`"), quantity)?;
    if event.events == 0 || i64::try_from(event.events).is_err() {
        return error(
            EventErrorKind::Misfit,
            format!(
                "`{name}` has an event that stands for {} events; give at least 1, and at most {}",
                event.events,
                i64::MAX
            ),
        );
    }
    let counted = match meter.aggregation() {
        Aggregation::Count => Some(event.events.into()),
        Aggregation::Unique => Some(Decimal::ONE),
        _ => None,
    };
    if counted.is_some_and(|counted| quantity != counted) {
        return error(
            EventErrorKind::Misfit,
            format!(
                "`{name}` counts events, and this one has the quantity {quantity}; leave the quantity out, or declare the \
                 meter with `UsageMeter::sum`"
            ),
        );
    }
    let is_unique = meter.aggregation() == Aggregation::Unique;
    if is_unique != event.unique_value.is_some() {
        let text = if is_unique {
            "counts different values, and this event has none; give it with `unique_value`"
        } else {
            "does not count different values, and this event has one; leave out `unique_value`"
        };
        return error(EventErrorKind::Misfit, format!("`{name}` {text}"));
    }
    Ok(())
}

/// The texts of an event, with what each is.
fn texts(event: &UsageEvent) -> impl Iterator<Item = (&'static str, &str)> {
    let values = event.dimensions.values();
    [
        ("source", Some(&*event.source)),
        ("id", Some(&*event.id)),
        ("job", event.job.as_deref()),
        ("unique value", event.unique_value.as_deref()),
    ]
    .into_iter()
    .filter_map(|(what, text)| Some((what, text?)))
    .chain(values.map(|value| ("value of a dimension", &**value)))
}

/// Whoever sent a name chooses its length; a message does not repeat it whole.
fn shown(name: &str) -> String {
    name.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tenancy_core::{TenantId, Timestamp};

    #[test]
    fn each_error_names_what_is_wrong_and_how_to_mend_it() {
        let meters = UsageMeters::new([
            UsageMeter::sum("tokens").dimension("model"),
            UsageMeter::count("requests"),
            UsageMeter::unique("visitors"),
        ])
        .unwrap();
        let now = Timestamp::from_unix_seconds(1_800_000_000);
        let event = |meter: &str| UsageEvent::new(TenantId::new(), meter, "s", "1", now);
        let ancient = UsageEvent {
            at: Timestamp::EPOCH,
            ..event("tokens")
        };
        let future = UsageEvent {
            at: now + Duration::from_secs(301),
            ..event("tokens")
        };
        for (event, names, mends) in [
            (event("tokns"), "`tokns`", "declare it"),
            (
                event("tokens").dimension("modl", "x"),
                "`modl`",
                "it has `model`",
            ),
            (
                event("requests").dimension("model", "x"),
                "`model`",
                "it has none",
            ),
            (event("tokens").quantity(-3), "-3", "give 0 or more"),
            (
                event("tokens").quantity(i64::MAX),
                "9223372036854775807",
                "larger unit",
            ),
            (
                event("tokens").dimension("model", ""),
                "value of a dimension",
                "1 to 128",
            ),
            (event("tokens").job("a\0"), "job", "NUL"),
            (
                event("requests").quantity(2),
                "quantity 2",
                "UsageMeter::sum",
            ),
            (
                event("visitors"),
                "`visitors`",
                "give it with `unique_value`",
            ),
            (event("tokens").unique_value("x"), "`tokens`", "leave out"),
            (ancient, "1970-01-01", "backfill"),
            (future, "2027-01-15T08:05:01", "set the clock"),
        ] {
            let error = meters.check(&event, now, &EventTimes::default());
            let error = error.unwrap_err().to_string();
            assert!(error.contains(names) && error.contains(mends), "{error}");
        }
    }

    #[test]
    fn the_largest_sum_has_no_rounding() {
        let smallest = rust_decimal::Decimal::new(1, UsageEvent::MAX_DECIMALS);
        let sum = UsageEvent::MAX_TOTAL + smallest;
        assert_eq!(sum - UsageEvent::MAX_TOTAL, smallest);
        assert_eq!(UsageEvent::MAX_TOTAL.to_string(), "70000000000000000000");
        assert_eq!(UsageEvent::MAX_QUANTITY.to_string(), "1000000000000000000");
    }
}
