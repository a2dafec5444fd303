//! Lengths of time in words: `minute`, `10 seconds`.

use std::time::Duration;

/// A whole number in digits alone.
pub(super) fn whole(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

/// A length of time: `second`, `1 minute`, `2 hours`, `30 days`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let (many, unit) = match text.split_once(' ') {
        Some((many, unit)) => (whole(many)?, unit),
        None => (1, text),
    };
    let seconds = match unit.strip_suffix('s').unwrap_or(unit) {
        "second" => 1,
        "minute" => 60,
        "hour" => 3_600,
        "day" => 86_400,
        _ => return None,
    };
    (many > 0).then_some(())?;
    many.checked_mul(seconds).map(Duration::from_secs)
}
