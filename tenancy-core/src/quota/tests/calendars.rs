//! Calendars: every hour of two years against a naive calendar that walks from half hour to half hour.

use jiff::{Timestamp as Instant, tz::TimeZone};

use super::{START, seconds};
use crate::{
    Timestamp,
    quota::{Calendar, Period},
};

const HALF_HOUR: i64 = 1_800;

/// Clocks go forward and back at different dates and by an hour, by half an hour, and never; and one that is half an hour
/// off.
const ZONES: [&str; 4] = [
    "America/New_York",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "Asia/Kolkata",
];

/// 2027-01-01T00:00:00Z to 2029-01-01T00:00:00Z, of which one is a leap year.
const FROM: i64 = 1_798_761_600;
const TO: i64 = 1_861_920_000;

const fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Year, month, day, and seconds of the day, by adding up the days of each month since 2024.
fn civil(local: i64) -> (i64, i64, i64, i64) {
    let (mut days, of_day) = (local.div_euclid(86_400) - 19_723, local.rem_euclid(86_400));
    let (mut year, mut month) = (2024, 1);
    while days >= days_of(year, month) {
        days -= days_of(year, month);
        month += 1;
        if month > 12 {
            (year, month) = (year + 1, 1);
        }
    }
    (year, month, days + 1, of_day)
}

/// What number of period a moment is in; it grows by one with each period.
fn number(period: Period, local: i64, offset: i64, anchor: i64) -> (i64, i64) {
    let (year, month, day, of_day) = civil(local);
    // The period of the anchor begins at noon, and that of the calendar at midnight.
    let (day_of_anchor, time) = if anchor == 0 {
        (1, 0)
    } else {
        (anchor, 12 * 3_600)
    };
    let begins = (day_of_anchor.min(days_of(year, month)), time);
    let is_before = (day, of_day) < begins;
    match period {
        Period::Hour => (local.div_euclid(3_600), offset),
        Period::Day => (local.div_euclid(86_400), 0),
        Period::Month => (12 * year + month - i64::from(is_before), 0),
        // The anchor is in January.
        Period::Year => (year - i64::from(month == 1 && is_before), 0),
    }
}

/// Each period that begins in those two years and some days around, by its start.
fn starts(zone: &TimeZone, period: Period, anchor: i64) -> Vec<i64> {
    let around = 800 * 86_400;
    let mut starts = Vec::new();
    let mut before = None;
    let mut at = FROM - around;
    while at < TO + around {
        let offset = i64::from(zone.to_offset(Instant::from_second(at).unwrap()).seconds());
        let own = number(period, at + offset, offset, anchor);
        // A clock that is set back over midnight does not begin the day again.
        let is_new = before.is_none_or(|before| match period {
            Period::Hour => own != before,
            _ => own > before,
        });
        if is_new {
            starts.push(at);
            before = Some(own);
        }
        at += HALF_HOUR;
    }
    starts
}

fn check_every_hour(zone: &str, period: Period, anchor: i64) {
    let rules = TimeZone::get(zone).unwrap();
    let calendar = Calendar::in_zone(zone).unwrap();
    let calendar = match anchor {
        0 => calendar,
        day => {
            let noon = jiff::civil::date(2026, 1, i8::try_from(day).unwrap()).at(12, 0, 0, 0);
            let noon = rules.to_timestamp(noon).unwrap().as_second();
            calendar.billed_from(Timestamp::from_unix_seconds(noon))
        }
    };
    let starts = starts(&rules, period, anchor);
    let mut place = 0;
    for hour in 0..(TO - FROM) / 3_600 {
        let at = FROM + hour * 3_600 + hour % 3_600;
        while starts[place + 1] <= at {
            place += 1;
        }
        let window = calendar.window(period, Timestamp::from_unix_seconds(at));
        let own = (window.start.as_unix_seconds(), window.end.as_unix_seconds());
        let naive = (starts[place], starts[place + 1]);
        assert_eq!(own, naive, "{zone}, {period:?}, anchor {anchor}, {at}");
    }
}

#[test]
fn months_and_years_from_the_28th_to_the_31st_are_right_in_each_hour_of_two_years() {
    for zone in ZONES {
        for anchor in 28..=31 {
            check_every_hour(zone, Period::Month, anchor);
            check_every_hour(zone, Period::Year, anchor);
        }
    }
}

#[test]
fn hours_days_months_and_years_of_the_calendar_are_right_in_each_hour_of_two_years() {
    for zone in ZONES {
        for period in Period::ALL {
            check_every_hour(zone, period, 0);
        }
    }
}

fn window(calendar: &Calendar, period: Period, at: &str) -> (String, String) {
    let at: Instant = at.parse().unwrap();
    let at = Timestamp::from_unix_micros(at.as_microsecond());
    let window = calendar.window(period, at);
    assert!(window.contains(at));
    (window.start.to_string(), window.end.to_string())
}

fn at(text: &str) -> Timestamp {
    let instant: Instant = text.parse().unwrap();
    Timestamp::from_unix_micros(instant.as_microsecond())
}

