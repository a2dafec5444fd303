//! Usage of each hour of more than a year, in billing periods that begin on the 28th to the 31st, in four zones.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::time::Duration;

use jiff::{civil::DateTime, tz::TimeZone};
use tenancy_core::{
    Clock as _, ManualClock, TenantId, Timestamp,
    quota::{Calendar, Window},
};
use tenancy_usage::{
    EventTimes, MemoryUsage, Resolution, RollupQuery, UsageCalendar, UsageEvent, UsageMeter,
    UsageMeters, UsageSink as _,
};

/// One without daylight saving, one of each hemisphere, and one whose clocks are set by half an hour.
const ZONES: [&str; 4] = [
    "UTC",
    "Europe/Berlin",
    "America/Santiago",
    "Australia/Lord_Howe",
];

const HOUR: i64 = 3_600;

/// When periods begin, as one reads it from a calendar on the wall: month by month, the day of the anchor or the last one
/// that the month has.
fn starts(zone: &TimeZone, year: i16, day: i8, hour: i8) -> Vec<i64> {
    let months = (0..26).map(|number| (year + number / 12, i8::try_from(number % 12).unwrap() + 1));
    let start = |(year, month): (i16, i8)| {
        let first = jiff::civil::date(year, month, 1);
        let local: DateTime = first
            .with()
            .day(day.min(first.days_in_month()))
            .build()
            .unwrap()
            .at(hour, 0, 0, 0);
        zone.to_timestamp(local).unwrap().as_second()
    };
    months.map(start).collect()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(seconds)
}

/// What is recorded once an hour adds up to the hours of each period, whatever the clocks do meanwhile.
#[tokio::test]
async fn an_event_an_hour_adds_up_to_the_hours_of_each_period() {
    for name in ZONES {
        let zone = TimeZone::get(name).unwrap();
        for day in 28..=31 {
            let starts = starts(&zone, 2027, day, 2);
            let calendar = Calendar::in_zone(name).unwrap().billed_from(at(starts[0]));
            let usage = UsageCalendar::monthly().of_each(move |_| calendar.clone());
            let clock = std::sync::Arc::new(ManualClock::at(at(starts[0])));
            let meters = UsageMeters::new([UsageMeter::count("exports")]).unwrap();
            let day_long = Duration::from_secs(86_400);
            let sink = MemoryUsage::new(meters)
                .calendar(usage)
                .times(EventTimes::new(day_long, day_long).unwrap())
                .clock(clock.clone());
            let acme = TenantId::new();
            let (first, last) = (starts[0], starts[14]);
            for moment in (first..last).step_by(3_600) {
                let event =
                    UsageEvent::new(acme, "exports", "api", moment.to_string(), clock.now());
                assert_eq!(event.at, at(moment));
                sink.record(&[event]).await.unwrap();
                clock.advance(Duration::from_secs(3_600));
            }
            let year = Window::new(at(first), at(last));
            let query = RollupQuery::each(acme, "exports", Resolution::Period, year);
            let found: Vec<_> = sink.rollups(&query).await.unwrap();
            let found: Vec<_> = found
                .into_iter()
                .map(|one| (one.window, one.events))
                .collect();
            let expected: Vec<_> = starts[..15]
                .windows(2)
                .map(|pair| {
                    // Hours count from the first start; half hours of a clock that was set are on one side.
                    let of = |end: i64| (end - first + HOUR - 1) / HOUR;
                    let count = u64::try_from(of(pair[1]) - of(pair[0])).unwrap();
                    (Window::new(at(pair[0]), at(pair[1])), count)
                })
                .collect();
            assert_eq!(found, expected, "{name}, the {day}th");
        }
    }
}
