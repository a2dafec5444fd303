//! Where a caller stands at a limit, and why it was refused.

use std::time::Duration;

use serde::{Serialize, Serializer, ser::SerializeStruct as _};

use super::{MAX_AMOUNT, fields::seconds};

/// How much of a limit is used and left.
///
/// ```
/// use std::time::Duration;
///
/// use tenancy_core::{Timestamp, quota::{Bucket, Rate}};
///
/// let minute = Rate::new(60, Duration::from_secs(60), 10)?;
/// let now = Timestamp::from_unix_seconds(1_800_000_000);
/// let mut bucket = Bucket::full(now);
/// let standing = bucket.take(&minute, 4, now).unwrap();
/// assert_eq!((standing.limit, standing.used, standing.remaining), (10, 4, 6));
/// // One comes back each second.
/// assert_eq!(standing.reset_after, Some(Duration::from_secs(4)));
/// # Ok::<(), tenancy_core::ConfigError>(())
/// ```
///
/// As JSON it has the members that a refusal's problem has: `limit`, `used` and `remaining`, in the meter's unit, and
/// `reset`, in whole seconds, rounded up. `limit` and `remaining` are `null` where there is no limit, and `reset` where
/// no time says when.
///
/// ```
/// use std::time::Duration;
///
/// use tenancy_core::quota::Standing;
///
/// let standing = Standing::new(10, 4, Some(Duration::from_millis(3_200)));
/// let shown = serde_json::to_string(&standing).unwrap();
/// assert_eq!(shown, r#"{"limit":10,"used":4,"remaining":6,"reset":4}"#);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Standing {
    /// What may be used; of a rate, the burst.
    pub limit: u64,
    /// What is used; more than the limit where overage is allowed.
    pub used: u64,
    /// What is left before a request is refused, overage not counted.
    pub remaining: u64,
    /// After how long all of it is there again: when a bucket is full, or a period ends. `None` where no time says so.
    pub reset_after: Option<Duration>,
}

impl Standing {
    /// So much used of a limit.
    #[must_use]
    pub const fn new(limit: u64, used: u64, reset_after: Option<Duration>) -> Self {
        Self {
            limit,
            used,
            remaining: limit.saturating_sub(used),
            reset_after,
        }
    }
}

impl Serialize for Standing {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let is_limited = self.limit < MAX_AMOUNT;
        let mut shown = serializer.serialize_struct("Standing", 4)?;
        shown.serialize_field("limit", &is_limited.then_some(self.limit))?;
        shown.serialize_field("used", &self.used)?;
        shown.serialize_field("remaining", &is_limited.then_some(self.remaining))?;
        shown.serialize_field("reset", &self.reset_after.map(seconds))?;
        shown.end()
    }
}

/// Whether waiting helps a caller who was refused.
///
/// ```
/// use std::time::Duration;
///
/// use tenancy_core::{Timestamp, quota::{Bucket, Rate, Wait}};
///
/// let second = Rate::new(5, Duration::from_secs(1), 5)?;
/// let now = Timestamp::from_unix_seconds(1_800_000_000);
/// let mut bucket = Bucket::full(now);
/// assert!(bucket.take(&second, 5, now).is_ok());
/// assert_eq!(bucket.take(&second, 1, now).unwrap_err().wait, Wait::For(Duration::from_millis(200)));
/// assert_eq!(bucket.take(&second, 6, now).unwrap_err().wait, Wait::Forever);
/// # Ok::<(), tenancy_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wait {
    /// After this time the same request passes, if nobody else takes anything.
    For(Duration),
    /// When somebody gives something back; nobody knows when.
    Unknown,
    /// Never: it asks for more than there can be at once.
    Forever,
}

/// A limit that refuses. It has taken nothing.
///
/// ```
/// use tenancy_core::{Timestamp, quota::{Concurrency, Leases, OperationId, Wait}};
///
/// let two = Concurrency::new(2, std::time::Duration::from_secs(60))?;
/// let now = Timestamp::from_unix_seconds(1_800_000_000);
/// let denial = Leases::default().check(&two, OperationId::unique(), 3, now).unwrap_err();
/// assert_eq!((denial.standing.used, denial.wait), (0, Wait::Forever));
/// # Ok::<(), tenancy_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Denial {
    /// Where the caller stands, unchanged.
    pub standing: Standing,
    /// Whether waiting helps.
    pub wait: Wait,
}

impl Denial {
    /// A refusal of something that stands so.
    #[must_use]
    pub const fn new(standing: Standing, wait: Wait) -> Self {
        Self { standing, wait }
    }

    /// When to come back, or else when all of it is there again; `None` where no time says so.
    pub(super) const fn comes_back_after(&self) -> Option<Duration> {
        match self.wait {
            Wait::For(wait) => Some(wait),
            Wait::Unknown | Wait::Forever => self.standing.reset_after,
        }
    }
}
