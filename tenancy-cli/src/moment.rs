//! Moments on the command line.

use tenancy_core::Timestamp;

/// A moment of RFC 3339, or the beginning of a day in UTC.
pub(crate) fn moment(text: &str) -> Result<Timestamp, String> {
    let micros = |at: jiff::Timestamp| Timestamp::from_unix_micros(at.as_microsecond());
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Ok(micros(at));
    }
    let day = text
        .parse::<jiff::civil::Date>()
        .ok()
        .filter(|_| text.len() == 10);
    let begin = day.and_then(|day| jiff::tz::TimeZone::UTC.to_timestamp(day.into()).ok());
    begin.map(micros).ok_or_else(|| {
        "expected a day such as 2027-01-31, or a moment such as 2027-01-31T12:00:00Z".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_in_utc() {
        let text = |text| moment(text).map(|at| at.to_string());
        let begins = || Ok("2027-01-31T00:00:00.000000Z".to_owned());
        assert_eq!(text("2027-01-31"), begins());
        assert_eq!(text("2027-01-31T01:00:00+01:00"), begins());
        for wrong in [
            "",
            "yesterday",
            "2027-01-31T12:00:00",
            "2027-02-30",
            "31.01.2027",
        ] {
            assert!(moment(wrong).is_err(), "{wrong}");
        }
    }
}
