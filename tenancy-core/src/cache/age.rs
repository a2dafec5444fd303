//! How old an answer of a directory may be: beyond, it counts no more, whatever has been heard.

use std::time::Duration;

use crate::Timestamp;

/// The age, in microseconds, at which an answer counts no more.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MaxAge(i64);

impl MaxAge {
    /// For what has another bound of its own: the issuers of tokens.
    #[cfg(any(test, feature = "jwt"))]
    pub(crate) const NONE: Self = Self(i64::MAX);

    pub(crate) fn new(bound: Duration) -> Self {
        Self(i64::try_from(bound.as_micros()).unwrap_or(i64::MAX))
    }

    pub(crate) fn as_duration(self) -> Duration {
        Duration::from_micros(self.0.unsigned_abs())
    }

    /// Whether an answer still counts whose question began at `read_at`.
    ///
    /// A clock that was set back makes everything look younger than it is, and is noticed elsewhere:
    /// then everything is dropped.
    #[inline]
    pub(crate) fn allows(self, read_at: Timestamp, now: Timestamp) -> bool {
        let age = now
            .as_unix_micros()
            .saturating_sub(read_at.as_unix_micros());
        age < self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_until_it_is_as_old_as_the_bound() {
        let bound = Duration::from_secs(60);
        let (age, read_at) = (MaxAge::new(bound), Timestamp::from_unix_seconds(1_000));
        let tick = Duration::from_micros(1);
        assert!(age.allows(read_at, read_at));
        assert!(age.allows(read_at, read_at + bound - tick));
        assert!(!age.allows(read_at, read_at + bound));
        assert_eq!(age.as_duration(), bound);
        assert!(MaxAge::new(Duration::MAX).allows(Timestamp::EPOCH, read_at));
        assert!(MaxAge::NONE.allows(Timestamp::EPOCH, read_at));
    }
}
