//! Calendars: when the hours, days, months and years of a limit begin and end.

use std::{
    fmt,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use jiff::{Span, Timestamp as Instant, civil::DateTime, tz::TimeZone};

use super::{Period, Window};
use crate::{ConfigError, Timestamp};

/// The calendar by which a tenant's periods begin: UTC, a zone, and a billing anchor.
///
/// A period begins when the zone's clock shows the start of an hour or a day, the first of a month, the first of
/// January. With a [billing anchor](Self::billed_from), months and years begin at the anchor's day and time instead,
/// and hours and days as before. Where a month has no such day, its last day takes the place: an anchor on the 31st
/// begins a period on the 28th of February, and on the 31st of March again.
///
/// Where clocks are set forward, a start that the clock skips comes as much later; where they are set back, the first
/// of the two counts. Each moment is in exactly one hour, one day, one month and one year.
///
/// The rules of zones are the operating system's (`/usr/share/zoneinfo`), because it is updated when a country
/// changes its rules. Where there are none, as in small containers, the copy that is built into the program counts.
///
/// Cheap to clone; clones share the period that was computed last, so keep one value for each tenant's calendar and
/// clone that.
///
/// ```
/// use tenancy_core::{Timestamp, quota::{Calendar, Period}};
///
/// let now = Timestamp::from_unix_seconds(1_803_600_000); // 2027-02-26T00:00:00Z
/// let berlin = Calendar::in_zone("Europe/Berlin")?;
/// let month = berlin.window(Period::Month, now);
/// assert_eq!(month.start.to_string(), "2027-01-31T23:00:00.000000Z");
///
/// let signed_up = Timestamp::from_unix_seconds(1_801_389_600); // 2027-01-31T10:00:00Z
/// let month = Calendar::utc().billed_from(signed_up).window(Period::Month, now);
/// assert_eq!(month.start.to_string(), "2027-01-31T10:00:00.000000Z");
/// assert_eq!(month.end.to_string(), "2027-02-28T10:00:00.000000Z");
/// # Ok::<(), tenancy_core::ConfigError>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct Calendar(Arc<Rules>);

struct Rules {
    zone: TimeZone,
    /// Where months and years are counted from.
    anchor: DateTime,
    is_billed: bool,
    /// The window of each period that was computed last.
    last: [Last; Period::ALL.len()],
}

/// 1970-01-01T00:00:00, from which periods are counted without a billing anchor.
const ORIGIN: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

static UTC: LazyLock<Calendar> = LazyLock::new(|| Calendar::new(TimeZone::UTC, ORIGIN, false));

impl Calendar {
    fn new(zone: TimeZone, anchor: DateTime, is_billed: bool) -> Self {
        Self(Arc::new(Rules {
            zone,
            anchor,
            is_billed,
            last: Default::default(),
        }))
    }

    /// The calendar of Coordinated Universal Time. The default.
    pub fn utc() -> Self {
        UTC.clone()
    }

    /// The same as `utc().window(…)`, without a clone that all threads would count.
    pub(super) fn window_of_utc(period: Period, now: Timestamp) -> Window {
        UTC.window(period, now)
    }

    /// The calendar of a zone of the IANA time zone database: `Europe/Berlin`.
    ///
    /// # Errors
    /// A [`ConfigError`] if there is no such zone.
    pub fn in_zone(name: &str) -> Result<Self, ConfigError> {
        let zone = TimeZone::get(name).map_err(|_| {
            ConfigError::new(format!(
                "there is no time zone `{name}`; give a name of the IANA database, such as \
                 `Europe/Berlin`"
            ))
        })?;
        Ok(Self::new(zone, ORIGIN, false))
    }

    /// The same calendar, with months and years that begin at this moment's day and time in the zone. Fractions of a
    /// second are left out.
    pub fn billed_from(&self, anchor: Timestamp) -> Self {
        let zone = &self.0.zone;
        let anchor = Instant::from_second(anchor.as_unix_seconds())
            .map_or(ORIGIN, |instant| zone.to_datetime(instant));
        Self::new(zone.clone(), anchor, true)
    }

    /// The hour, day, month or year that a moment is in.
    ///
    /// Before the year 1 and after the year 9998, one period goes on without an end.
    #[must_use]
    pub fn window(&self, period: Period, now: Timestamp) -> Window {
        let now = now.as_unix_seconds();
        let place = match period {
            Period::Hour => 0,
            Period::Day => 1,
            Period::Month => 2,
            Period::Year => 3,
        };
        let last = self.0.last.get(place);
        let (start, end) = match last.and_then(|last| last.around(now)) {
            Some(window) => window,
            None => {
                let window = self.0.computed(period, now);
                if let (Some(last), Some(window)) = (last, window) {
                    last.note(window);
                }
                window.unwrap_or((i64::MIN, i64::MAX))
            }
        };
        Window::new(
            Timestamp::from_unix_seconds(start),
            Timestamp::from_unix_seconds(end),
        )
    }
}

impl Rules {
    /// The window around a moment; all in seconds since the epoch.
    fn computed(&self, period: Period, now: i64) -> Option<(i64, i64)> {
        match period {
            Period::Hour => self.hour(now),
            Period::Day => self.counted(now, ORIGIN, Span::new().try_days(1).ok()?),
            Period::Month => self.counted(now, self.anchor, Span::new().try_months(1).ok()?),
            Period::Year => self.counted(now, self.anchor, Span::new().try_months(12).ok()?),
        }
    }

    /// The time for which the clock of the zone shows this hour of this day without being set.
    fn hour(&self, now: i64) -> Option<(i64, i64)> {
        let offset = self.offset(now)?;
        let start = now.checked_sub((now + offset).rem_euclid(3_600))?;
        let end = start.checked_add(3_600)?;
        let instant = Instant::from_second(now).ok()?;
        let start = if self.offset(start)? == offset {
            start
        } else {
            // A transition at `now` itself has happened; `preceding` is strict.
            let after = Instant::from_second(now.checked_add(1)?).ok()?;
            self.zone.preceding(after).next()?.timestamp().as_second()
        };
        let end = if self.offset(end.checked_sub(1)?)? == offset {
            end
        } else {
            self.zone.following(instant).next()?.timestamp().as_second()
        };
        Some((start, end))
    }

    fn offset(&self, at: i64) -> Option<i64> {
        let offset = self.zone.to_offset(Instant::from_second(at).ok()?);
        Some(i64::from(offset.seconds()))
    }

    /// The window around a moment of those that begin each `step` from an origin.
    fn counted(&self, now: i64, origin: DateTime, step: Span) -> Option<(i64, i64)> {
        let local = self.zone.to_datetime(Instant::from_second(now).ok()?);
        let months = i64::from(step.get_months());
        let mut count = if months == 0 {
            local.date().duration_since(origin.date()).as_hours() / 24
        } else {
            let years = i64::from(local.year()) - i64::from(origin.year());
            let since = years * 12 + i64::from(local.month()) - i64::from(origin.month());
            since.div_euclid(months)
        };
        // Right but for one, because of the anchor's day and time, and because of clocks that are set.
        let mut start = self.start(origin, step, count)?;
        while start > now {
            count -= 1;
            start = self.start(origin, step, count)?;
        }
        let mut end = self.start(origin, step, count + 1)?;
        while end <= now {
            count += 1;
            (start, end) = (end, self.start(origin, step, count + 1)?);
        }
        Some((start, end))
    }

    /// When the window of this number begins.
    fn start(&self, origin: DateTime, step: Span, count: i64) -> Option<i64> {
        // From the origin each time: a day that one month lacks comes back in the next.
        let local = origin.checked_add(step.checked_mul(count).ok()?).ok()?;
        Some(self.zone.to_timestamp(local).ok()?.as_second())
    }
}

/// One window: its start in the high 36 bits and its length in the low 28, both in seconds; 0 for none.
#[derive(Default)]
struct Last(AtomicU64);

impl Last {
    const LENGTH_BITS: u32 = 28;

    fn around(&self, now: i64) -> Option<(i64, i64)> {
        let packed = self.0.load(Ordering::Relaxed);
        let start = i64::try_from(packed >> Self::LENGTH_BITS).ok()?;
        let length = i64::try_from(packed & ((1 << Self::LENGTH_BITS) - 1)).ok()?;
        (start <= now && now - start < length).then(|| (start, start + length))
    }

    fn note(&self, (start, end): (i64, i64)) {
        let length = end.checked_sub(start).and_then(|l| u64::try_from(l).ok());
        let (Ok(start), Some(length)) = (u64::try_from(start), length) else {
            return;
        };
        let fits = start < 1 << (64 - Self::LENGTH_BITS) && length < 1 << Self::LENGTH_BITS;
        if fits {
            let packed = (start << Self::LENGTH_BITS) | length;
            self.0.store(packed, Ordering::Relaxed);
        }
    }
}

impl Default for Calendar {
    fn default() -> Self {
        Self::utc()
    }
}

impl fmt::Debug for Calendar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Calendar");
        debug.field("zone", &self.0.zone.iana_name().unwrap_or("UTC"));
        if self.0.is_billed {
            debug.field("billed_from", &self.0.anchor);
        }
        debug.finish()
    }
}
