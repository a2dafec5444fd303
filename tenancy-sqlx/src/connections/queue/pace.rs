//! How often connections come back.

use std::time::{Duration, Instant};

/// What is remembered is what came back within this time, and within as much before.
const SPAN: Duration = Duration::from_secs(5);

/// The least that an estimate rests on.
const LEAST: Duration = Duration::from_secs(1);

/// How many connections came back lately.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pace {
    /// When the present span began, and nothing if nothing has come back yet.
    began: Option<Instant>,
    present: u32,
    /// How many came back in the span before it, if there was one.
    before: Option<u32>,
}

impl Pace {
    /// One has come back.
    pub(super) fn note(&mut self, now: Instant) {
        let began = *self.began.get_or_insert(now);
        let elapsed = now.saturating_duration_since(began);
        if elapsed >= SPAN {
            // After a pause of a span or more, what came before says nothing.
            self.before = Some(if elapsed < SPAN * 2 { self.present } else { 0 });
            self.present = 0;
            self.began = Some(now);
        }
        self.present = self.present.saturating_add(1);
    }

    /// How long it takes until so many have come back. Where none has come back lately, as if one had.
    pub(super) fn time_for(&self, connections: usize, now: Instant) -> Duration {
        let elapsed = self.began.map(|began| now.saturating_duration_since(began));
        let (span, came_back) = match elapsed {
            Some(elapsed) if elapsed < SPAN => match self.before {
                Some(before) => (elapsed + SPAN, self.present.saturating_add(before)),
                None => (elapsed.max(LEAST), self.present),
            },
            Some(elapsed) if elapsed < SPAN * 2 => (elapsed, self.present),
            _ => (SPAN * 2, 1),
        };
        let connections = u32::try_from(connections).unwrap_or(u32::MAX);
        span.saturating_mul(connections) / came_back.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Notes so many in a second, evenly, for so many seconds.
    fn noted(pace: &mut Pace, from: Instant, per_second: u32, seconds: u32) -> Instant {
        let mut now = from;
        for _ in 0..per_second * seconds {
            now += Duration::from_secs(1) / per_second;
            pace.note(now);
        }
        now
    }

    #[test]
    fn ten_in_a_second_are_ten_in_a_second() {
        for seconds in 2..30 {
            let mut pace = Pace::default();
            let now = noted(&mut pace, Instant::now(), 10, seconds);
            let estimate = pace.time_for(100, now);
            let is_near = (8..=12).contains(&estimate.as_secs());
            assert!(is_near, "after {seconds} s: {estimate:?}");
        }
    }

    #[test]
    fn a_pace_that_has_changed_is_known_within_two_spans() {
        let mut pace = Pace::default();
        let now = noted(&mut pace, Instant::now(), 1_000, 60);
        let now = noted(&mut pace, now, 2, 10);
        let estimate = pace.time_for(20, now);
        assert!((8..=12).contains(&estimate.as_secs()), "{estimate:?}");
    }

    #[test]
    fn where_none_comes_back_the_estimate_grows() {
        let mut pace = Pace::default();
        let now = Instant::now();
        assert_eq!(pace.time_for(1, now), SPAN * 2);
        let now = noted(&mut pace, now, 10, 20);
        let mut last = Duration::ZERO;
        for pause in [0, 3, 6] {
            let estimate = pace.time_for(10, now + Duration::from_secs(pause));
            assert!(estimate > last, "after {pause} s: {estimate:?}");
            last = estimate;
        }
        assert_eq!(last, SPAN * 20);
    }

    #[test]
    fn no_number_is_too_large() {
        let mut pace = Pace::default();
        assert!(pace.time_for(usize::MAX, Instant::now()) > SPAN);
        pace.present = u32::MAX;
        pace.note(Instant::now());
        assert_eq!(pace.present, u32::MAX);
    }
}
