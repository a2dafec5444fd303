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
    let millis = match unit.strip_suffix('s').unwrap_or(unit) {
        "millisecond" => 1,
        "second" => 1_000,
        "minute" => 60_000,
        "hour" => 3_600_000,
        "day" => 86_400_000,
        _ => return None,
    };
    (many > 0).then_some(())?;
    many.checked_mul(millis).map(Duration::from_millis)
}