/// ansvisor#500, chmonitor#2514: 17th to 17th, also across the first, and monthly windows of an annual plan.
#[test]
fn a_billing_period_is_full_again_at_its_anchor_and_not_before() {
    let calendar = Calendar::utc().billed_from(at("2026-03-17T09:30:00Z"));
    for (moment, period, start, end) in [
        (
            "2027-01-17T09:29:59.999999Z",
            Period::Month,
            "2026-12-17T09:30",
            "2027-01-17T09:30",
        ),
        (
            "2027-01-17T09:30:00Z",
            Period::Month,
            "2027-01-17T09:30",
            "2027-02-17T09:30",
        ),
        (
            "2027-02-01T00:00:00Z",
            Period::Month,
            "2027-01-17T09:30",
            "2027-02-17T09:30",
        ),
        (
            "2027-02-01T00:00:00Z",
            Period::Year,
            "2026-03-17T09:30",
            "2027-03-17T09:30",
        ),
        (
            "2027-02-01T09:00:00Z",
            Period::Day,
            "2027-02-01T00:00",
            "2027-02-02T00:00",
        ),
        // Before the anchor too.
        (
            "2025-01-01T00:00:00Z",
            Period::Month,
            "2024-12-17T09:30",
            "2025-01-17T09:30",
        ),
    ] {
        let whole = |text: &str| format!("{text}:00.000000Z");
        assert_eq!(
            window(&calendar, period, moment),
            (whole(start), whole(end)),
            "{moment}"
        );
    }
}

/// textbee#283: an anchor on the 31st comes back after a short month.
#[test]
fn a_day_that_a_month_lacks_is_its_last_one_and_comes_back() {
    let calendar = Calendar::utc().billed_from(at("2028-01-31T00:00:00Z"));
    let starts: Vec<_> = (0..5)
        .scan(at("2028-01-31T00:00:00Z"), |start, _| {
            *start = calendar.window(Period::Month, *start).end;
            Some(start.to_string()[5..10].to_owned())
        })
        .collect();
    assert_eq!(starts, ["02-29", "03-31", "04-30", "05-31", "06-30"]);
    let leap = Calendar::utc().billed_from(at("2028-02-29T00:00:00Z"));
    let year = window(&leap, Period::Year, "2029-03-01T00:00:00Z");
    assert_eq!(year.0, "2029-02-28T00:00:00.000000Z");
    assert_eq!(year.1, "2030-02-28T00:00:00.000000Z");
}

/// OmniRoute#13671: days of 23 and 25 hours, and a start that the clock skips.
#[test]
fn clocks_that_are_set_make_days_shorter_and_longer_and_skip_no_period() {
    let berlin = Calendar::in_zone("Europe/Berlin").unwrap();
    let hours = |at_noon: &str| {
        let day = berlin.window(Period::Day, at(at_noon));
        day.end.since(day.start).as_secs() / 3_600
    };
    assert_eq!(hours("2027-03-28T10:00:00Z"), 23);
    assert_eq!(hours("2027-10-31T10:00:00Z"), 25);
    assert_eq!(hours("2027-06-01T10:00:00Z"), 24);
    // The anchor's 02:30 does not exist on 2027-03-28, and comes twice on 2027-10-31.
    let billed = berlin.billed_from(at("2027-01-28T01:30:00Z"));
    let march = window(&billed, Period::Month, "2027-03-28T12:00:00Z");
    assert_eq!(march.0, "2027-03-28T01:30:00.000000Z");
    let late = Calendar::in_zone("Europe/Berlin").unwrap();
    let late = late.billed_from(at("2027-01-31T01:30:00Z"));
    let october = window(&late, Period::Month, "2027-10-31T12:00:00Z");
    assert_eq!(october.0, "2027-10-31T00:30:00.000000Z");
    // Hours of the same name are two.
    let first = window(&berlin, Period::Hour, "2027-10-31T00:15:00Z");
    let second = window(&berlin, Period::Hour, "2027-10-31T01:15:00Z");
    assert_eq!(first.1, second.0);
}

/// Samoa had no 30th of December 2011.
#[test]
fn a_day_that_a_country_skips_is_no_period() {
    let apia = Calendar::in_zone("Pacific/Apia").unwrap();
    let before = window(&apia, Period::Day, "2011-12-30T09:59:59Z");
    let after = window(&apia, Period::Day, "2011-12-30T10:00:00Z");
    assert_eq!(before.1, "2011-12-30T10:00:00.000000Z");
    assert_eq!(after, (before.1, "2011-12-31T10:00:00.000000Z".to_owned()));
}

#[test]
fn moments_that_no_calendar_has_are_in_one_period_without_an_end() {
    let zones = ZONES.map(|zone| Calendar::in_zone(zone).unwrap());
    for calendar in zones.iter().chain([&Calendar::utc()]) {
        let billed = calendar.billed_from(Timestamp::from_unix_micros(i64::MAX));
        for period in Period::ALL {
            for now in [i64::MIN, -1, 0, i64::MAX - 1].map(Timestamp::from_unix_micros) {
                assert!(calendar.window(period, now).start <= now);
                assert!(billed.window(period, now).end >= now);
            }
        }
    }
}

#[test]
fn a_zone_that_does_not_exist_is_an_error_that_says_so() {
    for name in ["Europe/Berlyn", "", "+01:00", "../../etc/passwd"] {
        let error = Calendar::in_zone(name).unwrap_err().to_string();
        assert!(error.contains("there is no time zone"), "{error}");
    }
}

#[test]
fn what_a_calendar_has_computed_before_changes_no_answer() {
    let fresh = || Calendar::in_zone("Europe/Berlin").unwrap();
    let kept = fresh();
    for days in [0, 1, 0, 400, 1, 20_000, 0] {
        for now in [
            START + seconds(86_400 * days),
            START - seconds(86_400 * days),
        ] {
            for period in Period::ALL {
                let clone = kept.clone();
                assert_eq!(clone.window(period, now), fresh().window(period, now));
            }
        }
    }
}
